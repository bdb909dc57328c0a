//! Webhooks of the `landfall` binary, end to end: the app is asked, answers, hangs, changes its mind, talks nonsense.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::{Barrier, Mutex, mpsc};

use landfall_client::db::EntryState;
use landfall_client::driver::Client;
use landfall_core::{Problem, RowKey, Value};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::stage::{Asked, Hook, Says, Server, parse, row};
use super::{DOCUMENT, PATIENCE, block, device, document, order, sees, uuid};

const LAMP: &str = "01010101-0101-0101-0101-010101010101";

/// A server whose action `checkout` is decided by a webhook, three lamps, and a device.
struct Shop {
    server: Server,
    hook: Hook,
    phone: Client,
    dir: TempDir,
}

impl Shop {
    async fn new(mind: impl Fn(&Asked, usize) -> Says + Send + Sync + 'static) -> Self {
        Self::with(&["--webhook-timeout-ms", "2000"], mind).await
    }

    async fn with(settings: &[&str], mind: impl Fn(&Asked, usize) -> Says + Send + Sync + 'static) -> Self {
        let (dir, hook) = (tempfile::tempdir().unwrap(), Hook::new(mind));
        let schema = block(&document(DOCUMENT), "```toml\n");
        let server = Server::start(dir.path(), &schema, &[format!("checkout={}", hook.url)], settings);
        server.sql(&format!("insert into products (id, name, stock) values ('{LAMP}', 'Lamp', 3)"));
        let phone = device(dir.path(), "phone.db", &server.url(), &parse(&schema)).await;
        Self { server, hook, phone, dir }
    }

    async fn laptop(&self) -> Client {
        device(self.dir.path(), "laptop.db", &self.server.url(), &parse(&block(&document(DOCUMENT), "```toml\n"))).await
    }

    fn stock(&self) -> i64 {
        let database = rusqlite::Connection::open(self.server.data.join("landfall.db")).unwrap();
        database.query_row("select stock from products", [], |row| row.get(0)).unwrap()
    }
}

/// Sells: one off the stock that was shown, and the number.
fn sell(question: &Json, number: i64) -> Json {
    let (product, order) = (row(question, "products"), row(question, "orders"));
    let stock = product["row"]["stock"].as_i64().unwrap() - question["args"]["count"].as_i64().unwrap();
    if stock < 0 {
        return json!({ "refuse": { "code": "sold_out", "message": "too few are left" } });
    }
    json!({ "operations": [
        { "op": "update", "table": "products", "key": product["key"], "set": { "stock": stock } },
        { "op": "update", "table": "orders", "key": order["key"], "set": { "number": number } },
    ] })
}

/// The document's blocks of JSON: a question, and an answer.
fn document_json(at: usize) -> Json {
    let document = document(DOCUMENT);
    let blocks: Vec<&str> = document.split("```json\n").skip(1).collect();
    serde_json::from_str(blocks[at].split("```").next().unwrap()).unwrap()
}

fn sort_rows(question: &mut Json) {
    let rows = question["rows"].as_array_mut().unwrap();
    rows.sort_by_key(|row| row["table"].as_str().unwrap().to_owned());
}

/// Gives each transaction the next number, the same one whenever it is asked again.
#[derive(Default)]
struct Numbers(Mutex<BTreeMap<String, i64>>);

impl Numbers {
    fn of(&self, asked: &Asked) -> i64 {
        let mut numbers = self.0.lock().unwrap();
        let next = numbers.len() as i64 + 1;
        *numbers.entry(asked.id.clone()).or_insert(next)
    }
}

/// Waits until the entry is a dead letter, and says why.
async fn refused(client: &Client, rseq: u64) -> Problem {
    let mut status = client.status();
    let died = async {
        loop {
            let outbox = client.outbox().await.unwrap();
            let entry = outbox.iter().find(|entry| entry.rseq == rseq);
            if let Some(entry) = entry.filter(|entry| entry.state == EntryState::Dead) {
                return entry.problem.clone().unwrap();
            }
            status.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, died).await.unwrap_or_else(|_| panic!("{rseq} never was refused"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_sells_gives_numbers_and_refuses() {
    let numbers = Numbers::default();
    let shop = Shop::new(move |asked, _| Says::Json(sell(&asked.question, numbers.of(asked)))).await;
    let laptop = shop.laptop().await;
    order(&shop.phone, 10, 2).await;
    sees(&shop.phone, &[(10, 2, Some(1))]).await;
    sees(&laptop, &[(10, 2, Some(1))]).await;
    assert_eq!(shop.stock(), 1);

    let late = order(&laptop, 11, 2).await;
    let problem = refused(&laptop, late).await;
    assert_eq!((problem.code.as_str(), problem.message.as_str()), ("sold_out", "too few are left"));
    sees(&laptop, &[(10, 2, Some(1))]).await;

    // Question and answer are those of the document, but for what is random.
    let asked = shop.hook.asked(2);
    assert_ne!(asked[0].id, asked[1].id);
    let (shown, answer) = (document_json(0), document_json(1));
    let mut question = asked[0].question.clone();
    for name in ["id", "replica"] {
        question[name] = shown[name].clone();
    }
    sort_rows(&mut question);
    assert!(question["rows"][1]["version"].is_string(), "{question}");
    question["rows"][1]["version"] = shown["rows"][1]["version"].clone();
    assert_eq!(question, shown);
    assert_eq!(sell(&question, 1), answer);
}

/// The app's mistakes and the network's: each is named or got over, and the order is carried out once, under one key.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_webhook_does_first_the_order_is_carried_out_once() {
    let http = |body: &str| {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    let twice = move |asked: &Asked| {
        let (first, second) = (sell(&asked.question, 1).to_string(), sell(&asked.question, 2).to_string());
        Says::Raw(format!("{}{}", http(&first), http(&second)).into_bytes())
    };
    let long = " ".repeat(3 << 20);
    for first in ["hangs", "breaks", "busy", "gone", "nonsense", "long", "twice", "half"] {
        let long = http(&long).into_bytes();
        let half = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{".as_bytes().to_vec();
        let mind = move |asked: &Asked, before: usize| match (first, before) {
            ("hangs", 0) => Says::Hangs,
            ("breaks", 0) => Says::Breaks,
            ("busy", 0) => Says::Status(503),
            ("gone", 0) => Says::Status(404),
            ("nonsense", 0) => Says::Json(json!(["sold"])),
            ("long", 0) => Says::Raw(long.clone()),
            ("twice", 0) => twice(asked),
            ("half", 0) => Says::Raw(half.clone()),
            _ => Says::Json(sell(&asked.question, 1)),
        };
        let shop = Shop::with(&["--webhook-timeout-ms", "700"], mind).await;
        order(&shop.phone, 10, 2).await;
        sees(&shop.phone, &[(10, 2, Some(1))]).await;
        assert_eq!(shop.stock(), 1, "{first}");
        let asked = shop.hook.asked(if first == "twice" { 1 } else { 2 });
        assert!(asked.iter().all(|one| one.id == asked[0].id), "{first}: one key");
        shop.phone.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_never_right_ends_in_a_dead_letter_that_says_why() {
    let shop = Shop::new(|_, _| Says::Status(404)).await;
    let rseq = order(&shop.phone, 10, 2).await;
    let problem = refused(&shop.phone, rseq).await;
    assert_eq!(problem.code.as_str(), "LF-3009");
    assert!(problem.message.contains("it answered with 404; 5 times"), "{problem}");
    sees(&shop.phone, &[]).await;
    assert_eq!((shop.stock(), shop.hook.asked(5).len()), (3, 5));
}

/// Both are shown three lamps. One order is carried out; the other rests on rows that have moved, and is asked again.
#[tokio::test(flavor = "multi_thread")]
async fn two_orders_that_rest_on_one_row_are_decided_one_after_the_other() {
    let (numbers, both) = (Numbers::default(), Barrier::new(2));
    let shop = Shop::new(move |asked, before| {
        if before < 2 {
            both.wait();
        }
        Says::Json(sell(&asked.question, numbers.of(asked)))
    })
    .await;
    let laptop = shop.laptop().await;
    let (one, other) = (order(&shop.phone, 10, 2).await, order(&laptop, 11, 2).await);
    let asked = shop.hook.asked(3);
    assert_eq!(row(&asked[1].question, "products")["row"]["stock"], 3);
    assert_eq!(
        (&asked[2].question["round"], &row(&asked[2].question, "products")["row"]["stock"]),
        (&json!(2), &json!(1))
    );
    let loser = if asked[2].question["args"]["order"].as_str().unwrap().starts_with("0a") { 10 } else { 11 };
    let (problem, left) = match loser {
        10 => (refused(&shop.phone, one).await, 11),
        _ => (refused(&laptop, other).await, 10),
    };
    assert_eq!(problem.code.as_str(), "sold_out");
    let before = asked[..2].iter().find(|one| one.id == asked[2].id).expect("the same key");
    assert_ne!(before.message, asked[2].message, "it is another question");
    let database = rusqlite::Connection::open(shop.server.data.join("landfall.db")).unwrap();
    let orders: i64 = database.query_row("select count(*) from orders", [], |row| row.get(0)).unwrap();
    assert_eq!((orders, shop.stock()), (1, 1));
    let number: i64 = database.query_row("select number from orders", [], |row| row.get(0)).unwrap();
    sees(&shop.phone, &[(left, 2, Some(number))]).await;
    sees(&laptop, &[(left, 2, Some(number))]).await;
}

/// Each changes the row that all of them were shown.
#[tokio::test(flavor = "multi_thread")]
async fn forty_orders_of_one_product_are_decided_after_about_as_many_questions() {
    const N: usize = 40;
    let numbers = Numbers::default();
    let shop = Shop::new(move |asked, _| Says::Json(sell(&asked.question, numbers.of(asked)))).await;
    shop.server.sql("update products set stock = 100");
    for id in 0..N as u8 {
        order(&shop.phone, 10 + id, 1).await;
    }
    let sql = "select count(*) from orders where number is not null";
    let mut changes = shop.phone.watch(sql).await.unwrap();
    let decided = async {
        while shop.phone.query(sql, vec![]).await.unwrap().rows != [[Value::Int(N as i64)]] {
            changes.next().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, decided).await.expect("all are decided");
    let asked = shop.hook.asked(N);
    assert!(asked.len() <= 2 * N, "{} questions", asked.len());
    assert_eq!(shop.stock(), 100 - N as i64);
}

/// An app that is started again costs no attempt: not while it is away, and not while it has too much to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_away_for_long_uses_up_no_attempts() {
    let dir = tempfile::tempdir().unwrap();
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let schema = block(&document(DOCUMENT), "```toml\n");
    let server = Server::start(dir.path(), &schema, &[format!("checkout=http://{address}/hook")], &[]);
    server.sql(&format!("insert into products (id, name, stock) values ('{LAMP}', 'Lamp', 3)"));
    let phone = device(dir.path(), "phone.db", &server.url(), &parse(&schema)).await;
    order(&phone, 10, 2).await;
    let unreachable = |page: &str| {
        let line = page.lines().find(|line| line.contains("result=\"unreachable\""));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).unwrap_or(0)
    };
    let began = std::time::Instant::now();
    while unreachable(&metrics(&server.address)) < 5 {
        assert!(began.elapsed() < PATIENCE, "it is not tried again");
        tokio::task::yield_now().await;
    }
    let hook = Hook::at(&address, |asked, before| match before {
        0 => Says::Status(429),
        1..4 => Says::Status(503),
        _ => Says::Json(sell(&asked.question, 1)),
    });
    sees(&phone, &[(10, 2, Some(1))]).await;
    let asked = hook.asked(5);
    assert!(asked.iter().all(|one| one.id == asked[0].id), "one key");
    let page = metrics(&server.address);
    assert!(page.contains("landfall_entries_total{outcome=\"failed\"} 0"), "{page}");
}

/// What is wrong with an answer is for the operator: no word of it reaches a device.
#[tokio::test(flavor = "multi_thread")]
async fn words_of_a_nonsense_answer_reach_no_device() {
    let shop = Shop::new(|_, _| Says::Json(json!({ "operations": "hunter2" }))).await;
    let rseq = order(&shop.phone, 10, 2).await;
    let problem = refused(&shop.phone, rseq).await;
    assert_eq!(problem.code.as_str(), "LF-3009");
    assert!(problem.message.contains("makes no sense") && !problem.message.contains("hunter2"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_the_middle_of_a_question_asks_under_the_same_key() {
    let mind = |asked: &Asked, before: usize| match before {
        0 => Says::Hangs,
        _ => Says::Json(sell(&asked.question, 1)),
    };
    let mut shop = Shop::with(&["--webhook-timeout-ms", "60000"], mind).await;
    order(&shop.phone, 10, 2).await;
    shop.hook.asked(1);
    shop.server.crash_and_start();
    sees(&shop.phone, &[(10, 2, Some(1))]).await;
    let asked = shop.hook.asked(2);
    assert_eq!((&asked[0].message, &asked[0].question), (&asked[1].message, &asked[1].question));
    assert_eq!(shop.stock(), 1);
}

/// While one is asked about, what is independent of it is decided; what changes its row is decided after it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_independent_overtakes_what_is_asked_about() {
    let (open, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let mind = move |asked: &Asked, _: usize| {
        gate.lock().unwrap().recv().unwrap();
        Says::Json(sell(&asked.question, 1))
    };
    let shop = Shop::with(&["--webhook-timeout-ms", "60000"], mind).await;
    let laptop = shop.laptop().await;
    order(&shop.phone, 10, 2).await;
    shop.hook.asked(1);
    let update = shop.phone.write(|tx| tx.update("orders", &RowKey::single(uuid(10)), &[("count", Value::Int(3))]));
    update.await.unwrap();
    let free = [("id", uuid(20)), ("product", uuid(1)), ("count", Value::Int(1))];
    shop.phone.write(move |tx| tx.insert("orders", &free)).await.unwrap();
    sees(&laptop, &[(20, 1, None)]).await;
    sees(&shop.phone, &[(10, 3, None), (20, 1, None)]).await;
    open.send(()).unwrap();
    sees(&laptop, &[(10, 3, Some(1)), (20, 1, None)]).await;
    sees(&shop.phone, &[(10, 3, Some(1)), (20, 1, None)]).await;
    assert_eq!(shop.stock(), 1);
    let page = metrics(&shop.server.address);
    assert!(page.contains("landfall_webhook_requests_total{action=\"checkout\",result=\"answered\"} 1"), "{page}");
}

/// The page of metrics.
fn metrics(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

/// Settings that would leave an action without an answer are refused before anything is served.
#[test]
fn settings_of_webhooks_that_cannot_be_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("landfall.toml"), block(&document(DOCUMENT), "```toml\n")).unwrap();
    std::fs::write(path("secret"), "whsec_c2hvcnQ=\n").unwrap();
    let (hook, secret) = ("--webhook", "--webhook-secret-file");
    let good = "checkout=http://127.0.0.1:1/";
    for (arguments, code, words) in [
        (vec![], "LF-6110", "nobody would handle the action 'checkout'"),
        (vec![hook, good], "LF-6109", "there is no secret"),
        (vec![hook, good, secret, &path("secret")], "LF-6109", "holds no secret"),
        (vec![hook, good, secret, &path("nowhere")], "LF-6101", "nowhere"),
        (vec![hook, good, hook, good], "LF-6108", "two webhooks"),
        (vec![hook, "pay=http://127.0.0.1:1/"], "LF-6108", "the schema has: checkout"),
        (vec![hook, "checkout"], "LF-6108", "is no webhook"),
        (vec![hook, "checkout=ftp://127.0.0.1/"], "LF-6108", "is no webhook"),
        (vec![hook, "checkout=https://ada:pw@app.example/"], "LF-6108", "without a password"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
        command.args(["serve", "--dev", "--schema", &path("landfall.toml"), "--data", &path("data")]).args(&arguments);
        let ran = command.output().unwrap();
        let error = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(&format!("[{code}]")) && error.contains(words), "{arguments:?}: {error}");
    }
}
