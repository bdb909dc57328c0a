//! The outbox as a file: a backup, or for another device.
//!
//! JSON that a person can read and a program need not: what counts of an entry is its `body`, the transaction's bytes in
//! base64, with a check sum. Whoever edits the rest changes what is told of the entry, and nothing that it does; an entry
//! whose body was edited is refused, alone.

use landfall_core::error::Code;
use landfall_core::flat::FlatSet;
use landfall_core::hash::hash128;
use landfall_core::json::{Object, string};
use landfall_core::schema::TransactionLimits;
use landfall_core::txn::Origin;
use landfall_core::value::json::{base64, unbase64};
use landfall_core::{Problem, Transaction, mutant};
use rusqlite::{OptionalExtension, params};
use serde_json::Value as Json;

use super::Database;
use super::bookkeeping::{BackedUp, DEAD, decode, encode};
use super::error::{DbError, codes};
use super::outbox::{EntryState, Failure, Letter, MOST_FAILURES, OutboxEntry, StoredImages};

/// What the first field of a file says.
const KIND: &str = "landfall outbox";
/// The version that this build writes, and the newest that it reads.
const VERSION: u64 = 1;
/// So many characters of a failure's words are taken from a file.
const MOST_LETTERS: usize = 1_000;
/// So many backups are kept.
const BACKUPS: i64 = 5;
/// So many copies of single entries that were edited are kept beside them.
const EDITS: i64 = 20;
/// Why those were made.
const BEFORE_EDIT: &str = "before an entry was edited";
/// A copy of the whole outbox is not made again within so many milliseconds, where it would say the same of what goes.
const BACKUP_HOLDS_MS: u64 = 60_000;
/// What the copy is from that is made when sending is held back. The last of these is kept beside the others: reviewing
/// may make many.
pub(super) const BEFORE_REPLAY: &str = "before what waited through a long absence was sent";

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The new dead letters: a person looks at each, and retries or discards it.
    pub added: Vec<u64>,
    /// Entries that this database knows already.
    pub known: u64,
    /// Entries that were left out, each with the reason.
    pub refused: Vec<String>,
}

/// A copy of the whole outbox that was made before something was thrown away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// When, by the device's clock. Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Before what.
    pub why: String,
    /// The file, as [`Database::export`] writes it.
    pub file: String,
}

impl Database {
    /// The outbox as a file, dead letters included; or one entry of it. What the server has accepted is left out.
    ///
    /// # Errors
    /// [`DbError::NoSuchEntry`]; or when the database cannot be read.
    pub fn export(&self, only: Option<u64>, now_ms: u64) -> Result<String, DbError> {
        let mut entries = self.outbox()?;
        entries.retain(|e| !matches!(e.state, EntryState::Acknowledged(_)) && only.is_none_or(|rseq| e.rseq == rseq));
        match only {
            Some(rseq) if entries.is_empty() => Err(DbError::NoSuchEntry { rseq, state: "undecided or dead" }),
            _ => Ok(self.write_file(&entries, now_ms)),
        }
    }

    fn write_file(&self, entries: &[OutboxEntry], now_ms: u64) -> String {
        let mut out = String::new();
        let mut file = Object::new(&mut out);
        file.text("kind", KIND);
        file.field("version").push_str(&VERSION.to_string());
        file.text("app", &self.schema.name);
        file.field("exported_ms").push_str(&now_ms.to_string());
        file.list("entries", entries, |entry, out| {
            let mut object = Object::new(out);
            object.field("rseq").push_str(&entry.rseq.to_string());
            object.field("written_ms").push_str(&entry.created_ms.to_string());
            object.field("priority").push_str(&entry.priority.to_string());
            object.text("state", if entry.state == EntryState::Dead { "failed" } else { "pending" });
            if let Some(problem) = &entry.problem {
                object.text("code", &problem.code.to_string());
                object.text("message", &problem.message);
            }
            if !entry.failures.is_empty() {
                object.list("failures", &entry.failures, |failure, out| {
                    let mut object = Object::new(out);
                    object.field("at_ms").push_str(&failure.at_ms.to_string());
                    object.text("code", &failure.problem.code.to_string());
                    object.text("message", &failure.problem.message);
                });
            }
            object.list("rows", &entry.transaction.operations, |operation, out| {
                string(&format!("{} {}", operation.table(), operation.key()), out);
            });
            let (body, images) = (entry.transaction.to_bytes(), encode(&entry.stored_images()));
            object.text("body", &base64(&body));
            object.text("images", &base64(&images));
            object.text("check", &check(&body, &images));
        });
        drop(file);
        out
    }

    /// Takes entries of a file in as dead letters, for a person to retry or discard. Each by itself: one that is damaged,
    /// or does not fit the schema, does not keep the others out. A copy of the whole outbox is kept.
    ///
    /// # Errors
    /// [`DbError::BadFile`] when the file is none of ours, of another app or a newer version; nothing was taken in then.
    pub fn import(&mut self, file: &str, now_ms: u64) -> Result<Imported, DbError> {
        let bad = |why: &str| DbError::BadFile(why.to_owned());
        let json: Json = serde_json::from_str(file).map_err(|e| DbError::BadFile(format!("it is not JSON ({e})")))?;
        if json.get("kind").and_then(Json::as_str) != Some(KIND) {
            return Err(bad("it is not an outbox"));
        }
        let version = json.get("version").and_then(Json::as_u64).ok_or_else(|| bad("it does not say its version"))?;
        if version > VERSION {
            return Err(bad("a newer version of this program wrote it; upgrade this one"));
        }
        let app = json.get("app").and_then(Json::as_str).unwrap_or_default();
        if app != self.schema.name {
            return Err(DbError::BadFile(format!("it is of the app '{app}', not of '{}'", self.schema.name)));
        }
        let entries = json.get("entries").and_then(Json::as_array).ok_or_else(|| bad("it has no entries"))?;
        self.transact(|db| {
            db.back_up("before a file was imported", now_ms)?;
            let (mut imported, mut known) = (Imported::default(), db.origins()?);
            for (at, entry) in entries.iter().enumerate() {
                match db.import_one(entry, now_ms, &mut known)? {
                    Ok(Some(rseq)) => imported.added.push(rseq),
                    Ok(None) => imported.known += 1,
                    Err(why) => imported.refused.push(format!("entry {}: {why}", at + 1)),
                }
            }
            Ok(imported)
        })
    }

    /// One entry; `None` when it is known, or why it is left out.
    fn import_one(
        &mut self,
        entry: &Json,
        now_ms: u64,
        known: &mut FlatSet<Origin>,
    ) -> Result<Result<Option<u64>, String>, DbError> {
        let text = |name: &str| entry.get(name).and_then(Json::as_str).unwrap_or_default();
        let (Some(body), Some(images)) = (unbase64(text("body")), unbase64(text("images"))) else {
            return Ok(Err("its content is not readable; export it again".into()));
        };
        if text("check") != check(&body, &images) {
            return Ok(Err("its content was changed after it was exported; export it again".into()));
        }
        let Ok(mut transaction) = minicbor::decode::<Transaction>(&body) else {
            return Ok(Err("its content is of another version; export it again".into()));
        };
        transaction.keep_origin();
        if transaction.origin.is_some_and(|origin| known.contains(&origin)) && !mutant::active("import-again") {
            return Ok(Ok(None));
        }
        let Ok(images) = decode::<StoredImages>(&images) else {
            return Ok(Err("its rows are of another version; export it again".into()));
        };
        if let Err(problem) = self.schema.check_transaction(&transaction, &TransactionLimits::default()) {
            return Ok(Err(format!("it does not fit the schema: {problem}")));
        }
        let problem = match text("code") {
            "" => Problem::new(codes::IMPORTED, "it was brought in from a file, and may have been sent since"),
            _ => Problem::new(
                codes::IMPORTED,
                format!("it was brought in from a file; there it had failed: {}", text("message")),
            ),
        };
        let rseq = self.memory.meta.last_rseq + 1;
        known.extend(transaction.origin);
        (transaction.after, transaction.requires) = (Vec::new(), Vec::new());
        transaction.go_on_as(self.memory.meta.replica, rseq);
        // It is not part of the check sum: a person may have changed it.
        let written_ms = entry.get("written_ms").and_then(Json::as_u64).unwrap_or(now_ms).min(now_ms);
        let body = transaction.to_bytes();
        if let Err(full) = self.check_room(body.len()) {
            return Ok(Err(full.to_string()));
        }
        let mut failures = failures_of(entry, now_ms);
        failures.push(Failure::new(now_ms, problem));
        let priority = entry.get("priority").and_then(Json::as_u64).and_then(|priority| u8::try_from(priority).ok());
        self.put_entry(&transaction, Some(&Letter { failures, images }), priority, written_ms)?;
        let meta = &mut self.memory.meta;
        meta.last_rseq = rseq;
        meta.counts.added(DEAD, body.len());
        self.memory.buried += 1;
        Ok(Ok(Some(rseq)))
    }

    /// What the transactions of this database were first.
    fn origins(&self) -> Result<FlatSet<Origin>, DbError> {
        let mut statement =
            self.conn.prepare("SELECT body FROM _landfall_outbox UNION ALL SELECT body FROM _landfall_acked")?;
        let mut rows = statement.query([])?;
        let mut origins = Vec::new();
        while let Some(row) = rows.next()? {
            let mut here: Transaction = decode(&row.get::<_, Vec<u8>>(0)?)?;
            here.keep_origin();
            origins.extend(here.origin);
        }
        Ok(origins.into_iter().collect())
    }

    /// The copies of the whole outbox that were made before something was thrown away, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn backups(&self) -> Result<Vec<Backup>, DbError> {
        let mut statement = self.conn.prepare("SELECT at_ms, why, file FROM _landfall_backups ORDER BY id DESC")?;
        let backups = statement
            .query_map([], |r| Ok(Backup { at_ms: r.get::<_, i64>(0)? as u64, why: r.get(1)?, file: r.get(2)? }))?;
        Ok(backups.collect::<rusqlite::Result<_>>()?)
    }

    /// Keeps a copy of the outbox before entries go, unless one of a moment ago holds them as they are.
    pub(super) fn back_up_before(&mut self, rseqs: &[u64], why: &str, now_ms: u64) -> Result<(), DbError> {
        let buried = self.memory.buried;
        let holds = self.memory.backed_up.is_some_and(|copy| {
            let age_ms = now_ms.checked_sub(copy.at_ms);
            copy.buried == buried
                && age_ms.is_some_and(|age_ms| age_ms < BACKUP_HOLDS_MS)
                && rseqs.iter().all(|rseq| *rseq <= copy.last_rseq)
        });
        if holds { Ok(()) } else { self.back_up(why, now_ms) }
    }

    /// Keeps a copy of an entry before it is edited in place. The last of these copies stay by themselves: who edits often
    /// loses no copy of the whole outbox to them.
    pub(super) fn back_up_before_edit(&mut self, rseq: u64, now_ms: u64) -> Result<(), DbError> {
        let Some(entry) = self.entry(rseq)? else { return Ok(()) };
        let file = self.write_file(&[entry], now_ms);
        let sql = "INSERT INTO _landfall_backups (at_ms, why, file) VALUES (?, ?, ?)";
        self.conn.prepare_cached(sql)?.execute(params![now_ms as i64, BEFORE_EDIT, file])?;
        let sql = "DELETE FROM _landfall_backups WHERE why = ?1 AND id <= (
                     SELECT id FROM _landfall_backups WHERE why = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
        self.conn.prepare_cached(sql)?.execute(params![BEFORE_EDIT, EDITS])?;
        Ok(())
    }

    /// Whether the last copy was made before a replay, and holds the outbox as it is.
    pub(super) fn holds_replay_copy(&self) -> bool {
        let (last_rseq, buried) = (self.last_rseq(), self.memory.buried);
        let is_same = |copy: &BackedUp| (copy.last_rseq, copy.buried) == (last_rseq, buried);
        let sql = "SELECT why FROM _landfall_backups WHERE why <> ? ORDER BY id DESC LIMIT 1";
        let why = || {
            self.conn.prepare_cached(sql).and_then(|mut last| last.query_row([BEFORE_EDIT], |r| r.get::<_, String>(0)))
        };
        self.memory.backed_up.as_ref().is_some_and(is_same) && why().is_ok_and(|why| why == BEFORE_REPLAY)
    }

    /// Keeps a copy of the outbox.
    pub(super) fn back_up(&mut self, why: &str, now_ms: u64) -> Result<(), DbError> {
        let mut entries = self.outbox()?;
        entries.retain(|e| !matches!(e.state, EntryState::Acknowledged(_)));
        if entries.is_empty() {
            return Ok(());
        }
        let file = self.write_file(&entries, now_ms);
        self.conn
            .prepare_cached("INSERT INTO _landfall_backups (at_ms, why, file) VALUES (?, ?, ?)")?
            .execute(params![now_ms as i64, why, file])?;
        let sql = "SELECT id FROM _landfall_backups WHERE why <> ? ORDER BY id DESC LIMIT 1 OFFSET ?";
        let of = params![BEFORE_EDIT, BACKUPS];
        let beyond: Option<i64> = self.conn.prepare_cached(sql)?.query_row(of, |r| r.get(0)).optional()?;
        if let Some(beyond) = beyond {
            let sql = "DELETE FROM _landfall_backups WHERE id <= ?1 AND why <> ?3 AND id <> coalesce(
                         (SELECT max(id) FROM _landfall_backups WHERE why = ?2), 0)";
            self.conn.prepare_cached(sql)?.execute(params![beyond, BEFORE_REPLAY, BEFORE_EDIT])?;
        }
        let (last_rseq, buried) = (self.last_rseq(), self.memory.buried);
        self.memory.backed_up = Some(BackedUp { at_ms: now_ms, last_rseq, buried });
        Ok(())
    }
}

/// The failures that a file tells of, as far as they can be read, and so many that the new one has room. A person may have
/// changed them: they tell, and decide nothing.
fn failures_of(entry: &Json, now_ms: u64) -> Vec<Failure> {
    let one = |failure: &Json| {
        let text = |name: &str| Some(failure.get(name)?.as_str()?.chars().take(MOST_LETTERS).collect::<String>());
        let problem = Problem::new(Code(text("code")?.into()), text("message")?);
        Some(Failure::new(failure.get("at_ms")?.as_u64()?.min(now_ms), problem))
    };
    let mut all: Vec<Failure> =
        entry.get("failures").and_then(Json::as_array).into_iter().flatten().filter_map(one).collect();
    all.drain(..all.len().saturating_sub(MOST_FAILURES - 1));
    all
}

fn check(body: &[u8], images: &[u8]) -> String {
    let mut bytes = body.to_vec();
    bytes.extend((body.len() as u64).to_be_bytes());
    bytes.extend(images);
    base64(&hash128(&bytes))
}
