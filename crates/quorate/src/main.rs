//! The `quorate` command.

mod cli;

/// Runs are made of small pieces that one thread makes and another drops, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
