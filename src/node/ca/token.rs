//! One-time tokens of a JWK provisioner (step-ca `authority/provisioner/jwk.go`).

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::KeyPair;
use serde_json::{Value as Json, json};

use crate::{clock, digest, failure::Failed, secret::Secret};

/// As long as the step CLI makes them.
const LIFE_S: i64 = 300;

/// What a token lets be signed, and by whom.
pub(super) struct Grant<'a> {
    pub(super) provisioner: &'a str,
    pub(super) audience: &'a str,
    pub(super) root_fingerprint: &'a str,
    pub(super) subject: &'a str,
    pub(super) sans: &'a [String],
}

/// The public half of the provisioner's key as ca.json has it.
pub(super) fn jwk(key: &KeyPair) -> Json {
    // An uncompressed point: 4, then x and y of 32 bytes each (SEC 1, 2.3.3).
    let point = key.public_key_raw();
    let (x, y) = (encode(&point[1..33]), encode(&point[33..65]));
    json!({ "use": "sig", "kty": "EC", "kid": kid(key), "crv": "P-256", "alg": "ES256", "x": x, "y": y })
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Name of the key in ca.json and in tokens.
pub(super) fn kid(key: &KeyPair) -> String {
    digest::bytes(key.public_key_raw())[..32].to_owned()
}

/// A token that lets one request for exactly these names be signed, within minutes.
pub(super) fn mint(key: &KeyPair, grant: &Grant<'_>) -> Result<String, Failed> {
    let failed = || Failed::internal(grant.provisioner, "the provisioner's key cannot sign");
    let now = clock::now_ms() / 1000;
    let header = json!({ "alg": "ES256", "kid": kid(key), "typ": "JWT" });
    let claims = json!({
        "iss": grant.provisioner,
        "aud": grant.audience,
        "sub": grant.subject,
        "sans": grant.sans,
        "sha": grant.root_fingerprint,
        "iat": now,
        "nbf": now,
        "exp": now + LIFE_S,
        "jti": String::from_utf8_lossy(Secret::random(32).expose()),
    });
    let text = format!(
        "{}.{}",
        encode(header.to_string()),
        encode(claims.to_string())
    );
    let pkcs8 = Secret::new(key.serialize_der());
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.expose())
        .map_err(|_| failed())?;
    let signature = pair
        .sign(&SystemRandom::new(), text.as_bytes())
        .map_err(|_| failed())?;
    Ok(format!("{text}.{}", encode(signature)))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_token_is_signed_by_the_key_that_ca_json_names() {
        let key = KeyPair::generate().expect("a key");
        let sans = ["k8s.peer.etcd.internal".to_owned()];
        let grant = Grant {
            provisioner: "etcd-provisioner",
            audience: "https://localhost/1.0/sign",
            root_fingerprint: "ab",
            subject: "k8s.peer.etcd.internal",
            sans: &sans,
        };
        let token = mint(&key, &grant).expect("a token");
        let parts: Vec<&str> = token.split('.').collect();
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64");
        let header: Json = serde_json::from_slice(&decode(parts[0])).expect("JSON");
        let claims: Json = serde_json::from_slice(&decode(parts[1])).expect("JSON");
        let public = jwk(&key);
        assert_eq!(header["kid"], public["kid"]);
        assert_eq!(claims["aud"], "https://localhost/1.0/sign");
        assert_eq!(
            claims["exp"].as_i64().expect("a time") - claims["iat"].as_i64().expect("a time"),
            300
        );
        let coordinate = |name: &str| decode(public[name].as_str().expect("text"));
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(
                format!("{}.{}", parts[0], parts[1]).as_bytes(),
                &decode(parts[2]),
            )
            .expect("a good signature");
        assert_ne!(
            token,
            mint(&key, &grant).expect("another"),
            "each is used once"
        );
    }
}
