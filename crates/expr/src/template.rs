use crate::{Ast, Diagnostic, Span, parse};

/// A string with `{{ expression }}` in it.
#[derive(Clone, Debug)]
pub struct Template {
    /// Its pieces, in order.
    pub parts: Vec<Part>,
}

/// One piece of a [`Template`].
#[derive(Clone, Debug)]
pub enum Part {
    /// Text that stands as it is.
    Literal(String),
    /// An expression, and where it begins in the template.
    Expression(Ast, u32),
}

impl Template {
    /// Splits `source` at its expressions and parses each of them.
    ///
    /// # Errors
    /// Every expression that does not parse; places count from the start of the template.
    pub fn parse(source: &str) -> Result<Template, Vec<Diagnostic>> {
        let mut parts = Vec::new();
        let mut problems = Vec::new();
        let mut rest = 0;
        while let Some(found) = source[rest..].find("{{") {
            let open = rest + found;
            if open > rest {
                parts.push(Part::Literal(source[rest..open].to_owned()));
            }
            let inside = open + 2;
            let Some(length) = closing(&source[inside..]) else {
                let wrong = Diagnostic::new("X060", Span::new(open, inside), "this `{{` is never closed");
                problems.push(wrong.help("end the expression with `}}`"));
                return Err(problems);
            };
            match parse(&source[inside..inside + length]) {
                Ok(ast) => parts.push(Part::Expression(ast, Span::new(inside, inside).start)),
                Err(mut problem) => {
                    problem.span = Span::new(problem.span.start as usize + inside, problem.span.end as usize + inside);
                    problems.push(problem);
                }
            }
            rest = inside + length + 2;
        }
        if rest < source.len() {
            parts.push(Part::Literal(source[rest..].to_owned()));
        }
        if problems.is_empty() { Ok(Template { parts }) } else { Err(problems) }
    }

    /// Whether there is nothing to fill in.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Literal(_)))
    }
}

/// Where the `}}` stands that ends an expression: quoted text may hold one of its own.
fn closing(source: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    let mut previous = ' ';
    for (at, next) in source.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if next == '\\' => escaped = true,
            Some(open) if next == open => quote = None,
            Some(_) => {}
            None if next == '\'' || next == '"' => quote = Some(next),
            None if next == '}' && previous == '}' => return Some(at - 1),
            None => {}
        }
        previous = if quote.is_some() { ' ' } else { next };
    }
    None
}
