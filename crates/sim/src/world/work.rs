//! What the apps do: transactions, shapes opened and closed, dead letters looked after.

use std::collections::BTreeMap;

use landfall_client::db::{DbError, EntryState, Withdrawal, WriteTx};
use landfall_client::status::Connectivity;
use landfall_core::{Operation, Value};
use landfall_protocol::{Outcome, Resumption, ServerMessage};

use super::{Event, World};
use crate::clock::MILLI;
use crate::invariants::{Violation, ledger, offline};
use crate::workload::{Author, OpId, key};

const SHAPES: [&str; 18] = [
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
        if self.is_paused(device) && self.devices[device].dice.chance(200) {
            return self.set_paused(device, false);
        }
        if self.is_held(device) && self.devices[device].dice.chance(200) {
            return self.replay(device);
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
        let op = self.ledger.next();
        let pairs = self.may_write_pairs(device);
        let (person, name) = (self.devices[device].subject(), self.devices[device].name.clone());
        let people = self.plan.people;
        self.devices[device].tick += 1;
        let tick = self.devices[device].tick;
        let before = offline::before(self, device);
        let written = self.engine(device, |engine, moment, dice| {
            let mut choices = dice.fork();
            let newest = engine.db().last_rseq();
            let lately: Vec<u64> = (newest.saturating_sub(5)..=newest).filter(|rseq| *rseq > 0).collect();
            let (dice_of_it, lately) = (&mut choices, &lately[..]);
            let server_ms = moment.wall_ms.saturating_add_signed(engine.db().clock_offset_ms());
            let mut author =
                Author { dice: dice_of_it, op, person: &person, people, device: &name, pairs, tick, server_ms, lately };
            engine.write(moment, &mut |bytes| dice.fill(bytes), |tx| author.write(tx))
        })?;
        match written {
            Some(Ok(written)) => {
                self.trace.line(self.now, &name, || format!("wrote {op:?} as {:?}", written.rseq));
                if written.rseq.is_none() {
                    return Err(Violation::new("pending", format!("{name} wrote {op:?} and it has no outbox entry")));
                }
                ledger::written(self, device, op);
                offline::written(self, device, before.as_ref(), written.rseq, &written.gone)?;
            }
            Some(Err(error)) => {
                self.trace.line(self.now, &name, || format!("could not write {op:?}: {error}"));
                self.refused_write(device, op, &error)?;
            }
            None => {}
        }
        Ok(())
    }

    /// Some changes in a row, as of a drag.
    fn sketch(&mut self, device: usize) -> Result<(), Violation> {
        let op = self.ledger.next();
        let (person, name) = (self.devices[device].subject(), self.devices[device].name.clone());
        let people = self.plan.people;
        for _ in 0..self.devices[device].dice.between(1, 4) {
            let before = offline::before(self, device);
            let written = self.engine(device, |engine, moment, dice| {
                let mut choices = dice.fork();
                let dice_of_it = &mut choices;
                let mut author = Author {
                    dice: dice_of_it,
                    op,
                    person: &person,
                    people,
                    device: &name,
                    pairs: false,
                    tick: 0,
                    server_ms: 0,
                    lately: &[],
                };
                engine.write(moment, &mut |bytes| dice.fill(bytes), |tx| author.sketch(tx))
            })?;
            match written {
                Some(Ok(written)) => {
                    self.trace.line(self.now, &name, || format!("sketched {:?}, {:?}", written.rseq, written.gone));
                    self.coverage.hit(if !written.gone.is_empty() { "work taken up" } else { "work sketched" });
                    offline::written(self, device, before.as_ref(), written.rseq, &written.gone)?;
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

    /// Undo, redo, or a withdrawal.
    fn change_mind(&mut self, device: usize) -> Result<(), Violation> {
        let choice = self.devices[device].dice.below(4);
        let name = self.devices[device].name.clone();
        let result = match choice {
            0 | 1 => self.engine(device, |engine, moment, dice| {
                let random = &mut |bytes: &mut [u8]| dice.fill(bytes);
                let undone =
                    if choice == 0 { engine.undo_last(moment, random) } else { engine.redo_last(moment, random) };
                undone.map(|undone| undone.map(|written| (written.value.of, written.value.left.len())))
            })?,
            _ => return self.withdraw(device),
        };
        self.trace.line(self.now, &name, || format!("{}: {result:?}", if choice == 0 { "undo" } else { "redo" }));
        match result {
            Some(Ok(Some(_))) => {
                self.coverage.hit(if choice == 0 { "work undone" } else { "work done again" });
                Ok(())
            }
            Some(Err(DbError::NeedsServer { .. })) => self.needs_server(device),
            // What others did since may forbid it.
            Some(Err(DbError::Invalid(_) | DbError::OutboxFull { .. })) => Ok(()),
            Some(Err(DbError::RolledBack(_))) if self.disk_is_failing(device) => Ok(()),
            other => self.storage_only(other.map(|result| result.map(|_| ()))),
        }
    }

    fn withdraw(&mut self, device: usize) -> Result<(), Violation> {
        let Some(process) = self.devices[device].process.as_ref() else { return Ok(()) };
        let db = process.engine.db();
        let open = |rseq: &u64| db.is_open(*rseq).unwrap_or(false);
        let open: Vec<u64> = db.undecided().unwrap_or_default().into_iter().filter(open).collect();
        let Some(rseq) = self.devices[device].dice.pick(&open).copied() else { return Ok(()) };
        let op = self.devices[device].process.as_ref().and_then(|p| ledger::op_of(p, rseq));
        self.trace.line(self.now, &self.devices[device].name.clone(), || format!("withdraws {rseq}, {op:?}"));
        let with_it: Vec<_> = self.devices[device]
            .process
            .iter()
            .flat_map(|p| open.iter().filter_map(|rseq| ledger::op_of(p, *rseq)))
            .collect();
        with_it.into_iter().for_each(|op| self.ledger.give_up(op));
        let result = self.engine(device, |engine, moment, dice| {
            engine.withdraw(rseq, moment, &mut |bytes| dice.fill(bytes)).map(|written| written.value)
        })?;
        if let Some(Ok(Withdrawal::TakenBack(_))) = &result {
            return Err(Violation::new("pending", format!("{rseq} was never sent, and is not withdrawn")));
        }
        if let (Some(Ok(_) | Err(DbError::Io(_))), Some(op)) = (&result, op) {
            self.coverage.hit("work withdrawn");
            ledger::discarded(self, device, op);
        }
        self.storage_only(result.map(|result| result.map(|_| ())))
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
    fn needs_server(&mut self, device: usize) -> Result<(), Violation> {
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

    fn refused_write(&mut self, device: usize, op: OpId, error: &DbError) -> Result<(), Violation> {
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
    fn disk_is_failing(&self, device: usize) -> bool {
        let machine = &self.devices[device];
        machine.process.is_none() || machine.disk.capacity() < super::HEALTHY_BYTES
    }

    /// Both halves are here, or none is: only then do bases of both say the same.
    fn may_write_pairs(&self, device: usize) -> bool {
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
        let dice = &mut self.devices[device].dice;
        let shape = SHAPES[dice.index(SHAPES.len())];
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

    /// A dead letter is tried again, or thrown away.
    fn look_after_dead(&mut self, device: usize) -> Result<(), Violation> {
        let pairs = self.may_write_pairs(device);
        let Some(process) = self.devices[device].process.as_ref() else { return Ok(()) };
        let dead = process.engine.outbox().unwrap_or_default();
        let dead: Vec<u64> = dead.iter().filter(|e| e.state == EntryState::Dead).map(|e| e.rseq).collect();
        let Some(rseq) = self.devices[device].dice.pick(&dead).copied() else { return Ok(()) };
        let op = self.devices[device].process.as_ref().and_then(|p| ledger::op_of(p, rseq));
        if pairs && self.devices[device].dice.chance(500) {
            self.trace.line(self.now, &self.devices[device].name.clone(), || format!("retries {rseq}, {op:?}"));
            let result = self.engine(device, |engine, moment, dice| {
                let again = |tx: &mut WriteTx<'_>| {
                    tx.leave_out_of_undo();
                    tx.retry(rseq)
                };
                engine.write(moment, &mut |bytes| dice.fill(bytes), again).map(|_| ())
            })?;
            ledger::retried(self, device, op);
            // What is still not valid stays a dead letter.
            drop(result);
            return Ok(());
        }
        self.trace.line(self.now, &self.devices[device].name.clone(), || format!("discards {rseq}, {op:?}"));
        let result = self.engine(device, |engine, moment, _| engine.discard(rseq, moment))?;
        if let (Some(Ok(()) | Err(DbError::Io(_))), Some(op)) = (&result, op) {
            ledger::discarded(self, device, op);
        }
        self.storage_only(result)
    }

    /// Only the disk may refuse such a call.
    fn storage_only(&mut self, result: Option<Result<(), DbError>>) -> Result<(), Violation> {
        match result {
            None | Some(Ok(()) | Err(DbError::Io(_) | DbError::DiskFull)) => Ok(()),
            Some(Err(error)) => Err(Violation::new("workload", error.to_string())),
        }
    }

    /// What the model learns from a message that a device is about to hear.
    pub(super) fn before_delivery(&mut self, device: usize, message: &ServerMessage) {
        if let Some(process) = self.devices[device].process.as_mut() {
            process.fairness.heard(message);
        }
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
