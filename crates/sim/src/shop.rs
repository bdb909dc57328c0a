//! The app's code on the simulated server: the handler of the action `sell`.

use std::time::Duration;

use landfall_core::{RowKey, Value};
use landfall_server::actions::{Actions, Call, Halt};

/// How many there are of each product at first.
pub const STOCK: i64 = 3;
/// How many products there are.
pub const PRODUCTS: u64 = 3;

/// The server's handlers. They take no time, and fail now and then where the till `jams`.
pub fn actions(jams: bool) -> Actions {
    Actions::new().on("sell", move |call: &mut Call<'_>| sell(call, jams)).with_clock(|| Duration::ZERO)
}

/// Takes one from the stock, and gives the sale the next number. A sale that has its number is not sold again.
fn sell(call: &mut Call<'_>, jams: bool) -> Result<(), Halt> {
    if jams && call.now_ms().is_multiple_of(11) {
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
