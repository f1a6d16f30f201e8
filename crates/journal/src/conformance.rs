//! What every journal must do, as a suite that any of them can run.

use quorate_core::{Digest, Entry, Event, MAX_INLINE_BYTES, Parent, Payload, RunId, RunStatus, Signal, Start, Timestamp};

use crate::{AppendError, Head, Journal, RunInfo, Stands, Text, Wanted};

/// The text that the runs of this suite name as their plan.
#[must_use]
pub fn plan() -> Text {
    (Digest::of(b"plan"), "plan".into())
}

/// The first entry of a run.
#[must_use]
pub fn started(at: i64) -> Entry {
    let start = Start {
        plan: plan().0,
        name: "conformance".into(),
        input: Payload::null(),
        profile: None,
        session: None,
        by: "tester".into(),
        route: None,
        skills: Vec::new(),
        parent: None,
        within: None,
        deadline: None,
    };
    Entry { seq: 1, at: Timestamp::from_micros(at), event: Event::RunStarted(Box::new(start)) }
}

/// An entry that carries a value.
#[must_use]
pub fn carrying(seq: u64, value: Payload) -> Entry {
    let signal = Signal { name: "value".into(), id: None, payload: value, by: "tester".into() };
    Entry { seq, at: Timestamp::from_micros(i64::try_from(seq).unwrap_or(i64::MAX)), event: Event::SignalReceived(Box::new(signal)) }
}

/// The last entry of a run.
#[must_use]
pub fn ended(seq: u64) -> Entry {
    let event = Event::RunEnded { status: RunStatus::Succeeded, failed: Vec::new() };
    Entry { seq, at: Timestamp::from_micros(i64::try_from(seq).unwrap_or(i64::MAX)), event }
}

fn small(text: &str) -> Payload {
    Payload::of(text).expect("a short text is a value")
}

/// Runs the suite on an empty journal.
///
/// # Panics
/// Where the journal does not do what it must.
pub async fn check(journal: &dyn Journal) {
    what_was_appended_is_loaded(journal).await;
    appends_are_compared_with_the_head(journal).await;
    all_of_an_append_or_nothing(journal).await;
    long_values_come_back(journal).await;
    texts_are_kept_with_the_entries_that_name_them(journal).await;
    an_append_of_nothing_does_nothing(journal).await;
    a_value_of_many_lines_comes_back(journal).await;
    runs_are_listed(journal).await;
    lists_are_narrowed_and_read_page_by_page(journal).await;
    the_order_of_all_runs_can_be_followed(journal).await;
    many_writers_do_not_disturb_each_other(journal).await;
    let report = journal.verify().await.expect("a journal can be verified");
    assert!(report.is_sound(), "nothing was damaged: {:?}", report.damage);
}

async fn begin(journal: &dyn Journal, run: u128) -> Head {
    let append = journal.append(RunId(run), Head::START, &[started(1)], &[plan()]);
    append.done.await.expect("a new run can be begun");
    append.head
}

async fn what_was_appended_is_loaded(journal: &dyn Journal) {
    let head = begin(journal, 1).await;
    let more = [carrying(2, small("two")), carrying(3, small("three"))];
    let append = journal.append(RunId(1), head, &more, &[]);
    append.done.await.expect("what follows can be appended");
    let loaded = journal.load(vec![RunId(1), RunId(99)]).await.expect("runs can be loaded");
    assert_eq!(loaded[0].entries[1..], more);
    assert_eq!(loaded[0].head, append.head);
    assert!(loaded[1].entries.is_empty(), "a run that is not there has no entries");
    assert_eq!(loaded[1].head, Head::START);
}

async fn appends_are_compared_with_the_head(journal: &dyn Journal) {
    let head = begin(journal, 2).await;
    let first = journal.append(RunId(2), head, &[carrying(2, small("first"))], &[]);
    let second = journal.append(RunId(2), head, &[carrying(2, small("second"))], &[]);
    first.done.await.expect("the first writer wins");
    let refused = second.done.await;
    assert!(matches!(refused, Err(AppendError::Conflict { expected: 1, actual: 2, .. })), "the second one does not: {refused:?}");
    let forged = Head { seq: 2, digest: Digest::of(b"another history") };
    let refused = journal.append(RunId(2), forged, &[carrying(3, small("third"))], &[]).done.await;
    assert!(matches!(refused, Err(AppendError::Conflict { .. })), "the same length is not the same history");
    let again = journal.append(RunId(2), Head::START, &[started(1)], &[]).done.await;
    assert!(matches!(again, Err(AppendError::Conflict { .. })), "a run begins once");
    let last = journal.append(RunId(2), first.head, &[ended(3)], &[]);
    last.done.await.expect("a run can end");
    let again = journal.append(RunId(2), Head::START, &[started(1)], &[]).done.await;
    assert!(matches!(again, Err(AppendError::Conflict { expected: 0, actual: 3, .. })), "also one that has ended: {again:?}");
}

async fn all_of_an_append_or_nothing(journal: &dyn Journal) {
    let head = begin(journal, 3).await;
    let first = journal.append(RunId(3), head, &[carrying(2, small("a")), carrying(3, small("b"))], &[]);
    first.done.await.expect("it follows");
    let stale = journal.append(RunId(3), head, &[carrying(2, small("c")), carrying(3, small("d")), carrying(4, small("e"))], &[]);
    assert!(stale.done.await.is_err());
    let loaded = journal.load(vec![RunId(3)]).await.expect("it can be loaded");
    assert_eq!(loaded[0].entries.len(), 3, "nothing of what was refused is there");
}

async fn long_values_come_back(journal: &dyn Journal) {
    let head = begin(journal, 4).await;
    let long = small(&"x".repeat(MAX_INLINE_BYTES + 1));
    assert!(long.kept_apart().is_some());
    let edge = small(&"y".repeat(MAX_INLINE_BYTES - 2));
    let entries = [carrying(2, long.clone()), carrying(3, long.clone()), carrying(4, edge), carrying(5, small("short").apart())];
    journal.append(RunId(4), head, &entries, &[]).done.await.expect("long values can be appended");
    let loaded = journal.load(vec![RunId(4)]).await.expect("they can be loaded");
    assert_eq!(loaded[0].entries[1..], entries);
}

async fn texts_are_kept_with_the_entries_that_name_them(journal: &dyn Journal) {
    let text = |words: &str| -> Text { (Digest::of(words.as_bytes()), words.into()) };
    let (first, refused, unknown) = (text("a text"), text("a text that is refused"), text("nothing"));
    let head = begin(journal, 6).await;
    let append = journal.append(RunId(6), head, &[carrying(2, small("a"))], &[first.clone(), plan()]);
    append.done.await.expect("texts can be kept");
    let again = journal.append(RunId(6), append.head, &[carrying(3, small("b"))], std::slice::from_ref(&first));
    again.done.await.expect("texts can be kept again");
    let stale = journal.append(RunId(6), head, &[carrying(2, small("c"))], std::slice::from_ref(&refused));
    assert!(stale.done.await.is_err());
    let kept = async |text: &Text| journal.kept(text.0).await.expect("it can be asked for");
    assert_eq!(kept(&first).await, Some(first.1.clone()));
    assert_eq!(kept(&refused).await, None, "what comes with a refused append is not kept");
    assert_eq!(kept(&unknown).await, None);
}

async fn an_append_of_nothing_does_nothing(journal: &dyn Journal) {
    let head = begin(journal, 7).await;
    let nothing = journal.append(RunId(7), head, &[], &[]);
    assert_eq!(nothing.head, head);
    nothing.done.await.expect("nothing can be appended");
    journal.append(RunId(7), head, &[carrying(2, small("a"))], &[]).done.await.expect("and something after it");
    let loaded = journal.load(vec![RunId(7)]).await.expect("it can be loaded");
    assert_eq!(loaded[0].entries.len(), 2);
}

async fn a_value_of_many_lines_comes_back(journal: &dyn Journal) {
    let head = begin(journal, 8).await;
    let entry = carrying(2, Payload::parse("{\n  \"a\": [1,\r\n 2]\n}".into()).expect("this is JSON"));
    journal.append(RunId(8), head, std::slice::from_ref(&entry), &[]).done.await.expect("it can be appended");
    let loaded = journal.load(vec![RunId(8)]).await.expect("it can be loaded");
    assert_eq!(loaded[0].entries[1], entry);
}

async fn runs_are_listed(journal: &dyn Journal) {
    let head = begin(journal, 5).await;
    let open = journal.open_runs().await.expect("open runs can be listed");
    assert!(open.contains(&RunId(5)));
    journal.append(RunId(5), head, &[ended(2)], &[]).done.await.expect("a run can end");
    let open = journal.open_runs().await.expect("open runs can be listed");
    assert!(!open.contains(&RunId(5)), "a run that ended is not open");
    let listed = journal.list(Wanted::newest(100)).await.expect("runs can be listed");
    let info = listed.iter().find(|info| info.run == RunId(5)).expect("the run is listed");
    assert_eq!(info.ended.map(|(status, _)| status), Some(RunStatus::Succeeded));
    assert_eq!((&*info.name, &*info.by, info.parent), ("conformance", "tester", None));
}

async fn lists_are_narrowed_and_read_page_by_page(journal: &dyn Journal) {
    const FIRST: u128 = 700;
    // The later a run begins, the smaller is its id: a list goes by time.
    for at in 1..=6_u128 {
        let mut first = started(1_000_000 + i64::try_from(at).expect("a small number"));
        if let Event::RunStarted(start) = &mut first.event {
            start.name = "listed".into();
            start.parent = (at == 4).then(|| Parent { run: RunId(FIRST), task: "sub".into(), attempt: 1 });
        }
        let run = RunId(FIRST + 10 - at);
        let begun = journal.append(run, Head::START, &[first], &[]);
        begun.done.await.expect("a run can begin");
        if at % 2 == 0 {
            journal.append(run, begun.head, &[ended(2)], &[]).done.await.expect("a run can end");
        }
    }
    let all = Wanted { name: Some("listed".to_owned()), ..Wanted::newest(10) };
    let found = |wanted: Wanted| async move {
        let listed = journal.list(wanted).await.expect("runs can be listed");
        listed.iter().map(|info| info.run.0 - FIRST).collect::<Vec<_>>()
    };
    assert_eq!(found(all.clone()).await, [4, 5, 6, 7, 8, 9], "the newest first");
    assert_eq!(found(Wanted { stands: Some(Stands::Open), ..all.clone() }).await, [5, 7, 9]);
    assert_eq!(found(Wanted { stands: Some(Stands::Ended(RunStatus::Succeeded)), ..all.clone() }).await, [4, 6, 8]);
    assert_eq!(found(Wanted { stands: Some(Stands::Ended(RunStatus::Failed)), ..all.clone() }).await, []);
    assert_eq!(found(Wanted { since: Some(Timestamp::from_micros(1_000_004)), ..all.clone() }).await, [4, 5, 6]);
    assert_eq!(found(Wanted { roots: true, ..all.clone() }).await, [4, 5, 7, 8, 9]);
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page: Vec<RunInfo> = journal.list(Wanted { after, limit: 4, ..all.clone() }).await.expect("runs can be listed");
        let Some(last) = page.last() else { break };
        after = Some((last.started, last.run));
        pages.push(page.len());
    }
    assert_eq!(pages, [4, 2]);
}

async fn the_order_of_all_runs_can_be_followed(journal: &dyn Journal) {
    let all = journal.follow(0, 10_000).await.expect("it can be followed");
    assert!(all.windows(2).all(|pair| pair[0].position + 1 == pair[1].position), "positions have no gaps");
    let some = journal.follow(all[2].position, 2).await.expect("it can be followed from anywhere");
    assert_eq!(some.iter().map(|record| record.position).collect::<Vec<_>>(), [all[3].position, all[4].position]);
}

async fn many_writers_do_not_disturb_each_other(journal: &dyn Journal) {
    const RUNS: u128 = 50;
    const LENGTH: u64 = 20;
    let mut heads = vec![Head::START; RUNS as usize];
    let mut waiting = Vec::new();
    for seq in 1..=LENGTH {
        for run in 0..RUNS {
            let entry = if seq == 1 { started(1) } else { carrying(seq, small("step")) };
            let append = journal.append(RunId(1_000 + run), heads[run as usize], &[entry], &[]);
            heads[run as usize] = append.head;
            waiting.push(append.done);
        }
    }
    for done in waiting {
        done.await.expect("every append follows the one before");
    }
    let runs = (0..RUNS).map(|run| RunId(1_000 + run)).collect();
    for (loaded, head) in journal.load(runs).await.expect("all can be loaded").into_iter().zip(heads) {
        assert_eq!((loaded.entries.len() as u64, loaded.head), (LENGTH, head));
    }
}
