//! The laws of `text` and `manual`: what two people wrote in different places is merged, what they wrote in the same place is
//! a conflict, and nothing that anybody wrote is ever gone.

use landfall_core::merge::{Author, Merged, Sibling, StoredRow, merge};
use landfall_core::rules::MergeRule;
use landfall_core::schema::conflicts::CONFLICT_COLUMNS;
use landfall_core::schema::{Column, Default, Table};
use landfall_core::{CellWrite, Change, ColumnType, Operation, ReplicaId, RowKey, Schema, Stamp, Value};
use proptest::prelude::*;

fn rule() -> MergeRule {
    MergeRule::named("text").expect("a rule")
}

fn table() -> Table {
    let body = Column {
        merge: rule(),
        required: true,
        default: Some(Default::Value("".into())),
        max_length: Some(400),
        ..Column::plain("body", ColumnType::Text)
    };
    let choice =
        Column { merge: MergeRule::named("manual").expect("a rule"), ..Column::plain("choice", ColumnType::Text) };
    Table::plain("t", vec![Column::plain("id", ColumnType::Integer), body, choice])
}

fn author(seq: u64, wall_ms: u64, replica: u8) -> Author {
    let stamp = Stamp { wall_ms, counter: 0, replica: ReplicaId([replica; 16]) };
    Author { stamp, seq, now_ms: 1_000, is_fact: false }
}

fn edit(was: &str, is: &str) -> CellWrite {
    let change = rule().between(&was.into(), &is.into()).expect("a change");
    CellWrite { change: Some(Change::Edit), ..CellWrite::new("body", change) }
}

fn update(base: u64, cells: Vec<CellWrite>) -> Operation {
    Operation::Update { table: "t".into(), key: RowKey::single(Value::Int(1)), base, cells }
}

fn fresh(body: &str) -> StoredRow {
    let cells = vec![CellWrite::begins(&table().columns[1], body.into()), CellWrite::new("choice", "a".into())];
    let insert = Operation::Insert { table: "t".into(), key: RowKey::single(Value::Int(1)), base: 0, cells };
    write(None, &insert, &author(1, 1, 0)).0
}

fn write(stored: Option<&StoredRow>, operation: &Operation, author: &Author) -> (StoredRow, Vec<Sibling>) {
    match merge(&table(), stored, operation, author) {
        Merged::Put { row, siblings, .. } => (row, siblings),
        Merged::Nothing { siblings, .. } => (stored.expect("a row").clone(), siblings),
        other => panic!("{other:?}"),
    }
}

fn body(row: &StoredRow) -> &str {
    row.cells["body"].as_text().expect("a text")
}

/// What three make of a text: the first one's text is there when the second one's arrives.
fn both(base: &str, first: &str, second: &str) -> (String, Vec<Sibling>) {
    let row = fresh(base);
    let (row, none) = write(Some(&row), &update(1, vec![edit(base, first)]), &author(2, 5, 1));
    assert_eq!((body(&row), none), (first, Vec::new()));
    let (row, siblings) = write(Some(&row), &update(1, vec![edit(base, second)]), &author(3, 4, 2));
    (body(&row).to_owned(), siblings)
}

fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["sea", "wind", "näher", "❄", "\\n", "a b", "", "O'Neill"])
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec((word(), prop::sample::select(vec![" ", "\n", "\r\n", ". "])), 0..12)
        .prop_map(|words| words.into_iter().map(|(word, end)| format!("{word}{end}")).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn who_changes_a_text_alone_has_it_as_they_wrote_it(base in text(), is in text()) {
        prop_assert_eq!(both(&base, &base, &is), (is.clone(), Vec::new()));
        let undone = rule().taken_back(&is.clone().into(), &base.clone().into(), &edit(&base, &is).value).unwrap();
        prop_assert_eq!(undone.value, Value::Text(base));
    }

    #[test]
    fn lines_that_two_wrote_in_different_places_are_all_there(
        lines in prop::collection::vec("[a-f]{1,6}", 3..12), at in any::<prop::sample::Index>(), own in "[x-z]{1,5}", other in "[u-w]{1,5}",
    ) {
        // A line in between that nobody touches.
        let at = 1 + at.index(lines.len() - 2);
        let join = |lines: &[String]| lines.join("\n") + "\n";
        let (mut first, mut second) = (lines.clone(), lines.clone());
        first[at - 1] = other.clone();
        second[at + 1] = own.clone();
        let (merged, siblings) = both(&join(&lines), &join(&first), &join(&second));
        let mut expected = lines;
        (expected[at - 1], expected[at + 1]) = (other, own);
        prop_assert_eq!((merged, siblings), (join(&expected), Vec::new()));
    }

    #[test]
    fn words_that_two_wrote_in_different_places_of_a_line_are_all_there(
        words in prop::collection::vec("[a-f]{1,6}", 3..12), at in any::<prop::sample::Index>(), own in "[x-z]{1,5}", other in "[u-w]{1,5}",
    ) {
        let at = 1 + at.index(words.len() - 2);
        let (mut first, mut second) = (words.clone(), words.clone());
        first[at - 1] = other.clone();
        second[at + 1] = own.clone();
        let (merged, siblings) = both(&words.join(" "), &first.join(" "), &second.join(" "));
        let mut expected = words;
        (expected[at - 1], expected[at + 1]) = (other, own);
        prop_assert_eq!((merged, siblings), (expected.join(" "), Vec::new()));
    }

    /// Whatever both did: either all of it is in the text, or the one that came later is a conflict, whole, with its base.
    #[test]
    fn nothing_that_was_written_is_gone(base in text(), first in text(), second in text()) {
        let (merged, siblings) = both(&base, &first, &second);
        if let [sibling] = &siblings[..] {
            prop_assert_eq!((&sibling.value, &sibling.base), (&Value::Text(second), &Some(Value::Text(base))));
            prop_assert_eq!(&sibling.was_stored, &None);
            return Ok(());
        }
        prop_assert!(siblings.is_empty());
        // Every word that somebody added, as often as the one who added it more often did.
        let count = |text: &str, word: &str| text.split_whitespace().filter(|w| *w == word).count();
        for word in first.split_whitespace().chain(second.split_whitespace()) {
            let added = |text: &str| count(text, word).saturating_sub(count(&base, word));
            let removed = |text: &str| count(&base, word).saturating_sub(count(text, word));
            let least = (count(&base, word) + added(&first).max(added(&second))).saturating_sub(removed(&first) + removed(&second));
            prop_assert!(count(&merged, word) >= least, "{:?} of {:?}", word, merged);
        }
    }

    #[test]
    fn two_changes_as_one_do_what_both_do(start in text(), one in text(), two in text()) {
        let (first, second) = (edit(&start, &one).value, edit(&one, &two).value);
        let sum = rule().joined(&first, &second).unwrap();
        prop_assert_eq!(rule().applied(&start.into(), &sum), Some(Value::Text(two)));
    }

    #[test]
    fn whatever_comes_is_refused_or_a_change(text in "\\PC{0,40}", was in ".{0,30}", is in ".{0,30}", now in ".{0,30}") {
        let _ = rule().flaw_of_change(&Value::Json(text));
        prop_assert!(rule().applied(&now.into(), &edit(&was, &is).value).is_some());
    }

    /// However many write at once, and in whatever order: what each wrote is what is shown, or a conflict.
    #[test]
    fn of_concurrent_choices_none_is_gone(
        (list, order) in prop::collection::vec((0u8..4, 1u64..6), 1..6).prop_flat_map(|list| {
            (Just(list.clone()), Just((0..list.len()).collect::<Vec<_>>()).prop_shuffle())
        }),
    ) {
        let mut row = fresh("");
        let mut kept = Vec::new();
        for (seq, at) in (2..).zip(order) {
            let (choice, wall_ms) = list[at];
            let cells = vec![CellWrite::new("choice", Value::Text(choice.to_string()))];
            let (next, siblings) = write(Some(&row), &update(1, cells), &author(seq, wall_ms, at as u8 + 1));
            prop_assert!(siblings.iter().all(|sibling| sibling.column.as_deref() == Some("choice")));
            kept.extend(siblings.into_iter().map(|sibling| sibling.value));
            row = next;
        }
        for (choice, _) in list {
            let value = Value::Text(choice.to_string());
            prop_assert!(row.cells["choice"] == value || kept.contains(&value), "{:?} in {:?}", value, kept);
        }
    }
}

#[test]
fn who_has_seen_a_choice_replaces_it_without_a_word() {
    let row = fresh("");
    let choose = |row: &StoredRow, what: &str, base, author: Author| {
        write(Some(row), &update(base, vec![CellWrite::new("choice", what.into())]), &author)
    };
    let (row, none) = choose(&row, "b", 1, author(2, 9, 1));
    assert!(none.is_empty());
    let (row, siblings) = choose(&row, "c", 1, author(3, 5, 2));
    assert_eq!(row.cells["choice"], Value::from("b"), "the larger stamp is shown");
    let expected =
        Sibling { column: Some("choice".into()), value: "c".into(), base: None, fault: None, was_stored: None };
    assert_eq!(siblings, [expected]);
    let (row, siblings) = choose(&row, "d", 1, author(4, 11, 3));
    assert_eq!((&row.cells["choice"], siblings[0].was_stored.map(|v| v.seq)), (&Value::from("d"), Some(2)));
    assert_eq!(choose(&row, "d", 1, author(5, 12, 4)).1, [], "both say the same");
    assert_eq!(choose(&row, "e", 5, author(6, 1, 5)).1, [], "it has seen that");
}

#[test]
fn what_only_both_together_make_too_long_is_a_conflict() {
    let base = "a\nb\nc\n";
    let (first, second) = (format!("{}\nb\nc\n", "x".repeat(300)), format!("a\nb\n{}\n", "y".repeat(300)));
    let (merged, siblings) = both(base, &first, &second);
    assert_eq!((merged, siblings.len()), (first, 1));
    assert_eq!(siblings[0].value, Value::Text(second));
}

#[test]
fn texts_that_have_little_in_common_are_not_compared_for_ever() {
    let text = |seed: usize| (0..300_000).map(|n| format!("{}\n", (n * seed) % 7_919)).collect::<String>();
    let (base, ours, theirs) = (text(3), text(5), text(7));
    let start = rule().applied(&theirs.clone().into(), &edit(&base, &ours).value);
    assert_eq!(start, Some(Value::Text(ours)), "one's own is shown while it waits");
    // Lines by other ends, and lines that differ in many words each.
    let turns = |n: usize| "a\rb\r".repeat(n);
    let other = turns(200_000).replace('a', "c");
    assert!(rule().applied(&turns(150_000).into(), &edit(&turns(200_000), &other).value).is_some());
    let wordy =
        |word: &str| (0..1_000).map(|n| format!("{n} {}\n-\n", format!("{word} ").repeat(600))).collect::<String>();
    assert!(rule().applied(&wordy("a").into(), &edit(&wordy("b"), &wordy("c")).value).is_some());
}

#[test]
fn ends_of_lines_and_marks_come_through_as_they_were() {
    let (base, first, second) = ("a\\n b\r\nc d \\\\ e\r", "A\\n b\r\nc d \\\\ e\r", "a\\n b\r\nc d \\\\ E\r");
    assert_eq!(both(base, first, second), ("A\\n b\r\nc d \\\\ E\r".to_owned(), Vec::new()));
    let (base, first, second) = ("one\\r two\nthree", "one\\r 2\nthree", "1\\r two\nthree");
    assert_eq!(both(base, first, second), ("1\\r 2\nthree".to_owned(), Vec::new()));
}

#[test]
fn who_may_read_is_not_told_by_what_may_conflict() {
    let text = r#"
        [app]
        name = "texts"
        version = 1
        [tables.notes.columns]
        id = "uuid"
        owner = { type = "text", merge = "manual" }
        [tables.notes.access]
        read = "owner = claim('sub')"
        "#;
    let found = Schema::parse("landfall.toml", text).expect_err("a contradiction");
    assert!(found.to_string().contains("whose merge rule is `manual`"), "{found}");
}

#[test]
fn a_table_that_may_have_conflicts_has_a_table_for_them() {
    let text = r#"
        [app]
        name = "texts"
        version = 1
        [tables.notes.columns]
        id = "uuid"
        owner = "text"
        body = { type = "text", merge = "text" }
        [tables.notes.access]
        read = "TRUE"
        update = "owner <> ''"
        [shapes.conflicts]
        table = "notes_conflicts"
        "#;
    let schema = Schema::parse("landfall.toml", text).expect("a schema");
    let conflicts = schema.table("notes_conflicts").expect("the table");
    let names: Vec<&str> = conflicts.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(
        names,
        CONFLICT_COLUMNS.iter().map(|(name, _)| *name).chain(["id", "owner", "body"]).collect::<Vec<_>>()
    );
    let rules = &conflicts.access;
    assert_eq!((&rules.read, &rules.delete), (&schema.tables[0].access.read, &schema.tables[0].access.update));
    assert_eq!(schema, Schema::from_json(&schema.to_json()).expect("its compiled form"));
}
