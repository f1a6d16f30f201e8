//! Reconciliation: two books that should say the same are held against each other.
//!
//! Whatever file an [`Item`] came from, it is one line of one of two sides. [`Matcher::reconcile`] finds out which items belong
//! together, pass by pass, from what is certain to what is only likely. Three promises are kept whatever comes in:
//!
//! - every item is in one match at most, and every item that is in none is open: matched and open are what came in, in count
//!   and in amount, for each currency;
//! - what could as well be matched otherwise is not matched but [`Ambiguous`]: nothing is paired by the order of lines;
//! - the sides are alike: what is found does not depend on which of them is called A.
//!
//! This crate knows nothing of files, clocks or the engine.

pub mod books;
mod breaks;
mod calendar;
mod exact;
mod item;
mod matching;

pub use breaks::{Break, BreakKind, Near, breaks};
pub use calendar::Calendar;
pub use item::{Currency, Item, Place, Side};
pub use jiff::civil::Date;
pub use matching::{Ambiguous, Match, Matcher, Pass, Reconciled, Settings, Standing};
pub use rust_decimal::Decimal;
