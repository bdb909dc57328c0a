//! What people do about what they wrote: take it back, change it, look after what was refused, carry it elsewhere.

use landfall_client::db::{DbError, EntryState, OutboxEntry, Withdrawal};

use landfall_core::Transaction;

use super::World;
use crate::invariants::{Violation, ledger, offline, revised};
use crate::workload::Author;

/// So many files lie around at most.
const MOST_FILES: usize = 4;
/// Of the error that says that a row cannot be made again.
const NO_COPY: &str = "no copy of it was kept";

/// An outbox, or one entry of it, as a file.
#[derive(Debug, Clone)]
pub(crate) struct Exported {
    pub file: String,
    /// What it has.
    pub transactions: Vec<Transaction>,
    /// Of which version of the app it is.
    pub version: usize,
}

impl World {
    /// What is done now and then.
    pub(super) fn reconsider(&mut self, device: usize) -> Result<(), Violation> {
        revised::ended_in_time(self, device)?;
        revised::not_ended_early(self, device)?;
        match self.devices[device].minds.below(100) {
            0..=34 => self.edit(device),
            35..=59 => self.undo_given(device),
            60..=74 => self.supersede(device),
            75..=87 => self.correct(device),
            88..=93 => self.export(device),
            _ => self.import(device),
        }
    }

    /// Undo, redo, or a withdrawal.
    pub(super) fn change_mind(&mut self, device: usize) -> Result<(), Violation> {
        let choice = self.devices[device].dice.below(4);
        let name = self.devices[device].name.clone();
        let result = match choice {
            0 | 1 => self.engine(device, |engine, moment, dice| {
                let random = &mut |bytes: &mut [u8]| dice.fill(bytes);
                let undone =
                    if choice == 0 { engine.undo_last(moment, random) } else { engine.redo_last(moment, random) };
                undone.map(|undone| undone.map(|written| (written.value.of, written.value.left.len())))
            })?,
            _ => return self.withdraw(device),
        };
        self.trace.line(self.now, &name, || format!("{}: {result:?}", if choice == 0 { "undo" } else { "redo" }));
        match result {
            Some(Ok(Some(_))) => {
                self.coverage.hit(if choice == 0 { "work undone" } else { "work done again" });
                Ok(())
            }
            Some(Err(DbError::NeedsServer { .. })) => self.needs_server(device),
            // What others did since may forbid it.
            Some(Err(DbError::Invalid(_) | DbError::OutboxFull { .. })) => Ok(()),
            Some(Err(DbError::RolledBack(_))) if self.disk_is_failing(device) => Ok(()),
            other => self.storage_only(other.map(|result| result.map(|_| ()))),
        }
    }

    fn withdraw(&mut self, device: usize) -> Result<(), Violation> {
        let Some(process) = self.devices[device].process.as_ref() else { return Ok(()) };
        let db = process.engine.db();
        let replica = db.replica();
        let open = |rseq: &u64| db.is_open(*rseq).unwrap_or(false);
        let open: Vec<u64> = db.undecided().unwrap_or_default().into_iter().filter(open).collect();
        let Some(rseq) = self.devices[device].dice.pick(&open).copied() else { return Ok(()) };
        let op = self.devices[device].process.as_ref().and_then(|p| ledger::op_of(p, rseq));
        self.trace.line(self.now, &self.devices[device].name.clone(), || format!("withdraws {rseq}, {op:?}"));
        let with_it: Vec<_> = self.devices[device]
            .process
            .iter()
            .flat_map(|p| open.iter().filter_map(|rseq| ledger::op_of(p, *rseq)))
            .collect();
        with_it.into_iter().for_each(|op| self.ledger.give_up(op));
        self.ledger.unsaid.insert((replica, rseq));
        let result = self.engine(device, |engine, moment, dice| {
            engine.withdraw(rseq, moment, &mut |bytes| dice.fill(bytes)).map(|written| written.value)
        })?;
        if let Some(Ok(Withdrawal::TakenBack(_))) = &result {
            return Err(Violation::new("pending", format!("{rseq} was never sent, and is not withdrawn")));
        }
        if matches!(&result, Some(Ok(_))) && self.devices[device].handed.contains(&(replica, rseq)) {
            return Err(Violation::new("once", format!("{rseq} was sent, and is withdrawn as if it had not been")));
        }
        if let (Some(Ok(_) | Err(DbError::Io(_))), Some(op)) = (&result, op) {
            self.coverage.hit("work withdrawn");
            ledger::discarded(self, device, op);
        }
        self.storage_only(result.map(|result| result.map(|_| ())))
    }

    /// A dead letter is tried again, or thrown away.
    pub(super) fn look_after_dead(&mut self, device: usize) -> Result<(), Violation> {
        let pairs = self.may_write_pairs(device);
        let Some(process) = self.devices[device].process.as_ref() else { return Ok(()) };
        let dead = process.engine.outbox().unwrap_or_default();
        let dead: Vec<u64> = dead.iter().filter(|e| e.state == EntryState::Dead).map(|e| e.rseq).collect();
        let Some(rseq) = self.devices[device].dice.pick(&dead).copied() else { return Ok(()) };
        let op = self.devices[device].process.as_ref().and_then(|p| ledger::op_of(p, rseq));
        if pairs && self.devices[device].dice.chance(500) {
            return self.retry(device, rseq, false);
        }
        self.trace.line(self.now, &self.devices[device].name.clone(), || format!("discards {rseq}, {op:?}"));
        let result = self.engine(device, |engine, moment, _| engine.discard(rseq, moment))?;
        if let (Some(Ok(()) | Err(DbError::Io(_))), Some(op)) = (&result, op) {
            ledger::discarded(self, device, op);
        }
        self.storage_only(result)
    }

    pub(super) fn outbox_of(&self, device: usize) -> Vec<OutboxEntry> {
        let process = self.devices[device].process.as_ref();
        process.map(|process| process.engine.outbox().unwrap_or_default()).unwrap_or_default()
    }

    fn pick_dead(&mut self, device: usize) -> Option<u64> {
        let mut dead = self.outbox_of(device);
        dead.retain(|e| e.state == EntryState::Dead);
        self.devices[device].minds.pick(&dead).map(|e| e.rseq)
    }

    fn supersede(&mut self, device: usize) -> Result<(), Violation> {
        let Some(rseq) = self.pick_dead(device) else { return Ok(()) };
        self.trace.line(self.now, &self.devices[device].name.clone(), || format!("supersedes {rseq}"));
        self.write_instead_of(device, Some(rseq))
    }

    fn correct(&mut self, device: usize) -> Result<(), Violation> {
        if !self.may_write_pairs(device) {
            return Ok(());
        }
        match self.pick_dead(device) {
            Some(rseq) => self.retry(device, rseq, true),
            None => Ok(()),
        }
    }

    /// A dead letter is tried again, perhaps with a correction.
    fn retry(&mut self, device: usize, rseq: u64, corrected: bool) -> Result<(), Violation> {
        let Some(entry) = self.outbox_of(device).into_iter().find(|e| e.rseq == rseq) else { return Ok(()) };
        let (person, name) = (self.devices[device].subject(), self.devices[device].name.clone());
        let op = ledger::op_of_transaction(&entry.transaction);
        let mut choices = corrected.then(|| self.devices[device].minds.fork());
        self.trace.line(self.now, &name, || format!("retries {rseq}, {op:?}, corrected: {corrected}"));
        let people = self.plan.people;
        let before = offline::before(self, device);
        let result = self.engine(device, |engine, moment, dice| {
            engine.write(moment, &mut |bytes| dice.fill(bytes), |tx| {
                tx.leave_out_of_undo();
                tx.retry(rseq)?;
                match &mut choices {
                    Some(dice) => Author::without_mark(dice, &person, people, &name).change(tx, &entry.transaction),
                    None => Ok(()),
                }
            })
        })?;
        ledger::retried(self, device, &entry.transaction);
        match result {
            Some(Ok(written)) => {
                self.coverage.hit(if corrected { "work corrected" } else { "work tried again" });
                offline::written(self, device, before.as_ref(), written.rseq, &written.gone, None)?;
                revised::is_replaced(self, device, rseq, &written.gone)
            }
            Some(Err(error)) if error.to_string().contains(NO_COPY) && !self.devices[device].lacks_rows => {
                Err(Violation::new(
                    "pending",
                    format!(
                        "what entry {rseq} wrote cannot be written again: {error}; {:?}",
                        entry.transaction.operations
                    ),
                ))
            }
            // What is still not valid stays a dead letter.
            _ => Ok(()),
        }
    }

    /// An entry of the outbox is changed.
    fn edit(&mut self, device: usize) -> Result<(), Violation> {
        let mut entries = self.outbox_of(device);
        entries.retain(|e| e.state != EntryState::Dead);
        let minds = &mut self.devices[device].minds;
        if minds.chance(700) && entries.iter().any(|e| e.is_open) {
            entries.retain(|e| e.is_open);
        }
        let Some(entry) = minds.pick(&entries).cloned() else { return Ok(()) };
        let mut choices = minds.fork();
        self.ledger.unsaid.insert((entry.transaction.replica, entry.rseq));
        let (person, name) = (self.devices[device].subject(), self.devices[device].name.clone());
        let people = self.plan.people;
        let before = offline::before(self, device);
        let result = self.engine(device, |engine, moment, dice| {
            let mut author = Author::without_mark(&mut choices, &person, people, &name);
            let random = &mut |bytes: &mut [u8]| dice.fill(bytes);
            engine.edit(entry.rseq, moment, random, |tx| author.change(tx, &entry.transaction))
        })?;
        self.trace.line(self.now, &name, || format!("edits {}: {result:?}", entry.rseq));
        match result {
            Some(Ok(written)) => {
                if !written.value.in_place {
                    self.ledger.unsaid.remove(&(entry.transaction.replica, entry.rseq));
                }
                let how = if written.value.in_place { "work edited" } else { "work changed after it was sent" };
                self.coverage.hit(how);
                revised::was_taken_up(self, device, written.rseq, &written.gone);
                offline::written(self, device, before.as_ref(), written.rseq, &written.gone, Some(&entry.transaction))?;
                revised::edited(self, device, &entry, &written)
            }
            Some(Err(error)) => {
                // It may have become another one all the same.
                ledger::written_again(self, &entry.transaction);
                self.may_be_refused(device, error)
            }
            None => Ok(()),
        }
    }

    /// What was taken back, or changed, like any other write.
    fn may_be_refused(&mut self, device: usize, error: DbError) -> Result<(), Violation> {
        match error {
            DbError::NeedsServer { .. } | DbError::TooSoon { .. } => self.needs_server(device),
            DbError::Invalid(_) | DbError::OutboxFull { .. } | DbError::Damaged(_) => Ok(()),
            DbError::RolledBack(_) if self.disk_is_failing(device) => Ok(()),
            other => self.storage_only(Some(Err(other))),
        }
    }

    /// One of the transactions that a person may take back, whatever was written since.
    fn undo_given(&mut self, device: usize) -> Result<(), Violation> {
        let Some(process) = self.devices[device].process.as_ref() else { return Ok(()) };
        let db = process.engine.db();
        // What was taken up since would be taken back with what took it up.
        let is_itself = |t: &&Transaction| {
            t.replica == db.replica() && db.current_rseq(t.rseq).is_ok_and(|current| current == t.rseq)
        };
        let plain: Vec<_> = process.plain.iter().filter(is_itself).cloned().collect();
        let Some(transaction) = self.devices[device].minds.pick(&plain).cloned() else { return Ok(()) };
        let before = revised::rows_of(self, device, &transaction);
        let is_open = self.outbox_of(device).iter().any(|e| e.rseq == transaction.rseq && e.is_open);
        let withdraws = !is_open && self.devices[device].minds.chance(300);
        let rseq = transaction.rseq;
        let result = self.engine(device, |engine, moment, dice| {
            let random = &mut |bytes: &mut [u8]| dice.fill(bytes);
            if !withdraws {
                return engine.undo(rseq, moment, random).map(|written| (written.rseq, Some(written.value)));
            }
            engine.withdraw(rseq, moment, random).map(|written| match written.value {
                Withdrawal::TakenBack(undone) => (written.rseq, Some(undone)),
                Withdrawal::Withdrawn { .. } => (None, None),
            })
        })?;
        self.trace.line(self.now, &self.devices[device].name.clone(), || format!("takes back {rseq}: {result:?}"));
        match result {
            Some(Ok((_, None))) => {
                Err(Violation::new("pending", format!("{rseq} was handed to the network, and is withdrawn")))
            }
            Some(Ok((again, Some(undone)))) => {
                self.coverage.hit(if withdraws { "work taken back" } else { "work undone of old" });
                revised::may_be_undone(self, device, again);
                revised::undone(self, device, &transaction, &before, &undone)
            }
            // It is part of another one, is a dead letter, or is not kept any more.
            Some(Err(DbError::NotUndoable { .. } | DbError::NoSuchEntry { .. })) | None => Ok(()),
            Some(Err(error)) => self.may_be_refused(device, error),
        }
    }

    fn export(&mut self, device: usize) -> Result<(), Violation> {
        let mut entries = self.outbox_of(device);
        entries.retain(|e| !matches!(e.state, EntryState::Acknowledged(_)));
        let minds = &mut self.devices[device].minds;
        let only = if minds.chance(700) { minds.pick(&entries).map(|e| e.rseq) } else { None };
        entries.retain(|e| only.is_none_or(|rseq| rseq == e.rseq));
        let Some(process) = self.devices[device].process.as_ref() else { return Ok(()) };
        let wall_ms = self.devices[device].moment(self.now).wall_ms;
        // Only a disk that fails keeps it from being read.
        let Ok(file) = process.engine.db().export(only, wall_ms) else { return Ok(()) };
        self.coverage.hit("work exported");
        let transactions = entries.into_iter().map(|e| e.transaction).collect();
        self.files.truncate(MOST_FILES - 1);
        self.files.insert(0, Exported { file, transactions, version: self.devices[device].version });
        if self.devices[device].minds.chance(300) { self.import_file(device, 0, true) } else { Ok(()) }
    }

    fn import(&mut self, device: usize) -> Result<(), Violation> {
        let files = self.files.len();
        let at = self.devices[device].minds.index(files);
        if files == 0 { Ok(()) } else { self.import_file(device, at, false) }
    }

    /// A file that lies around is taken in, perhaps twice.
    fn import_file(&mut self, device: usize, at: usize, mut again: bool) -> Result<(), Violation> {
        let exported = self.files[at].clone();
        // What the older app does not know would be refused there, and nobody does that.
        if exported.version > self.devices[device].version {
            return Ok(());
        }
        for _ in 0..self.devices[device].minds.between(1, 2) {
            let before = self.outbox_of(device);
            let result = self.engine(device, |engine, moment, _| engine.import(&exported.file, moment))?;
            self.trace.line(self.now, &self.devices[device].name.clone(), || format!("imports: {result:?}"));
            match result {
                Some(Ok(imported)) => {
                    self.devices[device].lacks_rows = true;
                    self.coverage.hit(if imported.added.is_empty() { "work known" } else { "work imported" });
                    if self.devices[device].process.is_none() {
                        self.may_have_imported(device, &exported);
                        return Ok(());
                    }
                    revised::imported(self, device, &exported, &before, &imported, again)?;
                    again = imported.refused.is_empty();
                }
                Some(Err(error)) => {
                    self.may_have_imported(device, &exported);
                    self.may_be_refused(device, error)?;
                }
                None => {}
            }
        }
        Ok(())
    }

    fn may_have_imported(&mut self, device: usize, exported: &Exported) {
        let ops = exported.transactions.iter().filter_map(ledger::op_of_transaction);
        ledger::may_be_imported(self, device, ops);
    }
}
