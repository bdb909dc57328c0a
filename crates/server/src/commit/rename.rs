//! Other names: a unique text with `unique = "rename"` that another row has already gets a number behind it. Whoever comes later is
//! renamed, and hears of it as of any change of the row.

use landfall_core::hash::{Cells, hash128};
use landfall_core::schema::Column;
use landfall_core::{RowKey, Value};

use super::Group;
use super::tx::StoreTx;
use crate::store::StoreError;

/// Numbers that are tried one after the other; then a part of the row's own key makes the name.
const NUMBERS: u32 = 50;

/// Renames what is new in a row and taken; the columns with what was written there. Where no other name is allowed either, it stays, and is
/// refused.
pub(super) fn taken<T: StoreTx>(
    group: &mut Group<'_, T>,
    (at, key): (usize, &RowKey),
    before: Option<&Cells>,
    row: &mut Cells,
) -> Result<Vec<(String, String)>, StoreError> {
    let (mut renamed, plan) = (Vec::new(), group.plan);
    // A row under another key would be another row.
    for column in plan.table(at).data_columns().filter(|column| column.renames) {
        let Some(Value::Text(name)) = row.get(&column.name).cloned() else { continue };
        let is_new = before.and_then(|before| before.get(&column.name)) != row.get(&column.name);
        if !is_new
            || landfall_core::mutant::active("name-refused")
            || !group.tx.is_taken(at, &column.name, &Value::Text(name.clone()), key)?
        {
            continue;
        }
        for other in others(column, &name, key) {
            if !group.tx.is_taken(at, &column.name, &other, key)? {
                row.insert(column.name.clone(), other);
                renamed.push((column.name.clone(), name));
                break;
            }
        }
    }
    Ok(renamed)
}

/// The names that are tried, the same for the same row and name.
fn others(column: &Column, name: &str, key: &RowKey) -> Vec<Value> {
    let hash = hash128(&key.to_bytes());
    let own = hash[..6].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let behind = (2..=NUMBERS).map(|number| number.to_string()).chain([own]).map(|number| format!(" ({number})"));
    let named = |behind: String| {
        // What is too long with it is cut in front of it.
        let room = column.max_length.map_or(usize::MAX, |most| (most as usize).saturating_sub(behind.chars().count()));
        let kept = name.char_indices().nth(room).map_or(name, |(end, _)| &name[..end]);
        Value::Text(format!("{kept}{behind}"))
    };
    behind.map(named).filter(|other| column.check(other).is_none()).collect()
}
