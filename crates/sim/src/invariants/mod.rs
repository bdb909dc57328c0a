//! What must always hold, each in a module of its own.
//!
//! | name | holds | module |
//! |---|---|---|
//! | `convergence` | when faults have stopped, every device holds exactly the rows that its shapes name | [`convergence`] |
//! | `acknowledged` | what was told to be accepted is durable, and is offered again to a restored server | [`acknowledged`] |
//! | `once` | no transaction is applied twice | [`log`] |
//! | `policy` | nothing that a read rule hides is sent to a device, and what is sent is true | [`policy`] |
//! | `pending` | what a device wrote is there until it is accepted or thrown away | [`ledger`] |
//! | `mirror` | the mirror of an outbox holds what that holds, and gives it back when the database is lost | [`mirror`] |
//! | `flicker` | own writes never vanish and return | [`live`] |
//! | `atomic` | no half of a transaction is seen | [`live`] |
//! | `monotone` | no older state is seen after a newer one | [`live`] |
//! | `live` | the answer of a live query is what the query gives | [`live`] |
//! | `bounds` | memory and queues stay within their bounds | [`bounds`] |
//! | `log` | the log has no holes, and its row images add up to the tables | [`log`] |
//! | `merge` | a write that saw the current value wins, whatever the clocks say | [`merge`] |
//! | `counters` | every increment and every change of a part is shown once: what the server has counted, and what waits | [`counters`] |
//! | `conflicts` | what was chosen or written is there, was replaced by somebody who had seen it, or is a conflict | [`conflicts`] |
//! | `list` | an order that people make is the same everywhere, and what one puts side by side stays so | [`list`] |
//! | `deletes` | what is gone comes back only by who had not seen that; what is deleted by who had seen it all is gone | [`deletes`] |
//! | `docs` | a document is all that was written to it, and nothing else, on every device that holds it | [`docs`] |
//! | `typed` | what is typed into a text is there once and in its order, until somebody strikes it out | [`typed`] |
//! | `settled` | what merging breaks is settled as it is declared: names are unique, nothing of that is refused | [`settled`] |
//! | `order` | a transaction is decided after those that it names, is to follow, or follows in lost history | [`merge`], [`wishes`] |
//! | `fate` | what requires another transaction is accepted with it, or not at all | [`wishes`] |
//! | `actions` | what a handler does is done once for each accepted transaction | [`actions`] |
//! | `history` | what happens in a table that keeps its history is there, and what was lost to others; for its time | [`past`], [`lost`] |
//! | `as_of` | a table as it was at a moment is what the log says of it | [`as_of`] |
//! | `restore` | a row that was restored is what it was after that change | `world` |
//! | `cache` | what is fetched and not synced is as old as it says, is kept as it is wanted, and harms nothing else | [`cache`] |
//! | `offline` | without a connection nothing is written, or asked for, that needs the server or is due too soon | [`offline`] |
//! | `starvation` | the oldest entry is not passed over for ever, nor what a person has tried again | [`offline`], `world` |
//! | `stamps` | no stamp is ahead of the server's clock | [`log`] |
//! | `reopen` | what lost power opens again | `world` |
//! | `starvation` | whoever pushes much is waited for by nobody else | [`fairness`] |
//! | `paused` | a device that is paused sends nothing | `world` |
//! | `review` | what waited through a long absence is handed to nobody before the person has let it go | [`absence`] |
//! | `counts` | what a person is told of the outbox is what is in it, and what became of it | [`ledger`], [`drain`] |
//! | `expiry` | what expired is not carried out, and ends in time | [`log`], [`revised`] |
//! | `undo` | an undo leaves what somebody else has changed since, and says so | [`revised`] |
//! | `progress` | the world comes to rest | `world` |

pub mod absence;
pub mod acknowledged;
pub mod actions;
pub mod as_of;
pub mod bounds;
pub mod cache;
pub mod conflicts;
pub mod convergence;
pub mod counters;
pub mod deletes;
pub mod docs;
pub mod drain;
pub mod fairness;
pub mod ledger;
pub mod list;
pub mod live;
pub mod log;
pub mod lost;
pub mod merge;
pub mod mirror;
pub mod offline;
pub mod parts;
pub mod past;
pub mod policy;
pub mod revised;
pub mod settled;
pub mod typed;
pub mod wishes;

use std::fmt;

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its name.
    pub invariant: String,
    /// What was found.
    pub message: String,
}

impl Violation {
    /// A violation of the invariant of this name.
    pub fn new(invariant: &str, message: impl Into<String>) -> Self {
        Self { invariant: invariant.to_owned(), message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.message)
    }
}
