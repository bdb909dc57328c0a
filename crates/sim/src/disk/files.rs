//! Plain files on the simulated disk, for what is kept beside the database (the mirrored outbox).

use std::sync::Arc;

use super::Inner;
use super::faults::DiskError;
use super::state::{Handle, OpenAs, State};

/// Plain file access of one life of the machine: after the next crash, kill or restore every call fails with [`DiskError::Stale`].
///
/// Nothing is durable before [`Files::sync_file`] (bytes and creation) or [`Files::sync_directory`] (deletions and renames).
#[derive(Debug, Clone)]
pub struct Files {
    inner: Arc<Inner>,
    generation: u64,
}

impl Files {
    pub(super) fn new(inner: Arc<Inner>, generation: u64) -> Self {
        Self { inner, generation }
    }

    /// The whole content of a file.
    pub fn read_file(&self, name: &str) -> Result<Vec<u8>, DiskError> {
        self.with(name, false, |state, file| {
            let size = state.size(file)? as usize;
            let mut bytes = vec![0; size];
            let len = state.read(file, 0, &mut bytes)?;
            bytes.truncate(len);
            Ok(bytes)
        })
    }

    /// Replaces a file's content in place, creating the file when it is not there. Not atomic: a crash may leave any mixture.
    pub fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.with(name, true, |state, file| {
            if state.size(file)? > 0 {
                state.truncate(file, 0)?;
            }
            state.write(file, 0, bytes)
        })
    }

    /// Adds bytes at the end of a file, creating it when it is not there.
    pub fn append(&self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.with(name, true, |state, file| {
            let end = state.size(file)? as usize;
            state.write(file, end, bytes)
        })
    }

    /// Cuts a file to `len` bytes, or extends it with zeros.
    pub fn truncate(&self, name: &str, len: u64) -> Result<(), DiskError> {
        self.with(name, false, |state, file| state.truncate(file, len as usize))
    }

    /// Makes a file's content and creation durable.
    pub fn sync_file(&self, name: &str) -> Result<(), DiskError> {
        self.with(name, false, State::sync)
    }

    /// Makes all creations, deletions and renames durable.
    pub fn sync_directory(&self) -> Result<(), DiskError> {
        self.inner.state().sync_directory(self.generation)
    }

    /// Renames a file over whatever had the new name, atomically; durable after [`Files::sync_directory`].
    pub fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.inner.state().rename(self.generation, from, to)
    }

    /// Deletes a file; durable after [`Files::sync_directory`], until then it may come back.
    pub fn delete(&self, name: &str) -> Result<(), DiskError> {
        self.inner.state().delete(self.generation, name, false)
    }

    /// Whether a file has this name.
    pub fn exists(&self, name: &str) -> Result<bool, DiskError> {
        let mut state = self.inner.state();
        state.alive(self.generation)?;
        Ok(state.directory.get(name).is_some())
    }

    /// The names of all files, sorted.
    pub fn list(&self) -> Result<Vec<String>, DiskError> {
        let mut state = self.inner.state();
        state.alive(self.generation)?;
        Ok(state.directory.names().map(|(name, _)| name.clone()).collect())
    }

    fn with<T>(
        &self,
        name: &str,
        create: bool,
        work: impl FnOnce(&mut State, &Handle) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        let mut state = self.inner.state();
        let file = state.open(self.generation, Some(name), OpenAs { create, ..OpenAs::default() })?;
        let result = work(&mut state, &file);
        state.close(&file);
        result
    }
}
