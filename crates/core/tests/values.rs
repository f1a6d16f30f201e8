//! What travels: values and points in time, as they are written and read back.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proptest::prelude::*;
use quorate_core::{Entry, Event, Millis, Payload, Signal, Timestamp};

fn carrying(payload: Payload) -> Entry {
    let signal = Signal { name: "value".into(), id: None, payload, by: "tester".into() };
    Entry { seq: 1, at: Timestamp::default(), event: Event::SignalReceived(Box::new(signal)) }
}

#[test]
fn a_value_is_one_line_however_it_was_written() {
    let written = "{\r\n  \"text\": \"a\\nb\",\n  \"list\": [\n1,\r2]\n}";
    let value = Payload::parse(written.into()).unwrap();
    assert!(!value.json().contains(['\n', '\r']), "{}", value.json());
    let before: serde_json::Value = serde_json::from_str(written).unwrap();
    assert_eq!(value.decode::<serde_json::Value>().unwrap(), before);
    let line = serde_json::to_string(&carrying(value.clone())).unwrap();
    assert!(!line.contains(['\n', '\r']));
    assert_eq!(serde_json::from_str::<Entry>(&line).unwrap(), carrying(value));
}

#[test]
fn what_is_too_far_away_is_the_last_point_that_can_be_written() {
    assert_eq!(Timestamp::default().plus(Millis(u64::MAX)), Timestamp::MAX);
    assert_eq!(Timestamp::MAX.plus(Millis(1)), Timestamp::MAX);
    assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T22:00:00.000000Z");
    assert_eq!(Timestamp::MIN.to_string(), "-009999-01-02T01:59:59.000000Z");
}

proptest! {
    #[test]
    fn every_point_in_time_reads_back(micros in any::<i64>(), other in any::<i64>()) {
        let (at, later) = (Timestamp::from_micros(micros), Timestamp::from_micros(other));
        prop_assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
        prop_assert_eq!(at.cmp(&later), at.micros().cmp(&later.micros()));
    }
}
