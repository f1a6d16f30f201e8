//! What is wrong with what does not belong together: two short books, typed in, and their breaks.
#![allow(clippy::unwrap_used, reason = "this is a test")]

mod typed;

use std::collections::BTreeSet;

use insta::assert_snapshot;
use proptest::prelude::*;
use quorate_recon::{Besides, Break, BreakKind, Item, Matcher, Side, breaks};
use typed::{any_book, book, shuffled};

fn found(a: &[Item], b: &[Item]) -> Vec<Break> {
    let matcher = Matcher::default();
    breaks(&matcher, &matcher.reconcile(a, b), a, b, &Besides::default())
}

fn told(a: &str, b: &str) -> String {
    let names = |side: &str, all: &[u32]| all.iter().map(|at| format!("{side}{}", at + 1)).collect::<Vec<_>>().join(" ");
    let near = |it: &Break| {
        let near: Vec<String> = it
            .near
            .iter()
            .map(|near| format!("{}{} {} ({})", near.side.to_string().to_lowercase(), near.item + 1, near.likeness, near.same.join(", ")))
            .collect();
        if near.is_empty() { String::new() } else { format!(" [near: {}]", near.join("; ")) }
    };
    let lines: Vec<String> = found(&book(a), &book(b))
        .iter()
        .map(|it| format!("{} {} {}: {}{}", it.kind, names("a", &it.a), names("b", &it.b), it.why, near(it)))
        .collect();
    lines.join("\n").replace("  ", " ").replace(" :", ":")
}

#[test]
fn what_is_on_one_side_only() {
    assert_snapshot!(told("
        100.00 EUR 12 INV-1
        70.00 EUR 12 INV-3 status=FAIL
        80.00 EUR 12 INV-4 code=SECU/CACT/DVCA
    ", "55.00 EUR 12 INV-2"), @"
    MISSING_IN_A b1: the statement has nothing like it
    MISSING_IN_B a1: the ledger has nothing like it
    SETTLEMENT_FAIL a2: it was not settled: FAIL
    CORPORATE_ACTION a3: B knows nothing of it
    ");
}

#[test]
fn what_is_about_the_same_and_differs() {
    assert_snapshot!(told("
        100.00 EUR 12 AMOUNT
        100.00 EUR 12 CURRENCY
        100.00 EUR 2 DATE
        100.00 USD 12 RATE code=FX
        100.00 EUR 12 QUANTITY quantity=10
        100.00 EUR 12 PRICE price=10
        100.00 EUR 12 STATUS status=PDNG
        500.00 EUR 12 CONTRACT-2026-1234567
        9.00 EUR 12 SETTLED status=FAIL
        8.00 EUR 12 DIVIDEND code=DVCA
    ", "
        101.00 EUR 12 AMOUNT
        100.00 USD 12 CURRENCY
        100.00 EUR 12 DATE
        101.00 USD 12 RATE
        100.00 EUR 12 QUANTITY quantity=11
        100.00 EUR 12 PRICE price=11
        100.00 EUR 12 STATUS
        500.00 EUR 12 CONTRACT-2026-1234568
        9.00 EUR 12 SETTLED
        8.50 EUR 12 DIVIDEND
    "), @"
    AMOUNT_DIFF a1 b1: the reference is the same, and 100.00 in A differ from 101.00 in B by -1.00
    QUANTITY_DIFF a5 b5: the reference is the same, and the quantity is 10 in A and 11 in B
    PRICE_DIFF a6 b6: the reference is the same, and the price is 10 in A and 11 in B
    DATE_DIFF a3 b3: amount and reference are the same, and the value dates 2026-03-02 and 2026-03-12 lie 8 business days apart
    CURRENCY_DIFF a2 b2: the reference is the same, and 100.00 EUR stand against 100.00 USD
    REFERENCE_DIFF a8 b8: the amount is the same, and CONTRACT-2026-1234567 is nearly CONTRACT-2026-1234568
    STATUS_DIFF a7 b7: amount and reference are the same, and it is PDNG in A and booked in B
    SETTLEMENT_FAIL a9 b9: it was not settled: FAIL
    CORPORATE_ACTION a10 b10: the reference is the same, and 8.00 stand against 8.50
    FX_RATE_DIFF a4 b4: the reference is the same, and 100.00 in A differ from 101.00 in B by -1.00
    ");
}

#[test]
fn what_is_there_too_often_and_what_cannot_be_told_apart() {
    assert_snapshot!(told("
        100.00 EUR 12 FEE
        100.00 EUR 12 FEE
        70.00 EUR 12 X \"one\"
        70.00 EUR 12 X \"two\"
        300.00 EUR 12 Y
    ", "
        100.00 EUR 12 FEE
        70.00 EUR 12 X
        100.00 EUR 12 V
        200.00 EUR 12 W
    "), @"
    DUPLICATE a2: it is the same as typed:1, which is matched [near: b3 0.67 (amount, value date)]
    DUPLICATE a3 a4 b2: it is there 2 times in A and once in B
    AMBIGUOUS a5 b3 b4: 300.00 is the sum of 2 items; nothing but the sum speaks for it
    ");
    assert_snapshot!(told("
        1.00 EUR 12 SAME
        2.00 EUR 12 SAME
    ", "9.00 EUR 12 SAME"), @"AMBIGUOUS a1 a2 b1: 2 items of A and 1 of B have one reference, and do not fit each other");
}

#[test]
fn what_may_belong_to_it_is_shown_beside_it() {
    assert_snapshot!(told("1000.00 EUR 12 ORDER-77 party=ACME", "
        1000.00 EUR 20 4711 party=ACME
        1004.00 EUR 12 ORDER-78
        1000.00 USD 12 ORDER-77X
        900.00 EUR 12 OTHER
    "), @"
    MISSING_IN_A b1: the statement has nothing that surely belongs to it, and one entry that is alike [near: a1 0.50 (amount, counterparty)]
    MISSING_IN_A b2: the statement has nothing that surely belongs to it, and one entry that is alike [near: a1 0.91 (value date)]
    MISSING_IN_A b4: the statement has nothing like it
    MISSING_IN_B a1: the ledger has nothing that surely belongs to it, and 2 entries that are alike [near: b2 0.91 (value date); b1 0.50 (amount, counterparty)]
    MISSING_IN_A b3: the statement has nothing like it
    ");
}

#[test]
fn a_break_keeps_its_name_in_other_files_and_copies_have_numbers() {
    let ids = |a: &str, b: &str| found(&book(a), &book(b)).iter().map(|it| format!("{} {}", it.id, it.kind)).collect::<Vec<_>>().join("\n");
    let first = ids("100.00 EUR 12 INV-1", "7.00 EUR 12 \"fee\"\n7.00 EUR 12 \"fee\"");
    assert_snapshot!(first, @"
    BRK-C4AF7034DAD4 MISSING_IN_A
    BRK-C4AF7034DAD4-2 MISSING_IN_A
    BRK-4461AF15A0C1 MISSING_IN_B
    ");
    assert_eq!(ids("5.00 EUR 13 Z\n100.0 EUR 12 inv1", "5.00 EUR 13 Z\n7.00 EUR 12 \"fee\"\n7.00 EUR 12 \"fee\""), first);
}

/// What is wrong, without the places of items.
fn meant(breaks: &[Break], turned: bool) -> BTreeSet<String> {
    let kind = |it: &Break| match it.kind {
        BreakKind::MissingInA if turned => BreakKind::MissingInB,
        BreakKind::MissingInB if turned => BreakKind::MissingInA,
        kind => kind,
    };
    breaks
        .iter()
        .map(|it| {
            format!(
                "{} {} {} {} {:?}",
                it.id,
                kind(it),
                it.a.len(),
                it.b.len(),
                it.near.iter().map(|near| near.likeness).collect::<Vec<_>>()
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_open_item_is_in_one_break_and_every_break_has_a_name(a in any_book(), b in any_book()) {
        let matcher = Matcher::default();
        let reconciled = matcher.reconcile(&a, &b);
        let found = breaks(&matcher, &reconciled, &a, &b, &Besides::default());
        for (side, open) in [(Side::A, &reconciled.open_a), (Side::B, &reconciled.open_b)] {
            let mut all: Vec<u32> = found.iter().flat_map(|it| if side == Side::A { &it.a } else { &it.b }).copied().collect();
            all.sort_unstable();
            prop_assert_eq!(&all, open);
        }
        let names: BTreeSet<&str> = found.iter().map(|it| it.id.as_str()).collect();
        prop_assert_eq!(names.len(), found.len());
    }

    #[test]
    fn neither_the_order_of_lines_nor_the_side_means_anything(a in any_book(), b in any_book(), seed in any::<u64>()) {
        let once = found(&a, &b);
        let again = found(&shuffled(&a, seed), &shuffled(&b, seed));
        prop_assert_eq!(meant(&once, false), meant(&again, false));
        let turned = found(&b, &a);
        let kinds = |breaks: &[Break], turned: bool| {
            let mut kinds: Vec<String> = meant(breaks, turned).into_iter().map(|told| told.split_once(' ').unwrap().1.to_owned()).collect();
            kinds.iter_mut().for_each(|kind| if turned {
                let words: Vec<&str> = kind.splitn(4, ' ').collect();
                *kind = format!("{} {} {} {}", words[0], words[2], words[1], words[3]);
            });
            kinds.sort();
            kinds
        };
        prop_assert_eq!(kinds(&once, false), kinds(&turned, true));
    }
}
