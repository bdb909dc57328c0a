//! What people do besides: they try again what waits, have rows back as they were, look at the past, ask for what may not
//! wait for long, and write what is large.

use landfall_client::db::{DbError, EntryState, OutboxEntry, WriteTx};
use landfall_core::schema::Column;
use landfall_core::{Schema, Value};

use super::World;
use crate::history::cell;
use crate::invariants::{Violation, as_of, ledger, lost, offline};
use crate::workload::{Author, OpId};

/// What a long enough run has to reach of it.
pub(crate) const WHIMS: &[&str] = &[
    "check as_of.row",
    "check bounds.outbox_bytes",
    "check offline.action",
    "work asked in vain",
    "work restored",
    "work tried now",
];

/// A transaction, and what came of it.
type Tried<R> = (OpId, Result<R, DbError>);

fn is_parked(entry: &OutboxEntry) -> bool {
    matches!(entry.state, EntryState::Queued | EntryState::Sent) && entry.next_attempt_ms.is_some()
}

impl World {
    pub(super) fn whim(&mut self, device: usize) -> Result<(), Violation> {
        match self.devices[device].whims.below(100) {
            0..=19 => self.try_now(device),
            20..=44 => self.restore(device),
            45..=64 => self.ask(device),
            65..=84 => self.write_by(device, |author, tx| author.heavy(tx)).map(|_| ()),
            _ => as_of::told(self, device, 3),
        }
    }

    /// The person says that the trouble is over.
    fn try_now(&mut self, device: usize) -> Result<(), Violation> {
        let parked = self.outbox_of(device).iter().filter(|entry| is_parked(entry)).count();
        let mut random = self.devices[device].whims.fork();
        let result = self.engine(device, |engine, moment, _| {
            let tried = engine.try_now(moment, &mut |bytes| random.fill(bytes))?;
            let outbox = engine.outbox()?;
            Ok((tried, outbox.iter().filter(|entry| is_parked(entry)).count()))
        })?;
        let name = self.devices[device].name.clone();
        self.trace.line(self.now, &name, || format!("tries {parked} now: {result:?}"));
        match result {
            Some(Ok((tried, left))) if tried != parked || left > 0 => {
                let text = format!("{name} tried {tried} of {parked} that waited, and {left} wait on");
                Err(Violation::new("starvation", text))
            }
            Some(Ok((1.., _))) => {
                self.coverage.hit("work tried now");
                Ok(())
            }
            other => self.storage_only(other.map(|result| result.map(|_| ()))),
        }
    }

    /// A change of a history that the device holds; now and then one that nobody has.
    fn some_change(&mut self, device: usize) -> Option<(&'static str, Value, bool)> {
        let whims = &mut self.devices[device].whims;
        let table = if whims.chance(600) { "things" } else { "tags" };
        if whims.chance(40) {
            let mut unknown = [0; 16];
            whims.fill(&mut unknown);
            return Some((table, Value::Uuid(unknown), false));
        }
        let process = self.devices[device].process.as_ref()?;
        let held = process.engine.query(&format!("SELECT change_id FROM {table}_history ORDER BY change_id"), &[]);
        let held = held.ok()?.rows;
        let change = self.devices[device].whims.pick(&held)?.first()?.clone();
        Some((table, change, true))
    }

    /// A row is to be again what it was after a change.
    fn restore(&mut self, device: usize) -> Result<(), Violation> {
        let Some((table, change, is_known)) = self.some_change(device) else { return Ok(()) };
        let schema = self.schemas[self.devices[device].version].clone();
        let written = self.write_by(device, |author, tx| {
            let restored = author.restore(tx, table, &change)?;
            Ok((restored, difference(tx, &schema, table, &change)?))
        })?;
        let Some((_, written)) = written else { return Ok(()) };
        let name = &self.devices[device].name;
        match written {
            Ok(_) if !is_known => {
                Err(Violation::new("restore", format!("{name} restored {table} from {change:?}, which is nowhere")))
            }
            Ok((restored, Some(other))) => {
                let text = format!("{name} restored {table} ({restored}) from {change:?}, and {other}");
                Err(Violation::new("restore", text))
            }
            Ok((restored, None)) => {
                self.coverage.hit(if restored { "work restored" } else { "work restored nothing" });
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    /// What may not wait for long is asked for.
    fn ask(&mut self, device: usize) -> Result<(), Violation> {
        let whims = &mut self.devices[device].whims;
        let (rings, in_ms) = (whims.chance(500), whims.below(60_000));
        let Some(before) =
            self.devices[device].process.as_ref().map(|p| (p.engine.db().counts(), p.engine.db().last_rseq()))
        else {
            return Ok(());
        };
        let (moment, process) = (self.devices[device].moment(self.now), self.devices[device].process.as_ref());
        let offset_ms = process.map_or(0, |process| process.engine.db().clock_offset_ms());
        let due_ms = moment.wall_ms.saturating_add_signed(offset_ms) + in_ms;
        let written = self.write_by(device, |author, tx| {
            if rings {
                return author.ask(tx, "ring", &[("loud", Value::Bool(true))]);
            }
            author.ask(tx, "deliver", &[("at", Value::Timestamp(due_ms as i64 * 1_000))])
        })?;
        let Some((op, Err(DbError::NeedsServer { what } | DbError::TooSoon { what, .. }))) = written else {
            return Ok(());
        };
        self.coverage.hit("work asked in vain");
        let Some(process) = &self.devices[device].process else { return Ok(()) };
        let db = process.engine.db();
        let told = what == if rings { "ring" } else { "deliver" };
        let is_there = process.engine.outbox().unwrap_or_default();
        let is_there = is_there.iter().any(|entry| ledger::op_of_transaction(&entry.transaction) == Some(op));
        if told && !is_there && (db.counts(), db.last_rseq()) == before {
            return Ok(());
        }
        let text = format!("{what} was refused, and {before:?} became {:?}, {}", db.counts(), db.last_rseq());
        Err(Violation::new("offline", text))
    }

    /// A transaction of this app, with a row in `ops`, and what became of it. `None`: the app does not run.
    fn write_by<R>(
        &mut self,
        device: usize,
        write: impl FnOnce(&mut Author<'_>, &mut WriteTx<'_>) -> Result<R, DbError>,
    ) -> Result<Option<Tried<R>>, Violation> {
        let op = self.ledger.next();
        let (person, name) = (self.devices[device].subject(), self.devices[device].name.clone());
        let (people, before) = (self.plan.people, offline::before(self, device));
        let whims = &mut self.devices[device].whims;
        let (mut choices, mut random) = (whims.fork(), whims.fork());
        let mut author = Author { op, ..Author::without_mark(&mut choices, &person, people, &name) };
        let written = self.engine(device, |engine, moment, _| {
            engine.write(moment, &mut |bytes| random.fill(bytes), |tx| write(&mut author, tx))
        })?;
        match written {
            None => Ok(None),
            Some(Ok(written)) => {
                self.trace.line(self.now, &name, || format!("wrote {op:?} on a whim as {:?}", written.rseq));
                if written.rseq.is_none() {
                    return Err(Violation::new("pending", format!("{name} wrote {op:?} and it has no outbox entry")));
                }
                ledger::written(self, device, op);
                offline::written(self, device, before.as_ref(), written.rseq, &written.gone, None)?;
                Ok(Some((op, Ok(written.value))))
            }
            Some(Err(error)) => {
                self.trace.line(self.now, &name, || format!("could not write {op:?} on a whim: {error}"));
                self.refused_write(device, op, &error)?;
                Ok(Some((op, Err(error))))
            }
        }
    }
}

/// In what a row is not what it was after a change, if it is to be.
fn difference(tx: &WriteTx<'_>, schema: &Schema, table: &str, change: &Value) -> Result<Option<String>, DbError> {
    let key = landfall_core::RowKey::single(change.clone());
    let Some(table) = schema.table(table) else { return Ok(None) };
    let Some(then) = tx.row(&table.history_table(), &key)? else { return Ok(None) };
    let Some(key) = table.key_of(&then) else { return Ok(None) };
    let Some(now) = tx.row(&table.name, &key)? else { return Ok(Some("it is not there".to_owned())) };
    let is_lost = lost::is_lost(&then);
    let named = cell(&then, "change_columns").to_json();
    // Of what was lost only that comes back.
    let is_meant = |column: &&Column| {
        !is_lost || named.as_array().is_some_and(|list| list.iter().any(|name| *name == column.name))
    };
    let differs = table.data_columns().filter(is_meant).find(|column| {
        let was = then.get(&column.name).filter(|was| !(column.required && was.is_null()));
        was.is_some_and(|was| now.get(&column.name) != Some(was))
    });
    Ok(differs.map(|column| format!("{} is {:?} instead of {:?}", column.name, now.get(&column.name), then)))
}
