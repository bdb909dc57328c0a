//! Hostile updates: what somebody else sends is an update or is refused, and costs no more than its bytes. Nothing panics, in the
//! library neither, whose panics are caught but would be written into the log of a server for each of them.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use landfall_doc::sync::{Frame, Present, decode};
use landfall_doc::{NOTHING, answer, check, compact, condense, diff, merge, state_vector, text};
use peak_alloc::PeakAlloc;
use yrs::block::ClientID;
use yrs::types::Attrs;
use yrs::updates::decoder::Decode as _;
use yrs::{
    Any, Array as _, ArrayPrelim, Doc, Map as _, MapPrelim, OffsetKind, Options, ReadTxn as _, Text as _,
    Transact as _, Update, Xml as _, XmlElementPrelim, XmlFragment as _, XmlTextPrelim,
};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Memory and panics are counted for the whole process, so the tests of this file take turns.
static TURN: Mutex<()> = Mutex::new(());
/// Where the library panicked.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// From now on panics of the library are noted and not printed.
fn turn() -> MutexGuard<'static, ()> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    std::panic::set_hook(Box::new(|panic| {
        let words: String = panic.to_string().replace('\n', " ").chars().take(200).collect();
        PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(words);
    }));
    turn
}

/// Numbers that look like chance and are the same each time (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than this, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

fn author(id: u64) -> Doc {
    let guid = format!("document {id}").into();
    Doc::with_options(Options { guid, offset_kind: OffsetKind::Utf16, ..Options::with_client_id(ClientID::new(id)) })
}

fn hear(doc: &Doc, updates: &[Vec<u8>]) {
    for update in updates {
        doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
    }
}

/// What people write with everything that there is: texts with formats and emoji, XML, maps, lists, documents within, deletes.
fn history(first: u64) -> Vec<Vec<u8>> {
    let (ada, ben) = (author(first), author(first + 1));
    let mut out = Vec::new();
    let mut write = |doc: &Doc, what: &dyn Fn(&mut yrs::TransactionMut<'_>)| {
        let mut txn = doc.transact_mut();
        what(&mut txn);
        out.push(txn.encode_update_v1());
    };
    let bold = || Attrs::from([("bold".into(), Any::Bool(true))]);
    let (body, page) = (ada.get_or_insert_text("body"), ada.get_or_insert_xml_fragment("page"));
    let (facts, list) = (ada.get_or_insert_map("facts"), ada.get_or_insert_array("list"));
    write(&ada, &|txn| body.insert(txn, 0, "the sea 🌊 and the wind"));
    write(&ada, &|txn| body.insert_with_attributes(txn, 4, "grey ", bold()));
    write(&ada, &|txn| body.format(txn, 0, 3, bold()));
    write(&ada, &|txn| {
        body.insert_embed(txn, 2, Any::from("a picture"));
    });
    write(&ada, &|txn| body.remove_range(txn, 5, 6));
    write(&ada, &|txn| {
        let block = page.insert(txn, 0, XmlElementPrelim::empty("p"));
        block.insert_attribute(txn, "class", "first");
        let words = block.insert(txn, 0, XmlTextPrelim::new("a line"));
        words.insert(txn, 1, " 🏝️ long");
        page.insert(txn, 1, XmlElementPrelim::empty("hr"));
    });
    write(&ada, &|txn| {
        let within = facts.insert(txn, "within", MapPrelim::from([("deep", Any::from(vec![1_i64, 2]))]));
        within.insert(txn, "more", ArrayPrelim::from([Any::Null, Any::from(1.5), Any::from(1_i64 << 60)]));
        facts.insert(txn, "bytes", Any::Buffer([1_u8, 2, 255].as_slice().into()));
        facts.insert(txn, "undefined", Any::Undefined);
    });
    write(&ada, &|txn| {
        list.insert_range(txn, 0, [Any::from("a"), Any::from(2_i64), Any::Bool(false)]);
        list.insert(txn, 1, author(first + 7));
        list.remove(txn, 0);
    });
    write(&ada, &|txn| {
        page.remove_range(txn, 1, 1);
        facts.remove(txn, "bytes");
    });
    let known = ada.transact().encode_state_as_update_v1(&yrs::StateVector::default());
    hear(&ben, &[known]);
    let theirs = ben.get_or_insert_text("body");
    for n in 0..6_u32 {
        write(&ben, &|txn| theirs.insert(txn, n * 2, "wörd "));
        write(&ada, &|txn| body.insert(txn, n, "x"));
        write(&ben, &|txn| theirs.remove_range(txn, n, 2));
    }
    out
}

/// Real updates of one pair of authors: each by itself, and put together in all the ways there are.
fn corpus(first: u64) -> Vec<Vec<u8>> {
    let updates = history(first);
    let half = updates.len() / 2;
    let mut out = updates.clone();
    out.push(merge(&updates).unwrap());
    out.push(compact(&updates).unwrap());
    // With a gap, and with nothing but what somebody lacks.
    out.push(merge(&[&updates[..2], &updates[half..]].concat()).unwrap());
    out.push(diff(&updates, &state_vector(&updates[..half]).unwrap()).unwrap());
    out
}

/// Numbers that decoders trip over, as they are written.
const NUMBERS: &[&[u8]] = &[
    &[0],
    &[0x7f],
    &[0xff, 0xff, 0xff, 0xff, 0x07],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
];

/// Somebody's hand in an update.
fn hurt(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = dice.one(corpus).clone();
    for _ in 0..=dice.below(3) {
        if bytes.is_empty() {
            break;
        }
        let at = dice.below(bytes.len());
        match dice.below(8) {
            0 | 1 => bytes[at] ^= 1 << dice.below(8),
            2 => bytes[at] = dice.next() as u8,
            3 => bytes.truncate(at),
            4 => drop(bytes.splice(at..=at, dice.one(NUMBERS).iter().copied())),
            5 => {
                // The first part of one and the last part of another.
                let other = dice.one(corpus);
                let from = dice.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            6 => {
                // A piece once more.
                let end = (at + dice.below(12)).min(bytes.len());
                let piece = bytes[at..end].repeat(1 + dice.below(4));
                drop(bytes.splice(at..at, piece));
            }
            _ => {
                let piece = [0x75, 1].repeat(dice.below(100));
                drop(bytes.splice(at..at, piece));
            }
        }
    }
    bytes
}

/// What decoding may take for each byte: a deleted run of two bytes is a block of its own, and each update is held decoded, put
/// together and written.
const FACTOR: usize = 2_000;
const SLACK: usize = 256 << 10;

/// By how many bytes memory peaked meanwhile above where it stood.
fn peak_of(work: impl FnOnce()) -> usize {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    work();
    ALLOCATOR.peak_usage().saturating_sub(before)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything that is done with updates of others, and what has to hold of it.
fn survive(bytes: &[u8], own: &[Vec<u8>], others: &[u8]) {
    let taken = check(bytes);
    let _ = answer(own, bytes);
    let _ = decode(bytes);
    if taken.is_err() {
        assert!(merge(&[bytes, NOTHING]).is_err() && text(&[bytes], "body").is_err(), "refused here, taken there");
        return;
    }
    // What was taken is in the way of nobody, for ever: it is stored with the others.
    let said = |updates: &[&[u8]]| {
        let one = merge(updates).unwrap();
        check(&one).unwrap();
        let size = one.len();
        (state_vector(&[&one]).unwrap(), text(&[&one], "body").ok(), size)
    };
    let twice = merge(&[bytes, bytes, bytes]).unwrap();
    let once = said(&[&twice]);
    for again in [said(&[&twice, bytes]), said(&[&twice, &twice])] {
        assert!(again.0 == once.0 && again.1 == once.1, "the same once more is something else");
        assert!(again.2 <= once.2, "the same once more takes more room");
    }
    assert!(said(&[bytes, others]) == said(&[others, bytes]), "the order in which they came is told");
    let known = state_vector(&[bytes]).unwrap();
    assert!(known == once.0, "put together it says something else");
    let all: Vec<&[u8]> = own.iter().map(Vec::as_slice).chain([bytes]).collect();
    merge(&all).unwrap();
    answer(&all, &known).unwrap();
    let condensed = condense(&all).unwrap();
    check(&condensed).unwrap();
    assert!(state_vector(&all).unwrap() == state_vector(&[&condensed]).unwrap(), "condensed it reaches elsewhere");
    let again = condense(&[&condensed]).unwrap();
    assert!(again.len() <= condensed.len(), "condensed once more it takes more room");
    // A document cannot be made of everything that can be put together; that is told, and ends nobody.
    let _ = text(&all, "body");
    let _ = text(&[bytes], "page");
    let _ = compact(&all);
}

/// How many; more of them on demand, for whoever has the time.
fn cases() -> u64 {
    std::env::var("LANDFALL_HOSTILE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(8_000)
}

fn run(cases: u64, seed: u64) {
    let (corpus, others) = (corpus(10), merge(&history(1_000)).unwrap());
    let own = history(10);
    let size = others.len() + own.iter().map(Vec::len).sum::<usize>();
    let mut taken = 0;
    // The first of each kind, and how many there are.
    let mut failures: BTreeMap<String, (u32, String)> = BTreeMap::new();
    for case in 0..cases {
        let bytes = hurt(&mut Dice(seed + case), &corpus);
        PANICS.lock().unwrap().clear();
        let peak = peak_of(|| drop(catch_unwind(AssertUnwindSafe(|| survive(&bytes, &own, &others)))));
        taken += u64::from(check(&bytes).is_ok());
        let mut causes: Vec<String> = std::mem::take(&mut *PANICS.lock().unwrap());
        if peak > SLACK + FACTOR * (size + bytes.len()) {
            causes.push(format!("{peak} bytes"));
        }
        for cause in causes {
            failures.entry(cause).or_insert_with(|| (0, hex(&bytes))).0 += 1;
        }
    }
    let list: Vec<String> = failures.iter().map(|(cause, (n, bytes))| format!("{n}: {cause}: {bytes}")).collect();
    assert!(list.is_empty(), "{}", list.join("\n"));
    // A suite whose every case is refused at the door would show nothing.
    assert!(taken * 20 > cases, "only {taken} of {cases} were taken");
}

#[test]
fn updates_that_were_tampered_with_are_refused_or_are_updates() {
    let turn = turn();
    let outcome = catch_unwind(|| run(cases(), 0x5ea));
    drop(std::panic::take_hook());
    drop(turn);
    if let Err(panic) = outcome {
        panic!("{}", panic.downcast_ref::<String>().map_or("", String::as_str));
    }
}

/// Bytes that the door and the library once read as different things, so that what was hidden in a text here was values within
/// values there: whoever reads those by calling themselves ends the whole process.
#[test]
fn what_is_read_in_two_ways_is_refused() {
    // Of each, how it begins; behind it one item of one text, which is a value within values to whoever stands elsewhere.
    let text = [0x08, 1, 1, b'a', 1, 0x77];
    let deep = [&[0x08, 1, 1, b'a', 1][..], &[0x75, 1].repeat(100_000)].concat();
    let lied: &[(&str, &[u8])] = &[
        ("values as JSON, of which the library reads one more", &[2, 1, 0, 0x02, 1, 1, b'a', 0]),
        ("a hook, whose name the library does not read", &[2, 1, 0, 0x07, 1, 1, b'a', 5, 0]),
        ("a kind that runs over eight bits", &[2, 1, 0, 0x07, 1, 1, b'a', 0x83, 0x00, 0]),
        ("a flag that runs over 32 bits", &[2, 1, 0, 0x04, 0x81, 0x80, 0x80, 0x80, 0x10, 1, b'a']),
        ("a number that shifts past its end", &[2, 1, 0, 0x08, 1, 1, b'a', 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x7e]),
    ];
    for (what, begins) in lied {
        let size =
            [0x80 | (deep.len() & 0x7f) as u8, 0x80 | ((deep.len() >> 7) & 0x7f) as u8, (deep.len() >> 14) as u8];
        let update = [&[1][..], begins, &text, &size, &deep, &[0]].concat();
        assert!(check(&update).is_err(), "{what}");
    }
    // Texts that are none, and more of somebody than anybody writes.
    assert!(check(&[1, 1, 1, 0, 0x04, 1, 1, b'a', 2, 0xc3, 0x28, 0]).is_err(), "no text");
    assert!(check(&[1, 1, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x08, 0]).is_err(), "more than is counted");
    assert!(check(&[2, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 0]).is_err(), "somebody twice");
    assert!(check(&[1, 1, 1, 0, 0, 1, 0]).is_ok());
}

/// What sockets of documents are sent.
#[test]
fn frames_that_were_tampered_with_are_refused_or_are_frames() {
    let present = |n: u32| Present { clock: n, state: r#"{"user":{"name":"Ada 🌊"},"cursor":7}"#.into() };
    let updates = history(10);
    let mut corpus: Vec<Vec<u8>> = updates.iter().map(|update| Frame::Update(update.clone()).encode()).collect();
    corpus.extend([
        Frame::Have(state_vector(&updates).unwrap()).encode(),
        Frame::Rest(merge(&updates).unwrap()).encode(),
        Frame::Awareness((0..20).map(|n| (u64::from(n) << 40, present(n))).collect()).encode(),
        Frame::WhoIsThere.encode(),
        Frame::Denied("not yours".to_owned()).encode(),
    ]);
    let several = corpus.concat();
    corpus.push(several);
    let turn = turn();
    let (mut failed, mut taken) = (Vec::new(), 0);
    for case in 0..cases() {
        let bytes = hurt(&mut Dice(0xf4a3e + case), &corpus);
        PANICS.lock().unwrap().clear();
        let mut known = None;
        let peak = peak_of(|| known = catch_unwind(|| decode(&bytes)).ok());
        let Some(Ok(frames)) = known else {
            if known.is_none() {
                failed.push(format!("{:?}: {}", PANICS.lock().unwrap(), hex(&bytes)));
            }
            continue;
        };
        taken += 1;
        // A frame of nothing is two bytes, and what is told of it a struct.
        if peak > SLACK + 100 * bytes.len() {
            failed.push(format!("{peak} bytes: {}", hex(&bytes)));
        }
        for frame in frames.iter().filter(|frame| !matches!(frame, Frame::Other(_) | Frame::Awareness(_))) {
            if decode(&frame.encode()).ok().as_deref() != Some(std::slice::from_ref(frame)) {
                failed.push(format!("{frame:?} is another one when it is sent on"));
            }
        }
    }
    drop(std::panic::take_hook());
    drop(turn);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(taken * 20 > cases(), "only {taken} were taken");
}

/// State vectors of others, against a document of one's own: an answer, or an error.
#[test]
fn state_vectors_that_were_tampered_with_are_answered_or_refused() {
    let own = history(10);
    let corpus: Vec<Vec<u8>> = (0..own.len()).map(|n| state_vector(&own[..n]).unwrap()).collect();
    let size: usize = own.iter().map(Vec::len).sum();
    let turn = turn();
    let mut failed = Vec::new();
    for case in 0..cases() {
        let bytes = hurt(&mut Dice(0x57a7e + case), &corpus);
        PANICS.lock().unwrap().clear();
        let work = || {
            if let Ok((rest, has)) = answer(&own, &bytes) {
                check(&rest).unwrap();
                // Whoever has that, and the answer, has everything that those have who had nothing.
                assert_eq!(has, state_vector(&own).unwrap());
            }
        };
        let peak = peak_of(|| drop(catch_unwind(AssertUnwindSafe(work))));
        let panics = PANICS.lock().unwrap().clone();
        if !panics.is_empty() || peak > SLACK + FACTOR * (size + bytes.len()) {
            failed.push(format!("{peak} bytes, {panics:?}: {}", hex(&bytes)));
        }
    }
    drop(std::panic::take_hook());
    drop(turn);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
