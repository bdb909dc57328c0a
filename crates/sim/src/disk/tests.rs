//! What a user of the disk may rely on, one property each.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rusqlite::{Connection, ErrorCode};

use super::*;

const WAL: &str = "PRAGMA locking_mode=exclusive; PRAGMA journal_mode=wal; PRAGMA synchronous=full;";

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn disk() -> Disk {
    Disk::new(7, DiskConfig::default())
}

fn open(disk: &Disk, pragmas: &str) -> Connection {
    let connection = disk.open("app.db").unwrap();
    connection.execute_batch(pragmas).unwrap();
    connection
}

fn with_table(disk: &Disk) -> Connection {
    let connection = open(disk, WAL);
    connection.execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b)").unwrap();
    connection
}

fn count(connection: &Connection) -> i64 {
    connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
}

fn fails_with(result: rusqlite::Result<usize>) -> ErrorCode {
    result.unwrap_err().sqlite_error_code().unwrap()
}

const INSERT: &str = "INSERT INTO t (b) VALUES (zeroblob(20000))";

#[test]
fn a_full_disk_refuses_the_statement_and_works_again_once_there_is_room() {
    let disk = disk();
    let connection = with_table(&disk);
    connection.execute(INSERT, []).unwrap();
    disk.set_capacity(disk.used() + 10_000);
    assert_eq!(fails_with(connection.execute(INSERT, [])), ErrorCode::DiskFull);
    assert_eq!(count(&connection), 1, "reading goes on, and nothing of the refused statement is there");
    disk.set_capacity(1 << 30);
    connection.execute(INSERT, []).unwrap();
    disk.crash(&mut rng(1));
    let connection = open(&disk, WAL);
    assert_eq!(count(&connection), 2);
    assert_eq!(disk.stats().faults["disk.full"], 1);
}

#[test]
fn nothing_that_was_open_before_a_crash_can_touch_the_disk_after_it() {
    for ends in [|d: &Disk| d.crash(&mut rng(3)), |d: &Disk| d.kill(), |d: &Disk| d.restore_files(&d.clone_files())] {
        for mode in [WAL, "PRAGMA journal_mode=wal", "PRAGMA journal_mode=delete; PRAGMA synchronous=extra"] {
            let disk = disk();
            let stale = open(&disk, mode);
            stale.execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b); BEGIN IMMEDIATE").unwrap();
            stale.execute(INSERT, []).unwrap();
            let (files, vfs) = (disk.files(), disk.vfs_name());
            files.write_file("mirror", b"one").unwrap();
            ends(&disk);

            let fresh = open(&disk, mode);
            fresh.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (1, 'mine')").unwrap();
            let before = disk.clone_files();
            // Statements may still succeed in its page cache; what counts is that nothing leaves it.
            let _ = stale.execute(INSERT, []);
            assert_eq!(fails_with(stale.execute("COMMIT", [])), ErrorCode::SystemIoFailure, "{mode}");
            assert_eq!(files.append("mirror", b"two"), Err(DiskError::Stale));
            assert!(Connection::open_with_flags_and_vfs("app.db", OpenFlags::default(), vfs.as_str()).is_err());
            // Closing rolls back and deletes journals by name: it must not find those of the new life.
            drop(stale);
            assert!(disk.clone_files() == before, "a dead process changed the disk ({mode})");
            fresh.execute_batch("COMMIT").unwrap();
            assert_eq!(count(&fresh), 1);
            assert!(Connection::open_with_flags_and_vfs("app.db", OpenFlags::default(), vfs.as_str()).is_err());
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_committed_even_without_a_sync() {
    let disk = disk();
    let connection = with_table(&disk);
    connection.execute_batch("PRAGMA synchronous=off").unwrap();
    connection.execute(INSERT, []).unwrap();
    disk.kill();
    drop(connection);
    assert_eq!(count(&open(&disk, WAL)), 1);
}

#[test]
fn a_planned_error_strikes_once_and_the_database_recovers() {
    for op in [DiskOp::Write, DiskOp::Sync, DiskOp::Read] {
        let disk = disk();
        let connection = with_table(&disk);
        connection.execute(INSERT, []).unwrap();
        connection.execute_batch("PRAGMA shrink_memory").unwrap();
        disk.fail_next(op, 1);
        let failed = match op {
            // The log is read back from the file only once the page cache is empty.
            DiskOp::Read => fails_with(connection.query_row("SELECT b FROM t", [], |_| Ok(0))),
            _ => fails_with(connection.execute(INSERT, [])),
        };
        assert_eq!(failed, ErrorCode::SystemIoFailure, "{op:?}");
        connection.execute(INSERT, []).unwrap();
        assert_eq!(count(&connection), 2, "{op:?}");
    }
}

#[test]
fn the_power_goes_in_the_middle_and_stays_off_until_the_restart() {
    let disk = disk();
    let connection = with_table(&disk);
    disk.crash_after(Some(3));
    let written = (0..10).take_while(|_| connection.execute(INSERT, []).is_ok()).count();
    assert!(disk.power_lost() && written < 3);
    assert!(disk.open("other.db").and_then(|c| c.execute_batch("CREATE TABLE t (a)")).is_err());
    assert_eq!(disk.files().append("mirror", b"x"), Err(DiskError::PowerLost));
    disk.crash(&mut rng(5));
    drop(connection);
    assert!(!disk.power_lost());
    assert!(count(&open(&disk, WAL)) >= written as i64);
}

#[test]
fn plain_files_keep_what_was_synced_and_any_part_of_what_was_not() {
    let (mut whole, mut none, mut part) = (0, 0, 0);
    for seed in 0..200 {
        let disk = disk();
        let files = disk.files();
        files.append("mirror", &[1; 1000]).unwrap();
        files.sync_file("mirror").unwrap();
        files.append("mirror", &[2; 5000]).unwrap();
        disk.crash(&mut rng(seed));
        let bytes = disk.files().read_file("mirror").unwrap();
        assert_eq!(bytes[..1000], [1; 1000], "synced bytes are safe");
        assert!(bytes[1000..].iter().all(|b| [0, 2].contains(b)), "no byte appears that nobody wrote");
        match bytes[1000..].iter().filter(|b| **b == 2).count() {
            0 => none += 1,
            5000 => whole += 1,
            _ => part += 1,
        }
    }
    assert!(whole > 10 && none > 10 && part > 50, "whole {whole}, none {none}, part {part}");
}

#[test]
fn a_replaced_file_is_the_old_or_the_new_one_and_a_synced_directory_decides() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let disk = disk();
        let files = disk.files();
        files.write_file("mirror", b"old").unwrap();
        files.sync_file("mirror").unwrap();
        files.write_file("mirror.new", b"new").unwrap();
        files.sync_file("mirror.new").unwrap();
        files.rename("mirror.new", "mirror").unwrap();
        if seed % 2 == 0 {
            files.sync_directory().unwrap();
        }
        disk.crash(&mut rng(seed));
        let content = disk.files().read_file("mirror").unwrap();
        assert!(content == b"new" || (content == b"old" && seed % 2 == 1), "{content:?}");
        seen.insert((seed % 2, content));
    }
    assert_eq!(seen.len(), 3, "an unsynced rename must go both ways");
}

#[test]
fn creations_and_deletions_are_volatile_until_synced() {
    let (mut created, mut deleted) = (0, 0);
    for seed in 0..100 {
        let disk = disk();
        let files = disk.files();
        for name in ["gone", "doomed"] {
            files.write_file(name, b"x").unwrap();
            files.sync_file(name).unwrap();
        }
        files.delete("gone").unwrap();
        files.sync_directory().unwrap();
        files.delete("doomed").unwrap();
        files.write_file("new", b"x").unwrap();
        disk.crash(&mut rng(seed));
        let files = disk.files();
        assert!(!files.exists("gone").unwrap(), "a synced deletion is final");
        created += usize::from(files.exists("new").unwrap());
        deleted += usize::from(!files.exists("doomed").unwrap());
    }
    assert!((10..90).contains(&created) && (10..90).contains(&deleted), "created {created}, deleted {deleted}");
}

#[test]
fn a_read_only_disk_reads_and_refuses_to_write() {
    let disk = disk();
    drop(open(&disk, "CREATE TABLE t (a, b)"));
    disk.set_read_only(true);
    let connection = open(&disk, "");
    assert_eq!(count(&connection), 0);
    assert_eq!(fails_with(connection.execute("INSERT INTO t VALUES (1, 2)", [])), ErrorCode::ReadOnly);
    assert!(disk.open("new.db").and_then(|c| c.execute_batch("CREATE TABLE t (a)")).is_err());
    assert_eq!(disk.files().append("new", b"x"), Err(DiskError::ReadOnly));
}

#[test]
fn a_flipped_bit_is_seen_at_once_and_after_a_restart() {
    let disk = disk();
    let files = disk.files();
    files.append("mirror", &[0; 64]).unwrap();
    let at = disk.bit_flip("mirror", &mut rng(1)).unwrap() as usize;
    assert_ne!(files.read_file("mirror").unwrap()[at], 0);
    files.sync_file("mirror").unwrap();
    disk.crash(&mut rng(2));
    assert_ne!(disk.files().read_file("mirror").unwrap()[at], 0, "a sync must not repair the damage");
    assert_eq!(disk.bit_flip("absent", &mut rng(1)), None);
}

#[test]
fn sqlite_reads_the_virtual_clock_of_its_own_machine() {
    let (one, two) = (disk(), disk());
    one.set_time_ms(0);
    two.set_time_ms(1_795_226_400_123);
    for (disk, expected) in [(one, "1970-01-01 00:00:00.000"), (two, "2026-11-21 02:00:00.123")] {
        let sql = "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')";
        let now: String = disk.open("app.db").unwrap().query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(now, expected);
    }
}

#[test]
fn a_snapshot_is_a_machine_of_its_own() {
    let original = disk();
    let connection = with_table(&original);
    connection.execute(INSERT, []).unwrap();
    let snapshot = original.clone_files();
    connection.execute(INSERT, []).unwrap();

    let copy = disk();
    copy.restore_files(&snapshot);
    copy.crash(&mut rng(9));
    assert_eq!(count(&open(&copy, WAL)), 1, "what was copied is durable on the copy, log included");
    assert_eq!(count(&connection), 2, "the original goes on");
    original.restore_files(&snapshot);
    assert_eq!(count(&open(&original, WAL)), 1, "an old copy brings the old state back");
}

#[test]
fn two_connections_share_a_database_under_sqlites_locks() {
    for mode in ["PRAGMA journal_mode=delete", "PRAGMA journal_mode=wal"] {
        let disk = disk();
        let (writer, other) = (open(&disk, mode), open(&disk, ""));
        writer.execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b); BEGIN IMMEDIATE").unwrap();
        writer.execute("INSERT INTO t (b) VALUES (1)", []).unwrap();
        assert_eq!(count(&other), 0, "an open transaction is not seen by others ({mode})");
        let refused = fails_with(other.execute("INSERT INTO t (b) VALUES (2)", []));
        assert_eq!(refused, ErrorCode::DatabaseBusy, "{mode}");
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(count(&other), 1, "a commit is ({mode})");
        other.execute("INSERT INTO t (b) VALUES (2)", []).unwrap();
        assert_eq!(count(&writer), 2);
    }
}

#[test]
fn thousands_of_disks_leave_nothing_behind() {
    let before = vfs::pooled();
    for seed in 0..3000 {
        let disk = Disk::new(seed, DiskConfig::default());
        disk.files().append("f", b"x").unwrap();
        disk.crash(&mut rng(seed));
    }
    // Other tests of this process hold a few slots each; what matters is that 6,000 lives did not take 6,000.
    assert!(vfs::pooled() < before + 200);
}

#[test]
fn every_fault_in_the_table_can_be_reached() {
    let mut stats = DiskStats::default();
    for seed in 0..60u64 {
        let disk = disk();
        let files = disk.files();
        let op = [DiskOp::Open, DiskOp::Read, DiskOp::Write, DiskOp::Truncate, DiskOp::Sync, DiskOp::Delete];
        disk.fail_next(op[seed as usize % 6], 1);
        disk.crash_after(Some(20 + seed % 8));
        for turn in 0..8u8 {
            let name = format!("f{}", turn % 2);
            let _ = files.append(&name, &vec![turn; 3000]);
            let _ = files.read_file(&name);
            let _ = files.truncate(&name, u64::from(turn) * 200);
            let _ = files.sync_file(&name);
            let _ = files.append(&name, &vec![turn; 2000]);
            let _ = (turn % 3 == 2).then(|| files.delete(&name));
        }
        disk.bit_flip("f0", &mut rng(seed));
        disk.crash(&mut rng(seed));
        let _ = files.list();
        let _ = files.exists("f0");
        disk.set_capacity(0);
        let _ = disk.files().append("full", b"x");
        disk.set_read_only(true);
        let _ = disk.files().append("read-only", b"x");
        disk.kill();
        disk.restore_files(&Snapshot::default());
        stats.add(&disk.stats());
    }
    let missed: Vec<_> = FAULTS.iter().filter(|name| !stats.faults.contains_key(*name)).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}; reached: {:?}", stats.faults);
}

#[test]
fn a_disk_may_move_between_threads() {
    fn movable<T: Send + Sync>() {}
    movable::<Disk>();
    movable::<Files>();
    movable::<Snapshot>();
}
