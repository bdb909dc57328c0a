//! Devices: every call into an engine goes through [`World::engine`], which carries out the effects and looks whether
//! the machine survived.

use jsonwebtoken::{EncodingKey, Header};
use landfall_client::engine::{Effect, Engine, Input, Moment};
use landfall_client::mirror::Told;
use landfall_client::session::StateName;
use landfall_client::status::Connectivity;
use landfall_protocol::ClientMessage;
use landfall_protocol::codec::decode_binary;

use super::{ChunkAnswer, Event, World};
use crate::clock::{MILLI, SECOND};
use crate::device::Process;
use crate::dice::Dice;
use crate::disk::DiskOp;
use crate::invariants::{Violation, absence, bounds, counters, drain, ledger, live, mirror, offline, settled};
use crate::server::SECRET;

impl World {
    /// Calls into a device's engine, if the app runs there, and carries out what comes of it.
    pub(crate) fn engine<R>(
        &mut self,
        device: usize,
        call: impl FnOnce(&mut Engine, Moment, &mut Dice) -> R,
    ) -> Result<Option<R>, Violation> {
        let now = self.now;
        absence::note(self, device);
        let machine = &mut self.devices[device];
        let moment = machine.moment(now);
        machine.disk.set_time_ms(moment.wall_ms as i64);
        let Some(process) = machine.process.as_mut() else { return Ok(None) };
        let result = call(&mut process.engine, moment, &mut machine.dice);
        drain::told(self, device)?;
        counters::shown(self, device)?;
        self.carry_out(device)?;
        self.after_call(device);
        Ok(Some(result))
    }

    pub(crate) fn input(&mut self, device: usize, input: Input) -> Result<(), Violation> {
        self.engine(device, |engine, moment, dice| engine.handle(input, moment, &mut |bytes| dice.fill(bytes)))?;
        Ok(())
    }

    /// Carries out the effects, one by one; the power may go between two of them.
    fn carry_out(&mut self, device: usize) -> Result<(), Violation> {
        let mut count = 0;
        // A dead disk ends the process before it can say anything more.
        while !self.devices[device].disk.power_lost() {
            let Some(process) = self.devices[device].process.as_mut() else { break };
            if process.effects_left == Some(0) {
                self.coverage.hit("crash device.between_effects");
                self.power_off(device);
                return Ok(());
            }
            let Some(effect) = process.engine.poll_effect() else { break };
            if let Some(left) = process.effects_left.as_mut() {
                *left -= 1;
            }
            count += 1;
            bounds::effects(count)?;
            self.effect(device, effect)?;
        }
        Ok(())
    }

    fn effect(&mut self, device: usize, effect: Effect) -> Result<(), Violation> {
        match effect {
            Effect::Connect { connection } => {
                if let Some(process) = self.devices[device].process.as_mut() {
                    process.fairness = Default::default();
                }
                self.connect(device, connection);
            }
            Effect::Disconnect { connection } => self.hang_up(device, connection),
            Effect::Send { connection, message } => {
                if let ClientMessage::Push { id, entries, .. } = &message {
                    if self.is_paused(device) {
                        let name = &self.devices[device].name;
                        return Err(Violation::new("paused", format!("{name} sends although it is paused")));
                    }
                    absence::pushed(self, device)?;
                    offline::pushed(self, device, *id, entries)?;
                    let numbers = entries.iter().map(|e| (e.transaction.replica, e.transaction.rseq));
                    self.devices[device].handed.extend(numbers);
                    for entry in entries {
                        let name = (entry.transaction.replica, entry.transaction.rseq, entry.hash);
                        self.ledger.offered.entry(name).or_default().insert(device);
                    }
                }
                self.send_up(device, connection, &message);
            }
            Effect::FetchChunk { request, address } => self.fetch_chunk(device, request, address),
            Effect::Rows { query, diff } => live::differences(self, device, query, &diff)?,
            Effect::Status(status) => {
                if status.connectivity == Connectivity::NeedsSignIn {
                    let at = self.now + self.net_dice.between(1, 8) * SECOND;
                    self.queue.at(at, Event::SignIn { device });
                }
            }
            Effect::QueryFailed { .. } => self.coverage.hit("seen query failed"),
            Effect::Mirror(record) => self.mirror_told(device, Told::Record(record)),
            Effect::MirrorAnew => {
                let content = self.devices[device].process.as_ref().map(|process| process.engine.mirror());
                if let Some(Ok(content)) = content {
                    self.mirror_told(device, Told::Anew(Box::new(content)));
                }
            }
        }
        Ok(())
    }

    /// Looks whether the machine lives, and schedules the next tick.
    fn after_call(&mut self, device: usize) {
        if self.devices[device].disk.power_lost() {
            self.coverage.hit("crash device.within_write");
            return self.power_off(device);
        }
        let errors = self.devices[device].count_disk_errors();
        if errors != self.devices[device].disk_errors {
            // What was being written is in doubt: only a new process can find out.
            self.devices[device].disk_errors = errors;
            return self.kill(device);
        }
        let life = self.devices[device].life;
        let clock = self.devices[device].clock;
        let Some(process) = self.devices[device].process.as_mut() else { return };
        let Some(deadline) = process.engine.deadline_ms() else { return };
        let at = clock.virtual_at(deadline).max(self.now + 1);
        if process.tick_at.is_none_or(|scheduled| at < scheduled || scheduled <= self.now) {
            process.tick_at = Some(at);
            self.queue.at(at, Event::DeviceTick { device, life });
        }
    }

    pub(super) fn device_tick(&mut self, device: usize, life: u64) -> Result<(), Violation> {
        if self.devices[device].life != life {
            return Ok(());
        }
        let now = self.now;
        let Some(process) = self.devices[device].process.as_mut() else { return Ok(()) };
        if process.tick_at.is_some_and(|at| at > now) {
            return Ok(());
        }
        process.tick_at = None;
        self.input(device, Input::Tick)
    }

    pub(super) fn device_start(&mut self, device: usize) -> Result<(), Violation> {
        if self.devices[device].process.is_some() {
            return Ok(());
        }
        let (schema, now) = (self.schemas[self.devices[device].version].clone(), self.now);
        let past = self.plan.brings_up_the_past();
        if let Err(error) = self.devices[device].start(&schema, past, now) {
            return self.start_failed(device, &error.to_string());
        }
        self.trace.line(now, &self.devices[device].name.clone(), || "starts".to_owned());
        let watched = self.devices[device].process.as_mut().map(Process::watch_all);
        if let Some(Err(problem)) = watched {
            return self.start_failed(device, &problem);
        }
        if !self.after_start(device)? {
            return Ok(());
        }
        let token = self.token(device);
        self.input(device, Input::SetToken { token: Some(token) })?;
        self.let_go_when_healing(device)?;
        let online = !self.devices[device].offline;
        self.input(device, Input::SetOnline { online })
    }

    /// What was durable must be there. False when the disk failed meanwhile.
    fn after_start(&mut self, device: usize) -> Result<bool, Violation> {
        let errors = self.devices[device].count_disk_errors();
        if errors != self.devices[device].disk_errors || self.devices[device].disk.power_lost() {
            self.start_failed(device, "the disk failed")?;
            return Ok(false);
        }
        mirror::recovered(self, device)?;
        self.schedule_mirror(device);
        ledger::settle_doubts(self, device)?;
        self.check_device(device)?;
        Ok(true)
    }

    /// Opening may fail while the disk does; afterwards it must not.
    fn start_failed(&mut self, device: usize, problem: &str) -> Result<(), Violation> {
        let disk = &self.devices[device].disk;
        let excused = disk.power_lost()
            || self.devices[device].count_disk_errors() != self.devices[device].disk_errors
            || disk.capacity() < super::HEALTHY_BYTES;
        let text = problem.to_owned();
        self.trace.line(self.now, &self.devices[device].name.clone(), || format!("does not start: {text}"));
        if !excused {
            return Err(Violation::new("reopen", format!("{} cannot be opened: {problem}", self.devices[device].name)));
        }
        self.devices[device].disk_errors = self.devices[device].count_disk_errors();
        if self.devices[device].disk.power_lost() {
            self.power_off(device);
        } else {
            self.kill(device);
        }
        Ok(())
    }

    /// Ends a device's process; the machine goes on.
    pub(crate) fn kill(&mut self, device: usize) {
        self.end_process(device);
        self.devices[device].disk.kill();
        self.restart(device);
    }

    /// Ends a device's process; what was not synced is lost, torn or kept.
    pub(crate) fn power_off(&mut self, device: usize) {
        self.end_process(device);
        let machine = &mut self.devices[device];
        machine.disk.crash(machine.dice.generator());
        self.restart(device);
    }

    pub(crate) fn end_process(&mut self, device: usize) {
        self.take_device_coverage(device);
        let machine = &mut self.devices[device];
        machine.replicas.extend(machine.process.as_ref().map(|process| process.engine.db().replica()));
        machine.process = None;
        self.devices[device].life += 1;
        self.trace.line(self.now, &self.devices[device].name.clone(), || "ends".to_owned());
        self.drop_connections_of(device);
    }

    fn restart(&mut self, device: usize) {
        let at = self.now + self.fault_dice.between(10, 4_000) * MILLI;
        self.queue.at(at, Event::DeviceStart { device });
    }

    pub(crate) fn take_device_coverage(&mut self, device: usize) {
        if let Some(process) = &self.devices[device].process {
            self.coverage.client(process.engine.coverage());
            let loads = process.engine.db().reconciled();
            self.coverage.add("load rows kept", loads.kept);
            self.coverage.add("load rows fetched", loads.fetched);
        }
    }

    /// A token of the device's owner, by the server's clock.
    pub(crate) fn token(&mut self, device: usize) -> String {
        let subject = self.devices[device].subject();
        let life = if self.healing { None } else { self.plan.token_life_ms };
        self.token_for(&subject, life)
    }

    pub(crate) fn token_for(&self, subject: &str, life_ms: Option<u64>) -> String {
        let mut claims = serde_json::json!({ "sub": subject });
        if let Some(life) = life_ms {
            // The server allows thirty seconds beside.
            let until = (self.server.clock.wall_ms(self.now) + life).saturating_sub(30_000);
            claims["exp"] = serde_json::json!(until / 1000);
        }
        jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).unwrap_or_default()
    }

    pub(super) fn sign_in(&mut self, device: usize) -> Result<(), Violation> {
        let token = self.token(device);
        self.input(device, Input::SetToken { token: Some(token) })
    }

    pub(super) fn set_online(&mut self, device: usize, online: bool) -> Result<(), Violation> {
        self.devices[device].offline = !online;
        self.let_go_when_healing(device)?;
        self.input(device, Input::SetOnline { online })?;
        if online && self.healing { self.input(device, Input::Nudge) } else { Ok(()) }
    }

    pub(super) fn chunk_arrives(
        &mut self,
        device: usize,
        life: u64,
        request: u64,
        answer: ChunkAnswer,
    ) -> Result<(), Violation> {
        if self.devices[device].life != life {
            return Ok(());
        }
        let engine = self.devices[device].process.as_ref().map(|p| StateName::of(p.engine.session().state()));
        if !self.healing && engine.is_some_and(|state| state != StateName::Online) && self.net_dice.chance(300) {
            self.devices[device].disk.fail_next(DiskOp::Write, 1);
        }
        let input = match answer {
            ChunkAnswer::Body(body) => match decode_binary(&body) {
                Ok(chunk) => Input::ChunkLoaded { request, chunk },
                Err(error) => {
                    Input::ChunkFailed { request, gone: false, reason: error.to_string(), retry_after_ms: None }
                }
            },
            ChunkAnswer::Gone => {
                Input::ChunkFailed { request, gone: true, reason: "410 Gone".to_owned(), retry_after_ms: None }
            }
            ChunkAnswer::Failed => {
                Input::ChunkFailed { request, gone: false, reason: "503".to_owned(), retry_after_ms: None }
            }
        };
        self.input(device, input)
    }

    /// What must always hold of a running device.
    pub(crate) fn check_device(&mut self, device: usize) -> Result<(), Violation> {
        ledger::kept(self, device)?;
        absence::told(self, device)?;
        settled::none_refused(self, device)?;
        live::answers(self, device)
    }
}
