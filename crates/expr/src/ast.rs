use rust_decimal::Decimal;

use crate::Span;

/// Longest text of one condition.
pub const MAX_SOURCE_BYTES: usize = 16 * 1024;
/// Deepest nesting of one condition; it also bounds the stack that evaluation takes.
pub const MAX_DEPTH: usize = 64;
/// Most nodes of one condition.
pub const MAX_NODES: usize = 4096;

/// A position in an [`Ast`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(pub(crate) u32);

/// A parsed condition: nodes in an arena, each with the text it came from.
#[derive(Clone, Debug)]
pub struct Ast {
    pub(crate) source: Box<str>,
    pub(crate) nodes: Vec<Expr>,
    pub(crate) spans: Vec<Span>,
    pub(crate) root: NodeId,
}

impl Ast {
    /// The text that was parsed.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The node that stands for the whole condition.
    #[must_use]
    pub fn root(&self) -> NodeId {
        self.root
    }

    /// The node at `id`.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Expr {
        &self.nodes[id.0 as usize]
    }

    /// Where the node at `id` stands in the source.
    #[must_use]
    pub fn span(&self, id: NodeId) -> Span {
        self.spans[id.0 as usize]
    }

    /// Shows a node and all that is below it.
    pub(crate) fn each(&self, id: NodeId, see: &mut dyn FnMut(NodeId)) {
        see(id);
        match self.node(id) {
            Expr::Bool(_) | Expr::Number(_) | Expr::Text(_) | Expr::Name(_) => {}
            Expr::List(parts) | Expr::And(parts) | Expr::Or(parts) | Expr::Call(_, parts) => {
                parts.iter().for_each(|part| self.each(*part, see))
            }
            Expr::Not(inner) | Expr::Negate(inner) => self.each(*inner, see),
            Expr::Compare(_, left, right) | Expr::TextTest(_, left, right) | Expr::Arithmetic(_, left, right) => {
                self.each(*left, see);
                self.each(*right, see);
            }
            Expr::In { needle, haystack, .. } => {
                self.each(*needle, see);
                self.each(*haystack, see);
            }
        }
    }

    /// Every name that the condition reads, in the order of the text.
    pub fn paths(&self) -> impl Iterator<Item = (&Path, Span)> {
        self.nodes.iter().zip(&self.spans).filter_map(|(node, span)| match node {
            Expr::Name(path) => Some((path, *span)),
            _ => None,
        })
    }
}

/// One node of a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// `true`, `false`, `always`, `never`.
    Bool(bool),
    /// A decimal number.
    Number(Decimal),
    /// A quoted text.
    Text(Box<str>),
    /// `[a, b, c]`.
    List(Vec<NodeId>),
    /// A value, or a task, by name.
    Name(Path),
    /// `not x`.
    Not(NodeId),
    /// `-x`.
    Negate(NodeId),
    /// `a and b and c`, two or more.
    And(Vec<NodeId>),
    /// `a or b or c`, two or more.
    Or(Vec<NodeId>),
    /// `a < b` and its kin.
    Compare(Comparison, NodeId, NodeId),
    /// `a in list`, `a not in list`.
    In {
        /// What is looked for.
        needle: NodeId,
        /// Where it is looked for.
        haystack: NodeId,
        /// Whether it was written `not in`.
        negated: bool,
    },
    /// `a starts_with b` and its kin.
    TextTest(TextTest, NodeId, NodeId),
    /// `a + b` and its kin.
    Arithmetic(Arithmetic, NodeId, NodeId),
    /// `f(a, b)`.
    Call(Function, Vec<NodeId>),
}

/// A dotted name with optional positions: `RULES.checks[0].difference`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path(pub Vec<Segment>);

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A field.
    Field(Box<str>),
    /// A position in a list, counted from 0.
    Index(u32),
}

impl Path {
    /// The path that leads from a field along another one.
    #[must_use]
    pub fn from(root: &str, rest: &[Segment]) -> Path {
        Path(std::iter::once(Segment::Field(root.into())).chain(rest.iter().cloned()).collect())
    }

    /// The first field of the path; a parsed path starts with one.
    #[must_use]
    pub fn head(&self) -> &str {
        match self.0.first() {
            Some(Segment::Field(name)) => name,
            Some(Segment::Index(_)) | None => "",
        }
    }

    /// The path without its first step.
    #[must_use]
    pub fn tail(&self) -> &[Segment] {
        self.0.get(1..).unwrap_or_default()
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Field(name) if position == 0 => f.write_str(name)?,
                Segment::Field(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A comparison of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// The comparison that holds where this one does not, of the same values.
    pub(crate) fn negated(self) -> Comparison {
        match self {
            Comparison::Equal => Comparison::NotEqual,
            Comparison::NotEqual => Comparison::Equal,
            Comparison::Less => Comparison::GreaterOrEqual,
            Comparison::LessOrEqual => Comparison::Greater,
            Comparison::Greater => Comparison::LessOrEqual,
            Comparison::GreaterOrEqual => Comparison::Less,
        }
    }

    /// The same comparison, its sides exchanged.
    pub(crate) fn mirrored(self) -> Comparison {
        match self {
            Comparison::Equal | Comparison::NotEqual => self,
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        }
    }
}

/// A test of one text against another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum TextTest {
    StartsWith,
    EndsWith,
    /// Text in text, or an item in a list.
    Contains,
}

/// An operation on two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A function of the language. There are no others, and none can be added by a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// The number without its sign.
    Abs,
    /// The smallest of its arguments, or of the numbers in a list.
    Min,
    /// The largest of its arguments, or of the numbers in a list.
    Max,
    /// The sum of its arguments, or of the numbers in a list.
    Sum,
    /// The number rounded to so many decimal places, half away from zero.
    Round,
    /// How many characters a text, or items a list has.
    Length,
    /// The text in lower case.
    Lower,
    /// The text in upper case.
    Upper,
    /// Whether the value is there. The only function, with `default`, that turns unknown into something known.
    Defined,
    /// The first argument, or the second where the first is unknown.
    Default,
    /// Whether the task succeeded.
    Completed,
    /// Whether the task failed or timed out.
    Failed,
    /// Whether the task was skipped.
    Skipped,
    /// Whether the task has ended, however.
    Ended,
}

impl Function {
    pub(crate) const ALL: [(&'static str, Function); 14] = [
        ("abs", Function::Abs),
        ("min", Function::Min),
        ("max", Function::Max),
        ("sum", Function::Sum),
        ("round", Function::Round),
        ("length", Function::Length),
        ("lower", Function::Lower),
        ("upper", Function::Upper),
        ("defined", Function::Defined),
        ("default", Function::Default),
        ("completed", Function::Completed),
        ("failed", Function::Failed),
        ("skipped", Function::Skipped),
        ("ended", Function::Ended),
    ];

    /// The name by which conditions call the function.
    #[must_use]
    pub fn name(self) -> &'static str {
        Function::ALL.iter().find(|(_, function)| *function == self).map_or("", |(name, _)| name)
    }

    pub(crate) fn named(name: &str) -> Option<Function> {
        Function::ALL.iter().find(|(known, _)| *known == name).map(|(_, function)| *function)
    }

    /// How many arguments the function takes: at least, at most.
    pub(crate) fn arity(self) -> (usize, usize) {
        match self {
            Function::Min | Function::Max | Function::Sum => (1, 16),
            Function::Round | Function::Default => (2, 2),
            Function::Abs
            | Function::Length
            | Function::Lower
            | Function::Upper
            | Function::Defined
            | Function::Completed
            | Function::Failed
            | Function::Skipped
            | Function::Ended => (1, 1),
        }
    }
}
