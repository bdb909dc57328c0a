//! What the fuzz targets of the protocol do with any bytes. The ordinary tests run the same over the corpus, and over
//! damaged messages, so that the targets compile and hold wherever there is no nightly toolchain.

use landfall_protocol::codec::decode_binary;
use landfall_protocol::{Chunk, Form, Frame, decode_client, decode_server, encode_client, encode_server};

/// A device never panics over a chunk, and column lengths always agree.
pub fn chunk(data: &[u8]) {
    if let Ok(chunk) = decode_binary::<Chunk>(data) {
        assert!(chunk.rows.columns.iter().all(|(_, values)| values.len() == chunk.rows.len()));
    }
}

/// A server never panics over what a device sends, and what it reads it writes back to the same message.
pub fn client_message(data: &[u8]) {
    if let Ok(message) = decode_client(&Frame::Binary(data.to_vec())) {
        let again = decode_client(&encode_client(&message, Form::Json));
        assert_eq!(again.ok().map(|m| encode_client(&m, Form::Binary)), Some(encode_client(&message, Form::Binary)));
    }
}

/// A device never panics over what a server sends, and what it reads it writes back to the same message.
pub fn server_message(data: &[u8]) {
    if let Ok(message) = decode_server(&Frame::Binary(data.to_vec())) {
        let again = decode_server(&encode_server(&message, Form::Binary));
        assert_eq!(again.ok(), Some(message));
    }
}
