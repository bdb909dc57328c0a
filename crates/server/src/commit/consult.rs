//! An entry whose action has a webhook: what is asked about it, and whether the rows under the answer are still as they
//! were. The webhook itself is asked elsewhere, when no transaction is open.

use landfall_core::error::codes;
use landfall_core::hash::row_hash;
use landfall_core::{Action, Operation, Problem, RowKey, Value};

use super::Group;
use super::tx::{Found, StoreTx};
use crate::actions::Reason;
use crate::actions::answer::{self, Decided, Wish};
use crate::actions::hooks::{Heard, Name, ROUNDS, Seen, Verdict};
use crate::actions::question::{self, MOST_ROWS, Shown};
use crate::store::{PushEntry, StoreError};

impl<T: StoreTx> Group<'_, T> {
    /// What the webhook has decided, when that still holds. If not, it is asked, or asked again: what it needs to know is
    /// left in the group's questions.
    pub(super) fn consult(
        &mut self,
        push: &PushEntry,
        action: &Action,
        own: &[Operation],
    ) -> Result<Result<Decided, Reason>, StoreError> {
        let failed = |text: String| Ok(Err(Reason::Failed(text)));
        let Some(name) = Name::of(push) else { return failed("it asks for no action".into()) };
        let verdict = match &push.heard {
            Heard::Waiting => return Ok(Err(Reason::Asked { again_ms: name.again_ms() })),
            Heard::Nothing => {
                let rows = self.rows_about(action, own);
                return self.put_question(&name, push, action, own, rows, 1);
            }
            Heard::Verdict(verdict) => verdict,
        };
        self.heard.push(name);
        let (body, shown, round) = match &**verdict {
            Verdict::Failed(why) => return failed(why.clone()),
            Verdict::Answered { body, rows, round } => (body, rows, *round),
        };
        let mut rows: Vec<(String, RowKey)> = shown.iter().map(|row| (row.table.clone(), row.key.clone())).collect();
        match answer::read(body, self.plan) {
            Err(nonsense) => failed(nonsense),
            Ok(Wish::Decide(decided)) => {
                let rests_on = decided.rests_on.as_deref().unwrap_or(shown);
                if !self.have_moved(rests_on)? || landfall_core::mutant::active("versions-ignored") {
                    return Ok(Ok(decided));
                }
                match decided.rests_on {
                    _ if round < ROUNDS => self.put_question(&name, push, action, own, rows, round + 1),
                    Some(_) => failed(format!("the rows that its answer rests on changed each of {ROUNDS} times")),
                    // Others were quicker each time: that is nobody's fault, and no attempt. Its device comes again.
                    None => Ok(Err(Reason::Asked { again_ms: name.again_ms() })),
                }
            }
            Ok(Wish::Read(more)) => {
                let before = rows.len();
                for row in more {
                    if !rows.contains(&row) {
                        rows.push(row);
                    }
                }
                if rows.len() == before {
                    return failed("it wants to read rows that it was shown".into());
                }
                if round >= ROUNDS {
                    return failed(format!("it wanted to read more each of {ROUNDS} times"));
                }
                self.put_question(&name, push, action, own, rows, round + 1)
            }
        }
    }

    /// The rows that the transaction writes, and those that the action's arguments name.
    fn rows_about(&self, action: &Action, own: &[Operation]) -> Vec<(String, RowKey)> {
        let mut rows: Vec<(String, RowKey)> = Vec::new();
        let declared = self.plan.schema().action(&action.name);
        for arg in declared.iter().flat_map(|declared| &declared.args) {
            let value = action.args.get(&arg.name).filter(|value| !value.is_null());
            if let (Some(reference), Some(value)) = (&arg.references, value) {
                let row = (reference.table.clone(), RowKey::single(Value::clone(value)));
                if !rows.contains(&row) {
                    rows.push(row);
                }
            }
        }
        let named = rows.clone();
        let written = own.iter().map(|operation| (operation.table().to_owned(), operation.key().clone()));
        // Each row is written once; it may be named too.
        rows.extend(written.filter(|row| !named.contains(row)));
        rows
    }

    fn put_question(
        &mut self,
        name: &Name,
        push: &PushEntry,
        action: &Action,
        own: &[Operation],
        rows: Vec<(String, RowKey)>,
        round: u8,
    ) -> Result<Result<Decided, Reason>, StoreError> {
        let too_long = || {
            let text = format!("a transaction that asks '{}' concerns at most {MOST_ROWS} rows", action.name);
            Problem::new(codes::BAD_TRANSACTION, format!("{text}; write in several transactions"))
        };
        if rows.len() > MOST_ROWS {
            return Ok(Err(Reason::Refused(too_long())));
        }
        let mut shown = Vec::with_capacity(rows.len());
        for (table, key) in rows {
            let found = self.look(&table, &key)?;
            let version = found.as_ref().and_then(|found| self.version(&table, &key, found));
            let cells = found.and_then(|found| found.cells);
            shown.push(Shown { seen: Seen { table, key, version }, cells });
        }
        match question::question(name, push, action, own, shown, round) {
            Some(question) => {
                self.asks.push((*name, question));
                Ok(Err(Reason::Asked { again_ms: name.again_ms() }))
            }
            None => Ok(Err(Reason::Refused(too_long()))),
        }
    }

    /// Whether one of these rows is not as it was.
    fn have_moved(&mut self, rows: &[Seen]) -> Result<bool, StoreError> {
        for row in rows {
            let found = self.look(&row.table, &row.key)?;
            if found.as_ref().and_then(|found| self.version(&row.table, &row.key, found)) != row.version {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The row as it is; a write behind the store's back has its sequence by then.
    fn look(&mut self, table: &str, key: &RowKey) -> Result<Option<Found>, StoreError> {
        let at = self.plan.table_at(table).filter(|at| self.plan.table(*at).sync);
        at.map(|at| self.settled(at, key)).transpose()
    }

    /// The sequence of a row's last change, and what it holds.
    fn version(&self, table: &str, key: &RowKey, found: &Found) -> Option<String> {
        let cells = found.cells.as_ref()?;
        let seq = found.book.as_ref().map_or(0, |book| book.meta.last_seq());
        Some(format!("{seq}-{:016x}", row_hash(table, key, cells)))
    }
}
