//! What the fuzz targets of the protocol do with any bytes. The ordinary tests run the same over the corpus, and over
//! damaged messages, so that the targets compile and hold wherever there is no nightly toolchain.

use landfall_protocol::codec::{decode_binary, sealed};
use landfall_protocol::{ChangeList, Chunk, Form, Frame, decode_client, decode_server, encode_client, encode_server};

/// The bytes as they are, and with the check sum at their end made right: damage would get no further otherwise.
fn frames(data: &[u8]) -> [Vec<u8>; 2] {
    [data.to_vec(), sealed(data[..data.len().saturating_sub(4)].to_vec())]
}

/// A device never panics over a chunk, and column lengths always agree.
pub fn chunk(data: &[u8]) {
    for chunk in frames(data).iter().filter_map(|frame| decode_binary::<Chunk>(frame).ok()) {
        assert!(chunk.rows.columns.iter().all(|(_, values)| values.len() == chunk.rows.len()));
    }
}

/// A server never panics over what a device sends, and what it reads it writes back to the same message.
pub fn client_message(data: &[u8]) {
    for message in frames(data).into_iter().filter_map(|frame| decode_client(&Frame::Binary(frame)).ok()) {
        let again = decode_client(&encode_client(&message, Form::Json));
        assert_eq!(again.ok().map(|m| encode_client(&m, Form::Binary)), Some(encode_client(&message, Form::Binary)));
    }
}

/// A device never panics over what a server sends, and what it reads it writes back to the same message.
pub fn server_message(data: &[u8]) {
    for message in frames(data).into_iter().filter_map(|frame| decode_server(&Frame::Binary(frame)).ok()) {
        let again = decode_server(&encode_server(&message, Form::Binary));
        assert_eq!(again.ok(), Some(message));
    }
}

/// A device never panics over the changes of a bucket, and what it reads it writes back to the same changes.
pub fn changes(data: &[u8]) {
    if let Ok(changes) = ChangeList::from_run(data) {
        assert_eq!(ChangeList::from_run(&changes.to_run()).ok(), Some(changes));
    }
}

/// Neither side panics over the JSON rendering of anything, and what it reads means the same in bytes.
pub fn json(data: &[u8]) {
    reads_json(data);
}

/// Whether it is the JSON of a message or a chunk.
pub fn reads_json(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let of_device = decode_client(&Frame::Text(text.to_owned())).ok();
    if let Some(message) = &of_device {
        let again = decode_client(&encode_client(message, Form::Binary));
        assert_eq!(again.ok().as_ref(), Some(message));
    }
    let of_server = decode_server(&Frame::Text(text.to_owned())).ok();
    if let Some(message) = &of_server {
        let again = decode_server(&encode_server(message, Form::Binary));
        assert_eq!(again.ok().as_ref(), Some(message));
    }
    of_device.is_some() || of_server.is_some()
}
