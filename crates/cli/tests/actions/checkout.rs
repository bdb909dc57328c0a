use landfall_core::{RowKey, Value};
use landfall_server::actions::{Call, Halt};

/// Sells what the order names: takes it from the stock, and gives the order the next number.
pub fn checkout(call: &mut Call<'_>) -> Result<(), Halt> {
    let (order, product) = (RowKey::single(call.arg("order")), RowKey::single(call.arg("product")));
    let Some(row) = call.row("products", &product)? else {
        return Err(Halt::refuse("no_such_product", "this product is not sold any more"));
    };
    let (Some(Value::Int(stock)), Value::Int(count)) = (row.get("stock"), call.arg("count")) else {
        return Err(Halt::fail("the stock is not known"));
    };
    if *stock < count {
        return Err(Halt::refuse("sold_out", format!("only {stock} are left")));
    }
    call.update("products", &product, &[("stock", Value::Int(stock - count))])?;
    let sold = call.find("orders", &[("product", call.arg("product"))], 10_000)?;
    let number = 1 + sold.len() as i64;
    call.update("orders", &order, &[("number", Value::Int(number))])
}
