//! A way between devices and a server on which one bit of one message is turned over.

use std::io::{Cursor, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    Server,
    Device,
}

/// Whether it is this message that is to be damaged.
type Pick = fn(Towards, &[u8]) -> bool;

/// What passed, as it was sent; the damaged one among it.
#[derive(Default)]
struct Passed {
    messages: Vec<(Towards, Vec<u8>)>,
    turned: usize,
}

/// The way.
pub struct Way {
    pub address: String,
    passed: Arc<Mutex<Passed>>,
}

impl Way {
    /// To the server at `target`; of the messages that `pick` takes the first is damaged.
    pub fn to(target: &str, pick: Pick) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let passed = Arc::new(Mutex::new(Passed::default()));
        let (target, shared) = (target.to_owned(), Arc::clone(&passed));
        std::thread::spawn(move || {
            for device in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&target) else { continue };
                let ways = [(Towards::Server, &device, &server), (Towards::Device, &server, &device)];
                for (towards, from, to) in ways {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let passed = Arc::clone(&shared);
                    std::thread::spawn(move || {
                        // Whoever leaves ends the way in this direction.
                        let _ = pass(towards, &from, &to, pick, &passed);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
            }
        });
        Self { address, passed }
    }

    /// How many messages were damaged.
    pub fn turned(&self) -> usize {
        self.passed.lock().unwrap().turned
    }

    /// The messages that went this way, as they were sent.
    pub fn messages(&self, towards: Towards) -> Vec<Vec<u8>> {
        let passed = self.passed.lock().unwrap();
        passed.messages.iter().filter(|(t, _)| *t == towards).map(|(_, bytes)| bytes.clone()).collect()
    }
}

fn pass(
    towards: Towards,
    mut from: &TcpStream,
    mut to: &TcpStream,
    pick: Pick,
    passed: &Mutex<Passed>,
) -> std::io::Result<()> {
    let mut held = Vec::new();
    let head = loop {
        if let Some(at) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if more(from, &mut held)? == 0 {
            return to.write_all(&held);
        }
    };
    let is_socket = String::from_utf8_lossy(&held[..head]).to_ascii_lowercase().contains("upgrade: websocket");
    if !is_socket {
        to.write_all(&held)?;
        return std::io::copy(&mut from, &mut to).map(drop);
    }
    to.write_all(&held[..head])?;
    held.drain(..head);
    loop {
        let mut cursor = Cursor::new(&held);
        let parsed = FrameHeader::parse(&mut cursor).map_err(std::io::Error::other)?;
        let start = cursor.position() as usize;
        match parsed {
            Some((header, length)) if held.len() >= start + length as usize => {
                let mut frame: Vec<u8> = held.drain(..start + length as usize).collect();
                if header.opcode == OpCode::Data(Data::Binary) {
                    let mask = header.mask.unwrap_or_default();
                    let clear = frame[start..].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
                    let message: Vec<u8> = clear.collect();
                    let mut passed = passed.lock().unwrap();
                    if passed.turned == 0 && pick(towards, &message) {
                        passed.turned += 1;
                        frame[start + message.len() / 2] ^= 1;
                    }
                    passed.messages.push((towards, message));
                }
                to.write_all(&frame)?;
            }
            _ => {
                if more(from, &mut held)? == 0 {
                    return to.write_all(&held);
                }
            }
        }
    }
}

/// Reads what there is; 0 at the end.
fn more(mut from: &TcpStream, held: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut part = [0; 16 << 10];
    let length = from.read(&mut part)?;
    held.extend(&part[..length]);
    Ok(length)
}
