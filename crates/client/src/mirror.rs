//! The outbox once more, outside the database: so that a damaged or lost database costs nothing that exists only here.
//!
//! The database's copy is the truth; the mirror is read only when the database is missing or damaged ([`plan`]). It is
//! written after the commit, off the critical path, so it may lack the last few entries.
//!
//! # Format
//! A file is a run of frames: `FF 01`, the content, `FF 02`. In the content every `FF` is followed by `00`, so that a
//! mark never occurs inside one and a reader finds the next frame whatever happened to those before. The content is 8
//! bytes of checksum (BLAKE3 of the rest) and a [`MirrorRecord`] in CBOR. A frame that was torn, or changed in any bit,
//! is skipped, alone. Records may occur twice and in any order: decided wins over dead, dead over undecided. A reader of
//! before dead letters were told takes one for undecided; its server decides it again.

#[cfg(any(test, feature = "tokio-driver"))]
mod file;
mod keeper;
mod opening;

use landfall_core::error::Code;
use landfall_core::flat::FlatMap;
use landfall_core::hash::hash128;
use landfall_core::wide::{WideMap, WideSet};
use landfall_core::{ReplicaId, Transaction};
use minicbor::{Decode, Encode};

use crate::db::{Letter, Release};

#[cfg(any(test, feature = "tokio-driver"))]
pub use file::{FileMirror, MirrorStatus, OnProblem, keep, load};
pub use keeper::{Keeper, Storage, Told};
pub use opening::{Opened, Place, open};

/// The format that this build writes.
pub const FORMAT: u32 = 1;

/// A recovered replica goes on this far beyond the largest sequence that the mirror knows: further than the mirror can
/// be behind. Else a sequence that the server knows already could be given out again.
pub const RSEQ_MARGIN: u64 = 1 << 32;

const MARK: u8 = 0xff;
const LITERAL: u8 = 0;
const START: u8 = 1;
const END: u8 = 2;
const CHECKSUM_BYTES: usize = 8;
/// Below this a file is not worth compacting.
const COMPACT_FROM_BYTES: usize = 64 * 1024;

/// What a database has to know besides its entries when it is made anew, so that it does not send what its person held
/// back, or as another person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Situation {
    /// Whose it is: the subject of its first session.
    #[n(0)]
    pub subject: Option<String>,
    /// Whether nothing is sent until the person says so.
    #[n(1)]
    pub paused: bool,
    /// When it last had a session, by the server's clock. Milliseconds since the Unix epoch.
    #[n(2)]
    pub seen_ms: Option<u64>,
    /// Sending is held back after a long absence: since when it had no session, by the server's clock in milliseconds since
    /// the Unix epoch, and how long it had none, milliseconds.
    #[n(3)]
    pub held: Option<(u64, u64)>,
    /// The server's clock less the device's, milliseconds.
    #[n(4)]
    pub offset_ms: i64,
}

/// What the mirror is told.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum MirrorRecord {
    /// Whose file this is. First in a file.
    #[n(0)]
    Header {
        /// [`FORMAT`] of the writer.
        #[n(0)]
        format: u32,
        /// The schema's name.
        #[n(1)]
        app: String,
        /// The replica from here on.
        #[n(2)]
        replica: ReplicaId,
        /// The largest sequence that the replica has given out.
        #[n(3)]
        last_rseq: u64,
        /// What a recovered database has to know besides. An older build does not say.
        #[n(4)]
        situation: Option<Situation>,
    },
    /// A transaction is in the outbox.
    #[n(1)]
    Appended {
        /// Who wrote.
        #[n(0)]
        replica: ReplicaId,
        /// Its number.
        #[n(1)]
        rseq: u64,
        /// The transaction's bytes, as they travel.
        #[cbor(n(2), with = "minicbor::bytes")]
        body: Vec<u8>,
        /// It is a dead letter.
        #[n(3)]
        letter: Option<Letter>,
        /// How urgent it is, 0 to 100: its author may have said more than its tables do.
        #[n(4)]
        priority: Option<u8>,
        /// What it lets go of: whoever takes or deletes that comes behind it.
        #[n(5)]
        #[cbor(default, skip_if = "Vec::is_empty")]
        releases: Vec<Release>,
    },
    /// A transaction has left the outbox: accepted by the server, or thrown away by a person. (A refused one stays in
    /// it, as a dead letter.)
    #[n(2)]
    Decided {
        /// Who wrote.
        #[n(0)]
        replica: ReplicaId,
        /// Its number.
        #[n(1)]
        rseq: u64,
    },
}

/// What a mirror knows of the times is so old at most: it need not be told of each minute.
const TIMES_MS: u64 = 10 * 60_000;

impl Situation {
    /// Whether a mirror that knows `self` has to be told of `now`: of what a person or the server has said at once, of times
    /// within some minutes.
    pub fn has_changed(&self, now: &Self) -> bool {
        let is_near = |one: u64, other: u64| one.abs_diff(other) < TIMES_MS;
        let seen = match (self.seen_ms, now.seen_ms) {
            (Some(one), Some(other)) => is_near(one, other),
            (one, other) => one == other,
        };
        let is_same = (&self.subject, self.paused, self.held) == (&now.subject, now.paused, now.held);
        !is_same || !seen || self.offset_ms.abs_diff(now.offset_ms) >= TIMES_MS
    }
}

impl MirrorRecord {
    /// The record that says whose file it is.
    pub fn header(app: &str, replica: ReplicaId, last_rseq: u64, situation: Situation) -> Self {
        Self::Header { format: FORMAT, app: app.to_owned(), replica, last_rseq, situation: Some(situation) }
    }

    /// The frame for this record.
    pub fn to_frame(&self) -> Vec<u8> {
        // Writing to a Vec cannot fail.
        let payload = minicbor::to_vec(self).unwrap_or_default();
        let mut out = Vec::with_capacity(payload.len() + CHECKSUM_BYTES + 8);
        out.extend([MARK, START]);
        for byte in checksum(&payload).into_iter().chain(payload) {
            out.push(byte);
            if byte == MARK {
                out.push(LITERAL);
            }
        }
        out.extend([MARK, END]);
        out
    }

    fn from_content(content: &[u8]) -> Option<Self> {
        let (sum, payload) = content.split_first_chunk::<CHECKSUM_BYTES>()?;
        if *sum != checksum(payload) {
            return None;
        }
        minicbor::decode(payload).ok()
    }
}

fn checksum(payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut out = [0; CHECKSUM_BYTES];
    out.copy_from_slice(&hash128(payload)[..CHECKSUM_BYTES]);
    out
}

/// Why a mirror is left alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// A newer build wrote it.
    #[error(
        "the outbox mirror has format {found}, this build reads up to {FORMAT}; update the app, nothing was changed \
         [LF-5301]"
    )]
    Newer {
        /// Its format.
        found: u32,
    },
    /// It belongs to another app.
    #[error("the outbox mirror belongs to the app '{found}', not to '{expected}'; choose another path [LF-5302]")]
    OtherApp {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// It is damaged, and its database is lost: what it no longer tells, nobody does.
    #[error(
        "the database was lost, and the mirror of its outbox is damaged ({}): {} in the outbox again, others may be \
         missing; look what is and enter it again. The damaged file is kept as {kept} [LF-5304]",
        count(*places, "place"), count(*found, "transaction"),
    )]
    Damaged {
        /// How many places could not be read.
        places: usize,
        /// How many transactions could be.
        found: usize,
        /// The file's new name.
        kept: String,
    },
    /// The file cannot be read or written.
    #[error("the outbox mirror {path} cannot be used: {source}; free space or correct its permissions [LF-5303]")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

fn count(n: usize, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {what}{plural}")
}

impl MirrorError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Newer { .. } => Code::of("LF-5301"),
            Self::OtherApp { .. } => Code::of("LF-5302"),
            Self::Io { .. } => Code::of("LF-5303"),
            Self::Damaged { .. } => Code::of("LF-5304"),
        }
    }
}

/// All records of a file that are intact, in order, and how many frames or fragments were not.
pub fn read(bytes: &[u8]) -> (Vec<MirrorRecord>, usize) {
    let (mut records, mut damaged) = (Vec::new(), 0);
    // `Some` inside a frame.
    let mut content: Option<Vec<u8>> = None;
    let mut stray = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let mark = (byte == MARK).then(|| bytes.get(at + 1).copied()).flatten();
        match (byte, mark) {
            (MARK, Some(START)) => {
                damaged += usize::from(content.is_some() || stray);
                (content, stray) = (Some(Vec::new()), false);
                at += 2;
            }
            (MARK, Some(END)) => {
                match content.take().as_deref().and_then(MirrorRecord::from_content) {
                    Some(record) => records.push(record),
                    None => damaged += 1,
                }
                stray = false;
                at += 2;
            }
            (MARK, Some(LITERAL)) if content.is_some() => {
                content.iter_mut().for_each(|c| c.push(MARK));
                at += 2;
            }
            // A mark that nobody writes: the next byte may begin one, so only this one is passed over.
            (MARK, _) => {
                (content, stray) = (None, true);
                at += 1;
            }
            (other, _) => {
                match &mut content {
                    Some(content) => content.push(other),
                    None => stray = true,
                }
                at += 1;
            }
        }
    }
    damaged += usize::from(content.is_some() || stray);
    (records, damaged)
}

/// What is kept of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its bytes, as they travel.
    pub body: Vec<u8>,
    /// What it has besides as a dead letter.
    pub letter: Option<Letter>,
    /// How urgent it is, 0 to 100; `None`: as its tables say.
    pub priority: Option<u8>,
    /// What it lets go of.
    pub releases: Vec<Release>,
}

impl Kept {
    /// The record of it.
    pub fn appended(self, replica: ReplicaId, rseq: u64) -> MirrorRecord {
        let Self { body, letter, priority, releases } = self;
        MirrorRecord::Appended { replica, rseq, body, letter, priority, releases }
    }

    fn bytes(&self) -> usize {
        // Writing to a Vec cannot fail.
        let of_letter = |letter: &Letter| minicbor::to_vec(letter).unwrap_or_default().len();
        let of_releases: usize = self.releases.iter().map(|release| release.table.len() + release.what.len() + 8).sum();
        self.body.len() + self.letter.as_ref().map_or(0, of_letter) + of_releases
    }
}

/// What a mirror holds. Pure: whoever owns the file writes the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirror {
    app: Option<String>,
    replica: Option<ReplicaId>,
    format: u32,
    situation: Option<Situation>,
    last_rseq: FlatMap<ReplicaId, u64>,
    open: WideMap<(ReplicaId, u64), Kept>,
    decided: WideSet<(ReplicaId, u64)>,
    damaged: usize,
    open_bytes: usize,
    file_bytes: usize,
}

impl Mirror {
    /// A mirror of what the outbox holds: `entries` are sequences and what is kept of each.
    pub fn new(
        app: &str,
        replica: ReplicaId,
        last_rseq: u64,
        situation: Situation,
        entries: impl IntoIterator<Item = (u64, Kept)>,
    ) -> Self {
        let mut out = Self::default();
        out.take(MirrorRecord::header(app, replica, last_rseq, situation));
        for (rseq, kept) in entries {
            out.take(kept.appended(replica, rseq));
        }
        out
    }

    /// What the bytes of a file tell. Never fails: what is damaged is passed over, and counted.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut out = Self::default();
        let (records, damaged) = read(bytes);
        records.into_iter().for_each(|record| out.take(record));
        (out.damaged, out.file_bytes) = (damaged, bytes.len());
        out
    }

    /// Takes note of a record, and gives the bytes to append to the file.
    pub fn append(&mut self, record: MirrorRecord) -> Vec<u8> {
        let frame = record.to_frame();
        self.file_bytes += frame.len();
        self.take(record);
        frame
    }

    fn take(&mut self, record: MirrorRecord) {
        match record {
            MirrorRecord::Header { format, app, replica, last_rseq, situation } => {
                self.format = self.format.max(format);
                self.situation = situation;
                (self.app, self.replica) = (Some(app), Some(replica));
                self.seen(replica, last_rseq);
            }
            MirrorRecord::Appended { replica, rseq, body, letter, priority, releases } => {
                self.replica = Some(replica);
                self.seen(replica, rseq);
                let id = (replica, rseq);
                let was_dead = self.open.get(&id).is_some_and(|kept| kept.letter.is_some());
                if !self.decided.contains(&id) && (letter.is_some() || !was_dead) {
                    let kept = Kept { body, letter, priority, releases };
                    self.open_bytes += kept.bytes();
                    let old = self.open.insert(id, kept);
                    self.open_bytes -= old.map_or(0, |kept| kept.bytes());
                }
            }
            MirrorRecord::Decided { replica, rseq } => {
                self.seen(replica, rseq);
                self.open_bytes -= self.open.remove(&(replica, rseq)).map_or(0, |kept| kept.bytes());
                self.decided.insert((replica, rseq));
            }
        }
    }

    fn seen(&mut self, replica: ReplicaId, rseq: u64) {
        let last = self.last_rseq.get_or_insert_with(replica, || 0);
        *last = rseq.max(*last);
    }

    /// Whose it is now.
    pub fn replica(&self) -> Option<ReplicaId> {
        self.replica
    }

    /// How many transactions are undecided, or dead letters.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether nothing is undecided, or a dead letter.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// How many damaged places the file had.
    pub fn damaged(&self) -> usize {
        self.damaged
    }

    /// Whether writing the file anew would make it much smaller.
    pub fn wants_compaction(&self) -> bool {
        self.file_bytes > COMPACT_FROM_BYTES && self.file_bytes / 4 > self.open_bytes
    }

    /// A whole new file that tells the same in fewer bytes, to replace the old one in one step.
    pub fn compact(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.open_bytes + 64 * (self.open.len() + 1));
        // The present replica's header comes last, so that a reader takes it for the present one.
        let present = self.replica;
        let (all, app) = (&self.last_rseq, self.app.clone().unwrap_or_default());
        let others =
            all.iter().map(|(replica, last)| (*replica, *last)).filter(|(replica, _)| Some(*replica) != present);
        let last = present.and_then(|replica| Some((replica, *all.get(&replica)?)));
        for (replica, last_rseq) in others.chain(last) {
            let current = Some(replica) == present;
            let mut entries = self.open.iter().filter(|((owner, _), _)| *owner == replica).peekable();
            if current || entries.peek().is_some() {
                let situation = self.situation.clone().filter(|_| current);
                let header = MirrorRecord::Header { format: FORMAT, app: app.clone(), replica, last_rseq, situation };
                out.extend(header.to_frame());
            }
            for ((_, rseq), kept) in entries {
                out.extend(kept.clone().appended(replica, *rseq).to_frame());
            }
        }
        // Without it what a person held back would be sent: it survives the loss of either place.
        if let (Some(replica), Some(situation), false) = (present, &self.situation, self.open.is_empty()) {
            let last_rseq = all.get(&replica).copied().unwrap_or(0);
            out.extend(MirrorRecord::header(&app, replica, last_rseq, situation.clone()).to_frame());
        }
        self.decided.clear();
        (self.file_bytes, self.damaged) = (out.len(), 0);
        out
    }

    fn check(&self, app: &str) -> Result<(), MirrorError> {
        if self.format > FORMAT {
            return Err(MirrorError::Newer { found: self.format });
        }
        match &self.app {
            Some(found) if found != app => {
                Err(MirrorError::OtherApp { found: found.clone(), expected: app.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// What is still undecided or a dead letter, for a database that starts anew; `None` when the mirror knows of no replica.
    ///
    /// # Errors
    /// When the mirror is another app's, or a newer build's.
    pub fn recover(&self, app: &str) -> Result<Option<Recovered>, MirrorError> {
        self.check(app)?;
        let Some(replica) = self.replica else {
            return Ok(None);
        };
        let mut out = Recovered {
            replica,
            last_rseq: self.last_rseq.get(&replica).copied().unwrap_or(0).saturating_add(RSEQ_MARGIN),
            transactions: Vec::new(),
            older: Vec::new(),
            dead: Vec::new(),
            priorities: WideMap::new(),
            releases: WideMap::new(),
            situation: self.situation.clone().unwrap_or_default(),
            damaged: self.damaged,
        };
        for ((replica, rseq), Kept { body, letter, priority, releases }) in &self.open {
            if !releases.is_empty() && letter.is_none() {
                out.releases.insert((*replica, *rseq), releases.clone());
            }
            if let Some(priority) = priority {
                out.priorities.insert((*replica, *rseq), *priority);
            }
            match (minicbor::decode::<Transaction>(body), letter) {
                // It is never sent as it is, so that one that was another's first does no harm.
                (Ok(mut transaction), Some(letter)) => {
                    if (transaction.replica, transaction.rseq) != (*replica, *rseq) {
                        transaction.go_on_as(*replica, *rseq);
                    }
                    out.dead.push((transaction, letter.clone()));
                }
                (Ok(t), None) if (t.replica, t.rseq) != (*replica, *rseq) => out.damaged += 1,
                (Ok(transaction), None) if *replica == out.replica => out.transactions.push(transaction),
                (Ok(transaction), None) => out.older.push(transaction),
                (Err(_), _) => out.damaged += 1,
            }
        }
        Ok(Some(out))
    }
}

/// What a database that starts anew takes from the mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The identity that the new database takes over. Only under it can the server recognise what it has already.
    pub replica: ReplicaId,
    /// The new database goes on after this sequence: [`RSEQ_MARGIN`] beyond the largest that the mirror knows.
    pub last_rseq: u64,
    /// Undecided transactions of this replica, ascending, to be queued again as they are: same sequence, same bytes. The
    /// server answers those that it knows with the remembered outcome, so each takes effect once.
    pub transactions: Vec<Transaction>,
    /// Undecided transactions under an earlier identity of this device, from before it took a new one. They may have been
    /// queued again under the present one, so they must not be sent by themselves; they are for a person to look at.
    pub older: Vec<Transaction>,
    /// Dead letters, of this replica or of an earlier identity: they are dead letters again.
    pub dead: Vec<(Transaction, Letter)>,
    /// How urgent each is, by its identity and number, where that is known.
    pub priorities: WideMap<(ReplicaId, u64), u8>,
    /// What undecided transactions let go of, by their identity and number.
    pub releases: WideMap<(ReplicaId, u64), Vec<Release>>,
    /// What the database knew besides its entries.
    pub situation: Situation,
    /// Places of the file that could not be read.
    pub damaged: usize,
}

impl Recovered {
    /// How many transactions there are.
    pub fn len(&self) -> usize {
        self.transactions.len() + self.older.len() + self.dead.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What to do about a mirror when a database is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The database is sound: it is the truth, and the mirror is written anew from it.
    FollowDatabase,
    /// The database was missing or damaged: it starts anew with this.
    Recover(Box<Recovered>),
    /// The database was missing or damaged, and the mirror knows nothing.
    StartEmpty,
}

impl Plan {
    /// Places that cannot be read in the mirror of a database that is lost, and the transactions that can: that mirror
    /// is to be kept, since it may be all that tells of unsent work. None where nothing is damaged or lost.
    pub fn damage(&self, mirror: &Mirror) -> Option<(usize, usize)> {
        let (places, found) = match self {
            Self::FollowDatabase => return None,
            Self::Recover(recovered) => (recovered.damaged, recovered.len()),
            Self::StartEmpty => (mirror.damaged(), 0),
        };
        (places > 0).then_some((places, found))
    }
}

/// Decides by the mirror's content and whether a sound database was there before (not made by this very start).
///
/// # Errors
/// When the mirror is another app's, or a newer build's: nobody may overwrite it then.
pub fn plan(database_was_sound: bool, mirror: &Mirror, app: &str) -> Result<Plan, MirrorError> {
    mirror.check(app)?;
    if database_was_sound {
        return Ok(Plan::FollowDatabase);
    }
    Ok(mirror.recover(app)?.map_or(Plan::StartEmpty, |recovered| Plan::Recover(Box::new(recovered))))
}

#[cfg(test)]
mod tests;
