//! What app developers see of a schema file: the example and the documentation are read, every mistake is reported with
//! its place in the words kept beside it, and nothing panics.
#![cfg(feature = "text")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use landfall_core::schema::caching::{Caching, Policy, Strategy as When};
use landfall_core::schema::ddl::Place;
use landfall_core::schema::{Diagnostics, MAX_COLUMNS, MAX_SCHEMA_BYTES, MAX_TABLES, SchemaChange};
use landfall_core::{ColumnType, Schema};
use proptest::prelude::*;

#[path = "../../../fuzz/bodies/schema.rs"]
mod fuzz;

const JOURNAL: &str = include_str!("../../../examples/journal/landfall.toml");

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn parse(text: &str) -> Schema {
    Schema::parse("landfall.toml", text).unwrap_or_else(|e| panic!("{}", e.render(text, false)))
}

fn mistakes(text: &str) -> Diagnostics {
    Schema::parse("landfall.toml", text).expect_err("the schema should be refused")
}

/// Compares with the expected file; with `LANDFALL_BLESS=1` writes it.
fn check(file: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let found = mistakes(&text);
    for diagnostic in &found {
        assert!(text.get(diagnostic.span.clone()).is_some(), "{diagnostic}");
        assert!(!diagnostic.message.is_empty() && diagnostic.line >= 1 && diagnostic.column >= 1);
    }
    let rendered = format!("{}\n{found}\n", found.render(&text, false));
    let expected = file.with_extension("txt");
    if std::env::var_os("LANDFALL_BLESS").is_some() {
        std::fs::write(&expected, &rendered).unwrap();
    }
    let kept = std::fs::read_to_string(&expected).unwrap_or_default();
    assert_eq!(rendered, kept, "{}: other words than kept; LANDFALL_BLESS=1 accepts them", file.display());
    found.iter().map(|d| d.code.as_str().to_owned()).collect()
}

fn mistake_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "toml"));
    files.sort();
    files
}

/// The codes that stand in a text, such as `LF-1001`.
fn codes_in(text: &str, prefix: &str) -> BTreeSet<String> {
    let codes = text.match_indices(prefix).filter_map(|(at, _)| text.get(at..at + 7));
    codes.filter(|c| c[3..].bytes().all(|b| b.is_ascii_digit())).map(str::to_owned).collect()
}

#[test]
fn every_mistake_has_its_words_and_every_code_its_mistake() {
    let mut seen = BTreeSet::new();
    for file in mistake_files() {
        let codes = check(&file);
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(codes.contains(&format!("LF-{}", &name[..4])), "{name} gives {codes:?}");
        seen.extend(codes);
    }
    // The limits and upgrades have tests of their own, without a file.
    seen.extend(["LF-1002".to_owned(), "LF-1028".to_owned()]);
    assert_eq!(seen, codes_in(include_str!("../src/error.rs"), "LF-1"));
}

#[test]
fn every_code_is_documented() {
    let documented = codes_in(&std::fs::read_to_string(repository().join("docs/errors.md")).unwrap(), "LF-");
    let given = codes_in(include_str!("../src/error.rs"), "LF-");
    assert_eq!(given.difference(&documented).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn the_cache_is_read_and_survives_compiling() {
    let head = "[app]\nname = \"bank\"\n[tables.notes.columns]\nid = \"uuid\"\n";
    let plain = parse(head);
    assert_eq!(plain.cache, Caching::default());
    assert!(!plain.to_json().contains("cache"), "a schema without one stays what it was");
    let text = format!(
        "{head}[cache]\nmax_bytes = \"20MB\"\n[cache.policies.balance]\nstrategy = \"cache_first\"\nmax_age = \"never\"\n\
         timeout = \"3s\"\npriority = 80\n[cache.policies.page]\nmax_age = \"2h\"\n"
    );
    let schema = parse(&text);
    let wanted = Policy { strategy: When::CacheFirst, max_age_ms: None, timeout_ms: Some(3_000), priority: 80 };
    assert_eq!((schema.cache.max_bytes, schema.cache.policy("balance:42")), (20_000_000, wanted));
    assert_eq!(schema.cache.policy("page"), Policy { max_age_ms: Some(7_200_000), ..Policy::default() });
    assert_eq!(Schema::from_json(&schema.to_json()).unwrap(), schema);
    assert_eq!(Schema::check_upgrade(&plain, &schema).unwrap(), [SchemaChange::CachingChanged]);
    let many = (0..=Caching::MAX_POLICIES).map(|n| format!("[cache.policies.p{n}]\n")).collect::<String>();
    let found = mistakes(&format!("{head}{many}")).to_string();
    assert!(found.contains("error[LF-1002]") && found.contains("101 policies"), "{found}");
}

#[test]
fn the_limits_are_said_clearly() {
    let column = |n: usize| format!("c{n} = \"text\"\n");
    let many = |n: usize| (0..n).map(column).collect::<String>();
    let head = "[app]\nname = \"big\"\n";
    let wide = |n: usize| format!("{head}[tables.t.columns]\nid = \"uuid\"\n{}", many(n - 1));
    let tables = |n: usize| (0..n).fold(head.to_owned(), |s, i| s + &format!("[tables.t{i}.columns]\nid = \"uuid\"\n"));
    parse(&wide(MAX_COLUMNS));
    parse(&tables(MAX_TABLES));
    let long = format!("{JOURNAL}#{}", "x".repeat(MAX_SCHEMA_BYTES));
    for (text, words) in [
        (wide(MAX_COLUMNS + 1), "table `t` has 501 columns, at most 500 are allowed"),
        (tables(MAX_TABLES + 1), "the schema has 501 tables, at most 500 are allowed"),
        (long, "at most 1048576 are allowed"),
    ] {
        let found = mistakes(&text).to_string();
        assert!(found.contains("error[LF-1002]") && found.contains(words), "{found}");
    }
}

/// Each of these once took a stack or quadratic time from some reader of nested text.
#[test]
fn hostile_files_of_full_size_are_refused_quickly() {
    let size = MAX_SCHEMA_BYTES - 100;
    let head = "[app]\nname = \"x\"\n[tables.t.columns]\nid = \"uuid\"\n";
    for (before, unit, after) in [
        ("", "=\n", ""),
        ("", "[", ""),
        ("x = ", "[", ""),
        ("x = ", "{a=", ""),
        ("", "a.", "a = 1"),
        ("[", "a.", "a]"),
        (head, "j = { type = \"json\", default = ", "1 }"),
        (head, "a=1\n", ""),
        ("x = \"\"\"", "\\\n ", "\"\"\""),
        ("[app]\nname='x'\n[tables.t.columns]\nid='uuid'\n[tables.t.access]\nread='", "(", "'"),
        ("[app]\nname='x'\n[tables.t.columns]\nid='uuid'\n[tables.t.access]\nread='", "NOT ", "'"),
    ] {
        let text = format!("{before}{}{after}", unit.repeat((size - before.len() - after.len()) / unit.len()));
        let found = mistakes(&text);
        assert!(found.render(&text, false).len() < 4 << 20, "{unit:?}");
    }
}

#[test]
fn every_merge_rule_of_the_design_is_known() {
    let schema = |merge: &str| format!("[app]\nname = 'x'\n[tables.t.columns]\nid = 'uuid'\na = {{ {merge} }}");
    for (rule, ty) in [
        ("lww", "text"),
        ("first", "text"),
        ("server", "text"),
        ("client", "text"),
        ("max", "integer"),
        ("min", "integer"),
        ("counter", "integer"),
        ("set", "json"),
        ("map", "json"),
        ("list", "text"),
        ("text", "text"),
        ("ot", "text"),
        ("manual", "text"),
    ] {
        assert_eq!(parse(&schema(&format!("type = '{ty}', merge = '{rule}'"))).tables[0].rule("a").name(), rule);
    }
    let found = mistakes(&schema("type = 'text', merge = 'doc'"));
    assert_eq!(found.iter().map(|d| d.code.as_str()).collect::<Vec<_>>(), ["LF-1022"]);
}

/// What declares a document says nothing of its row's cells, and makes a table that other parts of the schema may name.
#[test]
fn a_document_is_a_table_beside_the_one_that_declares_it() {
    let schema = parse(
        "[app]\nname = 'wiki'\n[tables.pages.columns]\nid = 'uuid'\nowner = 'text'\ntitle = 'text'\nbody = 'doc'\n\
         aside = { type = 'doc', merge = 'doc' }\n[tables.pages.access]\nread = \"owner = claim('sub')\"\n\
         [shapes.mine]\ntable = 'pages_docs'\nwhere = \"owner = claim('sub') AND doc_column = 'body'\"\n",
    );
    let (pages, docs) = (schema.table("pages").unwrap(), schema.table("pages_docs").unwrap());
    assert_eq!((pages.columns.len(), &pages.docs[..]), (3, &["body".to_owned(), "aside".to_owned()][..]));
    assert_eq!(docs.doc_copies().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["owner"]);
    assert!(docs.column("title").is_none());
    let of = docs.docs_of.as_ref().unwrap();
    assert_eq!((of.table.as_str(), of.key.as_str()), ("pages", "id"));
    assert_eq!(Schema::from_json(&schema.to_json()).unwrap(), schema);
}

/// Versions of rows have the row's own columns, without their rules, and its documents.
#[test]
fn versions_are_a_table_beside_the_one_that_declares_them() {
    let text = "[app]\nname = 'wiki'\n[tables.pages]\nversions = true\n[tables.pages.columns]\nid = 'uuid'\n\
                title = { type = 'text', required = true, max_length = 9 }\nbody = 'doc'\n\
                [shapes.kept]\ntable = 'pages_versions'\nwhere = 'id = :page'\nparams = { page = 'uuid' }\n";
    let schema = parse(text);
    let versions = schema.table("pages_versions").unwrap();
    let names: Vec<&str> = versions.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names[..6], ["version_id", "id", "version_name", "version_seq", "version_at", "version_by"]);
    assert_eq!(names[6..], ["title", "body"]);
    let title = versions.column("title").unwrap();
    assert_eq!((title.required, title.max_length), (false, None), "what a row was may be what it may not be today");
    assert_eq!(Schema::from_json(&schema.to_json()).unwrap(), schema);
    let found = |text: &str| mistakes(text).iter().map(|d| d.code.to_string()).collect::<Vec<_>>();
    let bare = text.split("[shapes").next().unwrap();
    assert_eq!(found(&bare.replace("title =", "version_title =")), ["LF-1007"]);
    let of_two = bare.replace("versions = true", "versions = true\nprimary_key = ['id', 'title']");
    assert!(found(&of_two).iter().all(|code| code == "LF-1011"), "{:?}", found(&of_two));
    assert!(!found(&of_two).is_empty());
    let kept_no_more = parse(text.replace("versions = true", "").split("[shapes").next().unwrap());
    assert!(Schema::check_upgrade(&schema, &kept_no_more).is_err(), "some may be there");
}

#[test]
fn the_example_covers_every_column_type_and_survives_its_compiled_form() {
    let schema = parse(JOURNAL);
    assert_eq!(Schema::from_json(&schema.to_json()).unwrap(), schema);
    let kind = |ty: ColumnType| ty.to_string().split('(').next().unwrap_or_default().to_owned();
    let types: BTreeSet<_> = schema.tables.iter().flat_map(|t| &t.columns).map(|c| kind(c.ty)).collect();
    let all = ["boolean", "bytes", "date", "decimal", "float", "integer", "json", "text", "timestamp", "uuid"];
    assert_eq!(types.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[test]
fn the_example_runs_on_sqlite() {
    let schema = parse(JOURNAL);
    for place in [Place::Device, Place::Server] {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        for sql in schema.create_sql(place) {
            db.execute_batch(&sql).unwrap_or_else(|e| panic!("{e}: {sql}"));
        }
    }
}

#[test]
fn every_snippet_of_the_documentation_is_a_schema() {
    let read = |page: &str| std::fs::read_to_string(repository().join("docs").join(page)).unwrap();
    let documentation = read("schema.md") + "\n" + &read("versions.md");
    let snippets: Vec<_> = documentation.split("```toml\n").skip(1).filter_map(|s| s.split("```").next()).collect();
    assert!(snippets.len() >= 7, "{}", snippets.len());
    for snippet in snippets {
        let app = if snippet.contains("[app]") { "" } else { "[app]\nname = \"docs\"\n" };
        parse(&format!("{app}{snippet}"));
    }
}

/// A part of the example, replaced by something that often stands in schemas.
fn mutation() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,6}",
        prop::sample::select(vec![
            "\"",
            "'",
            "[",
            "]",
            "{",
            "}",
            "=",
            "\n",
            "\"\"\"",
            "\\",
            "\u{fe}",
            "\r\n",
            ":x",
            "notes",
            "uuid",
            "decimal",
            "-1",
            "2026-11-21",
            "[[tables]]",
            "default = \"now\"",
            "primary_key = []\n",
            "search = \"id\"\n",
            ", required = true",
        ])
        .prop_map(str::to_owned),
    ];
    (0..JOURNAL.len(), 0usize..40, piece).prop_map(|(at, length, piece)| {
        let start = JOURNAL.floor_char_boundary(at);
        let end = JOURNAL.ceil_char_boundary((at + length).min(JOURNAL.len()));
        format!("{}{piece}{}", &JOURNAL[..start], &JOURNAL[end..])
    })
}

fn holds_for(text: &str) {
    match Schema::parse("landfall.toml", text) {
        Ok(schema) => assert_eq!(Schema::from_json(&schema.to_json()).unwrap(), schema),
        Err(found) => {
            assert!(found.iter().count() > 0);
            for diagnostic in &found {
                let spans = diagnostic.related.iter().map(|(span, _)| span).chain([&diagnostic.span]);
                spans.for_each(|span| assert!(text.get(span.clone()).is_some(), "{diagnostic:?}"));
            }
            assert!(!found.render(text, true).is_empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn garbage_gives_a_schema_or_mistakes_at_real_places(text in "\\PC{0,200}|[\\[\\]{}=\"'a-c.\n\\\\]{0,60}") {
        holds_for(&text);
        fuzz::schema(text.as_bytes());
    }

    #[test]
    fn a_damaged_example_gives_a_schema_or_mistakes_at_real_places(text in mutation()) {
        holds_for(&text);
        fuzz::schema(text.as_bytes());
    }
}
