//! How a mirror is brought to where it lies, whatever writes it: together what waits together, appended where what is there
//! is known, and otherwise written anew.

use super::{Mirror, MirrorRecord};

/// Where a mirror lies.
pub trait Storage {
    /// Why it cannot be written.
    type Error;

    /// Adds bytes at the end of what was put there last. Durable on return.
    ///
    /// # Errors
    /// When it cannot be written; what is at its end is not known then.
    fn append(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Puts these bytes in the place of all that is there, in one step. Durable on return.
    ///
    /// # Errors
    /// When it cannot be written; then it is as it was, or as it was to be.
    fn replace(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// What a mirror is told by a driver.
#[derive(Clone, Debug)]
pub enum Told {
    /// This, too.
    Record(MirrorRecord),
    /// This, and nothing of what it was told before.
    Anew(Box<Mirror>),
}

/// A mirror, and where it lies.
#[derive(Debug)]
pub struct Keeper<S> {
    storage: S,
    mirror: Mirror,
    /// Whether what lies there is known, to the last byte.
    is_known: bool,
}

impl<S: Storage> Keeper<S> {
    /// What lies there is written anew by the next [`Keeper::write`].
    pub fn new(storage: S, content: Mirror) -> Self {
        Self { storage, mirror: content, is_known: false }
    }

    /// Whether everything that was written is there: otherwise it is all written anew by the next [`Keeper::write`], and
    /// whoever has nothing more to write tries again after a while.
    pub fn is_whole(&self) -> bool {
        self.is_known
    }

    /// Takes note of what it is told, and brings all of it to the disk together.
    ///
    /// # Errors
    /// When that fails. What was told stays in memory: the next call writes it all.
    pub fn write(&mut self, told: impl IntoIterator<Item = Told>) -> Result<(), S::Error> {
        let mut bytes = Vec::new();
        for told in told {
            match told {
                Told::Record(record) => bytes.extend(self.mirror.append(record)),
                Told::Anew(mirror) => (self.mirror, self.is_known) = (*mirror, false),
            }
        }
        let written = if self.is_known && !self.mirror.wants_compaction() {
            if bytes.is_empty() { Ok(()) } else { self.storage.append(&bytes) }
        } else {
            self.storage.replace(&self.mirror.compact())
        };
        self.is_known = written.is_ok();
        written
    }
}
