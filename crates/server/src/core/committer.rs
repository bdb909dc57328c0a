//! The one owner of the store's writer: hellos, buckets, and groups of pushes with one fsync.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use landfall_core::{Epoch, ReplicaId, Value};
use landfall_protocol::server::MOST_ACCEPTED;
use landfall_protocol::{Cursor, Decision, Outcome, Resumption, codes};

use super::fair::Waiting;
use crate::actions::hooks::{Heard, Held, Hooks, Name, Next, Waits};
use crate::buckets::Bucket;
use crate::hub::Hub;
use crate::session::{HelloAnswer, Moment, Refusal, Reply};
use crate::store::{GroupCommit, PushEntry, Store, StoreError, StoreReader, Subject, Truncated};

/// Names a connection within a server.
pub type SessionId = u64;

/// A push that waits to be decided.
#[derive(Debug)]
pub struct PendingPush {
    /// Whose answer it is.
    pub session: SessionId,
    /// The push.
    pub id: u32,
    /// Whose it is.
    pub subject: Arc<str>,
    /// Its transactions.
    pub entries: Vec<PushEntry>,
    /// Whether the push was answered before: these were asked about, and are decided or asked about now.
    pub answered: bool,
    /// The rest of the push waits behind it: it is answered with the last part.
    pub more: bool,
}

/// The questions to webhooks, shared with whoever drives them. Locked for moments only.
#[derive(Clone, Debug, Default)]
pub struct SharedHooks(Arc<Mutex<Hooks>>);

impl SharedHooks {
    /// The questions.
    pub fn lock(&self) -> MutexGuard<'_, Hooks> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingPush {
    /// A push of a session.
    pub fn new(session: SessionId, id: u32, entries: Vec<PushEntry>) -> Self {
        // One without transactions is nobody's, and takes no time.
        let subject = entries.first().map_or_else(|| Arc::from(""), |entry| Arc::from(entry.subject.id.as_str()));
        Self { session, id, subject, entries, answered: false, more: false }
    }

    /// What was asked about, and can go on now.
    pub fn of_held(held: Held) -> Self {
        Self { answered: true, ..Self::new(held.session, held.push, vec![held.entry]) }
    }

    /// How many transactions it has.
    pub fn size(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Their bytes, as they travelled.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.entry.bytes as u64).sum()
    }
}

fn cost_of(entry: &PushEntry) -> usize {
    entry.entry.transaction.operations.len().max(1)
}

impl Waiting for PendingPush {
    fn subject(&self) -> &Arc<str> {
        &self.subject
    }

    fn entries(&self) -> usize {
        self.entries.len()
    }

    fn cost(&self, at: usize) -> usize {
        self.entries.get(at).map_or(1, cost_of)
    }

    fn split(&mut self, entries: usize) -> Self {
        let rest = self.entries.split_off(entries.min(self.entries.len()));
        let entries = std::mem::replace(&mut self.entries, rest);
        Self { subject: Arc::clone(&self.subject), entries, more: true, ..*self }
    }
}

/// How long a server keeps what has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Changes: a device that was away for longer loads anew what it holds. Milliseconds.
    pub log_ms: u64,
    /// Decisions on transactions. Longer than devices keep acknowledged transactions (seven days). Milliseconds.
    pub decisions_ms: u64,
}

impl Retention {
    const DAY_MS: u64 = 24 * 3_600 * 1_000;
    /// Decisions are kept for at least so many days.
    const DECISIONS_DAYS: u64 = 30;

    /// Changes for so many days, and decisions for as long, at least 30 days.
    pub fn days(days: u64) -> Self {
        let decisions = days.max(Self::DECISIONS_DAYS);
        Self { log_ms: days.saturating_mul(Self::DAY_MS), decisions_ms: decisions.saturating_mul(Self::DAY_MS) }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self::days(30)
    }
}

/// What became of a group. Send the replies, then [`Committer::publish`].
#[derive(Debug, Default)]
pub struct Committed {
    /// The answers to the pushes, in order.
    pub replies: Vec<(SessionId, Reply)>,
    /// The pushes that the group decided, or the last part of, in order.
    pub pushes: Vec<(SessionId, u32)>,
    /// How many entries the group had.
    pub entries: usize,
    /// How much work they were: their operations, at least one for each.
    pub cost: usize,
    /// Whether it was about entries that webhooks are asked about: [`Hooks`] may have something to ask, or to give back.
    pub heard: bool,
    /// Entries that are being asked about, or are to be.
    pub asked: u64,
    /// What the store did; empty when it failed.
    pub commit: GroupCommit,
    /// Why nothing was decided, if so.
    pub failure: Option<StoreError>,
}

/// See the module's documentation.
pub struct Committer {
    /// Goes before the store does: whoever closes a database last tidies up, and only the writer can.
    reader: Box<dyn StoreReader>,
    store: Box<dyn Store>,
    hub: Arc<Hub>,
    hooks: SharedHooks,
    /// Pushes of which a part is decided, and the rest waits.
    parts: BTreeMap<(SessionId, u32), Parts>,
}

/// What a device is told when the store fails: no paths, no details of this machine.
pub(crate) fn fault(problem: &StoreError) -> Refusal {
    let text = format!("the server's store failed ({}); nothing was decided, try again later", problem.code());
    Refusal::new(codes::SERVER_FAULT, text).retry_after(2_000)
}

/// What of a group is whose.
struct Share {
    session: SessionId,
    id: u32,
    entries: usize,
    answered: bool,
    more: bool,
    shift_ms: i64,
}

/// What became of the parts of a push until now: the outcomes in order, or why one of them failed.
type Parts = Result<Vec<Outcome>, Refusal>;

impl Share {
    /// Its answer, when there is one to give.
    fn reply(
        self,
        outcomes: &mut dyn Iterator<Item = (u64, Outcome)>,
        failure: Option<&StoreError>,
        parts: &mut BTreeMap<(SessionId, u32), Parts>,
        from: u64,
    ) -> Option<(SessionId, Reply)> {
        let Self { session, id, entries, answered, more, shift_ms } = self;
        let own: Vec<(u64, Outcome)> = outcomes.take(entries).collect();
        if answered {
            // What is still asked about its device knows already; where the store failed it comes again.
            let of = |(rseq, outcome)| Decision { rseq, outcome };
            let is_new = |decision: &Decision| !matches!(decision.outcome, Outcome::Asked { .. });
            let decisions: Vec<Decision> = own.into_iter().map(of).filter(is_new).collect();
            return (!decisions.is_empty()).then_some((session, Reply::Decided { id, decisions, shift_ms }));
        }
        let mut result = parts.remove(&(session, id)).unwrap_or_else(|| Ok(Vec::new()));
        match (&mut result, failure) {
            (Ok(before), None) => before.extend(own.into_iter().map(|(_, outcome)| outcome)),
            (Ok(_), Some(problem)) => result = Err(fault(problem)),
            // What is decided all the same is answered when it is offered again.
            (Err(_), _) => {}
        }
        if more {
            parts.insert((session, id), result);
            return failure.is_none().then_some((session, Reply::Part { id, from }));
        }
        Some((session, Reply::Push { id, result }))
    }
}

impl Committer {
    /// Takes over the writer.
    ///
    /// # Errors
    /// When no reader can be opened beside it.
    pub fn new(store: Box<dyn Store>, hub: Arc<Hub>) -> Result<Self, StoreError> {
        let reader = store.reader()?;
        Ok(Self { store, reader, hub, hooks: SharedHooks::default(), parts: BTreeMap::new() })
    }

    /// The questions to webhooks that its commits ask.
    pub fn hooks(&self) -> SharedHooks {
        self.hooks.clone()
    }

    /// Decides a group in one transaction and one fsync. `random` is for the jitter of what devices are told.
    pub fn commit(&mut self, pushes: Vec<PendingPush>, now: Moment, random: u64) -> Committed {
        let mut entries = Vec::with_capacity(pushes.iter().map(|push| push.entries.len()).sum());
        let mut shares = Vec::with_capacity(pushes.len());
        let names = pushes.iter().filter(|push| !push.more).map(|push| (push.session, push.id)).collect();
        // Those that the hooks told of, by their place in the group.
        let mut heard = Vec::new();
        let since = self.store.common_seq();
        for PendingPush { session, id, entries: mut own, answered, more, .. } in pushes {
            let mut waits = Waits::new(random);
            for (at, entry) in own.iter_mut().enumerate() {
                if entry.prior {
                    entry.rest_on(since);
                }
                let action = entry.entry.transaction.action.as_ref();
                if !action.is_some_and(|action| self.store.asks_webhook(&action.name)) {
                    continue;
                }
                let Some(name) = Name::of(entry) else { continue };
                entry.heard = self.hooks.lock().hear(name, entry, (session, id), now.mono_ms, &mut waits);
                if !matches!(entry.heard, Heard::Later { .. }) {
                    heard.push((entries.len() + at, name));
                }
            }
            let shift_ms = own.first().map_or(0, |entry| entry.shift_ms);
            shares.push(Share { session, id, entries: own.len(), answered, more, shift_ms });
            entries.append(&mut own);
        }
        let (count, cost) = (entries.len(), entries.iter().map(cost_of).sum());
        let room = if heard.is_empty() { 0 } else { self.hooks.lock().room() };
        let (mut commit, failure) = match self.store.commit_group(&entries, room, now.wall_ms) {
            Ok(commit) => (commit, None),
            Err(problem) => (GroupCommit::default(), Some(problem)),
        };
        self.settle(&mut commit, &heard);
        let is_asked = |outcome: &&Outcome| matches!(outcome, Outcome::Asked { .. });
        let asked = commit.outcomes.iter().filter(is_asked).count() as u64;
        let rseqs = entries.iter().map(|entry| entry.entry.transaction.rseq);
        let mut outcomes = rseqs.zip(std::mem::take(&mut commit.outcomes));
        let (parts, from) = (&mut self.parts, commit.from);
        let answer = |share: Share| share.reply(&mut outcomes, failure.as_ref(), parts, from);
        let replies = shares.into_iter().filter_map(answer).collect();
        Committed { replies, pushes: names, entries: count, cost, heard: !heard.is_empty(), asked, commit, failure }
    }

    /// Tells the hooks what came of what they told of, now that no transaction is open.
    fn settle(&self, commit: &mut GroupCommit, heard: &[(usize, Name)]) {
        if heard.is_empty() {
            return;
        }
        let mut asks: BTreeMap<Name, Next> = std::mem::take(&mut commit.asks).into_iter().collect();
        let mut hooks = self.hooks.lock();
        for (at, name) in heard {
            match (asks.remove(name), commit.outcomes.get(*at)) {
                (Some(next), _) => hooks.put(name, next),
                // Nothing was decided about it.
                (None, None | Some(Outcome::Deferred { .. })) => hooks.let_go(name),
                (None, Some(_)) => hooks.used(name),
            }
        }
    }

    /// Makes a group visible to all sessions, after its answers were given.
    pub fn publish(&self, committed: &Committed) {
        if committed.failure.is_none() {
            self.hub.publish(&committed.commit);
        }
    }

    /// See [`Store::check_outside_writes`]; what is found is published. Whether the scan is through.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is applied then.
    pub fn check_outside_writes(&mut self, now_ms: u64) -> Result<bool, StoreError> {
        let found = self.store.check_outside_writes(now_ms)?;
        self.hub.publish(&found.commit);
        Ok(found.done)
    }

    /// Looks at a replica and its cursor. `fresh` becomes the epoch when the cursor shows that this store was restored
    /// from an older copy. `sent`: the transactions whose decision it may have missed.
    pub fn hello(
        &mut self,
        replica: ReplicaId,
        subject: &Subject,
        cursor: Option<Cursor>,
        sent: &[(u64, u64)],
        fresh: Epoch,
    ) -> Reply {
        let answer = self.look_at(replica, subject, cursor, fresh).and_then(|mut answer| {
            answer.accepted = self.reader.accepted(replica, sent, MOST_ACCEPTED)?;
            Ok(answer)
        });
        Reply::Hello(answer.map(Box::new).map_err(|problem| match problem {
            StoreError::OtherSubject { .. } => Refusal::new(codes::OTHER_SUBJECT, problem.to_string()),
            _ => fault(&problem),
        }))
    }

    fn look_at(
        &mut self,
        replica: ReplicaId,
        subject: &Subject,
        cursor: Option<Cursor>,
        fresh: Epoch,
    ) -> Result<HelloAnswer, StoreError> {
        let mut replica = self.store.hello(replica, &subject.id)?;
        if replica.subject != subject.id {
            // New: nobody's until its first push.
            replica.subject.clone_from(&subject.id);
        }
        let head = self.store.head();
        let at_head = |head: crate::store::Head, resumption, replica| HelloAnswer {
            head,
            start: head.seq,
            chain: head.chain,
            resumption,
            replica,
            accepted: Vec::new(),
        };
        let Some(cursor) = cursor else { return Ok(at_head(head, Resumption::Fresh, replica)) };
        if cursor.epoch != head.epoch {
            return Ok(at_head(head, Resumption::NewEpoch, replica));
        }
        if cursor.seq <= head.seq {
            let is_whole = cursor.seq >= self.reader.oldest_seq()?;
            match self.reader.chain_at(cursor.seq)? {
                Some(chain) if chain == cursor.chain && is_whole => {
                    let resumption = Resumption::Continue;
                    let (start, accepted) = (cursor.seq, Vec::new());
                    return Ok(HelloAnswer { head, start, chain, resumption, replica, accepted });
                }
                // Of another history, however long ago: what was acknowledged in it has to be offered again.
                Some(chain) if chain != cursor.chain => {}
                _ => return Ok(at_head(head, Resumption::TooOld, replica)),
            }
        }
        // Only this store can have signed it: a cursor that somebody made up must not cost everybody their history.
        if !self.store.has_signed(cursor.seq, cursor.chain) {
            return Ok(at_head(head, Resumption::TooOld, replica));
        }
        if landfall_core::mutant::active("restore-not-noticed") {
            let (start, chain, resumption) = (head.seq, head.chain, Resumption::Continue);
            return Ok(HelloAnswer { head, start, chain, resumption, replica, accepted: Vec::new() });
        }
        let head = self.store.start_epoch(fresh)?;
        // What is asked rests on the old history. Devices offer it again.
        self.hooks.lock().clear();
        self.hub.start_over(head);
        Ok(at_head(head, Resumption::NewEpoch, replica))
    }

    /// One bounded step of forgetting what is older than `keep` says. Whether nothing is left to forget.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is forgotten by this step then.
    pub fn forget(&mut self, keep: &Retention, now_ms: u64) -> Result<Truncated, StoreError> {
        self.retire_buckets(now_ms.saturating_sub(keep.log_ms))?;
        let before_seq = self.reader.seq_at(now_ms.saturating_sub(keep.log_ms))?;
        let truncated = self.store.truncate_log(before_seq, now_ms.saturating_sub(keep.decisions_ms))?;
        let done = self.forget_history(now_ms)? && truncated.done;
        Ok(Truncated { done, ..truncated })
    }

    /// See [`Store::forget_history`]; what is forgotten is published. Whether the walk is through.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is forgotten then.
    pub fn forget_history(&mut self, now_ms: u64) -> Result<bool, StoreError> {
        let step = self.store.forget_history(now_ms)?;
        self.hub.publish(&step.commit);
        Ok(step.done)
    }

    /// Forgets buckets that nobody has opened since and nobody holds, a bounded number at a time. How many.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is forgotten then.
    pub fn retire_buckets(&mut self, unused_since_ms: u64) -> Result<u64, StoreError> {
        let hub = &self.hub;
        self.store.retire_buckets(unused_since_ms, &|bucket| hub.is_held(bucket))
    }

    /// The bucket of a shape with parameters, as `subject` may see it.
    ///
    /// # Errors
    /// LF-4006 and LF-4007 when there is no such shape or the parameters do not fit; LF-4011 when the store fails.
    pub fn open_bucket(
        &mut self,
        subject: &Subject,
        shape: &str,
        params: &BTreeMap<String, Value>,
        now_ms: u64,
    ) -> Result<Bucket, Refusal> {
        let Some(template) = self.store.templates().get(shape).cloned() else {
            let known: Vec<&str> = self.store.templates().keys().map(String::as_str).take(12).collect();
            let name: String = shape.chars().filter(|c| !c.is_control()).take(64).collect();
            let text = format!("there is no shape '{name}'; there are: {}", known.join(", "));
            return Err(Refusal::new(codes::UNKNOWN_SHAPE, text));
        };
        let env = template.env(params, subject).map_err(|problem| Refusal::new(problem.code, problem.message))?;
        self.store.open_bucket(&template, &env, now_ms).map_err(|problem| fault(&problem))
    }

    /// The end of the log as sessions see it.
    pub fn head(&self) -> crate::store::Head {
        self.hub.head()
    }

    /// How many buckets there are.
    pub fn bucket_count(&self) -> usize {
        self.store.bucket_count()
    }

    /// Another reader, for other threads.
    ///
    /// # Errors
    /// When no further connection can be opened.
    pub fn reader(&self) -> Result<Box<dyn StoreReader>, StoreError> {
        self.store.reader()
    }
}
