//! What is condensed is the same document for everybody, whatever they know of it already and do next; and what was deleted in it
//! is not there any more.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use landfall_doc::{NOTHING, check, compact, condense, diff, merge, state_vector, text};
use proptest::prelude::*;
use yrs::block::ClientID;
use yrs::types::text::YChange;
use yrs::types::{Attrs, ToJson as _};
use yrs::updates::decoder::Decode as _;
use yrs::{
    Any, Array as _, ArrayPrelim, Doc, Map as _, MapPrelim, OffsetKind, Options, Out, ReadTxn as _, StateVector,
    Text as _, Transact as _, TransactionMut, Update, WriteTxn as _, Xml as _, XmlElementPrelim, XmlFragment as _,
    XmlOut, XmlTextPrelim,
};

const AUTHORS: usize = 3;

/// What one of them does; places are thousandths of what is there.
#[derive(Clone, Debug)]
enum Step {
    Type(u32, String),
    Strike(u32, u32),
    Bold(u32, u32),
    Embed(u32),
    /// A block of a page, with a block and a text within.
    Block(u32, String),
    /// A text into the text of a block, however deep that is.
    Line(u32, String),
    Attribute(u32, String),
    Unblock(u32),
    Put(u8, String),
    Within(u8, String),
    Remove(u8),
    Add(u32, Vec<String>),
    Nest(u32, String),
    Drop(u32, u32),
    /// Hears all that another one knows.
    Hear(usize),
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let (at, word, key) = (0..1_000_u32, "[a-z é🌊]{1,5}", 0..3_u8);
    let what = prop_oneof![
        4 => (at.clone(), word).prop_map(|(at, word)| Step::Type(at, word)),
        3 => (at.clone(), 1..6_u32).prop_map(|(at, length)| Step::Strike(at, length)),
        1 => (at.clone(), 1..6_u32).prop_map(|(at, length)| Step::Bold(at, length)),
        1 => at.clone().prop_map(Step::Embed),
        2 => (at.clone(), word).prop_map(|(at, word)| Step::Block(at, word)),
        2 => (at.clone(), word).prop_map(|(at, word)| Step::Line(at, word)),
        1 => (at.clone(), word).prop_map(|(at, word)| Step::Attribute(at, word)),
        2 => at.clone().prop_map(Step::Unblock),
        2 => (key.clone(), word).prop_map(|(key, word)| Step::Put(key, word)),
        1 => (key.clone(), word).prop_map(|(key, word)| Step::Within(key, word)),
        1 => key.prop_map(Step::Remove),
        2 => (at.clone(), prop::collection::vec(word, 1..4)).prop_map(|(at, words)| Step::Add(at, words)),
        1 => (at.clone(), word).prop_map(|(at, word)| Step::Nest(at, word)),
        2 => (at, 1..4_u32).prop_map(|(at, length)| Step::Drop(at, length)),
        3 => (0..AUTHORS).prop_map(Step::Hear),
    ];
    (0..AUTHORS, what)
}

fn author(number: usize) -> Doc {
    let id = ClientID::new(number as u64 + 10);
    let doc = Doc::with_options(Options { offset_kind: OffsetKind::Utf16, ..Options::with_client_id(id) });
    doc.get_or_insert_text("body");
    doc.get_or_insert_xml_fragment("page");
    doc.get_or_insert_map("facts");
    doc.get_or_insert_array("list");
    doc
}

fn hear(doc: &Doc, update: &[u8]) {
    doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
}

fn all_of(doc: &Doc, known: &StateVector) -> Vec<u8> {
    doc.transact().encode_state_as_update_v1(known)
}

/// A place that is not in the middle of a character.
fn place(body: &str, at: u32) -> u32 {
    let chars: Vec<char> = body.chars().collect();
    chars[..chars.len() * at as usize / 1_000].iter().map(|c| c.len_utf16() as u32).sum()
}

fn share(at: u32, length: u32) -> u32 {
    (u64::from(length) * u64::from(at) / 1_000) as u32
}

fn act(txn: &mut TransactionMut<'_>, step: &Step) {
    let (body, page) = (txn.get_or_insert_text("body"), txn.get_or_insert_xml_fragment("page"));
    let (facts, list) = (txn.get_or_insert_map("facts"), txn.get_or_insert_array("list"));
    // With something that is no letter for each picture.
    let letters: String = body
        .diff(txn, YChange::identity)
        .into_iter()
        .map(|part| if let Out::Any(Any::String(text)) = part.insert { text.to_string() } else { "\u{fffc}".into() })
        .collect();
    let run = |at: u32, length: u32| {
        let from = place(&letters, at);
        let units: Vec<u16> = letters.encode_utf16().skip(from as usize).collect();
        let rest: String = char::decode_utf16(units).map(|c| c.unwrap_or('?')).collect();
        (from, rest.chars().take(length as usize).map(|c| c.len_utf16() as u32).sum::<u32>())
    };
    match step {
        Step::Type(at, what) => body.insert(txn, place(&letters, *at), what),
        Step::Strike(at, length) => {
            let (from, length) = run(*at, *length);
            if length > 0 {
                body.remove_range(txn, from, length);
            }
        }
        Step::Bold(at, length) => {
            let (from, length) = run(*at, *length);
            if length > 0 {
                body.format(txn, from, length, Attrs::from([("bold".into(), Any::Bool(true))]));
            }
        }
        Step::Embed(at) => {
            body.insert_embed(txn, place(&letters, *at), Any::from(7_i64));
        }
        Step::Block(at, what) => {
            let at = share(*at, page.len(txn) + 1);
            let block = page.insert(txn, at.min(page.len(txn)), XmlElementPrelim::empty("quote"));
            let within = block.insert(txn, 0, XmlElementPrelim::empty("p"));
            within.insert(txn, 0, XmlTextPrelim::new(what.clone()));
        }
        Step::Line(at, what) => {
            let texts: Vec<_> = page
                .successors(txn)
                .filter_map(|node| if let XmlOut::Text(t) = node { Some(t) } else { None })
                .collect();
            if !texts.is_empty() {
                texts[share(*at, texts.len() as u32) as usize].insert(txn, 0, what);
            }
        }
        Step::Attribute(at, what) => {
            let blocks: Vec<_> = page
                .successors(txn)
                .filter_map(|node| if let XmlOut::Element(e) = node { Some(e) } else { None })
                .collect();
            if !blocks.is_empty() {
                blocks[share(*at, blocks.len() as u32) as usize].insert_attribute(txn, "class", what.clone());
            }
        }
        Step::Unblock(at) => {
            let length = page.len(txn);
            if length > 0 {
                page.remove_range(txn, share(*at, length), 1);
            }
        }
        Step::Put(key, what) => {
            facts.insert(txn, format!("k{key}"), what.as_str());
        }
        Step::Within(key, what) => {
            let within = facts.insert(txn, format!("k{key}"), MapPrelim::from([("deep", what.as_str())]));
            within.insert(txn, "more", ArrayPrelim::from([Any::Null, Any::from(what.as_str())]));
        }
        Step::Remove(key) => drop(facts.remove(txn, &format!("k{key}"))),
        Step::Add(at, what) => {
            let at = share(*at, list.len(txn) + 1).min(list.len(txn));
            list.insert_range(txn, at, what.iter().map(|word| Any::from(word.as_str())));
        }
        Step::Nest(at, what) => {
            let at = share(*at, list.len(txn) + 1).min(list.len(txn));
            list.insert(txn, at, ArrayPrelim::from([Any::from(what.as_str())]));
        }
        Step::Drop(at, length) => {
            let has = list.len(txn);
            let from = share(*at, has);
            let length = (*length).min(has - from);
            if length > 0 {
                list.remove_range(txn, from, length);
            }
        }
        Step::Hear(_) => {}
    }
}

/// All that can be seen of a document; or all but how its text looks: the library itself shows bold letters otherwise to who took
/// the updates one by one, and to who took them together.
fn seen(with_looks: bool, doc: &Doc) -> String {
    let txn = doc.transact();
    let body = txn.get_text("body").unwrap().diff(&txn, YChange::identity);
    // The library does not say where a run of the same looks is cut.
    let mut runs: Vec<(String, String)> = Vec::new();
    for part in body {
        let mut attributes: Vec<_> = part.attributes.iter().flat_map(|all| all.iter()).collect();
        attributes.sort_by(|a, b| a.0.cmp(b.0));
        let looks = if with_looks { format!("{attributes:?}") } else { String::new() };
        let letters = part.insert.to_string(&txn);
        match runs.last_mut() {
            Some((before, text)) if *before == looks => text.push_str(&letters),
            _ => runs.push((looks, letters)),
        }
    }
    let page: Vec<String> = txn
        .get_xml_fragment("page")
        .unwrap()
        .successors(&txn)
        .map(|node| match node {
            XmlOut::Element(element) => {
                format!("<{} {:?} {}>", element.tag(), element.get_attribute(&txn, "class"), element.len(&txn))
            }
            XmlOut::Text(text) => {
                use yrs::GetString as _;
                text.get_string(&txn)
            }
            XmlOut::Fragment(_) => "?".to_owned(),
        })
        .collect();
    let facts = txn.get_map("facts").unwrap();
    let facts: Vec<String> =
        (0..3).map(|key| format!("{:?}", facts.get(&txn, &format!("k{key}")).map(|out| out.to_json(&txn)))).collect();
    let list = txn.get_array("list").unwrap().to_json(&txn);
    // The values of a map come in no order of their own.
    let list = format!("{list:?}");
    format!("{runs:?}\n{page:?}\n{}\n{list}", sorted(&facts.join(" ")))
}

fn sorted(text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    letters.sort_unstable();
    letters.into_iter().collect()
}

/// Carries out what they do; the updates in the order in which they were written.
fn history(docs: &[Doc], steps: &[(usize, Step)]) -> Vec<Vec<u8>> {
    let mut updates = Vec::new();
    for (by, step) in steps {
        let doc = &docs[*by];
        if let Step::Hear(from) = step {
            let news = all_of(&docs[*from], &doc.transact().state_vector());
            hear(doc, &news);
            continue;
        }
        // What is told when it is done: the library tidies up behind the work.
        let told = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&told);
        doc.observe_update_v1("told", move |_, event| hears.lock().unwrap().push(event.update.clone())).unwrap();
        act(&mut doc.transact_mut(), step);
        doc.unobserve_update_v1("told").unwrap();
        let mut told: Vec<Vec<u8>> = std::mem::take(&mut *told.lock().unwrap());
        updates.append(&mut told);
    }
    updates
}

fn made_of(updates: &[Vec<u8>]) -> Doc {
    let doc = author(80);
    hear(&doc, &merge(updates).unwrap());
    doc
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Condensed in groups, again and again: what is seen is the same, and so it stays when those who hold the whole of it, with
    /// all that was ever deleted, write on, and hear what others make of the condensed one.
    #[test]
    fn who_has_it_condensed_has_the_same_document(
        before in prop::collection::vec(step(), 1..50),
        after in prop::collection::vec(step(), 0..20),
        groups in prop::collection::vec(1..9_usize, 1..30),
    ) {
        let docs: Vec<Doc> = (0..AUTHORS).map(author).collect();
        let updates = history(&docs, &before);
        let plain = made_of(&updates);
        let mut rows = updates.clone();
        for size in &groups {
            let size = (*size).min(rows.len());
            let group: Vec<Vec<u8>> = rows.drain(..size).collect();
            rows.push(condense(&group).unwrap());
            check(rows.last().unwrap()).unwrap();
        }
        let condensed = made_of(&rows);
        prop_assert_eq!(seen(true, &condensed), seen(true, &plain));
        let all = condense(&rows).unwrap();
        prop_assert_eq!(&condense(&[&all]).unwrap(), &all, "once more is something else");
        prop_assert_eq!(state_vector(&[&all]).unwrap(), state_vector(&updates).unwrap());
        prop_assert_eq!(seen(true, &made_of(std::slice::from_ref(&all))), seen(true, &plain));

        // One comes to it anew and writes, as do those who were there all along.
        let late = author(9);
        hear(&late, &all);
        let own = history(std::slice::from_ref(&late), &after.iter().map(|(_, step)| (0, match step {
            Step::Hear(_) => Step::Unblock(500),
            other => other.clone(),
        })).collect::<Vec<_>>());
        let more = history(&docs, &after);
        let everything: Vec<Vec<u8>> = updates.iter().chain(&own).chain(&more).cloned().collect();
        let whole = made_of(&everything);
        let (expected, letters) = (seen(true, &whole), seen(false, &whole));
        let mut rows = vec![all];
        rows.extend(own.iter().chain(&more).cloned());
        prop_assert_eq!(seen(true, &made_of(&rows)), expected.clone(), "as rows");
        let again = condense(&rows).unwrap();
        prop_assert_eq!(seen(true, &made_of(std::slice::from_ref(&again))), expected.clone(), "condensed again");
        for doc in docs.iter().chain([&late]) {
            let known = doc.transact().state_vector();
            let rest = diff(&[&again], &yrs::updates::encoder::Encode::encode_v1(&known)).unwrap();
            hear(doc, &rest);
            prop_assert_eq!(seen(false, doc), letters.clone(), "at who was there");
        }
    }

    /// What everybody knows to be deleted leaves no more than the library leaves of it, roughly, and none of its letters.
    #[test]
    fn nothing_deleted_is_left(steps in prop::collection::vec(step(), 1..60)) {
        let docs: Vec<Doc> = (0..AUTHORS).map(author).collect();
        let mut updates = history(&docs, &steps);
        let doc = made_of(&updates);
        let known = doc.transact().state_vector();
        {
            let (body, page) = (doc.get_or_insert_text("body"), doc.get_or_insert_xml_fragment("page"));
            let (facts, list) = (doc.get_or_insert_map("facts"), doc.get_or_insert_array("list"));
            let mut txn = doc.transact_mut();
            let length = body.len(&txn);
            body.remove_range(&mut txn, 0, length);
            let length = page.len(&txn);
            page.remove_range(&mut txn, 0, length);
            facts.clear(&mut txn);
            let length = list.len(&txn);
            list.remove_range(&mut txn, 0, length);
        }
        updates.push(all_of(&doc, &known));
        let condensed = condense(&updates).unwrap();
        let words: Vec<&String> = steps.iter().flat_map(|(_, step)| match step {
            Step::Type(_, word) | Step::Block(_, word) | Step::Line(_, word) | Step::Put(_, word) => vec![word],
            Step::Within(_, word) | Step::Nest(_, word) | Step::Attribute(_, word) => vec![word],
            Step::Add(_, words) => words.iter().collect(),
            _ => vec![],
        }).filter(|word| word.len() > 3).collect();
        for word in words {
            // Names of types, attributes and elements stay with the places that have them.
            if "body page facts list class quote bold".contains(word.as_str()) {
                continue;
            }
            let is_there = condensed.windows(word.len()).any(|bytes| bytes == word.as_bytes());
            prop_assert!(!is_there, "{word:?} is in it");
        }
        let least = compact(&updates).unwrap();
        prop_assert!(condensed.len() <= 2 * least.len() + 64, "{} bytes, {} at least", condensed.len(), least.len());
    }
}

/// Half of a character cannot be taken out: it stays with its other half, and who makes a document of it sees what they would.
#[test]
fn half_a_character_is_not_cut() {
    // 🌊 and a, of which somebody deletes the second half of 🌊 and a.
    let typed: &[u8] = &[1, 1, 3, 0, 4, 1, 4, b'b', b'o', b'd', b'y', 5, 0xf0, 0x9f, 0x8c, 0x8a, b'a', 0];
    for (from, length) in [(1, 2), (0, 1), (1, 1)] {
        let struck: &[u8] = &[0, 1, 3, 1, from, length];
        let updates = [typed, struck];
        let condensed = condense(&updates).unwrap();
        assert_eq!(text(&[&condensed], "body").unwrap(), text(&updates, "body").unwrap(), "{from} {length}");
        assert!(condensed.windows(4).any(|bytes| bytes == "🌊".as_bytes()), "{from} {length}");
    }
}

/// What is deleted before it is there is deleted when it comes.
#[test]
fn what_is_deleted_before_it_comes_is_deleted() {
    let typed: &[u8] = &[1, 1, 3, 0, 4, 1, 4, b'b', b'o', b'd', b'y', 3, b'a', b'b', b'c', 0];
    let struck: &[u8] = &[0, 1, 3, 1, 1, 1];
    let first = condense(&[struck, NOTHING]).unwrap();
    let both = condense(&[first.as_slice(), typed]).unwrap();
    assert_eq!(text(&[&both], "body").unwrap(), "ac");
    assert!(!both.contains(&b'b') || !both.windows(3).any(|bytes| bytes == b"abc"));
}
