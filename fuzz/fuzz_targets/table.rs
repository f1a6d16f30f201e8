//! Any bytes as a table, by a mapping that uses everything that there is: see `held`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quorate_fuzz::held;
use quorate_recon::books::Format;

const MAPPING: &str = r#"{
    "separator": ";", "decimal": ",", "thousands": ".", "date": "%d.%m.%Y",
    "columns": { "account": "a", "currency": "c", "debit": "d", "credit": "e", "value_date": "v", "booked": "b", "reference": "r", "bank_reference": "k",
                 "batch": "n", "counterparty": "w", "code": "o", "quantity": "q", "price": "p", "status": "s", "reversal": "x", "text": "t", "balance": "l" },
    "rows": { "column": "z", "entry": ["E"], "opening": ["O"], "closing": ["S"], "total": ["T"], "count": "m" }
}"#;
const HEADER: &[u8] = b"a;c;d;e;v;b;r;k;n;w;o;q;p;s;x;t;l;z;m\n";

static FORMAT: LazyLock<Format> = LazyLock::new(|| Format::Csv(Box::new(serde_json::from_str(MAPPING).expect("it is a mapping"))));

fuzz_target!(|bytes: &[u8]| {
    held(bytes, &FORMAT);
    held(&[HEADER, bytes].concat(), &FORMAT);
});
