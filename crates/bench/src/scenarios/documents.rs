//! F: a document of many edits, over the protocol of `y-websocket`. The floor is the plain library (`yrs`) in this process, without a
//! disk or a network.

use std::time::Instant;

use futures_util::{SinkExt as _, StreamExt as _};
use landfall_doc::sync::{Frame, decode};
use rand::rngs::ChaCha20Rng;
use rand::{Rng as _, SeedableRng as _};
use tokio_tungstenite::tungstenite::Message;
use yrs::updates::decoder::Decode as _;
use yrs::{Doc, GetString as _, ReadTxn as _, StateVector, Transact as _, Update};

use super::Context;
use super::together::{connect, document, hear, say, server};
use crate::Fallible;
use crate::figures::Figure;

/// A text in the hands of somebody who types: what is left of the cursor, and right of it, the nearest last; each by its clock,
/// with what was struck out. The library would look for the cursor's place anew at each key, which takes longer than all else.
#[derive(Default)]
struct Typist {
    left: Vec<(u32, Option<char>)>,
    right: Vec<(u32, Option<char>)>,
    clock: u32,
}

/// Who they are.
const TYPIST: u64 = 3;

impl Typist {
    /// Goes to a place, counted with what was struck out.
    fn go(&mut self, to: usize) {
        while self.left.len() > to {
            self.right.extend(self.left.pop());
        }
        while self.left.len() < to {
            let Some(next) = self.right.pop() else { return };
            self.left.push(next);
        }
    }

    /// An update of one letter, as the library writes it.
    fn insert(&mut self, letter: char) -> Vec<u8> {
        let (left, right) = (self.left.last().map(|(clock, _)| *clock), self.right.last().map(|(clock, _)| *clock));
        let mut out = vec![1, 1, TYPIST as u8];
        number(&mut out, self.clock);
        out.push(0x04 | if left.is_some() { 0x80 } else { 0 } | if right.is_some() { 0x40 } else { 0 });
        for clock in left.into_iter().chain(right) {
            out.push(TYPIST as u8);
            number(&mut out, clock);
        }
        if left.is_none() && right.is_none() {
            out.extend(b"\x01\x04body");
        }
        out.extend([1, letter as u8, 0]);
        self.left.push((self.clock, Some(letter)));
        self.clock += 1;
        out
    }

    /// An update that strikes out the letter left of the cursor, where there is one.
    fn strike(&mut self) -> Option<Vec<u8>> {
        while let Some((clock, letter)) = self.left.pop() {
            self.right.push((clock, None));
            if letter.is_some() {
                let mut out = vec![0, 1, TYPIST as u8, 1];
                number(&mut out, clock);
                out.push(1);
                return Some(out);
            }
        }
        None
    }

    fn text(&self) -> String {
        self.left.iter().chain(self.right.iter().rev()).filter_map(|(_, letter)| *letter).collect()
    }
}

fn number(out: &mut Vec<u8>, mut number: u32) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Somebody who types a long text, goes back, and strikes out: an update for each key; and what comes of it.
fn typed(edits: usize) -> (Vec<Vec<u8>>, String) {
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let mut typist = Typist::default();
    let mut updates = Vec::with_capacity(edits);
    while updates.len() < edits {
        if rng.next_u32() % 60 == 0 {
            typist.go(rng.next_u32() as usize % (typist.left.len() + typist.right.len() + 1));
        }
        let strikes = rng.next_u32() % 10 < 3;
        let letter = char::from(b'a' + (rng.next_u32() % 26) as u8);
        let struck = if strikes { typist.strike() } else { None };
        updates.push(struck.unwrap_or_else(|| typist.insert(letter)));
    }
    (updates, typist.text())
}

/// A document that was typed key by key: accepted, stored, and loaded again.
pub async fn history(context: Context, edits: usize) -> Fallible<Vec<Figure>> {
    let (updates, typed) = typed(edits / context.scale as usize);
    let start = Instant::now();
    let plain = Doc::with_client_id(1);
    for update in &updates {
        plain.transact_mut().apply_update(Update::decode_v1(update)?)?;
    }
    let plain_apply = start.elapsed().as_secs_f64();
    let encoded = plain.transact().encode_state_as_update_v1(&StateVector::default());
    let start = Instant::now();
    let expected = text_of(&encoded)?;
    let plain_load = start.elapsed().as_secs_f64() * 1e3;
    if expected != typed {
        return Err("what the library makes of the keys is not what was typed".into());
    }

    let server = server(&context).await?;
    let mut socket = connect(&document(&server)).await?;
    let start = Instant::now();
    let (mut sink, mut stream) = socket.split();
    let sending = updates.iter().map(|update| Message::Binary(Frame::Update(update.clone()).encode().into()));
    let mut sending = futures_util::stream::iter(sending.map(Ok));
    // All of it has come back when it is one document: what comes back is durable.
    let own = Doc::with_client_id(2);
    let hearing = async {
        loop {
            let Some(Ok(Message::Binary(bytes))) = stream.next().await else { return Fallible::Err("it ended".into()) };
            for frame in decode(&bytes)? {
                if let Frame::Update(update) = frame {
                    own.transact_mut().apply_update(Update::decode_v1(&update)?)?;
                }
            }
            let (has, all) = (own.transact().state_vector(), plain.transact().state_vector());
            if has == all {
                return Ok(());
            }
        }
    };
    let (sent, heard) = tokio::join!(sink.send_all(&mut sending), hearing);
    sent?;
    heard?;
    let accepted = start.elapsed().as_secs_f64();

    let start = Instant::now();
    socket = connect(&document(&server)).await?;
    say(&mut socket, &Frame::Have(vec![0])).await?;
    let rest = loop {
        let frames = hear(&mut socket).await?;
        if let Some(Frame::Rest(rest)) = frames.into_iter().find(|frame| matches!(frame, Frame::Rest(_))) {
            break rest;
        }
    };
    let arrived = start.elapsed().as_secs_f64() * 1e3;
    let loaded = text_of(&rest)?;
    let load = start.elapsed().as_secs_f64() * 1e3;
    if loaded != expected {
        return Err("the document is not what was typed".into());
    }
    let stored = rusqlite::Connection::open(server.database())?;
    let sum = "SELECT count(*), sum(length(doc_update)) FROM papers_docs";
    let (rows, bytes): (f64, f64) = stored.query_row(sum, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(vec![
        Figure::new(format!("{} edits through one connection, durable", updates.len()), accepted, "s")
            .floor(plain_apply),
        Figure::new("fresh load over the network, until it is a text", load, "ms").floor(plain_load).aim("≤ 100 ms"),
        Figure::new("of that, until its bytes have come", arrived, "ms"),
        Figure::new("bytes stored of it", bytes / 1e3, "kB")
            .floor(encoded.len() as f64 / 1e3)
            .aim("≤ 1.2× of plain yrs"),
        Figure::new("rows", rows, ""),
        Figure::new("peak memory of the server", server.peak()? / 1e6, "MB"),
    ])
}

fn text_of(update: &[u8]) -> Fallible<String> {
    let doc = Doc::with_client_id(9);
    doc.transact_mut().apply_update(Update::decode_v1(update)?)?;
    let text = doc.get_or_insert_text("body");
    let all = text.get_string(&doc.transact());
    Ok(all)
}
