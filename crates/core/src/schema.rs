//! The schema: tables, columns, rules, access, shapes. Declared in `landfall.toml`, compiled once, used everywhere.
//!
//! [`Schema`] is the compiled form: plain data, serialisable as JSON, already checked. Reading `landfall.toml` and its
//! SQL predicates needs the feature `text`; a device that has no parser receives the compiled form.

use crate::gather::Gather as _;
use crate::hash::{Cells, ContentHash, hash128};
use crate::key::RowKey;
use crate::predicate::Predicate;
use crate::rules::{MergeFunctions, MergeRule};
use crate::txn::Transaction;
use crate::value::{ColumnType, Value};

pub mod caching;
pub mod conflicts;
pub mod ddl;
pub mod docs;
pub mod history;
mod json;
mod pattern;
#[cfg(feature = "text")]
mod text;
mod upgrade;
mod validate;
pub mod versions;

pub use caching::Caching;
pub use conflicts::ConflictsOf;
pub use docs::DocsOf;
pub use history::{History, HistoryOf};
pub use pattern::Pattern;
#[cfg(feature = "text")]
pub use text::{Diagnostic, Diagnostics, MAX_COLUMNS, MAX_SCHEMA_BYTES, MAX_TABLES};
pub use upgrade::SchemaChange;
pub use validate::{MAX_KEY_BYTES, MAX_OPERATIONS, MAX_TRANSACTION_BYTES, MAX_VALUE_BYTES, TransactionLimits};
pub use versions::VersionsOf;

/// A compiled schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// The application's name; a database of another application is refused.
    pub name: String,
    /// The author's version number of the schema.
    pub version: u32,
    /// The tables, in order of declaration.
    pub tables: Vec<Table>,
    /// The shapes, in order of declaration.
    pub shapes: Vec<Shape>,
    /// The actions, in order of declaration.
    pub actions: Vec<ActionDef>,
    /// How fetched answers are kept that are not synced.
    pub cache: Caching,
    /// What a device's outbox may hold.
    pub outbox: OutboxLimits,
    /// How long a deleted row is remembered: what was written to it without knowing of the delete brings it back that long,
    /// and is refused after that (`LF-3002`). Milliseconds, a day to a hundred years; `None`: for good.
    pub tombstones_ms: Option<u64>,
}

/// What a device's outbox may hold. A write that would go beyond is refused, as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Most entries that are not settled, dead letters included: 1 to 10,000,000.
    pub max_entries: u64,
    /// Most bytes of them, as they travel: 1 kB to 64 GB.
    pub max_bytes: u64,
    /// A transaction that says again all that the one right before it said, within this time, takes that one up, as long
    /// as it was never handed to the network. Milliseconds; 0: never.
    pub collapse_ms: u64,
    /// A device that had no session with the server for longer than this holds back what it has to send, until the
    /// person has been told and lets it go. Milliseconds, 1 second to 366 days; 0: never.
    pub review_after_ms: u64,
    /// It does so when at least so many transactions are not decided: 1 to 10,000,000.
    pub review_entries: u64,
}

impl std::default::Default for OutboxLimits {
    fn default() -> Self {
        Self {
            max_entries: 250_000,
            max_bytes: 256_000_000,
            collapse_ms: 1_000,
            review_after_ms: 30 * 24 * 3_600 * 1_000,
            review_entries: 100,
        }
    }
}

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its name, in SQL and on the wire.
    pub name: String,
    /// Its columns, in order of declaration, key columns included.
    pub columns: Vec<Column>,
    /// Names of the key's columns, in key order.
    pub primary_key: Vec<String>,
    /// False: a local table, never sent.
    pub sync: bool,
    /// What a delete against a concurrent update means.
    pub on_delete_conflict: DeleteRule,
    /// Who may see and write which rows.
    pub access: Access,
    /// How its writes are sent.
    pub sending: Sending,
    /// Which of its rows may be written without a connection, where not all may: `offline = { schedule = … }`.
    pub schedule: Option<Schedule>,
    /// A search table (FTS5) over these text columns, kept by the engine under the name `<table>_search`.
    pub search: Vec<String>,
    /// It keeps its history, in a table of its own.
    pub history: Option<History>,
    /// It is the history of another table: only the server writes it.
    pub history_of: Option<HistoryOf>,
    /// It holds the conflicts of another table: only the server adds to it, and who resolves one deletes it.
    pub conflicts_of: Option<ConflictsOf>,
    /// Its columns of type `doc`: no cells of its rows, but documents of them, in a table of their own.
    pub docs: Vec<String>,
    /// It holds the documents of another table: to be added to, and nothing else.
    pub docs_of: Option<DocsOf>,
    /// People keep versions of its rows, in a table of their own.
    pub versions: bool,
    /// It holds the versions of another table: to be added to and deleted from, and never changed.
    pub versions_of: Option<VersionsOf>,
}

/// How the writes of a table, or the transactions with an action, are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// 0 to 100: what is more urgent is sent first. A transaction is as urgent as the most urgent table that it writes.
    pub priority: u8,
    /// How often the server may fail on a transaction before it gives it up: 1 to 20. A transaction may be tried as
    /// often as the most patient table that it writes allows. Network failures and a busy server do not count.
    pub attempts: u8,
    /// Whether it needs the server now.
    pub offline: Offline,
    /// It is not carried out later than this after it was written. Milliseconds, 1 second to 366 days.
    pub expires_ms: Option<u64>,
}

/// Whether a write may wait for the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, std::default::Default)]
pub enum Offline {
    /// It may.
    #[default]
    Queue,
    /// It needs the server now: refused while there is no connection.
    Deny,
}

/// What may be written without a connection when it is far enough ahead: a bill that is due in some days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The column that says when: a timestamp or a date (its beginning, by UTC).
    pub by: String,
    /// How far ahead it must be when it is written without a connection. Milliseconds.
    pub lead_ms: u64,
}

impl Sending {
    /// The largest priority.
    pub const MAX_PRIORITY: u8 = 100;
    /// The most attempts.
    pub const MAX_ATTEMPTS: u8 = 20;
    /// How long what needs the server now may be under way, unless its own `expires` says otherwise. Milliseconds.
    pub const UNDER_WAY_MS: u64 = 60_000;

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            priority: self.priority.max(other.priority),
            attempts: self.attempts.max(other.attempts),
            offline: self.offline.max(other.offline),
            expires_ms: [self.expires_ms, other.expires_ms].into_iter().flatten().min(),
        }
    }

    /// After how long it is not carried out any more. Milliseconds; `None`: never.
    pub fn lasts_ms(&self) -> Option<u64> {
        self.expires_ms.or((self.offline == Offline::Deny).then_some(Self::UNDER_WAY_MS))
    }
}

impl std::default::Default for Sending {
    fn default() -> Self {
        Self { priority: 50, attempts: 5, offline: Offline::Queue, expires_ms: None }
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name, in SQL and on the wire.
    pub name: String,
    /// Its type.
    pub ty: ColumnType,
    /// Whether NULL is refused.
    pub required: bool,
    /// What an insert that does not name the column gives it.
    pub default: Option<Default>,
    /// Most characters of a text (Unicode scalar values), most bytes of a bytes value.
    pub max_length: Option<u32>,
    /// A regular expression that a text must match as a whole.
    pub pattern: Option<Pattern>,
    /// The smallest allowed value.
    pub min: Option<Value>,
    /// The largest allowed value.
    pub max: Option<Value>,
    /// The only allowed values, when not empty.
    pub one_of: Vec<Value>,
    /// The row that this column refers to.
    pub references: Option<Reference>,
    /// No two rows have the same value (NULLs aside). Decided by the server.
    pub unique: bool,
    /// Where another row has the value of a unique text when it reaches the server, it gets a number behind it.
    pub renames: bool,
    /// What concurrent edits of the column mean.
    pub merge: MergeRule,
    /// Only an action's handler on the server gives it a value; NULL until then.
    pub assigned: bool,
}

/// A default value.
#[derive(Clone, Debug, PartialEq)]
pub enum Default {
    /// This value.
    Value(Value),
    /// The writer's clock at the time of the insert (timestamp and date columns).
    Now,
    /// A new uuid of version 7 (uuid columns).
    Uuid,
}

/// A reference to a row of another table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The other table; its primary key is one column of this column's type.
    pub table: String,
    /// What happens here when the row there is deleted.
    pub on_delete: OnDelete,
}

/// What a delete does to the rows that refer to the deleted row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDelete {
    /// The delete is refused while such rows exist.
    Restrict,
    /// They are deleted too.
    Cascade,
    /// Their column becomes NULL.
    SetNull,
    /// They go on naming a row that is not there; so may rows that are written later.
    KeepOrphan,
}

/// What a delete against a concurrent update means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, std::default::Default)]
pub enum DeleteRule {
    /// The row comes back, with the update.
    #[default]
    UpdateWins,
    /// The row goes.
    DeleteWins,
    /// The row stays, or comes back, with the update; and a person says whether it goes.
    Manual,
}

/// Access rules. A rule that is absent allows everything; claims are `claim('sub')` in SQL text.
#[derive(Clone, Debug, PartialEq, std::default::Default)]
pub struct Access {
    /// Which rows a subject may see. Part of every bucket's template.
    pub read: Option<Predicate>,
    /// Which rows may be inserted: tested on the new row.
    pub insert: Option<Predicate>,
    /// Which rows may be updated: tested on the row before and after.
    pub update: Option<Predicate>,
    /// Which rows may be deleted: tested on the row before.
    pub delete: Option<Predicate>,
}

/// A shape: a named part of the data that a device can hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Its name.
    pub name: String,
    /// Its root table.
    pub table: String,
    /// Which rows; absent: all that the read rule allows.
    pub filter: Option<Predicate>,
    /// Parameters that opening the shape must give, in order of declaration.
    pub params: Vec<Param>,
    /// The visible columns; absent: all. Key columns are always visible.
    pub columns: Option<Vec<String>>,
}

/// A parameter of a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name, `:name` in SQL text.
    pub name: String,
    /// Its type.
    pub ty: ColumnType,
}

/// An action: what a transaction may ask of the app's handler on the server.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionDef {
    /// Its name.
    pub name: String,
    /// How transactions with it are sent.
    pub sending: Sending,
    /// What may be asked for without a connection, where not all may: by an argument.
    pub schedule: Option<Schedule>,
    /// Its arguments, in order of declaration: each with a column's type and rules. One that refers to a table names a row
    /// that the handler is shown.
    pub args: Vec<Column>,
}

impl ActionDef {
    /// The argument of this name.
    pub fn arg(&self, name: &str) -> Option<&Column> {
        self.args.iter().find(|c| c.name == name)
    }
}

impl Schema {
    /// The table of this name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|t| t.name == name)
    }

    /// The shape of this name.
    pub fn shape(&self, name: &str) -> Option<&Shape> {
        self.shapes.iter().find(|s| s.name == name)
    }

    /// The action of this name.
    pub fn action(&self, name: &str) -> Option<&ActionDef> {
        self.actions.iter().find(|a| a.name == name)
    }

    /// How a transaction is sent: as its action and the tables that it writes say.
    pub fn sending(&self, transaction: &Transaction) -> Sending {
        let tables = transaction.operations.iter().filter_map(|operation| self.table(operation.table()));
        let action = transaction.action.as_ref().and_then(|action| self.action(&action.name));
        let all = tables.map(|table| table.sending).chain(action.map(|action| action.sending));
        all.reduce(Sending::and).unwrap_or_default()
    }

    /// The same schema with the app's functions for what is merged by `custom`. A server needs all of them
    /// ([`Schema::missing_functions`]); what a device does not have shows as it was written until the server has merged it.
    #[must_use]
    pub fn with_functions(mut self, functions: &MergeFunctions) -> Self {
        for column in self.tables.iter_mut().flat_map(|table| &mut table.columns) {
            column.merge = column.merge.with_functions(functions);
        }
        self
    }

    /// The columns whose function is not here: table, column and function.
    pub fn missing_functions(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let synced = self.tables.iter().filter(|table| table.sync);
        let columns = synced.flat_map(|table| table.columns.iter().map(move |column| (table, column)));
        columns.filter_map(|(table, column)| {
            let (function, is_known) = column.merge.function()?;
            (!is_known).then_some((table.name.as_str(), column.name.as_str(), function))
        })
    }

    /// Identifies the compiled content.
    pub fn hash(&self) -> ContentHash {
        hash128(self.to_json().as_bytes())
    }

    /// The compiled form as JSON.
    pub fn to_json(&self) -> String {
        json::write(self)
    }

    /// Reads the compiled form.
    ///
    /// # Errors
    /// When the text is not what [`Schema::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        json::read(&serde_json::from_str(text)?).map_err(serde::de::Error::custom)
    }
}

impl Column {
    /// A column without any rule: it may be NULL, and concurrent edits of it are `lww`.
    pub fn plain(name: impl Into<String>, ty: ColumnType) -> Self {
        Self {
            name: name.into(),
            ty,
            required: false,
            default: None,
            max_length: None,
            pattern: None,
            min: None,
            max: None,
            one_of: Vec::new(),
            references: None,
            unique: false,
            renames: false,
            merge: MergeRule::LWW,
            assigned: false,
        }
    }
}

impl Table {
    /// A synced table without any rule, whose key is its first column.
    ///
    /// ```
    /// use landfall_core::ColumnType;
    /// use landfall_core::schema::{Column, Table};
    ///
    /// let notes = Table::plain("notes", vec![Column::plain("id", ColumnType::Uuid)]);
    /// assert_eq!(notes.primary_key, ["id"]);
    /// ```
    pub fn plain(name: impl Into<String>, columns: Vec<Column>) -> Self {
        Self {
            name: name.into(),
            primary_key: columns.iter().take(1).map(|key| key.name.clone()).collect(),
            columns,
            sync: true,
            on_delete_conflict: DeleteRule::default(),
            access: Access::default(),
            sending: Sending::default(),
            schedule: None,
            search: Vec::new(),
            history: None,
            history_of: None,
            conflicts_of: None,
            docs: Vec::new(),
            docs_of: None,
            versions: false,
            versions_of: None,
        }
    }

    /// What concurrent edits of a column mean; of one that is not there they are `lww`.
    pub fn rule(&self, column: &str) -> MergeRule {
        self.column(column).map_or(MergeRule::LWW, |column| column.merge.clone())
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// Whether the column is part of the primary key.
    pub fn is_key(&self, column: &str) -> bool {
        self.primary_key.iter().any(|k| k == column)
    }

    /// The columns that are not part of the primary key.
    pub fn data_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|c| !self.is_key(&c.name))
    }

    /// The key's columns, in key order.
    pub fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.primary_key.iter().filter_map(|k| self.column(k))
    }

    /// The key of a row that holds all key columns; `None` when one is missing or NULL.
    pub fn key_of(&self, cells: &Cells) -> Option<RowKey> {
        let part = |k: &String| cells.get(k).filter(|v| !v.is_null()).cloned();
        self.primary_key.iter().map(part).collect::<Option<Vec<_>>>().map(RowKey)
    }

    /// The key's columns with the values of `key`.
    pub fn key_cells(&self, key: &RowKey) -> Cells {
        self.primary_key.iter().cloned().zip(key.0.iter().cloned()).gather()
    }
}

impl Shape {
    /// The columns of `table` that this shape shows, key columns first as declared.
    pub fn visible_columns<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = &'a Column> {
        table
            .columns
            .iter()
            .filter(move |c| table.is_key(&c.name) || self.columns.as_ref().is_none_or(|list| list.contains(&c.name)))
    }
}
