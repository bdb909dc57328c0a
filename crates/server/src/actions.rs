//! The app's own code on the server: handlers of the actions that transactions ask for.
//!
//! ```
//! use landfall_core::Value;
//! use landfall_server::actions::{Actions, Call, Halt};
//!
//! let actions = Actions::new().on("checkout", |call: &mut Call<'_>| {
//!     let order = call.arg("order");
//!     let product = landfall_core::RowKey::single(call.arg("product"));
//!     let Some(row) = call.row("products", &product)? else { return Err(Halt::refuse("gone", "there is no such product")) };
//!     let Some(Value::Int(stock @ 1..)) = row.get("stock") else { return Err(Halt::refuse("sold_out", "none is left")) };
//!     call.update("products", &product, &[("stock", Value::Int(stock - 1))])?;
//!     call.update("orders", &landfall_core::RowKey::single(order), &[("number", Value::Int(1))])
//! });
//! ```
//!
//! A handler runs inside the commit, before anything of its transaction is applied: what it reads is the state as it is
//! then, and nothing comes between that and what it decides. So it must be quick, and must not wait for anything: while it
//! runs nobody else's write is decided. It is called again when the transaction has to be decided again (the commit
//! failed), so that it must do nothing outside the database.

pub(crate) mod answer;
pub mod hooks;
pub(crate) mod question;
pub mod sign;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_core::error::codes;
use landfall_core::hash::{Cells, hash128};
use landfall_core::schema::Default as ColumnDefault;
use landfall_core::{Action, CellWrite, Code, ColumnType, Operation, Problem, RowKey, Value};

use crate::commit::{Plan, StoreTx};
use crate::store::{PushEntry, StoreError, Subject};

/// How long a handler may take, unless it says otherwise.
pub const BUDGET: Duration = Duration::from_millis(50);
/// Most rows that one search of a handler may look at.
pub const MAX_ROWS: usize = 10_000;
/// What the server has seen before it writes: everything.
const SEEN_ALL: u64 = u64::MAX;
/// Most characters of what a handler says to a device.
const MAX_TEXT: usize = 500;
/// Most characters of a code of its own.
const MAX_CODE: usize = 64;

/// The app's code for one action.
pub trait ActionHandler: Send + Sync {
    /// Decides on a transaction: Ok lets it through, with what [`Call`] was told to add and to drop.
    ///
    /// # Errors
    /// [`Halt::refuse`] is final, and nothing of the transaction is applied. [`Halt::fail`], a panic, or more time than
    /// [`ActionHandler::budget`] count as a failure of the server: the device tries again, as often as `attempts` says.
    fn handle(&self, call: &mut Call<'_>) -> Result<(), Halt>;

    /// How long it may take. Looked at whenever it asks something of its [`Call`], and at the end.
    fn budget(&self) -> Duration {
        BUDGET
    }
}

impl<F: Fn(&mut Call<'_>) -> Result<(), Halt> + Send + Sync> ActionHandler for F {
    fn handle(&self, call: &mut Call<'_>) -> Result<(), Halt> {
        self(call)
    }
}

/// A clock that never goes back.
type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The handlers of a server, by the names of their actions.
#[derive(Clone)]
pub struct Actions {
    handlers: BTreeMap<String, Arc<dyn ActionHandler>>,
    hooks: BTreeSet<String>,
    clock: Clock,
}

impl Default for Actions {
    fn default() -> Self {
        let began = Instant::now();
        Self { handlers: BTreeMap::new(), hooks: BTreeSet::new(), clock: Arc::new(move || began.elapsed()) }
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.handlers.keys()).entries(&self.hooks).finish()
    }
}

impl Actions {
    /// No handlers: every action is refused (LF-3011).
    pub fn new() -> Self {
        Self::default()
    }

    /// Has this handler decide on the action of this name.
    #[must_use]
    pub fn on(mut self, action: impl Into<String>, handler: impl ActionHandler + 'static) -> Self {
        self.handlers.insert(action.into(), Arc::new(handler));
        self
    }

    /// Has a webhook decide on the action of this name: it is asked before the commit, by whoever drives
    /// [`hooks::Hooks`]. A handler of the same name comes first.
    #[must_use]
    pub fn on_webhook(mut self, action: impl Into<String>) -> Self {
        self.hooks.insert(action.into());
        self
    }

    /// Measures the handlers' time by this clock, which must never go back.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    pub(crate) fn handler(&self, action: &str) -> Option<&Arc<dyn ActionHandler>> {
        self.handlers.get(action)
    }

    pub(crate) fn is_webhook(&self, action: &str) -> bool {
        self.hooks.contains(action) && !self.handlers.contains_key(action)
    }

    pub(crate) fn now(&self) -> Duration {
        (self.clock)()
    }
}

/// Why a handler does not let a transaction through.
#[derive(Clone, Debug)]
pub struct Halt(pub(crate) Reason);

/// See [`Halt`].
#[derive(Clone, Debug)]
pub(crate) enum Reason {
    Refused(Problem),
    Failed(String),
    /// Its webhook's answer makes no sense; what is wrong with it is for the operator.
    Nonsense(String),
    /// Its webhook has not answered yet; to be offered again after so long.
    Asked {
        again_ms: u64,
    },
}

impl Halt {
    /// Refuses it for good, with a code of the app's own and a sentence for a person.
    pub fn refuse(code: impl Into<String>, message: impl Into<String>) -> Self {
        let code = shorten(code.into(), MAX_CODE);
        Self(Reason::Refused(Problem::new(Code(code.into()), shorten(message.into(), MAX_TEXT))))
    }

    /// Says that the handler could not do its work; the sentence goes to the device and to the log.
    pub fn fail(message: impl Into<String>) -> Self {
        Self(Reason::Failed(shorten(message.into(), MAX_TEXT)))
    }
}

fn shorten(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// One transaction that asks for an action, as its handler sees it.
pub struct Call<'c> {
    pub(crate) tx: &'c mut dyn StoreTx,
    pub(crate) plan: &'c Plan,
    pub(crate) push: &'c PushEntry,
    pub(crate) action: &'c Action,
    pub(crate) now_ms: u64,
    pub(crate) clock: &'c dyn Fn() -> Duration,
    pub(crate) until: Duration,
    /// What is left of what the device wants.
    pub(crate) operations: Vec<Operation>,
    pub(crate) added: Vec<Operation>,
    pub(crate) fault: Option<StoreError>,
    pub(crate) ids: u64,
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("action", &self.action)
            .field("operations", &self.operations)
            .finish_non_exhaustive()
    }
}

impl Call<'_> {
    /// The arguments that were given.
    pub fn args(&self) -> &Cells {
        &self.action.args
    }

    /// An argument; NULL when it was not given.
    pub fn arg(&self, name: &str) -> Value {
        self.action.args.get(name).cloned().unwrap_or_default()
    }

    /// Who asks, with the claims of their token.
    pub fn subject(&self) -> &Subject {
        &self.push.subject
    }

    /// The server's clock, milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// What the device wants to write, less what was dropped. It is applied under its subject's rights, which are looked at
    /// after the handler: what they do not allow is refused then.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// A row as it is now, before anything of this transaction.
    ///
    /// # Errors
    /// When the schema has no such table, the time is up, or the database fails.
    pub fn row(&mut self, table: &str, key: &RowKey) -> Result<Option<Cells>, Halt> {
        let at = self.table_at(table)?;
        let found = self.tx.row(at, key);
        self.found(found).map(|found| found.cells)
    }

    /// The rows with these values, in order of their keys, at most `limit`. The first condition is the one that the
    /// database looks for: let it be the one that few rows meet. A NULL is equal to nothing.
    ///
    /// # Errors
    /// As [`Call::row`]; when there is no condition, or more than [`MAX_ROWS`] rows meet the first one.
    pub fn find(&mut self, table: &str, equal: &[(&str, Value)], limit: usize) -> Result<Vec<(RowKey, Cells)>, Halt> {
        let at = self.table_at(table)?;
        for (column, value) in equal {
            let known = self.plan.table(at).column(column);
            if known.is_none_or(|known| !value.fits(known.ty)) {
                return Err(Halt::fail(format!("'{table}' has no column '{column}' that holds such a value")));
            }
        }
        let Some(((column, value), rest)) = equal.split_first() else {
            return Err(Halt::fail("a search needs a condition"));
        };
        let keys = self.tx.referrers(at, column, value, MAX_ROWS + 1);
        let keys = self.found(keys)?;
        if keys.len() > MAX_ROWS {
            return Err(Halt::fail(format!(
                "more than {MAX_ROWS} rows of '{table}' have this '{column}'; narrow it down"
            )));
        }
        let mut rows = Vec::new();
        for key in keys {
            if rows.len() == limit {
                break;
            }
            let Some(cells) = self.row(table, &key)? else { continue };
            if rest.iter().all(|(name, value)| cells.get(*name) == Some(value)) {
                rows.push((key, cells));
            }
        }
        Ok(rows)
    }

    /// Drops what the device wants to do to a row; whether there was such an operation. Its row is then as it was, for the
    /// device too, once the answer is there.
    pub fn drop_operation(&mut self, table: &str, key: &RowKey) -> bool {
        let before = self.operations.len();
        self.operations.retain(|operation| operation.table() != table || operation.key() != key);
        self.operations.len() < before
    }

    /// Adds a row, under the server's rights. What is left out has its column's default, or is NULL.
    ///
    /// # Errors
    /// When the schema has no such table, a part of the key is missing, or the time is up.
    pub fn insert(&mut self, table: &str, cells: &[(&str, Value)]) -> Result<RowKey, Halt> {
        let at = self.table_at(table)?;
        let mut row: Cells = cells.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let plan = self.plan;
        for column in &plan.table(at).columns {
            if let (false, Some(default)) = (row.contains_key(&column.name), &column.default) {
                let value = self.default(default, column.ty);
                row.insert(column.name.clone(), value);
            }
        }
        let known = plan.table(at);
        let Some(key) = known.key_of(&row) else {
            return Err(Halt::fail(format!(
                "a part of the key of '{table}' is missing: {}",
                known.primary_key.join(", ")
            )));
        };
        row.retain(|name, _| !known.is_key(name));
        // Where the row is there already, a counter that is not named goes on counting.
        let is_named = |column: &str| cells.iter().any(|(name, _)| *name == column);
        let write = |(name, value): (String, Value)| match known.column(&name).filter(|_| !is_named(&name)) {
            Some(column) => CellWrite::begins(column, value),
            None => CellWrite::new(name, value),
        };
        let cells = row.into_iter().map(write).collect();
        self.added.push(Operation::Insert { table: table.to_owned(), key: key.clone(), base: SEEN_ALL, cells });
        Ok(key)
    }

    /// Sets columns of a row, under the server's rights and after what the device does: `assigned` columns too. A row that
    /// is not there then refuses the transaction.
    ///
    /// # Errors
    /// When the schema has no such table, or the time is up.
    pub fn update(&mut self, table: &str, key: &RowKey, cells: &[(&str, Value)]) -> Result<(), Halt> {
        self.table_at(table)?;
        let write = |(name, value): &(&str, Value)| CellWrite::new(*name, value.clone());
        let cells = cells.iter().map(write).collect();
        self.added.push(Operation::Update { table: table.to_owned(), key: key.clone(), base: SEEN_ALL, cells });
        Ok(())
    }

    /// Deletes a row, under the server's rights and after what the device does.
    ///
    /// # Errors
    /// When the schema has no such table, or the time is up.
    pub fn delete(&mut self, table: &str, key: &RowKey) -> Result<(), Halt> {
        self.table_at(table)?;
        self.added.push(Operation::Delete { table: table.to_owned(), key: key.clone(), base: SEEN_ALL });
        Ok(())
    }

    /// A new uuid. The same call gives the same one, however often the transaction has to be decided.
    pub fn new_id(&mut self) -> Value {
        let txn = &self.push.entry.transaction;
        let mut seed = b"action".to_vec();
        seed.extend(txn.replica.0);
        seed.extend(txn.rseq.to_be_bytes());
        seed.extend(self.push.entry.hash);
        seed.extend(self.ids.to_be_bytes());
        self.ids += 1;
        let mut id = hash128(&seed);
        // Version 8: of the maker's own making. The variant of all uuids.
        id[6] = id[6] & 0x0f | 0x80;
        id[8] = id[8] & 0x3f | 0x80;
        Value::Uuid(id)
    }

    fn default(&mut self, default: &ColumnDefault, ty: ColumnType) -> Value {
        match (default, ty) {
            (ColumnDefault::Value(value), _) => value.clone(),
            (ColumnDefault::Uuid, _) => self.new_id(),
            (ColumnDefault::Now, ColumnType::Date) => Value::Date((self.now_ms / 86_400_000) as i32),
            (ColumnDefault::Now, _) => Value::Timestamp((self.now_ms * 1_000) as i64),
        }
    }

    fn table_at(&mut self, name: &str) -> Result<usize, Halt> {
        if self.is_late() {
            return Err(Halt::fail("it took longer than it may"));
        }
        let at = self.plan.table_at(name).filter(|at| self.plan.table(*at).sync);
        at.ok_or_else(|| Halt::fail(format!("the schema has no synced table '{name}'")))
    }

    pub(crate) fn is_late(&self) -> bool {
        (self.clock)() > self.until
    }

    /// A fault of the database is the server's, whatever the handler makes of it.
    fn found<T>(&mut self, result: Result<T, StoreError>) -> Result<T, Halt> {
        result.map_err(|error| {
            let halt = Halt::fail(format!("the database failed ({})", error.code()));
            self.fault.get_or_insert(error);
            halt
        })
    }
}

/// Whether what a handler adds shows that the handler is wrong, rather than what it was asked for.
pub(crate) fn is_handlers_fault(problem: &Problem) -> bool {
    [codes::UNKNOWN_NAME, codes::BAD_KEY, codes::WRONG_TYPE, codes::BAD_TRANSACTION].contains(&problem.code)
}
