//! What the schema asks of rows, prepared once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use landfall_core::error::codes;
use landfall_core::hash::ChainKey;
use landfall_core::schema::{Default, OnDelete, Schema, Table};
use landfall_core::value::{format_date, parse_date};
use landfall_core::{CellWrite, Operation, Problem, RowKey, Transaction, Value};

/// A schema with what the commit path looks up in it.
#[derive(Debug)]
pub struct Plan {
    schema: Arc<Schema>,
    chain_key: ChainKey,
    positions: BTreeMap<String, usize>,
    /// For each table, the columns of other tables that refer to it.
    referrers: Vec<Vec<Referrer>>,
    /// For each table, (column, table that it refers to).
    references: Vec<Vec<(String, usize)>>,
    /// For each table, its unique columns.
    uniques: Vec<Vec<String>>,
    /// By table that keeps its history: its position, and that of its history.
    histories: BTreeMap<String, (usize, usize)>,
    /// By position of a table, that of its conflicts.
    conflicts: BTreeMap<usize, usize>,
    /// By position of a table that has documents, that of the table in which they are.
    docs: BTreeMap<usize, usize>,
    docs_together: usize,
}

/// A column that refers to a table.
#[derive(Clone, Debug)]
pub(super) struct Referrer {
    pub(super) table: usize,
    pub(super) column: String,
    pub(super) on_delete: OnDelete,
}

impl Plan {
    /// Prepares a checked schema, for a store that signs its chain values with `chain_key`.
    pub fn new(schema: Arc<Schema>, chain_key: ChainKey) -> Self {
        let positions: BTreeMap<_, _> = schema.tables.iter().enumerate().map(|(at, t)| (t.name.clone(), at)).collect();
        let mut referrers = vec![Vec::new(); schema.tables.len()];
        let mut references = vec![Vec::new(); schema.tables.len()];
        let synced = schema.tables.iter().enumerate().filter(|(_, t)| t.sync);
        for (table, column, reference) in
            synced.flat_map(|(at, t)| t.columns.iter().filter_map(move |c| Some((at, c, c.references.as_ref()?))))
        {
            let on_delete = reference.on_delete;
            // Nobody asks whether there is such a row.
            let asked = positions.get(&reference.table).filter(|_| on_delete != OnDelete::KeepOrphan);
            if let Some(&target) = asked {
                referrers[target].push(Referrer { table, column: column.name.clone(), on_delete });
                references[table].push((column.name.clone(), target));
            }
        }
        let unique = |t: &Table| t.columns.iter().filter(|c| c.unique).map(|c| c.name.clone()).collect();
        let uniques = schema.tables.iter().map(unique).collect();
        let history = |(at, t): (usize, &Table)| {
            Some((t.name.clone(), (at, *positions.get(&t.history_table()).filter(|_| t.history.is_some())?)))
        };
        let histories = schema.tables.iter().enumerate().filter_map(history).collect();
        let conflicts =
            |(at, t): (usize, &Table)| Some((at, *positions.get(&t.conflicts_table()).filter(|_| t.may_conflict())?));
        let conflicts = schema.tables.iter().enumerate().filter_map(conflicts).collect();
        let docs = |(at, t): (usize, &Table)| Some((*positions.get(&t.docs_of.as_ref()?.table)?, at));
        let docs = schema.tables.iter().enumerate().filter_map(docs).collect();
        Self {
            schema,
            chain_key,
            positions,
            referrers,
            references,
            uniques,
            histories,
            conflicts,
            docs,
            docs_together: 48,
        }
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// What signs chain values.
    pub fn chain_key(&self) -> &ChainKey {
        &self.chain_key
    }

    /// The position of a table.
    pub(crate) fn table_at(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// The table at a position that this plan gave.
    pub(crate) fn table(&self, at: usize) -> &Table {
        &self.schema.tables[at]
    }

    /// The positions of a table that keeps its history, and of that.
    pub(crate) fn history(&self, table: &str) -> Option<(usize, usize)> {
        self.histories.get(table).copied()
    }

    /// The position of a table's conflicts.
    pub(super) fn conflicts(&self, table: usize) -> Option<usize> {
        self.conflicts.get(&table).copied()
    }

    /// So many updates of a document at least become one.
    #[must_use]
    pub fn with_docs_together(self, docs_together: usize) -> Self {
        Self { docs_together, ..self }
    }

    /// How many updates of a document at least become one.
    pub(super) fn docs_together(&self) -> usize {
        self.docs_together
    }

    /// Whether any table has documents.
    pub(super) fn has_docs(&self) -> bool {
        !self.docs.is_empty()
    }

    /// The position of the table in which a table's documents are.
    pub(super) fn docs_of(&self, table: usize) -> Option<usize> {
        self.docs.get(&table).copied()
    }

    /// The position of the table whose documents are in this one.
    pub(super) fn parent_of_docs(&self, docs: usize) -> Option<usize> {
        self.docs.iter().find(|(_, at)| **at == docs).map(|(parent, _)| *parent)
    }

    /// The positions of a table of documents, and of the one whose they are.
    pub(super) fn docs_named(&self, table: &str) -> Option<(usize, usize)> {
        let docs = self.table_at(table)?;
        Some((docs, self.parent_of_docs(docs)?))
    }

    pub(super) fn referrers(&self, table: usize) -> &[Referrer] {
        &self.referrers[table]
    }

    pub(super) fn references(&self, table: usize) -> &[(String, usize)] {
        &self.references[table]
    }

    pub(super) fn uniques(&self, table: usize) -> &[String] {
        &self.uniques[table]
    }

    /// Checks a transaction by itself and gives its operations as they are to be stored.
    ///
    /// # Errors
    /// The first problem.
    pub(super) fn prepare<'t>(&self, txn: &'t Transaction) -> Result<Cow<'t, [Operation]>, Problem> {
        self.schema.check_transaction(txn, &super::limits())?;
        let mut operations = Cow::Borrowed(&txn.operations[..]);
        for (at, operation) in txn.operations.iter().enumerate() {
            let Some(table) = self.schema.table(operation.table()) else {
                continue;
            };
            operation
                .key()
                .0
                .iter()
                .try_for_each(|v| check_storable(v).map_err(|p| p.row(&table.name, operation.key())))?;
            if let Some(adjusted) = adjust(table, operation)? {
                operations.to_mut()[at] = adjusted;
            }
        }
        Ok(operations)
    }
}

impl Plan {
    /// Checks operations of the server's own, each by itself, and gives them as they are to be stored.
    ///
    /// # Errors
    /// The first problem.
    pub(super) fn prepare_added(&self, mut operations: Vec<Operation>) -> Result<Vec<Operation>, Problem> {
        for operation in &mut operations {
            self.schema.check_operation(operation, &super::limits())?;
            let Some(table) = self.schema.table(operation.table()) else { continue };
            if let Some(adjusted) = adjust(table, operation)? {
                *operation = adjusted;
            }
        }
        Ok(operations)
    }
}

/// The operation with json in canonical form, and with the constant defaults of required columns that a writer with an
/// older schema does not know; `None` when it is so already.
fn adjust(table: &Table, operation: &Operation) -> Result<Option<Operation>, Problem> {
    let mut adjusted: Option<Operation> = None;
    for (at, write) in operation.cells().iter().enumerate() {
        let about = |p: Problem| p.row(&table.name, operation.key()).column(&write.column);
        check_storable(&write.value).map_err(about)?;
        if let Value::Json(text) = &write.value {
            let parsed: serde_json::Value = serde_json::from_str(text)
                .map_err(|e| about(Problem::new(codes::WRONG_TYPE, format!("the value is not JSON ({e})"))))?;
            let column = table.column(&write.column).filter(|_| write.change.is_none());
            let canonical = Value::json(&parsed);
            let canonical = column.map_or(canonical.clone(), |column| column.merge.canonical(canonical));
            if canonical != write.value
                && let Some(cells) = cells_mut(adjusted.get_or_insert_with(|| operation.clone()))
            {
                cells[at].value = canonical;
            }
        }
    }
    if let Operation::Insert { cells, .. } = operation {
        let silent = |name: &str| !cells.iter().any(|c| c.column == name);
        for column in table.data_columns().filter(|c| c.required && silent(&c.name)) {
            if let (Some(Default::Value(value)), Some(cells)) =
                (&column.default, cells_mut(adjusted.get_or_insert_with(|| operation.clone())))
            {
                cells.push(CellWrite::begins(column, value.clone()));
            }
        }
    }
    Ok(adjusted)
}

fn cells_mut(operation: &mut Operation) -> Option<&mut Vec<CellWrite>> {
    match operation {
        Operation::Insert { cells, .. } | Operation::Update { cells, .. } => Some(cells),
        Operation::Delete { .. } => None,
    }
}

/// Whether the value reads back as it is stored.
fn check_storable(value: &Value) -> Result<(), Problem> {
    match value {
        Value::Date(days) if parse_date(&format_date(*days)) != Some(*days) => {
            Err(Problem::new(codes::OUT_OF_RANGE, "the date is outside the years 0000 to 9999"))
        }
        _ => Ok(()),
    }
}

/// The key of the row that a reference names.
pub(super) fn referred(value: &Value) -> RowKey {
    RowKey::single(value.clone())
}
