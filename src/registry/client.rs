//! One client for all registries: who asks, how often, how long.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use reqwest::{
    Method, Response, StatusCode, Url,
    header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE},
    redirect,
};

use crate::{
    answer,
    challenge::{Challenge, challenges},
    credentials::{Credentials, Keychain},
    endpoint::{self, Endpoint, is_same_server},
    error::{Errand, Error},
    reference::Repository,
    tls,
    token::{self, Access, Service, Tokens},
};

/// For the TCP and TLS handshake.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Redirects that are followed for one request.
const REDIRECTS: usize = 5;

/// How registries are spoken to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Hosts, with port, that speak plain HTTP. This machine's own (`localhost`, `127.0.0.1`, `[::1]`) always do.
    pub insecure: Vec<String>,
    /// Certificates in PEM form that are trusted besides the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Where credentials are looked for.
    pub keychain: Keychain,
    /// How often a request that failed for a passing reason is tried again.
    pub retries: u32,
    /// Pause before the second try; doubled each time.
    pub first_pause: Duration,
    /// Longest pause; a registry that wants to be left alone for longer is an error.
    pub longest_pause: Duration,
    /// How long a connection may be silent: nothing sent, nothing received. A registry that builds what is asked for
    /// (an image factory) needs minutes.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            insecure: Vec::new(),
            ca_pem: None,
            keychain: Keychain::usual(),
            retries: 4,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_mins(1),
            patience: Duration::from_mins(3),
        }
    }
}

/// The client of all registries. Cheap to clone; clones share connections and tokens.
#[derive(Clone)]
pub struct Registries {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    /// By the system's proxies.
    proxied: reqwest::Client,
    /// For this machine itself.
    direct: reqwest::Client,
    tokens: Tokens,
    credentials: tokio::sync::Mutex<HashMap<Repository, Credentials>>,
}

impl fmt::Debug for Registries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Registries")
    }
}

/// A request, as often as it has to be sent.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) repository: &'a Repository,
    pub(crate) access: Access,
    /// Another repository of the same registry that is read from.
    pub(crate) also: Option<&'a Repository>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What is asked, for errors.
    pub(crate) what: String,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        method: Method,
        url: Url,
        repository: &'a Repository,
        access: Access,
        what: impl Into<String>,
    ) -> Self {
        Self {
            method,
            url,
            repository,
            access,
            also: None,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            what: what.into(),
        }
    }

    pub(crate) fn errand(&self) -> Errand {
        Errand {
            host: self.repository.host().to_owned(),
            what: self.what.clone(),
        }
    }

    fn scopes(&self) -> Vec<String> {
        let mut scopes = vec![self.access.scope(self.repository.name())];
        scopes.extend(self.also.map(|also| Access::Pull.scope(also.name())));
        scopes
    }
}

impl Registries {
    /// A client with these settings. Nothing is connected to yet.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let tls = tls::config(settings.ca_pem.as_deref())?;
        let builder = || {
            reqwest::Client::builder()
                .connect_timeout(CONNECT_LIMIT)
                .user_agent(concat!(
                    "terraform-provider-etcd/",
                    env!("CARGO_PKG_VERSION")
                ))
                .tls_backend_preconfigured(tls.clone())
                .hickory_dns(true)
                .redirect(redirect::Policy::custom(follow))
        };
        let failed = |source| Error::Client { source };
        Ok(Self {
            inner: Arc::new(Inner {
                proxied: builder().build().map_err(failed)?,
                direct: builder().no_proxy().build().map_err(failed)?,
                settings,
                tokens: Tokens::default(),
                credentials: tokio::sync::Mutex::default(),
            }),
        })
    }

    /// The same client, but with another [`Settings::patience`]: for a registry that builds what it is asked for.
    pub fn patient(&self, patience: Duration) -> Result<Self, Error> {
        Self::new(Settings {
            patience,
            ..self.settings().clone()
        })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(crate) fn endpoint(&self, repository: &Repository) -> Result<Endpoint, Error> {
        let host = repository.host();
        endpoint::endpoint(host, &self.settings().insecure).ok_or_else(|| Error::Host {
            host: host.to_owned(),
        })
    }

    /// The address of `rest` below the repository: `…/v2/<name>/<rest>`.
    pub(crate) fn url(&self, repository: &Repository, rest: &str) -> Result<Url, Error> {
        let endpoint = self.endpoint(repository)?;
        let path = format!("v2/{}/{rest}", repository.name());
        endpoint.base.join(&path).map_err(|_| Error::Host {
            host: repository.host().to_owned(),
        })
    }

    fn client(&self, endpoint: &Endpoint) -> &reqwest::Client {
        if endpoint.is_local {
            &self.inner.direct
        } else {
            &self.inner.proxied
        }
    }

    /// Sends a request, again after passing faults, with a token if the registry wants one. Gives whatever answer is the
    /// registry's last word, also a refusal.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Response, Error> {
        let mut failures = 0;
        let mut is_proven = false;
        loop {
            let result = self.send_once(call, None).await;
            let (pause, error) = match result {
                Ok(response) if response.status() == StatusCode::UNAUTHORIZED && !is_proven => {
                    is_proven = true;
                    match self.prove(call, response).await {
                        Ok(()) => continue,
                        Err(error) => (None, error),
                    }
                }
                Ok(response) if response.status() == StatusCode::UNAUTHORIZED => {
                    return Err(answer::error(response, call.errand(), self.who(call).await).await);
                }
                Ok(response) if is_passing(response.status()) => {
                    let pause = answer::retry_after(response.headers());
                    let who = self.who(call).await;
                    (pause, answer::error(response, call.errand(), who).await)
                }
                Ok(response) => return Ok(response),
                Err(error) => (None, error),
            };
            self.wait(&mut failures, pause, error).await?;
        }
    }

    /// Waits before the next try, or gives the error back if there is none.
    pub(crate) async fn wait(
        &self,
        failures: &mut u32,
        asked: Option<Duration>,
        error: Error,
    ) -> Result<(), Error> {
        if error.is_transient() {
            self.wait_anyway(failures, asked, error).await
        } else {
            Err(error)
        }
    }

    /// The same for an error that only passes by in this place.
    pub(crate) async fn wait_anyway(
        &self,
        failures: &mut u32,
        asked: Option<Duration>,
        error: Error,
    ) -> Result<(), Error> {
        let settings = self.settings();
        let asked = match &error {
            Error::RateLimited { retry_after, .. } => *retry_after,
            _ => asked,
        };
        let is_too_long = asked.is_some_and(|pause| pause > settings.longest_pause);
        if *failures >= settings.retries || is_too_long {
            return Err(error);
        }
        let pause = asked.unwrap_or_else(|| pause(settings, *failures, random()));
        *failures += 1;
        tracing::warn!(
            host = host_of(&error),
            attempt = *failures,
            pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            error = %error,
            "asking the registry again"
        );
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Sends a request once, with the authorization that is known. `body` takes the place of the call's own.
    pub(crate) async fn send_once(
        &self,
        call: &Call<'_>,
        body: Option<reqwest::Body>,
    ) -> Result<Response, Error> {
        let endpoint = self.endpoint(call.repository)?;
        let mut request = self
            .client(&endpoint)
            .request(call.method.clone(), call.url.clone())
            .headers(call.headers.clone());
        // What is secret to the registry is told to nobody else, also not where an upload is to go.
        if is_same_server(&call.url, &endpoint.base) {
            let host = call.repository.host();
            if let Some(value) = self.inner.tokens.get(host, &call.scopes()) {
                request = request.header(AUTHORIZATION, value);
            }
        }
        let is_watched = body.is_some();
        match body {
            Some(body) => request = request.body(body),
            None if call.body.is_empty() => {
                if [Method::POST, Method::PUT].contains(&call.method) {
                    request = request.header(reqwest::header::CONTENT_LENGTH, 0);
                }
            }
            None => request = request.body(call.body.clone()),
        }
        let sent = request.send();
        let result = if is_watched {
            // Whoever sends a body watches it.
            sent.await
        } else {
            let patience = self.settings().patience;
            tokio::time::timeout(patience, sent)
                .await
                .map_err(|_| Error::Silent {
                    errand: call.errand(),
                    seconds: patience.as_secs(),
                })?
        };
        result.map_err(|source| Error::Unreachable {
            errand: call.errand(),
            source: source.without_url(),
        })
    }

    /// Gets what the registry wants to see, after it has answered 401.
    pub(crate) async fn prove(&self, call: &Call<'_>, response: Response) -> Result<(), Error> {
        let endpoint = self.endpoint(call.repository)?;
        let credentials = self.credentials(call).await?;
        // A server that we were sent to has no business with our credentials.
        let is_registry = is_same_server(response.url(), &endpoint.base);
        let wanted: Vec<Challenge> = response
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(challenges)
            .collect();
        let bearer = wanted.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service } => Some((realm, service)),
            Challenge::Basic => None,
        });
        let host = call.repository.host();
        let scopes = call.scopes();
        let tokens = &self.inner.tokens;
        match (&credentials, bearer) {
            _ if !is_registry => {}
            (Credentials::Bearer(token), _) => {
                tokens.keep(host, &scopes, token::bearer(token), None);
                return Ok(());
            }
            (_, Some((realm, service))) => {
                let service = Service {
                    realm,
                    name: service.as_deref(),
                    is_insecure: endpoint.base.scheme() == "http",
                };
                let client = self.client(&endpoint);
                let errand = call.errand();
                let fetch = service.token(client, &credentials, &scopes, &errand);
                let (token, life) = fetch.await?;
                tokens.keep(host, &scopes, token::bearer(&token), Some(life));
                return Ok(());
            }
            (Credentials::Basic { user, password }, None) if wanted.contains(&Challenge::Basic) => {
                tokens.keep(host, &scopes, token::basic(user, password), None);
                return Ok(());
            }
            _ => {}
        }
        Err(answer::error(response, call.errand(), credentials.who()).await)
    }

    /// Who we are in this call. Looked up once for each repository: helpers are slow and may ask their owner.
    async fn credentials(&self, call: &Call<'_>) -> Result<Credentials, Error> {
        let mut known = self.inner.credentials.lock().await;
        if let Some(known) = known.get(call.repository) {
            return Ok(known.clone());
        }
        let keychain = &self.settings().keychain;
        let found = keychain.credentials(call.repository).await;
        let found = found.map_err(|source| Error::Credentials {
            host: call.repository.host().to_owned(),
            source,
        })?;
        known.insert(call.repository.clone(), found.clone());
        Ok(found)
    }

    /// Who we are in this call, for messages.
    pub(crate) async fn who(&self, call: &Call<'_>) -> String {
        let known = self.inner.credentials.lock().await;
        known
            .get(call.repository)
            .map_or_else(|| "us".to_owned(), Credentials::who)
    }

    /// The error of an answer that the caller did not want.
    pub(crate) async fn unwanted(&self, call: &Call<'_>, response: Response) -> Error {
        let who = self.who(call).await;
        answer::error(response, call.errand(), who).await
    }
}

/// Redirects are followed for reading (blobs often lie with a cloud's storage), never from HTTPS to HTTP. reqwest leaves
/// the authorization out when the server changes.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let was_secure = attempt
        .previous()
        .last()
        .is_some_and(|url| url.scheme() == "https");
    if was_secure && attempt.url().scheme() != "https" {
        attempt.error("the redirect leaves HTTPS")
    } else if attempt.previous().len() > REDIRECTS {
        attempt.error("too many redirects")
    } else {
        attempt.follow()
    }
}

fn is_passing(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
}

/// The pause after `failures` failures: doubled each time, between a half and the whole of it by `random` (0 to 1), so
/// that many who failed together do not come back together.
fn pause(settings: &Settings, failures: u32, random: f64) -> Duration {
    let whole = settings
        .first_pause
        .saturating_mul(2_u32.saturating_pow(failures))
        .min(settings.longest_pause);
    whole.mul_f64(0.5 + random / 2.0)
}

/// Good enough to tell processes apart: the clock's last digits.
fn random() -> f64 {
    let nanoseconds = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    f64::from(nanoseconds % 1_000_000) / 1e6
}

fn host_of(error: &Error) -> &str {
    match error {
        Error::Unreachable { errand, .. }
        | Error::Silent { errand, .. }
        | Error::RateLimited { errand, .. }
        | Error::Refused { errand, .. }
        | Error::Fault { errand, .. } => &errand.host,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let settings = Settings {
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(6),
            ..Settings::default()
        };
        let seconds = |failures, random| pause(&settings, failures, random).as_secs_f64();
        assert!((seconds(0, 1.0) - 1.0).abs() < 1e-6);
        assert!((seconds(0, 0.0) - 0.5).abs() < 1e-6);
        assert!((seconds(2, 1.0) - 4.0).abs() < 1e-6);
        assert!((seconds(60, 1.0) - 6.0).abs() < 1e-6);
    }

    #[test]
    fn a_server_that_lacks_a_function_is_not_asked_again() {
        assert!(is_passing(StatusCode::BAD_GATEWAY));
        assert!(is_passing(StatusCode::TOO_MANY_REQUESTS));
        assert!(!is_passing(StatusCode::NOT_IMPLEMENTED));
        assert!(!is_passing(StatusCode::NOT_FOUND));
    }
}
