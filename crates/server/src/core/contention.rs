//! Many transactions about which a webhook is asked, all of them about one row.

use landfall_core::{Action, CellWrite, Operation, ReplicaId, RowKey, Schema, Stamp, Transaction, Value};
use landfall_protocol::{Entry, Hello, Outcome};
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;
use serde_json::{Value as Json, json};

use super::*;
use crate::actions::Actions;
use crate::auth::Authenticator;
use crate::store::{Fresh, SqliteOptions, SqliteStore};

const SCHEMA: &str = r#"
    [app]
    name = "shop"
    [tables.products.columns]
    id    = "text"
    stock = { type = "integer", required = true, min = 0 }
    [tables.orders.columns]
    id     = "text"
    number = { type = "integer", unique = true, assigned = "server" }
    [actions.checkout]
    [actions.checkout.args]
    product = { type = "text", required = true, references = "products" }
"#;
const NOW: Moment = Moment { wall_ms: 1_800_000_000_000, mono_ms: 0 };
const N: usize = 64;

struct Shop {
    core: ServerCore,
    rng: ChaCha20Rng,
    questions: usize,
    decided: Vec<Outcome>,
    _dir: tempfile::TempDir,
}

impl Shop {
    /// With so many lamps, and sessions of so many people.
    fn new(lamps: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let schema = Schema::parse("landfall.toml", SCHEMA).unwrap_or_else(|e| panic!("{e}"));
        let fresh = Fresh { epoch: Epoch([3; 16]), seed: [7; 32] };
        let store = SqliteStore::open(SqliteOptions::path(&path), schema.clone(), fresh, NOW.wall_ms).unwrap();
        let outside = rusqlite::Connection::open(path).unwrap();
        outside
            .execute("INSERT INTO products (id, stock) VALUES ('lamp', ?), ('till', 1000000)", [lamps as i64])
            .unwrap();
        let store = store.with_actions(Actions::new().on_webhook("checkout"));
        let rules = Arc::new(Rules::new(&schema, Authenticator::new().with_development(true)));
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let core = ServerCore::new(Box::new(store), rules, Memory::default(), Allowance::NONE, &mut rng).unwrap();
        let mut shop = Self { core, rng, questions: 0, decided: Vec::new(), _dir: dir };
        for n in 0..N as u64 {
            shop.core.connect(n, NOW);
            let hello = Hello {
                min_version: 1,
                max_version: 1,
                token: Some(format!("dev:person{n}")),
                replica: replica(n),
                app: "shop".into(),
                schema_version: 1,
                last_rseq: 0,
                floor: 0,
                cursor: None,
                clock_ms: NOW.wall_ms,
                agent: "test".into(),
                sent: Vec::new(),
            };
            shop.core.receive(n, ClientMessage::Hello(hello), NOW, &mut shop.rng);
        }
        shop.listen();
        shop
    }

    /// Everybody orders a lamp.
    fn order(&mut self) {
        for n in 0..N as u64 {
            let push = ClientMessage::push(1, vec![Entry::from(order(n))], NOW.wall_ms, 0);
            self.core.receive(n, push, NOW, &mut self.rng);
        }
    }

    /// The webhook answers what it is asked, and the server commits, until neither has anything to do. No time passes, so
    /// that no device comes again.
    fn run(&mut self, mind: impl Fn(&Json) -> Json) {
        loop {
            let asked: Vec<Ask> = std::iter::from_fn(|| self.core.next_ask(NOW)).collect();
            self.questions += asked.len();
            for ask in &asked {
                let question: Json = serde_json::from_slice(&ask.body).unwrap();
                let body = Some(mind(&question).to_string().into_bytes());
                self.core.said(ask.ticket, Said::Answer { status: 200, retry_after_ms: None, body }, NOW, 0);
            }
            let mut commits = 0;
            while self.core.commit(2_000, NOW).is_some() {
                commits += 1;
            }
            self.listen();
            if asked.is_empty() && commits == 0 {
                return;
            }
        }
    }

    fn listen(&mut self) {
        for n in 0..N as u64 {
            while let Some(message) = self.core.poll(n, NOW) {
                if let ServerMessage::Acknowledge { decisions, .. } = message {
                    let decided = decisions.into_iter().map(|decision| decision.outcome);
                    self.decided.extend(decided.filter(|outcome| !matches!(outcome, Outcome::Asked { .. })));
                }
            }
        }
    }

    fn accepted(&self) -> usize {
        self.decided.iter().filter(|outcome| matches!(outcome, Outcome::Accepted { .. })).count()
    }

    fn sold_out(&self) -> usize {
        let is_sold_out =
            |o: &&Outcome| matches!(o, Outcome::Refused { problem, .. } if problem.code.as_str() == "sold_out");
        self.decided.iter().filter(is_sold_out).count()
    }
}

fn replica(n: u64) -> ReplicaId {
    ReplicaId([n as u8 + 1; 16])
}

fn order(n: u64) -> Transaction {
    let key = RowKey::single(Value::Text(format!("order {n}")));
    let args = [("product".to_owned(), Value::Text("lamp".into()))].into_iter().collect();
    let cells = Vec::<CellWrite>::new();
    Transaction {
        replica: replica(n),
        rseq: 1,
        stamp: Stamp { wall_ms: NOW.wall_ms, counter: 0, replica: replica(n) },
        operations: vec![Operation::Insert { table: "orders".into(), key, base: 0, cells }],
        after: vec![],
        requires: vec![],
        origin: None,
        action: Some(Action { name: "checkout".into(), args }),
        expires_ms: None,
    }
}

fn stock(question: &Json, product: &str) -> Option<i64> {
    let rows = question["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["table"] == "products" && row["key"] == json!([product]))?;
    Some(row["row"]["stock"].as_i64().unwrap())
}

fn takes(product: &str, left: i64) -> Json {
    json!({ "op": "update", "table": "products", "key": product, "set": { "stock": left } })
}

fn sell(question: &Json) -> Json {
    match stock(question, "lamp").unwrap() {
        0 => json!({ "refuse": { "code": "sold_out", "message": "none is left" } }),
        left => json!({ "operations": [takes("lamp", left - 1)] }),
    }
}

#[test]
fn contenders_for_one_row_are_decided_after_as_many_questions() {
    for lamps in [1_000, 10] {
        let mut shop = Shop::new(lamps);
        shop.order();
        shop.run(sell);
        assert_eq!((shop.accepted(), shop.sold_out()), (lamps.min(N), N - lamps.min(N)));
        assert!(shop.questions <= N + crate::actions::hooks::MOST_PER_HOOK, "{} questions", shop.questions);
        assert_eq!(shop.core.asking(), 0);
    }
}

/// The row for which they contend is one that the webhook asks to see.
#[test]
fn contenders_for_a_row_that_they_ask_for_are_too() {
    let mut shop = Shop::new(1_000);
    shop.order();
    shop.run(|question| match stock(question, "till") {
        None => json!({ "read": [{ "table": "products", "key": "till" }] }),
        Some(till) => json!({ "operations": [takes("till", till - 1)] }),
    });
    assert_eq!(shop.accepted(), N);
    assert!(shop.questions <= 3 * N, "{} questions", shop.questions);
}

/// Nobody waits for anybody where nothing of what is shown changes.
#[test]
fn a_row_that_nobody_changes_is_asked_about_once_for_each() {
    let mut shop = Shop::new(1_000);
    shop.order();
    shop.run(|_| json!({}));
    assert_eq!((shop.accepted(), shop.questions), (N, N));
}

/// An answer that is given again for another question than its own would be stale for ever.
#[test]
fn an_app_that_remembers_answers_by_the_id_of_the_question_is_right() {
    let mut shop = Shop::new(1_000);
    shop.order();
    let mut answers: BTreeMap<String, Json> = BTreeMap::new();
    let mut ids = std::collections::BTreeSet::new();
    while shop.decided.len() < N {
        let asked: Vec<Ask> = std::iter::from_fn(|| shop.core.next_ask(NOW)).collect();
        for ask in asked {
            let question: Json = serde_json::from_slice(&ask.body).unwrap();
            assert!(ask.id.starts_with(question["id"].as_str().unwrap()));
            ids.insert(question["id"].as_str().unwrap().to_owned());
            let answer = answers.entry(ask.id).or_insert_with(|| sell(&question));
            let body = Some(answer.to_string().into_bytes());
            shop.core.said(ask.ticket, Said::Answer { status: 200, retry_after_ms: None, body }, NOW, 0);
        }
        assert!(shop.core.commit(2_000, NOW).is_some(), "{} are decided", shop.decided.len());
        shop.listen();
    }
    assert_eq!((shop.accepted(), ids.len()), (N, N), "one key for each");
}
