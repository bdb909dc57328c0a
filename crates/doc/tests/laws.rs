//! What holds of updates whoever wrote them, in whatever order they come, and however many are put together.

use landfall_doc::sync::{Frame, Present, decode};
use landfall_doc::{NOTHING, check, compact, diff, merge, state_vector, text};
use proptest::prelude::*;
use yrs::block::ClientID;
use yrs::updates::decoder::Decode as _;
use yrs::{Doc, GetString as _, OffsetKind, Options, ReadTxn as _, Text as _, Transact as _, Update};

/// What one of the authors does, at a place in thousandths of the text.
#[derive(Clone, Debug)]
enum Step {
    Insert {
        by: usize,
        at: u32,
        what: String,
    },
    Remove {
        by: usize,
        at: u32,
        length: u32,
    },
    /// One hears all that another one knows.
    Hear {
        by: usize,
        from: usize,
    },
}

const AUTHORS: usize = 4;

fn step() -> impl Strategy<Value = Step> {
    let (by, at) = (0..AUTHORS, 0..1_000_u32);
    prop_oneof![
        4 => (by.clone(), at.clone(), "[a-z äé🌊]{1,6}").prop_map(|(by, at, what)| Step::Insert { by, at, what }),
        2 => (by.clone(), at, 1..5_u32).prop_map(|(by, at, length)| Step::Remove { by, at, length }),
        2 => (by.clone(), by).prop_map(|(by, from)| Step::Hear { by, from }),
    ]
}

fn author(number: usize) -> Doc {
    let id = ClientID::new(number as u64 + 10);
    Doc::with_options(Options { offset_kind: OffsetKind::Utf16, ..Options::with_client_id(id) })
}

fn body(doc: &Doc) -> String {
    let text = doc.get_or_insert_text("body");
    text.get_string(&doc.transact())
}

/// A place that is not in the middle of a character.
fn place(body: &str, at: u32) -> u32 {
    let chars: Vec<char> = body.chars().collect();
    let upto = chars.len() * at as usize / 1_000;
    chars[..upto].iter().map(|c| c.len_utf16() as u32).sum()
}

/// The updates that a random history of several authors leaves, in the order in which they were written, and its outcome.
fn history(steps: &[Step]) -> (Vec<Vec<u8>>, String) {
    let docs: Vec<Doc> = (0..AUTHORS).map(author).collect();
    let mut updates = Vec::new();
    for step in steps {
        match step {
            Step::Insert { by, at, what } => {
                let doc = &docs[*by];
                let (now, text) = (body(doc), doc.get_or_insert_text("body"));
                let mut txn = doc.transact_mut();
                text.insert(&mut txn, place(&now, *at), what);
                updates.push(txn.encode_update_v1());
            }
            Step::Remove { by, at, length } => {
                let doc = &docs[*by];
                let (now, text) = (body(doc), doc.get_or_insert_text("body"));
                let from = place(&now, *at);
                let chars = now.encode_utf16().count() as u32;
                // Whole characters only: half of one is nobody's edit.
                let rest: String =
                    char::decode_utf16(now.encode_utf16().skip(from as usize)).map(|c| c.unwrap_or('?')).collect();
                let length: u32 = rest.chars().take(*length as usize).map(|c| c.len_utf16() as u32).sum();
                if from + length > chars || length == 0 {
                    continue;
                }
                let mut txn = doc.transact_mut();
                text.remove_range(&mut txn, from, length);
                updates.push(txn.encode_update_v1());
            }
            Step::Hear { by, from } => {
                let known = docs[*by].transact().state_vector();
                let news = docs[*from].transact().encode_state_as_update_v1(&known);
                docs[*by].transact_mut().apply_update(Update::decode_v1(&news).unwrap()).unwrap();
            }
        }
    }
    let all = author(99);
    for update in &updates {
        all.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
    }
    let outcome = body(&all);
    (updates, outcome)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// In any order, any of them twice, in groups of any size put together in either way, in any number of rounds: the same.
    #[test]
    fn updates_are_the_document_however_they_come(
        steps in prop::collection::vec(step(), 1..60),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..120),
        groups in prop::collection::vec((1..9_usize, any::<bool>()), 1..40),
    ) {
        let (mut updates, outcome) = history(&steps);
        prop_assert_eq!(text(&updates, "body").unwrap(), outcome.clone());
        if updates.is_empty() {
            return Ok(());
        }
        for index in &order {
            let at = index.index(updates.len());
            let again = updates[at].clone();
            updates.swap(0, at);
            if order.len() % 3 == 0 {
                updates.push(again);
            }
        }
        for (size, whole) in &groups {
            let size = (*size).min(updates.len());
            let group: Vec<Vec<u8>> = updates.drain(..size).collect();
            for update in &group {
                check(update).unwrap();
            }
            let one = if *whole { compact(&group) } else { merge(&group) };
            updates.push(one.unwrap());
        }
        prop_assert_eq!(text(&updates, "body").unwrap(), outcome.clone());
        let last = compact(&updates).unwrap();
        prop_assert_eq!(text(&[&last], "body").unwrap(), outcome);
    }

    /// Whoever has a part asks for the rest, and has everything then.
    #[test]
    fn what_somebody_lacks_is_told_from_what_they_have(
        steps in prop::collection::vec(step(), 1..60),
        has in any::<prop::sample::Index>(),
        missing in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (mut updates, outcome) = history(&steps);
        let late = missing.filter(|_| !updates.is_empty()).map(|at| updates.remove(at.index(updates.len())));
        let has = &updates[..has.index(updates.len() + 1)];
        let rest = diff(&updates, &state_vector(has).unwrap()).unwrap();
        // One that was late fits in where it belongs.
        let all: Vec<&[u8]> = has.iter().chain([&rest]).chain(&late).map(Vec::as_slice).collect();
        prop_assert_eq!(text(&all, "body").unwrap(), outcome);
    }

    /// Two servers that do the same store the same bytes.
    #[test]
    fn the_same_updates_give_the_same_bytes(steps in prop::collection::vec(step(), 1..60)) {
        let (updates, _) = history(&steps);
        prop_assert_eq!(merge(&updates).unwrap(), merge(&updates).unwrap());
        prop_assert_eq!(compact(&updates).unwrap(), compact(&updates).unwrap());
    }

    /// Garbage, and updates that were damaged on their way, are refused or are updates: nothing ends, nothing panics.
    #[test]
    fn what_is_no_update_is_refused(
        steps in prop::collection::vec(step(), 1..30),
        hurts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        garbage in prop::collection::vec(any::<u8>(), 0..200),
        cut in any::<prop::sample::Index>(),
    ) {
        let (updates, _) = history(&steps);
        let mut hurt = merge(&updates).unwrap();
        for (at, byte) in &hurts {
            let at = at.index(hurt.len());
            hurt[at] = *byte;
        }
        hurt.truncate(cut.index(hurt.len() + 1).max(hurt.len() / 2));
        for bytes in [hurt, garbage] {
            if check(&bytes).is_ok() {
                // Whatever it is, it does not hinder the others.
                let mut all = updates.clone();
                all.push(bytes.clone());
                let _ = merge(&all);
                let _ = compact(&all);
                let _ = text(&all, "body");
            }
            let _ = diff(&updates, &bytes);
            let _ = decode(&bytes);
        }
    }

    /// What is said is what is heard.
    #[test]
    fn frames_survive_the_wire(
        vector in prop::collection::vec(any::<u8>(), 0..300),
        clock in any::<u32>(),
        id in 0..(1_u64 << 53) - 1,
    ) {
        let present = Present { clock, state: r#"{"user":{"name":"Ada"}}"#.into() };
        let frames = [
            Frame::Rest(vector.clone()),
            Frame::Update(vector),
            Frame::Awareness(vec![(id, present)]),
            Frame::WhoIsThere,
            Frame::Denied("no".into()),
        ];
        for frame in frames {
            prop_assert_eq!(decode(&frame.encode()).unwrap(), [frame]);
        }
    }
}

/// What was deleted is gone once the whole document is put together.
#[test]
fn a_long_history_is_no_longer_than_what_it_left() {
    let doc = author(0);
    let text_of = doc.get_or_insert_text("body");
    let mut updates = Vec::new();
    for round in 0..200_u32 {
        let mut txn = doc.transact_mut();
        text_of.insert(&mut txn, 0, &format!("a long line that is deleted again {round} "));
        updates.push(txn.encode_update_v1());
        let length = text_of.len(&txn);
        text_of.remove_range(&mut txn, 0, length);
        updates.push(txn.encode_update_v1());
    }
    let merged = merge(&updates).unwrap();
    let compacted = compact(&updates).unwrap();
    assert!(compacted.len() * 20 < merged.len(), "{} of {}", compacted.len(), merged.len());
    assert_eq!(text(&[compacted], "body").unwrap(), "");
}

/// What waits for an update that is not here is not lost by putting together what is.
#[test]
fn what_waits_for_others_is_kept() {
    let steps: Vec<Step> = (0..20).map(|n| Step::Insert { by: 0, at: 1_000, what: format!("{n} ") }).collect();
    let (updates, outcome) = history(&steps);
    let (first, later) = updates.split_at(1);
    for put_together in [merge::<Vec<u8>>, compact::<Vec<u8>>] {
        let later = put_together(later).unwrap();
        assert_eq!(text(&[&later], "body").unwrap(), "");
        assert_eq!(text(&[&later, &first[0]], "body").unwrap(), outcome);
    }
    assert_eq!(merge::<&[u8]>(&[]).unwrap(), NOTHING);
}

/// Forty thousand bytes that end whoever reads them by calling themselves.
#[test]
fn values_within_values_end_nobody() {
    for (levels, is_taken) in [(60, true), (20_000, false), (2_000_000, false)] {
        let nested = [0x75, 1].repeat(levels);
        let update = [&[1, 1, 1, 0, 0x08, 1, 1, b'a', 1][..], &nested, &[0x7e, 0]].concat();
        assert_eq!(check(&update).is_ok(), is_taken, "{levels} levels");
        assert_eq!(merge(&[&update[..], NOTHING]).is_ok(), is_taken);
    }
}
