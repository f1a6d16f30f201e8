//! What stands in which file of a project.

use crate::shape::{MANY as MAX, Object, Shape, field};

const NAMES: Shape = Shape::Some(&Shape::Text);

pub(crate) const STRATEGIES: [&str; 5] = ["auto", "dag", "sequential", "parallel", "conditional"];
const EFFECTS: [&str; 3] = ["none", "idempotent", "once"];
const CLASSES: [&str; 6] = ["invalid", "unavailable", "timeout", "rate_limited", "internal", "refused"];

/// `quorate.yaml`.
pub(crate) static PROJECT: Object = Object {
    title: "project",
    what: "a project",
    fields: &[
        field("name", Shape::Text, "What the project is called."),
        field("description", Shape::Text, "What it is for."),
        field("default", Shape::Text, "The workflow that `quorate run .` starts."),
        field("default_agent", Shape::Text, "The agent of tasks that name neither an agent nor a capability."),
        field("default_retry", Shape::Object(&RETRY), "How failures are retried, where neither the task nor its workflow says.")
            .or(&["default_retry_config"]),
        field("enable_parallel_execution", Shape::Bool, "Whether tasks of a run stand side by side at all; true where it is not given."),
        field("limits", Shape::Object(&LIMITS), "How much may happen at once, and for how long."),
        field("groups", Shape::Map(&NAMES), "Groups of people: a name, and who is in it."),
        field("capabilities", Shape::Map(&Shape::Text), "What the words mean by which agents are asked for; only for those who read it."),
        field(
            "skill_directories",
            Shape::Some(&Shape::Either(&[Shape::Text, Shape::Object(&SKILL_DIRECTORY)])),
            "Where skills are looked for: folders in the project come first, then those from elsewhere. Where it is not given, `skills` \
             and `~/.quorate/skills`.",
        )
        .or(&["skills"]),
        field(
            "telemetry",
            Shape::Object(&TELEMETRY),
            "Where the spans of runs are sent, as OpenTelemetry has them; OTEL_EXPORTER_OTLP_ENDPOINT says so as well.",
        ),
        field("routes", Shape::List(&Shape::Object(&ROUTE)), "Where requests go, by the first rule that matches."),
        field("classifier", Shape::Text, "The agent that is asked where a request goes that no rule matches."),
    ],
};

pub(crate) static TELEMETRY: Object = Object {
    title: "telemetry",
    what: "where spans are sent",
    fields: &[
        field("endpoint", Shape::Text, "The collector, as in http://localhost:4318: a value or `env:NAME`.").required(),
        field("headers", Shape::Map(&Shape::Text), "What is sent along: a value, `env:NAME` or `file:PATH`."),
    ],
};

pub(crate) static SKILL_DIRECTORY: Object = Object {
    title: "skill_directory",
    what: "a folder of skills",
    fields: &[
        field("path", Shape::Text, "The folder: in the project, or from elsewhere; `~` is the home of whoever runs it.").required(),
        field("recursive", Shape::Bool, "Whether skills may lie deeper in it; true where it is not given."),
    ],
};

/// The front matter of a `SKILL.md`, as the public format has it.
pub(crate) static SKILL: Object = Object {
    title: "skill",
    what: "the front matter of a skill",
    fields: &[
        field("name", Shape::Text, "Its name, which is that of its folder: small letters, digits and hyphens, up to 64.").required(),
        field("description", Shape::Text, "What it does and when it is of use, in up to 1,024 characters.").required(),
        field("version", Shape::Text, "Its version."),
        field("tags", NAMES, "Words by which people find it."),
        field("license", Shape::Text, "Under which terms it may be used.").or(&["licence"]),
        field("compatibility", Shape::Text, "What it needs around it, in up to 500 characters."),
        field("allowed-tools", NAMES, "The tools that it means to use, with spaces between them.").or(&["allowed_tools"]),
        field("metadata", Shape::Map(&Shape::Any), "Whatever else is worth writing down."),
    ],
};

pub(crate) static ROUTE: Object = Object {
    title: "route",
    what: "a route",
    fields: &[
        field("name", Shape::Text, "What people call it; its position where it is not given."),
        field("keywords", NAMES, "Words of which one must stand in the request, whole, in small or large letters.").or(&["keyword"]),
        field("when", Shape::Condition, "And this must hold; names are fields of the request, and `text` is what it says.")
            .or(&["condition"]),
        field("agent", Shape::Text, "The agent that it goes to."),
        field("capabilities", NAMES, "What the agent that it goes to must be able to do.").or(&["capability"]),
        field("workflow", Shape::Text, "The workflow that it starts."),
    ],
};

pub(crate) static LIMITS: Object = Object {
    title: "limits",
    what: "the limits",
    fields: &[
        field("max_concurrent_agents", Shape::Whole(1, MAX), "How many agents are called at once, all runs together."),
        field("run_timeout", Shape::Duration, "How long a run may take, where its workflow does not say.")
            .or(&["workflow_timeout", "max_workflow_duration"]),
        field("grace", Shape::Duration, "How long a call that is told to stop has for it."),
    ],
};

/// A file of `agents/`.
pub(crate) static AGENTS: Object = Object {
    title: "agents",
    what: "a file of agents",
    fields: &[field("agents", Shape::Map(&Shape::Object(&AGENT)), "The agents: an id, and what it is.").required()],
};

pub(crate) static AGENT: Object = Object {
    title: "agent",
    what: "an agent",
    fields: &[
        field("use", Shape::Text, "A function built in, such as `std.echo`."),
        field(
            "exec",
            Shape::Either(&[Shape::List(&Shape::Text), Shape::Object(&EXEC)]),
            "A program: what is asked goes to its standard input as JSON, and its standard output is the answer.",
        ),
        field(
            "http",
            Shape::Either(&[Shape::Text, Shape::Object(&HTTP)]),
            "A service: what is asked is posted to it as JSON, and the body of its answer is the answer. An address, or `env:NAME`.",
        )
        .or(&["endpoint"]),
        field(
            "llm",
            Shape::Either(&[Shape::Text, Shape::Object(&LLM)]),
            "A language model: its prompt is filled in and sent, and what it says is the answer.",
        ),
        field("mcp", Shape::Object(&MCP), "A tool of an MCP server; of a server without `tool`, the one that `params.tool` names."),
        field("name", Shape::Text, "What people call it."),
        field("description", Shape::Text, "What it is for."),
        field("version", Shape::Text, "Its version; it is recorded with everything that it returns."),
        field(
            "versions",
            Shape::Map(&Shape::Object(&AGENT)),
            "Several versions of it: each is what stands here, with what is different. Runs are shared out among them.",
        ),
        field(
            "share",
            Shape::Whole(0, 1_000_000),
            "Of a version: how many of the runs are with it, beside the shares of the others; 1 where it is not given.",
        ),
        field(
            "sticky_by",
            Shape::Text,
            "By what runs are shared out, such as `input.customer` or `session.user`; the run itself where it is not given.",
        ),
        field(
            "instances",
            Shape::Whole(1, 1_000),
            "So many of it, under ids of their own: `id_0`, `id_1` and so on. Tasks go on asking for the id.",
        ),
        field("capabilities", NAMES, "What it can do, by which tasks ask for it."),
        field(
            "effect",
            Shape::Choice(&EFFECTS),
            "What calling it does to the world: nothing, something that may be done twice, or something that must not.",
        ),
        field("priority", Shape::Whole(0, MAX), "Of several that could do a task, the one with the higher priority does it."),
        field("weight", Shape::Whole(1, 1_000), "How much it does beside others of the same priority; 1 where it is not given."),
        field("max_concurrent", Shape::Whole(1, MAX), "How many calls it takes at once.").or(&["max_concurrent_tasks"]),
        field("timeout", Shape::Duration, "How long a call may take, where the task does not say.").or(&["timeout_seconds"]),
        field("enabled", Shape::Bool, "Whether it is called at all."),
        field(
            "breaker",
            Shape::Either(&[Shape::Choice(&["on", "off"]), Shape::Object(&BREAKER)]),
            "When it is left alone because it fails; `on` is the usual rule. What lies beyond a network has one where nothing is given, and nothing else has.",
        ),
        field("health", Shape::Either(&[Shape::Duration, Shape::Object(&HEALTH)]), "How often it is asked whether it is well, and how."),
        field("params", Shape::Map(&Shape::Any), "Parameters that it gets where a task gives none of that name."),
        field("output", Shape::Type, "What it returns."),
        field("metadata", Shape::Any, "Whatever else is worth writing down."),
    ],
};

pub(crate) static BREAKER: Object = Object {
    title: "breaker",
    what: "a breaker",
    fields: &[
        field("failures", Shape::Whole(1, 10_000), "So many failures in a row open it; 5 where it is not given."),
        field("within", Shape::Duration, "The first and the last of them lie no further apart; a minute where it is not given."),
        field("open_for", Shape::Duration, "How long it is left alone then; 30 seconds where it is not given."),
        field(
            "trials",
            Shape::Whole(1, 1_000),
            "So many calls are let through after that, and must succeed before it closes; 1 where it is not given.",
        ),
    ],
};

pub(crate) static HEALTH: Object = Object {
    title: "health",
    what: "a probe",
    fields: &[
        field("every", Shape::Duration, "How often it is asked; only by `quorate agents check` where it is not given."),
        field("path", Shape::Text, "Of a service: what is asked for with GET, such as /health; the service itself where it is not given."),
        field("command", Shape::List(&Shape::Text), "Of a program: a command that ends with 0 where it is well."),
    ],
};

pub(crate) static HTTP: Object = Object {
    title: "http",
    what: "a service",
    fields: &[
        field(
            "url",
            Shape::Some(&Shape::Text),
            "Its address, or `env:NAME`; several are places of the same service, any of which will do.",
        )
        .or(&["urls", "endpoints"])
        .required(),
        field(
            "headers",
            Shape::Map(&Shape::Text),
            "What is sent along: a value, `env:NAME` or `file:PATH`, also behind a word such as `Bearer`.",
        ),
        field("allow_private", Shape::Bool, "Whether it may be on this machine or in a network around it."),
        field("max_output", Shape::Whole(1, 16 * 1024 * 1024), "How many bytes it may answer."),
    ],
};

pub(crate) static LLM: Object = Object {
    title: "llm",
    what: "a language model",
    fields: &[
        field("model", Shape::Text, "Which model, as its service calls it.").required(),
        field(
            "api",
            Shape::Choice(&["openai", "anthropic"]),
            "In which format the service is spoken to; `anthropic` for models called claude…, and else `openai`, which most speak.",
        ),
        field(
            "url",
            Shape::Some(&Shape::Text),
            "Where the service is, up to the version, as in http://localhost:11434/v1; that of the format's own where it is not given.",
        )
        .or(&["urls", "base_url", "endpoints"]),
        field("key", Shape::Text, "By what the service knows you: `env:NAME` or `file:PATH`.").or(&["api_key"]),
        field("headers", Shape::Map(&Shape::Text), "What is sent along: a value, `env:NAME` or `file:PATH`."),
        field("allow_private", Shape::Bool, "Whether it may be on this machine or in a network around it."),
        field("instructions", Shape::Text, "What the model should always heed."),
        field("system", Shape::Text, "The same as a template: a file in `prompts`."),
        field(
            "prompt",
            Shape::Text,
            "What it is asked: a file in `prompts`, a Jinja template. Where it is not given, what the task is about.",
        ),
        field(
            "inputs",
            Shape::Type,
            "What the templates may name, each with its type; taken from `params`, else from `input`. A name with `?` may be missing.",
        ),
        field("max_tokens", Shape::Whole(1, 1_000_000), "How many tokens it may write in a turn; 4,096 where it is not given."),
        field("temperature", Shape::Number(0.0, 2.0), "How freely it chooses its words."),
        field("stream", Shape::Bool, "Whether it is heard while it answers; true where it is not given."),
        field("extra", Shape::Map(&Shape::Any), "What else the service is told, as its own documents name it."),
        field("prices", Shape::Object(&PRICES), "What a million tokens cost, in the currency of the project."),
        field(
            "tools",
            Shape::List(&Shape::Either(&[Shape::Text, Shape::Object(&TOOL)])),
            "Agents that it may use while it works; of an MCP server, its tools.",
        ),
        field("max_steps", Shape::Whole(1, 100), "How many turns a call may take; 8 where it is not given."),
    ],
};

pub(crate) static PRICES: Object = Object {
    title: "prices",
    what: "what tokens cost",
    fields: &[
        field("input", Shape::Number(0.0, 1_000_000.0), "A million that are read."),
        field("cached", Shape::Number(0.0, 1_000_000.0), "A million that are read and that the service had at hand."),
        field("output", Shape::Number(0.0, 1_000_000.0), "A million that are written."),
    ],
};

pub(crate) static TOOL: Object = Object {
    title: "tool",
    what: "a tool",
    fields: &[
        field("agent", Shape::Text, "The agent.").required(),
        field("description", Shape::Text, "What the model is told that it does; what the agent says of itself where it is not given."),
        field("input", Shape::Type, "What it takes; anything where it is not given."),
        field("only", NAMES, "Of the tools of an MCP server, these alone."),
    ],
};

pub(crate) static MCP: Object = Object {
    title: "mcp",
    what: "an MCP server",
    fields: &[
        field("command", Shape::List(&Shape::Text), "The program that is the server, with its arguments."),
        field("env", Shape::Map(&Shape::Text), "Variables that are set for it: a value, `env:NAME` or `file:PATH`."),
        field("pass_env", NAMES, "Variables that it gets from the environment of Quorate."),
        field("folder", Shape::Text, "Where it runs, inside the project."),
        field("url", Shape::Text, "Its address, if it is a service that speaks streamable HTTP: a value or `env:NAME`."),
        field("headers", Shape::Map(&Shape::Text), "What is sent along: a value, `env:NAME` or `file:PATH`."),
        field("allow_private", Shape::Bool, "Whether it may be on this machine or in a network around it."),
        field("from", Shape::Text, "The agent whose server it is, so that both share one."),
        field("tool", Shape::Text, "The tool that is called, with `params`, or where there are none with `input`."),
    ],
};

static EXEC: Object = Object {
    title: "exec",
    what: "a program",
    fields: &[
        field("command", Shape::List(&Shape::Text), "The program and its arguments. There is no shell.").required(),
        field("env", Shape::Map(&Shape::Text), "Variables that are set for it: a value, `env:NAME` or `file:PATH`."),
        field("pass_env", NAMES, "Variables that it gets from the environment of Quorate."),
        field("folder", Shape::Text, "Where it runs, inside the project."),
        field("keep_alive", Shape::Bool, "One process for many calls, each one line of JSON in and one line out."),
        field("max_output", Shape::Whole(1, 16 * 1024 * 1024), "How many bytes it may write."),
    ],
};

/// A file of `workflows/` with several workflows.
pub(crate) static WORKFLOWS: Object = Object {
    title: "workflows",
    what: "a file of workflows",
    fields: &[field("workflows", Shape::Map(&Shape::Object(&WORKFLOW)), "The workflows: an id, and what it is.").required()],
};

pub(crate) static WORKFLOW: Object = Object {
    title: "workflow",
    what: "a workflow",
    fields: &[
        field("id", Shape::Text, "Its id; the key under `workflows`, or the name of the file, where it is not given."),
        field("name", Shape::Text, "What people call it."),
        field("description", Shape::Text, "What it is for."),
        field("strategy", Shape::Choice(&STRATEGIES), "Which constraint its tasks are under; `auto` chooses, and says why.")
            .or(&["execution_strategy"]),
        field("tasks", Shape::List(&Shape::Object(&TASK)), "Its tasks. Of two that are equally urgent, the earlier one goes first.")
            .or(&["steps"])
            .required(),
        field("max_parallel_tasks", Shape::Whole(1, MAX), "How many of its tasks run at once."),
        field("continue_on_failure", Shape::Bool, "Whether a task that fails leaves the others alone."),
        field("timeout", Shape::Duration, "How long a run may take."),
        field("default_timeout", Shape::Duration, "How long one attempt of a task may take, where the task does not say.")
            .or(&["default_timeout_seconds"]),
        field("default_retry", Shape::Object(&RETRY), "How failures are retried, where the task does not say.")
            .or(&["default_retry_config"]),
        field("default_agent", Shape::Text, "The agent of tasks that name neither an agent nor a capability."),
        field("input", Shape::Type, "What its input looks like."),
        field("output", Shape::Any, "What a run returns, with {{ }} in its texts; without it, what the last tasks returned."),
        field("checkpoints", Shape::List(&Shape::Object(&CHECKPOINT)), "Conditions that may decide.").or(&["decision_checkpoints"]),
        field("otherwise", Shape::Text, "The decision when nothing else decided."),
        field("on_unknown", Shape::Text, "The decision when an unknown condition stands before one that holds."),
        field(
            "on_failure",
            Shape::Text,
            "The decision when something failed that the run cannot do without; without it the run fails undecided.",
        ),
        field("early_exit", Shape::Bool, "Whether a decision skips what has not started; true where it is not given."),
        field("approval_points", Shape::List(&Shape::Text), "Steps after which people are asked before the next ones start."),
        field("approval", Shape::Object(&APPROVAL), "How people are asked at the `approval_points`."),
        field("budget", Shape::Object(&BUDGET), "What a run may use: tokens, or money."),
        field("metadata", Shape::Any, "Whatever else is worth writing down."),
    ],
};

pub(crate) static BUDGET: Object = Object {
    title: "budget",
    what: "a budget",
    fields: &[
        field("tokens", Shape::Whole(1, 1_000_000_000_000), "Tokens, read and written together."),
        field("cost", Shape::Number(0.0, 1_000_000_000.0), "Money, in the currency in which the prices of the models are."),
        field("warn_at", Shape::Number(0.0, 1.0), "At which share of it that is put on record: 0.8 for four fifths."),
        field(
            "on_limit",
            Shape::Either(&[Shape::Choice(&["fail", "ask"]), Shape::Object(&APPROVAL)]),
            "What happens when a call could take more than is left: its task fails, which it does where nothing is given, or people are \
             asked for as much again: anybody but the one who started the run, or who an approval says.",
        ),
    ],
};

pub(crate) static TASK: Object = Object {
    title: "task",
    what: "a task",
    fields: &[
        field(
            "id",
            Shape::Text,
            "Its name, unique in the workflow; of an inline `compensate`, `undo-` and the task where it is not given.",
        )
        .or(&["name"]),
        field("description", Shape::Text, "What is to be done; the agent gets it as `params.task` where no params are given."),
        field("task_type", Shape::Text, "A word of your own."),
        field("agent", Shape::Text, "The agent that does it.").or(&["agent_type", "agent_id"]),
        field("capabilities", NAMES, "What an agent must be able to do, where none is named.").or(&["capability", "required_capabilities"]),
        field("required_skills", NAMES, "The skills that its agent gets, by name.").or(&["skills"]),
        field("workflow", Shape::Text, "A workflow that runs as a run of its own."),
        field("approval", Shape::Object(&APPROVAL), "A question to people."),
        field("wait", Shape::Object(&WAIT), "Time passes, or a signal comes."),
        field("depends_on", NAMES, "The tasks that come before it."),
        field(
            "join",
            Shape::Either(&[Shape::Choice(&JOINS), Shape::Object(&JOIN)]),
            "What it needs of them; every one must have succeeded where it is not given.",
        ),
        field("when", Shape::Condition, "Runs only if this holds.").or(&["condition"]),
        field("skip_when", Shape::Condition, "Does not run if this holds."),
        field("input", Shape::Any, "What the agent gets as input, instead of the input of the run.").or(&["input_data"]),
        field("params", Shape::Any, "What the agent gets as parameters.").or(&["parameters"]),
        field("retry", Shape::Object(&RETRY), "How failures are retried.").or(&["retry_config"]),
        field("timeout", Shape::Duration, "How long one attempt may take.").or(&["timeout_seconds"]),
        field("optional", Shape::Bool, "Whether the run can do without it."),
        field("priority", Shape::Whole(1, 10), "The higher goes first; 5 where it is not given."),
        field("finally", Shape::Bool, "Runs after the decision or the end, whatever it was."),
        field("on_demand", Shape::Bool, "Runs only when a checkpoint or an agent adds it."),
        field(
            "compensate",
            Shape::Either(&[Shape::Text, Shape::Object(&TASK)]),
            "The task that undoes this one: its id, or the task itself.",
        ),
        field(
            "for_each",
            Shape::Either(&[Shape::Condition, Shape::Object(&FOR_EACH)]),
            "Runs once for every item of a list, which is `item` in the task.",
        ),
        field("repeat", Shape::Object(&REPEAT), "Runs a section of the workflow again."),
        field("may_add", NAMES, "Tasks with `on_demand` that its agent may add."),
        field("output", Shape::Type, "What it returns.").or(&["expected_output_type"]),
        field("metadata", Shape::Any, "Whatever else is worth writing down."),
    ],
};

pub(crate) const JOINS: [&str; 4] = ["all", "none_failed", "settled", "any"];
const ON_LATE: [&str; 3] = ["fail", "proceed", "skip"];

pub(crate) static JOIN: Object = Object {
    title: "join",
    what: "a join",
    fields: &[
        field("needs", Shape::Choice(&JOINS), "How the dependencies must have ended."),
        field("at_least", Shape::Whole(1, MAX), "How many of them must have succeeded."),
        field("within", Shape::Duration, "How long it waits from when the first of them starts."),
        field("on_late", Shape::Choice(&ON_LATE), "What it does when that time has passed."),
        field("race", Shape::Bool, "Whether dependencies that have not ended by then are cancelled."),
    ],
};

pub(crate) static RETRY: Object = Object {
    title: "retry",
    what: "a retry",
    fields: &[
        field("max_retries", Shape::Whole(0, 10_000), "Attempts after the first one."),
        field("initial_delay", Shape::Duration, "The wait before the second attempt."),
        field("multiplier", Shape::Number(1.0, 1_000.0), "By how much each further wait grows.").or(&["backoff_multiplier"]),
        field("max_delay", Shape::Duration, "The longest wait."),
        field("jitter", Shape::Number(0.0, 1.0), "Up to which part of it a wait is shortened, so that many do not come back at once."),
        field("on", Shape::Some(&Shape::Choice(&CLASSES)), "The classes of failure that are retried."),
    ],
};

pub(crate) static APPROVAL: Object = Object {
    title: "approval",
    what: "an approval",
    fields: &[
        field("question", Shape::Text, "The question; may hold {{ }}."),
        field("evidence", Shape::Any, "What the answer rests on; the outputs of the dependencies where it is not given."),
        field(
            "choices",
            Shape::List(&Shape::Either(&[Shape::Text, Shape::Object(&CHOICE)])),
            "The answers to choose from; `approve` and `reject` where none are given.",
        ),
        field(
            "by",
            Shape::Either(&[NAMES, Shape::Object(&LEVEL)]),
            "Who may answer: names of people, or `{group: leads, at_least: 2}`. Anybody where it is not given.",
        ),
        field("within", Shape::Duration, "How long they have."),
        field("then", Shape::List(&Shape::Object(&LEVEL)), "Who is asked next, each when the ones before let their time pass.")
            .or(&["escalate_to"]),
        field("on_expiry", Shape::Text, "The choice that is taken when nobody answered in time; without it the task times out."),
        field("starter_may_answer", Shape::Bool, "Whether the one who started the run may answer."),
        field(
            "override_needs_note",
            Shape::Bool,
            "Of what is asked about a decision: whether a note is needed for an answer that is neither `approve` nor what it proposes.",
        ),
        field("not_by", NAMES, "Approvals whose answerers may not answer this one."),
        field("except", NAMES, "Who may not answer since they had a part in it: names, or `{{ }}` that gives a list of them."),
    ],
};

pub(crate) static CHOICE: Object = Object {
    title: "choice",
    what: "a choice",
    fields: &[
        field("name", Shape::Text, "What is answered.").required(),
        field("rejects", Shape::Bool, "Whether one such answer rejects."),
        field("needs_note", Shape::Bool, "Whether a note is needed."),
    ],
};

pub(crate) static LEVEL: Object = Object {
    title: "level",
    what: "a level of people",
    fields: &[
        field("users", NAMES, "People by name.").or(&["user"]),
        field("groups", NAMES, "People by group.").or(&["group"]),
        field("at_least", Shape::Whole(1, MAX), "How many must agree."),
        field("within", Shape::Duration, "How long they have."),
    ],
};

pub(crate) static WAIT: Object = Object {
    title: "wait",
    what: "a wait",
    fields: &[
        field("for", Shape::Duration, "A length of time."),
        field("until", Shape::Condition, "A point in time: an expression, or a time such as 2026-11-30T17:00:00Z."),
        field("signal", Shape::Text, "The name of a signal."),
    ],
};

pub(crate) static FOR_EACH: Object = Object {
    title: "for_each",
    what: "a loop over a list",
    fields: &[
        field("items", Shape::Condition, "An expression that gives the list.").or(&["in"]).required(),
        field("max_parallel", Shape::Whole(1, MAX), "How many items run at once."),
        field("keep_going", Shape::Bool, "Whether an item that fails leaves the others alone."),
    ],
};

pub(crate) static REPEAT: Object = Object {
    title: "repeat",
    what: "a repeated section",
    fields: &[
        field("from", Shape::Text, "The task where the section begins; it ends with this one.").required(),
        field("while", Shape::Condition, "Again while this holds.").required(),
        field("max", Shape::Whole(1, 10_000), "How often the section runs at the most.").required(),
    ],
};

pub(crate) static CHECKPOINT: Object = Object {
    title: "checkpoint",
    what: "a checkpoint",
    fields: &[
        field("id", Shape::Text, "What people call it."),
        field("description", Shape::Text, "What it finds, in words: what is the case where it holds."),
        field("after", NAMES, "The tasks that must have ended; none: looked at when all else has ended."),
        field("condition", Shape::Condition, "The condition; where voices are heard, they always are without one.").or(&["when"]),
        field("action", Shape::Text, "The decision that follows."),
        field("follow", Shape::Text, "The task whose answer is the decision."),
        field("add", NAMES, "Tasks with `on_demand` that are added."),
        field("voices", Shape::Object(&VOICES), "What several tasks say together is the decision."),
        field("reason", Shape::Text, "Why, in words that go on record with the decision; `{{ }}` holds values."),
        field("with", Shape::Any, "What goes on record beside the action, for whoever carries it out; `{{ }}` holds values."),
    ],
};

const METHODS: [&str; 5] = ["weighted", "majority", "unanimity", "first", "best"];

pub(crate) static VOICES: Object = Object {
    title: "voices",
    what: "voices",
    fields: &[
        field("by", Shape::Choice(&METHODS), "By which rule they come to a decision.").or(&["method"]).required(),
        field("of", Shape::List(&Shape::Either(&[Shape::Text, Shape::Object(&VOICE)])), "Whose voices they are.").required(),
        field("at_least", Shape::Whole(1, MAX), "How many must be heard; all where it is not given, and one where the first is taken.")
            .or(&["min_agents"]),
        field(
            "actions",
            Shape::List(&Shape::Object(&SCORE_ROW)),
            "Of weighted numbers: what their `score` means, by the first row that holds.",
        ),
        field("choices", NAMES, "Of votes: what may be voted for besides AUTO_RESOLVE, HIL_REVIEW, ESCALATE and REJECTED."),
        field(
            "insufficient",
            Shape::Text,
            "The decision where too few are heard, or it is not known who vetoes; `HIL_REVIEW` where it is not given.",
        ),
        field("undecided", Shape::Text, "The decision where they do not agree, or no row holds; `HIL_REVIEW` where it is not given."),
        field("vetoed", Shape::Text, "The decision where one of them vetoes; `REJECTED` where it is not given."),
    ],
};

pub(crate) static VOICE: Object = Object {
    title: "voice",
    what: "a voice",
    fields: &[
        field("task", Shape::Text, "The task, or in a policy the agent.").or(&["agent", "name"]).required(),
        field("weight", Shape::Number(0.0, 1000.0), "What it counts; 1 where it is not given."),
        field(
            "says",
            Shape::Condition,
            "What it says: an expression over what it returned; its `confidence` where numbers are weighed, else its `action`.",
        )
        .or(&["value"]),
        field("veto", Shape::Condition, "Where this holds, nothing that the others say counts."),
    ],
};

pub(crate) static SCORE_ROW: Object = Object {
    title: "score_row",
    what: "a row",
    fields: &[
        field("when", Shape::Condition, "Its condition, which may read `score`; a row without one always holds.").or(&["condition"]),
        field("then", Shape::Text, "The decision.").or(&["action"]).required(),
    ],
};

/// A file of `policies/`.
pub(crate) static POLICIES: Object = Object {
    title: "policies",
    what: "a file of policies",
    fields: &[
        field("input", Shape::Type, "What the work looks like that comes in."),
        field(
            "about",
            Shape::Some(&Shape::Condition),
            "What a piece of work is about, for whoever reads why it was decided so: expressions, each a line or a list of lines.",
        ),
        field(
            "classify",
            Shape::Map(&Shape::Either(&[Shape::Condition, Shape::List(&Shape::Object(&CLASSIFY_ROW)), Shape::Object(&CLASSIFY_FIELD)])),
            "What is found out about it: names, each with an expression or a table, which may read the names above them.",
        ),
        field(
            "keyed_by",
            NAMES,
            "By which fields `policies` are looked up, first and second; `break_type` and `risk_tier` where it is not given.",
        ),
        field("deciding_agent", Shape::Text, "The agent that decides where a checkpoint asks it; `DECISIONING` where it is not given."),
        field(
            "mode",
            Shape::Choice(&MODES),
            "How work is done: as its policy says, all agents one after another, or both beside each other.",
        )
        .or(&["orchestration_mode"]),
        field("sequence", NAMES, "Of `mode: sequential`: all agents, in their order; that of the files where it is not given."),
        field(
            "auto_resolve_needs",
            NAMES,
            "Agents without which nothing is to be resolved by itself; RULES_TOLERANCE where the project has one and does not say.",
        ),
        field("monotone", Shape::Object(&MONOTONE), "Of more of something nothing laxer is to come."),
        field(
            "reviews",
            Shape::Map(&Shape::Object(&APPROVAL)),
            "How people are asked when it is decided so: HIL_REVIEW, ESCALATE, or a word of your own. Anybody but the starter where it is not given.",
        ),
        field(
            "policies",
            Shape::Map(&Shape::OneOrNamed(&POLICY)),
            "Policies by the first field, and by the second one: LOW, or LOW_RISK; `default` for the others.",
        ),
        field(
            "rules",
            Shape::List(&Shape::Object(&RULE)),
            "Which policy work gets, by the first rule that holds; they come before the keys.",
        ),
        field("default", Shape::Text, "The policy of work for which there is none."),
        // A file that is one policy.
        field("id", Shape::Text, "Of a file that is one policy: its name; the name of the file where it is not given."),
        field("description", Shape::Text, "What it is for."),
        field("profile", Shape::Map(&Shape::Any), "Which work it is for: texts that fields of the profile are. Numbers are an example."),
        field("routing", Shape::Object(&ROUTING), "Its agents, and what decides."),
        field("execution_path", Shape::Any, "What its author expects; for those who read it."),
        field("agents_invoked", Shape::Any, "What its author expects; for those who read it."),
        field("parallel_steps", Shape::Any, "What its author expects; for those who read it."),
    ],
};

pub(crate) const MODES: [&str; 3] = ["dynamic", "sequential", "compare"];

pub(crate) static MONOTONE: Object = Object {
    title: "monotone",
    what: "what is monotone",
    fields: &[
        field("over", Shape::List(&Shape::Text), "Fields of the profile: numbers, or texts with their values from less to more.")
            .required(),
        field("actions", NAMES, "Decisions, from the laxest; AUTO_RESOLVE, HIL_REVIEW, ESCALATE, REJECTED where it is not given."),
    ],
};

pub(crate) static RULE: Object = Object {
    title: "policy_rule",
    what: "a rule",
    fields: &[
        field("name", Shape::Text, "What people call it; its position where it is not given."),
        field("when", Shape::Condition, "Its condition, over the profile and the input; a rule without one always holds.")
            .or(&["condition"]),
        field("policy", Shape::Text, "The policy: its name, or the two keys with `/` between them.").required(),
    ],
};

pub(crate) static POLICY: Object = Object {
    title: "policy",
    what: "a policy",
    fields: &[
        field("description", Shape::Text, "What it is for."),
        field("mandatory_agents", Shape::List(&MEMBERS), "The agents that must run."),
        field(
            "optional_agents",
            Shape::List(&MEMBERS),
            "Agents that run when their own condition holds, or without one when all that must has run and nothing decided.",
        ),
        field("parallel_groups", Shape::List(&NAMES), "Sets of agents, in order; those of one set run side by side."),
        field(
            "stages",
            Shape::List(&Shape::Either(&[Shape::Text, Shape::Object(&STAGE)])),
            "Or agents one after another, each of which may stop it.",
        )
        .or(&["workflow_stages"]),
        field("routing", Shape::Object(&ROUTING), "Its agents with what each waits for, or in two phases, instead of all above."),
        field("decision_checkpoints", Shape::Some(&Shape::Object(&CHECKPOINT)), "Conditions that may decide.")
            .or(&["decision_checkpoint", "checkpoints"]),
        field("deciding_agent", Shape::Text, "The agent that decides where a checkpoint asks it."),
        field("finally", Shape::List(&MEMBERS), "Agents that run when it is decided, however."),
        field("after_review", Shape::List(&MEMBERS), "Agents that run when people have answered what a decision asked them."),
        field(
            "reviews",
            Shape::Map(&Shape::Object(&APPROVAL)),
            "How people are asked when it is decided so, instead of what the file says.",
        ),
        field("otherwise", Shape::Text, "The decision when nothing else decided; `HIL_REVIEW` where it is not given."),
        field("on_unknown", Shape::Text, "The decision when an unknown condition stands before one that holds."),
        field("on_failure", Shape::Text, "The decision when an agent failed that must run; `HIL_REVIEW` where it is not given."),
        field("early_exit_enabled", Shape::Bool, "Whether a decision skips what has not started; true where it is not given.")
            .or(&["early_exit"]),
        field("max_parallel", Shape::Whole(1, MAX), "How many agents run at once."),
        field("timeout", Shape::Duration, "How long it may take to a decision."),
    ],
};

const MEMBERS: Shape = Shape::Either(&[Shape::Text, Shape::Object(&MEMBER)]);

pub(crate) static MEMBER: Object = Object {
    title: "policy_agent",
    what: "an agent of a policy",
    fields: &[
        field("agent", Shape::Text, "The agent.").or(&["name"]).required(),
        field("id", Shape::Text, "The name of its task; that of the agent where it is not given."),
        field("when", Shape::Condition, "Runs only if this holds.").or(&["condition"]),
        field("skip_when", Shape::Some(&Shape::Condition), "Does not run if one of these holds.").or(&["skip_conditions"]),
        field("params", Shape::Any, "What it gets as parameters."),
        field("retry", Shape::Object(&RETRY), "How failures are retried."),
        field("timeout", Shape::Duration, "How long one attempt may take.").or(&["timeout_seconds"]),
    ],
};

pub(crate) static STAGE: Object = Object {
    title: "stage",
    what: "a stage",
    fields: &[
        field("agent", Shape::Text, "The agent.").or(&["name"]).required(),
        field("id", Shape::Text, "The name of its task; that of the agent where it is not given."),
        field(
            "stop_when",
            Shape::Condition,
            "Where this holds, it ends here; where it is not given, the agent says so with `stop_workflow`.",
        ),
        field("reason", Shape::Text, "Why it ends; the `reason` of the agent where it is not given. `{{ }}` holds values."),
        field("action", Shape::Text, "The decision where it ends; `REJECTED` where it is not given."),
        field("when", Shape::Condition, "Runs only if this holds.").or(&["condition"]),
        field("skip_when", Shape::Some(&Shape::Condition), "Does not run if one of these holds.").or(&["skip_conditions"]),
        field("params", Shape::Any, "What it gets as parameters."),
        field("retry", Shape::Object(&RETRY), "How failures are retried."),
        field("timeout", Shape::Duration, "How long one attempt may take.").or(&["timeout_seconds"]),
    ],
};

pub(crate) static ROUTING: Object = Object {
    title: "routing",
    what: "a routing",
    fields: &[
        field("agents", Shape::List(&Shape::Object(&ROUTED)), "Agents, each with what it waits for."),
        field("parallel_stages", Shape::Any, "What its author expects to run side by side; what the agents wait for decides."),
        field("decision_checkpoint", Shape::Some(&Shape::Object(&CHECKPOINT)), "Conditions that may decide.").or(&["decision_checkpoints"]),
        field("phase_1", Shape::List(&MEMBERS), "Or agents that run one after another,"),
        field("decision_checkpoint_1", Shape::Some(&Shape::Object(&CHECKPOINT)), "what may decide after them,"),
        field("phase_2_conditional", Shape::Object(&PHASE), "agents that are added where that is not enough,"),
        field("decision_checkpoint_2", Shape::Some(&Shape::Object(&CHECKPOINT)), "and what may decide after those."),
    ],
};

pub(crate) static PHASE: Object = Object {
    title: "phase",
    what: "a phase",
    fields: &[
        field("trigger", Shape::Condition, "Added where this holds; always where it is not given."),
        field("description", Shape::Text, "What is the case where they are added, in words."),
        field("additional_agents", Shape::List(&MEMBERS), "The agents, which run side by side.").required(),
    ],
};

pub(crate) static ROUTED: Object = Object {
    title: "routed_agent",
    what: "an agent of a routing",
    fields: &[
        field("id", Shape::Text, "The name of its task."),
        field("agent", Shape::Text, "The agent.").or(&["name", "agent_id", "agent_name"]).required(),
        field("depends_on", NAMES, "The tasks that it waits for."),
        field("when", Shape::Condition, "Runs only if this holds.").or(&["condition"]),
        field("skip_when", Shape::Some(&Shape::Condition), "Does not run if one of these holds.").or(&["skip_conditions"]),
        field("optional", Shape::Bool, "Whether a decision can do without it."),
        field("params", Shape::Any, "What it gets as parameters."),
        field("retry", Shape::Object(&RETRY), "How failures are retried."),
        field("timeout", Shape::Duration, "How long one attempt may take.").or(&["timeout_seconds"]),
    ],
};

pub(crate) static CLASSIFY_FIELD: Object = Object {
    title: "classify_field",
    what: "a field of a profile",
    fields: &[
        field("value", Shape::Condition, "The expression that gives it."),
        field("table", Shape::List(&Shape::Object(&CLASSIFY_ROW)), "Rows, the first of which that holds gives it."),
        field("on_unknown", Shape::Any, "What it is where that cannot be said; unknown where it is not given."),
        field("description", Shape::Text, "What it means."),
    ],
};

pub(crate) static CLASSIFY_ROW: Object = Object {
    title: "classify_row",
    what: "a row",
    fields: &[
        field("when", Shape::Condition, "Its condition; a row without one always holds.").or(&["condition"]),
        field("then", Shape::Any, "What the field is then.").required(),
        field("because", Shape::Text, "Why, in words that go on record with it."),
    ],
};

/// Which object stands at the top of a file, by its path.
pub(crate) fn top_of(path: &str) -> Option<&'static Object> {
    match path.split_once('/') {
        None if path == PROJECT_FILE => Some(&PROJECT),
        Some(("agents", _)) => Some(&AGENTS),
        Some(("workflows", _)) => Some(&WORKFLOWS),
        Some(("policies", _)) => Some(&POLICIES),
        _ => None,
    }
}

/// The file that makes a folder a project.
pub const PROJECT_FILE: &str = "quorate.yaml";
/// The folders whose files belong to a project.
pub const FOLDERS: [&str; 3] = ["agents", "workflows", "policies"];

/// Every object that may stand at the top of a file.
pub(crate) fn tops() -> [(&'static str, &'static Object); 6] {
    [
        ("project", &PROJECT),
        ("agents", &AGENTS),
        ("workflows", &WORKFLOWS),
        ("workflow", &WORKFLOW),
        ("policies", &POLICIES),
        ("skill", &SKILL),
    ]
}
