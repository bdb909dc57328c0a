//! Papers that everybody writes: a document of letters, put anywhere and struck out again by whoever sees them.

use landfall_client::db::{DbError, WriteTx};
use landfall_core::{RowKey, Value};
use yrs::updates::decoder::Decode as _;
use yrs::{Doc, GetString as _, OffsetKind, Options, ReadTxn as _, StateVector, Text as _, Transact as _, Update};

use crate::dice::Dice;
use crate::workload::{OpId, key};

/// What a transaction has written to a paper.
#[derive(Debug, Clone)]
pub struct Stroke {
    /// The paper.
    pub paper: Value,
    /// The update.
    pub update: Vec<u8>,
}

/// The paper that people throw away now and then.
pub const THROWN_AWAY: u64 = 2;

/// Writes to a paper as its author sees it; makes it, where it is not there. Or throws it away.
///
/// # Errors
/// What the engine refuses.
pub fn write(dice: &mut Dice, tx: &mut WriteTx<'_>, op: OpId) -> Result<Option<Stroke>, DbError> {
    let number = dice.below(3);
    let paper = key("papers", number);
    if number == THROWN_AWAY && dice.chance(250) {
        tx.delete("papers", &RowKey::single(paper))?;
        return Ok(None);
    }
    if tx.query("SELECT 1 FROM papers WHERE id = ?", std::slice::from_ref(&paper))?.rows.is_empty() {
        tx.upsert("papers", &[("id", paper.clone())])?;
    }
    let sql = "SELECT doc_update FROM papers_docs WHERE id = ? AND doc_column = 'text' ORDER BY doc_id";
    let held = tx.query(sql, std::slice::from_ref(&paper))?.rows;
    // Nobody else is called so: an author of a document is a session of an editor.
    let options =
        Options { offset_kind: OffsetKind::Utf16, ..Options::with_client_id(yrs::block::ClientID::new(op.0 + 2)) };
    let doc = Doc::with_options(options);
    for row in held {
        let Some(Value::Bytes(update)) = row.into_iter().next() else { continue };
        let broken = |_| DbError::Aborted("the paper cannot be read".to_owned());
        let update = Update::decode_v1(&update).map_err(|_| DbError::Aborted("no update".to_owned()))?;
        doc.transact_mut().apply_update(update).map_err(broken)?;
    }
    let seen: StateVector = doc.transact().state_vector();
    let text = doc.get_or_insert_text("text");
    for _ in 0..dice.between(1, 3) {
        let mut transaction = doc.transact_mut();
        let length = u64::from(text.len(&transaction));
        if length > 4 && dice.chance(250) {
            text.remove_range(&mut transaction, dice.below(length - 1) as u32, 1);
        } else {
            let letters = format!("{};", op.0);
            text.insert(&mut transaction, dice.below(length + 1) as u32, &letters);
        }
    }
    let update = doc.transact().encode_state_as_update_v1(&seen);
    let cells = [
        ("doc_id", key("papers_docs", 1_000 + op.0)),
        ("id", paper.clone()),
        ("doc_column", Value::Text("text".to_owned())),
        ("doc_update", Value::Bytes(update.clone())),
    ];
    tx.upsert("papers_docs", &cells)?;
    Ok(Some(Stroke { paper, update }))
}

/// What these updates are together.
pub fn read<B: AsRef<[u8]>>(updates: &[B]) -> String {
    let doc = Doc::with_client_id(1);
    // As one: what has to wait inside a document for another update the library may lose there (`doc/tests/laws.rs`).
    let updates = updates.iter().filter_map(|update| Update::decode_v1(update.as_ref()).ok());
    let _ = doc.transact_mut().apply_update(Update::merge_updates(updates));
    let text = doc.get_or_insert_text("text");
    text.get_string(&doc.transact())
}
