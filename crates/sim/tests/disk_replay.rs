//! A seed replays to the byte. Alone in its process, since SQLite's own randomness is one for the whole process.

use landfall_sim::disk::{Disk, DiskConfig, DiskStats, Snapshot, seed_sqlite};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

fn run(seed: u64) -> (Snapshot, DiskStats) {
    seed_sqlite(seed as u32 + 1);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let disk = Disk::new(seed, DiskConfig::default());
    disk.set_time_ms(1_700_000_000_000 + seed as i64);
    for _ in 0..4 {
        let Ok(connection) = disk.open("app.db") else { panic!("a disk with power opens its files") };
        let mode = if seed.is_multiple_of(2) { "wal" } else { "delete" };
        let begin = format!(
            "PRAGMA locking_mode=exclusive; PRAGMA journal_mode={mode}; PRAGMA synchronous=full; PRAGMA wal_autocheckpoint=6;
             CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b, c, d)"
        );
        connection.execute_batch(&begin).expect("no fault is planned yet");
        disk.crash_after(Some(rng.random_range(5..60)));
        while connection
            .execute("INSERT INTO t (b, c, d) VALUES (random(), randomblob(900), strftime('%f'))", [])
            .is_ok()
        {}
        assert!(disk.power_lost(), "only the power loss ends the writing");
        disk.crash(&mut rng);
    }
    (disk.clone_files(), disk.stats())
}

#[test]
fn the_same_seed_gives_byte_identical_disks() {
    let first: Vec<_> = (0..12).map(run).collect();
    let again: Vec<_> = (0..12).map(run).collect();
    assert!(first == again, "a seed gave two different disks");
    let different = first.windows(2).filter(|pair| pair[0].0 != pair[1].0).count();
    assert_eq!(different, 11, "different seeds must give different disks, else the comparison shows nothing");
}
