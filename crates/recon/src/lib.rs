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
//! Files are read by [`books`], what does not belong together is a [`Break`], and [`reconcile`] makes a day of all that. What it
//! needs of the world around it is a [`World`](world::World). [`agents`] are what an engine calls; nothing else here knows of one.

pub mod agents;
mod booking;
pub mod books;
mod breaks;
mod calendar;
mod exact;
mod item;
mod matching;
pub mod reconcile;
pub mod record;
mod report;
pub mod settings;
mod signing;
mod words;
pub mod world;

pub use breaks::{Besides, Break, BreakKind, Near, Repeated, breaks};
pub use calendar::Calendar;
pub use item::{Currency, Item, Place, Side};
pub use jiff::civil::Date;
pub use matching::{Ambiguous, Match, Matcher, Pass, Reconciled, Settings, Standing};
pub use rust_decimal::Decimal;
