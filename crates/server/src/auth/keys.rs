//! Reading keys: shared secrets, public keys as PEM, static key sets.

use std::path::Path;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, JwkSet, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey};

use super::Key;

/// Fewest bytes of a shared secret: HS256 is as strong as its secret (RFC 7518, 3.2 wants 256 bits).
pub const MIN_SECRET_BYTES: usize = 32;

/// A key that cannot be used. LF-6101.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("the key file {path} cannot be read ({cause}); check the path and its permissions")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The secret is too short to be one.
    #[error(
        "the secret has {0} bytes, at least {MIN_SECRET_BYTES} are needed; make one with `openssl rand -base64 48`"
    )]
    ShortSecret(usize),
    /// The text is no public key of a supported kind.
    #[error("the key is not a public key in PEM form (-----BEGIN PUBLIC KEY-----) of kind RSA, P-256 or Ed25519")]
    NotPem,
    /// The text is no key set.
    #[error(
        "the key set is not a JWKS document ({{\"keys\": […]}}) with public keys of kind RSA, P-256 or Ed25519: {0}"
    )]
    NotKeySet(String),
}

fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    std::fs::read(path).map_err(|cause| KeyError::Unreadable { path: path.display().to_string(), cause })
}

/// The secret in a file, white space at its end left out.
///
/// # Errors
/// [`KeyError`] when the file cannot be read or the secret is shorter than [`MIN_SECRET_BYTES`].
pub fn read_secret(path: &Path) -> Result<Vec<u8>, KeyError> {
    let mut secret = read(path)?;
    secret.truncate(secret.trim_ascii_end().len());
    if secret.len() < MIN_SECRET_BYTES { Err(KeyError::ShortSecret(secret.len())) } else { Ok(secret) }
}

/// The text of a PEM file.
///
/// # Errors
/// [`KeyError::Unreadable`].
pub fn read_key_pem(path: &Path) -> Result<Vec<u8>, KeyError> {
    read(path)
}

/// The key set in a JSON file.
///
/// # Errors
/// [`KeyError`] when the file cannot be read or is no key set.
pub fn read_key_set(path: &Path) -> Result<JwkSet, KeyError> {
    serde_json::from_slice(&read(path)?).map_err(|cause| KeyError::NotKeySet(cause.to_string()))
}

pub(super) fn from_pem(pem: &[u8]) -> Result<Key, KeyError> {
    let known = [
        (Algorithm::ES256, DecodingKey::from_ec_pem(pem)),
        (Algorithm::EdDSA, DecodingKey::from_ed_pem(pem)),
        (Algorithm::RS256, DecodingKey::from_rsa_pem(pem)),
    ];
    let found = known.into_iter().find_map(|(algorithm, key)| Some((algorithm, key.ok()?)));
    let (algorithm, key) = found.ok_or(KeyError::NotPem)?;
    Ok(Key { id: None, algorithms: vec![algorithm], key })
}

pub(super) fn from_set(set: &JwkSet) -> Result<Vec<Key>, KeyError> {
    if set.keys.is_empty() {
        return Err(KeyError::NotKeySet("it has no keys".to_owned()));
    }
    set.keys.iter().map(from_jwk).collect()
}

fn from_jwk(jwk: &jsonwebtoken::jwk::Jwk) -> Result<Key, KeyError> {
    let algorithm = match (&jwk.algorithm, jwk.common.key_algorithm) {
        (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
        (AlgorithmParameters::EllipticCurve(p), _) if p.curve == EllipticCurve::P256 => Algorithm::ES256,
        (AlgorithmParameters::OctetKeyPair(p), _) if p.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return Err(KeyError::NotKeySet("a key is of another kind".to_owned())),
    };
    let key = DecodingKey::from_jwk(jwk).map_err(|cause| KeyError::NotKeySet(cause.to_string()))?;
    Ok(Key { id: jwk.common.key_id.clone(), algorithms: vec![algorithm], key })
}
