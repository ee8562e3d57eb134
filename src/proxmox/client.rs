//! The connection to a cluster: endpoints, login, retries.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use reqwest::{Method, Url, header, redirect};
use tokio::time::Instant;
use tracing::debug;

use crate::{
    Error, Kind, Setting, Settings,
    answer::{self, Answer},
    body::FileBody,
    call::Call,
    login::{Login, Pass, TicketAnswer},
    refusal::About,
    trust,
};

/// Client of one cluster. Cheap to clone; clones share login and connections.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    login: Login,
    endpoint: Endpoint,
    nodes: BTreeMap<String, Endpoint>,
}

/// One address of the API.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// `https://HOST:PORT`, without a slash at the end.
    pub(crate) base: String,
    calls: reqwest::Client,
    /// Each upload has a connection of its own: an idle one may be closed by the server at the very
    /// moment, and a streamed body cannot be sent again.
    uploads: reqwest::Client,
}

/// pveproxy closes a connection that was idle for 5 s (pve-http-server, `src/PVE/APIServer/AnyEvent.pm`).
const IDLE: Duration = Duration::from_secs(3);

impl Client {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// [`Kind::Settings`].
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let failed = |endpoint: &str, kind| Error::new("set up the client", endpoint, kind);
        let open =
            |address: &str| Endpoint::new(address, &settings).map_err(|kind| failed(address, kind));
        let endpoint = open(&settings.endpoint)?;
        let nodes = settings
            .node_endpoints
            .iter()
            .map(|(node, address)| Ok((node.clone(), open(address)?)))
            .collect::<Result<_, Error>>()?;
        let login = Login::new(settings.credentials.clone())
            .map_err(|kind| failed(&settings.endpoint, kind))?;
        Ok(Self {
            shared: Arc::new(Shared {
                settings,
                login,
                endpoint,
                nodes,
            }),
        })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Where a node is reached: directly if that is configured, else through the cluster's endpoint.
    pub(crate) fn endpoint(&self, node: Option<&str>) -> &Endpoint {
        node.and_then(|node| self.shared.nodes.get(node))
            .unwrap_or(&self.shared.endpoint)
    }

    /// Whether calls for this node go to the node itself.
    pub(crate) fn is_direct(&self, node: &str) -> bool {
        self.shared.nodes.contains_key(node)
    }

    /// A failure of something that is asked of `node`.
    pub(crate) fn error(&self, doing: impl Into<String>, node: Option<&str>, kind: Kind) -> Error {
        Error::new(doing, &self.endpoint(node).base, kind)
    }

    /// A call that changes nothing: repeated with growing delays while the fault may go away.
    pub(crate) async fn read(&self, call: &Call<'_>) -> Result<Answer, Error> {
        let pace = self.settings().pace;
        let mut delays = pace.delays();
        let mut attempt = 1;
        loop {
            match self.send(call).await {
                Err(error) if error.is_transient() && attempt < pace.attempts => {
                    debug!(attempt, error = %error.kind(), path = %call.path, "call is repeated");
                    attempt += 1;
                    delays.wait().await;
                }
                result => return result,
            }
        }
    }

    /// A call that changes something: repeated only if no connection came about.
    pub(crate) async fn write(&self, call: &Call<'_>) -> Result<Answer, Error> {
        let pace = self.settings().pace;
        let mut delays = pace.delays();
        let mut attempt = 1;
        loop {
            match self.send(call).await {
                Err(error)
                    if attempt < pace.attempts
                        && matches!(
                            error.kind(),
                            Kind::Unreachable {
                                connected: false,
                                ..
                            }
                        ) =>
                {
                    attempt += 1;
                    delays.wait().await;
                }
                result => return result,
            }
        }
    }

    async fn send(&self, call: &Call<'_>) -> Result<Answer, Error> {
        let endpoint = self.endpoint(call.node);
        let failed = |kind| Error::new(&call.doing, &endpoint.base, kind);
        let mut refused: Option<Pass> = None;
        loop {
            let pass = self.pass(call.node, refused.as_ref()).await?;
            let headers = pass.headers();
            let form = call.form.clone();
            let result = self
                .exchange(
                    endpoint,
                    &call.method,
                    &call.path,
                    headers,
                    form,
                    call.about,
                )
                .await
                .map_err(failed)?;
            match result {
                Err(Kind::Unauthorized { .. }) if refused.is_none() && pass.is_renewable() => {
                    refused = Some(pass);
                }
                Err(Kind::Unauthorized { said }) if refused.is_some() => {
                    return Err(failed(Kind::Expired { said }));
                }
                result => return result.map_err(failed),
            }
        }
    }

    /// What authenticates the next request to `node`, other than `refused`.
    pub(crate) async fn pass(
        &self,
        node: Option<&str>,
        refused: Option<&Pass>,
    ) -> Result<Pass, Error> {
        let endpoint = self.endpoint(node);
        let login = async |form: String| {
            let answer = self
                .exchange(
                    endpoint,
                    &Method::POST,
                    "/access/ticket",
                    header::HeaderMap::new(),
                    Some(form),
                    About::default(),
                )
                .await??;
            answer.read::<TicketAnswer>()
        };
        self.shared
            .login
            .pass(refused, login)
            .await
            .map_err(|kind: Kind| Error::new("log in", &endpoint.base, kind))
    }

    /// One request and its answer. The outer error is the connection's.
    async fn exchange(
        &self,
        endpoint: &Endpoint,
        method: &Method,
        path: &str,
        headers: header::HeaderMap,
        form: Option<String>,
        about: About<'_>,
    ) -> Result<Result<Answer, Kind>, Kind> {
        let begun = Instant::now();
        let timeout = self.settings().answer_timeout;
        let mut request = endpoint
            .calls
            .request(method.clone(), endpoint.url(path))
            .headers(headers)
            .timeout(timeout);
        if let Some(form) = form {
            request = request
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form);
        }
        let unreachable = |error: reqwest::Error| connection_kind(&error, timeout);
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let result = answer::receive(response, about)
            .await
            .map_err(unreachable)?;
        debug!(
            %method,
            path,
            status,
            endpoint = %endpoint.base,
            elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "call"
        );
        Ok(result)
    }

    /// Sends a form with a file. The outer error is the connection's.
    pub(crate) async fn send_file(
        &self,
        node: &str,
        path: &str,
        pass: &Pass,
        body: FileBody,
        about: About<'_>,
    ) -> Result<Result<Answer, Kind>, Kind> {
        let endpoint = self.endpoint(Some(node));
        let never = Duration::MAX;
        let response = endpoint
            .uploads
            .post(endpoint.url(path))
            .headers(pass.headers())
            .header(header::CONTENT_TYPE, body.content_type())
            .body(reqwest::Body::wrap(body))
            .send()
            .await
            .map_err(|error| connection_kind(&error, never))?;
        answer::receive(response, about)
            .await
            .map_err(|error| connection_kind(&error, never))
    }
}

impl Endpoint {
    fn new(address: &str, settings: &Settings) -> Result<Self, Kind> {
        let unusable = |said: String| Kind::Settings {
            setting: Setting::Endpoint,
            said,
        };
        let url = Url::parse(address)
            .map_err(|error| unusable(format!("{address:?} is not an endpoint: {error}")))?;
        if url.scheme() != "https" {
            return Err(unusable(format!(
                "{address:?} is not an endpoint: it has the form https://HOST:8006"
            )));
        }
        let base = url.origin().ascii_serialization();
        let build = |idle| {
            let mut builder = reqwest::Client::builder()
                .http1_only()
                .connect_timeout(settings.connect_timeout)
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(idle)
                .redirect(redirect::Policy::none())
                .user_agent(&settings.user_agent)
                .tls_backend_preconfigured(trust::config(&settings.trust)?)
                .hickory_dns(true);
            if is_loopback(&url) {
                builder = builder.no_proxy();
            }
            builder.build().map_err(|error| unusable(chain(&error)))
        };
        Ok(Self {
            base,
            calls: build(8)?,
            uploads: build(0)?,
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api2/json{path}", self.base)
    }
}

/// What comes over the loopback never goes through a proxy, as with other clients.
fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn connection_kind(error: &reqwest::Error, timeout: Duration) -> Kind {
    if let Some(untrusted) = trust::verdict(error) {
        return untrusted.into();
    }
    let connected = !error.is_connect();
    let said = if connected && error.is_timeout() {
        format!("nothing within {} s", timeout.as_secs())
    } else {
        chain(error)
    };
    Kind::Unreachable { said, connected }
}

/// The innermost reasons, without the URL and the library's own frames.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = error.source().or(Some(error));
    while let Some(error) = next {
        let text = error.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}
