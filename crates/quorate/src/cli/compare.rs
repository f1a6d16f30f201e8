//! All agents one after another beside what the policy asks for: decisions, agents and time, side by side.

use std::collections::BTreeMap;

use quorate::Usage;
use quorate::project::{Comparison, Side};
use serde_json::{Value, json};

use super::screen::{Screen, Table, lasting};

/// Times as people read them.
fn time(micros: i64) -> String {
    match micros {
        ..10_000 => format!("{}.{}ms", micros / 1_000, micros.rem_euclid(1_000) / 100),
        _ => lasting(u64::try_from(micros / 1_000).unwrap_or(0)),
    }
}

/// A share, in whole hundredths.
fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// One piece of work, done both ways.
pub(crate) fn show(screen: &Screen, comparison: &Comparison) {
    let mut table = Table::new(&["MODE", "DECISION", "CONFIDENCE", "AGENTS", "TIME", "PATH"]);
    for (mode, side) in [("sequential", &comparison.sequential), ("dynamic", &comparison.dynamic)] {
        table.row([
            mode.into(),
            side.action.as_deref().unwrap_or("none").into(),
            side.confidence.map(|confidence| confidence.to_string()).unwrap_or_default().into(),
            side.agents.to_string().into(),
            time(side.micros).into(),
            side.execution_path.clone().into(),
        ]);
    }
    table.show(screen);
    screen.note(&verdict(comparison));
}

fn verdict(comparison: &Comparison) -> String {
    let agree = if comparison.agree { "both decide the same" } else { "they do not decide the same" };
    let quicker = if comparison.saved >= 0.0 {
        format!("{} less time", percent(comparison.saved))
    } else {
        format!("{} more time", percent(-comparison.saved))
    };
    let unanswered = if comparison.unanswered.is_empty() {
        String::new()
    } else {
        format!("; of {} no answer is known", comparison.unanswered.join(", "))
    };
    format!("dynamic: {quicker}, {} of {} agents; {agree}{unanswered}", comparison.dynamic.agents, comparison.sequential.agents)
}

/// Many pieces of work, by policy.
#[derive(Default)]
pub(crate) struct Totals(BTreeMap<String, Total>);

#[derive(Default)]
struct Total {
    count: usize,
    agree: usize,
    /// Where one would resolve by itself what the other one would not.
    resolving: usize,
    sides: [Sum; 2],
}

#[derive(Default)]
struct Sum {
    agents: usize,
    micros: i64,
    used: Usage,
}

impl Sum {
    fn add(&mut self, side: &Side) {
        self.agents += side.agents;
        self.micros = self.micros.saturating_add(side.micros);
        side.usage.iter().for_each(|used| self.used.add(used));
    }

    fn told(&self, count: usize) -> Value {
        let each = i64::try_from(count.max(1)).unwrap_or(1);
        json!({ "agents": self.agents, "us_each": self.micros / each, "tokens": self.used.tokens(), "cost": self.used.cost })
    }
}

impl Total {
    fn saved(&self) -> f64 {
        let [sequential, dynamic] = &self.sides;
        #[expect(clippy::cast_precision_loss, reason = "times of runs are far below the limit")]
        let share = |part: i64, whole: i64| if whole == 0 { 0.0 } else { 1.0 - part as f64 / whole as f64 };
        share(dynamic.micros, sequential.micros)
    }
}

impl Totals {
    pub(crate) fn add(&mut self, policy: &str, comparison: &Comparison) {
        let total = self.0.entry(policy.to_owned()).or_default();
        total.count += 1;
        total.agree += usize::from(comparison.agree);
        total.resolving += usize::from(comparison.differs_on_resolving());
        for (sum, side) in total.sides.iter_mut().zip([&comparison.sequential, &comparison.dynamic]) {
            sum.add(side);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn json(&self) -> Value {
        let policy = |(policy, total): (&String, &Total)| {
            json!({
                "policy": policy,
                "runs": total.count,
                "agree": total.agree,
                "differ_on_resolving": total.resolving,
                "sequential": total.sides[0].told(total.count),
                "dynamic": total.sides[1].told(total.count),
                "saved": total.saved(),
            })
        };
        json!({ "schema": "quorate.comparison/1", "policies": self.0.iter().map(policy).collect::<Vec<_>>() })
    }

    /// Document 000's table, as it was measured.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new(&["POLICY", "WORK", "AGREE", "AGENTS", "TIME", "SAVED", "COST"]).minor(&["COST"]);
        for (policy, total) in &self.0 {
            let [sequential, dynamic] = &total.sides;
            let each = |sum: &Sum| time(sum.micros / i64::try_from(total.count.max(1)).unwrap_or(1));
            let cost = sequential.used.cost.map(|cost| format!("{cost} -> {}", dynamic.used.cost.unwrap_or_default())).unwrap_or_default();
            table.row([
                policy.as_str().into(),
                total.count.to_string().into(),
                format!("{} of {}", total.agree, total.count).into(),
                format!("{} -> {}", sequential.agents, dynamic.agents).into(),
                format!("{} -> {}", each(sequential), each(dynamic)).into(),
                percent(total.saved()).into(),
                cost.into(),
            ]);
        }
        table
    }
}
