//! How a server is configured: plain data, from a file, the environment or flags; and what is made of it.

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::http::HeaderValue;
use landfall_core::{Code, Schema};
use serde::Deserialize;

use crate::auth::{Authenticator, KeyError, read_key_pem, read_key_set, read_secret};
use crate::core::Retention;
use crate::session::Rules;

/// Stable codes of the configuration. Documented in `docs/errors.md`.
pub mod codes {
    use landfall_core::Code;

    /// A key cannot be read or used.
    pub const BAD_KEY: Code = Code::of("LF-6101");
    /// Nobody could sign in.
    pub const NOBODY: Code = Code::of("LF-6102");
    /// Development mode on an address that others can reach.
    pub const DEVELOPMENT_IN_PUBLIC: Code = Code::of("LF-6103");
    /// The directory of the app holds no page.
    pub const NO_APP: Code = Code::of("LF-6104");
    /// A page of an origin that is not let in; or what should name one does not.
    pub const ORIGIN: Code = Code::of("LF-6105");
}

/// Where a server listens when nothing is said.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8787";

/// All settings. What is absent is unset; unknown names are mistakes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The schema file.
    pub schema: Option<PathBuf>,
    /// The directory of the database.
    pub data: Option<PathBuf>,
    /// Address and port.
    pub listen: Option<String>,
    /// Believe any `dev:<name>`; only on loopback.
    pub dev: Option<bool>,
    /// A file with a shared secret: tokens are HS256.
    pub jwt_secret_file: Option<PathBuf>,
    /// A public key as PEM: tokens are RS256, ES256 or EdDSA.
    pub jwt_key: Option<PathBuf>,
    /// A file with a JWKS document.
    pub jwks: Option<PathBuf>,
    /// What the claim `aud` must name.
    pub audience: Option<String>,
    /// What the claim `iss` must be.
    pub issuer: Option<String>,
    /// Let sessions without a token in, as the subject `anonymous`.
    pub anonymous: Option<bool>,
    /// How long a shutdown may take, seconds.
    pub drain_seconds: Option<u64>,
    /// For how many days changes are kept: a device that was away for longer loads anew what it holds.
    pub log_days: Option<u64>,
    /// Log as JSON.
    pub log_json: Option<bool>,
    /// A directory of an app's files, served on the same address.
    pub app: Option<PathBuf>,
    /// Other origins whose pages may connect.
    pub allow_origin: Option<Vec<String>>,
}

/// Settings that make no server.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No way to sign in.
    #[error(
        "nobody could sign in; give --jwt-secret-file, --jwt-key or --jwks, or --dev to try things out on this machine"
    )]
    Nobody,
    /// Development mode, reachable from elsewhere.
    #[error(
        "--dev believes everybody, so it only listens on this machine, not on {0}; listen on 127.0.0.1, or give a key instead of --dev"
    )]
    DevelopmentInPublic(SocketAddr),
    /// No app where one should be.
    #[error("{} holds no index.html; build the app first, or name the directory that its bundler wrote", .0.display())]
    NoApp(PathBuf),
    /// Not an origin.
    #[error("'{0}' is no origin; write scheme, host and port, and nothing after them: https://app.example")]
    Origin(String),
}

impl SettingsError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Key(_) => codes::BAD_KEY,
            Self::Nobody => codes::NOBODY,
            Self::DevelopmentInPublic(_) => codes::DEVELOPMENT_IN_PUBLIC,
            Self::NoApp(_) => codes::NO_APP,
            Self::Origin(_) => codes::ORIGIN,
        }
    }
}

impl Settings {
    /// These settings where they are set, `below` elsewhere.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            schema: self.schema.or(below.schema),
            data: self.data.or(below.data),
            listen: self.listen.or(below.listen),
            dev: self.dev.or(below.dev),
            jwt_secret_file: self.jwt_secret_file.or(below.jwt_secret_file),
            jwt_key: self.jwt_key.or(below.jwt_key),
            jwks: self.jwks.or(below.jwks),
            audience: self.audience.or(below.audience),
            issuer: self.issuer.or(below.issuer),
            anonymous: self.anonymous.or(below.anonymous),
            drain_seconds: self.drain_seconds.or(below.drain_seconds),
            log_days: self.log_days.or(below.log_days),
            log_json: self.log_json.or(below.log_json),
            app: self.app.or(below.app),
            allow_origin: self.allow_origin.or(below.allow_origin),
        }
    }

    /// How long what has happened is kept.
    pub fn retention(&self) -> Retention {
        self.log_days.map(Retention::days).unwrap_or_default()
    }

    /// Whether development mode is on.
    pub fn is_development(&self) -> bool {
        self.dev.unwrap_or(false)
    }

    /// Who is let in.
    ///
    /// # Errors
    /// [`SettingsError`] when a key cannot be used, or nobody could sign in.
    pub fn authenticator(&self) -> Result<Authenticator, SettingsError> {
        let mut auth = Authenticator::new()
            .with_development(self.is_development())
            .with_anonymous(self.anonymous.unwrap_or(false))
            .expecting(self.audience.clone(), self.issuer.clone());
        if let Some(path) = &self.jwt_secret_file {
            auth = auth.with_secret(&read_secret(path)?);
        }
        if let Some(path) = &self.jwt_key {
            auth = auth.with_pem(&read_key_pem(path)?)?;
        }
        if let Some(path) = &self.jwks {
            auth = auth.with_key_set(&read_key_set(path)?)?;
        }
        if auth.admits_somebody() { Ok(auth) } else { Err(SettingsError::Nobody) }
    }

    /// The directory of the app, when one is to be served.
    ///
    /// # Errors
    /// [`SettingsError::NoApp`] when it holds no page.
    pub fn app(&self) -> Result<Option<PathBuf>, SettingsError> {
        match &self.app {
            Some(directory) if !directory.join("index.html").is_file() => Err(SettingsError::NoApp(directory.clone())),
            app => Ok(app.clone()),
        }
    }

    /// The other origins that are let in, as browsers write them.
    ///
    /// # Errors
    /// [`SettingsError::Origin`] for what no browser would send.
    pub fn origins(&self) -> Result<Vec<HeaderValue>, SettingsError> {
        let origin = |text: &String| {
            let lower = text.to_ascii_lowercase();
            let plain = lower.split_once("://").filter(|(scheme, host)| {
                let fits = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
                matches!(*scheme, "http" | "https") && !host.is_empty() && host.chars().all(fits)
            });
            let value = plain.and_then(|_| HeaderValue::try_from(lower.as_str()).ok());
            value.ok_or_else(|| SettingsError::Origin(text.clone()))
        };
        self.allow_origin.iter().flatten().map(origin).collect()
    }

    /// What sessions go by.
    ///
    /// # Errors
    /// As [`Settings::authenticator`]; and development mode on an address that is not loopback.
    pub fn rules(&self, schema: &Schema, address: SocketAddr) -> Result<Rules, SettingsError> {
        if self.is_development() && !address.ip().is_loopback() {
            return Err(SettingsError::DevelopmentInPublic(address));
        }
        Ok(Rules::new(schema, self.authenticator()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_lie_over_the_file_and_unknown_names_are_mistakes() {
        let file: Settings = serde_json::from_str(r#"{"listen": "[::1]:1", "dev": true}"#).unwrap();
        let flags = Settings { listen: Some("127.0.0.1:2".into()), ..Settings::default() };
        let both = flags.over(file);
        assert_eq!((both.listen.as_deref(), both.dev), (Some("127.0.0.1:2"), Some(true)));
        assert!(serde_json::from_str::<Settings>(r#"{"lissten": "x"}"#).is_err());
    }

    #[test]
    fn origins_are_as_browsers_write_them() {
        let origins = |list: &[&str]| {
            let list = list.iter().map(|one| (*one).to_owned()).collect();
            Settings { allow_origin: Some(list), ..Settings::default() }.origins()
        };
        assert_eq!(origins(&["https://App.example", "http://[::1]:5173"]).unwrap()[0], "https://app.example");
        for wrong in ["*", "app.example", "https://", "https://app.example/", "ftp://app.example", "https://a b"] {
            assert!(origins(&[wrong]).is_err_and(|e| e.code().as_str() == "LF-6105"), "{wrong}");
        }
    }

    #[test]
    fn a_server_that_nobody_or_everybody_can_enter_does_not_start() {
        assert!(matches!(Settings::default().authenticator(), Err(SettingsError::Nobody)));
        let schema = Schema {
            name: "a".into(),
            version: 1,
            tables: vec![],
            shapes: vec![],
            actions: vec![],
            outbox: Default::default(),
            cache: landfall_core::schema::Caching::default(),
        };
        let dev = Settings { dev: Some(true), ..Settings::default() };
        let public = dev.rules(&schema, "0.0.0.0:80".parse().unwrap());
        assert!(matches!(public, Err(SettingsError::DevelopmentInPublic(_))));
        assert!(dev.rules(&schema, "127.0.0.1:80".parse().unwrap()).is_ok());
        let missing = Settings { jwt_key: Some("/nowhere/key.pem".into()), ..Settings::default() };
        assert!(missing.authenticator().is_err_and(|e| e.to_string().contains("/nowhere/key.pem")));
    }
}
