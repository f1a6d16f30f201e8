//! What conditions and templates read: the recorded facts of a run.

use quorate_expr::{Decimal, Expr, Scope, Segment, Status, Trace, Truth, Value, Why};

use crate::bind::{Bound, Form, Piece, Read};
use crate::event::{Failure, Operand};
use crate::payload::{is_confidence, possible, quoted, value, write_value};
use crate::run::{NONE, Origin, Run, State, TaskStatus};
use crate::{FailureClass, Payload};

/// The facts as one condition reads them.
pub(crate) struct Facts<'a> {
    pub(crate) run: &'a Run,
    pub(crate) bound: &'a Bound,
    /// The task that reads, whose `item` is meant.
    pub(crate) reader: Option<u32>,
    /// What weighted voices came to, where that is what is read.
    pub(crate) score: Option<Decimal>,
}

impl Scope for Facts<'_> {
    fn value(&self, slot: usize) -> Value<'_> {
        match (&self.bound.reads[slot], self.score) {
            (Read::Score, Some(score)) => Value::Number(score),
            (read, _) => self.run.read(read, self.reader),
        }
    }
}

impl Run {
    fn facts<'a>(&'a self, bound: &'a Bound, reader: Option<u32>) -> Facts<'a> {
        Facts { run: self, bound, reader, score: None }
    }

    /// The outcome of a condition over what voices came to, and everything that it read.
    pub(crate) fn explain_score(&self, bound: &Bound, score: Decimal) -> (Truth, Vec<Operand>) {
        let (truth, trace) = bound.checked.explain(&Facts { score: Some(score), ..self.facts(bound, None) });
        (truth, operands(bound, &trace))
    }

    /// What an expression comes to.
    pub(crate) fn value_of<'a>(&'a self, bound: &'a Bound) -> Value<'static> {
        bound.checked.value(&self.facts(bound, None)).into_owned()
    }

    pub(crate) fn truth(&self, bound: &Bound, reader: Option<u32>) -> Truth {
        bound.checked.truth(&self.facts(bound, reader))
    }

    /// The outcome of a condition and everything that it read.
    pub(crate) fn explain(&self, bound: &Bound, reader: Option<u32>) -> (Truth, Vec<Operand>) {
        let (truth, trace) = bound.checked.explain(&self.facts(bound, reader));
        (truth, operands(bound, &trace))
    }

    fn read(&self, read: &Read, reader: Option<u32>) -> Value<'_> {
        match read {
            Read::Status(node, status) => self.task_answer(*node, *status, reader),
            Read::Index => match self.item_origin(reader) {
                Some(Origin::Item { index, .. }) => Value::Number(index.into()),
                _ => Value::Unknown(Why::Missing),
            },
            Read::Score => Value::Unknown(Why::NotYet),
            Read::Output(node, path) => self.output_value(*node, path, reader),
            Read::Input(path) | Read::Profile(path) | Read::Session(path) | Read::Item(path) => {
                let found = self.text(read, reader).map_or_else(Value::Unknown, |text| value(text, 0));
                possible(found, path)
            }
        }
    }

    /// The JSON text of a place that holds one.
    fn text(&self, read: &Read, reader: Option<u32>) -> Result<&str, Why> {
        let start = self.start.as_deref();
        match read {
            Read::Input(path) => start.map(|start| &start.input).ok_or(Why::Missing)?.at(path),
            Read::Profile(path) => start.and_then(|start| start.profile.as_ref()).ok_or(Why::Missing)?.at(path),
            Read::Session(path) => start.and_then(|start| start.session.as_ref()).ok_or(Why::Missing)?.at(path),
            Read::Item(path) => self.item(reader.ok_or(Why::Missing)?).ok_or(Why::Missing)?.at(path),
            Read::Output(node, path) => self.task_output(*node, reader)?.at(path),
            Read::Status(..) | Read::Index | Read::Score => Err(Why::WrongType),
        }
    }

    /// Where the item of a reader comes from: what undoes a task reads the item of that task.
    fn item_origin(&self, reader: Option<u32>) -> Option<Origin> {
        match self.tasks[reader? as usize].origin {
            Origin::Undoes(done) => Some(self.tasks[done as usize].origin),
            own => Some(own),
        }
    }

    /// The item for which a task of a `for_each` runs.
    pub(crate) fn item(&self, task: u32) -> Option<&Payload> {
        let task = match self.tasks[task as usize].origin {
            Origin::Undoes(done) => done,
            _ => task,
        };
        self.tasks[task as usize].aside.as_ref()?.item.as_ref()
    }

    /// The instance of a task that is meant: the newest, and for what undoes one of them that one. Inside of a repeated
    /// section, of what does not come before the reader, the one of the turn before: it does not matter what has ended
    /// by now.
    fn instance_of(&self, node: u32, reader: Option<u32>) -> u32 {
        let latest = self.latest[node as usize];
        let Some(reader) = reader else { return latest };
        let reader = match self.tasks[reader as usize].origin {
            Origin::Undoes(done) if self.tasks[done as usize].node == node => return done,
            Origin::Item { map, .. } => map,
            _ => reader,
        };
        let own = self.tasks[reader as usize].node;
        let section = self.node(reader).section;
        if section == NONE || self.plan.nodes[node as usize].section != section {
            return latest;
        }
        let come = if own == node { self.state(reader).is_end() } else { self.plan.comes_before(node, own) };
        match (come, latest) {
            (true, _) | (_, NONE) => latest,
            (false, latest) => match self.tasks[latest as usize].origin {
                Origin::Iteration { before, .. } => before,
                _ => NONE,
            },
        }
    }

    /// The output of a task, or why there is none.
    fn task_output(&self, node: u32, reader: Option<u32>) -> Result<&Payload, Why> {
        let ix = self.instance_of(node, reader);
        if ix == NONE {
            return Err(Why::NotYet);
        }
        let task = &self.tasks[ix as usize];
        match &task.state {
            State::Succeeded => task.output.as_ref().ok_or(Why::Missing),
            State::Ended(TaskStatus::Skipped, _) => Err(Why::Skipped),
            State::Ended(TaskStatus::Cancelled, _) => Err(Why::Cancelled),
            State::Ended(..) => Err(Why::Failed),
            State::Waiting
            | State::Ready
            | State::Running(_)
            | State::Retrying { .. }
            | State::Asking(_)
            | State::Sleeping { .. }
            | State::Mapping(_) => Err(Why::NotYet),
        }
    }

    fn output_value(&self, node: u32, path: &[Segment], reader: Option<u32>) -> Value<'_> {
        let output = match self.task_output(node, reader) {
            Ok(output) => output,
            Err(why) => return Value::Unknown(why),
        };
        match output.value(path) {
            Value::Unknown(Why::Missing | Why::WrongType) if is_confidence(path) && path.len() == 1 => {
                let said = self.tasks[self.instance_of(node, reader) as usize].aside.as_ref().and_then(|aside| aside.confidence);
                said.map_or(Value::Unknown(Why::Missing), Value::Number)
            }
            found => found,
        }
    }

    /// The confidence that a task reported, in its output or beside it.
    pub(crate) fn confidence_of(&self, node: u32) -> Option<Decimal> {
        match self.output_value(node, &[Segment::Field("confidence".into())], None) {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// A field of what a task returned.
    pub(crate) fn field_of(&self, node: u32, field: &str) -> Value<'static> {
        self.output_value(node, &[Segment::Field(field.into())], None).into_owned()
    }

    /// A text field of what a task returned.
    pub(crate) fn text_field(&self, node: u32, field: &str) -> Result<String, Why> {
        match self.output_value(node, &[Segment::Field(field.into())], None) {
            Value::Text(text) => Ok(text.into_owned()),
            Value::Unknown(why) => Err(why),
            _ => Err(Why::WrongType),
        }
    }

    fn task_answer(&self, node: u32, status: Status, reader: Option<u32>) -> Value<'_> {
        let ix = self.instance_of(node, reader);
        if ix == NONE {
            return Value::Unknown(Why::NotYet);
        }
        let found = self.tasks[ix as usize].state.status();
        if !found.is_end() {
            return if status == Status::Ended { Value::Bool(false) } else { Value::Unknown(Why::NotYet) };
        }
        Value::Bool(match status {
            Status::Completed => found == TaskStatus::Succeeded,
            Status::Failed => matches!(found, TaskStatus::Failed | TaskStatus::TimedOut),
            Status::Skipped => matches!(found, TaskStatus::Skipped | TaskStatus::Cancelled),
            Status::Ended => true,
        })
    }

    /// Whether a value that a condition reads can still come.
    pub(crate) fn may_still_learn(&self, bound: &Bound) -> bool {
        bound.tasks().any(|node| match self.latest[node as usize] {
            NONE => false,
            ix => !self.tasks[ix as usize].state.status().is_end(),
        })
    }

    /// The value of an expression as JSON text, or why there is none.
    pub(crate) fn json_of(&self, bound: &Bound, reader: Option<u32>) -> Result<String, Why> {
        let ast = bound.checked.ast();
        if let (Expr::Name(_), Some(slot)) = (ast.node(ast.root()), bound.checked.slot_of(ast.root()))
            && !matches!(bound.reads[slot], Read::Index | Read::Score | Read::Status(..))
            && let Ok(text) = self.text(&bound.reads[slot], reader)
        {
            return Ok(text.to_owned());
        }
        let mut json = String::new();
        write_value(&mut json, &bound.checked.value(&self.facts(bound, reader)))?;
        Ok(json)
    }

    pub(crate) fn render(&self, form: &Form, reader: Option<u32>) -> Result<Payload, Failure> {
        if let Form::Fixed(fixed) = form {
            return Ok(fixed.clone());
        }
        let mut json = String::new();
        self.render_into(&mut json, form, reader)?;
        Payload::parse(json).map_err(|wrong| Failure::new(FailureClass::Invalid, wrong.to_string()))
    }

    fn render_into(&self, json: &mut String, form: &Form, reader: Option<u32>) -> Result<(), Failure> {
        match form {
            Form::Fixed(fixed) => json.push_str(fixed.json()),
            Form::Value(bound) => json.push_str(&self.json_of(bound, reader).map_err(|why| unknown(bound, why))?),
            Form::Text(pieces) => {
                let text = self.render_text(pieces, reader)?;
                json.push_str(&quoted(&text));
            }
            Form::List(items) => {
                json.push('[');
                for (position, item) in items.iter().enumerate() {
                    json.push_str(if position == 0 { "" } else { "," });
                    self.render_into(json, item, reader)?;
                }
                json.push(']');
            }
            Form::Object(fields) => {
                json.push('{');
                for (position, (name, field)) in fields.iter().enumerate() {
                    json.push_str(if position == 0 { "" } else { "," });
                    json.push_str(&quoted(name));
                    json.push(':');
                    self.render_into(json, field, reader)?;
                }
                json.push('}');
            }
        }
        Ok(())
    }

    fn render_text(&self, pieces: &[Piece], reader: Option<u32>) -> Result<String, Failure> {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Value(bound) => match bound.checked.value(&self.facts(bound, reader)) {
                    Value::Unknown(why) => return Err(unknown(bound, why)),
                    Value::Text(part) => text.push_str(&part),
                    other => write_value(&mut text, &other).map_err(|why| unknown(bound, why))?,
                },
            }
        }
        Ok(text)
    }

    /// A text with values in it, such as a question.
    pub(crate) fn render_plain(&self, form: &Form, reader: Option<u32>) -> Result<String, Failure> {
        let rendered = self.render(form, reader)?;
        Ok(rendered.decode::<String>().unwrap_or_else(|_| rendered.json().to_owned()))
    }
}

fn unknown(bound: &Bound, why: Why) -> Failure {
    Failure::new(FailureClass::Invalid, format!("`{}` {why}", bound.text().trim()))
}

fn operands(bound: &Bound, trace: &Trace) -> Vec<Operand> {
    trace.operands.iter().map(|operand| Operand::seen(bound.slot_name(operand.slot), &operand.value)).collect()
}
