//! A device: a disk, a clock, a way to the server, and, while it runs, a process with the real engine.

use std::collections::{BTreeMap, BTreeSet};

use landfall_client::db::{Location, Options};
use landfall_client::engine::{Engine, Moment};
use landfall_client::live::{LiveQuery, QueryId, Row};
use landfall_client::mirror::{self as outbox_mirror, Keeper, Told};
use landfall_core::{Epoch, ReplicaId, Schema, Transaction, Value};

use crate::clock::{MachineClock, Micros};
use crate::dice::Dice;
use crate::disk::{Disk, DiskConfig, Snapshot};
use crate::invariants::cache::Flight;
use crate::invariants::drain::{self, Drain};
use crate::invariants::mirror::Held;
use crate::invariants::offline::Fairness;
use crate::mirror::{MirrorFile, Place, StartError};
use crate::network::Way;
use crate::workload::OpId;

/// The device's database on its disk.
pub const DATABASE: &str = "app.db";

/// What a live query is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watch {
    /// Both tables of pairs, joined.
    Pairs,
    /// All transactions of the workload.
    Ops,
    /// The counts of all devices.
    Ticks,
    /// A sorted list with a condition.
    Things,
}

impl Watch {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pairs, Self::Ops, Self::Ticks, Self::Things];

    /// The statement.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Pairs => {
                "SELECT l.id AS l, l.n AS ln, r.id AS r, r.n AS rn FROM lefts l FULL JOIN rights r ON l.id = r.id \
                 ORDER BY coalesce(l.id, r.id)"
            }
            Self::Ops => "SELECT id, n FROM ops ORDER BY id",
            Self::Ticks => "SELECT device, n FROM ticks ORDER BY device",
            Self::Things => "SELECT id, owner, name, amount FROM things WHERE shown = 1 ORDER BY name, id",
        }
    }
}

/// An open shape: handle, name, parameters.
pub type OpenShape = (u64, String, BTreeMap<String, Value>);

/// A running app.
pub struct Process {
    /// The client.
    pub engine: Engine,
    /// Live queries, and their answers as the differences built them up.
    pub watches: BTreeMap<QueryId, (Watch, Vec<Row>)>,
    /// When the next tick is scheduled.
    pub tick_at: Option<Micros>,
    /// What the present connection has carried.
    pub fairness: Fairness,
    /// Transactions of this app that may be taken back: those without a row in `ops`.
    pub plain: Vec<Transaction>,
    /// Numbers of what was taken up, and of what has taken it up.
    pub taken: BTreeMap<u64, u64>,
    /// The server's clock as it was heard last, and the device's monotonic clock then.
    pub heard: Option<(u64, u64)>,
    /// Dead letters that were looked at.
    pub looked_at: BTreeSet<u64>,
    /// What became of its entries.
    pub drain: Drain,
    /// What is being fetched that is not synced.
    pub flights: Vec<Flight>,
    /// The mirror of its outbox.
    pub mirror: Keeper<MirrorFile>,
    /// What the mirror was told and has not written.
    pub mirror_waits: Vec<Told>,
    /// When the mirror is written next.
    pub mirror_at: Option<Micros>,
    /// Effects that are carried out before the power goes, if it is to go.
    pub effects_left: Option<u64>,
}

/// An old copy of a device's files, and what the model knows of it.
#[derive(Debug, Clone)]
pub struct Backup {
    /// The files.
    pub files: Snapshot,
    /// What [`Device::held`] was.
    pub held: BTreeSet<OpId>,
    /// Entries that had no decision.
    pub undecided: BTreeSet<OpId>,
    /// Under which id it wrote, if the app was running.
    pub replica: Option<ReplicaId>,
}

/// A device.
pub struct Device {
    /// Its place in the world.
    pub index: usize,
    /// Its name, also the key of its row in `ticks`.
    pub name: String,
    /// Whose it is.
    pub person: usize,
    /// Its disk.
    pub disk: Disk,
    /// Its clocks.
    pub clock: MachineClock,
    /// Its way to the server.
    pub way: Way,
    /// Its randomness, the app's and the engine's.
    pub dice: Dice,
    /// What its person decides about what was written.
    pub minds: Dice,
    /// What its person does beside all that.
    pub whims: Dice,
    /// What its person looks at that is not synced.
    pub fetches: Dice,
    /// How long its mirror takes.
    pub mirror_dice: Dice,
    /// What the mirror of a lost database held, and whether that was damaged, until the app has started again.
    pub recovers: Option<(Held, bool)>,
    /// Which of the app's schemas it is started with.
    pub version: usize,
    /// Counts processes; messages for an earlier one are dropped.
    pub life: u64,
    /// The running app.
    pub process: Option<Process>,
    /// Transactions whose writing returned here, or that were copied here, and that no copy took away again.
    pub held: BTreeSet<OpId>,
    /// The last count given to its row in `ticks`.
    pub tick: u64,
    /// Old copies.
    pub backups: Vec<Backup>,
    /// The largest count seen of each other device.
    pub seen_ticks: BTreeMap<String, i64>,
    /// Errors that the disk gave so far.
    pub disk_errors: u64,
    /// The app wants to be offline.
    pub offline: bool,
    /// Its outbox has come from elsewhere, the mirror or a file, where the rows are not.
    pub lacks_rows: bool,
    /// When it last had a session, by the server's clock; `None`: not since it has these files.
    pub online_ms: Option<u64>,
    /// Numbers that these files handed to the network.
    pub handed: BTreeSet<(ReplicaId, u64)>,
    /// What it was told to be accepted, and in which histories: what it has no room for, it does not take.
    pub told: BTreeSet<((ReplicaId, u64), Epoch)>,
    /// The ids that its database has had.
    pub replicas: BTreeSet<ReplicaId>,
}

impl Device {
    /// A new device, switched off.
    pub fn new(seed: u64, index: usize, person: usize, clock: MachineClock, way: Way) -> Self {
        let name = format!("d{index}");
        let mut dice = Dice::new(seed, &name);
        let minds = Dice::new(seed, &format!("minds of {name}"));
        let whims = Dice::new(seed, &format!("whims of {name}"));
        let fetches = Dice::new(seed, &format!("fetches of {name}"));
        let mirror_dice = Dice::new(seed, &format!("mirror of {name}"));
        let disk = Disk::new(dice.number(), DiskConfig::default());
        Self {
            index,
            name,
            person,
            disk,
            clock,
            way,
            dice,
            minds,
            whims,
            fetches,
            mirror_dice,
            recovers: None,
            version: 1,
            life: 0,
            process: None,
            held: BTreeSet::new(),
            tick: 0,
            backups: Vec::new(),
            seen_ticks: BTreeMap::new(),
            disk_errors: 0,
            offline: false,
            lacks_rows: false,
            online_ms: None,
            handed: BTreeSet::new(),
            told: BTreeSet::new(),
            replicas: BTreeSet::new(),
        }
    }

    /// The device's clocks.
    pub fn moment(&self, now: Micros) -> Moment {
        Moment { wall_ms: self.clock.wall_ms(now), mono_ms: self.clock.mono_ms(now) }
    }

    /// The subject that the device's owner signs in as.
    pub fn subject(&self) -> String {
        format!("p{}", self.person)
    }

    /// Starts the app.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub fn start(&mut self, schema: &Schema, brings_up_the_past: bool, now: Micros) -> Result<(), StartError> {
        let location = Location::Vfs { name: DATABASE.to_owned(), vfs: self.disk.vfs_name() };
        let options = Options {
            exclusive: true,
            // Clocks jump by years here. Where the server forgets decisions at once, nothing is offered again.
            acked_retention_ms: if brings_up_the_past { 1 << 50 } else { 0 },
            cache_kib: 256,
            ..Options::default()
        };
        let moment = self.moment(now);
        let dice = &mut self.dice;
        let start = || Engine::open(&location, schema.clone(), options.clone(), moment, &mut |bytes| dice.fill(bytes));
        let mut place = Place { disk: &self.disk, start, now: moment };
        let opened = outbox_mirror::open(&mut place, &schema.name, moment)?;
        self.life += 1;
        let mut process = Process {
            engine: opened.engine,
            watches: BTreeMap::new(),
            tick_at: None,
            fairness: Fairness::default(),
            plain: Vec::new(),
            taken: BTreeMap::new(),
            heard: None,
            looked_at: BTreeSet::new(),
            drain: Drain::default(),
            flights: Vec::new(),
            mirror: Keeper::new(MirrorFile(self.disk.files()), opened.mirror),
            mirror_waits: Vec::new(),
            mirror_at: None,
            effects_left: None,
        };
        drain::begin(&mut process);
        self.process = Some(process);
        Ok(())
    }

    /// How often the disk has failed so far: after a failure of it the process starts anew.
    pub fn count_disk_errors(&self) -> u64 {
        self.disk.count_errors()
    }
}

impl Process {
    /// Begins the live queries.
    ///
    /// # Errors
    /// What the engine says.
    pub fn watch_all(&mut self) -> Result<(), String> {
        for watch in Watch::ALL {
            let query = LiveQuery::Sql { sql: watch.sql().to_owned(), params: Vec::new(), key: None };
            let watched = self.engine.watch(query).map_err(|e| e.to_string())?;
            self.watches.insert(watched.id, (watch, watched.rows));
        }
        Ok(())
    }

    /// The open shapes: handle, name, parameters.
    pub fn shapes(&self) -> Vec<OpenShape> {
        let open = self.engine.db().subscriptions();
        open.into_iter().map(|s| (s.handle, s.shape, s.params)).collect()
    }

    /// Whether the open shape of this name is complete; `None` when it is not open.
    pub fn completeness(&self, shape: &str) -> Option<bool> {
        let open = self.shapes().into_iter().find(|(_, name, _)| name == shape);
        open.map(|(handle, ..)| self.engine.is_complete(handle))
    }
}
