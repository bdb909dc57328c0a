//! What the server decides, independent of any database.
//!
//! A group of pushed entries goes through [`Group::decide`] within one database transaction. Each entry is told
//! decided, copied, deferred, refused or accepted; an accepted one gets the next sequence, its row changes are written,
//! logged with the rows before and after, and added to the logs of the buckets that hold the rows.
//!
//! - [`plan`](Plan): what the schema asks of rows, prepared once
//! - `act`: what the handler of an action makes of an entry; `consult`: what its webhook was asked and has answered
//! - `entry`: one entry's operations: merge, access, validation
//! - `follow`: what follows from deletes and revivals, and the checks at the end
//! - `docs`: what becomes of updates of documents
//! - `rename`: other names for what is taken
//! - `outside`: writes behind the store's back
//! - `history`: what is kept of changes in tables that keep their history
//! - `lost`: what gave way to others
//! - `record`: what is stored of it; `tx`: what is needed of a database

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use landfall_core::error::codes;
use landfall_core::hash::{ContentHash, chain, hash128};
use landfall_core::schema::TransactionLimits;
use landfall_core::txn::Origin;
use landfall_core::{BucketId, Code, Problem, ReplicaId, Stamp};
use landfall_protocol::Outcome;

use crate::actions::hooks::{Name, Next};
use crate::actions::{Actions, Reason};
use crate::buckets::{BucketIndex, Fan};
use crate::store::{
    Counters, DocNews, GroupCommit, Head, PushEntry, ReplicaState, Run, StoreError, codes as store_codes,
};

mod act;
mod conflicts;
mod consult;
mod docs;
mod entry;
mod faults;
mod follow;
mod history;
mod lost;
mod outside;
mod plan;
mod record;
mod rename;
mod tx;
mod versions;

pub use faults::Faults;
pub use outside::is_outside;
pub use plan::Plan;
pub use record::{LogEntry, OUTSIDE, RowChange, Tombstone, stamp_bytes, stamp_from};
pub use tx::{Book, Decided, DocSize, Exists, Found, StoreTx};

use act::Acted;
use entry::{EntryRun, Stop};

/// What a group goes by.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// What the schema asks of rows.
    pub plan: &'a Plan,
    /// Who hears of what.
    pub buckets: &'a BucketIndex,
    /// The app's own code.
    pub actions: &'a Actions,
}

/// A group of entries on its way into one database transaction.
pub struct Group<'a, T: StoreTx> {
    pub(crate) tx: &'a mut T,
    pub(crate) plan: &'a Plan,
    buckets: &'a BucketIndex,
    now_ms: u64,
    from: u64,
    head: Head,
    stamp: Stamp,
    runs: BTreeMap<BucketId, Vec<Run>>,
    replicas: BTreeMap<ReplicaId, ReplicaState>,
    pub(crate) counters: Counters,
    /// Whether the present entry has a savepoint.
    guarded: bool,
    /// Whether anything is remembered of transactions that were queued anew; unknown until somebody asks.
    has_origins: Option<bool>,
    pub(super) actions: &'a Actions,
    faults: &'a mut Faults,
    /// An entry at fault is to be found: every entry has a savepoint.
    careful: bool,
    found: Vec<(ReplicaId, u64, String)>,
    /// What the app's merge functions made nothing of.
    unmerged: Vec<(ReplicaId, u64, String)>,
    /// What webhooks are to be asked.
    asks: Vec<(Name, Next)>,
    /// Bytes of questions for which there is room.
    room: usize,
    /// Updates of documents, in order.
    docs: Vec<DocNews>,
}

impl<'a, T: StoreTx> Group<'a, T> {
    /// A group that goes on from `head`.
    pub fn new(tx: &'a mut T, known: Known<'a>, faults: &'a mut Faults, head: Head, now_ms: u64) -> Self {
        let Known { plan, buckets, actions } = known;
        Self {
            tx,
            plan,
            buckets,
            actions,
            now_ms,
            from: head.seq,
            head,
            stamp: Stamp::default(),
            runs: BTreeMap::new(),
            replicas: BTreeMap::new(),
            counters: Counters::default(),
            guarded: false,
            has_origins: None,
            faults,
            careful: false,
            found: Vec::new(),
            unmerged: Vec::new(),
            asks: Vec::new(),
            room: 0,
            docs: Vec::new(),
        }
    }

    /// The same group once more, after one of its entries failed the transaction: see `faults`.
    #[must_use]
    pub fn careful(self) -> Self {
        Self { careful: true, ..self }
    }

    /// The same group, which may put questions to webhooks until there is no room for them: so many bytes.
    #[must_use]
    pub fn with_room(self, room: usize) -> Self {
        Self { room, ..self }
    }

    /// Decides entries in the order given, except that an entry waits for those of its predecessors that come later.
    ///
    /// # Errors
    /// The database failed: the transaction must be rolled back.
    pub fn decide(&mut self, pushes: &[PushEntry]) -> Result<Vec<Outcome>, StoreError> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; pushes.len()];
        let mut open: Vec<usize> = (0..pushes.len()).collect();
        if landfall_core::mutant::active("decide-early") {
            open.reverse();
        }
        loop {
            let mut waiting = Vec::new();
            for &at in &open {
                match self.decide_one(&pushes[at])? {
                    outcome @ Outcome::Deferred { .. } => {
                        waiting.push(at);
                        outcomes[at] = Some(outcome);
                    }
                    outcome => outcomes[at] = Some(outcome),
                }
            }
            // Each round decides at least one entry, so this ends.
            if waiting.is_empty() || waiting.len() == open.len() {
                self.counters.deferred += waiting.len() as u64;
                break;
            }
            open = waiting;
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// What was deleted before this, milliseconds since the Unix epoch, is not remembered any more.
    pub(super) fn forgotten_before_ms(&self) -> u64 {
        self.plan.schema().tombstones_ms.map_or(0, |keep_ms| self.now_ms.saturating_sub(keep_ms))
    }

    /// What the group did, once everything is written.
    ///
    /// # Errors
    /// The database failed: the transaction must be rolled back.
    pub fn finish(self, outcomes: Vec<Outcome>) -> Result<GroupCommit, StoreError> {
        for (replica, state) in self.replicas.iter().filter(|(_, state)| !state.subject.is_empty()) {
            self.tx.put_replica(replica, state, self.now_ms)?;
        }
        Ok(GroupCommit {
            outcomes,
            from: self.from,
            head: self.head,
            stamp: self.stamp,
            bucket_runs: self.runs.into_iter().collect(),
            counters: self.counters,
            faults: self.found,
            unmerged: self.unmerged,
            asks: self.asks,
            docs: self.docs,
            flushed_in: Duration::ZERO,
        })
    }

    fn decide_one(&mut self, push: &PushEntry) -> Result<Outcome, StoreError> {
        let txn = &push.entry.transaction;
        let mut state = self.replica(txn.replica)?;
        if let Some(outcome) = refused_author(push, &state) {
            self.counters.refused += 1;
            return Ok(outcome);
        }
        if let Some(outcome) = self.known(push, &state)? {
            return Ok(outcome);
        }
        let outcome = match self.decided_before(push, &state)? {
            Some(deferred @ Outcome::Deferred { .. }) => return Ok(deferred),
            Some(outcome) => {
                self.counters.repeated += 1;
                self.tx.put_decision(&txn.replica, txn.rseq, &push.entry.hash, &outcome)?;
                outcome
            }
            None => match self.decide_anew(push, &state)? {
                later @ (Outcome::Deferred { .. } | Outcome::Failed { .. } | Outcome::Asked { .. }) => {
                    return Ok(later);
                }
                outcome => outcome,
            },
        };
        state.subject.clone_from(&push.subject.id);
        state.last_rseq = state.last_rseq.max(txn.rseq);
        state.floor = state.floor.max(push.floor);
        self.replicas.insert(txn.replica, state);
        Ok(outcome)
    }

    fn decide_anew(&mut self, push: &PushEntry, state: &ReplicaState) -> Result<Outcome, StoreError> {
        let txn = &push.entry.transaction;
        let decision = match self.predecessors(push, state)? {
            Some(deferred @ Outcome::Deferred { .. }) => return Ok(deferred),
            Some(refused) => Err(refused),
            None if self.is_too_late(txn.expires_ms) => {
                let text = "it came too late, and was not carried out; look at it, and write it again";
                Err(Outcome::Refused { problem: Problem::new(codes::EXPIRED, text), because_of: None })
            }
            None => match self.run(push) {
                Err(error) if self.careful && error.is_of_one_transaction() => match self.fault(push, error)? {
                    failed @ Outcome::Failed { .. } => return Ok(failed),
                    refused => Err(refused),
                },
                decision => decision?,
            },
        };
        let outcome = match decision {
            Err(later @ (Outcome::Failed { .. } | Outcome::Asked { .. })) => return Ok(later),
            Ok(seq) => {
                self.counters.accepted += 1;
                Outcome::Accepted { seq }
            }
            Err(refused) => {
                self.counters.refused += 1;
                self.tx.put_decision(&txn.replica, txn.rseq, &push.entry.hash, &refused)?;
                refused
            }
        };
        if let Some(origin) = self.own_origin(push)? {
            self.tx.put_origin(&push.subject.id, &origin, &outcome, self.now_ms)?;
            self.has_origins = Some(true);
        }
        Ok(outcome)
    }

    fn is_too_late(&self, expires_ms: Option<u64>) -> bool {
        expires_ms.is_some_and(|at| at < self.now_ms) && !landfall_core::mutant::active("expiry-ignored")
    }

    /// What this transaction was first, where that is this subject's to say: nobody decides another's transactions.
    fn own_origin(&mut self, push: &PushEntry) -> Result<Option<Origin>, StoreError> {
        let Some(origin) = push.entry.transaction.origin else { return Ok(None) };
        let owner = self.replica(origin.replica)?.subject;
        let is_own = owner == push.subject.id || owner.is_empty();
        Ok((is_own && origin.replica != OUTSIDE).then_some(origin))
    }

    /// The decision on the same transaction when a copy of its database has brought it already, under its first identity
    /// or under another one.
    fn decided_before(&mut self, push: &PushEntry, state: &ReplicaState) -> Result<Option<Outcome>, StoreError> {
        let before = self.decided_elsewhere(push)?;
        match before {
            // The other copy has another number for what was refused. This one finds the same refusal by its own.
            Some(Outcome::Refused { because_of: Some(_), .. }) => Ok(self.predecessors(push, state)?.or(before)),
            before => Ok(before),
        }
    }

    fn decided_elsewhere(&mut self, push: &PushEntry) -> Result<Option<Outcome>, StoreError> {
        if landfall_core::mutant::active("origin-ignored") {
            return Ok(None);
        }
        let txn = &push.entry.transaction;
        if let Some(origin) = self.own_origin(push)? {
            let decided = self.tx.decided(&origin.replica, origin.rseq)?.filter(|d| d.hash == origin.hash);
            if let Some(decided) = decided {
                return Ok(Some(decided.outcome));
            }
            let known = self.tx.origin(&push.subject.id, &origin)?;
            // Its first database had the answer, and whoever asks under another identity can only be told that much.
            let forgotten = origin.rseq <= self.replica(origin.replica)?.forgotten;
            return Ok(known.or_else(|| forgotten.then(decided_long_ago)));
        }
        let any = match self.has_origins {
            Some(any) => any,
            None => *self.has_origins.insert(self.tx.has_origins()?),
        };
        let first = Origin { replica: txn.replica, rseq: txn.rseq, hash: push.entry.hash };
        if any { self.tx.origin(&push.subject.id, &first) } else { Ok(None) }
    }

    /// Undoes an entry on which the database failed.
    fn fault(&mut self, push: &PushEntry, error: StoreError) -> Result<Outcome, StoreError> {
        self.undo()?;
        let code = error.code();
        Ok(self.note_fault(push, &code, &format!("the server failed on it ({code})"), error.to_string()))
    }

    /// Counts a failure, and says what becomes of the entry. `words` are for the device, `cause` is for the operator.
    fn note_fault(&mut self, push: &PushEntry, code: &Code, words: &str, cause: String) -> Outcome {
        let txn = &push.entry.transaction;
        let attempts = self.plan.schema().sending(txn).attempts;
        let outcome = self.faults.note((txn.replica, txn.rseq), push.attempted, code, words, attempts);
        self.counters.failed += u64::from(matches!(outcome, Outcome::Failed { .. }));
        self.found.push((txn.replica, txn.rseq, cause));
        outcome
    }

    fn replica(&mut self, id: ReplicaId) -> Result<ReplicaState, StoreError> {
        if let Some(state) = self.replicas.get(&id) {
            return Ok(state.clone());
        }
        let state = self.tx.replica(&id)?.unwrap_or_default();
        self.replicas.insert(id, state.clone());
        Ok(state)
    }

    /// The answer to an entry whose number was used before.
    fn known(&mut self, push: &PushEntry, state: &ReplicaState) -> Result<Option<Outcome>, StoreError> {
        let txn = &push.entry.transaction;
        let used = if txn.rseq <= state.last_rseq { self.tx.decided(&txn.replica, txn.rseq)? } else { None };
        match used {
            Some(_) if landfall_core::mutant::active("apply-again") => Ok(None),
            Some(decided) if decided.hash == push.entry.hash => {
                self.counters.repeated += 1;
                Ok(Some(decided.outcome))
            }
            None if txn.rseq > state.forgotten && txn.rseq < push.copied.from() => Ok(None),
            // Other content; or the replica itself had said that it knows the answer, which a copy does not. What this
            // database wrote later follows its own transactions, not those that the other one wrote under their numbers.
            _ => {
                self.counters.copied += 1;
                push.copied.found(txn.rseq);
                Ok(Some(Outcome::Copied))
            }
        }
    }

    fn predecessors(&mut self, push: &PushEntry, state: &ReplicaState) -> Result<Option<Outcome>, StoreError> {
        let txn = &push.entry.transaction;
        if landfall_core::mutant::active("decide-early") || landfall_core::mutant::active("order-ignored") {
            return Ok(None);
        }
        let floor = push.floor.max(state.floor).max(state.forgotten);
        let mut refused = None;
        for &rseq in txn.after.iter().chain(&txn.requires).chain(&push.follows) {
            let decided = if rseq <= state.last_rseq { self.tx.decided(&txn.replica, rseq)? } else { None };
            match decided.map(|d| d.outcome) {
                Some(Outcome::Refused { .. })
                    if txn.requires.contains(&rseq) && !landfall_core::mutant::active("fate-ignored") =>
                {
                    refused = Some(rseq);
                }
                Some(_) => {}
                // A server that went back to a copy of itself has forgotten it; the device has not.
                None if push.refused.contains(&rseq) && !landfall_core::mutant::active("fate-ignored") => {
                    refused = Some(rseq);
                }
                None if rseq <= floor || push.settled.contains(&rseq) => {}
                // What is not older never comes before it: the transaction is refused for that when it is prepared.
                None if rseq >= txn.rseq => {}
                None => return Ok(Some(Outcome::Deferred { missing: rseq })),
            }
        }
        Ok(refused.map(|rseq| Outcome::Refused {
            problem: Problem::new(
                codes::DEPENDS_ON_REFUSED,
                format!("it depends on transaction {rseq}, which was refused; retry that one first"),
            ),
            because_of: Some(rseq),
        }))
    }

    /// Before an entry's first write: a savepoint to go back to.
    pub(crate) fn guard(&mut self) -> Result<(), StoreError> {
        if !std::mem::replace(&mut self.guarded, true) {
            self.tx.savepoint()?;
        }
        Ok(())
    }

    /// Undoes what the entry has written, if anything.
    fn undo(&mut self) -> Result<(), StoreError> {
        if std::mem::take(&mut self.guarded) {
            self.tx.rollback()?;
        }
        Ok(())
    }

    /// Runs an entry so that a refusal leaves nothing of it; again, when it meets a write from outside that must come first.
    fn run(&mut self, push: &PushEntry) -> Result<Result<u64, Outcome>, StoreError> {
        let refused = |problem| Ok(Err(Outcome::Refused { problem, because_of: None }));
        let operations = match self.plan.prepare(&push.entry.transaction) {
            Ok(operations) => operations,
            Err(problem) => return refused(problem),
        };
        let (operations, added) = match &push.entry.transaction.action {
            None => (operations, Vec::new()),
            Some(action) => match self.act(push, action, operations)? {
                Ok(Acted { own, added }) => (own, added),
                Err(Reason::Refused(problem)) => return refused(problem),
                Err(Reason::Asked { again_ms }) => return Ok(Err(Outcome::Asked { again_ms })),
                Err(Reason::Nonsense(what)) => {
                    let words = format!("the app's webhook of '{}' gave an answer that makes no sense", action.name);
                    let cause = format!("{words}: {what}");
                    return Ok(Err(self.note_fault(push, &store_codes::HANDLER, &words, cause)));
                }
                Err(Reason::Failed(cause)) => {
                    let words = format!("the app's handler of '{}' failed: {cause}", action.name);
                    return Ok(Err(self.note_fault(push, &store_codes::HANDLER, &words, words.clone())));
                }
            },
        };
        let mut rows = Vec::with_capacity(operations.len());
        for operation in operations.iter().chain(&added) {
            if let Some(table) = self.plan.table_at(operation.table()) {
                rows.push(((table, operation.key().clone()), self.settled(table, operation.key())?));
            }
        }
        loop {
            // What was read above holds for the first run: each row occurs in one operation.
            let rows = std::mem::take(&mut rows);
            if self.careful {
                self.guard()?;
            }
            match EntryRun::new(self, push, rows)?.apply(&operations, &added) {
                Ok(done) => {
                    // What is decided is decided: a fault from here on is the store's.
                    if std::mem::take(&mut self.guarded) {
                        self.tx.release()?;
                    }
                    let seq = self.append(push, done).map_err(StoreError::of_the_store)?;
                    return Ok(Ok(seq));
                }
                Err(Stop::Refused(problem)) => {
                    self.undo()?;
                    return refused(*problem);
                }
                Err(Stop::Outside(table, key)) => {
                    self.undo()?;
                    self.settled(table, &key)?;
                }
                Err(Stop::Store(error)) => return Err(error),
            }
        }
    }

    fn append(&mut self, push: &PushEntry, done: entry::Done) -> Result<u64, StoreError> {
        let txn = &push.entry.transaction;
        self.counters.lost_cells += done.gave_way.cells;
        let faults = done.gave_way.conflicts.iter().filter_map(|conflict| conflict.sibling.fault.clone());
        self.unmerged.extend(faults.map(|fault| (txn.replica, txn.rseq, fault)));
        let again = landfall_core::mutant::active("apply-again") && self.tx.decided(&txn.replica, txn.rseq)?.is_some();
        let by = Signature {
            replica: txn.replica,
            rseq: if again { txn.rseq | 1 << 40 } else { txn.rseq },
            hash: push.entry.hash,
            subject: push.subject.id.clone(),
            stamp: done.stamp,
            action: txn.action.as_ref().map(|action| action.name.clone()),
            blind: false,
        };
        let mut fan = Fan::new(self.next_seq());
        for change in &done.changes {
            fan.add(self.buckets, &change.table, &change.key, change.before.as_ref().into(), change.after.as_ref());
        }
        let docs = self.hear_of_docs(&done.changes);
        let seq = self.log(by, done.changes, fan, (done.gave_way.conflicts, done.lost))?;
        self.compact_docs(docs)?;
        Ok(seq)
    }

    /// Gives the next sequence to changes that are written already, with their history.
    fn log(
        &mut self,
        by: Signature,
        mut changes: Vec<RowChange>,
        mut fan: Fan,
        gave_way: (Vec<lost::Conflict>, Vec<lost::Lost>),
    ) -> Result<u64, StoreError> {
        let rest = self.keep_history(&by, &mut changes, &mut fan, gave_way)?;
        let stamp = by.stamp;
        let seq = self.log_as_is(by, changes, fan)?;
        self.log_rest_of_history(rest, stamp)?;
        Ok(seq)
    }

    fn log_as_is(&mut self, by: Signature, changes: Vec<RowChange>, fan: Fan) -> Result<u64, StoreError> {
        let seq = self.next_seq();
        self.counters.rows += changes.len() as u64;
        let chain = chain(self.plan.chain_key(), self.head.chain, seq, &by.hash);
        let Signature { replica, rseq, hash, subject, stamp, .. } = by;
        self.tx.append(&LogEntry { seq, replica, rseq, hash, chain, at_ms: self.now_ms, subject, stamp, changes })?;
        for (bucket, run) in fan.into_runs() {
            self.tx.append_run(bucket, seq, &run)?;
            self.runs.entry(bucket).or_default().push((seq, Arc::from(run)));
        }
        let seq = if landfall_core::mutant::active("skip-sequence") && seq.is_multiple_of(40) { seq + 1 } else { seq };
        self.head = Head { seq, chain, ..self.head };
        self.stamp = self.stamp.max(stamp);
        Ok(seq)
    }

    pub(crate) fn next_seq(&self) -> u64 {
        self.head.seq + 1
    }
}

/// Who a sequence is of.
struct Signature {
    replica: ReplicaId,
    rseq: u64,
    hash: ContentHash,
    subject: String,
    stamp: Stamp,
    action: Option<String>,
    /// What its row was before is not known.
    blind: bool,
}

impl Signature {
    /// Names the transaction in what is kept of it: the same whenever it is carried out.
    fn transaction(&self) -> Vec<u8> {
        [&self.replica.0[..], &self.rseq.to_le_bytes(), &self.hash].concat()
    }

    /// What nobody's transaction did.
    fn of_nobody(seq: u64, changes: &[RowChange], stamp: Stamp) -> Self {
        let hash = hash128(&record::body(changes));
        Self { replica: OUTSIDE, rseq: seq, hash, subject: String::new(), stamp, action: None, blind: false }
    }
}

/// The answer when the decision on an origin is forgotten.
fn decided_long_ago() -> Outcome {
    let text = "another copy of this database brought it, so long ago that the server has forgotten the decision; see \
                whether its change is there, then discard or retry this entry";
    Outcome::Refused { problem: Problem::new(codes::DECIDED_LONG_AGO, text), because_of: None }
}

/// Entries that no replica of this subject can have written. They are not remembered: the number may be somebody's.
fn refused_author(push: &PushEntry, state: &ReplicaState) -> Option<Outcome> {
    let txn = &push.entry.transaction;
    let problem = if txn.replica == OUTSIDE || txn.rseq == 0 {
        Problem::new(
            codes::BAD_TRANSACTION,
            "a replica id of zeros, or number 0; make a random replica id, count from 1",
        )
    } else if !state.subject.is_empty() && state.subject != push.subject.id {
        let error = StoreError::OtherSubject { owner: state.subject.clone() };
        Problem::new(error.code(), error.to_string())
    } else {
        return None;
    };
    Some(Outcome::Refused { problem, because_of: None })
}

/// Limits on a pushed transaction.
pub(crate) fn limits() -> TransactionLimits {
    TransactionLimits::default()
}
