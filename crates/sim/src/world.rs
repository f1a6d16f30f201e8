//! A world around a run: agents, people, time, and an engine that dies.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use quorate_core::{
    AgentRef, Asker, Choice, ChosenBy, Draft, Effect, Entry, Event, Failure, FailureClass, Input, Millis, Payload, Person, Plan, Refusal,
    Reply, Run, RunId, Said, Signal, Start, TaskRef, Timestamp, Usage, Work,
};

use quorate_project::Classifier;

use crate::plans::{AGENTS, random};
use crate::policies;
use crate::{Chance, Watch};

/// Most things that happen to one run; one that goes on for longer never ends.
const MAX_HAPPENINGS: usize = 5_000;

/// How a played seed went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Everything that was recorded and every crash, as text.
    pub trace: String,
    /// Entries that were recorded.
    pub entries: usize,
    /// Times that the engine died.
    pub crashes: usize,
    /// Whether the run ended; it may also wait for a signal or a person who never comes.
    pub ended: bool,
    /// Whether it decided.
    pub decided: bool,
}

/// Plays one seed.
///
/// # Errors
/// The rule that was broken, with the journal that led to it.
pub fn play(seed: u64) -> Result<Outcome, String> {
    let mut chance = Chance::new(seed);
    // Some plans are made of policies, as people write them.
    let (draft, plan, classifier) = if chance.percent(35) {
        let (draft, plan, classifier) = policies::random(&mut chance);
        (draft, plan, Some(classifier))
    } else {
        let (draft, plan) = random(&mut chance);
        (draft, plan, None)
    };
    let mut world = World::new(seed, chance, &draft, plan);
    world.classifier = classifier;
    match world.play().and_then(|ended| world.decide_again().map(|()| ended)) {
        Ok(ended) => Ok(Outcome {
            trace: world.trace,
            entries: world.journal.len(),
            crashes: world.crashes,
            ended,
            decided: world.run.decision().is_some(),
        }),
        Err(wrong) => Err(format!("seed {seed}: {wrong}\n{}\nplan: {}", world.trace, serde_json::to_string(&draft).unwrap_or_default())),
    }
}

struct World<'d> {
    seed: u64,
    chance: Chance,
    /// What calls use is a matter of its own.
    money: Chance,
    plan: Arc<Plan>,
    /// How work is classified, where the plan is that of a policy.
    classifier: Option<Classifier>,
    run: Run,
    /// The same run, folded from entries that were written and read again.
    shadow: Option<Run>,
    watch: Watch<'d>,
    journal: Vec<Entry>,
    trace: String,
    now: Timestamp,
    /// What is on its way, in the order in which it arrives.
    coming: BTreeMap<(Timestamp, u64), Coming>,
    sent: u64,
    busy: BTreeMap<&'static str, usize>,
    crashes: usize,
    crash_percent: usize,
}

#[derive(Clone, Debug)]
enum Coming {
    Call { task: TaskRef, attempt: u32, agent: Option<&'static str>, result: Result<Reply, Failure> },
    Input(Input),
}

/// The engine died; what was in its memory is gone.
struct Died;

impl<'d> World<'d> {
    fn new(seed: u64, mut chance: Chance, draft: &'d Draft, plan: Arc<Plan>) -> World<'d> {
        let crash_percent = *chance.pick(&[0, 0, 3, 15]);
        World {
            seed,
            run: Run::start(&plan, RunId(0), Timestamp::default(), start(&plan, Payload::null())).0,
            plan,
            classifier: None,
            money: Chance::new(!seed),
            chance,
            shadow: None,
            watch: Watch::new(draft),
            journal: Vec::new(),
            trace: String::new(),
            now: Timestamp::default(),
            coming: BTreeMap::new(),
            sent: 0,
            busy: BTreeMap::new(),
            crashes: 0,
            crash_percent,
        }
    }

    fn play(&mut self) -> Result<bool, String> {
        let flag = self.chance.percent(50);
        let items: Vec<usize> = (0..self.chance.below(5)).collect();
        let input = Payload::of(&serde_json::json!({"flag": flag, "items": items})).map_err(|wrong| wrong.to_string())?;
        let profile = self.classifier.as_ref().map(|classifier| classifier.classify(&input).profile);
        let start = Start { profile, ..start(&self.plan, input) };
        let (run, entries) = Run::start(&self.plan, RunId(u128::from(self.seed)), self.now, start);
        self.run = run;
        // Until its first entry is durable there is no run.
        self.write(&entries)?;
        self.foresee();
        for _ in 0..MAX_HAPPENINGS {
            self.dispatch()?;
            if self.run.has_ended() {
                return Ok(true);
            }
            if !self.happen()? {
                return self.is_stuck_rightly();
            }
        }
        Err("the run never ends".to_owned())
    }

    /// The decision on record is the one that follows from what was on record before it. Another one, or one that is left
    /// out, is noticed.
    fn decide_again(&self) -> Result<(), String> {
        let again = |entries: &[Entry]| Run::again(self.run.id(), &self.plan, entries);
        if let Some(differs) = again(&self.journal).map_err(|corrupt| corrupt.to_string())?.differs {
            return Err(format!("the decision does not follow from what is on record: {differs:?}"));
        }
        let Some(at) = self.journal.iter().position(|entry| matches!(entry.event, Event::Decided(_))) else { return Ok(()) };
        let mut forged = self.journal.clone();
        if let Event::Decided(decision) = &mut forged[at].event {
            Arc::make_mut(decision).confidence = Some(quorate_expr::Decimal::new(99, 2));
        }
        let noticed = again(&forged).is_ok_and(|again| again.differs.is_some_and(|differs| differs.seq == forged[at].seq));
        if noticed { Ok(()) } else { Err("a decision that was changed afterwards is not noticed".to_owned()) }
    }

    /// People, signals and a cancel that may come some time.
    fn foresee(&mut self) {
        let signals = self.chance.below(4);
        for ix in 0..signals {
            let id = self.chance.percent(50).then(|| format!("s{}", ix / 2).into());
            let signal = Signal { name: "go".into(), id, payload: Payload::null(), by: "world".into() };
            let at = self.later(6_000);
            self.send(at, Coming::Input(Input::Signal(signal)));
        }
        if self.chance.percent(8) {
            let rollback = self.chance.percent(50);
            let at = self.later(4_000);
            self.send(at, Coming::Input(Input::Cancel { by: "world".into(), reason: "why not".into(), rollback }));
        }
    }

    fn later(&mut self, millis: usize) -> Timestamp {
        self.now.plus(Millis(self.chance.below(millis) as u64))
    }

    fn send(&mut self, at: Timestamp, coming: Coming) {
        self.sent += 1;
        self.coming.insert((at, self.sent), coming);
    }

    // -- the engine

    fn dispatch(&mut self) -> Result<(), String> {
        let (mut full, mut held) = (Vec::new(), HashSet::new());
        while let Some(offer) = self.run.next_ready_except(&full, &held) {
            let Asker::Agent(id) = offer.asker else { return Err("a plan asks for something that is not there".to_owned()) };
            // An agent of a policy has a number behind its name.
            let name = id.split('_').next().unwrap_or_default();
            let (agent, limit) = *AGENTS.iter().find(|(known, _)| *known == name).ok_or("an agent that is not there")?;
            if self.busy.get(agent).copied().unwrap_or(0) >= limit {
                full.push(offer.lane);
                continue;
            }
            let task = offer.task;
            let request = self.run.request(&task);
            let stepped = match request {
                _ if self.chance.percent(2) => {
                    let failure = Failure::new(FailureClass::Unavailable, "its agent has gone home");
                    let for_now = self.chance.percent(50);
                    self.step(Input::Nobody { task, failure, for_now })?
                }
                Err(failure) => self.step(Input::Unfit { task, failure })?,
                Ok(request) => {
                    let effect = *self.chance.pick(&[Effect::None, Effect::Idempotent, Effect::Once]);
                    let identity = AgentRef::new(agent, "1", effect);
                    let timeout = self.chance.percent(20).then(|| Millis(1 + self.chance.below(3_000) as u64));
                    let others = u32::try_from(self.chance.below(3)).unwrap_or_default();
                    let choice = Choice { by: ChosenBy::Priority, others, not: Vec::new(), more: others };
                    let choice = self.chance.percent(30).then(|| Box::new(choice));
                    // What few calls say before they are made; a run without a budget does not ask.
                    let wanted = (self.money.percent(80)).then(|| Box::new(tokens(self.money.below(50))));
                    let input = Input::Dispatched { task: task.clone(), agent: Arc::new(identity), timeout, choice, wanted };
                    let stepped = self.step(input)?;
                    let started =
                        self.journal.last().is_some_and(|entry| matches!(&entry.event, Event::TaskStarted { task: of, .. } if *of == task));
                    match stepped {
                        Ok(()) if started => self.call(task, request.attempt, agent),
                        Ok(()) => drop(held.insert(task.position())),
                        Err(Died) => {}
                    }
                    stepped
                }
            };
            if stepped.is_err() {
                // Whoever was busy is not any more.
                full.clear();
                held.clear();
            }
        }
        Ok(())
    }

    /// Gives the run an input and writes what follows. The engine may die before the entries are durable, or just after.
    fn step(&mut self, input: Input) -> Result<Result<(), Died>, String> {
        let again = self.run_again().map(|mut run| run.advance(self.now, input.clone()));
        let decided = self.run.advance(self.now, input);
        if again.is_some_and(|again| again != decided) {
            return Err("a run that was loaded just now decides otherwise".to_owned());
        }
        let entries = match decided {
            Ok(entries) => entries,
            Err(broken @ Refusal::Broken(_)) => return Err(broken.to_string()),
            Err(refusal) => {
                writeln!(self.trace, "        refused: {refusal}").map_err(|wrong| wrong.to_string())?;
                return Ok(Ok(()));
            }
        };
        if entries.is_empty() {
            return Ok(Ok(()));
        }
        let dies = self.chance.percent(self.crash_percent);
        let written = !dies || self.chance.percent(50);
        if written {
            self.write(&entries)?;
        }
        if dies {
            self.die(written)?;
            return Ok(Err(Died));
        }
        Ok(Ok(()))
    }

    /// The same run, loaded from its journal. Loading it at every step takes a while, so only some seeds do.
    fn run_again(&self) -> Option<Run> {
        let some = self.seed.is_multiple_of(4) && !self.journal.is_empty();
        some.then(|| Run::load(self.run.id(), self.plan.clone(), &self.journal).ok()).flatten()
    }

    fn die(&mut self, written: bool) -> Result<(), String> {
        self.crashes += 1;
        let what = if written { "after" } else { "before" };
        writeln!(self.trace, "        -- the engine dies {what} the append, and is started again").map_err(|wrong| wrong.to_string())?;
        // Calls under way die with the engine; a report that was sent already may still arrive.
        self.coming.retain(|_, coming| matches!(coming, Coming::Input(_)));
        self.busy.clear();
        self.run = Run::load(self.run.id(), self.plan.clone(), &self.journal).map_err(|corrupt| corrupt.to_string())?;
        self.now = self.now.plus(Millis(self.chance.below(1_000) as u64));
        let entries = self.run.advance(self.now, Input::Restarted).map_err(|refusal| refusal.to_string())?;
        self.write(&entries)
    }

    fn write(&mut self, entries: &[Entry]) -> Result<(), String> {
        for entry in entries {
            let line = serde_json::to_string(entry).map_err(|wrong| wrong.to_string())?;
            self.trace.push_str(&line);
            self.trace.push('\n');
            let read: Entry = serde_json::from_str(&line).map_err(|wrong| format!("{wrong} in {line}"))?;
            self.watch.see(&read)?;
            match &mut self.shadow {
                Some(shadow) => shadow.apply(&read).map_err(|corrupt| corrupt.to_string())?,
                None => self.shadow = Some(Run::load(self.run.id(), self.plan.clone(), [&read]).map_err(|corrupt| corrupt.to_string())?),
            }
            self.journal.push(read);
        }
        self.run.check_invariants()?;
        let shadow = self.shadow.as_ref().map(state);
        if shadow != Some(state(&self.run)) {
            return Err(format!("the replayed state differs:\n{}\nfrom\n{}", shadow.unwrap_or_default(), state(&self.run)));
        }
        Ok(())
    }

    // -- the world

    fn call(&mut self, task: TaskRef, attempt: u32, agent: &'static str) {
        *self.busy.entry(agent).or_insert(0) += 1;
        let own = format!("{}#{attempt}", task.id());
        let result = self.result(&own);
        let ends = self.later(2_500);
        if self.chance.percent(10) {
            // It answers twice, and not the same.
            let other = self.result(&own);
            let at = self.later(4_000);
            self.send(at, Coming::Call { task: task.clone(), attempt, agent: None, result: other });
        }
        self.send(ends, Coming::Call { task, attempt, agent: Some(agent), result });
    }

    fn result(&mut self, own: &str) -> Result<Reply, Failure> {
        if self.chance.percent(25) {
            let class = *self.chance.pick(&[
                FailureClass::Invalid,
                FailureClass::Unavailable,
                FailureClass::Timeout,
                FailureClass::RateLimited,
                FailureClass::Internal,
                FailureClass::Refused,
            ]);
            let failure = Failure::new(class, own).retry_after(self.chance.percent(20).then_some(Millis(700)));
            let failure = Failure { usage: self.money.percent(50).then(|| Box::new(tokens(self.money.below(60)))), ..failure };
            return Err(if self.chance.percent(10) { failure.unsent() } else { failure });
        }
        let score = self.chance.below(10);
        let items: Vec<usize> = (0..self.chance.below(4)).collect();
        let mut output =
            serde_json::json!({"ok": self.chance.percent(60), "score": score, "items": items, "action": "ESCALATE", "by": own});
        if self.chance.percent(70) {
            output["confidence"] = serde_json::json!(0.6);
        }
        output["vote"] = (*["HOLD", "ESCALATE", "HOLD", "nonsense"].get(score % 5).unwrap_or(&"HIL_REVIEW")).into();
        let grow = if self.chance.percent(15) { vec!["grown0".into(), "t0".into()] } else { Vec::new() };
        let output = Payload::of(&output).unwrap_or_else(|_| Payload::null());
        let used = Said { usage: self.money.percent(50).then(|| tokens(self.money.below(60))), ..Said::default() };
        Ok(Reply { grow, said: Some(Box::new(used)), ..Reply::new(output) })
    }

    /// Lets the next thing happen, if anything can.
    fn happen(&mut self) -> Result<bool, String> {
        self.let_people_answer();
        let next = self.coming.first_key_value().map(|(key, _)| *key);
        let wake = self.run.wake_at();
        if let Some(at) = wake
            && next.is_none_or(|(coming, _)| at <= coming)
        {
            self.now = self.now.max(at);
            self.step(Input::Woke)?.ok();
            return Ok(true);
        }
        let Some(key) = next else { return Ok(false) };
        let Some(coming) = self.coming.remove(&key) else { return Ok(false) };
        self.now = self.now.max(key.0);
        match coming {
            Coming::Call { task, attempt, agent, result } => {
                if let Some(busy) = agent.and_then(|agent| self.busy.get_mut(agent)) {
                    *busy -= 1;
                }
                self.step(Input::Ended { task, attempt, result })?.ok();
            }
            Coming::Input(input) => {
                if self.chance.percent(10) {
                    let at = self.later(1_000);
                    self.send(at, Coming::Input(input.clone()));
                }
                self.step(input)?.ok();
            }
        }
        Ok(true)
    }

    fn let_people_answer(&mut self) {
        let asked: Vec<(String, bool)> = self
            .run
            .outstanding()
            .filter_map(|work| match work {
                Work::Ask { task, question } => Some((task.id().to_owned(), question.text.starts_with("Did attempt"))),
                _ => None,
            })
            .collect();
        let waiting = |task: &str, coming: &Coming| matches!(coming, Coming::Input(Input::Answered { task: of, .. }) if **of == *task);
        for (task, outcome) in asked {
            if self.coming.values().any(|coming| waiting(&task, coming)) || !(outcome || self.chance.percent(70)) {
                continue;
            }
            let choices: &[&str] = if outcome { &["succeeded", "failed", "again"] } else { &["approve", "approve", "reject", "nonsense"] };
            let choice = (*self.chance.pick(choices)).to_owned();
            let name = *self.chance.pick(&["ann", "bob", "cid", "eve", "starter"]);
            let groups = if ["ann", "bob", "cid"].contains(&name) { vec!["leads".to_owned()] } else { Vec::new() };
            let by = Person { name: name.into(), groups };
            let at = self.later(3_000);
            let answer = Input::Answered { task: task.as_str().into(), by, choice, note: String::new(), evidence: None, output: None };
            self.send(at, Coming::Input(answer));
        }
    }

    /// Nothing is coming and nothing is due: the run must name what it waits for.
    fn is_stuck_rightly(&self) -> Result<bool, String> {
        let names_it = self.run.outstanding().any(|work| matches!(work, Work::Listen { .. } | Work::Ask { .. }));
        if names_it { Ok(false) } else { Err("the run neither goes on nor says what it waits for".to_owned()) }
    }
}

fn tokens(count: usize) -> Usage {
    Usage { tokens_in: count as u64, ..Usage::default() }
}

fn start(plan: &Plan, input: Payload) -> Start {
    Start {
        plan: plan.digest(),
        name: plan.name().clone(),
        input,
        profile: None,
        session: None,
        by: "starter".into(),
        route: None,
        skills: Vec::new(),
        parent: None,
        within: None,
        deadline: None,
    }
}

fn state(run: &Run) -> String {
    let mut shown = format!("{} {} {:?} {:?}\n", run.seq(), run.status(), run.wake_at(), run.next_ready().map(|offer| offer.task));
    for task in run.tasks() {
        let _ = writeln!(shown, "{} {} {} {:?} {:?}", task.id(), task.status(), task.attempts(), task.started(), task.ended());
    }
    shown
}
