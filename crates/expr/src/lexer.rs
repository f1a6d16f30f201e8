use rust_decimal::Decimal;

use crate::{Diagnostic, Span};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Name(Box<str>),
    Number(Decimal),
    Text(Box<str>),
    And,
    Or,
    Not,
    In,
    Is(&'static str),
    End,
}

/// Splits `source` into tokens, the last of which is [`Token::End`]. Stops at the first character it cannot read.
pub(crate) fn tokens(source: &str) -> Result<Vec<(Token, Span)>, Diagnostic> {
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    loop {
        let (token, span) = lexer.next()?;
        let last = token == Token::End;
        tokens.push((token, span));
        if last {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

const SYMBOLS: [&str; 19] = ["==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", ",", ".", "+", "-", "*", "/", "%", "{", "}"];

impl Lexer<'_> {
    fn next(&mut self) -> Result<(Token, Span), Diagnostic> {
        self.skip_while(char::is_whitespace);
        let start = self.at;
        let Some(first) = self.peek() else {
            return Ok((Token::End, Span::new(start, start)));
        };
        let token = match first {
            'a'..='z' | 'A'..='Z' | '_' => self.name(),
            '0'..='9' => self.number()?,
            '\'' | '"' => self.text(first)?,
            _ => self.symbol(first)?,
        };
        Ok((token, Span::new(start, self.at)))
    }

    fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    fn skip_while(&mut self, accept: impl Fn(char) -> bool) {
        while let Some(next) = self.peek().filter(|next| accept(*next)) {
            self.at += next.len_utf8();
        }
    }

    /// A name may hold hyphens, as task ids do; a hyphen belongs to the name when it stands directly between its letters or digits.
    fn name(&mut self) -> Token {
        let start = self.at;
        loop {
            self.skip_while(|next| next.is_ascii_alphanumeric() || next == '_');
            let mut rest = self.source[self.at..].chars();
            if rest.next() == Some('-') && rest.next().is_some_and(|next| next.is_ascii_alphanumeric()) {
                self.at += 1;
            } else {
                break;
            }
        }
        match &self.source[start..self.at] {
            "and" => Token::And,
            "or" => Token::Or,
            "not" => Token::Not,
            "in" => Token::In,
            "starts_with" => Token::Is("starts_with"),
            "ends_with" => Token::Is("ends_with"),
            "contains" => Token::Is("contains"),
            name => Token::Name(name.into()),
        }
    }

    fn number(&mut self) -> Result<Token, Diagnostic> {
        let start = self.at;
        self.skip_while(|next| next.is_ascii_digit() || next == '_');
        let mut rest = self.source[self.at..].chars();
        if rest.next() == Some('.') && rest.next().is_some_and(|next| next.is_ascii_digit()) {
            self.at += 1;
            self.skip_while(|next| next.is_ascii_digit() || next == '_');
        }
        let span = Span::new(start, self.at);
        if self.peek().is_some_and(|next| next.is_alphanumeric() || next == '_') {
            self.skip_while(|next| next.is_alphanumeric() || next == '_');
            let text = &self.source[start..self.at];
            let wrong = Diagnostic::new("X001", Span::new(start, self.at), format!("`{text}` is neither a number nor a name"));
            return Err(wrong.help("numbers are written 5000 or 0.85; a name starts with a letter"));
        }
        // Decimal rounds digits it cannot hold; a constant must be exactly what was written.
        Decimal::from_str_exact(&span.text(self.source).replace('_', "")).map(Token::Number).map_err(|_| {
            Diagnostic::new("X002", span, "this number has more than 28 digits").help("numbers are exact decimals of up to 28 digits")
        })
    }

    fn text(&mut self, quote: char) -> Result<Token, Diagnostic> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        while let Some(next) = self.peek() {
            self.at += next.len_utf8();
            match next {
                _ if next == quote => return Ok(Token::Text(text.into())),
                '\\' => match self.peek() {
                    Some(escaped @ ('\\' | '\'' | '"')) => {
                        text.push(escaped);
                        self.at += 1;
                    }
                    _ => {
                        let span = Span::new(self.at - 1, self.at);
                        let wrong = Diagnostic::new("X004", span, "a backslash stands before a quote or a backslash only");
                        return Err(wrong.help("write `\\\\` for one backslash"));
                    }
                },
                _ => text.push(next),
            }
        }
        let opening = Span::new(start, start + 1);
        Err(Diagnostic::new("X003", opening, "this quote is never closed").help(format!("end the text with {quote}")))
    }

    fn symbol(&mut self, first: char) -> Result<Token, Diagnostic> {
        let rest = &self.source[self.at..];
        if let Some((written, meant)) =
            [("&&", "and"), ("||", "or"), ("<>", "!="), ("=>", ">="), ("=<", "<=")].iter().find(|(written, _)| rest.starts_with(written))
        {
            let span = Span::new(self.at, self.at + written.len());
            return Err(Diagnostic::new("X005", span, format!("`{written}` is not an operator here")).help(format!("write `{meant}`")));
        }
        if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            self.at += symbol.len();
            return Ok(Token::Is(symbol));
        }
        let span = Span::new(self.at, self.at + first.len_utf8());
        Err(match first {
            '=' => Diagnostic::new("X005", span, "`=` does not compare").help("write `==`"),
            '!' => Diagnostic::new("X005", span, "`!` is not an operator here").help("write `not`"),
            _ => Diagnostic::new("X006", span, format!("the character `{}` has no meaning here", first.escape_default())),
        })
    }
}
