//! Who has which document open at this server, what they hear of it, and who is there.
//!
//! A room is a document, or a row, and its members. Updates reach it when they are durable, and not before. Who is there is never stored:
//! each member says it of itself, and what several say within a moment goes out together, a longer moment the more members
//! there are, so that the traffic of a room grows with its members and not with their square.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use landfall_core::RowKey;
use landfall_doc::sync::{Frame, Present};
use tokio::sync::broadcast;

use crate::core::SessionId;
use crate::store::DocNews;

/// What a member has not taken of what was said; one that is further behind connects again and has everything then.
const BEHIND: usize = 128;
/// Who says nothing for so long is not there any more.
const SILENT: Duration = Duration::from_secs(30);
/// What one says of themselves, bytes at most.
const MOST_SAID: usize = 16 << 10;
/// As how many one connection may be there.
const MOST_SELVES: usize = 8;
/// How long what is said of who is there waits for more: for each member, and at most.
const GATHERS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(1));

/// A document, or a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) table: String,
    pub(super) key: RowKey,
    /// `None`: who is there is all that there is.
    pub(super) column: Option<String>,
}

/// What members hear.
#[derive(Clone, Debug)]
pub(super) enum News {
    /// A message to pass on.
    Message(Bytes),
    /// Who may see the document may have changed.
    LookAgain,
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Rooms {
    open: Mutex<BTreeMap<Name, Arc<Room>>>,
    tidied: Mutex<Option<Instant>>,
}

pub(super) struct Room {
    news: broadcast::Sender<News>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    members: usize,
    there: BTreeMap<u64, There>,
    /// Whose words have not gone out.
    fresh: Vec<u64>,
    /// They are about to.
    gathering: bool,
}

struct There {
    said: Present,
    by: SessionId,
    /// The person: who comes back over another connection goes on under the same number.
    subject: Arc<str>,
    at: Instant,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A member of a room until it is dropped.
pub(super) struct Member {
    rooms: Arc<Rooms>,
    name: Name,
    id: SessionId,
    subject: Arc<str>,
    pub(super) room: Arc<Room>,
}

impl Rooms {
    /// Enters a room. What is said from now on is heard.
    pub(super) fn enter(
        self: &Arc<Self>,
        name: Name,
        id: SessionId,
        subject: Arc<str>,
    ) -> (Member, broadcast::Receiver<News>) {
        let mut open = locked(&self.open);
        let fresh = || Arc::new(Room { news: broadcast::Sender::new(BEHIND), inner: Mutex::default() });
        let room = Arc::clone(open.entry(name.clone()).or_insert_with(fresh));
        locked(&room.inner).members += 1;
        let news = room.news.subscribe();
        (Member { rooms: Arc::clone(self), name, id, subject, room }, news)
    }

    /// Updates are durable.
    pub(super) fn publish(&self, news: &[DocNews]) {
        if news.is_empty() {
            return;
        }
        let open = locked(&self.open);
        if open.is_empty() {
            return;
        }
        for DocNews { table, key, column, update } in news {
            let name = Name { table: table.clone(), key: key.clone(), column: Some(column.clone()) };
            let Some(room) = open.get(&name) else { continue };
            let said = match update {
                Some(update) => News::Message(Frame::Update(update.to_vec()).encode().into()),
                None => News::LookAgain,
            };
            // An error says that nobody listens.
            let _ = room.news.send(said);
        }
    }

    /// Those that have been silent for too long are not there any more. Every connection asks for it, and one is enough.
    pub(super) fn tidy(&self) {
        {
            let mut tidied = locked(&self.tidied);
            if tidied.is_some_and(|at| at.elapsed() < SILENT / 3) {
                return;
            }
            *tidied = Some(Instant::now());
        }
        let rooms: Vec<Arc<Room>> = locked(&self.open).values().cloned().collect();
        for room in rooms {
            room.forget(|there| there.at.elapsed() > SILENT);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let id = self.id;
        self.room.forget(|there| there.by == id);
        let mut open = locked(&self.rooms.open);
        let mut inner = locked(&self.room.inner);
        inner.members -= 1;
        if inner.members == 0 {
            open.remove(&self.name);
        }
    }
}

impl Member {
    /// A member says who is there: itself, under numbers of its own. What it says of others is not heard.
    pub(super) fn says(&self, entries: Vec<(u64, Present)>) {
        let gathers = {
            let mut inner = locked(&self.room.inner);
            for (number, said) in entries {
                let selves = inner.there.values().filter(|there| there.by == self.id).count();
                let is_news = match inner.there.get(&number) {
                    Some(known) => {
                        // Providers say again what they have heard of others, the same person's other devices among them.
                        let is_end = known.by == self.id && said.clock == known.said.clock && said.is_gone();
                        known.subject == self.subject && (said.clock > known.said.clock || is_end)
                    }
                    None => !said.is_gone() && selves < MOST_SELVES,
                };
                let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(&said.state).is_ok();
                if is_news && said.state.len() <= MOST_SAID && is_json() {
                    let subject = Arc::clone(&self.subject);
                    inner.there.insert(number, There { said, by: self.id, subject, at: Instant::now() });
                    inner.fresh.push(number);
                }
            }
            inner.gathers()
        };
        self.room.send_after(gathers);
    }
}

impl Inner {
    /// How long to wait before what is fresh goes out, for whoever is to send it.
    fn gathers(&mut self) -> Option<Duration> {
        if self.fresh.is_empty() || std::mem::replace(&mut self.gathering, true) {
            return None;
        }
        let (each, most) = GATHERS;
        Some((each * u32::try_from(self.members).unwrap_or(u32::MAX)).min(most))
    }
}

impl Room {
    /// All that are there, as a message; nothing when nobody is.
    pub(super) fn who_is_there(&self) -> Option<Frame> {
        let inner = locked(&self.inner);
        let all: Vec<_> = inner.there.iter().map(|(number, there)| (*number, there.said.clone())).collect();
        (!all.is_empty()).then_some(Frame::Awareness(all))
    }

    fn forget(self: &Arc<Self>, is_gone: impl Fn(&There) -> bool) {
        let gathers = {
            let mut inner = locked(&self.inner);
            let mut gone = Vec::new();
            for (number, there) in &mut inner.there {
                if !there.said.is_gone() && is_gone(there) {
                    // With the same number: who is back says their next one, and is heard.
                    there.said = Present { clock: there.said.clock, state: Arc::from("null") };
                    gone.push(*number);
                }
            }
            inner.fresh.append(&mut gone);
            inner.gathers()
        };
        self.send_after(gathers);
    }

    fn send_after(self: &Arc<Self>, gathers: Option<Duration>) {
        let Some(wait) = gathers else { return };
        let room = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let mut inner = locked(&room.inner);
            inner.gathering = false;
            let mut fresh = std::mem::take(&mut inner.fresh);
            fresh.sort_unstable();
            fresh.dedup();
            let said = fresh.iter().filter_map(|n| Some((*n, inner.there.get(n)?.said.clone()))).collect();
            inner.there.retain(|_, there| !there.said.is_gone());
            drop(inner);
            let _ = room.news.send(News::Message(Frame::Awareness(said).encode().into()));
        });
    }
}
