//! YAML as a tree that knows where everything stands. Nothing else here names the parser.

use granit_parser::{Event, Parser, ScalarStyle, ScanError, options};
use quorate_expr::Span;

use crate::report::Diagnostic;

/// Largest file of a project.
pub const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;
/// How deep lists and mappings may be nested.
pub const MAX_DEPTH: usize = 64;
/// Most values of one file.
pub const MAX_NODES: usize = 2_000_000;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: Box<str>,
    pub(crate) style: Style,
}

/// How a value is written. All but the plain ones are texts whatever they look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Single,
    Double,
    Block,
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) span: Span,
    pub(crate) name: Box<str>,
}

impl Node {
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.is_null())
    }

    /// The value as text, where it is a single one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(scalar) if !scalar.is_null() => Some(&scalar.text),
            Kind::Scalar(_) | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// How it is written, where it is a single value.
    pub(crate) fn style(&self) -> Option<Style> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(scalar.style),
            Kind::List(_) | Kind::Map(_) => None,
        }
    }

    pub(crate) fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            Kind::Scalar(_) | Kind::Map(_) => &[],
        }
    }

    pub(crate) fn entries(&self) -> &[(Key, Node)] {
        match &self.kind {
            Kind::Map(entries) => entries,
            Kind::Scalar(_) | Kind::List(_) => &[],
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        self.entries().iter().find(|(key, _)| &*key.name == name).map(|(_, value)| value)
    }

    /// What it is, in words.
    pub(crate) fn describe(&self) -> String {
        match &self.kind {
            Kind::Scalar(scalar) if scalar.is_null() => "nothing".to_owned(),
            Kind::Scalar(scalar) if scalar.style != Style::Plain => "a text".to_owned(),
            Kind::Scalar(scalar) => match scalar.plain() {
                Plain::Bool(_) => "true or false".to_owned(),
                Plain::Number(_) => "a number".to_owned(),
                Plain::Null => "nothing".to_owned(),
                Plain::Text => "a text".to_owned(),
            },
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
        }
    }

    /// Where the byte range `inside` of the value's text stands in the file.
    pub(crate) fn locate(&self, file: &str, inside: Span) -> Span {
        let Kind::Scalar(scalar) = &self.kind else { return self.span };
        let raw = self.span.text(file);
        // White space may be folded and characters escaped; what is no white space stands there one by one.
        let value: Vec<usize> = scalar.text.char_indices().filter(|(_, next)| !next.is_whitespace()).map(|(at, _)| at).collect();
        let written = scalar.style.solid(raw);
        if value.len() != written.len() {
            return self.span;
        }
        let before = |offset: u32| value.partition_point(|at| *at < offset as usize);
        let (first, past) = (before(inside.start), before(inside.end));
        let end = past.checked_sub(1).map_or(0, |last| written[last].1);
        let start = written.get(first).map_or(end, |(start, _)| *start);
        let at = |offset: usize| self.span.start + u32::try_from(offset).unwrap_or(u32::MAX);
        Span { start: at(start), end: at(end.max(start)) }
    }
}

impl Style {
    /// Where each character stands that is no white space: what was written, without quotes and with escapes as one.
    fn solid(self, raw: &str) -> Vec<(usize, usize)> {
        let inner = match self {
            Style::Single | Style::Double => 1..raw.len().saturating_sub(1),
            Style::Plain | Style::Block => 0..raw.len(),
        };
        let shift = inner.start;
        let Some(text) = raw.get(inner) else { return Vec::new() };
        let mut found = Vec::new();
        let mut rest = text.char_indices().peekable();
        while let Some((start, next)) = rest.next() {
            let mut white = next.is_whitespace();
            match (self, next) {
                (Style::Single, '\'') => drop(rest.next()),
                (Style::Double, '\\') => {
                    let escaped = rest.next().map_or(' ', |(_, escaped)| escaped);
                    let digits = match escaped {
                        'x' => 2,
                        'u' => 4,
                        'U' => 8,
                        _ => 0,
                    };
                    let code: String = rest.by_ref().take(digits).map(|(_, digit)| digit).collect();
                    let code = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                    white = code.map_or(
                        matches!(escaped, 'n' | 't' | 'r' | 'v' | 'f' | '_' | 'N' | 'L' | 'P') || escaped.is_whitespace(),
                        char::is_whitespace,
                    );
                }
                _ => {}
            }
            if !white {
                let end = rest.peek().map_or(text.len(), |(end, _)| *end);
                found.push((start + shift, end + shift));
            }
        }
        found
    }
}

/// What a value without quotes is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Plain<'a> {
    Null,
    Bool(bool),
    /// A number, as it is written in JSON.
    Number(&'a str),
    Text,
}

impl Scalar {
    fn is_null(&self) -> bool {
        matches!(self.plain(), Plain::Null)
    }

    pub(crate) fn plain(&self) -> Plain<'_> {
        match &*self.text {
            _ if self.style != Style::Plain => Plain::Text,
            "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
            "true" | "True" | "TRUE" => Plain::Bool(true),
            "false" | "False" | "FALSE" => Plain::Bool(false),
            text if is_json_number(text) => Plain::Number(text),
            _ => Plain::Text,
        }
    }
}

/// Whether the text is a number of JSON. What YAML takes for one besides (`010`, `0x1f`, `1_000`, `.5`) is a text here:
/// two readers would take it for two numbers.
fn is_json_number(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit() || first == '-') && serde_json::from_str::<serde_json::Number>(text).is_ok()
}

/// Reads the one document of a file. Where it is not YAML, there is one diagnostic; what can be read in spite of a mistake
/// is read, so that more of them are found at once.
pub(crate) fn parse(source: &str) -> (Option<Node>, Vec<Diagnostic>) {
    if source.len() > MAX_FILE_BYTES {
        let message = format!("this file has {} bytes, more than the {MAX_FILE_BYTES} allowed", source.len());
        return (None, vec![Diagnostic::error("Y001", message).help("split it: every file of the folder is read")]);
    }
    let limits = options! { emit_comments: false, flow_nesting_limit: MAX_DEPTH, block_nesting_limit: MAX_DEPTH };
    let mut builder = Builder { open: Vec::new(), root: None, problems: Vec::new(), count: 0 };
    for event in Parser::new_from_str_with_options(source, limits) {
        let taken = match event {
            Ok((event, span)) => builder.take(event, bytes(&span)),
            Err(wrong) => Err(not_yaml(source, &wrong)),
        };
        if let Err(wrong) = taken {
            builder.problems.push(*wrong);
            return (None, builder.problems);
        }
    }
    (builder.root, builder.problems)
}

/// The value of a file of one's own that is written as the files of a project are: within the same limits, and every key once.
///
/// # Errors
/// What is wrong with it, by line and column.
pub fn read_value(text: &str) -> Result<serde_json::Value, Vec<String>> {
    let (root, mut problems) = parse(text);
    if let Some(root) = &root {
        check_keys(root, &mut problems);
    }
    let source = crate::Source::new("", text);
    let told = |problem: &Diagnostic| match problem.span.map(|span| source.lines().place(span.start)) {
        Some((line, column)) => format!("{line}:{column}: {}", problem.message),
        None => problem.message.clone(),
    };
    let wrong: Vec<String> = problems.iter().filter(|problem| problem.is_error()).map(told).collect();
    if wrong.is_empty() { Ok(root.as_ref().map(crate::shape::json).unwrap_or_default()) } else { Err(wrong) }
}

fn bytes(span: &granit_parser::Span) -> Span {
    let range = span.byte_range().unwrap_or_default();
    Span { start: u32::try_from(range.start).unwrap_or(u32::MAX), end: u32::try_from(range.end).unwrap_or(u32::MAX) }
}

fn not_yaml(source: &str, wrong: &ScanError) -> Box<Diagnostic> {
    let at = wrong.marker().byte_offset().unwrap_or(0).min(source.len());
    let end = source[at..].chars().next().map_or(at, |next| at + next.len_utf8());
    let span = Span { start: u32::try_from(at).unwrap_or(u32::MAX), end: u32::try_from(end).unwrap_or(u32::MAX) };
    let line = source[..at].rfind('\n').map_or(0, |found| found + 1);
    let message = format!("this is not YAML: {}", wrong.kind());
    let problem = Diagnostic::error("Y002", message).at(span);
    Box::new(if source[line..at].contains('\t') || source[at..].starts_with('\t') {
        problem.help("YAML is indented with spaces, never with tabs")
    } else {
        problem
    })
}

/// A list or mapping that has begun, and the key that waits for its value.
struct Open {
    node: Node,
    key: Option<Key>,
}

struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    problems: Vec<Diagnostic>,
    count: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Box<Diagnostic>> {
        match event {
            Event::Scalar(text, style, _, tag) => {
                if let Some(tag) = tag {
                    self.refuse_tag(&tag.to_string(), span);
                }
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted => Style::Single,
                    ScalarStyle::DoubleQuoted => Style::Double,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                };
                self.put(Node { span, kind: Kind::Scalar(Scalar { text: text.as_ref().into(), style }) })
            }
            Event::SequenceStart(_, _, tag) => self.begin(Kind::List(Vec::new()), tag.map(|tag| tag.to_string()), span),
            Event::MappingStart(_, _, tag) => self.begin(Kind::Map(Vec::new()), tag.map(|tag| tag.to_string()), span),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { mut node, .. }) = self.open.pop() else { return Ok(()) };
                node.span.end = end_of(&node, span);
                self.put(node)
            }
            Event::Alias(_) => {
                let help = "write out what it stands for: what a reader sees is what runs";
                Err(Box::new(Diagnostic::error("Y003", "aliases are not followed").at(span).help(help)))
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(Box::new(Diagnostic::error("Y004", "a second document begins here").at(span).help("put it into a file of its own")))
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, kind: Kind, tag: Option<String>, span: Span) -> Result<(), Box<Diagnostic>> {
        if let Some(tag) = tag {
            self.refuse_tag(&tag, span);
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Box::new(Diagnostic::error("Y005", format!("nested deeper than the {MAX_DEPTH} levels allowed")).at(span)));
        }
        self.open.push(Open { node: Node { span, kind }, key: None });
        Ok(())
    }

    fn refuse_tag(&mut self, tag: &str, span: Span) {
        self.problems.push(Diagnostic::error("Y006", format!("the tag `{tag}` means nothing here")).at(span).help("leave it out"));
    }

    fn put(&mut self, node: Node) -> Result<(), Box<Diagnostic>> {
        self.count += 1;
        if self.count > MAX_NODES {
            return Err(Box::new(Diagnostic::error("Y005", format!("more than the {MAX_NODES} values allowed in one file")).at(node.span)));
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut parent.node.kind, parent.key.take()) {
            (Kind::List(items), _) => items.push(node),
            (Kind::Map(entries), Some(key)) => entries.push((key, node)),
            (Kind::Map(_), None) => match node.kind {
                Kind::Scalar(scalar) => parent.key = Some(Key { span: node.span, name: scalar.text }),
                Kind::List(_) | Kind::Map(_) => {
                    let braces = "a value in braces stands in quotes: \"{{ … }}\"";
                    self.problems.push(Diagnostic::error("Y007", "a key must be a name").at(node.span).help(braces));
                    parent.key = Some(Key { span: node.span, name: "".into() });
                }
            },
            (Kind::Scalar(_), _) => unreachable!("only lists and mappings are open"),
        }
        Ok(())
    }
}

/// Where a list or mapping ends: behind the last thing in it, not at whatever comes next.
fn end_of(node: &Node, closing: Span) -> u32 {
    let last = match &node.kind {
        Kind::List(items) => items.last().map(|item| item.span.end),
        Kind::Map(entries) => entries.last().map(|(key, value)| value.span.end.max(key.span.end)),
        Kind::Scalar(_) => None,
    };
    if closing.end > closing.start { closing.end } else { last.unwrap_or(closing.end) }
}

/// Keys that stand twice in one mapping, everywhere in the tree.
pub(crate) fn check_keys(root: &Node, problems: &mut Vec<Diagnostic>) {
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        open.extend(node.items());
        let entries = node.entries();
        open.extend(entries.iter().map(|(_, value)| value));
        let mut seen = std::collections::HashMap::with_capacity(entries.len());
        for (key, _) in entries {
            if let Some(first) = seen.insert(&*key.name, key.span) {
                let problem = Diagnostic::error("Y008", format!("`{}` is given twice", key.name)).at(key.span);
                problems.push(problem.note(first, "it is given here already"));
            }
        }
    }
}
