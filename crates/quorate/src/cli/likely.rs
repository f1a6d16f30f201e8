//! What is likely to become of work, by what became of work like it.

use std::collections::BTreeMap;

use quorate::expr::Decimal;
use quorate::project::{Summary, millis_between};
use quorate::{Entry, Usage, Wanted, concluded};
use serde::Serialize;

use super::context::{Context, load};
use super::screen::lasting;

/// Most runs that are looked at, the newest of a policy.
const MAX_RUNS: usize = 200;
/// Most ways that are told.
const MAX_WAYS: usize = 8;

/// What became of the newest runs of a policy.
#[derive(Debug, Serialize)]
pub(crate) struct Likely {
    /// How many runs that is.
    runs: usize,
    /// Where they went, the likeliest first.
    ways: Vec<Way>,
}

/// Runs that went the same way.
#[derive(Debug, Serialize)]
struct Way {
    execution_path: String,
    action: String,
    runs: usize,
    /// Agents that were asked.
    agents: usize,
    /// Until the decision: half of them took that long at the most, and nine in ten.
    p50_ms: u64,
    p90_ms: u64,
    /// What each of them used in the mean, where agents say so.
    cost: Option<Decimal>,
    tokens: u64,
}

/// What is known of one run.
struct Went {
    millis: u64,
    agents: usize,
    used: Option<Usage>,
}

impl Likely {
    /// What is on record of a policy, if anything is.
    pub(crate) fn of(context: &Context, policy: &str) -> Option<Likely> {
        let reader = context.reader().ok()?;
        let wanted = Wanted { name: Some(policy.to_owned()), ..Wanted::newest(MAX_RUNS) };
        let mut ways: BTreeMap<(String, String), Vec<Went>> = BTreeMap::new();
        for info in reader.list(&wanted).ok()? {
            let Ok((run, entries)) = load(&reader, info.run) else { continue };
            let Some(decision) = run.decision() else { continue };
            let summary = Summary::of(&run, &entries);
            // What people do afterwards is another story.
            let path = summary.execution_path.split(" -> Decision").next().unwrap_or_default();
            let went = Went { millis: until_decided(&entries), agents: summary.agents_invoked, used: summary.usage.cloned() };
            ways.entry((path.to_owned(), decision.action.clone())).or_default().push(went);
        }
        let mut ways: Vec<Way> = ways.into_iter().map(|((path, action), went)| Way::of(path, action, &went)).collect();
        let runs = ways.iter().map(|way| way.runs).sum();
        ways.sort_by(|a, b| b.runs.cmp(&a.runs).then_with(|| a.execution_path.cmp(&b.execution_path)));
        ways.truncate(MAX_WAYS);
        (runs > 0).then_some(Likely { runs, ways })
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![match self.runs {
            1 => "the only run of this policy on record:".to_owned(),
            runs => format!("of the last {runs} runs of this policy:"),
        }];
        for way in &self.ways {
            let Way { execution_path, action, runs, agents, p50_ms, p90_ms, cost, .. } = way;
            let cost = cost.map(|cost| format!(", {} each", cost.round_dp(4).normalize())).unwrap_or_default();
            let time = if runs > &1 {
                format!("half in {}, nine in ten in {}", lasting(*p50_ms), lasting(*p90_ms))
            } else {
                format!("in {}", lasting(*p50_ms))
            };
            lines.push(format!("  {:>3} %  {action}, {agents} agents, {time}{cost}", runs * 100 / self.runs.max(1)));
            lines.push(format!("         {execution_path}"));
        }
        lines
    }
}

impl Way {
    fn of(execution_path: String, action: String, went: &[Went]) -> Way {
        let mut times: Vec<u64> = went.iter().map(|went| went.millis).collect();
        times.sort_unstable();
        // The time within which so many of a hundred are.
        let at = |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1];
        let mut all = Usage::default();
        went.iter().filter_map(|went| went.used.as_ref()).for_each(|used| all.add(used));
        let spoke = went.iter().filter(|went| went.used.as_ref().is_some_and(|used| used.cost.is_some())).count();
        let cost = all.cost.and_then(|cost| cost.checked_div(Decimal::from(spoke)));
        Way {
            execution_path,
            action,
            runs: went.len(),
            agents: went.iter().map(|went| went.agents).max().unwrap_or(0),
            p50_ms: at(50),
            p90_ms: at(90),
            cost,
            tokens: all.tokens() / went.len() as u64,
        }
    }
}

/// How long a run took until it was decided and nothing more was under way that led there.
fn until_decided(entries: &[Entry]) -> u64 {
    entries.first().zip(concluded(entries)).map_or(0, |(first, at)| millis_between(first.at, at))
}
