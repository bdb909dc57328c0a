//! First load: a chunk is a run of rows in key order. Rows that nothing else here knows of, which is nearly all of them,
//! cost one insert and one bookkeeping row each, many to a statement.

use landfall_core::flat::FlatSet;
use landfall_core::schema::Table;
use landfall_core::{RowKey, Value};
use landfall_protocol::server::Chunk;

use super::Database;
use super::apply::Incoming;
use super::bookkeeping::{Bucket, BucketState};
use super::buckets::bad;
use super::bulk::Arriving;
use super::error::DbError;
use super::overlay::Batch;
use crate::changes::ChangeSet;

/// Where each column of the app's table stands in the chunk.
struct Layout<'a> {
    /// By position in the app's table: the chunk's values; `None`: the bucket does not show the column.
    columns: Vec<Option<&'a Vec<Value>>>,
    /// The key's columns, in key order.
    key: Vec<&'a Vec<Value>>,
}

impl Layout<'_> {
    /// The rows' keys in stored form.
    fn keys(&self, table: &Table, rows: usize) -> Result<Vec<Vec<u8>>, DbError> {
        let types: Vec<_> = table.key_columns().map(|c| c.ty).collect();
        let key = |at: usize| {
            let parts = || self.key.iter().map(|values| &values[at]);
            if parts().zip(&types).any(|(value, ty)| value.is_null() || !value.fits(*ty)) {
                return Err(bad("a chunk row whose key is not of the table's types".into()));
            }
            Ok(RowKey::bytes_of(parts()))
        };
        (0..rows).map(key).collect()
    }
}

impl Database {
    /// Applies a chunk of a bucket that is loading, in one transaction. The change is announced for the table as a
    /// whole. A chunk of a bucket that is not loading is ignored.
    ///
    /// # Errors
    /// [`DbError::ServerData`] when it does not fit what the bucket announced; nothing is applied then.
    pub fn apply_chunk(&mut self, chunk: &Chunk) -> Result<ChangeSet, DbError> {
        let loading = |b: &&Bucket| b.state == BucketState::Loading;
        let Some(bucket) = self.memory.buckets.get(&chunk.bucket).filter(loading).cloned() else {
            return Ok(ChangeSet::default());
        };
        let now_ms = self.shared.lock().now_ms;
        self.quiet = self.without_triggers(&bucket)?;
        // The last chunk's commit takes those before it to the disk. Until then a power cut costs chunks, not their order.
        self.lazy = chunk.next.is_some() || (chunk.digests.is_none() && bucket.todo.len() > 1);
        let result = self.apply(now_ms, |db, changes| match &chunk.digests {
            Some(digests) => db.reconcile(chunk, digests, bucket, changes),
            None => db.load_chunk(chunk, bucket, changes),
        });
        (self.lazy, self.quiet) = (false, false);
        result
    }

    /// Whether the table's triggers have nothing to do in a load: only the guards are there.
    fn without_triggers(&self, bucket: &Bucket) -> Result<bool, DbError> {
        Ok(!self.has_triggers && self.tables.by_id(bucket.table)?.table.search.is_empty())
    }

    fn load_chunk(&mut self, chunk: &Chunk, mut bucket: Bucket, changes: &mut ChangeSet) -> Result<(), DbError> {
        let id = chunk.bucket;
        let known = self.insert_fresh(chunk, &bucket)?;
        let mut batch = Batch::default();
        self.reconciled.fetched += chunk.rows.len() as u64;
        for at in known {
            self.merge_row(chunk, &bucket, at, &mut batch)?;
        }
        self.flush(batch, changes)?;
        let name = self.tables.by_id(bucket.table)?.name().to_owned();
        changes.rows.remove(&name);
        if !chunk.rows.is_empty() {
            changes.bulk.insert(name);
        }
        bucket.need = bucket.need.max(chunk.read_at);
        bucket.rows += chunk.rows.len() as u64;
        if !bucket.todo.is_empty() {
            bucket.todo.remove(0);
        }
        if let Some(next) = &chunk.next {
            bucket.todo.insert(0, next.clone());
        }
        if bucket.todo.is_empty() {
            bucket.state = BucketState::CatchingUp;
        }
        self.save_bucket(id, bucket)
    }

    /// Inserts the rows that are not known here; the positions of those that are.
    fn insert_fresh(&mut self, chunk: &Chunk, bucket: &Bucket) -> Result<Vec<usize>, DbError> {
        let set = self.intern(&FlatSet::from([chunk.bucket]))?;
        let app = self.tables.by_id(bucket.table)?;
        let layout = layout(chunk, bucket, &app.table)?;
        let keys = layout.keys(&app.table, chunk.rows.len())?;
        let (seqs, columns) = (&chunk.rows.seqs, &layout.columns);
        Arriving { conn: &self.conn, app, set, keys: &keys, seqs, columns }.insert_unknown()
    }

    /// A row that another bucket holds, or on which work is pending.
    fn merge_row(&mut self, chunk: &Chunk, bucket: &Bucket, at: usize, batch: &mut Batch) -> Result<(), DbError> {
        let keys = self.tables.by_id(bucket.table)?.table.primary_key.len();
        let value = |column: usize| chunk.rows.columns.get(column).and_then(|(_, values)| values.get(at)).cloned();
        let key = (0..keys).map(value).collect::<Option<Vec<_>>>().map(RowKey);
        let key = key.ok_or_else(|| bad("a chunk without its key".into()))?;
        let cells: Vec<(u16, Value)> =
            (keys..chunk.rows.columns.len()).filter_map(|c| Some((c as u16, value(c)?))).collect();
        let seq = chunk.rows.seqs.get(at).copied().unwrap_or(0);
        let incoming = Incoming { bucket: chunk.bucket, seq, key: &key, whole: true, cells: &cells };
        self.reconciled.healed += u64::from(self.is_diverged(bucket, &incoming, chunk.read_at, batch)?);
        self.take(bucket, &incoming, batch)
    }
}

fn layout<'a>(chunk: &'a Chunk, bucket: &Bucket, table: &Table) -> Result<Layout<'a>, DbError> {
    if chunk.rows.columns.len() != bucket.columns.len() {
        return Err(bad(format!(
            "a chunk of {} columns for a bucket of {}",
            chunk.rows.columns.len(),
            bucket.columns.len()
        )));
    }
    let rows = chunk.rows.seqs.len();
    let mut by_name: landfall_core::flat::FlatMap<&str, &Vec<Value>> = landfall_core::flat::FlatMap::new();
    for ((name, ty), (found, values)) in bucket.columns.iter().zip(&chunk.rows.columns) {
        let wrong_ty = table.column(name).is_some_and(|c| c.ty != *found);
        if found != ty || wrong_ty || values.len() != rows {
            return Err(bad(format!("a chunk whose column '{name}' is not what the bucket announced")));
        }
        if values.iter().any(|v| !v.fits(*ty)) {
            return Err(bad(format!("a chunk with a value for '{name}' that is not of type {ty}")));
        }
        by_name.insert(name, values);
    }
    let columns = table.columns.iter().map(|c| by_name.get(c.name.as_str()).copied()).collect();
    let key = table.primary_key.iter().map(|k| by_name.get(k.as_str()).copied()).collect::<Option<Vec<_>>>();
    let key = key.ok_or_else(|| bad("a chunk without its key".into()))?;
    Ok(Layout { columns, key })
}
