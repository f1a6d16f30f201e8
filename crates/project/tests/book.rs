//! The book says what the files may hold, and no less.
#![allow(clippy::unwrap_used, reason = "this is a test")]

#[test]
fn the_book_has_every_field() {
    let book = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/projects.md")).unwrap();
    let (_, tables) = book.split_once("<!-- from here on: quorate schema fields -->\n\n").unwrap();
    let fields = quorate_project::fields();
    let differs = tables.trim_end().lines().zip(fields.trim_end().lines()).find(|(book, field)| book != field);
    assert_eq!(differs, None, "write the output of `quorate schema fields` there");
    assert_eq!(tables.trim_end().lines().count(), fields.trim_end().lines().count());
}
