//! A fixed set of seeds, every time.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test")]

/// Seeds that are played in every test run. `cargo xtask sim` plays as many more as there is time for.
const SEEDS: u64 = 2_000;
/// One with ten thousand tasks even more so.
const CROWDS: u64 = 2;
/// A seed in which the whole engine plays takes longer.
const STORMS: u64 = 200;

#[test]
fn the_fixed_seeds_keep_every_rule() {
    let (mut entries, mut crashes, mut ended, mut decided) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let outcome = quorate_sim::check(seed).unwrap_or_else(|wrong| panic!("{wrong}"));
        entries += outcome.entries;
        crashes += outcome.crashes;
        ended += u64::from(outcome.ended);
        decided += u64::from(outcome.decided);
    }
    // A simulator in which nothing happens finds nothing.
    let told = format!("{entries} entries, {crashes} crashes, {ended} of {SEEDS} ended, {decided} decided");
    assert!(entries > 20_000 && crashes > 500 && ended > SEEDS / 2 && decided > SEEDS / 5, "{told}");
}

#[test]
fn a_crowd_of_ten_thousand_tasks_is_served_by_fifty_agents_that_come_and_go() {
    for seed in 0..CROWDS {
        let served = quorate_sim::check_crowd(seed).unwrap_or_else(|wrong| panic!("{wrong}"));
        let quorate_sim::Served { tasks, calls, elsewhere, turned_away, passed, .. } = served;
        println!("seed {seed}: {tasks} tasks, {calls} calls, {elsewhere} went elsewhere, {turned_away} turned away, passed by {passed}");
        assert!(tasks == 10_000 && calls > 10_500 && elsewhere > 200);
    }
}

#[test]
fn the_engine_weathers_the_fixed_storms() {
    let (mut entries, mut restarts, mut refused, mut calls) = (0, 0, 0, 0);
    for seed in 0..STORMS {
        let weathered = quorate_sim::check_engine(seed).unwrap_or_else(|wrong| panic!("{wrong}"));
        entries += weathered.entries;
        restarts += weathered.restarts;
        refused += weathered.refused;
        calls += weathered.calls;
    }
    println!("{entries} entries, {restarts} restarts, {refused} appends refused, {calls} calls");
    assert!(entries > 2_000 && restarts > 100 && refused > 20 && calls > 1_000);
}
