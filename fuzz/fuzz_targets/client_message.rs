#![no_main]
//! A server never panics over what a device sends, and what it reads it writes back to the same message.
use landfall_protocol::{Form, Frame, decode_client, encode_client};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(message) = decode_client(&Frame::Binary(data.to_vec())) {
        let again = decode_client(&encode_client(&message, Form::Json));
        assert_eq!(again.ok().map(|m| encode_client(&m, Form::Binary)), Some(encode_client(&message, Form::Binary)));
    }
});
