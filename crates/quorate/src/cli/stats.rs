//! `quorate agents stats` and `quorate runs stats`: what the journal says in numbers.

use std::collections::{BTreeMap, BTreeSet};

use quorate::host::Host;
use quorate::project::AgentSpec;
use quorate::{AgentTally, Asker, Plan, Stands, Tally, Times, Wanted, Work};
use serde_json::{Value, json};

use super::agents::{no_agent, version_of};
use super::context::{Context, Reader, load};
use super::exit::{Exit, Outcome};
use super::screen::{Screen, Table, lasting};

/// Open runs that are looked into for who stands in line.
const MAX_LOOKED_AT: usize = 1_000;

/// What is known of an agent besides its calls.
#[derive(Default)]
struct Known {
    slots: Option<usize>,
    /// Tasks that could be given to it, if it had a place.
    waiting: usize,
}

pub(crate) fn of_agents(context: &Context, wanted: Option<&str>) -> Outcome {
    // Statistics are of what has run; there may be no project, or another one by now.
    let host = context.folder().and_then(|folder| context.read(&folder)).ok();
    let reader = context.reader()?;
    let tally = reader.tallied(&context.data()?)?;
    let specs: Vec<&AgentSpec> = host.iter().flat_map(|host| host.project().agents.values()).flat_map(AgentSpec::all).collect();
    let names: BTreeSet<&str> = tally.agents.keys().map(|id| &**id).chain(specs.iter().map(|spec| spec.id.as_str())).collect();
    if let Some(missing) = wanted.filter(|wanted| !names.contains(wanted)) {
        return Err(no_agent(missing, names.iter().copied()));
    }
    let known = known(&reader, host.as_ref(), &specs);
    let mut rows: Vec<(&str, &str, AgentTally)> = Vec::new();
    for (id, versions) in &tally.agents {
        rows.extend(versions.iter().map(|(version, tally)| (&**id, &**version, tally.clone())));
    }
    // Who was never called is told as well.
    for spec in specs.iter().filter(|spec| spec.instances.is_none()) {
        let version = version_of(spec);
        if !rows.iter().any(|(id, known, _)| *id == spec.id && *known == version) {
            rows.push((&spec.id, version, AgentTally::default()));
        }
    }
    rows.retain(|(id, ..)| wanted.is_none_or(|wanted| *id == wanted));
    rows.sort_by_key(|(id, version, _)| (*id, *version));
    if context.global.json {
        let agents: Vec<Value> = rows.iter().map(|(id, version, tally)| told(id, version, tally, known.get(*id))).collect();
        let (total, enabled, capabilities) = of_registry(host.as_ref());
        let whole = json!({
            "schema": "quorate.agent-stats/1", "total_agents": total, "enabled_agents": enabled, "capabilities": capabilities,
            "agents": agents,
        });
        context.screen.out(&whole.to_string());
        return Ok(Exit::Succeeded);
    }
    let mut table = Table::new(&["AGENT", "VERSION", "CALLS", "OK", "P50", "P95", "P99", "BUSY", "QUEUE", "TOKENS", "COST", "WHAT FAILED"])
        .minor(&["P95", "QUEUE", "P99", "COST", "TOKENS", "BUSY", "VERSION"]);
    for (id, version, tally) in &rows {
        let known = known.get(*id);
        let ok = tally.success_rate().map(|rate| format!("{:.1} %", rate * 100.0)).unwrap_or_default();
        let at = |percent| tally.times.percentile(percent).map(shown).unwrap_or_default();
        let slots = known.and_then(|known| known.slots).map(|slots| format!("/{slots}")).unwrap_or_default();
        let waiting = known.map_or(0, |known| known.waiting);
        let (tokens, cost) = (tally.usage.tokens(), tally.usage.cost.map(|cost| cost.normalize().to_string()).unwrap_or_default());
        let failed: Vec<String> = tally.failed.iter().map(|(class, count)| format!("{count} {class}")).collect();
        table.row([
            (*id).into(),
            (*version).into(),
            tally.calls.to_string().into(),
            ok.into(),
            at(50).into(),
            at(95).into(),
            at(99).into(),
            format!("{}{slots}", tally.under_way).into(),
            waiting.to_string().into(),
            if tokens > 0 { tokens.to_string().into() } else { "".into() },
            cost.into(),
            failed.join(", ").into(),
        ]);
    }
    show(&context.screen, &table, rows.is_empty(), "nothing has been called yet");
    Ok(Exit::Succeeded)
}

fn show(screen: &Screen, table: &Table, empty: bool, note: &str) {
    if empty {
        screen.note(note);
    } else {
        table.show(screen);
    }
}

/// Below a second, microseconds count.
fn shown(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros}µs"),
        1_000..10_000 => format!("{}.{}ms", micros / 1_000, micros % 1_000 / 100),
        _ => lasting(micros / 1_000),
    }
}

fn told(id: &str, version: &str, tally: &AgentTally, known: Option<&Known>) -> Value {
    json!({
        "agent_id": id,
        "version": version,
        "calls": tally.calls,
        "succeeded": tally.succeeded,
        "failed": tally.failures(),
        "failed_by_class": tally.failed,
        "cut_off": tally.cut_off,
        "success_rate": tally.success_rate(),
        "times_us": times(&tally.times),
        "tokens_in": tally.usage.tokens_in,
        "tokens_out": tally.usage.tokens_out,
        "cost": tally.usage.cost,
        "under_way": tally.under_way,
        "slots": known.and_then(|known| known.slots),
        "waiting": known.map_or(0, |known| known.waiting),
        "last_call": (tally.calls > 0).then_some(tally.last),
    })
}

fn times(times: &Times) -> Value {
    let at = |percent| times.percentile(percent);
    json!({ "count": times.count, "avg": times.average(), "p50": at(50), "p95": at(95), "p99": at(99) })
}

fn of_registry(host: Option<&Host>) -> (usize, usize, BTreeMap<String, usize>) {
    let Some(host) = host else { return (0, 0, BTreeMap::new()) };
    // Those that are always there are nobody's agents.
    let own: Vec<&AgentSpec> = host.project().agents.values().collect();
    let count = |spec: &&AgentSpec| spec.instances.unwrap_or(1);
    let mut capabilities: BTreeMap<String, usize> = BTreeMap::new();
    for spec in &own {
        for name in spec.all().flat_map(|version| &version.capabilities).collect::<BTreeSet<_>>() {
            *capabilities.entry(name.clone()).or_default() += count(spec);
        }
    }
    let enabled = own.iter().filter(|spec| spec.all().any(|version| version.enabled)).map(count).sum();
    (own.iter().map(count).sum(), enabled, capabilities)
}

/// The places of agents, and how many tasks stand in line for them.
fn known(reader: &Reader, host: Option<&Host>, specs: &[&AgentSpec]) -> BTreeMap<String, Known> {
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    for spec in specs {
        let slots = spec.all().map(|version| version.max_concurrent).try_fold(0, |sum, slots| Some(sum + slots?));
        known.entry(spec.id.clone()).or_default().slots = slots;
    }
    let open = Wanted { stands: Some(Stands::Open), ..Wanted::newest(MAX_LOOKED_AT) };
    let open = reader.list(&open).unwrap_or_default();
    for (run, _) in open.iter().filter_map(|info| load(reader, info.run).ok()) {
        for work in run.outstanding() {
            match work {
                Work::Dispatch { asker: Asker::Agent(id), .. } => known.entry(id.to_string()).or_default().waiting += 1,
                Work::Dispatch { asker: Asker::Capabilities(names), .. } => {
                    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                    let able = host.iter().flat_map(|host| host.project().agents.values()).filter(|spec| spec.can(&names));
                    able.for_each(|spec| known.entry(spec.id.clone()).or_default().waiting += 1);
                }
                _ => {}
            }
        }
    }
    known
}

pub(crate) fn of_runs(context: &Context) -> Outcome {
    let reader = context.reader()?;
    let tally = reader.tallied(&context.data()?)?;
    let strategies = strategies(&reader, &tally);
    let runs = &tally.runs;
    if context.global.json {
        let whole = json!({
            "schema": "quorate.run-stats/1",
            "total_executions": runs.started,
            "open": tally.open_runs(),
            "ended": runs.ended,
            "avg_time_ms": runs.times.average().map(|micros| micros / 1_000),
            "times_us": times(&runs.times),
            "strategies_used": strategies,
        });
        context.screen.out(&whole.to_string());
        return Ok(Exit::Succeeded);
    }
    let list = |counts: &BTreeMap<String, u64>| counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ");
    let screen = &context.screen;
    screen.out(&format!("runs        {}, {} of them open", runs.started, tally.open_runs()));
    if !runs.ended.is_empty() {
        screen.out(&format!("ended       {}", list(&runs.ended)));
    }
    if let Some(average) = runs.times.average() {
        let at = |percent| runs.times.percentile(percent).map(shown).unwrap_or_default();
        screen.out(&format!("took        {} on average; p50 {}, p95 {}, p99 {}", shown(average), at(50), at(95), at(99)));
    }
    screen.out(&format!("strategies  {}", list(&strategies)));
    Ok(Exit::Succeeded)
}

/// The constraints under which runs ran, by what their plans say.
fn strategies(reader: &Reader, tally: &Tally) -> BTreeMap<String, u64> {
    let mut strategies: BTreeMap<String, u64> = BTreeMap::new();
    for (digest, count) in &tally.runs.plans {
        let plan = reader.kept(*digest).ok().flatten().and_then(|text| Plan::read(&text).ok());
        *strategies.entry(plan.map_or("unknown", |plan| plan.strategy()).to_owned()).or_default() += count;
    }
    strategies
}
