//! What the plan's faults do.

use landfall_client::db::{EntryState, OutboxEntry};
use landfall_client::engine::Input;
use landfall_core::{BucketId, ReplicaId};
use landfall_protocol::codec::{encode_binary, sealed};
use landfall_protocol::{ClientMessage, Hello, OLDEST_VERSION, VERSION};

use super::cables::turn_a_bit;
use super::server::TOO_LONG;
use super::{Event, World, years};
use crate::clock::{MILLI, Micros, SECOND};
use crate::device::{Backup, Device};
use crate::dice::Dice;
use crate::disk::{Disk, DiskOp};
use crate::invariants::{Violation, ledger, log};
use crate::network::ConnId;
use crate::plan::Fault;

/// Most devices, copies included.
const MAX_DEVICES: usize = 6;
const OPS: [DiskOp; 5] = [DiskOp::Read, DiskOp::Write, DiskOp::Truncate, DiskOp::Sync, DiskOp::Delete];

impl World {
    pub(super) fn fault(&mut self, fault: Fault, mean: Micros) -> Result<(), Violation> {
        if self.healing {
            return Ok(());
        }
        let next = self.now + self.fault_dice.between(mean / 4, 2 * mean);
        self.queue.at(next, Event::Fault { fault, mean });
        self.trace.line(self.now, "fault", || fault.name().to_owned());
        let device = self.fault_dice.index(self.devices.len());
        let happened = match fault {
            Fault::Delay | Fault::Stall | Fault::Partition | Fault::Choke | Fault::Refuse | Fault::SlowReader => {
                self.way_fault(fault, device)
            }
            Fault::Cut | Fault::HalfOpen | Fault::Garble | Fault::Rogue => self.connection_fault(fault),
            // These happen to requests, as they are made.
            Fault::HttpDelay | Fault::HttpDuplicate | Fault::HttpFail | Fault::HttpDamage => return Ok(()),
            Fault::DeviceKill
            | Fault::DeviceCrash
            | Fault::DeviceCrashWithin
            | Fault::DeviceIo
            | Fault::DeviceFull
            | Fault::Clone
            | Fault::DatabaseLost
            | Fault::DeviceUpgrade
            | Fault::DeviceRestore => self.machine_fault(fault, device)?,
            Fault::Offline
            | Fault::Away
            | Fault::Nudge
            | Fault::TokenExpires
            | Fault::SignedOut
            | Fault::WrongSubject => self.person_fault(fault, device)?,
            Fault::ClockForward | Fault::ClockBack => self.clock_fault(fault, device),
            _ => self.server_fault(fault)?,
        };
        // What comes in a moment is counted when it comes.
        let later = matches!(fault, Fault::ServerCrashBeforeSend | Fault::ServerCrashWhileSending);
        if happened && !later {
            self.coverage.hit(&fault.coverage_name());
        }
        Ok(())
    }

    fn way_fault(&mut self, fault: Fault, device: usize) -> bool {
        let until = self.now + self.fault_dice.between(1, 25) * SECOND;
        match fault {
            Fault::Stall => self.devices[device].way.stalled_until = until,
            Fault::Choke => return self.choke(device, until + 20 * SECOND),
            Fault::Partition => {
                let parity = self.fault_dice.index(2);
                for device in self.devices.iter_mut().filter(|d| d.index % 2 == parity) {
                    device.way.stalled_until = until;
                }
            }
            Fault::Refuse => self.devices[device].way.refused_until = until,
            Fault::SlowReader => {
                let slow = self.fault_dice.between(0, 1_500) * MILLI;
                self.devices[device].way.slow_us = slow;
            }
            _ => {
                let latency = self.fault_dice.between(1, 4_000) * MILLI;
                self.devices[device].way.latency_us = latency;
            }
        }
        true
    }

    fn choke(&mut self, device: usize, until: Micros) -> bool {
        let Some(process) = self.devices[device].process.as_ref() else { return false };
        let outbox = process.engine.outbox().unwrap_or_default();
        let waits = |e: &&OutboxEntry| matches!(e.state, EntryState::Queued | EntryState::Sent);
        let waiting: Vec<_> = outbox.iter().filter(waits).collect();
        let waiting: Vec<_> = waiting.iter().filter_map(|e| ledger::op_of_transaction(&e.transaction)).collect();
        let Some(op) = self.fault_dice.pick(&waiting).copied() else { return false };
        self.devices[device].way.chokes_on = Some((op, until));
        true
    }

    fn connection_fault(&mut self, fault: Fault) -> bool {
        let open: Vec<ConnId> =
            self.network.connections.iter().filter(|(_, c)| c.device_open && !c.cut).map(|(id, _)| *id).collect();
        let Some(conn) = self.fault_dice.pick(&open).copied() else { return false };
        if fault == Fault::Cut {
            self.cut(conn);
            return true;
        }
        let up = self.fault_dice.chance(500);
        let Some(connection) = self.network.connections.get_mut(&conn) else { return false };
        if fault == Fault::HalfOpen {
            connection.up.black_hole |= up;
            connection.down.black_hole |= !up;
            return true;
        }
        if fault == Fault::Rogue {
            let message = rogue(&mut self.fault_dice);
            if let Some(at) = connection.up.send(encode_binary(&message), self.now) {
                self.queue.at(at, Event::Deliver { conn, up: true });
            }
            return true;
        }
        let lane = if up { &mut connection.up } else { &mut connection.down };
        if self.fault_dice.chance(500)
            && let Some(under_way) = lane.pick_mut(&mut self.fault_dice)
        {
            turn_a_bit(under_way, &mut self.fault_dice);
            return true;
        }
        let frame = garbage(&mut self.fault_dice);
        if let Some(at) = lane.send(frame, self.now) {
            self.queue.at(at, Event::Deliver { conn, up });
        }
        true
    }

    fn machine_fault(&mut self, fault: Fault, device: usize) -> Result<bool, Violation> {
        if self.devices[device].process.is_none() {
            return Ok(false);
        }
        match fault {
            Fault::DeviceKill => self.kill(device),
            Fault::DeviceCrash => {
                let left = self.fault_dice.below(4);
                match self.devices[device].process.as_mut() {
                    Some(process) if left > 0 => process.effects_left = Some(left - 1),
                    _ => self.power_off(device),
                }
            }
            Fault::DeviceCrashWithin => {
                let ops = self.fault_dice.below(40);
                crash_within(&self.devices[device].disk, ops);
            }
            Fault::DeviceIo => {
                let op = OPS[self.fault_dice.index(OPS.len())];
                let nth = self.fault_dice.between(1, 12);
                self.devices[device].disk.fail_next(op, nth);
            }
            Fault::DeviceFull => {
                let room = self.devices[device].disk.used() + self.fault_dice.below(40_000);
                self.devices[device].disk.set_capacity(room);
                let at = self.now + self.fault_dice.between(1, 15) * SECOND;
                self.queue.at(at, Event::DiskHealed { device });
            }
            Fault::DatabaseLost => return self.lose_database(device),
            Fault::Clone => return Ok(self.clone_device(device)),
            Fault::DeviceUpgrade => return Ok(self.upgrade_device(device)),
            _ => return self.restore_device(device),
        }
        Ok(true)
    }

    /// A copy of a running app's files becomes another device of the same person.
    fn clone_device(&mut self, device: usize) -> bool {
        if self.devices.len() >= MAX_DEVICES {
            return false;
        }
        let backup = self.backup(device);
        let index = self.devices.len();
        let (person, clock, way) = {
            let original = &self.devices[device];
            (original.person, original.clock, original.way.clone())
        };
        let version = self.devices[device].version;
        let mut copy = Device { version, ..Device::new(self.seed, index, person, clock, way) };
        copy.disk.restore_files(&backup.files);
        copy.held = backup.held.clone();
        copy.told = self.devices[device].told.clone();
        copy.replicas = self.devices[device].replicas.clone();
        ledger::copied(self, device, &backup);
        self.devices.push(copy);
        self.queue.at(self.now + SECOND, Event::DeviceStart { device: index });
        self.queue.at(self.now + 2 * SECOND, Event::Act { device: index });
        true
    }

    /// A device goes back to an old copy; when there is none yet, one is made.
    fn restore_device(&mut self, device: usize) -> Result<bool, Violation> {
        if self.devices[device].backups.is_empty() || self.fault_dice.chance(300) {
            let backup = self.backup(device);
            self.devices[device].backups.push(backup);
            return Ok(false);
        }
        let at = self.fault_dice.index(self.devices[device].backups.len());
        let backup: Backup = self.devices[device].backups[at].clone();
        self.end_process(device);
        ledger::copied(self, device, &backup);
        let machine = &mut self.devices[device];
        machine.disk.restore_files(&backup.files);
        machine.held = backup.held;
        machine.seen_ticks.clear();
        machine.handed.clear();
        machine.online_ms = None;
        machine.recovers = None;
        self.queue.at(self.now + SECOND, Event::DeviceStart { device });
        Ok(true)
    }

    pub(super) fn person_fault(&mut self, fault: Fault, device: usize) -> Result<bool, Violation> {
        if self.devices[device].process.is_none() {
            return Ok(false);
        }
        let back = self.now + self.fault_dice.between(1, 20) * SECOND;
        match fault {
            Fault::Offline | Fault::Away => {
                let longer = if fault == Fault::Away { self.fault_dice.between(15, 30) * SECOND } else { 0 };
                self.queue.at(back + longer, Event::Online { device });
                self.set_online(device, false)?;
            }
            Fault::Nudge => self.input(device, Input::Nudge)?,
            Fault::SignedOut => {
                self.queue.at(back, Event::SignIn { device });
                self.input(device, Input::SetToken { token: None })?;
            }
            Fault::WrongSubject => {
                // A database that nobody has used belongs to whoever comes first.
                let engine = self.devices[device].process.as_ref().map(|p| &p.engine);
                if engine.is_none_or(|engine| engine.db().subject().is_none()) {
                    return Ok(false);
                }
                let token = self.token_for("somebody-else", None);
                self.queue.at(back, Event::SignIn { device });
                self.input(device, Input::SetToken { token: Some(token) })?;
            }
            _ => {
                let subject = self.devices[device].subject();
                let soon = self.fault_dice.between(1_000, 8_000);
                let token = self.token_for(&subject, Some(soon));
                self.input(device, Input::SetToken { token: Some(token) })?;
            }
        }
        Ok(true)
    }

    fn clock_fault(&mut self, fault: Fault, device: usize) -> bool {
        let size = years(&mut self.fault_dice).abs();
        let clock = &mut self.devices[device].clock;
        clock.offset_ms += if fault == Fault::ClockForward { size } else { -size };
        // No clock of a machine that keeps time is further off than this.
        let decade = 3650 * 24 * 3_600_000;
        clock.offset_ms = clock.offset_ms.clamp(-decade, decade);
        true
    }

    fn server_fault(&mut self, fault: Fault) -> Result<bool, Violation> {
        if self.server.process.is_none() {
            return Ok(false);
        }
        match fault {
            Fault::ServerKill => {
                self.server_stop();
                self.server.disk.kill();
            }
            Fault::ServerCrash => self.server_power_off(),
            Fault::ServerCrashWithin => {
                let ops = self.fault_dice.below(40);
                crash_within(&self.server.disk, ops);
            }
            Fault::ServerCrashBeforeSend => self.server.messages_left = Some(u64::MAX),
            Fault::ServerCrashWhileSending => self.server.messages_left = Some(self.fault_dice.below(12)),
            Fault::ServerIo => {
                let op = OPS[self.fault_dice.index(OPS.len())];
                let nth = self.fault_dice.between(1, 12);
                self.server.disk.fail_next(op, nth);
            }
            Fault::ServerFull => {
                let room = self.server.disk.used() + self.fault_dice.below(60_000);
                self.server.disk.set_capacity(room);
                let at = self.now + self.fault_dice.between(1, 12) * SECOND;
                self.queue.at(at, Event::ServerDiskHealed);
            }
            Fault::ServerRestore => return self.restore_server(),
            Fault::ServerDrain => self.drain_server()?,
            Fault::ServerBusy => self.server.busy_until = self.now + self.fault_dice.between(1, 8) * SECOND,
            Fault::Flood => {
                let flooded = self.flood();
                self.schedule_commit();
                return Ok(flooded);
            }
            Fault::HouseRule => {
                self.server.house_rule = !self.server.house_rule;
                self.drain_server()?;
            }
            Fault::ServerClock => self.server.clock.offset_ms += self.fault_dice.below(20_000) as i64 - 10_000,
            Fault::ServerUpgrade => return Ok(self.upgrade_server()),
            _ => return self.forget_log(),
        }
        Ok(true)
    }

    /// The operator starts the server with the newer schema, once; people whose apps were ahead of it try again after that.
    fn upgrade_server(&mut self) -> bool {
        if std::mem::replace(&mut self.server.version, 1) == 1 {
            return false;
        }
        self.server_stop();
        self.server.disk.kill();
        for device in 0..self.devices.len() {
            let at = self.now + self.fault_dice.between(1, 9) * SECOND;
            self.queue.at(at, Event::Nudge { device });
        }
        true
    }

    /// The app is replaced by the newer one, with what waits in it; whether it was older.
    pub(super) fn upgrade_device(&mut self, device: usize) -> bool {
        if std::mem::replace(&mut self.devices[device].version, 1) == 1 {
            return false;
        }
        let waits = self.devices[device].process.as_ref().is_some_and(|p| p.engine.db().counts().pending > 0);
        self.coverage.hit(if waits { "seen upgrade with an outbox" } else { "seen upgrade" });
        if self.devices[device].process.is_some() {
            self.kill(device);
        }
        true
    }

    /// The server goes back to an old copy; when there is none yet, one is made.
    fn restore_server(&mut self) -> Result<bool, Violation> {
        if self.server.backups.is_empty() || self.fault_dice.chance(400) {
            let backup = (self.server.disk.clone_files(), self.history.clone());
            self.server.backups.push(backup);
            return Ok(false);
        }
        let at = self.fault_dice.index(self.server.backups.len());
        let (files, history) = self.server.backups[at].clone();
        self.server_stop();
        self.server.disk.restore_files(&files);
        self.server.restored = Some(history);
        Ok(true)
    }

    /// The server lets its sessions finish, and stops a little later.
    fn drain_server(&mut self) -> Result<(), Violation> {
        let now = self.server_moment();
        if let Some(process) = self.server.process.as_mut() {
            process.core.drain(now);
        }
        self.pump_all()?;
        self.server_stop();
        self.server.disk.kill();
        Ok(())
    }

    fn forget_log(&mut self) -> Result<bool, Violation> {
        let head = self.history.head();
        let before = head.saturating_sub(self.fault_dice.below(12));
        // A device that brings up the past again may do so for seven days, and decisions are kept for longer: they are
        // forgotten only where nobody does.
        let decided_before_ms = if self.plan.brings_up_the_past() { 0 } else { self.server_moment().wall_ms };
        let unused_since_ms = self.server_moment().wall_ms.saturating_sub(self.fault_dice.between(1_000, 30_000));
        let now = self.server_moment();
        let Some(process) = self.server.process.as_mut() else { return Ok(false) };
        // A failing disk shows in the next call, as everywhere.
        if process.core.retire_buckets(unused_since_ms).is_ok_and(|retired| retired > 0) {
            self.coverage.hit("server retired a bucket");
        }
        let forgotten = process.truncate_log(before, decided_before_ms).is_ok_and(|forgotten| forgotten.sequences > 0);
        let before = process.core.head().seq;
        while process.core.forget_history(now).is_ok_and(|done| !done) {}
        if process.core.head().seq > before {
            self.coverage.hit("server forgot of a history");
        }
        if !self.server_died() {
            log::read_new(self)?;
            self.pump_all()?;
            self.schedule_server_tick();
        }
        Ok(forgotten)
    }

    pub(super) fn heal_disk(&mut self, device: usize) {
        self.devices[device].disk.set_capacity(super::HEALTHY_BYTES);
        if self.healing {
            self.devices[device].disk.clear_faults();
            if self.devices[device].process.is_none() {
                self.queue.at(self.now, Event::DeviceStart { device });
            }
        }
    }
}

/// The power goes after so many operations; now and then in the next one that makes a file shorter, of which there are few.
fn crash_within(disk: &Disk, ops: u64) {
    if ops < 37 { disk.crash_after(Some(ops)) } else { disk.crash_in(DiskOp::Truncate) }
}

/// What is no message: too long, nonsense of whoever sent it, or with a bit turned over on its way.
pub(super) fn garbage(dice: &mut Dice) -> Vec<u8> {
    match dice.below(3) {
        0 => TOO_LONG.to_vec(),
        1 => sealed(vec![0xfe, 1, 2, 3]),
        _ => {
            let mut frame = encode_binary(&rogue(dice));
            turn_a_bit(&mut frame, dice);
            frame
        }
    }
}

/// A message that the real client would not send now.
pub(super) fn rogue(dice: &mut Dice) -> ClientMessage {
    match dice.below(8) {
        0 => ClientMessage::Ping { clock_ms: 1 },
        1 => ClientMessage::Close { id: 900_000 },
        2 => ClientMessage::Applied { seq: 0 },
        3 => ClientMessage::Resume { bucket: BucketId(900_000), at: 1 },
        4 => ClientMessage::Authenticate { token: "no token".to_owned() },
        5 => ClientMessage::Hello(Hello {
            min_version: OLDEST_VERSION,
            max_version: VERSION,
            token: None,
            replica: ReplicaId([0xee; 16]),
            app: "rogue".to_owned(),
            schema_version: 1,
            last_rseq: 0,
            floor: 0,
            cursor: None,
            clock_ms: 1,
            agent: "rogue".to_owned(),
            sent: Vec::new(),
        }),
        6 => ClientMessage::push(900_000, Vec::new(), 1, 0),
        _ => ClientMessage::Open {
            id: 900_000,
            shape: "nothing".to_owned(),
            params: Default::default(),
            held: Vec::new(),
        },
    }
}
