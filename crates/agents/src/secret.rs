//! Values that stand elsewhere: `env:NAME` is read from the environment and `file:PATH` from a file, when it is needed and not
//! before. What is read is never shown: not in errors, not in logs, not where this is printed.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use quorate_core::{Failure, FailureClass};

use crate::{Outcome, Voice};

/// Longest secret that is read from a file.
const MAX_SECRET_BYTES: u64 = 64 * 1024;
/// What stands where a text was cut.
const CUT: char = '…';

/// A value, or where it stands.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// As it is written. It is not a secret any more.
    Plain(String),
    /// In a variable of the environment, with what stands around it: `Bearer env:TOKEN`.
    Env {
        /// What stands before it.
        before: String,
        /// The variable.
        name: String,
    },
    /// In a file, without the white space around it.
    File {
        /// What stands before it.
        before: String,
        /// Its path, as it is written.
        path: String,
        /// The folder from which the path leads.
        from: PathBuf,
    },
}

impl Secret {
    /// Reads `env:NAME`, `file:PATH`, either of them behind a word such as `Bearer`, or a value as it is. Paths lead from the
    /// folder `from`.
    #[must_use]
    pub fn parse(text: &str, from: &Path) -> Secret {
        let (before, last) = text.rsplit_once(' ').map_or(("", text), |(before, last)| (&text[..=before.len()], last));
        let before = before.to_owned();
        if let Some(name) = last.strip_prefix("env:").filter(|name| !name.is_empty()) {
            return Secret::Env { before, name: name.to_owned() };
        }
        if let Some(path) = last.strip_prefix("file:").filter(|path| !path.is_empty() && !path.starts_with("//")) {
            return Secret::File { before, path: path.to_owned(), from: from.to_owned() };
        }
        Secret::Plain(text.to_owned())
    }

    /// The value.
    ///
    /// # Errors
    /// A failure that names where it should stand, and not what stands there.
    pub fn reveal(&self) -> Result<String, Failure> {
        let missing = |why: &str| Failure::new(FailureClass::Invalid, format!("the value of `{self}` is missing: {why}")).unsent();
        match self {
            Secret::Plain(text) => Ok(text.clone()),
            Secret::Env { before, name } => match std::env::var(name) {
                Ok(value) if !value.trim().is_empty() => Ok(format!("{before}{}", value.trim())),
                Ok(_) => Err(missing("the variable is empty")),
                Err(std::env::VarError::NotPresent) => Err(missing("the variable is not set")),
                Err(std::env::VarError::NotUnicode(_)) => Err(missing("the variable is not text")),
            },
            Secret::File { before, path, from } => {
                let path = from.join(path);
                match std::fs::metadata(&path) {
                    Ok(about) if about.len() > MAX_SECRET_BYTES => Err(missing("the file is too long for a secret")),
                    Ok(_) => {
                        let text = std::fs::read_to_string(&path).map_err(|wrong| missing(&wrong.to_string()))?;
                        Ok(format!("{before}{}", text.trim()))
                    }
                    Err(wrong) => Err(missing(&wrong.to_string())),
                }
            }
        }
    }
}

/// Secrets that were read for a call, so that none of them comes back with its outcome.
#[derive(Default)]
pub(crate) struct Revealed(Vec<(String, String)>);

impl Revealed {
    /// Shorter values are no secrets, and stand in every other text.
    const SHORTEST: usize = 6;
    /// Shorter pieces tell nothing.
    const SHORTEST_PIECE: usize = 3;

    /// Reads a value, and remembers it where it is a secret.
    pub(crate) fn reveal(&mut self, secret: &Secret) -> Result<String, Failure> {
        let value = secret.reveal()?;
        let (Secret::Env { before, .. } | Secret::File { before, .. }) = secret else { return Ok(value) };
        let bare = &value[before.len()..];
        if bare.len() >= Revealed::SHORTEST {
            let name = &secret.to_string()[before.len()..];
            self.0.extend(forms(bare).into_iter().map(|form| (name.to_owned(), form)));
        }
        Ok(value)
    }

    /// A text in which every secret is replaced by where it stands, also where escapes hide it or only a piece is left of it.
    pub(crate) fn redacted(&self, text: &str) -> String {
        let plain = readings(text).find(|reading| self.found_in(reading).is_some());
        let text = plain.unwrap_or(Cow::Borrowed(text)).into_owned();
        let text = self.0.iter().fold(text, |text, (name, value)| text.replace(value.as_str(), &format!("({name})")));
        self.without_pieces(text)
    }

    fn found_in(&self, text: &str) -> Option<&str> {
        self.0.iter().find(|(_, value)| text.contains(value.as_str())).map(|(name, _)| name.as_str())
    }

    /// What was cut off may have been cut in the middle of a secret.
    fn without_pieces(&self, mut text: String) -> String {
        let mut from = 0;
        while let Some(at) = text[from..].find(CUT).map(|at| at + from) {
            let after = at + CUT.len_utf8();
            let begins = self.longest(|value, length| value.is_char_boundary(length) && text[..at].ends_with(&value[..length]));
            let ends = self.longest(|value, length| {
                let start = value.len() - length;
                value.is_char_boundary(start) && text[after..].starts_with(&value[start..])
            });
            if let Some((name, length)) = ends {
                text.replace_range(after..after + length, &format!("({name})"));
            }
            from = after;
            if let Some((name, length)) = begins {
                let instead = format!("({name})");
                text.replace_range(at - length..at, &instead);
                from = after - length + instead.len();
            }
        }
        text
    }

    /// The longest piece of a secret that fits somewhere, and is not the whole of it.
    fn longest(&self, fits: impl Fn(&str, usize) -> bool) -> Option<(&str, usize)> {
        let pieces = self.0.iter().filter_map(|(name, value)| {
            let length = (Revealed::SHORTEST_PIECE..value.len()).rev().find(|length| fits(value, *length))?;
            Some((name.as_str(), length))
        });
        pieces.max_by_key(|(_, length)| *length)
    }

    /// A voice that keeps secrets to itself, also where they come in pieces.
    pub(crate) fn discreet(&self, voice: &Voice) -> Voice {
        if self.0.is_empty() || !voice.is_heard() {
            return voice.clone();
        }
        let saying = Mutex::new(Discreet { revealed: Revealed(self.0.clone()), voice: voice.clone(), held: String::new() });
        Voice::new(move |piece| saying.lock().unwrap_or_else(PoisonError::into_inner).say(piece))
    }

    /// What comes of a call, without a secret in it. An output is kept as it is, or not at all.
    pub(crate) fn kept_out_of(&self, outcome: Outcome) -> Outcome {
        if self.0.is_empty() {
            return outcome;
        }
        match outcome {
            Err(failure) => Err(Failure { message: self.redacted(&failure.message), ..failure }),
            Ok(mut reply) => {
                let json = reply.output.json();
                if let Some(name) = readings(json).find_map(|reading| self.found_in(&reading)) {
                    let message = format!("its answer contains the value of `{name}`, which is a secret, and is not kept");
                    return Err(Failure::new(FailureClass::Invalid, message));
                }
                for wanted in &mut reply.grow {
                    *wanted = self.redacted(wanted);
                }
                if let Some(said) = &mut reply.said {
                    let tools = said.tools.iter_mut().flat_map(|tool| [&mut tool.asked, &mut tool.answered]);
                    tools.chain(&mut said.log).for_each(|text| *text = self.redacted(text));
                }
                Ok(reply)
            }
        }
    }
}

/// Says what is certainly no secret, and waits with what may become one.
struct Discreet {
    revealed: Revealed,
    voice: Voice,
    held: String,
}

impl Discreet {
    fn say(&mut self, piece: &str) {
        self.held.push_str(piece);
        if self.revealed.found_in(&self.held).is_some() {
            self.held = self.revealed.redacted(&self.held);
        }
        let may_go_on = |start: usize| self.revealed.0.iter().any(|(_, value)| value.starts_with(&self.held[start..]));
        let sure = self.held.char_indices().map(|(start, _)| start).find(|start| may_go_on(*start)).unwrap_or(self.held.len());
        let rest = self.held.split_off(sure);
        self.voice.say(&std::mem::replace(&mut self.held, rest));
    }
}

impl Drop for Discreet {
    fn drop(&mut self) {
        // It came to no more than a piece.
        let longest = self.revealed.longest(|value, length| self.held == value[..value.floor_char_boundary(length)]);
        match longest {
            Some((name, _)) => self.voice.say(&format!("({name})")),
            None => self.voice.say(&self.held),
        }
    }
}

/// A text as it is, and as it reads without its escapes, which may hide others.
fn readings(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    const DEEPEST: usize = 3;
    std::iter::successors(Some(Cow::Borrowed(text)), |text| text.contains('\\').then(|| Cow::Owned(unescaped(text)))).take(DEEPEST + 1)
}

/// A text in which the escapes of JSON stand for what they mean.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut units = Vec::new();
        while let Some(unit) = rest.strip_prefix('u').and_then(|rest| u16::from_str_radix(rest.get(..4)?, 16).ok()) {
            units.push(unit);
            rest = &rest[5..];
            match rest.strip_prefix("\\u").map(|_| &rest[1..]) {
                Some(next) if next.get(1..5).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit())) => rest = next,
                _ => break,
            }
        }
        if !units.is_empty() {
            plain.extend(char::decode_utf16(units).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)));
            continue;
        }
        let mut letters = rest.chars();
        match letters.next() {
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('t') => plain.push('\t'),
            Some(other) => plain.push(other),
            None => {}
        }
        rest = letters.as_str();
    }
    plain.push_str(rest);
    plain
}

/// A value as it may stand in a text: as it is, and as JSON writes it, with or without what is not ASCII.
fn forms(value: &str) -> Vec<String> {
    let quoted = serde_json::to_string(value).unwrap_or_default();
    let escaped = quoted.trim_matches('"').to_owned();
    let ascii: String = escaped.chars().fold(String::new(), |mut text, letter| {
        if letter.is_ascii() {
            text.push(letter);
        } else {
            letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        }
        text
    });
    let mut forms = vec![value.to_owned(), escaped, ascii];
    forms.dedup();
    forms
}

/// Where it stands; a value as it is written is shown as that.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::Plain(text) => f.write_str(text),
            Secret::Env { before, name } => write!(f, "{before}env:{name}"),
            Secret::File { before, path, .. } => write!(f, "{before}file:{path}"),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_shown_as_one_and_read_only_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "  s3cret\n").unwrap();
        let token = Secret::parse("Bearer file:token", folder.path());
        assert_eq!((token.to_string().as_str(), format!("{token:?}").as_str()), ("Bearer file:token", "Bearer file:token"));
        assert_eq!(token.reveal().unwrap(), "Bearer s3cret");
        assert_eq!(Secret::parse("just text", folder.path()), Secret::Plain("just text".into()));
        assert_eq!(Secret::parse("file://x", folder.path()), Secret::Plain("file://x".into()));
        let missing = Secret::parse("env:QUORATE_NO_SUCH_VARIABLE", folder.path()).reveal().unwrap_err();
        assert_eq!(missing.message, "the value of `env:QUORATE_NO_SUCH_VARIABLE` is missing: the variable is not set");
        assert!(missing.unsent);
        assert!(Secret::parse("file:nothing", folder.path()).reveal().is_err());
    }

    #[test]
    fn a_secret_is_found_however_json_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "pässw\"ord").unwrap();
        let mut revealed = Revealed::default();
        revealed.reveal(&Secret::parse("file:token", folder.path())).unwrap();
        for json in [r#""it is pässw\"ord""#, r#"["it is p\u00e4ssw\"ord"]"#] {
            let reply = quorate_core::Reply::new(quorate_core::Payload::parse(json.to_owned()).unwrap());
            let failure = revealed.kept_out_of(Ok(reply)).unwrap_err();
            assert_eq!(failure.message, "its answer contains the value of `file:token`, which is a secret, and is not kept");
        }
        assert_eq!(revealed.redacted("key pässw\"ord is wrong"), "key (file:token) is wrong");
    }

    fn knowing(secret: &str) -> Revealed {
        Revealed(forms(secret).into_iter().map(|form| ("env:KEY".to_owned(), form)).collect())
    }

    #[test]
    fn escapes_hide_no_secret() {
        let revealed = knowing("webtok-😀");
        let hidden: String = "webtok-😀".encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        let twice = hidden.replace('\\', "\\\\");
        for text in ["\\u0077ebtok-😀", "web\\u0074ok-\\ud83d\\ude00", &hidden, &twice] {
            assert_eq!(revealed.redacted(&format!("it said {text}!")), "it said (env:KEY)!");
            let reply = quorate_core::Reply::new(quorate_core::Payload::parse(format!("{{\"x\": \"{text}\"}}")).unwrap());
            assert!(revealed.kept_out_of(Ok(reply)).is_err(), "{text}");
        }
        // What hides nothing stays as it is.
        for text in ["C:\\users\\u00", "\\", "a\\", "\\u12", "\\ud83d", "päss\\nword"] {
            assert_eq!(revealed.redacted(text), text);
        }
    }

    #[test]
    fn what_is_told_beside_an_answer_holds_no_secret() {
        use quorate_core::{Millis, Payload, Reply, Said, ToolUse};
        let used = ToolUse {
            name: "t".into(),
            asked: "{\"key\": \"sk-super\"}".into(),
            answered: "sk-super!".into(),
            took: Millis(1),
            failed: false,
        };
        let said = Said { tools: vec![used], log: Some("sk-super it is".into()), ..Said::default() };
        let reply = Reply { output: Payload::null(), said: Some(Box::new(said)), grow: vec!["sk-super".into()] };
        let told = format!("{:?}", knowing("sk-super").kept_out_of(Ok(reply)).unwrap());
        assert!(!told.contains("sk-super") && told.matches("(env:KEY)").count() == 4, "{told}");
    }

    #[test]
    fn no_piece_of_a_secret_is_left_where_a_text_was_cut() {
        let revealed = knowing("sk-supersecret");
        let cases = [
            ("…ersecretBBBB", "…(env:KEY)BBBB"),
            ("begins with `AAsk-sup…`", "begins with `AA(env:KEY)…`"),
            ("ask…ret sk-supersecret and tsk-…ecret", "ask…(env:KEY) (env:KEY) and t(env:KEY)…(env:KEY)"),
            ("it waits… and says re", "it waits… and says re"),
        ];
        for (text, told) in cases {
            assert_eq!(revealed.redacted(text), told);
        }
    }

    #[test]
    fn a_discreet_voice_says_no_secret_however_small_the_pieces_are() {
        let said = std::sync::Arc::new(Mutex::new(String::new()));
        let hears = said.clone();
        let voice = Voice::new(move |piece| hears.lock().unwrap().push_str(piece));
        let told = |text: &str, size: usize| {
            said.lock().unwrap().clear();
            let discreet = knowing("sk-süper").discreet(&voice);
            let letters: Vec<char> = text.chars().collect();
            letters.chunks(size).for_each(|piece| discreet.say(&piece.iter().collect::<String>()));
            drop(discreet);
            said.lock().unwrap().clone()
        };
        for size in 1..12 {
            assert_eq!(told("ask for sk-süper, sk-sk-süper, ask", size), "ask for (env:KEY), sk-(env:KEY), ask");
            assert_eq!(told("it is sk-süp", size), "it is (env:KEY)");
            assert_eq!(told("it is s", size), "it is s");
        }
    }
}
