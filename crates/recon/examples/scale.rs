//! How long it takes to match so many items a side, in so many accounts, and how much memory:
//! `cargo run --release -p quorate-recon --example scale -- 100000 50`.
#![allow(clippy::print_stdout, reason = "it is a program")]

use std::time::Instant;

use quorate_recon::{Besides, Currency, Date, Decimal, Item, Matcher, Place, breaks};

/// A number that looks like chance, and is the same every time.
fn chance(seed: u64) -> u64 {
    let mut number = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Both books: of a thousand items about 930 are the same, and the others differ in one way or another.
fn books(count: u64, accounts: u64) -> [Vec<Item>; 2] {
    let currencies: Vec<Currency> = ["EUR", "USD", "GBP"].iter().filter_map(|name| name.parse().ok()).collect();
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for number in 0..count {
        let draw = chance(number);
        let day = Date::constant(2026, 3, 2).saturating_add(jiff::Span::new().days(i64::try_from(draw % 20).unwrap_or(0)));
        let item = Item {
            place: Place { file: "a".into(), line: u32::try_from(number).unwrap_or(0) },
            account: format!("ACCOUNT-{}", draw % accounts).into(),
            currency: currencies[usize::try_from(draw % 3).unwrap_or(0)],
            amount: Decimal::new(i64::try_from(chance(draw) % 5_000_000).unwrap_or(0) + 1, 2),
            value_date: day,
            booked: Some(day),
            reference: Some(format!("INV-{number:09}").into()),
            bank_reference: None,
            batch: None,
            counterparty: Some(format!("PARTY-{}", draw % 500).into()),
            code: None,
            quantity: None,
            price: None,
            status: None,
            reversal: false,
            text: "".into(),
        };
        let other = |change: &dyn Fn(&mut Item)| {
            let mut other = item.clone();
            change(&mut other);
            other
        };
        match chance(number + 1) % 1_000 {
            0..=9 => {}
            10..=19 => b.push(other(&|it| it.reference = Some("FEE".into()))),
            20..=39 => b.push(other(&|it| it.value_date = it.value_date.saturating_add(jiff::Span::new().days(1)))),
            40..=49 => b.push(other(&|it| it.amount += Decimal::new(1, 2))),
            50..=59 => b.push(other(&|it| it.amount += Decimal::new(150, 2))),
            60..=64 => b.push(other(&|it| it.reference = it.reference.as_ref().map(|reference| format!("{reference}X").into()))),
            65..=69 => {
                // Two parts of one whole.
                let half = (item.amount / Decimal::TWO).round_dp(2);
                b.push(other(&|it| (it.amount, it.reference) = (half, Some(format!("P1-{number}").into()))));
                b.push(other(&|it| (it.amount, it.reference) = (it.amount - half, Some(format!("P2-{number}").into()))));
            }
            _ => b.push(item.clone()),
        }
        a.push(item);
    }
    [a, b]
}

fn main() -> Result<(), String> {
    let number = |at: usize, otherwise: u64| match std::env::args().nth(at) {
        Some(number) => number.parse().map_err(|wrong| format!("{number:?} is not a number: {wrong}")),
        None => Ok(otherwise),
    };
    let (count, accounts) = (number(1, 100_000)?, number(2, 50)?.max(1));
    let [a, b] = books(count, accounts);
    let begun = Instant::now();
    let matcher = Matcher::default();
    let found = matcher.reconcile(&a, &b);
    let matched = begun.elapsed();
    let broken = breaks(&matcher, &found, &a, &b, &Besides::default());
    let took = begun.elapsed();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map_or("?", str::trim);
    println!(
        "{count} items a side in {accounts} accounts: matched in {matched:.2?}, {} breaks after {took:.2?}, at most {peak}",
        broken.len()
    );
    for (pass, matches) in found.by_pass() {
        println!("  {pass}: {matches}");
    }
    Ok(())
}
