use landfall_client::db::{DbError, WriteTx};
use landfall_core::Value;

/// Puts so many of a product into the cart. Works everywhere.
pub fn put(tx: &mut WriteTx<'_>, owner: &str, product: &Value, count: i64) -> Result<(), DbError> {
    tx.upsert("cart", &[("owner", owner.into()), ("product", product.clone()), ("count", count.into())])
}

/// Orders what is in the cart: one transaction, carried out whole or not at all.
pub fn check_out(tx: &mut WriteTx<'_>, owner: &str, order: &Value) -> Result<(), DbError> {
    tx.insert("orders", &[("id", order.clone()), ("owner", owner.into())])?;
    let copy = r#"insert into lines (owner, "order", product, count) select owner, ?, product, count from cart where owner = ?"#;
    tx.execute(copy, &[order.clone(), owner.into()])?;
    tx.execute("delete from cart where owner = ?", &[owner.into()])?;
    tx.action("checkout", &[("order", order.clone())])
}
