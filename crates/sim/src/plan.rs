//! Swarm testing: each seed draws which faults happen in its run, and how often, so that rare combinations are not
//! drowned by frequent ones, and a fault that hides another is absent from many runs.

use landfall_server::core::Allowance;

use crate::clock::{MILLI, Micros, SECOND};
use crate::dice::Dice;

macro_rules! faults {
    ($($name:ident = $text:literal: $doc:literal),* $(,)?) => {
        /// What goes wrong from outside.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $(#[doc = $doc] $name),* }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

faults! {
    Delay = "net.delay": "The latency of one device's way grows a hundredfold for a while.",
    Stall = "net.stall": "Nothing gets through to or from one device for a while; then all of it does.",
    Partition = "net.partition": "Nothing gets through to or from half of the devices for a while.",
    Cut = "net.cut": "A connection breaks; what was under way is lost from some frame on, in each direction.",
    HalfOpen = "net.half_open": "A direction of a connection swallows everything, and nobody is told.",
    Choke = "net.choke": "Something on the way hangs up on one transaction of a device, whenever it is sent, for a while.",
    Refuse = "net.refuse": "Connections of one device are refused for a while.",
    Garble = "net.garble": "A frame to or from a device arrives with a bit turned over, or is nonsense.",
    Rogue = "net.rogue": "A device says something that is not allowed in the state of its session.",
    HttpDelay = "http.delay": "A chunk is late, so that another overtakes it.",
    HttpDuplicate = "http.duplicate": "A chunk request is carried out twice and answered twice.",
    HttpFail = "http.fail": "A chunk request fails.",
    HttpDamage = "http.damage": "A chunk arrives cut short, or with a bit turned over.",
    SlowReader = "device.slow_reader": "A device reads a frame a second for a while.",
    DeviceKill = "device.kill": "A device's process is killed; the machine goes on.",
    DeviceCrash = "device.crash": "A device loses power between two events.",
    DeviceCrashWithin = "device.crash_within": "A device loses power in the middle of writing to its disk.",
    DeviceIo = "device.io_error": "An operation of a device's disk fails.",
    DeviceFull = "device.disk_full": "A device's disk is full for a while.",
    Clone = "device.clone": "A device's files are copied to another device, and both go on.",
    DeviceRestore = "device.restore": "A device goes back to an old copy of its files.",
    DatabaseLost = "device.database_lost": "A device's database is gone, or cannot be read, when it starts again; its mirror is there.",
    Offline = "device.offline": "The app goes offline by choice for a while.",
    Away = "device.away": "The app is offline for so long that what it has to send is held back when it returns.",
    Nudge = "device.nudge": "The system says that the network may have changed.",
    ClockForward = "device.clock_forward": "A device's clock jumps ahead, by minutes to years.",
    ClockBack = "device.clock_back": "A device's clock jumps back, by minutes to years.",
    TokenExpires = "device.token_expires": "A device's token is about to expire; the person signs in again later.",
    SignedOut = "device.signed_out": "A device has no token for a while.",
    WrongSubject = "device.wrong_subject": "Somebody else signs in on a device for a while.",
    ServerKill = "server.kill": "The server's process is killed; the machine goes on.",
    ServerCrash = "server.crash": "The server loses power between two events.",
    ServerCrashWithin = "server.crash_within": "The server loses power within a group commit.",
    ServerCrashBeforeSend = "server.crash_before_send": "The server loses power after a commit, before anything leaves.",
    ServerCrashWhileSending = "server.crash_while_sending": "The server loses power when some answers and live changes have left.",
    ServerIo = "server.io_error": "An operation of the server's disk fails.",
    ServerFull = "server.disk_full": "The server's disk is full for a while.",
    ServerRestore = "server.restore": "The server goes back to an old copy of its files.",
    ServerDrain = "server.drain": "The server shuts down as an operator would have it, and comes back.",
    ServerBusy = "server.busy": "The server does not commit for a while, so that pushes pile up.",
    Flood = "server.flood": "Somebody else hands in as much as a session takes.",
    ServerClock = "server.clock": "The server's clock is set by some seconds.",
    HouseRule = "server.house_rule": "A rule of the operator's own, laid down or lifted in the server's database while it is stopped.",
    ServerUpgrade = "server.upgrade": "The server is started with the newer version of the schema.",
    DeviceUpgrade = "device.upgrade": "A device's app is replaced by one with the newer version of the schema.",
    Truncate = "server.truncate_log": "The server forgets the older part of its log.",
}

impl Fault {
    /// Its name in the coverage table.
    pub fn coverage_name(self) -> String {
        format!("fault {}", self.name())
    }
}

/// What one seed's run is like.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Devices at the start.
    pub devices: usize,
    /// People; devices share them.
    pub people: usize,
    /// How long faults happen.
    pub fault_phase: Micros,
    /// Mean time between two actions of one device's app.
    pub think: Micros,
    /// The faults of this run, each with its mean distance.
    pub faults: Vec<(Fault, Micros)>,
    /// How much too fast or slow clocks run at most, in millionths.
    pub drift_ppm: u64,
    /// Clocks may be years off from the start, in this many of a thousand devices.
    pub clocks_off: u64,
    /// Most entries of a group commit.
    pub group: usize,
    /// What the server's machine takes for each operation of a group, and for its fsync.
    pub work: (Micros, Micros),
    /// Time between a push and the commit of its group.
    pub commit_delay: Micros,
    /// How long a token is valid; `None`: for ever.
    pub token_life_ms: Option<u64>,
    /// Bytes of the server's ring of recent commits.
    pub ring_bytes: usize,
    /// Bytes that the server has in flight to one device.
    pub window_bytes: u32,
    /// Most entries of a push.
    pub push_entries: u32,
    /// Rows in a chunk.
    pub chunk_rows: usize,
    /// Entries that may wait for a commit.
    pub waiting_entries: usize,
    /// Rows in a chunk of the server's, and in a run that it digests.
    pub server_rows: (usize, usize),
    /// The app's code is a webhook, not a handler in the server.
    pub webhook: bool,
    /// In how many of a thousand requests the webhook does not do as it should.
    pub webhook_trouble: u64,
    /// What a person may use of the server.
    pub allowance: Allowance,
}

impl Plan {
    /// Whether a server or a device goes back to an old copy in this run, is copied, or starts anew from its mirror.
    pub fn brings_up_the_past(&self) -> bool {
        use Fault::{Clone, DatabaseLost, DeviceRestore, ServerRestore};
        let past = |(fault, _): &(Fault, _)| matches!(fault, ServerRestore | Clone | DeviceRestore | DatabaseLost);
        self.faults.iter().any(past)
    }

    /// Which version of the schema the server, or every device, begins with: the older one, where it is upgraded.
    pub fn first_version(&self, upgrade: Fault) -> usize {
        usize::from(!self.faults.iter().any(|(fault, _)| *fault == upgrade))
    }

    /// Draws the plan of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed, "plan");
        let mut faults = Vec::new();
        // One run in twelve has no fault at all: what fails there is not about faults.
        let share = if dice.chance(80) { 0 } else { dice.between(80, 450) };
        use Fault::{Away, DatabaseLost, DeviceUpgrade, ServerUpgrade};
        let apart = |fault: &&Fault| matches!(fault, Away | DatabaseLost | ServerUpgrade | DeviceUpgrade);
        for fault in Fault::ALL.iter().filter(|fault| !apart(fault)) {
            if dice.chance(share) {
                faults.push((*fault, dice.between(4, 40) * SECOND));
            }
        }
        let mut away = Dice::new(seed, "away");
        if share > 0 && away.chance(300) {
            faults.push((Fault::Away, away.between(10, 30) * SECOND));
        }
        let mut lost = Dice::new(seed, "lost");
        if share > 0 && lost.chance(300) {
            faults.push((Fault::DatabaseLost, lost.between(6, 40) * SECOND));
        }
        faults.extend(upgrades(&mut Dice::new(seed, "upgrades"), share));
        let mut hook = Dice::new(seed, "webhook");
        Self {
            work: machine(&mut Dice::new(seed, "machine")),
            webhook: hook.chance(500),
            webhook_trouble: if hook.chance(500) { 0 } else { hook.between(50, 600) },
            devices: dice.between(2, 4) as usize,
            people: dice.between(1, 3) as usize,
            fault_phase: dice.between(20, 75) * SECOND,
            think: dice.between(400, 4_000) * MILLI,
            faults,
            drift_ppm: if dice.chance(500) { 0 } else { dice.between(1, 400) },
            clocks_off: if dice.chance(600) { 0 } else { dice.between(100, 700) },
            group: dice.between(1, 40) as usize,
            commit_delay: dice.between(0, 60) * MILLI,
            token_life_ms: dice.chance(300).then(|| dice.between(20_000, 90_000)),
            ring_bytes: if dice.chance(400) { dice.between(256, 8_192) as usize } else { 1 << 20 },
            window_bytes: if dice.chance(400) { dice.between(128, 4_096) as u32 } else { 1 << 20 },
            waiting_entries: if dice.chance(300) { dice.between(1, 20) as usize } else { 10_000 },
            allowance: Allowance {
                subject_entries: if dice.chance(300) { dice.between(5, 100) } else { 0 },
                burst_seconds: 2,
                ..Allowance::NONE
            },
            chunk_rows: if dice.chance(600) { dice.between(1, 12) as usize } else { 1_000 },
            server_rows: if dice.chance(600) {
                (dice.between(12, 60) as usize, dice.between(4, 16) as usize)
            } else {
                (1_000, 100)
            },
            // Smaller ones take longer than a run has, where the network takes seconds.
            push_entries: if dice.chance(400) { dice.between(3, 8) as u32 } else { 64 },
        }
    }
}

/// In a third of the runs with faults the app is not of one version: most often all begin with the older one, sometimes the
/// server is ahead of the devices already, and now and then the devices are ahead of the server.
fn upgrades(dice: &mut Dice, share: u64) -> Vec<(Fault, Micros)> {
    if share == 0 || !dice.chance(350) {
        return Vec::new();
    }
    let which: &[Fault] = match dice.below(10) {
        0..=5 => &[Fault::ServerUpgrade, Fault::DeviceUpgrade],
        6 | 7 => &[Fault::DeviceUpgrade],
        _ => &[Fault::ServerUpgrade],
    };
    which.iter().map(|fault| (*fault, dice.between(3, 15) * SECOND)).collect()
}

/// From a slow machine with a fast disk to the contrary: one has time for less than an operation during an fsync, the other for
/// hundreds.
fn machine(dice: &mut Dice) -> (Micros, Micros) {
    let each = dice.between(20, 500);
    (each, each * dice.between(1, 30).pow(2) / 4)
}
