//! A fixed set of seeds, every time.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test")]

/// Seeds that are played in every test run. `cargo xtask sim` plays as many more as there is time for.
const SEEDS: u64 = 2_000;

#[test]
fn the_fixed_seeds_keep_every_rule() {
    let (mut entries, mut crashes, mut ended) = (0, 0, 0);
    for seed in 0..SEEDS {
        let outcome = quorate_sim::check(seed).unwrap_or_else(|wrong| panic!("{wrong}"));
        entries += outcome.entries;
        crashes += outcome.crashes;
        ended += u64::from(outcome.ended);
    }
    // A simulator in which nothing happens finds nothing.
    assert!(entries > 20_000 && crashes > 500 && ended > SEEDS / 2, "{entries} entries, {crashes} crashes, {ended} of {SEEDS} ended");
}
