//! The laws of `ot`: what several write into one text at once is all there, each letter once; what anybody deleted is gone; and
//! all come to the same text, which the order in which the server accepted it decides.

use std::collections::{BTreeMap, BTreeSet};

use landfall_core::merge::{Author, Merged, StoredRow, merge};
use landfall_core::rules::MergeRule;
use landfall_core::schema::{Column, Default, Table};
use landfall_core::{CellWrite, Change, ColumnType, Operation, ReplicaId, RowKey, Schema, Stamp, Value};
use proptest::prelude::*;
use proptest::sample::Index;

fn rule() -> MergeRule {
    MergeRule::named("ot").expect("a rule")
}

fn table() -> Table {
    let body = Column {
        merge: rule(),
        required: true,
        default: Some(Default::Value("".into())),
        max_length: Some(2_000),
        ..Column::plain("body", ColumnType::Text)
    };
    Table::plain("t", vec![Column::plain("id", ColumnType::Integer), body])
}

fn author(seq: u64, replica: u8) -> Author {
    let stamp = Stamp { wall_ms: seq, counter: 0, replica: ReplicaId([replica; 16]) };
    Author { stamp, seq, now_ms: 1_000, is_fact: false }
}

fn between(was: &str, is: &str) -> Value {
    rule().between(&was.into(), &is.into()).expect("a change")
}

fn edit(was: &str, is: &str) -> CellWrite {
    CellWrite { change: Some(Change::Edit), ..CellWrite::new("body", between(was, is)) }
}

fn key() -> RowKey {
    RowKey::single(Value::Int(1))
}

fn update(base: u64, cell: CellWrite) -> Operation {
    Operation::Update { table: "t".into(), key: key(), base, cells: vec![cell] }
}

fn insert(base: u64, body: &str) -> Operation {
    let cells = vec![CellWrite::begins(&table().columns[1], body.into())];
    Operation::Insert { table: "t".into(), key: key(), base, cells }
}

/// The row afterwards; nothing ever gives way.
fn write(stored: Option<&StoredRow>, operation: &Operation, author: &Author) -> StoredRow {
    match merge(&table(), stored, operation, author) {
        Merged::Put { row, lost, siblings, .. } => {
            assert_eq!((lost, siblings), (Vec::new(), Vec::new()));
            row
        }
        other => panic!("{other:?}"),
    }
}

fn body(row: &StoredRow) -> &str {
    row.cells["body"].as_text().expect("a text")
}

/// What the second one's write makes of it where the first one's is there.
fn both(base: &str, first: &str, second: &str) -> String {
    let row = write(None, &insert(0, base), &author(1, 0));
    let row = write(Some(&row), &update(1, edit(base, first)), &author(2, 1));
    assert_eq!(body(&row), first);
    body(&write(Some(&row), &update(1, edit(base, second)), &author(3, 2))).to_owned()
}

/// A letter that nobody else writes: of two to four bytes.
fn letter(n: u32) -> char {
    let first = [0x100, 0x4e00, 0x1f300][n as usize % 3];
    char::from_u32(first + n).expect("a letter")
}

fn alike(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { 'a' }).collect()
}

/// What a device does next.
#[derive(Clone, Debug)]
enum Event {
    /// Replaces so many letters by so many of its own.
    Edit { at: Index, delete: usize, insert: u32 },
    /// Sends the oldest edit that was not sent.
    Push,
    /// Takes over what the server has.
    Pull,
}

fn events() -> impl Strategy<Value = Vec<(usize, Event)>> {
    let edit = (any::<Index>(), 0usize..4, 0u32..4).prop_map(|(at, delete, insert)| Event::Edit { at, delete, insert });
    let event = prop_oneof![4 => edit, 3 => Just(Event::Push), 2 => Just(Event::Pull)];
    prop::collection::vec((0usize..4, event), 1..60)
}

/// A device: what it has from the server, and its own edits that are not in that.
struct Device {
    confirmed: String,
    base: u64,
    pending: Vec<Pending>,
}

struct Pending {
    base: u64,
    change: Value,
    is_sent: bool,
}

impl Device {
    fn shown(&self) -> String {
        let over = |to: Value, pending: &Pending| rule().applied(&to, &pending.change).expect("a text");
        match self.pending.iter().fold(Value::from(self.confirmed.as_str()), over) {
            Value::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }
}

struct World {
    row: StoredRow,
    /// The same, where all letters are alike.
    alike: StoredRow,
    seq: u64,
    devices: Vec<Device>,
    letters: u32,
    written: BTreeSet<char>,
    deleted: BTreeSet<char>,
    /// What each edit inserted, in its order.
    runs: Vec<Vec<char>>,
}

impl World {
    fn new() -> Self {
        let start: String = (0..6).map(letter).collect();
        let device = || Device { confirmed: start.clone(), base: 1, pending: Vec::new() };
        Self {
            row: write(None, &insert(0, &start), &author(1, 9)),
            alike: write(None, &insert(0, &alike(&start)), &author(1, 9)),
            seq: 1,
            devices: (0..4).map(|_| device()).collect(),
            letters: 6,
            written: start.chars().collect(),
            deleted: BTreeSet::new(),
            runs: Vec::new(),
        }
    }

    fn edit(&mut self, device: usize, at: Index, delete: usize, insert: u32) {
        let device = &mut self.devices[device];
        let was = device.shown();
        let mut letters: Vec<char> = was.chars().collect();
        let at = at.index(letters.len() + 1);
        let end = letters.len().min(at + delete);
        let run: Vec<char> = (self.letters..self.letters + insert).map(letter).collect();
        self.letters += insert;
        self.written.extend(&run);
        self.deleted.extend(letters.splice(at..end, run.iter().copied()));
        self.runs.push(run);
        let is: String = letters.into_iter().collect();
        device.pending.push(Pending { base: device.base, change: between(&was, &is), is_sent: false });
        assert_eq!(device.shown(), is, "what one types is what one sees");
    }

    fn push(&mut self, at: usize) {
        let Some(pending) = self.devices[at].pending.iter_mut().find(|pending| !pending.is_sent) else { return };
        pending.is_sent = true;
        self.seq += 1;
        let Value::Json(change) = &pending.change else { panic!("no change") };
        for (row, change) in [(&mut self.row, change.clone()), (&mut self.alike, alike(change))] {
            let cell = CellWrite { change: Some(Change::Edit), ..CellWrite::new("body", Value::Json(change)) };
            *row = write(Some(row), &update(pending.base, cell), &author(self.seq, at as u8));
        }
    }

    fn pull(&mut self, at: usize) {
        let device = &mut self.devices[at];
        device.pending.retain(|pending| !pending.is_sent);
        (device.confirmed, device.base) = (body(&self.row).to_owned(), self.seq);
    }

    fn settle(&mut self) {
        for at in 0..self.devices.len() {
            while self.devices[at].pending.iter().any(|pending| !pending.is_sent) {
                self.push(at);
            }
        }
        (0..self.devices.len()).for_each(|at| self.pull(at));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each device takes over what others did when it has sent all of its own.
    #[test]
    fn what_several_write_at_once_is_all_there_once_and_what_anybody_deleted_is_gone(events in events()) {
        let mut world = World::new();
        for (device, event) in events {
            match event {
                Event::Edit { at, delete, insert } => world.edit(device, at, delete, insert),
                Event::Push => world.push(device),
                Event::Pull if world.devices[device].pending.iter().all(|pending| pending.is_sent) => world.pull(device),
                Event::Pull => {}
            }
        }
        world.settle();
        let text = body(&world.row);
        prop_assert!(world.devices.iter().all(|device| device.shown() == text));
        let expected: BTreeSet<char> = world.written.difference(&world.deleted).copied().collect();
        prop_assert_eq!(text.chars().collect::<BTreeSet<_>>(), expected, "{:?}", text);
        prop_assert_eq!(text.chars().count(), world.written.len() - world.deleted.len(), "each once");
        // No guess by the letters.
        prop_assert_eq!(body(&world.alike), alike(text));
        // What somebody typed in one go stands in its order.
        let place: BTreeMap<char, usize> = text.chars().zip(0..).collect();
        for run in world.runs {
            prop_assert!(run.iter().filter_map(|letter| place.get(letter)).is_sorted());
        }
    }

    /// In between, too: on a device that shows its edits over what it has of others, and goes on from there.
    #[test]
    fn nothing_that_was_typed_is_ever_gone_or_there_twice(events in events()) {
        let mut world = World::new();
        for (device, event) in events {
            match event {
                Event::Edit { at, delete, insert } => world.edit(device, at, delete, insert),
                Event::Push => world.push(device),
                Event::Pull => world.pull(device),
            }
            for device in &world.devices {
                let shown = device.shown();
                prop_assert_eq!(shown.chars().collect::<BTreeSet<_>>().len(), shown.chars().count());
            }
        }
        world.settle();
        let text = body(&world.row);
        let there: BTreeSet<char> = text.chars().collect();
        prop_assert!(world.devices.iter().all(|device| device.shown() == text));
        prop_assert_eq!(there.len(), text.chars().count(), "each once");
        let kept = world.written.difference(&world.deleted);
        let gone: Vec<_> = kept.filter(|letter| !there.contains(letter)).collect();
        prop_assert!(gone.is_empty(), "{:?} of {:?}", gone, text);
    }

    #[test]
    fn who_writes_alone_has_it_as_it_was_written_however_old_the_base_is(
        edits in prop::collection::vec(("[ab❄]{0,6}", any::<bool>()), 1..40),
    ) {
        let mut row = write(None, &insert(0, ""), &author(1, 1));
        let (mut seq, mut base) = (1, 1);
        for (is, sees) in edits {
            seq += 1;
            row = write(Some(&row), &update(base, edit(body(&row), &is)), &author(seq, 1));
            prop_assert_eq!(body(&row), is);
            base = if sees { seq } else { base };
        }
    }

    #[test]
    fn two_changes_as_one_do_what_both_do(start in ".{0,12}", one in ".{0,12}", two in ".{0,12}", other in ".{0,12}") {
        let (first, second) = (between(&start, &one), between(&one, &two));
        let sum = rule().joined(&first, &second).unwrap();
        prop_assert_eq!(rule().applied(&start.into(), &sum), Some(two.clone().into()));
        prop_assert_eq!(rule().flaw_of_change(&sum), None);
        prop_assert_eq!(rule().joined(&first, &between(&other, &two)).is_some(), one == other);
    }

    /// Whatever others did elsewhere: what was deleted is back, and what was inserted is gone.
    #[test]
    fn an_undo_takes_back_ones_own_and_nothing_else(
        head in "[a-f]{0,8}", was in "[g-k]{0,8}", is in "[l-p]{0,8}", tail in "[q-t]{0,8}", other in "[u-z]{1,8}",
        at in any::<Index>(),
    ) {
        let before = format!("{head}{was}{tail}");
        let change = between(&before, &format!("{head}{is}{tail}"));
        let mut letters: Vec<char> = head.chars().collect();
        let at = at.index(letters.len() + 1);
        letters.splice(at..at, other.chars());
        let head: String = letters.into_iter().collect();
        let taken = rule().taken_back(&format!("{head}{is}{tail}").into(), &before.into(), &change).unwrap();
        let Value::Text(text) = taken.value else { panic!("no text") };
        prop_assert!(taken.is_whole);
        // Side by side either may stand first.
        let sorted = |text: &str| text.chars().collect::<BTreeSet<_>>();
        prop_assert_eq!(sorted(&text), sorted(&format!("{head}{was}{tail}")));
        prop_assert_eq!(text.chars().count(), format!("{head}{was}{tail}").chars().count());
    }

    #[test]
    fn whatever_comes_is_refused_with_a_reason_or_a_change(
        was in ".{0,6}",
        steps in prop::collection::vec(
            prop_oneof![
                (-4i64..5).prop_map(|n| n.to_string()),
                prop::sample::select(vec![i64::MAX, i64::MIN, i64::MIN + 1]).prop_map(|n| n.to_string()),
                prop::sample::select(vec![
                    "18446744073709551615", "1.5", "1e300", "null", "[]", "\"\"", "\"\\ud83c\\udf0a\"", "\"e\\u0301\"",
                    "\"\\ud83c\"",
                ])
                .prop_map(str::to_owned),
            ],
            0..6,
        ),
        now in ".{0,12}",
    ) {
        let text = format!("{{\"was\":{},\"steps\":[{}]}}", serde_json::to_string(&was).unwrap(), steps.join(","));
        let change = Value::Json(text);
        let after = rule().applied(&now.clone().into(), &change);
        prop_assert_eq!(rule().flaw_of_change(&change).is_none(), after.is_some());
        let _ = (rule().joined(&change, &change), rule().taken_back(&now.into(), &Value::Null, &change));
        let row = write(None, &insert(0, "ab"), &author(1, 0));
        let cell = CellWrite { change: Some(Change::Edit), ..CellWrite::new("body", change) };
        match merge(&table(), Some(&row), &update(1, cell), &author(2, 1)) {
            Merged::Put { .. } => prop_assert!(after.is_some()),
            Merged::Refused(problem) => prop_assert!(after.is_none(), "{problem:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn of_two_who_insert_at_one_place_the_one_that_was_accepted_first_stands_first() {
    assert_eq!(both("sea", "my sea", "our sea"), "my our sea");
    assert_eq!(both("", "one ", "two "), "one two ");
    assert_eq!(both("wind", "winds", "windy"), "windsy");
}

#[test]
fn what_both_delete_is_deleted_once_and_what_is_inserted_within_it_stays() {
    assert_eq!(both("0123456789", "012789", "01236789"), "012789");
    assert_eq!(both("0123456789", "0189", "0123xyz456789"), "01xyz89");
    assert_eq!(both("0123456789", "0123xyz456789", "0189"), "01xyz89");
    assert_eq!(both("ab", "", "a🌊b"), "🌊");
}

/// Which of several letters that are alike somebody deleted is known from what was done, and not from how it looks.
#[test]
fn a_base_is_brought_up_to_date_by_what_was_done_to_it() {
    let done = |was: &str, steps: &str| {
        let change = Value::Json(format!("{{\"was\":\"{was}\",\"steps\":{steps}}}"));
        CellWrite { change: Some(Change::Edit), ..CellWrite::new("body", change) }
    };
    let row = write(None, &insert(0, "aaaa"), &author(1, 0));
    let row = write(Some(&row), &update(1, done("aaaa", "[-1,3]")), &author(2, 1));
    let row = write(Some(&row), &update(1, done("aaaa", "[1,\"x\",3]")), &author(3, 2));
    assert_eq!(body(&row), "xaaa");
    // On top of that, by somebody who has not seen the first one yet; and by somebody who has seen all.
    let row = write(Some(&row), &update(1, done("axaaa", "[2,\"y\",3]")), &author(4, 2));
    assert_eq!(body(&row), "xyaaa");
    let row = write(Some(&row), &update(4, done("xyaaa", "[2,-1,2]")), &author(5, 3));
    assert_eq!(body(&row), "xyaa");
    let row = write(Some(&row), &update(2, done("xyaaa", "[3,\"z\",2]")), &author(6, 2));
    assert_eq!(body(&row), "xyzaa");
}

/// The letter that the refused edit had replaced is the author's own, and goes, though the server had it put back in the meantime.
#[test]
fn an_author_whose_earlier_edit_was_refused_goes_on_from_a_text_that_nobody_has() {
    let row = write(None, &insert(0, "xy"), &author(1, 0));
    let row = write(Some(&row), &insert(0, "p"), &author(2, 1));
    assert_eq!(body(&row), "xyp");
    // What made "q" of "p" was refused, and what stood on that was not.
    let row = write(Some(&row), &update(0, edit("q", "qr")), &author(3, 1));
    assert_eq!(body(&row), "xypr");
    let row = write(Some(&row), &update(0, edit("pr", "")), &author(4, 1));
    assert_eq!(body(&row), "xy");
}

/// What an author wrote under another id looks like somebody else's: it leads to the text that is there by its length, and is of
/// other letters.
#[test]
fn an_author_who_has_another_id_now_is_not_taken_for_one_who_has_seen_nothing() {
    let row = write(None, &insert(0, "axb"), &author(1, 0));
    let row = write(Some(&row), &update(1, edit("axb", "apq")), &author(2, 1));
    let row = write(Some(&row), &update(1, edit("apq", "azpq")), &author(3, 1));
    let row = write(Some(&row), &update(1, edit("azpq", "azq")), &author(4, 1));
    let row = write(Some(&row), &update(1, edit("azq", "azNq")), &author(5, 2));
    assert_eq!(body(&row), "azNq");
}

#[test]
fn letters_are_code_points_on_every_side() {
    assert_eq!(between("e\u{301}🌊", "e🌊!"), Value::Json("{\"steps\":[1,-1,1,\"!\"],\"was\":\"e\u{301}🌊\"}".into()));
    assert_eq!(both("👩\u{200d}🚀 sea", "👩\u{200d}🚀 see", "👩\u{200d}🚀🌊 sea"), "👩\u{200d}🚀🌊 see");
}

#[test]
fn a_base_that_is_longer_ago_than_what_is_kept_is_made_up_for() {
    let start = "The sea.";
    let mut row = write(None, &insert(0, start), &author(1, 0));
    for n in 0..600u64 {
        let was = body(&row).to_owned();
        // Now in front, now at the end; what is in between stays.
        let is = if n % 2 == 0 { format!("{}{was}", letter(n as u32)) } else { format!("{was}{}", letter(n as u32)) };
        row = write(Some(&row), &update(1 + n, edit(&was, &is)), &author(2 + n, (n % 7) as u8 + 1));
    }
    let before = body(&row).to_owned();
    let row = write(Some(&row), &update(1, edit(start, "The deep sea.")), &author(700, 20));
    assert_eq!(body(&row), before.replace("The sea.", "The deep sea."));
    // What the same device wrote on top of that, before it heard of anything.
    let row = write(Some(&row), &update(1, edit("The deep sea.", "The deep, deep sea")), &author(701, 20));
    assert_eq!(body(&row), before.replace("The sea.", "The deep, deep sea"));
}

#[test]
fn an_edit_meets_a_text_that_was_written_past_the_rule() {
    let row = write(None, &insert(0, "one two"), &author(1, 0));
    let row = write(Some(&row), &update(1, edit("one two", "one two three")), &author(2, 1));
    let fact = Author { is_fact: true, ..author(3, 8) };
    let row = write(Some(&row), &update(2, CellWrite::new("body", "ONE two three".into())), &fact);
    assert_eq!(body(&row), "ONE two three");
    let row = write(Some(&row), &update(1, edit("one two", "one, two")), &author(4, 2));
    assert_eq!(body(&row), "ONE, two three");
    // Nothing that is kept fits a row that somebody replaced without a word.
    let row = StoredRow { cells: [("id".into(), Value::Int(1)), ("body".into(), "two".into())].into(), ..row };
    let row = write(Some(&row), &update(2, edit("one two three", "one two three!")), &author(5, 1));
    assert_eq!(body(&row), "two!");
}

#[test]
fn what_becomes_too_long_together_is_refused_and_says_so() {
    let (first, second) = ("x".repeat(1_500), "y".repeat(1_500));
    let row = write(None, &insert(0, ""), &author(1, 0));
    let row = write(Some(&row), &update(1, edit("", &first)), &author(2, 1));
    match merge(&table(), Some(&row), &update(1, edit("", &second)), &author(3, 2)) {
        Merged::Refused(problem) => assert_eq!(problem.code.as_str(), "LF-2003", "{problem:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_two_who_make_one_row_both_texts_are_there_and_one_that_is_made_again_adds_nothing() {
    let row = write(None, &insert(0, "mine"), &author(1, 1));
    let row = write(Some(&row), &insert(0, "yours"), &author(2, 2));
    assert_eq!(body(&row), "mineyours");
    let row = write(Some(&row), &insert(2, "mine"), &author(3, 1));
    assert_eq!(body(&row), "mineyours");
}

#[test]
fn there_are_no_conflicts_and_another_rule_cannot_take_over_its_changes() {
    let schema = |merge: &str| {
        let text = format!(
            "[app]\nname = \"notes\"\nversion = 1\n[tables.notes.columns]\nid = \"uuid\"\n\
             body = {{ type = \"text\", {merge} }}\n"
        );
        Schema::parse("landfall.toml", &text).expect("a schema")
    };
    let ot = schema("merge = \"ot\"");
    assert!(ot.table("notes_conflicts").is_none());
    assert!(ot.table("notes").and_then(|table| table.column("body")).expect("there").required);
    assert!(Schema::check_upgrade(&schema("required = true"), &ot).is_ok());
    assert!(Schema::check_upgrade(&ot, &schema("merge = \"text\"")).is_err());
    assert!(Schema::check_upgrade(&schema("merge = \"text\""), &ot).is_err());
}
