//! The command line: what is asked goes in as arguments, what was asked for comes out on standard output, and everything
//! else on standard error. Start at [`main`].

mod agents;
mod agreement;
mod approvals;
mod ask;
mod audit;
mod bench;
mod bench_policy;
mod check;
mod compare;
mod context;
mod doctor;
mod each;
mod events;
mod exit;
mod follow;
mod graph;
mod init;
mod launch;
mod likely;
mod modes;
mod policy;
mod records;
mod run;
mod runs;
mod screen;
mod skills;
mod stats;
mod telemetry;
mod tree;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use context::{Context, Global};
use exit::{Exit, MEANINGS, Problem};

/// Coordinates many agents and turns what they say into one decision that can be explained, proved and replayed.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, arg_required_else_help = true, after_help = "Example: quorate run web-app -i input.json")]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Arguments),
    Check(check::Arguments),
    Run(run::Arguments),
    Ask(ask::Arguments),
    Graph(graph::Arguments),
    Runs(runs::Arguments),
    Approvals(approvals::Arguments),
    Policy(policy::Arguments),
    Agents(agents::Arguments),
    Skills(skills::Arguments),
    Audit(audit::Arguments),
    Doctor(doctor::Arguments),
    Bench(bench::Arguments),
    /// Prints the JSON Schema of a kind of project file, for editors.
    ///
    /// Example: quorate schema workflows > workflows.schema.json
    Schema {
        /// Which: project, agents, workflows (a file of several), workflow (a file of one), policies or skill (the front matter of one);
        /// or `fields`, for a table of all fields of all files.
        #[arg(value_parser = ["project", "agents", "workflows", "workflow", "policies", "skill", "fields"], hide_possible_values = true, default_value = "workflows")]
        kind: String,
    },
    /// Prints what a shell needs to complete commands.
    ///
    /// Example: quorate completions bash > /etc/bash_completion.d/quorate
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Prints the manual, or writes a page for every command into a folder.
    ///
    /// Example: quorate man > quorate.1
    Man {
        /// Where the pages are written.
        #[arg(long, value_name = "DIR")]
        folder: Option<std::path::PathBuf>,
    },
    /// Lists what the exit codes mean.
    ///
    /// Example: quorate exit-codes
    ExitCodes,
}

pub(crate) fn main() -> ExitCode {
    if let Some(ended) = launch::launched() {
        return ended;
    }
    let arguments = Arguments::parse();
    let context = Context::new(arguments.global);
    let (screen, as_json) = (context.screen, context.global.json);
    let outcome = match arguments.command {
        Command::Init(arguments) => init::run(&context, &arguments),
        Command::Run(arguments) => run::run(context, &arguments),
        Command::Agents(arguments) => agents::run(&context, &arguments),
        Command::Skills(arguments) => skills::run(&context, &arguments),
        Command::Ask(arguments) => ask::run(&context, &arguments),
        Command::Audit(arguments) => audit::run(&context, &arguments),
        Command::Doctor(arguments) => doctor::run(&context, &arguments),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "quorate", &mut text);
            screen.out(String::from_utf8_lossy(&text).trim_end());
            Ok(Exit::Succeeded)
        }
        Command::Man { folder } => man(&screen, folder.as_deref()),
        Command::Check(arguments) => check::run(&context, &arguments),
        Command::Graph(arguments) => graph::run(&context, &arguments),
        Command::Runs(arguments) => runs::run(&context, &arguments),
        Command::Policy(arguments) => policy::run(&context, &arguments),
        Command::Approvals(arguments) => approvals::run(&context, &arguments),
        Command::Bench(arguments) => bench::run(&arguments, context.global.json)
            .map(|()| Exit::Succeeded)
            .map_err(|wrong| Problem::new(Exit::Failed, format!("{wrong:#}"))),
        Command::Schema { kind } if kind == "fields" => {
            screen.out(quorate::project::fields().trim_end());
            Ok(Exit::Succeeded)
        }
        Command::Schema { kind } => {
            let schema = quorate::project::schema(&kind).unwrap_or_default();
            screen.out(&serde_json::to_string_pretty(&schema).unwrap_or_default());
            Ok(Exit::Succeeded)
        }
        Command::ExitCodes => {
            screen.out(MEANINGS);
            Ok(Exit::Succeeded)
        }
    };
    telemetry::finish(&screen);
    let exit = outcome.unwrap_or_else(|Problem { exit, message, hint }| {
        if as_json {
            let error = serde_json::json!({ "schema": "quorate.error/1", "exit": exit as u8, "message": message, "hint": hint });
            screen.err(&error.to_string());
            return exit;
        }
        screen.err(&format!("{}: {}", screen.paint(screen::Style::Bad, "error", true), message));
        if let Some(hint) = hint {
            screen.err(&format!("hint: {hint}"));
        }
        exit
    });
    ExitCode::from(if screen::all_is_written() { exit as u8 } else { Exit::Failed as u8 })
}

/// What drives async code: a thread for each core.
fn runtime() -> Result<tokio::runtime::Runtime, Problem> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|wrong| Problem::new(Exit::Failed, format!("could not start the threads: {wrong}")))
}

/// The manual: on standard output, or a page for every command.
fn man(screen: &screen::Screen, folder: Option<&std::path::Path>) -> exit::Outcome {
    let command = Arguments::command();
    let wrong = |wrong: std::io::Error| Problem::new(Exit::Failed, format!("could not write the manual: {wrong}"));
    match folder {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(wrong)?;
            clap_mangen::generate_to(command, folder).map_err(wrong)?;
        }
        None => {
            let mut text = Vec::new();
            clap_mangen::Man::new(command).render(&mut text).map_err(wrong)?;
            screen.out(String::from_utf8_lossy(&text).trim_end());
        }
    }
    Ok(Exit::Succeeded)
}
