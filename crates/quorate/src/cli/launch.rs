//! How programs of agents are started: in a process that dies with this one. A program that went on by itself after the
//! engine was killed would be at work beside its own second attempt.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use quorate::{NOT_STARTED, NOT_STARTED_MARK};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// The word that asks for it. It is no command: nobody types it.
const WORD: &str = "__launch";

/// What starts a program so.
pub(crate) fn launcher() -> Vec<String> {
    let own = std::env::current_exe().ok().and_then(|path| path.into_os_string().into_string().ok());
    own.map(|own| vec![own, WORD.to_owned(), std::process::id().to_string()]).unwrap_or_default()
}

/// Becomes the program that is named, if that is what was asked for.
pub(crate) fn launched() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    if words.next().as_deref() != Some(WORD.as_ref()) {
        return None;
    }
    let parent = words.next()?;
    let words: Vec<OsString> = words.collect();
    // Where the system cannot do it, the program runs all the same.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    if getppid().is_none_or(|now| now.as_raw_nonzero().to_string() != parent.to_string_lossy()) {
        // It died before it could be asked for.
        return Some(ExitCode::FAILURE);
    }
    let (program, arguments) = words.split_first()?;
    let wrong = Command::new(program).args(arguments).exec();
    super::screen::complain(&format!("{NOT_STARTED_MARK}{}: {wrong}", program.to_string_lossy()));
    Some(ExitCode::from(u8::try_from(NOT_STARTED).unwrap_or(u8::MAX)))
}
