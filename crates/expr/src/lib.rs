//! Quorate's condition language.
//!
//! A condition is written the way an operations team says it (`within_tolerance and confidence > 0.9`) and is read
//! in three values: true, false and *unknown*. A value that is missing makes a condition unknown, never true, so a
//! decision cannot be taken on evidence that is not there.
//!
//! Text becomes an [`Ast`] with [`parse`], names and types are settled once by [`Ast::check`] against a [`Names`], and
//! the resulting [`Checked`] form is evaluated against a [`Scope`] as often as needed. Evaluation is total, bounded by
//! the size of the condition, and can write down every operand it saw in a [`Trace`].
//!
//! This crate never reads a clock, a file or a random number, and numbers are decimals: money does not pass through
//! binary floating point. Start at [`Checked::truth`].

mod ast;
mod check;
mod diagnostic;
mod eval;
mod flip;
mod lexer;
mod parser;
mod solve;
mod template;
mod types;

pub use ast::{Arithmetic, Ast, Comparison, Expr, Function, MAX_DEPTH, MAX_NODES, MAX_SOURCE_BYTES, NodeId, Path, Segment, TextTest};
pub use check::{Checked, Names, Resolution, Slot, Status};
pub use diagnostic::{Diagnostic, Severity, Span, closest};
pub use eval::{Operand, Scope, Trace, Truth, Value, Verdict, Why};
pub use flip::Need;
pub use parser::parse;
pub use solve::{Answer, MAX_TRIES, Outcomes, Search, Source, Stand, Variable, Wanted, Witness};
pub use template::{Part, Template};
pub use types::{Field, Range, Type};

pub use rust_decimal::Decimal;
