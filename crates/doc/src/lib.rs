//! Documents that many write at once: what a server and a browser do with Yjs updates, bytes in, bytes out. No I/O, no clock, no
//! randomness.
//!
//! An update says what one or several authors did to a document, and may be taken any number of times, in any order. Together
//! all updates are the document. [`yrs`] does the work; its encodings are those of the JavaScript package `yjs`, and offsets
//! in texts count UTF-16 units, as there.
//!
//! What arrives is somebody else's: [`check`] it before it is stored. Nothing here panics on it: should the library do so,
//! that is an error ([`DocError::Broken`]) about this document, and no other.

use std::panic::{AssertUnwindSafe, catch_unwind};

use yrs::updates::decoder::Decode as _;
use yrs::updates::encoder::Encode as _;
use yrs::{Doc, GetString as _, OffsetKind, Options, ReadTxn as _, StateVector, Transact as _, Update};

mod collect;
mod shape;
pub mod sync;

/// Why bytes are not what they were taken for.
#[derive(Debug, thiserror::Error)]
pub enum DocError {
    /// No update, or no state vector.
    #[error("these bytes are no Yjs {what} in the first version of its encoding: {cause}")]
    Garbled {
        /// What they were taken for.
        what: &'static str,
        /// What the decoder says.
        cause: String,
    },
    /// Values within values within values.
    #[error("this Yjs update nests values deeper than 64 levels; make them flatter")]
    Deep,
    /// They can be decoded, but not be made a document of.
    #[error("no document can be made of this Yjs update")]
    Broken,
}

/// The update of nothing.
pub const NOTHING: &[u8] = &[0, 0];

fn garbled(what: &'static str) -> impl Fn(yrs::encoding::read::Error) -> DocError {
    move |cause| DocError::Garbled { what, cause: cause.to_string() }
}

/// A document that is broken must not take another one down.
fn guarded<T>(work: impl FnOnce() -> Result<T, DocError>) -> Result<T, DocError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(DocError::Broken))
}

fn update(bytes: &[u8]) -> Result<Update, DocError> {
    shape::check(bytes)?;
    Update::decode_v1(bytes).map_err(garbled("update"))
}

/// Whether these bytes are an update. No document is made of it: that may take long, whatever its length.
///
/// # Errors
/// [`DocError`], which says why not.
///
/// ```
/// landfall_doc::check(landfall_doc::NOTHING).unwrap();
/// assert!(landfall_doc::check(b"nonsense").is_err());
/// ```
pub fn check(bytes: &[u8]) -> Result<(), DocError> {
    guarded(|| update(bytes).map(drop))
}

/// One update that says what all of these say, what was deleted included. The same updates in the same order give the same bytes, but
/// for the order of the names within a value of several.
///
/// # Errors
/// [`DocError`] when one of them is none.
pub fn merge<B: AsRef<[u8]>>(updates: &[B]) -> Result<Vec<u8>, DocError> {
    match updates {
        [] => Ok(NOTHING.to_vec()),
        [only] => check(only.as_ref()).map(|()| only.as_ref().to_vec()),
        _ => guarded(|| Ok(together(updates)?.encode_v1())),
    }
}

/// One update that says what all of these say, without the contents of what they delete. No document is made for that: it takes as
/// long as they are, whoever wrote them. What one of them deletes and none of them inserts is deleted where it is inserted.
///
/// # Errors
/// [`DocError`] when one of them is none.
///
/// ```
/// use landfall_doc::{condense, merge};
/// // Somebody types "ab", and strikes it out.
/// let updates: [&[u8]; 2] = [b"\x01\x01\x03\x00\x04\x01\x04body\x02ab\x00", b"\x00\x01\x03\x01\x00\x02"];
/// let (merged, condensed) = (merge(&updates).unwrap(), condense(&updates).unwrap());
/// assert!(merged.windows(2).any(|two| two == b"ab"));
/// assert!(!condensed.windows(2).any(|two| two == b"ab"));
/// ```
pub fn condense<B: AsRef<[u8]>>(updates: &[B]) -> Result<Vec<u8>, DocError> {
    guarded(|| collect::collect(&together(updates)?.encode_v1()))
}

/// One update for all that there are of a document: the contents of what was deleted are gone, so that a long history is no
/// longer than what it left. While something in it waits for updates that are not among these, it is [`merge`]: what waits is
/// not put into a document and taken out again, which has lost some of it (`tests/laws.rs`).
///
/// # Errors
/// [`DocError`] when one of them is none, or no document can be made of them.
pub fn compact<B: AsRef<[u8]>>(updates: &[B]) -> Result<Vec<u8>, DocError> {
    guarded(|| {
        let Some(doc) = whole(updates)? else { return merge(updates) };
        let all = doc.transact().encode_state_as_update_v1(&StateVector::default());
        Ok(all)
    })
}

/// What somebody lacks who has what `state_vector` says, of the document that these updates are; all of it, as [`condense`] has it,
/// for who has nothing, and while something in it waits for updates that are not among these. No document is made for that.
///
/// # Errors
/// [`DocError`] when one of them is no update, or the state vector is none.
pub fn diff<B: AsRef<[u8]>>(updates: &[B], state_vector: &[u8]) -> Result<Vec<u8>, DocError> {
    Ok(answer(updates, state_vector)?.0)
}

/// [`diff`], and [`state_vector`] of the same updates.
///
/// # Errors
/// As [`diff`].
pub fn answer<B: AsRef<[u8]>>(updates: &[B], state_vector: &[u8]) -> Result<(Vec<u8>, Vec<u8>), DocError> {
    guarded(|| {
        let all = together(updates)?;
        if !shape::is_state_vector(state_vector) {
            let cause = "it ends in its middle, or counts further than anybody does".to_owned();
            return Err(DocError::Garbled { what: "state vector", cause });
        }
        let known = StateVector::decode_v1(state_vector).map_err(garbled("state vector"))?;
        let has = all.state_vector();
        // Rare. The library's difference of updates with gaps in them has left something out (`tests/laws.rs`).
        let is_all = known.is_empty() || !reaches(&all.insertions(true), &has);
        let all = all.encode_v1();
        let rest = if is_all {
            collect::collect(&all)?
        } else {
            yrs::diff_updates_v1(&all, state_vector).map_err(garbled("update"))?
        };
        Ok((rest, has.encode_v1()))
    })
}

/// What is in the document that these updates are, up to the first gap: for whoever asks for the rest of it. No document is made
/// for that.
///
/// # Errors
/// [`DocError`] when one of them is no update.
pub fn state_vector<B: AsRef<[u8]>>(updates: &[B]) -> Result<Vec<u8>, DocError> {
    guarded(|| Ok(together(updates)?.state_vector().encode_v1()))
}

/// All of these as one.
fn together<B: AsRef<[u8]>>(updates: &[B]) -> Result<Update, DocError> {
    let updates = updates.iter().map(|bytes| update(bytes.as_ref())).collect::<Result<Vec<_>, _>>()?;
    Ok(Update::merge_updates(updates))
}

/// Whether a state vector has all that is inserted.
fn reaches(inserted: &yrs::IdSet, has: &StateVector) -> bool {
    inserted.iter().all(|(client, ranges)| ranges.iter().all(|range| range.end <= has.get(client)))
}

/// The text of this name (`doc.getText(name)`), or of the XML fragment of this name with its tags left out and a line for each
/// of its blocks (`doc.getXmlFragment(name)`, as editors of rich text have it); empty where there is neither.
///
/// # Errors
/// [`DocError`] when one of them is no update.
pub fn text<B: AsRef<[u8]>>(updates: &[B], name: &str) -> Result<String, DocError> {
    guarded(|| {
        let (doc, _) = load(updates)?;
        let is_xml = {
            let transaction = doc.transact();
            transaction.get_xml_fragment(name).is_some_and(|found| {
                use yrs::XmlFragment as _;
                (0..found.len(&transaction)).any(|at| found.get(&transaction, at).is_some())
            })
        };
        if !is_xml {
            let text = doc.get_or_insert_text(name);
            let plain = text.get_string(&doc.transact());
            return Ok(plain);
        }
        let fragment = doc.get_or_insert_xml_fragment(name);
        let transaction = doc.transact();
        Ok(plain_text(&fragment, &transaction))
    })
}

/// The lines of an XML fragment: what is beside each other in a block is a line.
fn plain_text(fragment: &yrs::XmlFragmentRef, transaction: &yrs::Transaction<'_>) -> String {
    use yrs::{XmlFragment as _, XmlOut};
    let mut lines = Vec::new();
    let mut line = String::new();
    // An element ends the line that is begun; a text goes on with it.
    let mut has_text = false;
    for node in fragment.successors(transaction) {
        match node {
            XmlOut::Element(_) | XmlOut::Fragment(_) => {
                if std::mem::take(&mut has_text) {
                    lines.push(std::mem::take(&mut line));
                }
            }
            XmlOut::Text(text) => {
                let diffs = yrs::Text::diff(&text, transaction, yrs::types::text::YChange::identity);
                for diff in diffs {
                    if let yrs::Out::Any(yrs::Any::String(part)) = diff.insert {
                        line.push_str(&part);
                    }
                }
                has_text = true;
            }
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines.join("\n")
}

/// A document of nobody's: it writes nothing of its own, so that its number is never seen.
fn document() -> Doc {
    Doc::with_options(Options {
        offset_kind: OffsetKind::Utf16,
        ..Options::with_client_id(yrs::block::ClientID::new(1))
    })
}

/// The document, unless something in it waits for updates that are not among these. The library's own answer to that
/// (`has_missing_updates`) has been wrong: what was inserted is compared with what is there.
fn whole<B: AsRef<[u8]>>(updates: &[B]) -> Result<Option<Doc>, DocError> {
    let (doc, inserted) = load(updates)?;
    let is_whole = {
        let transaction = doc.transact();
        !transaction.has_missing_updates() && reaches(&inserted, &transaction.state_vector())
    };
    Ok(is_whole.then_some(doc))
}

/// The document, and what its updates insert.
fn load<B: AsRef<[u8]>>(updates: &[B]) -> Result<(Doc, yrs::IdSet), DocError> {
    let doc = document();
    // Put together first: what comes one after the other may have to wait inside the document for what comes later, and some
    // of what has waited has been lost there.
    let all = together(updates)?;
    let inserted = all.insertions(true);
    doc.transact_mut().apply_update(all).map_err(|_| DocError::Broken)?;
    Ok((doc, inserted))
}
