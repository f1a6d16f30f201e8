//! How a command ends: exit codes are part of what users rely on.

use quorate::host::HostError;
use quorate::{AppendError, Error, OpenError, ReadError, Refusal, Run, RunStatus};

use super::follow::Left;
use super::modes::ModesError;

/// Exit codes; `quorate exit-codes` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Succeeded = 0,
    Failed = 1,
    Usage = 2,
    Invalid = 3,
    NotFound = 4,
    Waiting = 5,
    TimedOut = 6,
    NotPermitted = 8,
    Conflict = 9,
    Interrupted = 130,
}

/// What the codes mean, for `quorate exit-codes` and the manual.
pub(crate) const MEANINGS: &str = "\
Exit codes:
    0  succeeded
    1  the run failed, was cancelled or timed out
    2  the command line is wrong
    3  the project or the input is not valid
    4  there is no such thing
    5  waiting for a person
    6  timed out waiting
    7  the server cannot be reached
    8  not permitted
    9  a conflict: somebody else was first, or has the data
  130  interrupted";

impl Exit {
    pub(crate) fn of(run: &Run) -> Exit {
        match run.status() {
            // Whoever asked for what it returns does not get it.
            RunStatus::Succeeded if run.decision().is_none() && run.output().is_err() => Exit::Failed,
            RunStatus::Succeeded => Exit::Succeeded,
            RunStatus::Failed | RunStatus::TimedOut | RunStatus::Cancelled => Exit::Failed,
            RunStatus::Running | RunStatus::Waiting | RunStatus::Compensating => Exit::Waiting,
        }
    }
}

impl Exit {
    /// How a command ends that left a run alone.
    pub(crate) fn left(why: Left) -> Exit {
        match why {
            Left::Interrupted | Left::Ended => Exit::Interrupted,
            Left::TimedOut => Exit::TimedOut,
        }
    }
}

/// Whether somebody else may do it, or it can be done elsewhere.
pub(crate) fn is_denied(wrong: &std::io::Error) -> bool {
    matches!(wrong.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem)
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) exit: Exit,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Problem {
        Problem { exit, message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }
}

pub(crate) type Outcome = Result<Exit, Problem>;

/// An error and everything that it is about.
pub(crate) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = error.source();
    }
    text
}

impl From<HostError> for Problem {
    fn from(wrong: HostError) -> Problem {
        let problem = Problem::new(Exit::NotFound, whole(&wrong));
        match wrong {
            HostError::NoProject { .. } => problem.hint("make one with `quorate init`, or name one with --project"),
            HostError::Folder { .. } => problem,
            HostError::TooManyFiles { .. } => Problem { exit: Exit::Invalid, ..problem },
        }
    }
}

impl From<ModesError> for Problem {
    fn from(wrong: ModesError) -> Problem {
        let denied = is_denied(&wrong.source);
        let problem = Problem::new(if denied { Exit::NotPermitted } else { Exit::Failed }, whole(&wrong));
        if denied { problem.hint("whoever may write in that folder can say it") } else { problem }
    }
}

impl From<OpenError> for Problem {
    fn from(wrong: OpenError) -> Problem {
        let text = whole(&wrong);
        match wrong {
            OpenError::Owned { .. } => {
                Problem::new(Exit::Conflict, text).hint("commands that only look (runs list, runs show) work meanwhile")
            }
            OpenError::Foreign { .. } => Problem::new(Exit::Invalid, text),
            OpenError::Storage { .. } if text.contains("readonly") => Problem::new(Exit::NotPermitted, text)
                .hint("who only looks needs the right to write in the folder as well: SQLite keeps its notes beside the journal"),
            OpenError::Folder { source, .. } if is_denied(&source) => {
                Problem::new(Exit::NotPermitted, text).hint("`--data DIR` keeps runs somewhere else")
            }
            OpenError::Folder { .. } | OpenError::Storage { .. } => Problem::new(Exit::Failed, text),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(wrong: ReadError) -> Problem {
        Problem::new(Exit::Failed, whole(&wrong)).hint("`quorate audit verify` says what is damaged")
    }
}

impl From<Error> for Problem {
    fn from(wrong: Error) -> Problem {
        let exit = match &wrong {
            Error::NoRun(_) => Exit::NotFound,
            Error::Exists(_) | Error::Append(AppendError::Conflict { .. }) => Exit::Conflict,
            Error::BadStart { .. } | Error::BadPlan { .. } => Exit::Invalid,
            Error::Refused(refusal) => match refusal {
                Refusal::NotPermitted { .. } => Exit::NotPermitted,
                Refusal::NoTask { .. } => Exit::NotFound,
                Refusal::BadAnswer { .. } | Refusal::TooLong { .. } => Exit::Invalid,
                _ => Exit::Conflict,
            },
            _ => Exit::Failed,
        };
        let problem = Problem::new(exit, whole(&wrong));
        match wrong {
            Error::BadStart { .. } => {
                problem.hint("`-i` gives the input, as in -i '{\"name\": 1}'; `input` of the workflow says what it looks like")
            }
            _ => problem,
        }
    }
}
