//! The contents of what is deleted are taken out of an update, struct by struct: no document is made of it, so that it takes as
//! long as the update is, whoever wrote it.
//!
//! What Yjs does when a document is collected (`Item.gc`, `src/structs/Item.js`) is done to the bytes. A deleted item keeps its
//! place and its neighbours, since others may have written beside it, and its content becomes a length. What was in a deleted
//! item becomes a length alone: whoever writes beside it writes into what is deleted. Runs that belong behind each other become
//! one (`Item.mergeWith`); that they are next to each other in a document is no condition here: who has written in between has
//! one of them as the neighbour, and splits the run again.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::DocError;
use super::shape::{COLLECTED, Id, Item, KIND, LEFT, NAMED, RIGHT, Reader, SKIPPED, Struct};

const DELETED: u8 = 1;
const TEXT: u8 = 4;
const VALUES: u8 = 8;

/// The same update, without the contents of what it says is deleted.
pub(super) fn collect(update: &[u8]) -> Result<Vec<u8>, DocError> {
    let (mut structs, mut deleted) = (BTreeMap::<u64, Vec<Piece<'_>>>::new(), Ranges::default());
    let wrote = |id: Id, length, what| {
        // What is empty is nothing, and the library leaves it out as well.
        if length > 0 {
            structs.entry(id.client).or_default().push(Piece { clock: id.clock, length, what: whole(what) });
        }
    };
    Reader { bytes: update }.update(wrote, |id, length| deleted.add(id, length))?;
    deleted.settle();
    let pieces =
        structs.into_iter().map(|(client, structs)| (client, split(client, structs, deleted.of(client)))).collect();
    let mut pieces = Pieces(pieces);
    pieces.forget_what_is_within();
    Ok(pieces.encode(&deleted))
}

/// What is deleted: of each author, from where to where.
#[derive(Default)]
struct Ranges(BTreeMap<u64, Vec<(u32, u32)>>);

impl Ranges {
    fn add(&mut self, from: Id, length: u32) {
        if length > 0 {
            self.0.entry(from.client).or_default().push((from.clock, from.clock + length));
        }
    }

    /// In order, each position once.
    fn settle(&mut self) {
        for ranges in self.0.values_mut() {
            ranges.sort_unstable();
            ranges.dedup_by(|(from, to), before| {
                let meets = *from <= before.1;
                if meets {
                    before.1 = before.1.max(*to);
                }
                meets
            });
        }
    }

    fn of(&self, client: u64) -> &[(u32, u32)] {
        self.0.get(&client).map_or(&[], Vec::as_slice)
    }
}

/// A struct, or a part of one.
struct Piece<'a> {
    clock: u32,
    length: u32,
    what: What<'a>,
}

enum What<'a> {
    Collected,
    Skipped,
    Item(Item<'a>, Content<'a>),
}

enum Content<'a> {
    Deleted,
    Text(Cow<'a, str>),
    /// So many values as the piece is long.
    Values(&'a [u8]),
    /// Anything else, as it was.
    Other(&'a [u8]),
}

fn whole(what: Struct<'_>) -> What<'_> {
    match what {
        Struct::Collected => What::Collected,
        Struct::Skipped => What::Skipped,
        Struct::Item(item) => What::Item(item, content(&item)),
    }
}

fn content<'a>(item: &Item<'a>) -> Content<'a> {
    let mut reader = Reader { bytes: item.content };
    match item.info & KIND {
        DELETED => Content::Deleted,
        TEXT => match reader.taken().map(std::str::from_utf8) {
            Some(Ok(text)) => Content::Text(text.into()),
            _ => Content::Other(item.content),
        },
        VALUES => match reader.number() {
            Some(_) => Content::Values(reader.bytes),
            None => Content::Other(item.content),
        },
        _ => Content::Other(item.content),
    }
}

/// The structs of one author, cut where what is deleted begins and ends; with what is deleted as a length.
fn split<'a>(client: u64, structs: Vec<Piece<'a>>, mut deleted: &[(u32, u32)]) -> Vec<Piece<'a>> {
    let mut pieces = Vec::<Piece<'a>>::with_capacity(structs.len());
    let mut put = |piece| append(&mut pieces, client, piece);
    for mut rest in structs {
        let end = rest.clock + rest.length;
        while let Some((_, to)) = deleted.first()
            && *to <= rest.clock
        {
            deleted = &deleted[1..];
        }
        for (from, to) in deleted.iter().take_while(|(from, _)| *from < end) {
            if *from > rest.clock {
                // Half of its last character: that stays.
                let Some((before, at)) = rest.cut(client, from - rest.clock, false) else { break };
                put(before);
                rest = at;
            }
            if *to >= end {
                rest.delete();
            } else if let Some((mut gone, after)) = rest.cut(client, to.saturating_sub(rest.clock), true) {
                gone.delete();
                put(gone);
                rest = after;
            }
        }
        put(rest);
    }
    pieces
}

/// Puts a piece behind the others, or into the last of them where both are one run.
fn append<'a>(pieces: &mut Vec<Piece<'a>>, client: u64, piece: Piece<'a>) {
    if !pieces.last_mut().is_some_and(|last| last.takes(client, &piece)) {
        pieces.push(piece);
    }
}

impl<'a> Piece<'a> {
    /// What is before so many positions, and what is behind: for a text, not in the middle of a character, but before it, or
    /// else behind it. None where one of them would be nothing, or what it is cannot be cut.
    fn cut(&self, client: u64, at: u32, down: bool) -> Option<(Self, Self)> {
        let What::Item(item, content) = &self.what else { return None };
        let (at, first, second) = match content {
            Content::Text(text) => {
                let (at, byte) = place(text, at, down);
                let halves = match text {
                    Cow::Borrowed(text) => text.split_at_checked(byte).map(|(a, b)| (a.into(), b.into())),
                    Cow::Owned(text) => {
                        text.split_at_checked(byte).map(|(a, b)| (a.to_owned().into(), b.to_owned().into()))
                    }
                };
                let (first, second) = halves?;
                (at, Content::Text(first), Content::Text(second))
            }
            Content::Values(values) => {
                let mut reader = Reader { bytes: values };
                (0..at).try_for_each(|_| reader.value().ok())?;
                let (first, second) = values.split_at(values.len() - reader.bytes.len());
                (at, Content::Values(first), Content::Values(second))
            }
            Content::Deleted => (at, Content::Deleted, Content::Deleted),
            Content::Other(_) => return None,
        };
        if at == 0 || at >= self.length {
            return None;
        }
        let left = Id { client, clock: self.clock + at - 1 };
        let behind = Item { info: item.info | LEFT, left: Some(left), parent: None, place: &[], ..*item };
        Some((
            Piece { clock: self.clock, length: at, what: What::Item(*item, first) },
            Piece { clock: self.clock + at, length: self.length - at, what: What::Item(behind, second) },
        ))
    }

    fn delete(&mut self) {
        if let What::Item(_, content) = &mut self.what {
            *content = Content::Deleted;
        }
    }

    /// Takes in what comes next, where both are one run.
    fn takes(&mut self, client: u64, next: &Self) -> bool {
        let end = self.clock + self.length;
        if end != next.clock {
            return false;
        }
        let is_one = match (&mut self.what, &next.what) {
            (What::Collected, What::Collected) => true,
            (What::Item(item, content), What::Item(behind, more)) => {
                if behind.left != Some(Id { client, clock: end - 1 }) || item.right != behind.right {
                    return false;
                }
                match (content, more) {
                    (Content::Deleted, Content::Deleted) => true,
                    (Content::Text(text), Content::Text(more)) => {
                        text.to_mut().push_str(more);
                        true
                    }
                    _ => false,
                }
            }
            _ => false,
        };
        if is_one {
            self.length += next.length;
        }
        is_one
    }
}

/// Where in a text so many UTF-16 units are, in units and in bytes; before the character in whose middle that is, or behind it.
fn place(text: &str, units: u32, down: bool) -> (u32, usize) {
    let mut at = 0;
    for (byte, letter) in text.char_indices() {
        let next = at + letter.len_utf16() as u32;
        if at >= units || (down && next > units) {
            return (at, byte);
        }
        at = next;
    }
    (at, text.len())
}

/// Of each author, what they wrote, in order.
struct Pieces<'a>(Vec<(u64, Vec<Piece<'a>>)>);

/// Which author, and which of their pieces.
type Place = (usize, usize);

/// Whether what something is in is deleted.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Within {
    Unknown,
    Deleted,
    Else,
}

impl Pieces<'_> {
    fn find(&self, id: Id) -> Option<Place> {
        let client = self.0.binary_search_by_key(&id.client, |(client, _)| *client).ok()?;
        let pieces = &self.0[client].1;
        let at = pieces.partition_point(|piece| piece.clock <= id.clock).checked_sub(1)?;
        (id.clock - pieces[at].clock < pieces[at].length).then_some((client, at))
    }

    /// What was in something deleted needs no place any more.
    fn forget_what_is_within(&mut self) {
        let mut known: Vec<Vec<Within>> = self.0.iter().map(|(_, all)| vec![Within::Unknown; all.len()]).collect();
        for client in 0..self.0.len() {
            for at in 0..self.0[client].1.len() {
                self.resolve((client, at), &mut known);
            }
        }
        for ((client, pieces), known) in self.0.iter_mut().zip(known) {
            for (piece, within) in pieces.iter_mut().zip(known) {
                if within == Within::Deleted && matches!(piece.what, What::Item(_, Content::Deleted)) {
                    piece.what = What::Collected;
                }
            }
            let mut runs = Vec::<Piece<'_>>::with_capacity(pieces.len());
            for piece in pieces.drain(..) {
                append(&mut runs, *client, piece);
            }
            *pieces = runs;
        }
    }

    /// Goes from neighbour to neighbour, to one that says what all of them are in.
    fn resolve(&self, from: Place, known: &mut [Vec<Within>]) {
        let (mut way, mut at) = (Vec::new(), from);
        let within = loop {
            let place @ (client, piece) = at;
            if known[client][piece] != Within::Unknown {
                break known[client][piece];
            }
            way.push(place);
            // Neighbours of each other, both ways: nobody's work, and nothing is known of it.
            known[client][piece] = Within::Else;
            let What::Item(item, _) = &self.0[client].1[piece].what else {
                let is_collected = matches!(self.0[client].1[piece].what, What::Collected);
                break if is_collected { Within::Deleted } else { Within::Else };
            };
            match (item.left.or(item.right), item.parent) {
                (Some(neighbour), _) => match self.find(neighbour) {
                    Some(next) => at = next,
                    None => break Within::Else,
                },
                (None, Some(parent)) => {
                    let parent = self.find(parent).map(|(client, piece)| &self.0[client].1[piece].what);
                    let is_gone = matches!(parent, Some(What::Collected | What::Item(_, Content::Deleted)));
                    break if is_gone { Within::Deleted } else { Within::Else };
                }
                (None, None) => break Within::Else,
            }
        };
        for (client, piece) in way {
            known[client][piece] = within;
        }
    }

    fn encode(&self, deleted: &Ranges) -> Vec<u8> {
        let mut out = Vec::new();
        number(&mut out, self.0.len() as u64);
        // The highest first, as the libraries have it.
        for (client, pieces) in self.0.iter().rev() {
            number(&mut out, pieces.len() as u64);
            number(&mut out, *client);
            number(&mut out, pieces.first().map_or(0, |piece| piece.clock.into()));
            for piece in pieces {
                piece.encode(&mut out);
            }
        }
        number(&mut out, deleted.0.len() as u64);
        for (client, ranges) in deleted.0.iter().rev() {
            number(&mut out, *client);
            number(&mut out, ranges.len() as u64);
            for (from, to) in ranges {
                number(&mut out, (*from).into());
                number(&mut out, (to - from).into());
            }
        }
        out
    }
}

impl Piece<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        let (item, content) = match &self.what {
            What::Item(item, content) => (item, content),
            other => {
                out.push(if matches!(other, What::Collected) { COLLECTED } else { SKIPPED });
                return number(out, self.length.into());
            }
        };
        let kind = if matches!(content, Content::Deleted) { DELETED } else { item.info & KIND };
        out.push(kind | item.info & (LEFT | RIGHT | NAMED));
        for Id { client, clock } in item.left.iter().chain(&item.right) {
            number(out, *client);
            number(out, (*clock).into());
        }
        out.extend(item.place);
        match content {
            Content::Deleted => number(out, self.length.into()),
            Content::Text(text) => {
                number(out, text.len() as u64);
                out.extend(text.as_bytes());
            }
            Content::Values(values) => {
                number(out, self.length.into());
                out.extend(*values);
            }
            Content::Other(bytes) => out.extend(*bytes),
        }
    }
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
