//! The network between devices and the server.
//!
//! A connection is an ordered stream of frames in each direction, as TCP and WebSocket give it: frames are late, they
//! stall, and when the connection is cut a suffix of what was under way is lost, in each direction by itself; each side
//! hears of it at a time of its own, or never. Frames are never doubled or reordered within a connection: what is sent
//! twice is what the peers themselves send again. Chunk requests stand alone: they may be late, overtake each other,
//! arrive twice, fail or be cut short.

use std::collections::{BTreeMap, VecDeque};

use crate::clock::Micros;
use crate::dice::Dice;
use crate::workload::OpId;

/// Names a connection in the whole world.
pub type ConnId = u64;

/// One direction of a connection.
#[derive(Debug, Default)]
pub struct Lane {
    frames: VecDeque<Vec<u8>>,
    last_at: Micros,
    bytes: usize,
    /// What is sent is lost from here on, and nobody is told.
    pub black_hole: bool,
}

impl Lane {
    /// Puts a frame on its way; gives the time at which the front of the lane is to be delivered, if it is not lost.
    pub fn send(&mut self, frame: Vec<u8>, arrives: Micros) -> Option<Micros> {
        if self.black_hole {
            return None;
        }
        self.last_at = self.last_at.max(arrives);
        self.bytes += frame.len();
        self.frames.push_back(frame);
        Some(self.last_at)
    }

    /// Takes the frame that arrives.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }

    /// One of the frames under way.
    pub fn pick_mut(&mut self, dice: &mut Dice) -> Option<&mut Vec<u8>> {
        let at = (!self.frames.is_empty()).then(|| dice.index(self.frames.len()))?;
        self.frames.get_mut(at)
    }

    /// Loses all frames under way but the first `keep`.
    pub fn lose_after(&mut self, keep: usize) {
        self.frames.truncate(keep);
        self.bytes = self.frames.iter().map(Vec::len).sum();
    }

    /// Frames under way.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Bytes under way: a socket takes no more than it has room for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A connection.
#[derive(Debug, Default)]
pub struct Connection {
    /// The device.
    pub device: usize,
    /// Which process of the device opened it.
    pub device_life: u64,
    /// The engine's own name for it.
    pub name: u64,
    /// Which process of the server took it.
    pub server_life: u64,
    /// The device believes that it is open.
    pub device_open: bool,
    /// The server believes that it is open.
    pub server_open: bool,
    /// It was cut: nothing is put on its way any more.
    pub cut: bool,
    /// From the device to the server.
    pub up: Lane,
    /// From the server to the device.
    pub down: Lane,
}

/// A device's way to the server, as it is now.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// Nothing gets through before this time.
    pub stalled_until: Micros,
    /// The connection breaks when this transaction is sent before this time.
    pub chokes_on: Option<(OpId, Micros)>,
    /// Connections cannot be opened before this time.
    pub refused_until: Micros,
    /// The device reads one frame in this time only.
    pub slow_us: Micros,
    /// Usual latency.
    pub latency_us: Micros,
    /// Most of what is added to it at random.
    pub jitter_us: Micros,
}

/// All connections that at least one side believes in.
#[derive(Debug, Default)]
pub struct Network {
    /// By id.
    pub connections: BTreeMap<ConnId, Connection>,
    next: ConnId,
}

impl Network {
    /// A new connection.
    pub fn open(&mut self, connection: Connection) -> ConnId {
        self.next += 1;
        self.connections.insert(self.next, connection);
        self.next
    }

    /// The connection of a device's process with this name.
    pub fn find(&self, device: usize, life: u64, name: u64) -> Option<ConnId> {
        let is = |c: &Connection| c.device == device && c.device_life == life && c.name == name;
        self.connections.iter().rev().find(|(_, c)| is(c)).map(|(id, _)| *id)
    }

    /// Forgets what neither side believes in.
    pub fn sweep(&mut self) {
        self.connections.retain(|_, c| c.device_open || c.server_open);
    }
}
