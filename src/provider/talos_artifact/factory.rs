//! Client of an Image Factory: schematics, versions, extensions, images.
//!
//! What it answers was read off image-factory v1.0.3 (`internal/frontend/http`); later versions add to
//! it.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use host::Secret;
use planner::talos_artifact::FactoryUrl;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::{fs::File, io::AsyncWriteExt};

use super::{images::Hashing, progress::Progress};
use crate::http;

/// How a factory is reached.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where it is.
    pub(crate) url: FactoryUrl,
    /// Who asks, where it wants to know. Sent to this factory only.
    pub(crate) credentials: Option<Credentials>,
    /// Certificates to trust beside the system's, in PEM.
    pub(crate) ca: Option<String>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    /// HTTP Basic.
    Basic { user: String, password: Secret },
    /// A bearer token.
    Token(Secret),
}

/// Why a factory did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It cannot be asked at all.
    #[error(transparent)]
    Client(#[from] http::Error),
    /// It does not answer, or stops in the middle.
    #[error("asking {url} failed")]
    Send { url: String, source: reqwest::Error },
    /// It answers with an error of its own.
    #[error("{url} answered {status}: {said}")]
    Status {
        url: String,
        status: StatusCode,
        /// Its words.
        said: String,
    },
    /// The answer has another form than it should.
    #[error("the answer of {url} is not understood: {why}")]
    Answer { url: String, why: String },
    /// It gave fewer or more bytes than it announced.
    #[error("{url} gave {got} bytes of {announced}")]
    Short {
        url: String,
        got: u64,
        announced: u64,
    },
    /// What was fetched cannot be kept.
    #[error("writing {path} failed")]
    Write { path: String, source: io::Error },
}

impl Error {
    /// Whether the same request may succeed a moment later: outages show as 500 and 503.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Send { source, .. } => !source.is_builder(),
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Short { .. } => true,
            Self::Client(_) | Self::Answer { .. } | Self::Write { .. } => false,
        }
    }

    /// Whether the factory is well and does not have, or does not take, what was asked for.
    pub(crate) fn is_of_wish(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                status.is_client_error() && !is_refusal(*status) && !self.is_transient()
            }
            _ => false,
        }
    }

    /// What to do next, as a sentence.
    pub(crate) fn hint(&self) -> String {
        let hint = match self {
            Self::Client(_) => "see that ca_file of the provider's factory block is in PEM.",
            Self::Send { .. } => {
                "see that this machine reaches the factory; factory { url = … } of the provider or \
                 factory_url names another one."
            }
            Self::Status { status, .. } if is_refusal(*status) => {
                "the factory wants a login: set username and password or token in the provider's factory \
                 block."
            }
            Self::Status { status, .. } if status.is_server_error() => {
                "the factory has a fault of its own; run apply again later."
            }
            Self::Status { .. } => {
                "compare version, platform and extensions with what the factory offers."
            }
            Self::Answer { .. } => "see that the URL leads to an Image Factory.",
            Self::Short { .. } => "run apply again: the image is fetched anew.",
            Self::Write { .. } => "see that there is space; XDG_CACHE_HOME names another place.",
        };
        hint.to_owned()
    }
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PAYMENT_REQUIRED
    )
}

/// An image on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// Bytes.
    pub(crate) size_bytes: u64,
    /// Lower-case hex.
    pub(crate) sha256: String,
}

/// What becomes of the bytes that are fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep<'a> {
    /// They are written to this file as they come; what is there is replaced. The size and the hash are
    /// those of the file.
    File(&'a Path),
    /// None of them is kept: only the hash is wanted.
    Nothing {
        /// They are packed with zstd, and what they hold is hashed.
        is_packed: bool,
    },
}

/// Where bytes go as they come.
enum Place {
    File {
        file: File,
        path: String,
        digest: Sha256,
        size_bytes: u64,
    },
    Plain(Hashing<io::Sink>),
    Packed(Box<zstd::stream::write::Decoder<'static, Hashing<io::Sink>>>),
}

impl Place {
    async fn open(to: Keep<'_>) -> Result<Self, Error> {
        let hashing = || Hashing::new(io::sink());
        match to {
            Keep::File(path) => {
                let path = (path, path.display().to_string());
                let file = File::create(path.0).await;
                Ok(Self::File {
                    file: file.map_err(|source| Error::Write {
                        path: path.1.clone(),
                        source,
                    })?,
                    path: path.1,
                    digest: Sha256::new(),
                    size_bytes: 0,
                })
            }
            Keep::Nothing { is_packed: false } => Ok(Self::Plain(hashing())),
            Keep::Nothing { is_packed: true } => {
                let decoder = zstd::stream::write::Decoder::new(hashing());
                Ok(Self::Packed(Box::new(
                    decoder.expect("a decoder needs memory only"),
                )))
            }
        }
    }

    async fn take(&mut self, piece: &[u8], url: &str) -> Result<(), Error> {
        match self {
            Self::File {
                file,
                path,
                digest,
                size_bytes,
            } => {
                digest.update(piece);
                *size_bytes += piece.len() as u64;
                file.write_all(piece).await.map_err(|source| Error::Write {
                    path: path.clone(),
                    source,
                })
            }
            Self::Plain(hashing) => {
                hashing.write_all(piece).expect("nothing is written");
                Ok(())
            }
            Self::Packed(decoder) => decoder.write_all(piece).map_err(|error| Error::Answer {
                url: url.to_owned(),
                why: format!("it is not packed with zstd: {error}"),
            }),
        }
    }

    async fn end(self) -> Result<Fetched, Error> {
        match self {
            Self::File {
                mut file,
                path,
                digest,
                size_bytes,
            } => {
                file.flush()
                    .await
                    .map_err(|source| Error::Write { path, source })?;
                Ok(Fetched {
                    size_bytes,
                    sha256: hex::encode(digest.finalize()),
                })
            }
            Self::Plain(hashing) => Ok(hashing.end()),
            Self::Packed(mut decoder) => {
                decoder.flush().expect("nothing is written");
                Ok(decoder.into_inner().end())
            }
        }
    }
}

/// One factory.
#[derive(Clone, Debug)]
pub(crate) struct Factory {
    client: reqwest::Client,
    settings: Settings,
}

/// Silence that a question bears.
const ANSWER: Duration = Duration::from_secs(20);
/// Silence that an image bears: the factory builds it first, for up to 20 minutes (v1.0.3,
/// `internal/asset/builder.go`).
const BUILD: Duration = Duration::from_mins(21);
/// Tries of a question, and the pause after the first one; each further pause is twice as long.
const TRIES: (u32, Duration) = (4, Duration::from_millis(250));
/// Longest error text that is repeated, in bytes.
const SAID: usize = 500;
/// Longest answer that is read, in bytes. The lists of a factory have some ten thousand.
const ANSWERED: usize = 8 * 1024 * 1024;

#[derive(Deserialize)]
struct Created {
    id: String,
}

/// An extension or an overlay.
#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Factory {
    /// # Errors
    /// The certificates cannot be read.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(Self {
            client: http::client(BUILD, settings.ca.as_deref())?,
            settings: settings.clone(),
        })
    }

    /// Registers a schematic; the factory's id of it, which is another one than ours where it knows who
    /// asks.
    pub(crate) async fn ensure_schematic(&self, canonical: &str) -> Result<String, Error> {
        let (url, response) = self
            .ask(Method::POST, "/schematics", Some(canonical))
            .await?;
        let created: Created = json(&url, response).await?;
        Ok(created.id)
    }

    /// Whether it knows a schematic.
    pub(crate) async fn knows(&self, id: &str) -> Result<bool, Error> {
        let asked = self
            .ask(Method::GET, &format!("/schematics/{id}"), None)
            .await;
        match asked {
            Ok(_) => Ok(true),
            Err(Error::Status { status, .. }) if status == StatusCode::NOT_FOUND => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Talos versions that it offers, ascending.
    pub(crate) async fn versions(&self) -> Result<Vec<String>, Error> {
        let (url, response) = self.ask(Method::GET, "/versions", None).await?;
        json(&url, response).await
    }

    /// Names of the official extensions for a Talos version.
    pub(crate) async fn extensions(&self, version: &str) -> Result<Vec<String>, Error> {
        self.official("extensions", version).await
    }

    /// Names of the official overlays for a Talos version.
    pub(crate) async fn overlays(&self, version: &str) -> Result<Vec<String>, Error> {
        self.official("overlays", version).await
    }

    async fn official(&self, what: &str, version: &str) -> Result<Vec<String>, Error> {
        let path = format!("/version/{version}/{what}/official");
        let (url, response) = self.ask(Method::GET, &path, None).await?;
        let found: Vec<Named> = json(&url, response).await?;
        Ok(found.into_iter().map(|found| found.name).collect())
    }

    /// Fetches an image, which the factory builds first if nobody asked for it before. A transfer that
    /// breaks off is begun anew.
    pub(crate) async fn fetch(
        &self,
        path: &str,
        to: Keep<'_>,
        progress: &Progress,
    ) -> Result<Fetched, Error> {
        let (most, mut pause) = TRIES;
        let mut tried = 1;
        loop {
            match self.fetch_once(path, to, progress).await {
                Err(error) if error.is_transient() && tried < most => {
                    tracing::warn!(attempt = tried, error = %error, "the image is fetched anew");
                    tokio::time::sleep(pause).await;
                    tried += 1;
                    pause *= 2;
                }
                result => return result,
            }
        }
    }

    async fn fetch_once(
        &self,
        path: &str,
        to: Keep<'_>,
        progress: &Progress,
    ) -> Result<Fetched, Error> {
        let (url, mut response) = self.send(Method::GET, path, None, None).await?;
        let announced = response.content_length();
        let mut place = Place::open(to).await?;
        let mut size_bytes = 0;
        while let Some(piece) = response.chunk().await.map_err(|source| Error::Send {
            url: url.clone(),
            source: source.without_url(),
        })? {
            size_bytes += piece.len() as u64;
            place.take(&piece, &url).await?;
            progress.at(size_bytes, announced);
        }
        match announced {
            // A factory whose own work was cut off answers with nothing.
            None if size_bytes == 0 => Err(Error::Short {
                url,
                got: 0,
                announced: 0,
            }),
            Some(announced) if announced != size_bytes => Err(Error::Short {
                url,
                got: size_bytes,
                announced,
            }),
            _ => place.end().await,
        }
    }

    /// A question with an answer at once; asked again while the factory has a fault of its own.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<(String, Response), Error> {
        let (most, mut pause) = TRIES;
        let mut tried = 1;
        loop {
            match self.send(method.clone(), path, body, Some(ANSWER)).await {
                Err(error) if error.is_transient() && tried < most => {
                    tracing::debug!(attempt = tried, error = %error, "the factory is asked again");
                    tokio::time::sleep(pause).await;
                    tried += 1;
                    pause *= 2;
                }
                result => return result,
            }
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&str>,
        limit: Option<Duration>,
    ) -> Result<(String, Response), Error> {
        let url = format!("{}{path}", self.settings.url.as_str());
        let mut request = self.login(self.client.request(method, &url));
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        if let Some(limit) = limit {
            request = request.timeout(limit);
        }
        let response = request.send().await.map_err(|source| Error::Send {
            url: url.clone(),
            source: source.without_url(),
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok((url, response));
        }
        // Whatever it goes on to say: the status has said enough.
        let (said, _) = http::beginning(response, SAID).await;
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        Err(Error::Status { url, status, said })
    }

    fn login(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.settings.credentials {
            None => request,
            Some(Credentials::Basic { user, password }) => {
                request.basic_auth(user, Some(password.expose()))
            }
            Some(Credentials::Token(token)) => request.bearer_auth(token.expose()),
        }
    }
}

async fn json<T: serde::de::DeserializeOwned>(url: &str, response: Response) -> Result<T, Error> {
    let not_understood = |why: &dyn std::fmt::Display| {
        let mut text = String::new();
        let _ = write!(text, "{why}");
        Error::Answer {
            url: url.to_owned(),
            why: text,
        }
    };
    let (text, end) = http::beginning(response, ANSWERED).await;
    match end {
        http::End::Whole => {}
        http::End::Cut => return Err(not_understood(&"it is too long")),
        http::End::Broken(error) => return Err(not_understood(&error.without_url())),
    }
    serde_json::from_slice(&text).map_err(|error| not_understood(&error))
}
