//! Notes into which everybody types at once, letter by letter. No letter is ever typed twice, so that what became of each can be
//! told, whoever typed beside it.

use landfall_client::db::{DbError, WriteTx};
use landfall_core::{RowKey, Value};

use crate::dice::Dice;
use crate::workload::{OpId, key};

/// Most letters of one transaction.
const LETTERS: u64 = 16;
/// Beyond so many letters a note is made shorter.
const LONG: usize = 90;

/// Letters that nobody else types. They are not in the basic plane: a code point of theirs is two units of UTF-16.
fn letters(op: OpId, from: u64, count: u64) -> Vec<char> {
    let letter = |n: u64| u32::try_from(0x1_0000 + op.0 * LETTERS + n % LETTERS).ok().and_then(char::from_u32);
    (from..from + count).filter_map(letter).collect()
}

/// Types into a note, strikes out of it, makes it, or throws it away. `round`: of several transactions under one number.
///
/// # Errors
/// What the engine refuses.
pub fn type_in(dice: &mut Dice, tx: &mut WriteTx<'_>, op: OpId, round: u64) -> Result<(), DbError> {
    let row = RowKey::single(key("notes", dice.below(2)));
    let mut typed = 4 * round;
    let mut more = |dice: &mut Dice| {
        let count = dice.between(1, 2);
        typed += count;
        letters(op, typed - count, count)
    };
    let Some(note) = tx.row("notes", &row)? else {
        let body = String::from_iter(more(dice));
        return tx.upsert("notes", &[("id", row.0[0].clone()), ("body", Value::Text(body))]);
    };
    if dice.chance(40) {
        return tx.delete("notes", &row).map(|_| ());
    }
    let mut body: Vec<char> = note.get("body").and_then(Value::as_text).unwrap_or_default().chars().collect();
    for _ in 0..dice.between(1, 2) {
        let at = dice.index(body.len() + 1);
        let most = if body.len() > LONG { body.len() / 2 } else { 4 };
        if body.len() > LONG || dice.chance(350) {
            body.drain(at..(at + dice.index(most) + 1).min(body.len()).max(at));
        } else {
            body.splice(at..at, more(dice));
        }
        // By SQL and by the typed call, which are one; two of one transaction are joined.
        let text = Value::Text(String::from_iter(&body));
        if dice.chance(300) {
            tx.execute("UPDATE notes SET body = ? WHERE id = ?", &[text, row.0[0].clone()])?;
        } else {
            tx.update("notes", &row, &[("body", text)])?;
        }
    }
    Ok(())
}
