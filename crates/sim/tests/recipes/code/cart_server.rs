use landfall_core::{RowKey, Value};
use landfall_server::actions::{Call, Halt};

/// Takes what is ordered from the stock, and says what it comes to.
pub fn checkout(call: &mut Call<'_>) -> Result<(), Halt> {
    let lines: Vec<_> = call.operations().iter().filter(|operation| operation.table() == "lines").cloned().collect();
    let mut total = 0;
    for line in &lines {
        let product = RowKey::single(line.key().0[1].clone()); // the key is (order, product)
        let Some(row) = call.row("products", &product)? else {
            return Err(Halt::refuse("no_such_product", "one of these is not sold any more"));
        };
        let number = |name: &str| row.get(name).and_then(Value::as_int);
        let (Some(count), Some(price), Some(stock)) =
            (line.value("count").and_then(Value::as_int), number("price"), number("stock"))
        else {
            return Err(Halt::fail("a price or a stock is not known"));
        };
        if stock < count {
            return Err(Halt::refuse("sold_out", format!("only {stock} are left")));
        }
        call.update("products", &product, &[("stock", (stock - count).into())])?;
        total += price * count;
    }
    call.update("orders", &RowKey::single(call.arg("order")), &[("total", total.into())])
}
