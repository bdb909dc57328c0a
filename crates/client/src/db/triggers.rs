//! An app's own triggers: temporary ones, made anew after each open, that write only local tables.

use landfall_core::schema::ddl::quote;

use super::Database;
use super::error::DbError;
use super::hooks::Mode;
use super::query::explain;

impl Database {
    /// Runs one `CREATE TEMP TRIGGER` or `DROP TRIGGER`. The trigger also runs when changes arrive from the server, and
    /// lives until the database is closed.
    ///
    /// # Errors
    /// [`DbError::NotPermitted`] when the trigger writes a synced table, or the statement is another one.
    pub fn create_local_trigger(&mut self, sql: &str) -> Result<(), DbError> {
        self.transact(|db| {
            db.shared.set_mode(Mode::Trigger);
            let result = db.conn.prepare(sql).and_then(|mut statement| statement.execute([]));
            let result = result.map_err(|error| explain(&db.shared, &db.tables, error));
            db.shared.set_mode(Mode::Write);
            let result = result.and_then(|_| db.compile_triggers());
            db.shared.set_mode(Mode::Engine);
            result
        })?;
        self.has_triggers = true;
        Ok(())
    }

    /// What a trigger does is looked at when a statement that fires it is prepared: prepare one of each kind.
    fn compile_triggers(&self) -> Result<(), DbError> {
        for app in &self.tables.list {
            let table = quote(app.name());
            let columns = app.table.columns.iter().map(|c| quote(&c.name));
            let same = columns.map(|c| format!("{c} = {c}")).collect::<Vec<_>>().join(", ");
            for sql in [
                format!("INSERT INTO {table} DEFAULT VALUES"),
                format!("UPDATE {table} SET {same}"),
                format!("DELETE FROM {table}"),
            ] {
                self.conn.prepare(&sql).map_err(|error| explain(&self.shared, &self.tables, error))?;
            }
        }
        Ok(())
    }
}
