//! From one version of a schema to the next, over data that is already stored.

use super::{Column, Default, Schema, Table};
use crate::ColumnType;
use crate::error::{Problem, codes};

/// One difference between two versions of a schema that stored data can follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaChange {
    /// A new table.
    TableAdded {
        /// The table.
        table: String,
    },
    /// A new column; rows that are there take its constant default, or NULL.
    ColumnAdded {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// Other validation, default, uniqueness or on-delete rule. Rows that are there are not judged again until they
    /// are next written.
    RulesChanged {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// Another rule for a delete against a concurrent update.
    DeleteRuleChanged {
        /// The table.
        table: String,
    },
    /// Another priority, or number of attempts, for what is written from now on.
    SendingChanged {
        /// The table.
        table: String,
    },
    /// Its history is kept from now on, or for another time.
    HistoryChanged {
        /// The table.
        table: String,
    },
    /// Another limit, or other policies, for fetched answers.
    CachingChanged,
    /// Other access rules: the buckets of the table's shapes are compiled anew.
    AccessChanged {
        /// The table.
        table: String,
    },
    /// The search table is made, remade or dropped.
    SearchChanged {
        /// The table.
        table: String,
    },
    /// A new shape.
    ShapeAdded {
        /// The shape.
        shape: String,
    },
    /// Another table, condition, parameter or column list: its buckets are compiled anew.
    ShapeChanged {
        /// The shape.
        shape: String,
    },
    /// A shape that is no longer offered.
    ShapeRemoved {
        /// The shape.
        shape: String,
    },
    /// An action that is new, has other arguments or another priority, or is gone. Transactions that wait with it are
    /// judged by what the server's schema says when they arrive.
    ActionChanged {
        /// The action.
        action: String,
    },
}

impl Schema {
    /// What changes from `old`, under which data is stored, to `new`; empty when nothing does.
    ///
    /// The statements that follow the changes are [`Schema::upgrade_sql`].
    ///
    /// # Errors
    /// Every change that stored data cannot follow, each with its way out.
    pub fn check_upgrade(old: &Self, new: &Self) -> Result<Vec<SchemaChange>, Vec<Problem>> {
        let mut upgrade = Upgrade::default();
        if old.name != new.name {
            upgrade.refuse(format!(
                "the database belongs to the app '{}', the schema to '{}'; open another database, or correct app.name",
                old.name, new.name
            ));
        }
        if new.version < old.version {
            upgrade.refuse(format!(
                "the database was written under version {} of the schema, this is version {}; use the newer schema",
                old.version, new.version
            ));
        }
        for table in &old.tables {
            match new.table(&table.name) {
                Some(next) => upgrade.table(table, next),
                None => upgrade.refuse_at(table, None, gone(table)),
            }
        }
        let added = new.tables.iter().filter(|t| old.table(&t.name).is_none());
        upgrade.changes.extend(added.map(|t| SchemaChange::TableAdded { table: t.name.clone() }));
        upgrade.shapes(old, new);
        upgrade.actions(old, new);
        if old.cache != new.cache {
            upgrade.changes.push(SchemaChange::CachingChanged);
        }
        if upgrade.problems.is_empty() { Ok(upgrade.changes) } else { Err(upgrade.problems) }
    }
}

fn gone(table: &Table) -> String {
    if let Some(of) = &table.conflicts_of {
        let rules = "merge rule, or `on_delete_conflict`, that may leave conflicts";
        return format!("'{}' has no {rules} any more, and some may be open; leave one there", of.table);
    }
    if let Some(of) = &table.docs_of {
        return format!("'{}' declares no documents any more; keep them declared, and stop using them", of.table);
    }
    if let Some(of) = &table.versions_of {
        return format!("'{}' keeps no versions any more, and some may be there; leave `versions = true`", of.table);
    }
    match &table.history_of {
        Some(of) => {
            format!("'{}' keeps no history any more; leave `history` there, a short one costs little", of.table)
        }
        None => "the table is gone from the schema; keep it declared, and stop using it".into(),
    }
}

#[derive(std::default::Default)]
struct Upgrade {
    changes: Vec<SchemaChange>,
    problems: Vec<Problem>,
}

impl Upgrade {
    fn refuse(&mut self, message: String) {
        self.problems.push(Problem::new(codes::UPGRADE, message));
    }

    fn refuse_at(&mut self, table: &Table, column: Option<&Column>, message: String) {
        let mut problem = Problem::new(codes::UPGRADE, message);
        problem.table = Some(table.name.clone());
        problem.column = column.map(|c| c.name.clone());
        self.problems.push(problem);
    }

    fn table(&mut self, old: &Table, new: &Table) {
        if old.primary_key != new.primary_key {
            let (was, is) = (old.primary_key.join(", "), new.primary_key.join(", "));
            self.refuse_at(old, None, format!(
                "the primary key was ({was}) and is now ({is}); declare a new table with the new key and copy the rows"
            ));
        }
        if old.sync != new.sync {
            let message =
                "a table cannot become local or synced once it holds rows; declare a new table and copy the rows";
            self.refuse_at(old, None, message.into());
        }
        for column in &old.columns {
            match new.column(&column.name) {
                Some(next) => self.column(old, column, next),
                // A copy that no access rule asks for any more.
                None if old.doc_copies().any(|copy| copy.name == column.name) => {}
                None => self.refuse_at(
                    old,
                    Some(column),
                    "the column is gone from the schema; keep it declared, and stop using it".into(),
                ),
            }
        }
        for name in old.docs.iter().filter(|name| !new.docs.contains(name)) {
            let message = format!("the document '{name}' is gone from the schema; keep it declared, and stop using it");
            self.refuse_at(old, None, message);
        }
        for column in new.columns.iter().filter(|c| old.column(&c.name).is_none()) {
            self.added_column(new, column);
        }
        let table = || new.name.clone();
        let differences = [
            (old.on_delete_conflict != new.on_delete_conflict, SchemaChange::DeleteRuleChanged { table: table() }),
            (
                old.sending != new.sending || old.schedule != new.schedule,
                SchemaChange::SendingChanged { table: table() },
            ),
            (old.access != new.access, SchemaChange::AccessChanged { table: table() }),
            (old.search != new.search, SchemaChange::SearchChanged { table: table() }),
            (old.history != new.history, SchemaChange::HistoryChanged { table: table() }),
        ];
        self.changes.extend(differences.into_iter().filter(|(differs, _)| *differs).map(|(_, change)| change));
    }

    fn column(&mut self, table: &Table, old: &Column, new: &Column) {
        if old.ty != new.ty {
            let message = format!(
                "the type was {} and is now {}; add a column of the new type under another name, and copy the values",
                old.ty, new.ty
            );
            self.refuse_at(table, Some(new), message);
        }
        let knows_changes = old.merge.change().is_some() || new.merge.change().is_some();
        // An edit says what a cell was and is, whichever function is then asked about it.
        let same_form = old.merge.name() == new.merge.name();
        let takes_what_is_there = new.merge.may_be_null() || (old.required && new.ty != ColumnType::Json);
        let is_fit = same_form || (old.merge.change().is_none() && takes_what_is_there);
        if old.merge != new.merge && knows_changes && !is_fit {
            let (was, is) = (old.merge.name(), new.merge.name());
            let message = match old.merge.change() {
                None => format!(
                    "rows that are there may be NULL, of which `{is}` makes nothing; declare the column `required` first, \
                     in a version of its own, or add a column under another name"
                ),
                Some(_) => format!(
                    "devices have yet to send changes, which `{was}` knows and `{is}` does not; add a column under another \
                     name, and copy the values"
                ),
            };
            self.refuse_at(table, Some(new), message);
        }
        let target = |c: &Column| c.references.as_ref().map(|r| r.table.clone());
        if target(old) != target(new) && new.references.is_some() {
            let message =
                "rows that are there may refer to nothing; add a new column with the reference, and copy the values";
            self.refuse_at(table, Some(new), message.into());
        }
        if new.unique && !old.unique && !table.sync {
            let message = "rows of a local table may hold a value twice; add a new unique column, and copy the values";
            self.refuse_at(table, Some(new), message.into());
        }
        if old != new {
            self.changes.push(SchemaChange::RulesChanged { table: table.name.clone(), column: new.name.clone() });
        }
    }

    fn added_column(&mut self, table: &Table, column: &Column) {
        if column.required && !table.is_key(&column.name) && !matches!(column.default, Some(Default::Value(_))) {
            let message = "a new column is required, but rows that are there have no value for it; \
                           give it a constant default, or let it be NULL";
            self.refuse_at(table, Some(column), message.into());
        }
        let (table, column) = (table.name.clone(), column.name.clone());
        self.changes.push(SchemaChange::ColumnAdded { table, column });
    }

    fn shapes(&mut self, old: &Schema, new: &Schema) {
        for shape in &new.shapes {
            let name = || shape.name.clone();
            match old.shape(&shape.name) {
                None => self.changes.push(SchemaChange::ShapeAdded { shape: name() }),
                Some(before) if before != shape => self.changes.push(SchemaChange::ShapeChanged { shape: name() }),
                Some(_) => {}
            }
        }
        let removed = old.shapes.iter().filter(|s| new.shape(&s.name).is_none());
        self.changes.extend(removed.map(|s| SchemaChange::ShapeRemoved { shape: s.name.clone() }));
    }

    fn actions(&mut self, old: &Schema, new: &Schema) {
        let changed = new.actions.iter().filter(|action| old.action(&action.name) != Some(action));
        let removed = old.actions.iter().filter(|action| new.action(&action.name).is_none());
        let names = changed.chain(removed).map(|action| action.name.clone());
        self.changes.extend(names.map(|action| SchemaChange::ActionChanged { action }));
    }
}

#[cfg(test)]
mod tests;
