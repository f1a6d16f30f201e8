//! The book says what the files may hold, and no less.
#![allow(clippy::unwrap_used, reason = "this is a test")]

#[test]
fn the_book_has_every_field() {
    let book = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/projects.md")).unwrap();
    let (_, tables) = book.split_once("<!-- from here on: quorate schema fields -->\n\n").unwrap();
    assert_eq!(tables, quorate_project::fields().trim_end().to_owned() + "\n", "write the output of `quorate schema fields` there");
}
