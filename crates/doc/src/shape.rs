//! The shape of an update, looked at byte by byte before the library sees it: it reads values within values by calling itself,
//! and a stack that is used up ends the whole process, which no guard can hold.
//!
//! The form is that of the first version of the encoding (`yjs`, `src/utils/encoding.js` and `src/structs`).

use super::DocError;

/// Values within values, at most. Editors nest a handful.
const DEEPEST: usize = 64;

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

    fn id(&mut self) -> Read<()> {
        self.number()?;
        self.number().map(drop)
    }

    /// A value, and what is in it, without calling itself.
    fn value(&mut self) -> Result<(), Flaw> {
        // Of each value that is begun: how many are to come in it, and whether each has a name.
        let mut open: Vec<(u64, bool)> = vec![(1, false)];
        while let Some((left, named)) = open.last_mut() {
            if *left == 0 {
                open.pop();
                continue;
            }
            *left -= 1;
            if *named {
                self.run().ok_or(Flaw::Cut)?;
            }
            match self.byte().ok_or(Flaw::Cut)? {
                // undefined, null, true, false
                127 | 126 | 120 | 121 => {}
                // A number of variable length: its first byte has six bits and a sign.
                125 => while self.byte().ok_or(Flaw::Cut)? >= 0x80 {},
                124 => self.skip(4).ok_or(Flaw::Cut)?,
                123 | 122 => self.skip(8).ok_or(Flaw::Cut)?,
                119 | 116 => self.run().ok_or(Flaw::Cut)?,
                tag @ (118 | 117) => {
                    let length = self.number().ok_or(Flaw::Cut)?;
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

    fn content(&mut self, kind: u8) -> Result<(), Flaw> {
        match kind {
            // Deleted; bytes; text; a value as JSON, whose reader has bounds of its own.
            1 => self.number().map(drop),
            3..=5 => self.run(),
            2 => {
                let many = self.number().ok_or(Flaw::Cut)?;
                for _ in 0..many {
                    self.run().ok_or(Flaw::Cut)?;
                }
                Some(())
            }
            // A format: its name, and a value as JSON.
            6 => self.run().and_then(|()| self.run()),
            // A type; elements and hooks have a name.
            7 => match self.number().ok_or(Flaw::Cut)? {
                3 | 5 => self.run(),
                0..=6 => Some(()),
                _ => None,
            },
            8 => {
                let many = self.number().ok_or(Flaw::Cut)?;
                for _ in 0..many {
                    self.value()?;
                }
                Some(())
            }
            // A document within: its name, and its options.
            9 => {
                self.run().ok_or(Flaw::Cut)?;
                self.value()?;
                Some(())
            }
            _ => None,
        }
        .ok_or(Flaw::Cut)
    }

    fn item(&mut self, info: u8) -> Result<(), Flaw> {
        let (left, right) = (info & 0x80 != 0, info & 0x40 != 0);
        for _ in 0..usize::from(left) + usize::from(right) {
            self.id().ok_or(Flaw::Cut)?;
        }
        if !left && !right {
            let is_named = self.number().ok_or(Flaw::Cut)? == 1;
            if is_named { self.run() } else { self.id() }.ok_or(Flaw::Cut)?;
            if info & 0x20 != 0 {
                self.run().ok_or(Flaw::Cut)?;
            }
        }
        self.content(info & 0x1f)
    }

    fn update(&mut self) -> Result<(), Flaw> {
        let clients = self.number().ok_or(Flaw::Cut)?;
        for _ in 0..clients {
            let structs = self.number().ok_or(Flaw::Cut)?;
            self.id().ok_or(Flaw::Cut)?;
            for _ in 0..structs {
                match self.byte().ok_or(Flaw::Cut)? {
                    // What was collected, and what is left out.
                    0 | 10 => self.number().map(drop).ok_or(Flaw::Cut)?,
                    info => self.item(info)?,
                }
            }
        }
        let clients = self.number().ok_or(Flaw::Cut)?;
        for _ in 0..clients {
            self.number().ok_or(Flaw::Cut)?;
            let ranges = self.number().ok_or(Flaw::Cut)?;
            for _ in 0..ranges {
                self.id().ok_or(Flaw::Cut)?;
            }
        }
        if self.bytes.is_empty() { Ok(()) } else { Err(Flaw::Cut) }
    }
}

enum Flaw {
    Cut,
    Deep,
}

/// Whether a state vector has no more entries than its bytes have room for: room is made for all of them at once.
pub(super) fn has_room(state_vector: &[u8]) -> bool {
    let mut reader = Reader { bytes: state_vector };
    reader.number().is_some_and(|many| many <= reader.bytes.len() as u64 / 2)
}

/// Whether bytes have the shape of an update that can be read.
pub(super) fn check(bytes: &[u8]) -> Result<(), DocError> {
    Reader { bytes }.update().map_err(|flaw| match flaw {
        Flaw::Cut => DocError::Garbled { what: "update", cause: "they end elsewhere than it does".to_owned() },
        Flaw::Deep => DocError::Deep,
    })
}
