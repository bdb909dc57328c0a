//! Random well-typed conditions, rows and environments.

use landfall_core::hash::Cells;
use landfall_core::predicate::{CompareOp, Env, Expr};
use landfall_core::schema::{Column, Param, Table};
use landfall_core::value::{ColumnType, Decimal, Value};
use proptest::prelude::*;

/// Two columns of each type, so that columns are compared with columns.
const TYPES: [(&str, ColumnType); 11] = [
    ("text", ColumnType::Text),
    ("int", ColumnType::Integer),
    ("float", ColumnType::Float),
    ("dec", ColumnType::Decimal(2)),
    ("fine", ColumnType::Decimal(9)),
    ("bool", ColumnType::Boolean),
    ("uuid", ColumnType::Uuid),
    ("date", ColumnType::Date),
    ("time", ColumnType::Timestamp),
    ("bytes", ColumnType::Bytes),
    ("json", ColumnType::Json),
];

#[derive(Clone, Debug)]
pub struct Case {
    pub expr: Expr,
    pub rows: Vec<Cells>,
    pub env: Env,
}

pub fn table() -> Table {
    let column = |name: String, ty| Column::plain(name, ty);
    let both = |(name, ty): &(&str, ColumnType)| [column(format!("{name}1"), *ty), column(format!("{name}2"), *ty)];
    let columns = TYPES.iter().flat_map(both).collect();
    Table { primary_key: vec!["uuid1".into()], ..Table::plain("t", columns) }
}

/// One parameter of each type, named as the type's columns.
pub fn params() -> Vec<Param> {
    TYPES.iter().map(|(name, ty)| Param { name: (*name).into(), ty: *ty }).collect()
}

pub fn case() -> impl Strategy<Value = Case> {
    (condition(3), prop::collection::vec(row(), 1..4), env()).prop_map(|(expr, rows, env)| Case { expr, rows, env })
}

/// One operation on numbers of two types, over the values at which conversions go wrong.
pub fn number_case() -> impl Strategy<Value = Case> {
    const EDGES: [i64; 8] =
        [1 << 53, (1 << 53) + 1, -(1 << 53) - 1, i64::MAX, i64::MIN, 15, 900_719_925_474_099_201, 0];
    let edge = |ty| match ty {
        ColumnType::Float => (prop::sample::select(EDGES.to_vec()), 0u32..3)
            .prop_map(|(n, scale)| Value::float(n as f64 / 10f64.powi(scale as i32)).unwrap_or_default())
            .boxed(),
        ColumnType::Decimal(scale) => prop::sample::select(EDGES.to_vec())
            .prop_map(move |units| Value::Decimal(Decimal::new(units, scale)))
            .boxed(),
        _ => prop::sample::select(EDGES.to_vec()).prop_map(Value::Int).boxed(),
    };
    let literal = move || number_type().prop_flat_map(edge).prop_map(Expr::Literal);
    (number_type(), number_type()).prop_flat_map(move |(a, b)| {
        let column = move |ty| Expr::col(format!("{}1", name_of(ty)));
        let cells: Vec<_> =
            table().columns.iter().map(|c| if is_number(c.ty) { edge(c.ty) } else { cell(c.ty) }).collect();
        let names: Vec<String> = table().columns.into_iter().map(|c| c.name).collect();
        let row = cells.prop_map(move |cells| names.iter().cloned().zip(cells).collect::<Cells>());
        let either = move || prop_oneof![Just(column(b)), literal()];
        let expr = prop_oneof![
            2 => compare(Just(column(a)).boxed(), either().boxed()),
            1 => compare(either().boxed(), Just(column(a)).boxed()),
            1 => prop::collection::vec(literal(), 1..4).prop_map(move |list| column(a).is_in(list)),
            1 => (either(), either()).prop_map(move |(low, high)| column(a).between(low, high)),
        ];
        (expr, prop::collection::vec(row, 1..3)).prop_map(|(expr, rows)| Case { expr, rows, env: Env::default() })
    })
}

fn is_number(ty: ColumnType) -> bool {
    matches!(ty, ColumnType::Integer | ColumnType::Float | ColumnType::Decimal(_))
}

pub fn fallible(expr: &Expr) -> bool {
    format!("{expr:?}").contains("Arith") || format!("{expr:?}").contains("Neg(")
}

fn row() -> impl Strategy<Value = Cells> {
    let columns = table().columns;
    let values: Vec<_> = columns.iter().map(|c| cell(c.ty)).collect();
    values.prop_map(move |values| columns.iter().map(|c| c.name.clone()).zip(values).collect())
}

fn cell(ty: ColumnType) -> BoxedStrategy<Value> {
    prop_oneof![1 => Just(Value::Null), 5 => value(ty)].boxed()
}

fn env() -> impl Strategy<Value = Env> {
    let values: Vec<_> = TYPES.iter().map(|(_, ty)| cell(*ty)).collect();
    let claims = prop::collection::btree_map(
        "[ab]",
        prop_oneof![value(ColumnType::Text), value(ColumnType::Integer), value(ColumnType::Boolean)],
        0..3,
    );
    (values, claims).prop_map(|(values, claims)| Env {
        params: TYPES.iter().map(|(name, _)| (*name).to_owned()).zip(values).collect(),
        claims,
    })
}

const INTEGERS: [i64; 16] = [
    0,
    1,
    -1,
    2,
    3,
    -7,
    10,
    150,
    (1 << 53) - 1,
    1 << 53,
    (1 << 53) + 1,
    i64::MAX,
    i64::MAX - 1,
    i64::MIN,
    i64::MIN + 1,
    1_000_000_000_000_000_000,
];
/// The microseconds that have a written form.
const YEARS_1_TO_9999: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;
const FLOATS: [f64; 16] = [
    0.0,
    1.0,
    -1.0,
    0.1,
    0.5,
    1.5,
    -2.25,
    3.0,
    9_007_199_254_740_992.0,
    9_007_199_254_740_994.0,
    9_223_372_036_854_775_808.0,
    -9_223_372_036_854_775_808.0,
    1e300,
    -1e300,
    5e-324,
    92_233_720_368_547_758.0,
];

fn value(ty: ColumnType) -> BoxedStrategy<Value> {
    let integer = || prop_oneof![3 => prop::sample::select(INTEGERS.to_vec()), 2 => -20i64..20, 1 => any::<i64>()];
    match ty {
        ColumnType::Text => text().prop_map(Value::Text).boxed(),
        ColumnType::Integer => integer().prop_map(Value::Int).boxed(),
        ColumnType::Float => prop_oneof![
            3 => prop::sample::select(FLOATS.to_vec()),
            1 => (-80i32..80).prop_map(|n| f64::from(n) / 4.0),
            1 => any::<i64>().prop_map(|n| n as f64),
            1 => any::<f64>(),
        ]
        .prop_map(|f| Value::float(f).unwrap_or_default())
        .boxed(),
        ColumnType::Decimal(scale) => {
            prop_oneof![integer(), (-20i64..20).prop_map(move |n| n * 10i64.pow(u32::from(scale)))]
                .prop_map(move |units| Value::Decimal(Decimal::new(units, scale)))
                .boxed()
        }
        ColumnType::Boolean => any::<bool>().prop_map(Value::Bool).boxed(),
        ColumnType::Uuid => {
            prop_oneof![(0u8..3).prop_map(|n| [n; 16]), any::<[u8; 16]>()].prop_map(Value::Uuid).boxed()
        }
        ColumnType::Date => prop_oneof![-3i32..3, -700_000..2_900_000].prop_map(Value::Date).boxed(),
        ColumnType::Timestamp => prop_oneof![-3i64..3, YEARS_1_TO_9999].prop_map(Value::Timestamp).boxed(),
        ColumnType::Bytes => {
            prop::collection::vec(prop_oneof![0u8..3, any::<u8>()], 0..3).prop_map(Value::Bytes).boxed()
        }
        ColumnType::Json => (-2i64..3).prop_map(|n| Value::json(&serde_json::json!({ "n": n }))).boxed(),
    }
}

/// Few characters, so that texts and patterns meet: cases, other scripts, beyond the basic plane, wildcards, a NUL.
fn text() -> BoxedStrategy<String> {
    let alphabet: Vec<char> = "aaAbBäÄßİiσΣ😀\u{ffff}%_\\!\u{0}".chars().collect();
    prop::collection::vec(prop::sample::select(alphabet), 0..5).prop_map(String::from_iter).boxed()
}

fn pattern() -> BoxedStrategy<String> {
    let alphabet: Vec<char> = "aAbäÄi%%%___\\!".chars().collect();
    prop::collection::vec(prop::sample::select(alphabet), 0..6).prop_map(String::from_iter).boxed()
}

fn number_type() -> impl Strategy<Value = ColumnType> {
    prop::sample::select(vec![ColumnType::Integer, ColumnType::Float, ColumnType::Decimal(2), ColumnType::Decimal(9)])
}

fn name_of(ty: ColumnType) -> &'static str {
    TYPES.iter().find(|(_, t)| *t == ty).map_or("text", |(name, _)| name)
}

/// A column, parameter, literal or claim of a type.
fn leaf(ty: ColumnType) -> BoxedStrategy<Expr> {
    let name = name_of(ty);
    prop_oneof![
        4 => prop::sample::select(vec![1, 2]).prop_map(move |n| Expr::col(format!("{name}{n}"))),
        1 => Just(Expr::param(name)),
        3 => constant(ty),
    ]
    .boxed()
}

fn constant(ty: ColumnType) -> BoxedStrategy<Expr> {
    prop_oneof![6 => value(ty).prop_map(Expr::Literal), 1 => Just(Expr::param(name_of(ty)))].boxed()
}

/// A calculation. A column stands first, so that literals take its type.
fn calculation(ty: ColumnType, depth: u32) -> BoxedStrategy<Expr> {
    let name = name_of(ty);
    let column = || Just(Expr::col(format!("{name}1"))).boxed();
    if depth == 0 {
        return column();
    }
    let operand = move || prop_oneof![leaf(ty), calculation(ty, depth - 1)];
    let mut choices = vec![
        column(),
        (column(), operand()).prop_map(|(a, b)| a + b).boxed(),
        (operand(), column()).prop_map(|(a, b)| a - b).boxed(),
        calculation(ty, depth - 1).prop_map(|a| -a).boxed(),
    ];
    match ty {
        ColumnType::Integer => {
            choices.push((column(), operand()).prop_map(|(a, b)| a * b).boxed());
            choices.push((column(), operand()).prop_map(|(a, b)| a / b).boxed());
            choices.push((operand(), column()).prop_map(|(a, b)| a % b).boxed());
        }
        ColumnType::Float => {
            choices.push((column(), operand()).prop_map(|(a, b)| a * b).boxed());
            choices.push((operand(), column()).prop_map(|(a, b)| a / b).boxed());
        }
        _ => {
            // Another scale, so that one of the two is brought to the other's.
            choices.push((column(), Just(Expr::col("fine2"))).prop_map(|(a, b)| a + b).boxed());
            choices.push((Just(Expr::col("dec2")), column()).prop_map(|(a, b)| a % b).boxed());
            choices.push((column(), leaf(ColumnType::Decimal(2))).prop_map(|(a, b)| a * b).boxed());
            choices.push((column(), -30i64..30).prop_map(|(a, b)| a * b).boxed());
        }
    }
    proptest::strategy::Union::new(choices).boxed()
}

fn number() -> BoxedStrategy<Expr> {
    number_type().prop_flat_map(|ty| prop_oneof![4 => leaf(ty), 1 => calculation(ty, 2)]).boxed()
}

fn operator() -> impl Strategy<Value = CompareOp> {
    use CompareOp::{Eq, Ge, Gt, Le, Lt, Ne};
    prop::sample::select(vec![Eq, Ne, Lt, Le, Gt, Ge])
}

fn compare(left: BoxedStrategy<Expr>, right: BoxedStrategy<Expr>) -> BoxedStrategy<Expr> {
    let build = |(left, op, right)| Expr::Compare { op, left: Box::new(left), right: Box::new(right) };
    (left, operator(), right).prop_map(build).boxed()
}

fn comparable_type() -> impl Strategy<Value = ColumnType> {
    prop::sample::select(TYPES[..10].iter().map(|(_, ty)| *ty).collect::<Vec<_>>())
}

fn simple() -> BoxedStrategy<Expr> {
    let claim = || "[abc]".prop_map(Expr::claim);
    let like = || (leaf(ColumnType::Text), prop::option::of(prop::sample::select(vec!['!', '\\', 'a'])), any::<bool>());
    prop_oneof![
        3 => comparable_type().prop_flat_map(|ty| compare(leaf(ty), leaf(ty))),
        3 => compare(number(), number()),
        1 => comparable_type().prop_flat_map(move |ty| compare(leaf(ty), claim().boxed())),
        1 => prop::sample::select(TYPES.to_vec()).prop_flat_map(|(_, ty)| leaf(ty)).prop_map(Expr::is_null),
        1 => claim().prop_map(Expr::is_null),
        1 => number().prop_map(Expr::is_null),
        3 => (like(), prop_oneof![pattern().prop_map(Expr::from), Just(Expr::param("text"))]).prop_map(
            |((text, escape, fold), pattern)| Expr::Like {
                expr: Box::new(text),
                pattern: Box::new(pattern),
                escape,
                fold,
            }
        ),
        2 => comparable_type().prop_flat_map(|ty| {
            (leaf(ty), prop::collection::vec(constant(ty), 1..4)).prop_map(|(e, list)| e.is_in(list))
        }),
        1 => (number(), prop::collection::vec(number_type().prop_flat_map(constant), 1..4))
            .prop_map(|(e, list)| e.is_in(list)),
        1 => comparable_type().prop_flat_map(|ty| {
            (leaf(ty), leaf(ty), leaf(ty)).prop_map(|(e, low, high)| e.between(low, high))
        }),
        2 => (number(), number(), number()).prop_map(|(e, low, high)| e.between(low, high)),
        1 => leaf(ColumnType::Boolean),
    ]
    .boxed()
}

fn condition(depth: u32) -> BoxedStrategy<Expr> {
    if depth == 0 {
        return simple();
    }
    let inner = move || condition(depth - 1);
    prop_oneof![
        3 => simple(),
        2 => prop::collection::vec(inner(), 1..4).prop_map(Expr::And),
        2 => prop::collection::vec(inner(), 1..4).prop_map(Expr::Or),
        1 => inner().prop_map(|e| !e),
        1 => inner().prop_map(Expr::is_null),
        1 => (inner(), inner()).prop_map(|(a, b)| a.eq(b)),
        1 => (inner(), inner(), inner()).prop_map(|(e, low, high)| e.between(low, high)),
        1 => (inner(), prop::collection::vec(constant(ColumnType::Boolean), 1..3)).prop_map(|(e, list)| e.is_in(list)),
    ]
    .boxed()
}
