use jsonwebtoken::{EncodingKey, encode};
use serde_json::json;

use super::*;

const SECRET: &[u8] = b"a secret of at least thirty-two bytes";
const NOW: u64 = 1_800_000_000_000;

fn token(claims: Json) -> String {
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

fn server() -> Authenticator {
    Authenticator::new().with_secret(SECRET)
}

#[test]
fn a_signed_token_names_its_subject_and_scalar_claims() {
    let text = token(json!({"sub": "ada", "team": 7, "admin": true, "roles": ["x"], "exp": NOW / 1000 + 60}));
    let who = server().check(Some(&text), NOW).unwrap();
    assert_eq!(who.subject, "ada");
    assert_eq!(who.claims.get("team"), Some(&Value::Int(7)));
    assert_eq!(who.claims.get("admin"), Some(&Value::Bool(true)));
    assert_eq!(who.claims.get("sub"), Some(&Value::Text("ada".into())));
    assert!(!who.claims.contains_key("roles"));
    assert_eq!(who.expires_in_ms(NOW), Some(60_000 + LEEWAY_MS));
}

#[test]
fn a_token_ends_when_it_says_so_and_not_before_it_begins() {
    let ends = token(json!({"sub": "ada", "exp": NOW / 1000}));
    assert!(server().check(Some(&ends), NOW).is_ok());
    assert_eq!(server().check(Some(&ends), NOW + LEEWAY_MS), Err(AuthError::Expired));
    let begins = token(json!({"sub": "ada", "nbf": NOW / 1000 + 3600}));
    assert_eq!(server().check(Some(&begins), NOW), Err(AuthError::NotYet));
}

#[test]
fn what_proves_nothing_is_refused() {
    let good = token(json!({"sub": "ada"}));
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    let other_key = Authenticator::new().with_secret(b"another secret, of thirty-two bytes too");
    assert_eq!(other_key.check(Some(&good), NOW), Err(AuthError::Signature));
    assert_eq!(Authenticator::new().check(Some(&good), NOW), Err(AuthError::NoKey));
    assert!(server().check(Some(&format!("{unsigned}.")), NOW).is_err());
    assert_eq!(server().check(Some("nonsense"), NOW), Err(AuthError::Malformed));
    assert_eq!(server().check(None, NOW), Err(AuthError::Missing));
    assert_eq!(server().check(Some(&token(json!({"name": "ada"}))), NOW), Err(AuthError::NoSubject));
    assert_eq!(server().check(Some("dev:ada"), NOW), Err(AuthError::Malformed));
}

#[test]
fn development_believes_names_and_anonymous_must_be_configured() {
    let dev = server().with_development(true);
    assert_eq!(dev.check(Some("dev:ada"), NOW).unwrap(), Identity::plain("ada"));
    assert_eq!(dev.check(Some("dev:"), NOW), Err(AuthError::NoSubject));
    assert_eq!(dev.check(None, NOW), Err(AuthError::Missing));
    assert_eq!(server().with_anonymous(true).check(None, NOW).unwrap().subject, ANONYMOUS);
}

#[test]
fn audience_and_issuer_are_enforced_when_configured() {
    let strict = server().expecting(Some("notes".into()), Some("https://id.example".into()));
    let claims = |aud: Json| token(json!({"sub": "ada", "aud": aud, "iss": "https://id.example"}));
    assert!(strict.check(Some(&claims(json!("notes"))), NOW).is_ok());
    assert!(strict.check(Some(&claims(json!(["mail", "notes"]))), NOW).is_ok());
    assert_eq!(strict.check(Some(&claims(json!("mail"))), NOW), Err(AuthError::OtherAudience));
    assert_eq!(strict.check(Some(&token(json!({"sub": "ada"}))), NOW), Err(AuthError::OtherAudience));
}

/// Public key pairs of the three kinds, made once for these tests (openssl genpkey); they guard nothing.
const ED_PRIVATE: &str = include_str!("testdata/ed25519.pem");
const ED_PUBLIC: &str = include_str!("testdata/ed25519.pub.pem");
const EC_PRIVATE: &str = include_str!("testdata/p256.pem");
const EC_PUBLIC: &str = include_str!("testdata/p256.pub.pem");
const RSA_PRIVATE: &str = include_str!("testdata/rsa.pem");
const RSA_PUBLIC: &str = include_str!("testdata/rsa.pub.pem");

#[test]
fn public_keys_of_each_kind_verify_and_are_never_taken_for_a_secret() {
    let kinds = [
        (Algorithm::EdDSA, EncodingKey::from_ed_pem(ED_PRIVATE.as_bytes()).unwrap(), ED_PUBLIC),
        (Algorithm::ES256, EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).unwrap(), EC_PUBLIC),
        (Algorithm::RS256, EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).unwrap(), RSA_PUBLIC),
    ];
    for (algorithm, private, public) in kinds {
        let server = Authenticator::new().with_pem(public.as_bytes()).unwrap();
        let claims = json!({"sub": "ada"});
        let good = encode(&Header::new(algorithm), &claims, &private).unwrap();
        assert_eq!(server.check(Some(&good), NOW).unwrap().subject, "ada", "{algorithm:?}");
        // The classic confusion: HS256 with the public key's text as the secret.
        let forged =
            encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(public.as_bytes())).unwrap();
        assert_eq!(server.check(Some(&forged), NOW), Err(AuthError::NoKey), "{algorithm:?}");
    }
    assert!(Authenticator::new().with_pem(b"-----BEGIN NOTHING-----").is_err());
}

#[test]
fn a_key_set_is_chosen_from_by_key_id() {
    let private = EncodingKey::from_ed_pem(ED_PRIVATE.as_bytes()).unwrap();
    let mut jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&private, Algorithm::EdDSA).unwrap();
    jwk.common.key_id = Some("k1".into());
    let server = Authenticator::new().with_key_set(&JwkSet { keys: vec![jwk] }).unwrap();
    let signed = |kid: &str| {
        let header = Header { kid: Some(kid.into()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &json!({"sub": "ada"}), &private).unwrap()
    };
    assert!(server.check(Some(&signed("k1")), NOW).is_ok());
    assert_eq!(server.check(Some(&signed("k2")), NOW), Err(AuthError::NoKey));
    assert!(Authenticator::new().with_key_set(&JwkSet { keys: vec![] }).is_err());
}
