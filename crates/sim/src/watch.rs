//! The invariants, stated over entries alone.

use std::collections::{BTreeMap, HashMap};

use quorate_core::draft::{CheckpointDraft, Method, Needs, TaskDraft, ThenDraft};
use quorate_core::{
    Agreement, Cause, Council, Decision, Draft, Effect, Entry, Event, FailureClass, Heard, MAX_FAILOVERS, Outcome, Role, Rule, RunStatus,
    TaskStatus, Usage, Verdict,
};
use quorate_expr::Decimal;

/// Watches the entries of a run and says when one of them breaks a rule. It derives how tasks stand by itself, from the
/// draft and the entries, and never asks the state machine.
#[derive(Debug)]
pub struct Watch<'d> {
    draft: &'d Draft,
    tasks: BTreeMap<String, Seen>,
    /// The newest instance of each task of the plan.
    newest: HashMap<String, String>,
    concluded: bool,
    cancelled: bool,
    decided: bool,
    ended: bool,
    seq: u64,
    running: usize,
    /// Tokens that were used, and how often people let the run use as many again.
    used: u64,
    raised: u64,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    attempt: u32,
    running: bool,
    begun: bool,
    late: bool,
    end: Option<TaskStatus>,
    retry_at: Option<i64>,
    /// Whether the attempt under way must not be made twice.
    once: bool,
    /// How many others could have done it, and how often in a row it went to one of them.
    others: u32,
    hops: usize,
    /// What is set aside for the attempt under way.
    reserved: u64,
    /// Whether a run of its own does it, which reports in its own words.
    child: bool,
}

impl<'d> Watch<'d> {
    /// Watches a run of this draft.
    #[must_use]
    pub fn new(draft: &'d Draft) -> Watch<'d> {
        Watch {
            draft,
            tasks: BTreeMap::new(),
            newest: HashMap::new(),
            concluded: false,
            cancelled: false,
            decided: false,
            ended: false,
            seq: 0,
            running: 0,
            used: 0,
            raised: 0,
        }
    }

    /// Takes in one entry.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn see(&mut self, entry: &Entry) -> Result<(), String> {
        rule(!self.ended, "nothing happens after the end of a run")?;
        rule(entry.seq == self.seq + 1, "entries have no gaps")?;
        self.seq = entry.seq;
        match &entry.event {
            Event::TaskStarted { task, attempt, agent, choice, reserved, .. } => {
                self.started(task.id(), *attempt, entry.at.micros())?;
                self.set_aside(task.id(), reserved.as_deref())?;
                let seen = self.seen(task.id());
                seen.once = agent.effect == Effect::Once;
                seen.others = choice.as_ref().map_or(0, |choice| choice.others);
            }
            Event::ChildStarted { task, attempt, .. } => {
                self.started(task.id(), *attempt, entry.at.micros())?;
                self.seen(task.id()).child = true;
            }
            Event::TaskSucceeded { task, attempt, output, said } => {
                self.used += said.as_ref().and_then(|said| said.usage.as_ref()).map_or(0, Usage::tokens);
                let own = format!("\"{}#{attempt}\"", task.id());
                rule(self.seen(task.id()).child || output.json().contains(&own), "an attempt ends with its own report, and with no other")?;
                self.attempt_over(task.id(), *attempt)?;
                self.end(task.id(), TaskStatus::Succeeded)?;
            }
            Event::AttemptFailed { task, attempt, failure, retry_at, elsewhere } => {
                self.used += failure.usage.as_ref().map_or(0, |usage| usage.tokens());
                let own = format!("{}#{attempt}", task.id());
                let by_the_engine = failure.message.starts_with("it took longer");
                let its_own = self.seen(task.id()).child || failure.message.ends_with(&own);
                rule(by_the_engine || its_own, "an attempt ends with its own report, and with no other")?;
                let open = matches!(failure.class, FailureClass::Timeout | FailureClass::Internal | FailureClass::Unavailable);
                let again = (retry_at.is_some() || *elsewhere) && failure.class != FailureClass::RateLimited;
                let known = failure.unsent;
                rule(
                    !self.seen(task.id()).once || known || !(open || again),
                    "nobody but a person says what came of what must not be done twice",
                )?;
                self.attempt_over(task.id(), *attempt)?;
                let seen = self.seen(task.id());
                seen.hops = if *elsewhere { seen.hops + 1 } else { 0 };
                rule(
                    !elsewhere || (seen.others > 0 && seen.hops <= MAX_FAILOVERS),
                    "a task goes elsewhere where there is somebody, and not for ever",
                )?;
                match retry_at {
                    Some(at) => self.seen(task.id()).retry_at = Some(at.micros()),
                    None if *elsewhere => {}
                    None => {
                        let timed_out = failure.class == FailureClass::Timeout;
                        self.end(task.id(), if timed_out { TaskStatus::TimedOut } else { TaskStatus::Failed })?;
                    }
                }
            }
            Event::TurnedAway { task, retry_at, .. } => {
                let seen = self.seen(task.id());
                rule(!seen.running && seen.end.is_none(), "only a task that could begin is turned away")?;
                seen.retry_at = Some(retry_at.micros());
            }
            Event::AttemptInterrupted { task, attempt } => {
                rule(!self.seen(task.id()).once, "what must not be done twice is not made again because the engine died")?;
                self.attempt_over(task.id(), *attempt)?;
            }
            Event::OutcomeUnknown { task, attempt, failure } => {
                self.used += failure.usage.as_ref().map_or(0, |usage| usage.tokens());
                self.attempt_over(task.id(), *attempt)?;
            }
            Event::TaskFailed { task, cause } => {
                self.stop_items(task.id())?;
                let late = matches!(**cause, Cause::Expired | Cause::Late);
                self.end(task.id(), if late { TaskStatus::TimedOut } else { TaskStatus::Failed })?;
            }
            Event::TaskSkipped { task, .. } => {
                rule(!self.seen(task.id()).begun, "a task that is skipped has not begun")?;
                self.end(task.id(), TaskStatus::Skipped)?;
            }
            Event::JoinLate { task } => self.seen(task.id()).late = true,
            Event::RaceWon { losers, .. } => losers.iter().try_for_each(|loser| {
                self.seen(loser.id());
                self.stop(loser.id())
            })?,
            Event::Gathered { task } => self.end(task.id(), TaskStatus::Succeeded)?,
            Event::Woken { task, .. } => self.end(task.id(), TaskStatus::Succeeded)?,
            Event::Answered { task, verdict, .. } => match verdict {
                Verdict::Accepted => {
                    self.raised +=
                        u64::from(self.draft.budget.as_ref().is_some_and(|budget| budget.ask.as_deref() == Some(plan_id(task.id()))));
                    self.end(task.id(), TaskStatus::Succeeded)?;
                }
                Verdict::Rejected => self.end(task.id(), TaskStatus::Failed)?,
                Verdict::Counted | Verdict::Again => {}
            },
            Event::Asked { task, .. } | Event::Slept { task, .. } | Event::Mapped { task, .. } => self.began(task.id())?,
            Event::Repeated { task, iteration, .. } => self.repeated(task.id(), *iteration)?,
            Event::Decided(decision) => {
                rule(!self.decided, "a run decides once")?;
                self.decided = true;
                self.rests_on_evidence(decision)?;
                if let Some(council) = &decision.council {
                    self.heard(council, decision)?;
                }
                if decision.rule == Rule::OutOfTime {
                    rule(self.draft.on_failure.as_ref() == Some(&decision.action), "who runs out of time decides as on a failure")?;
                }
                if let Rule::Failed { task } = &decision.rule {
                    let end = self.seen(task.id()).end;
                    let failed = matches!(end, Some(TaskStatus::Failed | TaskStatus::TimedOut));
                    rule(failed, "a decision on a failure names what failed")?;
                    let meant = self.draft.on_failure.as_ref() == Some(&decision.action);
                    rule(meant, "a decision on a failure is the one that the plan has for it")?;
                }
            }
            Event::Concluded(_) => self.conclude()?,
            Event::RunEnded { status, failed } => {
                self.ended = true;
                rule(self.concluded, "a run ends after its main part")?;
                rule(self.tasks.values().all(|task| !task.running), "a run ends when nothing is under way")?;
                rule(*status != RunStatus::Succeeded || failed.is_empty(), "a run in which something failed did not succeed")?;
            }
            Event::RunStarted(_)
            | Event::TaskAdmitted { .. }
            | Event::RetryDue { .. }
            | Event::RepeatEnded { .. }
            | Event::Escalated { .. }
            | Event::Delegated { .. }
            | Event::SignalReceived(_)
            | Event::Grew { .. }
            | Event::GrowthRefused { .. }
            | Event::BudgetLow { .. } => {}
            Event::CancelRequested { .. } => self.cancelled()?,
        }
        Ok(())
    }

    /// What is unknown, or failed, resolves nothing.
    fn rests_on_evidence(&self, decision: &Decision) -> Result<(), String> {
        let resolves = decision.action == "AUTO_RESOLVE";
        let few = decision.council.as_ref().is_some_and(|council| !matches!(council.outcome, Agreement::Agreed));
        let open = few
            || matches!(
                decision.rule,
                Rule::Unknown { .. }
                    | Rule::Doubt { .. }
                    | Rule::OutOfTime
                    | Rule::Failed { .. }
                    | Rule::Incomplete { .. }
                    | Rule::NotFollowed { .. }
            );
        rule(!resolves || !open, "what is unknown or failed is never resolved by itself")?;
        if let Rule::Checkpoint(id) = &decision.rule {
            let holds = decision.looks.iter().any(|look| look.checkpoint == *id && look.outcome == Outcome::Holds);
            rule(holds, "a checkpoint that decides holds")?;
        }
        let judged = |id: &str| {
            let voice = |checkpoint: &CheckpointDraft| matches!(&checkpoint.then, ThenDraft::Voices(voices) if voices.of.iter().any(|voice| voice.task == id));
            let counted = |task: &TaskDraft| {
                task.depends_on.iter().any(|dep| dep == id)
                    && task.join.as_ref().is_some_and(|join| matches!(join.needs, Needs::Any | Needs::AtLeast(_)))
            };
            // A voice that failed is judged by its council, and by no other decision.
            let heard = decision.council.is_some() && self.draft.checkpoints.iter().any(voice);
            heard || self.draft.tasks.iter().any(counted)
        };
        let failed = self
            .draft
            .tasks
            .iter()
            .filter(|task| matches!(task.role, Role::Main | Role::Catalogue) && !task.optional && !judged(&task.id))
            .any(|task| {
                let end = self.newest.get(&task.id).and_then(|newest| self.tasks[newest].end);
                matches!(end, Some(TaskStatus::Failed | TaskStatus::TimedOut))
            });
        let must = self.draft.on_failure.is_some() && !self.draft.continue_on_failure;
        rule(
            !must || !failed || matches!(decision.rule, Rule::Failed { .. } | Rule::OutOfTime),
            "where something failed that must not, that decides",
        )
    }

    /// What voices come to rests on those that were heard, and on no veto that may still be there.
    fn heard(&self, council: &Council, decision: &Decision) -> Result<(), String> {
        let end = |heard: &Heard| self.newest.get(plan_id(heard.task.id())).and_then(|newest| self.tasks[newest].end);
        for heard in &council.voices {
            rule(heard.said.is_none() || end(heard) == Some(TaskStatus::Succeeded), "only a voice that succeeded is heard")?;
            rule(heard.said.is_none() || heard.missing.is_none(), "a voice is heard or missing")?;
        }
        // What they came to is left to people where something speaks against resolving it.
        let (named, came_to) = match &decision.rule {
            Rule::Voices { checkpoint, .. } => (Some(checkpoint), &*decision.action),
            Rule::Unknown { behind, .. } => (Some(behind), "AUTO_RESOLVE"),
            Rule::Doubt { .. } => (None, "AUTO_RESOLVE"),
            _ => return Err("broken: what voices come to is decided, or doubted".to_owned()),
        };
        let voices = self.draft.checkpoints.iter().find_map(|checkpoint| match &checkpoint.then {
            ThenDraft::Voices(voices) if named.is_none_or(|named| checkpoint.id == **named) => Some(voices),
            _ => None,
        });
        let voices = voices.ok_or("broken: a decision of voices names their checkpoint")?;
        let said = council.voices.iter().filter(|heard| heard.said.is_some());
        let vetoed = council.voices.iter().any(|heard| heard.veto);
        let may_veto = |heard: &&Heard| voices.of.iter().any(|voice| voice.veto.is_some() && voice.task == plan_id(heard.task.id()));
        match council.outcome {
            Agreement::Vetoed(_) => rule(vetoed && decision.action == "REJECTED", "a veto is obeyed"),
            Agreement::Insufficient(_) => {
                rule(!vetoed && decision.action == voices.insufficient.as_deref().unwrap_or("HIL_REVIEW"), "too few voices decide nothing")
            }
            Agreement::Agreed | Agreement::Undecided(_) | Agreement::Unknown(_) => {
                rule(!vetoed, "nothing beats a veto")?;
                let known = council.voices.iter().filter(may_veto).all(|heard| end(heard) == Some(TaskStatus::Succeeded));
                rule(known, "nobody decides before it is known who vetoes")?;
                let agreed = council.outcome == Agreement::Agreed;
                rule(!agreed || said.clone().count() >= council.at_least, "a decision has heard as many as it takes")?;
                if !agreed || council.by == Method::Weighted {
                    return Ok(());
                }
                let agree = said.clone().filter(|heard| heard.said.as_deref() == Some(came_to));
                rule(agree.clone().count() > 0, "somebody said what is decided")?;
                rule(council.by != Method::Unanimity || agree.clone().count() == said.clone().count(), "who is unanimous agrees")?;
                // Those who may still be heard could all be against it.
                let whole: Decimal = council.voices.iter().filter(|heard| heard.missing.is_none()).map(|heard| heard.weight).sum();
                let weight: Decimal = agree.map(|heard| heard.weight).sum();
                rule(council.by != Method::Majority || weight * Decimal::TWO > whole, "a majority is more than half")
            }
        }
    }

    fn seen(&mut self, id: &str) -> &mut Seen {
        let item = id.ends_with(']');
        if !item && !self.tasks.contains_key(id) {
            self.newest.insert(plan_id(id).to_owned(), id.to_owned());
        }
        self.tasks.entry(id.to_owned()).or_default()
    }

    fn task(&self, id: &str) -> Result<&'d TaskDraft, String> {
        self.draft.tasks.iter().find(|task| task.id == plan_id(id)).ok_or_else(|| format!("there is no task {id}"))
    }

    fn started(&mut self, id: &str, attempt: u32, at: i64) -> Result<(), String> {
        let limit = self.draft.max_parallel.map_or(usize::MAX, |limit| limit as usize);
        self.running += 1;
        rule(self.running <= limit, "no more tasks run at once than the plan allows")?;
        rule(!self.draft.one_at_a_time || self.running == 1, "a plan of one task at a time runs one")?;
        self.began(id)?;
        let seen = self.seen(id);
        rule(!seen.running, "attempts of one task never overlap")?;
        rule(attempt == seen.attempt + 1, "attempts count up by one")?;
        rule(seen.retry_at.is_none_or(|due| due <= at), "a retry waits out its delay")?;
        seen.running = true;
        seen.reserved = 0;
        seen.attempt = attempt;
        Ok(())
    }

    fn began(&mut self, id: &str) -> Result<(), String> {
        let first = !self.seen(id).begun;
        rule(self.seen(id).end.is_none(), "a task that has ended does not begin")?;
        if first {
            self.check_phase(id)?;
            self.check_join(id)?;
        }
        self.seen(id).begun = true;
        Ok(())
    }

    /// What is used and what is set aside stays within the budget, with what people added to it.
    fn set_aside(&mut self, id: &str, reserved: Option<&Usage>) -> Result<(), String> {
        let (Some(budget), Some(reserved)) = (&self.draft.budget, reserved) else { return Ok(()) };
        self.seen(id).reserved = reserved.tokens();
        let limit = budget.tokens.map_or(u64::MAX, |tokens| tokens * (self.raised + 1));
        let set_aside: u64 = self.tasks.values().filter(|seen| seen.running).map(|seen| seen.reserved).sum();
        rule(self.used + set_aside <= limit, "no call is made that could take more than the budget has left")
    }

    fn check_phase(&mut self, id: &str) -> Result<(), String> {
        match self.task(id)?.role {
            Role::Main | Role::Catalogue => rule(!self.concluded, "no task of the main part begins after its end"),
            Role::Review => rule(self.decided, "a review begins after the decision"),
            Role::Compensation => rule(self.concluded, "a compensation runs after the main part"),
            Role::Finally => rule(self.concluded, "a final task begins after the main part"),
        }
    }

    /// The rule of rules: no task before its join.
    fn check_join(&self, id: &str) -> Result<(), String> {
        let task = self.task(id)?;
        let is_item = id.ends_with(']');
        let late = self.tasks.get(id).is_some_and(|seen| seen.late);
        if is_item || late || task.depends_on.is_empty() {
            return Ok(());
        }
        let ends: Vec<Option<TaskStatus>> = task
            .depends_on
            .iter()
            .map(|dep| match self.newest.get(dep) {
                Some(newest) => self.tasks[newest].end,
                None if self.draft.tasks.iter().any(|task| task.id == *dep && task.role == Role::Catalogue) => Some(TaskStatus::Skipped),
                None => self.concluded.then_some(TaskStatus::Skipped),
            })
            .collect();
        let count = |wanted: &[TaskStatus]| ends.iter().flatten().filter(|end| wanted.contains(end)).count();
        let succeeded = count(&[TaskStatus::Succeeded]);
        let failed = count(&[TaskStatus::Failed, TaskStatus::TimedOut]);
        let all = ends.iter().all(Option::is_some);
        let default = if task.role == Role::Finally { Needs::Settled } else { Needs::All };
        let holds = match task.join.as_ref().map_or(default, |join| join.needs) {
            Needs::All => succeeded == ends.len(),
            Needs::NoneFailed => all && failed == 0,
            Needs::Settled => all,
            Needs::Any => succeeded >= 1,
            Needs::AtLeast(needed) => succeeded >= needed as usize,
        };
        rule(holds, "no task begins before its join")
    }

    fn attempt_over(&mut self, id: &str, attempt: u32) -> Result<(), String> {
        let seen = self.seen(id);
        rule(seen.end.is_none(), "what has ended, or was cancelled, does not end again")?;
        rule(seen.running && seen.attempt == attempt, "only the attempt that is under way ends")?;
        seen.running = false;
        self.running -= 1;
        Ok(())
    }

    fn end(&mut self, id: &str, status: TaskStatus) -> Result<(), String> {
        let seen = self.seen(id);
        rule(seen.end.is_none(), "a task ends once")?;
        seen.end = Some(status);
        if std::mem::take(&mut seen.running) {
            self.running -= 1;
        }
        Ok(())
    }

    /// Items end with the task that they belong to, without entries of their own.
    fn stop_items(&mut self, id: &str) -> Result<(), String> {
        let prefix = format!("{id}[");
        let items: Vec<String> = self
            .tasks
            .iter()
            .filter(|(item, seen)| item.starts_with(&prefix) && seen.end.is_none())
            .map(|(item, _)| item.clone())
            .collect();
        items.iter().try_for_each(|item| self.end(item, TaskStatus::Cancelled))
    }

    fn stop(&mut self, id: &str) -> Result<(), String> {
        self.stop_items(id)?;
        let status = if self.seen(id).begun { TaskStatus::Cancelled } else { TaskStatus::Skipped };
        self.end(id, status)
    }

    fn repeated(&mut self, id: &str, iteration: u32) -> Result<(), String> {
        let repeat = self.task(id)?.repeat.as_ref().ok_or("only a task with a repeat repeats")?;
        rule(iteration <= repeat.max, "a section runs no more often than it may")?;
        rule(self.seen(id).end == Some(TaskStatus::Succeeded), "a section repeats when its last task has succeeded")?;
        let members: Vec<String> = self.section(&repeat.from, plan_id(id));
        for member in members {
            if self.task(&member)?.role == Role::Catalogue && !self.newest.contains_key(&member) {
                // What was never added does not run again.
                continue;
            }
            if let Some(old) = self.newest.get(&member).cloned()
                && self.tasks[&old].end.is_none()
            {
                self.stop(&old)?;
            }
            let new = format!("{member}#{iteration}");
            self.newest.insert(member, new.clone());
            self.tasks.insert(new, Seen::default());
        }
        Ok(())
    }

    fn section(&self, from: &str, to: &str) -> Vec<String> {
        let reaches = |start: &str, goal: &str| {
            let mut open = vec![goal.to_owned()];
            while let Some(id) = open.pop() {
                if id == start {
                    return true;
                }
                open.extend(self.draft.tasks.iter().filter(|task| task.id == id).flat_map(|task| task.depends_on.clone()));
            }
            false
        };
        let inside = |id: &str| reaches(from, id) && reaches(id, to);
        self.draft.tasks.iter().map(|task| task.id.clone()).filter(|id| inside(id)).collect()
    }

    /// After the main part, a cancel ends the reviews, and a second one the final tasks as well.
    fn cancelled(&mut self) -> Result<(), String> {
        let again = std::mem::replace(&mut self.cancelled, true);
        if !self.concluded {
            return Ok(());
        }
        let open: Vec<String> = self.tasks.iter().filter(|(_, seen)| seen.end.is_none()).map(|(id, _)| id.clone()).collect();
        for id in open {
            match self.task(&id)?.role {
                Role::Review => self.stop(&id)?,
                Role::Finally if again => self.stop(&id)?,
                Role::Finally | Role::Main | Role::Catalogue | Role::Compensation => {}
            }
        }
        Ok(())
    }

    fn conclude(&mut self) -> Result<(), String> {
        rule(!self.concluded, "the main part of a run ends once")?;
        self.concluded = true;
        let main: Vec<String> =
            self.draft.tasks.iter().filter(|task| matches!(task.role, Role::Main | Role::Catalogue)).map(|task| task.id.clone()).collect();
        for id in main {
            // Whether it was there or not, it ends here.
            let newest = self.newest.get(&id).cloned().unwrap_or(id);
            self.seen(&newest);
            if self.tasks[&newest].end.is_none() {
                self.stop(&newest)?;
            }
        }
        let open: Vec<String> = self.tasks.iter().filter(|(_, seen)| seen.end.is_none() && seen.begun).map(|(id, _)| id.clone()).collect();
        for id in open {
            if matches!(self.task(&id)?.role, Role::Main | Role::Catalogue) {
                self.stop(&id)?;
            }
        }
        Ok(())
    }
}

fn rule(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("broken: {rule}")) }
}

/// `score#2[3]` and `undo(score[3])` belong to tasks of the plan.
fn plan_id(id: &str) -> &str {
    id.split(['[', '#', '(']).next().unwrap_or(id)
}
