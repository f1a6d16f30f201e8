//! A project in a folder of its own, and what is typed in it.
#![allow(dead_code, reason = "not every test file types everything")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

const PROJECT: &str = "name: house\ngroups: { leads: [ann, bob, cid], deputies: [dan] }\n";

const WORKFLOWS: &str = r#"
workflows:
  greet:
    tasks:
      - { id: hello, agent: std.set, params: { value: "Hello, {{ input.name }}!" } }
  flaky:
    tasks:
      - id: fetch
        agent: std.fail
        params: { class: unavailable, message: not yet, times: 1 }
        retry: { max_retries: 2, initial_delay: 10ms }
      - { id: use, agent: std.echo, depends_on: [fetch] }
  broken:
    tasks:
      - { id: read, agent: std.echo }
      - { id: compute, agent: std.fail, params: { message: division by zero }, depends_on: [read] }
      - { id: write, agent: std.echo, depends_on: [compute] }
  release:
    tasks:
      - { id: build, agent: std.echo }
      - id: sign_off
        depends_on: [build]
        approval: { question: "Ship {{ input.version }}?", by: { group: leads, at_least: 2 } }
      - { id: publish, agent: std.echo, depends_on: [sign_off] }
  sorted:
    output: "{{ score }}"
    tasks:
      - { id: score, agent: std.set, params: { value: 0.42 }, output: number }
      - { id: high, agent: std.echo, depends_on: [score], when: score > 0.9 }
      - { id: low, agent: std.echo, depends_on: [score], when: score <= 0.9 }
"#;

pub(crate) struct House(TempDir);

/// A project in a folder of its own.
pub(crate) fn house() -> House {
    let house = House::empty();
    house.write("quorate.yaml", PROJECT);
    house.write("workflows/house.yaml", WORKFLOWS);
    house
}

/// A project of document 000, of which only `quorate.yaml` is ours.
pub(crate) fn document() -> House {
    let house = House::empty();
    house.write("quorate.yaml", "name: breaks\ndefault: policies\n");
    macro_rules! copied {
        ($($path:literal),*) => { $(house.write($path, include_str!(concat!("../../../project/tests/document_000/", $path)));)* };
    }
    copied!(
        "agents/agents.yaml",
        "policies/classify.yaml",
        "policies/routing_policies.yaml",
        "policies/small_cash_break.yaml",
        "policies/large_derivative_break.yaml",
        "policies/medium_with_expansion.yaml"
    );
    house
}

impl House {
    /// A folder with nothing in it.
    pub(crate) fn empty() -> House {
        House(TempDir::new().unwrap())
    }

    /// A project as it lies in a folder, without what was done there.
    pub(crate) fn copied(from: &Path) -> House {
        fn copy(from: &Path, to: &Path) {
            std::fs::create_dir_all(to).unwrap();
            for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
                let (path, to) = (entry.path(), to.join(entry.file_name()));
                match entry.file_type().unwrap().is_dir() {
                    true if [".quorate", "reports"].iter().any(|done| entry.file_name() == *done) => {}
                    true => copy(&path, &to),
                    false => drop(std::fs::copy(&path, &to).unwrap()),
                }
            }
        }
        let house = House::empty();
        copy(from, house.path());
        house
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn run(&self, arguments: &[&str], stdin: &str) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        command.args(arguments).current_dir(self.path()).env_remove("QUORATE_AS").env("USER", "eve").env("COLUMNS", "80");
        // Nobody's own skills are in it.
        command.env("HOME", self.path().join("home"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that is not interested in its input may have ended.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// What a command line prints and how it ends, without what is different every time.
    pub(crate) fn type_in(&self, line: &str) -> String {
        self.type_with(line, "")
    }

    pub(crate) fn type_with(&self, line: &str, stdin: &str) -> String {
        let arguments = words(line);
        let output = self.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), stdin);
        let mut shown = String::new();
        for (name, bytes) in [("", &output.stdout), ("err: ", &output.stderr)] {
            let text = String::from_utf8_lossy(bytes).replace(&*self.path().to_string_lossy(), "<house>");
            for text in masked(&text).lines() {
                shown.push_str(format!("{name}{text}").trim_end());
                shown.push('\n');
            }
        }
        shown.push_str(&format!("exit {}", output.status.code().unwrap()));
        shown
    }
}

/// Splits a line at its spaces; what is in single quotes stays together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (position, part) in line.split('\'').enumerate() {
        if position % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Ids, digests and times are different every time.
pub(crate) fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let before = masked.chars().last();
        let begins = before.is_none_or(|before| !before.is_alphanumeric() && before != '.');
        let word: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
        let hex = word.chars().all(|c| c.is_ascii_hexdigit());
        let taken = match () {
            () if begins && hex && [8, 32, 64].contains(&word.len()) && word != "16777216" => Some((word.len(), "<id>")),
            () if begins && is_moment(rest) => Some((moment_length(rest), "<time>")),
            () if begins && next.is_ascii_digit() => lasting(rest).map(|length| (length, "<took>")),
            () => None,
        };
        match taken {
            Some((length, name)) => {
                masked.push_str(name);
                rest = &rest[length..];
            }
            None => {
                masked.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    let mut parts = masked.split("\"duration_ms\":");
    let first = parts.next().unwrap_or_default().to_owned();
    masked = parts.fold(first, |all, part| all + "\"duration_ms\":<took>" + part.trim_start_matches(|c: char| c.is_ascii_digit()));
    masked.lines().map(narrow).collect::<Vec<_>>().join("\n")
}

/// Columns are as wide as what was masked: before a time, any number of spaces is as good as two.
fn narrow(line: &str) -> String {
    let mut parts = line.split("<took>");
    let first = parts.next().unwrap_or_default();
    let shorten = |part: &str| {
        let text = part.trim_end_matches(' ');
        if part.len() > text.len() + 1 { format!("{text}  ") } else { part.to_owned() }
    };
    let rest: Vec<&str> = parts.collect();
    if rest.is_empty() {
        return line.to_owned();
    }
    let (last, inner) = rest.split_last().unwrap();
    let inner: Vec<String> = std::iter::once(first).chain(inner.iter().copied()).map(shorten).collect();
    format!("{}<took>{last}", inner.join("<took>"))
}

fn is_moment(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 19 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-' && bytes[13] == b':'
}

fn moment_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_digit() || "-:.T Z".contains(c))).unwrap_or(text.len()).min(if text.as_bytes()[10] == b'T' {
        27
    } else {
        19
    })
}

/// The length of `12ms`, `1.2s` or `3m 04s` at the beginning of a text.
fn lasting(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let unit: String = text[digits..].chars().take_while(|c| c.is_alphabetic()).collect();
    matches!(unit.as_str(), "µs" | "ms" | "s").then_some(digits + unit.len())
}

/// Starts a command, and leaves it alone.
pub(crate) fn start(house: &House, line: &str) -> std::process::Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(words(line)).current_dir(house.path()).env("USER", "eve");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{what}: not within ten seconds");
}

/// Sends a process that was started here a signal, by its name.
pub(crate) fn send(signal: &str, process: &std::process::Child) -> std::process::ExitStatus {
    Command::new("kill").args([format!("-{signal}"), process.id().to_string()]).status().unwrap()
}

/// A server that answers each request with a status and a body.
pub(crate) fn server(say: impl Fn(&str) -> (&'static str, String) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (status, body) = say(&request(&mut stream));
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            // Whoever asked may have left.
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    address
}

/// A whole request: its head, and as much of a body as that says.
fn request(stream: &mut std::net::TcpStream) -> String {
    let (mut read, mut piece) = (Vec::new(), [0; 8_192]);
    loop {
        let count = stream.read(&mut piece).unwrap();
        read.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&read).into_owned();
        // Some connect and say nothing.
        if count == 0 {
            return text;
        }
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() >= length.unwrap_or(0) {
            return text;
        }
    }
}
