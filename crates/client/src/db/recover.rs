//! Starting anew from the mirrored outbox, after the database was lost or damaged.

use landfall_core::rules::TakenBack;
use landfall_core::schema::{Sending, TransactionLimits};
use landfall_core::wide::WideMap;
use landfall_core::{Operation, Problem, RowKey, Schema, Transaction, Value, mutant};
use rusqlite::params;

use super::Database;
use super::bookkeeping::{DEAD, SENT, encode, first_undecided};
use super::error::{DbError, codes};
use super::images::RowImage;
use super::outbox::{Failure, Letter};
use super::overlay::Batch;
use super::review::Held;
use crate::changes::ChangeSet;
use crate::mirror::{Recovered, Situation};

/// The rows without what waits on them, where that is added to what they are: the images have it already. A row that is
/// made by what waits is not there without it.
fn before_what_waits(images: &[RowImage], from: &Recovered, schema: &Schema) -> Vec<RowImage> {
    let mut rows: WideMap<(&str, &RowKey), Vec<&Operation>> = WideMap::new();
    for operation in from.transactions.iter().flat_map(|transaction| &transaction.operations) {
        let row = (operation.table(), operation.key());
        match rows.get_mut(&row) {
            Some(waiting) => waiting.push(operation),
            None => drop(rows.insert(row, vec![operation])),
        }
    }
    let without = |image: &RowImage| {
        let mut image = image.clone();
        let waiting = rows.get(&(image.table.as_str(), &image.key)).map_or(&[][..], Vec::as_slice);
        if image.seq == 0 && waiting.iter().any(|operation| matches!(operation, Operation::Insert { .. })) {
            return None;
        }
        let Some(table) = schema.table(&image.table) else { return Some(image) };
        // The last one first: each was made on top of those before it.
        let writes = waiting.iter().rev().flat_map(|operation| operation.cells());
        for write in writes.filter(|write| write.change.is_some()) {
            let rule = table.column(&write.column).map(|column| column.merge.clone());
            let (Some(rule), Some(is)) = (rule, image.cells.get(&write.column)) else { continue };
            if rule.is_repeatable() {
                continue;
            }
            if let Some(TakenBack { value: was, .. }) = rule.taken_back(is, &Value::Null, &write.value) {
                image.cells.insert(write.column.clone(), was);
            }
        }
        Some(image)
    };
    images.iter().filter_map(without).collect()
}

impl Database {
    /// Takes over what a lost database had not sent yet: the replica's identity, and its undecided transactions as they
    /// are, same number and same bytes, so that each takes effect once. Dead letters are dead letters again, and so are
    /// those of an identity given up before, for a person to look at. `images` are whole rows of the undecided ones, where
    /// the mirror has them: without, an update shows when its row has come from the server.
    ///
    /// Only for a database that was just made.
    ///
    /// # Errors
    /// When the database cannot be written, or already has entries of its own.
    pub fn recover(&mut self, from: &Recovered, images: &[RowImage], now_ms: u64) -> Result<ChangeSet, DbError> {
        if self.last_rseq() > 0 || self.cursor().is_some() {
            return Err(DbError::Aborted("only a database that was just made can be recovered into".into()));
        }
        self.apply(now_ms, |db, changes| {
            let mut batch = Batch::default();
            db.memory.meta.replica = from.replica;
            db.stand_as(from);
            db.restore_images(&before_what_waits(images, from, &db.schema), &mut batch)?;
            let died_of = |problem| Letter { failures: vec![Failure::new(now_ms, problem)], ..Letter::default() };
            let priority_of = |t: &Transaction| from.priorities.get(&(t.replica, t.rseq)).copied();
            let mut highest = 0;
            let forgets = usize::from(mutant::active("recovered-but-the-last"));
            for transaction in &from.transactions[..from.transactions.len().saturating_sub(forgets)] {
                highest = transaction.rseq.max(highest);
                // One that this build could not send must not keep the others from being saved.
                if let Err(problem) = db.schema.check_transaction(transaction, &TransactionLimits::default()) {
                    db.put_entry(transaction, Some(&died_of(problem)), priority_of(transaction), now_ms)?;
                    continue;
                }
                db.put_entry(transaction, None, priority_of(transaction), now_ms)?;
                let released = from.releases.get(&(transaction.replica, transaction.rseq));
                let released = released.filter(|_| !mutant::active("recovered-without-releases"));
                db.keep_releases(transaction.rseq, released.map_or(&[], Vec::as_slice))?;
                db.link(transaction.rseq, &transaction.after)?;
                db.show(transaction.rseq, &mut batch)?;
                db.memory.meta.observe(transaction.stamp);
            }
            let (own, others): (Vec<_>, Vec<_>) = from.dead.iter().partition(|(t, _)| t.replica == from.replica);
            for (transaction, letter) in own {
                highest = transaction.rseq.max(highest);
                db.put_entry(transaction, Some(letter), priority_of(transaction), now_ms)?;
            }
            let text = "it was written before this device took a new identity, and may have been sent since";
            let renamed = died_of(Problem::new(codes::RECOVERED, text));
            let older = from.older.iter().map(|transaction| (transaction, &renamed));
            let mut last = from.last_rseq.max(highest);
            for (transaction, letter) in others.iter().map(|(t, letter)| (t, letter)).chain(older) {
                last += 1;
                let (mut transaction, priority) = (transaction.clone(), priority_of(transaction));
                // The mirror is of one identity, and would lose what is of another.
                transaction.go_on_as(from.replica, last);
                // The number of what it required means nothing here.
                let mut letter = letter.clone();
                letter.failures.iter_mut().for_each(|failure| failure.because_of = None);
                db.put_entry(&transaction, Some(&letter), priority, now_ms)?;
            }
            db.memory.meta.last_rseq = last;
            db.memory.known_from = last;
            // Some may have been offered again to a restored server: what they follow they need not name.
            db.memory.meta.offered_again = last;
            db.recount()?;
            db.memory.meta.first_undecided = first_undecided(&db.conn)?;
            db.flush(batch, changes)
        })
    }

    /// What was known of the database besides its entries. Of a copy that was made before a replay nothing is left.
    fn stand_as(&mut self, from: &Recovered) {
        let Situation { subject, paused, seen_ms, held, offset_ms } = &from.situation;
        let meta = &mut self.memory.meta;
        (meta.paused, meta.seen_ms, meta.offset_ms) = (*paused, *seen_ms, *offset_ms);
        meta.paused &= !mutant::active("recovered-without-pause");
        // A database with nothing in it is whoever's comes first, as a new one is.
        meta.subject = subject.clone().filter(|_| !from.is_empty());
        meta.held = held.map(|(since_ms, away_ms)| Held { since_ms, away_ms, is_copied: false });
        if meta.held.is_some() {
            self.watch_held();
        }
    }

    /// An entry that may have been sent; with a letter, a dead one. Without a priority it has that of its tables.
    pub(super) fn put_entry(
        &self,
        transaction: &Transaction,
        letter: Option<&Letter>,
        priority: Option<u8>,
        written_ms: u64,
    ) -> Result<(), DbError> {
        let sql =
            "INSERT INTO _landfall_outbox (rseq, state, created_ms, body, problem, failures, images, priority, handed)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)";
        let state = if letter.is_some() { DEAD } else { SENT };
        let problem = letter.and_then(|letter| letter.failures.last()).map(|failure| encode(&failure.problem));
        let (failures, images) = (letter.map(|l| encode(&l.failures)), letter.map(|l| encode(&l.images)));
        let body = transaction.to_bytes();
        let priority =
            priority.map_or_else(|| self.schema.sending(transaction).priority, |p| p.min(Sending::MAX_PRIORITY));
        let row = params![transaction.rseq as i64, state, written_ms as i64, body, problem, failures, images, priority];
        self.conn.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }
}
