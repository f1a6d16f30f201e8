//! Rules of which some are for the same work, or for none.

use quorate_expr::{Answer, Outcomes, Value, Witness};

use super::work_like;
use crate::facts::Formula;
use crate::project::Project;
use crate::report::Diagnostic;

/// Most pairs of rules that are held against each other.
const MAX_PAIRS: usize = 5_000;
/// Most rules that are held against all before them at once.
const MAX_RULES: usize = 200;

impl Project {
    /// Rules for which no work is left, and pairs of which neither is the more particular one.
    pub(super) fn rules(&self, max_tries: usize, found: &mut Vec<Diagnostic>) {
        let rules = &self.policies.rules;
        self.unpicked(max_tries, found);
        let mut pairs = 0;
        for (position, rule) in rules.iter().enumerate() {
            let before = &rules[..position];
            let Some((file, span)) = rule.at else { continue };
            let mut tell = |code, message: String, help: &str| {
                found.push(Diagnostic::warning(code, message).at(span).help(help).in_file(file));
            };
            if let Some(always) = before.iter().find(|earlier| earlier.when.is_none()) {
                let message = format!("nothing is left for the rule {}: {} holds for all work", rule.name, always.name);
                tell("L006", message, "let it stand before that one, or leave it out");
                continue;
            }
            let Some(when) = &rule.when else { continue };
            let earlier = || before.iter().filter_map(|earlier| Some((earlier.when.as_ref()?, earlier)));
            let asked: Vec<(&Formula, Outcomes)> =
                earlier().map(|(when, _)| (when, Outcomes::FALSE)).chain([(when, Outcomes::TRUE)]).collect();
            if position >= MAX_RULES {
                let message = format!("whether anything is left for the rules behind the first {MAX_RULES} was not looked for");
                return tell("L000", message, "rules that differ in what they are looked up by can be keys instead");
            }
            match work_like(&asked, max_tries).1 {
                Answer::Never if matches!(work_like(&[(when, Outcomes::TRUE)], max_tries).1, Answer::Never) => {
                    tell(
                        "L006",
                        format!("the rule {} can never hold: `{}`", rule.name, when.text()),
                        "leave it out, or look at what it reads",
                    );
                    continue;
                }
                Answer::Never => {
                    let message = format!("nothing is left for the rule {}: where it holds, one before it does, or is unknown", rule.name);
                    tell("L006", message, "let it stand before the others, or leave it out");
                    continue;
                }
                Answer::GaveUp => tell(
                    "L000",
                    format!("whether anything is left for the rule {} was not found out: there is too much to try", rule.name),
                    "simplify the conditions",
                ),
                Answer::Found(_) | Answer::Unsure => {}
            }
            for (other, first) in earlier().filter(|(_, first)| first.policy != rule.policy) {
                pairs += 1;
                if pairs > MAX_PAIRS {
                    let message = format!("which rules are for the same work was looked at for {MAX_PAIRS} pairs, and no more");
                    return tell("L000", message, "rules that differ in what they are looked up by can be keys instead");
                }
                let ask = |here, there| work_like(&[(when, here), (other, there)], max_tries);
                let (names, Answer::Found(both)) = ask(Outcomes::TRUE, Outcomes::TRUE) else { continue };
                // One that is a part of the other, and stands before it, is an exception, as it should be.
                let exception = matches!(ask(Outcomes::NOT_TRUE, Outcomes::TRUE).1, Answer::Never);
                if !exception && matches!(ask(Outcomes::TRUE, Outcomes::NOT_TRUE).1, Answer::Found(_)) {
                    let message = format!("the rules {} and {} are both for work where {}", first.name, rule.name, told(&names, &both));
                    tell("L005", message, &format!("{} stands first, and gets it; say so in the condition of the other one", first.name));
                }
            }
        }
    }
}

impl Project {
    /// Work that no rule picks a policy for, where there are rules only.
    fn unpicked(&self, max_tries: usize, found: &mut Vec<Diagnostic>) {
        let policies = &self.policies;
        let rules = &policies.rules;
        let Some((file, span)) = rules.iter().rev().find_map(|rule| rule.at) else { return };
        if !policies.keyed.is_empty()
            || policies.default.is_some()
            || rules.iter().any(|rule| rule.when.is_none())
            || rules.len() > MAX_RULES
        {
            return;
        }
        let asked: Vec<(&Formula, Outcomes)> = rules.iter().filter_map(|rule| Some((rule.when.as_ref()?, Outcomes::FALSE))).collect();
        if let (names, Answer::Found(witness)) = work_like(&asked, max_tries) {
            let message = format!("there is no policy for work where {}", told(&names, &witness));
            let help = "people decide on it; write a rule without a condition behind the others, or a `default`";
            found.push(Diagnostic::warning("L009", message).at(span).help(help).in_file(file));
        }
    }
}

/// Work that was found, in words.
fn told(names: &[String], witness: &Witness) -> String {
    let value = |(name, value): (&String, &Option<Value<'static>>)| {
        // The profile is read by the position of its field.
        let name = name.split_once(' ').map_or(name.as_str(), |(_, field)| field).trim_start_matches("input.");
        match value.as_ref()? {
            Value::Unknown(why) => Some(format!("{name} {why}")),
            value => Some(format!("{name} is {value}")),
        }
    };
    names.iter().zip(&witness.values).filter_map(value).collect::<Vec<_>>().join(" and ")
}
