//! The tasks of a run, one to a line, drawn again while they change.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Arc;

use quorate::project::millis_between;
use quorate::{Heard, Run, TaskStatus, TaskView, Timestamp};

use super::screen::{Screen, Style, columns, cut, lasting, one_line, sign};

/// Signs of a task that is under way, one after another.
const SPINNER: [&str; 8] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧"];
/// Items of a task that are shown each on its own; of more, their number is.
const MAX_ITEMS: usize = 8;
/// Of these, how many are shown that are under way.
const MAX_UNDER_WAY: usize = 4;
/// Names longer than this are cut.
const MAX_NAME: usize = 32;
/// And so are names of agents.
const MAX_AGENT: usize = 24;
/// What stands before the lines below a task.
const BELOW: &str = "      ";
/// Most lines below a task.
const MAX_BELOW: usize = 3;
/// How much of what an agent says is shown: the end of it.
const MAX_SAID: usize = 120;

/// A tree that stands on the terminal.
#[derive(Default)]
pub(crate) struct Drawn {
    lines: usize,
    frame: usize,
    /// The end of what the agents of tasks have said so far.
    said: Said,
}

/// The end of what agents say, by task.
pub(crate) type Said = BTreeMap<Arc<str>, String>;

impl Drawn {
    /// Takes in what an agent says.
    pub(crate) fn hear(&mut self, heard: Heard) {
        let tail = self.said.entry(heard.task).or_default();
        if heard.from == 0 {
            tail.clear();
        }
        tail.push_str(&heard.text);
        let cut = tail.ceil_char_boundary(tail.len().saturating_sub(MAX_SAID));
        tail.drain(..cut);
    }

    /// Draws the run in the place of what was drawn before.
    pub(crate) fn draw(&mut self, run: &Run, screen: &Screen, now: Timestamp) {
        self.frame += 1;
        let spinner = SPINNER[self.frame % SPINNER.len()];
        let lines = lines(run, screen, now, (spinner, &self.said), screen.height.saturating_sub(3));
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
pub(crate) fn lines(run: &Run, screen: &Screen, now: Timestamp, (spinner, said): (&str, &Said), most: usize) -> Vec<String> {
    let mut told: Vec<TaskView<'_>> = run.tasks().filter(|task| is_told(*task)).collect();
    if told.iter().any(|task| task.grown()) {
        // Items and repeats stand by the task that they are of; what was undone comes last, in the order of undoing.
        let position: BTreeMap<&str, usize> = run.plan().tasks().enumerate().map(|(position, (id, _))| (id, position)).collect();
        told.sort_by_key(|task| match task.role() {
            quorate::Role::Compensation => usize::MAX,
            _ => position.get(task.plan_id()).copied().unwrap_or(usize::MAX),
        });
    }
    let crowds = crowds(&told);
    let mut shown: Vec<TaskView<'_>> = without_crowds(&told, &crowds);
    if shown.len() > most {
        shown.sort_by_key(|task| matters(task.status()));
        shown.truncate(most.saturating_sub(1));
        let kept: BTreeSet<&str> = shown.iter().map(|task| task.id()).collect();
        shown.retain(|task| kept.contains(task.id()));
        shown.sort_by_key(|task| told.iter().position(|told| told.id() == task.id()));
    }
    let width_of =
        |text: &dyn Fn(&TaskView<'_>) -> String, most: usize| shown.iter().map(|task| columns(&text(task))).max().unwrap_or(0).min(most);
    let name = width_of(&|task| one_line(task.id()), MAX_NAME);
    let agent = width_of(&|task| agent_of(*task), MAX_AGENT);
    let look = Look { screen, now, spinner, said, name, agent, crowds: &crowds };
    let drawn = |spacious: bool| -> Vec<String> { shown.iter().flat_map(|task| look.rows(*task, spacious)).collect() };
    let mut lines = drawn(true);
    if lines.len() > most {
        lines = drawn(false);
    }
    if told.len() > shown.len() {
        lines.push(screen.paint(Style::Dim, &format!("  … {}", counts(&told)), true));
    }
    lines
}

/// Tasks with many items: how many of these have ended, of how many.
type Crowds<'r> = BTreeMap<&'r str, (usize, usize)>;

fn is_item(task: &TaskView<'_>) -> bool {
    task.id() != task.plan_id() && task.id().ends_with(']')
}

fn crowds<'r>(told: &[TaskView<'r>]) -> Crowds<'r> {
    let mut crowds = Crowds::new();
    for task in told.iter().filter(|task| is_item(task)) {
        let known = crowds.entry(task.plan_id()).or_default();
        *known = (known.0 + usize::from(task.ended().is_some()), known.1 + 1);
    }
    // Not all of them have come up yet.
    for task in told {
        if let (Some(known), Some(items)) = (crowds.get_mut(task.id()), task.items()) {
            known.1 = items;
        }
    }
    crowds.retain(|_, (_, all)| *all > MAX_ITEMS);
    crowds
}

/// Of many items those are left out that are well, and all but a few that are under way.
fn without_crowds<'r>(told: &[TaskView<'r>], crowds: &Crowds<'_>) -> Vec<TaskView<'r>> {
    let mut under_way: BTreeMap<&str, usize> = BTreeMap::new();
    let mut is_shown = |task: &TaskView<'r>| {
        if !is_item(task) || !crowds.contains_key(task.plan_id()) {
            return true;
        }
        match task.status() {
            TaskStatus::Succeeded | TaskStatus::Ready | TaskStatus::Waiting => false,
            TaskStatus::Running => {
                let count = under_way.entry(task.plan_id()).or_default();
                *count += 1;
                *count <= MAX_UNDER_WAY
            }
            _ => true,
        }
    };
    told.iter().copied().filter(|task| is_shown(task)).collect()
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

fn agent_of(task: TaskView<'_>) -> String {
    task.agent().map(|agent| one_line(&agent.id)).unwrap_or_default()
}

/// What there is to say of a task besides how it stands.
fn about(task: TaskView<'_>, now: Timestamp, tail: Option<&String>) -> String {
    let mut said = Vec::new();
    match (task.setback(), task.due()) {
        (Some(setback), Some(due)) => {
            said.push(format!("attempt {} failed, next in {}: {setback}", task.attempts(), lasting(millis_between(now, due))));
        }
        _ if task.attempts() > 1 => said.push(format!("{} attempts", task.attempts())),
        _ => {}
    }
    said.extend(task.asks().map(|asks| asks.question.text.clone()));
    said.extend(task.cause().map(ToString::to_string));
    said.extend(tail.filter(|_| task.status() == TaskStatus::Running).map(|tail| format!("… {}", tail.trim())));
    one_line(&said.join(": "))
}

/// How tasks are drawn.
struct Look<'a> {
    screen: &'a Screen,
    now: Timestamp,
    spinner: &'a str,
    said: &'a Said,
    /// How wide the columns are.
    name: usize,
    agent: usize,
    crowds: &'a Crowds<'a>,
}

impl Look<'_> {
    /// A task: in one line, or where it has more to say and there is space, in several.
    fn rows(&self, task: TaskView<'_>, spacious: bool) -> Vec<String> {
        let status = task.status();
        let style = Style::of_task(status);
        let mark = if status == TaskStatus::Running { self.spinner } else { sign(status) };
        let name = cut(&one_line(task.id()), self.name);
        let gap = " ".repeat(self.name.saturating_sub(columns(&name)));
        let agent = cut(&agent_of(task), self.agent);
        let pad = " ".repeat(self.agent.saturating_sub(columns(&agent)));
        let taken = task.started().map(|started| lasting(millis_between(started, task.ended().unwrap_or(self.now))));
        let stands = format!("  {:<9}  {agent}{pad} {:>7}", status.to_string(), taken.unwrap_or_default());
        let about = about(task, self.now, self.said.get(task.id()));
        let about = match self.crowds.get(task.id()) {
            Some((done, all)) if about.is_empty() => format!("{done} of {all}"),
            Some((done, all)) => format!("{done} of {all}: {about}"),
            None => about,
        };
        let room = self.screen.width.saturating_sub(self.name + 4);
        let left = room.saturating_sub(columns(&stands) + 2);
        let fits = columns(&about) <= left;
        let told = if fits || !spacious { cut(format!("{stands}  {about}").trim_end(), room) } else { stands };
        let paint = |text: &str| self.screen.paint(style, text, true);
        let mut rows = vec![format!("  {} {name}{gap}{}", paint(mark), paint(&told))];
        if !fits && spacious {
            let below = wrap(&about, self.screen.width.saturating_sub(BELOW.len()), MAX_BELOW);
            rows.extend(below.iter().map(|line| format!("{BELOW}{}", paint(line))));
        }
        rows
    }
}

/// Breaks a text into so many lines at its spaces; what is left over is cut.
fn wrap(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let full = lines.len() == most;
        match lines.last_mut() {
            Some(line) if full || columns(line) + 1 + columns(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| cut(line, width)).collect()
}
