//! `quorate-sim --seeds N --from S [--engine | --crowd]`: plays seeds until one of them breaks a rule.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

const USAGE: &str = "usage: quorate-sim [--seeds N] [--from S] [--engine | --crowd]";

/// What all seeds came to, by name.
#[derive(Default)]
struct Totals([AtomicU64; 4]);

impl Totals {
    fn add(&self, counts: [usize; 4]) {
        for (total, count) in self.0.iter().zip(counts) {
            total.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}

/// Plays one seed, and counts what its names say.
type Play = fn(u64) -> Result<[usize; 4], String>;

const RUNS: (Play, [&str; 4]) = (
    |seed| {
        quorate_sim::check(seed).map(|outcome| [outcome.entries, outcome.crashes, usize::from(outcome.ended), usize::from(!outcome.ended)])
    },
    ["entries", "crashes", "runs ended", "wait for somebody who never comes"],
);
const ENGINE: (Play, [&str; 4]) = (
    |seed| quorate_sim::check_engine(seed).map(|outcome| [outcome.entries, outcome.restarts, outcome.refused, outcome.calls]),
    ["entries", "restarts of the engine", "appends refused by the disk", "calls of agents"],
);

const CROWD: (Play, [&str; 4]) = (
    |seed| quorate_sim::check_crowd(seed).map(|served| [served.tasks, served.calls, served.elsewhere, served.passed]),
    ["tasks", "calls of agents", "went to another agent", "passed in line"],
);

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]
fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut flag = |name: &str| arguments.iter().position(|argument| argument == name).map(|at| arguments.remove(at)).is_some();
    let (engine, crowd) = (flag("--engine"), flag("--crowd"));
    let mut number = |name: &str, usual: u64| match arguments.iter().position(|argument| argument == name) {
        None => Some(usual),
        Some(at) => {
            let value = arguments.drain(at..(at + 2).min(arguments.len())).nth(1);
            value.and_then(|value| value.parse().ok())
        }
    };
    let (Some(seeds), Some(from)) = (
        number(
            "--seeds",
            if crowd {
                8
            } else if engine {
                500
            } else {
                10_000
            },
        ),
        number("--from", 0),
    ) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if let Some(unknown) = arguments.first() {
        eprintln!("`{unknown}` is not an argument of the simulator\n{USAGE}");
        return ExitCode::from(2);
    }
    let (play, names) = if crowd {
        CROWD
    } else if engine {
        ENGINE
    } else {
        RUNS
    };
    let begun = Instant::now();
    let (next, failed, totals) = (AtomicU64::new(from), AtomicBool::new(false), Totals::default());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds || failed.load(Ordering::Relaxed) {
                        return;
                    }
                    let outcome = std::panic::catch_unwind(|| play(seed));
                    match outcome.unwrap_or_else(|_| Err(format!("seed {seed}: the engine panicked"))) {
                        Ok(counts) => totals.add(counts),
                        Err(wrong) => {
                            failed.store(true, Ordering::Relaxed);
                            eprintln!("{wrong}");
                        }
                    }
                }
            });
        }
    });
    if failed.into_inner() {
        return ExitCode::FAILURE;
    }
    let counted: Vec<String> = totals.0.into_iter().zip(names).map(|(total, name)| format!("{} {name}", total.into_inner())).collect();
    println!("{seeds} seeds from {from}, each played twice, in {:.1} s: {}", begun.elapsed().as_secs_f64(), counted.join(", "));
    ExitCode::SUCCESS
}
