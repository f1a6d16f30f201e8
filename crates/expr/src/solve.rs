//! Values under which conditions come out as asked: what a linter wants to know of a policy.
//!
//! Whatever a condition reads has finitely many values that differ for the conditions at hand: both truth values, the values
//! of an enumeration, and of the numbers those that something is compared with and one between each two. Each try is judged
//! by the evaluation itself, so what is found is true; and where conditions only compare, what is not found is not there.

use std::collections::BTreeSet;

use crate::ast::{Arithmetic, Expr, Function, NodeId, TextTest};
use crate::check::{Checked, Status};
use crate::eval::{Scope, Truth, Value, Why};
use crate::{Decimal, Range, Type};

/// How often something is tried before a search gives up, where nothing else is said.
pub const MAX_TRIES: usize = 200_000;

/// How a condition may come out: a set of truths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcomes(u8);

impl Outcomes {
    /// It holds.
    pub const TRUE: Outcomes = Outcomes(1);
    /// It does not.
    pub const FALSE: Outcomes = Outcomes(2);
    /// A value is missing on which it depends.
    pub const UNKNOWN: Outcomes = Outcomes(4);
    /// It does not hold, or it is not known whether it does.
    pub const NOT_TRUE: Outcomes = Outcomes(6);
    /// Any.
    pub const ANY: Outcomes = Outcomes(7);

    fn of(truth: Truth) -> Outcomes {
        match truth {
            Truth::True => Outcomes::TRUE,
            Truth::False => Outcomes::FALSE,
            Truth::Unknown(_) => Outcomes::UNKNOWN,
        }
    }

    fn has(self, other: Outcomes) -> bool {
        self.0 & other.0 != 0
    }

    fn not(self) -> Outcomes {
        let swapped = (self.0 & 1) << 1 | (self.0 & 2) >> 1;
        Outcomes(swapped | self.0 & 4)
    }

    /// What comes of `and`, for each pair of what is possible on its sides.
    fn and(self, other: Outcomes) -> Outcomes {
        let open = Outcomes(5);
        let mut both = 0;
        if self.has(Outcomes::TRUE) && other.has(Outcomes::TRUE) {
            both |= 1;
        }
        if self.has(Outcomes::FALSE) || other.has(Outcomes::FALSE) {
            both |= 2;
        }
        if self.has(Outcomes::UNKNOWN) && other.has(open) || self.has(open) && other.has(Outcomes::UNKNOWN) {
            both |= 4;
        }
        Outcomes(both)
    }
}

/// Something that conditions read.
#[derive(Clone, Debug)]
pub struct Variable {
    /// What it may be.
    pub kind: Type,
    /// Whether it may be missing.
    pub may_be_missing: bool,
    /// The task that returns it: where that did not succeed, it is unknown.
    pub of: Option<usize>,
}

/// How a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It succeeded.
    Succeeded,
    /// It failed, or ran out of time.
    Failed,
    /// It was skipped.
    Skipped,
    /// It has not ended.
    Open,
}

impl Stand {
    fn answers(self, status: Status) -> bool {
        match status {
            Status::Completed => self == Stand::Succeeded,
            Status::Failed => self == Stand::Failed,
            Status::Skipped => self == Stand::Skipped,
            Status::Ended => self != Stand::Open,
        }
    }

    fn why(self) -> Why {
        match self {
            Stand::Failed => Why::Failed,
            Stand::Skipped => Why::Skipped,
            Stand::Succeeded | Stand::Open => Why::NotYet,
        }
    }
}

/// What a slot of a condition reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A variable, by its position.
    Variable(usize),
    /// How a task stands, by its position.
    Task(usize, Status),
}

/// A condition, and how it is to come out.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The condition.
    pub condition: &'a Checked,
    /// What its slots read, in their order.
    pub sources: &'a [Source],
    /// How it is to come out.
    pub outcomes: Outcomes,
}

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Search<'a> {
    /// What the conditions read.
    pub variables: Vec<Variable>,
    /// How tasks may stand, each in at least one way.
    pub tasks: Vec<Vec<Stand>>,
    /// The conditions, all of which are to come out as they are wanted.
    pub wanted: Vec<Wanted<'a>>,
}

/// What came of a search.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// These values do it.
    Found(Witness),
    /// No values do.
    Never,
    /// None was found, and there may be some: a condition does more than compare.
    Unsure,
    /// There was too much to try.
    GaveUp,
}

/// Values that do it.
#[derive(Clone, Debug, PartialEq)]
pub struct Witness {
    /// By variable; nothing where any value does.
    pub values: Vec<Option<Value<'static>>>,
    /// By task; nothing where it does not matter.
    pub tasks: Vec<Option<Stand>>,
}

impl Search<'_> {
    /// Looks for values, trying so many at most.
    #[must_use]
    pub fn run(&self, max_tries: usize) -> Answer {
        let survey = Survey::of(self);
        let touched = |is: &dyn Fn(&Source) -> bool| -> Vec<usize> {
            (0..self.wanted.len()).filter(|condition| self.wanted[*condition].sources.iter().any(is)).collect()
        };
        let mut steps: Vec<Step> = Vec::new();
        let of_task = |task: usize, source: &Source| match source {
            Source::Task(read, _) => *read == task,
            Source::Variable(variable) => self.variables[*variable].of == Some(task),
        };
        for (task, stands) in self.tasks.iter().enumerate() {
            let touches = touched(&|source| of_task(task, source));
            if !touches.is_empty() {
                steps.push(Step { what: What::Task(task), tries: stands.len(), touches });
            }
        }
        let tasks = steps.len();
        for (variable, values) in survey.values.iter().enumerate() {
            let touches = touched(&|source| *source == Source::Variable(variable));
            if !touches.is_empty() {
                steps.push(Step { what: What::Variable(variable), tries: values.len(), touches });
            }
        }
        // What decides much and has few values comes first.
        steps[tasks..].sort_by_key(|step| (step.tries / step.touches.len().max(1), step.tries));
        let mut state = State {
            search: self,
            values: &survey.values,
            steps: &steps,
            found: Witness { values: vec![None; self.variables.len()], tasks: vec![None; self.tasks.len()] },
            left: max_tries,
        };
        let possible: Vec<Outcomes> = self.wanted.iter().map(|wanted| state.possible(wanted)).collect();
        match state.try_from(0, &possible) {
            Tried::Found => Answer::Found(state.found),
            Tried::Nothing if survey.exact => Answer::Never,
            Tried::Nothing => Answer::Unsure,
            Tried::TooMuch => Answer::GaveUp,
        }
    }
}

struct Step {
    what: What,
    tries: usize,
    /// The conditions that it matters to.
    touches: Vec<usize>,
}

#[derive(Clone, Copy)]
enum What {
    Task(usize),
    Variable(usize),
}

enum Tried {
    Found,
    Nothing,
    TooMuch,
}

struct State<'a, 's> {
    search: &'s Search<'a>,
    values: &'s [Vec<Value<'static>>],
    steps: &'s [Step],
    found: Witness,
    left: usize,
}

impl State<'_, '_> {
    /// Tries everything for this step and those after it. `possible` says how the conditions may still come out.
    fn try_from(&mut self, step: usize, possible: &[Outcomes]) -> Tried {
        let wanted = &self.search.wanted;
        if possible.iter().zip(wanted).any(|(possible, wanted)| !possible.has(wanted.outcomes)) {
            return Tried::Nothing;
        }
        if possible.iter().zip(wanted).all(|(possible, wanted)| possible.0 & !wanted.outcomes.0 == 0) {
            return Tried::Found;
        }
        // Whatever is read is settled by the last step, and then every condition comes out in one way.
        let Some(Step { what, tries, touches }) = self.steps.get(step) else { return Tried::Nothing };
        for one in 0..*tries {
            if self.left == 0 {
                return Tried::TooMuch;
            }
            self.left -= 1;
            match *what {
                What::Task(task) => self.found.tasks[task] = Some(self.search.tasks[task][one]),
                What::Variable(variable) => self.found.values[variable] = Some(self.values[variable][one].clone()),
            }
            let mut possible = possible.to_vec();
            for condition in touches {
                possible[*condition] = self.possible(&wanted[*condition]);
            }
            match self.try_from(step + 1, &possible) {
                Tried::Nothing => {}
                done => return done,
            }
        }
        match *what {
            What::Task(task) => self.found.tasks[task] = None,
            What::Variable(variable) => self.found.values[variable] = None,
        }
        Tried::Nothing
    }

    fn possible(&self, wanted: &Wanted<'_>) -> Outcomes {
        self.of_part(wanted, wanted.condition.ast().root())
    }

    /// How a part of a condition may come out, by what is settled.
    fn of_part(&self, wanted: &Wanted<'_>, node: NodeId) -> Outcomes {
        match wanted.condition.ast().node(node) {
            Expr::And(parts) => parts.iter().map(|part| self.of_part(wanted, *part)).fold(Outcomes::TRUE, Outcomes::and),
            Expr::Or(parts) => parts.iter().map(|part| self.of_part(wanted, *part).not()).fold(Outcomes::TRUE, Outcomes::and).not(),
            Expr::Not(inner) => self.of_part(wanted, *inner).not(),
            _ => {
                let scope = Settled { state: self, sources: wanted.sources };
                let mut open = false;
                wanted.condition.each_slot(node, &mut |slot| open |= scope.settled(slot).is_none());
                if open { Outcomes::ANY } else { Outcomes::of(wanted.condition.truth_of(node, &scope)) }
            }
        }
    }
}

/// What slots hold, as far as that is settled.
struct Settled<'s, 'a, 'v> {
    state: &'s State<'a, 'v>,
    sources: &'s [Source],
}

impl Settled<'_, '_, '_> {
    fn settled(&self, slot: usize) -> Option<Value<'_>> {
        let Witness { values, tasks } = &self.state.found;
        match self.sources[slot] {
            Source::Task(task, status) => tasks[task].map(|stand| Value::Bool(stand.answers(status))),
            Source::Variable(variable) => match self.state.search.variables[variable].of.map(|task| tasks[task]) {
                Some(None) => None,
                Some(Some(stand)) if stand != Stand::Succeeded => Some(Value::Unknown(stand.why())),
                Some(Some(_)) | None => values[variable].clone(),
            },
        }
    }
}

impl Scope for Settled<'_, '_, '_> {
    fn value(&self, slot: usize) -> Value<'_> {
        self.settled(slot).unwrap_or(Value::Unknown(Why::Missing))
    }
}

// -- which values differ

/// The values that are worth trying.
struct Survey {
    values: Vec<Vec<Value<'static>>>,
    /// Whether all others come to the same.
    exact: bool,
}

/// What conditions do with a variable.
#[derive(Clone, Default)]
struct Marks {
    numbers: BTreeSet<Decimal>,
    texts: BTreeSet<String>,
    /// Asked for being true or false.
    truth: bool,
    /// More is done with it than to compare it.
    bent: bool,
    /// Variables of its kind that it is compared with, itself among them, have one number in common.
    group: usize,
}

/// A side of a comparison.
enum Side {
    Constant(Value<'static>),
    /// One of several variables, each after a simple change.
    Of(Vec<Term>),
    Other,
}

/// A variable after a simple change: `±x + shift`, perhaps without its sign and then shifted once more.
#[derive(Clone, Copy)]
struct Term {
    variable: usize,
    negated: bool,
    shift: Decimal,
    without_sign: Option<Decimal>,
}

impl Term {
    fn shifted(mut self, by: Decimal) -> Option<Term> {
        let place = self.without_sign.as_mut().unwrap_or(&mut self.shift);
        *place = place.checked_add(by)?;
        Some(self)
    }

    fn negated(self) -> Option<Term> {
        self.without_sign.is_none().then_some(Term { negated: !self.negated, shift: -self.shift, ..self })
    }

    /// The values of the variable at which it is this number.
    fn at(&self, number: Decimal) -> Vec<Decimal> {
        let inner = match self.without_sign {
            None => vec![Some(number)],
            Some(shift) => {
                let size = number.checked_sub(shift);
                vec![size, size.map(|size| -size)]
            }
        };
        let solve = |inner: Decimal| inner.checked_sub(self.shift).map(|value| if self.negated { -value } else { value });
        inner.into_iter().flatten().filter_map(solve).collect()
    }
}

impl Survey {
    fn of(search: &Search<'_>) -> Survey {
        let count = search.variables.len();
        let mut surveying = Surveying { marks: (0..count).map(|group| Marks { group, ..Marks::default() }).collect() };
        for wanted in &search.wanted {
            surveying.truth(wanted, wanted.condition.ast().root());
        }
        let mut marks = surveying.marks;
        // What one of several that are compared may be matters to the others as well.
        for (marks, variable) in marks.iter_mut().zip(&search.variables) {
            match &variable.kind {
                Type::Enum(values) => marks.texts.extend(values.iter().cloned()),
                Type::Number(range) => marks.numbers.extend(range.min.into_iter().chain(range.max)),
                _ => {}
            }
        }
        let members = |marks: &[Marks], group: usize| -> Vec<usize> { (0..count).filter(|member| marks[*member].group == group).collect() };
        let sizes: Vec<usize> = (0..count).map(|group| members(&marks, group).len()).collect();
        for group in (0..count).filter(|group| sizes[*group] > 1) {
            let members = members(&marks, group);
            let numbers: BTreeSet<Decimal> = members.iter().flat_map(|member| marks[*member].numbers.clone()).collect();
            let texts: BTreeSet<String> = members.iter().flat_map(|member| marks[*member].texts.clone()).collect();
            for member in members {
                (marks[member].numbers, marks[member].texts) = (numbers.clone(), texts.clone());
            }
        }
        let read = |variable: usize| search.wanted.iter().any(|wanted| wanted.sources.contains(&Source::Variable(variable)));
        let exact = |variable: usize| match &search.variables[variable].kind {
            Type::Bool | Type::Enum(_) => true,
            Type::Any | Type::Number(_) | Type::Text => !marks[variable].bent,
            Type::List(_) | Type::Object(_) => false,
        };
        Survey {
            exact: (0..count).all(|variable| exact(variable) || !read(variable)),
            values: (0..count)
                .map(|variable| values(&search.variables[variable], &marks[variable], sizes[marks[variable].group].max(1)))
                .collect(),
        }
    }
}

/// The values of a variable that differ. `apart`: so many variables are compared with each other, and may all be different.
fn values(variable: &Variable, marks: &Marks, apart: usize) -> Vec<Value<'static>> {
    let numbers = |range: &Range| points(&marks.numbers, range, apart).into_iter().map(Value::Number);
    let texts = || {
        let others = (1..=apart).map(|number| if number == 1 { "other".to_owned() } else { format!("other {number}") });
        let others = others.map(|mut text| {
            while marks.texts.contains(&text) {
                text.push('_');
            }
            text
        });
        marks.texts.iter().cloned().chain(others).map(|text| Value::Text(text.into()))
    };
    let mut values: Vec<Value<'static>> = match &variable.kind {
        Type::Bool => vec![Value::Bool(true), Value::Bool(false)],
        Type::Enum(values) => values.iter().map(|value| Value::Text(value.clone().into())).collect(),
        Type::Number(range) => numbers(range).collect(),
        Type::Text => texts().collect(),
        Type::List(_) => {
            let of = |value: Value<'static>| Value::List(vec![value]);
            let items =
                marks.texts.iter().map(|text| Value::Text(text.clone().into())).chain(marks.numbers.iter().copied().map(Value::Number));
            std::iter::once(Value::List(Vec::new())).chain(items.map(of)).collect()
        }
        Type::Object(_) => vec![Value::Object("{}".into())],
        Type::Any => {
            let mut all = Vec::new();
            if marks.truth {
                all.extend([Value::Bool(true), Value::Bool(false)]);
            }
            if !marks.numbers.is_empty() || apart > 1 {
                all.extend(numbers(&Range::ALL));
            }
            if !marks.texts.is_empty() || apart > 1 {
                all.extend(texts());
            }
            // Something that is there, and that nothing can be compared with.
            all.push(Value::Object("{}".into()));
            all
        }
    };
    if variable.may_be_missing {
        values.push(Value::Unknown(Why::Missing));
    }
    values
}

/// The numbers that are compared with, the ends of the range, and so many between each two.
fn points(marks: &BTreeSet<Decimal>, range: &Range, apart: usize) -> Vec<Decimal> {
    let mut fixed: Vec<Decimal> = marks.iter().copied().filter(|mark| range.holds(*mark)).chain(range.min).chain(range.max).collect();
    fixed.sort_unstable();
    fixed.dedup();
    let (Some(first), Some(last)) = (fixed.first().copied(), fixed.last().copied()) else {
        return (0..apart).map(Decimal::from).collect();
    };
    let step = |number: usize| Decimal::from(number + 1);
    let mut points = Vec::new();
    if range.min.is_none() {
        points.extend((0..apart).rev().filter_map(|number| first.checked_sub(step(number))));
    }
    for (position, here) in fixed.iter().enumerate() {
        points.push(*here);
        if let Some(next) = fixed.get(position + 1) {
            points.extend(between(*here, *next, apart));
        }
    }
    if range.max.is_none() {
        points.extend((0..apart).filter_map(|number| last.checked_add(step(number))));
    }
    points
}

/// So many numbers between two, with as few digits as will do.
fn between(low: Decimal, high: Decimal, count: usize) -> Vec<Decimal> {
    let parts = Decimal::from(count + 1);
    let Some(width) = high.checked_sub(low).and_then(|gap| gap.checked_div(parts)) else { return Vec::new() };
    let exact: Vec<Decimal> = (1..=count).filter_map(|number| low.checked_add(width.checked_mul(Decimal::from(number))?)).collect();
    let rounded = |digits: u32| exact.iter().map(|point| point.round_dp(digits)).collect::<Vec<_>>();
    let apart = |points: &Vec<Decimal>| {
        let all: Vec<Decimal> = std::iter::once(low).chain(points.iter().copied()).chain([high]).collect();
        all.windows(2).all(|pair| pair[0] < pair[1])
    };
    (0..=Decimal::MAX_SCALE).map(rounded).find(apart).unwrap_or_default()
}

struct Surveying {
    marks: Vec<Marks>,
}

impl Surveying {
    /// Looks at a part that is true or false.
    fn truth(&mut self, wanted: &Wanted<'_>, node: NodeId) {
        let ast = wanted.condition.ast();
        match ast.node(node) {
            Expr::Bool(_) => {}
            Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| self.truth(wanted, *part)),
            Expr::Not(inner) => self.truth(wanted, *inner),
            Expr::Name(_) => {
                if let Some(Source::Variable(variable)) = source(wanted, node) {
                    self.marks[variable].truth = true;
                }
            }
            Expr::Compare(_, left, right) => self.pair(wanted, *left, *right),
            Expr::In { needle, haystack, .. } => match ast.node(*haystack) {
                Expr::List(items) => items.iter().for_each(|item| self.pair(wanted, *needle, *item)),
                _ => self.bent(wanted, &[*needle, *haystack]),
            },
            Expr::TextTest(test, subject, part) => self.text_test(wanted, *test, *subject, *part),
            Expr::Call(Function::Completed | Function::Failed | Function::Skipped | Function::Ended, _) => {}
            Expr::Call(Function::Defined, arguments) if matches!(ast.node(arguments[0]), Expr::Name(_)) => {}
            Expr::Call(Function::Default, arguments) => arguments.iter().for_each(|argument| self.truth(wanted, *argument)),
            Expr::Number(_) | Expr::Text(_) | Expr::List(_) | Expr::Negate(_) | Expr::Arithmetic(..) | Expr::Call(..) => {
                self.bent(wanted, &[node]);
            }
        }
    }

    /// Two sides that are compared.
    fn pair(&mut self, wanted: &Wanted<'_>, left: NodeId, right: NodeId) {
        if let (Some(Source::Variable(one)), Some(Source::Variable(other))) = (source(wanted, left), source(wanted, right)) {
            let (from, to) = (self.marks[one].group, self.marks[other].group);
            self.marks.iter_mut().filter(|marks| marks.group == from).for_each(|marks| marks.group = to);
            self.marks[one].truth = true;
            self.marks[other].truth = true;
            return;
        }
        match (side(wanted, left), side(wanted, right)) {
            (Side::Constant(_), Side::Constant(_)) => {}
            (Side::Constant(constant), Side::Of(terms)) | (Side::Of(terms), Side::Constant(constant)) => {
                for term in terms {
                    let marks = &mut self.marks[term.variable];
                    match &constant {
                        Value::Number(number) => marks.numbers.extend(term.at(*number)),
                        Value::Text(text) => drop(marks.texts.insert(text.to_string())),
                        Value::Bool(_) => marks.truth = true,
                        Value::Unknown(_) | Value::List(_) | Value::Object(_) => marks.bent = true,
                    }
                }
            }
            _ => self.bent(wanted, &[left, right]),
        }
    }

    fn text_test(&mut self, wanted: &Wanted<'_>, test: TextTest, subject: NodeId, part: NodeId) {
        self.bent(wanted, &[subject, part]);
        if let (Side::Of(terms), Side::Constant(Value::Text(part))) = (side(wanted, subject), side(wanted, part)) {
            for term in terms {
                let around = match test {
                    TextTest::StartsWith => format!("{part}…"),
                    TextTest::EndsWith => format!("…{part}"),
                    TextTest::Contains => format!("…{part}…"),
                };
                self.marks[term.variable].texts.extend([part.to_string(), around]);
            }
        }
    }

    /// More is done here than to compare: constants nearby are worth a try, and are not all.
    fn bent(&mut self, wanted: &Wanted<'_>, nodes: &[NodeId]) {
        let mut constants = Vec::new();
        for node in nodes {
            wanted.condition.ast().each(*node, &mut |node| match wanted.condition.ast().node(node) {
                Expr::Number(number) => constants.push(Value::Number(*number)),
                Expr::Text(text) => constants.push(Value::Text(text.to_string().into())),
                _ => {}
            });
        }
        for node in nodes {
            wanted.condition.each_slot(*node, &mut |slot| {
                let Source::Variable(variable) = wanted.sources[slot] else { return };
                let marks = &mut self.marks[variable];
                marks.bent = true;
                marks.truth = true;
                for constant in &constants {
                    match constant {
                        Value::Number(number) => marks.numbers.extend([*number, -*number]),
                        Value::Text(text) => drop(marks.texts.insert(text.to_string())),
                        _ => {}
                    }
                }
            });
        }
    }
}

fn source(wanted: &Wanted<'_>, node: NodeId) -> Option<Source> {
    wanted.condition.slot_of(node).map(|slot| wanted.sources[slot])
}

/// What a side of a comparison is.
fn side(wanted: &Wanted<'_>, node: NodeId) -> Side {
    let each = |side: Side, change: &dyn Fn(Term) -> Option<Term>| match side {
        Side::Of(terms) => terms.into_iter().map(change).collect::<Option<Vec<Term>>>().map_or(Side::Other, Side::Of),
        Side::Constant(_) | Side::Other => Side::Other,
    };
    let mut constant = true;
    wanted.condition.each_slot(node, &mut |_| constant = false);
    if constant {
        return Side::Constant(wanted.condition.value_of(node, &[][..]).into_owned());
    }
    match wanted.condition.ast().node(node) {
        Expr::Name(_) => match source(wanted, node) {
            Some(Source::Variable(variable)) => Side::Of(vec![Term { variable, negated: false, shift: Decimal::ZERO, without_sign: None }]),
            _ => Side::Other,
        },
        Expr::Negate(inner) => each(side(wanted, *inner), &Term::negated),
        Expr::Arithmetic(operation @ (Arithmetic::Add | Arithmetic::Subtract), left, right) => {
            let minus = *operation == Arithmetic::Subtract;
            match (side(wanted, *left), side(wanted, *right)) {
                (terms @ Side::Of(_), Side::Constant(Value::Number(by))) => each(terms, &|term| term.shifted(if minus { -by } else { by })),
                (Side::Constant(Value::Number(by)), terms @ Side::Of(_)) => {
                    each(terms, &|term| if minus { term.negated()?.shifted(by) } else { term.shifted(by) })
                }
                _ => Side::Other,
            }
        }
        Expr::Call(Function::Abs, arguments) => each(side(wanted, arguments[0]), &|term| {
            term.without_sign.is_none().then_some(Term { without_sign: Some(Decimal::ZERO), ..term })
        }),
        // The least of several is below a number where one of them is, and so on.
        Expr::Call(Function::Min | Function::Max, arguments) if arguments.len() > 1 => {
            let mut all = Vec::new();
            for argument in arguments {
                match side(wanted, *argument) {
                    Side::Of(terms) => all.extend(terms),
                    Side::Constant(Value::Number(_)) => {}
                    Side::Constant(_) | Side::Other => return Side::Other,
                }
            }
            Side::Of(all)
        }
        Expr::Call(Function::Default, arguments) => match (side(wanted, arguments[0]), side(wanted, arguments[1])) {
            (terms @ Side::Of(_), Side::Constant(_)) => terms,
            _ => Side::Other,
        },
        _ => Side::Other,
    }
}
