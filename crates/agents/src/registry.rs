//! The agents that there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use quorate_core::{AgentRef, Asker, FailureClass, Millis, Timestamp};

use crate::Agent;
use crate::breaker::BreakerState;
use crate::seat::{Desk, Member, Mode, Seat, Standing};
use crate::slate::{Slate, asked_for};

/// Most sets of capabilities for which it is remembered who has them.
const MAX_REMEMBERED: usize = 10_000;

/// Knows the agents, how busy and how well they are, and finds those that a task may ask for.
#[derive(Debug, Default)]
pub struct Registry {
    roster: RwLock<Roster>,
    generation: AtomicU64,
    probes: AtomicBool,
    desk: Arc<Desk>,
}

/// The agents as they are registered now.
#[derive(Debug, Default)]
struct Roster {
    agents: BTreeMap<Arc<str>, Versions>,
    next: u32,
    /// Who can do what was asked before.
    able: Mutex<HashMap<Vec<Arc<str>>, Arc<Slate>>>,
}

/// An agent in all of its versions.
#[derive(Debug, Default)]
struct Versions {
    members: BTreeMap<Arc<str>, Arc<Member>>,
    /// Put together when it is first asked for.
    slate: OnceLock<Arc<Slate>>,
}

/// No agent can do a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no agent {asked}; there {}", self.shown())]
pub struct NoCandidate {
    asked: String,
    there: Vec<String>,
}

impl NoCandidate {
    fn shown(&self) -> String {
        const SHOWN: usize = 12;
        match self.there.len() {
            0 => "is none at all".to_owned(),
            1..=SHOWN => format!("is {}", self.there.join(", ")),
            count => format!("is {} and {} more", self.there[..SHOWN].join(", "), count - SHOWN),
        }
    }
}

/// How an agent of one version stands at the moment.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The agent.
    pub agent: Arc<Agent>,
    /// Whether it is called.
    pub mode: Mode,
    /// Calls under way.
    pub under_way: u32,
    /// How many it takes at once, if there is a limit.
    pub slots: Option<u32>,
    /// How many stand in a line in which it would do.
    pub waiting: usize,
    /// Its endpoints; one without a name where it has none.
    pub endpoints: Vec<Endpoint>,
}

/// How an endpoint stands at the moment.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its name, as the project writes it.
    pub name: Option<Arc<str>>,
    /// Calls under way.
    pub under_way: u32,
    /// How its breaker stands.
    pub breaker: BreakerState,
    /// Until when it asked to be left alone.
    pub rests: Option<Timestamp>,
}

/// What a registry holds, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryStats {
    /// Agents, those included that are not called.
    pub total_agents: usize,
    /// Agents that are called.
    pub enabled_agents: usize,
    /// What they can do, and how many of them.
    pub capabilities: BTreeMap<Arc<str>, usize>,
}

impl Registry {
    /// A registry without agents.
    #[must_use]
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Adds an agent. One of the same name and version is replaced: calls under way go on with the one they started with, and
    /// are counted. Other versions of it stay, each with its share.
    pub fn register(&self, agent: Agent) {
        let mut roster = self.write();
        let (id, version) = (agent.identity.id.clone(), agent.identity.version.clone());
        let before = roster.agents.get(&id).and_then(|known| known.members.get(&version)).cloned();
        let standing = before.as_ref().map_or_else(
            || {
                roster.next += 1;
                Arc::new(Standing::new(roster.next))
            },
            |member| member.standing.clone(),
        );
        standing.set_slots(agent.max_concurrent);
        if agent.probing().is_some() {
            self.probes.store(true, Ordering::Release);
        }
        let turns = roster.members().flat_map(|member| &member.seats).map(|seat| seat.turns()).max().unwrap_or_default();
        let names: Vec<Option<&Arc<str>>> =
            if agent.endpoints.is_empty() { vec![None] } else { agent.endpoints.iter().map(Some).collect() };
        let seat_of = |name: &Option<&Arc<str>>| {
            // What is known of an endpoint stays known.
            let known = before.as_ref().and_then(|member| {
                let same = |position: &usize| member.agent.endpoints.get(*position) == *name;
                (0..member.seats.len()).find(same).map(|position| member.seats[position].clone())
            });
            known.unwrap_or_else(|| {
                let seat = Seat::default();
                seat.set_turns(turns);
                Arc::new(seat)
            })
        };
        let seats = names.iter().map(seat_of).collect();
        let same = |before: &Arc<Member>| before.agent.capabilities == agent.capabilities && before.agent.endpoints == agent.endpoints;
        let known = before.as_ref().is_some_and(same);
        let member = Arc::new(Member { agent: Arc::new(agent), desk: self.desk.clone(), standing, seats });
        let versions = roster.agents.entry(id).or_default();
        versions.members.insert(version, member.clone());
        versions.slate = OnceLock::new();
        self.has_changed(roster);
        if known {
            // Those who wait for it do so still, and it may take more at once.
            self.desk.serve(&member);
        } else {
            self.desk.call_all();
        }
    }

    /// Takes all versions of an agent away, and says whether there were any. Calls under way go on.
    pub fn unregister(&self, id: &str) -> bool {
        let mut roster = self.write();
        let Some(gone) = roster.agents.remove(id) else { return false };
        self.has_changed(roster);
        gone.members.values().for_each(|member| self.is_gone(member));
        true
    }

    /// Takes one version of an agent away, and says whether it was there. Calls under way go on.
    pub fn unregister_version(&self, id: &str, version: &str) -> bool {
        let mut roster = self.write();
        let Some(versions) = roster.agents.get_mut(id) else { return false };
        let Some(gone) = versions.members.remove(version) else { return false };
        versions.slate = OnceLock::new();
        if versions.members.is_empty() {
            roster.agents.remove(id);
        }
        self.has_changed(roster);
        self.is_gone(&gone);
        true
    }

    /// Whoever still has it on a list must not choose it.
    fn is_gone(&self, member: &Member) {
        member.standing.set_mode(Mode::Disabled);
        self.desk.check(member);
    }

    /// Lets an agent be called again, in all of its versions or in one, and says whether it is there.
    pub fn enable(&self, id: &str, version: Option<&str>) -> bool {
        self.set_mode(id, version, Mode::Enabled)
    }

    /// Has an agent not called any more, as if it were not there, in all of its versions or in one, and says whether it is
    /// there. Calls under way go on.
    pub fn disable(&self, id: &str, version: Option<&str>) -> bool {
        self.set_mode(id, version, Mode::Disabled)
    }

    /// Has an agent take no new calls for now: what asks for it alone waits until it is enabled again. Calls under way go on;
    /// [`Registry::idle`] waits for their end.
    pub fn drain(&self, id: &str, version: Option<&str>) -> bool {
        self.set_mode(id, version, Mode::Draining)
    }

    fn set_mode(&self, id: &str, version: Option<&str>, mode: Mode) -> bool {
        let found = self.members_of(id, version);
        for member in &found {
            member.standing.set_mode(mode);
            match mode {
                Mode::Enabled => self.desk.serve(member),
                Mode::Disabled => self.desk.check(member),
                Mode::Draining => {}
            }
        }
        if found.iter().any(|member| member.standing.under_way() == 0) {
            self.desk.idle.notify_waiters();
        }
        !found.is_empty()
    }

    fn members_of(&self, id: &str, version: Option<&str>) -> Vec<Arc<Member>> {
        let roster = self.read();
        let known = roster.agents.get(id).into_iter().flat_map(|versions| &versions.members);
        known.filter(|(of, _)| version.is_none_or(|version| ***of == *version)).map(|(_, member)| member.clone()).collect()
    }

    /// Waits until an agent that is drained or disabled has no calls under way.
    pub async fn idle(&self, id: &str) {
        loop {
            let notified = self.desk.idle.notified();
            let mut notified = std::pin::pin!(notified);
            // From here on no end of a call goes unnoticed.
            notified.as_mut().enable();
            if self.members_of(id, None).iter().all(|member| member.standing.under_way() == 0) {
                return;
            }
            notified.await;
        }
    }

    /// Counts up with everything that is registered, or taken away.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The agents that can do what is asked: all versions of the one that is named, or all that have the capabilities.
    ///
    /// # Errors
    /// [`NoCandidate`] with what was asked for, and what there is.
    pub fn slate(&self, asker: &Asker<'_>) -> Result<Arc<Slate>, NoCandidate> {
        let roster = self.read();
        match asker {
            Asker::Agent(id) => {
                let versions = roster.agents.get(*id).ok_or_else(|| roster.no_candidate(asker))?;
                let put_together = || {
                    let members: Vec<Arc<Member>> = versions.members.values().cloned().collect();
                    Arc::new(Slate::new(&members, asker, &self.desk))
                };
                Ok(versions.slate.get_or_init(put_together).clone())
            }
            Asker::Capabilities(wanted) => {
                let mut able = roster.able.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(slate) = able.get(*wanted) {
                    return Ok(slate.clone());
                }
                let can = |member: &&Arc<Member>| wanted.iter().all(|one| member.agent.capabilities.contains(one));
                let members: Vec<Arc<Member>> = roster.members().filter(can).cloned().collect();
                if members.is_empty() {
                    return Err(roster.no_candidate(asker));
                }
                let slate = Arc::new(Slate::new(&members, asker, &self.desk));
                if able.len() < MAX_REMEMBERED {
                    able.insert(wanted.to_vec(), slate.clone());
                }
                Ok(slate)
            }
            Asker::Workflow(_) => Err(roster.no_candidate(asker)),
        }
    }

    /// How the agents stand, by id and version.
    #[must_use]
    pub fn overview(&self, now: Timestamp) -> Vec<Overview> {
        let members: Vec<Arc<Member>> = self.read().members().cloned().collect();
        let endpoint = |member: &Member, position: usize| Endpoint {
            name: member.agent.endpoints.get(position).cloned(),
            under_way: member.under_way(position),
            breaker: member.seats[position].breaker.state(now),
            rests: member.seats[position].rests(now),
        };
        let shown = |member: &Arc<Member>| Overview {
            agent: member.agent.clone(),
            mode: member.standing.mode(),
            under_way: member.standing.under_way(),
            slots: member.standing.slots(),
            waiting: self.desk.waiting_at(member),
            endpoints: (0..member.seats.len()).map(|position| endpoint(member, position)).collect(),
        };
        members.iter().map(shown).collect()
    }

    /// What there is, in numbers.
    #[must_use]
    pub fn stats(&self) -> RegistryStats {
        let roster = self.read();
        let ids = |wanted: &dyn Fn(&Member) -> bool| {
            roster.members().filter(|member| wanted(member)).map(|member| member.agent.identity.id.clone()).collect::<BTreeSet<_>>()
        };
        let mut capabilities: BTreeMap<Arc<str>, BTreeSet<Arc<str>>> = BTreeMap::new();
        for member in roster.members() {
            for capability in &member.agent.capabilities {
                capabilities.entry(capability.clone()).or_default().insert(member.agent.identity.id.clone());
            }
        }
        RegistryStats {
            total_agents: ids(&|_| true).len(),
            enabled_agents: ids(&|member| member.standing.mode() == Mode::Enabled).len(),
            capabilities: capabilities.into_iter().map(|(name, agents)| (name, agents.len())).collect(),
        }
    }

    /// Whether somebody wants to be asked from time to time how they are.
    #[must_use]
    pub fn wants_probes(&self) -> bool {
        self.probes.load(Ordering::Acquire)
    }

    /// Says that a call of an agent failed, and why.
    pub fn failed(&self, identity: &AgentRef, class: FailureClass, rest: Option<Millis>, now: Timestamp) {
        for member in self.members_of(&identity.id, Some(&identity.version)) {
            if let Some(seat) = member.seat_at(identity.endpoint.as_ref()) {
                member.failed(seat, class, rest, now);
            }
        }
    }

    /// Says that an agent answers, or does not, as somebody found out without a call of any run.
    pub fn probed(&self, identity: &AgentRef, answers: bool, now: Timestamp) {
        self.desk.see(now);
        for member in self.members_of(&identity.id, Some(&identity.version)) {
            let Some(seat) = member.seat_at(identity.endpoint.as_ref()) else { continue };
            if answers {
                member.seats[seat].breaker.answers(now);
                self.desk.serve(&member);
            } else {
                member.failed(seat, FailureClass::Unavailable, None, now);
            }
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Roster> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Roster> {
        self.roster.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was looked up before is looked up again.
    fn has_changed(&self, roster: std::sync::RwLockWriteGuard<'_, Roster>) {
        roster.able.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.generation.fetch_add(1, Ordering::AcqRel);
        drop(roster);
    }
}

impl Roster {
    fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.agents.values().flat_map(|versions| versions.members.values())
    }

    fn no_candidate(&self, asker: &Asker<'_>) -> NoCandidate {
        let shown = |member: &Arc<Member>| {
            let off = (member.standing.mode() == Mode::Disabled).then_some("disabled");
            let about: Vec<&str> = member.agent.capabilities.iter().map(|name| &**name).chain(off).collect();
            let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
            format!("{}{about}", member.agent.identity.id)
        };
        NoCandidate { asked: asked_for(asker), there: self.members().map(shown).collect() }
    }
}
