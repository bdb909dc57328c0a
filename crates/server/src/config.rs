//! How a server is configured: plain data, from a file, the environment or flags; and what is made of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::HeaderValue;
use landfall_core::{Code, Schema};
use reqwest::Url;
use serde::Deserialize;

use crate::actions::sign::Secret;
use crate::auth::{Authenticator, KeyError, read_key_pem, read_key_set, read_secret};
use crate::core::{Allowance, Memory, Retention};
use crate::http::Webhooks;
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
    /// A webhook that cannot be one.
    pub const WEBHOOK: Code = Code::of("LF-6108");
    /// No secret to sign requests to webhooks with.
    pub const WEBHOOK_SECRET: Code = Code::of("LF-6109");
    /// An action that nobody would handle.
    pub const NO_HANDLER: Code = Code::of("LF-6110");
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
    /// The webhooks that decide on actions, each as `action=https://…`.
    pub webhook: Option<Vec<String>>,
    /// A file with the secrets that requests to webhooks are signed with, one a line, each as `whsec_…`.
    pub webhook_secret_file: Option<PathBuf>,
    /// How long a webhook may take for one answer, milliseconds.
    pub webhook_timeout_ms: Option<u64>,
    /// Transactions that a subject may push in a second, in the long run; 0: as many as it likes.
    pub subject_entries: Option<u64>,
    /// Bytes of them.
    pub subject_bytes: Option<u64>,
    /// Transactions of a subject that may wait for a commit; 0: as many as of all.
    pub subject_waiting: Option<u64>,
    /// Sessions of a subject; 0: no limit.
    pub subject_connections: Option<u64>,
    /// Transactions of all that may wait for a commit.
    pub waiting: Option<usize>,
    /// Sessions of all; 0: no limit.
    pub connections: Option<u64>,
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
    /// Not a webhook.
    #[error(
        "'{0}' is no webhook; write the action and its address, without a password: checkout=https://app.example/checkout"
    )]
    Webhook(String),
    /// A webhook of an action that is not there.
    #[error("there is no action '{0}' for a webhook; the schema has: {1}")]
    UnknownAction(String, String),
    /// Two webhooks of one action.
    #[error("the action '{0}' has two webhooks; name one")]
    TwoWebhooks(String),
    /// No secret.
    #[error(
        "requests to webhooks are signed, and there is no secret; write 'whsec_' and 24 to 64 random bytes in base64 into a file \
         (echo whsec_$(openssl rand -base64 32)), and name it with --webhook-secret-file"
    )]
    NoWebhookSecret,
    /// A file without secrets.
    #[error(
        "{} holds no secret for webhooks; each line is 'whsec_' and 24 to 64 random bytes in base64 (echo \
         whsec_$(openssl rand -base64 32))", .0.display()
    )]
    WebhookSecret(PathBuf),
    /// An action without a handler.
    #[error(
        "nobody would handle the action '{0}' of the schema; give it a webhook (--webhook {0}=https://…), or \
         embed the server and give it a handler"
    )]
    NoHandler(String),
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
            Self::Webhook(_) | Self::UnknownAction(..) | Self::TwoWebhooks(_) => codes::WEBHOOK,
            Self::NoWebhookSecret | Self::WebhookSecret(_) => codes::WEBHOOK_SECRET,
            Self::NoHandler(_) => codes::NO_HANDLER,
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
            webhook: self.webhook.or(below.webhook),
            webhook_secret_file: self.webhook_secret_file.or(below.webhook_secret_file),
            webhook_timeout_ms: self.webhook_timeout_ms.or(below.webhook_timeout_ms),
            subject_entries: self.subject_entries.or(below.subject_entries),
            subject_bytes: self.subject_bytes.or(below.subject_bytes),
            subject_waiting: self.subject_waiting.or(below.subject_waiting),
            subject_connections: self.subject_connections.or(below.subject_connections),
            waiting: self.waiting.or(below.waiting),
            connections: self.connections.or(below.connections),
        }
    }

    /// How long what has happened is kept.
    pub fn retention(&self) -> Retention {
        self.log_days.map(Retention::days).unwrap_or_default()
    }

    /// What a subject, and all of them, may use.
    pub fn allowance(&self) -> Allowance {
        let usual = Allowance::default();
        Allowance {
            subject_entries: self.subject_entries.unwrap_or(usual.subject_entries),
            subject_bytes: self.subject_bytes.unwrap_or(usual.subject_bytes),
            subject_waiting: self.subject_waiting.unwrap_or(usual.subject_waiting),
            subject_connections: self.subject_connections.unwrap_or(usual.subject_connections),
            connections: self.connections.unwrap_or(usual.connections),
            ..usual
        }
    }

    /// Bounds on memory.
    pub fn memory(&self) -> Memory {
        let usual = Memory::default();
        Memory { waiting_entries: self.waiting.unwrap_or(usual.waiting_entries), ..usual }
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

    /// The app's webhooks, one for each action of the schema.
    ///
    /// # Errors
    /// [`SettingsError`] when one is not a webhook, or of no action; when there is nothing to sign with; or when an action
    /// has none.
    pub fn webhooks(&self, schema: &Schema) -> Result<Webhooks, SettingsError> {
        let mut urls = BTreeMap::new();
        for text in self.webhook.iter().flatten() {
            let wrong = || SettingsError::Webhook(text.clone());
            let (action, url) = text.split_once('=').ok_or_else(wrong)?;
            let url = Url::parse(url).map_err(|_| wrong())?;
            let is_plain = url.username().is_empty() && url.password().is_none() && url.has_host();
            if !matches!(url.scheme(), "http" | "https") || !is_plain {
                return Err(wrong());
            }
            if schema.action(action).is_none() {
                let known: Vec<&str> = schema.actions.iter().map(|action| action.name.as_str()).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(SettingsError::UnknownAction(action.to_owned(), known));
            }
            if urls.insert(action.to_owned(), url).is_some() {
                return Err(SettingsError::TwoWebhooks(action.to_owned()));
            }
        }
        if let Some(action) = schema.actions.iter().find(|action| !urls.contains_key(&action.name)) {
            return Err(SettingsError::NoHandler(action.name.clone()));
        }
        let secrets = match &self.webhook_secret_file {
            _ if urls.is_empty() => Vec::new(),
            None => return Err(SettingsError::NoWebhookSecret),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|cause| KeyError::Unreadable { path: path.display().to_string(), cause })?;
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                let secrets: Option<Vec<Secret>> = lines.map(Secret::parse).collect();
                let wrong = || SettingsError::WebhookSecret(path.clone());
                secrets.filter(|secrets| !secrets.is_empty()).ok_or_else(wrong)?
            }
        };
        Ok(Webhooks { urls, secrets, timeout: self.webhook_timeout_ms.map(Duration::from_millis) })
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
            tombstones_ms: None,
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
