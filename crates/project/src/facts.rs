//! Conditions and expressions outside of a run: over what came in, and what classification found out about it.

use quorate_core::{Operand, Payload};
use quorate_expr::{Checked, Field, Names, Path, Resolution, Scope, Segment, Slot, Trace, Truth, Type, Value, Why, parse};

use crate::report::{Diagnostic, Source};
use crate::yaml::Node;

/// What names mean where a condition stands.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    /// What comes in.
    pub(crate) input: &'a Type,
    /// What has been found out by then.
    pub(crate) profile: &'a [Field],
    /// What will be found out later.
    pub(crate) later: &'a [&'a str],
}

/// Where a value is found.
#[derive(Clone, Debug)]
enum Place {
    Input(Box<[Segment]>),
    /// A field of the profile, by its position, and the path within it.
    Profile(usize, Box<[Segment]>),
}

impl Known<'_> {
    fn of_profile(&self, path: &[Segment]) -> Option<(Place, Type)> {
        let Some(Segment::Field(name)) = path.first() else { return None };
        let position = self.profile.iter().position(|field| field.name == **name)?;
        let kind = self.profile[position].kind.at(&path[1..])?.clone();
        Some((Place::Profile(position, path[1..].into()), kind))
    }

    fn of_input(&self, path: &[Segment]) -> Option<(Place, Type)> {
        Some((Place::Input(path.into()), self.input.at(path)?.clone()))
    }

    /// A bare name is a field of the profile, else one of the input.
    fn find(&self, path: &Path) -> Option<(Place, Type)> {
        match path.head() {
            "input" => self.of_input(path.tail()),
            "profile" => self.of_profile(path.tail()),
            _ => self.of_profile(&path.0).or_else(|| self.of_input(&path.0)),
        }
    }
}

impl Names for Known<'_> {
    fn resolve(&self, path: &Path) -> Resolution {
        let named = match path.head() {
            "profile" => path.tail(),
            _ => &path.0,
        };
        match (self.find(path), named.first()) {
            (_, Some(Segment::Field(name))) if self.later.contains(&&**name) && path.head() != "input" => {
                Resolution::TooEarly(format!("`{name}` is found out further down; write it above"))
            }
            (Some((_, kind)), _) => Resolution::Value(kind),
            (None, _) => Resolution::Unknown,
        }
    }

    fn known(&self) -> Vec<String> {
        let fields = match self.input {
            Type::Object(fields) => fields.as_slice(),
            _ => &[],
        };
        self.profile.iter().chain(fields).map(|field| field.name.clone()).chain(["input".to_owned(), "profile".to_owned()]).collect()
    }
}

/// An expression, and where what it reads is found.
#[derive(Clone, Debug)]
pub(crate) struct Formula {
    checked: Checked,
    places: Box<[Place]>,
}

/// What came in, and what was found out.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) input: &'a Payload,
    /// By field of the profile; nothing where it is not known.
    pub(crate) profile: &'a [Option<Payload>],
}

struct Reading<'a> {
    formula: &'a Formula,
    facts: Facts<'a>,
}

impl Scope for Reading<'_> {
    fn value(&self, slot: usize) -> Value<'_> {
        match &self.formula.places[slot] {
            Place::Input(path) => self.facts.input.value(path),
            Place::Profile(field, path) => {
                self.facts.profile.get(*field).and_then(Option::as_ref).map_or(Value::Unknown(Why::Missing), |value| value.value(path))
            }
        }
    }
}

impl Formula {
    /// Reads a condition that stands in a file.
    pub(crate) fn condition(node: &Node, file: &Source, known: &Known<'_>, problems: &mut Vec<Diagnostic>) -> Option<Formula> {
        Formula::read(node, file, known, true, problems)
    }

    /// The same for an expression of any type.
    pub(crate) fn expression(node: &Node, file: &Source, known: &Known<'_>, problems: &mut Vec<Diagnostic>) -> Option<Formula> {
        Formula::read(node, file, known, false, problems)
    }

    fn read(node: &Node, file: &Source, known: &Known<'_>, condition: bool, problems: &mut Vec<Diagnostic>) -> Option<Formula> {
        let parsed = parse(node.text()?).map_err(|wrong| vec![wrong]);
        let checked = parsed.and_then(|ast| if condition { ast.check_condition(known) } else { ast.check(known) });
        let mut tell = |found: &quorate_expr::Diagnostic| {
            let problem = Diagnostic { severity: found.severity, ..Diagnostic::error(found.code, found.message.clone()) };
            problems.push(problem.at(node.locate(&file.text, found.span)).maybe_help(found.help.clone()));
        };
        match checked {
            Ok(checked) => {
                checked.warnings().iter().for_each(&mut tell);
                Formula::made(checked, *known)
            }
            Err(wrong) => {
                wrong.iter().for_each(&mut tell);
                None
            }
        }
    }

    /// One whose names were found.
    pub(crate) fn made(checked: Checked, known: Known<'_>) -> Option<Formula> {
        let place = |slot: &Slot| match slot {
            Slot::Value(path) => known.find(path).map(|(place, _)| place),
            Slot::Status(..) => None,
        };
        let places = checked.slots().iter().map(place).collect::<Option<_>>()?;
        Some(Formula { checked, places })
    }

    /// What it is when it is evaluated.
    pub(crate) fn checked(&self) -> &Checked {
        &self.checked
    }

    /// What its slots read, each by a name that is the same wherever the same is read.
    pub(crate) fn reads(&self) -> impl Iterator<Item = String> {
        self.places.iter().map(|place| match place {
            Place::Input(path) => Path::from("input", path).to_string(),
            Place::Profile(field, path) => Path::from(&format!("profile {field}"), path).to_string(),
        })
    }

    /// As it is written.
    pub(crate) fn text(&self) -> &str {
        self.checked.ast().source().trim()
    }

    /// What it comes to.
    pub(crate) fn kind(&self) -> &Type {
        self.checked.type_of(self.checked.ast().root())
    }

    /// Whether it holds, and what it read.
    pub(crate) fn holds(&self, facts: Facts<'_>) -> (Truth, Vec<Operand>) {
        let (truth, trace) = self.checked.explain(&Reading { formula: self, facts });
        (truth, self.seen(&trace))
    }

    /// What it comes to, or why that is unknown, and what it read.
    pub(crate) fn value(&self, facts: Facts<'_>) -> (Result<Payload, Why>, Vec<Operand>) {
        let reading = Reading { formula: self, facts };
        let (value, trace) = self.checked.explain_value(&reading);
        (Payload::from_value(&value), self.seen(&trace))
    }

    fn seen(&self, trace: &Trace) -> Vec<Operand> {
        let name = |slot: usize| match &self.checked.slots()[slot] {
            Slot::Value(path) => path.to_string(),
            Slot::Status(_, task) => task.to_string(),
        };
        trace.operands.iter().map(|operand| Operand::seen(name(operand.slot), &operand.value)).collect()
    }
}
