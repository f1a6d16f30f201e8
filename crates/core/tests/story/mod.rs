//! One way to tell a story about a run, so that a hundred tests do not know the API.
#![allow(dead_code, clippy::unwrap_used, clippy::needless_pass_by_value, reason = "this is a test, and each test file uses its part")]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use quorate_core::draft::{TaskDraft, WorkDraft};
use quorate_core::{
    AgentRef, Cause, Choice, ChosenBy, Draft, Effect, Entry, Event, Failure, FailureClass, Grower, Input, Payload, Person, Plan, Reply,
    Run, RunId, Said, Signal, Start, TaskRef, Timestamp, Usage,
};
use quorate_expr::Decimal;

/// A draft from `"a; b < a; c < a b"`: tasks and what they depend on. Every task asks for an agent of its own name.
pub(crate) fn plan(text: &str) -> Draft {
    let task = |text: &str| {
        let (id, deps) = text.split_once('<').unwrap_or((text, ""));
        TaskDraft {
            id: id.trim().to_owned(),
            depends_on: deps.split_whitespace().map(str::to_owned).collect(),
            work: WorkDraft::Agent { id: Some(id.trim().to_owned()), capabilities: Vec::new() },
            ..TaskDraft::default()
        }
    };
    Draft { name: "story".to_owned(), tasks: text.split(';').map(task).collect(), ..Draft::default() }
}

/// A plan, its input, and agents that do nothing until the script says so.
pub(crate) struct Story {
    plan: Arc<Plan>,
    input: Payload,
    effect: Effect,
    others: u32,
    wants: Option<u64>,
}

impl Story {
    pub(crate) fn new(draft: Draft) -> Story {
        let plan = Plan::compile(&draft).unwrap_or_else(|problems| panic!("{problems:#?}"));
        Story { plan: Arc::new(plan), input: Payload::null(), effect: Effect::None, others: 0, wants: None }
    }

    /// So many others could do each task as well.
    pub(crate) fn others(mut self, others: u32) -> Story {
        self.others = others;
        self
    }

    /// Every call may use so many tokens.
    pub(crate) fn wants(mut self, tokens: u64) -> Story {
        self.wants = Some(tokens);
        self
    }

    pub(crate) fn input(mut self, json: &str) -> Story {
        self.input = Payload::parse(json.to_owned()).unwrap();
        self
    }

    pub(crate) fn effect(mut self, effect: Effect) -> Story {
        self.effect = effect;
        self
    }

    /// Plays a script and shows the journal. Whatever may start is started at once.
    pub(crate) fn play(self, script: &str) -> String {
        let start = Start {
            plan: self.plan.digest(),
            name: self.plan.name().clone(),
            input: self.input.clone(),
            profile: None,
            session: None,
            by: "starter".into(),
            route: None,
            skills: Vec::new(),
            parent: None,
            within: None,
            deadline: None,
        };
        let (run, entries) = Run::start(&self.plan, RunId(7), Timestamp::default(), start);
        let mut telling = Telling { story: self, run, journal: Vec::new(), shown: String::new(), at: Timestamp::default(), away: false };
        telling.tell(entries);
        telling.dispatch();
        for line in script.split(';').map(str::trim).filter(|line| !line.is_empty()) {
            telling.line(line);
            telling.dispatch();
        }
        telling.check_replay();
        telling.shown
    }
}

struct Telling {
    story: Story,
    run: Run,
    journal: Vec<Entry>,
    shown: String,
    at: Timestamp,
    away: bool,
}

impl Telling {
    /// What is decided must also be decided by a run that was loaded from the journal just now.
    fn advance(&mut self, input: Input) {
        let mut loaded = Run::load(self.run.id(), self.run.plan().clone(), &self.journal).unwrap();
        let again = loaded.advance(self.at, input.clone());
        let decided = self.run.advance(self.at, input);
        assert_eq!(again, decided, "after\n{}", self.shown);
        match decided {
            Ok(entries) => self.tell(entries),
            Err(refusal) => writeln!(self.shown, "  refused: {refusal}").unwrap(),
        }
    }

    fn tell(&mut self, entries: Vec<Entry>) {
        for entry in &entries {
            writeln!(self.shown, "{:>5} {}", entry.at.micros() / 1000, told(&entry.event)).unwrap();
        }
        self.journal.extend(entries);
    }

    fn dispatch(&mut self) {
        let mut held = HashSet::new();
        while let Some(offer) = self.run.next_ready_except(&[], &held) {
            let task = offer.task;
            if self.away {
                let failure = Failure::new(FailureClass::Unavailable, "all are left alone");
                self.advance(Input::Nobody { task, failure, for_now: true });
                continue;
            }
            match self.run.request(&task) {
                Err(failure) => self.advance(Input::Unfit { task, failure }),
                Ok(_) => {
                    let agent = AgentRef::new("agent", "1", self.story.effect);
                    let others = self.story.others;
                    let choice = (others > 0).then(|| Box::new(Choice { by: ChosenBy::Priority, others, not: Vec::new(), more: others }));
                    let wanted = self.story.wants.map(tokens).map(Box::new);
                    held.insert(task.position());
                    self.advance(Input::Dispatched { task, agent: Arc::new(agent), timeout: None, choice, wanted });
                }
            }
        }
    }

    fn line(&mut self, line: &str) {
        let mut words = line.splitn(3, ' ');
        let (verb, who, rest) = (words.next().unwrap(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match verb {
            "ok" | "grow" => {
                let grow = if verb == "grow" { rest.split_whitespace().map(str::to_owned).collect() } else { Vec::new() };
                let json = if verb == "grow" || rest.is_empty() || who.ends_with('!') { "null" } else { rest };
                let reply = Reply { grow, ..Reply::new(Payload::parse(json.to_owned()).unwrap()) };
                self.ended(who, Ok(reply));
            }
            "used" => {
                let said = Said { usage: rest.parse().ok().map(tokens), ..Said::default() };
                self.ended(who, Ok(Reply { said: Some(Box::new(said)), ..Reply::new(Payload::null()) }));
            }
            "wasted" => {
                let failure = Failure::new(FailureClass::Unavailable, "boom");
                self.ended(who, Err(Failure { usage: rest.parse().ok().map(tokens).map(Box::new), ..failure }));
            }
            "fail" => {
                let class: FailureClass = serde_json::from_value(rest.into()).unwrap();
                self.ended(who, Err(Failure::new(class, "boom")));
            }
            "unreached" => self.ended(who, Err(Failure::new(FailureClass::Unavailable, "nobody there").unsent())),
            // From now on nobody takes anything; the next line says how it goes on.
            "away" => self.away = !self.away,
            "at" => {
                self.at = Timestamp::from_micros(who.parse::<i64>().unwrap() * 1000);
                self.advance(Input::Woke);
            }
            "restart" => self.advance(Input::Restarted),
            "cancel" => self.advance(Input::Cancel { by: "starter".into(), reason: "changed my mind".into(), rollback: who == "rollback" }),
            "signal" => {
                let id = (!rest.is_empty()).then(|| rest.into());
                self.advance(Input::Signal(Signal { name: who.into(), id, payload: Payload::of(who).unwrap(), by: "sender".into() }));
            }
            "answer" => {
                let (name, answer) = rest.split_once(' ').unwrap();
                let (choice, note) = answer.split_once(' ').unwrap_or((answer, ""));
                self.advance(Input::Answered {
                    task: who.into(),
                    by: person(name),
                    choice: choice.into(),
                    note: note.into(),
                    evidence: None,
                    output: None,
                });
            }
            "delegate" => {
                let (from, to) = rest.split_once(' ').unwrap();
                self.advance(Input::Delegated { task: who.into(), from: person(from), to: to.into(), note: String::new() });
            }
            "show" if who == "why" => {
                let decision = self.run.decision().unwrap();
                writeln!(self.shown, "  confidence {:?}", decision.confidence).unwrap();
                for other in &decision.not_taken {
                    writeln!(self.shown, "  not {}: {}", other.action, other.why).unwrap();
                }
            }
            "show" if who == "heard" => {
                let decision = self.run.decision().unwrap();
                writeln!(self.shown, "  {}: {} (confidence {:?})", decision.action, decision.rule, decision.confidence).unwrap();
                for voice in decision.council.iter().flat_map(|council| &council.voices) {
                    writeln!(self.shown, "  {voice}").unwrap();
                }
            }
            "show" if who == "nearest" => {
                writeln!(self.shown, "  {}: {}", self.run.decision().unwrap().action, self.run.decision().unwrap().rule).unwrap();
                for flip in Run::nearest(self.run.id(), self.run.plan(), &self.journal) {
                    let needs: Vec<String> = flip.needs.iter().map(ToString::to_string).collect();
                    let to = flip.action.as_deref().unwrap_or("it would have gone on");
                    writeln!(self.shown, "  {to} ({}): {}", flip.checkpoint, needs.join("; ")).unwrap();
                }
            }
            "show" if who == "status" => writeln!(self.shown, "  the run is {}", self.run.status()).unwrap(),
            "show" if who == "used" => {
                writeln!(self.shown, "  used {} of {}", self.run.used().unwrap(), self.run.budget().unwrap()).unwrap();
            }
            "show" if who == "journal" => {
                for entry in &self.journal {
                    writeln!(self.shown, "{}", serde_json::to_string(entry).unwrap()).unwrap();
                }
            }
            "show" if who == "decision" => {
                let decision = serde_json::to_string_pretty(self.run.decision().unwrap()).unwrap();
                writeln!(self.shown, "{decision}").unwrap();
            }
            "show" => {
                let request = self.run.request(&self.reference(who)).unwrap();
                writeln!(self.shown, "  {who} gets input {} params {}", request.input.json(), request.params.json()).unwrap();
            }
            _ => panic!("the script says `{line}`"),
        }
    }

    /// A `!` after the name: the report of an attempt that is not the current one.
    fn ended(&mut self, who: &str, result: Result<Reply, Failure>) {
        let task = self.reference(who.trim_end_matches('!'));
        let stale = u32::from(who.ends_with('!'));
        let attempt = self.run.task(task.id()).unwrap().attempts();
        self.advance(Input::Ended { task, attempt: attempt.saturating_sub(stale).max(1), result });
    }

    fn reference(&self, id: &str) -> TaskRef {
        let named = |entry: &Entry| entry.event.task().filter(|task| task.id() == id).cloned();
        self.journal.iter().find_map(named).unwrap_or_else(|| panic!("{id} is not in the journal:\n{}", self.shown))
    }

    /// The journal, written and read again, gives the same run.
    fn check_replay(&self) {
        let text: Vec<String> = self.journal.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
        let read: Vec<Entry> =
            text.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|wrong| panic!("{wrong}: {line}"))).collect();
        assert_eq!(read, self.journal);
        let replayed = Run::load(self.run.id(), self.run.plan().clone(), &read).unwrap();
        let state = |run: &Run| {
            let tasks: Vec<String> =
                run.tasks().map(|task| format!("{} {} {:?} {:?}", task.id(), task.status(), task.output(), task.cause())).collect();
            (run.status(), run.seq(), run.wake_at(), tasks)
        };
        assert_eq!(state(&replayed), state(&self.run));
        // And its decision follows from what was on record before it, and from nothing later.
        let again = Run::again(self.run.id(), self.run.plan(), &read).unwrap();
        assert_eq!((again.differs, state(&again.run)), (None, state(&self.run)), "after\n{}", self.shown);
    }
}

/// So many tokens, at a hundredth each.
fn tokens(count: u64) -> Usage {
    Usage { tokens_in: count, tokens_out: 0, cost: Some(Decimal::new(i64::try_from(count).unwrap(), 2)) }
}

fn person(name: &str) -> Person {
    let groups = match name {
        "ann" | "bob" | "cid" => vec!["leads".to_owned()],
        "max" => vec!["bosses".to_owned()],
        _ => Vec::new(),
    };
    Person { name: name.into(), groups }
}

fn told(event: &Event) -> String {
    let cause = |cause: &Cause| cause.to_string();
    match event {
        Event::RunStarted(start) => format!("run of {} starts", start.name),
        Event::TaskStarted { task, attempt, deadline, .. } => {
            let until = deadline.map(|at| format!(", until {}", at.micros() / 1000)).unwrap_or_default();
            format!("{} starts #{attempt}{until}", task.id())
        }
        Event::TaskSucceeded { task, attempt, .. } => format!("{} succeeds #{attempt}", task.id()),
        Event::AttemptFailed { task, attempt, failure, elsewhere: true, .. } => {
            format!("{} fails #{attempt}: {}, goes elsewhere", task.id(), failure.class)
        }
        Event::TurnedAway { task, failure, retry_at } => {
            format!("{} is turned away: {}, again at {}", task.id(), failure.class, retry_at.micros() / 1_000)
        }
        Event::AttemptFailed { task, attempt, failure, retry_at: None, .. } => format!("{} fails #{attempt}: {}", task.id(), failure.class),
        Event::AttemptFailed { task, attempt, failure, retry_at: Some(at), .. } => {
            format!("{} fails #{attempt}: {}, again at {}", task.id(), failure.class, at.micros() / 1000)
        }
        Event::TaskFailed { task, cause: why } => format!("{} fails: {}", task.id(), cause(why)),
        Event::TaskSkipped { task, cause: why } => format!("{} is skipped: {}", task.id(), cause(why)),
        Event::TaskAdmitted { task, operands } => {
            let seen: Vec<String> = operands.iter().map(ToString::to_string).collect();
            format!("{} may run: {}", task.id(), seen.join(", "))
        }
        Event::Asked { task, question } => format!("{} asks: {}", task.id(), question.text),
        Event::Answered { task, answer, verdict } => format!("{} answers {}: {} ({verdict:?})", answer.by, task.id(), answer.choice),
        Event::Concluded(conclusion) => format!("concluded: {conclusion:?}"),
        Event::Decided(decision) => format!("decided: {} {:?}", decision.action, decision.rule),
        Event::RunEnded { status, failed } => format!("run ends {status} {failed:?}"),
        Event::Grew { by: Grower::Budget(exceeded), tasks } => format!("the budget adds {tasks:?}: {exceeded}"),
        Event::BudgetLow { used, limit } => format!("{used} of {limit} are used"),
        Event::Grew { by, tasks } => format!("{by:?} adds {tasks:?}"),
        Event::OutcomeUnknown { task, attempt, failure } => format!("{} #{attempt}: nobody knows: {}", task.id(), failure.message),
        Event::CancelRequested { by, reason, rollback } => format!("{by} cancels: {reason} (rollback: {rollback})"),
        Event::SignalReceived(signal) => format!("signal {}", signal.name),
        other => match other.task() {
            Some(task) => format!("{} {}", task.id(), other.name()),
            None => other.name().to_owned(),
        },
    }
}
