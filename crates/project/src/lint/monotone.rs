//! Of more of something nothing laxer is to come.

use quorate_core::{CheckpointView, HIL_REVIEW, Place, ThenView};
use quorate_expr::{Answer, Checked, Names, Outcomes, Path, Resolution, Search, Source, Stand, Type, Value, Variable, Wanted, parse};

use super::all_before;
use crate::pick::{Monotone, tier};
use crate::policy::Policy;
use crate::project::Project;
use crate::report::Diagnostic;

/// What a table comes to: a decision, and where all of these come out so.
struct Row<'a> {
    action: String,
    asked: Vec<(&'a CheckpointView<'a>, Outcomes)>,
}

/// Two kinds of work that are the same but for one field, of which the second has more.
struct Pair<'a> {
    less: &'a Policy,
    more: &'a Policy,
    field: &'a str,
    /// The values of that field, where they are texts: less, and more.
    values: Option<(&'a str, &'a str)>,
}

impl Project {
    /// Pairs of work of which the second has more of what is declared to be monotone, and gets a laxer decision.
    pub(super) fn monotone(&self, max_tries: usize, found: &mut Vec<Diagnostic>) {
        let Some(monotone) = &self.policies.monotone else { return };
        let profile = match self.classifier.profile() {
            Type::Object(fields) => fields,
            _ => Vec::new(),
        };
        for field in &monotone.over {
            let Some(kind) = profile.iter().find(|known| known.name == *field).map(|field| &field.kind) else { continue };
            match kind {
                Type::Number(_) => {
                    for policy in self.policies.list.values() {
                        self.compare(monotone, &Pair { less: policy, more: policy, field, values: None }, max_tries, found);
                    }
                }
                Type::Enum(values) => {
                    for pair in values.windows(2) {
                        let (less, more) = (&pair[0], &pair[1]);
                        self.tiers(monotone, field, (less, more), max_tries, found);
                    }
                }
                _ => {
                    let message = format!("of `{field}` it is not known what is more: it is {kind}");
                    let problem = Diagnostic::warning("L013", message).at(monotone.span);
                    found.push(
                        problem.help("name a number, or a text of which all values are listed from less to more").in_file(monotone.file),
                    );
                }
            }
        }
    }

    /// The policies that work of one kind gets, which differs in its tier only.
    fn tiers(&self, monotone: &Monotone, field: &str, (less, more): (&str, &str), max_tries: usize, found: &mut Vec<Diagnostic>) {
        let second = self.policies.keys.get(1).is_some_and(|key| key.name == field);
        for policy in self.policies.list.values() {
            self.compare(monotone, &Pair { less: policy, more: policy, field, values: Some((less, more)) }, max_tries, found);
        }
        for ((kind, known), id) in self.policies.keyed.iter().filter(|_| second) {
            if known.as_deref() != Some(&tier(less)) {
                continue;
            }
            let other = self.policies.keyed.get(&(kind.clone(), Some(tier(more))));
            let list = &self.policies.list;
            if let Some((less_policy, more_policy)) = list.get(id).zip(other.and_then(|other| list.get(other))) {
                self.compare(monotone, &Pair { less: less_policy, more: more_policy, field, values: Some((less, more)) }, max_tries, found);
            }
        }
    }

    fn compare(&self, monotone: &Monotone, pair: &Pair<'_>, max_tries: usize, found: &mut Vec<Diagnostic>) {
        let laxness = |action: &str| monotone.actions.iter().position(|known| known == action);
        let (less, more): (Vec<_>, Vec<_>) = (pair.less.plan.checkpoints().collect(), pair.more.plan.checkpoints().collect());
        for (rows, others) in tables(pair.less, &less).iter().flat_map(|(after, rows)| {
            let same = tables(pair.more, &more).into_iter().filter(move |(other, _)| other == after);
            same.map(move |(_, others)| (rows, others)).collect::<Vec<_>>()
        }) {
            for (stricter, laxer) in rows.iter().flat_map(|row| others.iter().map(move |other| (row, other))) {
                let (Some(first), Some(second)) = (laxness(&stricter.action), laxness(&laxer.action)) else { continue };
                if second >= first {
                    continue;
                }
                if let Some(told) = pair.witness(stricter, laxer, max_tries) {
                    let message = format!(
                        "with more `{}` the decision may be laxer: {} is followed by {} where {told}",
                        pair.field, stricter.action, laxer.action
                    );
                    let (at, place) = (&pair.more.at, laxer.asked.last().and_then(|(view, _)| pair.more.place_of(view.id)));
                    let help = "tighten this, or leave the field out of `monotone`";
                    found.push(Diagnostic::warning("L013", message).at(place.unwrap_or(at.span)).help(help).in_file(at.file));
                    return;
                }
            }
        }
    }
}

/// The tables of a policy, by the agents after which they are looked at, with what each row comes to.
fn tables<'a>(policy: &Policy, views: &'a [CheckpointView<'a>]) -> Vec<(Vec<String>, Vec<Row<'a>>)> {
    let draft = policy.plan.draft();
    let agent = |task: &str| {
        let found = draft.tasks.iter().find(|known| known.id == task).map(|task| &task.work);
        match found {
            Some(quorate_core::draft::WorkDraft::Agent { id: Some(id), .. }) => id.clone(),
            _ => task.to_owned(),
        }
    };
    let count = views.iter().map(|view| view.table + 1).max().unwrap_or(0);
    let mut tables = Vec::with_capacity(count);
    for table in 0..count {
        let of_table: Vec<&CheckpointView<'a>> = views.iter().filter(|view| view.table == table).collect();
        let Some(first) = of_table.first().filter(|view| !view.after.is_empty()) else { continue };
        let mut after: Vec<String> = first.after.iter().map(|task| agent(task)).collect();
        after.sort();
        let mut rows = Vec::new();
        let mut before: Vec<(&CheckpointView<'a>, Outcomes)> = Vec::new();
        // What follows from what another agent says is not known here, and what adds agents decides nothing.
        let known = of_table.iter().all(|view| matches!(view.then, ThenView::Decides(_) | ThenView::Adds(_)));
        if !known {
            continue;
        }
        let grows = of_table.iter().any(|view| matches!(view.then, ThenView::Adds(_)));
        for view in of_table {
            if let ThenView::Decides(action) = view.then {
                let asked = before.iter().copied().chain([(view, Outcomes::TRUE)]).collect();
                rows.push(Row { action: action.to_owned(), asked });
            }
            before.push((view, Outcomes::FALSE));
        }
        let later = views.iter().any(|view| view.table != table);
        if !grows && !later {
            rows.push(Row { action: draft.otherwise.clone().unwrap_or_else(|| HIL_REVIEW.to_owned()), asked: before });
        }
        tables.push((after, rows));
    }
    tables
}

/// That one number is less than another.
fn ordered() -> Option<Checked> {
    struct Two;
    impl Names for Two {
        fn resolve(&self, _: &Path) -> Resolution {
            Resolution::Value(Type::NUMBER)
        }
        fn known(&self) -> Vec<String> {
            Vec::new()
        }
    }
    parse("less < more").ok()?.check_condition(&Two).ok()
}

impl Pair<'_> {
    /// Values under which the first work gets the stricter decision and the second one the laxer, in words.
    fn witness(&self, stricter: &Row<'_>, laxer: &Row<'_>, max_tries: usize) -> Option<String> {
        let path = format!("profile.{}", self.field);
        let is_field = |place: &Place<'_>| place.task.is_none() && (place.name == path || place.name == self.field);
        let reads = |row: &Row<'_>| row.asked.iter().any(|(view, _)| view.reads.iter().any(is_field));
        let same_policy = std::ptr::eq(self.less, self.more);
        if same_policy && !reads(stricter) && !reads(laxer) {
            return None;
        }
        let mut names: Vec<String> = Vec::new();
        let mut variables: Vec<Variable> = Vec::new();
        let mut tasks: Vec<String> = Vec::new();
        let mut stands: Vec<Vec<Stand>> = Vec::new();
        let mut asked: Vec<(&Checked, Vec<Source>, Outcomes)> = Vec::new();
        for (side, row, policy) in [("less", stricter, self.less), ("more", laxer, self.more)] {
            for (view, outcomes) in &row.asked {
                let before = all_before(&policy.plan, &view.after);
                let mut sources = Vec::with_capacity(view.reads.len());
                for place in &view.reads {
                    let of = place.task.map(|task| {
                        tasks.iter().position(|known| *known == task).unwrap_or_else(|| {
                            tasks.push(task.to_owned());
                            let mut ends = policy.plan.ends_of(task);
                            ends.extend((!before.contains(task)).then_some(Stand::Open));
                            stands.push(ends);
                            tasks.len() - 1
                        })
                    });
                    if let (Some(status), Some(of)) = (place.status, of) {
                        sources.push(Source::Task(of, status));
                        continue;
                    }
                    let field = is_field(place);
                    let name = if field { format!("{} ({side})", self.field) } else { place.name.clone() };
                    let position = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                        let kind = match (self.values, field, side) {
                            (Some((less, _)), true, "less") => Type::Enum(vec![less.to_owned()]),
                            (Some((_, more)), true, _) => Type::Enum(vec![more.to_owned()]),
                            _ => place.kind.clone(),
                        };
                        names.push(name);
                        variables.push(Variable { kind, may_be_missing: place.may_be_missing && !field, of });
                        names.len() - 1
                    });
                    sources.push(Source::Variable(position));
                }
                asked.push((view.condition, sources, *outcomes));
            }
        }
        let order = ordered()?;
        let both = ["less", "more"].map(|side| names.iter().position(|name| *name == format!("{} ({side})", self.field)));
        if let (None, [Some(less), Some(more)]) = (self.values, both) {
            let sources = order.slots().iter().map(|slot| match slot {
                quorate_expr::Slot::Value(path) if path.head() == "less" => Source::Variable(less),
                _ => Source::Variable(more),
            });
            asked.push((&order, sources.collect(), Outcomes::TRUE));
        }
        let wanted = asked.iter().map(|(condition, sources, outcomes)| Wanted { condition, sources, outcomes: *outcomes });
        match (Search { variables, tasks: stands, wanted: wanted.collect() }).run(max_tries) {
            Answer::Found(witness) => {
                let value = |(name, value): (&String, &Option<Value<'static>>)| match value.as_ref()? {
                    Value::Unknown(why) => Some(format!("{name} {why}")),
                    value => Some(format!("{name} is {value}")),
                };
                let told: Vec<String> = names.iter().zip(&witness.values).filter_map(value).collect();
                let tiers = self.values.filter(|_| both.iter().all(Option::is_none));
                let tiers = tiers.map(|(less, more)| format!("{} is {less} and then {more}", self.field));
                Some(tiers.into_iter().chain(told).collect::<Vec<_>>().join(" and "))
            }
            Answer::Never | Answer::Unsure | Answer::GaveUp => None,
        }
    }
}
