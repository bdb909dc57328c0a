//! `landfall shell`: a local database under your fingers, with or without the network.

use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use landfall_client::driver::{Client, ClientOptions};
use landfall_client::live::LiveQuery;
use landfall_client::status::{Connectivity, Status};
use landfall_core::{Schema, Value};
use rustyline::error::ReadlineError;

use crate::failure::Failure;

mod render;
mod statements;

/// How long `.sync` waits at most before it says what is missing.
const SYNC_LIMIT: Duration = Duration::from_secs(30);

/// Arguments of `landfall shell`.
#[derive(Debug, Args)]
pub struct ShellArgs {
    /// The local database file; created when it does not exist.
    pub database: PathBuf,
    /// The schema, landfall.toml. May be left out when the database exists.
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
    #[arg(long = "command", short = 'c', value_name = "LINE")]
    pub commands: Vec<String>,
    /// Print rows as JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

const HELP: &str = "\
SQL            a line of SQL; statements separated by ; are one transaction
.open SHAPE [param=value …]   hold a shape here      .close HANDLE   let go of it
.shapes        what is held, and whether it is complete
.status        connection, pending writes, durability
.outbox        what has not settled, and dead letters
.retry N       offer dead letter N again             .discard N      throw it away
.watch SQL     print what changes in a query, until .unwatch
.sync          wait until everything here is on the server, and everything there is here
.offline       disconnect                            .online         connect
.tables        the tables of the schema
.help          this text                             .quit           leave; nothing is lost";

/// Runs the shell.
///
/// # Errors
/// [`Failure`] names the cause and the way out.
pub async fn run(args: ShellArgs) -> Result<(), Failure> {
    let schema = crate::check::load_schema(&args.schema)?;
    let mut options = ClientOptions::new(&args.database, schema.clone());
    options.server.clone_from(&args.server);
    options.token.clone_from(&args.token);
    options.online = !args.offline;
    let client = Client::open(options).await.map_err(|e| Failure::runtime(e.to_string()))?;
    let mut shell = Shell { client, schema, json: args.json, watches: Vec::new() };
    for shape in &args.open {
        let line = shape.replacen(':', " ", 1).replace(',', " ");
        shell.open(&line).await?;
    }
    let outcome = if !args.commands.is_empty() {
        shell.run_lines(args.commands.iter().cloned()).await
    } else if std::io::stdin().is_terminal() {
        shell.interact().await
    } else {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok).collect::<Vec<_>>();
        shell.run_lines(lines.into_iter()).await
    };
    shell.client.close().await;
    outcome
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
    async fn run_lines(&mut self, lines: impl Iterator<Item = String>) -> Result<(), Failure> {
        for line in lines {
            if self.line(&line).await? == Next::Quit {
                break;
            }
        }
        Ok(())
    }

    async fn interact(&mut self) -> Result<(), Failure> {
        let mut editor = rustyline::DefaultEditor::new().map_err(failed)?;
        println!("Landfall {}. Type .help for help, .quit to leave.", env!("CARGO_PKG_VERSION"));
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
                        Err(error) => eprintln!("error: {error}"),
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
            ".help" => println!("{HELP}"),
            ".tables" => render::tables(&self.schema),
            ".status" => render::status(&self.client.status().borrow(), self.json),
            ".outbox" => render::outbox(&self.client.outbox().await.map_err(failed)?, self.json),
            ".open" => self.open(rest).await?,
            ".close" => self.client.close_shape(number(rest)?).await.map_err(failed)?,
            ".shapes" => self.shapes().await?,
            ".retry" => {
                let rseq = self.client.retry(number(rest)?).await.map_err(failed)?;
                println!("offered again as {rseq}");
            }
            ".discard" => self.client.discard(number(rest)?).await.map_err(failed)?,
            ".online" => self.client.set_online(true).map_err(failed)?,
            ".offline" => self.client.set_online(false).map_err(failed)?,
            ".sync" => self.sync().await?,
            ".watch" => self.watch(rest).await?,
            ".unwatch" => self.watches.drain(..).for_each(|task| task.abort()),
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
        if let [only] = statements.as_slice()
            && statements::is_read(only)
        {
            let rows = self.client.query(only.clone(), Vec::new()).await.map_err(failed)?;
            render::rows(&rows, self.json);
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
        match written.rseq {
            Some(rseq) => println!("{} row(s) written; transaction {rseq} is in the outbox", written.value),
            None => println!("{} row(s) written; nothing to send", written.value),
        }
        Ok(())
    }

    async fn open(&mut self, rest: &str) -> Result<(), Failure> {
        let mut words = rest.split_whitespace();
        let name = words.next().unwrap_or_default();
        let shape = self.schema.shape(name).ok_or_else(|| {
            let known = self.schema.shapes.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
            Failure::usage(format!("the schema has no shape '{name}'; it has: {known} [LF-7011]"))
        })?;
        let mut params = BTreeMap::new();
        for word in words {
            let parsed = word.split_once('=').and_then(|(key, text)| {
                let param = shape.params.iter().find(|p| p.name == key)?;
                let json = serde_json::from_str(text).unwrap_or_else(|_| text.into());
                let value = Value::from_json(&json, param.ty).or_else(|_| Value::from_json(&text.into(), param.ty));
                Some((key.to_owned(), value.ok()?))
            });
            let (key, value) = parsed.ok_or_else(|| {
                let takes = shape.params.iter().map(|p| format!("{}={}", p.name, p.ty)).collect::<Vec<_>>();
                Failure::usage(format!("'{word}' is no parameter of {name}; it takes: {} [LF-7012]", takes.join(" ")))
            })?;
            params.insert(key, value);
        }
        let handle = self.client.open_shape(name, params).await.map_err(failed)?;
        println!("shape {name} is open as {handle}");
        Ok(())
    }

    async fn shapes(&mut self) -> Result<(), Failure> {
        let subscriptions = self.client.with(|engine, _, _| {
            let subscriptions = engine.db().subscriptions().into_iter();
            let failure = |handle| engine.session().failure(handle).map(str::to_owned);
            subscriptions.map(|s| (engine.is_complete(s.handle), failure(s.handle), s)).collect::<Vec<_>>()
        });
        let subscriptions = subscriptions.await.map_err(failed)?;
        for (complete, failure, subscription) in subscriptions {
            let state = failure.unwrap_or_else(|| if complete { "complete".into() } else { "loading".into() });
            println!("{}  {}  {state}", subscription.handle, subscription.shape);
        }
        Ok(())
    }

    /// Waits until nothing is pending and every shape is complete.
    async fn sync(&mut self) -> Result<(), Failure> {
        let client = self.client.clone();
        let wait = async move {
            let mut status = client.status();
            loop {
                let settled = {
                    let now = status.borrow_and_update();
                    match now.connectivity {
                        Connectivity::NeedsSignIn | Connectivity::Stopped => return Err(trouble(&now)),
                        Connectivity::Online => now.pending == 0 && now.acknowledged == 0,
                        _ => false,
                    }
                };
                let complete = client.with(|engine, _, _| engine.all_complete()).await.map_err(failed)?;
                if settled && complete {
                    return Ok(());
                }
                status.changed().await.map_err(failed)?;
            }
        };
        match tokio::time::timeout(SYNC_LIMIT, wait).await {
            Ok(done) => {
                done?;
                println!("synced");
                Ok(())
            }
            Err(_) => Err(trouble(&self.client.status().borrow())),
        }
    }

    async fn watch(&mut self, sql: &str) -> Result<(), Failure> {
        let query = LiveQuery::Sql { sql: sql.to_owned(), params: Vec::new(), key: None };
        let mut watch = self.client.watch(query).await.map_err(failed)?;
        let (columns, mut rows) = (watch.first.columns.clone(), watch.first.rows.clone());
        render::answer(&columns, &rows, self.json);
        self.watches.push(tokio::spawn(async move {
            while let Some(diff) = watch.next().await {
                render::diff(&columns, &rows, &diff);
                diff.apply(&mut rows);
            }
        }));
        Ok(())
    }
}

fn trouble(status: &Status) -> Failure {
    let reason = status.last_error.clone().unwrap_or_else(|| "the server has not answered yet".to_owned());
    Failure::runtime(format!("not synced: {} write(s) are safe here and wait; {reason} [LF-7013]", status.pending))
}

fn number(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| Failure::usage(format!("'{text}' is not a number [LF-7014]")))
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
