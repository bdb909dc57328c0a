//! What a person relies on: a commit that was reported survives every crash, and no transaction is ever half there.

use std::collections::BTreeMap;

use landfall_sim::disk::{Disk, DiskConfig, DiskOp};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rusqlite::Connection;

/// One life of a machine: the transactions that it tries, where the power goes, and what the crash does.
#[derive(Debug, Clone)]
struct Life {
    transactions: Vec<Vec<Edit>>,
    /// How many changing disk operations succeed; `None`: the crash comes between transactions.
    power: Option<u64>,
    /// One operation of this kind, counted from the start of the life, fails although the power stays on.
    error: Option<(DiskOp, u64)>,
    crash_seed: u64,
}

/// Puts a value of this many bytes under a key, or takes the key away.
#[derive(Debug, Clone)]
struct Edit {
    key: i64,
    bytes: Option<usize>,
}

#[derive(Debug, Clone)]
struct Story {
    sector_bytes: usize,
    lives: Vec<Life>,
}

fn stories() -> impl Strategy<Value = Story> {
    let edit = (0i64..60, prop::option::weighted(0.8, 0usize..3000)).prop_map(|(key, bytes)| Edit { key, bytes });
    let kind = prop::sample::select(vec![DiskOp::Read, DiskOp::Write, DiskOp::Truncate, DiskOp::Sync, DiskOp::Delete]);
    let power = prop::option::weighted(0.8, 0u64..120);
    let error = prop::option::weighted(0.2, (kind, 1u64..30));
    let life = (vec(vec(edit, 1..8), 1..10), power, error, any::<u64>())
        .prop_map(|(transactions, power, error, crash_seed)| Life { transactions, power, error, crash_seed });
    (prop::sample::select(vec![512, 4096]), vec(life, 1..5))
        .prop_map(|(sector_bytes, lives)| Story { sector_bytes, lives })
}

/// Stories tried for each set of pragmas: a fraction of a second each.
const CASES: u32 = 200;

const LOST: &str = "a reported commit is gone or a transaction is half there";

type Rows = BTreeMap<i64, Vec<u8>>;

/// Lives the story on one disk; an error tells which promise was broken.
fn live_through(story: &Story, pragmas: &str) -> Result<(), String> {
    let disk = Disk::new(1, DiskConfig { sector_bytes: story.sector_bytes, ..DiskConfig::default() });
    let mut rows = Rows::new();
    set_up(&disk, pragmas).map_err(|e| format!("set-up: {e}"))?;
    for (number, life) in story.lives.iter().enumerate() {
        let connection = open(&disk, pragmas).map_err(|e| format!("life {number} cannot open: {e}"))?;
        disk.crash_after(life.power);
        if let Some((op, nth)) = life.error {
            disk.fail_next(op, nth);
        }
        let mut in_doubt = Vec::new();
        for (nth, edits) in life.transactions.iter().enumerate() {
            let stamp = (number * 100 + nth) as u8;
            let after = edited(&rows, edits, stamp);
            match write(&connection, edits, stamp) {
                Ok(()) => {
                    rows = after;
                    in_doubt.clear();
                }
                Err(e) if !disk.power_lost() && life.error.is_none() => {
                    return Err(format!("life {number} failed without a fault: {e}"));
                }
                Err(_) if disk.power_lost() => {
                    in_doubt.push(after);
                    break;
                }
                // An error in the middle of a commit: the connection shows how it stands, and until the next
                // commit a crash may still turn it round. That holds for a log too: the frames of a commit
                // whose sync failed lie in the file, and the recovery finds them.
                Err(_) => {
                    let seen = match rows_of(&connection).or_else(|_| rows_of(&connection)) {
                        // Reading may first roll a journal back, and the power go in the middle of that.
                        Err(_) if disk.power_lost() => {
                            in_doubt.push(after);
                            break;
                        }
                        seen => seen?,
                    };
                    if seen != rows && seen != after {
                        return Err(format!("life {number} shows half a transaction after an error"));
                    }
                    let other = if seen == rows { after } else { rows };
                    in_doubt.push(other);
                    rows = seen;
                }
            }
        }
        disk.crash(&mut ChaCha8Rng::seed_from_u64(life.crash_seed));
        drop(connection);
        let found = inspect(&disk, pragmas).map_err(|e| format!("after life {number}: {e}"))?;
        if found != rows && !in_doubt.contains(&found) {
            return Err(format!("after life {number}: {LOST}"));
        }
        rows = found;
    }
    Ok(())
}

fn open(disk: &Disk, pragmas: &str) -> rusqlite::Result<Connection> {
    let connection = disk.open("app.db")?;
    connection.execute_batch(pragmas)?;
    Ok(connection)
}

fn set_up(disk: &Disk, pragmas: &str) -> rusqlite::Result<()> {
    open(disk, pragmas)?
        .execute_batch("CREATE TABLE t (key INTEGER PRIMARY KEY, value BLOB); CREATE INDEX i ON t (value)")?;
    // The story begins on a settled disk, also where the pragmas under test never sync.
    disk.restore_files(&disk.clone_files());
    Ok(())
}

fn write(connection: &Connection, edits: &[Edit], stamp: u8) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    for edit in edits {
        match edit.bytes {
            Some(len) => {
                transaction.execute("INSERT OR REPLACE INTO t VALUES (?1, ?2)", (edit.key, vec![stamp; len]))?
            }
            None => transaction.execute("DELETE FROM t WHERE key = ?1", [edit.key])?,
        };
    }
    transaction.commit()
}

fn edited(rows: &Rows, edits: &[Edit], stamp: u8) -> Rows {
    let mut rows = rows.clone();
    for edit in edits {
        match edit.bytes {
            Some(len) => drop(rows.insert(edit.key, vec![stamp; len])),
            None => drop(rows.remove(&edit.key)),
        }
    }
    rows
}

/// What a restarted machine finds in the database, after checking that the file is sound.
fn inspect(disk: &Disk, pragmas: &str) -> Result<Rows, String> {
    let connection = open(disk, pragmas).map_err(|e| format!("the database does not open: {e}"))?;
    let check: Result<String, _> = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0));
    match check {
        Ok(verdict) if verdict == "ok" => {}
        other => return Err(format!("the database is damaged: {other:?}")),
    }
    rows_of(&connection)
}

fn rows_of(connection: &Connection) -> Result<Rows, String> {
    let mut statement = connection.prepare("SELECT key, value FROM t").map_err(|e| e.to_string())?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(|e| e.to_string())?;
    rows.collect::<Result<Rows, _>>().map_err(|e| e.to_string())
}

/// Looks for a story that breaks a promise under these pragmas.
fn search(cases: u32, pragmas: &str) -> Result<(), String> {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let result = runner.run(&stories(), |story| live_through(&story, pragmas).map_err(TestCaseError::fail));
    match result {
        Ok(()) => Ok(()),
        Err(TestError::Fail(why, story)) => Err(format!("{why}\nsmallest story: {story:#?}")),
        Err(TestError::Abort(why)) => panic!("the search gave up: {why}"),
    }
}

fn holds(pragmas: &str) {
    if let Err(broken) = search(CASES, pragmas) {
        panic!("under `{pragmas}`: {broken}");
    }
}

fn is_caught(pragmas: &str, how: &[&str]) {
    let Err(broken) = search(CASES, pragmas) else {
        panic!("`{pragmas}` promises too little, but no crash showed it: the disk is too kind");
    };
    assert!(how.iter().any(|how| broken.contains(how)), "`{pragmas}` was caught for another reason: {broken}");
}

#[test]
fn a_log_with_full_sync_keeps_every_commit_whole() {
    holds(
        "PRAGMA locking_mode=exclusive; PRAGMA journal_mode=wal; PRAGMA synchronous=full; PRAGMA wal_autocheckpoint=8",
    );
}

#[test]
fn a_log_in_shared_memory_keeps_every_commit_whole() {
    holds("PRAGMA journal_mode=wal; PRAGMA synchronous=full; PRAGMA wal_autocheckpoint=8");
}

#[test]
fn a_rollback_journal_keeps_every_commit_whole_when_its_deletion_is_synced() {
    holds("PRAGMA journal_mode=delete; PRAGMA synchronous=extra; PRAGMA cache_size=4");
}

#[test]
fn files_that_shrink_keep_every_commit_whole() {
    holds(
        "PRAGMA auto_vacuum=full; PRAGMA journal_mode=wal; PRAGMA synchronous=full; PRAGMA wal_autocheckpoint=8; \
         PRAGMA journal_size_limit=0",
    );
    holds("PRAGMA auto_vacuum=full; PRAGMA journal_mode=truncate; PRAGMA synchronous=full");
    holds("PRAGMA auto_vacuum=full; PRAGMA journal_mode=persist; PRAGMA synchronous=full; PRAGMA cache_size=4");
}

#[test]
fn no_sync_at_all_is_caught() {
    is_caught(
        "PRAGMA locking_mode=exclusive; PRAGMA journal_mode=wal; PRAGMA synchronous=off; PRAGMA wal_autocheckpoint=8",
        &[LOST, "damaged"],
    );
}

#[test]
fn a_sync_only_at_checkpoints_is_caught_losing_commits() {
    is_caught(
        "PRAGMA locking_mode=exclusive; PRAGMA journal_mode=wal; PRAGMA synchronous=normal; PRAGMA wal_autocheckpoint=8",
        &[LOST],
    );
}

#[test]
fn an_unsynced_deletion_of_the_journal_is_caught_losing_commits() {
    is_caught("PRAGMA journal_mode=delete; PRAGMA synchronous=full", &[LOST]);
}
