//! Signing by the Standard Webhooks scheme: who is asked can tell that it was this server, about this body, just now.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How a secret begins.
const PREFIX: &str = "whsec_";
/// Fewest and most bytes of a secret, as the scheme says.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that a server and the app's webhooks share.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Reads `whsec_` and base64. `None` when it is not that, or has fewer than 24 or more than 64 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        BYTES.contains(&bytes.len()).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    fn sign(&self, id: &str, seconds: u64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(format!("{id}.{seconds}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

/// The header `webhook-signature`: one signature for each secret, so that secrets can be exchanged one after the other.
/// `seconds` since the Unix epoch are what the header `webhook-timestamp` says.
pub fn signatures(secrets: &[Secret], id: &str, seconds: u64, body: &[u8]) -> String {
    secrets.iter().map(|secret| secret.sign(id, seconds, body)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the scheme's own reference libraries.
    #[test]
    fn signatures_are_as_the_scheme_says() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let (id, seconds, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        let signed = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signatures(std::slice::from_ref(&secret), id, seconds, body), signed);
        assert_eq!(signatures(&[secret.clone(), secret], id, seconds, body), format!("{signed} {signed}"));
    }

    #[test]
    fn what_is_no_secret_is_none() {
        for wrong in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%%%"] {
            assert!(Secret::parse(wrong).is_none(), "{wrong}");
        }
    }
}
