//! One-time tokens of a JWK provisioner (step-ca `authority/provisioner/jwk.go`).

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::KeyPair;
use serde_json::{Value as Json, json};

use crate::{failure::Failed, observe, proto::failure::Kind, system};

/// As long as the step CLI makes them.
const LIFE_S: i64 = 300;

/// The public half of the provisioner's key as ca.json has it.
pub(super) fn jwk(key: &KeyPair) -> Json {
    // An uncompressed point: 4, then x and y of 32 bytes each.
    let point = key.public_key_raw();
    let (x, y) = (encode(&point[1..33]), encode(&point[33..65]));
    json!({ "use": "sig", "kty": "EC", "kid": kid(key), "crv": "P-256", "alg": "ES256", "x": x, "y": y })
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn kid(key: &KeyPair) -> String {
    observe::digest(key.public_key_raw())[..32].to_owned()
}

/// A token that lets one request for exactly these names be signed.
pub(super) fn mint(
    key: &KeyPair,
    provisioner: &str,
    audience: &str,
    root_fingerprint: &str,
    subject: &str,
    sans: &[String],
) -> Result<String, Failed> {
    let failed = || {
        Failed::new(
            Kind::Internal,
            provisioner,
            "the provisioner's key cannot sign",
        )
    };
    let now = system::now_ms() / 1000;
    let mut nonce = [0_u8; 32];
    aws_lc_rs::rand::SecureRandom::fill(&SystemRandom::new(), &mut nonce).map_err(|_| failed())?;
    let header = json!({ "alg": "ES256", "kid": kid(key), "typ": "JWT" });
    let claims = json!({
        "iss": provisioner,
        "aud": audience,
        "sub": subject,
        "sans": sans,
        "sha": root_fingerprint,
        "iat": now,
        "nbf": now,
        "exp": now + LIFE_S,
        "jti": hex::encode(nonce),
    });
    let text = format!(
        "{}.{}",
        encode(header.to_string()),
        encode(claims.to_string())
    );
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der())
        .map_err(|_| failed())?;
    let signature = pair
        .sign(&SystemRandom::new(), text.as_bytes())
        .map_err(|_| failed())?;
    Ok(format!("{text}.{}", encode(signature)))
}
