//! Reading `landfall.toml`. Every mistake is reported in one go, with its place, what is wrong and what would be right.
//!
//! Two passes: [`read`] turns TOML into drafts, each table and column by itself; [`links`] and [`shapes`] check what
//! concerns several of them. A part that could not be read is left out of the draft and remembered as *broken*, so
//! that whatever mentions it gives no second error. The reference of the format is `docs/schema.md`.

use toml::de::DeTable;

use super::{Caching, OutboxLimits, Schema, Shape};
use crate::error::codes;

mod actions;
mod caching;
mod columns;
mod condition;
mod diagnostic;
mod docs;
mod history;
mod links;
mod literals;
mod names;
mod reader;
mod second;
mod sending;
mod shapes;
mod strings;
mod tables;

pub use diagnostic::{Diagnostic, Diagnostics};
use diagnostic::{Report, Span};
use reader::{DAY_MS, LONGEST_MS, Section};
use tables::DraftTable;

/// Most bytes of a schema file: far above any written by hand, far below what would make a start slow.
pub const MAX_SCHEMA_BYTES: usize = 1 << 20;
/// Most tables of a schema.
pub const MAX_TABLES: usize = 500;
/// Most columns of a table; SQLite itself ends at 2,000.
pub const MAX_COLUMNS: usize = 500;

impl Schema {
    /// Reads a schema as people write it. `file_name` only appears in diagnostics.
    ///
    /// # Errors
    /// All mistakes of the file, in the order of their places.
    pub fn parse(file_name: &str, toml_text: &str) -> Result<Self, Diagnostics> {
        let mut report = Report::default();
        let schema = read(toml_text, &mut report);
        match (report.finish(file_name, toml_text), schema) {
            (None, schema) => Ok(schema),
            (Some(diagnostics), _) => Err(diagnostics),
        }
    }
}

fn read(source: &str, report: &mut Report) -> Schema {
    let mut schema = Schema {
        name: String::new(),
        version: 1,
        tables: Vec::new(),
        shapes: Vec::new(),
        actions: Vec::new(),
        cache: Caching::default(),
        outbox: OutboxLimits::default(),
        tombstones_ms: None,
    };
    if source.len() > MAX_SCHEMA_BYTES {
        let message = format!("the schema has {} bytes, at most {MAX_SCHEMA_BYTES} are allowed", source.len());
        report.add(codes::SCHEMA_LIMIT, 0..0, message).help("split the app into several schemas, or shorten comments");
        return schema;
    }
    let (document, errors) = DeTable::parse_recoverable(source);
    report.syntax(source, errors.iter().map(|e| (e.span().unwrap_or_default(), e.message())));
    let mut top = Section::new("landfall.toml".into(), document.get_ref());
    read_app(&mut top, &mut schema, report);
    schema.outbox = sending::read_outbox(&mut top, report);
    let mut tables = read_tables(&mut top, report);
    let shapes = shapes::read(&mut top, report);
    let actions = actions::read(&mut top, report);
    schema.cache = caching::read(&mut top, report);
    top.finish(report);

    let targets = links::check(&mut tables, report);
    schema.actions = actions.into_iter().map(|action| actions::resolve(action, &targets, report)).collect();
    let seconds = second::derive(&mut tables, report);
    condition::compile_access(source, &mut tables, report);
    second::share_access(&mut tables, seconds, report);
    schema.shapes =
        shapes.into_iter().filter_map(|s| shapes::compile(s, source, &tables, report)).collect::<Vec<Shape>>();
    schema.tables = tables.into_iter().map(|t| t.table).collect();
    schema
}

fn read_app(top: &mut Section<'_>, schema: &mut Schema, report: &mut Report) {
    let Some(entry) = top.take("app") else {
        report
            .add(codes::MISSING_KEY, 0..0, "the schema does not name its app")
            .help("begin with: [app]\nname = \"my-app\"\nversion = 1");
        return;
    };
    let Some(mut app) = Section::of(&entry, "[app]".into(), report) else {
        return;
    };
    match app.take("name") {
        Some(name) => {
            if let Some(text) = name.text(report)
                && names::check_app(text, &name.span, report)
            {
                schema.name = text.to_owned();
            }
        }
        None => {
            report
                .add(codes::MISSING_KEY, entry.key_span.clone(), "the app has no name")
                .label("`name` is missing here")
                .help("add: name = \"my-app\"; a database of another app is refused by this name");
        }
    }
    if let Some(version) = app.take("version").and_then(|v| v.whole_number(1..=i64::from(u32::MAX), report)) {
        schema.version = u32::try_from(version).unwrap_or(1);
    }
    schema.tombstones_ms = app.take("tombstones").and_then(|t| t.duration(DAY_MS..=LONGEST_MS, "90d", report));
    app.finish(report);
}

fn read_tables<'t>(top: &mut Section<'t>, report: &mut Report) -> Vec<DraftTable<'t>> {
    let Some(entry) = top.take("tables") else {
        report
            .add(codes::MISSING_KEY, 0..0, "the schema declares no table")
            .help("add one: [tables.notes.columns]\nid = \"uuid\"\ntitle = \"text\"");
        return Vec::new();
    };
    let Some(section) = Section::of(&entry, "[tables]".into(), report) else {
        return Vec::new();
    };
    let entries = section.into_entries();
    if let Some(beyond) = entries.get(MAX_TABLES) {
        let message = format!("the schema has {} tables, at most {MAX_TABLES} are allowed", entries.len());
        report.add(codes::SCHEMA_LIMIT, beyond.key_span.clone(), message).help("join tables of one form into one");
    }
    names::check_unique("table", entries.iter().map(|e| (e.key, &e.key_span)), report);
    entries.iter().take(MAX_TABLES).filter_map(|e| tables::read(e, report)).collect()
}
