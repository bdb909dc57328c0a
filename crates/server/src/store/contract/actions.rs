//! Transactions that ask for an action.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use landfall_core::hash::Cells;
use landfall_core::{Action, Problem, RowKey, Value};
use landfall_protocol::{Entry, Outcome};

use super::*;
use crate::actions::{Actions, Call, Halt};
use crate::commit::RowChange;
use crate::store::{PushEntry, codes as store_codes};

/// Products with a stock, orders with a number that the server gives, counters and receipts that only it writes.
pub(crate) fn shop() -> Schema {
    let text = r#"
        [app]
        name = "shop"

        [tables.products.columns]
        id    = "text"
        stock = { type = "integer", required = true, min = 0 }
        [tables.products.access]
        write = false

        [tables.orders]
        attempts = 2
        [tables.orders.columns]
        id      = "text"
        product = { type = "text", references = "products" }
        number  = { type = "integer", unique = true, assigned = "server" }
        total   = { type = "decimal", scale = 2, assigned = "server" }
        [tables.orders.access]
        read   = "claim('sub') = 'ann'"
        insert = "claim('sub') <> 'eve'"

        [tables.receipts.columns]
        id    = { type = "uuid", default = "uuid" }
        order = { type = "text", required = true, references = "orders" }
        made  = { type = "timestamp", required = true, default = "now" }
        paid  = { type = "boolean", required = true, default = false }
        [tables.receipts.access]
        write = false

        [actions.checkout]
        attempts = 2
        [actions.checkout.args]
        order = { type = "text", required = true, references = "orders" }
        how   = "text"

        [actions.unhandled]
    "#;
    Schema::parse("shop.toml", text).unwrap_or_else(|e| panic!("{e}"))
}

/// Sells one: takes it from the stock, gives the order the next number and adds a receipt. `seconds` is its clock.
fn checkout(call: &mut Call<'_>, seconds: &AtomicU64) -> Result<(), Halt> {
    let order = call.arg("order");
    let how = call.arg("how");
    let wanted = call.operations().iter().find(|o| o.table() == "orders").map(|o| o.cells().to_vec());
    let product = wanted.into_iter().flatten().find(|w| w.column == "product").map(|w| w.value);
    let product = RowKey(product.into_iter().collect());
    match how {
        Value::Text(how) if how == "panic" => panic!("a handler of the test's panics"),
        Value::Text(how) if how == "fail" => return Err(Halt::fail("the till is jammed")),
        Value::Text(how) if how == "nonsense" => return call.update("orders", &key("o"), &[("colour", text("red"))]),
        Value::Text(how) if how == "oversell" => {
            return call.update("products", &product, &[("stock", Value::Int(-1))]);
        }
        Value::Text(how) if how == "late" => {
            seconds.fetch_add(1_000, Ordering::SeqCst);
            call.row("products", &product)?;
        }
        Value::Text(how) if how == "drop" => {
            assert!(call.drop_operation("orders", &RowKey(vec![order])));
            return Ok(());
        }
        _ => {}
    }
    let Some(row) = call.row("products", &product)? else { return Err(Halt::refuse("gone", "no such product")) };
    let Some(Value::Int(stock @ 1..)) = row.get("stock").cloned() else {
        return Err(Halt::refuse("sold_out", "nothing is left"));
    };
    call.update("products", &product, &[("stock", Value::Int(stock - 1))])?;
    let sold = call.find("orders", &[("product", product.0[0].clone())], 100)?;
    let number = sold.iter().filter_map(|(_, row)| row.get("number")).max().cloned();
    let next = if let Some(Value::Int(number)) = number { number + 1 } else { 100 };
    call.update("orders", &RowKey(vec![order.clone()]), &[("number", Value::Int(next))])?;
    call.insert("receipts", &[("order", order)])?;
    Ok(())
}

fn asks(push: PushEntry, action: &str, args: &[(&str, Value)]) -> PushEntry {
    let mut transaction = push.entry.transaction.clone();
    let args: Cells = args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    transaction.action = Some(Action { name: action.into(), args });
    PushEntry { entry: Entry::from(transaction), ..push }
}

/// The next transaction of a device: an order, and the action.
pub(crate) fn order(device: &mut Device, id: &str, how: Option<&str>) -> PushEntry {
    let push = device.write(vec![insert("orders", id, &[("product", text("lamp"))])]);
    let how = how.map(|how| ("how", text(how)));
    asks(push, "checkout", &[("order", text(id))].into_iter().chain(how).collect::<Vec<_>>())
}

/// A shop that has so many lamps.
fn open<B: Backend>(backend: &B, lamps: u32) -> Box<dyn Store> {
    let seconds = Arc::new(AtomicU64::new(0));
    let own = Arc::clone(&seconds);
    let actions = Actions::new().on("checkout", move |call: &mut Call<'_>| checkout(call, &own));
    let actions = actions.with_clock(move || Duration::from_secs(seconds.load(Ordering::SeqCst)));
    let store = backend.open_with(&shop(), actions);
    backend.outside(&format!("INSERT INTO products (id, stock) VALUES ('lamp', {lamps})"));
    store
}

/// The changes of a sequence: table, and the row after.
fn changes_of(store: &dyn Store, seq: u64) -> Vec<(String, Option<Cells>)> {
    let entry = store.reader().unwrap().log_entry(seq).unwrap().expect("in the log");
    let of = |RowChange { table, after, .. }| (table, after);
    entry.changes.into_iter().map(of).collect()
}

fn failed(outcome: &Outcome) -> Problem {
    match outcome {
        Outcome::Failed { problem } => problem.clone(),
        other => panic!("not failed: {other:?}"),
    }
}

/// P16, P17: what the device and the handler write is one commit; the handler reads what is there, also what came from
/// outside, and no access rule lies on it.
pub(crate) fn a_handler_adds_to_what_the_device_writes<B: Backend>() {
    let backend = B::fresh();
    let mut store = open(&backend, 2);
    let mut ann = Device::new(1, "ann");
    let push = order(&mut ann, "a", None);
    let seq = accept(&mut *store, push.clone());
    let changes = changes_of(&*store, seq);
    let after = |table: &str| changes.iter().find(|(t, _)| t == table).and_then(|(_, row)| row.clone()).expect(table);
    assert_eq!(changes.len(), 3);
    assert_eq!(after("products")["stock"], Value::Int(1));
    assert_eq!((&after("orders")["number"], &after("orders")["total"]), (&Value::Int(100), &Value::Null));
    let receipt = after("receipts");
    assert_eq!((&receipt["made"], &receipt["paid"]), (&Value::Timestamp(NOW as i64 * 1_000), &Value::Bool(false)));
    // Asked again, it is answered as before, and nothing is sold twice.
    assert_eq!(accept(&mut *store, push), seq);
    let second = order(&mut ann, "b", None);
    let seq = accept(&mut *store, second);
    let numbers = changes_of(&*store, seq).into_iter().filter_map(|(_, row)| row?.get("number").cloned());
    assert_eq!(numbers.collect::<Vec<_>>(), [Value::Int(101)]);
}

/// P16: within one group too, what one sells the next one does not see. A refusal is the handler's own, and leaves nothing.
pub(crate) fn a_handler_refuses<B: Backend>() {
    let backend = B::fresh();
    let mut store = open(&backend, 1);
    let (mut ann, mut bob) = (Device::new(1, "ann"), Device::new(2, "bob"));
    let pushes = [order(&mut ann, "a", None), order(&mut bob, "b", None)];
    let group = commit(&mut *store, &pushes);
    accepted(&group.outcomes[0]);
    let Outcome::Refused { problem, .. } = &group.outcomes[1] else { panic!("{:?}", group.outcomes[1]) };
    assert_eq!((problem.code.as_str(), problem.message.as_str()), ("sold_out", "nothing is left"));
    assert_eq!(commit(&mut *store, &pushes).outcomes, group.outcomes, "remembered");
    // What it adds is held against the schema, and the device's part against the access rules.
    assert_eq!(refuse(&mut *store, order(&mut ann, "c", Some("oversell"))), codes::OUT_OF_RANGE);
    assert_eq!(refuse(&mut *store, order(&mut Device::new(3, "eve"), "d", Some("drop me"))).as_str(), "sold_out");
    backend.outside("UPDATE products SET stock = 5");
    assert_eq!(refuse(&mut *store, order(&mut Device::new(4, "eve"), "d", None)), codes::NOT_ALLOWED);
    let head = store.head().seq;
    let (log, first) = (store.reader().unwrap(), accepted(&group.outcomes[0]));
    let later = (first + 1..=head).filter_map(|seq| log.log_entry(seq).unwrap());
    assert!(later.into_iter().all(|entry| entry.replica == crate::commit::OUTSIDE), "nothing of what was refused");
}

/// P16: what a handler drops is not applied; the transaction is accepted all the same.
pub(crate) fn a_handler_drops_what_the_device_wants<B: Backend>() {
    let backend = B::fresh();
    let mut store = open(&backend, 1);
    let seq = accept(&mut *store, order(&mut Device::new(1, "ann"), "a", Some("drop")));
    assert!(changes_of(&*store, seq).is_empty());
}

/// P15, P16: a handler that panics, fails, takes too long or adds nonsense harms its own transaction alone, which is given up
/// after as many failures as the action allows.
pub(crate) fn a_handler_that_fails_harms_nobody_else<B: Backend>() {
    for (how, words) in [
        ("panic", "it panicked"),
        ("fail", "the till is jammed"),
        ("late", "longer than it may"),
        ("nonsense", "'colour' is not a column"),
    ] {
        let backend = B::fresh();
        let mut store = open(&backend, 1);
        let (mut ann, mut bob) = (Device::new(1, "ann"), Device::new(2, "bob"));
        let poison = order(&mut ann, "a", Some(how));
        let follower = asks(ann.follow(Vec::new(), &[1], &[1]), "unhandled", &[]);
        let free = order(&mut bob, "b", None);
        let group = commit(&mut *store, &[poison.clone(), follower.clone(), free]);
        let problem = failed(&group.outcomes[0]);
        assert_eq!(problem.code, store_codes::HANDLER, "{how}");
        assert!(problem.message.contains(words) && problem.message.contains("1 of 2"), "{how}: {problem}");
        assert_eq!(group.outcomes[1], Outcome::Deferred { missing: 1 });
        accepted(&group.outcomes[2]);
        assert_eq!((group.counters.failed, group.faults.len()), (1, 1), "the operator is told");
        for _ in 0..2 {
            let group = commit(&mut *store, &[poison.clone(), follower.clone()]);
            assert_eq!(refusal(&group.outcomes[0]), codes::ATTEMPTS_USED_UP, "{how}");
            assert_eq!(refusal(&group.outcomes[1]), codes::DEPENDS_ON_REFUSED);
        }
    }
}

/// P16, P17: what cannot be asked for is refused before any handler hears of it.
pub(crate) fn an_action_that_cannot_be_is_refused<B: Backend>() {
    let backend = B::fresh();
    let mut store = open(&backend, 1);
    let mut ann = Device::new(1, "ann");
    let mut ask = |action: &str, args: &[(&str, Value)]| {
        let push = asks(ann.write(Vec::new()), action, args);
        refuse(&mut *store, push)
    };
    assert_eq!(ask("unhandled", &[]), codes::NOT_HANDLED);
    assert_eq!(ask("unheard", &[]), codes::UNKNOWN_NAME);
    assert_eq!(ask("checkout", &[]), codes::REQUIRED);
    assert_eq!(ask("checkout", &[("order", Value::Int(1))]), codes::WRONG_TYPE);
    assert_eq!(ask("checkout", &[("order", text("a")), ("size", text("a"))]), codes::UNKNOWN_NAME);
    let numbered = ann.write(vec![insert("orders", "n", &[("number", Value::Int(7))])]);
    assert_eq!(refuse(&mut *store, numbered), codes::SERVER_ASSIGNED);
}

/// A fault of another transaction of the group has the handler run again; nothing is counted or done twice.
pub(crate) fn a_handler_runs_again_when_its_group_does<B: Backend>() {
    let backend = B::fresh();
    let mut store = open(&backend, 3);
    backend.forbid("orders", "id", "poison");
    let (mut ann, mut bob) = (Device::new(1, "ann"), Device::new(2, "bob"));
    let jammed = order(&mut ann, "j", Some("fail"));
    let poison = bob.write(vec![insert("orders", "poison", &[])]);
    let good = order(&mut ann, "a", None);
    let group = commit(&mut *store, &[jammed, good, poison]);
    assert!(failed(&group.outcomes[0]).message.contains("1 of 2"));
    let seq = accepted(&group.outcomes[1]);
    assert_eq!(failed(&group.outcomes[2]).code, store_codes::REJECTED);
    let stock = changes_of(&*store, seq).into_iter().find(|(table, _)| table == "products").and_then(|(_, row)| row);
    assert_eq!(stock.expect("a product")["stock"], Value::Int(2));
}
