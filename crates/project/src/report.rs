//! Mistakes, where they stand, and how they are shown.

use std::borrow::Cow;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use quorate_core::Problem;
use quorate_expr::{Severity, Span};

/// A file of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path inside the project, with `/` between the parts.
    pub path: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
    /// Why there is no text, where it could not be read.
    pub unreadable: Option<String>,
}

impl Source {
    /// A file and its text.
    #[must_use]
    pub fn new(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into(), unreadable: None }
    }

    /// A file that could not be read, and why.
    #[must_use]
    pub fn unreadable(path: &str, why: impl Into<String>) -> Source {
        Source { unreadable: Some(why.into()), ..Source::new(path, "") }
    }

    /// Where its lines begin.
    #[must_use]
    pub fn lines(&self) -> Lines<'_> {
        let begins = std::iter::once(0).chain(self.text.match_indices('\n').map(|(at, _)| at + 1));
        Lines { text: &self.text, begins: begins.collect() }
    }
}

/// The lines of a file.
#[derive(Debug)]
pub struct Lines<'a> {
    text: &'a str,
    begins: Vec<usize>,
}

impl Lines<'_> {
    /// Line and column of a byte, both from 1; columns count characters.
    #[must_use]
    pub fn place(&self, byte: u32) -> (usize, usize) {
        let byte = self.text.floor_char_boundary(byte as usize);
        let line = self.begins.partition_point(|begin| *begin <= byte);
        (line, self.text[self.begins[line - 1]..byte].chars().count() + 1)
    }
}

/// One mistake: what is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// A stable code, listed in the book.
    pub code: &'static str,
    /// Whether a project with it can run.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// The file; an index into the project's files.
    pub file: usize,
    /// The place in the file, where there is one.
    pub span: Option<Span>,
    /// Other places that have to do with it.
    pub notes: Vec<(Span, String)>,
    /// What to do, where that is known.
    pub help: Option<String>,
}

impl Diagnostic {
    pub(crate) fn error(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic { code, severity: Severity::Error, message: message.into(), file: 0, span: None, notes: Vec::new(), help: None }
    }

    pub(crate) fn warning(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, message) }
    }

    /// What the compiler of plans found, without its place.
    pub(crate) fn of(problem: &Problem) -> Diagnostic {
        let Problem { code, message, help, severity, .. } = problem;
        Diagnostic { severity: *severity, help: help.clone(), ..Diagnostic::error(code, message.clone()) }
    }

    pub(crate) fn at(mut self, span: Span) -> Diagnostic {
        self.span = Some(span);
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Diagnostic {
        self.help = help;
        self
    }

    pub(crate) fn note(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.notes.push((span, text.into()));
        self
    }

    pub(crate) fn in_file(mut self, file: usize) -> Diagnostic {
        self.file = file;
        self
    }

    /// Whether a project with it cannot run.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The mistake as people read it: the lines it stands in, underlined.
    #[must_use]
    pub fn render(&self, files: &[Source], look: &Look) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level
            .primary_title(&*self.message)
            .id(self.code)
            .elements(std::iter::empty::<Snippet<'_, annotate_snippets::Annotation<'_>>>());
        if let (Some(file), Some(span)) = (files.get(self.file), self.span) {
            let inside = |span: &Span| {
                let end = file.text.len();
                let start = file.text.floor_char_boundary((span.start as usize).min(end));
                start..file.text.ceil_char_boundary((span.end as usize).clamp(start, end))
            };
            let notes = self.notes.iter().map(|(span, text)| AnnotationKind::Context.span(inside(span)).label(visible(text)));
            let snippet = Snippet::source(&*file.text).path(&*file.path).annotation(AnnotationKind::Primary.span(inside(&span)));
            group = group.element(snippet.annotations(notes));
        } else if let Some(file) = files.get(self.file) {
            group = group.element(annotate_snippets::Origin::path(&*file.path));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(visible(help)));
        }
        let renderer = if look.color { Renderer::styled() } else { Renderer::plain() };
        renderer.term_width(look.width).render(&[group])
    }
}

/// A text in which what would steer a terminal is seen instead. The lines of a file and the message are shown like that by themselves.
fn visible(text: &str) -> Cow<'_, str> {
    let steers = |next: char| next.is_control() && next != '\n';
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|next| if steers(next) { '\u{fffd}' } else { next }).collect())
}

/// How mistakes are shown.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// With colours.
    pub color: bool,
    /// How many columns there are.
    pub width: usize,
}
