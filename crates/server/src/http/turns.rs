//! Turns at what all share, by who pays: whoever asks for much waits for themselves. One who asks for little waits for one
//! turn of each other at most, however much those have asked for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// See the module's documentation.
pub(super) struct Turns(Arc<Mutex<Inner>>);

struct Inner {
    /// Turns that nobody has; none while anybody waits.
    free: usize,
    waiting: BTreeMap<Arc<str>, VecDeque<oneshot::Sender<Turn>>>,
    /// Who waits, the one who is next first.
    order: VecDeque<Arc<str>>,
}

impl Inner {
    /// Takes who is next out of the queue; they are next again after everybody else.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let payer = self.order.pop_front()?;
        let queue = self.waiting.get_mut(&payer)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&payer);
        } else {
            self.order.push_back(payer);
        }
        next
    }
}

/// Somebody's turn; over when it is dropped.
pub(super) struct Turn(Option<Arc<Mutex<Inner>>>);

fn locked(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    // Nothing panics while it holds the lock.
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(inner) = self.0.take() else { return };
        loop {
            let next = {
                let mut inner = locked(&inner);
                match inner.next() {
                    Some(next) => next,
                    None => return inner.free += 1,
                }
            };
            match next.send(Self(Some(Arc::clone(&inner)))) {
                Ok(()) => return,
                // Whoever waited has gone: the turn is the next one's.
                Err(mut refused) => drop(refused.0.take()),
            }
        }
    }
}

impl Turns {
    /// So many at a time.
    pub(super) fn new(turns: usize) -> Self {
        let inner = Inner { free: turns.max(1), waiting: BTreeMap::new(), order: VecDeque::new() };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Waits for a turn. Who gives up before it comes is passed over.
    pub(super) async fn wait(&self, payer: &Arc<str>) -> Turn {
        let come = {
            let mut inner = locked(&self.0);
            if inner.free > 0 {
                inner.free -= 1;
                return Turn(Some(Arc::clone(&self.0)));
            }
            let (sender, receiver) = oneshot::channel();
            let queue = inner.waiting.entry(Arc::clone(payer)).or_default();
            queue.push_back(sender);
            if queue.len() == 1 {
                inner.order.push_back(Arc::clone(payer));
            }
            receiver
        };
        // A sender is never dropped before it is used.
        come.await.unwrap_or(Turn(None))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;
    use tokio::sync::mpsc;

    use super::*;

    fn run<F: Future<Output = ()>>(f: F) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(f);
    }

    /// Everybody asks in this order while the only turn is taken; who got theirs, in order.
    async fn served(asked: &[u8]) -> Vec<u8> {
        let turns = Arc::new(Turns::new(1));
        let first = turns.wait(&Arc::from("first")).await;
        let (sender, mut receiver) = mpsc::unbounded_channel();
        for payer in asked {
            let (turns, sender, payer) = (Arc::clone(&turns), sender.clone(), *payer);
            tokio::spawn(async move {
                let turn = turns.wait(&Arc::from(payer.to_string())).await;
                sender.send(payer).unwrap();
                drop(turn);
            });
            tokio::task::yield_now().await;
        }
        drop((first, sender));
        let mut served = Vec::new();
        while let Some(payer) = receiver.recv().await {
            served.push(payer);
        }
        served
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn nobody_waits_for_more_than_one_turn_of_each_other(asked in prop::collection::vec(0u8..5, 1..60)) {
            run(async {
                let served = served(&asked).await;
                assert_eq!(served.len(), asked.len(), "everybody had their turn");
                for payer in 0..5 {
                    let (mut since, mut left) = ([0; 5], asked.iter().filter(|p| **p == payer).count());
                    for other in &served {
                        if left == 0 {
                            break;
                        }
                        since[usize::from(*other)] += 1;
                        if *other == payer {
                            (since, left) = ([0; 5], left - 1);
                        }
                        assert!(since.iter().all(|turns| *turns <= 1), "{payer} waits: {served:?}");
                    }
                }
            });
        }
    }

    #[test]
    fn one_who_asks_for_little_is_next_but_one() {
        run(async {
            let mut asked = vec![1; 200];
            asked.push(2);
            let served = served(&asked).await;
            assert!(served.iter().position(|payer| *payer == 2).unwrap() <= 1, "{served:?}");
        });
    }

    #[test]
    fn who_gives_up_costs_nobody_a_turn() {
        run(async {
            let turns = Arc::new(Turns::new(2));
            let (a, b) = (turns.wait(&Arc::from("a")).await, turns.wait(&Arc::from("b")).await);
            let (had, of) = (Arc::new(AtomicUsize::new(0)), Arc::<str>::from("c"));
            let waiting: Vec<_> = (0..10)
                .map(|_| {
                    let (turns, had, of) = (Arc::clone(&turns), Arc::clone(&had), Arc::clone(&of));
                    tokio::spawn(async move {
                        let _turn = turns.wait(&of).await;
                        had.fetch_add(1, Ordering::Relaxed);
                    })
                })
                .collect();
            tokio::task::yield_now().await;
            waiting.iter().step_by(2).for_each(tokio::task::JoinHandle::abort);
            tokio::task::yield_now().await;
            drop((a, b));
            for one in waiting {
                let _ = one.await;
            }
            assert_eq!(had.load(Ordering::Relaxed), 5);
            // Both are free again.
            let _both = (turns.wait(&of).await, turns.wait(&of).await);
            assert_eq!(locked(&turns.0).free, 0);
        });
    }
}
