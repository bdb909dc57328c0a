//! An entry whose action has a webhook: what is asked about it, and whether the rows under the answer are still as they
//! were. The webhook itself is asked elsewhere, when no transaction is open.

use landfall_core::error::codes;
use landfall_core::hash::row_hash;
use landfall_core::{Action, Operation, Problem, RowKey, Value};

use super::Group;
use super::tx::{Found, StoreTx};
use crate::actions::Reason;
use crate::actions::answer::{self, Decided, Wish};
use crate::actions::hooks::{Again, Heard, Moved, Name, Next, ROUNDS, RowId, Seen, Verdict};
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
        let (name, verdict) = match &push.heard {
            Heard::Later { again_ms } => return Ok(Err(Reason::Asked { again_ms: *again_ms })),
            Heard::Nothing => match Name::of(push) {
                Some(name) => return self.put_first_question(&name, push, action, own),
                None => return failed("it asks for no action".into()),
            },
            Heard::Turn(name, None) => return self.put_first_question(name, push, action, own),
            Heard::Turn(name, Some(again)) => {
                return self.put_question(name, push, action, own, again.rows.clone(), again.round);
            }
            Heard::Verdict(name, verdict) => (name, verdict),
        };
        let (body, shown, round) = match &**verdict {
            Verdict::Failed(why) => return failed(why.clone()),
            Verdict::Answered { body, rows, round } => (body, rows, *round),
        };
        let mut rows: Vec<(String, RowKey)> = shown.iter().map(|row| (row.table.clone(), row.key.clone())).collect();
        match answer::read(body, self.plan) {
            Err(nonsense) => Ok(Err(Reason::Nonsense(nonsense))),
            Ok(Wish::Decide(decided)) => {
                let rests_on = decided.rests_on.as_deref().unwrap_or(shown);
                let moved = self.moved(rests_on)?;
                if moved.is_empty() || landfall_core::mutant::active("versions-ignored") {
                    return Ok(Ok(decided));
                }
                let is_as_shown = rests_on.iter().all(|row| shown.contains(row));
                match (is_as_shown, round < ROUNDS) {
                    (true, true) => {
                        let again = Again { rows, round: round + 1 };
                        self.asks.push((*name, Next::Contend(again, moved)));
                        Ok(Err(Reason::Asked { again_ms: name.again_ms() }))
                    }
                    // Others were quicker each time: that is nobody's fault, and no attempt. Its device comes again.
                    (true, false) => Ok(Err(Reason::Asked { again_ms: name.again_ms() })),
                    (false, true) => self.put_question(name, push, action, own, rows, round + 1),
                    (false, false) => {
                        failed(format!("each of {ROUNDS} answers rests on versions that its question did not show"))
                    }
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
                self.put_question(name, push, action, own, rows, round + 1)
            }
        }
    }

    fn put_first_question(
        &mut self,
        name: &Name,
        push: &PushEntry,
        action: &Action,
        own: &[Operation],
    ) -> Result<Result<Decided, Reason>, StoreError> {
        let rows = self.rows_about(action, own);
        self.put_question(name, push, action, own, rows, 1)
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
        if self.room == 0 {
            return Ok(Err(Reason::Asked { again_ms: name.again_ms() }));
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
                self.room = self.room.saturating_sub(question.body.len());
                self.asks.push((*name, Next::Ask(question)));
                Ok(Err(Reason::Asked { again_ms: name.again_ms() }))
            }
            None => Ok(Err(Reason::Refused(too_long()))),
        }
    }

    /// Those of these rows that are not as they were.
    fn moved(&mut self, rows: &[Seen]) -> Result<Vec<Moved>, StoreError> {
        let mut moved = Vec::new();
        for Seen { table, key, version: before } in rows {
            let found = self.look(table, key)?;
            let version = found.as_ref().and_then(|found| self.version(table, key, found));
            if version != *before {
                moved.push(Moved { row: RowId::of(table, key), version });
            }
        }
        Ok(moved)
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
