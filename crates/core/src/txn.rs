//! Transactions: the atomic unit of writing, identified by (replica, replica sequence, content hash).

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::error::{Problem, codes};
use crate::hash::{Cells, ContentHash, hash128};
use crate::id::ReplicaId;
use crate::key::RowKey;
use crate::rules::{Changed, Hand, Held, Yielded};
use crate::schema::{Column, Default, MAX_VALUE_BYTES, Table};
use crate::stamp::Stamp;
use crate::value::Value;

/// How a write changes what is there, where it does not replace it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// `counter`: the value is added to what is there.
    #[n(0)]
    Add,
    /// `set`, `map`: parts of what is there are changed, as the value says in the rule's own form.
    #[n(1)]
    Edit,
}

/// One changed column of a row.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct CellWrite {
    /// The column.
    #[n(0)]
    pub column: String,
    /// What it becomes; of a change, what is done to it.
    #[n(1)]
    pub value: Value,
    /// The base of this cell where it differs from the operation's (a column that came through another bucket).
    #[n(2)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<u64>,
    /// The value is not what the cell becomes, but changes what it is then: as the column's rule says.
    #[n(3)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
}

impl CellWrite {
    /// The cell becomes this, and has the base of its operation.
    ///
    /// ```
    /// use landfall_core::{CellWrite, Value};
    ///
    /// assert_eq!(CellWrite::new("title", Value::Null).change, None);
    /// ```
    pub fn new(column: impl Into<String>, value: Value) -> Self {
        Self { column: column.into(), value, base: None, change: None }
    }

    /// What the cell holds after this write, where it held `before`.
    ///
    /// # Errors
    /// LF-3006 when a change leads out of the column's range; what the column's own rules say of the outcome of a change.
    pub fn over(&self, column: &Column, before: &Value) -> Result<Value, Problem> {
        if self.change.is_none() {
            return Ok(self.value.clone());
        }
        self.shown(column, column.merge.applied(before, &self.value))
    }

    /// What a device shows of a change: where the column refuses what a function of the app's made of it, what was written.
    fn shown(&self, column: &Column, after: Option<Value>) -> Result<Value, Problem> {
        self.outcome(column, after).or_else(|problem| {
            let alone = column.merge.function().and_then(|_| column.merge.alone(&self.value));
            alone.map(|alone| alone.value).filter(|value| column.check(value).is_none()).ok_or(problem)
        })
    }

    /// What a column begins with, as it travels: where its rule knows changes, as the change of nothing to that.
    pub fn begins(column: &Column, value: Value) -> Self {
        let began =
            column.merge.change().and_then(|change| Some((change, column.merge.between(&Value::Null, &value)?)));
        match began {
            Some((change, value)) => Self { change: Some(change), ..Self::new(&column.name, value) },
            None => Self::new(&column.name, value),
        }
    }

    /// As [`CellWrite::over`], by an insert of a row that is there already; `base`: as of when its author knew of the row.
    /// Who makes a row says what it begins with. That is nothing to be counted in a row that the author had seen, and to one
    /// that somebody else made meanwhile it is what goes beyond the column's default.
    ///
    /// # Errors
    /// As [`CellWrite::over`].
    pub fn made_over(&self, column: &Column, before: &Value, base: u64) -> Result<Value, Problem> {
        if self.change.is_none() {
            return Ok(self.value.clone());
        }
        if self.base.unwrap_or(base) > 0 && !column.merge.is_repeatable() {
            return Ok(before.clone());
        }
        self.shown(column, column.merge.applied(before, &self.beyond_default(column)))
    }

    /// What an insert adds to a row that somebody else made meanwhile: what it says beyond the column's default.
    fn beyond_default(&self, column: &Column) -> Value {
        let begins = match &column.default {
            Some(Default::Value(value)) => value,
            _ => &Value::Null,
        };
        let made = column.merge.applied(&Value::Null, &self.value);
        made.and_then(|made| column.merge.between(begins, &made)).unwrap_or_else(|| self.value.clone())
    }

    /// What the server makes of a cell. `inserts`: as by [`CellWrite::made_over`], for an operation with this base.
    ///
    /// # Errors
    /// As [`CellWrite::over`].
    pub(crate) fn on_server(
        &self,
        column: &Column,
        held: &Held<'_>,
        hand: &Hand<'_>,
        inserts: bool,
    ) -> Result<Changed, Problem> {
        let whole = |value: &Value| Changed::to(value.clone());
        let changed = match self.change {
            // Who writes a value over parts changes those in which it differs.
            None => match column
                .merge
                .between(held.value, &self.value)
                .filter(|_| column.merge.change() == Some(Change::Edit))
            {
                Some(change) => {
                    let changed = column.merge.changed(held, &change, hand);
                    return Ok(
                        changed.map_or_else(|| whole(&self.value), |c| Changed { value: self.value.clone(), ..c })
                    );
                }
                None => return Ok(whole(&self.value)),
            },
            Some(_) if inserts && hand.base > 0 && !column.merge.is_repeatable() => {
                return Ok(Changed { state: held.state.cloned(), ..whole(held.value) });
            }
            Some(_) if inserts => column.merge.changed(held, &self.beyond_default(column), hand),
            Some(_) => column.merge.changed(held, &self.value, hand),
        };
        let Some(changed) = changed else { return self.outcome(column, None).map(Changed::to) };
        match self.outcome(column, Some(changed.value)) {
            Ok(value) => Ok(Changed { value, ..changed }),
            // What both make together is not allowed, where each by itself was: a person has to say.
            Err(problem) => {
                match column.merge.alone(&self.value).filter(|alone| column.check(&alone.value).is_none()) {
                    Some(yielded) => {
                        let wrong = |(name, _)| {
                            format!("the merge function '{name}' gave what the column refuses: {}", problem.message)
                        };
                        let yielded = Some(Yielded { fault: column.merge.function().map(wrong), ..yielded });
                        Ok(Changed { lost: true, yielded, ..whole(held.value) })
                    }
                    None => Err(problem),
                }
            }
        }
    }

    fn outcome(&self, column: &Column, after: Option<Value>) -> Result<Value, Problem> {
        let after = after.ok_or_else(|| {
            let text = "what comes of the change cannot be stored; change it by less";
            Problem::new(codes::OUT_OF_RANGE, text).column(&self.column)
        })?;
        if after.size() > MAX_VALUE_BYTES {
            let text = format!("with the change it has more than {MAX_VALUE_BYTES} bytes; remove something first");
            return Err(Problem::new(codes::TOO_LONG, text).column(&self.column));
        }
        column.check(&after).map_or(Ok(after), Err)
    }
}

/// One change to one row. Within a transaction each row occurs at most once: changes are net.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// A new row.
    #[n(0)]
    Insert {
        /// The table.
        #[n(0)]
        table: String,
        /// The new row's key.
        #[n(1)]
        key: RowKey,
        /// The base: 0 when the author held no confirmed copy of the row.
        #[n(2)]
        base: u64,
        /// All columns but the key's that have a value.
        #[n(3)]
        cells: Vec<CellWrite>,
    },
    /// Changed columns of a row that is there.
    #[n(1)]
    Update {
        /// The table.
        #[n(0)]
        table: String,
        /// The row.
        #[n(1)]
        key: RowKey,
        /// The server sequence up to which the author's confirmed copy was current.
        #[n(2)]
        base: u64,
        /// The changed columns only.
        #[n(3)]
        cells: Vec<CellWrite>,
    },
    /// The row goes. What the schema says follows it (cascades) is carried out by the server.
    #[n(2)]
    Delete {
        /// The table.
        #[n(0)]
        table: String,
        /// The row.
        #[n(1)]
        key: RowKey,
        /// The server sequence up to which the author's confirmed copy was current.
        #[n(2)]
        base: u64,
    },
}

impl Operation {
    /// Lowers its bases to at most `seq`: what the author saw after that is not known here.
    pub fn limit_base(&mut self, seq: u64) {
        let (base, cells) = match self {
            Self::Insert { base, cells, .. } | Self::Update { base, cells, .. } => (base, cells.as_mut_slice()),
            Self::Delete { base, .. } => (base, [].as_mut_slice()),
        };
        *base = seq.min(*base);
        for base in cells.iter_mut().filter_map(|cell| cell.base.as_mut()) {
            *base = seq.min(*base);
        }
    }

    /// The newest sequence that its author says to have seen.
    pub fn newest_base(&self) -> u64 {
        let (Self::Insert { base, .. } | Self::Update { base, .. } | Self::Delete { base, .. }) = self;
        self.cells().iter().filter_map(|cell| cell.base).fold(*base, u64::max)
    }

    /// The table that it changes.
    pub fn table(&self) -> &str {
        match self {
            Self::Insert { table, .. } | Self::Update { table, .. } | Self::Delete { table, .. } => table,
        }
    }

    /// The row that it changes.
    pub fn key(&self) -> &RowKey {
        match self {
            Self::Insert { key, .. } | Self::Update { key, .. } | Self::Delete { key, .. } => key,
        }
    }

    /// The columns that it writes; none for a delete.
    pub fn cells(&self) -> &[CellWrite] {
        match self {
            Self::Insert { cells, .. } | Self::Update { cells, .. } => cells,
            Self::Delete { .. } => &[],
        }
    }

    /// What is written into a column.
    pub fn value(&self, column: &str) -> Option<&Value> {
        self.cells().iter().find(|cell| cell.column == column).map(|cell| &cell.value)
    }

    /// The row that it leaves behind when it lies over `row`, as a device shows it while it is pending: the columns' rules
    /// say what is shown of both. `None` when there is no row afterwards.
    pub fn preview(&self, row: Option<Cells>, table: &Table) -> Option<Cells> {
        self.preview_but(row, table, |_| false)
    }

    /// As [`Operation::preview`], over a row that has some of the changes already: those of the columns that `has` names are
    /// not made again.
    pub fn preview_but(&self, row: Option<Cells>, table: &Table, has: impl Fn(&CellWrite) -> bool) -> Option<Cells> {
        let made_over = match (self, &row) {
            (Self::Insert { base, .. }, Some(_)) => Some(*base),
            _ => None,
        };
        let mut cells = match (self, row) {
            (Self::Delete { .. }, _) => return None,
            (Self::Update { .. }, None) => return None,
            (_, Some(row)) => row,
            (Self::Insert { .. }, None) => table.key_cells(self.key()),
        };
        for write in self.cells() {
            let cell = cells.entry(write.column.clone()).or_default();
            if write.change.is_none() {
                *cell = table.rule(&write.column).over(std::mem::take(cell), &write.value);
            } else if let Some(column) = table.column(&write.column).filter(|_| !has(write)) {
                let after = match made_over {
                    Some(base) => write.made_over(column, cell, base),
                    None => write.over(column, cell),
                };
                // What cannot be is refused by the server; until then what is confirmed is shown.
                *cell = after.unwrap_or_else(|_| std::mem::take(cell));
            }
        }
        Some(cells)
    }
}

/// What a transaction was when it was queued first, when its database has taken another replica id since, or rewritten it.
/// Other copies of that database may bring the same transaction, as it was or under an identity of their own: it is decided
/// once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub struct Origin {
    /// The replica that wrote it.
    #[n(0)]
    pub replica: ReplicaId,
    /// Its number there.
    #[n(1)]
    pub rseq: u64,
    /// The hash of its content there ([`Transaction::content_hash`]).
    #[cbor(n(2), with = "minicbor::bytes")]
    #[serde(with = "hash_text")]
    pub hash: ContentHash,
}

/// In JSON a hash is text, as bytes are.
#[doc(hidden)]
pub mod hash_text {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::hash::ContentHash;
    use crate::value::json::{base64, unbase64};

    #[allow(missing_docs, reason = "for serde")]
    pub fn serialize<S: Serializer>(hash: &ContentHash, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&base64(hash))
    }

    #[allow(missing_docs, reason = "for serde")]
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ContentHash, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = unbase64(&text).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| serde::de::Error::custom("a content hash is base64 of 16 bytes"))
    }
}

/// What a transaction asks of the app's handler on the server, beside what it writes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Action {
    /// Its name, one of the schema's.
    #[n(0)]
    pub name: String,
    /// The arguments. One that is absent is NULL.
    #[n(1)]
    pub args: Cells,
}

/// A transaction as it travels and as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Transaction {
    /// Who wrote.
    #[n(0)]
    pub replica: ReplicaId,
    /// The replica's own number for it: from 1, without reuse.
    #[n(1)]
    pub rseq: u64,
    /// When, by the replica's clock.
    #[n(2)]
    pub stamp: Stamp,
    /// The net changes, at most one per row.
    #[n(3)]
    pub operations: Vec<Operation>,
    /// Earlier transactions of this replica that must be decided first (order): the server holds or returns this one
    /// until they are.
    #[n(4)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<u64>,
    /// Earlier transactions of this replica whose refusal takes this one along (fate). A subset of `after`.
    #[n(5)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<u64>,
    /// What it was before its database took another replica id, or rewrote it.
    #[n(6)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What it asks of the app's handler.
    #[n(7)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// It is refused when it is not decided by then, by the server's clock. Milliseconds since the Unix epoch.
    #[n(8)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
}

impl Action {
    /// Bytes of name and arguments, roughly; for limits.
    pub fn size(&self) -> usize {
        self.name.len() + self.args.iter().map(|(name, value)| name.len() + value.size()).sum::<usize>()
    }
}

impl Transaction {
    /// The canonical bytes, over which the content hash is taken.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Writing to a Vec cannot fail.
        minicbor::to_vec(self).unwrap_or_default()
    }

    /// The content hash: over exactly the bytes that travel ([`Transaction::to_bytes`]).
    pub fn content_hash(&self) -> ContentHash {
        hash128(&self.to_bytes())
    }

    /// Takes note of what it is, before it becomes anything else. What it was first stays.
    pub fn keep_origin(&mut self) {
        if self.origin.is_none() {
            self.origin = Some(Origin { replica: self.replica, rseq: self.rseq, hash: self.content_hash() });
        }
    }

    /// It goes on under another name, and remembers what it was first.
    pub fn go_on_as(&mut self, replica: ReplicaId, rseq: u64) {
        self.keep_origin();
        (self.replica, self.stamp.replica, self.rseq) = (replica, replica, rseq);
    }

    /// Bytes of all values, keys and arguments, roughly; for limits.
    pub fn size(&self) -> usize {
        let cell = |c: &CellWrite| c.column.len() + c.value.size();
        let key = |o: &Operation| o.key().0.iter().map(Value::size).sum::<usize>();
        let one = |o: &Operation| o.table().len() + 16 + key(o) + o.cells().iter().map(cell).sum::<usize>();
        self.operations.iter().map(one).sum::<usize>() + self.action.as_ref().map_or(0, Action::size)
    }
}

/// An opaque run of bytes on the wire.
pub type Bytes = ByteVec;
