//! Names in TypeScript: one for each table, that clashes with nothing.

use std::collections::BTreeSet;

/// What the generated file itself uses, and must keep its meaning.
const TAKEN: [&str; 9] = ["Actions", "Date", "Json", "Schema", "Shapes", "Tables", "Uint8Array", "Array", "Record"];
/// The suffixes of a table's four types.
const SUFFIXES: [&str; 4] = ["", "Insert", "Update", "Key"];

/// Gives out names.
#[derive(Debug)]
pub(super) struct Names(BTreeSet<String>);

impl Default for Names {
    fn default() -> Self {
        Self(TAKEN.iter().map(|name| (*name).to_owned()).collect())
    }
}

impl Names {
    /// The name of a table's row type: `order_items` is `OrderItems`. Where another table has it, or the types named after
    /// it, a `Table` or a number follows.
    pub(super) fn of_table(&mut self, table: &str) -> String {
        let plain = pascal(table);
        let tries = [plain.clone(), format!("{plain}Table")].into_iter();
        let free = tries.chain((2..).map(|number| format!("{plain}{number}"))).find(|name| self.is_free(name));
        let name = free.unwrap_or(plain);
        self.0.extend(SUFFIXES.iter().map(|suffix| format!("{name}{suffix}")));
        name
    }

    fn is_free(&self, name: &str) -> bool {
        SUFFIXES.iter().all(|suffix| !self.0.contains(&format!("{name}{suffix}")))
    }
}

fn pascal(name: &str) -> String {
    let mut out = String::new();
    for word in name.split('_').filter(|word| !word.is_empty()) {
        let mut letters = word.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    if out.starts_with(|c: char| c.is_ascii_alphabetic()) { out } else { format!("Table{out}") }
}

/// The name of a property in an object literal, where `__proto__` would set the prototype instead.
pub(super) fn property(name: &str) -> String {
    if name == "__proto__" { format!("[\"{name}\"]") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_get_names_that_clash_with_nothing() {
        let mut names = Names::default();
        let mut of = |table: &str| names.of_table(table);
        assert_eq!(of("order_items"), "OrderItems");
        assert_eq!(of("orderItems"), "OrderItemsTable");
        assert_eq!(of("order__items"), "OrderItems2");
        assert_eq!(of("notes"), "Notes");
        assert_eq!(of("notes_insert"), "NotesInsertTable");
        assert_eq!(of("date"), "DateTable");
        assert_eq!(of("_1"), "Table1");
        assert_eq!(of("__"), "Table");
    }

    #[test]
    fn a_column_called_proto_is_a_column() {
        assert_eq!((property("id").as_str(), property("__proto__").as_str()), ("id", "[\"__proto__\"]"));
    }
}
