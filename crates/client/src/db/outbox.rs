//! The outbox: what is to be sent, and what was sent.

use landfall_core::error::codes;
use landfall_core::flat::FlatSet;
use landfall_core::hash::{Cells, hash128};
use landfall_core::wide::WideMap;
use landfall_core::{Problem, RowKey, Transaction};
use landfall_protocol::client::MOST_SENT_RUNS;
use landfall_protocol::server::{AcceptedEntry, Decision, Outcome};
use landfall_protocol::{Attempted, Entry, Following};
use minicbor::{Decode, Encode};
use rusqlite::{OptionalExtension, params};

use super::Database;
use super::bookkeeping::{ACKED, DEAD, QUEUED, SENT, decode};
use super::error::DbError;
use crate::mirror::Kept;

/// What [`parse_entry`] reads.
const ENTRY: &str = "SELECT rseq, state, seq, attempts, created_ms, body, problem, images, priority,
    CASE WHEN parked = 1 AND state < 2 THEN next_attempt_ms END, state = 0 AND handed = 0, failures
    FROM _landfall_outbox";
/// So many failures of an entry are remembered.
pub(super) const MOST_FAILURES: usize = 8;

/// When an entry failed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Failure {
    /// When the device heard of it, by its clock. Milliseconds since the Unix epoch.
    #[n(0)]
    pub at_ms: u64,
    /// What was said.
    #[n(1)]
    pub problem: Problem,
    /// The entry whose fate it shares: it was refused or withdrawn, and may be gone since.
    #[n(2)]
    pub because_of: Option<u64>,
}

impl Failure {
    /// A failure of its own.
    pub fn new(at_ms: u64, problem: Problem) -> Self {
        Self { at_ms, problem, because_of: None }
    }
}

/// Where an entry stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryState {
    /// Waits to be sent.
    Queued,
    /// Was handed to the network at least once; its content is frozen.
    Sent,
    /// Committed by the server under this sequence; it settles when every open bucket has passed it.
    Acknowledged(u64),
    /// Refused for good: a dead letter, until a person retries or discards it.
    Dead,
}

/// An entry of the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxEntry {
    /// Its replica sequence.
    pub rseq: u64,
    /// Where it stands.
    pub state: EntryState,
    /// When it was written, by the device's clock. Milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// How often the server failed on it.
    pub attempts: u32,
    /// How urgent it is, 0 to 100: as its tables or its author said, or as what waits for it.
    pub priority: u8,
    /// When it is offered again after the server failed on it, or on what it follows, by the device's clock.
    /// Milliseconds since the Unix epoch; `None`: as soon as there is a connection.
    pub next_attempt_ms: Option<u64>,
    /// Whether it was never handed to the network: then it can be changed and withdrawn.
    pub is_open: bool,
    /// The undecided entries that it waits for.
    pub waits_for: Vec<u64>,
    /// What it does.
    pub transaction: Transaction,
    /// Why it was refused, or what the server failed with when it was last offered.
    pub problem: Option<Problem>,
    /// Its failures, the oldest first, at most eight. The last one of a dead letter is that of which it died.
    pub failures: Vec<Failure>,
    /// Of a dead letter: the rows as they were last seen with it, by table and key. Of an undecided entry: those that have
    /// vanished since, as by another's delete.
    pub images: WideMap<(String, RowKey), Cells>,
}

/// What a person should hear of a row first, of all that is in the outbox on it: what comes later here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowState {
    /// The server has all that was written here.
    Synced,
    /// Something waits to be sent, or to be tried again.
    Pending,
    /// Something is on its way, and is not decided.
    Sending,
    /// Something was refused: a dead letter writes this row.
    Failed,
}

/// What is kept of a dead letter besides its transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Letter {
    /// When it failed and why, the oldest first. The last one is its end.
    #[n(0)]
    pub failures: Vec<Failure>,
    /// The rows as they were seen: table, key and cells.
    #[n(1)]
    pub images: StoredImages,
}

impl OutboxEntry {
    /// Of a dead letter: what is kept of it besides its transaction.
    pub fn letter(&self) -> Option<Letter> {
        if self.state != EntryState::Dead {
            return None;
        }
        let mut failures = self.failures.clone();
        if failures.is_empty() {
            // Older builds kept the reason alone.
            failures.extend(self.problem.clone().map(|problem| Failure::new(self.created_ms, problem)));
        }
        Some(Letter { failures, images: self.stored_images() })
    }

    /// Of a dead letter: the entry whose fate it shares, which it required.
    pub fn because_of(&self) -> Option<u64> {
        self.failures.last().filter(|_| self.state == EntryState::Dead)?.because_of
    }

    pub(super) fn stored_images(&self) -> StoredImages {
        let stored = |((table, key), cells): (&(String, RowKey), &Cells)| (table.clone(), key.clone(), cells.clone());
        self.images.iter().map(stored).collect()
    }
}

/// How many entries there are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Queued.
    pub pending: u64,
    /// Sent, not decided.
    pub sent: u64,
    /// Acknowledged, not settled.
    pub acked: u64,
    /// Dead letters.
    pub dead: u64,
    /// Bytes of all of them, as they travel.
    pub bytes: u64,
    /// Bytes of those that are acknowledged.
    pub acked_bytes: u64,
    /// Bytes of those that are queued or sent.
    pub undecided_bytes: u64,
}

impl Counts {
    /// Those that the server has not decided, as far as is known here.
    pub fn undecided(&self) -> u64 {
        self.pending + self.sent
    }

    /// An entry of so many bytes is new in this state.
    pub(super) fn added(&mut self, state: i64, bytes: usize) {
        *self.of(state) += 1;
        self.bytes += bytes as u64;
        if state < ACKED {
            self.undecided_bytes += bytes as u64;
        }
        if state == ACKED {
            self.acked_bytes += bytes as u64;
        }
    }

    /// So many entries in one state, of so many bytes together, leave.
    pub(super) fn left(&mut self, state: i64, entries: u64, bytes: u64) {
        *self.of(state) = self.of(state).saturating_sub(entries);
        self.bytes = self.bytes.saturating_sub(bytes);
        if state < ACKED {
            self.undecided_bytes = self.undecided_bytes.saturating_sub(bytes);
        }
        if state == ACKED {
            self.acked_bytes = self.acked_bytes.saturating_sub(bytes);
        }
    }

    pub(super) fn of(&mut self, state: i64) -> &mut u64 {
        match state {
            QUEUED => &mut self.pending,
            SENT => &mut self.sent,
            ACKED => &mut self.acked,
            _ => &mut self.dead,
        }
    }

    /// An entry of so many bytes goes from one state to another, or leaves.
    pub(super) fn moved(&mut self, from: i64, to: Option<i64>, bytes: u64) {
        self.left(from, 1, bytes);
        let Some(to) = to else { return };
        *self.of(to) += 1;
        self.bytes += bytes;
        if to < ACKED {
            self.undecided_bytes += bytes;
        }
        if to == ACKED && !landfall_core::mutant::active("bytes-uncounted") {
            self.acked_bytes += bytes;
        }
    }
}

/// The rows of a dead letter, as stored: (table, key, cells).
pub type StoredImages = Vec<(String, RowKey, Cells)>;

fn writes(transaction: &Transaction, table: &str, key: &RowKey) -> bool {
    transaction.operations.iter().any(|operation| operation.table() == table && operation.key() == key)
}

impl Database {
    /// What the mirror keeps of an entry.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn kept(&self, entry: &OutboxEntry) -> Result<Kept, DbError> {
        Ok(Kept {
            body: entry.transaction.to_bytes(),
            letter: entry.letter(),
            priority: Some(entry.priority),
            releases: self.released_by(entry.rseq)?,
        })
    }

    /// How many entries there are in each state.
    pub fn counts(&self) -> Counts {
        self.memory.meta.counts
    }

    /// The predecessors above the floor, of these entries, that are decided. A server that was restored does not know of
    /// all of them, and would have an entry wait, and overtaken, for what is not offered to it any more.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn settled_predecessors(&self, entries: &[Entry]) -> Result<Vec<u64>, DbError> {
        let floor = self.floor();
        let named = entries.iter().flat_map(|e| e.transaction.after.iter().chain(&e.transaction.requires));
        let mut settled = Vec::new();
        for rseq in named.copied().filter(|rseq| *rseq > floor).collect::<FlatSet<u64>>() {
            if !matches!(self.state_of(rseq)?, Some(QUEUED | SENT)) {
                settled.push(rseq);
            }
        }
        Ok(settled)
    }

    /// What these entries require and was refused: they are offered only to hear whether they were accepted all the same,
    /// and a server that went back to a copy of itself may have forgotten the refusal. One that came back from a mirror does not
    /// tell by itself that it is hidden.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn refused_predecessors(&self, entries: &[Entry]) -> Result<Vec<u64>, DbError> {
        let mut refused = FlatSet::new();
        let requiring = entries.iter().map(|entry| &entry.transaction).filter(|t| !t.requires.is_empty());
        for transaction in requiring {
            let sql = "SELECT problem FROM _landfall_outbox WHERE rseq = ?";
            let problem: Option<Vec<u8>> =
                self.conn.prepare_cached(sql)?.query_row([transaction.rseq as i64], |r| r.get(0))?;
            let problem = problem.as_deref().map(decode::<Problem>).transpose()?;
            let is_hidden = problem.is_some_and(|problem| problem.code == codes::DEPENDS_ON_REFUSED);
            let (mut dead, mut gone) = (Vec::new(), Vec::new());
            for rseq in &transaction.requires {
                let accepted = "SELECT 1 FROM _landfall_acked WHERE rseq = ?";
                match self.state_of(*rseq)? {
                    Some(DEAD) => dead.push(*rseq),
                    // Thrown away since; or accepted, and forgotten since.
                    None if is_hidden && !self.conn.prepare_cached(accepted)?.exists([*rseq as i64])? => {
                        gone.push(*rseq)
                    }
                    _ => {}
                }
            }
            refused.extend(if dead.is_empty() { gone } else { dead });
        }
        Ok(refused.into_iter().collect())
    }

    /// What these entries follow besides what they name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn following(&self, entries: &[Entry]) -> Result<Vec<Following>, DbError> {
        let mut following = Vec::new();
        for Entry { transaction, .. } in entries {
            let after = self.unnamed_predecessors(transaction)?;
            if !after.is_empty() {
                following.push(Following { rseq: transaction.rseq, after });
            }
        }
        Ok(following)
    }

    /// How often the server has failed on each of these entries, where it has.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn attempted(&self, entries: &[Entry]) -> Result<Vec<Attempted>, DbError> {
        let offered: FlatSet<u64> = entries.iter().map(|entry| entry.transaction.rseq).collect();
        let (Some(first), Some(last)) = (offered.iter().min(), offered.iter().max()) else { return Ok(Vec::new()) };
        let sql = "SELECT rseq, attempts FROM _landfall_outbox INDEXED BY _landfall_outbox_tried
                   WHERE state < 2 AND attempts > 0 AND rseq BETWEEN ? AND ?";
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map(params![*first as i64, *last as i64], |r| {
            Ok(Attempted { rseq: r.get::<_, i64>(0)? as u64, times: r.get(1)? })
        })?;
        let tried = rows.filter(|tried| tried.as_ref().map_or(true, |tried| offered.contains(&tried.rseq)));
        Ok(tried.collect::<rusqlite::Result<_>>()?)
    }

    /// Freezes entries: they are about to be handed to the network. Durable on return; call it before the bytes leave.
    ///
    /// # Errors
    /// When the database cannot be written; nothing may be sent then.
    pub fn mark_sent(&mut self, rseqs: &[u64]) -> Result<(), DbError> {
        if rseqs.is_empty() {
            return Ok(());
        }
        let mut rseqs = rseqs.to_vec();
        rseqs.sort_unstable();
        // Where all were sent before, nothing is written, and the disk is not waited for.
        self.transact(|db| {
            // What was written in a row is mostly sent in a row.
            let sql = "UPDATE OR FAIL _landfall_outbox NOT INDEXED SET state = ?1, handed = max(handed, 1)
                       WHERE rseq BETWEEN ?2 AND ?3 AND state = ?4";
            let mut statement = db.conn.prepare_cached(sql)?;
            for run in rseqs.chunk_by(|one, next| *next <= *one + 1) {
                let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
                let changed = statement.execute(params![SENT, *first as i64, *last as i64, QUEUED])?;
                for _ in 0..changed {
                    db.memory.meta.counts.moved(QUEUED, Some(SENT), 0);
                }
            }
            Ok(())
        })
    }

    /// The entries whose decision may have been missed: runs of numbers, first and last of each.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn unheard(&self) -> Result<Vec<(u64, u64)>, DbError> {
        let sql = "SELECT rseq FROM _landfall_outbox WHERE state = 1 ORDER BY rseq";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut runs: Vec<(u64, u64)> = Vec::new();
        while let Some(row) = rows.next()? {
            let rseq = row.get::<_, i64>(0)? as u64;
            if let Some((_, last)) = runs.last_mut().filter(|(_, last)| *last + 1 == rseq) {
                *last = rseq;
            } else if runs.len() + 1 < MOST_SENT_RUNS {
                runs.push((rseq, rseq));
            } else {
                break;
            }
        }
        // A copy of this database may have sent what was never sent from here.
        let queued = "SELECT min(rseq), max(rseq) FROM _landfall_outbox WHERE state = 0";
        let (first, last): (Option<i64>, Option<i64>) =
            self.conn.prepare_cached(queued)?.query_row([], |r| Ok((r.get(0)?, r.get(1)?)))?;
        runs.extend(first.zip(last).map(|(first, last)| (first as u64, last as u64)));
        Ok(runs)
    }

    /// Decisions of those of these transactions that are this database's: under the same number a copy of it may have sent
    /// another one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn those_here(&self, accepted: &[AcceptedEntry]) -> Result<Vec<Decision>, DbError> {
        let mut here = Vec::new();
        let mut seen = FlatSet::new();
        for known in accepted.iter().filter(|known| seen.insert(known.rseq)) {
            let body = match self.state_of(known.rseq)? {
                Some(QUEUED | SENT) => self.entry_body(known.rseq)?,
                _ => None,
            };
            if body.is_some_and(|body| hash128(&body) == known.hash) {
                here.push(Decision { rseq: known.rseq, outcome: Outcome::Accepted { seq: known.seq } });
            }
        }
        Ok(here)
    }

    /// Whether an entry was handed to the network, and is not known to be decided.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn is_sent(&self, rseq: u64) -> Result<bool, DbError> {
        Ok(self.state_of(rseq)? == Some(SENT))
    }

    /// Undecided entries, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn undecided(&self) -> Result<Vec<u64>, DbError> {
        let sql = "SELECT rseq FROM _landfall_outbox WHERE state IN (0, 1) ORDER BY rseq";
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map([], |r| r.get::<_, i64>(0))?;
        Ok(rows.map(|r| r.map(|v| v as u64)).collect::<rusqlite::Result<_>>()?)
    }

    /// Every entry, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn outbox(&self) -> Result<Vec<OutboxEntry>, DbError> {
        let mut statement = self.conn.prepare_cached(&format!("{ENTRY} ORDER BY rseq"))?;
        let mut rows = statement.query([])?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            entries.push(parse_entry(row)?);
        }
        let open = |e: &&OutboxEntry| matches!(e.state, EntryState::Queued | EntryState::Sent);
        let undecided: FlatSet<u64> = entries.iter().filter(open).map(|e| e.rseq).collect();
        for entry in &mut entries {
            if undecided.contains(&entry.rseq) {
                entry.waits_for = entry.transaction.after.iter().copied().filter(|r| undecided.contains(r)).collect();
            }
        }
        Ok(entries)
    }

    /// One entry.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn entry(&self, rseq: u64) -> Result<Option<OutboxEntry>, DbError> {
        let mut statement = self.conn.prepare_cached(&format!("{ENTRY} WHERE rseq = ?"))?;
        let mut rows = statement.query([rseq as i64])?;
        rows.next()?.map(parse_entry).transpose()
    }

    /// How a row stands with the server, by what is written to it here. What the server has accepted is synced, also before it
    /// has come back.
    ///
    /// ```
    /// use landfall_client::db::{Database, Location, Options, RowState};
    /// use landfall_core::{ReplicaId, RowKey, Schema, Value};
    ///
    /// let toml = "[app]\nname = 'todo'\n[tables.tasks.columns]\nid = 'integer'\n";
    /// let schema = Schema::parse("landfall.toml", toml).map_err(|e| e.to_string())?;
    /// let now = 1_795_000_000_000;
    /// let mut db = Database::open(&Location::Memory, schema, Options::default(), now, ReplicaId([1; 16]))?;
    /// db.write(now, &mut |bytes| bytes.fill(0), |tx| tx.insert("tasks", &[("id", Value::Int(1))]))?;
    /// assert_eq!(db.row_state("tasks", &RowKey::single(Value::Int(1)))?, RowState::Pending);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`DbError::UnknownName`] when there is no such table; when the database cannot be read.
    pub fn row_state(&self, table: &str, key: &RowKey) -> Result<RowState, DbError> {
        let id = self.tables.get(table)?.id;
        // What is hidden with a refused entry, and what is dead, touches nothing any more: there is little of either.
        let sql = "SELECT state, parked, body FROM _landfall_outbox
                   WHERE rseq IN (SELECT rseq FROM _landfall_touched WHERE tbl = ?1 AND key = ?2) AND state < 2
                   UNION ALL SELECT state, parked, body FROM _landfall_outbox WHERE state = ?3
                   UNION ALL SELECT state, parked, body FROM _landfall_outbox WHERE state = ?4 AND problem IS NOT NULL";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params![id, key.to_bytes(), DEAD, SENT])?;
        let mut found = RowState::Synced;
        while let Some(entry) = rows.next()? {
            let state = match (entry.get::<_, i64>(0)?, entry.get(1)?) {
                (DEAD, _) => RowState::Failed,
                (SENT, false) => RowState::Sending,
                _ => RowState::Pending,
            };
            // An entry touches also what the server will do for it.
            if state > found && writes(&decode(&entry.get::<_, Vec<u8>>(2)?)?, table, key) {
                found = state;
            }
        }
        Ok(found)
    }

    /// The bytes of an entry's transaction, as they travel.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn entry_body(&self, rseq: u64) -> Result<Option<Vec<u8>>, DbError> {
        let mut statement = self.conn.prepare_cached("SELECT body FROM _landfall_outbox WHERE rseq = ?")?;
        Ok(statement.query_row([rseq as i64], |r| r.get(0)).optional()?)
    }

    /// An entry in this state leaves the outbox.
    pub(super) fn drop_entry(&mut self, rseq: u64, state: i64) -> Result<(), DbError> {
        let sql = "DELETE FROM _landfall_outbox WHERE rseq = ? RETURNING length(body)";
        let bytes = self.conn.prepare_cached(sql)?.query_row([rseq as i64], |r| r.get::<_, i64>(0))?;
        let counts = &mut self.memory.meta.counts;
        if landfall_core::mutant::active("count-forgotten") && state == DEAD {
            return Ok(());
        }
        counts.moved(state, None, bytes as u64);
        Ok(())
    }

    pub(super) fn state_of(&self, rseq: u64) -> Result<Option<i64>, DbError> {
        let mut statement = self.conn.prepare_cached("SELECT state FROM _landfall_outbox WHERE rseq = ?")?;
        Ok(statement.query_row([rseq as i64], |r| r.get(0)).optional()?)
    }

    /// Whether a number that was given out names nothing that is undecided, accepted or dead: it was withdrawn, thrown away,
    /// or taken up by another. Only of numbers of this very process that is known: what is older may have been accepted, and
    /// forgotten since.
    pub(super) fn is_gone(&self, rseq: u64) -> Result<bool, DbError> {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM _landfall_outbox WHERE rseq = ?1)
                   AND NOT EXISTS (SELECT 1 FROM _landfall_acked WHERE rseq = ?1)";
        Ok(rseq > self.memory.known_from && self.conn.prepare_cached(sql)?.query_row([rseq as i64], |r| r.get(0))?)
    }

    pub(super) fn set_state(&mut self, rseq: u64, from: i64, to: i64) -> Result<(), DbError> {
        let sql = "UPDATE OR FAIL _landfall_outbox SET state = ?1, handed = max(handed, ?1 = ?3) WHERE rseq = ?2
                   RETURNING length(body)";
        let row = params![to, rseq as i64, SENT];
        let bytes = self.conn.prepare_cached(sql)?.query_row(row, |r| r.get::<_, i64>(0))?;
        self.memory.meta.counts.moved(from, Some(to), bytes as u64);
        if to == DEAD {
            self.memory.buried += 1;
            self.memory.untold.push(rseq);
        }
        Ok(())
    }
}

fn parse_entry(row: &rusqlite::Row<'_>) -> Result<OutboxEntry, DbError> {
    let state = match row.get::<_, i64>(1)? {
        QUEUED => EntryState::Queued,
        SENT => EntryState::Sent,
        ACKED => EntryState::Acknowledged(row.get::<_, Option<i64>>(2)?.unwrap_or(0) as u64),
        _ => EntryState::Dead,
    };
    let problem: Option<Vec<u8>> = row.get(6)?;
    let images: Option<Vec<u8>> = row.get(7)?;
    let failures: Option<Vec<u8>> = row.get(11)?;
    let images: StoredImages = images.as_deref().map(decode).transpose()?.unwrap_or_default();
    Ok(OutboxEntry {
        rseq: row.get::<_, i64>(0)? as u64,
        state,
        attempts: row.get(3)?,
        priority: row.get(8)?,
        next_attempt_ms: row.get::<_, Option<i64>>(9)?.map(|v| v as u64),
        created_ms: row.get::<_, i64>(4)? as u64,
        is_open: row.get(10)?,
        waits_for: Vec::new(),
        transaction: decode(&row.get::<_, Vec<u8>>(5)?)?,
        problem: problem.as_deref().map(decode).transpose()?,
        failures: failures.as_deref().map(decode).transpose()?.unwrap_or_default(),
        images: images.into_iter().map(|(table, key, cells)| ((table, key), cells)).collect(),
    })
}
