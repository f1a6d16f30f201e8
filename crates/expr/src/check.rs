use crate::ast::{Arithmetic, Ast, Comparison, Expr, Function, NodeId, Path, Segment, TextTest};
use crate::{Decimal, Diagnostic, Range, Span, Type, closest};

/// What names mean where a condition stands. Implemented by whoever knows the tasks and the schemas.
pub trait Names {
    /// What `path` stands for. The path is the whole of what was written.
    fn resolve(&self, path: &Path) -> Resolution;
    /// Names to offer when one is unknown.
    fn known(&self) -> Vec<String>;
}

/// What a [`Path`] stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolution {
    /// A value of this type.
    Value(Type),
    /// A task, without a field. Where true or false is wanted it asks whether the task succeeded; elsewhere it is what
    /// the task returned, which is of this type.
    Task(Type),
    /// Nothing of that name.
    Unknown,
    /// A name that could mean several things; the text names them.
    Ambiguous(String),
    /// A name that exists, but whose value cannot be there when the condition is read; the text says why.
    TooEarly(String),
}

/// A question about a task rather than about what it returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Status {
    Completed,
    Failed,
    Skipped,
    Ended,
}

/// One thing that a condition reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Slot {
    /// A value by its path.
    Value(Path),
    /// How a task ended.
    Status(Status, Box<str>),
}

/// A condition whose names and types are settled.
#[derive(Clone, Debug)]
pub struct Checked {
    pub(crate) ast: Ast,
    pub(crate) slots: Vec<Slot>,
    /// For each name node, and each status function, the slot that it reads.
    pub(crate) reads: Vec<u32>,
    types: Vec<Type>,
    warnings: Vec<Diagnostic>,
}

impl Checked {
    /// The tree, for those who analyse it.
    #[must_use]
    pub fn ast(&self) -> &Ast {
        &self.ast
    }

    /// The type of the whole, or of a part.
    #[must_use]
    pub fn type_of(&self, id: NodeId) -> &Type {
        &self.types[id.0 as usize]
    }

    /// What the condition reads; a [`Scope`](crate::Scope) answers by position in this list.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The position in [`Checked::slots`] that a name, or a question about a task, reads.
    #[must_use]
    pub fn slot_of(&self, id: NodeId) -> Option<usize> {
        let read = self.reads[id.0 as usize];
        (read != NO_SLOT).then_some(read as usize)
    }

    /// What is declared of a slot.
    #[must_use]
    pub fn slot_type(&self, slot: usize) -> &Type {
        let node = self.reads.iter().position(|read| *read as usize == slot);
        node.map_or(&Type::Any, |node| &self.types[node])
    }

    /// Shows what a part reads.
    pub(crate) fn each_slot(&self, part: NodeId, see: &mut dyn FnMut(usize)) {
        self.ast.each(part, &mut |node| self.slot_of(node).into_iter().for_each(&mut *see));
    }

    /// What is hardly meant, although it can be evaluated.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}

pub(crate) const NO_SLOT: u32 = u32::MAX;

impl Ast {
    /// Settles names and types of an expression of any type.
    ///
    /// # Errors
    /// Every mistake, in the order of the text.
    pub fn check(self, names: &dyn Names) -> Result<Checked, Vec<Diagnostic>> {
        self.check_with(names, false)
    }

    /// Settles names and types of a condition, whose value must be true or false.
    ///
    /// # Errors
    /// Every mistake, in the order of the text.
    pub fn check_condition(self, names: &dyn Names) -> Result<Checked, Vec<Diagnostic>> {
        self.check_with(names, true)
    }

    fn check_with(self, names: &dyn Names, condition: bool) -> Result<Checked, Vec<Diagnostic>> {
        let count = self.nodes.len();
        let mut checker = Checker {
            ast: &self,
            names,
            slots: Vec::new(),
            reads: vec![NO_SLOT; count],
            types: vec![Type::Any; count],
            problems: Vec::new(),
        };
        if condition {
            checker.boolean(self.root, "a condition");
        } else {
            checker.infer(self.root);
        }
        let Checker { slots, reads, types, mut problems, .. } = checker;
        problems.sort_by_key(|problem| problem.span.start);
        if problems.iter().any(|problem| problem.severity == crate::Severity::Error) {
            return Err(problems);
        }
        Ok(Checked { ast: self, slots, reads, types, warnings: problems })
    }
}

struct Checker<'a> {
    ast: &'a Ast,
    names: &'a dyn Names,
    slots: Vec<Slot>,
    reads: Vec<u32>,
    types: Vec<Type>,
    problems: Vec<Diagnostic>,
}

impl Checker<'_> {
    fn infer(&mut self, id: NodeId) -> Type {
        let inferred = self.infer_node(id);
        self.types[id.0 as usize] = inferred.clone();
        inferred
    }

    fn infer_node(&mut self, id: NodeId) -> Type {
        let ast = self.ast;
        match ast.node(id) {
            Expr::Bool(_) => Type::Bool,
            Expr::Number(number) => Type::Number(Range::only(*number)),
            Expr::Text(text) => Type::Enum(vec![text.to_string()]),
            Expr::List(items) => self.list(items),
            Expr::Name(path) => self.name(id, path),
            Expr::Not(inner) => {
                self.boolean(*inner, "what `not` negates");
                Type::Bool
            }
            Expr::Negate(inner) => {
                let range = self.number(*inner, "what `-` negates");
                Type::Number(Range { min: range.max.map(|max| -max), max: range.min.map(|min| -min) })
            }
            Expr::And(parts) | Expr::Or(parts) => {
                for part in parts {
                    self.boolean(*part, "each side of `and` and `or`");
                }
                Type::Bool
            }
            Expr::Compare(comparison, left, right) => self.compare(id, *comparison, *left, *right),
            Expr::In { needle, haystack, .. } => self.membership(*needle, *haystack),
            Expr::TextTest(test, left, right) => self.text_test(*test, *left, *right),
            Expr::Arithmetic(operation, left, right) => self.arithmetic(*operation, *left, *right),
            Expr::Call(function, arguments) => self.call(id, *function, arguments),
        }
    }

    fn list(&mut self, items: &[NodeId]) -> Type {
        let mut texts = Vec::new();
        let mut item_type: Option<Type> = None;
        for item in items {
            let found = self.infer(*item);
            if let Type::Enum(values) = &found {
                texts.extend(values.iter().cloned());
            }
            match &item_type {
                None => item_type = Some(found),
                Some(first) if first.meets(&found) => {}
                Some(first) => {
                    let message = format!("this list holds {first} and {found}");
                    self.report("X032", self.ast.span(*item), message, Some("the items of a list are of one type".to_owned()));
                }
            }
        }
        match item_type {
            Some(Type::Enum(_)) => Type::List(Box::new(Type::Enum(texts))),
            // The bounds of the first number say nothing about the others.
            Some(Type::Number(_)) => Type::List(Box::new(Type::NUMBER)),
            Some(other) => Type::List(Box::new(other)),
            None => Type::List(Box::new(Type::Any)),
        }
    }

    fn name(&mut self, id: NodeId, path: &Path) -> Type {
        let span = self.ast.span(id);
        match self.names.resolve(path) {
            Resolution::Value(kind) => {
                self.read(id, Slot::Value(path.clone()));
                kind
            }
            Resolution::Task(kind) => {
                self.read(id, Slot::Value(path.clone()));
                kind
            }
            Resolution::Unknown => {
                self.unknown_name(path, span);
                Type::Any
            }
            Resolution::Ambiguous(meanings) => {
                let help = format!("it could be {meanings}; write the whole name");
                self.report("X031", span, format!("`{path}` is ambiguous"), Some(help));
                Type::Any
            }
            Resolution::TooEarly(reason) => {
                self.report("X034", span, format!("`{path}` cannot be read here: {reason}"), None);
                Type::Any
            }
        }
    }

    fn unknown_name(&mut self, path: &Path, span: Span) {
        let wanted = path.to_string();
        let known = self.names.known();
        let help = match closest(&wanted, known.iter().map(String::as_str)) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None if path.0.len() == 1 && wanted.contains('-') => {
                Some("a name may hold hyphens; put spaces around `-` to subtract".to_owned())
            }
            None if known.is_empty() || known.len() > 12 => None,
            None => Some(format!("known here: {}", known.join(", "))),
        };
        self.report("X030", span, format!("unknown name `{wanted}`"), help);
    }

    fn boolean(&mut self, id: NodeId, place: &str) {
        if let Expr::Name(path) = self.ast.node(id)
            && let Resolution::Task(_) = self.names.resolve(path)
        {
            self.read(id, Slot::Status(Status::Completed, path.head().into()));
            self.types[id.0 as usize] = Type::Bool;
            return;
        }
        let found = self.infer(id);
        if !matches!(found, Type::Bool | Type::Any) {
            self.report("X040", self.ast.span(id), format!("{place} is true or false, but this is {found}"), None);
        }
    }

    fn number(&mut self, id: NodeId, place: &str) -> Range {
        match self.infer(id) {
            Type::Number(range) => range,
            Type::Any => Range::ALL,
            found => {
                self.report("X041", self.ast.span(id), format!("{place} is a number, but this is {found}"), None);
                Range::ALL
            }
        }
    }

    fn compare(&mut self, id: NodeId, comparison: Comparison, left: NodeId, right: NodeId) -> Type {
        let (a, b) = (self.infer(left), self.infer(right));
        let span = self.ast.span(id);
        let ordered = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        if !a.meets(&b) {
            let help = match (&a, &b) {
                (Type::Number(_), Type::Enum(_)) | (Type::Enum(_), Type::Number(_)) => {
                    Some("a number is written without quotes".to_owned())
                }
                _ => None,
            };
            self.report("X042", span, format!("{a} cannot be compared with {b}"), help);
        } else if ordered && ![&a, &b].iter().all(|side| matches!(side, Type::Number(_) | Type::Any)) {
            self.report("X043", span, "only numbers have an order".to_owned(), Some("compare texts with `==` or `in`".to_owned()));
        } else if let (Type::Number(a), Type::Number(b)) = (&a, &b) {
            self.note_fixed_outcome(span, comparison, *a, *b);
        } else if let (Type::Enum(a), Type::Enum(b)) = (&a, &b) {
            self.need_common_value(span, a, b);
        }
        Type::Bool
    }

    fn note_fixed_outcome(&mut self, span: Span, comparison: Comparison, a: Range, b: Range) {
        let Some(outcome) = fixed_outcome(comparison, a, b) else {
            return;
        };
        let text = span.text(self.ast.source());
        let message = if outcome { format!("`{text}` always holds") } else { format!("`{text}` can never hold") };
        let declared = Type::Number(if a.min.is_some() && a.min == a.max { b } else { a });
        self.problems.push(Diagnostic::new("X044", span, message).help(format!("the value is declared as {declared}")).warning());
    }

    fn need_common_value(&mut self, span: Span, a: &[String], b: &[String]) {
        if a.iter().any(|value| b.contains(value)) {
            return;
        }
        let (written, declared) = if a.len() == 1 { (a, b) } else { (b, a) };
        let help = match written.first().and_then(|value| closest(value, declared.iter().map(String::as_str))) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("it is one of {}", declared.join(", ")),
        };
        let message = format!("'{}' is not a value that this can have", written.join("', '"));
        self.report("X045", span, message, Some(help));
    }

    fn membership(&mut self, needle: NodeId, haystack: NodeId) -> Type {
        let wanted = self.infer(needle);
        let span = self.ast.span(haystack);
        match self.infer(haystack) {
            Type::Any => {}
            Type::List(items) if !wanted.meets(&items) => {
                self.report("X042", span, format!("{wanted} cannot be in {}", Type::List(items)), None);
            }
            Type::List(items) => {
                if let (Type::Enum(declared), Type::Enum(_), Expr::List(parts)) = (&wanted, &*items, self.ast.node(haystack)) {
                    for part in parts.clone() {
                        if let Type::Enum(value) = self.types[part.0 as usize].clone() {
                            self.need_common_value(self.ast.span(part), &value, declared);
                        }
                    }
                }
            }
            Type::Text | Type::Enum(_) => {
                self.report("X046", span, "`in` looks into a list".to_owned(), Some("for a text write `text contains part`".to_owned()));
            }
            other => self.report("X046", span, format!("`in` looks into a list, but this is {other}"), None),
        }
        Type::Bool
    }

    fn text_test(&mut self, test: TextTest, left: NodeId, right: NodeId) -> Type {
        let (subject, part) = (self.infer(left), self.infer(right));
        if let (TextTest::Contains, Type::List(item)) = (test, &subject) {
            if !item.meets(&part) {
                self.report("X042", self.ast.span(right), format!("this list holds {item}, and never {part}"), None);
            }
        } else {
            for (side, id) in [(&subject, left), (&part, right)] {
                if !side.is_text() {
                    self.report("X047", self.ast.span(id), format!("a text is needed here, but this is {side}"), None);
                }
            }
        }
        Type::Bool
    }

    fn arithmetic(&mut self, operation: Arithmetic, left: NodeId, right: NodeId) -> Type {
        let a = self.number(left, "each side of an arithmetic operation");
        let b = self.number(right, "each side of an arithmetic operation");
        if matches!(operation, Arithmetic::Divide | Arithmetic::Remainder) && b == Range::only(Decimal::ZERO) {
            self.report("X048", self.ast.span(right), "this divides by zero".to_owned(), None);
        }
        let both = |x: Option<Decimal>, y: Option<Decimal>, f: fn(Decimal, Decimal) -> Option<Decimal>| x.zip(y).and_then(|(x, y)| f(x, y));
        Type::Number(match operation {
            Arithmetic::Add => Range { min: both(a.min, b.min, Decimal::checked_add), max: both(a.max, b.max, Decimal::checked_add) },
            Arithmetic::Subtract => Range { min: both(a.min, b.max, Decimal::checked_sub), max: both(a.max, b.min, Decimal::checked_sub) },
            Arithmetic::Multiply | Arithmetic::Divide | Arithmetic::Remainder => Range::ALL,
        })
    }

    fn call(&mut self, id: NodeId, function: Function, arguments: &[NodeId]) -> Type {
        match function {
            Function::Completed | Function::Failed | Function::Skipped | Function::Ended => {
                self.ask_status(id, function, arguments[0]);
                Type::Bool
            }
            Function::Defined => {
                self.infer(arguments[0]);
                Type::Bool
            }
            Function::Default => {
                let (a, b) = (self.infer(arguments[0]), self.infer(arguments[1]));
                if !a.meets(&b) {
                    let span = self.ast.span(arguments[1]);
                    self.report("X042", span, format!("the default is {b}, but the value is {a}"), None);
                }
                joined(a, b)
            }
            Function::Abs => match self.number(arguments[0], "the argument of `abs`") {
                Range { min: Some(min), max } if min >= Decimal::ZERO => Type::Number(Range { min: Some(min), max }),
                range => {
                    let max = range.min.zip(range.max).map(|(min, max)| min.abs().max(max.abs()));
                    Type::Number(Range { min: Some(Decimal::ZERO), max })
                }
            },
            Function::Round => {
                self.number(arguments[0], "what `round` rounds");
                let places = self.number(arguments[1], "the number of places");
                if !matches!(places, Range { min: Some(min), max: Some(max) } if min == max && min.scale() == 0 && (Decimal::ZERO..=Decimal::from(28)).contains(&min))
                {
                    self.report("X049", self.ast.span(arguments[1]), "the number of places is a constant from 0 to 28".to_owned(), None);
                }
                Type::NUMBER
            }
            Function::Min | Function::Max | Function::Sum => {
                for argument in arguments {
                    let found = self.infer(*argument);
                    let list =
                        matches!(&found, Type::List(items) if matches!(**items, Type::Number(_) | Type::Any)) && arguments.len() == 1;
                    if !list && !matches!(found, Type::Number(_) | Type::Any) {
                        let message = format!("`{}` takes numbers, or one list of numbers, but this is {found}", function.name());
                        self.report("X041", self.ast.span(*argument), message, None);
                    }
                }
                Type::NUMBER
            }
            Function::Length => {
                let found = self.infer(arguments[0]);
                if !found.is_text() && !matches!(found, Type::List(_)) {
                    self.report("X047", self.ast.span(arguments[0]), format!("a text or a list has a length, but this is {found}"), None);
                }
                Type::Number(Range { min: Some(Decimal::ZERO), max: None })
            }
            Function::Lower | Function::Upper => {
                let found = self.infer(arguments[0]);
                if !found.is_text() {
                    self.report("X047", self.ast.span(arguments[0]), format!("a text is needed here, but this is {found}"), None);
                }
                Type::Text
            }
        }
    }

    fn ask_status(&mut self, id: NodeId, function: Function, argument: NodeId) {
        let span = self.ast.span(argument);
        let Expr::Name(path) = self.ast.node(argument) else {
            self.report("X050", span, format!("`{}` asks about a task by its name", function.name()), None);
            return;
        };
        let head = Path(vec![Segment::Field(path.head().into())]);
        match self.names.resolve(&head) {
            Resolution::Task(_) if path.0.len() == 1 => {
                let status = match function {
                    Function::Failed => Status::Failed,
                    Function::Skipped => Status::Skipped,
                    Function::Ended => Status::Ended,
                    _ => Status::Completed,
                };
                self.read(id, Slot::Status(status, path.head().into()));
            }
            Resolution::Task(_) => self.report("X050", span, format!("`{}` asks about a task, not about a field", function.name()), None),
            Resolution::TooEarly(reason) => self.report("X034", span, format!("`{path}` cannot be asked here: {reason}"), None),
            Resolution::Value(_) | Resolution::Unknown | Resolution::Ambiguous(_) => {
                let known = self.names.known();
                let help = closest(path.head(), known.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
                self.report("X050", span, format!("there is no task `{path}`"), help);
            }
        }
    }

    fn read(&mut self, id: NodeId, slot: Slot) {
        let position = self.slots.iter().position(|known| *known == slot).unwrap_or_else(|| {
            self.slots.push(slot);
            self.slots.len() - 1
        });
        self.reads[id.0 as usize] = u32::try_from(position).expect("no more slots than nodes");
    }

    fn report(&mut self, code: &'static str, span: Span, message: String, help: Option<String>) {
        let mut problem = Diagnostic::new(code, span, message);
        problem.help = help;
        self.problems.push(problem);
    }
}

/// The type that holds the values of both.
fn joined(a: Type, b: Type) -> Type {
    match (a, b) {
        (Type::Number(a), Type::Number(b)) => {
            Type::Number(Range { min: a.min.zip(b.min).map(|(a, b)| a.min(b)), max: a.max.zip(b.max).map(|(a, b)| a.max(b)) })
        }
        (Type::Enum(mut a), Type::Enum(b)) => {
            a.extend(b);
            Type::Enum(a)
        }
        (a, b) if a == b => a,
        (Type::Text | Type::Enum(_), Type::Text | Type::Enum(_)) => Type::Text,
        _ => Type::Any,
    }
}

/// The outcome of comparing any number of `a` with any of `b`, where it is always the same.
fn fixed_outcome(comparison: Comparison, a: Range, b: Range) -> Option<bool> {
    let below = |x: Option<Decimal>, y: Option<Decimal>| x.zip(y).is_some_and(|(x, y)| x < y);
    let at_most = |x: Option<Decimal>, y: Option<Decimal>| x.zip(y).is_some_and(|(x, y)| x <= y);
    let decide = |holds: bool, fails: bool| if holds { Some(true) } else { fails.then_some(false) };
    match comparison {
        Comparison::Less => decide(below(a.max, b.min), at_most(b.max, a.min)),
        Comparison::LessOrEqual => decide(at_most(a.max, b.min), below(b.max, a.min)),
        Comparison::Greater => decide(below(b.max, a.min), at_most(a.max, b.min)),
        Comparison::GreaterOrEqual => decide(at_most(b.max, a.min), below(a.max, b.min)),
        Comparison::Equal => decide(false, below(a.max, b.min) || below(b.max, a.min)),
        Comparison::NotEqual => decide(below(a.max, b.min) || below(b.max, a.min), false),
    }
}
