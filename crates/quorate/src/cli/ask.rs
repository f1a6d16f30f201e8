//! `quorate ask`: a request goes where it belongs.

use quorate::ask::AskError;
use quorate::project::{Routed, RoutedBy, Target};
use quorate::{Payload, STANDARD};
use serde_json::{Value, json};

use super::agents::no_agent;
use super::context::{Context, input, read_at_most};
use super::exit::{Exit, Outcome, Problem};
use super::follow::{Watch, start, stop};
use super::run::{find, leave, view};

/// Sends a request where it belongs, and prints what came of it.
///
/// Example: quorate ask "What is our cash flow forecast?"
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What is asked, in words; `-` for standard input.
    request: Option<String>,
    /// What else it says: a file, or JSON. Its fields are those of the request.
    #[arg(long, short, value_name = "JSON")]
    input: Option<String>,
    /// The agent that it goes to, whatever the rules say.
    #[arg(long, value_name = "ID", conflicts_with = "workflow")]
    agent: Option<String>,
    /// The workflow that it starts, whatever the rules say.
    #[arg(long, value_name = "ID")]
    workflow: Option<String>,
    /// Only say where it would go by the rules, and why. Nobody is asked.
    #[arg(long)]
    dry_run: bool,
    /// Everything that happens, as lines of JSON.
    #[arg(long, conflicts_with = "json")]
    jsonl: bool,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    let folder = context.folder()?;
    let host = context.host(&folder)?;
    let request = request(arguments)?;
    let agents = &host.project().agents;
    if let Some(agent) = arguments.agent.as_ref().filter(|id| !agents.contains_key(*id) && !STANDARD.contains(&id.as_str())) {
        return Err(no_agent(agent, agents.keys().map(String::as_str)));
    }
    if let Some(workflow) = &arguments.workflow {
        find(&host, Some(workflow))?;
    }
    let agent = arguments.agent.clone().map(Target::Agent);
    let wanted = agent.or_else(|| arguments.workflow.clone().map(Target::Workflow));
    let by = context.me(host.project()).name;
    if arguments.dry_run {
        let routed = host.route(&request, wanted);
        if let Some(to) = &routed.to {
            host.order(to, &routed, request, &by)?;
        }
        return Ok(tell(context, &routed, host.project().routes.classifier.as_deref()));
    }
    super::runtime()?.block_on(async {
        let owned = context.own(&host, None).await?;
        let ready = async {
            let routed = host.ask(&owned.engine, &request, wanted, &by).await?;
            let to = routed.to.clone().unwrap_or(Target::Agent(String::new()));
            let order = host.order(&to, &routed, request.clone(), &by)?;
            Ok::<_, AskError>((routed, order))
        };
        let (routed, order) = match ready.await {
            Ok(ready) => ready,
            Err(wrong) => {
                stop(&owned.engine).await?;
                return Err(wrong.into());
            }
        };
        if !context.global.json && !arguments.jsonl {
            told(&routed).iter().for_each(|line| context.screen.note(line));
        }
        let how = Watch { view: view(context, arguments.jsonl), at_most: None, known: 0, by: Some(&by) };
        let watched = start(&owned.engine, order, how, &context.screen).await;
        leave(context, &owned, watched, arguments.jsonl).await
    })
}

/// The text is the request; with an input it is the `text` of that.
fn request(arguments: &Arguments) -> Result<Payload, Problem> {
    let text = match arguments.request.as_deref() {
        Some("-") => Some(read_at_most(std::io::stdin().lock(), "standard input")?),
        given => given.map(str::to_owned),
    };
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let Some(more) = &arguments.input else {
        let text = text.ok_or_else(|| Problem::new(Exit::Usage, "nothing is asked").hint("quorate ask \"…\", or -i with JSON"))?;
        return Payload::of(&text).map_err(|wrong| Problem::new(Exit::Invalid, wrong.to_string()));
    };
    let whole = input(Some(more))?;
    let Some(text) = text else { return Ok(whole) };
    match whole.decode::<Value>() {
        Ok(Value::Object(mut fields)) if !fields.contains_key("text") => {
            fields.insert("text".to_owned(), text.into());
            Payload::of(&fields).map_err(|wrong| Problem::new(Exit::Invalid, wrong.to_string()))
        }
        Ok(Value::Object(_)) => Err(Problem::new(Exit::Usage, "the request is there twice: in words, and as the `text` of the input")),
        _ => Err(Problem::new(Exit::Usage, "with a request in words, the input is an object that says more about it")),
    }
}

/// Where a request goes, and why, in lines.
fn told(routed: &Routed) -> Vec<String> {
    let to = routed.to.as_ref().map_or_else(|| "nowhere".to_owned(), |to| format!("to {to}"));
    let mut lines = vec![format!("it goes {to}: {}", routed.by)];
    lines.extend(routed.beside().into_iter().map(|line| format!("  {line}")));
    lines
}

fn tell(context: &Context, routed: &Routed, classifier: Option<&str>) -> Exit {
    let asks = classifier.filter(|_| matches!(routed.by, RoutedBy::Default | RoutedBy::Nothing));
    if context.global.json {
        let whole = json!({ "schema": "quorate.route/1", "route": routed, "classifier": asks });
        context.screen.out(&whole.to_string());
    } else {
        told(routed).iter().for_each(|line| context.screen.out(line));
        if let Some(agent) = asks {
            context.screen.out(&format!("  {agent} would be asked first"));
        }
    }
    if routed.to.is_none() && asks.is_none() { Exit::NotFound } else { Exit::Succeeded }
}

impl From<AskError> for Problem {
    fn from(wrong: AskError) -> Problem {
        match wrong {
            AskError::Engine(wrong) => wrong.into(),
            AskError::Skill(wrong) => wrong.into(),
            AskError::NoTarget(_) => {
                Problem::new(Exit::NotFound, wrong.to_string()).hint("`quorate agents list` and `quorate check` show what there is")
            }
            AskError::Nowhere(_) => {
                let problem = Problem::new(Exit::NotFound, wrong.to_string());
                problem.hint("end `routes:` in quorate.yaml with a rule that has neither keywords nor a condition: that is the default")
            }
            AskError::Classifier { .. } => Problem::new(Exit::Failed, wrong.to_string()),
        }
    }
}
