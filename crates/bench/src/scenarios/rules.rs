//! What merge rules cost: an operation of each beside plain `lww` of the same values and beside a plain library where there is one,
//! and one row that a thousand write at once beside a thousand who write one after the other. In memory: what a commit costs
//! besides, `B-push` says.

use std::hint::black_box;
use std::time::{Duration, Instant};

use landfall_core::merge::{Author, Merged, StoredRow, merge};
use landfall_core::rules::list::{Hand, between, spread};
use landfall_core::rules::{MergeFunctions, MergeRule, Three};
use landfall_core::schema::{Column, Default, Table};
use landfall_core::{CellWrite, ColumnType, Operation, ReplicaId, RowKey, Stamp, Value};
use operational_transform::OperationSeq;
use similar::{MergeResolution, TextMerge};
use yrs::{Doc, ReadTxn as _, StateVector, Text as _, Transact as _};

use super::Context;
use crate::Fallible;
use crate::figures::Figure;

/// One cell under a rule, beside its key.
struct Cell {
    table: Table,
    rule: MergeRule,
}

impl Cell {
    fn new(rule: MergeRule, ty: ColumnType) -> Self {
        let default = rule.empty().map(Default::Value);
        let own = Column { merge: rule.clone(), required: default.is_some(), default, ..Column::plain("own", ty) };
        Self { table: Table::plain("t", vec![Column::plain("id", ColumnType::Integer), own]), rule }
    }

    /// The row as somebody makes it.
    fn begun(&self, value: &Value) -> Fallible<StoredRow> {
        let column = self.table.column("own").ok_or("the column is there")?;
        let (cells, key) = (vec![CellWrite::begins(column, value.clone())], RowKey::single(Value::Int(1)));
        let insert = Operation::Insert { table: "t".to_owned(), key, base: 0, cells };
        self.write(None, &insert, &author(1, 0))
    }

    /// What travels when somebody who has seen everything up to `base` makes one value of another one.
    fn edit(&self, base: u64, before: &Value, after: &Value) -> Operation {
        let change = self.rule.between(before, after);
        let is_change = change.is_some();
        let mut cell = CellWrite::new("own", change.unwrap_or_else(|| after.clone()));
        cell.change = self.rule.change().filter(|_| is_change);
        Operation::Update { table: "t".to_owned(), key: RowKey::single(Value::Int(1)), base, cells: vec![cell] }
    }

    fn write(&self, row: Option<&StoredRow>, operation: &Operation, author: &Author) -> Fallible<StoredRow> {
        match merge(&self.table, row, operation, author) {
            Merged::Put { row, .. } => Ok(row),
            Merged::Nothing { .. } => Ok(row.cloned().ok_or("an insert makes a row")?),
            Merged::Refused(problem) => Err(format!("{}: {}", self.rule.name(), problem.message).into()),
            Merged::Delete { .. } => Err("no update deletes".into()),
        }
    }
}

/// The author of this number, whose write gets this sequence.
fn author(seq: u64, number: u32) -> Author {
    let mut replica = [0; 16];
    replica[..4].copy_from_slice(&number.to_le_bytes());
    let stamp = Stamp { wall_ms: 1_000 + seq, counter: 0, replica: ReplicaId(replica) };
    Author { stamp, seq, now_ms: 1_000_000, is_fact: false }
}

/// Microseconds that one call takes: the median of many rounds.
fn micros(budget: Duration, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    call();
    let rounds = 25;
    let wanted = budget.as_secs_f64() / f64::from(rounds) / start.elapsed().as_secs_f64().max(1e-7);
    let calls = (wanted as u32).clamp(1, 100_000);
    let mut all: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            (0..calls).for_each(|_| call());
            start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
        })
        .collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// An edit of somebody who has not seen the one before it.
fn concurrent(cell: &Cell, [base, theirs, ours]: &[Value; 3], budget: Duration) -> Fallible<f64> {
    let row = cell.begun(base)?;
    let row = cell.write(Some(&row), &cell.edit(1, base, theirs), &author(2, 1))?;
    let (operation, by) = (cell.edit(1, base, ours), author(3, 2));
    cell.write(Some(&row), &operation, &by)?;
    Ok(micros(budget, || drop(black_box(merge(&cell.table, Some(&row), &operation, &by)))))
}

/// A page of text, with a word changed in one of its lines.
fn page(lines: usize, changed: Option<usize>) -> String {
    let line = |n| if Some(n) == changed { format!("line {n} of a page, CHANGED by somebody\n") } else { line_of(n) };
    (0..lines).map(line).collect()
}

fn line_of(n: usize) -> String {
    format!("line {n} of a page, written by somebody\n")
}

fn json(text: &str) -> Value {
    Value::Json(text.to_owned())
}

fn named(name: &str) -> Fallible<MergeRule> {
    MergeRule::named(name).ok_or_else(|| format!("there is no rule {name}").into())
}

/// The mean: what an app's function is.
fn custom() -> MergeRule {
    let mean = |three: &Three<'_>| match (three.ours, three.theirs) {
        (Value::Int(ours), Value::Int(theirs)) => Ok(Value::Int(i64::midpoint(*ours, *theirs))),
        _ => Err("no numbers".to_owned()),
    };
    MergeRule::custom("mean", ColumnType::Integer).with_functions(&MergeFunctions::new().on("mean", mean))
}

/// Each rule with values of its type: before, theirs, ours.
fn rules() -> Fallible<Vec<(MergeRule, ColumnType, [Value; 3])>> {
    let numbers = || [5, 7, 9].map(Value::Int);
    let words = || ["a title", "another title", "a third one"].map(Value::from);
    let pages = || [None, Some(5), Some(30)].map(|at| Value::from(page(40, at).as_str()));
    let sets = || ["[1,2,3,4,5,6,7,8]", "[1,2,3,4,5,6,7,8,9]", "[2,3,4,5,6,7,8,10]"].map(json);
    let maps = || {
        [r#"{"a":1,"b":{"c":2,"d":3}}"#, r#"{"a":5,"b":{"c":2,"d":3}}"#, r#"{"a":1,"b":{"c":2,"d":4},"e":6}"#].map(json)
    };
    let mut out = Vec::new();
    for name in ["first", "server", "client", "manual"] {
        out.push((named(name)?, ColumnType::Text, words()));
    }
    for name in ["max", "min", "counter"] {
        out.push((named(name)?, ColumnType::Integer, numbers()));
    }
    out.push((custom(), ColumnType::Integer, numbers()));
    out.push((named("set")?, ColumnType::Json, sets()));
    out.push((named("map")?, ColumnType::Json, maps()));
    out.push((named("list")?, ColumnType::Text, places()?));
    out.push((named("text")?, ColumnType::Text, pages()));
    out.push((named("ot")?, ColumnType::Text, pages()));
    Ok(out)
}

fn hand(number: u8) -> Hand {
    Hand { replica: ReplicaId([number; 16]), random: u16::from(number) }
}

/// A place in a list, and where two people move what is there.
fn places() -> Fallible<[Value; 3]> {
    let all = spread(1_000, hand(1)).ok_or("a thousand places")?;
    let theirs = between(Some(&all[300]), Some(&all[301]), hand(2)).ok_or("a place")?;
    let ours = between(Some(&all[700]), Some(&all[701]), hand(3)).ok_or("a place")?;
    Ok([&all[5], &theirs, &ours].map(|place| Value::from(place.as_str())))
}

/// What the plain library needs for the same three texts: their merge line by line.
fn plain_merge([base, theirs, ours]: &[String; 3]) -> String {
    let merge = TextMerge::<str>::from_lines(base, ours, theirs);
    let mut out = String::with_capacity(theirs.len());
    for region in merge.regions() {
        match region.resolution() {
            MergeResolution::Ours => out.extend(region.ours_range().filter_map(|at| merge.ours_line(at))),
            _ => out.extend(region.theirs_range().filter_map(|at| merge.theirs_line(at))),
        }
    }
    out
}

/// The word that is changed in a line, as operations.
fn plain_steps(text: &str, line: usize) -> OperationSeq {
    let at = text.lines().take(line).map(|l| l.len() as u64 + 1).sum::<u64>()
        + format!("line {line} of a page, ").len() as u64;
    let mut steps = OperationSeq::default();
    steps.retain(at);
    steps.insert("CHANGED");
    steps.delete("written".len() as u64);
    steps.retain(text.chars().count() as u64 - at - "written".len() as u64);
    steps
}

/// A document of so many lines, and an update of somebody who had it, each as bytes.
fn document() -> (Vec<u8>, Vec<u8>) {
    let doc = Doc::with_client_id(3);
    let text = doc.get_or_insert_text("body");
    text.push(&mut doc.transact_mut(), &page(40, None));
    let all = doc.transact().encode_state_as_update_v1(&StateVector::default());
    let mut transaction = doc.transact_mut();
    text.insert(&mut transaction, 100, "a word ");
    (all, transaction.encode_update_v1())
}

/// One operation of each rule.
pub async fn cost(context: Context) -> Fallible<Vec<Figure>> {
    let budget = Duration::from_millis(500) / context.scale;
    let mut figures = Vec::new();
    for (rule, ty, values) in rules()? {
        let own = concurrent(&Cell::new(rule.clone(), ty), &values, budget)?;
        let plain = concurrent(&Cell::new(MergeRule::LWW, ty), &values, budget)?;
        let what = if values[0].size() > 100 { ", a text of 1.5 kB" } else { "" };
        figures.push(Figure::new(format!("{}{what}; floor: lww", rule.name()), own, "µs").floor(plain));
    }
    let texts = [None, Some(5), Some(30)].map(|at| page(40, at));
    let values = texts.clone().map(|text| Value::from(text.as_str()));
    let text = concurrent(&Cell::new(named("text")?, ColumnType::Text), &values, budget)?;
    let plain = micros(budget, || drop(black_box(plain_merge(&texts))));
    figures.push(Figure::new("text; floor: similar alone", text, "µs").floor(plain));
    let ot = concurrent(&Cell::new(named("ot")?, ColumnType::Text), &values, budget)?;
    let (theirs, ours) = (plain_steps(&texts[0], 5), plain_steps(&texts[0], 30));
    let plain = micros(budget, || {
        let moved = theirs.transform(&ours).ok();
        drop(black_box(moved.and_then(|(_, ours)| ours.apply(&texts[1]).ok())));
    });
    figures.push(Figure::new("ot; floor: operational-transform alone", ot, "µs").floor(plain));
    let (all, update) = document();
    let own = micros(budget, || drop(black_box(landfall_doc::merge(&[&all, &update]))));
    let plain = micros(budget, || drop(black_box(yrs::merge_updates_v1([&all, &update]))));
    let all = spread(1_000, hand(1)).ok_or("a thousand places")?;
    let place = micros(budget, || drop(black_box(between(Some(&all[300]), Some(&all[301]), hand(2)))));
    figures.push(Figure::new("list: a place between two others", place, "µs"));
    figures.push(Figure::new("doc, an update put to a document; floor: yrs alone", own, "µs").floor(plain));
    Ok(figures)
}

/// What the writer of this number makes of what they see.
type Writer = fn(&Value, usize) -> Value;

/// So many write one cell: at once, each on what was there at first; and one after the other, each on what the one before left.
fn crowd(cell: &Cell, first: &Value, hand: Writer, writers: usize, at_once: bool) -> Fallible<(Duration, StoredRow)> {
    let mut row = cell.begun(first)?;
    let mut took = Duration::ZERO;
    for n in 0..writers {
        let seq = n as u64 + 2;
        let seen = if at_once { first.clone() } else { row.cells.get("own").cloned().unwrap_or(Value::Null) };
        // The writer's part: what travels is made on the device.
        let operation = cell.edit(if at_once { 1 } else { seq - 1 }, &seen, &hand(&seen, n));
        let start = Instant::now();
        row = cell.write(Some(&row), &operation, &author(seq, n as u32 + 1))?;
        took += start.elapsed();
    }
    Ok((took, row))
}

/// One row that a thousand write at once.
pub async fn crowds(context: Context) -> Fallible<Vec<Figure>> {
    let writers = 1_000 / context.scale as usize;
    let text = Value::from(page(writers, None).as_str());
    let words: Writer = |seen, n| {
        let text = seen.as_text().unwrap_or_default();
        Value::from(text.replacen(&line_of(n), &page(n + 1, Some(n))[page(n, None).len()..], 1).as_str())
    };
    let adds: Writer = |seen, n| match seen {
        Value::Json(list) if list == "[]" => json(&format!("[{n}]")),
        Value::Json(list) => json(&format!("{},{n}]", &list[..list.len() - 1])),
        _ => Value::Null,
    };
    let counts: Writer = |seen, _| if let Value::Int(n) = seen { Value::Int(n + 1) } else { Value::Null };
    let titles: Writer = |_, n| Value::from(format!("title {n}").as_str());
    let kinds: [(&str, ColumnType, Value, Writer); 5] = [
        ("lww", ColumnType::Text, Value::from("a title"), titles),
        ("counter", ColumnType::Integer, Value::Int(0), counts),
        ("set", ColumnType::Json, json("[]"), adds),
        ("text", ColumnType::Text, text.clone(), words),
        ("ot", ColumnType::Text, text, words),
    ];
    let mut figures = Vec::new();
    for (name, ty, first, hand) in kinds {
        let cell = Cell::new(named(name)?, ty);
        let (at_once, row) = crowd(&cell, &first, hand, writers, true)?;
        let (in_turn, other) = crowd(&cell, &first, hand, writers, false)?;
        let both = [&row, &other].map(|row| row.cells.get("own").cloned().unwrap_or(Value::Null));
        // What all of them did is there, either way.
        if name != "lww" && both[0].size() != both[1].size() {
            return Err(format!("{name}: what {writers} wrote at once is not what they wrote in turn").into());
        }
        let ms = |took: Duration| took.as_secs_f64() * 1e3;
        let what = format!("{name}, {writers} at once; floor: one after the other");
        figures.push(Figure::new(what, ms(at_once), "ms").floor(ms(in_turn)));
    }
    Ok(figures)
}
