//! Writing the file: interfaces, the map of tables, the map of shapes, the constant.

use std::fmt::Write as _;

use landfall_core::schema::{ActionDef, Column, Shape, Table};
use landfall_core::value::MAX_SAFE_INTEGER;
use landfall_core::{ColumnType, Schema, Value};

use super::names::{Names, property};
use super::rules;

/// Characters of the compiled schema on one line.
const PIECE: usize = 100;
/// Doc comments are wrapped here.
const DOC: usize = 112;

const HEADER: &str = "\
// Made by `landfall generate` from landfall.toml; made anew rather than edited.

import type { Schema } from \"@landfall/client\";
";

const JSON: &str = "
/** A JSON value. JSON's own `null` as a whole value is NULL. */
export type Json = boolean | number | string | null | readonly Json[] | { readonly [name: string]: Json };
";

/// How a type is used: what a query gives, or what a write takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Write,
}

/// Gathers the text.
#[derive(Default)]
pub(super) struct Writer {
    text: String,
}

impl Writer {
    pub(super) fn finish(self) -> String {
        self.text
    }

    pub(super) fn file(&mut self, schema: &Schema) {
        self.text.push_str(HEADER);
        let columns = || schema.tables.iter().flat_map(|table| &table.columns).map(|column| column.ty);
        let params = schema.shapes.iter().flat_map(|shape| &shape.params).map(|param| param.ty);
        let args = schema.actions.iter().flat_map(|action| &action.args).map(|arg| arg.ty);
        if columns().chain(params).chain(args).any(|ty| ty == ColumnType::Json) {
            self.text.push_str(JSON);
        }
        let mut names = Names::default();
        let named: Vec<(&Table, String)> =
            schema.tables.iter().map(|table| (table, names.of_table(&table.name))).collect();
        for (table, name) in &named {
            self.table(table, name);
        }
        self.tables(&named);
        self.shapes(&schema.shapes);
        self.actions(&schema.actions);
        self.constant(schema);
    }

    fn line(&mut self, indent: usize, text: &str) {
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn doc(&mut self, indent: usize, text: &str) {
        if indent + text.chars().count() + 8 <= DOC {
            return self.line(indent, &format!("/** {text} */"));
        }
        self.line(indent, "/**");
        let mut line = String::new();
        for word in text.split(' ') {
            if !line.is_empty() && indent + line.chars().count() + word.chars().count() + 4 > DOC {
                self.line(indent, &format!(" * {line}"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(indent, &format!(" * {line}"));
        self.line(indent, " */");
    }

    fn table(&mut self, table: &Table, name: &str) {
        self.text.push('\n');
        let what = match &table.history_of {
            Some(of) => format!(
                "A change of a row of `{}`: the row after it (before it, for a delete), and about it.",
                of.table
            ),
            None if table.conflicts_of.is_some() => {
                "A value that could not be merged, in the row as it was, and about it.".to_owned()
            }
            None if let Some(of) = &table.docs_of => {
                format!("An update of a document of a row of `{}`: together they are the document.", of.table)
            }
            None if let Some(of) = &table.versions_of => {
                format!("A version of a row of `{}`: what it was when somebody kept it.", of.table)
            }
            None if table.sync => format!("A row of `{}`.", table.name),
            None => format!("A row of `{}` (on this device only).", table.name),
        };
        self.doc(0, &what);
        self.line(0, &format!("export interface {name} {{"));
        for column in &table.columns {
            self.doc(2, &rules::of_column(table, column));
            self.property(2, &column.name, false, &with_null(table, column, Use::Read));
        }
        self.line(0, "}");
        if table.history_of.is_some() || table.conflicts_of.is_some() {
            self.text.push('\n');
            self.doc(0, &format!("Only the server writes `{}`.", table.name));
            self.line(0, &format!("export type {name}Insert = never;"));
            self.line(0, &format!("export type {name}Update = never;"));
            return self.key(table, name);
        }

        self.text.push('\n');
        self.doc(
            0,
            &format!("What an insert into `{}` takes; what may be left out has a default or is NULL.", table.name),
        );
        self.line(0, &format!("export interface {name}Insert {{"));
        for column in table.columns.iter().filter(|column| !column.assigned) {
            let optional = column.default.is_some() || is_nullable(table, column);
            self.property(2, &column.name, optional, &with_null(table, column, Use::Write));
        }
        self.line(0, "}");

        self.text.push('\n');
        if table.docs_of.is_some() || table.versions_of.is_some() {
            self.doc(0, &format!("What is in `{}` is never changed.", table.name));
            self.line(0, &format!("export type {name}Update = never;"));
            return self.key(table, name);
        }
        self.doc(0, &format!("What an update of `{}` takes; a key never changes.", table.name));
        if table.data_columns().all(|column| column.assigned) {
            self.line(0, &format!("export type {name}Update = {{ readonly [column: string]: never }};"));
        } else {
            self.line(0, &format!("export interface {name}Update {{"));
            for column in table.data_columns().filter(|column| !column.assigned) {
                self.property(2, &column.name, true, &with_null(table, column, Use::Write));
            }
            self.line(0, "}");
        }
        self.key(table, name);
    }

    fn key(&mut self, table: &Table, name: &str) {
        self.text.push('\n');
        let columns: Vec<&Column> = table.key_columns().collect();
        if let [only] = columns[..] {
            self.doc(0, &format!("The key of a row of `{}`: its `{}`.", table.name, only.name));
            return self.line(0, &format!("export type {name}Key = {};", bare(only, Use::Write)));
        }
        self.doc(0, &format!("The key of a row of `{}`.", table.name));
        self.line(0, &format!("export interface {name}Key {{"));
        for column in columns {
            self.property(2, &column.name, false, &bare(column, Use::Write));
        }
        self.line(0, "}");
    }

    fn property(&mut self, indent: usize, name: &str, optional: bool, ty: &str) {
        let mark = if optional { "?" } else { "" };
        let line = format!("{name}{mark}: {ty};");
        if line.len() + indent <= DOC {
            return self.line(indent, &line);
        }
        self.line(indent, &format!("{name}{mark}:"));
        for part in ty.split(" | ") {
            self.line(indent + 2, &format!("| {part}"));
        }
        // The semicolon ends the last part's line.
        self.text.insert(self.text.len() - 1, ';');
    }

    fn tables(&mut self, named: &[(&Table, String)]) {
        self.text.push('\n');
        self.doc(0, "Each table's row, and what insert, update and key take.");
        self.line(0, "export interface Tables {");
        for (table, name) in named {
            let mut types = format!("row: {name}; insert: {name}Insert; update: {name}Update; key: {name}Key");
            for rule in ["counter", "set", "map", "list"] {
                let has = |column: &&Column| column.merge.name() == rule;
                let columns = table.data_columns().filter(has).map(|column| format!("\"{}\"", column.name));
                let columns = columns.collect::<Vec<_>>().join(" | ");
                if !columns.is_empty() {
                    let _ = write!(types, "; {rule}: {columns}");
                }
            }
            let line = format!("{}: {{ {types} }};", table.name);
            if line.len() + 2 <= DOC {
                self.line(2, &line);
            } else {
                self.line(2, &format!("{}: {{", table.name));
                for part in types.split("; ") {
                    self.line(4, &format!("{part};"));
                }
                self.line(2, "};");
            }
        }
        self.line(0, "}");
    }

    fn shapes(&mut self, shapes: &[Shape]) {
        self.text.push('\n');
        self.doc(0, "What a device can hold: each shape's parameters.");
        if shapes.is_empty() {
            return self.line(0, "export type Shapes = { readonly [shape: string]: never };");
        }
        self.line(0, "export interface Shapes {");
        for shape in shapes {
            let columns = shape.columns.as_ref().map(|list| format!(": {}, and the key", list.join(", ")));
            self.doc(2, &format!("Rows of `{}`{}.", shape.table, columns.unwrap_or_default()));
            if shape.params.is_empty() {
                self.line(2, &format!("{}: Record<string, never>;", shape.name));
                continue;
            }
            let params = shape.params.iter().map(|p| format!("{}: {}", p.name, plain(p.ty, Use::Write)));
            let params: Vec<String> = params.collect();
            let line = format!("{}: {{ {} }};", shape.name, params.join("; "));
            if line.len() + 2 <= DOC {
                self.line(2, &line);
                continue;
            }
            self.line(2, &format!("{}: {{", shape.name));
            for param in params {
                self.line(4, &format!("{param};"));
            }
            self.line(2, "};");
        }
        self.line(0, "}");
    }

    fn actions(&mut self, actions: &[ActionDef]) {
        self.text.push('\n');
        self.doc(0, "What a transaction can ask of the server: each action's arguments.");
        if actions.is_empty() {
            return self.line(0, "export type Actions = Record<never, object>;");
        }
        self.line(0, "export interface Actions {");
        for action in actions {
            if action.args.is_empty() {
                self.line(2, &format!("{}: Record<string, never>;", action.name));
                continue;
            }
            self.line(2, &format!("{}: {{", action.name));
            for arg in &action.args {
                self.doc(4, &rules::of_arg(arg));
                let null = if arg.required { "" } else { " | null" };
                self.property(4, &arg.name, !arg.required, &format!("{}{null}", bare(arg, Use::Write)));
            }
            self.line(2, "};");
        }
        self.line(0, "}");
    }

    fn constant(&mut self, schema: &Schema) {
        self.text.push('\n');
        self.doc(0, "The schema, for `openDatabase`.");
        self.line(0, "export const schema: Schema<Tables, Shapes, Actions> = {");
        self.line(2, &format!("name: {},", quoted(&schema.name)));
        self.line(2, &format!("version: {},", schema.version));
        self.line(2, "tables: {");
        for table in &schema.tables {
            self.line(4, &format!("{}: {{", property(&table.name)));
            let keys: Vec<String> = table.primary_key.iter().map(|key| quoted(key)).collect();
            self.line(6, &format!("key: [{}],", keys.join(", ")));
            self.line(6, &format!("sync: {},", table.sync));
            self.line(6, "columns: {");
            for column in &table.columns {
                let nullable = if is_nullable(table, column) { ", nullable: true" } else { "" };
                let assigned = if column.assigned { ", assigned: true" } else { "" };
                let metadata = metadata(column.ty);
                self.line(8, &format!("{}: {{ {metadata}{nullable}{assigned} }},", property(&column.name)));
            }
            self.line(6, "},");
            self.line(4, "},");
        }
        self.line(2, "},");
        self.line(2, "shapes: {");
        for shape in &schema.shapes {
            let params = shape.params.iter().map(|p| format!("{}: {{ {} }}", property(&p.name), metadata(p.ty)));
            let params: Vec<String> = params.collect();
            self.line(4, &format!("{}: {{", property(&shape.name)));
            self.line(6, &format!("table: {},", quoted(&shape.table)));
            if params.is_empty() {
                self.line(6, "params: {},");
            } else {
                self.line(6, "params: {");
                for param in params {
                    self.line(8, &format!("{param},"));
                }
                self.line(6, "},");
            }
            self.line(4, "},");
        }
        self.line(2, "},");
        self.line(2, "actions: {");
        for action in &schema.actions {
            self.line(4, &format!("{}: {{", property(&action.name)));
            if action.args.is_empty() {
                self.line(6, "args: {},");
            } else {
                self.line(6, "args: {");
                for arg in &action.args {
                    let nullable = if arg.required { "" } else { ", nullable: true" };
                    self.line(8, &format!("{}: {{ {}{nullable} }},", property(&arg.name), metadata(arg.ty)));
                }
                self.line(6, "},");
            }
            self.line(4, "},");
        }
        self.line(2, "},");
        self.line(2, "compiled: [");
        let compiled: Vec<char> = schema.to_json().chars().collect();
        for piece in compiled.chunks(PIECE) {
            self.line(4, &format!("{},", in_single_quotes(piece)));
        }
        self.line(2, "].join(\"\"),");
        self.line(0, "};");
    }
}

/// JSON is full of double quotes: between single ones it stays legible, and nearly as long as it is.
fn in_single_quotes(piece: &[char]) -> String {
    let mut out = String::from("'");
    for &c in piece {
        if matches!(c, '\'' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('\'');
    out
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn is_nullable(table: &Table, column: &Column) -> bool {
    !column.required && !table.is_key(&column.name)
}

fn with_null(table: &Table, column: &Column, used: Use) -> String {
    let bare = bare(column, used);
    if is_nullable(table, column) { format!("{bare} | null") } else { bare }
}

/// The column's type without NULL; its choices, where they are named and TypeScript can tell them apart.
fn bare(column: &Column, used: Use) -> String {
    let choices: Option<Vec<String>> = column.one_of.iter().map(literal).collect();
    match choices.filter(|choices| !choices.is_empty()) {
        Some(choices) => choices.join(" | "),
        None => match column.merge.name() {
            "set" => "readonly (string | number | boolean)[]",
            "map" => "{ readonly [name: string]: Json }",
            _ => plain(column.ty, used),
        }
        .to_owned(),
    }
}

fn plain(ty: ColumnType, used: Use) -> &'static str {
    match ty {
        ColumnType::Uuid | ColumnType::Text | ColumnType::Decimal(_) | ColumnType::Date => "string",
        ColumnType::Integer => "number | bigint",
        ColumnType::Float => "number",
        ColumnType::Boolean => "boolean",
        ColumnType::Timestamp if used == Use::Write => "string | Date",
        ColumnType::Timestamp => "string",
        ColumnType::Json => "Json",
        ColumnType::Bytes => "Uint8Array",
    }
}

/// A value as a literal type: exact, so that what is read has this very type. Instants and bytes have none.
fn literal(value: &Value) -> Option<String> {
    Some(match value {
        Value::Text(text) => quoted(text),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) if value.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs() => value.to_string(),
        Value::Int(value) => format!("{value}n"),
        Value::Float(_) | Value::Uuid(_) | Value::Decimal(_) | Value::Date(_) => value.to_json().to_string(),
        Value::Null | Value::Timestamp(_) | Value::Json(_) | Value::Bytes(_) => return None,
    })
}

fn metadata(ty: ColumnType) -> String {
    match ty {
        ColumnType::Decimal(scale) => format!("type: \"decimal\", scale: {scale}"),
        other => format!("type: \"{other}\""),
    }
}
