//! What may come of a plan, for those who ask before anything runs: its checkpoints, and what they read.

use std::sync::Arc;

use quorate_expr::{Checked, Path, Segment, Stand, Status, Type};

use crate::Role;
use crate::bind::{Bound, Read};
use crate::draft::Needs;
use crate::plan::{Plan, Then};
use crate::voices;

/// A checkpoint of a plan.
#[derive(Debug)]
pub struct CheckpointView<'a> {
    /// Its name.
    pub id: &'a str,
    /// The tasks that must have ended; none: it is looked at when all else has.
    pub after: Vec<&'a str>,
    /// Those after the same tasks form one table, of which the first that holds decides.
    pub table: usize,
    /// Its condition.
    pub condition: &'a Checked,
    /// What the slots of the condition read, in their order.
    pub reads: Vec<Place<'a>>,
    /// What follows.
    pub then: ThenView<'a>,
}

/// What follows from a checkpoint that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ThenView<'a> {
    /// This action is the decision.
    Decides(&'a str),
    /// What this task returned is.
    Follows(&'a str),
    /// These tasks are added.
    Adds(Vec<&'a str>),
    /// What these tasks say together is.
    Weighs {
        /// The tasks.
        of: Vec<&'a str>,
        /// Those that have to be heard, whatever the others say.
        needed: Vec<&'a str>,
        /// What they may come to.
        actions: Vec<Arc<str>>,
    },
}

/// What keeps a task from running.
#[derive(Debug)]
pub struct GateView<'a> {
    /// The task.
    pub task: &'a str,
    /// What it waits for.
    pub deps: Vec<&'a str>,
    /// What it needs of them.
    pub needs: Needs,
    /// It runs only if this holds.
    pub when: Option<(&'a Checked, Vec<Place<'a>>)>,
    /// It does not run if this holds.
    pub skip_when: Option<(&'a Checked, Vec<Place<'a>>)>,
}

/// What a slot of a condition reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Place<'a> {
    /// The same for all slots that read the same.
    pub name: String,
    /// What is declared of it.
    pub kind: Type,
    /// Whether it may be missing where what it is a part of is there.
    pub may_be_missing: bool,
    /// The task that gives it.
    pub task: Option<&'a str>,
    /// Where it is not a value of that task, but how it ended.
    pub status: Option<Status>,
}

impl Plan {
    /// Its checkpoints, in the order in which they are looked at.
    pub fn checkpoints(&self) -> impl Iterator<Item = CheckpointView<'_>> {
        let name = |task: u32| &*self.nodes[task as usize].id;
        self.checkpoints.iter().map(move |checkpoint| CheckpointView {
            id: &checkpoint.id,
            after: checkpoint.after.iter().map(|task| name(*task)).collect(),
            table: checkpoint.table,
            condition: &checkpoint.condition.checked,
            reads: self.places(&checkpoint.condition),
            then: match &checkpoint.then {
                Then::Decide(action) => ThenView::Decides(action),
                Then::Follow(task) => ThenView::Follows(name(*task)),
                Then::Grow(tasks) => ThenView::Adds(tasks.iter().map(|task| name(*task)).collect()),
                Then::Voices(voices) => ThenView::Weighs {
                    of: voices.of.iter().map(|voice| name(voice.task)).collect(),
                    needed: voices.needed().map(name).collect(),
                    actions: voices::actions(self, voices),
                },
            },
        })
    }

    /// What keeps its tasks from running, each after all that it waits for.
    pub fn gates(&self) -> impl Iterator<Item = GateView<'_>> {
        self.in_order().into_iter().filter_map(|task| self.find(task)).map(move |ix| {
            let node = &self.nodes[ix as usize];
            GateView {
                task: &node.id,
                deps: node.deps.iter().map(|dep| &*self.nodes[*dep as usize].id).collect(),
                needs: node.join.needs,
                when: node.when.as_ref().map(|bound| (&bound.checked, self.places(bound))),
                skip_when: node.skip_when.as_ref().map(|bound| (&bound.checked, self.places(bound))),
            }
        })
    }

    /// How a task may stand when it has ended and nothing was decided before: what the run cannot do without has succeeded.
    #[must_use]
    pub fn ends_of(&self, task: &str) -> Vec<Stand> {
        let Some(node) = self.find(task).map(|ix| &self.nodes[ix as usize]) else { return Vec::new() };
        let mut ends = vec![Stand::Succeeded];
        if node.when.is_some() || node.skip_when.is_some() || node.deps.iter().any(|dep| self.nodes[*dep as usize].optional) {
            ends.push(Stand::Skipped);
        }
        if node.optional || node.absorbed || node.is_voice || self.continue_on_failure {
            ends.push(Stand::Failed);
        }
        ends
    }

    /// Whether a task belongs to the run from the start.
    #[must_use]
    pub fn begins_with(&self, task: &str) -> bool {
        self.find(task).is_some_and(|ix| self.nodes[ix as usize].role == Role::Main)
    }

    fn places<'a>(&'a self, bound: &'a Bound) -> Vec<Place<'a>> {
        let place = |(slot, read): (usize, &Read)| {
            let kind = bound.checked.slot_type(slot).clone();
            let plain = |root: &str, path: &[Segment], whole: &Type| Place {
                name: Path::from(root, path).to_string(),
                kind: kind.clone(),
                may_be_missing: !is_required(whole, path),
                task: None,
                status: None,
            };
            match read {
                Read::Output(task, path) => {
                    let node = &self.nodes[*task as usize];
                    Place { task: Some(&node.id), ..plain(&node.id, path, &node.output) }
                }
                Read::Status(task, status) => {
                    let id = &*self.nodes[*task as usize].id;
                    Place { name: id.to_owned(), kind: Type::Bool, may_be_missing: false, task: Some(id), status: Some(*status) }
                }
                Read::Input(path) => plain("input", path, self.input()),
                Read::Profile(path) => plain("profile", path, self.profile()),
                Read::Session(path) => plain("session", path, &Type::Any),
                Read::Item(path) => plain("item", path, &Type::Any),
                Read::Index => Place { may_be_missing: false, ..plain("index", &[], &Type::Any) },
                Read::Score => plain("score", &[], &Type::Any),
            }
        };
        bound.reads.iter().enumerate().map(place).collect()
    }
}

/// Whether what is declared like that has something at this path in any case.
fn is_required(kind: &Type, path: &[Segment]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    match (kind, first) {
        (Type::Object(fields), Segment::Field(name)) => {
            fields.iter().any(|field| field.name == **name && field.required && is_required(&field.kind, rest))
        }
        _ => false,
    }
}
