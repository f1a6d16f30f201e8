//! The command line: what is asked goes in as arguments, what was asked for comes out on standard output, and everything
//! else on standard error. Start at [`main`].

mod approvals;
mod bench;
mod check;
mod context;
mod events;
mod exit;
mod follow;
mod graph;
mod run;
mod runs;
mod screen;
mod tree;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use context::{Context, Global};
use exit::{Exit, MEANINGS, Problem};

/// Coordinates many agents and turns what they say into one decision that can be explained, proved and replayed.
#[derive(Debug, Parser)]
#[command(
    name = "quorate",
    version,
    arg_required_else_help = true,
    after_help = "Example: quorate run web-app -i input.json\nExit codes: quorate help-exit-codes"
)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Arguments),
    Check(check::Arguments),
    Graph(graph::Arguments),
    Runs(runs::Arguments),
    Approvals(approvals::Arguments),
    Bench(bench::Arguments),
    /// Prints the JSON Schema of a kind of project file, for editors.
    ///
    /// Example: quorate schema workflows > workflows.schema.json
    Schema {
        /// Which: project, agents, workflows (a file of several) or workflow (a file of one).
        #[arg(value_parser = ["project", "agents", "workflows", "workflow"], default_value = "workflows")]
        kind: String,
    },
    /// Lists what the exit codes mean.
    ///
    /// Example: quorate help-exit-codes
    #[command(hide = true)]
    HelpExitCodes,
}

pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let context = Context::new(arguments.global);
    let screen = context.screen;
    let outcome = match arguments.command {
        Command::Run(arguments) => run::run(context, &arguments),
        Command::Check(arguments) => check::run(&context, &arguments),
        Command::Graph(arguments) => graph::run(&context, &arguments),
        Command::Runs(arguments) => runs::run(&context, &arguments),
        Command::Approvals(arguments) => approvals::run(&context, &arguments),
        Command::Bench(arguments) => bench::run(&arguments, context.global.json)
            .map(|()| Exit::Succeeded)
            .map_err(|wrong| Problem::new(Exit::Failed, format!("{wrong:#}"))),
        Command::Schema { kind } => {
            let schema = quorate::project::schema(&kind).unwrap_or_default();
            screen.out(&serde_json::to_string_pretty(&schema).unwrap_or_default());
            Ok(Exit::Succeeded)
        }
        Command::HelpExitCodes => {
            screen.out(MEANINGS);
            Ok(Exit::Succeeded)
        }
    };
    let exit = outcome.unwrap_or_else(|Problem { exit, message, hint }| {
        screen.err(&format!("{}: {message}", screen.paint(screen::Style::Bad, "error", true)));
        if let Some(hint) = hint {
            screen.err(&format!("hint: {hint}"));
        }
        exit
    });
    ExitCode::from(exit as u8)
}

/// What drives async code. Two threads: agents have their own.
fn runtime() -> Result<tokio::runtime::Runtime, Problem> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|wrong| Problem::new(Exit::Failed, format!("could not start the threads: {wrong}")))
}
