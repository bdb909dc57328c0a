//! The mirrors of the outboxes: written a moment after they are told, as the native driver's thread does it; and databases
//! that are lost or damaged, of which nothing but the mirror is left.

use landfall_client::mirror::Told;

use super::{Event, World};
use crate::clock::{MILLI, SECOND};
use crate::device::DATABASE;
use crate::invariants::{Violation, mirror as oracle};
use crate::mirror::{DATABASE_FILES, MIRROR};

/// What a long enough run has to reach of it.
pub(crate) const MIRRORS: &[&str] = &[
    "check mirror.recovered",
    "check mirror.told",
    "seen mirror behind",
    "seen mirror damage told",
    "seen mirror damaged",
    "seen mirror recovered entries",
    "seen mirror whole",
];

/// A disk that failed is tried again this often, as by the native driver.
const RETRY: u64 = 10 * SECOND;

impl World {
    /// The mirror of a device is told something: its thread will write it.
    pub(super) fn mirror_told(&mut self, device: usize, told: Told) {
        if let Some(process) = self.devices[device].process.as_mut() {
            process.mirror_waits.push(told);
            self.schedule_mirror(device);
        }
    }

    /// The thread wakes up soon; or late, where the machine is slow.
    pub(super) fn schedule_mirror(&mut self, device: usize) {
        let now = self.now;
        let machine = &mut self.devices[device];
        let life = machine.life;
        let Some(process) = machine.process.as_mut().filter(|process| process.mirror_at.is_none()) else { return };
        let is_slow = machine.mirror_dice.chance(60);
        let lag = machine.mirror_dice.below(if is_slow { 4 * SECOND } else { 15 * MILLI });
        process.mirror_at = Some(now + lag);
        self.queue.at(now + lag, Event::MirrorWrites { device, life });
    }

    /// All that waits goes to the disk together. A disk that fails concerns the mirror alone.
    pub(super) fn mirror_writes(&mut self, device: usize, life: u64) -> Result<(), Violation> {
        if self.devices[device].life != life {
            return Ok(());
        }
        let now = self.now;
        let machine = &mut self.devices[device];
        let Some(process) = machine.process.as_mut() else { return Ok(()) };
        process.mirror_at = None;
        let written = process.mirror.write(std::mem::take(&mut process.mirror_waits));
        machine.disk_errors = machine.disk.count_errors();
        if machine.disk.power_lost() {
            self.coverage.hit("crash device.within_mirror");
            self.power_off(device);
            return Ok(());
        }
        let problem = written.err().map(|error| error.to_string());
        if problem.is_some() {
            self.coverage.hit("seen mirror not written");
            process.mirror_at = Some(now + RETRY);
            self.queue.at(now + RETRY, Event::MirrorWrites { device, life });
        }
        if process.engine.status().mirror_problem != problem {
            self.engine(device, |engine, moment, _| engine.set_mirror_problem(problem, moment))?;
        }
        oracle::is_told(self, device)
    }

    /// A device ends, and when it starts again its database is gone, or cannot be read.
    pub(super) fn lose_database(&mut self, device: usize) -> Result<bool, Violation> {
        let (end, damage) = (self.fault_dice.below(3), self.fault_dice.below(5));
        if end == 0 {
            // It was closed: that waits for the mirror.
            let life = self.devices[device].life;
            self.mirror_writes(device, life)?;
        }
        let Some(before) = oracle::before_the_loss(self, device)? else { return Ok(false) };
        self.end_process(device);
        let machine = &mut self.devices[device];
        if end == 1 {
            machine.disk.crash(machine.dice.generator());
        } else {
            machine.disk.kill();
        }
        let mut files = machine.disk.clone_files();
        // A damaged head is taken for that of our own database where our mirror lies beside it.
        let damage = if oracle::on_disk(&machine.disk).replica.is_some() { damage } else { 0 };
        let mut database = files.get(DATABASE).unwrap_or_default().to_vec();
        let gone = if damage == 1 { &DATABASE_FILES[..1] } else { &DATABASE_FILES[..] };
        for name in gone {
            files.remove(name);
        }
        match damage {
            // Nonsense from the start, without its schema, and nothing at all.
            2 => database.iter_mut().take(100).for_each(|byte| *byte ^= 0x5a),
            3 => database.iter_mut().skip(100).take(3_900).for_each(|byte| *byte = 0xa5),
            _ => database.clear(),
        }
        if damage > 1 {
            files.insert(DATABASE, &database);
        }
        machine.disk.restore_files(&files);
        // Now and then the mirror has suffered, too: but where neither says whose the database is, it is left as it is
        // (LF-5001), for it may be somebody else's file.
        let is_damaged = self.fault_dice.chance(80)
            && damage != 2
            && machine.disk.bit_flip(MIRROR, machine.dice.generator()).is_some();
        // Or the power goes once more while the device starts anew.
        if self.fault_dice.chance(250) {
            machine.disk.crash_after(Some(self.fault_dice.below(60)));
        }
        let name = machine.name.clone();
        self.trace.line(self.now, &name, || format!("has lost its database: {damage}, ended: {end}"));
        oracle::lost(self, device, &before, is_damaged);
        let at = self.now + self.fault_dice.between(10, 4_000) * MILLI;
        self.queue.at(at, Event::DeviceStart { device });
        Ok(true)
    }
}
