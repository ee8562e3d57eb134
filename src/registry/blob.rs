//! Blobs: content without a meaning of its own, by digest (distribution-spec, "Pulling blobs", "Pushing a blob").

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{
    Method, Response, StatusCode, Url,
    header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, RANGE},
};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::{
    answer,
    client::{Call, Registries},
    content::{Content, Slot},
    digest::Hasher,
    endpoint::is_same_server,
    error::{Errand, Error},
    manifest::Descriptor,
    progress::{Meter, Progress},
    reference::Repository,
    token::Access,
};

/// Times that a sent body is looked at while the connection may be silent.
const LOOKS: u32 = 20;

/// A blob that is being read.
pub(crate) struct Opened {
    response: Response,
    pub(crate) errand: Errand,
    /// Bytes before the place that was asked for, which a server without ranges sends too.
    skip: u64,
}

impl Opened {
    /// The next bytes; nothing at the end.
    pub(crate) async fn piece(
        &mut self,
        errand: &Errand,
        patience: Duration,
    ) -> Result<Option<Bytes>, Error> {
        loop {
            let piece = tokio::time::timeout(patience, self.response.chunk())
                .await
                .map_err(|_| Error::Silent {
                    errand: errand.clone(),
                    seconds: patience.as_secs(),
                })?
                .map_err(|source| Error::Unreachable {
                    errand: errand.clone(),
                    source: source.without_url(),
                })?;
            let Some(mut piece) = piece else {
                return Ok(None);
            };
            if self.skip == 0 {
                return Ok(Some(piece));
            }
            let cut = usize::try_from(self.skip).map_or(piece.len(), |skip| skip.min(piece.len()));
            self.skip -= cut as u64;
            let rest = piece.split_off(cut);
            if !rest.is_empty() {
                return Ok(Some(rest));
            }
        }
    }
}

impl Registries {
    /// Whether the repository holds the blob.
    pub(crate) async fn has_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        access: Access,
    ) -> Result<bool, Error> {
        let url = self.url(repository, &format!("blobs/{}", descriptor.digest))?;
        let what = format!("look for {repository}@{}", descriptor.digest);
        let call = Call::new(Method::HEAD, url, repository, access, what);
        let response = self.send(&call).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.unwanted(&call, response).await),
        }
    }

    /// Begins to read a blob at `offset`.
    pub(crate) async fn open(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<Opened, Error> {
        let url = self.url(repository, &format!("blobs/{}", descriptor.digest))?;
        let what = format!("read {repository}@{}", descriptor.digest);
        let mut call = Call::new(Method::GET, url, repository, Access::Pull, what);
        if offset > 0 {
            let range = format!("bytes={offset}-");
            let range = HeaderValue::from_str(&range).expect("digits fit a header");
            call.headers.insert(RANGE, range);
        }
        let response = self.send(&call).await?;
        let errand = call.errand();
        let skip = match response.status() {
            StatusCode::OK => offset,
            StatusCode::PARTIAL_CONTENT => 0,
            _ => return Err(self.unwanted(&call, response).await),
        };
        Ok(Opened {
            response,
            errand,
            skip,
        })
    }

    /// Writes the blob to `writer`, in pieces, and checks that it is the one that was asked for. A broken connection is
    /// taken up where it broke. What was written before an error must not be used.
    pub async fn pull_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        writer: &mut (impl AsyncWrite + Unpin + Send),
        progress: &Progress,
    ) -> Result<(), Error> {
        let meter = Meter::new(progress, descriptor.size);
        let mut hasher = Hasher::new();
        let mut received = 0;
        let mut failures = 0;
        let errand = loop {
            let before = received;
            let mut opened = self.open(repository, descriptor, received).await?;
            let errand = opened.errand.clone();
            let result: Result<(), Error> = async {
                while let Some(piece) = opened.piece(&errand, self.settings().patience).await? {
                    received += piece.len() as u64;
                    if received > descriptor.size {
                        return Err(mismatch(&errand, descriptor, "more bytes".to_owned()));
                    }
                    hasher.update(&piece);
                    writer
                        .write_all(&piece)
                        .await
                        .map_err(|source| Error::Write {
                            errand: errand.clone(),
                            source,
                        })?;
                    meter.add(piece.len() as u64);
                }
                Ok(())
            }
            .await;
            match result {
                Ok(()) => break errand,
                Err(error) => {
                    if received > before {
                        failures = 0;
                    }
                    self.wait(&mut failures, None, error).await?;
                }
            }
        };
        writer.flush().await.map_err(|source| Error::Write {
            errand: errand.clone(),
            source,
        })?;
        let found = hasher.finish();
        if received != descriptor.size || found != descriptor.digest {
            return Err(mismatch(&errand, descriptor, found.to_string()));
        }
        Ok(())
    }

    /// Sees to it that the repository holds the blob: it is there, or taken from the repository `near` of the same
    /// registry, or sent. A broken connection is taken up where it broke, if the registry can, else from the start.
    pub(crate) async fn push_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        content: &Content,
        near: Option<&Repository>,
        meter: &Arc<Meter>,
    ) -> Result<(), Error> {
        let mut failures = 0;
        loop {
            meter.set(0);
            if self.has_blob(repository, descriptor, Access::Push).await? {
                break;
            }
            let Some(location) = self.begin(repository, descriptor, near).await? else {
                break;
            };
            let mut upload = Upload {
                registries: self,
                repository,
                descriptor,
                content,
                meter,
                location,
            };
            match upload.run(&mut failures).await {
                Ok(()) => break,
                Err(Broken::Restart(error)) => {
                    upload.cancel().await;
                    self.wait_anyway(&mut failures, None, error).await?;
                }
                Err(Broken::Anew) => upload.cancel().await,
                Err(Broken::Finally(error)) => {
                    upload.cancel().await;
                    return Err(error);
                }
            }
        }
        meter.finish(descriptor.size);
        Ok(())
    }

    /// Begins an upload. Nothing if the registry took the blob from `near`.
    async fn begin(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        near: Option<&Repository>,
    ) -> Result<Option<Url>, Error> {
        let near = near.filter(|near| near.host() == repository.host());
        let url = |near: Option<&Repository>| -> Result<Url, Error> {
            let mut url = self.url(repository, "blobs/uploads/")?;
            if let Some(near) = near {
                url.query_pairs_mut()
                    .append_pair("mount", &descriptor.digest.to_string())
                    .append_pair("from", near.name());
            }
            Ok(url)
        };
        let what = format!("begin to send {} to {repository}", descriptor.digest);
        let mut call = Call::new(Method::POST, url(near)?, repository, Access::Push, what);
        call.also = near;
        let mut result = self.send(&call).await;
        let is_refused = match &result {
            Ok(response) => response.status().is_client_error(),
            Err(error) => matches!(error, Error::Unauthorised { .. } | Error::Denied { .. }),
        };
        // Some registries refuse a mount that they cannot or may not do, where they should begin an upload.
        if near.is_some() && is_refused {
            call.url = url(None)?;
            call.also = None;
            result = self.send(&call).await;
        }
        let response = result?;
        match response.status() {
            StatusCode::CREATED => Ok(None),
            StatusCode::ACCEPTED => location(&call, &response).map(Some),
            _ => Err(self.unwanted(&call, response).await),
        }
    }
}

/// Where an upload goes on: may be relative and carries a state of the registry's own, so it is only completed.
fn location(call: &Call<'_>, response: &Response) -> Result<Url, Error> {
    let wrong = |what: &str| Error::Protocol {
        errand: call.errand(),
        what: what.to_owned(),
    };
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| wrong("it begins an upload without a Location"))?;
    let base = response.url();
    let mut url = base
        .join(location)
        .map_err(|_| wrong("the Location of the upload is no URL"))?;
    if base.scheme() == "https" && url.scheme() == "http" {
        // A registry behind a proxy that it does not know of.
        let mut secure = url.clone();
        let is_same = secure.set_scheme("https").is_ok() && is_same_server(&secure, base);
        if !is_same {
            return Err(wrong("the Location of the upload leaves HTTPS"));
        }
        url = secure;
    }
    Ok(url)
}

fn mismatch(errand: &Errand, descriptor: &Descriptor, found: String) -> Error {
    Error::DigestMismatch {
        errand: errand.clone(),
        wanted: descriptor.digest,
        found,
    }
}

/// Why an upload did not come to its end.
enum Broken {
    /// It may be begun anew after a pause.
    Restart(Error),
    /// It is to be begun anew.
    Anew,
    /// There is no use in it.
    Finally(Error),
}

/// Whether the registry has another number of bytes than was thought, or has forgotten the upload.
fn is_gap(error: &Error) -> bool {
    matches!(
        error,
        Error::Refused { status: 416, .. } | Error::NotFound { .. }
    )
}

/// An upload that has begun.
struct Upload<'a> {
    registries: &'a Registries,
    repository: &'a Repository,
    descriptor: &'a Descriptor,
    content: &'a Content,
    meter: &'a Arc<Meter>,
    location: Url,
}

impl Upload<'_> {
    /// Sends the bytes as docker does: one PATCH with all of them, then PUT with the digest. It is the one way that every
    /// registry has to know.
    async fn run(&mut self, failures: &mut u32) -> Result<(), Broken> {
        let mut offset = 0;
        while let Err(error) = self.send_from(offset).await {
            let is_gap = offset > 0 && is_gap(&error);
            if !is_gap && !error.is_transient() {
                return Err(Broken::Finally(error));
            }
            let text = error.to_string();
            // Before it is asked: it may still be writing what arrived before the break.
            let waited = self.registries.wait_anyway(failures, None, error).await;
            waited.map_err(Broken::Finally)?;
            let Some(reached) = self.reached().await else {
                tracing::debug!(
                    host = self.repository.host(),
                    error = text,
                    "an upload begins anew"
                );
                return Err(Broken::Anew);
            };
            if reached > offset {
                *failures = 0;
            }
            offset = reached;
            self.meter.set(offset);
        }
        self.finish().await.map_err(|error| {
            if error.is_transient() {
                Broken::Restart(error)
            } else {
                Broken::Finally(error)
            }
        })
    }

    fn call(&self, method: Method, what: &str) -> Call<'_> {
        Call::new(
            method,
            self.location.clone(),
            self.repository,
            Access::Push,
            format!("{what} {} to {}", self.descriptor.digest, self.repository),
        )
    }

    /// Sends the bytes from `offset` to the end.
    async fn send_from(&mut self, offset: u64) -> Result<(), Error> {
        let size = self.descriptor.size;
        let mut call = self.call(Method::PATCH, "send");
        let number = |number: u64| HeaderValue::from(number);
        let stream = HeaderValue::from_static("application/octet-stream");
        call.headers.insert(CONTENT_TYPE, stream);
        call.headers.insert(CONTENT_LENGTH, number(size - offset));
        if offset > 0 {
            let range = format!("{offset}-{}", size.saturating_sub(1));
            let range = HeaderValue::from_str(&range).expect("digits fit a header");
            call.headers.insert(CONTENT_RANGE, range);
        }
        let slot = Slot::default();
        let meter = self.meter.clone();
        let body = self
            .content
            .body(self.descriptor, offset, meter, slot.clone())
            .await?;
        let sent = self.registries.send_once(&call, Some(body));
        let result = self.watch(&call, sent).await;
        if let Some(error) = slot.lock().expect("no panic while it is locked").take() {
            return Err(error);
        }
        let response = result?;
        match response.status() {
            StatusCode::ACCEPTED | StatusCode::CREATED | StatusCode::NO_CONTENT => {
                let location = location(&call, &response)?;
                self.location = location;
                Ok(())
            }
            _ => Err(self.registries.unwanted(&call, response).await),
        }
    }

    /// Waits for an answer as long as bytes move.
    async fn watch(
        &self,
        call: &Call<'_>,
        sent: impl Future<Output = Result<Response, Error>>,
    ) -> Result<Response, Error> {
        let patience = self.registries.settings().patience;
        let mut sent = Box::pin(sent);
        let mut done = self.meter.done();
        let mut looks = 0;
        loop {
            if let Ok(result) = tokio::time::timeout(patience / LOOKS, &mut sent).await {
                return result;
            }
            looks += 1;
            if self.meter.done() != done {
                done = self.meter.done();
                looks = 0;
            }
            if looks >= LOOKS {
                return Err(Error::Silent {
                    errand: call.errand(),
                    seconds: patience.as_secs(),
                });
            }
        }
    }

    /// How many bytes the registry has of a broken upload; nothing if it does not say so.
    async fn reached(&mut self) -> Option<u64> {
        let call = self.call(Method::GET, "ask how much has arrived of");
        let response = self.registries.send(&call).await.ok()?;
        if response.status() != StatusCode::NO_CONTENT {
            return None;
        }
        let range = response.headers().get(RANGE)?.to_str().ok()?;
        // `0-0` stands for both no byte and one byte.
        let reached = reached(range)?;
        let location = location(&call, &response).ok()?;
        self.location = location;
        (reached <= self.descriptor.size).then_some(reached)
    }

    async fn finish(&self) -> Result<(), Error> {
        let mut call = self.call(Method::PUT, "send");
        call.url
            .query_pairs_mut()
            .append_pair("digest", &self.descriptor.digest.to_string());
        let response = self.registries.send(&call).await?;
        if response.status().is_success() {
            return Ok(());
        }
        let status = response.status();
        let retry_after = answer::retry_after(response.headers());
        let refusal = answer::refusal(response).await;
        if refusal.has("DIGEST_INVALID") || refusal.has("SIZE_INVALID") {
            return Err(mismatch(&call.errand(), self.descriptor, refusal.message));
        }
        let who = self.registries.who(&call).await;
        let errand = call.errand();
        Err(answer::of_refusal(
            status,
            retry_after,
            refusal,
            errand,
            who,
        ))
    }

    /// Leaves nothing half there. If this fails too, the registry clears it away some day.
    async fn cancel(&self) {
        let call = self.call(Method::DELETE, "give up to send");
        let cancelled = self.registries.send_once(&call, None).await;
        tracing::debug!(
            host = self.repository.host(),
            is_cancelled = cancelled.is_ok_and(|response| response.status().is_success()),
            "gave up an upload"
        );
    }
}

/// The number of bytes of a range `0-<last byte>`; nothing if that is not clear.
fn reached(range: &str) -> Option<u64> {
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let last: u64 = range.strip_prefix("0-")?.trim().parse().ok()?;
    (last > 0).then(|| last + 1)
}

#[cfg(test)]
mod tests {
    use super::reached;

    #[test]
    fn knows_how_much_has_arrived() {
        assert_eq!(reached("0-99"), Some(100));
        assert_eq!(reached("bytes=0-1"), Some(2));
        for unclear in ["0-0", "1-2", "", "0-", "x"] {
            assert_eq!(reached(unclear), None, "{unclear}");
        }
    }
}
