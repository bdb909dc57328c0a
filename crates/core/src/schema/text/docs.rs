//! Columns of type `doc`, and the tables in which their documents are.

use toml::de::DeValue;

use super::reader::{Entry, Section};
use super::tables::DraftTable;
use super::{Report, Span, names, second};
use crate::error::codes;
use crate::schema::docs::copied;
use crate::schema::{Column, Table};

/// What the type is called, and the merge rule.
const DOC: &str = "doc";

/// Whether an entry among the columns declares a document.
pub(super) fn is_doc(entry: &Entry<'_>) -> bool {
    let word = |value: &DeValue<'_>| value.as_str() == Some(DOC);
    let of_table = || entry.value.as_table()?.get("type").map(|ty| word(ty.get_ref()));
    word(entry.value) || of_table() == Some(true)
}

/// Its name, where that can be used.
pub(super) fn read(entry: &Entry<'_>, report: &mut Report) -> Option<(String, Span)> {
    let named = names::check("column", entry.key, &entry.key_span, report);
    if entry.value.as_str().is_none() {
        let mut section = Section::of(entry, format!("document `{}`", entry.key), report)?;
        section.take("type");
        if let Some(merge) = section.take("merge") {
            merge.choice(&[(DOC, ())], &[], report);
        }
        section.finish(report);
    }
    named.then(|| (entry.key.to_owned(), entry.key_span.clone()))
}

/// Where the documents of a table cannot be, says why.
pub(super) fn is_possible(draft: &DraftTable<'_>, report: &mut Report) -> bool {
    let (Some((_, span)), name) = (draft.docs.first(), &draft.table.name) else { return false };
    if !draft.table.sync {
        report
            .add(
                codes::LOCAL_TABLE,
                span.clone(),
                format!("table `{name}` is local: what is written together is synced"),
            )
            .related(&draft.sync_span, "local by this")
            .help("store a text or bytes, or remove `sync = false`");
        return false;
    }
    second::has_one_key(draft, span, "document", report)
}

/// Copies into the table of documents the columns by which the access rules of `of` tell who may read and write.
pub(super) fn copy_columns(docs: &mut Table, of: &Table) {
    let named = copied(of);
    for column in of.data_columns().filter(|c| named.contains(&c.name)) {
        docs.columns.push(Column { assigned: true, ..Column::plain(&column.name, column.ty) });
    }
}
