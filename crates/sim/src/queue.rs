//! The queue of events: by virtual time, and in order of scheduling where times are equal.

use std::collections::BTreeMap;

use crate::clock::Micros;

/// Events to come.
#[derive(Debug)]
pub struct Queue<E> {
    events: BTreeMap<(Micros, u64), E>,
    scheduled: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self { events: BTreeMap::new(), scheduled: 0 }
    }
}

impl<E> Queue<E> {
    /// Adds an event.
    pub fn at(&mut self, time: Micros, event: E) {
        self.scheduled += 1;
        self.events.insert((time, self.scheduled), event);
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(Micros, E)> {
        self.events.pop_first().map(|((time, _), event)| (time, event))
    }

    /// When the next event comes.
    pub fn next_at(&self) -> Option<Micros> {
        self.events.first_key_value().map(|((time, _), _)| *time)
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}
