//! What a run is waiting for, derived from its state.

use std::collections::HashSet;
use std::sync::Arc;

use quorate_expr::Segment;

use crate::event::{AgentRef, Failure, Question, Skill, TaskRef};
use crate::plan::{Node, Work as NodeWork};
use crate::run::{NONE, Origin, Ready, Run, State};
use crate::{Digest, FailureClass, Millis, Payload, Reply, RunId, Timestamp};

/// Something that has to come from outside before the run goes on.
#[derive(Clone, Debug)]
pub enum Work<'a> {
    /// An attempt may start.
    Dispatch {
        /// The task.
        task: TaskRef,
        /// Who may do it.
        asker: Asker<'a>,
    },
    /// An attempt is under way.
    Await {
        /// The task.
        task: TaskRef,
        /// The attempt.
        attempt: u32,
        /// The run that does it, where it is a sub-workflow.
        child: Option<RunId>,
    },
    /// People have been asked.
    Ask {
        /// The task.
        task: TaskRef,
        /// The question.
        question: &'a Question,
    },
    /// A signal is awaited.
    Listen {
        /// The task.
        task: TaskRef,
        /// The name of the signal.
        signal: Arc<str>,
    },
    /// Time has to pass.
    WakeAt(Timestamp),
}

/// A run that another one started and waits for.
#[derive(Clone, Debug)]
pub struct Child {
    /// The task that it does.
    pub task: TaskRef,
    /// The attempt that it is.
    pub attempt: u32,
    /// Its id.
    pub run: RunId,
}

/// A task that may start.
#[derive(Clone, Debug)]
pub struct Offer<'a> {
    /// The task.
    pub task: TaskRef,
    /// Tasks of one lane ask for the same agent: if there is none for one, there is none for the others.
    pub lane: u32,
    /// Higher goes first.
    pub priority: u8,
    /// Who may do it.
    pub asker: Asker<'a>,
}

/// Who may do a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker<'a> {
    /// The agent of this name.
    Agent(&'a Arc<str>),
    /// Any agent with these capabilities.
    Capabilities(&'a [Arc<str>]),
    /// A run of this plan.
    Workflow(Digest),
}

/// What an agent gets.
#[derive(Clone, Debug)]
pub struct Request {
    /// The run.
    pub run: RunId,
    /// The task.
    pub task: Arc<str>,
    /// The attempt, counted from 1.
    pub attempt: u32,
    /// When the attempt times out.
    pub deadline: Option<Timestamp>,
    /// What the task is about.
    pub input: Payload,
    /// Its parameters.
    pub params: Payload,
    /// What its dependencies returned, by name.
    pub outputs: Vec<(Arc<str>, Payload)>,
    /// The expertise that the task requires.
    pub skills: Vec<Skill>,
    /// For whom the run acts.
    pub session: Option<Payload>,
}

impl Request {
    /// The key that is the same for all attempts of this task, and for no other task.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!("{}/{}", self.run, self.task)
    }
}

impl Run {
    /// Everything that the run waits for. Walks the whole run; after `advance`, ask [`Run::next_ready`] instead.
    pub fn outstanding(&self) -> impl Iterator<Item = Work<'_>> {
        let tasks = (0..self.tasks.len()).map(|ix| u32::try_from(ix).expect("MAX_INSTANCES fits"));
        let waiting = tasks.filter_map(|ix| {
            let task = &self.tasks[ix as usize];
            match &task.state {
                State::Ready => Some(Work::Dispatch { task: self.reference(ix), asker: self.node(ix).asker()? }),
                State::Running(running) => {
                    Some(Work::Await { task: self.reference(ix), attempt: task.attempt, child: running.child.as_deref().copied() })
                }
                State::Asking(asking) => Some(Work::Ask { task: self.reference(ix), question: &asking.question }),
                State::Sleeping { .. } => match &self.node(ix).work {
                    NodeWork::Wait { signal: Some(signal), .. } => Some(Work::Listen { task: self.reference(ix), signal: signal.clone() }),
                    _ => None,
                },
                // These wait for other tasks, or for time.
                State::Waiting | State::Retrying { .. } | State::Mapping(_) | State::Succeeded | State::Ended(..) => None,
            }
        });
        waiting.chain(self.wake_at().map(Work::WakeAt))
    }

    /// The runs that this one started and waits for.
    pub fn children(&self) -> impl Iterator<Item = Child> {
        self.outstanding().filter_map(|work| match work {
            Work::Await { task, attempt, child: Some(run) } => Some(Child { task, attempt, run }),
            _ => None,
        })
    }

    /// The most urgent task that may start now, if the limits of the run let one start.
    #[must_use]
    pub fn next_ready(&self) -> Option<Offer<'_>> {
        self.next_ready_except(&[], &HashSet::new())
    }

    /// The same, leaving out lanes for which there is no free agent at the moment, and tasks, by position, that cannot
    /// start yet for reasons of the caller's own.
    #[must_use]
    pub fn next_ready_except(&self, full: &[u32], held: &HashSet<u32>) -> Option<Offer<'_>> {
        if self.count.running >= self.plan.max_parallel {
            return None;
        }
        let open = self.open_lanes.iter().filter(|lane| !full.contains(lane));
        let first = open.filter_map(|lane| self.first_in(*lane, held)).max()?;
        let ix = first.task();
        if self.plan.one_at_a_time && !self.is_first_in_line(ix) {
            return None;
        }
        let node = self.node(ix);
        Some(Offer { task: self.reference(ix), lane: node.lane, priority: first.priority(), asker: node.asker()? })
    }

    /// How urgent the first task in a lane is, if there is one.
    #[must_use]
    pub fn urgency_of(&self, lane: u32) -> Option<u8> {
        self.first_in(lane, &HashSet::new()).map(Ready::priority)
    }

    /// Whether a plan that runs one task at a time has come to this one.
    pub(crate) fn is_first_in_line(&self, ix: u32) -> bool {
        // What is next in line waits for the answer to that question.
        if !self.plan.one_at_a_time || self.is_budget_question(ix) {
            return true;
        }
        let busy = self.count.running + self.count.retrying + self.count.asking + self.count.sleeping;
        let item = matches!(self.tasks[ix as usize].origin, Origin::Item { .. });
        let none = HashSet::new();
        let before = |first: Option<Ready>| first.is_some_and(|first| first.task() < ix);
        let others = self.open_lanes.iter().map(|lane| self.first_in(*lane, &none)).chain([self.ready_inside.peek().copied()]);
        busy == 0 && (item || (self.count.mapping == 0 && !others.into_iter().any(before)))
    }

    /// What the agent gets for the next attempt of a task.
    ///
    /// # Errors
    /// A failure, where a value that its input or its parameters need is unknown. The task cannot run.
    pub fn request(&self, task: &TaskRef) -> Result<Request, Failure> {
        let ix = task.ix;
        let node = self.node(ix);
        let start = self.start.as_deref().ok_or_else(|| Failure::new(FailureClass::Internal, "the run has not begun"))?;
        let reader = Some(ix);
        let input = match (&node.input, self.item(ix)) {
            (Some(form), _) => self.render(form, reader)?,
            (None, Some(item)) => item.clone(),
            (None, None) => start.input.clone(),
        };
        let params = node.params.as_ref().map_or_else(|| Ok(Payload::null()), |form| self.render(form, reader))?;
        let of = |node: &u32| {
            let ix = self.latest[*node as usize];
            let task = if ix == NONE { None } else { self.tasks.get(ix as usize) };
            task.and_then(|task| Some((task.id.clone(), task.output.clone()?)))
        };
        let mut outputs = Vec::with_capacity(node.deps.len());
        outputs.extend(node.deps.iter().filter_map(of));
        if let Origin::Undoes(done) = self.tasks[ix as usize].origin {
            let done = &self.tasks[done as usize];
            outputs.extend(done.output.clone().map(|output| (done.id.clone(), output)));
        }
        let task = &self.tasks[ix as usize];
        Ok(Request {
            run: self.id,
            task: task.id.clone(),
            attempt: task.attempt + u32::from(!matches!(task.state, State::Running(_))),
            deadline: match &task.state {
                State::Running(running) => running.deadline,
                _ => None,
            },
            input,
            params,
            outputs,
            skills: node.skills.iter().filter_map(|name| start.skills.iter().find(|skill| skill.name == *name)).cloned().collect(),
            session: start.session.clone(),
        })
    }

    /// By what runs are shared out: what stands at a path such as `input.customer` or `session.user`; without a path, or
    /// where nothing stands there, the run itself.
    #[must_use]
    pub fn key(&self, path: Option<&str>) -> Digest {
        let found = path.and_then(|path| {
            let start = self.start.as_deref()?;
            let mut steps = path.split('.');
            let whole = match steps.next()? {
                "input" => &start.input,
                "profile" => start.profile.as_ref()?,
                "session" => start.session.as_ref()?,
                _ => return None,
            };
            let steps: Vec<Segment> = steps.map(|step| Segment::Field(step.into())).collect();
            whole.at(&steps).ok()
        });
        found.map_or_else(|| Digest::of(&self.id.0.to_be_bytes()), |text| Digest::of(text.as_bytes()))
    }

    /// The agent that has the last attempt of a task.
    #[must_use]
    pub fn agent_of(&self, task: &TaskRef) -> Option<&AgentRef> {
        self.tasks.get(task.ix as usize)?.agent.as_deref()
    }

    /// The agents that failed at a task one after another, since it was last tried again.
    #[must_use]
    pub fn tried(&self, task: &TaskRef) -> &[Arc<AgentRef>] {
        let aside = self.tasks.get(task.ix as usize).and_then(|task| task.aside.as_ref());
        aside.map_or(&[], |aside| &aside.tried)
    }

    /// Checks what an agent returned against what the plan says it returns.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check_reply(&self, task: &TaskRef, reply: &Reply) -> Result<(), String> {
        reply.output.check(&self.node(task.ix).output)?;
        match reply.said.as_ref().and_then(|said| said.confidence) {
            Some(confidence) if !quorate_expr::Range::UNIT.holds(confidence) => {
                Err(format!("the confidence should be a number from 0 to 1, but is {confidence}"))
            }
            _ => Ok(()),
        }
    }

    /// The plan that this task runs, where it is a sub-workflow.
    #[must_use]
    pub fn sub_plan(&self, task: &TaskRef) -> Option<Digest> {
        match self.node(task.ix).work {
            NodeWork::Workflow { plan } => Some(plan),
            NodeWork::Agent { .. } | NodeWork::Approval(_) | NodeWork::Wait { .. } => None,
        }
    }

    /// How long one attempt of this task may take, if the plan says so.
    #[must_use]
    pub fn timeout_of(&self, task: &TaskRef) -> Option<Millis> {
        self.node(task.ix).timeout
    }

    /// What the run returned, once its main part is over: what the plan says, else what its last tasks returned.
    ///
    /// # Errors
    /// Why it cannot be put together.
    pub fn output(&self) -> Result<Payload, Failure> {
        if let Some(form) = &self.plan.output {
            return self.render(form, None);
        }
        let last = |node: &Node| node.succ.iter().all(|next| self.latest[*next as usize] == NONE || !self.is_main(*next));
        let mut outputs = Vec::new();
        for (node_ix, node) in (0..).zip(&self.plan.nodes) {
            let ix = self.latest.get(node_ix as usize).copied().unwrap_or(NONE);
            let asks_for_more = self.plan.budget.as_ref().is_some_and(|budget| budget.ask == Some(node_ix));
            if ix != NONE && self.is_main(node_ix) && last(node) && !asks_for_more {
                outputs.push((&node.id, self.tasks[ix as usize].output.as_ref()));
            }
        }
        if let [(_, Some(only))] = outputs[..] {
            return Ok(only.clone());
        }
        let mut json = String::from("{");
        for (id, output) in outputs.iter().filter_map(|(id, output)| output.map(|output| (id, output))) {
            if json.len() > 1 {
                json.push(',');
            }
            json.push('"');
            json.push_str(id);
            json.push_str("\":");
            json.push_str(output.json());
        }
        json.push('}');
        Payload::parse(json).map_err(|wrong| Failure::new(FailureClass::Invalid, format!("the output of the run: {wrong}")))
    }

    fn is_main(&self, node: u32) -> bool {
        matches!(self.plan.nodes[node as usize].role, crate::Role::Main | crate::Role::Catalogue)
    }
}

impl Node {
    fn asker(&self) -> Option<Asker<'_>> {
        match &self.work {
            NodeWork::Agent { id: Some(id), .. } => Some(Asker::Agent(id)),
            NodeWork::Agent { id: None, capabilities } => Some(Asker::Capabilities(capabilities)),
            NodeWork::Workflow { plan } => Some(Asker::Workflow(*plan)),
            NodeWork::Approval(_) | NodeWork::Wait { .. } => None,
        }
    }
}
