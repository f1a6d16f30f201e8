//! What is promised of any file of a book: it is refused with its lines, or read; and what was read can be checked and matched, with
//! nothing lost.

use quorate_recon::books::{self, Encoding, Format};
use quorate_recon::{Besides, Item, Matcher, Standing, breaks};

/// Matching any number of items takes any time.
const MAX_MATCHED: usize = 60;

/// Reads a file, and holds what was read to that.
pub fn held(bytes: &[u8], format: &Format) {
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
    for encoding in [Encoding::Utf8, Encoding::Latin1] {
        let mut statements = match books::read("file", format, encoding, bytes) {
            Ok(statements) => statements,
            Err(wrong) => {
                assert!(!wrong.mistakes.is_empty(), "what is refused says why");
                assert!(wrong.mistakes.iter().all(|it| it.place.line as usize <= lines + 1), "{wrong}");
                continue;
            }
        };
        let count: usize = statements.iter().map(|it| it.items.len()).sum();
        let checks = books::check(&mut statements, &|_, _| true, &[]);
        let kept: usize = statements.iter().chain(&checks.set_aside).map(|it| it.items.len()).sum();
        assert_eq!(kept, count, "what does not count is still there");
        let again = books::check(&mut statements.clone(), &|_, _| true, &checks.left);
        assert!(again.left.len() >= checks.left.len());
        let items: Vec<Item> = statements.into_iter().flat_map(|it| it.items).take(MAX_MATCHED).collect();
        let (one, other) = items.split_at(items.len() / 2);
        let matcher = Matcher::default();
        let found = matcher.reconcile(one, other);
        let matched: usize = found.matches.iter().filter(|it| it.standing == Standing::Matched).map(|it| it.a.len() + it.b.len()).sum();
        assert_eq!(matched + found.open_a.len() + found.open_b.len(), items.len());
        let in_breaks: usize = breaks(&matcher, &found, one, other, &Besides::default()).iter().map(|it| it.a.len() + it.b.len()).sum();
        assert_eq!(in_breaks, found.open_a.len() + found.open_b.len());
    }
}
