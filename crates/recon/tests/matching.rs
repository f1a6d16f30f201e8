//! What belongs together: two short books, typed in, and what is found; and what is promised of any two.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

mod typed;

use insta::assert_snapshot;
use proptest::prelude::*;
use quorate_recon::{Besides, Currency, Decimal, Item, Match, Matcher, Place, Reconciled, Side, Standing, breaks};
use typed::{any_book, book, shuffled};

/// What is found between two books, a line each.
fn found(a: &str, b: &str) -> String {
    let (a, b) = (book(a), book(b));
    told(&Matcher::default().reconcile(&a, &b))
}

fn told(found: &Reconciled) -> String {
    let names = |side: &str, all: &[u32]| all.iter().map(|at| format!("{side}{}", at + 1)).collect::<Vec<_>>().join(" ");
    let sides =
        |a: &[u32], b: &[u32]| [names("a", a), names("b", b)].into_iter().filter(|names| !names.is_empty()).collect::<Vec<_>>().join(" ~ ");
    let mut lines = Vec::new();
    for Match { pass, standing, a, b, difference, why } in &found.matches {
        let kind = if *standing == Standing::Matched { "" } else { " suggested" };
        let difference = if difference.is_zero() { String::new() } else { format!(" ({difference})") };
        lines.push(format!("{}{kind}{difference}: {pass}: {why}", sides(a, b)));
    }
    lines.extend(found.ambiguous.iter().map(|it| format!("{} ambiguous: {}: {}", sides(&it.a, &it.b), it.pass, it.why)));
    lines.push(format!("open: {}", sides(&found.open_a, &found.open_b)));
    lines.join("\n")
}

#[test]
fn what_is_the_same_is_matched_also_some_days_apart() {
    assert_snapshot!(found("
        100.00 EUR 12 INV-1
        250.00 EUR 13 INV-2
        80.00 EUR 10 INV-3
    ", "
        250.00 EUR 17 INV-2
        100 EUR 12 INV-1
        80.00 EUR 17 INV-3
    "), @"
    a1 ~ b2: exact: amount and reference are the same
    a2 ~ b1: exact, days apart: amount and reference are the same, 2 business days apart
    open: a3 ~ b3
    ");
}

#[test]
fn currencies_are_never_held_against_each_other() {
    assert_snapshot!(found("100.00 EUR 12 INV-1", "100.00 USD 12 INV-1"), @"open: a1 ~ b1");
    assert_snapshot!(found("100.00 EUR 12 INV-1 account=1", "100.00 EUR 12 INV-1 account=2"), @"open: a1 ~ b1");
}

#[test]
fn copies_are_matched_as_often_as_they_are_there() {
    assert_snapshot!(found("
        100.00 EUR 12 FEE
        100.00 EUR 12 FEE
        100.00 EUR 12 FEE
    ", "
        100.00 EUR 12 FEE
        100.00 EUR 12 FEE
    "), @"
    a1 ~ b1: exact: amount and reference are the same
    a2 ~ b2: exact: amount and reference are the same
    open: a3
    ");
    // Of those that are not copies, nobody knows which is the one too many.
    assert_snapshot!(found("
        100.00 EUR 12 FEE \"March\"
        100.00 EUR 12 FEE \"April\"
    ", "100.00 EUR 12 FEE"), @"
    a1 a2 ~ b1 ambiguous: exact: each could as well go with another one
    open: a1 a2 ~ b1
    ");
    // Unless more than the key speaks for one of them, or all belong together anyway.
    assert_snapshot!(found("
        100.00 EUR 12 FEE bank=7 \"March\"
        100.00 EUR 12 FEE bank=8 \"April\"
    ", "100.00 EUR 12 FEE bank=8"), @"
    a2 ~ b1: exact: amount and reference are the same
    open: a1
    ");
    assert_snapshot!(found("
        100.00 EUR 12 FEE \"March\"
        100.00 EUR 12 FEE \"April\"
    ", "
        100.00 EUR 12 FEE \"one\"
        100.00 EUR 12 FEE \"two\"
    "), @"
    a2 ~ b1: exact: amount and reference are the same
    a1 ~ b2: exact: amount and reference are the same
    open:
    ");
}

#[test]
fn a_reference_that_is_nearly_the_same_is_suggested() {
    let (a, b) = ("100.00 EUR 12 Invoice/00123-Maier", "100.00 EUR 12 inv123MAIER");
    assert_snapshot!(found(a, b), @"
    a1 ~ b1 suggested: similar reference: the amount is the same, and Invoice/00123-Maier is nearly inv123MAIER
    open: a1 ~ b1
    ");
    // Where that is enough it is a match, but not where the numbers differ.
    let mut matcher = Matcher::default();
    matcher.settings.similar_is_enough = true;
    assert_snapshot!(told(&matcher.reconcile(&book(a), &book(b))), @"
    a1 ~ b1: similar reference: the amount is the same, and Invoice/00123-Maier is nearly inv123MAIER
    open:
    ");
    assert_snapshot!(told(&matcher.reconcile(&book("100.00 EUR 12 CONTRACT-2026-12345"), &book("100.00 EUR 12 CONTRACT-2026-12346"))), @"
    a1 ~ b1 suggested: similar reference: the amount is the same, and CONTRACT-2026-12345 is nearly CONTRACT-2026-12346
    open: a1 ~ b1
    ");
}

#[test]
fn a_small_difference_is_matched_and_said() {
    assert_snapshot!(found("
        1000.00 EUR 12 INV-1
        1000.00 EUR 12 INV-2
        1000000.00 USD 12 INV-3 code=FX
        -0.01 EUR 12 INV-4
    ", "
        999.95 EUR 12 INV-1
        999.94 EUR 12 INV-2
        1000199.00 USD 12 INV-3
        0.00 EUR 12 INV-4
    "), @"
    a1 ~ b1 (0.05): within tolerance: the reference is the same, and 1,000.00 and 999.95 differ by 0.05, where 0.05 is allowed
    a3 ~ b3 (-199.00): within tolerance: the reference is the same, and 1,000,000.00 and 1,000,199.00 differ by 199.00, where 200.0398 is allowed
    open: a2 a4 ~ b2 b4
    ");
}

#[test]
fn what_is_let_pass_is_worth_little() {
    let a = book(
        "
        1.50 BTC 12 INV-1
        1.50 BTC 12 INV-2
        9000000.00 EUR 12 INV-3
        9000000.00 EUR 12 INV-4
        50.00 ISK 12 INV-5
    ",
    );
    let b = book(
        "
        1.49 BTC 12 INV-1
        1.499985 BTC 12 INV-2
        8999900.00 EUR 12 INV-3
        8999899.99 EUR 12 INV-4
        49.99 ISK 12 INV-5
    ",
    );
    let rates = [(a[0].currency, Decimal::from(70_000)), (a[2].currency, Decimal::ONE)].into();
    let matcher = Matcher { rates: Some(rates), ..Matcher::default() };
    // A hundredth of a coin is 700 EUR; what a króna is worth nobody has said.
    assert_snapshot!(told(&matcher.reconcile(&a, &b)), @"
    a2 ~ b2 (0.000015): within tolerance: the reference is the same, and 1.50 and 1.499985 differ by 0.000015, where 0.000075 is allowed
    a3 ~ b3 (100.00): within tolerance: the reference is the same, and 9,000,000.00 and 8,999,900.00 differ by 100.00, where 100.00 is allowed
    open: a1 a4 a5 ~ b1 b4 b5
    ");
}

#[test]
fn what_is_there_once_too_often_is_part_of_nothing_else_but_may_be_taken_back() {
    // Its other one is matched: neither parts of the same sum, nor a reference or an amount that is nearly the same, make up for it.
    for ledger in
        ["60.00 EUR 12 INV-8 party=ACME\n40.00 EUR 12 INV-9 party=ACME", "100.00 EUR 12 inv123MAIER", "100.01 EUR 12 Invoice/00123-Maier"]
    {
        let copy = "100.00 EUR 12 Invoice/00123-Maier party=ACME";
        let (a, b) = (format!("{copy}\n{copy}"), format!("{copy}\n{ledger}"));
        let found = Matcher::default().reconcile(&book(&a), &book(&b));
        assert_eq!((found.matches.len(), found.open_a.len(), found.ambiguous.len()), (1, 1, 0), "{ledger}");
    }
    // With somebody else it is another entry.
    assert_snapshot!(found("
        100.00 EUR 12 Invoice/00123-Maier party=ACME
        100.00 EUR 12 Invoice/00123-Maier party=BETA
    ", "
        100.00 EUR 12 Invoice/00123-Maier party=ACME
        100.00 EUR 12 inv123MAIER
    "), @"
    a1 ~ b1: exact: amount and reference are the same
    a2 ~ b2 suggested: similar reference: the amount is the same, and Invoice/00123-Maier is nearly inv123MAIER
    open: a2 ~ b2
    ");
    assert_snapshot!(found("100.00 EUR 12 INV-1\n100.00 EUR 12 INV-1\n-100.00 EUR 13 INV-1 reversal", "100.00 EUR 12 INV-1"), @"
    a1 ~ b1: exact: amount and reference are the same
    a2 a3: reversal: one takes the other back: amount and reference are the same, one business day apart
    open:
    ");
    // The same is so for what was there on another day.
    let (a, b) = (book("100.00 EUR 12 INV-1"), book("60.00 EUR 12 INV-8 batch=7\n40.00 EUR 12 INV-9 batch=7"));
    assert_eq!(Matcher::default().reconcile_but(&a, &b, &[(Side::A, 0)].into()).open_a, [0]);
}

#[test]
fn one_is_the_sum_of_several_where_more_than_the_sum_speaks_for_it() {
    assert_snapshot!(found("600.00 EUR 12 PAY7", "
        100.00 EUR 12 INV-1 batch=PAY7
        200.00 EUR 12 INV-2 batch=PAY7
        300.00 EUR 13 INV-3 batch=PAY7
        50.00 EUR 13 INV-4
    "), @"
    a1 ~ b1 b2 b3: one to many: 600.00 is the sum of 3 items; they are one batch
    open: b4
    ");
    assert_snapshot!(found("
        100.00 EUR 12 INV-1 party=ACME
        200.00 EUR 12 INV-2 party=ACME
        77.00 EUR 12 INV-9 party=OTHER
    ", "300.00 EUR 12 TOTAL party=ACME"), @"
    a1 a2 ~ b1: one to many: 300.00 is the sum of 2 items; the counterparty is the same
    open: a3
    ");
    assert_snapshot!(found("300.00 EUR 12 X", "
        100.00 EUR 12 Y
        200.00 EUR 12 Z
    "), @"
    a1 ~ b1 b2 suggested: one to many: 300.00 is the sum of 2 items; nothing but the sum speaks for it
    open: a1 ~ b1 b2
    ");
    // Other parts would do as well.
    assert_snapshot!(found("300.00 EUR 12 X party=ACME", "
        100.00 EUR 12 Y party=ACME
        200.00 EUR 12 Z party=ACME
        150.00 EUR 12 V party=ACME
        150.00 EUR 12 W party=ACME
    "), @"
    a1 ~ b1 b2 suggested: one to many: 300.00 is the sum of 2 items; the counterparty is the same, but others come to the same sum
    open: a1 ~ b1 b2 b3 b4
    ");
    // Two want the same.
    assert_snapshot!(found("
        300.00 EUR 12 X party=ACME
        300.00 EUR 13 Y party=ACME
    ", "
        100.00 EUR 12 V party=ACME
        200.00 EUR 12 W party=ACME
    "), @"
    a1 ~ b1 b2 suggested: one to many: 300.00 is the sum of 2 items; the counterparty is the same, but others want the same items
    a2 ~ b1 b2 suggested: one to many: 300.00 is the sum of 2 items; the counterparty is the same, but others want the same items
    a1 ~ b1 b2 suggested: netting: with ACME, all that is open for 2026-03-12 comes to 300.00 on both sides
    open: a1 a2 ~ b1 b2
    ");
}

#[test]
fn what_nets_to_the_same_is_suggested() {
    assert_snapshot!(found("
        500.00 EUR 12 X party=ACME
        -200.00 EUR 12 Y party=ACME
    ", "
        400.00 EUR 12 V party=ACME
        -100.00 EUR 12 W party=ACME
    "), @"
    a1 a2 ~ b1 b2 suggested: netting: with ACME, all that is open for 2026-03-12 comes to 300.00 on both sides
    open: a1 a2 ~ b1 b2
    ");
}

#[test]
fn what_is_taken_back_leaves_nothing() {
    assert_snapshot!(found("
        500.00 EUR 12 X
        -500.00 EUR 16 X reversal
        -70.00 EUR 16 Y reversal
    ", "1.00 EUR 12 Z"), @"
    a1 a2: reversal: one takes the other back: amount and reference are the same, 2 business days apart
    open: a3 ~ b1
    ");
    // Which of two was taken back is not known.
    assert_snapshot!(found("", "
        500.00 EUR 12 X \"one\"
        500.00 EUR 12 X \"two\"
        -500.00 EUR 16 X reversal
    "), @"
    b1 b2 b3 ambiguous: reversal: each could as well go with another one
    open: b1 b2 b3
    ");
}

#[test]
fn what_is_of_an_earlier_day_takes_nothing_back_that_came_later() {
    assert_snapshot!(found("
        100.00 EUR 12 A-1
        -100.00 EUR 11 A-1 reversal
        200.00 EUR 12 A-2
        -200.00 EUR 13 A-2 reversal
    ", ""), @"
    a3 a4: reversal: one takes the other back: amount and reference are the same, one business day apart
    open: a1 a2
    ");
}

#[test]
fn two_documents_are_not_one_because_they_look_alike() {
    assert_snapshot!(found("
        777.00 EUR 12 INV-2026-1-12
        50.00 EUR 12 2026/0007-1
        60.00 EUR 12 RF18539007547034
    ", "
        777.00 EUR 12 INV-2026-11-2
        50.00 EUR 12 20260007-1
        60.00 EUR 12 RF18-5390-0754-7034
    "), @"
    a2 ~ b2 suggested: similar reference: the amount is the same, and 2026/0007-1 is nearly 20260007-1
    a3 ~ b3 suggested: similar reference: the amount is the same, and RF18539007547034 is nearly RF18-5390-0754-7034
    a1 ~ b1 suggested: similar reference: the amount is the same, and INV-2026-1-12 is nearly INV-2026-11-2
    open: a1 a2 a3 ~ b1 b2 b3
    ");
}

#[test]
fn similar_references_are_enough_where_their_numbers_agree() {
    let matcher = Matcher { settings: quorate_recon::Settings { similar_is_enough: true, ..Default::default() }, ..Matcher::default() };
    let (a, b) = (
        book("777.00 EUR 12 INV-2026-1-12\n50.00 EUR 12 2026/0007-12\n60.00 EUR 12 RF18539007547034X"),
        book("777.00 EUR 12 INV-2026-11-2\n50.00 EUR 12 2026-7-12\n60.00 EUR 12 RF18-5390-0754-7034"),
    );
    assert_snapshot!(told(&matcher.reconcile(&a, &b)), @"
    a3 ~ b3: similar reference: the amount is the same, and RF18539007547034X is nearly RF18-5390-0754-7034
    a1 ~ b1 suggested: similar reference: the amount is the same, and INV-2026-1-12 is nearly INV-2026-11-2
    open: a1 a2 ~ b1 b2
    ");
}

#[test]
fn a_batch_is_all_of_it_or_nothing() {
    assert_snapshot!(found("
        150.00 EUR 12 RUN-1
        150.00 EUR 12 RUN-2
    ", "
        100.00 EUR 12 A batch=RUN-1
        50.00 EUR 12 B batch=RUN-1
        500.00 EUR 12 C batch=RUN-1
        -10.00 EUR 12 D batch=RUN-1
        160.00 EUR 12 E batch=RUN-2
        -10.00 EUR 12 F batch=RUN-2
    "), @"
    a1 ~ b1 b2 suggested: one to many: 150.00 is the sum of 2 items; nothing but the sum speaks for it
    a2 ~ b5 b6: one to many: 150.00 is the sum of 2 items; they are one batch
    open: a1 ~ b1 b2 b3 b4
    ");
}

#[test]
fn a_sum_is_doubtful_where_one_entry_would_do() {
    assert_snapshot!(found("
        750000.00 EUR 12 party=Acme
    ", "
        750000.00 EUR 12 Q-7 party=Acme
        500000.00 EUR 12 X-1 party=Acme
        250000.00 EUR 12 X-2 party=Acme
    "), @"
    a1 ~ b2 b3 suggested: one to many: 750,000.00 is the sum of 2 items; the counterparty is the same, but one entry across has the same amount as well
    open: a1 ~ b1 b2 b3
    ");
}

#[test]
fn copies_of_which_some_differ_in_quantity_are_not_simply_paired() {
    assert_snapshot!(found("
        100.00 EUR 12 T-1 quantity=10
        100.00 EUR 12 T-1 quantity=20
        100.00 EUR 12 T-1
    ", "
        100.00 EUR 12 T-1 quantity=30
        100.00 EUR 12 T-1 quantity=40
        100.00 EUR 12 T-1
    "), @"
    a1 a2 a3 ~ b1 b2 b3 ambiguous: exact: each could as well go with another one
    open: a1 a2 a3 ~ b1 b2 b3
    ");
}

#[test]
fn what_has_failed_on_both_sides_is_settled_by_nothing() {
    assert_snapshot!(found("900000.00 EUR 12 T-1 status=FAILED", "900000.00 EUR 12 T-1 status=Failed"), @"open: a1 ~ b1");
    assert_snapshot!(found("100.00 EUR 12 T-1 status=PDNG", "100.01 EUR 12 T-1 status=PDNG"), @"
    a1 ~ b1 (-0.01): within tolerance: the reference is the same, and 100.00 and 100.01 differ by 0.01, where 0.01 is allowed
    open:
    ");
}

#[test]
fn what_differs_in_quantity_or_standing_is_no_match() {
    assert_snapshot!(found("
        100.00 EUR 12 INV-1 quantity=10
        100.00 EUR 12 INV-2 status=PDNG
        100.00 EUR 12 INV-3 quantity=10
    ", "
        100.00 EUR 12 INV-1 quantity=11
        100.00 EUR 12 INV-2
        100.00 EUR 12 INV-3
    "), @"
    a3 ~ b3: exact: amount and reference are the same
    open: a1 a2 ~ b1 b2
    ");
}

/// Books that are made to be hard: of one account, and alike in whatever a pass looks at.
#[test]
fn ten_thousand_items_of_one_account_are_no_trouble_however_alike_they_are() {
    const COUNT: usize = 10_000;
    /// A few seconds of a slow build: what grows with the square of the items takes minutes.
    const ENOUGH: Duration = Duration::from_secs(30);
    let lines = |line: &dyn Fn(usize) -> String| book(&(0..COUNT).map(line).collect::<Vec<_>>().join("\n"));
    let day = |number: usize| 1 + number % 28;
    let back = |number: usize| if number.is_multiple_of(2) { ("-", "reversal") } else { ("", "") };
    let hard = [
        ("nothing fits", lines(&|n| format!("{n}.01 EUR 2 INV-{n}A")), lines(&|n| format!("{n}.57 EUR 2 PAY{n}B"))),
        ("no references", lines(&|n| format!("{n}.01 EUR 2 party=ACME")), lines(&|n| format!("{n}.01 EUR 2 party=ACME"))),
        ("one amount", lines(&|n| format!("100 EUR {} A{n}", day(n))), lines(&|n| format!("100 EUR {} B{n}", day(n)))),
        (
            "one amount, and references that are nearly the same",
            lines(&|n| format!("100 EUR {} LONGREFERENCE{n}A", day(n))),
            lines(&|n| format!("100 EUR {} LONGREFERENCE{n}B", day(n))),
        ),
        ("one reference", lines(&|n| format!("{n}.01 EUR {} SALARY", day(n))), lines(&|n| format!("{n}.02 EUR {} SALARY", day(n + 1)))),
        (
            "copies, not as many of them on each day",
            lines(&|n| format!("100 EUR {} SALARY", day(n))),
            lines(&|n| format!("100 EUR {} SALARY", day(n / 2))),
        ),
        (
            "one party and one batch",
            lines(&|n| format!("{}.10 EUR 2 A{n} party=ACME batch=7", n + 1)),
            lines(&|n| format!("{}.20 EUR 2 B{n} party=ACME batch=7", n + 1)),
        ),
        ("all taken back", lines(&|n| format!("{}{} EUR {} A{} {}", back(n).0, 100 + n / 2, day(n), n / 2, back(n).1)), Vec::new()),
        ("all taken back, and all alike", lines(&|n| format!("{}100 EUR {} SALARY {}", back(n).0, day(n), back(n).1)), Vec::new()),
    ];
    let matcher = Matcher::default();
    let mut told = Vec::new();
    for (what, a, b) in hard {
        let begun = Instant::now();
        let found = matcher.reconcile(&a, &b);
        let broken = breaks(&matcher, &found, &a, &b, &Besides::default());
        let took = begun.elapsed();
        assert!(took < ENOUGH, "{what}: {took:?}");
        let (matches, ambiguous) = (found.matches.len(), found.ambiguous.len());
        told.push(format!("{what}: {matches} matches, {ambiguous} ambiguous, {} breaks", broken.len()));
    }
    assert_snapshot!(told.join("\n"), @"
    nothing fits: 0 matches, 0 ambiguous, 20000 breaks
    no references: 1 matches, 0 ambiguous, 1 breaks
    one amount: 0 matches, 0 ambiguous, 20000 breaks
    one amount, and references that are nearly the same: 0 matches, 0 ambiguous, 20000 breaks
    one reference: 0 matches, 1 ambiguous, 1 breaks
    copies, not as many of them on each day: 9989 matches, 1 ambiguous, 19 breaks
    one party and one batch: 28 matches, 0 ambiguous, 19944 breaks
    all taken back: 0 matches, 0 ambiguous, 10000 breaks
    all taken back, and all alike: 0 matches, 1 ambiguous, 1 breaks
    ");
}

/// What was found, without saying where in its book an item stands: what it is instead.
fn meant(found: &Reconciled, a: &[Item], b: &[Item]) -> Vec<String> {
    let name =
        |item: &Item| format!("{:?}", Item { place: Place { file: "".into(), line: 0 }, amount: item.amount.normalize(), ..item.clone() });
    let names = |book: &[Item], all: &[u32]| {
        let mut names: Vec<String> = all.iter().map(|at| name(&book[*at as usize])).collect();
        names.sort();
        names
    };
    let mut all: Vec<String> = Vec::new();
    for it in &found.matches {
        all.push(format!("{:?} {:?} {:?} {:?} {}", it.pass, it.standing, names(a, &it.a), names(b, &it.b), it.difference.normalize()));
    }
    for it in &found.ambiguous {
        all.push(format!("{:?} ambiguous {:?} {:?}", it.pass, names(a, &it.a), names(b, &it.b)));
    }
    all.push(format!("open {:?} {:?}", names(a, &found.open_a), names(b, &found.open_b)));
    all.sort();
    all
}

fn sums<'i>(items: impl IntoIterator<Item = &'i Item>) -> BTreeMap<(&'i str, Currency), (usize, Decimal)> {
    let mut sums: BTreeMap<_, (usize, Decimal)> = BTreeMap::new();
    for item in items {
        let sum = sums.entry((&*item.account, item.currency)).or_default();
        *sum = (sum.0 + 1, sum.1 + item.amount);
    }
    sums
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_nothing_is_matched_twice(a in any_book(), b in any_book()) {
        let found = Matcher::default().reconcile(&a, &b);
        for (book, open, matched) in [
            (&a, &found.open_a, found.matches.iter().map(|it| (it.standing, &it.a)).collect::<Vec<_>>()),
            (&b, &found.open_b, found.matches.iter().map(|it| (it.standing, &it.b)).collect()),
        ] {
            let certain = || matched.iter().filter(|(standing, _)| *standing == Standing::Matched).flat_map(|(_, all)| all.iter().copied());
            let all: BTreeSet<u32> = certain().chain(open.iter().copied()).collect();
            prop_assert_eq!(certain().count() + open.len(), book.len());
            prop_assert_eq!(all.len(), book.len());
            let parts = all.iter().map(|at| &book[*at as usize]);
            prop_assert_eq!(sums(parts), sums(book));
            // Suggestions and doubts are about what is open.
            let suggested = matched.iter().filter(|(standing, _)| *standing == Standing::Suggested).flat_map(|(_, all)| all.iter());
            prop_assert!(suggested.into_iter().all(|at| open.contains(at)));
        }
        for it in &found.ambiguous {
            prop_assert!(it.a.iter().all(|at| found.open_a.contains(at)) && it.b.iter().all(|at| found.open_b.contains(at)));
        }
        for it in &found.matches {
            // What is matched is of one account and one currency, and comes to the same but for what is said.
            let sides = [(&a, &it.a), (&b, &it.b)];
            let items: Vec<&Item> = sides.iter().flat_map(|(book, all)| all.iter().map(|at| &book[*at as usize])).collect();
            prop_assert_eq!(sums(items).len(), 1);
            let sum = |book: &[Item], all: &[u32]| all.iter().map(|at| book[*at as usize].amount).sum::<Decimal>();
            prop_assert_eq!(sum(&a, &it.a) - sum(&b, &it.b), it.difference);
            prop_assert!(it.difference.abs() <= Decimal::new(5, 2), "{it:?}");
        }
    }

    #[test]
    fn the_order_of_lines_means_nothing(a in any_book(), b in any_book(), seed in any::<u64>()) {
        let (other_a, other_b) = (shuffled(&a, seed), shuffled(&b, seed));
        let (once, again) = (Matcher::default().reconcile(&a, &b), Matcher::default().reconcile(&other_a, &other_b));
        prop_assert_eq!(meant(&once, &a, &b), meant(&again, &other_a, &other_b));
    }

    #[test]
    fn which_side_is_called_a_means_nothing(a in any_book(), b in any_book()) {
        let (one, mut other) = (Matcher::default().reconcile(&a, &b), Matcher::default().reconcile(&b, &a));
        for it in &mut other.matches {
            (it.a, it.b, it.difference) = (std::mem::take(&mut it.b), std::mem::take(&mut it.a), -it.difference);
        }
        for it in &mut other.ambiguous {
            std::mem::swap(&mut it.a, &mut it.b);
        }
        std::mem::swap(&mut other.open_a, &mut other.open_b);
        prop_assert_eq!(meant(&one, &a, &b), meant(&other, &a, &b));
    }
}
