//! `quorate audit`: whether the journal is what was written.

use clap::Subcommand;
use quorate::{Flaw, Run, SqliteJournal, Wanted};
use serde_json::json;

use super::context::{Context, Reader, counted, plan_of};
use super::exit::{Exit, Outcome, Problem};

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
    /// Checks every entry and every chain, and takes every decision again from what is on record before it; what is damaged is
    /// named, and nothing is repaired.
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
            let whole = report.is_sound();
            // What is damaged is named; decisions are taken again where all that they rest on is there.
            let decisions = if whole { Decisions::again(&reader)? } else { Decisions::default() };
            let sound = whole && decisions.other.is_empty();
            if context.global.json {
                let damages: Vec<String> = report.damage.iter().map(ToString::to_string).collect();
                let told = json!({
                    "schema": "quorate.audit/1", "ok": sound, "runs": report.runs, "entries": report.entries, "seal": report.seal,
                    "decisions": decisions.taken, "other_decisions": decisions.other, "damages": damages,
                });
                context.screen.out(&told.to_string());
            } else if whole {
                let counts = format!("{} of {}", counted_u64(report.entries, "entry", "entries"), counted_u64(report.runs, "run", "runs"));
                context.screen.out(&format!("{counts}: every chain is whole"));
                decisions.tell(context);
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

/// Decisions that were taken again.
#[derive(Default)]
struct Decisions {
    taken: u64,
    /// Those that do not follow from what is on record, each in a sentence.
    other: Vec<String>,
}

impl Decisions {
    fn again(reader: &Reader) -> Result<Decisions, Problem> {
        let mut decisions = Decisions::default();
        for info in reader.list(&Wanted::newest(usize::MAX))? {
            let entries = reader.load(info.run)?.entries;
            let plan = plan_of(reader, info.run, &entries)?;
            let again = Run::again(info.run, &plan, &entries).map_err(|wrong| Problem::new(Exit::Failed, wrong.to_string()))?;
            decisions.taken += u64::from(again.run.decision().is_some());
            if let Some(differs) = again.differs {
                decisions.other.push(format!("run {}, entry {}: {differs}", info.run.short(), differs.seq));
            }
        }
        Ok(decisions)
    }

    fn tell(&self, context: &Context) {
        if self.taken > 0 && self.other.is_empty() {
            let decisions = if self.taken == 1 { "one decision follows".to_owned() } else { format!("{} decisions follow", self.taken) };
            context.screen.out(&format!("{decisions} from what is on record"));
        }
        self.other.iter().for_each(|other| context.screen.out(other));
    }
}

fn counted_u64(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("one {one}") } else { format!("{count} {many}") }
}
