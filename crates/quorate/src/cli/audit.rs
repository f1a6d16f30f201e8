//! `quorate audit`: whether the journal is what was written.

use clap::Subcommand;
use quorate::{Flaw, SqliteJournal, Wanted};
use serde_json::json;

use super::context::{Context, counted};
use super::exit::{Exit, Outcome};

/// Checks the journal, and prints all of it.
///
/// Example: quorate audit verify
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Checks every entry and every chain; what is damaged is named, and nothing is repaired.
    ///
    /// Example: quorate audit verify --json
    Verify,
    /// Prints the journals of all runs, line by line, as they are chained.
    ///
    /// Example: quorate audit export > journal.jsonl
    Export,
    /// Makes the index that lists are read from anew, from the entries. What is damaged otherwise is left as it is.
    ///
    /// Example: quorate audit reindex
    Reindex,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    let reader = context.reader()?;
    match arguments.verb {
        Verb::Verify => {
            let report = reader.verify()?;
            let sound = report.is_sound();
            if context.global.json {
                let damages: Vec<String> = report.damage.iter().map(ToString::to_string).collect();
                let told = json!({
                    "schema": "quorate.audit/1", "ok": sound, "runs": report.runs, "entries": report.entries, "seal": report.seal, "damages": damages,
                });
                context.screen.out(&told.to_string());
            } else if sound {
                let counts = format!("{} of {}", counted_u64(report.entries, "entry", "entries"), counted_u64(report.runs, "run", "runs"));
                context.screen.out(&format!("{counts}: every chain is whole"));
                if let Some(seal) = report.seal {
                    context.screen.out(&format!("seal {seal}"));
                    context.screen.note("keep the seal elsewhere: a journal that was put back to an earlier state has another one");
                }
            } else {
                for damage in &report.damage {
                    context.screen.out(&damage.to_string());
                }
                context.screen.err(&format!("the journal is damaged in {}; nothing was changed", counted(report.damage.len(), "place")));
                if report.damage.iter().all(|damage| matches!(damage.flaw, Flaw::Index(_))) {
                    context.screen.err("hint: no entry is; `quorate audit reindex` makes the index anew");
                }
            }
            Ok(if sound { Exit::Succeeded } else { Exit::Failed })
        }
        Verb::Reindex => {
            drop(reader);
            let runs = SqliteJournal::rebuild_index(&context.data()?)?;
            context.screen.note(&format!("the index has {} again", counted_u64(runs, "run", "runs")));
            Ok(Exit::Succeeded)
        }
        Verb::Export => {
            for info in reader.list(&Wanted::newest(usize::MAX))?.iter().rev() {
                for line in reader.lines(info.run)?.lines() {
                    context.screen.out(&format!("{{\"run\":\"{}\",\"line\":{line}}}", info.run));
                }
            }
            Ok(Exit::Succeeded)
        }
    }
}

fn counted_u64(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("one {one}") } else { format!("{count} {many}") }
}
