//! Where archives come from, and the one HTTP client that fetches them.

use std::{path::PathBuf, time::Duration};

use reqwest::{Method, StatusCode};

use super::{Error, Release, patience::Patience};
use crate::http;

/// Where archives come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The projects' own release pages.
    Upstream,
    /// A web server with the layout of [`Release::mirror_path`]; without a slash at the end.
    Mirror(String),
    /// A directory on the controller with the same layout.
    Directory(PathBuf),
}

impl Source {
    /// Reads the `mirror` attribute: a URL, or else a directory.
    pub(crate) fn parse(mirror: &str) -> Self {
        if mirror.starts_with("https://") || mirror.starts_with("http://") {
            Self::Mirror(mirror.trim_end_matches('/').to_owned())
        } else {
            Self::Directory(PathBuf::from(
                mirror.strip_prefix("file://").unwrap_or(mirror),
            ))
        }
    }

    pub(super) fn url(&self, release: &Release) -> String {
        match self {
            Self::Mirror(base) => format!("{base}/{}", release.mirror_path()),
            _ => format!("{}/{}", release.upstream_folder(), release.file_name()),
        }
    }

    pub(super) fn checksum_url(&self, release: &Release) -> String {
        match self {
            Self::Mirror(base) => format!("{base}/{}", release.mirror_checksum_path()),
            _ => format!(
                "{}/{}",
                release.upstream_folder(),
                release.checksum_file_name()
            ),
        }
    }
}

/// A slow mirror is fine, a silent one is not.
const SILENCE: Duration = Duration::from_secs(30);

pub(super) fn client() -> Result<reqwest::Client, http::Error> {
    http::client(SILENCE, None)
}

/// Asks whether there is something at `url`.
pub(super) async fn head(client: &reqwest::Client, url: &str) -> Result<(), Error> {
    let mut patience = Patience::new();
    loop {
        match ask(client, Method::HEAD, url).await {
            Ok(_) => return Ok(()),
            Err(error) => patience.bear(error).await?,
        }
    }
}

/// The text at `url`.
pub(super) async fn text(client: &reqwest::Client, url: &str) -> Result<String, Error> {
    let mut patience = Patience::new();
    loop {
        let text = match ask(client, Method::GET, url).await {
            Ok(response) => response.text().await.map_err(|error| failed(url, error)),
            Err(error) => Err(error),
        };
        match text {
            Ok(text) => return Ok(text),
            Err(error) => patience.bear(error).await?,
        }
    }
}

pub(super) fn failed(url: &str, source: reqwest::Error) -> Error {
    Error::Fetch {
        place: url.to_owned(),
        source,
    }
}

/// Asks once; the body of the answer is still to be read.
pub(super) async fn ask(
    client: &reqwest::Client,
    method: Method,
    url: &str,
) -> Result<reqwest::Response, Error> {
    let request = client.request(method, url);
    let response = request.send().await.map_err(|error| failed(url, error))?;
    match response.status() {
        status if status.is_success() => Ok(response),
        StatusCode::NOT_FOUND => Err(Error::NoSuchRelease {
            place: url.to_owned(),
        }),
        status => Err(Error::Status {
            place: url.to_owned(),
            status: status.as_u16(),
        }),
    }
}
