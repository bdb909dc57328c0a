//! What the apps do: transactions, shapes opened and closed, dead letters looked after.

use std::collections::BTreeMap;

use landfall_client::db::DbError;
use landfall_client::status::Connectivity;
use landfall_core::{Operation, Value};
use landfall_protocol::{Outcome, Resumption, ServerMessage};

use super::{Event, World};
use crate::clock::MILLI;
use crate::invariants::{Violation, docs, ledger, list, mirror, offline, revised, wishes};
use crate::workload::{Author, OpId, key};

const SHAPES: [&str; 27] = [
    "ops",
    "things_mine",
    "things_shown",
    "things_of_kind",
    "lefts",
    "rights",
    "ticks",
    "parents",
    "children",
    "remarks",
    "holds",
    "dues",
    "tags",
    "tags_of",
    "things_past",
    "tags_history",
    "stocks",
    "sales",
    "ranks",
    "choices",
    "cards",
    "slips",
    "scraps",
    "papers",
    "papers_docs",
    "notes",
    // The older app does not know it.
    "extras",
];

impl World {
    pub(super) fn act(&mut self, device: usize) -> Result<(), Violation> {
        if self.healing {
            return Ok(());
        }
        let think = self.plan.think;
        let next = self.now + self.devices[device].dice.between(think / 8, 2 * think) + MILLI;
        self.queue.at(next, Event::Act { device });
        if self.devices[device].process.is_none() {
            return Ok(());
        }
        if self.devices[device].whims.chance(250) {
            self.whim(device)?;
        }
        if self.devices[device].fetches.chance(220) {
            self.fetch(device)?;
        }
        if self.is_paused(device) && self.devices[device].dice.chance(200) {
            return self.set_paused(device, false);
        }
        if self.is_held(device) && self.devices[device].dice.chance(200) {
            return self.replay(device);
        }
        if self.devices[device].minds.chance(120) {
            return self.reconsider(device);
        }
        match self.devices[device].dice.below(100) {
            0..=61 => self.write(device),
            62..=65 => self.sketch(device),
            66..=69 => self.change_mind(device),
            70..=84 => self.open_shape(device),
            85..=89 => self.close_shape(device),
            90..=94 => self.look_after_dead(device),
            95 => self.set_paused(device, true),
            _ => self.check_device(device),
        }
    }

    fn write(&mut self, device: usize) -> Result<(), Violation> {
        self.write_instead_of(device, None)
    }

    /// A transaction, perhaps in the place of a dead letter.
    pub(super) fn write_instead_of(&mut self, device: usize, dead: Option<u64>) -> Result<(), Violation> {
        let op = self.ledger.next();
        let pairs = self.may_write_pairs(device);
        let (person, name) = (self.devices[device].subject(), self.devices[device].name.clone());
        let people = self.plan.people;
        self.devices[device].tick += 1;
        let tick = self.devices[device].tick;
        let until = self.wished_end(device);
        let newer = self.devices[device].version == 1;
        let dead = dead.map(|rseq| (rseq, self.devices[device].process.as_ref().and_then(|p| ledger::op_of(p, rseq))));
        let before = offline::before(self, device);
        let written = self.engine(device, |engine, moment, dice| {
            let mut choices = dice.fork();
            let newest = engine.db().last_rseq();
            let lately: Vec<u64> = (newest.saturating_sub(5)..=newest).filter(|rseq| *rseq > 0).collect();
            let server_ms = moment.wall_ms.saturating_add_signed(engine.db().clock_offset_ms());
            let mut author = Author {
                dice: &mut choices,
                op,
                person: &person,
                people,
                device: &name,
                pairs,
                tick,
                server_ms,
                lately: &lately,
                until,
                wishes: Vec::new(),
                run: None,
                stroke: None,
                newer,
            };
            let written = engine.write(moment, &mut |bytes| dice.fill(bytes), |tx| {
                dead.map_or(Ok(()), |(rseq, _)| tx.supersede(rseq))?;
                author.write(tx)
            });
            (written, author.wishes, author.run, author.stroke)
        })?;
        let Some((written, wishes, run, stroke)) = written else { return Ok(()) };
        match written {
            Ok(written) => {
                self.trace.line(self.now, &name, || format!("wrote {op:?} as {:?}", written.rseq));
                if written.rseq.is_none() {
                    return Err(Violation::new("pending", format!("{name} wrote {op:?} and it has no outbox entry")));
                }
                ledger::written(self, device, op);
                offline::written(self, device, before.as_ref(), written.rseq, &written.gone, None)?;
                if let Some((rseq, dead_op)) = dead {
                    self.coverage.hit("work superseded");
                    dead_op.into_iter().for_each(|op| ledger::discarded(self, device, op));
                    revised::is_replaced(self, device, rseq, &written.gone)?;
                }
                wishes::are_heard(self, device, &wishes, written.rseq)?;
                list::put(self, device, run)?;
                docs::written(self, op, stroke);
                revised::ends_as_wished(self, device, op, until, written.rseq)?;
            }
            Err(error) => {
                // Where its commit is in doubt, it may be accepted yet.
                docs::written(self, op, stroke);
                self.trace.line(self.now, &name, || format!("could not write {op:?}: {error}"));
                if let (DbError::Io(_) | DbError::Damaged(_), Some((_, Some(dead_op)))) = (&error, dead) {
                    ledger::discarded(self, device, dead_op);
                }
                self.refused_write(device, op, &error)?;
            }
        }
        Ok(())
    }

    /// Now and then a transaction is not worth sending later than soon, by the device's clock.
    fn wished_end(&mut self, device: usize) -> Option<u64> {
        let now_ms = self.devices[device].moment(self.now).wall_ms;
        let minds = &mut self.devices[device].minds;
        let within = if minds.chance(500) { 2_000 } else { 30_000 };
        minds.chance(100).then(|| now_ms + minds.below(within))
    }

    /// Some changes in a row, as of a drag.
    fn sketch(&mut self, device: usize) -> Result<(), Violation> {
        let op = self.ledger.next();
        let (person, name) = (self.devices[device].subject(), self.devices[device].name.clone());
        let people = self.plan.people;
        let minds = &mut self.devices[device].minds;
        let dragged = minds.chance(300).then(|| minds.below(3));
        for round in 0..self.devices[device].dice.between(1, 4) {
            let before = offline::before(self, device);
            let written = self.engine(device, |engine, moment, dice| {
                let mut choices = dice.fork();
                let mut author = Author { op, ..Author::without_mark(&mut choices, &person, people, &name) };
                engine.write(moment, &mut |bytes| dice.fill(bytes), |tx| match dragged {
                    Some(row) => author.drag(tx, row),
                    None => author.sketch(tx, round),
                })
            })?;
            match written {
                Some(Ok(written)) => {
                    self.trace.line(self.now, &name, || format!("sketched {:?}, {:?}", written.rseq, written.gone));
                    self.coverage.hit(if !written.gone.is_empty() { "work taken up" } else { "work sketched" });
                    offline::written(self, device, before.as_ref(), written.rseq, &written.gone, None)?;
                    revised::was_taken_up(self, device, written.rseq, &written.gone);
                    revised::may_be_undone(self, device, written.rseq);
                }
                Some(Err(DbError::NeedsServer { .. })) => self.needs_server(device)?,
                Some(Err(
                    DbError::Invalid(_)
                    | DbError::Io(_)
                    | DbError::DiskFull
                    | DbError::Damaged(_)
                    | DbError::OutboxFull { .. },
                ))
                | None => {}
                Some(Err(DbError::RolledBack(_))) if self.disk_is_failing(device) => {}
                Some(Err(other)) => {
                    return Err(Violation::new("workload", format!("a sketch was refused: {other}")));
                }
            }
        }
        Ok(())
    }

    pub(super) fn is_paused(&self, device: usize) -> bool {
        self.devices[device].process.as_ref().is_some_and(|process| process.engine.db().is_paused())
    }

    /// The person pauses sending, or goes on.
    pub(super) fn set_paused(&mut self, device: usize, paused: bool) -> Result<(), Violation> {
        self.trace.line(self.now, &self.devices[device].name.clone(), || format!("paused: {paused}"));
        let result = self
            .engine(device, |engine, moment, dice| engine.set_paused(paused, moment, &mut |bytes| dice.fill(bytes)))?;
        self.coverage.hit("work paused");
        self.storage_only(result)
    }

    pub(crate) fn is_held(&self, device: usize) -> bool {
        self.devices[device].process.as_ref().is_some_and(|process| process.engine.db().held().is_some())
    }

    /// The person has been told, and lets go of what was held back.
    fn replay(&mut self, device: usize) -> Result<(), Violation> {
        self.trace.line(self.now, &self.devices[device].name.clone(), || "replays".to_owned());
        let result =
            self.engine(device, |engine, moment, dice| engine.replay(moment, &mut |bytes| dice.fill(bytes)))?;
        self.coverage.hit("work replayed");
        self.storage_only(result)
    }

    /// In the second phase nothing keeps anything back.
    pub(super) fn let_go_when_healing(&mut self, device: usize) -> Result<(), Violation> {
        if self.healing && self.is_paused(device) {
            self.set_paused(device, false)?;
        }
        if self.healing && self.is_held(device) {
            self.replay(device)?;
        }
        Ok(())
    }

    /// Only without a connection may a write ask for one.
    pub(super) fn needs_server(&mut self, device: usize) -> Result<(), Violation> {
        self.coverage.hit("work needs the server");
        let status = self.devices[device].process.as_ref().map(|p| p.engine.status());
        let paused = status.is_some_and(|status| status.paused || status.review.is_some());
        let online = status.map(|status| status.connectivity.clone());
        match online {
            Some(Connectivity::Online) if !paused => {
                Err(Violation::new("workload", "a write asks for the server, which is there".to_owned()))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn refused_write(&mut self, device: usize, op: OpId, error: &DbError) -> Result<(), Violation> {
        match error {
            // The commit may have happened: the next process finds out.
            DbError::Io(_) | DbError::Damaged(_) => self.ledger.doubt(device, op),
            DbError::DiskFull => self.coverage.hit("work disk full"),
            DbError::Aborted(_) => self.coverage.hit("work aborted"),
            DbError::NeedsServer { .. } => self.needs_server(device)?,
            DbError::TooSoon { .. } => self.needs_server(device)?,
            DbError::OutboxFull { .. } => self.coverage.hit("work outbox full"),
            DbError::Invalid(_) => self.coverage.hit("work invalid"),
            // A statement that met the failing disk took the whole transaction with it.
            DbError::RolledBack(_) if self.disk_is_failing(device) => self.coverage.hit("work rolled back"),
            other => {
                let text = format!("a write of the workload was refused: {other}");
                return Err(Violation::new("workload", text));
            }
        }
        Ok(())
    }

    /// The disk gave an error in the process's last call, or is full.
    pub(super) fn disk_is_failing(&self, device: usize) -> bool {
        let machine = &self.devices[device];
        machine.process.is_none() || machine.disk.capacity() < super::HEALTHY_BYTES
    }

    /// Both halves are here, or none is: only then do bases of both say the same.
    pub(super) fn may_write_pairs(&self, device: usize) -> bool {
        let Some(process) = self.devices[device].process.as_ref() else { return false };
        match (process.completeness("lefts"), process.completeness("rights")) {
            (Some(true), Some(true)) => true,
            // What is left of a closed shape under pending work has a base of its own.
            (None, None) => {
                let outbox = process.engine.outbox().unwrap_or_default();
                let on_pairs = |o: &Operation| ["lefts", "rights"].contains(&o.table());
                !outbox.iter().any(|e| e.transaction.operations.iter().any(on_pairs))
            }
            _ => false,
        }
    }

    fn open_shape(&mut self, device: usize) -> Result<(), Violation> {
        let known = SHAPES.len() - usize::from(self.devices[device].version == 0);
        let dice = &mut self.devices[device].dice;
        let shape = SHAPES[dice.index(known)];
        let mut params = BTreeMap::new();
        if shape == "things_of_kind" {
            let kind = ["red", "green", "blue"][dice.index(3)];
            params.insert("kind".to_owned(), Value::Text(kind.to_owned()));
            params.insert("least".to_owned(), Value::Int(dice.below(8) as i64));
        }
        if shape == "tags_of" {
            params.insert("thing".to_owned(), key("things", dice.below(14)));
        }
        self.trace.line(self.now, &self.devices[device].name.clone(), || format!("opens {shape} {params:?}"));
        let result = self.engine(device, |engine, moment, dice| {
            engine.open_shape(shape, params, moment, &mut |bytes| dice.fill(bytes)).map(|_| ())
        })?;
        self.storage_only(result)
    }

    fn close_shape(&mut self, device: usize) -> Result<(), Violation> {
        let Some(process) = self.devices[device].process.as_ref() else { return Ok(()) };
        let open = process.shapes();
        let Some((handle, shape, _)) = self.devices[device].dice.pick(&open).cloned() else { return Ok(()) };
        self.trace.line(self.now, &self.devices[device].name.clone(), || format!("closes {shape}"));
        let result = self
            .engine(device, |engine, moment, dice| engine.close_shape(handle, moment, &mut |bytes| dice.fill(bytes)))?;
        self.storage_only(result)
    }

    /// Only the disk may refuse such a call.
    pub(super) fn storage_only(&mut self, result: Option<Result<(), DbError>>) -> Result<(), Violation> {
        match result {
            None | Some(Ok(()) | Err(DbError::Io(_) | DbError::DiskFull)) => Ok(()),
            Some(Err(error)) => Err(Violation::new("workload", error.to_string())),
        }
    }

    /// What the model learns from a message that a device is about to hear.
    pub(super) fn before_delivery(&mut self, device: usize, message: &ServerMessage) {
        if let Some(process) = self.devices[device].process.as_mut() {
            process.fairness.heard(message);
            process.drain.heard(message);
        }
        revised::hears_the_time(self, device, message);
        mirror::hears(self, device, message);
        match message {
            ServerMessage::Welcome(welcome) if welcome.resumption == Resumption::NewEpoch => {
                // Another history: what was newer there is not here.
                self.devices[device].seen_ticks.clear();
                self.coverage.hit("seen new epoch");
            }
            ServerMessage::Welcome(welcome) => {
                self.coverage.hit(&format!("seen {:?}", welcome.resumption));
            }
            ServerMessage::Acknowledge { decisions, .. } => {
                for decision in decisions {
                    let kind = match &decision.outcome {
                        Outcome::Accepted { .. } => "seen accepted",
                        Outcome::Refused { problem, .. } if problem.code.as_str() == "sold_out" => "seen sold out",
                        Outcome::Refused { .. } => "seen refused",
                        Outcome::Deferred { .. } => "seen deferred",
                        Outcome::Copied => "seen copied",
                        Outcome::Failed { .. } => "seen failed",
                        Outcome::Asked { .. } => "seen asked",
                    };
                    self.coverage.hit(kind);
                }
            }
            _ => {}
        }
    }
}
