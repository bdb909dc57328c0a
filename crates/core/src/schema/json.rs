//! The compiled schema as JSON: fields in the order of their declaration, since a schema is known by the hash of it.

use serde_json::Value as Json;

use super::caching::{Caching, NamedPolicy, Policy, Strategy};
use super::{
    Access, ActionDef, Column, ConflictsOf, Default, DeleteRule, DocsOf, History, HistoryOf, Offline, OnDelete,
    OutboxLimits, Param, Pattern, Reference, Schedule, Schema, Sending, Shape, Table, VersionsOf,
};
use crate::json::{Fields, Misread, Object, list_of, name_of, one_of, string, text, variant};
use crate::predicate::Predicate;
use crate::rules::MergeRule;
use crate::value::{ColumnType, Value};

const DELETE_RULES: &[(&str, DeleteRule)] =
    &[("update_wins", DeleteRule::UpdateWins), ("delete_wins", DeleteRule::DeleteWins), ("manual", DeleteRule::Manual)];
const ON_DELETE: &[(&str, OnDelete)] = &[
    ("restrict", OnDelete::Restrict),
    ("cascade", OnDelete::Cascade),
    ("set_null", OnDelete::SetNull),
    ("keep_orphan", OnDelete::KeepOrphan),
];

fn access(value: &Access, out: &mut String) {
    let mut object = Object::new(out);
    for (name, rule) in
        [("read", &value.read), ("insert", &value.insert), ("update", &value.update), ("delete", &value.delete)]
    {
        object.maybe(name, rule.as_ref(), Predicate::write_json);
    }
}

fn default(value: &Default, out: &mut String) {
    match value {
        Default::Value(value) => value.write_tagged(Object::new(out).field("value")),
        Default::Now => out.push_str("\"now\""),
        Default::Uuid => out.push_str("\"uuid\""),
    }
}

fn reference(value: &Reference, out: &mut String) {
    let mut object = Object::new(out);
    object.text("table", &value.table);
    object.text("on_delete", name_of(value.on_delete, ON_DELETE));
}

fn column(value: &Column, out: &mut String) {
    let mut object = Object::new(out);
    object.text("name", &value.name);
    value.ty.write_json(object.field("type"));
    object.flag("required", value.required);
    object.maybe("default", value.default.as_ref(), default);
    object.maybe("max_length", value.max_length.as_ref(), |length, out| out.push_str(&length.to_string()));
    object.maybe("pattern", value.pattern.as_ref(), |pattern, out| string(pattern.as_str(), out));
    object.maybe("min", value.min.as_ref(), Value::write_tagged);
    object.maybe("max", value.max.as_ref(), Value::write_tagged);
    object.list("one_of", &value.one_of, Value::write_tagged);
    object.maybe("references", value.references.as_ref(), reference);
    object.flag("unique", value.unique);
    if value.renames {
        object.flag("renames", true);
    }
    object.text("merge", value.merge.name());
    if let Some((function, _)) = value.merge.function() {
        object.text("function", function);
    }
    if let Some(within_ms) = value.merge.within_ms() {
        number(&within_ms, object.field("ask_within_ms"));
    }
    if value.assigned {
        object.flag("assigned", true);
    }
}

fn sending(value: Sending, out: &mut String) {
    let mut object = Object::new(out);
    object.field("priority").push_str(&value.priority.to_string());
    object.field("attempts").push_str(&value.attempts.to_string());
    if value.offline == Offline::Deny {
        object.flag("deny", true);
    }
    if let Some(ms) = &value.expires_ms {
        number(ms, object.field("expires_ms"));
    }
}

fn number(value: &u64, out: &mut String) {
    out.push_str(&value.to_string());
}

fn schedule(value: &Schedule, out: &mut String) {
    let mut object = Object::new(out);
    object.text("by", &value.by);
    number(&value.lead_ms, object.field("lead_ms"));
}

fn outbox(value: OutboxLimits, out: &mut String) {
    let mut object = Object::new(out);
    number(&value.max_entries, object.field("max_entries"));
    number(&value.max_bytes, object.field("max_bytes"));
    number(&value.collapse_ms, object.field("collapse_ms"));
    // Younger than the others: a schema without them keeps its hash.
    let usual = OutboxLimits::default();
    if (value.review_after_ms, value.review_entries) != (usual.review_after_ms, usual.review_entries) {
        number(&value.review_after_ms, object.field("review_after_ms"));
        number(&value.review_entries, object.field("review_entries"));
    }
}

fn table(value: &Table, out: &mut String) {
    let mut object = Object::new(out);
    object.text("name", &value.name);
    object.list("columns", &value.columns, column);
    object.list("primary_key", &value.primary_key, |text, out| string(text, out));
    object.flag("sync", value.sync);
    object.text("on_delete_conflict", name_of(value.on_delete_conflict, DELETE_RULES));
    access(&value.access, object.field("access"));
    if value.sending != Sending::default() {
        sending(value.sending, object.field("sending"));
    }
    if let Some(value) = &value.schedule {
        schedule(value, object.field("schedule"));
    }
    if !value.search.is_empty() {
        object.list("search", &value.search, |text, out| string(text, out));
    }
    if let Some(value) = &value.history {
        history(value, object.field("history"));
    }
    if let Some(value) = &value.history_of {
        history_of(value, object.field("history_of"));
    }
    if let Some(value) = &value.conflicts_of {
        conflicts_of(value, object.field("conflicts_of"));
    }
    if !value.docs.is_empty() {
        object.list("docs", &value.docs, |text, out| string(text, out));
    }
    if let Some(value) = &value.docs_of {
        docs_of(value, object.field("docs_of"));
    }
    if value.versions {
        object.flag("versions", true);
    }
    if let Some(value) = &value.versions_of {
        versions_of(value, object.field("versions_of"));
    }
}

fn versions_of(value: &VersionsOf, out: &mut String) {
    let mut object = Object::new(out);
    object.text("table", &value.table);
    object.text("key", &value.key);
}

fn conflicts_of(value: &ConflictsOf, out: &mut String) {
    let mut object = Object::new(out);
    object.text("table", &value.table);
    object.list("key", &value.key, |text, out| string(text, out));
}

fn docs_of(value: &DocsOf, out: &mut String) {
    let mut object = Object::new(out);
    object.text("table", &value.table);
    object.text("key", &value.key);
}

fn history(value: &History, out: &mut String) {
    Object::new(out).maybe("keep_ms", value.keep_ms.as_ref(), number);
}

fn history_of(value: &HistoryOf, out: &mut String) {
    let mut object = Object::new(out);
    object.text("table", &value.table);
    object.list("key", &value.key, |text, out| string(text, out));
}

impl Param {
    /// Appends the form that the compiled schema has of a parameter.
    pub fn write_json(&self, out: &mut String) {
        let mut object = Object::new(out);
        object.text("name", &self.name);
        self.ty.write_json(object.field("type"));
    }
}

fn shape(value: &Shape, out: &mut String) {
    let mut object = Object::new(out);
    object.text("name", &value.name);
    object.text("table", &value.table);
    object.maybe("where", value.filter.as_ref(), Predicate::write_json);
    object.list("params", &value.params, Param::write_json);
    object.maybe("columns", value.columns.as_ref(), |columns, out| {
        crate::json::list(columns, out, |text, out| string(text, out))
    });
}

fn action(value: &ActionDef, out: &mut String) {
    let mut object = Object::new(out);
    object.text("name", &value.name);
    if value.sending != Sending::default() {
        sending(value.sending, object.field("sending"));
    }
    if let Some(value) = &value.schedule {
        schedule(value, object.field("schedule"));
    }
    object.list("args", &value.args, column);
}

fn policy(value: &NamedPolicy, out: &mut String) {
    let NamedPolicy { name, policy } = value;
    let mut object = Object::new(out);
    object.text("name", name);
    object.text("strategy", name_of(policy.strategy, &Strategy::ALL));
    let number = |number: &u64, out: &mut String| out.push_str(&number.to_string());
    object.maybe("max_age_ms", policy.max_age_ms.as_ref(), number);
    object.maybe("timeout_ms", policy.timeout_ms.as_ref(), number);
    object.field("priority").push_str(&policy.priority.to_string());
}

fn cache(value: &Caching, out: &mut String) {
    let mut object = Object::new(out);
    object.field("max_bytes").push_str(&value.max_bytes.to_string());
    object.list("policies", &value.policies, policy);
}

/// Writes a schema.
pub(super) fn write(schema: &Schema) -> String {
    let mut out = String::new();
    let mut object = Object::new(&mut out);
    object.text("name", &schema.name);
    object.field("version").push_str(&schema.version.to_string());
    object.list("tables", &schema.tables, table);
    object.list("shapes", &schema.shapes, shape);
    if !schema.actions.is_empty() {
        object.list("actions", &schema.actions, action);
    }
    if schema.cache != Caching::default() {
        cache(&schema.cache, object.field("cache"));
    }
    if schema.outbox != OutboxLimits::default() {
        outbox(schema.outbox, object.field("outbox"));
    }
    if let Some(tombstones_ms) = schema.tombstones_ms {
        number(&tombstones_ms, object.field("tombstones_ms"));
    }
    drop(object);
    out
}

fn read_maybe<T>(json: Option<&Json>, one: fn(&Json) -> Result<T, Misread>) -> Result<Option<T>, Misread> {
    json.map(one).transpose()
}

fn read_access(json: &Json) -> Result<Access, Misread> {
    let fields = Fields::of(json, "`access`")?;
    let rule = |name| read_maybe(fields.maybe(name), Predicate::read_json);
    Ok(Access { read: rule("read")?, insert: rule("insert")?, update: rule("update")?, delete: rule("delete")? })
}

fn read_default(json: &Json) -> Result<Default, Misread> {
    match variant(json)? {
        ("value", json) => Value::read_tagged(json).map(Default::Value),
        ("now", _) => Ok(Default::Now),
        ("uuid", _) => Ok(Default::Uuid),
        (other, _) => Err(format!("a default `{other}` is not known here")),
    }
}

fn read_reference(json: &Json) -> Result<Reference, Misread> {
    let fields = Fields::of(json, "`references`")?;
    Ok(Reference { table: fields.text("table")?, on_delete: one_of(fields.get("on_delete")?, ON_DELETE)? })
}

fn read_column(json: &Json) -> Result<Column, Misread> {
    let fields = Fields::of(json, "a column")?;
    let ty = ColumnType::read_json(fields.get("type")?)?;
    let merge = match fields.maybe("merge") {
        Some(rule) => {
            let name = text(rule)?;
            let custom = fields.maybe("function").filter(|_| name == "custom").map(text).transpose()?;
            let within = fields.maybe("ask_within_ms").filter(|_| name == "manual");
            let within = within.map(|_| wide(&fields, "ask_within_ms")).transpose()?;
            let rule = custom.map(|function| MergeRule::custom(function, ty));
            let rule = rule.or_else(|| within.map(MergeRule::manual_within)).or_else(|| MergeRule::named(&name));
            rule.ok_or_else(|| format!("a merge rule `{name}` is not known here"))?
        }
        None => MergeRule::LWW,
    };
    Ok(Column {
        name: fields.text("name")?,
        ty,
        required: fields.is("required")?,
        default: read_maybe(fields.maybe("default"), read_default)?,
        max_length: fields.maybe("max_length").map(|_| fields.number("max_length")).transpose()?,
        pattern: read_maybe(fields.maybe("pattern"), text)?.map(Pattern::new),
        min: read_maybe(fields.maybe("min"), Value::read_tagged)?,
        max: read_maybe(fields.maybe("max"), Value::read_tagged)?,
        one_of: fields.list("one_of", Value::read_tagged)?,
        references: read_maybe(fields.maybe("references"), read_reference)?,
        unique: fields.is("unique")?,
        renames: fields.maybe("renames").is_some(),
        merge,
        assigned: fields.is("assigned")?,
    })
}

fn read_sending(json: &Json) -> Result<Sending, Misread> {
    let fields = Fields::of(json, "`sending`")?;
    let small = |name| fields.number(name)?.try_into().map_err(|_| format!("`{name}` is too large"));
    Ok(Sending {
        priority: small("priority")?,
        attempts: small("attempts")?,
        offline: if fields.is("deny")? { Offline::Deny } else { Offline::Queue },
        expires_ms: fields.maybe("expires_ms").map(|_| wide(&fields, "expires_ms")).transpose()?,
    })
}

fn wide(fields: &Fields<'_>, name: &str) -> Result<u64, Misread> {
    fields.get(name)?.as_u64().ok_or_else(|| format!("`{name}` is not a whole number"))
}

fn read_schedule(json: &Json) -> Result<Schedule, Misread> {
    let fields = Fields::of(json, "`schedule`")?;
    Ok(Schedule { by: fields.text("by")?, lead_ms: wide(&fields, "lead_ms")? })
}

fn read_outbox(json: &Json) -> Result<OutboxLimits, Misread> {
    let fields = Fields::of(json, "`outbox`")?;
    let number = |name| wide(&fields, name);
    let or = |name, usual| if fields.maybe(name).is_some() { number(name) } else { Ok(usual) };
    let usual = OutboxLimits::default();
    Ok(OutboxLimits {
        max_entries: number("max_entries")?,
        max_bytes: number("max_bytes")?,
        collapse_ms: number("collapse_ms")?,
        review_after_ms: or("review_after_ms", usual.review_after_ms)?,
        review_entries: or("review_entries", usual.review_entries)?,
    })
}

fn read_table(json: &Json) -> Result<Table, Misread> {
    let fields = Fields::of(json, "a table")?;
    for name in ["columns", "primary_key"] {
        fields.get(name)?;
    }
    Ok(Table {
        name: fields.text("name")?,
        columns: fields.list("columns", read_column)?,
        primary_key: fields.list("primary_key", text)?,
        sync: fields.flag("sync")?,
        on_delete_conflict: one_of(fields.get("on_delete_conflict")?, DELETE_RULES)?,
        access: read_access(fields.get("access")?)?,
        sending: read_maybe(fields.maybe("sending"), read_sending)?.unwrap_or_default(),
        schedule: read_maybe(fields.maybe("schedule"), read_schedule)?,
        search: fields.list("search", text)?,
        history: read_maybe(fields.maybe("history"), read_history)?,
        history_of: read_maybe(fields.maybe("history_of"), read_history_of)?,
        conflicts_of: read_maybe(fields.maybe("conflicts_of"), read_conflicts_of)?,
        docs: fields.list("docs", text)?,
        docs_of: read_maybe(fields.maybe("docs_of"), read_docs_of)?,
        versions: fields.maybe("versions").is_some() && fields.flag("versions")?,
        versions_of: read_maybe(fields.maybe("versions_of"), read_versions_of)?,
    })
}

fn read_versions_of(json: &Json) -> Result<VersionsOf, Misread> {
    let fields = Fields::of(json, "`versions_of`")?;
    Ok(VersionsOf { table: fields.text("table")?, key: fields.text("key")? })
}

fn read_conflicts_of(json: &Json) -> Result<ConflictsOf, Misread> {
    let fields = Fields::of(json, "`conflicts_of`")?;
    Ok(ConflictsOf { table: fields.text("table")?, key: fields.list("key", text)? })
}

fn read_docs_of(json: &Json) -> Result<DocsOf, Misread> {
    let fields = Fields::of(json, "`docs_of`")?;
    Ok(DocsOf { table: fields.text("table")?, key: fields.text("key")? })
}

fn read_history(json: &Json) -> Result<History, Misread> {
    let fields = Fields::of(json, "`history`")?;
    Ok(History { keep_ms: fields.maybe("keep_ms").map(|_| wide(&fields, "keep_ms")).transpose()? })
}

fn read_history_of(json: &Json) -> Result<HistoryOf, Misread> {
    let fields = Fields::of(json, "`history_of`")?;
    Ok(HistoryOf { table: fields.text("table")?, key: fields.list("key", text)? })
}

fn read_param(json: &Json) -> Result<Param, Misread> {
    let fields = Fields::of(json, "a parameter")?;
    Ok(Param { name: fields.text("name")?, ty: ColumnType::read_json(fields.get("type")?)? })
}

fn read_shape(json: &Json) -> Result<Shape, Misread> {
    let fields = Fields::of(json, "a shape")?;
    let columns = fields.maybe("columns").map(|json| list_of(json, text).ok_or("`columns` of a shape is not a list"));
    Ok(Shape {
        name: fields.text("name")?,
        table: fields.text("table")?,
        filter: read_maybe(fields.maybe("where"), Predicate::read_json)?,
        params: fields.list("params", read_param)?,
        columns: columns.transpose()?.transpose()?,
    })
}

fn read_action(json: &Json) -> Result<ActionDef, Misread> {
    let fields = Fields::of(json, "an action")?;
    Ok(ActionDef {
        name: fields.text("name")?,
        sending: read_maybe(fields.maybe("sending"), read_sending)?.unwrap_or_default(),
        schedule: read_maybe(fields.maybe("schedule"), read_schedule)?,
        args: fields.list("args", read_column)?,
    })
}

fn read_number(json: &Json) -> Result<u64, Misread> {
    json.as_u64().ok_or_else(|| format!("{json} is not a number of the cache"))
}

fn read_policy(json: &Json) -> Result<NamedPolicy, Misread> {
    let fields = Fields::of(json, "a policy")?;
    let policy = Policy {
        strategy: one_of(fields.get("strategy")?, &Strategy::ALL)?,
        max_age_ms: read_maybe(fields.maybe("max_age_ms"), read_number)?,
        timeout_ms: read_maybe(fields.maybe("timeout_ms"), read_number)?,
        priority: fields.number("priority")?.try_into().map_err(|_| "`priority` is too large")?,
    };
    Ok(NamedPolicy { name: fields.text("name")?, policy })
}

fn read_cache(json: &Json) -> Result<Caching, Misread> {
    let fields = Fields::of(json, "`cache`")?;
    Ok(Caching { max_bytes: read_number(fields.get("max_bytes")?)?, policies: fields.list("policies", read_policy)? })
}

/// Reads a schema.
pub(super) fn read(json: &Json) -> Result<Schema, Misread> {
    let fields = Fields::of(json, "the schema")?;
    for name in ["tables", "shapes"] {
        fields.get(name)?;
    }
    Ok(Schema {
        name: fields.text("name")?,
        version: fields.number("version")?,
        tables: fields.list("tables", read_table)?,
        shapes: fields.list("shapes", read_shape)?,
        actions: fields.list("actions", read_action)?,
        cache: read_maybe(fields.maybe("cache"), read_cache)?.unwrap_or_default(),
        outbox: read_maybe(fields.maybe("outbox"), read_outbox)?.unwrap_or_default(),
        tombstones_ms: fields.maybe("tombstones_ms").map(|_| wide(&fields, "tombstones_ms")).transpose()?,
    })
}
