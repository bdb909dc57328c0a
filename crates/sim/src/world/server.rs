//! The server at work: what it hears, when it commits, what leaves it, and when it dies.

use std::time::Duration;

use landfall_protocol::codec::{decode_binary, encode_binary};
use landfall_protocol::{ClientMessage, CodecError, ServerMessage};
use landfall_server::core::ChunkError;
use landfall_server::session::{Event as SessionEvent, Moment};

use super::{ChunkAnswer, Event, World};
use crate::clock::{MILLI, SECOND};
use crate::invariants::{Violation, acknowledged, bounds, ledger, log, policy};
use crate::network::ConnId;
use crate::server::{ServerProcess, house_rule};

/// Stands for a frame beyond the limit, which a real server does not even read.
pub(super) const TOO_LONG: &[u8] = &[0xfd];

impl World {
    pub(crate) fn server_moment(&self) -> Moment {
        let clock = &self.server.clock;
        Moment { wall_ms: clock.wall_ms(self.now), mono_ms: clock.mono_ms(self.now) }
    }

    pub(super) fn server_start(&mut self) -> Result<(), Violation> {
        if self.server.process.is_some() {
            return Ok(());
        }
        let now = self.server_moment();
        self.server.disk.set_time_ms(now.wall_ms as i64);
        if self.plan.faults.iter().any(|(fault, _)| *fault == crate::plan::Fault::HouseRule) {
            // Where there is no database yet, or the disk fails, there is none.
            if let Err(problem) = house_rule(&self.server.disk, self.server.house_rule) {
                self.trace.line(self.now, "server", || format!("no rule of the house: {problem}"));
            }
        }
        let started = {
            let (schema, server) = (&self.schemas[self.server.version], &mut self.server);
            ServerProcess::start(&server.disk, schema, &self.plan, now, &mut server.dice)
        };
        let errors = self.server_disk_errors();
        let failed = errors != self.server.disk_errors || self.server.disk.power_lost();
        match started {
            Ok(process) if !failed => self.server.process = Some(process),
            Ok(_) => return self.server_start_failed("the disk failed"),
            Err(error) if failed || matches!(error, landfall_server::store::StoreError::DiskFull) => {
                return self.server_start_failed(&error.to_string());
            }
            Err(error) => return Err(Violation::new("reopen", format!("the server does not start: {error}"))),
        }
        self.server.life += 1;
        self.server.draining = false;
        self.server.commit_at = None;
        self.server.tick_at = None;
        self.trace.line(self.now, "server", || "starts".to_owned());
        log::after_start(self)
    }

    fn server_start_failed(&mut self, problem: &str) -> Result<(), Violation> {
        let text = problem.to_owned();
        self.trace.line(self.now, "server", || format!("does not start: {text}"));
        self.server.disk_errors = self.server_disk_errors();
        if self.server.disk.power_lost() {
            self.server.disk.crash(self.server.dice.generator());
        } else {
            self.server.disk.kill();
        }
        self.queue.at(self.now + SECOND, Event::ServerStart);
        Ok(())
    }

    fn server_disk_errors(&self) -> u64 {
        let faults = self.server.disk.stats().faults;
        faults.iter().filter(|(name, _)| name.starts_with("disk.error")).map(|(_, count)| count).sum()
    }

    /// Ends the server's process; it is started again later.
    pub(crate) fn server_stop(&mut self) {
        self.take_server_coverage();
        self.server.process = None;
        self.server.life += 1;
        self.server.messages_left = None;
        self.trace.line(self.now, "server", || "ends".to_owned());
        self.drop_connections_of_server();
        let pause = if self.healing { 0 } else { self.fault_dice.between(10, 6_000) * MILLI };
        self.queue.at(self.now + pause, Event::ServerStart);
    }

    pub(crate) fn take_server_coverage(&mut self) {
        if let Some(process) = &self.server.process {
            self.coverage.server(process.core.coverage());
        }
    }

    /// The server's machine loses power.
    pub(crate) fn server_power_off(&mut self) {
        self.server_stop();
        self.server.disk.crash(self.server.dice.generator());
    }

    pub(super) fn server_event(&mut self, conn: ConnId, event: SessionEvent) {
        let now = self.server_moment();
        let Some(process) = self.server.process.as_mut() else { return };
        let push = match &event {
            SessionEvent::Message(ClientMessage::Push { id, entries, .. }) => Some((*id, entries.clone())),
            _ => None,
        };
        let before = process.core.waiting();
        process.core.handle(conn, event, now, self.server.dice.generator());
        if let Some((id, entries)) = push.filter(|_| process.core.waiting() > before) {
            let subject = process.core.session(conn).and_then(|session| session.device()).map(|(_, subject)| subject);
            // One without transactions is nobody's.
            let subject = subject.filter(|_| !entries.is_empty()).unwrap_or_default().to_owned();
            process.waiting.came(conn, id, &subject, &entries, process.core.asking());
        }
    }

    /// Whether the machine died in what it just did. Then nothing more leaves it.
    pub(super) fn server_died(&mut self) -> bool {
        if self.server.disk.power_lost() {
            self.coverage.hit("crash server.within_write");
            self.server_power_off();
            return true;
        }
        let errors = self.server_disk_errors();
        if errors != self.server.disk_errors {
            // What was being committed is in doubt: only a new process can find out.
            self.server.disk_errors = errors;
            self.server_stop();
            self.server.disk.kill();
            return true;
        }
        false
    }

    /// Whether the session of a connection reads from its socket; `None` when there is no such session.
    pub(super) fn server_is_reading(&self, conn: ConnId) -> Option<bool> {
        let session = self.server.process.as_ref()?.core.session(conn)?;
        Some(session.wants_input() || session.is_closed())
    }

    pub(super) fn server_hears(&mut self, conn: ConnId, frame: &[u8]) -> Result<(), Violation> {
        let now = self.server_moment();
        self.server.disk.set_time_ms(now.wall_ms as i64);
        match decode_binary::<ClientMessage>(frame) {
            Ok(message) => {
                if let ClientMessage::Push { entries, prior, .. } = &message {
                    let common = self.server.process.as_ref().map_or(0, ServerProcess::common_seq);
                    for entry in entries {
                        let op = ledger::op_of_transaction(&entry.transaction);
                        self.op_of_content.extend(op.map(|op| (entry.hash, op)));
                    }
                    let named = entries.iter().map(|e| ((e.transaction.replica, e.transaction.rseq, e.hash), e));
                    self.pushed.extend(named.map(|(name, e)| {
                        let mut transaction = e.transaction.clone();
                        if transaction.rseq <= *prior {
                            transaction.operations.iter_mut().for_each(|o| o.limit_base(common));
                        }
                        (name, transaction)
                    }));
                }
                self.server_event(conn, SessionEvent::Message(message));
            }
            Err(_) if frame == TOO_LONG => self.server_event(conn, SessionEvent::TooLarge),
            Err(CodecError::Damaged) => self.server_event(conn, SessionEvent::Damaged),
            Err(error) => self.server_event(conn, SessionEvent::Unreadable { reason: error.to_string() }),
        }
        if self.server_died() {
            return Ok(());
        }
        log::read_new(self)?;
        self.pump(conn)?;
        self.schedule_commit();
        self.schedule_server_tick();
        Ok(())
    }

    pub(super) fn schedule_commit(&mut self) {
        let waits = self.server.process.as_ref().is_some_and(|p| p.core.waiting() > 0);
        if waits && self.server.commit_at.is_none() {
            let delay = self.plan.commit_delay;
            let at = (self.now + self.net_dice.below(delay + 1)).max(self.server.busy_until);
            self.server.commit_at = Some(at);
            self.queue.at(at, Event::ServerCommit { life: self.server.life });
        }
    }

    pub(super) fn server_commit(&mut self, life: u64) -> Result<(), Violation> {
        if self.server.life != life {
            return Ok(());
        }
        self.server.commit_at = None;
        let now = self.server_moment();
        self.server.disk.set_time_ms(now.wall_ms as i64);
        let most = self.net_dice.between(1, self.plan.group as u64) as usize;
        let Some(process) = self.server.process.as_mut() else { return Ok(()) };
        let Some(committed) = process.core.commit(most, now) else { return Ok(()) };
        let (entries, head, pushes) = (committed.entries, committed.commit.head.seq, committed.pushes);
        let (cost, is_done) = (committed.cost, committed.failure.is_none());
        self.trace.line(self.now, "server", || format!("commits {entries} entries up to {head}"));
        if self.server_died() {
            return Ok(());
        }
        // Beside the people there are the noisy one, somebody else, and nobody.
        let subjects = self.plan.people as u64 + 3;
        if let Some(process) = self.server.process.as_mut() {
            process.waiting.decided(&pushes, subjects)?;
        }
        if is_done {
            self.commit_took(cost)?;
        }
        log::read_new(self)?;
        if self.server.messages_left == Some(u64::MAX) {
            self.coverage.hit("fault server.crash_before_send");
            self.server_power_off();
            return Ok(());
        }
        self.pump_all()?;
        self.schedule_commit();
        self.schedule_server_tick();
        Ok(())
    }

    /// A group takes its time, of which the server learns how much of one subject is to be in the next ones.
    fn commit_took(&mut self, cost: usize) -> Result<(), Violation> {
        let (each, fsync) = self.plan.work;
        // Now and then the disk has something else to do.
        let fsync = if self.net_dice.chance(60) { fsync * 20 } else { fsync + self.net_dice.below(fsync / 4 + 1) };
        let took = cost as u64 * each + fsync;
        self.server.busy_until = self.server.busy_until.max(self.now + took);
        let Some(process) = self.server.process.as_mut() else { return Ok(()) };
        process.core.learn(cost, Duration::from_micros(took), Duration::from_micros(fsync));
        let share = process.core.share();
        if process.waiting.learns(cost, share, self.plan.work, fsync)? {
            self.coverage.hit("check starvation.learnt");
        }
        Ok(())
    }

    pub(super) fn server_tick(&mut self, life: u64) -> Result<(), Violation> {
        if self.server.life != life || self.server.tick_at.is_some_and(|at| at > self.now) {
            return Ok(());
        }
        self.server.tick_at = None;
        let now = self.server_moment();
        if let Some(process) = self.server.process.as_mut() {
            process.core.tick(now);
        }
        self.pump_all()?;
        self.schedule_server_tick();
        Ok(())
    }

    pub(super) fn schedule_server_tick(&mut self) {
        self.ask_webhook();
        let now = self.server_moment();
        let life = self.server.life;
        let Some(process) = self.server.process.as_mut() else { return };
        let due = [process.core.deadline_ms(now), process.core.ask_due_ms()];
        let Some(deadline) = due.into_iter().flatten().min() else { return };
        let at = self.server.clock.virtual_at(deadline).max(self.now + MILLI);
        if self.server.tick_at.is_none_or(|scheduled| at < scheduled) {
            self.server.tick_at = Some(at);
            self.queue.at(at, Event::ServerTick { life });
        }
    }

    /// Takes everything that the sessions have to say, in the order of connections.
    pub(crate) fn pump_all(&mut self) -> Result<(), Violation> {
        let open: Vec<ConnId> =
            self.network.connections.iter().filter(|(_, c)| c.server_open).map(|(id, _)| *id).collect();
        // Which session speaks first is nobody's promise.
        let first = self.net_dice.index(open.len());
        for at in 0..open.len() {
            self.pump(open[(first + at) % open.len()])?;
        }
        Ok(())
    }

    /// Takes what one session has to say, as far as its socket takes it.
    pub(super) fn pump(&mut self, conn: ConnId) -> Result<(), Violation> {
        let now = self.server_moment();
        while self.has_room(conn) {
            let open = self.network.connections.get(&conn).is_some_and(|c| c.server_open);
            let Some(process) = self.server.process.as_mut().filter(|_| open) else { return Ok(()) };
            if self.server.messages_left == Some(0) {
                self.coverage.hit("fault server.crash_while_sending");
                self.server_power_off();
                return Ok(());
            }
            let in_flight = process.core.session(conn).map_or(0, |session| session.in_flight_bytes());
            let Some(message) = process.core.poll(conn, now) else { break };
            if self.server_died() {
                return Ok(());
            }
            if let Some(left) = self.server.messages_left.as_mut().filter(|left| **left != u64::MAX) {
                *left -= 1;
            }
            bounds::window(self, in_flight, &message)?;
            bounds::catch_up(&message)?;
            self.leaves(conn, &message)?;
            self.send_down(conn, &message);
        }
        bounds::server(self)?;
        self.end_if_closed(conn);
        Ok(())
    }

    /// Everything that leaves the server is looked at.
    fn leaves(&mut self, conn: ConnId, message: &ServerMessage) -> Result<(), Violation> {
        acknowledged::leaves(self, message)?;
        policy::message(self, conn, message)
    }

    fn end_if_closed(&mut self, conn: ConnId) {
        let Some(process) = self.server.process.as_mut() else { return };
        let Some(connection) = self.network.connections.get_mut(&conn) else { return };
        if !connection.server_open || !process.core.is_closed(conn) || process.core.session(conn).is_none() {
            return;
        }
        if connection.down.bytes() >= 16 << 10 {
            return;
        }
        process.core.disconnect(conn);
        connection.server_open = false;
        // The device hears of it when it has read what was said before.
        let slow = self.devices[connection.device].way.slow_us * (connection.down.len() as u64 + 2);
        let at = self.now + slow + 400 * MILLI;
        self.queue.at(at, Event::PeerGone { conn, at_server: false });
    }

    pub(super) fn chunk(&mut self, device: usize, address: &str) -> Result<ChunkAnswer, Violation> {
        let now = self.server_moment();
        let Some(process) = self.server.process.as_ref() else { return Ok(ChunkAnswer::Failed) };
        let answer = match process.core.chunk(address, now) {
            Ok(chunk) => {
                policy::chunk(self, device, &chunk)?;
                ChunkAnswer::Body(encode_binary(&chunk))
            }
            Err(ChunkError::Address(_)) => ChunkAnswer::Gone,
            Err(ChunkError::Store(_)) => ChunkAnswer::Failed,
        };
        Ok(if self.server_died() { ChunkAnswer::Failed } else { answer })
    }
}
