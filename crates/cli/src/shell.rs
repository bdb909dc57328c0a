//! `landfall shell`: a local database under your fingers, with or without the network.

use std::io::{BufRead, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use landfall_client::driver::{Client, ClientOptions, StartError};
use landfall_client::status::{Connectivity, Status};
use landfall_core::Schema;
use rustyline::error::ReadlineError;
use serde_json::json;

use crate::failure::Failure;
use crate::out::{complain, out};

mod outbox;
mod render;
mod shapes;
mod statements;

const NO_SERVER: &str = "there is no server to connect to; start the shell with --server http://HOST:PORT [LF-7016]";

/// How long `.sync` waits at most before it says what is missing.
const SYNC_LIMIT: Duration = Duration::from_secs(30);

/// Arguments of `landfall shell`.
#[derive(Debug, Args)]
pub struct ShellArgs {
    /// The local database file; created when it does not exist.
    pub database: PathBuf,
    /// The schema, landfall.toml.
    #[arg(long, short = 's', env = "LANDFALL_SCHEMA")]
    pub schema: PathBuf,
    /// The server's address.
    #[arg(long, env = "LANDFALL_SERVER")]
    pub server: Option<String>,
    /// The person's token. With a development server, `dev:NAME`.
    #[arg(long, env = "LANDFALL_TOKEN")]
    pub token: Option<String>,
    /// Do not connect until `.online`.
    #[arg(long)]
    pub offline: bool,
    /// Open these shapes: `NAME` or `NAME:param=value,param=value`.
    #[arg(long = "open", value_name = "SHAPE")]
    pub open: Vec<String>,
    /// Run these lines, then end. Without it, lines are read from the terminal or from standard input.
    #[arg(long = "command", short = 'c', value_name = "LINE", allow_hyphen_values = true)]
    pub commands: Vec<String>,
    /// Print rows as JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

const HELP: &str = "\
SQL                     read or write; statements separated by ; are one transaction
.tables                 the tables of the schema
.open SHAPE [NAME=VALUE …]
                        hold what the shape names here, and keep it up to date
.shapes                 the shapes that are open, and whether they are complete
.close NUMBER           let go of an open shape; what nothing else holds leaves this device
.watch SQL              print what changes in the answer, until .unwatch
.sync [SECONDS]         wait until everything here is on the server and the other way round
.status                 connection, what is pending, dead letters
.outbox                 what the server has not taken yet, and what it refused
.retry NUMBER           offer a refused transaction again
.discard NUMBER         throw a refused transaction away
.withdraw NUMBER        take a transaction back before it is sent, or undo it
.undo      .redo        take back the last transaction of this device; do it again
.export FILE            the outbox as a file
.import FILE            entries of such a file, as refused transactions to retry
.offline   .online      disconnect, connect
.pause     .resume      send nothing, while changes of others still come; go on
.try                    offer what waits for its next attempt now, and connect now
.review    .replay      after a long absence: what is held back, and what others changed of it; send it
.help      .quit        this text; leave (nothing is lost)";

/// Runs the shell.
///
/// # Errors
/// [`Failure`] names the cause and the way out.
pub async fn run(args: ShellArgs) -> Result<(), Failure> {
    start_log();
    let schema = crate::check::load_schema(&args.schema)?;
    let mut options = ClientOptions::new(&args.database, schema.clone());
    options.server.clone_from(&args.server);
    options.token.clone_from(&args.token);
    options.online = !args.offline;
    let client = Client::open(options).await.map_err(|error| match &error {
        StartError::Address { .. } => Failure::usage(error.to_string()).into_error(),
        _ => failed(error).into_error(),
    })?;
    let mut shell = Shell { client, schema, json: args.json, watches: Vec::new() };
    let outcome = shell.session(args).await;
    shell.client.close().await;
    outcome.map_err(Failure::into_error)
}

/// Warnings, such as that a damaged database was made anew, go to standard error.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time();
    // Where a warning cannot be written, saying so panics.
    let log = log.log_internal_errors(false);
    // Fails only when a subscriber is set already, which is as good.
    let _ = log.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init();
}

/// The longest line of input: a transaction and its values fit several times, and memory is bounded.
const LINE_MAX_BYTES: u64 = 32 << 20;

/// Lines of standard input as they come, so that a program can hold a conversation.
fn lines_of_stdin() -> tokio::sync::mpsc::Receiver<std::io::Result<String>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        while let Some(line) = next_line(&mut input).transpose() {
            let failed = line.is_err();
            if sender.blocking_send(line).is_err() || failed {
                break;
            }
        }
    });
    receiver
}

/// The next line without its end; `None` at the end of the input.
///
/// # Errors
/// When it cannot be read, is not UTF-8, or is longer than anything that could be written with it.
fn next_line(input: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let read = input.take(LINE_MAX_BYTES + 1).read_line(&mut line)?;
    if read as u64 > LINE_MAX_BYTES {
        let text = format!("a line is longer than {} MiB", LINE_MAX_BYTES >> 20);
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text));
    }
    let length = line.trim_end_matches('\n').trim_end_matches('\r').len();
    line.truncate(length);
    Ok((read > 0).then_some(line))
}

struct Shell {
    client: Client,
    schema: Schema,
    json: bool,
    watches: Vec<tokio::task::JoinHandle<()>>,
}

/// What a line asks of the loop.
#[derive(PartialEq, Eq)]
enum Next {
    Go,
    Quit,
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::runtime(error.to_string())
}

impl Shell {
    async fn session(&mut self, args: ShellArgs) -> Result<(), Failure> {
        for shape in &args.open {
            self.open(&shape.replacen(':', " ", 1).replace(',', " ")).await?;
        }
        if !args.commands.is_empty() {
            for line in &args.commands {
                if self.line(line).await? == Next::Quit {
                    break;
                }
            }
            return Ok(());
        }
        if std::io::stdin().is_terminal() {
            return self.interact().await;
        }
        let mut lines = lines_of_stdin();
        let mut number = 0;
        while let Some(line) = lines.recv().await {
            number += 1;
            let line = line.map_err(|error| {
                Failure::runtime(format!(
                    "line {number} of the input cannot be read ({error}); write UTF-8, in lines of 32 MiB at most. \
                     It and what follows was not run [LF-7017]"
                ))
            })?;
            if self.line(&line).await? == Next::Quit {
                break;
            }
        }
        Ok(())
    }

    async fn interact(&mut self) -> Result<(), Failure> {
        let mut editor = rustyline::DefaultEditor::new().map_err(failed)?;
        out!("Landfall {}. Type .help for help, .quit to leave.", env!("CARGO_PKG_VERSION"));
        loop {
            let prompt = prompt(&self.client.status().borrow());
            let read = tokio::task::spawn_blocking(move || {
                let line = editor.readline(&prompt);
                (editor, line)
            });
            let (returned, line) = read.await.map_err(failed)?;
            editor = returned;
            match line {
                Ok(line) => {
                    // A history that cannot grow is no reason to stop.
                    let _ = editor.add_history_entry(&line);
                    match self.line(&line).await {
                        Ok(Next::Quit) => return Ok(()),
                        Ok(Next::Go) => {}
                        Err(error) => complain!("{}", error.into_error()),
                    }
                }
                Err(ReadlineError::Interrupted | ReadlineError::Eof) => return Ok(()),
                Err(error) => return Err(failed(error)),
            }
        }
    }

    async fn line(&mut self, line: &str) -> Result<Next, Failure> {
        let line = line.trim();
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match command {
            "" => {}
            ".quit" | ".exit" => return Ok(Next::Quit),
            ".help" => out!("{HELP}"),
            ".tables" => render::tables(&self.schema),
            ".status" => render::status(&self.client.status().borrow(), self.json),
            ".outbox" => render::outbox(&self.client.outbox().await.map_err(failed)?, self.json),
            ".open" => self.open(rest).await?,
            ".close" => self.close(number(rest)?).await?,
            ".shapes" => self.shapes().await?,
            ".retry" => {
                let rseq = self.client.retry(number(rest)?).await.map_err(failed)?;
                self.say(&format!("offered again as transaction {rseq}"), json!({ "transaction": rseq }));
            }
            ".discard" => {
                let rseq = number(rest)?;
                self.client.discard(rseq).await.map_err(failed)?;
                self.say(&format!("transaction {rseq} is thrown away"), json!({ "discarded": rseq }));
            }
            ".withdraw" => self.withdraw(number(rest)?).await?,
            ".undo" => self.undo().await?,
            ".redo" => self.redo().await?,
            ".export" => self.export(rest).await?,
            ".import" => self.import(rest).await?,
            ".online" => {
                if self.client.server().is_none() {
                    return Err(Failure::usage(NO_SERVER));
                }
                self.client.set_online(true).map_err(failed)?;
                self.heard().await?;
                self.say("connecting", json!({ "online": true }));
            }
            ".offline" => {
                self.client.set_online(false).map_err(failed)?;
                self.heard().await?;
                self.say("offline; writes wait in the outbox", json!({ "online": false }));
            }
            ".pause" => {
                self.client.pause().await.map_err(failed)?;
                self.say("nothing is sent until .resume; changes of others still come", json!({ "paused": true }));
            }
            ".resume" => {
                self.client.resume().await.map_err(failed)?;
                self.say("sending goes on", json!({ "paused": false }));
            }
            ".try" => {
                let entries = self.client.try_now().await.map_err(failed)?;
                self.say(&format!("{entries} entries are tried now"), json!({ "tried": entries }));
            }
            ".review" => render::review(&self.client.review().await.map_err(failed)?, self.json),
            ".replay" => self.replay().await?,
            ".sync" => self.sync(rest).await?,
            ".watch" => self.watch(rest).await?,
            ".unwatch" => {
                let ended = self.watches.drain(..).map(|task| task.abort()).count() as u64;
                self.say(&format!("{} no longer watched", render::count(ended, "query")), json!({ "ended": ended }));
            }
            _ if command.starts_with('.') => {
                return Err(Failure::usage(format!("there is no command {command}; type .help [LF-7010]")));
            }
            _ => self.sql(line).await?,
        }
        // Output may be piped: what was asked is shown before the next line is run.
        let _ = std::io::stdout().flush();
        Ok(Next::Go)
    }

    async fn sql(&mut self, line: &str) -> Result<(), Failure> {
        let statements = statements::split(line);
        let asked = statements.clone();
        let reads = self.client.with(move |engine, _, _| asked.iter().all(|sql| engine.db().is_query(sql)));
        if reads.await.map_err(failed)? {
            for statement in statements {
                let rows = self.client.query(statement, Vec::new()).await.map_err(failed)?;
                render::rows(&rows, self.json);
            }
            return Ok(());
        }
        let written = self
            .client
            .write(move |tx| {
                let mut changed = 0;
                for statement in &statements {
                    changed += tx.execute(statement, &[])?;
                }
                Ok(changed)
            })
            .await
            .map_err(failed)?;
        let rows = render::count(written.value as u64, "row");
        let text = match written.rseq {
            Some(rseq) => format!("{rows} written; transaction {rseq} is in the outbox"),
            None => format!("{rows} written; nothing to send"),
        };
        self.say(&text, json!({ "written": written.value, "transaction": written.rseq }));
        Ok(())
    }

    /// What was asked before, such as going offline, shows in the status from here on.
    async fn heard(&self) -> Result<(), Failure> {
        self.client.with(|_, _, _| ()).await.map_err(failed)
    }

    /// An answer that is not rows.
    fn say(&self, text: &str, json: serde_json::Value) {
        if self.json { out!("{json}") } else { out!("{text}") }
    }

    async fn open(&mut self, rest: &str) -> Result<(), Failure> {
        let (name, params) = shapes::parse(&self.schema, rest)?;
        let handle = self.client.open_shape(name.clone(), params).await.map_err(failed)?;
        self.say(&format!("{name} is open as {handle}"), json!({ "shape": name, "handle": handle }));
        Ok(())
    }

    async fn close(&mut self, handle: u64) -> Result<(), Failure> {
        let open = self.client.with(move |engine, _, _| engine.db().subscriptions().iter().any(|s| s.handle == handle));
        if !open.await.map_err(failed)? {
            return Err(Failure::usage(format!("no shape is open as {handle}; .shapes lists them [LF-7015]")));
        }
        self.client.close_shape(handle).await.map_err(failed)?;
        self.say(&format!("{handle} is closed"), json!({ "closed": handle }));
        Ok(())
    }

    async fn shapes(&mut self) -> Result<(), Failure> {
        let subscriptions = self.client.with(|engine, _, _| {
            let subscriptions = engine.db().subscriptions().into_iter();
            let failure = |handle| engine.session().failure(handle).map(str::to_owned);
            let state = |complete| if complete { "complete" } else { "loading" }.to_owned();
            subscriptions
                .map(|s| (failure(s.handle).unwrap_or_else(|| state(engine.is_complete(s.handle))), s))
                .collect::<Vec<_>>()
        });
        shapes::render(&subscriptions.await.map_err(failed)?, self.json);
        Ok(())
    }

    /// Waits until nothing is pending, and every shape shows what the server had when it was reached.
    async fn sync(&mut self, rest: &str) -> Result<(), Failure> {
        let limit = if rest.is_empty() { SYNC_LIMIT } else { Duration::from_secs(number(rest)?) };
        if self.client.server().is_none() {
            return Err(Failure::usage(NO_SERVER));
        }
        let client = self.client.clone();
        let wait = async move {
            // What was asked before, such as going online, shows in the status from here on.
            client.with(|_, _, _| ()).await.map_err(failed)?;
            let mut status = client.status();
            loop {
                let settled = {
                    let now = status.borrow_and_update();
                    match now.connectivity {
                        Connectivity::Online if (now.paused || now.review.is_some()) && now.pending > 0 => {
                            return Err(trouble(&now));
                        }
                        Connectivity::NeedsSignIn | Connectivity::Stopped => return Err(trouble(&now)),
                        Connectivity::Offline { retry_in_ms: None } => return Err(trouble(&now)),
                        Connectivity::Online => now.pending == 0,
                        _ => false,
                    }
                };
                // After the status was marked as seen: what changes meanwhile wakes this up.
                let caught_up = client.with(|engine, _, _| {
                    // Without an open shape nothing comes back: what the server has taken stays as it is.
                    let back = engine.status().acknowledged == 0 || engine.db().subscriptions().is_empty();
                    back && engine.is_caught_up()
                });
                let caught_up = caught_up.await.map_err(failed)?;
                if settled && caught_up {
                    return Ok(());
                }
                status.changed().await.map_err(failed)?;
            }
        };
        match tokio::time::timeout(limit, wait).await {
            Ok(done) => done?,
            Err(_) => return Err(trouble(&self.client.status().borrow())),
        }
        let dead = self.client.status().borrow().dead;
        let text = match dead {
            0 => "synced".to_owned(),
            dead => format!("synced; {} refused, see .outbox", render::count(dead, "transaction")),
        };
        self.say(&text, json!({ "synced": true, "dead": dead }));
        Ok(())
    }

    async fn watch(&mut self, sql: &str) -> Result<(), Failure> {
        let mut watch = self.client.watch(sql).await.map_err(failed)?;
        let (columns, mut rows, json) = (watch.first.columns.clone(), watch.first.rows.clone(), self.json);
        render::answer(&columns, &rows, json);
        self.watches.push(tokio::spawn(async move {
            while let Some(diff) = watch.next().await {
                render::diff(&columns, &rows, &diff, json);
                diff.apply(&mut rows);
            }
        }));
        Ok(())
    }
}

fn trouble(status: &Status) -> Failure {
    let reason = match (&status.connectivity, &status.last_error) {
        (Connectivity::Offline { retry_in_ms: None }, _) => "this device is offline by choice; type .online first",
        (_, _) if status.review.is_some() => {
            "it is held back since this device was away for long; see .review, type .replay"
        }
        (_, _) if status.paused && status.pending > 0 => "sending is paused; type .resume first",
        (_, Some(error)) => error,
        (Connectivity::Online, None) => "the server is still sending; try .sync again",
        _ => "the server has not answered yet",
    };
    let waiting = render::count(status.pending, "transaction");
    Failure::runtime(format!("not synced, {waiting} safe on this device: {reason} [LF-7013]"))
}

fn number(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| Failure::usage(format!("'{text}' is not a number; write it in digits [LF-7014]")))
}

fn prompt(status: &Status) -> String {
    let state = match status.connectivity {
        Connectivity::Online => "online",
        Connectivity::Connecting => "connecting",
        Connectivity::Offline { .. } => "offline",
        Connectivity::NeedsSignIn => "needs sign-in",
        Connectivity::Stopped => "stopped",
    };
    match status.pending + status.acknowledged {
        0 => format!("landfall ({state})> "),
        pending => format!("landfall ({state}, {pending} pending)> "),
    }
}
