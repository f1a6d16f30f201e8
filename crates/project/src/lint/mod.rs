//! What is odd about policies although they can run, found out by trying which values there may be.

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::{CheckpointView, HIL_REVIEW, Place, Plan, Role, ThenView};
use quorate_expr::{Answer, Checked, Outcomes, Search, Source, Span, Stand, Type, Value, Variable, Wanted, Witness};

mod monotone;
mod reach;
mod rules;

use crate::facts::{Formula, Known};
use crate::pick::{OTHERS, Policies, tier};
use crate::policy::Policy;
use crate::project::Project;
use crate::report::Diagnostic;

impl Project {
    /// What is odd about the policies, each with a code and its place. `max_tries` bounds each search; one that was given up is
    /// told of.
    #[must_use]
    pub fn lint(&self, max_tries: usize) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for policy in self.policies.list.values() {
            let mut linting = Linting { policy, views: policy.plan.checkpoints().collect(), max_tries, found: &mut found };
            linting.lint();
            linting.reach(&self.policies.auto_resolve_needs);
        }
        self.coverage(max_tries, &mut found);
        self.rules(max_tries, &mut found);
        self.monotone(max_tries, &mut found);
        found.sort_by_key(|problem| (problem.file, problem.span.map_or(0, |span| span.start)));
        found
    }

    /// Kinds of work for which there is no policy, as far as their keys can be listed.
    fn coverage(&self, max_tries: usize, found: &mut Vec<Diagnostic>) {
        let Policies { list, keys, rules, keyed, default, profiled, .. } = &self.policies;
        let [first, second] = &keys[..] else { return };
        let Type::Enum(tiers) = second.formula.kind() else { return };
        if default.is_some() || rules.iter().any(|rule| rule.when.is_none()) {
            return;
        }
        let mut kinds: Vec<&String> = match first.formula.kind() {
            Type::Enum(values) => values.iter().collect(),
            _ => Vec::new(),
        };
        let listed = !kinds.is_empty();
        for kind in keyed.keys().map(|(kind, _)| kind).chain(profiled.iter().map(|(kind, ..)| kind)) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let Some(usual) = list.values().map(|policy| &policy.at).min_by_key(|at| (at.file, at.span.start)) else { return };
        for kind in &kinds {
            let has = |second: Option<&str>| keyed.contains_key(&((*kind).clone(), second.map(str::to_owned)));
            if has(None) || has(Some(OTHERS)) {
                continue;
            }
            let open = |name: &&String| {
                let work = format!("{} == '{kind}' and {} == '{name}'", first.name, second.name);
                !has(Some(&tier(name))) && !matches!(self.unruled(&work, max_tries), Answer::Never)
            };
            let without: Vec<&str> = tiers.iter().filter(open).map(String::as_str).collect();
            let own = list.iter().filter(|(id, _)| id.starts_with(&format!("{kind}/"))).map(|(_, policy)| (policy.at.file, policy.at.span));
            let profile = profiled.iter().find(|(known, ..)| known == *kind).map(|(_, file, span)| (*file, *span));
            let (file, span) = own.min_by_key(|(file, span)| (*file, span.start)).or(profile).unwrap_or((usual.file, usual.span));
            if !without.is_empty() {
                let message = format!(
                    "there is no policy for work whose {} is {kind} and whose {} is {}",
                    first.name,
                    second.name,
                    without.join(" or ")
                );
                let problem =
                    Diagnostic::warning("L009", message).at(span).help(format!("people decide on it; write one, or a `{OTHERS}`"));
                found.push(problem.in_file(file));
            }
        }
        let others: Vec<String> = kinds.iter().map(|kind| format!("'{kind}'")).collect();
        let work = format!("{} not in [{}]", first.name, others.join(", "));
        if !listed && !matches!(self.unruled(&work, max_tries), Answer::Never) {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
            let message = format!("there is no policy for work whose {} is none of {}", first.name, names.join(", "));
            let problem = Diagnostic::warning("L009", message).at(usual.span).help(format!("people decide on it; write a `{OTHERS}`"));
            found.push(problem.in_file(usual.file));
        }
    }

    /// Looks for work that is like this, and for which no rule holds.
    fn unruled(&self, work: &str, max_tries: usize) -> Answer {
        let profile = match self.classifier.profile() {
            Type::Object(fields) => fields,
            _ => Vec::new(),
        };
        let known = Known { input: &self.classifier.input, profile: &profile, later: &[] };
        let Some(work) = Formula::written(work, known, &mut Vec::new()) else { return Answer::Unsure };
        let rules = self.policies.rules.iter().filter_map(|rule| rule.when.as_ref()).map(|when| (when, Outcomes::NOT_TRUE));
        let asked: Vec<(&Formula, Outcomes)> = rules.chain([(&work, Outcomes::TRUE)]).collect();
        work_like(&asked, max_tries).1
    }
}

/// Looks for work for which these come out as asked: what is read, and what was found.
fn work_like(asked: &[(&Formula, Outcomes)], max_tries: usize) -> (Vec<String>, Answer) {
    let mut names: Vec<String> = Vec::new();
    let mut variables = Vec::new();
    let sources: Vec<Vec<Source>> = asked
        .iter()
        .map(|(formula, _)| {
            let source = |(slot, name): (usize, String)| {
                let position = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                    names.push(name);
                    variables.push(Variable { kind: formula.checked().slot_type(slot).clone(), may_be_missing: true, of: None });
                    names.len() - 1
                });
                Source::Variable(position)
            };
            formula.reads().enumerate().map(source).collect()
        })
        .collect();
    let wanted = asked.iter().zip(&sources).map(|((formula, outcomes), sources)| Wanted {
        condition: formula.checked(),
        sources,
        outcomes: *outcomes,
    });
    let answer = Search { variables, tasks: Vec::new(), wanted: wanted.collect() }.run(max_tries);
    (names, answer)
}

struct Linting<'a, 'f> {
    policy: &'a Policy,
    views: Vec<CheckpointView<'a>>,
    max_tries: usize,
    found: &'f mut Vec<Diagnostic>,
}

impl Linting<'_, '_> {
    fn tell(&mut self, code: &'static str, message: String, span: Option<Span>, help: &str) {
        let at = &self.policy.at;
        self.found.push(Diagnostic::warning(code, message).at(span.unwrap_or(at.span)).help(help).in_file(at.file));
    }

    fn lint(&mut self) {
        for (agent, span) in self.policy.at.grouped.clone() {
            let message = format!("`{agent}` stands in a group, and runs only where nothing decided before");
            self.tell("L011", message, Some(span), "let it be mandatory, or give it `when`, if it is to run beside the others");
        }
        for view in 0..self.views.len() {
            self.one(view);
        }
        let tables: BTreeSet<usize> = self.views.iter().map(|view| view.table).collect();
        for table in tables {
            self.gap(table);
        }
    }

    fn place(&self, view: usize) -> Option<Span> {
        self.policy.at.checkpoints.get(view).copied().flatten()
    }

    /// What is odd about a single checkpoint, and about it behind those of its table.
    fn one(&mut self, view: usize) {
        let (here, place) = (&self.views[view], self.place(view));
        let (id, text) = (here.id.to_owned(), here.condition.ast().source().trim().to_owned());
        let written = place.is_some();
        let search = |wanted: &[(usize, Outcomes)]| self.search(wanted);
        match search(&[(view, Outcomes::TRUE)]) {
            // What nobody wrote stands behind something that somebody did.
            Answer::Never if !written => return,
            Answer::Never => {
                return self.tell(
                    "L001",
                    format!("`{text}` can never hold, so nothing follows from {id}"),
                    place,
                    "leave it out, or look at what it reads",
                );
            }
            Answer::GaveUp => {
                return self.tell(
                    "L000",
                    format!("whether {id} can hold was not found out: there is too much to try"),
                    place,
                    "simplify its condition",
                );
            }
            Answer::Found(_) | Answer::Unsure => {}
        }
        if written && !here.condition.slots().is_empty() && search(&[(view, Outcomes::NOT_TRUE)]) == Answer::Never {
            return self.tell("L002", format!("`{text}` always holds"), place, "write `always`, if that is meant");
        }
        let before: Vec<usize> = (0..view)
            .filter(|other| self.views[*other].table == here.table && !matches!(self.views[*other].then, ThenView::Adds(_)))
            .collect();
        if !before.is_empty() && written {
            let mut wanted: Vec<(usize, Outcomes)> = before.iter().map(|other| (*other, Outcomes::FALSE)).collect();
            wanted.push((view, Outcomes::TRUE));
            if search(&wanted) == Answer::Never {
                let names: Vec<&str> = before.iter().map(|other| self.views[*other].id).collect();
                let message = format!("nothing is left for {id}: where it holds, {} decides before it, or is unknown", names.join(" or "));
                return self.tell("L003", message, place, "let it stand before the others, or leave it out");
            }
        }
        // Stages are there to end what comes after them.
        if let ThenView::Decides(_) | ThenView::Follows(_) | ThenView::Weighs { .. } = here.then
            && !self.policy.at.staged
        {
            self.skipped(view);
        }
    }

    /// Agents that must run, and do not where this checkpoint decides before they can.
    fn skipped(&mut self, view: usize) {
        let here = &self.views[view];
        if here.after.is_empty() {
            return;
        }
        let plan = &self.policy.plan;
        let before = all_before(plan, &here.after);
        let draft = plan.draft();
        let must = draft.tasks.iter().filter(|task| task.role == Role::Main && !task.optional && task.when.is_none());
        let skipped: Vec<&str> = must.map(|task| task.id.as_str()).filter(|task| !before.contains(*task)).collect();
        if !skipped.is_empty() && !draft.no_early_exit {
            let message = format!("{} must run, and {} can decide before it does", skipped.join(" and "), here.id);
            let help = match here.then {
                ThenView::Weighs { .. } => "let it be one of the voices, or let the agent be optional",
                _ => "let the checkpoint look `after` it as well, or let the agent be optional",
            };
            self.tell("L007", message, self.place(view), help);
        }
    }

    /// Values on which nothing of a table decides, where it has several checkpoints and so seems to mean all of them.
    fn gap(&mut self, table: usize) {
        let views: Vec<usize> = (0..self.views.len()).filter(|view| self.views[*view].table == table).collect();
        if views.len() < 2 || self.policy.at.otherwise || self.views[views[0]].after.is_empty() {
            return;
        }
        // Where agents and checkpoints follow that are there in any case, nothing is left open here.
        let before = all_before(&self.policy.plan, &self.views[views[0]].after);
        let follows = |task: &&str| self.policy.plan.begins_with(task) && !before.contains(*task);
        if self.policy.at.staged || self.views.iter().any(|view| view.table != table && view.after.iter().any(follows)) {
            return;
        }
        let open = self.search(&views.iter().map(|view| (*view, Outcomes::FALSE)).collect::<Vec<_>>());
        // The first that does not fail is unknown: whatever stands behind it does not decide either.
        let unknown = (0..views.len()).find_map(|first| {
            let before = views[..first].iter().map(|view| (*view, Outcomes::FALSE));
            match self.search(&before.chain([(views[first], Outcomes::UNKNOWN)]).collect::<Vec<_>>()) {
                Answer::Found(witness) => Some((first, witness)),
                Answer::Never | Answer::Unsure | Answer::GaveUp => None,
            }
        });
        let open = match open {
            Answer::Found(witness) => Some(witness),
            Answer::GaveUp => {
                let after = self.views[views[0]].after.join(" and ");
                let message = format!("whether something always decides after {after} was not found out: there is too much to try");
                return self.tell("L000", message, self.place(views[0]), "simplify the conditions");
            }
            Answer::Never | Answer::Unsure => None,
        };
        let open = open.iter().map(|witness| self.told(&views, witness));
        let unknown = unknown.iter().map(|(first, witness)| self.told(&views[..=*first], witness));
        let told: Vec<String> = open.chain(unknown).filter(|told| !told.is_empty()).collect();
        if !told.is_empty() {
            let after = self.views[views[0]].after.join(" and ");
            let message = format!("after {after}, nothing decides where {}", told.join("; or where "));
            let place = views.iter().find_map(|view| self.place(*view));
            let help = format!("people are asked then ({HIL_REVIEW}); say so with `otherwise: {HIL_REVIEW}`, or close the gap");
            self.tell("L004", message, place, &help);
        }
    }

    /// Looks for values under which checkpoints come out as asked.
    fn search(&self, wanted: &[(usize, Outcomes)]) -> Answer {
        let plan = &self.policy.plan;
        let before = wanted.iter().flat_map(|(view, _)| all_before(plan, &self.views[*view].after)).collect::<BTreeSet<&str>>();
        let at_last = wanted.iter().any(|(view, _)| self.views[*view].after.is_empty());
        let reads = wanted.iter().flat_map(|(view, _)| &self.views[*view].reads).filter_map(|place| place.task);
        let open = |task: &&str| !(before.contains(task) || (at_last && plan.begins_with(task)));
        let given = reads.filter(open).map(|task| (task, plan.ends_of(task).into_iter().chain([Stand::Open]).collect()));
        let asked: Vec<Asked<'_>> =
            wanted.iter().map(|(view, outcomes)| (self.views[*view].condition, &self.views[*view].reads[..], *outcomes)).collect();
        self.ask(&asked, &given.collect())
    }

    /// Looks for values under which conditions come out as asked, where some tasks stand as given.
    fn ask(&self, asked: &[Asked<'_>], given: &BTreeMap<&str, Vec<Stand>>) -> Answer {
        let (names, tasks) = read(asked.iter().flat_map(|(_, places, _)| places.iter()));
        let source = |place: &Place<'_>| match (place.status, place.task) {
            (Some(status), Some(task)) => Source::Task(tasks.iter().position(|known| *known == task).unwrap_or_default(), status),
            _ => Source::Variable(names.iter().position(|(known, _)| *known == place.name).unwrap_or_default()),
        };
        let sources: Vec<Vec<Source>> = asked.iter().map(|(_, places, _)| places.iter().map(source).collect()).collect();
        let stands = |task: &&str| given.get(*task).cloned().unwrap_or_else(|| self.policy.plan.ends_of(task));
        let wanted = asked.iter().zip(&sources);
        let search = Search {
            variables: names.iter().map(|(_, variable)| variable.clone()).collect(),
            tasks: tasks.iter().map(stands).collect(),
            wanted: wanted.map(|((condition, _, outcomes), sources)| Wanted { condition, sources, outcomes: *outcomes }).collect(),
        };
        search.run(self.max_tries)
    }

    fn told(&self, views: &[usize], witness: &Witness) -> String {
        let (names, tasks) = read(views.iter().flat_map(|view| &self.views[*view].reads));
        let value = |((name, _), value): (&(String, Variable), &Option<Value<'static>>)| match value.as_ref()? {
            Value::Unknown(why) => Some(format!("{name} {why}")),
            value => Some(format!("{name} is {value}")),
        };
        let stand = |(task, stand): (&&str, &Option<Stand>)| match stand.as_ref()? {
            Stand::Succeeded => None,
            Stand::Failed => Some(format!("{task} failed")),
            Stand::Skipped => Some(format!("{task} was skipped")),
            Stand::Open => Some(format!("{task} has not ended")),
        };
        let stands = tasks.iter().zip(&witness.tasks).filter_map(stand);
        names.iter().zip(&witness.values).filter_map(value).chain(stands).collect::<Vec<_>>().join(" and ")
    }
}

/// A condition, what its slots read, and how it is to come out.
type Asked<'a> = (&'a Checked, &'a [Place<'a>], Outcomes);

/// What conditions read: values by name, and tasks.
fn read<'a>(places: impl Iterator<Item = &'a Place<'a>> + Clone) -> (Vec<(String, Variable)>, Vec<&'a str>) {
    let mut tasks: Vec<&str> = Vec::new();
    for task in places.clone().filter_map(|place| place.task) {
        if !tasks.contains(&task) {
            tasks.push(task);
        }
    }
    let mut names: Vec<(String, Variable)> = Vec::new();
    for place in places.filter(|place| place.status.is_none()) {
        if !names.iter().any(|(known, _)| *known == place.name) {
            let of = place.task.and_then(|task| tasks.iter().position(|known| *known == task));
            names.push((place.name.clone(), Variable { kind: place.kind.clone(), may_be_missing: place.may_be_missing, of }));
        }
    }
    (names, tasks)
}

/// These tasks, and all that come before them.
fn all_before<'a>(plan: &'a Plan, after: &[&'a str]) -> BTreeSet<&'a str> {
    let deps: Vec<(&str, Vec<&str>)> = plan.tasks().map(|(task, deps)| (task, deps.collect())).collect();
    let mut all: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&str> = after.to_vec();
    while let Some(task) = open.pop() {
        if all.insert(task) {
            open.extend(deps.iter().find(|(known, _)| *known == task).into_iter().flat_map(|(_, deps)| deps.iter().copied()));
        }
    }
    all
}
