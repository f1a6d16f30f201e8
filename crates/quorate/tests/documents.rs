//! The examples that the design documents state, run from YAML on a clock of their own, and the ways in which the programs
//! behind those documents failed.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quorate::host::{Host, open_journal};
use quorate::project::{Summary, standing};
use quorate::{
    Agent, Call, Clock, Engine, Event, Failure, FailureClass, Input, MemoryJournal, Options, Order, Payload, Person, Reply, Run, RunStatus,
    TaskStatus, Timestamp,
};
use tempfile::TempDir;
use tokio::time::Instant;

/// What the agents did, and when: task, begin and end in milliseconds.
type Log = Arc<Mutex<Vec<(String, u64, u64)>>>;

struct Stage {
    _folder: TempDir,
    host: Host,
    engine: Engine,
    log: Log,
}

/// An agent that takes as long as `params.ms` says (100 where it does not), fails where `params.fail` says so, and returns
/// `params.value`.
fn probe(id: &str, log: &Log, begun: Instant) -> Agent {
    let log = log.clone();
    Agent::from_async(id, move |call: Call| {
        let log = log.clone();
        async move {
            let params: BTreeMap<String, serde_json::Value> = call.request.params.decode::<Option<_>>().unwrap().unwrap_or_default();
            let at = |instant: Instant| u64::try_from((instant - begun).as_millis()).unwrap();
            let (from, ms) = (at(Instant::now()), params.get("ms").and_then(serde_json::Value::as_u64).unwrap_or(100));
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(ms)) => {}
                () = call.cancel.raised() => return Err(Failure::new(FailureClass::Unavailable, "told to stop")),
            }
            log.lock().unwrap().push((call.request.task.to_string(), from, at(Instant::now())));
            match params.get("fail") {
                Some(_) => Err(Failure::new(FailureClass::Unavailable, "it was told to fail")),
                None => Ok(Reply::new(Payload::of(&params.get("value")).unwrap())),
            }
        }
    })
}

/// A project of these files. Every agent may `use: probe`.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    if !folder.path().join("quorate.yaml").exists() {
        std::fs::write(folder.path().join("quorate.yaml"), "name: test\ndefault_agent: worker\n").unwrap();
    }
    std::fs::create_dir_all(folder.path().join("agents")).unwrap();
    std::fs::write(folder.path().join("agents/worker.yaml"), "agents: { worker: { use: probe, capabilities: [work] } }\n").unwrap();
    folder
}

/// The same, and an engine on tokio's clock.
fn stage(files: &[(&str, &str)]) -> Stage {
    let folder = folder(files);
    let host = Host::read(folder.path(), &["probe"]).unwrap();
    stand(folder, host)
}

fn stand(folder: TempDir, host: Host) -> Stage {
    assert!(host.checked.is_sound(), "{:#?}", host.checked.diagnostics);
    let (log, begun) = (Log::default(), Instant::now());
    let registry = host.registry(|_, id| Some(probe(id, &log, begun)));
    let options = Options { clock: Clock::Tokio(Timestamp::from_micros(0), begun), ..host.options() };
    let engine = Engine::new(Arc::new(MemoryJournal::new()), registry, options);
    for workflow in host.project().workflows.values() {
        engine.know(&workflow.plan);
    }
    Stage { _folder: folder, host, engine, log }
}

/// One workflow, called `w`.
fn workflow(text: &str) -> Stage {
    stage(&[("workflows/w.yaml", text)])
}

impl Stage {
    fn order(&self, workflow: &str, input: &str) -> Order {
        let plan = self.host.project().workflows[workflow].plan.clone();
        Order::new(plan, Payload::parse(input.to_owned()).unwrap())
    }

    async fn run_of(&self, workflow: &str, input: &str) -> Run {
        let ended = self.engine.start(self.order(workflow, input)).unwrap().ended().await.unwrap();
        self.engine.load(ended.run).await.unwrap()
    }

    async fn run(&self) -> Run {
        self.run_of("w", "null").await
    }

    /// What ran, in the order in which it began.
    fn ran(&self) -> Vec<String> {
        let mut log = self.log.lock().unwrap().clone();
        log.sort_by_key(|(_, from, _)| *from);
        log.into_iter().map(|(task, ..)| task).collect()
    }

    /// How many ran at the same time at the most.
    fn overlap(&self) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().map(|(_, at, _)| log.iter().filter(|(_, from, to)| from <= at && at < to).count()).max().unwrap_or(0)
    }

    fn span_of(&self, task: &str) -> (u64, u64) {
        let log = self.log.lock().unwrap();
        let found = log.iter().find(|(ran, ..)| ran == task).unwrap_or_else(|| panic!("{task} did not run: {log:?}"));
        (found.1, found.2)
    }
}

/// What is wrong with a workflow.
fn mistakes(text: &str) -> Vec<String> {
    let folder = folder(&[("workflows/w.yaml", text)]);
    let host = Host::read(folder.path(), &["probe"]).unwrap();
    let found = host.checked.diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
    found.map(|diagnostic| diagnostic.message.clone()).collect()
}

fn status(run: &Run, task: &str) -> TaskStatus {
    run.task(task).unwrap().status()
}

fn delivery() -> Stage {
    let folder = TempDir::new().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/delivery");
    let host = Host::read(&from, &[]).unwrap();
    stand(folder, host)
}

// -- document 004: tasks and strategies

#[tokio::test(start_paused = true)]
async fn the_basic_workflow_runs_one_task_after_another() {
    let stage = delivery();
    let run = stage.run_of("simple-workflow", "null").await;
    let summary = Summary::of(&run, &[]);
    assert_eq!((run.status(), summary.execution_path.as_str()), (RunStatus::Succeeded, "task1 -> task2 -> task3"));
}

#[tokio::test(start_paused = true)]
async fn ten_analyses_run_at_most_five_at_once() {
    let tasks: String = (0..10).map(|ix| format!("  - {{ id: analyze-{ix}, capability: work, params: {{ ms: 200 }} }}\n")).collect();
    let stage = workflow(&format!("execution_strategy: PARALLEL\nmax_parallel_tasks: 5\ntasks:\n{tasks}"));
    let begun = Instant::now();
    assert_eq!(stage.run().await.status(), RunStatus::Succeeded);
    assert_eq!((stage.overlap(), begun.elapsed().as_millis()), (5, 400));
}

#[tokio::test(start_paused = true)]
async fn the_web_application_is_built_in_the_order_of_its_dependencies() {
    let stage = delivery();
    let run = stage.run_of("web-app", "null").await;
    let summary = Summary::of(&run, &[]);
    assert_eq!(summary.execution_path, "requirements -> [backend || frontend] -> integration -> testing -> docs");
    let at = |task: &str| {
        (run.task(task).unwrap().started().unwrap().micros() / 1_000, run.task(task).unwrap().ended().unwrap().micros() / 1_000)
    };
    assert_eq!((at("backend"), at("frontend")), ((150, 550), (150, 550)), "they run side by side");
    assert_eq!(at("docs").1, 1_100);
}

#[tokio::test(start_paused = true)]
async fn of_ready_tasks_the_more_urgent_goes_first() {
    let stage = workflow(
        "max_parallel_tasks: 1\ntasks:\n  - { id: low, priority: 2 }\n  - { id: usual }\n  - { id: high, priority: 9 }\n  - { id: also-high, priority: 9 }\n",
    );
    stage.run().await;
    assert_eq!(stage.ran(), ["high", "also-high", "usual", "low"]);
}

#[tokio::test(start_paused = true)]
async fn retries_wait_one_second_then_twice_as_long_up_to_thirty() {
    let stage = workflow(
        "tasks:\n  - id: flaky-task\n    agent: std.fail\n    params: { class: unavailable }\n\
         \x20   retry_config: { max_retries: 6, backoff_multiplier: 2.0, initial_delay: 1.0, max_delay: 30.0 }\n",
    );
    let begun = Instant::now();
    let run = stage.run().await;
    // 1, 2, 4, 8, 16, and 30 instead of 32.
    assert_eq!((run.status(), run.task("flaky-task").unwrap().attempts(), begun.elapsed().as_secs()), (RunStatus::Failed, 7, 61));
}

#[tokio::test(start_paused = true)]
async fn what_depends_on_a_condition_runs_only_if_it_holds() {
    let text = "strategy: conditional\ncontinue_on_failure: true\ntasks:\n  - { id: analyze, params: PARAMS }\n\
                \x20 - { id: fix-issues, condition: analyze, depends_on: [analyze] }\n  - { id: verify, depends_on: [fix-issues] }\n";
    let well = workflow(&text.replace("PARAMS", "{ ms: 10 }"));
    assert_eq!(Summary::of(&well.run().await, &[]).execution_path, "analyze -> fix-issues -> verify");
    let badly = workflow(&text.replace("PARAMS", "{ fail: yes }"));
    let run = badly.run().await;
    assert_eq!([status(&run, "fix-issues"), status(&run, "verify")], [TaskStatus::Skipped; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_strategy_that_is_left_open_is_chosen_and_explained() {
    let chosen = |text: &str| {
        let strategy = workflow(text).host.project().workflows["w"].strategy.clone();
        (strategy.name, strategy.reason.unwrap_or_default())
    };
    assert_eq!(chosen("tasks: [{ id: a }]"), ("sequential", "there is one task".to_owned()));
    assert_eq!(chosen("tasks: [{ id: a }, { id: b }]"), ("parallel", "none of the 2 tasks waits for another".to_owned()));
    assert_eq!(chosen("tasks: [{ id: a }, { id: b, depends_on: a }]"), ("dag", "1 of 2 tasks wait for others".to_owned()));
    assert_eq!(
        chosen("tasks: [{ id: a }, { id: b, depends_on: a, when: a }]"),
        ("conditional", "1 of 2 tasks have a condition".to_owned())
    );
    assert_eq!(chosen("strategy: dag\ntasks: [{ id: a }]"), ("dag", String::new()), "what is said is not chosen anew");
}

#[tokio::test(start_paused = true)]
async fn the_same_tasks_take_as_long_as_their_strategy_makes_them() {
    // Six tasks of 100 ms: one, then four that need it, then one that needs those.
    let needs = ["", "a", "a", "a", "a", "b, c, d, e"];
    let tasks = |with_needs: bool| -> String {
        let task = |(id, needs): (char, &&str)| match with_needs {
            true => format!("  - {{ id: {id}, depends_on: [{needs}] }}\n"),
            false => format!("  - {{ id: {id} }}\n"),
        };
        ('a'..).zip(&needs).map(task).collect()
    };
    for (head, with_needs, takes) in [
        ("strategy: sequential", true, 600),
        ("strategy: dag", true, 300),
        ("strategy: dag\nmax_parallel_tasks: 2", true, 400),
        ("strategy: parallel", false, 100),
        ("strategy: parallel\nmax_parallel_tasks: 4", false, 200),
    ] {
        let stage = workflow(&format!("{head}\ntasks:\n{}", tasks(with_needs)));
        let begun = Instant::now();
        assert_eq!(stage.run().await.status(), RunStatus::Succeeded);
        assert_eq!(begun.elapsed().as_millis(), takes, "{head}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_project_says_goes_for_every_workflow() {
    let project = "default_agent: worker\nenable_parallel_execution: false\ndefault_retry_config: { max_retries: 2, initial_delay: 1s, multiplier: 1 }\n\
                   limits: { max_workflow_duration: 1h }\n";
    let stage =
        stage(&[("quorate.yaml", project), ("workflows/w.yaml", "tasks: [{ id: a }, { id: b }, { id: c, params: { fail: yes } }]\n")]);
    let begun = Instant::now();
    let run = stage.run().await;
    assert_eq!((stage.overlap(), run.task("c").unwrap().attempts(), begun.elapsed().as_millis()), (1, 3, 2_500));
}

#[tokio::test(start_paused = true)]
async fn a_later_turn_of_a_section_reads_the_turn_before_it_and_never_the_luck_of_who_was_faster() {
    // `slow` and `fast` stand side by side; each reads the other, which is that of the turn before whoever ends first.
    let stage = workflow(
        "
strategy: dag
output: [\"{{ fast }}\", \"{{ slow }}\", \"{{ judge }}\"]
tasks:
  - { id: write, params: { value: \"{{ default(judge, 0) + 1 }}\", ms: 10 } }
  - { id: fast, depends_on: [write], params: { value: \"{{ default(slow, 0) * 10 + write }}\", ms: 10 } }
  - { id: slow, depends_on: [write], params: { value: \"{{ default(fast, 0) * 10 + write }}\", ms: 500 } }
  - { id: first, depends_on: [write], when: not defined(judge), params: { value: yes } }
  - id: judge
    depends_on: [fast, slow, first]
    join: none_failed
    params: { value: \"{{ write }}\" }
    repeat: { from: write, while: judge < 3, max: 5 }
",
    );
    let run = stage.run().await;
    assert_eq!(run.output().unwrap().json(), "[123,123,3]");
    assert_eq!(
        ["first", "first#2", "first#3"].map(|task| status(&run, task)),
        [TaskStatus::Succeeded, TaskStatus::Skipped, TaskStatus::Skipped]
    );
}

#[tokio::test(start_paused = true)]
async fn the_items_of_a_single_task_are_done_side_by_side() {
    let stage = workflow("tasks: [{ id: each, for_each: { items: input, max_parallel: 3 } }]\n");
    let strategy = &stage.host.project().workflows["w"].strategy;
    assert_eq!((strategy.name, strategy.reason.as_deref()), ("parallel", Some("its one task is done for each item")));
    assert_eq!(stage.run_of("w", "[1, 2, 3, 4, 5, 6]").await.status(), RunStatus::Succeeded);
    assert_eq!(stage.overlap(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_path_of_a_run_says_what_stood_side_by_side() {
    let tasks = "tasks: [{ id: a }, { id: b }, { id: c, depends_on: [a, b] }, { id: d, depends_on: [c], when: never }, { id: end, finally: true }]\n";
    for (strategy, path, side_by_side) in [("dag", "[a || b] -> c -> end", 2), ("sequential", "a -> b -> c -> end", 0)] {
        let stage = workflow(&format!("strategy: {strategy}\n{tasks}"));
        let run = stage.run().await;
        let loaded = stage.engine.journal().load(vec![run.id()]).await.unwrap().pop().unwrap();
        let summary = Summary::of(&run, &loaded.entries);
        assert_eq!((summary.execution_path.as_str(), summary.parallel_steps), (path, side_by_side));
    }
}

#[tokio::test(start_paused = true)]
async fn fields_may_be_written_as_the_documents_write_them() {
    let of_004 = "
id: ci-pipeline
name: Continuous Integration Pipeline
description: As the document has it.
execution_strategy: DAG
default_timeout_seconds: 60
max_parallel_tasks: 5
continue_on_failure: false
metadata: { owner: platform, reviewed: 2026-11-20 }
tasks:
  - id: setup
    description: Prepare the sources
    task_type: preparation
  - id: analyze-code
    description: Analyze the codebase for potential issues
    required_capabilities: [work]
    depends_on: [setup]
    priority: 8
    timeout_seconds: 2.5
    retry_config: { max_retries: 3, backoff_multiplier: 2.0, initial_delay: 1.0, max_delay: 60.0 }
    parameters: { focus: security, value: fine }
    expected_output_type: markdown
  - id: fix
    agent_type: worker
    depends_on: [analyze-code]
    condition: analyze-code
";
    let of_003 = "
id: purchase
tasks:
  - { id: ticketing, agent_id: worker, input_data: { messages: [{ role: user, content: Book 10 tickets }] } }
  - { id: finance, agent_id: worker, depends_on: [ticketing], input_data: { amount: 10000, requires_approval: true } }
";
    let of_002 = "
name: advice
steps: [{ name: data_sync, agent: worker }, { name: analysis, agent: worker }]
approval_points: [data_sync]
approval: { by: [ann] }
";
    let stage = stage(&[("workflows/ci.yaml", of_004), ("workflows/purchase.yaml", of_003), ("workflows/advice.yaml", of_002)]);
    let run = stage.run_of("ci-pipeline", "null").await;
    assert_eq!((run.status(), stage.ran().join(" ")), (RunStatus::Succeeded, "setup analyze-code fix".to_owned()));
    assert_eq!(run.task("analyze-code").unwrap().output().unwrap().json(), r#""fine""#);
    assert_eq!(stage.run_of("purchase", "null").await.status(), RunStatus::Succeeded);
    assert!(stage.host.project().workflows.contains_key("advice"), "the name of the file stands in for the id");
}

#[tokio::test(start_paused = true)]
async fn defect_of_004_a_retried_task_ran_twice_at_once() {
    let stage = workflow(
        "tasks:\n  - { id: failing, params: { ms: 300, fail: yes }, retry: { max_retries: 3, initial_delay: 50ms } }\n\
         \x20 - { id: other, params: { ms: 100 } }\n  - { id: next, depends_on: [other], params: { ms: 100 } }\n",
    );
    stage.run().await;
    let log = stage.log.lock().unwrap();
    let attempts: Vec<_> = log.iter().filter(|(task, ..)| task == "failing").collect();
    assert_eq!(attempts.len(), 4);
    assert!(attempts.windows(2).all(|pair| pair[0].2 + 50 <= pair[1].1), "{attempts:?}");
}

#[tokio::test(start_paused = true)]
async fn defect_of_004_a_failing_task_with_continue_on_failure_never_ended() {
    let stage = workflow("continue_on_failure: true\ntasks:\n  - { id: bad, params: { fail: yes } }\n  - { id: good }\n");
    let run = stage.run().await;
    assert_eq!((run.status(), status(&run, "good")), (RunStatus::Failed, TaskStatus::Succeeded));
    assert_eq!(standing(&run), "failed: bad failed (unavailable: it was told to fail)");
}

#[tokio::test(start_paused = true)]
async fn defect_of_004_what_depends_on_a_skipped_task_stayed_pending() {
    let stage = workflow("tasks:\n  - { id: a }\n  - { id: b, depends_on: a, when: never }\n  - { id: c, depends_on: b }\n");
    let run = stage.run().await;
    assert_eq!((run.status(), status(&run, "c")), (RunStatus::Succeeded, TaskStatus::Skipped));
    assert_eq!(run.task("c").unwrap().cause().unwrap().to_string(), "b did not succeed");
}

#[tokio::test(start_paused = true)]
async fn defect_of_004_sequential_ignored_dependencies_and_conditional_the_order_of_the_file() {
    for strategy in ["sequential", "conditional"] {
        let stage =
            workflow(&format!("strategy: {strategy}\ntasks:\n  - {{ id: last, depends_on: first, when: first }}\n  - {{ id: first }}\n"));
        assert_eq!(stage.run().await.status(), RunStatus::Succeeded);
        assert_eq!(stage.ran(), ["first", "last"], "{strategy}");
    }
}

#[tokio::test(start_paused = true)]
async fn defect_of_004_parallel_ignored_dependencies() {
    // Nothing is ignored: such a workflow is no workflow.
    assert_eq!(
        mistakes("strategy: parallel\ntasks: [{ id: a }, { id: b, depends_on: a }]\n"),
        ["under the strategy `parallel` no task waits for another"]
    );
}

#[tokio::test(start_paused = true)]
async fn defect_of_004_an_unknown_dependency_gave_an_empty_run_that_was_complete() {
    assert_eq!(mistakes("tasks: [{ id: a, depends_on: setup }, { id: b }]\n"), ["there is no task `setup`"]);
}

#[tokio::test(start_paused = true)]
async fn defect_of_004_a_strategy_that_was_asked_for_was_overridden() {
    // Without the word these would be conditional, and parallel.
    for (text, asked) in [
        ("strategy: dag\ntasks: [{ id: a, when: input.go }, { id: b }]\n", "dag"),
        ("strategy: sequential\ntasks: [{ id: a }, { id: b }]\n", "sequential"),
    ] {
        let stage = workflow(text);
        let strategy = &stage.host.project().workflows["w"].strategy;
        assert_eq!((strategy.name, strategy.reason.is_none()), (asked, true));
    }
}

#[tokio::test(start_paused = true)]
async fn defect_of_004_a_condition_was_true_because_a_name_was_in_it() {
    // `a` is done, and its name stands in the condition; that says nothing about the value.
    let stage = workflow("tasks:\n  - { id: a, params: { value: { score: 3 } } }\n  - { id: b, depends_on: a, when: a.score > 10 }\n");
    assert_eq!(status(&stage.run().await, "b"), TaskStatus::Skipped);
}

#[tokio::test(start_paused = true)]
async fn defect_of_004_the_timeout_of_a_task_was_never_read() {
    let stage = workflow("tasks: [{ id: slow, timeout_seconds: 1, params: { ms: 2500 } }]\n");
    let begun = Instant::now();
    let run = stage.run().await;
    assert_eq!((status(&run, "slow"), begun.elapsed().as_millis()), (TaskStatus::TimedOut, 1_000));
}

#[tokio::test(start_paused = true)]
async fn defect_of_004_cancelling_stopped_nothing() {
    let stage = workflow("tasks: [{ id: slow, params: { ms: 60000 } }, { id: next, depends_on: slow }]\n");
    let running = stage.engine.start(stage.order("w", "null")).unwrap();
    let id = running.id();
    tokio::time::sleep(Duration::from_millis(10)).await;
    stage.engine.cancel(id, "ann", "wrong file", false).await.unwrap();
    let begun = Instant::now();
    assert_eq!(running.ended().await.unwrap().status, RunStatus::Cancelled);
    assert!(begun.elapsed() < Duration::from_secs(1) && stage.ran().is_empty());
}

// -- document 003: coordination

const TICKETS: &str = "
workflows:
  book-and-approve:
    strategy: sequential
    tasks:
      - { id: tickets, params: { value: { total_price: \"{{ input.price }}\" } } }
      - { id: finance, depends_on: [tickets], condition: tickets.total_price > 5000 }
      - id: approval
        depends_on: [finance]
        when: tickets.total_price >= 10000
        approval: { question: \"Spend {{ tickets.total_price }}?\", by: [cfo] }
  follow-up:
    strategy: parallel
    tasks: [{ id: send_sms }, { id: update_crm }, { id: log_expense }]
  route:
    tasks:
      - { id: proposal, when: \"input.text contains 'proposal'\" }
      - { id: expense, when: \"input.text contains 'expense'\" }
      - { id: ticketing, when: \"not (input.text contains 'proposal') and not (input.text contains 'expense')\" }
  enterprise:
    tasks:
      - { id: book, workflow: book-and-approve }
      - { id: crm, workflow: follow-up, depends_on: [book] }
";

#[tokio::test(start_paused = true)]
async fn the_finance_step_runs_only_above_five_thousand() {
    let stage = stage(&[("workflows/tickets.yaml", TICKETS)]);
    let run = stage.run_of("book-and-approve", r#"{"price": 5000}"#).await;
    assert_eq!((run.status(), status(&run, "finance")), (RunStatus::Succeeded, TaskStatus::Skipped));
    let run = stage.run_of("book-and-approve", r#"{"price": 5000.01}"#).await;
    assert_eq!([status(&run, "finance"), status(&run, "approval")], [TaskStatus::Succeeded, TaskStatus::Skipped]);
    let running = stage.engine.start(stage.order("book-and-approve", r#"{"price": 10000}"#)).unwrap();
    let id = running.id();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let cfo = Person { name: "cfo".into(), groups: Vec::new() };
    let answer = quorate::Input::Answered {
        task: "approval".into(),
        by: cfo,
        choice: "approve".to_owned(),
        note: String::new(),
        evidence: None,
        output: None,
    };
    stage.engine.input(id, answer).await.unwrap();
    assert_eq!(running.ended().await.unwrap().status, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn three_messages_go_out_side_by_side_and_routes_are_taken_by_what_is_asked() {
    let stage = stage(&[("workflows/tickets.yaml", TICKETS)]);
    let begun = Instant::now();
    stage.run_of("follow-up", "null").await;
    assert_eq!((stage.overlap(), begun.elapsed().as_millis()), (3, 100));
    for (text, route) in [("an expense of 12", "expense"), ("a proposal for ACME", "proposal"), ("two seats", "ticketing")] {
        let run = stage.run_of("route", &format!(r#"{{"text": "{text}"}}"#)).await;
        let taken: Vec<&str> = run.tasks().filter(|task| task.status() == TaskStatus::Succeeded).map(quorate::TaskView::id).collect();
        assert_eq!(taken, [route]);
    }
}

#[tokio::test(start_paused = true)]
async fn workflows_are_put_together_from_workflows() {
    let stage = stage(&[("workflows/tickets.yaml", TICKETS)]);
    let run = stage.run_of("enterprise", r#"{"price": 6000}"#).await;
    assert_eq!(run.status(), RunStatus::Succeeded);
    assert_eq!(stage.ran(), ["tickets", "finance", "send_sms", "update_crm", "log_expense"]);
}

#[tokio::test(start_paused = true)]
async fn defect_of_003_dependencies_timeouts_and_retries_were_declared_and_unused() {
    let stage = workflow(
        "tasks:\n  - { id: first, params: { ms: 500 } }\n  - { id: second, depends_on: first, timeout: 50ms, params: { ms: 400 },\n\
         \x20     retry: { max_retries: 1, initial_delay: 10ms } }\n",
    );
    let run = stage.run().await;
    assert_eq!(stage.ran(), ["first"]);
    assert_eq!((status(&run, "second"), run.task("second").unwrap().attempts()), (TaskStatus::TimedOut, 2));
}

#[tokio::test(start_paused = true)]
async fn defect_of_003_the_agent_of_the_highest_priority_was_the_first_one_registered() {
    let agents = "agents:\n  a-first: { use: probe, capabilities: [sell], priority: 1 }\n  b-best: { use: probe, capabilities: [sell], priority: 9 }\n";
    let stage = stage(&[("agents/sales.yaml", agents), ("workflows/w.yaml", "tasks: [{ id: sell, capability: sell }]\n")]);
    assert_eq!(&*stage.run().await.task("sell").unwrap().agent().unwrap().id, "b-best");
}

#[tokio::test(start_paused = true)]
async fn defect_of_003_two_tasks_of_one_agent_shared_their_result() {
    let stage = workflow(
        "tasks: [{ id: a, agent: worker, params: { value: 1 } }, { id: b, agent: worker, params: { value: 2 } }]\noutput: { a: \"{{ a }}\", b: \"{{ b }}\" }\n",
    );
    assert_eq!(stage.run().await.output().unwrap().json(), r#"{"a":1,"b":2}"#);
}

// -- document 002: workflows with approvals and rollback

/// Ann says yes.
fn approval(task: &str) -> Input {
    let by = Person { name: "ann".into(), groups: Vec::new() };
    Input::Answered { task: task.into(), by, choice: "approve".to_owned(), note: String::new(), evidence: None, output: None }
}

const ADVISORY: &str = "
id: advisory_workflow
steps:
  - { name: data_sync, agent: worker }
  - { name: analysis, agent: worker }
  - { name: forecasting, agent: worker }
  - { name: reporting, agent: worker }
approval_points: [analysis, forecasting]
approval: { by: [ann, bob] }
";

#[tokio::test(start_paused = true)]
async fn the_advisory_workflow_asks_after_analysis_and_forecasting() {
    let stage = stage(&[("workflows/advisory.yaml", ADVISORY)]);
    let running = stage.engine.start(stage.order("advisory_workflow", "null")).unwrap();
    let id = running.id();
    for step in ["analysis", "forecasting"] {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(stage.ran().last().unwrap(), step, "nothing goes on before somebody has answered");
        stage.engine.input(id, approval(&format!("approve-{step}"))).await.unwrap();
    }
    assert_eq!(running.ended().await.unwrap().status, RunStatus::Succeeded);
    assert_eq!(stage.ran(), ["data_sync", "analysis", "forecasting", "reporting"]);
}

#[tokio::test(start_paused = true)]
async fn defect_of_002_nothing_was_ever_rolled_back() {
    let stage = workflow(
        "tasks:\n  - { id: book, compensate: { id: unbook } }\n  - { id: pay, depends_on: book, compensate: { id: refund } }\n\
         \x20 - { id: ship, depends_on: pay, params: { fail: yes } }\n",
    );
    let run = stage.run().await;
    assert_eq!((run.status(), stage.ran().join(" ")), (RunStatus::Failed, "book pay ship refund(pay) unbook(book)".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn defect_of_002_ready_steps_were_awaited_one_after_another() {
    let stage = workflow("tasks: [{ id: sync }, { id: forecast, depends_on: sync }, { id: risk, depends_on: sync }]\n");
    stage.run().await;
    assert_eq!(stage.span_of("forecast"), stage.span_of("risk"));
}

#[tokio::test(start_paused = true)]
async fn defect_of_002_a_step_without_its_agent_was_skipped_without_a_trace() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("quorate.yaml"), "name: test\n").unwrap();
    std::fs::create_dir_all(folder.path().join("workflows")).unwrap();
    std::fs::write(folder.path().join("workflows/w.yaml"), "tasks: [{ id: a, agent: nobody }]\n").unwrap();
    let host = Host::read(folder.path(), &[]).unwrap();
    assert_eq!(host.checked.diagnostics[0].message, "there is no agent `nobody`");
    // One that goes missing while the engine runs fails its task, and says so.
    let stage = workflow("tasks: [{ id: a, agent: worker }]\n");
    assert!(stage.engine.registry().unregister("worker"));
    let run = stage.run().await;
    assert!(run.task("a").unwrap().cause().unwrap().to_string().starts_with("unavailable: no agent is called `worker`"));
}

#[tokio::test(start_paused = true)]
async fn a_step_that_the_run_can_do_without_is_skipped_where_its_agent_is_missing() {
    let text = "steps: [{ name: sync, agent: worker }, { name: risk, agent: nobody, optional: true }, { name: report, agent: worker }]\n";
    let stage = workflow(text);
    let warned: Vec<&str> = stage.host.checked.diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
    assert_eq!(warned, ["there is no agent `nobody`, and the task will be skipped: it is optional"]);
    let run = stage.run().await;
    let cause = run.task("risk").unwrap().cause().unwrap().to_string();
    assert_eq!((run.status(), status(&run, "risk")), (RunStatus::Succeeded, TaskStatus::Skipped));
    assert!(cause.starts_with("unavailable: no agent is called `nobody`"), "{cause}");
    assert_eq!(stage.ran(), ["sync", "report"]);
}

#[tokio::test(start_paused = true)]
async fn defect_of_002_timeouts_of_steps_were_declared_and_not_enforced() {
    let stage = workflow("steps: [{ name: sync, timeout: 5m, params: { ms: 3600000 } }, { name: report }]\n");
    let begun = Instant::now();
    let run = stage.run().await;
    assert_eq!((run.status(), status(&run, "sync"), begun.elapsed().as_secs()), (RunStatus::Failed, TaskStatus::TimedOut, 300));
}

#[tokio::test(start_paused = true)]
async fn defect_of_002_an_empty_list_of_approvers_counted_as_approved() {
    let found = mistakes("tasks: [{ id: pay, approval: { question: 'Pay?', by: [] } }]\n");
    assert_eq!(found, ["this names nobody who may answer"]);
}

#[tokio::test]
async fn defect_of_002_approvals_were_lost_on_restart() {
    let folder =
        folder(&[("workflows/w.yaml", "tasks: [{ id: pay, approval: { question: 'Pay?', by: [ann] } }, { id: book, depends_on: pay }]\n")]);
    let host = Host::read(folder.path(), &["probe"]).unwrap();
    let log = Log::default();
    let open = || async {
        let journal = open_journal(&folder.path().join(".quorate")).unwrap();
        let registry = host.registry(|_, id| Some(probe(id, &log, Instant::now())));
        Engine::open(journal, registry, host.options()).await.unwrap().engine
    };
    let engine = open().await;
    let plan = host.project().workflows["w"].plan.clone();
    let id = engine.start(Order::new(plan, Payload::null())).unwrap().id();
    let asks = |run: &Run| run.task("pay").unwrap().asks().map(|asks| asks.question.text.clone());
    while engine.look(id, asks).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    engine.stop().await.unwrap();
    drop(engine);
    let engine = open().await;
    assert_eq!(engine.look(id, asks).await.unwrap().unwrap(), "Pay?");
    let mut following = engine.follow_run(id, 0);
    engine.input(id, approval("pay")).await.unwrap();
    while following.next().await.unwrap().is_some() {}
    let kept = engine.journal().load(vec![id]).await.unwrap();
    assert_eq!(kept[0].entries.last().unwrap().event.name(), "run_ended");
    assert_eq!(log.lock().unwrap().len(), 1, "what was approved is done");
    engine.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_step_is_told_as_it_happens() {
    let stage = workflow("tasks: [{ id: a }, { id: b, depends_on: a }]\n");
    let (_, mut following) = stage.engine.start_followed(stage.order("w", "null")).unwrap();
    let mut told = Vec::new();
    while let Some(entry) = following.next().await.unwrap() {
        match entry.event {
            Event::TaskStarted { task, .. } => told.push(format!("{} started", task.id())),
            Event::TaskSucceeded { task, .. } => told.push(format!("{} completed", task.id())),
            _ => {}
        }
    }
    assert_eq!(told, ["a started", "a completed", "b started", "b completed"]);
}
