//! Since when the device may be behind: the last time that it knew to show all that the server has.

use super::{Engine, Moment};
use crate::session::{Event, State};

/// While the session is open the time is stored this often at most, and once more when the session ends.
pub(super) const KEEP_EVERY_MS: u64 = 60_000;

impl Engine {
    /// After each event: takes note when the device shows the server's state. Stored seldom, and never waited for: what
    /// a crash takes back is a minute, on the careful side.
    pub(super) fn note_synced(&mut self, event: &Event, now: Moment) {
        self.note_seen(event, now);
        if *self.session.state() == State::Online {
            if !tells_of_the_server(event) || !self.shows_the_servers_state() {
                return;
            }
            self.status.last_synced_ms = Some(now.wall_ms);
            self.keep_synced(KEEP_EVERY_MS);
        } else {
            self.keep_synced(0);
        }
    }

    fn keep_synced(&mut self, within_ms: u64) {
        if let Some(at_ms) = self.status.last_synced_ms {
            // A disk that is full or fails shows in what the session does; this line of the status is stored later.
            let _ = self.db.keep_synced(at_ms, within_ms);
        }
    }

    /// Whether every open shape is complete at a cut that is no older than the head which the server named last, and none
    /// was refused. With no shape open the device shows nothing of the server.
    fn shows_the_servers_state(&self) -> bool {
        let subscriptions = self.db.subscriptions();
        let refused = subscriptions.iter().any(|s| self.session.failure(s.handle).is_some());
        !subscriptions.is_empty() && !refused && self.is_caught_up()
    }
}

/// Whether the event says something new of what the server has.
fn tells_of_the_server(event: &Event) -> bool {
    match event {
        Event::Welcome { .. }
        | Event::Opened { .. }
        | Event::Live { .. }
        | Event::CatchUp
        | Event::ChunkLoaded { .. } => true,
        Event::Tick
        | Event::SetOnline { .. }
        | Event::SetPaused { .. }
        | Event::SetToken
        | Event::Nudge
        | Event::Connected
        | Event::Disconnected { .. }
        | Event::Fault { .. }
        | Event::Violation { .. }
        | Event::Acknowledge { .. }
        | Event::Error { .. }
        | Event::Pong
        | Event::Closed { .. }
        | Event::Written
        | Event::Subscribed { .. }
        | Event::Unsubscribed { .. }
        | Event::ChunkFailed { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use landfall_core::{BucketId, ColumnType};
    use landfall_protocol::ServerMessage;
    use landfall_protocol::batch::RowBlock;
    use landfall_protocol::server::{Chunk, Opening, Resumption, Start, WireType};

    use crate::engine::Input;
    use crate::engine::device::{Device, NOON, entropy};

    const SCHEMA: &str = "[app]\nname = 'journal'\nversion = 1\n\
                          [tables.notes.columns]\nid = { type = 'integer' }\n[shapes.all]\ntable = 'notes'\n";
    impl Device {
        fn new(path: &Path, seconds: u64) -> Self {
            Self::open(path, SCHEMA, seconds)
        }

        fn connect_at(&mut self, resumption: Resumption, head: u64, start: u64) {
            (self.head, self.start) = (head, start);
            self.connect(resumption);
        }

        fn opened(&mut self, id: u32, start: Start) {
            let columns = vec![("id".to_owned(), WireType(ColumnType::Integer))];
            let bucket = Opening { bucket: BucketId(1), table: "notes".into(), columns, start };
            self.hear(ServerMessage::Opened { id, buckets: vec![bucket] });
        }

        /// A progress mark, this many seconds later.
        fn mark(&mut self, seconds: u64, to: u64) {
            self.seconds += seconds;
            self.live(to);
        }

        /// Seconds after noon, as the app is told.
        fn told(&self) -> Option<u64> {
            self.engine.status().last_synced_ms.map(|ms| (ms - NOON) / 1_000)
        }
    }

    /// Seconds after noon, as the file has it.
    fn stored(path: &Path) -> Option<u64> {
        let file = rusqlite::Connection::open(path).expect("opens");
        let sql = "SELECT value FROM _landfall_meta WHERE name = 'synced_ms'";
        let ms: Option<i64> = file.query_row(sql, [], |row| row.get(0)).expect("is there");
        ms.map(|ms| (ms as u64 - NOON) / 1_000)
    }

    #[test]
    fn what_the_server_has_is_here_after_a_load_and_a_restart_remembers_when() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("notes.db");
        let mut device = Device::new(&path, 0);
        device.connect_at(Resumption::Fresh, 10, 10);
        assert_eq!(device.told(), None, "with no shape open nothing is shown");
        device.engine.open_shape("all", BTreeMap::new(), device.now(), &mut entropy).expect("opens");
        device.input(Input::Nudge);
        device.opened(1, Start::Load { at: 10, first: "/1".into(), rows: 0 });
        assert_eq!(device.told(), None, "its rows are still to come");
        let rows = RowBlock { seqs: Vec::new(), columns: vec![(ColumnType::Integer, Vec::new())] };
        let request = device.fetch.take().expect("asked for");
        let chunk = Chunk { bucket: BucketId(1), read_at: 10, rows, next: None, digests: None };
        device.input(Input::ChunkLoaded { request, chunk });
        device.seconds = 1;
        let changes = landfall_protocol::batch::ChangeList::default();
        device.hear(ServerMessage::CatchUp { bucket: BucketId(1), to: 10, changes, done: true });
        assert_eq!((device.told(), stored(&path)), (Some(1), Some(1)));

        // Not every message is a write: the file is a minute behind at most.
        device.mark(59, 11);
        assert_eq!((device.told(), stored(&path)), (Some(60), Some(1)));
        device.mark(1, 12);
        assert_eq!((device.told(), stored(&path)), (Some(61), Some(61)));
        device.mark(5, 13);
        drop(device);
        let mut device = Device::new(&path, 100);
        assert_eq!(device.told(), Some(61), "the process was ended without a word");

        // It had heard more than it stored, of which the server knows.
        device.connect_at(Resumption::Continue, 14, 13);
        device.opened(1, Start::Live);
        assert_eq!(device.told(), Some(61), "something is outstanding");
        device.mark(0, 14);
        assert_eq!(device.told(), Some(100));
        device.input(Input::SetOnline { online: false });
        device.seconds = 101;
        device.connect_at(Resumption::Continue, 14, 14);
        assert_eq!(device.told(), Some(101), "nothing had happened");
        device.opened(2, Start::Live);
        device.mark(2, 15);
        device.input(Input::SetOnline { online: false });
        assert_eq!(stored(&path), Some(103), "the end of a session keeps the very time");
        drop(device);
        let mut device = Device::new(&path, 200);
        assert_eq!(device.told(), Some(103));

        // Changes are outstanding until the cut is where the head was.
        device.connect_at(Resumption::Continue, 20, 15);
        device.opened(1, Start::Live);
        device.mark(1, 19);
        assert_eq!(device.told(), Some(103));
        device.mark(1, 20);
        assert_eq!(device.told(), Some(202));
    }

    #[test]
    fn a_shape_that_was_refused_is_not_what_the_server_has() {
        let folder = tempfile::tempdir().expect("a directory");
        let mut device = Device::new(&folder.path().join("notes.db"), 0);
        device.engine.open_shape("all", BTreeMap::new(), device.now(), &mut entropy).expect("opens");
        device.connect_at(Resumption::Fresh, 10, 10);
        let code = landfall_core::error::codes::NOT_ALLOWED;
        let message = "not for you".to_owned();
        device.hear(ServerMessage::Error { code, message, fatal: false, retry_after_ms: None, about: Some(1) });
        device.mark(1, 11);
        assert_eq!(device.told(), None);
    }
}
