//! `quorate-sim --seeds N --from S`: plays seeds until one of them breaks a rule.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, usual: u64| {
        let value = arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
        value.map_or(Ok(usual), |value| value.parse())
    };
    let (Ok(seeds), Ok(from)) = (number("--seeds", 10_000), number("--from", 0)) else {
        eprintln!("usage: quorate-sim [--seeds N] [--from S]");
        return ExitCode::from(2);
    };
    let begun = Instant::now();
    let (next, failed) = (AtomicU64::new(from), AtomicBool::new(false));
    let (entries, crashes, ended) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds || failed.load(Ordering::Relaxed) {
                        return;
                    }
                    let outcome = std::panic::catch_unwind(|| quorate_sim::check(seed))
                        .unwrap_or_else(|_| Err(format!("seed {seed}: the engine panicked")));
                    match outcome {
                        Ok(outcome) => {
                            entries.fetch_add(outcome.entries as u64, Ordering::Relaxed);
                            crashes.fetch_add(outcome.crashes as u64, Ordering::Relaxed);
                            ended.fetch_add(u64::from(outcome.ended), Ordering::Relaxed);
                        }
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
    println!(
        "{seeds} seeds from {from}, each played twice, in {:.1} s: {} entries, {} crashes, {} runs ended, the others wait for somebody who never comes",
        begun.elapsed().as_secs_f64(),
        entries.into_inner(),
        crashes.into_inner(),
        ended.into_inner()
    );
    ExitCode::SUCCESS
}
