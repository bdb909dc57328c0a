//! Both forms of every message in WebAssembly: what the scenarios' runner and the golden vectors need. It is not shipped;
//! the module that is (`landfall-client-web`) knows the binary form only.

use landfall_protocol::codec::{decode_binary, encode_binary};
use landfall_protocol::{Chunk, ClientMessage, ServerMessage};

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message of a device.
    Client,
    /// A message of the server.
    Server,
    /// A chunk of a first load.
    Chunk,
}

impl Kind {
    /// By name: `client`, `server`, `chunk`.
    ///
    /// # Errors
    /// A sentence, when there is no such kind.
    pub fn named(name: &str) -> Result<Self, String> {
        match name {
            "client" => Ok(Self::Client),
            "server" => Ok(Self::Server),
            "chunk" => Ok(Self::Chunk),
            other => Err(format!("no frame holds a '{other}'")),
        }
    }
}

fn frame<T: serde::de::DeserializeOwned + minicbor::Encode<()>>(json: &str) -> Result<Vec<u8>, String> {
    serde_json::from_str::<T>(json).map(|message| encode_binary(&message)).map_err(|e| e.to_string())
}

fn json<T: serde::Serialize + for<'b> minicbor::Decode<'b, ()>>(frame: &[u8]) -> Result<String, String> {
    let message: T = decode_binary(frame).map_err(|e| e.to_string())?;
    serde_json::to_string(&message).map_err(|e| e.to_string())
}

/// The binary frame of a message given in JSON.
///
/// # Errors
/// A sentence, when the text is not such a message.
pub fn to_frame(kind: Kind, text: &str) -> Result<Vec<u8>, String> {
    match kind {
        Kind::Client => frame::<ClientMessage>(text),
        Kind::Server => frame::<ServerMessage>(text),
        Kind::Chunk => frame::<Chunk>(text),
    }
}

/// The JSON of a binary frame.
///
/// # Errors
/// A sentence, when the bytes are not such a message.
pub fn to_json(kind: Kind, bytes: &[u8]) -> Result<String, String> {
    match kind {
        Kind::Client => json::<ClientMessage>(bytes),
        Kind::Server => json::<ServerMessage>(bytes),
        Kind::Chunk => json::<Chunk>(bytes),
    }
}

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod surface {
    use wasm_bindgen::prelude::*;

    use super::{Kind, to_frame, to_json};

    /// [`to_frame`] for JavaScript.
    #[wasm_bindgen(js_name = toFrame)]
    pub fn frame_of(kind: &str, text: &str) -> Result<Vec<u8>, String> {
        to_frame(Kind::named(kind)?, text)
    }

    /// [`to_json`] for JavaScript.
    #[wasm_bindgen(js_name = toJson)]
    pub fn json_of(kind: &str, bytes: &[u8]) -> Result<String, String> {
        to_json(Kind::named(kind)?, bytes)
    }
}
