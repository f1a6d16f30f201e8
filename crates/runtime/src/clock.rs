//! Where the time comes from.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_core::Timestamp;
use tokio::time::Instant;

/// Where the time comes from.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// The system's clock.
    #[default]
    System,
    /// So long after a point in time as has passed on tokio's clock, which tests can stop and move.
    Tokio(Timestamp, Instant),
}

/// The longest sleep at a stretch: the system's clock may be set, and a computer may be suspended.
const MAX_SLEEP: Duration = Duration::from_secs(60);

impl Clock {
    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let micros = |length: Duration| i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
        match self {
            Clock::System => Timestamp::from_micros(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros)),
            Clock::Tokio(start, instant) => Timestamp::from_micros(start.micros() + micros(instant.elapsed())),
        }
    }

    /// When to look at the clock again for something that is due at `at`.
    pub(crate) fn instant_of(&self, at: Timestamp) -> Instant {
        let ahead = at.micros().saturating_sub(self.now().micros());
        Instant::now() + Duration::from_micros(ahead.max(0).unsigned_abs()).min(MAX_SLEEP)
    }
}
