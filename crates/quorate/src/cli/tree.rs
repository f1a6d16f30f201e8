//! The tasks of a run, one to a line, drawn again while they change.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use quorate::project::millis_between;
use quorate::{Run, TaskStatus, TaskView, Timestamp};

use super::screen::{Screen, Style, columns, cut, lasting, one_line, sign};

/// Signs of a task that is under way, one after another.
const SPINNER: [&str; 8] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧"];
/// Names longer than this are cut.
const MAX_NAME: usize = 32;

/// A tree that stands on the terminal.
#[derive(Default)]
pub(crate) struct Drawn {
    lines: usize,
    frame: usize,
}

impl Drawn {
    /// Draws the run in the place of what was drawn before.
    pub(crate) fn draw(&mut self, run: &Run, screen: &Screen, now: Timestamp) {
        self.frame += 1;
        let spinner = SPINNER[self.frame % SPINNER.len()];
        let lines = lines(run, screen, now, spinner, screen.height.saturating_sub(3));
        let mut text = String::new();
        if self.lines > 0 {
            text.push_str(&format!("\x1b[{}A", self.lines));
        }
        for line in &lines {
            text.push_str("\r\x1b[2K");
            text.push_str(line);
            text.push('\n');
        }
        for _ in lines.len()..self.lines {
            text.push_str("\r\x1b[2K\n");
        }
        if self.lines > lines.len() {
            text.push_str(&format!("\x1b[{}A", self.lines - lines.len()));
        }
        self.lines = lines.len();
        // A terminal that is gone shows nothing.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }

    /// What stands there stays.
    pub(crate) fn leave(&mut self) {
        self.lines = 0;
    }
}

/// The tasks of a run in so many lines: where there are more, those that matter most, and a count of the others.
pub(crate) fn lines(run: &Run, screen: &Screen, now: Timestamp, spinner: &str, most: usize) -> Vec<String> {
    let mut told: Vec<TaskView<'_>> = run.tasks().filter(|task| is_told(*task)).collect();
    if told.iter().any(|task| task.grown()) {
        // Items and repeats stand by the task that they are of; what was undone comes last, in the order of undoing.
        let position: BTreeMap<&str, usize> = run.plan().tasks().enumerate().map(|(position, (id, _))| (id, position)).collect();
        told.sort_by_key(|task| match task.role() {
            quorate::Role::Compensation => usize::MAX,
            _ => position.get(task.plan_id()).copied().unwrap_or(usize::MAX),
        });
    }
    let mut shown: Vec<TaskView<'_>> = told.clone();
    if told.len() > most {
        shown.sort_by_key(|task| matters(task.status()));
        shown.truncate(most.saturating_sub(1));
        let kept: BTreeSet<&str> = shown.iter().map(|task| task.id()).collect();
        shown = told.iter().copied().filter(|task| kept.contains(task.id())).collect();
    }
    let name_width = shown.iter().map(|task| columns(task.id())).max().unwrap_or(0).min(MAX_NAME);
    let mut lines: Vec<String> = shown.iter().map(|task| line(*task, screen, now, spinner, name_width)).collect();
    if told.len() > shown.len() {
        lines.push(screen.paint(Style::Dim, &format!("  … {}", counts(&told)), true));
    }
    lines
}

fn is_told(task: TaskView<'_>) -> bool {
    use quorate::Role;
    matches!(task.role(), Role::Main | Role::Finally) || task.status() != TaskStatus::Waiting
}

/// What is under way or went wrong is shown before what is done or to come.
fn matters(status: TaskStatus) -> u8 {
    match status {
        TaskStatus::Failed | TaskStatus::TimedOut => 0,
        TaskStatus::Asking => 1,
        TaskStatus::Running | TaskStatus::Retrying | TaskStatus::Sleeping => 2,
        TaskStatus::Ready => 3,
        TaskStatus::Succeeded => 4,
        TaskStatus::Waiting | TaskStatus::Skipped | TaskStatus::Cancelled => 5,
    }
}

fn counts(tasks: &[TaskView<'_>]) -> String {
    let all = [
        TaskStatus::Succeeded,
        TaskStatus::Running,
        TaskStatus::Ready,
        TaskStatus::Waiting,
        TaskStatus::Retrying,
        TaskStatus::Asking,
        TaskStatus::Sleeping,
        TaskStatus::Failed,
        TaskStatus::TimedOut,
        TaskStatus::Skipped,
        TaskStatus::Cancelled,
    ];
    let count = |status: &TaskStatus| tasks.iter().filter(|task| task.status() == *status).count();
    let parts: Vec<String> = all.iter().filter(|status| count(status) > 0).map(|status| format!("{} {status}", count(status))).collect();
    format!("{} tasks: {}", tasks.len(), parts.join(", "))
}

fn line(task: TaskView<'_>, screen: &Screen, now: Timestamp, spinner: &str, name_width: usize) -> String {
    let status = task.status();
    let mark = if status == TaskStatus::Running { spinner } else { sign(status) };
    let name = cut(&one_line(task.id()), name_width);
    let gap = " ".repeat(name_width.saturating_sub(columns(&name)));
    let taken = task.started().map(|started| lasting(millis_between(started, task.ended().unwrap_or(now))));
    let agent = task.agent().map(|agent| one_line(&agent.id)).unwrap_or_default();
    let mut rest = String::new();
    if status == TaskStatus::Retrying
        && let Some(due) = task.due()
    {
        rest = format!("attempt {} failed, next in {}", task.attempts(), lasting(millis_between(now, due)));
    } else if task.attempts() > 1 {
        rest = format!("{} attempts", task.attempts());
    }
    if let Some(asks) = task.asks() {
        rest = asks.question.text.clone();
    }
    if let Some(cause) = task.cause() {
        let cause = cause.to_string();
        rest = if rest.is_empty() { cause } else { format!("{rest}: {cause}") };
    }
    let status_word = status.to_string();
    let plain = format!("  {status_word:<9}  {agent:<16} {:>7}  {}", taken.unwrap_or_default(), one_line(&rest));
    let plain = cut(plain.trim_end(), screen.width.saturating_sub(name_width + 5));
    format!("  {} {name}{gap}{}", screen.paint(Style::of_task(status), mark, true), screen.paint(Style::of_task(status), &plain, true))
}
