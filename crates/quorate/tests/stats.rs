//! What the journal says in numbers, as people ask for it.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod house;

use house::house;
use insta::assert_snapshot;
use quorate::{SqliteReader, Tally};

#[test]
fn calls_and_runs_are_counted() {
    let house = house();
    house.write(
        "agents/a.yaml",
        "agents:\n  slow: { use: std.sleep, max_concurrent: 2, capabilities: [wait], version: 2.1, params: { ms: 20 } }\n  off: { use: std.echo, enabled: false, capabilities: [wait] }\n",
    );
    house.write(
        "workflows/more.yaml",
        "workflows:\n  race:\n    tasks:\n      - { id: a, agent: slow }\n      - { id: b, agent: slow, params: { ms: 60000 } }\n      - { id: first, agent: std.echo, depends_on: [a, b], join: { needs: any, race: true } }\n",
    );
    assert_snapshot!(house.type_in("agents stats"), @"
    err: error: nothing has run here yet: there is no folder <house>/.quorate
    err: hint: start something with `quorate run`
    exit 4
    ");
    for line in ["run greet", "run flaky", "run broken", "run race", "run race", "run release -i '{\"version\": 1}'"] {
        house.type_in(line);
    }
    let numbers = |line: &str| {
        let output = house.run(&line.split(' ').collect::<Vec<_>>(), "");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        told
    };
    let told = numbers("agents stats --json");
    assert_eq!(
        (&told["total_agents"], &told["enabled_agents"], &told["capabilities"]),
        (&2.into(), &1.into(), &serde_json::json!({"wait": 2}))
    );
    let agents: Vec<String> = told["agents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|agent| {
            let field = |name: &str| agent[name].to_string().replace('"', "");
            let about = ["agent_id", "version", "calls", "succeeded", "failed_by_class", "cut_off", "under_way", "slots", "waiting"];
            about.map(field).join(" ")
        })
        .collect();
    assert_snapshot!(agents.join("\n"), @"
    off 1 0 0 {} 0 0 null 0
    slow 2.1 4 2 {} 2 0 2 0
    std.echo 1 5 5 {} 0 0 null 0
    std.fail 1 3 1 {internal:1,unavailable:1} 0 0 null 0
    ");
    let slow = told["agents"].as_array().unwrap().iter().find(|agent| agent["agent_id"] == "slow").unwrap();
    let p50 = slow["times_us"]["p50"].as_u64().unwrap();
    assert!((20_000..2_000_000).contains(&p50), "{p50}");
    let told = numbers("runs stats --json");
    let shown = ["total_executions", "open", "ended", "strategies_used"].map(|name| told[name].to_string()).join(" ");
    assert_snapshot!(shown, @r#"6 1 {"failed":2,"succeeded":3} {"dag":5,"sequential":1}"#);
    assert!(told["avg_time_ms"].as_u64().is_some());
    assert_snapshot!(house.type_in("agents stats nobody").lines().next().unwrap(), @"err: error: there is no agent `nobody`");
    assert!(house.type_in("runs stats").starts_with("runs        6, 1 of them open\nended       "));
}

#[test]
fn a_tally_that_was_put_down_is_taken_up_where_it_was_left_and_only_for_its_own_journal() {
    let house = house();
    let records: String = (0..1_200).map(|number| format!("{{\"name\": \"{number}\"}}\n")).collect();
    house.write("names.jsonl", &records);
    let data = house.path().join(".quorate");
    let run = || house.run(&["run", "greet", "--each", "names.jsonl", "--relaxed", "-q", "--out", "out.jsonl"], "");
    assert_eq!(run().status.code(), Some(0));
    let anew = || {
        let mut tally = Tally::default();
        SqliteReader::open(&data).unwrap().tally(&mut tally).unwrap();
        tally
    };
    let tallied = || SqliteReader::open(&data).unwrap().tallied(&data).unwrap();
    assert_eq!(tallied(), anew());
    assert!(data.join("tally.json").is_file());
    assert_eq!(run().status.code(), Some(0));
    assert_eq!(tallied(), anew());
    assert_eq!(tallied().runs.started, 2_400);
    // What it was put down for is gone, or what was put down is nonsense: it is counted anew.
    let kept = std::fs::read(data.join("tally.json")).unwrap();
    for file in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        let _ = std::fs::remove_file(data.join(file));
    }
    assert_eq!(run().status.code(), Some(0));
    std::fs::write(data.join("tally.json"), kept).unwrap();
    assert_eq!(tallied(), anew());
    std::fs::write(data.join("tally.json"), "{").unwrap();
    assert_eq!(tallied().runs.started, 1_200);
}
