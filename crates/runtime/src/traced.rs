//! Spans of runs, tasks and attempts, for whoever traces. Where nobody does, there are none.

use std::collections::HashMap;

use quorate_agents::Outcome;
use quorate_core::{AgentRef, Run, TaskRef};
use tracing::{Span, field::Empty, info_span, span_enabled};

/// The spans of a run that are open.
pub(crate) struct Traced {
    run: Span,
    /// By task, from its first attempt to its end.
    tasks: HashMap<u32, Span>,
}

impl Traced {
    /// The spans of a run, where somebody traces.
    pub(crate) fn new(run: &Run) -> Option<Box<Traced>> {
        if !span_enabled!(tracing::Level::INFO) {
            return None;
        }
        let name = run.plan().name();
        let span = info_span!(
            parent: None, "run",
            otel.name = format!("invoke_workflow {name}"),
            gen_ai.operation.name = "invoke_workflow",
            gen_ai.workflow.name = &**name,
            quorate.run.id = %run.id(),
            quorate.run.status = Empty,
        );
        if let Some(parent) = run.begun().and_then(|start| start.parent.as_ref()) {
            span.record("quorate.run.status", format!("part of {}", parent.run));
        }
        Some(Box::new(Traced { run: span, tasks: HashMap::new() }))
    }

    /// A span for an attempt that begins now.
    pub(crate) fn attempt(&mut self, task: &TaskRef, attempt: u32, agent: &AgentRef) -> Span {
        let run = &self.run;
        let span = self
            .tasks
            .entry(task.position())
            .or_insert_with(|| info_span!(parent: run, "task", otel.name = format!("task {}", task.id()), quorate.task.id = task.id()));
        info_span!(
            parent: &*span, "attempt",
            otel.name = format!("invoke_agent {}", agent.id),
            otel.status_code = Empty,
            gen_ai.operation.name = "invoke_agent",
            gen_ai.agent.name = &*agent.id,
            gen_ai.agent.version = &*agent.version,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            quorate.attempt = attempt,
            error.type = Empty,
        )
    }

    /// Closes the spans of what has ended.
    pub(crate) fn see(&mut self, run: &Run, task: &TaskRef) {
        let ended = run.task(task.id()).is_none_or(|task| task.ended().is_some());
        if ended {
            self.tasks.remove(&task.position());
        }
        if run.has_ended() {
            self.run.record("quorate.run.status", run.status().to_string());
        }
    }
}

/// Writes into the span of an attempt how it ended.
pub(crate) fn ended(span: &Span, outcome: &Outcome) {
    if span.is_disabled() {
        return;
    }
    let usage = match outcome {
        Ok(reply) => reply.said.as_ref().and_then(|said| said.usage.as_ref()),
        Err(failure) => {
            span.record("error.type", failure.class.to_string());
            span.record("otel.status_code", "ERROR");
            failure.usage.as_deref()
        }
    };
    if let Some(usage) = usage {
        span.record("gen_ai.usage.input_tokens", usage.tokens_in);
        span.record("gen_ai.usage.output_tokens", usage.tokens_out);
    }
}
