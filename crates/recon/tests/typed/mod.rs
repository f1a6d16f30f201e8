//! Books that are typed in, and any books at all.
#![allow(clippy::unwrap_used, dead_code, reason = "this is for tests, not each of which types everything")]

use proptest::prelude::*;
use quorate_recon::{Date, Decimal, Item, Place};

/// An item as a line: `100.00 EUR 12 INV-1 party=ACME batch=7 code=FX reversal "text"`, where 12 is a day of March 2026.
pub(crate) fn item(line: &str, number: usize) -> Item {
    let (line, text) = line.split_once('"').map_or((line, ""), |(line, text)| (line, text.trim_end_matches('"')));
    let mut words = line.split_whitespace();
    let (amount, currency, day) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    let mut item = Item {
        place: Place { file: "typed".into(), line: u32::try_from(number).unwrap() },
        account: "1".into(),
        currency: currency.parse().unwrap(),
        amount: amount.parse().unwrap(),
        value_date: Date::new(2026, 3, day.parse().unwrap()).unwrap(),
        booked: None,
        reference: None,
        bank_reference: None,
        batch: None,
        counterparty: None,
        code: None,
        quantity: None,
        price: None,
        status: None,
        reversal: false,
        text: text.into(),
    };
    for word in words {
        match word.split_once('=') {
            Some(("party", name)) => item.counterparty = Some(name.into()),
            Some(("batch", name)) => item.batch = Some(name.into()),
            Some(("code", code)) => item.code = Some(code.into()),
            Some(("bank", reference)) => item.bank_reference = Some(reference.into()),
            Some(("account", account)) => item.account = account.into(),
            Some(("quantity", number)) => item.quantity = Some(number.parse().unwrap()),
            Some(("price", number)) => item.price = Some(number.parse().unwrap()),
            Some(("status", status)) => item.status = Some(status.into()),
            Some(_) => panic!("what is {word}?"),
            None if word == "reversal" => item.reversal = true,
            None => item.reference = Some(word.into()),
        }
    }
    item
}

pub(crate) fn book(lines: &str) -> Vec<Item> {
    lines.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate().map(|(number, line)| item(line, number + 1)).collect()
}

fn any_item() -> impl Strategy<Value = Item> {
    let words = (0..3_usize, 0..12_usize, 0..5_i8, 0..8_usize, 0..4_usize, 0..4_usize, 0..8_u8);
    words.prop_map(|(place, amount, day, reference, party, text, rest)| {
        const AMOUNTS: [&str; 12] = ["10", "10.00", "20", "30", "-10", "-20", "-30", "10.01", "1000", "1000.04", "5", "15"];
        const REFERENCES: [&str; 8] = ["", "", "A1", "A-1", "REF A1", "LONGREFERENCE77", "LONG REFERENCE 78", "B2"];
        let named = |names: &[&str], at: usize| Some(names[at]).filter(|name| !name.is_empty()).map(Into::into);
        Item {
            place: Place { file: "any".into(), line: 0 },
            account: ["1", "1", "2"][place].into(),
            currency: ["EUR", "USD", "EUR"][place].parse().unwrap(),
            amount: AMOUNTS[amount].parse().unwrap(),
            value_date: Date::new(2026, 3, 11 + day).unwrap(),
            booked: None,
            reference: named(&REFERENCES, reference),
            bank_reference: named(&["", "", "x", "y"], text),
            batch: named(&["", "", "", "A1"], party),
            counterparty: named(&["", "ACME", "ACME", "OTHER"], party),
            code: None,
            quantity: [None, None, Some(Decimal::ONE)][usize::from(rest % 3)],
            price: None,
            status: Some("PDNG").filter(|_| rest == 7).map(Into::into),
            reversal: rest == 0,
            text: ["", "", "one", "two"][text].into(),
        }
    })
}

pub(crate) fn any_book() -> impl Strategy<Value = Vec<Item>> {
    prop::collection::vec(any_item(), 0..14).prop_map(|mut items| {
        items.iter_mut().zip(1..).for_each(|(item, line)| item.place.line = line);
        items
    })
}

/// The same book in another order, by a number that has nothing to do with what its items are.
pub(crate) fn shuffled(book: &[Item], seed: u64) -> Vec<Item> {
    let mut book = book.to_vec();
    book.sort_by_key(|item| (u64::from(item.place.line) ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    book.iter_mut().zip(1..).for_each(|(item, line)| item.place.line = line);
    book
}
