//! Tokens: what a registry wants to see instead of a password (distribution, "Token Authentication Specification").

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::Mutex,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{
    Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::Deserialize;

use crate::{
    answer,
    credentials::Credentials,
    error::{Errand, Error},
    secret::Secret,
};

/// Life of a token whose answer names none (specification, `expires_in`).
const LIFE: Duration = Duration::from_mins(1);
/// Taken off a token's life, so that it does not end on its way; of a short life, half.
const MARGIN: Duration = Duration::from_secs(10);
/// Who we are to a token service that wants to know the program.
const CLIENT: &str = "terraform-provider-etcd";

/// What may be done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    Pull,
    Push,
    Delete,
}

impl Access {
    /// The scope of a token for it.
    pub(crate) fn scope(self, name: &str) -> String {
        let actions = match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
            Self::Delete => "pull,push,delete",
        };
        format!("repository:{name}:{actions}")
    }
}

/// The header values to send, by host and scopes.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<(String, String), Token>>);

struct Token {
    value: Secret,
    /// When it ends, if it does.
    end: Option<Instant>,
}

impl Tokens {
    /// The header value to send, if there is one that has not ended.
    pub(crate) fn get(&self, host: &str, scopes: &[String]) -> Option<HeaderValue> {
        let known = self.0.lock().expect("no panic while it is locked");
        let Token { value, end } = known.get(&(host.to_owned(), scopes.join(" ")))?;
        if end.is_some_and(|end| end <= Instant::now()) {
            return None;
        }
        header(value)
    }

    pub(crate) fn keep(
        &self,
        host: &str,
        scopes: &[String],
        value: Secret,
        life: Option<Duration>,
    ) {
        let end = life.map(|life| Instant::now() + life.saturating_sub(MARGIN.min(life / 2)));
        let key = (host.to_owned(), scopes.join(" "));
        self.0
            .lock()
            .expect("no panic while it is locked")
            .insert(key, Token { value, end });
    }
}

fn header(value: &Secret) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(value.expose()).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// The header value of a name and password.
pub(crate) fn basic(user: &str, password: &Secret) -> Secret {
    let pair = zeroize::Zeroizing::new(format!("{user}:{}", password.expose()));
    Secret::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
}

/// The header value of a token.
pub(crate) fn bearer(token: &Secret) -> Secret {
    Secret::new(format!("Bearer {}", token.expose()))
}

#[derive(Deserialize)]
struct Answer {
    token: Option<Secret>,
    access_token: Option<Secret>,
    expires_in: Option<u64>,
}

/// Where tokens come from.
pub(crate) struct Service<'a> {
    pub(crate) realm: &'a str,
    /// What the realm calls the registry.
    pub(crate) name: Option<&'a str>,
    /// Whether the registry itself is spoken to without encryption.
    pub(crate) is_insecure: bool,
}

impl Service<'_> {
    /// Fetches a token for `scopes`, and how long it lives.
    pub(crate) async fn token(
        &self,
        client: &reqwest::Client,
        credentials: &Credentials,
        scopes: &[String],
        errand: &Errand,
    ) -> Result<(Secret, Duration), Error> {
        let realm = Url::parse(self.realm).map_err(|_| Error::Protocol {
            errand: errand.clone(),
            what: format!("{:?} is no address of a token service", self.realm),
        })?;
        if realm.scheme() != "https" && !self.is_insecure {
            return Err(Error::Realm {
                errand: errand.clone(),
                realm: realm.to_string(),
            });
        }
        let request = if let Credentials::Identity(identity) = credentials {
            let mut form = Form::default();
            form.field("grant_type", "refresh_token");
            form.field("client_id", CLIENT);
            form.field("service", self.name.unwrap_or_default());
            form.field("scope", &scopes.join(" "));
            form.field("refresh_token", identity.expose());
            client
                .post(realm)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.0)
        } else {
            let mut url = realm;
            if let Some(name) = self.name {
                url.query_pairs_mut().append_pair("service", name);
            }
            for scope in scopes {
                url.query_pairs_mut().append_pair("scope", scope);
            }
            let mut request = client.get(url);
            if let Credentials::Basic { user, password } = credentials
                && let Some(value) = header(&basic(user, password))
            {
                request = request.header(AUTHORIZATION, value);
            }
            request
        };
        let unreachable = |source| Error::Unreachable {
            errand: errand.clone(),
            source,
        };
        let response = request.send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            let error = answer::error(response, errand.clone(), credentials.who()).await;
            return Err(error);
        }
        let body = answer::whole(response).await.map_err(unreachable)?;
        let body = zeroize::Zeroizing::new(body.unwrap_or_default());
        let no_token = || Error::Protocol {
            errand: errand.clone(),
            what: "its token service gives no token".to_owned(),
        };
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| no_token())?;
        let filled = |token: &Secret| !token.expose().is_empty();
        let token = answer
            .token
            .filter(filled)
            .or_else(|| answer.access_token.filter(filled))
            .ok_or_else(no_token)?;
        let life = answer.expires_in.map_or(LIFE, Duration::from_secs);
        Ok((token, life))
    }
}

/// A form's body, with a secret in it.
#[derive(Default)]
struct Form(String);

impl Form {
    fn field(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                self.0.push(char::from(byte));
            } else {
                write!(self.0, "%{byte:02X}").expect("a text takes text");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_before_its_time() {
        let tokens = Tokens::default();
        let scopes = [Access::Push.scope("x/y")];
        assert_eq!(scopes, ["repository:x/y:pull,push"]);
        assert_eq!(tokens.get("a.example", &scopes), None);
        let value = bearer(&Secret::new("t"));
        tokens.keep("a.example", &scopes, value.clone(), Some(Duration::ZERO));
        assert_eq!(tokens.get("a.example", &scopes), None);
        tokens.keep("a.example", &scopes, value, Some(LIFE));
        let kept = tokens.get("a.example", &scopes).expect("it lives");
        assert_eq!(kept, "Bearer t");
        assert!(kept.is_sensitive());
        assert_eq!(tokens.get("b.example", &scopes), None);
    }

    #[test]
    fn a_form_keeps_what_is_in_it() {
        let mut form = Form::default();
        form.field("a", "x y");
        form.field("b", "+/=&ä");
        assert_eq!(form.0, "a=x%20y&b=%2B%2F%3D%26%C3%A4");
    }

    #[test]
    fn a_password_is_encoded_with_its_user() {
        assert_eq!(basic("u", &Secret::new("p:w")).expose(), "Basic dTpwOnc=");
    }
}
