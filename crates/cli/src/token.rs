//! `landfall token`: a token for trying things out, signed with the server's shared secret.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, Value as Json};

use crate::failure::Failure;
use crate::out::out;

/// Arguments of `landfall token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// The subject: who the token is for.
    #[arg(long)]
    pub sub: String,
    /// The file with the shared secret (HS256). Without it, a token that only a development server believes.
    #[arg(long, env = "LANDFALL_JWT_SECRET_FILE")]
    pub jwt_secret_file: Option<PathBuf>,
    /// For how long it is valid, seconds.
    #[arg(long, default_value_t = 86_400)]
    pub seconds: u64,
    /// A further claim: `name=value`; values that are JSON are taken as such.
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    pub claims: Vec<String>,
}

/// Prints a token.
///
/// # Errors
/// [`Failure`] when the secret or a claim cannot be used.
pub fn run(args: &TokenArgs) -> Result<(), Failure> {
    out!("{}", mint(args, SystemTime::now())?);
    Ok(())
}

fn mint(args: &TokenArgs, now: SystemTime) -> Result<String, Failure> {
    let Some(path) = &args.jwt_secret_file else {
        if !args.claims.is_empty() {
            return Err(Failure::usage(
                "error: a development token carries no claims; give --jwt-secret-file [LF-7005]",
            ));
        }
        return Ok(format!("dev:{}", args.sub));
    };
    let secret =
        landfall_server::auth::read_secret(path).map_err(|e| Failure::usage(format!("error: {e} [LF-6101]")))?;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let mut claims = Map::new();
    for claim in &args.claims {
        let (name, value) = claim.split_once('=').ok_or_else(|| {
            Failure::usage(format!("error: '{claim}' is no claim; write --claim name=value [LF-7005]"))
        })?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Json::String(value.to_owned()));
        claims.insert(name.to_owned(), value);
    }
    claims.insert("sub".to_owned(), args.sub.clone().into());
    claims.insert("iat".to_owned(), now.into());
    claims.insert("exp".to_owned(), now.saturating_add(args.seconds).into());
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(&secret))
        .map_err(|cause| Failure::runtime(format!("error: the token cannot be signed ({cause}) [LF-7005]")))
}

#[cfg(test)]
mod tests {
    use landfall_server::auth::Authenticator;

    use super::*;

    #[test]
    fn a_minted_token_is_believed_by_the_server_with_the_same_secret() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, "0123456789012345678901234567890123456789\n").unwrap();
        let args = TokenArgs {
            sub: "ada".into(),
            jwt_secret_file: Some(file.clone()),
            seconds: 60,
            claims: vec!["team=7".into(), "name=Ada".into()],
        };
        let token = mint(&args, UNIX_EPOCH + Duration::from_secs(1_000)).unwrap();
        let server = Authenticator::new().with_secret(&landfall_server::auth::read_secret(&file).unwrap());
        let who = server.check(Some(&token), 1_010_000).unwrap();
        assert_eq!(who.subject, "ada");
        assert_eq!(who.claims.get("team"), Some(&landfall_core::Value::Int(7)));
        assert!(server.check(Some(&token), 1_200_000).is_err());
    }
}
