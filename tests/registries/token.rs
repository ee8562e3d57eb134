//! A token service as registries send their clients to (distribution, "Token Authentication Specification").

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http_body_util::{BodyExt, Collected};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header::AUTHORIZATION};
use serde_json::{Value, json};
use time::UtcDateTime;

use crate::{
    http::{self, Body, Server, answer},
    registry_server::{PASSWORD, USER},
};

/// The identity token that the service takes in the place of name and password.
pub const IDENTITY: &str = "identity-of-the-lab";
/// What the registry calls itself to the service.
pub(crate) const SERVICE: &str = "registry of the lab";
/// What the service calls itself to the registry.
pub(crate) const ISSUER: &str = "token service of the lab";
const KEY_ID: &str = "lab";

/// A token service that lets in one user.
#[derive(Debug)]
pub(crate) struct TokenService {
    server: Server,
    /// The key by which the registry checks tokens, as a JSON Web Key Set.
    pub(crate) keys: String,
    given: Arc<AtomicUsize>,
}

impl TokenService {
    pub(crate) async fn start() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        // An uncompressed point: 4, then both coordinates.
        let point = key.public_key().as_ref().to_vec();
        let keys = json!({"keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KEY_ID,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]),
            "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
        }]});
        let key = Arc::new(key);
        let given = Arc::new(AtomicUsize::new(0));
        let count = given.clone();
        let server = http::serve(http::listener().await, move |request| {
            answer_to(request, key.clone(), count.clone())
        });
        Self {
            server,
            keys: keys.to_string(),
            given,
        }
    }

    pub(crate) fn realm(&self) -> String {
        format!("http://{}/token", self.server.address)
    }

    /// Tokens given out so far.
    pub(crate) fn given(&self) -> usize {
        self.given.load(Ordering::Relaxed)
    }
}

async fn answer_to(
    request: Request<Incoming>,
    key: Arc<EcdsaKeyPair>,
    given: Arc<AtomicUsize>,
) -> Response<Body> {
    let refused = || {
        let refusal = json!({"errors": [{"code": "UNAUTHORIZED", "message": "no such user"}]});
        answer(StatusCode::UNAUTHORIZED, refusal.to_string())
    };
    let scopes: Vec<String> = if request.method() == Method::POST {
        let body = request.into_body().collect().await;
        let body = body.map(Collected::to_bytes).unwrap_or_default();
        let fields = fields(&String::from_utf8_lossy(&body));
        let is = |name: &str, value: &str| fields.contains(&(name.to_owned(), value.to_owned()));
        if !is("grant_type", "refresh_token")
            || !is("refresh_token", IDENTITY)
            || !is("service", SERVICE)
        {
            return refused();
        }
        let scopes = fields.iter().filter(|(name, _)| name == "scope");
        scopes
            .flat_map(|(_, value)| value.split(' ').map(str::to_owned).collect::<Vec<_>>())
            .collect()
    } else {
        let wanted = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
        let shown = request.headers().get(AUTHORIZATION);
        if shown.is_none_or(|shown| shown.as_bytes() != wanted.as_bytes()) {
            return refused();
        }
        let fields = fields(request.uri().query().unwrap_or_default());
        let scopes = fields.into_iter().filter(|(name, _)| name == "scope");
        scopes.map(|(_, value)| value).collect()
    };
    given.fetch_add(1, Ordering::Relaxed);
    let token = json!({"token": token(&key, &scopes), "expires_in": 300});
    answer(StatusCode::OK, token.to_string())
}

/// A signed token for these scopes.
fn token(key: &EcdsaKeyPair, scopes: &[String]) -> String {
    let access: Vec<Value> = scopes
        .iter()
        .filter_map(|scope| {
            let (kind, rest) = scope.split_once(':')?;
            let (name, actions) = rest.rsplit_once(':')?;
            let actions: Vec<&str> = actions.split(',').collect();
            Some(json!({"type": kind, "name": name, "actions": actions}))
        })
        .collect();
    let now = UtcDateTime::now().unix_timestamp();
    let head = json!({"typ": "JWT", "alg": "ES256", "kid": KEY_ID});
    let claims = json!({
        "iss": ISSUER, "sub": USER, "aud": SERVICE, "jti": now.to_string(),
        "iat": now, "nbf": now - 10, "exp": now + 300, "access": access,
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&head), part(&claims));
    let signature = key
        .sign(&SystemRandom::new(), signed.as_bytes())
        .expect("signing works");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

/// Names and values of a query or form.
fn fields(text: &str) -> Vec<(String, String)> {
    let url = format!("http://localhost/?{text}");
    let url = reqwest::Url::parse(&url).expect("a query fits a URL");
    url.query_pairs().into_owned().collect()
}
