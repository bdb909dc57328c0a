//! One column: its type and its rules.

use toml::de::DeValue;

use super::literals;
use super::names;
use super::reader::{Entry, LONGEST_MS, Section, kind};
use super::{Report, Span};
use crate::error::{Code, codes};
use crate::rules::MergeRule;
use crate::schema::{Column, Default, OnDelete, Pattern};
use crate::value::{ColumnType, Decimal, MAX_DECIMAL_SCALE, Value};

/// What other databases call a key that they assign.
const ASSIGNED: &[&str] =
    &["serial", "bigserial", "smallserial", "autoincrement", "auto_increment", "identity", "rowid", "generated"];
const PATTERN_HELP: &str = "write it in single quotes, where a backslash is a backslash: pattern = '[a-z]+\\d*'; \
                            look-around and \\p{…} are not there";
const USE_UUID: &str = "two devices without a network would assign the same number to two rows: use \
                        { type = \"uuid\", default = \"uuid\" }, or a key that is natural for the row";

/// A column as far as it could be read by itself.
#[derive(Debug)]
pub(super) struct DraftColumn<'t> {
    pub(super) column: Column,
    pub(super) name_span: Span,
    pub(super) type_span: Span,
    pub(super) required_span: Option<Span>,
    pub(super) assigned_span: Option<Span>,
    pub(super) reference: Option<DraftReference<'t>>,
}

/// A reference before its target is known.
#[derive(Debug)]
pub(super) struct DraftReference<'t> {
    pub(super) table: &'t str,
    pub(super) span: Span,
    pub(super) on_delete: OnDelete,
    pub(super) on_delete_span: Span,
}

/// Reads a column; `None` when its name or type could not be read.
pub(super) fn read<'t>(entry: &Entry<'t>, report: &mut Report) -> Option<DraftColumn<'t>> {
    let named = names::check("column", entry.key, &entry.key_span, report);
    if let Some(word) = entry.value.as_str() {
        let ty = named_type(word, &entry.span, report)?;
        let column = Column::plain(entry.key, complete(ty, None, &entry.span, report)?);
        let (name_span, type_span) = (entry.key_span.clone(), entry.span.clone());
        let draft =
            DraftColumn { column, name_span, type_span, required_span: None, assigned_span: None, reference: None };
        return named.then_some(draft);
    }
    let mut section = Section::of(entry, format!("column `{}`", entry.key), report)?;
    let ty_entry = section.take("type");
    let scale = section.take("scale");
    assigned_keys(&mut section, report);
    let ty = match &ty_entry {
        Some(e) => e.text(report).and_then(|word| named_type(word, &e.span, report)),
        None => {
            report
                .add(codes::MISSING_KEY, entry.key_span.clone(), format!("column `{}` has no type", entry.key))
                .label("`type` is missing here")
                .help("such as: type = \"text\"");
            None
        }
    };
    let type_span = ty_entry.map_or_else(|| entry.key_span.clone(), |e| e.span);
    let ty = ty.and_then(|ty| complete(ty, scale, &type_span, report));
    let mut draft = DraftColumn {
        column: Column::plain(entry.key, ty.unwrap_or(ColumnType::Json)),
        name_span: entry.key_span.clone(),
        type_span,
        required_span: None,
        assigned_span: None,
        reference: None,
    };
    read_rules(&mut section, &mut draft, ty, report);
    section.finish(report);
    (named && ty.is_some()).then_some(draft)
}

/// A type by name, a decimal's scale still open.
#[derive(Clone, Copy)]
pub(super) enum NamedType {
    Whole(ColumnType),
    Decimal,
}

const TYPES: &[(&str, NamedType)] = &[
    ("uuid", NamedType::Whole(ColumnType::Uuid)),
    ("text", NamedType::Whole(ColumnType::Text)),
    ("integer", NamedType::Whole(ColumnType::Integer)),
    ("float", NamedType::Whole(ColumnType::Float)),
    ("decimal", NamedType::Decimal),
    ("boolean", NamedType::Whole(ColumnType::Boolean)),
    ("timestamp", NamedType::Whole(ColumnType::Timestamp)),
    ("date", NamedType::Whole(ColumnType::Date)),
    ("json", NamedType::Whole(ColumnType::Json)),
    ("bytes", NamedType::Whole(ColumnType::Bytes)),
];

/// What other databases and languages call our types.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("string", "text"),
    ("varchar", "text"),
    ("char", "text"),
    ("str", "text"),
    ("clob", "text"),
    ("citext", "text"),
    ("int", "integer"),
    ("bigint", "integer"),
    ("smallint", "integer"),
    ("int8", "integer"),
    ("int64", "integer"),
    ("bool", "boolean"),
    ("double", "float"),
    ("real", "float"),
    ("number", "float"),
    ("float64", "float"),
    ("numeric", "decimal"),
    ("money", "decimal"),
    ("datetime", "timestamp"),
    ("timestamptz", "timestamp"),
    ("time", "timestamp"),
    ("blob", "bytes"),
    ("binary", "bytes"),
    ("bytea", "bytes"),
    ("object", "json"),
    ("jsonb", "json"),
    ("array", "json"),
    ("guid", "uuid"),
    ("id", "uuid"),
];

/// The type that `word` names.
pub(super) fn named_type(word: &str, span: &Span, report: &mut Report) -> Option<NamedType> {
    if let Some((_, ty)) = TYPES.iter().find(|(name, _)| *name == word) {
        return Some(*ty);
    }
    if let Some(scale) = word.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')) {
        let scale = scale.trim().parse().ok().filter(|s| *s <= MAX_DECIMAL_SCALE);
        if scale.is_none() {
            bad_scale(span, report);
        }
        return scale.map(|s| NamedType::Whole(ColumnType::Decimal(s)));
    }
    let lower = word.to_ascii_lowercase();
    if ASSIGNED.contains(&lower.as_str()) {
        assigned(span, report);
        return None;
    }
    let other = OTHER_WORDS.iter().find(|(name, _)| *name == lower).map(|(_, ours)| format!("did you mean `{ours}`?"));
    let all = TYPES.iter().map(|(name, _)| *name);
    report
        .add(codes::UNKNOWN_TYPE, span.clone(), format!("there is no type {}", names::show(word)))
        .help(other.unwrap_or_else(|| names::suggest(word, all)));
    None
}

/// Joins a type and its scale.
pub(super) fn complete(
    ty: NamedType,
    scale: Option<Entry<'_>>,
    span: &Span,
    report: &mut Report,
) -> Option<ColumnType> {
    match (ty, scale) {
        (NamedType::Whole(ty), None) => Some(ty),
        (NamedType::Whole(ty), Some(scale)) => {
            report
                .add(codes::BAD_SCALE, scale.key_span, format!("a column of type {ty} takes no `scale`"))
                .help("remove it; only type = \"decimal\" has digits after the point to count");
            Some(ty)
        }
        (NamedType::Decimal, Some(scale)) => {
            let number =
                scale.value.as_integer().and_then(|i| i.as_str().parse().ok()).filter(|s| *s <= MAX_DECIMAL_SCALE);
            if number.is_none() {
                bad_scale(&scale.span, report);
            }
            number.map(ColumnType::Decimal)
        }
        (NamedType::Decimal, None) => {
            bad_scale(span, report);
            None
        }
    }
}

fn bad_scale(span: &Span, report: &mut Report) {
    report
        .add(codes::BAD_SCALE, span.clone(), "a decimal must say how many digits it has after the point")
        .label(format!("a whole number from 0 to {MAX_DECIMAL_SCALE} belongs here"))
        .help("such as: { type = \"decimal\", scale = 2 }, or in short \"decimal(2)\"");
}

fn assigned(span: &Span, report: &mut Report) {
    report
        .add(codes::ASSIGNED_KEY, span.clone(), "a key is made where the row is made, never assigned by a database")
        .help(USE_UUID);
}

fn assigned_keys(section: &mut Section<'_>, report: &mut Report) {
    for key in section.remove_any(ASSIGNED) {
        assigned(&key.key_span, report);
    }
}

fn read_rules<'t>(section: &mut Section<'t>, draft: &mut DraftColumn<'t>, ty: Option<ColumnType>, report: &mut Report) {
    if let Some(entry) = section.take("required") {
        draft.column.required = entry.boolean(report).unwrap_or(false);
        draft.required_span = Some(entry.span);
    }
    if let Some(entry) = section.take("assigned") {
        draft.column.assigned = entry.choice(&[("server", true)], &[], report).unwrap_or(false);
        draft.assigned_span = Some(entry.span);
    }
    if let Some(entry) = rule(section, "unique", ty, is_comparable, report) {
        (draft.column.unique, draft.column.renames) = read_unique(&entry, ty, report);
    }
    read_merge(section, draft, ty, report);
    draft.reference = read_reference(section, report);

    let length = rule(section, "max_length", ty, |t| matches!(t, ColumnType::Text | ColumnType::Bytes), report);
    draft.column.max_length =
        length.and_then(|e| e.whole_number(1..=i64::from(u32::MAX), report)).and_then(|n| u32::try_from(n).ok());
    let pattern = rule(section, "pattern", ty, |t| t == ColumnType::Text, report);
    draft.column.pattern = pattern.and_then(|e| read_pattern(&e, report));
    read_values(section, draft, ty, report);
}

/// Whether a column is unique, and whether what is taken gets another name.
fn read_unique(entry: &Entry<'_>, ty: Option<ColumnType>, report: &mut Report) -> (bool, bool) {
    if entry.value.as_str().is_none() {
        return (entry.boolean(report).unwrap_or(false), false);
    }
    let renames = entry.choice(&[("refuse", false), ("rename", true)], &[], report).unwrap_or(false);
    if let (true, Some(ty)) = (renames, ty.filter(|ty| *ty != ColumnType::Text)) {
        report
            .add(codes::NOT_APPLICABLE, entry.span.clone(), format!("a value of type {ty} gets no other name"))
            .help("only a text can be renamed; for this column there is: unique = true");
    }
    (true, renames && ty == Some(ColumnType::Text))
}

fn read_merge<'t>(section: &mut Section<'t>, draft: &mut DraftColumn<'t>, ty: Option<ColumnType>, report: &mut Report) {
    let (function, within) = (section.take("function"), section.take("ask_within"));
    let Some(entry) = section.take("merge") else {
        without_custom(function, report);
        without_manual(within, report);
        return;
    };
    if entry.value.as_str() == Some("doc") {
        report
            .add(codes::NOT_APPLICABLE, entry.span.clone(), "a document is no cell of a row")
            .help("write: type = \"doc\"");
        return;
    }
    let rules: Vec<_> = MergeRule::all().map(|rule| rule.name()).chain(["custom"]).map(|name| (name, name)).collect();
    let Some(name) = entry.choice(&rules, &[], report) else { return };
    let Some(merge) = merge_rule(name, ty, &entry, function, report) else { return };
    let merge = match within {
        Some(within) if name == "manual" => match within.duration(1_000..=LONGEST_MS, "1h", report) {
            Some(within_ms) => MergeRule::manual_within(within_ms),
            None => return,
        },
        within => {
            without_manual(within, report);
            merge
        }
    };
    match ty {
        Some(ty) if !merge.fits(ty) => {
            let fitting = MergeRule::all().filter(|rule| rule.fits(ty)).map(|rule| format!("`{}`", rule.name()));
            let what = format!("the merge rule `{}` means nothing for a column of type {ty}", merge.name());
            report
                .add(codes::NOT_APPLICABLE, entry.span.clone(), what)
                .help(format!("for {ty} there are {}", fitting.collect::<Vec<_>>().join(", ")));
        }
        _ if merge.change().is_some() && (draft.column.unique || draft.column.assigned) => {
            let what = format!("a column whose merge rule is `{}` is neither `unique` nor `assigned`", merge.name());
            contradiction(&entry.span, what, report)
                .help("it is what all have made of it together; remove one of both");
        }
        _ => draft.column.merge = merge,
    }
}

/// The rule of this name; for `custom`, of the function that it names.
fn merge_rule(
    name: &str,
    ty: Option<ColumnType>,
    entry: &Entry<'_>,
    function: Option<Entry<'_>>,
    report: &mut Report,
) -> Option<MergeRule> {
    if name != "custom" {
        without_custom(function, report);
        return MergeRule::named(name);
    }
    let Some(function) = function else {
        report
            .add(
                codes::MISSING_KEY,
                entry.span.clone(),
                "`merge = \"custom\"` does not say which function of the app merges",
            )
            .label("`function` is missing beside it")
            .help("such as: merge = \"custom\", function = \"longest\"; the server is given a function of this name");
        return None;
    };
    let word = function.text(report)?;
    names::check("function", word, &function.span, report)
        .then(|| MergeRule::custom(word, ty.unwrap_or(ColumnType::Json)))
}

fn without_custom(function: Option<Entry<'_>>, report: &mut Report) {
    if let Some(function) = function {
        let what = "`function` without `merge = \"custom\"` means nothing";
        report.add(codes::NOT_APPLICABLE, function.key_span, what).help("add: merge = \"custom\", or remove it");
    }
}

fn without_manual(within: Option<Entry<'_>>, report: &mut Report) {
    if let Some(within) = within {
        let what = "`ask_within` without `merge = \"manual\"` means nothing";
        report.add(codes::NOT_APPLICABLE, within.key_span, what).help("add: merge = \"manual\", or remove it");
    }
}

/// Takes a rule that only some types have.
fn rule<'t>(
    section: &mut Section<'t>,
    key: &'static str,
    ty: Option<ColumnType>,
    applies: impl Fn(ColumnType) -> bool,
    report: &mut Report,
) -> Option<Entry<'t>> {
    let entry = section.take(key)?;
    match ty {
        Some(ty) if !applies(ty) => {
            report
                .add(codes::NOT_APPLICABLE, entry.key_span, format!("`{key}` means nothing for a column of type {ty}"))
                .help(match key {
                    "min" | "max" => {
                        "bounds are for integer, float, decimal, timestamp and date; a text has `max_length`"
                    }
                    "max_length" => "a length is for text and bytes; numbers and dates have `min` and `max`",
                    "pattern" => "a pattern is for text",
                    _ => "values of this type are not compared with each other; remove it",
                });
            None
        }
        _ => Some(entry),
    }
}

fn is_comparable(ty: ColumnType) -> bool {
    !matches!(ty, ColumnType::Json | ColumnType::Float)
}

fn is_ordered(ty: ColumnType) -> bool {
    use ColumnType::{Date, Decimal, Float, Integer, Timestamp};
    matches!(ty, Integer | Float | Decimal(_) | Timestamp | Date)
}

fn read_pattern(entry: &Entry<'_>, report: &mut Report) -> Option<Pattern> {
    let pattern = Pattern::new(entry.text(report)?);
    match pattern.check() {
        Ok(()) => Some(pattern),
        Err(error) => {
            let message = format!("the pattern is not a regular expression: {error}");
            report.add(codes::BAD_PATTERN, entry.span.clone(), message).help(PATTERN_HELP);
            None
        }
    }
}

fn read_reference<'t>(section: &mut Section<'t>, report: &mut Report) -> Option<DraftReference<'t>> {
    let target = section.take("references");
    let on_delete = section.take("on_delete");
    let choices = [
        ("restrict", OnDelete::Restrict),
        ("cascade", OnDelete::Cascade),
        ("set_null", OnDelete::SetNull),
        ("keep_orphan", OnDelete::KeepOrphan),
    ];
    let rule = on_delete.as_ref().and_then(|e| e.choice(&choices, &[], report));
    let Some(target) = target else {
        if let Some(entry) = on_delete {
            report
                .add(codes::NOT_APPLICABLE, entry.key_span, "`on_delete` without `references` means nothing")
                .help("add: references = \"<table>\", or remove it");
        }
        return None;
    };
    let table = target.text(report)?;
    let on_delete_span = on_delete.map_or_else(|| target.span.clone(), |e| e.span);
    Some(DraftReference { table, span: target.span, on_delete: rule.unwrap_or(OnDelete::Restrict), on_delete_span })
}

/// Default, bounds and choices; then whether they agree with each other.
fn read_values(section: &mut Section<'_>, draft: &mut DraftColumn<'_>, ty: Option<ColumnType>, report: &mut Report) {
    let min = rule(section, "min", ty, is_ordered, report);
    let max = rule(section, "max", ty, is_ordered, report);
    let one_of = rule(section, "one_of", ty, |t| t != ColumnType::Json, report);
    let default = section.take("default");
    let limit = [&min, &max, &one_of].into_iter().flatten().next().map(|entry| entry.span.clone());
    let Some(ty) = ty else {
        refuse_assigned_default(default.as_ref(), report);
        return;
    };
    let column = &mut draft.column;
    column.min = min.as_ref().and_then(|e| value(e, ty, report));
    column.max = max.as_ref().and_then(|e| value(e, ty, report));
    if let (Some(low), Some(high), Some(min), Some(max)) = (&column.min, &column.max, &min, &max)
        && low > high
    {
        contradiction(&max.span, "no value is allowed: `max` is below `min`", report)
            .related(&min.span, "`min` is here")
            .help("exchange them, or remove one");
        (column.min, column.max) = (None, None);
    }
    if let Some(entry) = one_of {
        column.one_of = read_choices(&entry, column, report);
    }
    if let Some(entry) = default {
        column.default = read_default(&entry, column, report);
    }
    if let Some(empty) = begins_with(column, ty) {
        // It begins with something.
        column.required = true;
        column.default.get_or_insert(Default::Value(empty));
        let problem = match &column.default {
            Some(Default::Value(value)) => column.check(value),
            _ => None,
        };
        if let Some((problem, span)) = problem.zip(limit) {
            let text = format!("it begins with a value that it must not have: {}", problem.message);
            contradiction(&span, text, report).help("give it a `default`, or change the other rule");
        }
    }
}

/// What a column has where nobody says what, of a rule under which it has always something.
fn begins_with(column: &Column, ty: ColumnType) -> Option<Value> {
    let always = column.merge.change().filter(|_| !column.merge.may_be_null());
    column.merge.empty().or_else(|| always.map(|_| zero(ty)))
}

fn zero(ty: ColumnType) -> Value {
    match ty {
        ColumnType::Decimal(scale) => Value::Decimal(Decimal::new(0, scale)),
        _ => Value::Int(0),
    }
}

fn contradiction<'r>(
    span: &Span,
    message: impl Into<String>,
    report: &'r mut Report,
) -> &'r mut super::diagnostic::Finding {
    report.add(codes::CONTRADICTION, span.clone(), message)
}

fn value(entry: &Entry<'_>, ty: ColumnType, report: &mut Report) -> Option<Value> {
    literals::read(&format!("`{}`", entry.key), entry.value, &entry.span, ty, report)
}

fn read_choices(entry: &Entry<'_>, column: &Column, report: &mut Report) -> Vec<Value> {
    let Some(list) = entry.value.as_array() else {
        report
            .add(codes::WRONG_FORM, entry.span.clone(), "`one_of` must be a list of values")
            .label(format!("this is {}", kind(entry.value)))
            .help("such as: one_of = [\"draft\", \"live\"]");
        return Vec::new();
    };
    if list.is_empty() {
        contradiction(&entry.span, "no value is allowed: `one_of` is empty", report)
            .help("name the values, or remove it");
    }
    let mut choices: Vec<Value> = Vec::new();
    for item in list.iter() {
        let span = item.span();
        let Some(value) = literals::read("this choice", item.get_ref(), &span, column.ty, report) else {
            continue;
        };
        if let Some(problem) = column.check(&value) {
            contradiction(&span, format!("this choice can never be stored: {}", problem.message), report)
                .help("remove it, or change the other rule");
        } else if choices.contains(&value) {
            contradiction(&span, "this choice is there twice", report).help("remove one");
        }
        choices.push(value);
    }
    choices
}

fn refuse_assigned_default(entry: Option<&Entry<'_>>, report: &mut Report) -> bool {
    let found = entry.filter(|e| e.value.as_str().is_some_and(|w| ASSIGNED.contains(&w.to_ascii_lowercase().as_str())));
    if let Some(entry) = found {
        assigned(&entry.span, report);
    }
    found.is_some()
}

fn read_default(entry: &Entry<'_>, column: &Column, report: &mut Report) -> Option<Default> {
    match (entry.value, column.ty) {
        (DeValue::String(word), ColumnType::Timestamp | ColumnType::Date) if word == "now" => {
            return Some(Default::Now);
        }
        (DeValue::String(word), ColumnType::Uuid) if word == "uuid" => return Some(Default::Uuid),
        (_, ty) if ty != ColumnType::Text && refuse_assigned_default(Some(entry), report) => {
            return None;
        }
        _ => {}
    }
    let value = column.merge.canonical(value(entry, column.ty, report)?);
    if let Some(problem) = column.check(&value) {
        let message = format!("the default can never be stored: {}", problem.message);
        contradiction(&entry.span, message, report).help("change the default, or the other rule");
        return None;
    }
    Some(Default::Value(value))
}

/// The code under which a key column's type is refused.
pub(super) fn refused_in_key(ty: ColumnType) -> Option<(Code, &'static str)> {
    match ty {
        ColumnType::Float => {
            Some((codes::KEY_TYPE, "floats that print alike may differ; use integer, decimal or text"))
        }
        ColumnType::Json => {
            Some((codes::KEY_TYPE, "one JSON value has many spellings; use the columns that identify the row"))
        }
        _ => None,
    }
}
