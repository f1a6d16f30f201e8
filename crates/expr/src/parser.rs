use crate::ast::{Arithmetic, Ast, Comparison, Expr, Function, MAX_DEPTH, MAX_NODES, MAX_SOURCE_BYTES, NodeId, Path, Segment, TextTest};
use crate::lexer::{Token, tokens};
use crate::{Diagnostic, Span, closest};

/// Parses one condition or expression.
///
/// # Errors
/// The first mistake of form, with its place. Mistakes of meaning are found by [`Ast::check`], all at once.
pub fn parse(source: &str) -> Result<Ast, Diagnostic> {
    if source.len() > MAX_SOURCE_BYTES {
        let message = format!("this condition has {} bytes, more than the {MAX_SOURCE_BYTES} allowed", source.len());
        return Err(Diagnostic::new("X010", Span::new(0, 0), message).help("split it over several tasks or rules"));
    }
    let tokens = tokens(source)?;
    let mut parser = Parser { source, tokens, at: 0, nodes: Vec::new(), spans: Vec::new(), depths: Vec::new(), nesting: 0 };
    let root = parser.expression()?;
    parser.expect_end()?;
    Ok(Ast { source: source.into(), nodes: parser.nodes, spans: parser.spans, root })
}

struct Parser<'a> {
    source: &'a str,
    tokens: Vec<(Token, Span)>,
    at: usize,
    nodes: Vec<Expr>,
    spans: Vec<Span>,
    /// Height of the tree under each node.
    depths: Vec<usize>,
    nesting: usize,
}

type Parsed = Result<NodeId, Diagnostic>;

impl Parser<'_> {
    fn expression(&mut self) -> Parsed {
        self.nesting += 1;
        if self.nesting > MAX_DEPTH {
            return Err(self.too_deep());
        }
        let parsed = self.series(&Token::Or, Expr::Or, |parser| parser.series(&Token::And, Expr::And, Parser::negation));
        self.nesting -= 1;
        parsed
    }

    /// `a and b and c` becomes one node, so that long rules stay flat.
    fn series(&mut self, operator: &Token, build: fn(Vec<NodeId>) -> Expr, mut operand: impl FnMut(&mut Self) -> Parsed) -> Parsed {
        let first = operand(self)?;
        if self.peek() != operator {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.peek() == operator {
            self.at += 1;
            operands.push(operand(self)?);
        }
        let span = self.spans[first.0 as usize].to(self.last_span());
        self.add(build(operands), span)
    }

    fn negation(&mut self) -> Parsed {
        let start = self.span();
        let mut count = 0;
        while self.peek() == &Token::Not {
            self.at += 1;
            count += 1;
        }
        let operand = self.comparison()?;
        match count {
            0 => Ok(operand),
            1 => {
                let span = start.to(self.last_span());
                self.add(Expr::Not(operand), span)
            }
            _ => Err(Diagnostic::new("X016", start, "`not not` says nothing").help("write it once, or leave it out")),
        }
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.sum()?;
        let Some(operator) = self.comparison_operator() else {
            return Ok(left);
        };
        let right = self.sum()?;
        let span = self.spans[left.0 as usize].to(self.last_span());
        let node = match operator {
            Relation::Compare(comparison) => Expr::Compare(comparison, left, right),
            Relation::In { negated } => Expr::In { needle: left, haystack: right, negated },
            Relation::Text(test) => Expr::TextTest(test, left, right),
        };
        let node = self.add(node, span)?;
        let next = self.span();
        if self.comparison_operator().is_some() {
            let wrong = Diagnostic::new("X015", next, "comparisons cannot be chained");
            return Err(wrong.help("write `a < b and b < c`"));
        }
        Ok(node)
    }

    fn comparison_operator(&mut self) -> Option<Relation> {
        let (relation, taken) = match (self.peek(), self.peek_at(1)) {
            (Token::Not, Token::In) => (Relation::In { negated: true }, 2),
            (Token::In, _) => (Relation::In { negated: false }, 1),
            (Token::Is(symbol), _) => {
                let relation = match *symbol {
                    "==" => Relation::Compare(Comparison::Equal),
                    "!=" => Relation::Compare(Comparison::NotEqual),
                    "<" => Relation::Compare(Comparison::Less),
                    "<=" => Relation::Compare(Comparison::LessOrEqual),
                    ">" => Relation::Compare(Comparison::Greater),
                    ">=" => Relation::Compare(Comparison::GreaterOrEqual),
                    "starts_with" => Relation::Text(TextTest::StartsWith),
                    "ends_with" => Relation::Text(TextTest::EndsWith),
                    "contains" => Relation::Text(TextTest::Contains),
                    _ => return None,
                };
                (relation, 1)
            }
            _ => return None,
        };
        self.at += taken;
        Some(relation)
    }

    fn sum(&mut self) -> Parsed {
        self.arithmetic(&[("+", Arithmetic::Add), ("-", Arithmetic::Subtract)], |parser| {
            parser.arithmetic(&[("*", Arithmetic::Multiply), ("/", Arithmetic::Divide), ("%", Arithmetic::Remainder)], Parser::factor)
        })
    }

    fn arithmetic(&mut self, operators: &[(&str, Arithmetic)], mut operand: impl FnMut(&mut Self) -> Parsed) -> Parsed {
        let mut left = operand(self)?;
        while let Token::Is(symbol) = self.peek()
            && let Some((_, operation)) = operators.iter().find(|(known, _)| known == symbol)
        {
            self.at += 1;
            let right = operand(self)?;
            let span = self.spans[left.0 as usize].to(self.last_span());
            left = self.add(Expr::Arithmetic(*operation, left, right), span)?;
        }
        Ok(left)
    }

    fn factor(&mut self) -> Parsed {
        let start = self.span();
        if !self.take("-") {
            return self.primary();
        }
        let operand = self.primary()?;
        let span = start.to(self.last_span());
        match self.nodes[operand.0 as usize] {
            Expr::Number(number) => self.add(Expr::Number(-number), span),
            _ => self.add(Expr::Negate(operand), span),
        }
    }

    fn primary(&mut self) -> Parsed {
        let (token, span) = self.tokens[self.at].clone();
        self.at += 1;
        match token {
            Token::Number(number) => self.add(Expr::Number(number), span),
            Token::Text(text) => self.add(Expr::Text(text), span),
            Token::Is("(") => {
                let inner = self.expression()?;
                self.close(")", span)?;
                Ok(inner)
            }
            Token::Is("[") => {
                let items = self.items("]", span)?;
                let span = span.to(self.last_span());
                self.add(Expr::List(items), span)
            }
            Token::Name(name) => match &*name {
                "true" | "always" => self.add(Expr::Bool(true), span),
                "false" | "never" => self.add(Expr::Bool(false), span),
                "null" | "none" | "None" => {
                    let wrong = Diagnostic::new("X014", span, format!("there is no `{name}`: a missing value is unknown"));
                    Err(wrong.help("ask `defined(x)` or `not defined(x)`"))
                }
                _ if self.peek() == &Token::Is("(") => self.call(&name, span),
                _ => self.path(name, span),
            },
            Token::And | Token::Or | Token::In | Token::Not | Token::Is(_) => {
                let found = span.text(self.source);
                let wrong = Diagnostic::new("X011", span, format!("a value is missing before `{found}`"));
                Err(match found {
                    "not" => wrong.help("put what is negated in parentheses: `not (a in b)`"),
                    "{" => wrong.help("a condition stands without braces"),
                    "and" | "or" | "in" => wrong.help(format!("`{found}` is a word of the language and cannot be a name")),
                    _ => wrong.help("write a name, a number, a quoted text, a list or a group in parentheses"),
                })
            }
            Token::End if self.source.trim().is_empty() => {
                Err(Diagnostic::new("X012", span, "the condition is empty").help("write `always` for one that always holds"))
            }
            Token::End => Err(Diagnostic::new("X011", span, "the condition ends where a value should stand")),
        }
    }

    fn call(&mut self, name: &str, span: Span) -> Parsed {
        let Some(function) = Function::named(name) else {
            let wrong = Diagnostic::new("X020", span, format!("there is no function `{name}`"));
            let known = Function::ALL.iter().map(|(known, _)| *known);
            return Err(match closest(name, known.clone()) {
                Some(near) => wrong.help(format!("did you mean `{near}`?")),
                None => wrong.help(format!("there are {}", known.collect::<Vec<_>>().join(", "))),
            });
        };
        let opening = self.span();
        self.at += 1;
        let arguments = self.items(")", opening)?;
        let span = span.to(self.last_span());
        let (least, most) = function.arity();
        if arguments.len() < least || arguments.len() > most {
            let takes = if least == most { format!("{least}") } else { format!("{least} to {most}") };
            let message = format!("`{name}` takes {takes} argument{}, not {}", if takes == "1" { "" } else { "s" }, arguments.len());
            return Err(Diagnostic::new("X021", span, message));
        }
        self.add(Expr::Call(function, arguments), span)
    }

    fn items(&mut self, closing: &'static str, opening: Span) -> Result<Vec<NodeId>, Diagnostic> {
        let mut items = Vec::new();
        if self.take(closing) {
            return Ok(items);
        }
        loop {
            items.push(self.expression()?);
            if !self.take(",") {
                self.close(closing, opening)?;
                return Ok(items);
            }
        }
    }

    fn path(&mut self, head: Box<str>, start: Span) -> Parsed {
        let mut segments = vec![Segment::Field(head)];
        loop {
            if self.take(".") {
                let span = self.span();
                let text = span.text(self.source);
                let word = matches!(self.peek(), Token::Name(_) | Token::And | Token::Or | Token::Not | Token::In)
                    || matches!(self.peek(), Token::Is(symbol) if symbol.len() > 2);
                if !word {
                    return Err(Diagnostic::new("X013", span, "the name of a field is missing after `.`"));
                }
                segments.push(Segment::Field(text.into()));
                self.at += 1;
            } else if self.peek() == &Token::Is("[") && self.span().start == self.last_span().end {
                self.at += 1;
                let span = self.span();
                let index = match self.peek() {
                    Token::Number(number) => u32::try_from(*number).ok().filter(|_| number.scale() == 0),
                    _ => None,
                };
                let Some(index) = index else {
                    let wrong = Diagnostic::new("X013", span, "a position in a list is a whole number");
                    return Err(wrong.help("positions count from 0: `items[0]`"));
                };
                self.at += 1;
                self.close("]", span)?;
                segments.push(Segment::Index(index));
            } else {
                let span = start.to(self.last_span());
                return self.add(Expr::Name(Path(segments)), span);
            }
        }
    }

    fn add(&mut self, node: Expr, span: Span) -> Parsed {
        let below = children(&node).map(|child| self.depths[child.0 as usize]).max().unwrap_or(0);
        if below >= MAX_DEPTH {
            return Err(self.too_deep());
        }
        if self.nodes.len() >= MAX_NODES {
            let message = format!("this condition has more than the {MAX_NODES} parts allowed");
            return Err(Diagnostic::new("X010", span, message).help("split it over several tasks or rules"));
        }
        let id = NodeId(u32::try_from(self.nodes.len()).expect("MAX_NODES fits"));
        self.nodes.push(node);
        self.spans.push(span);
        self.depths.push(below + 1);
        Ok(id)
    }

    fn too_deep(&self) -> Diagnostic {
        let message = format!("this condition is nested deeper than the {MAX_DEPTH} levels allowed");
        Diagnostic::new("X010", self.span(), message).help("split it over several tasks or rules")
    }

    fn expect_end(&mut self) -> Result<(), Diagnostic> {
        let span = self.span();
        match self.peek() {
            Token::End => Ok(()),
            Token::Is(")") => Err(Diagnostic::new("X017", span, "this parenthesis was never opened")),
            _ => {
                let wrong = Diagnostic::new("X018", span, format!("nothing joins `{}` to what stands before it", span.text(self.source)));
                Err(wrong.help("join two conditions with `and` or `or`; a text needs quotes"))
            }
        }
    }

    fn close(&mut self, closing: &'static str, opening: Span) -> Result<(), Diagnostic> {
        if self.take(closing) {
            return Ok(());
        }
        let found = match self.peek() {
            Token::End => "the condition ends".to_owned(),
            _ => format!("`{}` stands there", self.span().text(self.source)),
        };
        Err(Diagnostic::new("X019", opening, format!("this is not closed with `{closing}`: {found}")))
    }

    fn take(&mut self, symbol: &'static str) -> bool {
        let found = self.peek() == &Token::Is(symbol);
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> &Token {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> &Token {
        &self.tokens[(self.at + ahead).min(self.tokens.len() - 1)].0
    }

    fn span(&self) -> Span {
        self.tokens[self.at.min(self.tokens.len() - 1)].1
    }

    fn last_span(&self) -> Span {
        self.tokens[self.at - 1].1
    }
}

enum Relation {
    Compare(Comparison),
    In { negated: bool },
    Text(TextTest),
}

pub(crate) fn children(node: &Expr) -> Box<dyn Iterator<Item = NodeId> + '_> {
    match node {
        Expr::Bool(_) | Expr::Number(_) | Expr::Text(_) | Expr::Name(_) => Box::new(std::iter::empty()),
        Expr::Not(inner) | Expr::Negate(inner) => Box::new(std::iter::once(*inner)),
        Expr::List(items) | Expr::And(items) | Expr::Or(items) | Expr::Call(_, items) => Box::new(items.iter().copied()),
        Expr::Compare(_, left, right)
        | Expr::TextTest(_, left, right)
        | Expr::Arithmetic(_, left, right)
        | Expr::In { needle: left, haystack: right, .. } => Box::new([*left, *right].into_iter()),
    }
}
