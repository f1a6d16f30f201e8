//! The flagship: the reconciliation under `examples/`, as a newcomer runs it, and as it is killed, repeated and fed with bad files.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "this is a test")]

mod house;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use house::House;
use insta::assert_snapshot;
use serde_json::Value;

const FIRST: &str = "2026-03-12";
const SECOND: &str = "2026-03-13";

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/recon")
}

/// What is printed for a day.
fn report(house: &House, day: &str) -> String {
    let output = house.run(&["run", ".", "-q", "-i", &format!("{{\"day\": \"{day}\"}}")], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn golden(day: &str) -> String {
    std::fs::read_to_string(example().join(format!("golden/{day}.txt"))).unwrap()
}

/// The report that was written: the day, and its cases.
fn written(house: &House, day: &str) -> Value {
    let text = std::fs::read_to_string(house.path().join(format!("reports/{day}/report.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The breaks of a day by their names, each with its case.
fn breaks(report: &Value) -> BTreeMap<String, (Value, Value)> {
    let (all, cases) = (report["day"]["breaks"].as_array().unwrap(), report["cases"].as_array().unwrap());
    assert_eq!(all.len(), cases.len());
    all.iter().zip(cases).map(|(it, case)| (it["break_id"].as_str().unwrap().to_owned(), (it.clone(), case.clone()))).collect()
}

/// The breaks that people are asked about.
fn asked(all: &BTreeMap<String, (Value, Value)>) -> usize {
    all.values().filter(|(_, case)| !case["asks"].as_array().unwrap().is_empty()).count()
}

/// The runs that are cases, and how many questions are open.
fn cases(house: &House) -> (BTreeSet<String>, usize) {
    let listed = house.run(&["runs", "list", "--json", "--limit", "1000"], "");
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let runs = listed["runs"].as_array().unwrap().iter().filter(|run| run["target"] != "reconcile");
    let runs = runs.map(|run| run["run_id"].as_str().unwrap().to_owned()).collect();
    let asked = house.run(&["approvals", "list", "--json"], "");
    let asked: Value = serde_json::from_slice(&asked.stdout).unwrap();
    (runs, asked["approvals"].as_array().unwrap().len())
}

#[test]
fn the_first_day_is_what_its_golden_file_says() {
    let house = House::copied(&example());
    assert_eq!(report(&house, FIRST), golden(FIRST));
    assert!(golden(FIRST).contains("Proof amount: 0.00 EUR, 0.00 GBP, 0.00 USD: everything is explained."));
    let (runs, questions) = cases(&house);
    let all = breaks(&written(&house, FIRST));
    assert_eq!(runs.len(), all.len(), "each break is one case");
    assert_eq!(questions, asked(&all));
}

#[test]
fn what_is_done_again_changes_nothing() {
    let house = House::copied(&example());
    let (first, before) = (report(&house, FIRST), cases(&house));
    assert_eq!(report(&house, FIRST), first);
    assert_eq!(cases(&house), before);
    let second = report(&house, SECOND);
    assert_eq!(report(&house, SECOND), second);
}

#[test]
fn the_second_day_goes_on_with_the_breaks_of_the_first() {
    let house = House::copied(&example());
    report(&house, FIRST);
    let first = breaks(&written(&house, FIRST));
    assert_eq!(report(&house, SECOND), golden(SECOND));
    let day = written(&house, SECOND);
    let second = breaks(&day);
    let mut kept = 0;
    for (name, (before, case)) in &first {
        let Some((now, later)) = second.get(name) else { continue };
        kept += 1;
        assert_eq!(now["opened"], FIRST, "{name} is as old as it was");
        // Whose answer is waited for is asked once, and what is not known to be otherwise keeps its case.
        if before == now {
            assert_eq!(case["run"], later["run"]);
        } else {
            assert_eq!(now["round"].as_u64(), before["round"].as_u64().map(|round| round + 1));
        }
    }
    assert!(kept > 40, "{kept} of {} were kept", first.len());
    let cleared = day["day"]["cleared"].as_array().unwrap();
    assert_eq!(kept + cleared.len(), first.len(), "every break is there still, or has cleared");
}

#[test]
fn killed_in_the_middle_it_ends_as_if_it_had_not_been() {
    let house = House::copied(&example());
    for kill in 1..=8 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        command.args(["run", ".", "-q"]).current_dir(house.path()).env_remove("QUORATE_AS").env("USER", "eve");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(40 * kill));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(report(&house, FIRST), golden(FIRST));
    let (runs, questions) = cases(&house);
    let all = breaks(&written(&house, FIRST));
    let own: BTreeSet<String> = all.values().map(|(_, case)| case["run"].as_str().unwrap().to_owned()).collect();
    assert_eq!(runs, own, "no break has two cases");
    assert_eq!(questions, asked(&all));
    assert!(house.type_in("audit verify -q").ends_with("exit 0"));
}

#[test]
fn the_sample_files_are_what_their_generator_makes() {
    let house = House::empty();
    let made = Command::new("python3").arg(example().join("generate.py")).arg("--into").arg(house.path()).output();
    let Ok(made) = made else {
        eprintln!("skipped: there is no python3 here, which the generator is written in");
        return;
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for name in
        [FIRST, SECOND].iter().flat_map(|day| ["bank.xml", "custodian.sta", "broker.csv", "ledger.csv"].map(|file| format!("{day}/{file}")))
    {
        let (committed, made) =
            (std::fs::read(example().join("data").join(&name)).unwrap(), std::fs::read(house.path().join(&name)).unwrap());
        assert!(committed == made, "{name} differs");
    }
}

/// What is said where a file is changed.
fn with(file: &str, change: impl Fn(String) -> String) -> String {
    let house = House::copied(&example());
    let path = house.path().join("data").join(FIRST).join(file);
    let changed = change(std::fs::read_to_string(&path).unwrap());
    std::fs::write(&path, changed).unwrap();
    house.type_in("run . -q")
}

#[test]
fn a_file_that_cannot_be_read_opens_nothing_and_says_where() {
    assert_snapshot!(with("bank.xml", |text| text.replacen("</Ntry>", "", 1)), @"
    err: run <id> failed: books failed (invalid: data/2026-03-12/bank.xml could not be read: line 1373: it is no well-formed XML: ill-formed document: expected `</Ntry>`, but `</Stmt>` was found), after <took>
    err: hint: `quorate runs explain <id>` tells the whole story
    exit 1
    ");
    assert_snapshot!(with("bank.xml", |text| text.replacen("<Amt Ccy=\"EUR\">", "<Amt Ccy=\"EUR\">9999999999999999999999999999", 3)), @"
    err: run <id> failed: books failed (invalid: data/2026-03-12/bank.xml could not be read: line 8: `99999999999999999999999999991842200.15` has 35 digits before the decimal mark and 2 behind it; up to 15 and 6 are read exactly, and nothing is rounded; line 8: this balance lacks its amount, its currency or its direction; line 9: `99999999999999999999999999994317986.01` has 35 digits before the decimal mark and 2 behind it; up to 15 and 6 are read exactly, and nothing is rounded; line 9: this balance lacks its amount, its currency or its direction; line 12: `999999999999999999999999999929.81` has 30 digits before the decimal mark and 2 behind it; up to 15 and 6 are read exactly, and nothing is rounded; line 16: this entry lacks its amount, its currency or its direction), after <took>
    err: hint: `quorate runs explain <id>` tells the whole story
    exit 1
    ");
    assert_snapshot!(with("custodian.sta", |text| text.replacen(":61:260312", ":61:260332", 1)), @"
    err: run <id> failed: books failed (invalid: data/2026-03-12/custodian.sta could not be read: line 5: `260332` is not a day as in 260331), after <took>
    err: hint: `quorate runs explain <id>` tells the whole story
    exit 1
    ");
    assert_snapshot!(with("ledger.csv", |text| text.replacen(";12.03.2026;", ";12.03.26;", 1)), @"
    err: run <id> failed: books failed (invalid: data/2026-03-12/ledger.csv could not be read: line 4: `12.03.26` is not a date as in 31.03.2026), after <took>
    err: hint: `quorate runs explain <id>` tells the whole story
    exit 1
    ");
    let house = House::copied(&example());
    std::fs::remove_file(house.path().join("data").join(FIRST).join("broker.csv")).unwrap();
    assert_snapshot!(house.type_in("run . -q"), @"
    err: run <id> failed: books failed (invalid: there is no file data/2026-03-12/broker.csv; a feed that does not come every day is `optional`), after <took>
    err: hint: `quorate runs explain <id>` tells the whole story
    exit 1
    ");
    assert_snapshot!(house.type_in("run . -q -i '{\"day\": \"yesterday\"}'"), @"
    err: run <id> failed: books failed (invalid: `yesterday` is not a day as in 2026-03-31), after <took>
    err: hint: `quorate runs explain <id>` tells the whole story
    exit 1
    ");
    assert_eq!(cases(&house), (BTreeSet::new(), 0));
}

#[test]
fn a_statement_that_does_not_add_up_resolves_nothing_on_its_account() {
    let house = House::copied(&example());
    let path = house.path().join("data").join(FIRST).join("bank.xml");
    let text = std::fs::read_to_string(&path).unwrap();
    // The closing balance of the first account is another one.
    let (before, after) = text.split_at(text.find("CLBD").unwrap());
    std::fs::write(&path, format!("{before}{}", after.replacen("<Amt Ccy=\"EUR\">", "<Amt Ccy=\"EUR\">1", 1))).unwrap();
    let shown = report(&house, FIRST);
    assert!(shown.contains("this is NOT explained"), "{shown}");
    let all = breaks(&written(&house, FIRST));
    let of_account = |it: &Value| it["account"] == "DE02120300000000202051" && it["currency"] == "EUR";
    let of_account: Vec<&(Value, Value)> = all.values().filter(|(it, _)| of_account(it)).collect();
    assert!(of_account.iter().any(|(it, _)| it["kind"] == "STATEMENT_ERROR"));
    assert!(of_account.len() > 10 && of_account.iter().all(|(_, case)| case["action"] != "AUTO_RESOLVE"), "{of_account:?}");
}
