//! The shape of an update, looked at byte by byte before the library sees it: it reads values within values by calling itself,
//! and a stack that is used up ends the whole process, which no guard can hold.
//!
//! The form is that of the first version of the encoding (`yjs`, `src/utils/encoding.js` and `src/structs`), read as the library
//! reads it, or refused: what both take for different things would hide from here what is read there. So numbers are no larger
//! than they are meant to be, where the library lets them run over, and two kinds of content of long ago, which it reads as
//! something else than `yjs` writes, are none.

use std::collections::BTreeSet;

use super::DocError;

/// Values within values, at most. Editors nest a handful.
const DEEPEST: usize = 64;
/// The largest number that JavaScript counts to without holes: of who wrote something.
pub(super) const LARGEST: u64 = (1 << 53) - 1;
/// How far anybody counts what they wrote: the library subtracts in 32 bits with a sign.
const FURTHEST: u32 = i32::MAX as u32;
/// A number within a value has no more bytes: larger ones are written in another form.
const NUMBER_BYTES: usize = 8;

/// What an item's first byte says: that there is a neighbour on its left, and on its right; that it has a name in its parent;
/// and what kind of content it has.
pub(super) const LEFT: u8 = 0x80;
pub(super) const RIGHT: u8 = 0x40;
pub(super) const NAMED: u8 = 0x20;
pub(super) const KIND: u8 = 0x1f;

/// What the first byte is for what is no item: collected, and left out.
pub(super) const COLLECTED: u8 = 0;
pub(super) const SKIPPED: u8 = 10;

/// A place in what somebody wrote.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Id {
    pub(super) client: u64,
    pub(super) clock: u32,
}

/// One after the other, what somebody wrote.
#[derive(Clone, Copy, Debug)]
pub(super) enum Struct<'a> {
    /// Was deleted, with what it was in.
    Collected,
    /// Not said here.
    Skipped,
    Item(Item<'a>),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    pub(super) info: u8,
    /// The neighbours that its author saw.
    pub(super) left: Option<Id>,
    pub(super) right: Option<Id>,
    /// What it is in, where that is an item, and it has no neighbours: otherwise it is what they are in.
    pub(super) parent: Option<Id>,
    /// What it is in, and under which name, as bytes; nothing where it has neighbours.
    pub(super) place: &'a [u8],
    /// The content, of the kind that `info` says, as bytes.
    pub(super) content: &'a [u8],
}

pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
}

/// Ends where the bytes do, or are something else.
type Read<T> = Option<T>;

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Read<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    pub(super) fn number(&mut self) -> Read<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A number of which the library keeps 32 bits.
    fn small(&mut self) -> Read<u32> {
        u32::try_from(self.number()?).ok()
    }

    /// Where in what somebody wrote.
    fn clock(&mut self) -> Read<u32> {
        self.small().filter(|clock| *clock <= FURTHEST)
    }

    /// Who wrote something.
    fn client(&mut self) -> Read<u64> {
        self.number().filter(|id| *id <= LARGEST)
    }

    fn skip(&mut self, length: u64) -> Read<()> {
        self.bytes = self.bytes.get(usize::try_from(length).ok()?..)?;
        Some(())
    }

    /// A text or bytes behind their length.
    pub(super) fn taken(&mut self) -> Read<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    fn run(&mut self) -> Read<()> {
        self.taken().map(drop)
    }

    /// A text: how many UTF-16 units it has.
    fn text(&mut self) -> Read<u32> {
        let text = std::str::from_utf8(self.taken()?).ok()?;
        u32::try_from(text.encode_utf16().count()).ok()
    }

    fn id(&mut self) -> Read<Id> {
        Some(Id { client: self.client()?, clock: self.clock()? })
    }

    /// A value, and what is in it, without calling itself.
    pub(super) fn value(&mut self) -> Result<(), Flaw> {
        // Of each value that is begun: how many are to come in it, and whether each has a name.
        let mut open: Vec<(u64, bool)> = vec![(1, false)];
        while let Some((left, named)) = open.last_mut() {
            if *left == 0 {
                open.pop();
                continue;
            }
            *left -= 1;
            if *named {
                self.text().ok_or(Flaw::Cut)?;
            }
            match self.byte().ok_or(Flaw::Cut)? {
                // undefined, null, true, false
                127 | 126 | 120 | 121 => {}
                // A number of variable length: its first byte has six bits and a sign.
                125 => {
                    let end = self.bytes.iter().take(NUMBER_BYTES).position(|byte| *byte < 0x80).ok_or(Flaw::Cut)?;
                    self.skip(end as u64 + 1).ok_or(Flaw::Cut)?;
                }
                124 => self.skip(4).ok_or(Flaw::Cut)?,
                123 | 122 => self.skip(8).ok_or(Flaw::Cut)?,
                119 => self.text().map(drop).ok_or(Flaw::Cut)?,
                116 => self.run().ok_or(Flaw::Cut)?,
                tag @ (118 | 117) => {
                    let length = u64::from(self.small().ok_or(Flaw::Cut)?);
                    if open.len() > DEEPEST {
                        return Err(Flaw::Deep);
                    }
                    open.push((length, tag == 118));
                }
                _ => return Err(Flaw::Cut),
            }
        }
        Ok(())
    }

    /// How long it is: how many of the document's positions it takes.
    fn content(&mut self, kind: u8) -> Result<u32, Flaw> {
        match kind {
            // Deleted; bytes; a text; a value as JSON, whose reader has bounds of its own.
            1 => self.small(),
            3 => self.run().map(|()| 1),
            4 => self.text(),
            5 => self.text().map(|_| 1),
            // A format: its name, and a value as JSON.
            6 => self.text().and_then(|_| self.text()).map(|_| 1),
            // A type; elements have a name.
            7 => match self.byte().ok_or(Flaw::Cut)? {
                3 => self.text().map(|_| 1),
                0..=2 | 4 | 6 => Some(1),
                _ => None,
            },
            8 => {
                let many = self.small().ok_or(Flaw::Cut)?;
                for _ in 0..many {
                    self.value()?;
                }
                Some(many)
            }
            // A document within: its name, and its options.
            9 => {
                self.text().ok_or(Flaw::Cut)?;
                self.value()?;
                Some(1)
            }
            _ => None,
        }
        .ok_or(Flaw::Cut)
    }

    fn item(&mut self, info: u8) -> Result<(u32, Item<'a>), Flaw> {
        let mut id_where = |is_there: bool| if is_there { self.id().map(Some) } else { Some(None) };
        let left = id_where(info & LEFT != 0).ok_or(Flaw::Cut)?;
        let right = id_where(info & RIGHT != 0).ok_or(Flaw::Cut)?;
        let before = self.bytes;
        let mut parent = None;
        if left.is_none() && right.is_none() {
            let is_named = self.small().ok_or(Flaw::Cut)? == 1;
            if is_named { self.text().map(drop) } else { self.id().map(|id| parent = Some(id)) }.ok_or(Flaw::Cut)?;
            if info & NAMED != 0 {
                self.text().ok_or(Flaw::Cut)?;
            }
        }
        let place = &before[..before.len() - self.bytes.len()];
        let before = self.bytes;
        let length = self.content(info & KIND)?;
        let content = &before[..before.len() - self.bytes.len()];
        Ok((length, Item { info, left, right, parent, place, content }))
    }

    /// Reads an update; who wrote what, and what is deleted, in the order in which it is said.
    pub(super) fn update(
        &mut self,
        mut wrote: impl FnMut(Id, u32, Struct<'a>),
        mut deleted: impl FnMut(Id, u32),
    ) -> Result<(), Flaw> {
        let clients = self.small().ok_or(Flaw::Cut)?;
        // The library puts what is said of somebody twice behind each other, in whatever order it comes.
        let mut known = BTreeSet::new();
        for _ in 0..clients {
            let structs = self.small().ok_or(Flaw::Cut)?;
            let client = self.client().ok_or(Flaw::Cut)?;
            let mut clock = self.clock().ok_or(Flaw::Cut)?;
            if !known.insert(client) {
                return Err(Flaw::Cut);
            }
            for _ in 0..structs {
                let (length, what) = match self.byte().ok_or(Flaw::Cut)? {
                    COLLECTED => (self.small().ok_or(Flaw::Cut)?, Struct::Collected),
                    SKIPPED => (self.small().ok_or(Flaw::Cut)?, Struct::Skipped),
                    info => {
                        let (length, item) = self.item(info)?;
                        (length, Struct::Item(item))
                    }
                };
                let end = beyond(clock, length).ok_or(Flaw::Cut)?;
                wrote(Id { client, clock }, length, what);
                clock = end;
            }
        }
        let clients = self.small().ok_or(Flaw::Cut)?;
        for _ in 0..clients {
            let client = self.client().ok_or(Flaw::Cut)?;
            let ranges = self.small().ok_or(Flaw::Cut)?;
            for _ in 0..ranges {
                let (clock, length) = (self.small().ok_or(Flaw::Cut)?, self.small().ok_or(Flaw::Cut)?);
                beyond(clock, length).ok_or(Flaw::Cut)?;
                deleted(Id { client, clock }, length);
            }
        }
        if self.bytes.is_empty() { Ok(()) } else { Err(Flaw::Cut) }
    }
}

/// Where so much ends that begins here.
fn beyond(clock: u32, length: u32) -> Read<u32> {
    clock.checked_add(length).filter(|end| *end <= FURTHEST)
}

#[derive(Debug)]
pub(super) enum Flaw {
    Cut,
    Deep,
}

impl From<Flaw> for DocError {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Cut => Self::Garbled { what: "update", cause: "they end elsewhere than it does".to_owned() },
            Flaw::Deep => Self::Deep,
        }
    }
}

/// Whether bytes have the shape of a state vector: room is made for all of its entries at once, as many as it says there are.
pub(super) fn is_state_vector(bytes: &[u8]) -> bool {
    let mut reader = Reader { bytes };
    let mut read = || (0..reader.small()?).try_for_each(|_| reader.id().map(drop));
    read().is_some()
}

/// Whether bytes have the shape of an update that can be read.
pub(super) fn check(bytes: &[u8]) -> Result<(), DocError> {
    Ok(Reader { bytes }.update(|_, _, _| {}, |_, _| {})?)
}
