//! `landfall serve`: settings from file, environment and flags; the store; the server; signals.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use landfall_core::Schema;
use landfall_server::actions::Actions;
use landfall_server::config::{DEFAULT_LISTEN, Settings, SettingsError};
use landfall_server::http::{Options, ServeError, serve};
use landfall_server::store::{Fresh, SqliteOptions, SqliteStore, StoreError};
use rand::TryRng as _;
use rand::rngs::SysRng;
use tokio::net::TcpListener;

use crate::failure::Failure;
use crate::out::complain;

/// Arguments of `landfall serve`. Flags lie over the environment, which lies over the file.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The schema, landfall.toml.
    #[arg(long, short = 's', env = "LANDFALL_SCHEMA")]
    pub schema: Option<PathBuf>,
    /// The directory of the database; created when it does not exist.
    #[arg(long, env = "LANDFALL_DATA")]
    pub data: Option<PathBuf>,
    /// Address and port to listen on [default: 127.0.0.1:8787].
    #[arg(long, env = "LANDFALL_LISTEN")]
    pub listen: Option<String>,
    /// A TOML file with these settings, under the names of the flags with _ for -.
    #[arg(long, env = "LANDFALL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Development: believe any token `dev:NAME`. Only on this machine.
    #[arg(long, env = "LANDFALL_DEV")]
    pub dev: bool,
    /// A file with a shared secret of at least 32 bytes: tokens are signed with HS256.
    #[arg(long, env = "LANDFALL_JWT_SECRET_FILE")]
    pub jwt_secret_file: Option<PathBuf>,
    /// A public key (PEM): tokens are signed with RS256, ES256 or EdDSA.
    #[arg(long, env = "LANDFALL_JWT_KEY")]
    pub jwt_key: Option<PathBuf>,
    /// A file with public keys (JWKS).
    #[arg(long, env = "LANDFALL_JWKS")]
    pub jwks: Option<PathBuf>,
    /// What the claim `aud` of tokens must name.
    #[arg(long, env = "LANDFALL_AUDIENCE")]
    pub audience: Option<String>,
    /// What the claim `iss` of tokens must be.
    #[arg(long, env = "LANDFALL_ISSUER")]
    pub issuer: Option<String>,
    /// Let people without a token in, as the subject `anonymous`.
    #[arg(long, env = "LANDFALL_ANONYMOUS")]
    pub anonymous: bool,
    /// A directory of an app's files, served on the same address: what a bundler wrote, with its index.html.
    #[arg(long, env = "LANDFALL_APP")]
    pub app: Option<PathBuf>,
    /// Let pages of another origin connect, such as `https://app.example`; may be repeated.
    #[arg(long, env = "LANDFALL_ALLOW_ORIGIN", value_delimiter = ',')]
    pub allow_origin: Vec<String>,
    /// Ask a webhook about the transactions that ask for an action: `checkout=https://app.example/checkout`; may be
    /// repeated, one for each action of the schema.
    #[arg(long, env = "LANDFALL_WEBHOOK", value_delimiter = ',', value_name = "ACTION=URL")]
    pub webhook: Vec<String>,
    /// A file with the secret that requests to webhooks are signed with: `whsec_` and base64. While it is exchanged two
    /// of them, one a line.
    #[arg(long, env = "LANDFALL_WEBHOOK_SECRET_FILE")]
    pub webhook_secret_file: Option<PathBuf>,
    /// How long a webhook may take for one answer, in milliseconds [default: 10000].
    #[arg(long, env = "LANDFALL_WEBHOOK_TIMEOUT_MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub webhook_timeout_ms: Option<u64>,
    /// How long a shutdown may take, in seconds [default: 10].
    #[arg(long, env = "LANDFALL_DRAIN_SECONDS")]
    pub drain_seconds: Option<u64>,
    /// For how many days changes are kept; a device that was away for longer loads anew what it holds [default: 30].
    #[arg(long, env = "LANDFALL_LOG_DAYS", value_parser = clap::value_parser!(u64).range(1..))]
    pub log_days: Option<u64>,
    /// Transactions that one person may push in a second, in the long run; 0: as many as they like [default: 5000].
    #[arg(long, env = "LANDFALL_SUBJECT_ENTRIES")]
    pub subject_entries: Option<u64>,
    /// Bytes of them; 0: as many as they like [default: 16777216].
    #[arg(long, env = "LANDFALL_SUBJECT_BYTES")]
    pub subject_bytes: Option<u64>,
    /// Transactions of one person that may wait for a commit; 0: no limit of their own [default: 10000].
    #[arg(long, env = "LANDFALL_SUBJECT_WAITING")]
    pub subject_waiting: Option<u64>,
    /// Connections of one person; 0: as many as they like [default: 256].
    #[arg(long, env = "LANDFALL_SUBJECT_CONNECTIONS")]
    pub subject_connections: Option<u64>,
    /// Transactions of all that may wait for a commit [default: 20000].
    #[arg(long, env = "LANDFALL_WAITING")]
    pub waiting: Option<usize>,
    /// Connections of all; 0: no limit [default: 50000].
    #[arg(long, env = "LANDFALL_CONNECTIONS")]
    pub connections: Option<u64>,
    /// Log as JSON, one object a line.
    #[arg(long, env = "LANDFALL_LOG_JSON")]
    pub log_json: bool,
}

impl ServeArgs {
    fn settings(&self) -> Result<Settings, Failure> {
        let flags = Settings {
            schema: self.schema.clone(),
            data: self.data.clone(),
            listen: self.listen.clone(),
            dev: self.dev.then_some(true),
            jwt_secret_file: self.jwt_secret_file.clone(),
            jwt_key: self.jwt_key.clone(),
            jwks: self.jwks.clone(),
            audience: self.audience.clone(),
            issuer: self.issuer.clone(),
            anonymous: self.anonymous.then_some(true),
            drain_seconds: self.drain_seconds,
            log_days: self.log_days,
            log_json: self.log_json.then_some(true),
            app: self.app.clone(),
            allow_origin: (!self.allow_origin.is_empty()).then(|| self.allow_origin.clone()),
            webhook: (!self.webhook.is_empty()).then(|| self.webhook.clone()),
            webhook_secret_file: self.webhook_secret_file.clone(),
            webhook_timeout_ms: self.webhook_timeout_ms,
            subject_entries: self.subject_entries,
            subject_bytes: self.subject_bytes,
            subject_waiting: self.subject_waiting,
            subject_connections: self.subject_connections,
            waiting: self.waiting,
            connections: self.connections,
        };
        let Some(path) = &self.config else { return Ok(flags) };
        let file = config::File::from(path.as_path()).format(config::FileFormat::Toml);
        let read = config::Config::builder().add_source(file).build().and_then(config::Config::try_deserialize);
        let file: Settings = read.map_err(|cause| {
            let path = path.display();
            Failure::usage(format!("error: the settings in {path} cannot be used ({cause}); correct them [LF-7002]"))
        })?;
        Ok(flags.over(file))
    }
}

fn missing(what: &str) -> Failure {
    Failure::usage(format!("error: {what} is missing; give it as a flag, in the environment or in --config [LF-7002]"))
}

/// Serves until the process is told to stop.
///
/// # Errors
/// [`Failure`] when the server cannot start, or fails.
pub async fn run(args: ServeArgs) -> Result<(), Failure> {
    let settings = args.settings()?;
    start_log(settings.log_json.unwrap_or(false));
    let schema = crate::check::load_schema(settings.schema.as_deref().ok_or_else(|| missing("--schema"))?)?;
    let data = settings.data.clone().ok_or_else(|| missing("--data"))?;
    let address = settings.listen.clone().unwrap_or_else(|| DEFAULT_LISTEN.to_owned());
    let wanted = resolve(&address).await?;
    let wrong = |e: SettingsError| Failure::usage(format!("error: {e} [{}]", e.code()));
    let rules = settings.rules(&schema, wanted).map_err(wrong)?;
    let (app, origins) = (settings.app().map_err(wrong)?, settings.origins().map_err(wrong)?);
    let webhooks = settings.webhooks(&schema).map_err(wrong)?;
    let actions = webhooks.urls.keys().fold(Actions::new(), |actions, action| actions.on_webhook(action));
    let store = open_store(&data, schema.clone())?.with_actions(actions);
    let listener = TcpListener::bind(wanted).await.map_err(|cause| cannot_listen(wanted, &cause))?;
    let address = listener.local_addr().unwrap_or(wanted);
    let (memory, allowance) = (settings.memory(), settings.allowance());
    let retention = settings.retention();
    let mut options = Options { memory, allowance, retention, app, origins, webhooks, ..Options::default() };
    if let Some(seconds) = settings.drain_seconds {
        options.drain = Duration::from_secs(seconds);
    }
    let stop = stop_signal()
        .map_err(|cause| Failure::runtime(format!("error: signals cannot be heard ({cause}) [LF-7006]")))?;
    if settings.is_development() {
        complain!("DEVELOPMENT MODE: every token dev:NAME is believed, without proof. This machine only.");
    }
    // A server does not end because nobody reads this.
    let _ = writeln!(std::io::stdout(), "Landfall serves {} on http://{address}", schema.name);
    tracing::info!(%address, app = schema.name, schema_version = schema.version, "ready");
    serve(listener, Box::new(store), rules, options, stop).await.map_err(failed)
}

fn failed(problem: ServeError) -> Failure {
    match &problem {
        ServeError::Store(cause) => Failure::runtime(format!("error: {problem} [{}]", cause.code())),
        ServeError::Io(_) => Failure::runtime(format!("error: {problem} [LF-7006]")),
    }
}

fn start_log(json: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Where the log cannot be written, saying so panics.
    let log = log.with_ansi(std::io::stderr().is_terminal()).log_internal_errors(false);
    // Fails only when a subscriber is set already, which is as good.
    let _ = if json { log.json().try_init() } else { log.try_init() };
}

async fn resolve(address: &str) -> Result<SocketAddr, Failure> {
    let found = tokio::net::lookup_host(address).await.ok().and_then(|mut list| list.next());
    found.ok_or_else(|| {
        Failure::usage(format!("error: '{address}' is no address; write it like {DEFAULT_LISTEN} [LF-7003]"))
    })
}

fn cannot_listen(address: SocketAddr, cause: &std::io::Error) -> Failure {
    let text = match cause.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "error: something listens on {address} already; stop it, or choose another address with --listen [LF-7004]"
        ),
        std::io::ErrorKind::PermissionDenied => {
            format!("error: this user may not listen on {address}; choose a port above 1023 with --listen [LF-7004]")
        }
        _ => format!("error: cannot listen on {address} ({cause}); choose another address with --listen [LF-7004]"),
    };
    Failure::runtime(text)
}

fn open_store(data: &Path, schema: Schema) -> Result<SqliteStore, Failure> {
    std::fs::create_dir_all(data).map_err(|cause| {
        let data = data.display();
        let text = format!(
            "error: the directory {data} cannot be made ({cause}); make it, or name another one with --data [LF-7007]"
        );
        Failure::usage(text)
    })?;
    let mut fresh = [0; 48];
    SysRng
        .try_fill_bytes(&mut fresh)
        .map_err(|cause| Failure::runtime(format!("error: the system gives no randomness ({cause}) [LF-7006]")))?;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    SqliteStore::open(SqliteOptions::path(data.join("landfall.db")), schema, Fresh::from_bytes(fresh), now_ms)
        .map_err(not_opened)
}

fn not_opened(problem: StoreError) -> Failure {
    let text = format!("error: {problem} [{}]", problem.code());
    if problem.is_transient() { Failure::runtime(text) } else { Failure::usage(text) }
}

/// Resolves when the process is told to stop: SIGTERM or SIGINT.
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    {
        Ok(async {
            let _ = tokio::signal::ctrl_c().await;
        })
    }
}
