//! The agents of a project, as people see them: who there is, how they are, who is chosen, and who is not called.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test")]

mod house;

use house::{House, house, server, start, until};

const TEAM: &str = "agents:
  senior-developer:
    use: std.sleep
    capabilities: [code_generation, code_analysis, debugging]
    priority: 10
    max_concurrent: 2
  junior-developer: { use: std.sleep, capabilities: [code_generation], priority: 5, max_concurrent: 5 }
  scorer:
    capabilities: [score]
    sticky_by: input.customer
    versions:
      1.4: { use: std.echo, share: 90 }
      2.0: { use: std.set, share: 10, params: { value: 2 } }
  cfo: { use: std.echo, instances: 3 }
";

fn team() -> House {
    let house = house();
    house.write("agents/team.yaml", TEAM);
    let task = |id: &str| format!("  - {{ id: {id}, capabilities: [code_generation], params: {{ ms: 50 }} }}\n");
    house.write("workflows/devs.yaml", &format!("strategy: parallel\ntasks:\n{}{}{}", task("a"), task("b"), task("c")));
    house
}

#[test]
fn agents_are_listed_and_shown_with_their_versions() {
    let house = team();
    insta::assert_snapshot!(house.type_in("agents list"), @"
    cfo ×3	1	enabled		function std.echo
    junior-developer	1	enabled	code_generation	function std.sleep
    scorer	1.4	enabled	score	function std.echo
    scorer	2.0	enabled	score	function std.set
    senior-developer	1	enabled	code_generation, code_analysis, debugging	function std.sleep
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("agents list --can score"), @"
    scorer	1.4	enabled	score	function std.echo
    scorer	2.0	enabled	score	function std.set
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("agents list --can scor"), @"
    err: error: no agent of this project can do `scor`
    err: hint: did you mean `score`?
    exit 4
    ");
    insta::assert_snapshot!(house.type_in("agents show scorer"), @r#"
    agent_id        scorer
    kind            function
    does            std.echo
    version         1.4
    share           90
    sticky_by       input.customer
    capabilities    ["score"]
    priority        5
    weight          1
    state           enabled

    agent_id        scorer
    kind            function
    does            std.set
    version         2.0
    share           10
    sticky_by       input.customer
    capabilities    ["score"]
    priority        5
    weight          1
    state           enabled
    exit 0
    "#);
    insta::assert_snapshot!(house.type_in("agents show scorer --json"), @r#"
    {"agent_id":"scorer","kind":"function","does":"std.echo","description":null,"version":"1.4","share":90,"sticky_by":"input.customer","instances":null,"capabilities":["score"],"effect":null,"priority":5,"weight":1,"max_concurrent":null,"timeout_ms":null,"breaker":null,"health_every_ms":null,"state":"enabled","said_by":null,"said_at":null,"note":null,"schema":"quorate.agent/1","versions":[{"agent_id":"scorer","kind":"function","does":"std.set","description":null,"version":"2.0","share":10,"sticky_by":"input.customer","instances":null,"capabilities":["score"],"effect":null,"priority":5,"weight":1,"max_concurrent":null,"timeout_ms":null,"breaker":null,"health_every_ms":null,"state":"enabled","said_by":null,"said_at":null,"note":null}]}
    exit 0
    "#);
    insta::assert_snapshot!(house.type_in("agents show score"), @"
    err: error: there is no agent `score`
    err: hint: did you mean `scorer`?
    exit 4
    ");
}

#[test]
fn who_explains_a_run_says_who_was_chosen_and_why_nobody_else() {
    let house = team();
    assert!(house.type_in("run devs --quiet").ends_with("exit 0"));
    let told = house.type_in("runs explain last");
    let chosen: Vec<&str> = told.lines().filter(|line| line.contains("started:")).map(|line| line[17..].trim()).collect();
    insta::assert_snapshot!(chosen.join("\n"), @"
    started: senior-developer 1, by priority; junior-developer 1 has a lower priority (5)
    started: senior-developer 1, by priority; junior-developer 1 has a lower priority (5)
    started: junior-developer 1, the only one free; senior-developer 1 has its 2 slots taken
    ");
}

#[test]
fn several_of_one_agent_share_its_work() {
    let house = team();
    let task = |id: &str| format!("  - {{ id: {id}, agent: cfo }}\n");
    house.write("workflows/ask.yaml", &format!("strategy: parallel\ntasks:\n{}{}{}", task("a"), task("b"), task("c")));
    assert!(house.type_in("run ask --quiet").ends_with("exit 0"));
    let told = house.type_in("runs show last");
    assert!(["cfo_0", "cfo_1", "cfo_2"].iter().all(|name| told.contains(name)), "{told}");
}

#[test]
fn who_leaves_a_run_learns_whom_it_waits_for() {
    let house = team();
    house.type_in("agents drain senior-developer --as ann --note lunch");
    house.type_in("agents disable junior-developer --as ann");
    insta::assert_snapshot!(house.type_in("run devs --timeout 1s"), @"
    err:   <took>  run <id> of devs started
    err: left run <id>, which waits for a free place for a, b, c (junior-developer is disabled by ann, senior-developer is drained by ann: lunch)
    err: hint: `quorate runs watch <id>` goes on with it
    exit 6
    ");
}

#[test]
fn who_is_drained_is_waited_for_also_by_a_run_that_is_under_way() {
    let house = team();
    insta::assert_snapshot!(house.type_in("agents drain senior-developer --as ann --note lunch"), @"
    err: senior-developer takes no new calls; what asks for it alone waits, until `quorate agents enable senior-developer`
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("agents disable junior-developer --as ann"), @"
    err: junior-developer is not called any more, until `quorate agents enable junior-developer`
    exit 0
    ");
    let told = house.type_in("agents list --can code_generation");
    assert!(told.contains("drained by ann") && told.contains("disabled by ann"), "{told}");
    let mut running = start(&house, "run devs");
    until("it waits", || house.type_in("runs explain last").contains("waits for a free place"));
    let told = house.type_in("runs explain last");
    insta::assert_snapshot!(told.lines().next().unwrap(), @"Run <id> waits for a free place for a, b, c (junior-developer is disabled by ann, senior-developer is drained by ann: lunch).");
    insta::assert_snapshot!(house.type_in("agents enable senior-developer"), @"
    err: senior-developer is called again
    exit 0
    ");
    assert!(running.wait().unwrap().success(), "the run heeds it at once");
    insta::assert_snapshot!(house.type_in("agents enable senior-developer"), @"
    err: nobody had said that senior-developer is not called
    exit 0
    ");
    insta::assert_snapshot!(house.type_in("agents drain nobody"), @"
    err: error: there is no agent `nobody`
    err: hint: 4 agents: cfo, junior-developer, scorer, senior-developer
    exit 4
    ");
    insta::assert_snapshot!(house.type_in("agents drain scorer@3"), @"
    err: error: there is no version `3` of the agent `scorer`
    err: hint: there are: 1.4, 2.0
    exit 4
    ");
    insta::assert_snapshot!(house.type_in("agents drain cfo"), @"
    err: error: there are several of `cfo`
    err: hint: name one of them, such as `cfo_0`
    exit 4
    ");
    // Who is disabled is as if not there.
    house.type_in("agents disable senior-developer --as ann");
    insta::assert_snapshot!(house.type_in("run devs"), @"
    err:   <took>  run <id> of devs started
    err:   <took>  a failed: unavailable: no agent that can do code_generation takes calls: senior-developer 1 is disabled, junior-developer 1 is disabled
    err:   <took>  run failed
    err: run <id> failed: a failed (unavailable: no agent that can do code_generation takes calls: senior-developer 1 is disabled, junior-developer 1 is disabled), after <took>
    err: hint: `quorate runs explain <id>` tells the whole story
    exit 1
    ");
}

#[test]
fn agents_say_how_they_are() {
    let house = house();
    let address = server(|asked| {
        let well = asked.starts_with("GET /health");
        (if well { "200 OK" } else { "500 Internal Server Error" }, String::new())
    });
    let service = |path: &str| format!("{{ http: {{ url: 'http://{address}/work', allow_private: true }}, health: {{ path: {path} }} }}");
    house.write(
        "agents/all.yaml",
        &format!(
            "agents:\n  built-in: {{ use: std.echo }}\n  gone: {{ exec: [no-such-program] }}\n  here: {{ exec: [sh, -c, 'cat'] }}\n  locked: {{ exec: [./locked.sh] }}\n  asked: {{ exec: [cat], health: {{ command: [sh, -c, 'echo out of paper >&2; exit 3'] }} }}\n  well: {}\n  ill: {}\n  private: {{ http: 'http://{address}/' }}\n",
            service("/health"), service("/other"),
        ),
    );
    house.write("locked.sh", "#!/bin/sh\ncat\n");
    let told = house.type_in("agents check").replace(&address.to_string(), "ADDRESS").replace("/usr/bin/sh", "/bin/sh");
    insta::assert_snapshot!(told, @"
    asked 1	not well	<took>	unavailable: `sh` ended with code 3: out of paper
    built-in 1	not asked		it is built in
    gone 1	not well		invalid: there is no program `no-such-program` on the PATH
    here 1	well		its program is /bin/sh
    ill 1	not well	<took>	internal: `http://ADDRESS/work` answered 500 Internal Server Error when asked how it is
    locked 1	not well		invalid: <house>/./locked.sh may not be executed; `chmod +x` lets it
    private 1	not well	<took>	invalid: `http://ADDRESS/` cannot be called: 127.0.0.1 is a private address; write `allow_private: true` if it is meant
    well 1	well	<took>	it answers
    exit 1
    ");
    let told = house.type_in("agents check well built-in --json").replace(&address.to_string(), "ADDRESS");
    let (told, took) = told.split_once("\"took_ms\":null").map(|(first, rest)| (format!("{first}\"took_ms\":null"), rest)).unwrap();
    assert!(took.contains("\"took_ms\":") && took.ends_with("exit 0"), "{took}");
    insta::assert_snapshot!(told, @r#"{"schema":"quorate.agent-checks/1","checks":[{"agent_id":"built-in","version":"1","endpoint":null,"how":"unasked","what":"it is built in","took_ms":null"#);
    insta::assert_snapshot!(house.type_in("agents check wel"), @"
    err: error: there is no agent `wel`
    err: hint: did you mean `well`?
    exit 4
    ");
}

/// The system lets nobody make a folder there, whoever they are.
#[cfg(target_os = "linux")]
#[test]
fn who_may_not_write_where_runs_are_kept_is_told_so() {
    let house = house();
    house.write("agents/a.yaml", "agents: { mine: { use: std.echo } }\n");
    let told = |line: &str| {
        let told = house.type_in(line);
        let why = ["Operation not permitted (os error 1)", "Permission denied (os error 13)", "Read-only file system (os error 30)"];
        why.iter().fold(told, |told, why| told.replace(why, "WHY"))
    };
    insta::assert_snapshot!(told("run greet -i '{\"name\": \"Ann\"}' --data /sys/quorate"), @"
    err: error: could not use the data folder /sys/quorate: WHY
    err: hint: `--data DIR` keeps runs somewhere else
    exit 8
    ");
    insta::assert_snapshot!(told("agents drain mine --data /sys/quorate"), @"
    err: error: could not write /sys/quorate/agents.json, where it stands who is drained and who is disabled: WHY
    err: hint: whoever may write in that folder can say it
    exit 8
    ");
    insta::assert_snapshot!(told("agents drain yours"), @"
    err: error: there is no agent `yours`
    err: hint: one agent: mine
    exit 4
    ");
}

/// A secret in the environment, and everything that agents do with one that they were given.
#[test]
fn a_secret_is_in_no_journal_no_output_and_no_error() {
    const SECRET: &str = "sk-7f3a9c-do-not-tell";
    let house = house();
    // It says back what it was told, as an answer or as an error.
    let address = server(|asked| {
        let told = asked.lines().find(|line| line.to_lowercase().starts_with("authorization")).unwrap_or("nothing").trim();
        (if asked.starts_with("POST /refuses") { "401 Unauthorized" } else { "200 OK" }, format!("\"{told}\""))
    });
    let program = |script: &str| format!("{{ exec: {{ command: [sh, -c, '{script}'], env: {{ TOKEN: env:QUORATE_TEST_TOKEN }} }} }}");
    let service = |path: &str| {
        format!(
            "{{ http: {{ url: 'http://{address}/{path}', allow_private: true, headers: {{ Authorization: Bearer env:QUORATE_TEST_TOKEN }} }} }}"
        )
    };
    let agents = [
        ("prints", program(r#"echo "\"it is $TOKEN\"""#)),
        ("complains", program("echo bad token $TOKEN >&2; exit 1")),
        ("panics", program("echo thread main panicked at src/main.rs:7: no such token: $TOKEN >&2; kill -ABRT $$")),
        (
            "converses",
            format!(
                "{{ llm: {{ model: m, url: 'http://{address}/v1', allow_private: true, key: env:QUORATE_TEST_TOKEN, stream: false }} }}"
            ),
        ),
        (
            "serves",
            "{ mcp: { command: [sh, -c, 'echo no token but $TOKEN >&2; exit 1'], env: { TOKEN: env:QUORATE_TEST_TOKEN }, tool: x } }"
                .to_owned(),
        ),
        ("logs", program(r#"echo "{\"output\": 1, \"log\": \"used $TOKEN\"}""#)),
        ("asks-for", program(r#"echo "{\"output\": 1, \"grow\": [\"$TOKEN\"]}""#)),
        ("fails", program(r#"echo "{\"error\": {\"class\": \"refused\", \"message\": \"not with $TOKEN\"}}""#)),
        ("mumbles", program("echo $TOKEN")),
        ("stays", program("read -r line; echo $TOKEN").replace("env: {", "keep_alive: true, env: {")),
        ("echoes", service("echoes")),
        ("refuses", service("refuses")),
        ("well", program("exit 0").replace(" } } }", " } }, health: { command: [sh, -c, 'echo $TOKEN >&2; exit 2'] } }")),
    ];
    let written: String = agents.iter().map(|(name, what)| format!("  {name}: {what}\n")).collect();
    house.write("agents/all.yaml", &format!("agents:\n{written}"));
    let tasks: String = agents.iter().map(|(name, _)| format!("  - {{ id: {name}, agent: {name} }}\n")).collect();
    house.write("workflows/leak.yaml", &format!("continue_on_failure: true\ntasks:\n{tasks}"));

    let mut said = String::new();
    for line in [
        "check",
        "run leak",
        "runs show last",
        "runs show last --json",
        "runs explain last",
        "runs explain last --json",
        "runs events last",
        "runs events last --jsonl",
        "runs export last",
        "audit export",
        "agents list --json",
        "agents show prints",
        "agents check",
        "agents call prints",
        "agents call complains",
        "agents call echoes",
        "agents call panics",
        "agents tools serves",
        "agents stats --json",
        "runs stats",
        "skills list",
        "doctor",
        "run leak --json",
        "run leak --memory",
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_quorate"));
        let output = command.args(&arguments).current_dir(house.path()).env("QUORATE_TEST_TOKEN", SECRET).output().unwrap();
        for bytes in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(bytes);
            assert!(!text.contains("do-not-tell"), "`{line}` says {text}");
            said.push_str(&text);
        }
    }
    // It was given to all of them, and all of them tried to tell it.
    for (told, times) in [("(env:QUORATE_TEST_TOKEN)", 10), ("which is a secret, and is not kept", 5)] {
        assert!(said.matches(told).count() > times, "{said}");
    }
    let mut files = 0;
    for file in std::fs::read_dir(house.path().join(".quorate")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        files += 1;
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "it is in the journal");
    }
    assert!(files > 0);
}

/// What a dead service costs: one timeout for the first that comes, and nothing for those who come after.
#[test]
fn a_dead_service_costs_one_timeout_and_then_nothing() {
    const TIMEOUT: u128 = 600;
    // It takes calls, and never answers them.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let alive = server(|_| ("200 OK", "\"alive\"".to_owned()));
    let house = House::empty();
    house.write("quorate.yaml", "name: house\n");
    let agent = |address: std::net::SocketAddr, more: &str| {
        format!("{{ http: {{ url: 'http://{address}/', allow_private: true }}, capabilities: [quote], timeout: {TIMEOUT}ms, {more} }}")
    };
    let both = [
        ("first", agent(dead.local_addr().unwrap(), "priority: 9, breaker: { failures: 1, open_for: 1m }")),
        ("second", agent(alive, "priority: 5")),
    ];
    let written: String = both.iter().map(|(name, what)| format!("  {name}: {what}\n")).collect();
    house.write("agents/a.yaml", &format!("agents:\n{written}"));
    house.write("workflows/w.yaml", "workflows:\n  w:\n    output: '{{ ask }}'\n    tasks: [{ id: ask, capability: quote }]\n");
    let host = quorate::host::Host::read(house.path(), &[]).unwrap();
    let plan = &host.project().workflows["w"].plan;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut took: Vec<u128> = runtime.block_on(async {
        let journal = std::sync::Arc::new(quorate::MemoryJournal::new());
        let engine = quorate::Engine::new(journal, host.registry(|_, _| None), host.options());
        let mut took = Vec::new();
        for _ in 0..20 {
            let begun = std::time::Instant::now();
            let ended = engine.start(quorate::Order::new(plan.clone(), quorate::Payload::null())).unwrap().ended().await.unwrap();
            took.push(begun.elapsed().as_millis());
            assert_eq!(ended.output.unwrap().json(), "\"alive\"");
        }
        took
    });
    let first = took.remove(0);
    took.sort_unstable();
    println!(
        "the first took {first} ms, with a timeout of {TIMEOUT} ms; of those after it half took {} ms, the slowest {} ms",
        took[9], took[18]
    );
    assert!((TIMEOUT..2 * TIMEOUT).contains(&first), "{first} ms");
    assert!(took[18] < TIMEOUT / 2, "{took:?}");
}
