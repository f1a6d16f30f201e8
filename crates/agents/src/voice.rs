//! What an agent has so far, while it is still at work.

use std::fmt;
use std::sync::Arc;

/// Where an agent says what it has so far: heard by whoever listens at the moment, and kept by nobody.
#[derive(Clone, Default)]
pub struct Voice(Option<Arc<Hears>>);

/// In a box, since every call carries a voice and few use it.
type Hears = Box<dyn Fn(&str) + Send + Sync>;

impl Voice {
    /// A voice that `heard` hears.
    #[must_use]
    pub fn new(heard: impl Fn(&str) + Send + Sync + 'static) -> Voice {
        Voice(Some(Arc::new(Box::new(heard))))
    }

    /// Whether anybody hears it.
    pub(crate) fn is_heard(&self) -> bool {
        self.0.is_some()
    }

    /// Says what comes next.
    pub fn say(&self, text: &str) {
        if let Some(heard) = self.0.as_ref().filter(|_| !text.is_empty()) {
            heard(text);
        }
    }
}

impl fmt::Debug for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Voice(heard)" } else { "Voice(unheard)" })
    }
}
