//! First load: a chunk is stored part by part where turns have to be short (a page waits for its worker), else at once.

use std::collections::VecDeque;

use landfall_core::BucketId;
use landfall_protocol::batch::RowBlock;
use landfall_protocol::digest::Digests;
use landfall_protocol::server::{Address, Chunk};

use super::{Effect, Engine, Input, Moment};
use crate::changes::ChangeSet;
use crate::db::{DbError, HeldBucket};
use crate::session::{Command, Entropy, Event};

/// While a chunk is being stored the status is told this often at most.
const PROGRESS_MS: u64 = 50;

/// A chunk that is being stored.
#[derive(Debug)]
pub(super) struct Import {
    bucket: BucketId,
    /// Where the load went on when the chunk came. When it goes on elsewhere the chunk is of a load that was given up.
    after: Option<Address>,
    /// What is left of it. All but the last leave the bucket where it was: a load that is cut short fetches this chunk
    /// again, and finds the rows that it knows.
    parts: VecDeque<Chunk>,
    /// Whether it holds digests, and no rows.
    digests: bool,
    /// Whether it ends the load.
    is_last: bool,
    /// Told to live queries when the last part is stored.
    changes: ChangeSet,
}

impl Engine {
    pub(super) fn chunk(&mut self, request: u64, chunk: Chunk, now: Moment) -> Result<Option<Event>, DbError> {
        if self.import.is_some() {
            self.arrived.push_back((request, chunk));
            return Ok(None);
        }
        let Some(bucket) = self.session.bucket_of_request(request) else { return Ok(None) };
        if chunk.bucket != bucket {
            let reason = "the server answered with a chunk of another bucket".to_owned();
            return Ok(Some(Event::ChunkFailed { bucket, gone: true, reason, retry_after_ms: None }));
        }
        // One that was asked for before the session began may be of a history that this server has lost, but for what the
        // cursor vouched for then.
        let is_doubtful = self.session.is_from_before(bucket) && chunk.read_at > self.began_at;
        if is_doubtful || !self.db.may_load(bucket) {
            // Or the bucket was opened anew while the chunk was under way.
            self.session.hold(bucket, now.mono_ms);
            return Ok(None);
        }
        let HeldBucket { next: here, then, .. } = match self.held_bucket(bucket) {
            Some(held) => held,
            None => return Ok(None),
        };
        // What is to be fetched after digests shows when they are compared.
        let digests = chunk.digests.is_some();
        let next = chunk.next.clone().or_else(|| then.filter(|_| !digests));
        if next.is_none() && self.session.postpone(bucket, now.mono_ms) {
            return Ok(None);
        }
        self.fetch_next(bucket, next.as_ref().filter(|_| !digests));
        let after = self.session.loading_at(bucket).cloned();
        let is_last = next.is_none();
        let parts = split(chunk, self.db.chunk_rows(), here.as_ref());
        let in_parts = parts.len() > 1;
        self.import = Some(Import { bucket, after, parts, digests, is_last, changes: ChangeSet::default() });
        // Where turns are short, this one has decoded all of the chunk already.
        if in_parts { Ok(None) } else { self.import_part(now) }
    }

    fn fetch_next(&mut self, bucket: BucketId, next: Option<&Address>) {
        if let Some(Command::Fetch { request, address, .. }) = self.session.prefetch(bucket, next) {
            self.effects.push_back(Effect::FetchChunk { request, address });
        }
    }

    fn held_bucket(&self, bucket: BucketId) -> Option<HeldBucket> {
        self.db.subscriptions().into_iter().flat_map(|s| s.buckets).find(|b| b.bucket == bucket)
    }

    /// Whether the chunk that is being stored can go on: the cut has reached it, or it is of a load that was given up.
    pub(super) fn import_is_due(&self) -> bool {
        self.import.as_ref().is_some_and(|import| {
            let given_up = self.session.loading_at(import.bucket) != import.after.as_ref();
            given_up || import.parts.front().is_none_or(|part| self.db.may_apply(part))
        })
    }

    /// A session begins. A chunk that waits for the cut is fetched again: it may be of another history.
    pub(super) fn begin_loads(&mut self) {
        self.began_at = self.db.cursor().map_or(0, |cursor| cursor.seq);
        let waits = self.import.is_some() && !self.import_is_due();
        if let Some(import) = self.import.take_if(|_| waits) {
            self.session.forget_load(import.bucket);
            self.announce(&import.changes);
            // What has come behind it has nobody to wait for any more.
            for (request, _) in self.arrived.drain(..) {
                if let Some(bucket) = self.session.bucket_of_request(request) {
                    self.session.forget_load(bucket);
                }
            }
        }
    }

    /// Stores one part of the chunk that is being stored.
    fn import_part(&mut self, now: Moment) -> Result<Option<Event>, DbError> {
        if !self.import_is_due() {
            return Ok(None);
        }
        let Some(mut import) = self.import.take() else { return Ok(None) };
        let mut given_up = self.session.loading_at(import.bucket) != import.after.as_ref();
        if !given_up && !self.db.may_load(import.bucket) {
            // Opened anew between two parts.
            self.session.hold(import.bucket, now.mono_ms);
            given_up = true;
        }
        // A shape was opened while it waited, and the answer may say that its bucket is to be loaded.
        let ends = import.is_last && import.parts.len() == 1;
        given_up |= !given_up && ends && self.session.postpone(import.bucket, now.mono_ms);
        let part = if given_up { None } else { import.parts.pop_front() };
        let Some(part) = part else {
            self.announce(&import.changes);
            return Ok(None);
        };
        match self.db.apply_chunk(&part) {
            Ok(changes) => import.changes.extend(changes),
            Err(error) => {
                self.announce(&import.changes);
                return Err(error);
            }
        }
        if !import.parts.is_empty() {
            self.import = Some(import);
            return Ok(None);
        }
        self.announce(&import.changes);
        let Some(HeldBucket { at, next, .. }) = self.held_bucket(import.bucket) else { return Ok(None) };
        if import.digests {
            self.fetch_next(import.bucket, next.as_ref());
        }
        Ok(Some(Event::ChunkLoaded { bucket: import.bucket, next, at }))
    }

    /// The next part, and what else is due.
    pub(super) fn import_more(&mut self, now: Moment, random: &mut Entropy<'_>) {
        match self.import_part(now) {
            Ok(Some(event)) => self.step(&event, now, random),
            // What the bar of a first load shows need not change with every part of it.
            Ok(None) if self.import.is_some() && now.mono_ms < self.told_ms + PROGRESS_MS => {}
            Ok(None) => self.refresh_status(now),
            Err(error) => self.step(&Event::Fault { reason: error.to_string() }, now, random),
        }
        // One that needs no turn of its own is stored at once, and makes way for the next.
        while self.import.is_none()
            && let Some((request, chunk)) = self.arrived.pop_front()
        {
            self.handle(Input::ChunkLoaded { request, chunk }, now, random);
        }
        if self.session.deadline_ms().is_some_and(|at| at <= now.mono_ms) {
            self.step(&Event::Tick, now, random);
        }
    }
}

/// Cuts a chunk into parts of at most `rows`; all but the last say that the load goes on `here`.
fn split(mut chunk: Chunk, rows: usize, here: Option<&Address>) -> VecDeque<Chunk> {
    let mut parts = VecDeque::new();
    let Some(here) = here else { return VecDeque::from([chunk]) };
    if chunk.digests.is_some() {
        return split_digests(chunk, rows, here);
    }
    // From the end, so that each row is moved once.
    while chunk.rows.seqs.len() > rows.max(1) {
        let rows = chunk.rows.split_off((chunk.rows.seqs.len() - 1) / rows.max(1) * rows.max(1));
        let next = chunk.next.replace(here.clone());
        parts.push_front(Chunk { bucket: chunk.bucket, read_at: chunk.read_at, rows, next, digests: None });
    }
    parts.push_front(chunk);
    parts
}

/// Rows of digests that are compared in the time in which one is stored.
const COMPARED_PER_STORED: usize = 4;

fn split_digests(mut chunk: Chunk, rows: usize, here: &Address) -> VecDeque<Chunk> {
    let most = rows.saturating_mul(COMPARED_PER_STORED);
    let Digests { mut after, runs } = chunk.digests.take().unwrap_or_default();
    let mut parts: VecDeque<Chunk> = VecDeque::new();
    let (mut part, mut size) = (Digests { after: after.clone(), runs: Vec::new() }, 0);
    for run in runs {
        let own = run.rows as usize;
        if !part.runs.is_empty() && size + own > most {
            let full = std::mem::replace(&mut part, Digests { after: after.clone(), runs: Vec::new() });
            let (bucket, read_at, next) = (chunk.bucket, chunk.read_at, Some(here.clone()));
            parts.push_back(Chunk { bucket, read_at, rows: RowBlock::default(), next, digests: Some(full) });
            size = 0;
        }
        size += own;
        after.clone_from(&run.to);
        part.runs.push(run);
    }
    parts.push_back(Chunk { digests: Some(part), ..chunk });
    parts
}
