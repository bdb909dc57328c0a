use landfall_client::db::{DbError, WriteTx};
use landfall_core::{RowKey, Value};

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

fn digit(rank: &[u8], at: usize) -> Option<usize> {
    rank.get(at).and_then(|byte| DIGITS.iter().position(|digit| digit == byte))
}

/// A rank after `before` and before `after`, read as texts: `None` is the end of the list. Ranks never end in 0, so that
/// there is room before each. `salt`, some characters of the row's own id, keeps two devices that choose one place apart.
pub fn between(before: Option<&str>, after: Option<&str>, salt: &str) -> String {
    let (low, mut high) = (before.unwrap_or_default().as_bytes(), after.map(str::as_bytes));
    // Neighbours that are equal, or not in order any more: behind the first of them.
    high = high.filter(|high| low < *high);
    let mut rank = String::new();
    for at in 0.. {
        let (from, ceiling) =
            (digit(low, at).unwrap_or(0), high.map_or(DIGITS.len(), |high| digit(high, at).unwrap_or(0)));
        // At an open end a step is one, so that a list that grows there keeps its ranks short.
        let step = match (before, after) {
            (_, None) => from + 1,
            (None, _) => ceiling.saturating_sub(1),
            _ => (from + ceiling) / 2,
        };
        if from < step && step < ceiling {
            rank.push(char::from(DIGITS[step]));
            break;
        }
        rank.push(char::from(DIGITS[from]));
        // Already below the upper neighbour, whatever follows.
        high = high.filter(|_| from == ceiling);
    }
    rank + &salt.replace('0', "g")
}

/// Puts an item between two others. Only this item's row changes.
pub fn put(tx: &mut WriteTx<'_>, item: &Value, before: Option<&str>, after: Option<&str>) -> Result<(), DbError> {
    let Value::Uuid(bytes) = item else { return Err(DbError::Aborted("an item's key is a uuid".into())) };
    let rank = between(before, after, &format!("{:02x}{:02x}", bytes[14], bytes[15]));
    tx.update("items", &RowKey::single(item.clone()), &[("rank", rank.into())]).map(|_| ())
}
