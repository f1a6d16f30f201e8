//! `quorate graph`: a workflow as a picture, as it is planned or as a run of it went.

use quorate::project::{Graph, MAX_DRAWN};

use super::context::{Context, load};
use super::exit::{Exit, Outcome};
use super::run::find;

/// Draws a workflow, or a run of one.
///
/// Example: quorate graph web-app --format mermaid
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A workflow; the project's default where it is not given.
    target: Option<String>,
    /// Draw a run instead, with how its tasks stand.
    #[arg(long, value_name = "RUN", conflicts_with = "target")]
    run: Option<String>,
    /// How it is drawn.
    #[arg(long, short, default_value = "ascii")]
    format: Format,
    /// Draw all tasks, however many there are.
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Ascii,
    Mermaid,
    Dot,
    Svg,
    /// A list to be ticked off, in Markdown.
    Todo,
    Json,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    let graph = match &arguments.run {
        Some(wanted) => {
            let reader = context.reader()?;
            let id = context.find_run(&reader, wanted)?;
            let (run, _) = load(&reader, id)?;
            Graph::of(run.plan(), Some(&run))
        }
        None => {
            let host = context.host(&context.folder()?)?;
            Graph::of(&find(&host, arguments.target.as_deref())?.plan, None)
        }
    };
    let format = if context.global.json { Format::Json } else { arguments.format };
    // No program loses the thread.
    let text = if graph.len() > MAX_DRAWN && !arguments.all && !matches!(format, Format::Json) {
        context.screen.note(&format!("hint: more than {MAX_DRAWN} tasks are summed up; --all draws them"));
        graph.summary()
    } else {
        match format {
            Format::Ascii => graph.ascii(context.screen.width),
            Format::Mermaid => graph.mermaid(),
            Format::Dot => graph.dot(),
            Format::Svg => graph.svg(),
            Format::Todo => graph.todo(),
            Format::Json => graph.json(),
        }
    };
    context.screen.out(text.trim_end());
    Ok(Exit::Succeeded)
}
