//! The world of one seed: virtual time, a queue of events, devices, the network, the server, and what is known of them.
//!
//! A run has two phases. In the first, the plan's faults happen while the apps work. Then faults stop, everything is
//! started and signed in, and within a bound of virtual time every device must have converged.

mod cables;
mod devices;
mod faults;
mod fetches;
mod flood;
mod minds;
mod mirrors;
mod server;
mod webhook;
mod whims;
mod work;

use std::collections::BTreeMap;

pub(crate) use fetches::FETCHES;
pub(crate) use minds::Exported;
pub(crate) use mirrors::MIRRORS;
pub(crate) use webhook::WEBHOOK;
pub(crate) use whims::WHIMS;

use landfall_core::hash::ContentHash;
use landfall_core::{ReplicaId, Schema, Transaction};

use crate::clock::{MILLI, MachineClock, Micros, SECOND};
use crate::coverage::Coverage;
use crate::device::{Backup, Device};
use crate::dice::Dice;
use crate::disk::{Disk, DiskConfig, Snapshot};
use crate::history::History;
use crate::invariants::ledger::Ledger;
use crate::invariants::list::{self, Put};
use crate::invariants::{Violation, as_of, convergence, docs, log};
use crate::network::{ConnId, Network, Way};
use crate::papers::Stroke;
use crate::plan::{Fault, Plan};
use crate::server::ServerProcess;
use crate::trace::Trace;
use crate::workload::OpId;

/// How long after the last fault every device must have converged.
const CONVERGENCE_BOUND: Micros = 240 * SECOND;
/// Room on a healthy disk.
pub(crate) const HEALTHY_BYTES: u64 = 1 << 30;
/// Of so many moments of the past every device is asked at the end.
const MOMENTS_AT_THE_END: usize = 12;
/// A run that has more events than this does not get anywhere.
const MAX_EVENTS: u64 = 400_000;

/// What happens.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// The app on a device is started.
    DeviceStart { device: usize },
    /// A device's deadline has come.
    DeviceTick { device: usize, life: u64 },
    /// The mirror of a device's outbox is written.
    MirrorWrites { device: usize, life: u64 },
    /// The app does something.
    Act { device: usize },
    /// The person gives the app a token.
    SignIn { device: usize },
    /// The person has the app try again.
    Nudge { device: usize },
    /// The app wants to be online again.
    Online { device: usize },
    /// A connection reaches the server, or is refused.
    ConnectArrives { conn: ConnId },
    /// The device learns that its connection is open, or that it was refused.
    ConnectAnswered { conn: ConnId, open: bool },
    /// The front frame of a lane arrives.
    Deliver { conn: ConnId, up: bool },
    /// One side learns that the connection is gone.
    PeerGone { conn: ConnId, at_server: bool },
    /// A chunk request reaches the server.
    ChunkRequested { device: usize, life: u64, request: u64, address: String },
    /// The answer to a chunk request reaches the device.
    ChunkArrives { device: usize, life: u64, request: u64, answer: ChunkAnswer },
    /// The server is started.
    ServerStart,
    /// A session's deadline has come.
    ServerTick { life: u64 },
    /// The server takes the next group of pushes.
    ServerCommit { life: u64 },
    /// What came of a request to the app's webhook.
    WebhookSays { life: u64, ticket: u64, said: landfall_server::actions::hooks::Said },
    /// A fault of the plan happens.
    Fault { fault: Fault, mean: Micros },
    /// A lasting fault of a device's disk ends.
    DiskHealed { device: usize },
    /// A lasting fault of the server's disk ends.
    ServerDiskHealed,
    /// Faults stop.
    Heal,
    /// Look whether everything has converged.
    Look,
}

/// What comes of a chunk request.
#[derive(Debug, Clone)]
pub(crate) enum ChunkAnswer {
    /// The body, perhaps cut short.
    Body(Vec<u8>),
    /// The address is not valid.
    Gone,
    /// Anything else.
    Failed,
}

/// The server's machine.
pub(crate) struct Server {
    pub disk: Disk,
    pub clock: MachineClock,
    pub process: Option<ServerProcess>,
    pub life: u64,
    pub dice: Dice,
    /// Nothing is committed before this time.
    pub busy_until: Micros,
    pub commit_at: Option<Micros>,
    pub tick_at: Option<Micros>,
    pub draining: bool,
    /// Old copies, with the log at that time.
    pub backups: Vec<(Snapshot, History)>,
    /// It goes back to a copy with this log: shorter than what was told.
    pub restored: Option<History>,
    /// The power goes when so many more messages have left.
    pub messages_left: Option<u64>,
    pub disk_errors: u64,
    /// Whether the operator's own rule stands in the database.
    pub house_rule: bool,
    /// Which of the schemas it is started with.
    pub version: usize,
}

/// The world.
pub struct World {
    pub(crate) seed: u64,
    pub(crate) plan: Plan,
    pub(crate) now: Micros,
    pub(crate) queue: crate::queue::Queue<Event>,
    /// The newest schema: what is known of the world is told in its terms.
    pub(crate) schema: Schema,
    /// The older schema and the newest.
    pub(crate) schemas: [Schema; 2],
    pub(crate) devices: Vec<Device>,
    pub(crate) network: Network,
    pub(crate) server: Server,
    pub(crate) history: History,
    pub(crate) ledger: Ledger,
    pub(crate) coverage: Coverage,
    pub(crate) trace: Trace,
    pub(crate) net_dice: Dice,
    pub(crate) fault_dice: Dice,
    pub(crate) hook_dice: Dice,
    pub(crate) buckets: BTreeMap<landfall_core::BucketId, (String, Vec<String>)>,
    /// Transactions that reached the server, as they were sent.
    pub(crate) pushed: BTreeMap<(ReplicaId, u64, ContentHash), Transaction>,
    /// The transaction of the workload that a pushed content carries.
    pub(crate) op_of_content: BTreeMap<ContentHash, OpId>,
    /// What people have put side by side.
    pub(crate) runs: Vec<Put>,
    /// What was written to papers, by transaction.
    pub(crate) strokes: Vec<(OpId, Stroke)>,
    /// How often each letter of a note was typed by what was accepted.
    pub(crate) typed: BTreeMap<char, u32>,
    /// Outboxes that people have exported, the newest first.
    pub(crate) files: Vec<Exported>,
    pub(crate) healing: bool,
    pub(crate) converged: bool,
}

/// What a run that found nothing wrong has to tell.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was reached.
    pub coverage: Coverage,
    /// Identifies every event of the run: the same seed gives the same.
    pub fingerprint: u64,
    /// Events.
    pub events: u64,
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64, schemas: [Schema; 2], trace: Trace) -> Self {
        crate::disk::seed_sqlite(seed as u32);
        let plan = Plan::draw(seed);
        let mut dice = Dice::new(seed, "world");
        let devices = (0..plan.devices).map(|index| new_device(seed, index, index % plan.people, &plan, &mut dice));
        let devices = devices.collect();
        let server = Server {
            disk: Disk::new(dice.number(), DiskConfig::default()),
            clock: MachineClock::default(),
            process: None,
            life: 0,
            dice: Dice::new(seed, "server"),
            busy_until: 0,
            commit_at: None,
            tick_at: None,
            draining: false,
            backups: Vec::new(),
            restored: None,
            messages_left: None,
            disk_errors: 0,
            house_rule: false,
            version: plan.first_version(Fault::ServerUpgrade),
        };
        Self {
            seed,
            plan,
            now: 0,
            queue: crate::queue::Queue::default(),
            schema: schemas[1].clone(),
            schemas,
            devices,
            network: Network::default(),
            server,
            history: History::default(),
            ledger: Ledger::default(),
            coverage: Coverage::default(),
            trace,
            net_dice: Dice::new(seed, "network"),
            fault_dice: Dice::new(seed, "faults"),
            hook_dice: Dice::new(seed, "hook"),
            buckets: BTreeMap::new(),
            pushed: BTreeMap::new(),
            op_of_content: BTreeMap::new(),
            runs: Vec::new(),
            strokes: Vec::new(),
            typed: BTreeMap::new(),
            files: Vec::new(),
            healing: false,
            converged: false,
        }
    }

    /// Runs both phases.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn run(mut self) -> Result<Report, Violation> {
        self.trace.line(0, "world", || format!("{:?}", self.plan));
        self.schedule_everything();
        let mut events = 0;
        while let Some((time, event)) = self.queue.pop() {
            self.now = time;
            events += 1;
            self.trace.event(time, &event);
            if events > MAX_EVENTS {
                return Err(Violation::new("progress", format!("{MAX_EVENTS} events and no end; last: {event:?}")));
            }
            self.take(event)?;
            if self.converged {
                return self.finish(events);
            }
        }
        Err(Violation::new("progress", "nothing is left to happen, and not everything has converged"))
    }

    fn schedule_everything(&mut self) {
        self.queue.at(0, Event::ServerStart);
        for device in 0..self.devices.len() {
            self.queue.at(device as u64 * 10 * MILLI, Event::DeviceStart { device });
            self.queue.at(SECOND, Event::Act { device });
        }
        for (fault, mean) in self.plan.faults.clone() {
            let first = self.fault_dice.between(0, 2 * mean);
            self.queue.at(first, Event::Fault { fault, mean });
        }
        self.queue.at(self.plan.fault_phase, Event::Heal);
    }

    fn take(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::DeviceStart { device } => self.device_start(device),
            Event::DeviceTick { device, life } => self.device_tick(device, life),
            Event::MirrorWrites { device, life } => self.mirror_writes(device, life),
            Event::Act { device } => self.act(device),
            Event::SignIn { device } => self.sign_in(device),
            Event::Nudge { device } => self.input(device, landfall_client::engine::Input::Nudge),
            Event::Online { device } => self.set_online(device, true),
            Event::ConnectArrives { conn } => self.connect_arrives(conn),
            Event::ConnectAnswered { conn, open } => self.connect_answered(conn, open),
            Event::Deliver { conn, up: true } => self.deliver_up(conn),
            Event::Deliver { conn, up: false } => self.deliver_down(conn),
            Event::PeerGone { conn, at_server } => self.peer_gone(conn, at_server),
            Event::ChunkRequested { device, life, request, address } => {
                self.chunk_requested(device, life, request, &address)
            }
            Event::ChunkArrives { device, life, request, answer } => self.chunk_arrives(device, life, request, answer),
            Event::ServerStart => self.server_start(),
            Event::ServerTick { life } => self.server_tick(life),
            Event::ServerCommit { life } => self.server_commit(life),
            Event::WebhookSays { life, ticket, said } => self.webhook_says(life, ticket, said),
            Event::Fault { fault, mean } => self.fault(fault, mean),
            Event::DiskHealed { device } => {
                self.heal_disk(device);
                Ok(())
            }
            Event::ServerDiskHealed => {
                self.server.disk.set_capacity(HEALTHY_BYTES);
                Ok(())
            }
            Event::Heal => self.heal(),
            Event::Look => self.look(),
        }
    }

    /// Faults stop: every disk, way and clock is as it should be, and everything runs.
    fn heal(&mut self) -> Result<(), Violation> {
        self.healing = true;
        self.trace.line(self.now, "world", || "faults stop".to_owned());
        self.server.disk.set_capacity(HEALTHY_BYTES);
        self.server.disk.clear_faults();
        self.server.busy_until = 0;
        self.server.messages_left = None;
        let is_older = std::mem::replace(&mut self.server.version, 1) == 0;
        if self.server.draining || std::mem::take(&mut self.server.house_rule) || is_older {
            self.server_stop();
        }
        for device in 0..self.devices.len() {
            // Some people never take the newer app.
            if self.devices[device].version == 0 && self.fault_dice.chance(500) {
                self.upgrade_device(device);
            }
            self.heal_disk(device);
            self.devices[device].way.stalled_until = 0;
            self.devices[device].way.chokes_on = None;
            self.devices[device].way.refused_until = 0;
            self.devices[device].way.slow_us = 0;
            let at = self.now + self.fault_dice.below(2 * SECOND);
            self.queue.at(at, Event::SignIn { device });
            self.queue.at(at, Event::Online { device });
        }
        // A connection that swallowed something stays as it is: both sides learn it from silence.
        if self.server.process.is_none() {
            self.queue.at(self.now, Event::ServerStart);
        }
        self.queue.at(self.now + 3 * SECOND, Event::Look);
        Ok(())
    }

    fn look(&mut self) -> Result<(), Violation> {
        match convergence::check(self) {
            Ok(()) => self.converged = true,
            Err(reason) if self.now >= self.plan.fault_phase + CONVERGENCE_BOUND => {
                return Err(Violation::new("convergence", format!("after the bound: {reason}")));
            }
            Err(reason) => {
                self.trace.line(self.now, "world", || format!("not yet: {reason}"));
                self.queue.at(self.now + 2 * SECOND, Event::Look);
            }
        }
        Ok(())
    }

    /// The checks at the end, when everything has converged.
    fn finish(mut self, events: u64) -> Result<Report, Violation> {
        for device in 0..self.devices.len() {
            self.check_device(device)?;
            as_of::told(&mut self, device, MOMENTS_AT_THE_END)?;
        }
        convergence::rows(&self)?;
        list::at_rest(&mut self)?;
        docs::at_rest(&mut self)?;
        crate::invariants::actions::check(&self)?;
        crate::invariants::ledger::at_rest(&self)?;
        // Its database is open for nobody else.
        self.take_server_coverage();
        self.server.process = None;
        log::tables(&self)?;
        for device in 0..self.devices.len() {
            self.take_device_coverage(device);
            let stats = self.devices[device].disk.stats();
            self.coverage.disk(&stats);
        }
        let stats = self.server.disk.stats();
        self.coverage.disk(&stats);
        Ok(Report { coverage: self.coverage, fingerprint: self.trace.fingerprint(), events })
    }

    /// Whether a letter of a note was typed more than once, as what is undone and done again is, or what copies each retry: then
    /// nobody can say which of them was struck out.
    pub(crate) fn is_typed_again(&self, letter: char) -> bool {
        self.typed.get(&letter).is_some_and(|times| *times > 1)
    }

    /// A copy of a device's files, and what the model knows of it.
    pub(crate) fn backup(&self, device: usize) -> Backup {
        let device = &self.devices[device];
        let undecided = device.process.as_ref().map(crate::invariants::ledger::undecided).unwrap_or_default();
        let replica = device.process.as_ref().map(|process| process.engine.db().replica());
        Backup { files: device.disk.clone_files(), held: device.held.clone(), undecided, replica }
    }
}

fn new_device(seed: u64, index: usize, person: usize, plan: &Plan, dice: &mut Dice) -> Device {
    let drift = dice.below(2 * plan.drift_ppm + 1) as i64 - plan.drift_ppm as i64;
    let off = if dice.chance(plan.clocks_off) { years(dice) } else { dice.below(2_000) as i64 - 1_000 };
    let clock = MachineClock { offset_ms: off, drift_ppm: drift };
    let way =
        Way { latency_us: dice.between(1, 120) * MILLI, jitter_us: dice.between(0, 40) * MILLI, ..Way::default() };
    Device { version: plan.first_version(Fault::DeviceUpgrade), ..Device::new(seed, index, person, clock, way) }
}

/// A time difference, from minutes to years, in milliseconds.
pub(crate) fn years(dice: &mut Dice) -> i64 {
    let minute = 60_000;
    let span = [minute, 60 * minute, 24 * 60 * minute, 400 * 24 * 60 * minute, 3650 * 24 * 60 * minute];
    let most = span[dice.index(span.len())];
    let size = dice.between(minute, most.max(minute)) as i64;
    if dice.chance(500) { size } else { -size }
}
