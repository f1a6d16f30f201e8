//! Conditions and templates tied to the tasks and values that they read.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use quorate_expr::{Checked, Path, Resolution, Segment, Slot, Status, Template, Type, parse};
use serde_json::Value as Json;

use crate::Payload;
use crate::draft::{Draft, Role, WorkDraft};
use crate::plan::{MAX_GUESSES, Problem};

/// An expression and, for each of its slots, where the value is found.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) checked: Checked,
    pub(crate) reads: Box<[Read]>,
}

/// Where a value is found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Read {
    Output(u32, Box<[Segment]>),
    Status(u32, Status),
    Input(Box<[Segment]>),
    Profile(Box<[Segment]>),
    Session(Box<[Segment]>),
    Item(Box<[Segment]>),
    Index,
    /// What weighted voices come to.
    Score,
}

impl Bound {
    pub(crate) fn condition(text: &str, at: &str, reads: &Reads<'_>, problems: &mut Vec<Problem>) -> Option<Bound> {
        Bound::new(text, at, reads, problems, true)
    }

    pub(crate) fn expression(text: &str, at: &str, reads: &Reads<'_>, problems: &mut Vec<Problem>) -> Option<Bound> {
        Bound::new(text, at, reads, problems, false)
    }

    fn new(text: &str, at: &str, reads: &Reads<'_>, problems: &mut Vec<Problem>, condition: bool) -> Option<Bound> {
        let parsed = parse(text).map_err(|problem| vec![problem]);
        Bound::check(parsed, at, reads, problems, condition, 0)
    }

    fn check(
        parsed: Result<quorate_expr::Ast, Vec<quorate_expr::Diagnostic>>,
        at: &str,
        reads: &Reads<'_>,
        problems: &mut Vec<Problem>,
        condition: bool,
        shift: u32,
    ) -> Option<Bound> {
        let checked = parsed.and_then(|ast| if condition { ast.check_condition(reads) } else { ast.check(reads) });
        match checked {
            Ok(checked) => {
                problems.extend(checked.warnings().iter().map(|warning| Problem::in_text(warning, at, shift)));
                let places = checked.slots().iter().map(|slot| reads.place(slot)).collect();
                Some(Bound { checked, reads: places })
            }
            Err(wrong) => {
                problems.extend(wrong.iter().map(|wrong| Problem::in_text(wrong, at, shift)));
                None
            }
        }
    }

    pub(crate) fn text(&self) -> &str {
        self.checked.ast().source()
    }

    /// The task whose output it is, or is a part of, and nothing besides.
    pub(crate) fn bare_output(&self) -> Option<u32> {
        let slot = self.checked.slot_of(self.checked.ast().root())?;
        match &self.reads[slot] {
            Read::Output(task, _) => Some(*task),
            _ => None,
        }
    }

    /// The tasks that it reads.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = u32> {
        self.reads.iter().filter_map(|read| match read {
            Read::Output(task, _) | Read::Status(task, _) => Some(*task),
            Read::Input(_) | Read::Profile(_) | Read::Session(_) | Read::Item(_) | Read::Index | Read::Score => None,
        })
    }

    /// The name of a slot as it was written.
    pub(crate) fn slot_name(&self, slot: usize) -> String {
        match &self.checked.slots()[slot] {
            Slot::Value(path) => path.to_string(),
            Slot::Status(Status::Completed, task) => format!("completed({task})"),
            Slot::Status(Status::Failed, task) => format!("failed({task})"),
            Slot::Status(Status::Skipped, task) => format!("skipped({task})"),
            Slot::Status(Status::Ended, task) => format!("ended({task})"),
        }
    }
}

/// JSON with expressions in its strings.
#[derive(Debug)]
pub(crate) enum Form {
    Fixed(Payload),
    /// One expression: the value keeps its type.
    Value(Bound),
    Text(Vec<Piece>),
    List(Vec<Form>),
    Object(Vec<(String, Form)>),
}

#[derive(Debug)]
pub(crate) enum Piece {
    Literal(String),
    Value(Bound),
}

impl Form {
    pub(crate) fn compile(json: &Json, at: &str, reads: &Reads<'_>, problems: &mut Vec<Problem>) -> Form {
        match json {
            Json::String(text) if text.contains("{{") => Form::text(text, at, reads, problems),
            Json::Array(items) if has_template(json) => Form::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(position, item)| Form::compile(item, &format!("{at}[{position}]"), reads, problems))
                    .collect(),
            ),
            Json::Object(fields) if has_template(json) => Form::Object(
                fields.iter().map(|(name, field)| (name.clone(), Form::compile(field, &format!("{at}.{name}"), reads, problems))).collect(),
            ),
            _ => match Payload::of(json) {
                Ok(fixed) => Form::Fixed(fixed),
                Err(wrong) => {
                    problems.push(Problem::new("P030", at, wrong.to_string()));
                    Form::Fixed(Payload::null())
                }
            },
        }
    }

    /// Every expression in it, with its place.
    pub(crate) fn each<'a>(&'a self, at: &str, tell: &mut impl FnMut(&str, &'a Bound)) {
        match self {
            Form::Fixed(_) => {}
            Form::Value(bound) => tell(at, bound),
            Form::Text(pieces) => pieces.iter().for_each(|piece| {
                if let Piece::Value(bound) = piece {
                    tell(at, bound);
                }
            }),
            Form::List(items) => {
                items.iter().enumerate().for_each(|(position, item)| item.each(&format!("{at}[{position}]"), tell));
            }
            Form::Object(fields) => fields.iter().for_each(|(name, field)| field.each(&format!("{at}.{name}"), tell)),
        }
    }

    fn text(text: &str, at: &str, reads: &Reads<'_>, problems: &mut Vec<Problem>) -> Form {
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(wrong) => {
                problems.extend(wrong.iter().map(|wrong| Problem::in_text(wrong, at, 0)));
                return Form::Text(Vec::new());
            }
        };
        let alone = template.parts.len() == 1;
        let mut pieces = Vec::with_capacity(template.parts.len());
        for part in template.parts {
            match part {
                quorate_expr::Part::Literal(text) => pieces.push(Piece::Literal(text)),
                quorate_expr::Part::Expression(ast, start) => {
                    if let Some(bound) = Bound::check(Ok(ast), at, reads, problems, false, start) {
                        pieces.push(Piece::Value(bound));
                    }
                }
            }
        }
        match pieces.pop() {
            Some(Piece::Value(bound)) if alone => Form::Value(bound),
            last => {
                pieces.extend(last);
                Form::Text(pieces)
            }
        }
    }
}

fn has_template(json: &Json) -> bool {
    match json {
        Json::String(text) => text.contains("{{"),
        Json::Array(items) => items.iter().any(has_template),
        Json::Object(fields) => fields.values().any(has_template),
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}

/// What the names of a draft mean.
pub(crate) struct Names<'a> {
    pub(crate) draft: &'a Draft,
    pub(crate) by_id: &'a HashMap<Arc<str>, u32>,
    pub(crate) deps: &'a [Box<[u32]>],
    pub(crate) succ: &'a [Vec<u32>],
    pub(crate) sections: &'a BTreeMap<u32, Box<[u32]>>,
    /// What comes after a task, as a bit for every one, for those that were asked about.
    pub(crate) later: RefCell<HashMap<u32, Box<[u64]>>>,
    /// How often it was asked for names to offer.
    pub(crate) asked: Cell<usize>,
}

impl<'a> Names<'a> {
    /// What can be read when a task is about to start: what comes before it.
    pub(crate) fn before(&'a self, task: u32) -> Reads<'a> {
        let deps = &self.deps[task as usize];
        // Somebody who only agrees to go on is no second voice.
        let speaks = |dep: &&u32| !matches!(self.draft.tasks[**dep as usize].work, WorkDraft::Approval(_));
        let mut speaking = deps.iter().filter(speaks);
        let subject = match (&deps[..], speaking.next(), speaking.next()) {
            ([one], ..) | (_, Some(one), None) => Some(*one),
            _ => None,
        };
        Reads { names: self, subject, reach: Reach::Before(task), item: false, score: false }
    }

    /// What can be read when a task has succeeded: itself too.
    pub(crate) fn at_end_of(&'a self, task: u32) -> Reads<'a> {
        Reads { names: self, subject: Some(task), reach: Reach::AtEndOf(task), item: false, score: false }
    }

    /// What can be read when these tasks have ended: everything, and what has not ended yet is unknown.
    pub(crate) fn after(&'a self, tasks: &[u32]) -> Reads<'a> {
        let subject = if tasks.len() == 1 { Some(tasks[0]) } else { None };
        Reads { names: self, subject, reach: Reach::All, item: false, score: false }
    }

    /// What can be read when all is over.
    pub(crate) fn after_all(&'a self) -> Reads<'a> {
        self.after(&[])
    }

    fn comes_before(&self, earlier: u32, later: u32) -> bool {
        if self.deps[later as usize].contains(&earlier) {
            return true;
        }
        let role = |ix: u32| self.draft.tasks[ix as usize].role;
        if matches!(role(later), Role::Finally | Role::Review | Role::Compensation) && matches!(role(earlier), Role::Main | Role::Catalogue)
        {
            return true;
        }
        // One at a time, in the order of the file.
        if self.draft.one_at_a_time && earlier < later && (role(earlier), role(later)) == (Role::Main, Role::Main) {
            return true;
        }
        // Inside a repeated section, the time before counts: its later tasks have run once already.
        self.leads_to(earlier, later) || self.sections.values().any(|section| section.contains(&earlier) && section.contains(&later))
    }

    /// Whether there is a way from one task to another. Many tasks may ask about the same one.
    fn leads_to(&self, from: u32, to: u32) -> bool {
        /// More than this is found out again each time.
        const MAX_BYTES: usize = 64 << 20;
        let bit = |ix: u32| (ix as usize / 64, 1 << (ix % 64));
        let (word, mask) = bit(to);
        if let Some(known) = self.later.borrow().get(&from) {
            return known[word] & mask != 0;
        }
        let words = self.deps.len().div_ceil(64);
        let mut seen = vec![0_u64; words].into_boxed_slice();
        let mut open = self.succ[from as usize].clone();
        while let Some(ix) = open.pop() {
            let (word, mask) = bit(ix);
            if seen[word] & mask == 0 {
                seen[word] |= mask;
                open.extend(&self.succ[ix as usize]);
            }
        }
        let found = seen[word] & mask != 0;
        let mut later = self.later.borrow_mut();
        if (later.len() + 1) * words * 8 <= MAX_BYTES {
            later.insert(from, seen);
        }
        found
    }
}

/// The names that one condition may read.
pub(crate) struct Reads<'a> {
    names: &'a Names<'a>,
    /// The task whose output is meant by a bare name.
    subject: Option<u32>,
    reach: Reach,
    item: bool,
    score: bool,
}

enum Reach {
    All,
    Before(u32),
    AtEndOf(u32),
}

enum Meaning {
    Place(Read, Type),
    /// A task as a whole, and the type of what it returned.
    Task(u32, Type),
    Unknown,
    Ambiguous(String),
    TooEarly(String),
}

impl Reads<'_> {
    pub(crate) fn with_item(mut self, item: bool) -> Self {
        self.item = item;
        self
    }

    /// The same where `score` is what voices come to.
    pub(crate) fn with_score(mut self) -> Self {
        self.score = true;
        self
    }

    fn meaning(&self, path: &Path) -> Meaning {
        let draft = self.names.draft;
        let tail: Box<[Segment]> = path.tail().into();
        let typed = |kind: &Type, read: fn(Box<[Segment]>) -> Read| match kind.at(&tail) {
            Some(found) => Meaning::Place(read(tail.clone()), found.clone()),
            None => Meaning::Unknown,
        };
        match path.head() {
            "input" => typed(&draft.input, Read::Input),
            "profile" => typed(&draft.profile, Read::Profile),
            "session" => typed(&Type::Any, Read::Session),
            "item" if self.item => typed(&Type::Any, Read::Item),
            "index" if self.item && tail.is_empty() => Meaning::Place(Read::Index, Type::NUMBER),
            "score" if self.score && tail.is_empty() => Meaning::Place(Read::Score, Type::NUMBER),
            // Where there is no item these are not names of fields either.
            "item" | "index" | "params" => Meaning::Unknown,
            head => match self.names.by_id.get(head) {
                Some(task) => self.of_task(*task, path, &tail),
                None => self.bare(path),
            },
        }
    }

    fn of_task(&self, task: u32, path: &Path, tail: &[Segment]) -> Meaning {
        if let Some(reason) = self.too_early(task) {
            return Meaning::TooEarly(reason);
        }
        let draft = &self.names.draft.tasks[task as usize];
        let output = if draft.for_each.is_some() { &Type::List(Box::new(draft.output.clone())) } else { &draft.output };
        if tail.is_empty() {
            return match self.bare(path) {
                Meaning::Place(..) if self.is_declared(path) => {
                    Meaning::Ambiguous(format!("the task `{path}` or a field of that name in what is read here"))
                }
                _ => Meaning::Task(task, output.clone()),
            };
        }
        match output.at(tail) {
            Some(kind) => Meaning::Place(Read::Output(task, tail.into()), kind.clone()),
            None => Meaning::Unknown,
        }
    }

    fn too_early(&self, task: u32) -> Option<String> {
        let id = &self.names.draft.tasks[task as usize].id;
        match self.reach {
            Reach::All => None,
            Reach::AtEndOf(here) if here == task => None,
            Reach::Before(here) if here == task => Some(format!("it is read before `{id}` starts")),
            Reach::Before(here) | Reach::AtEndOf(here) if self.names.comes_before(task, here) => None,
            Reach::Before(here) | Reach::AtEndOf(here) => {
                let reader = &self.names.draft.tasks[here as usize].id;
                Some(format!("nothing says that `{id}` ends before `{reader}` starts; let `{reader}` depend on it"))
            }
        }
    }

    /// A bare name: a field of the task that is looked at, else of the profile, else of the input. The first place that
    /// declares it has it; where none does, the first place that does not say what it has. It is one place for good:
    /// what an agent leaves out is not looked for in what the caller sent.
    fn bare(&self, path: &Path) -> Meaning {
        let places = self.bare_places(path);
        let declared = places.iter().find(|(kind, _)| kind.as_ref().is_some_and(|kind| *kind != Type::Any));
        // A name with a dot begins with a task, the input and the like; what else it may begin with has to be declared.
        let open = places.iter().find(|(kind, _)| path.tail().is_empty() && *kind == Some(Type::Any));
        match declared.or(open) {
            Some((kind, read)) => Meaning::Place(read.clone(), kind.clone().unwrap_or(Type::Any)),
            None => Meaning::Unknown,
        }
    }

    fn is_declared(&self, path: &Path) -> bool {
        self.bare_places(path).into_iter().any(|(kind, _)| kind.is_some_and(|kind| kind != Type::Any))
    }

    fn bare_places(&self, path: &Path) -> Vec<(Option<Type>, Read)> {
        let whole: Box<[Segment]> = path.0.as_slice().into();
        let draft = self.names.draft;
        let mut places = Vec::with_capacity(3);
        if let Some(task) = self.subject {
            let task_draft = &draft.tasks[task as usize];
            let kind = if task_draft.for_each.is_some() { None } else { task_draft.output.at(&whole).cloned() };
            places.push((kind, Read::Output(task, whole.clone())));
        }
        places.push((draft.profile.at(&whole).cloned(), Read::Profile(whole.clone())));
        places.push((draft.input.at(&whole).cloned(), Read::Input(whole)));
        places
    }

    fn place(&self, slot: &Slot) -> Read {
        match slot {
            Slot::Status(status, task) => Read::Status(self.names.by_id[&**task], *status),
            Slot::Value(path) => match self.meaning(path) {
                Meaning::Place(read, _) => read,
                Meaning::Task(task, _) => Read::Output(task, Box::default()),
                Meaning::Unknown | Meaning::Ambiguous(_) | Meaning::TooEarly(_) => {
                    unreachable!("the check found a place for `{path}`")
                }
            },
        }
    }
}

impl quorate_expr::Names for Reads<'_> {
    fn resolve(&self, path: &Path) -> Resolution {
        match self.meaning(path) {
            Meaning::Place(_, kind) => Resolution::Value(kind),
            Meaning::Task(_, kind) => Resolution::Task(kind),
            Meaning::Unknown => Resolution::Unknown,
            Meaning::Ambiguous(meanings) => Resolution::Ambiguous(meanings),
            Meaning::TooEarly(reason) => Resolution::TooEarly(reason),
        }
    }

    fn known(&self) -> Vec<String> {
        fn fields<'a>(kind: &'a Type, prefix: &'a str) -> impl Iterator<Item = String> + 'a {
            let fields = match kind {
                Type::Object(fields) => fields.as_slice(),
                _ => &[],
            };
            fields.iter().map(move |field| format!("{prefix}{}", field.name))
        }
        let asked = self.names.asked.get();
        self.names.asked.set(asked + 1);
        if asked >= MAX_GUESSES {
            return Vec::new();
        }
        let draft = self.names.draft;
        let mut known: Vec<String> = fields(&draft.profile, "").chain(fields(&draft.input, "")).collect();
        if let Some(task) = self.subject {
            known.extend(fields(&draft.tasks[task as usize].output, ""));
        }
        for task in &draft.tasks {
            known.push(task.id.clone());
            known.extend(fields(&task.output, &format!("{}.", task.id)));
        }
        known.extend(["input", "profile", "session"].map(str::to_owned));
        known.extend(self.score.then(|| "score".to_owned()));
        known
    }
}
