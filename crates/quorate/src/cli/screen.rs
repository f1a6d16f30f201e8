//! What is written where: data on standard output, everything else on standard error, colour only where somebody looks.

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use quorate::{RunStatus, TaskStatus};

/// Whether something that was asked for could not be written.
static UNWRITTEN: AtomicBool = AtomicBool::new(false);

/// Whether everything that was asked for was written.
pub(crate) fn all_is_written() -> bool {
    !UNWRITTEN.load(Ordering::Relaxed)
}

/// Columns where nobody says how many there are.
const USUAL_WIDTH: usize = 100;

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where a command writes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    /// Whether standard output is a terminal.
    pub(crate) out_is_terminal: bool,
    /// Whether standard error is a terminal.
    pub(crate) err_is_terminal: bool,
    pub(crate) out_color: bool,
    pub(crate) err_color: bool,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) quiet: bool,
}

impl Screen {
    pub(crate) fn new(color: Color, quiet: bool) -> Screen {
        let out_is_terminal = std::io::stdout().is_terminal();
        let err_is_terminal = std::io::stderr().is_terminal();
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        let wanted = |terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => set("CLICOLOR_FORCE") || (terminal && !set("NO_COLOR") && std::env::var("TERM").as_deref() != Ok("dumb")),
        };
        let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok().filter(|size| size.ws_col > 0);
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        Screen {
            out_is_terminal,
            err_is_terminal,
            out_color: wanted(out_is_terminal),
            err_color: wanted(err_is_terminal),
            width: size.map(|size| usize::from(size.ws_col)).or(columns).unwrap_or(USUAL_WIDTH).max(40),
            height: size.map_or(40, |size| usize::from(size.ws_row)).max(10),
            quiet,
        }
    }

    /// A line of what was asked for. A program gets it as it is, a terminal without what would steer it.
    pub(crate) fn out(&self, text: &str) {
        let text = if self.out_is_terminal { harmless(text) } else { text.into() };
        let written = writeln!(std::io::stdout().lock(), "{text}");
        match written.map_err(|wrong| wrong.kind()) {
            // Whoever reads it may have heard enough; that is no failure of the command.
            Ok(()) | Err(std::io::ErrorKind::BrokenPipe) => {}
            Err(wrong) => {
                if !UNWRITTEN.swap(true, Ordering::Relaxed) {
                    complain(&format!("error: could not write to standard output: {wrong}"));
                }
            }
        }
    }

    /// A line about what is being done.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.err(text);
        }
    }

    /// A line about what went wrong.
    pub(crate) fn err(&self, text: &str) {
        complain(&harmless(text));
    }

    /// A picture of a mistake, with the colours of whoever drew it.
    pub(crate) fn picture(&self, text: &str) {
        complain(text);
    }

    pub(crate) fn paint(&self, style: Style, text: &str, err: bool) -> String {
        let color = if err { self.err_color } else { self.out_color };
        if color { format!("{}{text}{}", style.begins(), COLOURS[COLOURS.len() - 1]) } else { text.to_owned() }
    }
}

/// A line on standard error.
pub(crate) fn complain(text: &str) {
    // Where nobody can hear it, nothing is to be done.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// What a colour says; it never says it alone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    Dim,
    Good,
    Bad,
    Busy,
    Asking,
}

/// How each of them begins on a terminal, and how all of them end.
const COLOURS: [&str; 6] = ["\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[34m", "\x1b[35m", "\x1b[0m"];

impl Style {
    fn begins(self) -> &'static str {
        COLOURS[self as usize]
    }

    pub(crate) fn of_task(status: TaskStatus) -> Style {
        match status {
            TaskStatus::Succeeded => Style::Good,
            TaskStatus::Failed | TaskStatus::TimedOut => Style::Bad,
            TaskStatus::Running | TaskStatus::Retrying => Style::Busy,
            TaskStatus::Asking | TaskStatus::Sleeping => Style::Asking,
            TaskStatus::Waiting | TaskStatus::Ready | TaskStatus::Skipped | TaskStatus::Cancelled => Style::Dim,
        }
    }

    pub(crate) fn of_run(status: RunStatus) -> Style {
        match status {
            RunStatus::Succeeded => Style::Good,
            RunStatus::Failed | RunStatus::TimedOut | RunStatus::Cancelled => Style::Bad,
            RunStatus::Running | RunStatus::Compensating => Style::Busy,
            RunStatus::Waiting => Style::Asking,
        }
    }
}

/// A sign that goes with the word of a status.
pub(crate) fn sign(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::Waiting => "·",
        TaskStatus::Ready => "○",
        TaskStatus::Running => "●",
        TaskStatus::Retrying => "↻",
        TaskStatus::Asking => "?",
        TaskStatus::Sleeping => "⏲",
        TaskStatus::Succeeded => "✓",
        TaskStatus::Failed => "✗",
        TaskStatus::TimedOut => "⧖",
        TaskStatus::Skipped => "–",
        TaskStatus::Cancelled => "□",
    }
}

/// Rows in columns: aligned for people, separated by tabs for programs.
pub(crate) struct Table {
    head: Vec<&'static str>,
    /// Columns that a terminal which is too narrow does without, the first of them first.
    minor: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
}

pub(crate) struct Cell {
    text: String,
    style: Option<Style>,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell { text: one_line(text), style: None }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::from(text.as_str())
    }
}

impl Cell {
    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Cell {
        Cell { text: one_line(&text.into()), style: Some(style) }
    }
}

impl Table {
    pub(crate) fn new(head: &[&'static str]) -> Table {
        Table { head: head.to_vec(), minor: &[], rows: Vec::new() }
    }

    pub(crate) fn minor(mut self, minor: &'static [&'static str]) -> Table {
        self.minor = minor;
        self
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn show(&self, screen: &Screen) {
        if !screen.out_is_terminal {
            for row in &self.rows {
                let cells: Vec<&str> = row.iter().map(|cell| cell.text.as_str()).collect();
                screen.out(&cells.join("\t"));
            }
            return;
        }
        let width_of = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| columns(&cell.text));
            cells.chain([columns(self.head[column])]).max().unwrap_or(0)
        };
        // The least that the last column needs, if it needs as much, and one that is cut.
        const LAST: usize = 24;
        const CUT: usize = 10;
        // What is not wider is a time or a number, and worth nothing when it is cut.
        const WHOLE: usize = 20;
        let is_empty = |column: usize| self.rows.iter().all(|row| row.get(column).is_none_or(|cell| cell.text.is_empty()));
        // A minor column in which nothing stands is left out in any case.
        let mut shown: Vec<(usize, usize)> = (0..self.head.len())
            .filter(|column| !(self.minor.contains(&self.head[*column]) && is_empty(*column)))
            .map(|column| (column, width_of(column)))
            .collect();
        let before = |shown: &[(usize, usize)]| shown.iter().rev().skip(1).map(|(_, width)| width + 2).sum::<usize>();
        let fits = |shown: &[(usize, usize)]| {
            let last = shown.last().map_or(0, |(_, width)| (*width).min(LAST));
            before(shown) + last <= screen.width
        };
        for name in self.minor {
            if !fits(&shown) {
                shown.retain(|(column, _)| self.head[*column] != *name);
            }
        }
        // The widest ones give way. The first one does not: it is what is typed again.
        while !fits(&shown) {
            let between = 1..shown.len().saturating_sub(1);
            let may_be_cut = shown[between].iter_mut().filter(|(column, width)| width_of(*column) > WHOLE && *width > CUT);
            let Some((_, width)) = may_be_cut.max_by_key(|(_, width)| *width) else { break };
            *width -= 1;
        }
        // The last column takes what is left.
        let room = screen.width.saturating_sub(before(&shown)).max(CUT);
        if let Some((_, last)) = shown.last_mut() {
            *last = (*last).min(room);
        }
        let line = |cell_at: &dyn Fn(usize) -> (String, Option<Style>)| {
            let mut line = String::new();
            for (position, (column, width)) in shown.iter().enumerate() {
                let (text, style) = cell_at(*column);
                let text = cut(&text, *width);
                let gap = width - columns(&text);
                line.push_str(&style.map_or_else(|| text.clone(), |style| screen.paint(style, &text, false)));
                if position + 1 < shown.len() {
                    line.push_str(&" ".repeat(gap + 2));
                }
            }
            line
        };
        screen.out(&line(&|column| (self.head[column].to_owned(), Some(Style::Dim))));
        for row in &self.rows {
            screen.out(&line(&|column| row.get(column).map_or_else(Default::default, |cell| (cell.text.clone(), cell.style))));
        }
    }
}

/// How many columns a text takes on a terminal.
pub(crate) fn columns(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// A text in so many columns.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 1;
    for next in text.chars() {
        used += unicode_width::UnicodeWidthChar::width(next).unwrap_or(0);
        if used > width {
            break;
        }
        cut.push(next);
    }
    cut.push('…');
    cut
}

/// What agents and people wrote, in one line, and without whatever would steer a terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|next| if steers(next) || next == '\n' { ' ' } else { next }).collect()
}

/// Whether a character moves the cursor, begins a command to the terminal, or turns the direction of writing.
fn steers(next: char) -> bool {
    (next.is_control() && next != '\n') || matches!(next, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text without whatever would steer a terminal, except for the colours that are ours.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(steers) {
        let (before, after) = rest.split_at(at);
        shown.push_str(before);
        let own = COLOURS.iter().find_map(|code| after.starts_with(code).then_some(code.len()));
        let taken = own.unwrap_or_else(|| after.chars().next().map_or(0, char::len_utf8));
        shown.push_str(if own.is_some() { &after[..taken] } else { " " });
        rest = &after[taken..];
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// A length of time, as people say it.
pub(crate) fn lasting(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis}ms"),
        1_000..60_000 => format!("{}.{}s", millis / 1_000, millis % 1_000 / 100),
        60_000..3_600_000 => format!("{}m {:02}s", millis / 60_000, millis / 1_000 % 60),
        3_600_000..86_400_000 => format!("{}h {:02}m", millis / 3_600_000, millis / 60_000 % 60),
        _ => format!("{}d {:02}h", millis / 86_400_000, millis / 3_600_000 % 24),
    }
}
