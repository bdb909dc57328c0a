use landfall_client::db::{DbError, WriteTx};
use landfall_core::Value;

/// Asks for a transfer, which the server carries out now or not at all.
pub fn transfer(tx: &mut WriteTx<'_>, owner: &str, id: &Value, way: [&Value; 2], cents: i64) -> Result<(), DbError> {
    let [source, target] = way.map(Value::clone);
    let cells = [("id", id.clone()), ("owner", owner.into()), ("cents", cents.into())];
    tx.insert("transfers", &[&cells[..], &[("source", source), ("target", target)]].concat())?;
    tx.action("transfer", &[("id", id.clone())])
}

/// Schedules a bill: without a network too, as long as it is due a day from now or later.
pub fn schedule(tx: &mut WriteTx<'_>, owner: &str, from: &Value, cents: i64, due: &Value) -> Result<(), DbError> {
    let bill = [("owner", owner.into()), ("source", from.clone()), ("cents", cents.into()), ("due", due.clone())];
    tx.insert("bills", &bill)
}
