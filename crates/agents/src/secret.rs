//! Values that stand elsewhere: `env:NAME` is read from the environment and `file:PATH` from a file, when it is needed and not
//! before. What is read is never shown: not in errors, not in logs, not where this is printed.

use std::fmt;
use std::path::{Path, PathBuf};

use quorate_core::{Failure, FailureClass};

use crate::Outcome;

/// Longest secret that is read from a file.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

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

    /// A text in which every secret is replaced by where it stands.
    pub(crate) fn redacted(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(value.as_str(), &format!("({name})")))
    }

    /// What comes of a call, without a secret in it. An output is kept as it is, or not at all.
    pub(crate) fn kept_out_of(&self, outcome: Outcome) -> Outcome {
        if self.0.is_empty() {
            return outcome;
        }
        match outcome {
            Err(failure) => Err(Failure { message: self.redacted(&failure.message), ..failure }),
            Ok(mut reply) => {
                let told = self.0.iter().find(|(_, value)| reply.output.json().contains(value.as_str()));
                if let Some((name, _)) = told {
                    let message = format!("its answer contains the value of `{name}`, which is a secret, and is not kept");
                    return Err(Failure::new(FailureClass::Invalid, message));
                }
                for wanted in &mut reply.grow {
                    *wanted = self.redacted(wanted);
                }
                if let Some(log) = reply.said.as_mut().and_then(|said| said.log.as_mut()) {
                    *log = self.redacted(log);
                }
                Ok(reply)
            }
        }
    }
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
}
