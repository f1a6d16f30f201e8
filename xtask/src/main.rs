//! Everything that a contributor runs: `cargo xtask test | ci | tidy | sim | bench | fuzz`.

mod tidy;

use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test              everything that is tested, also the examples in the documentation
  ci                formatting, lints, test, tidy, and more seeds of the simulator
  tidy              the layering, the purity of the pure crates, stray files
  sim [ARGUMENTS]   the simulator: --seeds N --from S, with --engine the whole engine in a storm, with --crowd many agents
  bench [ARGUMENTS] the benchmark, built for release; --peers DIR runs the benchmarks in that folder as well (its run_all.sh)
  fuzz [SECONDS]    the fuzz targets, each for so long (60 where it is not given); needs cargo-fuzz and a nightly toolchain";

/// Seeds that ci plays besides those in the tests: runs, and engines.
const CI_SEEDS: &str = "100000";
const CI_STORMS: &str = "3000";
/// And crowds of ten thousand tasks.
const CI_CROWDS: &str = "10";

/// How long one peer may take; some do not end.
const PEER_SECONDS: &str = "60";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let outcome = match arguments.first().map(String::as_str) {
        Some("test") => test(),
        Some("ci") => ci(),
        Some("tidy") => tidy::check(),
        Some("sim") => sim(rest),
        Some("bench") => bench(rest),
        Some("fuzz") => fuzz(rest.first().map_or("60", String::as_str)),
        _ => {
            say(USAGE);
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            say(&format!("error: {wrong:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "this is a command")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// Runs a command in the root of the workspace, shown first.
fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    run_with(program, arguments, &[])
}

fn run_with(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    say(&format!("$ {program} {}", arguments.join(" ")));
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    // What cargo tells this program about itself is not meant for what it starts: builds would begin anew for it.
    let of_this_package = |name: &String| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for name in std::env::vars().map(|(name, _)| name).filter(of_this_package) {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied());
    let status = command.status().with_context(|| format!("could not start {program}"))?;
    if !status.success() {
        bail!("`{program} {}` failed", arguments.join(" "));
    }
    Ok(())
}

pub(crate) fn root() -> std::path::PathBuf {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

fn has(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

fn test() -> anyhow::Result<()> {
    run("cargo", &["test", "--workspace", "--all-features", "--doc", "--quiet"])?;
    if has("cargo", &["nextest", "--version"]) {
        return run("cargo", &["nextest", "run", "--workspace", "--all-features"]);
    }
    say("cargo-nextest is not installed, so the tests run one binary after the other (`cargo install cargo-nextest --locked` is faster)");
    run("cargo", &["test", "--workspace", "--all-features", "--all-targets"])
}

fn ci() -> anyhow::Result<()> {
    run("cargo", &["fmt", "--all", "--check"])?;
    run("cargo", &["clippy", "--workspace", "--all-features", "--all-targets", "--", "-D", "warnings"])?;
    tidy::check()?;
    // A workspace of its own, which only builds for real with a nightly toolchain: that it fits the rest is known without one.
    run("cargo", &["check", "--manifest-path", "fuzz/Cargo.toml", "--target-dir", "target"])?;
    pure_crates_build_for_the_browser()?;
    sim(&["--seeds", CI_SEEDS, "--from", "2000"].map(str::to_owned))?;
    sim(&["--engine", "--seeds", CI_STORMS, "--from", "200"].map(str::to_owned))?;
    sim(&["--crowd", "--seeds", CI_CROWDS, "--from", "2"].map(str::to_owned))?;
    test()
}

fn pure_crates_build_for_the_browser() -> anyhow::Result<()> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let libraries = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output()?;
    let folder = String::from_utf8_lossy(&libraries.stdout).trim().to_owned();
    if !std::path::Path::new(&folder).is_dir() {
        say(&format!("skipped: the pure crates are not built for {TARGET}, which is not installed here"));
        return Ok(());
    }
    run("cargo", &["build", "--target", TARGET, "-p", "quorate-expr", "-p", "quorate-core", "-p", "quorate-project"])
}

fn sim(arguments: &[String]) -> anyhow::Result<()> {
    let mut all = vec!["run", "--quiet", "--release", "-p", "quorate-sim", "--"];
    all.extend(arguments.iter().map(String::as_str));
    run("cargo", &all)
}

fn bench(arguments: &[String]) -> anyhow::Result<()> {
    let mut own: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let peers = match own.iter().position(|argument| *argument == "--peers") {
        Some(position) if position + 1 < own.len() => own.drain(position..position + 2).next_back(),
        Some(_) => bail!("--peers takes the folder of the peers"),
        None => None,
    };
    let mut all = vec!["run", "--quiet", "--release", "-p", "quorate", "--", "bench"];
    all.extend(&own);
    run("cargo", &all)?;
    let Some(peers) = peers else { return Ok(()) };
    let script = std::path::absolute(peers)?.join("run_all.sh");
    if !script.is_file() {
        bail!("there is no {}", script.display());
    }
    // Their folder is not ours to write into.
    let target = root().join("target/peers");
    let scratch = target.join("scratch");
    let environment =
        [("CARGO_TARGET_DIR", target.to_string_lossy()), ("BENCH_DIR", scratch.to_string_lossy()), ("BENCH_TIMEOUT", PEER_SECONDS.into())];
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    run_with("bash", &[&script.to_string_lossy(), "all"], &environment)
}

fn fuzz(seconds: &str) -> anyhow::Result<()> {
    if !has("cargo", &["fuzz", "--version"]) {
        bail!("cargo-fuzz is not installed: cargo install cargo-fuzz --locked");
    }
    let limit = format!("-max_total_time={seconds}");
    let projects = [
        "examples/delivery/workflows",
        "examples/delivery/agents",
        "examples/delivery/skills",
        "examples/finance/workflows",
        "examples/finance/agents",
        "examples/tickets/workflows",
        "examples/tickets/agents",
        "crates/quorate/templates",
    ];
    let books = ["examples/recon/data/2026-03-12", "examples/recon/data/2026-03-13"];
    let targets: [(&str, &str, &[&str]); 6] = [
        ("condition", "600", &[]),
        ("entries", "600", &[]),
        ("project", "2000", &projects),
        ("table", "4000", &books),
        ("camt", "8000", &books),
        ("mt940", "4000", &books),
    ];
    for (target, longest, seeds) in targets {
        let corpus = root().join("fuzz/corpus").join(target);
        std::fs::create_dir_all(&corpus)?;
        let corpus = corpus.to_string_lossy().into_owned();
        let longest = format!("-max_len={longest}");
        let mut arguments = vec!["+nightly", "fuzz", "run", target, corpus.as_str()];
        arguments.extend(seeds);
        arguments.extend(["--", limit.as_str(), "-timeout=10", "-rss_limit_mb=4096", longest.as_str()]);
        run("cargo", &arguments)?;
    }
    Ok(())
}
