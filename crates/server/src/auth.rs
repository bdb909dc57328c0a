//! Who a person is: signed tokens, checked against the server's keys, become a subject and its claims.
//!
//! The moment is an argument: the same token at the same moment always gives the same answer.

use std::collections::BTreeMap;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use landfall_core::Value;
use serde_json::{Map, Value as Json};

mod keys;

pub use keys::{KeyError, read_key_pem, read_key_set, read_secret};

/// By how much the clocks of the token's issuer and this server may differ, milliseconds.
pub const LEEWAY_MS: u64 = 30_000;
/// Tokens of development mode are this word and a name.
pub const DEV_PREFIX: &str = "dev:";
/// The subject of a session without a token, where the server allows it.
pub const ANONYMOUS: &str = "anonymous";
/// Longest subject, bytes: it is stored with each replica.
pub const MAX_SUBJECT_BYTES: usize = 256;

/// A person, as a valid token names them.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The subject (`sub`).
    pub subject: String,
    /// The token's scalar claims, `sub` included; what access rules and templates may use.
    pub claims: BTreeMap<String, Value>,
    /// When the token expires, milliseconds since the Unix epoch; `None` when it does not.
    pub expires_ms: Option<u64>,
}

impl Identity {
    /// A subject without further claims, that does not expire.
    pub fn plain(subject: &str) -> Self {
        let claims = BTreeMap::from([("sub".to_owned(), Value::Text(subject.to_owned()))]);
        Self { subject: subject.to_owned(), claims, expires_ms: None }
    }

    /// How long the token is still valid at `now_ms`; `None` when it does not expire.
    pub fn expires_in_ms(&self, now_ms: u64) -> Option<u64> {
        self.expires_ms.map(|at| at.saturating_sub(now_ms))
    }
}

/// Why a token is refused. Always LF-4004: the way out is to sign in again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no token, and this server wants one.
    #[error("this server wants to know who you are; sign in")]
    Missing,
    /// The text is no token.
    #[error("the token is not a signed JWT; sign in again")]
    Malformed,
    /// The text is no token, and the server is a development server.
    #[error("the token is not a signed JWT; on this development server, dev:NAME is a token for anybody")]
    MalformedHere,
    /// Signed with an algorithm that none of the server's keys is for.
    #[error(
        "the token is signed in a way that this server has no key for; sign in again, or give the server the issuer's key"
    )]
    NoKey,
    /// The signature does not fit.
    #[error("the token's signature is not valid; sign in again")]
    Signature,
    /// It has expired.
    #[error("the token has expired; sign in again")]
    Expired,
    /// It is not valid yet.
    #[error("the token is not valid yet; compare the issuer's clock with this server's, then sign in again")]
    NotYet,
    /// It names nobody, or with a name that is too long.
    #[error("the token names no subject (claim sub, a text of 1 to {MAX_SUBJECT_BYTES} bytes); sign in again")]
    NoSubject,
    /// It is for another audience or from another issuer.
    #[error("the token was issued for another service (claims aud and iss); sign in again")]
    OtherAudience,
}

/// A key and the algorithms that it may be used with. Never more than one family: a public key must not be taken for a
/// shared secret.
pub(crate) struct Key {
    pub(crate) id: Option<String>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) key: DecodingKey,
}

/// Checks tokens.
#[derive(Default)]
pub struct Authenticator {
    keys: Vec<Key>,
    development: bool,
    anonymous: bool,
    audience: Option<String>,
    issuer: Option<String>,
}

impl Authenticator {
    /// An authenticator that trusts nobody until it is given a key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Development: any `dev:<name>` is that subject, without proof. Only for loopback.
    #[must_use]
    pub fn with_development(mut self, on: bool) -> Self {
        self.development = on;
        self
    }

    /// Whether a session without a token is the subject `anonymous`.
    #[must_use]
    pub fn with_anonymous(mut self, on: bool) -> Self {
        self.anonymous = on;
        self
    }

    /// Which `aud` and `iss` tokens must have.
    #[must_use]
    pub fn expecting(mut self, audience: Option<String>, issuer: Option<String>) -> Self {
        (self.audience, self.issuer) = (audience, issuer);
        self
    }

    /// A shared secret, HS256.
    #[must_use]
    pub fn with_secret(mut self, secret: &[u8]) -> Self {
        let key = DecodingKey::from_secret(secret);
        self.keys.push(Key { id: None, algorithms: vec![Algorithm::HS256], key });
        self
    }

    /// A public key as PEM: RSA (RS256), elliptic curve P-256 (ES256) or Ed25519 (EdDSA).
    ///
    /// # Errors
    /// [`KeyError`] when the text is no such key.
    pub fn with_pem(mut self, pem: &[u8]) -> Result<Self, KeyError> {
        self.keys.push(keys::from_pem(pem)?);
        Ok(self)
    }

    /// The public keys of a JWKS document.
    ///
    /// # Errors
    /// [`KeyError`] when the set is empty or a key is of no supported kind.
    pub fn with_key_set(mut self, set: &JwkSet) -> Result<Self, KeyError> {
        self.keys.extend(keys::from_set(set)?);
        Ok(self)
    }

    /// Whether anybody can get in at all.
    pub fn admits_somebody(&self) -> bool {
        self.development || self.anonymous || !self.keys.is_empty()
    }

    /// Whether `dev:<name>` is believed.
    pub fn is_development(&self) -> bool {
        self.development
    }

    /// Who holds `token` at `now_ms`.
    ///
    /// # Errors
    /// [`AuthError`] when it proves nothing.
    pub fn check(&self, token: Option<&str>, now_ms: u64) -> Result<Identity, AuthError> {
        let Some(token) = token else {
            return if self.anonymous { Ok(Identity::plain(ANONYMOUS)) } else { Err(AuthError::Missing) };
        };
        if let Some(name) = token.strip_prefix(DEV_PREFIX).filter(|_| self.development) {
            return subject(name).map(Identity::plain);
        }
        match self.check_signed(token, now_ms) {
            Err(AuthError::Malformed) if self.development => Err(AuthError::MalformedHere),
            checked => checked,
        }
    }

    fn check_signed(&self, token: &str, now_ms: u64) -> Result<Identity, AuthError> {
        let header = decode_header(token).map_err(|_| AuthError::Malformed)?;
        let fits = |key: &&Key| {
            key.algorithms.contains(&header.alg) && (header.kid.is_none() || key.id.is_none() || key.id == header.kid)
        };
        let mut verdict = AuthError::NoKey;
        for key in self.keys.iter().filter(fits) {
            match verified(token, &header, key) {
                Ok(claims) => return self.identity(claims, now_ms),
                Err(problem) => verdict = problem,
            }
        }
        Err(verdict)
    }

    fn identity(&self, claims: Map<String, Json>, now_ms: u64) -> Result<Identity, AuthError> {
        let ms = |name: &str| claims.get(name).and_then(Json::as_f64).map(|s| (s.max(0.0) * 1000.0) as u64);
        let expires_ms = ms("exp");
        if expires_ms.is_some_and(|at| at.saturating_add(LEEWAY_MS) <= now_ms) {
            return Err(AuthError::Expired);
        }
        if ms("nbf").is_some_and(|at| at > now_ms.saturating_add(LEEWAY_MS)) {
            return Err(AuthError::NotYet);
        }
        let names = |claim: &str, wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| match claims.get(claim) {
                Some(Json::Array(list)) => list.iter().any(|one| one.as_str() == Some(wanted)),
                other => other.and_then(Json::as_str) == Some(wanted),
            })
        };
        if !names("aud", &self.audience) || !names("iss", &self.issuer) {
            return Err(AuthError::OtherAudience);
        }
        let subject = subject(claims.get("sub").and_then(Json::as_str).unwrap_or_default())?.to_owned();
        let claims = claims.into_iter().filter_map(|(name, json)| Some((name, scalar(json)?))).collect();
        Ok(Identity { subject, claims, expires_ms: expires_ms.map(|at| at.saturating_add(LEEWAY_MS)) })
    }
}

fn subject(name: &str) -> Result<&str, AuthError> {
    if name.is_empty() || name.len() > MAX_SUBJECT_BYTES { Err(AuthError::NoSubject) } else { Ok(name) }
}

fn verified(token: &str, header: &Header, key: &Key) -> Result<Map<String, Json>, AuthError> {
    let mut rules = Validation::new(header.alg);
    // Times, audience and issuer are checked above, against the moment that the caller gives.
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    rules.validate_nbf = false;
    rules.validate_aud = false;
    decode::<Map<String, Json>>(token, &key.key, &rules).map(|data| data.claims).map_err(|problem| {
        use jsonwebtoken::errors::ErrorKind;
        match problem.kind() {
            ErrorKind::InvalidSignature => AuthError::Signature,
            ErrorKind::InvalidAlgorithm => AuthError::NoKey,
            _ => AuthError::Malformed,
        }
    })
}

/// A claim as access rules see it; lists and objects are left out.
fn scalar(json: Json) -> Option<Value> {
    match json {
        Json::Bool(v) => Some(Value::Bool(v)),
        Json::String(v) => Some(Value::Text(v)),
        Json::Number(v) => v.as_i64().map(Value::Int).or_else(|| v.as_f64().map(Value::Float)),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

#[cfg(test)]
mod tests;
