//! The stage: a real `landfall serve`, and a real HTTP server that stands for the app's webhook.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use landfall_core::Schema;
use landfall_server::actions::sign::{Secret, signatures};
use serde_json::Value as Json;

use super::PATIENCE;

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What the webhook does about a question.
#[derive(Debug)]
pub enum Says {
    Json(Json),
    /// A status without a body.
    Status(u16),
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// Nothing, and the connection stays.
    Hangs,
    /// The connection breaks.
    Breaks,
}

/// A question as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The idempotency key.
    pub id: String,
    /// The question's own id.
    pub message: String,
    pub question: Json,
}

type Mind = Arc<dyn Fn(&Asked, usize) -> Says + Send + Sync>;

#[derive(Default)]
struct Heard {
    asked: Mutex<Vec<Asked>>,
    more: Condvar,
    held: Mutex<Vec<TcpStream>>,
}

/// The app's webhook.
pub struct Hook {
    pub url: String,
    heard: Arc<Heard>,
}

impl Hook {
    /// One that answers by `mind`, which is told of the question and how many came before it.
    pub fn new(mind: impl Fn(&Asked, usize) -> Says + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", mind)
    }

    /// The same at an address.
    pub fn at(address: &str, mind: impl Fn(&Asked, usize) -> Says + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (heard, mind): (Arc<Heard>, Mind) = (Arc::default(), Arc::new(mind));
        let all = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (heard, mind) = (Arc::clone(&all), Arc::clone(&mind));
                std::thread::spawn(move || while serve(&stream, &heard, &mind) {});
            }
        });
        Self { url, heard }
    }

    /// The questions, once there are so many.
    pub fn asked(&self, at_least: usize) -> Vec<Asked> {
        let asked = self.heard.asked.lock().unwrap();
        let (asked, late) =
            self.heard.more.wait_timeout_while(asked, PATIENCE, |asked| asked.len() < at_least).unwrap();
        assert!(!late.timed_out(), "{at_least} questions never came: {asked:?}");
        asked.clone()
    }
}

/// One request of a connection. False when it is over.
fn serve(stream: &TcpStream, heard: &Heard, mind: &Mind) -> bool {
    let mut reader = BufReader::new(stream);
    let (mut first, mut headers) = (String::new(), Vec::new());
    if reader.read_line(&mut first).unwrap_or(0) == 0 {
        return false;
    }
    assert!(first.starts_with("POST /hook HTTP/1.1"), "{first}");
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone()).unwrap();
    let mut body = vec![0; header("content-length").parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let message = header("webhook-id");
    let secret = Secret::parse(SECRET).unwrap();
    let signed = signatures(&[secret], &message, header("webhook-timestamp").parse().unwrap(), &body);
    assert_eq!(header("webhook-signature"), signed);
    let question: Json = serde_json::from_slice(&body).unwrap();
    let id = question["id"].as_str().unwrap().to_owned();
    assert!(message.starts_with(&id) && message.len() > id.len(), "{message}");
    let asked = Asked { id, message, question };
    let before = {
        let mut all = heard.asked.lock().unwrap();
        all.push(asked.clone());
        heard.more.notify_all();
        all.len() - 1
    };
    let mut stream = stream;
    let answer = |status: u16, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    let bytes = match mind(&asked, before) {
        Says::Json(json) => answer(200, &json.to_string()).into_bytes(),
        Says::Status(status) => answer(status, "").into_bytes(),
        Says::Raw(bytes) => bytes,
        Says::Hangs => {
            heard.held.lock().unwrap().push(stream.try_clone().unwrap());
            return false;
        }
        Says::Breaks => {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return false;
        }
    };
    stream.write_all(&bytes).is_ok()
}

/// The row that a question shows of a table.
pub fn row<'q>(question: &'q Json, table: &str) -> &'q Json {
    let rows = question["rows"].as_array().unwrap();
    rows.iter().find(|row| row["table"] == table).unwrap()
}

/// `landfall serve`, a process of the real binary.
pub struct Server {
    child: Child,
    pub address: String,
    pub data: PathBuf,
    arguments: Vec<String>,
}

impl Server {
    /// With these webhooks (`action=url`), and settings.
    pub fn start(dir: &Path, schema: &str, webhooks: &[String], settings: &[&str]) -> Self {
        std::fs::write(dir.join("landfall.toml"), schema).unwrap();
        std::fs::write(dir.join("secret"), format!("{SECRET}\n")).unwrap();
        let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        let mut arguments = vec!["serve".to_owned(), "--dev".to_owned(), "--schema".to_owned(), path("landfall.toml")];
        arguments.extend(["--data".to_owned(), path("data"), "--webhook-secret-file".to_owned(), path("secret")]);
        arguments.extend(webhooks.iter().flat_map(|webhook| ["--webhook".to_owned(), webhook.clone()]));
        arguments.extend(settings.iter().map(|&setting| setting.to_owned()));
        Self::with(arguments, dir.join("data"), "127.0.0.1:0")
    }

    fn with(arguments: Vec<String>, data: PathBuf, listen: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
        command.args(&arguments).arg("--listen").arg(listen).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some((_, address)) = line.trim().rsplit_once("http://") else { panic!("no ready line: {arguments:?}") };
        Self { address: address.to_owned(), child, data, arguments }
    }

    /// A crash of the process, and the same data on the same port again.
    pub fn crash_and_start(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        *self = Self::with(self.arguments.clone(), self.data.clone(), &self.address);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes behind the server's back.
    pub fn sql(&self, sql: &str) {
        let database = rusqlite::Connection::open(self.data.join("landfall.db")).unwrap();
        database.busy_timeout(PATIENCE).unwrap();
        database.execute_batch(sql).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The schema of a document's text.
pub fn parse(text: &str) -> Schema {
    Schema::parse("landfall.toml", text).unwrap()
}
