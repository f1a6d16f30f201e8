//! What a reconciliation needs of the world around it.

use std::io::BufRead;

use jiff::civil::Date;
use quorate_core::RunId;
use serde_json::Value;

/// Files of the project, and what was done before.
pub trait World: Send + Sync {
    /// A file of the project, to be read.
    ///
    /// # Errors
    /// [`NoFile`]: why there is nothing to read.
    fn open(&self, path: &str) -> Result<Box<dyn BufRead + Send>, NoFile>;

    /// A file of the project that is written as its other files are, as a value.
    ///
    /// # Errors
    /// What is wrong with it.
    fn settings(&self, path: &str) -> Result<Value, String>;

    /// Writes a file of the project, as a whole or not at all.
    ///
    /// # Errors
    /// What the system said.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), String>;

    /// What the last reconciliation before a day returned: of the same workflow as a run, and of the same of its tasks.
    ///
    /// # Errors
    /// Why that cannot be said.
    fn before(&self, run: RunId, task: &str, day: Date) -> Result<Option<Past>, String>;

    /// What earlier reconciliations of the same day returned: of the same workflow as a run, and of the same of its tasks, whatever
    /// became of the rest of them.
    ///
    /// # Errors
    /// Why that cannot be said.
    fn earlier(&self, run: RunId, task: &str, day: Date) -> Result<Vec<Value>, String>;

    /// The reconciliations of a day, of which the last has ended well, and of the days after it; by their workflow and the task that did it.
    ///
    /// # Errors
    /// Why that cannot be said.
    fn reconciled(&self, workflow: &str, task: &str, day: Date) -> Result<Since, String>;

    /// What the last reconciliation returned, of whatever day.
    ///
    /// # Errors
    /// Why that cannot be said.
    fn last(&self, workflow: &str, task: &str) -> Result<Option<Value>, String>;

    /// What a task of a run returned.
    ///
    /// # Errors
    /// Why that cannot be said.
    fn output(&self, run: &str, task: &str) -> Result<Option<Value>, String>;

    /// What a task returned in all other runs of the same workflow, where it stands: it is not undone.
    ///
    /// # Errors
    /// Why that cannot be said.
    fn standing_outputs(&self, run: RunId, task: &str) -> Result<Vec<Value>, String>;

    /// What a task returned in all runs of a workflow, where it stands.
    ///
    /// # Errors
    /// Why that cannot be said.
    fn outputs_of(&self, workflow: &str, task: &str) -> Result<Vec<Value>, String>;

    /// What a case is about, by its key; nothing where there is none.
    ///
    /// # Errors
    /// Why that cannot be said.
    fn case(&self, key: &str) -> Result<Option<Value>, String>;

    /// The breaks that people opened again: by the keys of their cases.
    ///
    /// # Errors
    /// Why that cannot be said.
    fn opened_again(&self) -> Result<Vec<String>, String>;

    /// What became of a case, by its key; nothing where there is none.
    ///
    /// # Errors
    /// Why that cannot be said.
    fn fate(&self, key: &str) -> Result<Option<Fate>, String>;

    /// How a case stands, by its run.
    ///
    /// # Errors
    /// Why that cannot be said.
    fn standing(&self, run: RunId) -> Result<Option<Fate>, String>;

    /// Cases of earlier days, the newest first.
    ///
    /// # Errors
    /// Why that cannot be said.
    fn cases(&self, before: Date) -> Result<std::sync::Arc<Vec<Case>>, String>;
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoFile {
    /// There is none.
    Missing,
    /// It may not be, or cannot be read.
    Other(String),
}

/// A reconciliation that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// Its run.
    pub run: String,
    /// Who started it.
    pub by: String,
    /// What it returned.
    pub output: Value,
}

/// The reconciliations of a day, and of the days after it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Since {
    /// Those of the day, the newest first.
    pub of_day: Vec<Past>,
    /// What the newest of each later day returned, the earliest day first.
    pub later: Vec<Value>,
}

/// What became of a case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// Its run.
    pub run: String,
    /// Whether somebody or something is still waited for.
    pub open: bool,
    /// Whether people are asked at the moment.
    pub asks: bool,
    /// Whether it was taken back before that came.
    pub withdrawn: bool,
    /// What was decided.
    pub action: Option<String>,
    /// What is done about it, once that is settled: by the decision, or by the people who were asked.
    pub resolution: Option<String>,
    /// Who settled it, where people did.
    pub by: Option<String>,
    /// Who has said anything on it, also where that settled nothing yet.
    pub heard: Vec<String>,
    /// Whether they agreed with what was proposed.
    pub agreed: Option<bool>,
}

impl Fate {
    /// What is done about it, once nobody is waited for any more.
    #[must_use]
    pub fn done(&self) -> Option<&str> {
        self.resolution.as_deref().filter(|_| !self.open)
    }
}

/// A case of an earlier day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case {
    /// The break that it was about.
    pub break_id: String,
    /// What was wrong.
    pub kind: String,
    /// On which account.
    pub account: String,
    /// With whom, where that was said.
    pub counterparty: Option<String>,
    /// What was found to be the cause.
    pub cause: Option<String>,
    /// What was decided.
    pub action: Option<String>,
    /// What was done about it.
    pub resolution: Option<String>,
    /// Whether people agreed with what was proposed, where they were asked.
    pub agreed: Option<bool>,
}
