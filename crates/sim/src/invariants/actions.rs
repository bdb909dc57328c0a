//! `actions`: what a handler does is done once for each accepted transaction, and never for another: what is left of a
//! product is what there was less what was sold, and the sales are numbered without holes.

use std::collections::{BTreeMap, BTreeSet};

use landfall_core::error::codes;
use landfall_core::{RowKey, Value};
use landfall_protocol::{Decision, Outcome};

use super::Violation;
use crate::history::cell;
use crate::shop::STOCK;
use crate::world::World;

/// Looks at what a device is told: the shop never gives a number twice, so that no sale is refused for its number. (Two
/// answers that rest on the same state would be: the first is carried out, the second has to be asked for again.)
///
/// # Errors
/// When one is.
pub fn told(decisions: &[Decision]) -> Result<(), Violation> {
    for decision in decisions {
        if let Outcome::Refused { problem, .. } = &decision.outcome
            && problem.code == codes::UNIQUE
            && problem.table.as_deref() == Some("sales")
        {
            return Err(Violation::new("actions", format!("transaction {} was refused: {problem}", decision.rseq)));
        }
    }
    Ok(())
}

/// Looks at the tables of the shop.
///
/// # Errors
/// When they do not fit each other.
pub fn check(world: &World) -> Result<(), Violation> {
    let broken = |text: String| Err(Violation::new("actions", text));
    let mut sold: BTreeMap<&Value, i64> = BTreeMap::new();
    let mut numbers = BTreeSet::new();
    for (key, sale) in world.history.rows_of("sales") {
        let Value::Int(number) = cell(sale, "number") else {
            return broken(format!("the sale {key:?} was accepted and has no number"));
        };
        if !numbers.insert(*number) {
            return broken(format!("two sales have the number {number}"));
        }
        *sold.entry(cell(sale, "product")).or_default() += 1;
    }
    if numbers.last().is_some_and(|last| *last != numbers.len() as i64) {
        return broken(format!("the numbers of sales have holes: {numbers:?}"));
    }
    for (product, sold) in sold {
        let key = RowKey::single(product.clone());
        let left = world.history.rows_of("stocks").find(|(k, _)| **k == key).map(|(_, row)| cell(row, "left"));
        if left != Some(&Value::Int(STOCK - sold)) {
            return broken(format!("{sold} of {STOCK} {product:?} are sold, and {left:?} are left"));
        }
    }
    Ok(())
}
