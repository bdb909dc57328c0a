#![no_main]
//! A device never panics over what a server sends.
use landfall_protocol::{Form, Frame, decode_server, encode_server};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(message) = decode_server(&Frame::Binary(data.to_vec())) {
        let again = decode_server(&encode_server(&message, Form::Binary));
        assert_eq!(again.ok(), Some(message));
    }
});
