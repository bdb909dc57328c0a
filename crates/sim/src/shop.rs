//! The app's code on the simulated server: the handler of the action `sell`, the webhook that does the same, and the
//! handlers of actions that may not wait for long.

use std::time::Duration;

use landfall_core::{RowKey, Value};
use landfall_server::actions::{Actions, Call, Halt};
use serde_json::{Value as Json, json};

/// How many there are of each product at first.
pub const STOCK: i64 = 3;
/// How many products there are.
pub const PRODUCTS: u64 = 3;

/// The row of `stocks` in which the webhook keeps the last number.
const TILL: u64 = 99;

/// The server's handlers. They take no time, and fail now and then. Or a webhook is asked.
pub fn actions(webhook: bool) -> Actions {
    let actions = if webhook { Actions::new().on_webhook("sell") } else { Actions::new().on("sell", sell) };
    actions.on("ring", ring).on("deliver", |_: &mut Call<'_>| Ok(())).with_clock(|| Duration::ZERO)
}

/// Now and then nobody opens.
fn ring(call: &mut Call<'_>) -> Result<(), Halt> {
    if call.now_ms().is_multiple_of(7) { Err(Halt::refuse("nobody_in", "nobody opens")) } else { Ok(()) }
}

/// Takes one from the stock, and gives the sale the next number. A sale that has its number is not sold again.
fn sell(call: &mut Call<'_>) -> Result<(), Halt> {
    if call.now_ms().is_multiple_of(11) {
        return Err(Halt::fail("the till is jammed"));
    }
    let (sale, product) = (RowKey::single(call.arg("sale")), RowKey::single(call.arg("product")));
    let before = call.row("sales", &sale)?;
    if before.is_some_and(|row| row.get("number").is_some_and(|number| !number.is_null())) {
        return Ok(());
    }
    let left = match call.row("stocks", &product)? {
        Some(row) => row.get("left").cloned(),
        None => {
            call.insert("stocks", &[("id", product.0[0].clone()), ("left", Value::Int(STOCK))])?;
            Some(Value::Int(STOCK))
        }
    };
    let Some(Value::Int(left @ 1..)) = left else { return Err(Halt::refuse("sold_out", "nothing is left")) };
    call.update("stocks", &product, &[("left", Value::Int(left - 1))])?;
    let mut next = 1;
    for product in 0..PRODUCTS {
        let sold = call.find("sales", &[("product", crate::workload::key("stocks", product))], usize::MAX)?;
        next += sold.len() as i64;
    }
    call.update("sales", &sale, &[("number", Value::Int(next))])
}

/// What the webhook answers: as [`sell`] would. It keeps nothing: whoever asks twice is answered twice.
///
/// # Errors
/// When the question is not as it should be.
pub fn answer(question: &[u8]) -> Result<Json, String> {
    let question: Json = serde_json::from_slice(question).map_err(|e| e.to_string())?;
    let rows = question["rows"].as_array().ok_or("no rows")?;
    let find = |table: &str, key: &Json| rows.iter().find(|row| row["table"] == table && row["key"] == json!([key]));
    let (sale, product, till) =
        (&question["args"]["sale"], &question["args"]["product"], crate::workload::key("stocks", TILL).to_json());
    let Some(last) = find("stocks", &till) else {
        return Ok(json!({ "read": [{ "table": "stocks", "key": till }] }));
    };
    let before = find("sales", sale).ok_or("no sale")?;
    if !before["row"]["number"].is_null() {
        return Ok(json!({}));
    }
    let stock = find("stocks", product).ok_or("no product")?;
    let left = if stock["row"].is_null() { STOCK } else { stock["row"]["left"].as_i64().ok_or("nothing left")? };
    if left < 1 {
        return Ok(json!({ "refuse": { "code": "sold_out", "message": "nothing is left" } }));
    }
    let number = last["row"]["left"].as_i64().unwrap_or(0) + 1;
    let put = |row: &Json, key: &Json, left: i64| match row["row"].is_null() {
        true => json!({ "op": "insert", "table": "stocks", "set": { "id": key, "left": left } }),
        false => json!({ "op": "update", "table": "stocks", "key": [key], "set": { "left": left } }),
    };
    Ok(json!({ "operations": [
        put(stock, product, left - 1),
        put(last, &till, number),
        { "op": "update", "table": "sales", "key": [sale], "set": { "number": number } },
    ] }))
}
