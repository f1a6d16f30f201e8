//! The projects under `examples/`, as a newcomer runs them.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "this is a test")]

mod house;

use std::path::{Path, PathBuf};

use house::House;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// What a command prints about an example, whose data lie elsewhere.
fn type_in(house: &House, example: &str, line: &str) -> String {
    let (project, data) = (examples().join(example), house.path().join("data"));
    house.type_in(&format!("{line} --project {} --data {}", project.display(), data.display()))
}

#[test]
fn every_example_is_sound() {
    let house = House::empty();
    let mut count = 0;
    for example in std::fs::read_dir(examples()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let checked = house.type_in(&format!("check --strict --project {}", example.display()));
        assert!(checked.ends_with("exit 0"), "{checked}");
        count += 1;
    }
    assert_eq!(count, 4, "each example is run by a test of this file, of documents.rs or of recon.rs");
}

#[test]
fn a_review_works_by_the_skills_that_it_requires() {
    if !has_python() {
        return;
    }
    let house = House::empty();
    let project = examples().join("delivery").display().to_string();
    let output = house.run(&["run", "comprehensive-review", "--memory", "--json", "--project", &project], "");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let points: Vec<String> = told["output"]["looked_at"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(skill, points)| format!("{skill} {}", points.as_array().unwrap().len()))
        .collect();
    assert_eq!(points, ["python-code-review 4", "security-audit 3", "performance-analysis 2"]);
}

#[test]
fn the_tickets_are_booked_from_workflows_of_workflows() {
    let house = House::empty();
    let shown = type_in(&house, "tickets", "run enterprise -q -i '{\"seats\": 2, \"total_price\": 6000}'");
    assert!(shown.ends_with("exit 0"), "{shown}");
}

/// The agents of the finance example are written in Python.
fn has_python() -> bool {
    let there = std::process::Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: there is no python3 here, which the agents of this example are written in");
    }
    there
}

#[test]
fn the_advisory_workflow_computes_its_report_and_partners_agree_twice() {
    if !has_python() {
        return;
    }
    let house = House::empty();
    let run = |line: &str| type_in(&house, "finance", line);
    assert!(run("run advisory_workflow --as eve").ends_with("exit 5"));
    assert!(run("approvals approve last --as eve").ends_with("exit 8"), "nobody agrees to what they started");
    assert!(run("approvals approve last --as ann").ends_with("exit 0"));
    assert!(run("approvals approve last --as bob").ends_with("exit 0"));
    insta::assert_snapshot!(run("runs show last"), @r##"
    run       <id>
    workflow  advisory_workflow
    status    succeeded
    started   <time> by eve
    took  <took>
    agents    5 of 5
    path      data_sync -> analysis -> approve-analysis -> forecasting -> approve-forecasting -> risk_assessment -> reporting

      ✓ data_sync            succeeded  data_sync_agent  <took>
      ✓ analysis             succeeded  ai_cfo_agent  <took>
      ✓ approve-analysis     succeeded  <took>
      ✓ forecasting          succeeded  forecasting_agent  <took>
      ✓ approve-forecasting  succeeded  <took>
      ✓ risk_assessment      succeeded  risk_agent  <took>
      ✓ reporting            succeeded  reporting_agent  <took>

    "# Board report, as of 2026-11-18\n\nThe business is stable: 3187.18 a month, a margin of 7%.\nIn thirteen weeks there will be 163116.13 at the bank, and never less than 152534.51.\n\n- risk: Harbour Clinic brings 46% of the revenue\n- opportunity: the coming year ends 53394.94 ahead\n- opportunity: more than three months of costs lie idle at the bank"
    exit 0
    "##);
}

#[test]
fn the_transactional_workflow_books_what_the_bank_knows_and_takes_back_what_it_does_not() {
    if !has_python() {
        return;
    }
    let house = House::empty();
    let run = |line: &str| type_in(&house, "finance", line);
    let (project, data) = (examples().join("finance").display().to_string(), house.path().join("data").display().to_string());
    // How the tasks of a run ended, as programs learn it.
    let told = |line: &[&str]| {
        let output = house.run(&[line, &["--json", "--project", &project, "--data", &data]].concat(), "");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let task = |task: &serde_json::Value| format!("{} {}", task["id"].as_str().unwrap(), task["status"].as_str().unwrap());
        told["tasks"].as_array().unwrap().iter().map(task).collect::<Vec<_>>().join(", ")
    };
    let book = |document: &str| told(&["run", "transactional_workflow", "--as", "eve", "-i", &format!("{{\"document\": \"{document}\"}}")]);
    insta::assert_snapshot!(book("invoice-19.txt"), @"ocr succeeded, standardisation succeeded, two_persons skipped, accounting succeeded, reconciliation succeeded, compliance succeeded, audit_trail succeeded");
    insta::assert_snapshot!(book("invoice-18.txt"), @"ocr succeeded, standardisation succeeded, two_persons skipped, accounting succeeded, reconciliation failed, compliance skipped, audit_trail succeeded, reverse_entry(accounting) succeeded");
    insta::assert_snapshot!(book("scan-20.txt"), @"ocr succeeded, standardisation skipped, two_persons skipped, accounting skipped, reconciliation skipped, compliance skipped, audit_trail succeeded");
    assert!(book("../agents/finance.py").starts_with("ocr failed"), "no path leads out of the folder of documents");
    // Two people agree to more than 5,000, one after the other.
    assert!(book("invoice-17.txt").contains("two_persons asking"));
    assert!(run("approvals approve last --as cid").ends_with("exit 0"));
    insta::assert_snapshot!(run("runs explain last").lines().next().unwrap(), @"Run <id> waits for an answer to two_persons (“Post 6200.00 for ACME GmbH?”) until <time>.");
    assert!(run("approvals approve last --as dan").ends_with("exit 0"));
    insta::assert_snapshot!(told(&["runs", "show", "last"]), @"ocr succeeded, standardisation succeeded, two_persons succeeded, accounting succeeded, reconciliation succeeded, compliance succeeded, audit_trail succeeded");
}
