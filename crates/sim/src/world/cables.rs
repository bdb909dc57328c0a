//! The network at work: connections opened, frames under way, connections that end, chunk requests.

use landfall_client::engine::Input;
use landfall_protocol::codec::{decode_binary, encode_binary};
use landfall_protocol::{ClientMessage, ServerMessage};

use super::{ChunkAnswer, Event, World};
use crate::clock::{MILLI, Micros};
use crate::dice::Dice;
use crate::invariants::{Violation, absence, ledger};
use crate::network::{ConnId, Connection};
use crate::plan::Fault;

/// Characters of a message in the trace.
const LINE_CHARS: usize = 4_000;
/// What a socket holds before the sender has to wait, in bytes.
const SOCKET_BYTES: usize = 16 << 10;

impl World {
    /// When something that leaves a device or the server now arrives at the other end of the device's way.
    fn arrival(&mut self, device: usize) -> Micros {
        let way = &self.devices[device].way;
        let (latency, jitter, stalled) = (way.latency_us, way.jitter_us, way.stalled_until);
        (self.now + latency + self.net_dice.below(jitter + 1)).max(stalled)
    }

    pub(super) fn connect(&mut self, device: usize, name: u64) {
        let arrives = self.arrival(device);
        let life = self.devices[device].life;
        let conn = self.network.open(Connection { device, device_life: life, name, ..Connection::default() });
        self.network.connections.entry(conn).and_modify(|c| c.device_open = true);
        if self.now < self.devices[device].way.refused_until {
            self.coverage.hit("net refused");
            self.queue.at(arrives, Event::ConnectAnswered { conn, open: false });
        } else {
            self.queue.at(arrives, Event::ConnectArrives { conn });
        }
    }

    pub(super) fn connect_arrives(&mut self, conn: ConnId) -> Result<(), Violation> {
        let now = self.server_moment();
        let life = self.server.life;
        let Some(connection) = self.network.connections.get_mut(&conn) else { return Ok(()) };
        let device = connection.device;
        let open = match self.server.process.as_mut() {
            Some(process) if !self.server.draining && connection.device_open => {
                process.core.connect(conn, now);
                connection.server_open = true;
                connection.server_life = life;
                true
            }
            _ => false,
        };
        if open && self.happens(Fault::Rogue, 120) {
            let message = super::faults::rogue(&mut self.fault_dice);
            self.server_hears(conn, &encode_binary(&message))?;
        } else if open && self.happens(Fault::Garble, 60) {
            let frame = super::faults::garbage(&mut self.fault_dice);
            self.server_hears(conn, &frame)?;
        }
        let answered = self.arrival(device);
        self.queue.at(answered, Event::ConnectAnswered { conn, open });
        self.schedule_server_tick();
        Ok(())
    }

    pub(super) fn connect_answered(&mut self, conn: ConnId, open: bool) -> Result<(), Violation> {
        let Some(connection) = self.network.connections.get_mut(&conn) else { return Ok(()) };
        let (device, life, name) = (connection.device, connection.device_life, connection.name);
        if !connection.device_open || life != self.devices[device].life {
            return Ok(());
        }
        if open {
            return self.input(device, Input::Connected { connection: name });
        }
        connection.device_open = false;
        self.input(
            device,
            Input::Disconnected { connection: name, reason: "connection refused".to_owned(), retry_after_ms: None },
        )
    }

    /// The device closes a connection; the server learns it when the news arrives.
    pub(super) fn hang_up(&mut self, device: usize, name: u64) {
        let life = self.devices[device].life;
        let Some(conn) = self.network.find(device, life, name) else { return };
        let arrives = self.arrival(device);
        if let Some(connection) = self.network.connections.get_mut(&conn) {
            connection.device_open = false;
        }
        // Now and then the news is lost: the server learns from silence.
        if !self.net_dice.chance(100) {
            self.queue.at(arrives, Event::PeerGone { conn, at_server: true });
        }
        self.network.sweep();
    }

    pub(super) fn send_up(&mut self, device: usize, name: u64, message: &ClientMessage) {
        let life = self.devices[device].life;
        self.trace.line(self.now, &self.devices[device].name.clone(), || format!("says {}", short(message)));
        let arrives = self.arrival(device);
        let Some(conn) = self.network.find(device, life, name) else { return };
        let Some(connection) = self.network.connections.get_mut(&conn) else { return };
        if connection.cut || !connection.device_open {
            return;
        }
        let choked = self.devices[device].way.chokes_on.filter(|(_, until)| self.now < *until);
        if let (ClientMessage::Push { entries, .. }, Some((op, _))) = (message, choked)
            && entries.iter().any(|entry| ledger::op_of_transaction(&entry.transaction) == Some(op))
        {
            self.coverage.hit("seen choked");
            return self.cut(conn);
        }
        if let Some(at) = connection.up.send(encode_binary(message), arrives) {
            self.queue.at(at, Event::Deliver { conn, up: true });
        }
    }

    /// Puts a message of the server on its way.
    pub(super) fn send_down(&mut self, conn: ConnId, message: &ServerMessage) {
        let Some(device) = self.network.connections.get(&conn).map(|c| c.device) else { return };
        self.trace.line(self.now, "server", || format!("to d{device}: {}", short(message)));
        let arrives = self.arrival(device) + self.devices[device].way.slow_us;
        let Some(connection) = self.network.connections.get_mut(&conn) else { return };
        if connection.cut {
            return;
        }
        let slowed = connection.down.len() as u64 * self.devices[device].way.slow_us;
        if let Some(at) = connection.down.send(encode_binary(message), arrives + slowed) {
            self.queue.at(at, Event::Deliver { conn, up: false });
        }
    }

    /// Whether the server's socket of a connection takes more.
    pub(super) fn has_room(&self, conn: ConnId) -> bool {
        self.network.connections.get(&conn).is_some_and(|c| c.down.bytes() < SOCKET_BYTES)
    }

    pub(super) fn deliver_up(&mut self, conn: ConnId) -> Result<(), Violation> {
        let Some(connection) = self.network.connections.get(&conn) else { return Ok(()) };
        let stalled = self.devices[connection.device].way.stalled_until;
        if stalled > self.now {
            self.queue.at(stalled, Event::Deliver { conn, up: true });
            return Ok(());
        }
        if connection.server_open && self.server_is_reading(conn) == Some(false) {
            self.queue.at(self.now + 5 * MILLI, Event::Deliver { conn, up: true });
            return Ok(());
        }
        let Some(connection) = self.network.connections.get_mut(&conn) else { return Ok(()) };
        match connection.up.receive() {
            Some(frame) if connection.server_open => self.server_hears(conn, &frame),
            _ => Ok(()),
        }
    }

    pub(super) fn deliver_down(&mut self, conn: ConnId) -> Result<(), Violation> {
        let Some(connection) = self.network.connections.get_mut(&conn) else { return Ok(()) };
        let (device, life, name) = (connection.device, connection.device_life, connection.name);
        let stalled = self.devices[device].way.stalled_until;
        if stalled > self.now {
            self.queue.at(stalled, Event::Deliver { conn, up: false });
            return Ok(());
        }
        let Some(frame) = connection.down.receive() else { return Ok(()) };
        if connection.device_open && life == self.devices[device].life {
            let mut is_due = false;
            let input = match decode_binary::<ServerMessage>(&frame) {
                Ok(message) => {
                    self.before_delivery(device, &message);
                    is_due = absence::is_due(self, device, name, &message);
                    Input::Frame { connection: name, message }
                }
                Err(error) => Input::BadFrame { connection: name, reason: error.to_string() },
            };
            self.input(device, input)?;
            if is_due {
                absence::begun(self, device)?;
            }
            self.let_go_when_healing(device)?;
        }
        self.pump(conn)
    }

    pub(super) fn peer_gone(&mut self, conn: ConnId, at_server: bool) -> Result<(), Violation> {
        let Some(connection) = self.network.connections.get_mut(&conn) else { return Ok(()) };
        let (device, life, name) = (connection.device, connection.device_life, connection.name);
        if at_server {
            connection.server_open = false;
            if let Some(process) = self.server.process.as_mut().filter(|_| connection.server_life == self.server.life) {
                self.coverage.hit("server disconnected");
                process.core.disconnect(conn);
            }
            self.network.sweep();
            return Ok(());
        }
        let told = std::mem::replace(&mut connection.device_open, false);
        self.network.sweep();
        if told && life == self.devices[device].life {
            return self.input(
                device,
                Input::Disconnected { connection: name, reason: "connection reset".to_owned(), retry_after_ms: None },
            );
        }
        Ok(())
    }

    /// A connection breaks: a suffix of what is under way is lost, and each side hears of it in its own time.
    pub(crate) fn cut(&mut self, conn: ConnId) {
        let Some(connection) = self.network.connections.get_mut(&conn) else { return };
        connection.cut = true;
        let (up, down) = (connection.up.len() as u64, connection.down.len() as u64);
        let (keep_up, keep_down) = (self.net_dice.below(up + 1), self.net_dice.below(down + 1));
        connection.up.lose_after(keep_up as usize);
        connection.down.lose_after(keep_down as usize);
        let (soon, late) = (self.now + self.net_dice.below(500) * MILLI, self.now + self.net_dice.below(9_000) * MILLI);
        let server_first = self.net_dice.chance(500);
        let (device_at, server_at) = if server_first { (late, soon) } else { (soon, late) };
        self.queue.at(device_at, Event::PeerGone { conn, at_server: false });
        self.queue.at(server_at, Event::PeerGone { conn, at_server: true });
    }

    /// A device's process has ended: its connections are reset, and the server hears of it, or not.
    pub(super) fn drop_connections_of(&mut self, device: usize) {
        let own = |c: &Connection| c.device == device && c.device_open;
        let gone: Vec<ConnId> = self.network.connections.iter().filter(|(_, c)| own(c)).map(|(id, _)| *id).collect();
        for conn in gone {
            let silent = self.net_dice.chance(200);
            if let Some(connection) = self.network.connections.get_mut(&conn) {
                connection.device_open = false;
                connection.cut = true;
                let keep = self.net_dice.below(connection.up.len() as u64 + 1);
                connection.up.lose_after(keep as usize);
            }
            if !silent {
                let at = self.now + self.net_dice.below(3_000) * MILLI;
                self.queue.at(at, Event::PeerGone { conn, at_server: true });
            }
        }
        self.network.sweep();
    }

    /// The server's process has ended: all its connections are reset.
    pub(super) fn drop_connections_of_server(&mut self) {
        let gone: Vec<ConnId> =
            self.network.connections.iter().filter(|(_, c)| c.server_open).map(|(id, _)| *id).collect();
        for conn in gone {
            let silent = self.net_dice.chance(200);
            if let Some(connection) = self.network.connections.get_mut(&conn) {
                connection.server_open = false;
                connection.cut = true;
                let keep = self.net_dice.below(connection.down.len() as u64 + 1);
                connection.down.lose_after(keep as usize);
            }
            if !silent {
                let at = self.now + self.net_dice.below(3_000) * MILLI;
                self.queue.at(at, Event::PeerGone { conn, at_server: false });
            }
        }
        self.network.sweep();
    }

    pub(super) fn fetch_chunk(&mut self, device: usize, request: u64, address: String) {
        let life = self.devices[device].life;
        let arrives = self.arrival(device);
        let event = Event::ChunkRequested { device, life, request, address };
        if self.happens(Fault::HttpDuplicate, 200) {
            self.queue.at(arrives + 20 * MILLI, event.clone());
        }
        self.queue.at(arrives, event);
    }

    pub(super) fn chunk_requested(
        &mut self,
        device: usize,
        life: u64,
        request: u64,
        address: &str,
    ) -> Result<(), Violation> {
        let mut arrives = self.arrival(device);
        if self.happens(Fault::HttpDelay, 250) {
            arrives += self.net_dice.between(100, 5_000) * MILLI;
            self.interrupt_load(device)?;
        }
        let mut answer =
            if self.happens(Fault::HttpFail, 150) { ChunkAnswer::Failed } else { self.chunk(device, address)? };
        if let ChunkAnswer::Body(body) = &mut answer
            && self.happens(Fault::HttpDamage, 150)
        {
            let keep = self.net_dice.index(body.len());
            if self.net_dice.chance(500) {
                body.truncate(keep);
            } else {
                turn_a_bit(body, &mut self.net_dice);
            }
        }
        self.queue.at(arrives, Event::ChunkArrives { device, life, request, answer });
        Ok(())
    }

    /// While a chunk is under way the person goes away, or the disk is about to fail.
    fn interrupt_load(&mut self, device: usize) -> Result<(), Violation> {
        match self.net_dice.below(12) {
            0 => self.person_fault(Fault::Offline, device)?,
            1 => self.person_fault(Fault::SignedOut, device)?,
            2 => self.person_fault(Fault::WrongSubject, device)?,
            _ => return Ok(()),
        };
        Ok(())
    }

    /// Whether a fault that belongs to an action of the network happens now.
    fn happens(&mut self, fault: Fault, per_mille: u64) -> bool {
        if self.healing || !self.plan.faults.iter().any(|(f, _)| *f == fault) || !self.net_dice.chance(per_mille) {
            return false;
        }
        self.coverage.hit(&fault.coverage_name());
        true
    }
}

/// Turns over one bit of a frame, if it has any.
pub(super) fn turn_a_bit(frame: &mut [u8], dice: &mut Dice) {
    let bit = dice.index(8);
    if !frame.is_empty() {
        frame[dice.index(frame.len())] ^= 1 << bit;
    }
}

fn short(message: &impl std::fmt::Debug) -> String {
    let text = format!("{message:?}");
    if text.chars().count() <= LINE_CHARS { text } else { text.chars().take(LINE_CHARS).chain("…".chars()).collect() }
}
