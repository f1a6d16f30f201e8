//! The choice of an agent.
//!
//! Of those that can do what is asked, first everybody goes who is not called at the moment: disabled, drained, with an open
//! breaker, at rest. Of an agent with several versions the one stays into whose share the key of the run falls. Then the
//! highest priority with a free place decides, then the fewest calls under way, then whose turn it is. Where all places are
//! taken, one stands in line: nobody is ever given more than they take.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use quorate_core::{AgentRef, Asker, Choice, ChosenBy, Digest, Failure, FailureClass, MAX_NAMED, Millis, NotChosen, Timestamp, WhyNot};

use crate::line::Rank;
use crate::seat::{Desk, Grant, Member, Mode, Place, Seat, Standing, Wanted};

/// What one call under way counts, for an agent of the weight 1.
const SCALE: u64 = 1 << 16;

/// The agents that can do what is asked for, as they are registered. One that is stale still works: whoever chooses from it
/// may miss what was registered since.
#[derive(Debug)]
pub struct Slate {
    rows: Vec<Row>,
    /// Who stands in line stands there for these.
    wanted: Arc<Wanted>,
    /// How it is said that none of them takes calls.
    nobody: String,
    /// Whether the agent was named, so that where it is alone there is no choice.
    named: bool,
    /// Whether there are several versions of one agent.
    versions: bool,
    desk: Arc<Desk>,
}

/// An agent at one of its endpoints.
#[derive(Debug)]
struct Row {
    identity: Arc<AgentRef>,
    member: Arc<Member>,
    /// Those of the member, at hand.
    standing: Arc<Standing>,
    seat: Arc<Seat>,
    position: usize,
    /// Whether the agent is at one place only, so that all its calls are there.
    alone: bool,
    priority: u32,
    /// What one call under way counts, by the weight of the agent.
    per_call: u64,
}

/// What is asked for a task.
pub struct Ask<'a> {
    /// When.
    pub now: Timestamp,
    /// Agents that failed at it one after another.
    pub tried: &'a [Arc<AgentRef>],
    /// What decides about shares, by the path that an agent names, or for the run itself.
    pub key: &'a dyn Fn(Option<&str>) -> Digest,
    /// A place that came along the line.
    pub held: Option<Place>,
}

impl fmt::Debug for Ask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("now", &self.now).field("tried", &self.tried).field("held", &self.held).finish_non_exhaustive()
    }
}

/// What comes of asking.
#[derive(Debug)]
pub enum Picked {
    /// An agent, and a place with it.
    Agent {
        /// Who it is, where it is at several places also at which.
        identity: Arc<AgentRef>,
        /// A place with it.
        place: Place,
        /// Why this one, where there was a choice.
        choice: Option<Box<Choice>>,
    },
    /// All that would do are busy, drained or at rest: those in whose line to stand.
    Full(Arc<Wanted>),
    /// Nobody.
    Nobody {
        /// Why.
        failure: Failure,
        /// Whether that passes: they are left alone because they failed too often.
        for_now: bool,
    },
}

impl Slate {
    pub(crate) fn new(members: &[Arc<Member>], asker: &Asker<'_>, desk: &Arc<Desk>) -> Slate {
        let mut rows: Vec<Row> = Vec::new();
        for member in members {
            for seat in 0..member.seats.len() {
                let endpoint = member.agent.endpoints.get(seat).cloned();
                let identity = match endpoint {
                    None => member.agent.identity.clone(),
                    some => Arc::new(AgentRef { endpoint: some, ..(*member.agent.identity).clone() }),
                };
                rows.push(Row {
                    identity,
                    member: member.clone(),
                    standing: member.standing.clone(),
                    seat: member.seats[seat].clone(),
                    position: seat,
                    alone: member.seats.len() == 1,
                    priority: member.agent.priority,
                    per_call: SCALE / u64::from(member.agent.weight.max(1)),
                });
            }
        }
        // Those that are equal stand by name, version and endpoint, as they came.
        rows.sort_by_key(|row| Reverse(row.priority));
        let versions = members.windows(2).any(|pair| pair[0].agent.identity.id == pair[1].agent.identity.id);
        let wanted = Arc::new(Wanted::new(members.to_vec()));
        let (named, nobody) = (matches!(asker, Asker::Agent(_)), format!("no agent that {}", asked_for(asker)));
        Slate { rows, wanted, nobody, named, versions, desk: desk.clone() }
    }

    /// Chooses an agent, and takes a place with it.
    #[must_use]
    pub fn choose(&self, ask: Ask<'_>) -> Picked {
        if let [row] = &self.rows[..]
            && ask.held.is_none()
            && row.trouble(ask.now).is_none()
            && !self.stands_behind(row, &self.wanted)
            && let Some(place) = self.take(row, ask.now)
        {
            let only = Choice { by: ChosenBy::Only, others: 0, not: Vec::new(), more: 0 };
            return Picked::Agent { identity: row.identity.clone(), place, choice: (!self.named).then(|| Box::new(only)) };
        }
        let plain = !self.versions && ask.tried.is_empty() && ask.held.is_none();
        plain.then(|| self.choose_plainly(ask.now)).flatten().unwrap_or_else(|| self.choose_among(ask))
    }

    /// The usual case, in one pass: somebody is free, and nothing but priority, load and turns decides. What is told of the others
    /// is written down on the way, as far as it is told at all.
    fn choose_plainly(&self, now: Timestamp) -> Option<Picked> {
        let mut told = [None; MAX_NAMED + 1];
        // Of those of the highest priority that somebody free has: the best, and the next one.
        let (mut chosen, mut best, mut next) = (None, u128::MAX, u128::MAX);
        let (mut first, mut lower) = (None, false);
        let (mut able, mut others_wait) = (0, None);
        for (position, row) in self.rows.iter().enumerate() {
            if !row.is_free(now) {
                let why = row.trouble(now);
                // One that may be tried again is looked at with more care.
                why?;
                able += u32::from(matches!(why, Some(WhyNot::Full { .. })));
                if let Some(told) = told.get_mut(position) {
                    *told = why;
                }
                continue;
            }
            able += 1;
            // Nobody passes the line; those without a limit have none.
            if row.standing.slots().is_some() && *others_wait.get_or_insert_with(|| self.desk.is_waited_for(&self.wanted)) {
                continue;
            }
            // They stand by priority: all that follow come after the first one.
            if *first.get_or_insert(row.priority) != row.priority {
                lower = true;
                continue;
            }
            let weighs = row.weighs();
            if weighs < best {
                (chosen, best, next) = (Some(position), weighs, best);
            } else if weighs < next {
                next = weighs;
            }
        }
        let chosen = chosen?;
        let rating = rating_of(self.rows[chosen].priority, best);
        let next = match (next, lower) {
            (u128::MAX, false) => None,
            (u128::MAX, true) => Some(rating_of(0, 0)),
            (next, _) => Some(rating_of(self.rows[chosen].priority, next)),
        };
        let place = self.take(&self.rows[chosen], now)?;
        let by = next.map_or(ChosenBy::Only, |next| decided_by(rating, next));
        let others = self.rows.len() - 1;
        let mut choice = Choice { by, others: able - 1, not: Vec::with_capacity(others.min(MAX_NAMED)), more: 0 };
        for (position, other) in self.rows.iter().enumerate().filter(|(position, _)| *position != chosen).take(MAX_NAMED) {
            let why = told[position].unwrap_or_else(|| other.comes_after(rating));
            choice.not.push(NotChosen { agent: other.identity.clone(), why });
        }
        choice.more = u32::try_from(others - choice.not.len()).unwrap_or(u32::MAX);
        let identity = self.rows[chosen].identity.clone();
        Some(Picked::Agent { identity, place, choice: Some(Box::new(choice)) })
    }

    fn choose_among(&self, ask: Ask<'_>) -> Picked {
        let Ask { now, tried, key, mut held } = ask;
        self.desk.see(now);
        let mut why: Vec<Option<WhyNot>> = self.rows.iter().map(|row| row.trouble(now)).collect();
        self.leave_out_tried(tried, &mut why);
        if self.versions {
            self.leave_out_versions(key, &mut why);
        }
        let line = if self.versions || !tried.is_empty() { self.line_for(&why) } else { self.wanted.clone() };
        if let Some(place) = held.take().filter(|place| place.holds(now))
            && let Some(chosen) = self.rows.iter().position(|row| place.is_at(&row.standing, row.position))
            && why[chosen].is_none_or(|why| !matches!(why, WhyNot::OtherVersion))
        {
            return self.picked(chosen, self.rows[chosen].rating(), place, ChosenBy::Free, &why);
        }
        loop {
            let Some((chosen, rating, by)) = self.first_free(&why, &line) else { return self.nobody(&why, line, now) };
            match self.take(&self.rows[chosen], now) {
                Some(place) => return self.picked(chosen, rating, place, by, &why),
                // Somebody was faster.
                None => why[chosen] = self.rows[chosen].trouble(now),
            }
        }
    }

    /// Whoever failed at it comes last: only where there is nobody else are they asked once more.
    fn leave_out_tried(&self, tried: &[Arc<AgentRef>], why: &mut [Option<WhyNot>]) {
        if tried.is_empty() {
            return;
        }
        let was_tried = |row: &Row| tried.contains(&row.identity);
        let hopeful = |why: &Option<WhyNot>| matches!(why, None | Some(WhyNot::Full { .. }));
        let others = self.rows.iter().zip(why.iter()).any(|(row, why)| hopeful(why) && !was_tried(row));
        if others {
            for (_, why) in self.rows.iter().zip(why.iter_mut()).filter(|(row, why)| hopeful(why) && was_tried(row)) {
                *why = Some(WhyNot::Tried);
            }
        }
    }

    /// Of the versions of an agent that could be called, one remains. Which, depends on the key and their shares alone, so
    /// that one key stays with one version, and moves only while that one cannot be called.
    fn leave_out_versions(&self, key: &dyn Fn(Option<&str>) -> Digest, why: &mut [Option<WhyNot>]) {
        let hopeful = |why: &Option<WhyNot>| matches!(why, None | Some(WhyNot::Full { .. }));
        for first in 0..self.rows.len() {
            let id = &self.rows[first].identity.id;
            let same = |position: &usize| self.rows[*position].identity.id == *id;
            if (0..first).any(|position| same(&position)) {
                continue;
            }
            let all: Vec<usize> = (first..self.rows.len()).filter(same).collect();
            let open = || all.iter().copied().filter(|position| hopeful(&why[*position]));
            let Some(best) = open().max_by(|left, right| self.share(*left, key).total_cmp(&self.share(*right, key))) else { continue };
            let version = &self.rows[best].identity.version;
            let others: Vec<usize> = open().filter(|position| self.rows[*position].identity.version != *version).collect();
            others.into_iter().for_each(|position| why[position] = Some(WhyNot::OtherVersion));
        }
    }

    /// How much a version weighs for a key: the highest one has it, and each has it as often as its share says.
    fn share(&self, position: usize, key: &dyn Fn(Option<&str>) -> Digest) -> f64 {
        let (agent, identity) = (&self.rows[position].member.agent, &self.rows[position].identity);
        let key = key(agent.sticky_by.as_deref());
        let chance = Digest::of_parts(&[&key.0, identity.id.as_bytes(), b"/", identity.version.as_bytes()]).fraction();
        f64::from(agent.share) / -chance.max(f64::MIN_POSITIVE).ln()
    }

    /// The agents in whose line one would stand: not those of another version, and not who just failed.
    fn line_for(&self, why: &[Option<WhyNot>]) -> Arc<Wanted> {
        let out = |why: &Option<WhyNot>| matches!(why, Some(WhyNot::OtherVersion | WhyNot::Tried | WhyNot::Disabled));
        let members = self.rows.iter().zip(why).filter(|(_, why)| !out(why)).map(|(row, _)| row.member.clone());
        Arc::new(Wanted::new(members.collect()))
    }

    /// Whether others wait for a place with this agent, and nobody passes the line.
    fn stands_behind(&self, row: &Row, line: &Wanted) -> bool {
        row.standing.slots().is_some() && self.desk.is_waited_for(line)
    }

    /// The best of those that are free, and what decided between it and the next one.
    fn first_free(&self, why: &[Option<WhyNot>], line: &Wanted) -> Option<(usize, Rating, ChosenBy)> {
        let (mut best, mut next): (Option<(Rating, usize)>, Option<Rating>) = (None, None);
        let mut others_wait = None;
        for (position, row) in self.rows.iter().enumerate().filter(|(position, _)| why[*position].is_none()) {
            // Nobody passes the line; those without a limit have none.
            if row.standing.slots().is_some() && *others_wait.get_or_insert_with(|| self.desk.is_waited_for(line)) {
                continue;
            }
            let rating = row.rating();
            match best {
                Some((first, _)) if first.0 < rating.0 => {
                    next.get_or_insert(rating);
                    // They stand by priority: all that follow come after this one.
                    break;
                }
                Some((first, _)) if first <= rating => next = Some(next.map_or(rating, |next| next.min(rating))),
                before => {
                    next = before.map(|(rating, _)| rating);
                    best = Some((rating, position));
                }
            }
        }
        let (rating, position) = best?;
        let by = match next {
            None if why.contains(&Some(WhyNot::OtherVersion)) => ChosenBy::Split,
            None => ChosenBy::Only,
            Some(next) => decided_by(rating, next),
        };
        Some((position, rating, by))
    }

    fn take(&self, row: &Row, now: Timestamp) -> Option<Place> {
        let mut place = Place::take(&row.member)?;
        place.sit(&row.member, row.position, now, self.rows.len() > 1).then_some(place)
    }

    /// What is told of a choice: it is put together only where there was one.
    fn picked(&self, chosen: usize, rating: Rating, place: Place, by: ChosenBy, why: &[Option<WhyNot>]) -> Picked {
        let row = &self.rows[chosen];
        let identity = row.identity.clone();
        if self.named && self.rows.len() == 1 {
            return Picked::Agent { identity, place, choice: None };
        }
        let mut choice = Choice { by, others: 0, not: Vec::with_capacity(MAX_NAMED.min(self.rows.len() - 1)), more: 0 };
        for (other, why) in self.rows.iter().zip(why).enumerate().filter(|(position, _)| *position != chosen).map(|(_, row)| row) {
            choice.others += u32::from(matches!(why, None | Some(WhyNot::Full { .. } | WhyNot::OtherVersion)));
            if choice.not.len() < MAX_NAMED {
                let why = why.unwrap_or_else(|| other.comes_after(rating));
                choice.not.push(NotChosen { agent: other.identity.clone(), why });
            } else {
                choice.more += 1;
            }
        }
        Picked::Agent { identity, place, choice: Some(Box::new(choice)) }
    }

    fn nobody(&self, why: &[Option<WhyNot>], line: Arc<Wanted>, now: Timestamp) -> Picked {
        let waits = |why: &WhyNot| matches!(why, WhyNot::Full { .. } | WhyNot::Draining | WhyNot::Resting { .. });
        let until = |why: &WhyNot| match why {
            WhyNot::Resting { until } | WhyNot::BreakerOpen { until } => Some(*until),
            _ => None,
        };
        let again_at = why.iter().flatten().filter_map(until).min();
        // One that is free is not taken where others wait for it.
        if why.iter().any(|why| why.as_ref().is_none_or(waits)) {
            return Picked::Full(line);
        }
        let told: Vec<String> =
            self.rows.iter().zip(why).filter_map(|(row, why)| Some(format!("{} {}", row.identity, why.as_ref()?))).collect();
        let failure = Failure::new(FailureClass::Unavailable, format!("{} takes calls: {}", self.nobody, told.join(", "))).unsent();
        let left = again_at.map(|at| Millis(at.micros().abs_diff(now.micros()).div_ceil(1_000)));
        let for_now = why.iter().flatten().any(|why| matches!(why, WhyNot::BreakerOpen { .. } | WhyNot::OnTrial));
        Picked::Nobody { failure: failure.retry_after(left), for_now }
    }

    /// Stands in line for the first of these agents that is free, at a place where one stood before or at the one that the
    /// priority gives. `grant` is told at once or later; it must not block.
    pub fn wait(&self, line: &Arc<Wanted>, priority: u8, stood: Option<Rank>, grant: Grant) -> Rank {
        self.desk.wait(line, priority, stood, grant)
    }
}

/// What is asked for, in words.
pub(crate) fn asked_for(asker: &Asker<'_>) -> String {
    match asker {
        Asker::Agent(id) => format!("is called `{id}`"),
        Asker::Capabilities(wanted) => format!("can do {}", wanted.join(", ")),
        Asker::Workflow(plan) => format!("runs the workflow {plan}"),
    }
}

impl Row {
    /// Why it cannot be called now, if it cannot.
    fn trouble(&self, now: Timestamp) -> Option<WhyNot> {
        match self.standing.mode() {
            Mode::Enabled => {}
            Mode::Disabled => return Some(WhyNot::Disabled),
            Mode::Draining => return Some(WhyNot::Draining),
        }
        let trouble = self.seat.trouble(&self.member.agent.breaker, now);
        trouble.or_else(|| self.standing.is_full().then(|| WhyNot::Full { slots: self.standing.slots().unwrap_or_default() }))
    }

    /// Whether it can be called now: the same as that there is no [`Row::trouble`], and quicker to find out.
    fn is_free(&self, now: Timestamp) -> bool {
        self.standing.mode() == Mode::Enabled && self.seat.is_calm(now) && !self.standing.is_full()
    }

    /// Load, then turns, as one number: the least goes first.
    fn weighs(&self) -> u128 {
        (u128::from(self.load()) << 64) | u128::from(self.seat.turns())
    }

    /// How busy it is, by its weight.
    fn load(&self) -> u64 {
        u64::from(self.under_way()) * self.per_call
    }

    fn under_way(&self) -> u32 {
        if self.alone { self.standing.under_way() } else { self.member.under_way(self.position) }
    }

    fn rating(&self) -> Rating {
        (Reverse(self.priority), self.load(), self.seat.turns())
    }

    fn comes_after(&self, (first, load, _): Rating) -> WhyNot {
        match (Reverse(self.priority) == first, self.load() > load) {
            (false, _) => WhyNot::LowerPriority { priority: self.priority },
            (true, true) => WhyNot::Busier { calls: self.under_way() },
            (true, false) => WhyNot::Later,
        }
    }
}

/// Priority, load, and turns: the least goes first.
type Rating = (Reverse<u32>, u64, u64);

/// A rating from its priority, and what [`Row::weighs`] says.
#[expect(clippy::cast_possible_truncation, reason = "the two halves are what was put together")]
fn rating_of(priority: u32, weighs: u128) -> Rating {
    (Reverse(priority), (weighs >> 64) as u64, weighs as u64)
}

fn decided_by(chosen: Rating, next: Rating) -> ChosenBy {
    match () {
        () if chosen.0 != next.0 => ChosenBy::Priority,
        () if chosen.1 != next.1 => ChosenBy::Load,
        () if chosen.2 != next.2 => ChosenBy::Turn,
        () => ChosenBy::Name,
    }
}
