//! The device's clock may be set while the app runs. What is carried out by a moment of the server's, and no later, goes by
//! the server's clock as it was heard last, and by the monotonic one from there.

use super::{Engine, Moment};

/// What two clocks of one machine drift apart is corrected in steps of this much.
const SET_MS: i64 = 1_000;

/// What both clocks of the device showed, to be compared with what they show later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor(Moment);

impl Anchor {
    pub(super) const fn at(now: Moment) -> Self {
        Self(now)
    }

    /// By how much the clock was set since; ahead also for as long as the device slept, where the monotonic clock sleeps
    /// with it.
    fn jump_ms(self, now: Moment) -> i64 {
        let since = |now: u64, then: u64| i128::from(now) - i128::from(then);
        let jump = since(now.wall_ms, self.0.wall_ms) - since(now.mono_ms, self.0.mono_ms);
        i64::try_from(jump).unwrap_or(0)
    }
}

impl Engine {
    /// What the device's clock would show had it not been set while a write was held, which is noted when that has ended.
    pub(super) fn wall_of_held(&self, now: Moment) -> u64 {
        let jump_ms = self.anchor.jump_ms(now);
        if jump_ms.abs() < SET_MS { now.wall_ms } else { now.wall_ms.saturating_add_signed(jump_ms.saturating_neg()) }
    }

    /// To be called before anything that goes by the clock.
    pub(super) fn mind_clock(&mut self, now: Moment) {
        let jump_ms = self.anchor.jump_ms(now);
        // What is stored while a write is held would end that write.
        if jump_ms.abs() < SET_MS || self.db.is_held() || landfall_core::mutant::active("clock-believed") {
            return;
        }
        // Where it cannot be stored it is tried again with whatever comes next.
        if self.db.clock_was_set(jump_ms).is_ok() {
            self.anchor = Anchor::at(now);
            self.mirror_situation();
        }
    }
}

#[cfg(test)]
mod tests {
    use landfall_core::Value;
    use landfall_protocol::server::Resumption;

    use crate::db::{DbError, EntryState};
    use crate::engine::Input;
    use crate::engine::device::{Device, NOON, entropy};

    const SCHEMA: &str = "[app]\nname = 'bank'\nversion = 1\n\
        [tables.notes]\nexpires = '1h'\n[tables.notes.columns]\nid = { type = 'integer' }\n\
        [tables.bills]\noffline = { schedule = 'due', lead = '24h' }\n\
        [tables.bills.columns]\nid = { type = 'integer' }\ndue = { type = 'timestamp' }\n\
        [shapes.notes]\ntable = 'notes'\n[shapes.bills]\ntable = 'bills'\n";
    const DAY_MS: u64 = 24 * 3_600 * 1_000;

    impl Device {
        fn note(&mut self, id: i64) -> u64 {
            let now = self.now();
            let written = self.engine.write(now, &mut entropy, |tx| tx.insert("notes", &[("id", Value::Int(id))]));
            written.expect("writes").rseq.expect("an entry")
        }

        fn bill(&mut self, id: i64, in_hours: u64) -> Result<(), DbError> {
            let now = self.now();
            let due_ms = NOON + self.seconds * 1_000 + in_hours * 3_600_000;
            let due = Value::Timestamp((due_ms * 1_000) as i64);
            let row = [("id", Value::Int(id)), ("due", due)];
            self.engine.write(now, &mut entropy, |tx| tx.insert("bills", &row)).map(drop)
        }

        fn is_dead(&self, rseq: u64) -> bool {
            let entry = self.engine.db().entry(rseq).expect("readable").expect("is kept");
            entry.state == EntryState::Dead
        }

        fn tick(&mut self) {
            self.input(Input::Tick);
        }
    }

    fn offline(off_ms: u64) -> (tempfile::TempDir, Device) {
        let folder = tempfile::tempdir().expect("a directory");
        let mut device = Device::open(&folder.path().join("bank.db"), SCHEMA, 0);
        device.off_ms = off_ms;
        device.connect(Resumption::Fresh);
        device.disconnect();
        (folder, device)
    }

    #[test]
    fn a_clock_that_is_set_back_prolongs_nothing_and_brings_no_bill_nearer() {
        let (_folder, mut device) = offline(2 * DAY_MS);
        let note = device.note(1);
        device.off_ms = 0;
        device.seconds = 3_599;
        device.tick();
        assert!(!device.is_dead(note));
        assert!(device.bill(1, 25).is_ok());
        assert!(device.bill(2, 23).is_err(), "by the server's clock it is due in 23 hours");
        device.seconds = 3_601;
        device.tick();
        assert!(device.is_dead(note));
    }

    #[test]
    fn a_clock_that_is_set_ahead_ends_nothing_before_its_time() {
        let (_folder, mut device) = offline(0);
        let note = device.note(1);
        device.off_ms = 2 * DAY_MS;
        device.seconds = 3_599;
        device.tick();
        assert!(!device.is_dead(note), "nobody knows that an hour has passed");
        assert!(device.bill(1, 25).is_err(), "nobody knows that two days have not");
        device.connect(Resumption::Continue);
        assert!(!device.is_dead(note));
        assert_eq!(device.pushed(), [note]);
    }

    #[test]
    fn who_slept_past_the_end_does_not_send_it() {
        let (_folder, mut device) = offline(0);
        let note = device.note(1);
        // The monotonic clock slept, too; the server's did not.
        device.off_ms = DAY_MS;
        device.slept_ms = DAY_MS;
        device.tick();
        device.connect(Resumption::Continue);
        assert!(device.is_dead(note));
        assert!(device.pushed().is_empty());
    }

    /// What is stored for the clock does not end a write that the app holds open.
    #[test]
    fn a_clock_that_is_set_while_a_write_is_held_costs_nothing() {
        let (_folder, mut device) = offline(DAY_MS);
        for (id, off_ms) in [(1, DAY_MS / 2), (2, DAY_MS)] {
            let now = device.now();
            let held = device.engine.hold(now, &mut entropy).expect("begins");
            let row = [("id", Value::Int(id))];
            let (held, ()) = device.engine.step_held(held, |tx| tx.insert("notes", &row)).expect("writes");
            device.off_ms = off_ms;
            let now = device.now();
            let written = device.engine.finish(held, now, &mut entropy).expect("is written");
            assert!(written.rseq.is_some());
            assert_eq!(device.engine.db().counts().pending, id as u64);
        }
    }

    #[test]
    fn the_doubt_outlives_the_process() {
        let (folder, mut device) = offline(0);
        let note = device.note(1);
        device.off_ms = 2 * DAY_MS;
        device.tick();
        drop(device);
        let mut device = Device::open(&folder.path().join("bank.db"), SCHEMA, 2 * DAY_MS / 1_000);
        device.tick();
        assert!(!device.is_dead(note));
    }

    #[test]
    fn ahead_and_back_is_as_it_was() {
        let (_folder, mut device) = offline(0);
        let note = device.note(1);
        device.off_ms = 2 * DAY_MS;
        device.tick();
        device.off_ms = 0;
        assert!(device.bill(1, 25).is_ok());
        device.seconds = 3_601;
        device.tick();
        assert!(device.is_dead(note));
    }
}
