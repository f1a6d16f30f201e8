//! What policies cost: a decision from the work to the disk, a decision taken again, and a policy made into a plan.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use quorate::intake::Intake;
use quorate::project::{Project, Source};
use quorate::{Agent, Durability, Engine, Journal, Options, Payload, Registry, Reply, Run, SqliteJournal, SqliteOptions};

use super::bench::Bench;

/// What one piece of work looks like.
const WORK: &str = r#"{"break_id":"BRK-2026-11-00001","break_type":"TRADE_OMS_MISMATCH","amount_diff":-1250.75}"#;
const AGENTS: [&str; 7] = [
    "BREAK_INGESTION",
    "DATA_ENRICHMENT",
    "MATCHING_CORRELATION",
    "RULES_TOLERANCE",
    "PATTERN_INTELLIGENCE",
    "DECISIONING",
    "WORKFLOW_FEEDBACK",
];
/// How many decisions are under way at once.
const IN_FLIGHT: usize = 64;
/// So many policies are looked over by the linter.
const POLICIES: usize = 200;

pub(super) const FIGURES: [&str; 7] = [
    "classify_and_pick/memory",
    "decide_3_of_7_x64/strict",
    "decide_7_of_7_x64/strict",
    "decide_3_of_7_x64/relaxed",
    "decide_again/memory",
    "policy_compile/memory",
    "lint_200_policies/memory",
];

/// Seven agents, of which the rules suffice where they settle it.
fn policies(tier: &str, kind: &str) -> String {
    format!(
        "  {kind}:
    {tier}:
      mandatory_agents: [BREAK_INGESTION, DATA_ENRICHMENT, RULES_TOLERANCE]
      optional_agents: [MATCHING_CORRELATION, PATTERN_INTELLIGENCE, DECISIONING, WORKFLOW_FEEDBACK]
      decision_checkpoints:
        - {{ after: RULES_TOLERANCE, condition: within_tolerance and confidence > 0.9, action: AUTO_RESOLVE }}
"
    )
}

/// All seven, three of them side by side.
const FULL: &str = "  TRADE_OMS_MISMATCH:
    HIGH_RISK:
      mandatory_agents: [BREAK_INGESTION, DATA_ENRICHMENT, MATCHING_CORRELATION, RULES_TOLERANCE, PATTERN_INTELLIGENCE, DECISIONING, WORKFLOW_FEEDBACK]
      parallel_groups: [[DATA_ENRICHMENT], [MATCHING_CORRELATION, RULES_TOLERANCE, PATTERN_INTELLIGENCE], [DECISIONING]]
      decision_checkpoints: [{ after: WORKFLOW_FEEDBACK, condition: always, action: AUTO_RESOLVE }]
";

fn project(tiers: &str, policies: &str) -> anyhow::Result<Project> {
    let agents: String = AGENTS.iter().map(|agent| format!("  {agent}: {{ use: bench }}\n")).collect();
    let rules = "output: { within_tolerance: bool, confidence: confidence }";
    let agents = agents.replace("RULES_TOLERANCE: { use: bench }", &format!("RULES_TOLERANCE: {{ use: bench, {rules} }}"));
    let classify = format!(
        "input: {{ break_id: text, break_type: text, amount_diff: number }}
classify:
  exposure: abs(amount_diff)
  risk_tier: [{tiers}]
policies:
{policies}"
    );
    let files = vec![
        Source::new("quorate.yaml", "name: bench\n"),
        Source::new("agents/agents.yaml", &format!("agents:\n{agents}")),
        Source::new("policies/policies.yaml", &classify),
    ];
    let checked = Project::read(files, &["bench"]);
    ensure!(checked.is_sound(), "the policies of the measurement are not sound: {:?}", checked.diagnostics);
    Ok(checked.project)
}

fn small(full: bool) -> anyhow::Result<Project> {
    let tier = if full { "HIGH" } else { "LOW" };
    let tiers = format!("{{ when: exposure < 5000, then: {tier} }}, {{ then: OTHER }}");
    let low = policies("LOW_RISK", "TRADE_OMS_MISMATCH");
    project(&tiers, if full { FULL } else { &low })
}

fn registry() -> anyhow::Result<Registry> {
    let registry = Registry::new();
    for name in AGENTS {
        let said =
            Payload::parse(format!(r#"{{"agent":"{name}","within_tolerance":true,"confidence":0.95,"checked":["amount","quantity"]}}"#))?;
        registry.register(Agent::from_quick(name, move |_| Ok(Reply::new(said.clone()))));
    }
    Ok(registry)
}

impl Bench<'_> {
    pub(super) async fn policy_figure(&self, figure: &str) -> anyhow::Result<bool> {
        match figure {
            "decide_3_of_7_x64/strict" => self.decisions("decide_3_of_7_x64", false, Durability::Strict).await?,
            "decide_7_of_7_x64/strict" => self.decisions("decide_7_of_7_x64", true, Durability::Strict).await?,
            "decide_3_of_7_x64/relaxed" => self.decisions("decide_3_of_7_x64", false, Durability::Relaxed).await?,
            "classify_and_pick/memory" => self.classify()?,
            "decide_again/memory" => self.again().await?,
            "policy_compile/memory" => self.compile()?,
            "lint_200_policies/memory" => self.lint()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Work comes in, is classified and given a policy, and runs until its decision is on disk: so many at once.
    async fn decisions(&self, name: &str, full: bool, durability: Durability) -> anyhow::Result<()> {
        let folder = self.folder()?;
        let journal: Arc<dyn Journal> = Arc::new(SqliteJournal::open(folder.path(), &SqliteOptions::default())?);
        let engine = Engine::new(journal, Arc::new(registry()?), Options::default());
        let intake = Arc::new(Intake::of(&small(full)?).context("no policies")?);
        self.decide(&engine, &intake, durability, Duration::from_millis(300)).await?;
        let before = engine.journal().counters();
        let begun = Instant::now();
        let times = self.decide(&engine, &intake, durability, self.budget()).await?;
        let wall = begun.elapsed();
        #[expect(clippy::cast_precision_loss, reason = "a ratio of counts")]
        let flushes = (engine.journal().counters().flushes - before.flushes) as f64 / times.len() as f64;
        self.show_rate(name, if durability == Durability::Strict { "strict" } else { "relaxed" }, times, wall, flushes);
        engine.stop().await?;
        Ok(())
    }

    async fn decide(
        &self,
        engine: &Engine,
        intake: &Arc<Intake>,
        durability: Durability,
        budget: Duration,
    ) -> anyhow::Result<Vec<Duration>> {
        let begun = Instant::now();
        let failed = Arc::new(AtomicUsize::new(0));
        let by: Arc<str> = "bench".into();
        let starters: Vec<_> = (0..IN_FLIGHT)
            .map(|_| {
                let (engine, intake, failed, by) = (engine.clone(), intake.clone(), failed.clone(), by.clone());
                tokio::spawn(async move {
                    let mut times = Vec::new();
                    while begun.elapsed() < budget {
                        let start = Instant::now();
                        let decided = match Payload::parse(WORK.to_owned())
                            .map(|work| engine.start(intake.order(work, &by).durability(durability)))
                        {
                            Ok(Ok(run)) => {
                                run.ended().await.is_ok_and(|ended| ended.decision.is_some_and(|it| it.action == "AUTO_RESOLVE"))
                            }
                            Ok(Err(_)) | Err(_) => false,
                        };
                        times.push(start.elapsed());
                        failed.fetch_add(usize::from(!decided), Ordering::Relaxed);
                    }
                    times
                })
            })
            .collect();
        let mut times = Vec::new();
        for starter in starters {
            times.extend(starter.await?);
        }
        ensure!(failed.load(Ordering::Relaxed) == 0, "work of the measurement was not decided");
        Ok(times)
    }

    /// What is found out about a piece of work, and which policy it gets: an order that an engine can take.
    fn classify(&self) -> anyhow::Result<()> {
        let intake = Intake::of(&small(false)?).context("no policies")?;
        let (work, by): (Payload, Arc<str>) = (Payload::parse(WORK.to_owned())?, "bench".into());
        let mut times = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < self.budget() / 2 {
            const ROUNDS: u32 = 100;
            let start = Instant::now();
            for _ in 0..ROUNDS {
                std::hint::black_box(intake.order(std::hint::black_box(work.clone()), &by));
            }
            times.push(start.elapsed() / ROUNDS);
        }
        self.show_each("classify_and_pick", "memory", times);
        Ok(())
    }

    /// Recorded runs of seven agents, whose decisions are taken again.
    async fn again(&self) -> anyhow::Result<()> {
        let journal: Arc<dyn Journal> = Arc::new(quorate::MemoryJournal::new());
        let engine = Engine::new(journal, Arc::new(registry()?), Options::default());
        let intake = Intake::of(&small(false)?).context("no policies")?;
        let order = intake.order(Payload::parse(WORK.to_owned())?, &"bench".into());
        let plan = order.plan.clone();
        let id = engine.start(order)?.ended().await?.run;
        let loaded = engine.journal().load(vec![id]).await?;
        let entries = loaded.into_iter().next().context("the run of the measurement is not on record")?.entries;
        engine.stop().await?;
        let mut times = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < self.budget() {
            const ROUNDS: u32 = 100;
            let start = Instant::now();
            for _ in 0..ROUNDS {
                let again = Run::again(id, &plan, std::hint::black_box(&entries))?;
                ensure!(again.differs.is_none() && again.run.decision().is_some(), "the decision was not taken again");
            }
            times.push(start.elapsed() / ROUNDS);
        }
        self.show_each("decide_again", "memory", times);
        Ok(())
    }

    /// A file of one policy, read, checked, and made into a plan, with all that it needs around it.
    fn compile(&self) -> anyhow::Result<()> {
        let mut times = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < self.budget() / 2 {
            let start = Instant::now();
            std::hint::black_box(small(true)?);
            times.push(start.elapsed());
        }
        self.show_each("policy_compile", "memory", times);
        Ok(())
    }

    fn lint(&self) -> anyhow::Result<()> {
        let all: String = (0..POLICIES).map(|number| policies("LOW_RISK", &format!("KIND_{number}"))).collect();
        let project = project("{ when: exposure < 5000, then: LOW }, { then: HIGH }", &all)?;
        ensure!(project.policies.list.len() == POLICIES, "not all policies are there");
        let mut times = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < self.budget() {
            let start = Instant::now();
            ensure!(!project.lint(quorate::expr::MAX_TRIES).is_empty(), "the linter finds that most work has no policy");
            times.push(start.elapsed());
        }
        self.show_each("lint_200_policies", "memory", times);
        Ok(())
    }
}
