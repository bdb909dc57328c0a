//! Cards in piles, which everybody moves: what a person sees of an order that people make, written down when it is written.

use landfall_client::db::{DbError, Spot, WriteTx};
use landfall_core::{ColumnType, RowKey, Value};

use crate::dice::Dice;
use crate::workload::key;

/// Cards that one transaction put side by side, as its author saw them.
#[derive(Debug, Clone)]
pub struct Run {
    /// The pile.
    pub pile: u64,
    /// Their positions, in order.
    pub at: Vec<String>,
    /// The position of the card in front of them.
    pub left: Option<String>,
    /// The position of the card behind them.
    pub right: Option<String>,
    /// What was wrong with the order right after the move.
    pub wrong: Option<String>,
}

/// The cards of a pile that have a position, in order.
fn pile(tx: &mut WriteTx<'_>, pile: u64) -> Result<Vec<(RowKey, String)>, DbError> {
    let sql = "SELECT id, place FROM cards WHERE pile = ? AND place IS NOT NULL ORDER BY place, id";
    let rows = tx.query(sql, &[Value::Int(pile as i64)])?.rows;
    let card = |row: Vec<Value>| {
        let id = Value::from_json(&row.first()?.to_json(), ColumnType::Uuid).ok()?;
        Some((RowKey::single(id), row.get(1)?.as_text()?.to_owned()))
    };
    Ok(rows.into_iter().filter_map(card).collect())
}

/// Moves cards, or makes some, or throws one away.
///
/// # Errors
/// What the engine refuses.
pub fn arrange(dice: &mut Dice, tx: &mut WriteTx<'_>) -> Result<Option<Run>, DbError> {
    let (number, card) = (dice.below(2), |dice: &mut Dice| RowKey::single(key("cards", dice.below(20))));
    if dice.chance(100) {
        let card = card(dice);
        return tx.delete("cards", &card).map(|_| None);
    }
    let mut moved: Vec<RowKey> = Vec::new();
    for _ in 0..dice.between(1, 4) {
        let card = card(dice);
        if !moved.contains(&card) {
            // They are picked up first: nothing is put beside where one of them was.
            let picked_up = [("id", card.0[0].clone()), ("pile", Value::Int(number as i64)), ("place", Value::Null)];
            tx.upsert("cards", &picked_up)?;
            moved.push(card);
        }
    }
    let before = pile(tx, number)?;
    let beside = dice.pick(&before).map(|(card, _)| card.clone());
    let spot = match (dice.below(6), &beside) {
        (0, _) => Spot::First,
        (1 | 2, Some(beside)) => Spot::Before(beside.clone()),
        (3 | 4, Some(beside)) => Spot::After(beside.clone()),
        _ => Spot::Last,
    };
    let mut run: Vec<RowKey> = Vec::new();
    for card in moved {
        let forwards = dice.chance(600);
        let beside = if forwards { run.last() } else { run.first() }.cloned();
        let to = match beside {
            None => spot.clone(),
            Some(beside) if forwards => Spot::After(beside),
            Some(beside) => Spot::Before(beside),
        };
        tx.place("cards", &card, "place", &["pile"], &to)?;
        run.insert(if forwards { run.len() } else { 0 }, card);
    }
    let after = pile(tx, number)?;
    let wrong = misplaced(&before, &after, &run, &spot);
    let place = |card: &RowKey| after.iter().position(|(other, _)| other == card);
    let Some((first, last)) = run.first().zip(run.last()).and_then(|(one, other)| Some((place(one)?, place(other)?)))
    else {
        return Ok(Some(Run { pile: number, at: Vec::new(), left: None, right: None, wrong }));
    };
    let position = |at: usize| after.get(at).map(|(_, position)| position.clone());
    let at = run.iter().filter_map(|card| position(place(card)?)).collect();
    Ok(Some(Run { pile: number, at, left: first.checked_sub(1).and_then(position), right: position(last + 1), wrong }))
}

/// What is wrong with the order that a move has left, if anything is.
fn misplaced(others: &[(RowKey, String)], after: &[(RowKey, String)], run: &[RowKey], spot: &Spot) -> Option<String> {
    let rest = after.iter().map(|(card, _)| card).filter(|card| !run.contains(card));
    if !rest.eq(others.iter().map(|(card, _)| card)) {
        return Some(format!("{run:?} were moved, and the others are in another order: {others:?} became {after:?}"));
    }
    let Some(first) = after.iter().position(|(card, _)| run.first() == Some(card)) else {
        return Some(format!("{run:?} are not there: {after:?}"));
    };
    if !after[first..].iter().map(|(card, _)| card).take(run.len()).eq(run) {
        return Some(format!("{run:?} were put side by side, and are not: {after:?}"));
    }
    let behind = after.get(first + run.len());
    let is_there = match spot {
        Spot::First => first == 0,
        Spot::Last => behind.is_none(),
        // Two may have the same position; then their keys say which is first.
        Spot::After(card) => first > 0 && is_at(after, first - 1, card),
        Spot::Before(card) => behind.is_some() && is_at(after, first + run.len(), card),
    };
    (!is_there).then(|| format!("{run:?} were to be at {spot:?}, and are not: {after:?}"))
}

/// Whether this card is there, or one with the same position.
fn is_at(after: &[(RowKey, String)], at: usize, card: &RowKey) -> bool {
    let position = after.iter().find(|(other, _)| other == card).map(|(_, position)| position);
    after.get(at).map(|(_, position)| position) == position
}
