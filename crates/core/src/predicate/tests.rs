use super::*;
use crate::error::Problem;
use crate::schema::Column;
use crate::value::Decimal;

pub(super) fn table() -> Table {
    let column = |name: &str, ty| Column::plain(name, ty);
    let columns = vec![
        column("id", ColumnType::Uuid),
        column("list_id", ColumnType::Uuid),
        column("owner", ColumnType::Text),
        column("title", ColumnType::Text),
        column("done", ColumnType::Boolean),
        column("rank", ColumnType::Integer),
        column("score", ColumnType::Float),
        column("price", ColumnType::Decimal(2)),
        column("rate", ColumnType::Decimal(10)),
        column("due", ColumnType::Date),
        column("at", ColumnType::Timestamp),
        column("meta", ColumnType::Json),
        column("blob", ColumnType::Bytes),
    ];
    Table::plain("todos", columns)
}

fn params() -> Vec<Param> {
    vec![
        Param { name: "list".into(), ty: ColumnType::Uuid },
        Param { name: "least".into(), ty: ColumnType::Decimal(1) },
    ]
}

fn checked(expr: Expr) -> Predicate {
    Predicate::check(expr, &table(), &params()).unwrap_or_else(|e| panic!("{e:?}"))
}

fn refused(expr: Expr) -> String {
    match Predicate::check(expr, &table(), &params()) {
        Ok(p) => panic!("accepted: {p:?}"),
        Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "),
    }
}

fn row<const N: usize>(cells: [(&str, Value); N]) -> Cells {
    cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn truth(expr: Expr, row: &Cells) -> Truth {
    checked(expr).eval(row, &Env::default()).unwrap_or_else(|e| panic!("{e}"))
}

/// The table of the module documentation, read from it.
#[test]
fn the_truth_table_of_the_documentation_holds() {
    let source = include_str!("../predicate.rs");
    let parse = |word: &str| match word {
        "true" => Some(Truth::True),
        "false" => Some(Truth::False),
        "NULL" => Some(Truth::Null),
        "unknown" => Some(Truth::Unknown),
        _ => None,
    };
    let mut lines = 0;
    for line in source.lines().filter_map(|l| l.strip_prefix("//! | ")) {
        let words: Option<Vec<Truth>> = line.split('|').map(str::trim).filter(|w| !w.is_empty()).map(parse).collect();
        let Some(words) = words else { continue };
        let [a, b, and, or] = words[..] else { panic!("{line}") };
        assert_eq!((a.and(b), b.and(a)), (and, and), "{line}");
        assert_eq!((a.or(b), b.or(a)), (or, or), "{line}");
        lines += 1;
    }
    assert_eq!(lines, 10, "every pair");
    assert_eq!(
        [!Truth::True, !Truth::False, !Truth::Null, !Truth::Unknown],
        [Truth::False, Truth::True, Truth::Null, Truth::Unknown]
    );
}

#[test]
fn a_column_that_is_not_held_is_unknown_and_not_null() {
    let held = row([("rank", Value::Int(1)), ("title", Value::Null)]);
    assert_eq!(truth(Expr::col("score").is_null(), &held), Truth::Unknown);
    assert_eq!(truth(Expr::col("title").is_null(), &held), Truth::True);
    assert_eq!(truth(Expr::col("title").eq("x"), &held), Truth::Null);
    assert_eq!(truth(Expr::col("score").lt(1).and(Expr::col("rank").eq(2)), &held), Truth::False);
    assert_eq!(truth(Expr::col("score").lt(1).or(Expr::col("rank").eq(1)), &held), Truth::True);
    assert_eq!(truth(Expr::col("score").lt(1).and(Expr::col("title").eq("x")), &held), Truth::Unknown);
}

#[test]
fn an_error_counts_only_when_the_conjuncts_before_it_are_true() {
    let guarded = || Expr::col("rank").ne(0).and((Expr::from(10) / Expr::col("rank")).gt(2));
    let zero = row([("rank", Value::Int(0))]);
    assert_eq!(truth(guarded(), &zero), Truth::False);
    assert_eq!(truth(guarded(), &row([("rank", Value::Int(3))])), Truth::True);
    let turned = checked((Expr::from(10) / Expr::col("rank")).gt(2).and(Expr::col("rank").ne(0)));
    assert_eq!(turned.eval(&zero, &Env::default()), Err(EvalError::DivisionByZero));
    let below = checked(guarded().or(Expr::col("rank").eq(0)));
    assert_eq!(below.matches(&zero, &Env::default()), Err(EvalError::DivisionByZero));
    let problem = Problem::from(EvalError::DivisionByZero);
    assert_eq!(problem.code, crate::error::codes::EVALUATION);
}

#[test]
fn numbers_of_different_types_compare_exactly() {
    let big = 1i64 << 53;
    let cell = row([("rank", Value::Int(big + 1)), ("score", Value::Float(big as f64))]);
    assert_eq!(truth(Expr::col("rank").gt(Expr::col("score")), &cell), Truth::True);
    let cell = row([("price", Value::Decimal(Decimal::new(10, 2))), ("score", Value::Float(0.1))]);
    // The float nearest to 0.1 is a little more.
    assert_eq!(truth(Expr::col("price").lt(Expr::col("score")), &cell), Truth::True);
    // A literal, though, becomes the float that the person wrote.
    assert_eq!(truth(Expr::col("score").eq(Value::Decimal(Decimal::new(1, 1))), &cell), Truth::True);
    let cell = row([("rank", Value::Int(i64::MAX)), ("score", Value::Float(9_223_372_036_854_775_808.0))]);
    assert_eq!(truth(Expr::col("rank").lt(Expr::col("score")), &cell), Truth::True);
    let cell = row([("rank", Value::Int(0)), ("score", Value::Float(-5e-324))]);
    assert_eq!(truth(Expr::col("rank").gt(Expr::col("score")), &cell), Truth::True);
}

#[test]
fn overflow_is_an_error() {
    let p = checked((Expr::col("rank") + 1).gt(0));
    assert_eq!(p.eval(&row([("rank", Value::Int(i64::MAX))]), &Env::default()), Err(EvalError::Overflow));
    let p = checked((-Expr::col("rank")).gt(0));
    assert_eq!(p.eval(&row([("rank", Value::Int(i64::MIN))]), &Env::default()), Err(EvalError::Overflow));
    let p = checked((Expr::col("score") * Expr::col("score")).gt(0));
    assert_eq!(p.eval(&row([("score", Value::Float(1e200))]), &Env::default()), Err(EvalError::Overflow));
}

#[test]
fn like_is_case_sensitive_and_ilike_folds() {
    let cell = |text: &str| row([("title", Value::Text(text.into()))]);
    let like = |text: &str, pattern: &str| truth(Expr::col("title").like(pattern), &cell(text)) == Truth::True;
    let ilike = |text: &str, pattern: &str| truth(Expr::col("title").ilike(pattern), &cell(text)) == Truth::True;
    assert!(like("Straße", "Stra_e") && !like("straße", "Stra%") && like("a%b", "a%b") && like("", "%"));
    assert!(like("aXbXc", "a%b%c") && !like("aXbX", "a%b%c") && like("mississippi", "m%iss%ip%i"));
    assert!(like("a\\b", "a\\b"), "without ESCAPE a backslash is a character");
    assert!(ilike("ÄRGER", "ä%") && ilike("İ", "i") && !ilike("ß", "SS"));
    let escaped = |pattern: &str| Expr::Like {
        expr: Box::new(Expr::col("title")),
        pattern: Box::new(pattern.into()),
        escape: Some('!'),
        fold: false,
    };
    assert_eq!(truth(escaped("50!%"), &cell("50%")), Truth::True);
    assert_eq!(truth(escaped("50!%"), &cell("50x")), Truth::False);
    assert_eq!(truth(escaped("50!"), &cell("50!")), Truth::False);
}

#[test]
fn literals_and_claims_take_the_type_of_what_they_stand_beside() {
    let id = "0190b3c2-0000-7000-8000-000000000001";
    let p = checked(Expr::col("list_id").eq(id).and(Expr::col("owner").eq(Expr::claim("sub"))));
    assert_eq!(
        p.equality_operands(),
        vec![
            ("list_id".into(), Operand::Literal(Value::Uuid(crate::value::parse_uuid(id).unwrap_or_default()))),
            ("owner".into(), Operand::Claim { name: "sub".into(), ty: ColumnType::Text }),
        ]
    );
    let p = checked(Expr::col("list_id").eq(Expr::claim("list")));
    let env = |text: &str| Env { claims: [("list".to_owned(), Value::Text(text.into()))].into(), ..Env::default() };
    let cells = row([("list_id", Value::Uuid(crate::value::parse_uuid(id).unwrap_or_default()))]);
    assert_eq!(p.eval(&cells, &env(id)), Ok(Truth::True));
    assert_eq!(p.eval(&cells, &env("nonsense")), Ok(Truth::Null));
    assert_eq!(p.check_env(&env("nonsense")), ["the claim 'list' is not of type uuid"]);
    assert_eq!(p.eval(&cells, &Env::default()), Ok(Truth::Null));
    assert_eq!(refused(Expr::col("due").eq("tomorrow")), "'tomorrow' is not a date; write YYYY-MM-DD");
}

#[test]
fn wrong_types_and_names_are_all_reported() {
    let both = refused(Expr::col("titel").eq("x").and(Expr::col("rank").eq("x")));
    assert_eq!(
        both,
        "the table 'todos' has no column 'titel'; did you mean 'title'? | \
         a value of type integer cannot be compared with one of type text; there are no implicit conversions"
    );
    assert!(refused(Expr::col("rank")).contains("a condition is needed here"));
    assert!(refused((Expr::col("rank") + Expr::col("price")).gt(1)).contains("two numbers of one type"));
    assert!(refused((Expr::col("price") / Expr::col("price")).gt(1)).contains("cannot be divided"));
    assert!(refused((Expr::col("rate") * Expr::col("rate")).gt(1)).contains("more than 18"));
    assert!(refused(Expr::col("meta").eq("{}")).contains("json values cannot be compared"));
    assert!(refused(Expr::col("rank").like("x")).contains("LIKE needs text"));
    assert!(refused(Expr::col("list_id").eq(Expr::param("lst"))).contains("did you mean 'list'?"));
    let mut deep = Expr::col("done");
    for _ in 0..MAX_DEPTH {
        deep = !deep;
    }
    assert!(refused(deep).contains("nests deeper"));
    let wide = Expr::Or(vec![Expr::col("done"); MAX_NODES]);
    assert!(refused(wide).contains("parts"));
}

#[test]
fn the_json_form_is_stable_and_checked_when_read() {
    let p = checked(
        Expr::col("list_id")
            .eq(Expr::param("list"))
            .and(Expr::col("title").ilike("%a%"))
            .and(!Expr::col("rank").is_in([1, 2])),
    );
    let mut json = String::new();
    p.write_json(&mut json);
    let read = |text: &str| Predicate::read_json(&serde_json::from_str(text).map_err(|e| e.to_string())?);
    insta::assert_snapshot!("json_form", json);
    assert_eq!(read(&json), Ok(p));
    let wrong = [
        r#"{"column":{"name":"done"}}"#,
        r#"{"column":{"name":"rank","type":"integer"}}"#,
        r#"{"and":[]}"#,
        r#"{"compare":{"op":"=","left":{"column":{"name":"a","type":"integer"}},"right":{"literal":{"text":"x"}}}}"#,
    ];
    for text in wrong {
        assert!(read(text).is_err(), "{text}");
    }
    let deep = format!("{}{}{}", r#"{"not":"#.repeat(100), r#"{"literal":{"bool":true}}"#, "}".repeat(100));
    assert!(read(&deep).is_err());
}

#[test]
fn conditions_lower_to_bound_sql() {
    let p = checked(
        Expr::col("list_id")
            .eq(Expr::param("list"))
            .and(Expr::col("price").ge(Expr::param("least")))
            .and(Expr::col("title").like("a%"))
            .and((Expr::col("rank") * 2).gt(Expr::col("score"))),
    );
    let env = Env {
        params: [("list".to_owned(), Value::Uuid([7; 16])), ("least".to_owned(), Value::Decimal(Decimal::new(15, 1)))]
            .into(),
        ..Env::default()
    };
    let lite = p.to_sql(Some("t"), Dialect::Sqlite, &env);
    insta::assert_snapshot!("on_sqlite", lite.sql);
    assert_eq!(lite.binds[1], Value::Decimal(Decimal { units: 150, scale: 2 }));
    assert_eq!(lite.binds[1].to_sqlite(), crate::value::SqliteValue::Integer(150));
    let pg = p.to_sql_from(None, Dialect::Postgres, &env, 4);
    insta::assert_snapshot!("on_postgresql", pg.sql);
    assert_eq!(p.params(), ["least".to_owned(), "list".to_owned()].into());
    assert_eq!(p.bind(&env).params(), crate::flat::FlatSet::new());
}

#[cfg(feature = "text")]
mod text {
    use super::*;

    #[test]
    fn conditions_on_postgres() {
        let conditions = [
            "owner < 'ä' AND title IN ('a', 'B')",
            "title BETWEEN 'a' AND claim('sub')",
            "title LIKE '50!%\\%' ESCAPE '!' OR title ILIKE 'Ä_' OR title NOT LIKE 'x!' ESCAPE '!'",
            "price > rank AND price >= rate",
            "score > price OR score BETWEEN price AND 3",
            "rank IN (1, 2.5, 3.0) AND rank IN (2.5)",
            "rank <> 0 AND 10 / rank > 2 AND done",
            "(rank + 1 > 2) IN (TRUE) OR NOT done",
            "-price + rate * 2 BETWEEN 1 AND 2",
            "score / 2 = rank % 3",
            "due < '2026-11-21' AND at >= '2026-11-21T08:30:00Z' AND blob = X'00' AND list_id = :list",
            "meta IS NOT NULL AND claim('admin') AND price = :least",
        ];
        let env = Env { claims: [("admin".to_owned(), Value::Bool(true))].into(), ..Env::default() };
        let lower = |text: &&str| {
            let fragment = parsed(text).to_sql(Some("t"), Dialect::Postgres, &env);
            let binds: Vec<String> = fragment.binds.iter().map(|v| v.to_json().to_string()).collect();
            format!("{text}\n{}\n[{}]", fragment.sql, binds.join(", "))
        };
        insta::assert_snapshot!("postgres", conditions.iter().map(lower).collect::<Vec<_>>().join("\n\n"));
    }

    fn errors(text: &str) -> String {
        match Predicate::parse(text, &table(), &params()) {
            Ok(p) => panic!("accepted: {p:?}"),
            Err(errors) => {
                let show = |e: &PredicateError| format!("[{}] {e}", text.get(e.range.clone()).unwrap_or("<range!>"));
                errors.iter().map(show).collect::<Vec<_>>().join("\n")
            }
        }
    }

    fn parsed(text: &str) -> Predicate {
        Predicate::parse(text, &table(), &params()).unwrap_or_else(|e| panic!("{text}: {e:?}"))
    }

    #[test]
    fn text_and_builder_make_the_same_tree() {
        let pairs = [
            ("list_id = :list AND NOT done", Expr::col("list_id").eq(Expr::param("list")).and(!Expr::col("done"))),
            ("owner = claim('sub')", Expr::col("owner").eq(Expr::claim("sub"))),
            ("todos.rank % 2 = -1", (Expr::col("rank") % 2).eq(-1)),
            ("title NOT ILIKE 'ä%'", !Expr::col("title").ilike("ä%")),
            ("rank IN (1, 2)", Expr::col("rank").is_in([1, 2])),
            ("rank NOT BETWEEN 1 AND 3 OR rank IS NOT NULL", {
                (!Expr::col("rank").between(1, 3)).or(Expr::col("rank").is_not_null())
            }),
            ("price >= 9.5", Expr::col("price").ge(Value::Decimal(Decimal::new(950, 2)))),
            ("score > 1e3", Expr::col("score").gt(Value::Float(1e3))),
            ("rank = -9223372036854775808", Expr::col("rank").eq(i64::MIN)),
            ("due < '2026-11-21'", Expr::col("due").lt("2026-11-21")),
            ("blob = X'00ff'", Expr::col("blob").eq(Value::Bytes(vec![0, 255]))),
            ("(done AND (done AND done)) AND done", Expr::And(vec![Expr::col("done"); 4])),
        ];
        for (text, expr) in pairs {
            assert_eq!(parsed(text), checked(expr), "{text}");
        }
        let like = parsed("title LIKE '50!%' ESCAPE '!'");
        assert!(matches!(like.expr(), Expr::Like { escape: Some('!'), fold: false, .. }));
    }

    #[test]
    fn errors_name_the_place_the_fault_and_the_way_out() {
        let cases = [
            "titel = 'x' AND rank = 'y'",
            "ärger = 1\n AND list_id = :lst",
            "rank = NULL",
            "lower(title) = 'x'",
            "claim(1) = 'x'",
            "id IN (SELECT id FROM x)",
            "rank::text = '1'",
            "due = DATE '2026-11-21'",
            "due = 'tomorrow'",
            "title || 'x' = 'y'",
            "rank = 1 rank = 2",
            "rank = ",
            "rank = 'unclosed",
            "rank = ?",
            "other.rank = 1",
            "rank = 99999999999999999999",
            "rank > 1 AND (title + 1) > 2",
            "",
            "1; DROP TABLE todos",
            "title LIKE title",
            "rank IN (1, score)",
            "done IS TRUE",
        ];
        let all: Vec<String> = cases.iter().map(|c| format!("{c}\n{}", errors(c))).collect();
        insta::assert_snapshot!("errors_in_text", all.join("\n\n"));
    }

    #[test]
    fn hostile_text_is_refused_and_overflows_no_stack() {
        let refused = [
            "(".repeat(8_000),
            format!("rank = {}1", "-".repeat(8_000)),
            format!("{}done", "NOT ".repeat(4_000)),
            format!("rank {} > 0", "+ 1".repeat(900)),
            format!("rank {} > 0", "+ 1".repeat(5_000)),
            format!("done {}", "IS NULL ".repeat(900)),
            format!("done {}", "COLLATE x ".repeat(1_500)),
            format!("rank = {}1{}", "(".repeat(60), ")".repeat(60)),
            "x".repeat(MAX_TEXT_BYTES + 1),
            "\0\u{feff}".into(),
        ];
        for text in refused {
            assert!(Predicate::parse(&text, &table(), &params()).is_err(), "{}", &text[..text.len().min(60)]);
        }
        let long = vec!["rank = 1"; 250].join(" OR ");
        assert!(Predicate::parse(&long, &table(), &params()).is_ok());
    }
}
