use std::sync::Arc;

use landfall_core::{Decimal, Schema};
use proptest::prelude::*;

use super::*;

fn plan() -> Plan {
    let text = r#"
        [app]
        name = "shop"
        [tables.products]
        primary_key = ["kind", "id"]
        [tables.products.columns]
        kind  = { type = "text" }
        id    = { type = "integer" }
        stock = { type = "integer", min = 0 }
        price = { type = "decimal", scale = 2 }
        [tables.here]
        sync = false
        [tables.here.columns]
        id = { type = "uuid" }
    "#;
    let schema = Schema::parse("landfall.toml", text).unwrap_or_else(|e| panic!("{e}"));
    Plan::new(Arc::new(schema), [7; 32])
}

fn wish(text: &str) -> Result<Wish, String> {
    read(text.as_bytes(), &plan())
}

fn lamp() -> RowKey {
    RowKey(vec![Value::Text("lamp".into()), Value::Int(7)])
}

#[test]
fn an_answer_says_what_is_to_be_done() {
    let decided = |rests_on, verdict| Ok(Wish::Decide(Decided { rests_on, verdict }));
    let through = |drop, operations| Verdict::Through { drop, operations };
    assert_eq!(wish(" {}"), decided(None, through(vec![], vec![])));
    assert_eq!(
        wish(
            r#"{"operations": [
            {"op": "insert", "table": "products", "set": {"kind": "lamp", "id": 7, "price": "1.50"}},
            {"op": "update", "table": "products", "key": ["lamp", 7], "set": {"stock": null}},
            {"op": "delete", "table": "products", "key": ["lamp", 7]}
        ], "drop": [{"table": "products", "key": ["lamp", 7]}], "rests_on": []}"#
        ),
        decided(
            Some(vec![]),
            through(
                vec![("products".into(), lamp())],
                vec![
                    Change::Insert(
                        "products".into(),
                        vec![
                            ("id".into(), Value::Int(7)),
                            ("kind".into(), Value::Text("lamp".into())),
                            ("price".into(), Value::Decimal(Decimal::new(150, 2))),
                        ]
                    ),
                    Change::Update("products".into(), lamp(), vec![("stock".into(), Value::Null)]),
                    Change::Delete("products".into(), lamp()),
                ]
            )
        )
    );
    let seen =
        |version: Option<&str>| Seen { table: "products".into(), key: lamp(), version: version.map(String::from) };
    assert_eq!(
        wish(
            r#"{"refuse": {"code": "gone", "message": "no"}, "rests_on": [
                {"table": "products", "key": ["lamp", 7], "version": "3-a"},
                {"table": "products", "key": ["lamp", 7], "version": null}]}"#
        ),
        decided(
            Some(vec![seen(Some("3-a")), seen(None)]),
            Verdict::Refuse { code: "gone".into(), message: "no".into() }
        )
    );
    assert_eq!(wish(r#"{"fail": "later"}"#), decided(None, Verdict::Fail("later".into())));
    assert_eq!(
        wish(r#"{"read": [{"table": "products", "key": ["lamp", 7]}]}"#),
        Ok(Wish::Read(vec![("products".into(), lamp())]))
    );
}

#[test]
fn nonsense_is_named() {
    for (text, why) in [
        ("", "no JSON object"),
        ("[]", "no JSON object"),
        ("null", "no JSON object"),
        ("{", "cannot be read"),
        (r#"{"operation": []}"#, "unknown field"),
        (r#"{"operations": 5}"#, "cannot be read"),
        (r#"{"fail": "a", "fail": "b"}"#, "duplicate field"),
        (r#"{"fail": "a", "read": []}"#, "two things at once"),
        (r#"{"read": []}"#, "names no rows"),
        (r#"{"refuse": {"code": "x"}}"#, "missing field"),
        (r#"{"drop": [{"table": "here", "key": 1}]}"#, "does not sync"),
        (r#"{"drop": [{"table": "products", "key": "lamp"}]}"#, "is not [kind, id]"),
        (r#"{"drop": [{"table": "products", "key": ["lamp", null]}]}"#, "is not [kind, id]"),
        (r#"{"drop": [{"table": "products", "key": ["lamp", "x"]}]}"#, "products.id is wrong"),
        (r#"{"rests_on": [{"table": "products", "key": ["lamp", 7]}]}"#, "which version"),
        (r#"{"operations": [{"op": "update", "table": "products", "key": ["l", 1], "set": {"x": 1}}]}"#, "column 'x'"),
        (r#"{"operations": [{"op": "upsert", "table": "products"}]}"#, "unknown variant"),
    ] {
        let found = wish(text);
        assert!(found.as_ref().is_err_and(|found| found.contains(why)), "{text}: {found:?}");
    }
}

proptest! {
    /// Nothing that a webhook can say does more than be refused.
    #[test]
    fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[{}\\[\\]\":,a-z0-9]{0,80}") {
        let plan = plan();
        let _ = (read(&bytes, &plan), read(text.as_bytes(), &plan));
    }
}
