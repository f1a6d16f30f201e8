//! What a compiler does not check: who may depend on whom, what pure crates may not name, what does not belong here.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{root, say};

/// What each crate may depend on, besides what its tests use. A dependency that is not here is a decision to be made
/// here, and to be explained in DESIGN.md.
const MAY_DEPEND: [(&str, &[&str]); 10] = [
    ("expr", &["rust_decimal", "serde"]),
    ("core", &["quorate-expr", "jiff", "serde", "serde_json", "sha2", "thiserror"]),
    ("project", &["quorate-expr", "quorate-core", "annotate-snippets", "granit-parser", "minijinja", "serde", "serde_json"]),
    ("journal", &["quorate-core", "rusqlite", "serde", "serde_json", "thiserror", "tokio"]),
    (
        "agents",
        &[
            "quorate-core",
            "quorate-expr",
            "futures-util",
            "jiff",
            "minijinja",
            "opentelemetry",
            "reqwest",
            "rmcp",
            "rustix",
            "rustls",
            "serde",
            "serde_json",
            "thiserror",
            "tokio",
            "tracing",
            "tracing-opentelemetry",
            "url",
        ],
    ),
    ("runtime", &["quorate-core", "quorate-journal", "quorate-agents", "futures-channel", "futures-util", "thiserror", "tokio", "tracing"]),
    (
        "sim",
        &[
            "futures-util",
            "quorate-core",
            "quorate-expr",
            "quorate-journal",
            "quorate-agents",
            "quorate-project",
            "quorate-runtime",
            "serde_json",
            "tokio",
        ],
    ),
    (
        "quorate",
        &[
            "quorate-expr",
            "quorate-core",
            "quorate-journal",
            "quorate-agents",
            "quorate-project",
            "quorate-recon",
            "quorate-runtime",
            "anyhow",
            "clap",
            "clap_complete",
            "clap_mangen",
            "csv",
            "futures-util",
            "indicatif",
            "mimalloc",
            "opentelemetry",
            "opentelemetry-otlp",
            "opentelemetry_sdk",
            "rustls",
            "tracing",
            "tracing-opentelemetry",
            "tracing-subscriber",
            "rustix",
            "serde",
            "serde_json",
            "tempfile",
            "thiserror",
            "tokio",
            "unicode-width",
        ],
    ),
    ("recon", &["csv", "jiff", "quick-xml", "quorate-agents", "quorate-core", "rust_decimal", "serde", "serde_json", "sha2", "strsim"]),
    ("../xtask", &["anyhow"]),
];

/// Crates that never touch the world.
const PURE: [&str; 3] = ["expr", "core", "project"];

/// What a pure crate does not name.
const IMPURE: [&str; 15] = [
    // A list of modules would hide what is in it.
    "std::{",
    "std::time",
    "SystemTime",
    "Instant::",
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "std::env",
    "std::io",
    "tokio",
    "async fn",
    "async move",
    "use rand",
    "println!",
];

/// What stands in the root of the repository.
const ROOT: [&str; 19] = [
    ".cargo",
    ".ci",
    ".config",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "DESIGN.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "clippy.toml",
    "crates",
    "docs",
    "examples",
    "fuzz",
    "rustfmt.toml",
    "xtask",
];

/// Largest file that belongs into a repository of text.
const MAX_FILE_BYTES: u64 = 512 * 1024;

pub(crate) fn check() -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for (name, allowed) in MAY_DEPEND {
        check_dependencies(name, allowed, &mut wrong)?;
    }
    for name in PURE {
        check_purity(&root().join("crates").join(name).join("src"), &mut wrong)?;
    }
    check_files(&mut wrong)?;
    if wrong.is_empty() {
        say("tidy: the layers, the pure crates and the files are as they should be");
        return Ok(());
    }
    for line in &wrong {
        say(&format!("tidy: {line}"));
    }
    bail!("{} things are not tidy", wrong.len());
}

fn check_dependencies(name: &str, allowed: &[&str], wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let manifest = root().join("crates").join(name).join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).with_context(|| format!("could not read {}", manifest.display()))?;
    let mut section = "";
    for line in text.lines().map(str::trim) {
        let found = if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            // `[dependencies.serde]` names one by itself.
            section.rsplit_once("dependencies.").map(|(_, name)| name)
        } else {
            let listed = section.ends_with("dependencies") && !line.starts_with('#');
            line.split(['.', ' ', '=']).next().filter(|name| listed && !name.is_empty())
        };
        if let Some(name_of) = found.filter(|_| !section.contains("dev-dependencies"))
            && !allowed.contains(&name_of)
        {
            wrong.push(format!("crates/{name} may not depend on {name_of}"));
        }
    }
    Ok(())
}

fn check_purity(folder: &Path, wrong: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("could not list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            check_purity(&path, wrong)?;
            continue;
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(word) = IMPURE.iter().find(|word| code.contains(**word)) {
                wrong.push(format!("{}:{}: a pure crate does not name `{word}`", path.display(), number + 1));
            }
        }
    }
    Ok(())
}

fn check_files(wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let listed = Command::new("git").args(["ls-files"]).current_dir(root()).output().context("could not ask git for the files")?;
    for file in String::from_utf8_lossy(&listed.stdout).lines() {
        let top = file.split('/').next().unwrap_or(file);
        if !ROOT.contains(&top) {
            wrong.push(format!("{file}: `{top}` does not belong into the root"));
        }
        if [".orig", ".rej", ".snap.new", ".log", ".pending-snap"].iter().any(|ending| file.ends_with(ending)) {
            wrong.push(format!("{file} was left behind"));
        }
        let size = std::fs::metadata(root().join(file)).map_or(0, |metadata| metadata.len());
        if size > MAX_FILE_BYTES {
            wrong.push(format!("{file} has {size} bytes, more than the {MAX_FILE_BYTES} allowed"));
        }
    }
    Ok(())
}
