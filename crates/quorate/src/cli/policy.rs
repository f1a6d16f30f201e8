//! `quorate policy`: the policies of a project, and what work comes to by them.

use std::collections::BTreeMap;

use clap::Subcommand;
use quorate::expr::MAX_TRIES;
use quorate::host::Host;
use quorate::intake::Intake;
use quorate::project::{Explanation, Graph, NO_POLICY, Policy, pick_lines, sequential_name};
use quorate::{Payload, Plan, Wanted};
use serde_json::{Value, json};

use super::agreement::Agreement;
use super::check::told as told_of;
use super::compare::Totals;
use super::context::{Context, counted, input, load};
use super::exit::{Exit, Outcome};
use super::likely::Likely;
use super::run::{intake_fits, no_policies};
use super::runs::loaded;
use super::screen::{Table, one_line};

/// Lists policies, looks for what is odd about them, and shows what a piece of work would come to.
///
/// Example: quorate policy plan -i break.json
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists the policies of the project.
    ///
    /// Example: quorate policy list
    List,
    /// Looks for what is odd about the policies: gaps, checkpoints that can never hold, work that none of them is for.
    ///
    /// Example: quorate policy lint --strict
    Lint {
        /// What is odd is a mistake.
        #[arg(long)]
        strict: bool,
    },
    /// Shows what would be found out about a piece of work, which policy it would get and why, and what would run. Nothing is run.
    ///
    /// Example: quorate policy plan -i '{"break_type": "CASH_BREAK", "amount_diff": 1200}'
    Plan {
        /// The work: a file, `-` for standard input, or JSON.
        #[arg(long, short, value_name = "JSON")]
        input: Option<String>,
    },
    /// Says why a run decided as it did: which policy it got, why each agent ran or did not, what was looked at, why nothing else was
    /// decided, and what would have been enough for it.
    ///
    /// Example: quorate policy explain 01J9
    Explain {
        /// The run, or the beginning of its id.
        run: String,
    },
    /// Shows runs of all agents one after another beside what their policies would have made of the same answers, policy by policy.
    ///
    /// Example: quorate policy compare
    Compare {
        /// Only so many of the newest runs of each policy.
        #[arg(long, value_name = "N", default_value_t = USUAL_RUNS)]
        limit: usize,
    },
    /// Shows how often people were asked about decisions, and agreed with what was proposed: by policy and rule, and by the agents that
    /// were heard.
    ///
    /// Example: quorate policy agreement
    Agreement {
        /// Only so many of the newest runs of each policy.
        #[arg(long, value_name = "N", default_value_t = USUAL_RUNS)]
        limit: usize,
    },
}

/// How many runs of a policy are looked at, where nobody says.
const USUAL_RUNS: usize = 1_000;

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    // What is on record can be explained whatever has become of the project.
    if let Verb::Explain { run } = &arguments.verb {
        return explain(context, run);
    }
    let host = context.host(&context.folder()?)?;
    let intake = host.intake().ok_or_else(no_policies)?;
    let policies = &host.project().policies.list;
    match &arguments.verb {
        Verb::List if context.global.json => {
            let all: Vec<Value> = policies.iter().map(|(id, policy)| told(id, policy)).collect();
            context.screen.out(&json!({ "schema": "quorate.policies/1", "policies": all }).to_string());
            Ok(Exit::Succeeded)
        }
        Verb::List => {
            let mut table = Table::new(&["POLICY", "AGENTS", "MAY RUN", "STAGES", "WHAT FOR"]);
            for (id, policy) in policies {
                let may = policy.on_demand.len();
                let stages = Graph::of(&policy.plan, None).stage_count();
                let must = agents(&policy.plan).len() - may;
                table.row([
                    id.clone().into(),
                    must.to_string().into(),
                    may.to_string().into(),
                    stages.to_string().into(),
                    policy.description.clone().unwrap_or_default().into(),
                ]);
            }
            table.show(&context.screen);
            Ok(Exit::Succeeded)
        }
        Verb::Lint { strict } => Ok(lint(context, &host, *strict)),
        Verb::Plan { input: given } => plan(context, &intake, policies, &input(given.as_deref())?),
        Verb::Explain { run } => explain(context, run),
        Verb::Compare { limit } => compare(context, &intake, policies, *limit),
        Verb::Agreement { limit } => agreement(context, policies, *limit),
    }
}

fn explain(context: &Context, wanted: &str) -> Outcome {
    let (_, run, entries) = loaded(context, wanted, None)?;
    let explanation = Explanation::of(&run, &entries);
    if context.global.json {
        context.screen.out(&serde_json::to_string(&explanation).unwrap_or_default());
        return Ok(Exit::Succeeded);
    }
    explanation.lines(run.plan()).iter().for_each(|line| context.screen.out(&one_line(line)));
    Ok(Exit::Succeeded)
}

fn compare(context: &Context, intake: &Intake, policies: &BTreeMap<String, Policy>, limit: usize) -> Outcome {
    let reader = context.reader()?;
    let mut totals = Totals::default();
    for policy in policies.keys() {
        let wanted = Wanted { name: Some(sequential_name(policy)), ..Wanted::newest(limit) };
        for info in reader.list(&wanted)? {
            let compared = load(&reader, info.run).ok().and_then(|(run, entries)| intake.compare(&run, &entries));
            if let Some((policy, comparison)) = compared {
                totals.add(&policy, &comparison);
            }
        }
    }
    if context.global.json {
        context.screen.out(&totals.json().to_string());
    } else if totals.is_empty() {
        context.screen.note("no run of all agents one after another is on record");
        context.screen.note("hint: `quorate run policies --mode compare -i work.json` makes one");
    } else {
        totals.table().show(&context.screen);
    }
    Ok(Exit::Succeeded)
}

fn agreement(context: &Context, policies: &BTreeMap<String, Policy>, limit: usize) -> Outcome {
    let reader = context.reader()?;
    let mut agreement = Agreement::default();
    for policy in policies.keys().map(String::as_str).chain([NO_POLICY]) {
        for info in reader.list(&Wanted { name: Some(policy.to_owned()), ..Wanted::newest(limit) })? {
            if let Ok((run, _)) = load(&reader, info.run) {
                agreement.add(policy, &run);
            }
        }
    }
    if context.global.json {
        context.screen.out(&agreement.json().to_string());
    } else if agreement.is_empty() {
        context.screen.note("no policy has decided anything that is on record");
    } else {
        agreement.show(&context.screen);
    }
    Ok(Exit::Succeeded)
}

fn lint(context: &Context, host: &Host, strict: bool) -> Exit {
    let found = host.project().lint(MAX_TRIES);
    let exit = if strict && !found.is_empty() { Exit::Invalid } else { Exit::Succeeded };
    if context.global.json {
        let told = told_of(&host.checked.files, &found);
        context.screen.out(&json!({ "schema": "quorate.lint/1", "ok": exit == Exit::Succeeded, "diagnostics": told }).to_string());
        return exit;
    }
    context.show_diagnostics(&host.checked.files, found.iter());
    let policies = counted(host.project().policies.list.len(), "policy");
    let odd = if found.is_empty() { "nothing is odd".to_owned() } else { counted(found.len(), "oddity") };
    context.screen.out(&format!("{policies}: {odd}"));
    exit
}

/// The tasks of a policy that are calls of agents: their names, and who does them.
fn agents(plan: &Plan) -> Vec<(String, String)> {
    let of = |task: quorate::draft::TaskDraft| match task.work {
        quorate::draft::WorkDraft::Agent { id, capabilities } => Some((task.id, id.unwrap_or_else(|| capabilities.join("+")))),
        _ => None,
    };
    plan.draft().tasks.into_iter().filter_map(of).collect()
}

fn told(id: &str, policy: &Policy) -> Value {
    let named: Vec<Value> = agents(&policy.plan).into_iter().map(|(task, agent)| json!({ "task": task, "agent": agent })).collect();
    json!({
        "policy": id,
        "description": policy.description,
        "plan": policy.plan.digest().to_string(),
        "agents": named,
        "on_demand": policy.on_demand,
        "stages": Graph::of(&policy.plan, None).stage_count(),
    })
}

fn plan(context: &Context, intake: &Intake, policies: &BTreeMap<String, Policy>, input: &Payload) -> Outcome {
    intake_fits(intake, input)?;
    let (profile, pick) = intake.look(input);
    let policy = pick.policy.as_ref().and_then(|id| policies.get(id));
    // What runs, which is another plan where all agents run one after another.
    let runs = intake.plan_of(&pick);
    if context.global.json {
        let whole = json!({
            "schema": "quorate.policy-plan/1",
            "profile": profile.decode::<Value>().unwrap_or_default(),
            "pick": pick,
            "policy": policy.map(|policy| told(pick.policy.as_deref().unwrap_or_default(), policy)),
            "mode": pick.mode,
            "likely": runs.and_then(|plan| Likely::of(context, plan.name())),
            "graph": runs.and_then(|plan| serde_json::from_str::<Value>(&Graph::of(plan, None).json()).ok()),
        });
        context.screen.out(&whole.to_string());
        return Ok(Exit::Succeeded);
    }
    let screen = &context.screen;
    for line in pick_lines(&pick) {
        screen.out(&line);
    }
    let Some(plan) = runs.filter(|_| policy.is_some()) else { return Ok(Exit::Succeeded) };
    if !pick.mode.is_dynamic() {
        screen.out(&format!("all agents run, one after another: the mode is {}", pick.mode));
    }
    screen.out("");
    screen.out(Graph::of(plan, None).ascii(screen.width).trim_end());
    screen.out("");
    let draft = plan.draft();
    for checkpoint in &draft.checkpoints {
        let after = if checkpoint.after.is_empty() {
            "when all that must run has ended".to_owned()
        } else {
            format!("after {}", checkpoint.after.join(" and "))
        };
        let then = match &checkpoint.then {
            quorate::draft::ThenDraft::Decide(action) => action.clone(),
            quorate::draft::ThenDraft::Follow(task) => format!("what {task} says"),
            quorate::draft::ThenDraft::Grow(tasks) => format!("{} as well", tasks.join(" and ")),
            quorate::draft::ThenDraft::Voices(voices) => {
                let of: Vec<&str> = voices.of.iter().map(|voice| voice.task.as_str()).collect();
                format!("what {} say together ({})", of.join(", "), voices.by)
            }
        };
        let condition = if checkpoint.condition == "always" { String::new() } else { format!("`{}`: ", checkpoint.condition) };
        screen.out(&format!("{after}: {condition}{then}"));
    }
    screen.out(&format!("otherwise: {}", draft.otherwise.as_deref().unwrap_or(quorate::HIL_REVIEW)));
    screen.out("");
    match Likely::of(context, plan.name()) {
        Some(likely) => likely.lines().iter().for_each(|line| screen.out(line)),
        None => screen.out("no run of this policy is on record, by which to say what is likely"),
    }
    Ok(Exit::Succeeded)
}
