//! The `quorate` command.

mod bench;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Coordinates many agents and turns what they say into one decision that can be explained, proved and replayed.
/// Runs are made of small pieces that one thread makes and another drops, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures the engine on this machine, beside the floor of the same machine.
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Bench(arguments) => bench::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            show_error(&wrong);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "this is where errors are shown")]
fn show_error(wrong: &anyhow::Error) {
    eprintln!("error: {wrong:#}");
}
