//! The mirror as a file: written by its own thread, so that no commit waits for it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use landfall_core::ReplicaId;

use super::keeper::{Keeper, Storage, Told};
use super::{Mirror, MirrorError, MirrorRecord};

/// How the mirror is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorStatus {
    /// Records that are not on disk yet.
    pub waiting: u64,
    /// Why the last attempt failed; `None` once one has succeeded. The database is not concerned.
    pub problem: Option<String>,
}

/// A disk that failed is tried again this often, whether or not there is more to write.
const RETRY: Duration = Duration::from_secs(10);

/// Hears of every change of [`MirrorStatus::problem`], on the writer's thread.
pub type OnProblem = Box<dyn Fn(Option<String>) + Send>;

/// A mirror file with its writer.
#[derive(Debug)]
pub struct FileMirror {
    sender: Option<Sender<Job>>,
    status: Arc<Mutex<MirrorStatus>>,
    thread: Option<JoinHandle<()>>,
}

enum Job {
    Told(Told),
    Flush(Sender<()>),
}

/// Reads a mirror file; one that is not there is empty.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn load(path: &Path) -> Result<Mirror, MirrorError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Mirror::from_bytes(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Mirror::default()),
        Err(source) => Err(MirrorError::Io { path: path.display().to_string(), source }),
    }
}

impl FileMirror {
    /// Starts mirroring into `path`, which is written anew with `content` (the database's outbox as it is). Returns at
    /// once; failures show in [`FileMirror::status`], and `on_problem` is told of them.
    ///
    /// A file that holds undecided transactions of a replica that `content` does not know is not overwritten but kept
    /// under a name that ends in `.kept-` and that replica. [`load`] it and decide by [`super::plan`] first.
    ///
    /// # Errors
    /// When the file there is another app's or a newer build's, or no thread can be started.
    pub fn open(
        path: impl Into<PathBuf>,
        app: &str,
        content: Mirror,
        on_problem: OnProblem,
    ) -> Result<Self, MirrorError> {
        let path = path.into();
        let io_error = |source| MirrorError::Io { path: path.display().to_string(), source };
        let found = load(&path)?;
        found.check(app)?;
        if let Some(stranger) = stranger(&found, &content) {
            keep(&path, &format!(".kept-{stranger}")).map_err(io_error)?;
        }
        let (sender, receiver) = mpsc::channel();
        let status = Arc::new(Mutex::new(MirrorStatus { waiting: 1, problem: None }));
        let keeper = Keeper::new(Place { path: path.clone(), file: None }, content);
        let writer = Writer { keeper, path: path.clone(), status: Arc::clone(&status), on_problem };
        let builder = std::thread::Builder::new().name("landfall-mirror".to_owned());
        let thread = builder.spawn(move || writer.run(&receiver)).map_err(io_error)?;
        Ok(Self { sender: Some(sender), status, thread: Some(thread) })
    }

    /// Hands over a record. Never waits.
    pub fn append(&self, record: MirrorRecord) {
        self.hand(Job::Told(Told::Record(record)));
    }

    /// Writes the file anew, in one step: the database took a new identity, under which it queued its entries again.
    pub fn restart(&self, content: Mirror) {
        self.hand(Job::Told(Told::Anew(Box::new(content))));
    }

    /// How it is doing.
    pub fn status(&self) -> MirrorStatus {
        lock(&self.status).clone()
    }

    /// Waits until everything handed over so far is on disk, or has failed to get there.
    pub fn flush(&self) {
        let (sender, receiver) = mpsc::channel();
        self.hand(Job::Flush(sender));
        // An error means that the writer is gone: then there is nothing to wait for.
        let _ = receiver.recv();
    }

    fn hand(&self, job: Job) {
        if !matches!(job, Job::Flush(_)) {
            lock(&self.status).waiting += 1;
        }
        let sent = self.sender.as_ref().is_some_and(|sender| sender.send(job).is_ok());
        if !sent {
            lock(&self.status).problem = Some("the mirror's writer has stopped; open the database again".to_owned());
        }
    }
}

impl Drop for FileMirror {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(status: &Mutex<MirrorStatus>) -> MutexGuard<'_, MirrorStatus> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a file from being overwritten: gives it a second name, ending in `ending`, and a number where that is taken.
/// The first name goes on until the next file takes it.
///
/// # Errors
/// When the file system does not let it.
pub fn keep(path: &Path, ending: &str) -> io::Result<PathBuf> {
    let name = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        if n > 1 {
            name.push(format!("-{n}"));
        }
        PathBuf::from(name)
    };
    let mut n = 1;
    loop {
        let to = name(n);
        match fs::hard_link(path, &to) {
            Ok(()) => return Ok(to),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => n += 1,
            // A file system without links.
            Err(_) if !to.exists() => return fs::rename(path, &to).map(|()| to),
            Err(error) => return Err(error),
        }
    }
}

/// A replica with undecided transactions in `found` that `content` does not know.
fn stranger(found: &Mirror, content: &Mirror) -> Option<ReplicaId> {
    found.open.keys().map(|(replica, _)| *replica).find(|replica| !content.last_rseq.contains_key(replica))
}

struct Writer {
    keeper: Keeper<Place>,
    path: PathBuf,
    status: Arc<Mutex<MirrorStatus>>,
    on_problem: OnProblem,
}

impl Writer {
    fn run(mut self, receiver: &Receiver<Job>) {
        self.write(Vec::new(), 1);
        loop {
            let first = if self.keeper.is_whole() {
                receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                receiver.recv_timeout(RETRY)
            };
            let first = match first {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    self.write(Vec::new(), 0);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let (mut told, mut flushes) = (Vec::new(), Vec::new());
            // All that waits goes to the disk together.
            for job in std::iter::once(first).chain(receiver.try_iter()) {
                match job {
                    Job::Told(one) => told.push(one),
                    Job::Flush(done) => flushes.push(done),
                }
            }
            if !told.is_empty() {
                let count = told.len() as u64;
                self.write(told, count);
            }
            // Nobody may be waiting any more.
            for done in flushes {
                let _ = done.send(());
            }
        }
    }

    fn write(&mut self, told: Vec<Told>, records: u64) {
        let problem = self
            .keeper
            .write(told)
            .err()
            .map(|source| MirrorError::Io { path: self.path.display().to_string(), source }.to_string());
        let mut status = lock(&self.status);
        status.waiting = status.waiting.saturating_sub(records);
        let changed = status.problem != problem;
        status.problem.clone_from(&problem);
        drop(status);
        if changed {
            (self.on_problem)(problem);
        }
    }
}

/// A mirror's file.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    /// Absent before it was written.
    file: Option<File>,
}

impl Storage for Place {
    type Error = io::Error;

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        file.write_all(bytes).and_then(|()| file.sync_data())
    }

    /// Writes a new file and puts it in the old one's place.
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file = None;
        let mut new = self.path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        sync_directory(&self.path)?;
        // Renamed or not, the handle writes to the same file, after what is there.
        self.file = Some(file);
        Ok(())
    }
}

/// Makes the new name durable. Only Unix can; elsewhere the file system does it with the rename.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(parent)?.sync_all() } else { Ok(()) }
}
