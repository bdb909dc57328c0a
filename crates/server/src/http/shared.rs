//! What all connections share, and the way to the store's threads.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Sender, TrySendError};
use rand::SeedableRng;
use rand::rngs::{ChaCha20Rng, SysRng};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::docs::Authors;
use super::door::{ChunkPass, Door, payer};
use super::readers::Readers;
use super::rooms::Rooms;
use super::sessions::{Handle, Sessions};
use super::turns::Turns;
use super::writer::{self, Work};
use super::{Options, ServeError};
use crate::core::{Chunks, Committer, PendingPush, SharedHooks, chunks, committer, reads};
use crate::hub::Hub;
use crate::metrics::{Metrics, Readings};
use crate::session::{Moment, Read, ReadDone, Refusal, Reply, Request, Rules};
use crate::store::{Store, StoreError, StoreReader};

/// Shapes that are being opened at a time: each may wait for the writer.
const OPENINGS: usize = 64;

pub(super) struct Shared {
    pub(super) rules: Arc<Rules>,
    pub(super) hub: Arc<Hub>,
    pub(super) chunks: Arc<Chunks>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) drain: CancellationToken,
    /// Who has which document open, and whose transactions what they write is.
    pub(super) rooms: Arc<Rooms>,
    pub(super) authors: Authors,
    /// Origins of other pages that are let in.
    pub(super) origins: Vec<axum::http::HeaderValue>,
    /// What keeps the writer from committing, since its last attempt.
    pub(super) trouble: Arc<Mutex<Option<writer::Trouble>>>,
    work: Sender<Work>,
    pub(super) door: Arc<Door>,
    readers: Arc<Readers>,
    /// Turns at the readers, for sessions and for chunks, and at opening shapes.
    reading: Turns,
    loading: Turns,
    opening: Turns,
    started: Instant,
    pub(super) hooks: SharedHooks,
    /// Told when webhooks are to be asked something.
    pub(super) to_ask: Arc<Notify>,
}

impl Shared {
    pub(super) fn start(
        mut store: Box<dyn Store>,
        rules: Arc<Rules>,
        options: Options,
    ) -> Result<(Self, std::thread::JoinHandle<()>), ServeError> {
        let mut rng = ChaCha20Rng::try_from_rng(&mut SysRng).map_err(std::io::Error::other)?;
        let key = chunks::signing_key(store.as_mut(), &mut rng)?;
        let hub = Arc::new(Hub::new(store.head(), options.memory.ring_bytes));
        let readers = (0..options.readers.max(1)).map(|_| store.reader()).collect::<Result<Vec<_>, _>>()?;
        let readers = Arc::new(Readers::new(readers));
        let (work, queue) = crossbeam_channel::bounded(writer::QUEUE);
        let (sessions, head) = (Arc::new(Sessions::default()), store.head());
        let mark = Duration::from_millis(rules.patience.mark_ms);
        let metrics = Arc::new(Metrics::default());
        let for_jitter = ChaCha20Rng::try_from_rng(&mut SysRng).map_err(std::io::Error::other)?;
        let most_waiting = options.memory.waiting_entries;
        let door = Arc::new(Door::new(options.allowance, most_waiting, for_jitter, Arc::clone(&metrics)));
        let (trouble, rooms) = (Arc::default(), Arc::<Rooms>::default());
        let committer = Committer::new(store, Arc::clone(&hub))?;
        let (hooks, to_ask, started) = (committer.hooks(), Arc::<Notify>::default(), Instant::now());
        let thread = writer::Writer {
            committer,
            queue,
            marks: writer::Marks::new(Arc::clone(&sessions), mark, head),
            metrics: Arc::clone(&metrics),
            door: Arc::clone(&door),
            trouble: Arc::clone(&trouble),
            rng,
            retention: options.retention,
            to_ask: Arc::clone(&to_ask),
            started,
            rooms: Arc::clone(&rooms),
        };
        let handle = std::thread::Builder::new().name("landfall-writer".to_owned()).spawn(move || thread.run())?;
        let shared = Self {
            rules,
            hub,
            chunks: Arc::new(Chunks::new(key, options.memory.chunk_bytes, options.memory.chunk_sizes)),
            metrics,
            sessions,
            drain: CancellationToken::new(),
            rooms,
            authors: Authors::new(key),
            origins: options.origins,
            trouble,
            work,
            door,
            readers,
            reading: Turns::new(options.readers),
            loading: Turns::new(options.readers),
            opening: Turns::new(OPENINGS),
            started,
            hooks,
            to_ask,
        };
        Ok((shared, handle))
    }

    pub(super) fn now(&self) -> Moment {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment { wall_ms: wall.as_millis() as u64, mono_ms: self.started.elapsed().as_millis() as u64 }
    }

    /// The instant of a monotonic time, for timers.
    pub(super) fn instant(&self, mono_ms: u64) -> tokio::time::Instant {
        // Beyond a day a timer only has to be later than anything that matters.
        let ms = mono_ms.min(self.started.elapsed().as_millis() as u64 + 86_400_000);
        tokio::time::Instant::from_std(self.started + Duration::from_millis(ms))
    }

    /// Ends the writer. The readers go first: the last connection to the database tidies up, so that the file alone
    /// is a whole copy.
    pub(super) fn stop_writer(&self) {
        self.readers.close();
        let _ = self.work.send(Work::Stop);
    }

    pub(super) fn readings(&self) -> Readings {
        let head = self.hub.head().seq;
        let slowest = self.sessions.slowest().unwrap_or(head);
        Readings {
            head,
            lag: head.saturating_sub(slowest),
            ring_bytes: self.hub.ring_bytes(),
            chunks: self.chunks.statistics(),
            waiting: self.door.waiting(),
            asking: self.hooks.lock().len(),
        }
    }

    /// Hands a session's request to the writer. The answer comes as an event.
    pub(super) fn ask(self: &Arc<Self>, session: &Arc<Handle>, request: Request) {
        let refused = match request {
            Request::Hello { replica, subject, cursor, sent } => {
                let who = payer(&subject.id, session.from);
                if let Err(refusal) = self.door.enters(&who) {
                    return session.answer(Reply::Hello(Err(refusal)));
                }
                // A session says Hello once.
                let _ = session.subject.set(who);
                let work = Work::Hello { replica, subject, cursor, sent, session: Arc::clone(session) };
                self.submit(work).err().map(|refusal| Reply::Hello(Err(refusal)))
            }
            Request::Push { id, entries } => {
                let push = PendingPush::new(session.id, id, entries);
                let sent = self.wait(push, Some(Arc::clone(session)));
                sent.err().map(|refusal| Reply::Push { id, result: Err(refusal) })
            }
            Request::Open { id, subject, shape, params, held } => {
                let (shared, session) = (Arc::clone(self), Arc::clone(session));
                tokio::spawn(async move {
                    let payer = session.payer();
                    let _turn = shared.opening.wait(&payer).await;
                    if shared.sessions.find(session.id).is_none() {
                        return;
                    }
                    let (bucket, made) = oneshot::channel();
                    let result = match shared.submit(Work::Bucket { subject, shape, params, bucket }) {
                        Ok(()) => shared.offer(&payer, made, held).await.map(|offer| vec![offer]),
                        Err(refusal) => Err(refusal),
                    };
                    session.answer(Reply::Open { id, result });
                });
                None
            }
        };
        if let Some(reply) = refused {
            session.answer(reply);
        }
    }

    /// Hands what can go on to the writer. Where that has no room, the device comes again.
    pub(super) fn take_back(&self) {
        loop {
            let Some(held) = self.hooks.lock().back() else { return };
            let name = held.name;
            let mut push = PendingPush::of_held(held);
            let session = self.sessions.find(push.session);
            charge(&mut push, session.as_ref());
            let (subject, size) = (Arc::clone(&push.subject), push.size());
            self.door.back(&push);
            if self.submit(Work::Push { push, session }).is_err() {
                self.door.decided(&[(subject, size)]);
                self.hooks.lock().let_go(&name);
            }
        }
    }

    /// A push waits for its turn.
    fn wait(&self, mut push: PendingPush, session: Option<Arc<Handle>>) -> Result<(), Refusal> {
        charge(&mut push, session.as_ref());
        let (subject, size) = (Arc::clone(&push.subject), push.size());
        self.door.push(&push)?;
        self.submit(Work::Push { push, session }).inspect_err(|_| self.door.decided(&[(subject, size)]))
    }

    fn submit(&self, work: Work) -> Result<(), Refusal> {
        self.work.try_send(work).map_err(|problem| match problem {
            TrySendError::Full(_) => self.door.overloaded(),
            TrySendError::Disconnected(_) => gone(),
        })
    }

    async fn offer(
        &self,
        payer: &Arc<str>,
        made: oneshot::Receiver<Result<crate::buckets::Bucket, Refusal>>,
        held: Vec<landfall_protocol::client::Held>,
    ) -> Result<crate::session::Offer, Refusal> {
        let bucket = made.await.unwrap_or_else(|_| Err(gone()))?;
        let (chunks, now_ms) = (Arc::clone(&self.chunks), self.now().wall_ms);
        self.with_reader(payer, move |reader| reads::offer(&bucket, &held, &chunks, reader, now_ms))
            .await
            .unwrap_or_else(|| Err(gone()))
    }

    /// Runs `f` with one of the readers when it is this payer's turn.
    pub(super) async fn with_reader<R: Send + 'static>(
        &self,
        payer: &Arc<str>,
        f: impl FnOnce(&dyn StoreReader) -> R + Send + 'static,
    ) -> Option<R> {
        let turn = self.reading.wait(payer).await;
        self.run_reading(turn, f).await
    }

    /// As [`Shared::with_reader`], for chunks: these are asked for by networks, of which one may be a proxy with everybody
    /// behind it, so that they have turns of their own. The request is over when this is done with it, also when whoever
    /// asked has gone.
    pub(super) async fn with_reader_for<R: Send + 'static>(
        &self,
        pass: ChunkPass,
        f: impl FnOnce(&dyn StoreReader) -> R + Send + 'static,
    ) -> Option<R> {
        let turn = self.loading.wait(pass.payer()).await;
        self.run_reading((turn, pass), f).await
    }

    /// Runs `f` with one of the readers, on a thread that may block, and lets go of `holds` when it is through.
    async fn run_reading<R: Send + 'static>(
        &self,
        holds: impl Send + 'static,
        f: impl FnOnce(&dyn StoreReader) -> R + Send + 'static,
    ) -> Option<R> {
        let readers = Arc::clone(&self.readers);
        let run = move || {
            let _holds = holds;
            let reader = readers.take()?;
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| f(reader.as_ref())));
            readers.give_back(reader);
            result.ok()
        };
        tokio::task::spawn_blocking(run).await.ok().flatten()
    }

    /// Runs `f` aside with a reader that nobody else wants; not at all when there is none.
    pub(super) fn with_free_reader(&self, f: impl FnOnce(&dyn StoreReader) + Send + 'static) {
        let Some(reader) = self.readers.take_free() else { return };
        let readers = Arc::clone(&self.readers);
        tokio::task::spawn_blocking(move || {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| f(reader.as_ref())));
            readers.give_back(reader);
        });
    }

    pub(super) async fn read(&self, session: &Handle, read: Read) -> Result<ReadDone, Refusal> {
        let max_bytes = self.rules.message_bytes;
        let done = self.with_reader(&session.payer(), move |reader| reads::perform(&read, reader, max_bytes)).await;
        done.ok_or_else(gone)?.map_err(|problem: StoreError| {
            tracing::error!(code = %problem.code(), "reading the log failed: {problem}");
            committer::fault(&problem)
        })
    }
}

/// A push counts against the allowance of the session that it came through.
fn charge(push: &mut PendingPush, session: Option<&Arc<Handle>>) {
    if let Some(payer) = session.and_then(|session| session.subject.get()) {
        push.subject = Arc::clone(payer);
    }
}

fn gone() -> Refusal {
    let text = "the server is shutting down; connect again, nothing is lost";
    Refusal::new(landfall_protocol::codes::GOING_AWAY, text)
}
