//! The native driver: an [`Engine`] on a thread of its own, sockets on tokio.
//!
//! [`Client`] is a cheap handle. Its calls run on the engine's thread, one after the other; dropping a future does not
//! undo a write that had begun. Reads and writes never wait for the network.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{collections::BTreeMap, collections::HashMap};

use landfall_core::{RowKey, Schema, Value};
use rand::TryRng as _;
use tokio::sync::{broadcast, mpsc as tokio_mpsc, oneshot, watch};

use crate::db::{
    Backup, DbError, Edited, Imported, Location, OpenError, Options, OutboxEntry, Reviewed, RowState, Rows, Selection,
    Undone, Withdrawal, WriteTx, Written,
};
use crate::engine::{Effect, Engine, Input, Moment, ShapeHandle};
use crate::live::{LiveError, LiveQuery, QueryId, RowsDiff, Watched};
use crate::mirror::{FileMirror, MirrorError};
use crate::session::Entropy;
use crate::status::Status;

pub mod cache;
mod chunks;
mod history;
mod open;
mod socket;
#[cfg(test)]
mod tests;
mod versions;

/// How to open a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The database file.
    pub location: Location,
    /// The compiled schema.
    pub schema: Schema,
    /// The server's address, such as `http://127.0.0.1:8787`; without one the client only works locally.
    pub server: Option<String>,
    /// The token of the person.
    pub token: Option<String>,
    /// Whether to connect at once.
    pub online: bool,
    /// Where to mirror the outbox; without one it exists in the database only.
    pub mirror: Option<PathBuf>,
    /// Options of the database.
    pub options: Options,
}

impl ClientOptions {
    /// The usual: a file, its mirror beside it, connected as soon as a server is named.
    pub fn new(path: impl Into<PathBuf>, schema: Schema) -> Self {
        let path = path.into();
        let mut mirror = path.clone().into_os_string();
        mirror.push(".outbox");
        Self {
            location: Location::Path(path),
            schema,
            server: None,
            token: None,
            online: true,
            mirror: Some(mirror.into()),
            options: Options::default(),
        }
    }

    /// The same, synced with this server in the name of whom the token names.
    #[must_use]
    pub fn with_server(self, address: impl Into<String>, token: impl Into<String>) -> Self {
        Self { server: Some(address.into()), token: Some(token.into()), ..self }
    }
}

/// The client could not carry out a call.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The database refused or failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The live query is wrong.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// The client was closed, or its thread ended.
    #[error("the client is closed; open it again [LF-5901]")]
    Closed,
}

/// The client could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The server's address is not one.
    #[error("'{address}' is not a server address; write something like http://127.0.0.1:8787 [LF-5902]")]
    Address {
        /// What was given.
        address: String,
    },
    /// The outbox's mirror is somebody else's, or cannot be read.
    #[error(transparent)]
    Mirror(MirrorError),
    /// The new database could not take over what the mirror holds.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The file cannot be locked or moved.
    #[error("{path} cannot be made or moved: {source}; check that its directory exists and can be written [LF-5904]")]
    Lock {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The system refused a thread.
    #[error("the engine's thread could not be started: {0} [LF-5903]")]
    Thread(#[source] std::io::Error),
}

/// Runs on the engine's thread; what it gives is called once the effects are carried out, so that whoever waits for the
/// answer finds the status up to date.
type Job = Box<dyn FnOnce(&mut Loop, Moment) -> Answer + Send>;
type Answer = Box<dyn FnOnce() + Send>;

enum Message {
    Job(Job),
    Input(Input),
    Close(oneshot::Sender<()>),
}

/// A handle to a running client. It ends when it is closed, or the last handle is dropped.
#[derive(Clone)]
pub struct Client {
    sender: mpsc::Sender<Message>,
    status: watch::Receiver<Status>,
    outbox: watch::Receiver<u64>,
    server: Option<Arc<str>>,
    flights: cache::Flights,
    last: Arc<Last>,
}

/// Ends the engine's thread, which hears of its own sockets over the same channel and would never find it closed.
struct Last(mpsc::Sender<Message>);

impl Drop for Last {
    fn drop(&mut self) {
        // Nobody waits for it, and a client that was closed has gone.
        let _ = self.0.send(Message::Close(oneshot::channel().0));
    }
}

/// A live query's answers, as they come.
pub struct Watch {
    /// The answer at first.
    pub first: Watched,
    diffs: tokio_mpsc::UnboundedReceiver<RowsDiff>,
    sender: mpsc::Sender<Message>,
}

impl Watch {
    /// The next difference; `None` when the client is closed. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<RowsDiff> {
        self.diffs.recv().await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let id = self.first.id;
        let job: Job = Box::new(move |state, _| {
            state.watchers.remove(&id);
            state.engine.unwatch(id);
            Box::new(|| ())
        });
        // A closed client has no watches left to end.
        let _ = self.sender.send(Message::Job(job));
    }
}

impl Client {
    /// Opens or creates the database and starts to synchronise. Must be called within a tokio runtime, which carries
    /// the sockets.
    ///
    /// # Errors
    /// [`StartError`] names the cause and the way out.
    pub async fn open(options: ClientOptions) -> Result<Self, StartError> {
        let server = options.server.as_deref().map(socket::Server::parse).transpose()?;
        let address = server.as_ref().map(|s| s.base.as_str().into());
        let (sender, receiver) = mpsc::channel();
        let (status_sender, status) = watch::channel(Status::default());
        let (outbox_sender, outbox) = watch::channel(0);
        let (ready_sender, ready) = oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        let inputs = sender.clone();
        std::thread::Builder::new()
            .name("landfall-engine".into())
            .spawn(move || {
                let opened = Loop::open(options, server, inputs, (status_sender, outbox_sender), runtime);
                let state = match opened {
                    Ok(state) => state,
                    Err(error) => {
                        let _ = ready_sender.send(Err(error));
                        return;
                    }
                };
                let _ = ready_sender.send(Ok(()));
                state.run(&receiver);
            })
            .map_err(StartError::Thread)?;
        match ready.await {
            Ok(result) => result?,
            Err(_) => return Err(StartError::Thread(std::io::Error::other("the thread ended while opening"))),
        }
        let last = Arc::new(Last(sender.clone()));
        Ok(Self { sender, status, outbox, server: address, flights: cache::Flights::default(), last })
    }

    /// The server's address, when there is one.
    pub fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// Runs something on the engine's thread.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn with<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Engine, Moment, &mut Entropy<'_>) -> R + Send + 'static,
    ) -> Result<R, ClientError> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |state, now| {
            let value = f(&mut state.engine, now, &mut system_entropy);
            Box::new(move || {
                // Nobody waits for it any more.
                let _ = sender.send(value);
            })
        });
        self.sender.send(Message::Job(job)).map_err(|_| ClientError::Closed)?;
        receiver.await.map_err(|_| ClientError::Closed)
    }

    /// Reads with SQL.
    ///
    /// # Errors
    /// When the SQL is wrong or is not a pure read.
    pub async fn query(&self, sql: impl Into<String>, params: Vec<Value>) -> Result<Rows, ClientError> {
        let sql = sql.into();
        Ok(self.with(move |engine, _, _| engine.query(&sql, &params)).await??)
    }

    /// Writes in one transaction. When it resolves the write is on disk and in the outbox; it does not wait for the
    /// network.
    ///
    /// # Errors
    /// What `f` returned, or why the write is not valid; nothing of it happened then.
    pub async fn write<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut WriteTx<'_>) -> Result<R, DbError> + Send + 'static,
    ) -> Result<Written<R>, ClientError> {
        Ok(self.with(move |engine, now, random| engine.write(now, random, f)).await??)
    }

    /// Opens a shape.
    ///
    /// # Errors
    /// When the schema has no such shape or the parameters are not its own.
    pub async fn open_shape(
        &self,
        shape: impl Into<String>,
        params: BTreeMap<String, Value>,
    ) -> Result<ShapeHandle, ClientError> {
        let shape = shape.into();
        Ok(self.with(move |engine, now, random| engine.open_shape(&shape, params, now, random)).await??)
    }

    /// Closes a shape.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn close_shape(&self, handle: ShapeHandle) -> Result<(), ClientError> {
        Ok(self.with(move |engine, now, random| engine.close_shape(handle, now, random)).await??)
    }

    /// Watches a query; SQL without parameters may be given as it is.
    ///
    /// # Errors
    /// When the query is wrong.
    pub async fn watch(&self, query: impl Into<LiveQuery>) -> Result<Watch, ClientError> {
        let query = query.into();
        let (diff_sender, diffs) = tokio_mpsc::unbounded_channel();
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |state, _| {
            let watched = state.engine.watch(query).inspect(|watched| {
                state.watchers.insert(watched.id, diff_sender);
            });
            Box::new(move || {
                let _ = sender.send(watched);
            })
        });
        self.sender.send(Message::Job(job)).map_err(|_| ClientError::Closed)?;
        let first = receiver.await.map_err(|_| ClientError::Closed)??;
        Ok(Watch { first, diffs, sender: self.sender.clone() })
    }

    /// The status, now and whenever it changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// The outbox, dead letters included.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn outbox(&self) -> Result<Vec<OutboxEntry>, ClientError> {
        Ok(self.with(|engine, _, _| engine.outbox()).await??)
    }

    /// How a row stands with the server: whether all that was written to it here is there, waits, is on its way, or was refused.
    ///
    /// # Errors
    /// When there is no such table, or the database cannot be read.
    pub async fn row_state(&self, table: impl Into<String>, key: RowKey) -> Result<RowState, ClientError> {
        let table = table.into();
        Ok(self.with(move |engine, _, _| engine.db().row_state(&table, &key)).await??)
    }

    /// Changes whenever the outbox may have: for whoever shows it. The number says nothing by itself. What happens while
    /// nobody looks is told once.
    ///
    /// ```no_run
    /// # async fn panel(client: landfall_client::driver::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut changes = client.outbox_changes();
    /// loop {
    ///     println!("{} entries", client.outbox().await?.len());
    ///     changes.changed().await?;
    /// }
    /// # }
    /// ```
    pub fn outbox_changes(&self) -> watch::Receiver<u64> {
        self.outbox.clone()
    }

    /// Offers a dead letter again, as a new transaction; gives its number.
    ///
    /// # Errors
    /// When there is no such dead letter, or it is still not valid.
    pub async fn retry(&self, rseq: u64) -> Result<u64, ClientError> {
        Ok(self.with(move |engine, now, random| engine.retry(rseq, now, random)).await??)
    }

    /// Throws a dead letter away.
    ///
    /// # Errors
    /// When there is no such dead letter.
    pub async fn discard(&self, rseq: u64) -> Result<(), ClientError> {
        Ok(self.with(move |engine, now, _| engine.discard(rseq, now)).await??)
    }

    /// The outbox as a file, dead letters included; or one entry of it.
    ///
    /// # Errors
    /// When there is no such entry, or the database cannot be read.
    pub async fn export_outbox(&self, only: Option<u64>) -> Result<String, ClientError> {
        Ok(self.with(move |engine, now, _| engine.db().export(only, now.wall_ms)).await??)
    }

    /// Takes entries of a file in as dead letters, for a person to retry or discard.
    ///
    /// # Errors
    /// When the file is not an outbox of this app; nothing was taken in then.
    pub async fn import_outbox(&self, file: String) -> Result<Imported, ClientError> {
        Ok(self.with(move |engine, now, _| engine.import(&file, now)).await??)
    }

    /// Changes an entry of the outbox: in place when it was never handed to the network and nothing follows it; otherwise
    /// the change is a transaction of its own. The answer says which ([`Edited::in_place`]), and has the entry's number.
    ///
    /// # Errors
    /// When there is no such entry; otherwise as [`Client::write`].
    pub async fn edit<R: Send + 'static>(
        &self,
        rseq: u64,
        f: impl FnOnce(&mut WriteTx<'_>) -> Result<R, DbError> + Send + 'static,
    ) -> Result<Written<Edited<R>>, ClientError> {
        Ok(self.with(move |engine, now, random| engine.edit(rseq, now, random, f)).await??)
    }

    /// Withdraws an entry of the outbox: it goes when it was never handed to the network, otherwise a new transaction
    /// takes it back. The answer says which.
    ///
    /// # Errors
    /// When there is no such entry; otherwise as [`Client::write`].
    pub async fn withdraw(&self, rseq: u64) -> Result<Written<Withdrawal>, ClientError> {
        Ok(self.with(move |engine, now, random| engine.withdraw(rseq, now, random)).await??)
    }

    /// Takes back one transaction of this device, whatever was written since. The answer has the number of the transaction
    /// that does it; none when everything was left as it is.
    ///
    /// # Errors
    /// When it is a dead letter, or too old; otherwise as [`Client::write`].
    pub async fn undo_one(&self, rseq: u64) -> Result<Written<Undone>, ClientError> {
        Ok(self.with(move |engine, now, random| engine.undo(rseq, now, random)).await??)
    }

    /// The copies of the whole outbox that were made before something was thrown away, the newest first. Each is a file
    /// that [`Client::import_outbox`] takes in.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn backups(&self) -> Result<Vec<Backup>, ClientError> {
        Ok(self.with(|engine, _, _| engine.db().backups()).await??)
    }

    /// Takes back the newest transaction of this device that was not taken back; `None` when there is none. It leaves
    /// alone what others have changed since, and says so.
    ///
    /// # Errors
    /// As [`Client::write`].
    pub async fn undo(&self) -> Result<Option<Written<Undone>>, ClientError> {
        Ok(self.with(|engine, now, random| engine.undo_last(now, random)).await??)
    }

    /// Does again what was taken back last, unless something else was written since; `None` when there is nothing.
    ///
    /// # Errors
    /// As [`Client::write`].
    pub async fn redo(&self) -> Result<Option<Written<Undone>>, ClientError> {
        Ok(self.with(|engine, now, random| engine.redo_last(now, random)).await??)
    }

    /// Gives a new token, or none.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub fn set_token(&self, token: Option<String>) -> Result<(), ClientError> {
        self.input(Input::SetToken { token })
    }

    /// Goes online, or stays offline until told otherwise.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub fn set_online(&self, online: bool) -> Result<(), ClientError> {
        self.input(Input::SetOnline { online })
    }

    /// Sends nothing until [`Client::resume`], after a restart, too. Changes of others still come, and what is under way
    /// is still answered. On disk when it resolves.
    ///
    /// # Errors
    /// When the database cannot be written; nothing changed then.
    pub async fn pause(&self) -> Result<(), ClientError> {
        Ok(self.with(|engine, now, random| engine.set_paused(true, now, random)).await??)
    }

    /// Goes on sending.
    ///
    /// # Errors
    /// When the database cannot be written; nothing changed then.
    pub async fn resume(&self) -> Result<(), ClientError> {
        Ok(self.with(|engine, now, random| engine.set_paused(false, now, random)).await??)
    }

    /// What waits for its next attempt ([`OutboxEntry::next_attempt_ms`](crate::db::OutboxEntry)), and a connection that is
    /// waited for, are tried at once: for a button "try now". How many entries that are.
    ///
    /// # Errors
    /// When the database cannot be written; nothing changed then.
    pub async fn try_now(&self) -> Result<usize, ClientError> {
        Ok(self.with(|engine, now, random| engine.try_now(now, random)).await??)
    }

    /// What is held back after a long absence ([`Status::review`]): each entry, oldest first, with what others have
    /// changed since of what it writes. Empty while nothing is held back.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn review(&self) -> Result<Vec<Reviewed>, ClientError> {
        Ok(self.with(|engine, _, _| engine.review()).await??)
    }

    /// Sends what was held back. On disk when it resolves.
    ///
    /// # Errors
    /// When the database cannot be written; nothing changed then.
    pub async fn replay(&self) -> Result<(), ClientError> {
        Ok(self.with(|engine, now, random| engine.replay(now, random)).await??)
    }

    /// Looks at the network at once.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub fn nudge(&self) -> Result<(), ClientError> {
        self.input(Input::Nudge)
    }

    fn input(&self, input: Input) -> Result<(), ClientError> {
        self.sender.send(Message::Input(input)).map_err(|_| ClientError::Closed)
    }

    /// Closes the sockets, the database and the mirror, and waits until they are. Nothing is lost by not calling it.
    pub async fn close(self) {
        let (sender, receiver) = oneshot::channel();
        if self.sender.send(Message::Close(sender)).is_ok() {
            let _ = receiver.await;
        }
    }
}

/// Randomness of the operating system; the last resort when it has none is time, which only weakens jitter and ids.
fn system_entropy(bytes: &mut [u8]) {
    if rand::rngs::SysRng.try_fill_bytes(bytes).is_err() {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = (seed.rotate_left((i as u32 * 7) % 64) >> 8) as u8;
        }
    }
}

/// The engine's thread.
struct Loop {
    engine: Engine,
    network: Option<socket::Network>,
    mirror: Option<FileMirror>,
    status: watch::Sender<Status>,
    /// How often the outbox has changed, and who is told.
    outbox: (Arc<AtomicU64>, watch::Sender<u64>),
    watchers: HashMap<QueryId, tokio_mpsc::UnboundedSender<RowsDiff>>,
    cache_changes: broadcast::Sender<Selection>,
    started: Instant,
    /// Whether the log has been told that the clock is far off.
    clock_told: bool,
    /// Released last: fields are dropped in order.
    _lock: Option<std::fs::File>,
}

impl Loop {
    fn open(
        options: ClientOptions,
        server: Option<socket::Server>,
        inputs: mpsc::Sender<Message>,
        (status, outbox): (watch::Sender<Status>, watch::Sender<u64>),
        runtime: tokio::runtime::Handle,
    ) -> Result<Self, StartError> {
        let started = Instant::now();
        let now = moment_of(started);
        let told = inputs.clone();
        let on_problem = Box::new(move |problem| {
            let job: Job = Box::new(move |state, now| {
                state.engine.set_mirror_problem(problem, now);
                Box::new(|| {})
            });
            // A client that is closing needs no status.
            let _ = told.send(Message::Job(job));
        });
        let open::Opened { mut engine, mirror, lock } = open::open(
            &options.location,
            &options.schema,
            &options.options,
            options.mirror.as_deref(),
            on_problem,
            now,
        )?;
        let ClientOptions { token, online, .. } = options;
        let network = server.map(|server| socket::Network::new(server, inputs, runtime));
        engine.handle(Input::SetToken { token }, now, &mut system_entropy);
        engine.handle(Input::SetOnline { online: online && network.is_some() }, now, &mut system_entropy);
        let watchers = HashMap::new();
        let cache_changes = cache::changes();
        let outbox = (engine.count_outbox_changes()?, outbox);
        let mut state = Self {
            engine,
            network,
            mirror,
            status,
            outbox,
            watchers,
            cache_changes,
            started,
            clock_told: false,
            _lock: lock,
        };
        state.carry_out();
        Ok(state)
    }

    fn run(mut self, receiver: &mpsc::Receiver<Message>) {
        loop {
            let message = match self.engine.deadline_ms() {
                Some(at) => {
                    let wait = at.saturating_sub(self.started.elapsed().as_millis() as u64);
                    receiver.recv_timeout(Duration::from_millis(wait))
                }
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let now = moment_of(self.started);
            let mut answer = None;
            match message {
                Ok(Message::Job(job)) => answer = Some(job(&mut self, now)),
                Ok(Message::Input(input)) => self.engine.handle(input, now, &mut system_entropy),
                Ok(Message::Close(done)) => {
                    self.engine.handle(Input::SetOnline { online: false }, now, &mut system_entropy);
                    self.engine.cache(now).flush();
                    self.carry_out();
                    drop(self);
                    let _ = done.send(());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => self.engine.handle(Input::Tick, now, &mut system_entropy),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // What is due now has its turn also while messages wait.
            if self.engine.deadline_ms() == Some(0) {
                self.engine.handle(Input::Tick, now, &mut system_entropy);
            }
            self.carry_out();
            if let Some(answer) = answer {
                answer();
            }
        }
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Status(status) => {
                    let problem = status.clock_problem();
                    let told = std::mem::replace(&mut self.clock_told, problem.is_some());
                    if let Some(problem) = problem.filter(|_| !told) {
                        tracing::warn!("{problem}");
                    }
                    // The engine leaves the cache's part to whoever uses the cache.
                    let cache = self.status.borrow().cache;
                    self.status.send_replace(Status { cache, ..*status });
                }
                Effect::Rows { query, diff } => {
                    if let Some(watcher) = self.watchers.get(&query) {
                        // A watch that is being dropped no longer listens.
                        let _ = watcher.send(diff);
                    }
                }
                Effect::Mirror(record) => {
                    if let Some(mirror) = &self.mirror {
                        mirror.append(record);
                    }
                }
                Effect::MirrorAnew => match (self.engine.mirror(), &self.mirror) {
                    (Ok(content), Some(mirror)) => mirror.restart(content),
                    (Err(error), _) => tracing::warn!(%error, "the outbox's mirror could not be written anew"),
                    (Ok(_), None) => {}
                },
                Effect::QueryFailed { query, reason } => {
                    tracing::warn!(?query, reason, "a live query could not be run");
                }
                network => {
                    if let Some(carrier) = &mut self.network {
                        carrier.carry_out(network);
                    }
                }
            }
        }
        let changes = self.outbox.0.load(Ordering::Relaxed);
        self.outbox.1.send_if_modified(|told| std::mem::replace(told, changes) != changes);
    }
}

fn moment_of(started: Instant) -> Moment {
    let wall_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    Moment { wall_ms, mono_ms: started.elapsed().as_millis() as u64 }
}
