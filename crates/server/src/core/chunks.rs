//! Chunks: the rows of a bucket in key order, shared by all devices that load it.
//!
//! An address is a capability: (bucket, position, key to continue after, expiry), authenticated with a key that stays in
//! the store, and masked, so that row keys do not show in the logs of proxies. It names the same content for everybody
//! who loads the same bucket at about the same time, which is what makes it worth caching. What it names may be narrowed
//! down, or asked for as digests ([`Narrowed`]): less than the address gives needs no signature of its own. The keys by
//! which a device narrows it down are its own words, and do show.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use landfall_core::hash::hash128;
use landfall_core::{BucketId, Epoch, RowKey};
use landfall_protocol::codec::{decode_binary, encode_binary};
use landfall_protocol::digest::{Digests, Narrowed, Run, RunHash, bare};
use landfall_protocol::{Address, Chunk, RowBlock};
use minicbor::bytes::ByteVec;
use rand::Rng;

use crate::buckets::Bucket;
use crate::store::{KeySpan, Store, StoreError, StoreReader};

/// Where addresses begin.
pub const PREFIX: &str = "/v1/chunks/";
/// How long an address is valid, milliseconds.
pub const VALID_MS: u64 = 60 * 60 * 1000;
/// Most rows of a chunk.
pub const MAX_ROWS: usize = 4_000;
/// About how many bytes of values a chunk has at most.
pub const MAX_BYTES: usize = 384 << 10;
/// Most rows of a chunk of digests: they are read, but do not travel.
const DIGESTED_ROWS: usize = 2 * MAX_ROWS;
/// About how many bytes of values a chunk of digests is made of at most.
const DIGESTED_BYTES: usize = 4 * MAX_BYTES;
/// Rows of a run that is digested: a row that differs costs so many.
pub const RUN_ROWS: usize = 128;
/// About how many bytes of values such a run has at most.
const RUN_BYTES: usize = 16 << 10;
/// Bytes of chunks kept.
pub const CACHE_BYTES: usize = 32 << 20;
/// A load is shared while replaying the log from its position is cheaper than reading the rows again.
const MAX_REPLAY: u64 = 5_000;
/// Most loads remembered for sharing.
const MAX_LOADS: usize = 4_096;

/// An address that gives nothing. LF-4012: open the shape again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not signed by this server in its present history.
    #[error("the address of the chunk is not valid; open the shape again")]
    Forged,
    /// Too old.
    #[error("the address of the chunk has expired; open the shape again")]
    Expired,
}

/// Why there is no chunk.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// The address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A chunk in the form in which it travels.
#[derive(Debug, PartialEq, Eq)]
pub struct StoredChunk {
    /// The binary frame.
    pub body: Bytes,
    /// Identifies the content: a strong entity tag, with its quotes.
    pub etag: String,
    /// When the address expires, milliseconds since the Unix epoch.
    pub expires_ms: u64,
    /// The chunk after this one.
    pub next: Option<Address>,
}

impl StoredChunk {
    /// The chunk itself.
    ///
    /// # Errors
    /// Never for a chunk that this server made; the store is damaged otherwise.
    pub fn chunk(&self) -> Result<Chunk, ChunkError> {
        decode_binary(&self.body).map_err(|problem| StoreError::Damaged(problem.to_string()).into())
    }
}

/// How to load a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// The position from which the log must be replayed over the rows.
    pub at: u64,
    /// The first chunk.
    pub first: Address,
    /// Rows, roughly.
    pub rows: u64,
    expires_ms: u64,
    epoch: Epoch,
}

/// What an address says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    bucket: BucketId,
    at: u64,
    expires_ms: u64,
    after: Option<RowKey>,
}

/// What is asked for: a place, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    place: Place,
    until: Option<RowKey>,
    digests: bool,
}

/// How much is read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Most rows of a chunk.
    pub rows: usize,
    /// Most rows of a run that is digested.
    pub run_rows: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { rows: MAX_ROWS, run_rows: RUN_ROWS }
    }
}

#[derive(Debug, Default)]
struct Cache {
    loads: BTreeMap<BucketId, Load>,
    chunks: BTreeMap<String, (u64, Arc<StoredChunk>)>,
    by_use: BTreeMap<u64, String>,
    uses: u64,
    bytes: usize,
    hits: u64,
    misses: u64,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Chunks {
    key: [u8; 32],
    max_bytes: usize,
    sizes: Sizes,
    cache: Mutex<Cache>,
    /// Chunks that are being read, so that whoever wants the same waits for it.
    reading: Mutex<BTreeMap<String, Reading>>,
}

type Reading = Arc<Mutex<Option<Arc<StoredChunk>>>>;

/// The key that signs addresses: the store's, made from `rng` the first time.
///
/// # Errors
/// When the store cannot be written.
pub fn signing_key(store: &mut dyn Store, rng: &mut dyn Rng) -> Result<[u8; 32], StoreError> {
    let mut fresh = [0; 32];
    rng.fill_bytes(&mut fresh);
    store.secret("addresses", fresh)
}

impl Chunks {
    /// Signs with `key` and keeps about `max_bytes` of chunks.
    pub fn new(key: [u8; 32], max_bytes: usize, sizes: Sizes) -> Self {
        Self { key, max_bytes, sizes, cache: Mutex::default(), reading: Mutex::default() }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// (Bytes kept, hits, misses), for metrics.
    pub fn statistics(&self) -> (usize, u64, u64) {
        let cache = self.cache();
        (cache.bytes, cache.hits, cache.misses)
    }

    /// How to load `bucket` now: a load that others began lately, or a new one.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn begin(&self, bucket: &Bucket, reader: &dyn StoreReader, now_ms: u64) -> Result<Load, StoreError> {
        let (head, oldest) = (reader.head()?, reader.oldest_seq()?);
        let fresh = |load: &&Load| {
            load.epoch == head.epoch
                && load.at >= oldest
                && head.seq.saturating_sub(load.at) <= MAX_REPLAY
                && now_ms.saturating_add(VALID_MS / 2) <= load.expires_ms
        };
        if let Some(load) = self.cache().loads.get(&bucket.id).filter(fresh) {
            return Ok(load.clone());
        }
        let rows = reader.count_rows(bucket)?;
        let expires_ms = now_ms.saturating_add(VALID_MS);
        let place = Place { bucket: bucket.id, at: head.seq, expires_ms, after: None };
        let first = self.seal(&place, head.epoch);
        let load = Load { at: head.seq, first, rows, expires_ms, epoch: head.epoch };
        let mut cache = self.cache();
        if cache.loads.len() >= MAX_LOADS {
            cache.loads.retain(|_, load| load.expires_ms > now_ms.saturating_add(VALID_MS / 2));
        }
        if cache.loads.len() < MAX_LOADS {
            cache.loads.insert(bucket.id, load.clone());
        }
        Ok(load)
    }

    /// The chunk of an address.
    ///
    /// # Errors
    /// [`AddressError`] when the address is forged or has expired, [`StoreError`] when the store cannot be read.
    pub fn get(&self, address: &str, reader: &dyn StoreReader, now_ms: u64) -> Result<Arc<StoredChunk>, ChunkError> {
        let epoch = reader.head()?.epoch;
        let asked = self.asked(address, epoch)?;
        if asked.place.expires_ms <= now_ms {
            return Err(AddressError::Expired.into());
        }
        if let Some(known) = self.cache().take_note(address) {
            return Ok(known);
        }
        let reading = Arc::clone(self.reading().entry(address.to_owned()).or_default());
        let mut found = reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chunk) = &*found {
            return Ok(Arc::clone(chunk));
        }
        let stored = self.read(&asked, epoch, reader).map(Arc::new);
        if let Ok(stored) = &stored {
            self.cache().keep(address, stored, self.max_bytes);
            *found = Some(Arc::clone(stored));
        }
        self.reading().remove(address);
        stored
    }

    fn reading(&self) -> MutexGuard<'_, BTreeMap<String, Reading>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the chunk is kept, or being read.
    pub fn is_at_hand(&self, address: &str) -> bool {
        self.cache().chunks.contains_key(address) || self.reading().contains_key(address)
    }

    fn read(&self, asked: &Asked, epoch: Epoch, reader: &dyn StoreReader) -> Result<StoredChunk, ChunkError> {
        let Asked { place, until, digests } = asked;
        // A bucket of a schema that is gone meanwhile.
        let bucket = reader.bucket(place.bucket)?.ok_or(AddressError::Expired)?;
        if [&place.after, until].into_iter().flatten().any(|key| !is_key_of(&bucket, key)) {
            return Err(AddressError::Forged.into());
        }
        let (rows, bytes) = if *digests {
            (self.sizes.rows * (DIGESTED_ROWS / MAX_ROWS), DIGESTED_BYTES)
        } else {
            (self.sizes.rows, MAX_BYTES)
        };
        let span = KeySpan { after: place.after.as_ref(), until: until.as_ref() };
        let page = reader.page(&bucket, span, rows, bytes)?;
        let keys = bucket.template.key_columns;
        let next = page.last_key.clone().filter(|_| page.more).map(|after| {
            let next = self.seal(&Place { after: Some(after), ..place.clone() }, epoch);
            Narrowed { after: None, until: until.clone(), digests: *digests }.of(&next)
        });
        let digests = digests.then(|| {
            // Where rows follow, the last run goes as far as was looked; else to the end of what was asked for.
            let to = page.last_key.clone().filter(|_| page.more).or_else(|| until.clone());
            Digests { after: place.after.clone(), runs: runs(&page.rows, keys, self.sizes.run_rows, to) }
        });
        let rows = if digests.is_some() { RowBlock::default() } else { page.rows };
        let chunk = Chunk { bucket: place.bucket, read_at: page.read_at, rows, next: next.clone(), digests };
        let body = Bytes::from(encode_binary(&chunk));
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(hash128(&body)));
        Ok(StoredChunk { body, etag, expires_ms: place.expires_ms, next })
    }

    /// What an address asks for, with what narrows it down.
    fn asked(&self, address: &str, epoch: Epoch) -> Result<Asked, AddressError> {
        let mut place = self.open(bare(address), epoch)?;
        let Narrowed { after, until, digests } = Narrowed::parse(address).ok_or(AddressError::Forged)?;
        if let Some(after) = after {
            // An address gives what follows its key, and nothing before it.
            let before = |place: &Place| place.after.as_ref().is_some_and(|own| after.to_bytes() < own.to_bytes());
            if before(&place) {
                return Err(AddressError::Forged);
            }
            place.after = Some(after);
        }
        Ok(Asked { place, until, digests })
    }

    fn keys(&self, epoch: Epoch) -> ([u8; 32], [u8; 32]) {
        let derive = |what: &[u8]| *blake3::keyed_hash(&self.key, &[&epoch.0[..], what].concat()).as_bytes();
        (derive(b"sign"), derive(b"mask"))
    }

    /// Signs first, then masks with a stream that depends on the signature: equal places give equal addresses.
    fn seal(&self, place: &Place, epoch: Epoch) -> Address {
        let (sign, mask) = self.keys(epoch);
        let after = place.after.as_ref().map(|key| ByteVec::from(key.to_bytes()));
        // Writing to a Vec cannot fail.
        let mut body = minicbor::to_vec((place.bucket, place.at, place.expires_ms, after)).unwrap_or_default();
        let signature = blake3::keyed_hash(&sign, &body);
        apply_mask(&mask, signature.as_bytes(), &mut body);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode([&signature.as_bytes()[..], &body].concat()))
    }

    fn open(&self, address: &str, epoch: Epoch) -> Result<Place, AddressError> {
        let (sign, mask) = self.keys(epoch);
        let token = address.strip_prefix(PREFIX).ok_or(AddressError::Forged)?;
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| AddressError::Forged)?;
        let (signature, body) = bytes.split_first_chunk::<32>().ok_or(AddressError::Forged)?;
        let mut body = body.to_vec();
        apply_mask(&mask, signature, &mut body);
        // The comparison of `blake3::Hash` takes constant time.
        if blake3::keyed_hash(&sign, &body) != blake3::Hash::from_bytes(*signature) {
            return Err(AddressError::Forged);
        }
        type Parts = (BucketId, u64, u64, Option<ByteVec>);
        let (bucket, at, expires_ms, after): Parts = minicbor::decode(&body).map_err(|_| AddressError::Forged)?;
        let after = after.map(|key| RowKey::from_bytes(&key)).transpose().map_err(|_| AddressError::Forged)?;
        Ok(Place { bucket, at, expires_ms, after })
    }
}

/// Whether the bucket's table may have a row of this key: what narrows an address down is not signed.
fn is_key_of(bucket: &Bucket, key: &RowKey) -> bool {
    let types = bucket.template.columns.iter().take(bucket.template.key_columns).map(|(_, ty)| *ty);
    key.0.len() == bucket.template.key_columns && key.0.iter().zip(types).all(|(v, ty)| !v.is_null() && v.fits(ty))
}

fn key_at(rows: &RowBlock, keys: usize, at: usize) -> RowKey {
    RowKey(rows.columns.iter().take(keys).filter_map(|(_, values)| values.get(at).cloned()).collect())
}

/// The digests of rows, in runs; the last one goes on to `to`.
fn runs(rows: &RowBlock, keys: usize, run_rows: usize, to: Option<RowKey>) -> Vec<Run> {
    let mut out = Vec::new();
    let (mut run, mut count) = (RunHash::default(), 0);
    for at in 0..rows.len() {
        if count >= run_rows.max(1) || run.len() >= RUN_BYTES {
            out.push(std::mem::take(&mut run).finish(Some(key_at(rows, keys, at - 1))));
            count = 0;
        }
        run.push(rows.columns.iter().filter_map(|(_, values)| values.get(at)));
        count += 1;
    }
    out.push(run.finish(to));
    out
}

fn apply_mask(key: &[u8; 32], signature: &[u8; 32], body: &mut [u8]) {
    let mut stream = vec![0; body.len()];
    blake3::Hasher::new_keyed(key).update(signature).finalize_xof().fill(&mut stream);
    for (byte, mask) in body.iter_mut().zip(stream) {
        *byte ^= mask;
    }
}

impl Cache {
    /// The chunk if it is kept, now the one used last.
    fn take_note(&mut self, address: &str) -> Option<Arc<StoredChunk>> {
        let Some((used, chunk)) = self.chunks.get_mut(address) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        self.uses += 1;
        let address = self.by_use.remove(used).unwrap_or_else(|| address.to_owned());
        *used = self.uses;
        let chunk = Arc::clone(chunk);
        self.by_use.insert(self.uses, address);
        Some(chunk)
    }

    fn keep(&mut self, address: &str, chunk: &Arc<StoredChunk>, max_bytes: usize) {
        let cost = |chunk: &StoredChunk, address: &str| chunk.body.len() + 3 * address.len() + 128;
        self.uses += 1;
        if let Some((used, old)) = self.chunks.insert(address.to_owned(), (self.uses, Arc::clone(chunk))) {
            self.by_use.remove(&used);
            self.bytes -= cost(&old, address);
        }
        self.by_use.insert(self.uses, address.to_owned());
        self.bytes += cost(chunk, address);
        while self.bytes > max_bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some((_, gone)) = self.chunks.remove(&oldest) {
                self.bytes -= cost(&gone, &oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests;
