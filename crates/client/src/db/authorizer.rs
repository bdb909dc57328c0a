//! What an app's SQL may do. SQLite asks once for each thing that a statement would do, when it is prepared.

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::functions::GUARD;
use super::hooks::{Inner, Mode, Shared};

/// The answer to SQLite.
pub(super) fn authorize(shared: &Shared, context: &AuthContext<'_>) -> Authorization {
    let mut inner = shared.lock();
    inner.recorder.note(context);
    match refusal(&inner, context) {
        None => Authorization::Allow,
        Some(reason) => {
            inner.denied = Some(reason);
            Authorization::Deny
        }
    }
}

/// Why the action is refused; `None`: it is not.
fn refusal(inner: &Inner, context: &AuthContext<'_>) -> Option<String> {
    if let Some(trigger) = context.accessor.filter(|name| !is_ours(name))
        && let Some(table) = written_table(&context.action)
        && inner.tables.position(table).and_then(|at| inner.tables.list.get(at)).is_some_and(|t| t.table.sync)
    {
        return Some(format!(
            "the trigger {trigger} writes the synced table {table}; triggers may write only local tables (sync = false), \
             since they run again when changes arrive from the server"
        ));
    }
    match inner.mode {
        Mode::Engine => None,
        // What the engine's own triggers do is the engine's doing.
        _ if context.accessor.is_some_and(is_ours) => None,
        Mode::Read => refuse_write(&context.action).or_else(|| refuse_always(&context.action)),
        Mode::Write => refuse_bookkeeping(&context.action).or_else(|| refuse_always(&context.action)),
        Mode::Trigger => refuse_unless_trigger(&context.action),
    }
}

fn is_ours(name: &str) -> bool {
    name.get(..10).is_some_and(|prefix| prefix.eq_ignore_ascii_case("_landfall_"))
}

fn written_table<'a>(action: &AuthAction<'a>) -> Option<&'a str> {
    match action {
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. } => Some(table_name),
        _ => None,
    }
}

fn refuse_write(action: &AuthAction<'_>) -> Option<String> {
    written_table(action).map(|table| format!("a query may only read; write {table} inside a write transaction"))
}

fn refuse_bookkeeping(action: &AuthAction<'_>) -> Option<String> {
    let table = written_table(action)?;
    let reserved = is_ours(table) || table.get(..7).is_some_and(|prefix| prefix.eq_ignore_ascii_case("sqlite_"));
    reserved.then(|| format!("{table} is kept by the engine; an app may read it but not write it"))
}

/// Pragmas that only tell something.
const HARMLESS_PRAGMAS: [&str; 20] = [
    "collation_list",
    "compile_options",
    "data_version",
    "database_list",
    "encoding",
    "foreign_key_list",
    "freelist_count",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "page_count",
    "page_size",
    "pragma_list",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
    "module_list",
];
/// Of those, the ones that would change something when given a value.
const SETTABLE: [&str; 2] = ["encoding", "page_size"];

fn refuse_always(action: &AuthAction<'_>) -> Option<String> {
    let engine = "the engine begins and ends transactions; use its write call, and its savepoint for a part";
    let schema = "tables are declared in landfall.toml, from where the engine makes them";
    Some(match action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Recursive
        | AuthAction::Insert { .. }
        | AuthAction::Update { .. }
        | AuthAction::Delete { .. } => return None,
        AuthAction::Function { function_name } if function_name.eq_ignore_ascii_case("load_extension") => {
            "extensions cannot be loaded".to_owned()
        }
        AuthAction::Function { .. } => return None,
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => engine.to_owned(),
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => {
            "other databases cannot be attached; open them on their own".to_owned()
        }
        AuthAction::Pragma { pragma_name, pragma_value } => {
            let listed = |list: &[&str]| list.iter().any(|p| p.eq_ignore_ascii_case(pragma_name));
            let allowed = listed(&HARMLESS_PRAGMAS) && !(listed(&SETTABLE) && pragma_value.is_some());
            if allowed {
                return None;
            }
            format!("PRAGMA {pragma_name} is the engine's to set")
        }
        AuthAction::Analyze { .. } | AuthAction::Reindex { .. } => "the engine looks after its indexes".to_owned(),
        _ => schema.to_owned(),
    })
}

/// While an app makes a trigger: that, and what SQLite does for it.
fn refuse_unless_trigger(action: &AuthAction<'_>) -> Option<String> {
    match action {
        AuthAction::CreateTempTrigger { trigger_name, .. } | AuthAction::DropTempTrigger { trigger_name, .. }
            if !is_ours(trigger_name) =>
        {
            None
        }
        AuthAction::Insert { table_name } | AuthAction::Delete { table_name }
            if table_name.starts_with("sqlite_temp_") || *table_name == "sqlite_master" =>
        {
            None
        }
        AuthAction::Select | AuthAction::Read { .. } => None,
        AuthAction::Function { function_name } if *function_name != GUARD => None,
        _ => Some("only CREATE TEMP TRIGGER and DROP TRIGGER of such a one may be run here".to_owned()),
    }
}
