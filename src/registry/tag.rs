//! Manifests by tag and by digest: looking, reading, putting, removing.

use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::Deserialize;

use crate::{
    answer,
    client::{Call, Registries},
    digest::Digest,
    error::Error,
    manifest::{Manifest, media_type},
    reference::{Reference, Repository},
    token::Access,
};

/// Largest manifest that is read; registries accept 4 MiB everywhere (distribution-spec, "Pushing Manifests").
const LARGEST_MANIFEST: usize = 8 * 1024 * 1024;
/// Pages of a list of tags that are read at most.
const PAGES: usize = 1000;

/// What a tag holds, as far as one look tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Digest of the manifest.
    pub digest: Digest,
    /// Type of the manifest.
    pub media_type: Option<String>,
    /// Size of the manifest itself, not of the image.
    pub size_bytes: Option<u64>,
}

/// What came of removing a tag or manifest. None of these is a failure of what was asked: the name is the user's to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Done,
    /// It was not there.
    Absent,
    /// It holds something else meanwhile, so it was left alone.
    Moved(Digest),
    /// The registry does not remove (this kind of) things; it says this.
    Disabled(String),
}

impl Registries {
    /// What the reference holds; nothing if it is not there. Anything else than these two is an error.
    pub async fn look(&self, reference: &Reference) -> Result<Option<Found>, Error> {
        self.look_with(reference, Access::Pull).await
    }

    pub(crate) async fn look_with(
        &self,
        reference: &Reference,
        access: Access,
    ) -> Result<Option<Found>, Error> {
        let call = self.manifest_call(Method::HEAD, reference, access, "look at")?;
        let response = self.send(&call).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(self.unwanted(&call, response).await),
        }
        let text = |name: &reqwest::header::HeaderName| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        if let Some(digest) = digest_of(response.headers()) {
            if let Some(wanted) = reference.digest().filter(|wanted| *wanted != digest) {
                return Err(Error::DigestMismatch {
                    errand: call.errand(),
                    wanted,
                    found: digest.to_string(),
                });
            }
            return Ok(Some(Found {
                digest,
                media_type: text(&CONTENT_TYPE),
                size_bytes: text(&CONTENT_LENGTH).and_then(|size| size.parse().ok()),
            }));
        }
        // Not every registry says the digest; then the manifest itself does.
        let manifest = self.read_with(reference, access).await?;
        Ok(manifest.map(|manifest| Found {
            digest: manifest.digest(),
            size_bytes: Some(manifest.bytes.len() as u64),
            media_type: Some(manifest.media_type),
        }))
    }

    /// The manifest; nothing if it is not there.
    pub async fn read(&self, reference: &Reference) -> Result<Option<Manifest>, Error> {
        self.read_with(reference, Access::Pull).await
    }

    pub(crate) async fn read_with(
        &self,
        reference: &Reference,
        access: Access,
    ) -> Result<Option<Manifest>, Error> {
        let call = self.manifest_call(Method::GET, reference, access, "read")?;
        let mut failures = 0;
        loop {
            let mut response = self.send(&call).await?;
            match response.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Ok(None),
                _ => return Err(self.unwanted(&call, response).await),
            }
            let headers = response.headers().clone();
            let patience = self.settings().patience;
            let body = async {
                let mut bytes = Vec::new();
                while let Some(piece) = response.chunk().await? {
                    bytes.extend_from_slice(&piece);
                    if bytes.len() > LARGEST_MANIFEST {
                        return Ok(None);
                    }
                }
                Ok(Some(bytes))
            };
            let bytes = match tokio::time::timeout(patience, body).await {
                Err(_) => Err(Error::Silent {
                    errand: call.errand(),
                    seconds: patience.as_secs(),
                }),
                Ok(Err(source)) => Err(Error::Unreachable {
                    errand: call.errand(),
                    source,
                }),
                Ok(Ok(None)) => Err(Error::Protocol {
                    errand: call.errand(),
                    what: format!("the manifest has over {LARGEST_MANIFEST} bytes"),
                }),
                Ok(Ok(Some(bytes))) => Ok(bytes),
            };
            match bytes {
                Ok(bytes) => return checked(&call, reference, &headers, bytes).map(Some),
                Err(error) => self.wait(&mut failures, None, error).await?,
            }
        }
    }

    /// Puts the manifest under the reference's tag, or under its digest if there is none. What the tag held is lost.
    pub(crate) async fn put(
        &self,
        reference: &Reference,
        manifest: &Manifest,
    ) -> Result<(), Error> {
        let digest = manifest.digest();
        let name = match reference.tag() {
            Some(tag) => tag.to_owned(),
            None => digest.to_string(),
        };
        let repository = reference.repository();
        let url = self.url(repository, &format!("manifests/{name}"))?;
        let what = format!("write {reference}");
        let mut call = Call::new(Method::PUT, url, repository, Access::Push, what);
        let media_type =
            HeaderValue::from_str(&manifest.media_type).map_err(|_| Error::Protocol {
                errand: call.errand(),
                what: "the manifest's type does not fit a header".to_owned(),
            })?;
        call.headers.insert(CONTENT_TYPE, media_type);
        call.body = manifest.bytes.clone().into();
        let response = self.send(&call).await?;
        if response.status().is_success() {
            return match digest_of(response.headers()) {
                Some(found) if found != digest => Err(Error::DigestMismatch {
                    errand: call.errand(),
                    wanted: digest,
                    found: found.to_string(),
                }),
                _ => Ok(()),
            };
        }
        let status = response.status();
        let retry_after = answer::retry_after(response.headers());
        let refusal = answer::refusal(response).await;
        if reference.tag().is_some() && status.is_client_error() && refusal.is_immutable(status) {
            return Err(Error::Immutable {
                reference: Box::new(reference.clone()),
                message: refusal.message,
            });
        }
        let who = self.who(&call).await;
        let errand = call.errand();
        Err(answer::of_refusal(
            status,
            retry_after,
            refusal,
            errand,
            who,
        ))
    }

    /// Removes a tag, or a manifest by digest with all tags that point to it. With `only_if`, only if it holds that.
    ///
    /// A tag is never removed by way of its digest where the registry cannot remove a tag alone: other tags would go too.
    pub async fn delete(
        &self,
        reference: &Reference,
        only_if: Option<Digest>,
    ) -> Result<Deleted, Error> {
        match self.look_with(reference, Access::Delete).await? {
            None => return Ok(Deleted::Absent),
            Some(found) if only_if.is_some_and(|wanted| wanted != found.digest) => {
                return Ok(Deleted::Moved(found.digest));
            }
            Some(_) => {}
        }
        let name = match reference.tag() {
            Some(tag) => tag.to_owned(),
            None => reference.reading(),
        };
        let repository = reference.repository();
        let url = self.url(repository, &format!("manifests/{name}"))?;
        let what = format!("remove {reference}");
        let call = Call::new(Method::DELETE, url, repository, Access::Delete, what);
        let response = self.send(&call).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(Deleted::Done);
        }
        if status == StatusCode::NOT_FOUND {
            return Ok(Deleted::Absent);
        }
        let retry_after = answer::retry_after(response.headers());
        let refusal = answer::refusal(response).await;
        let is_disabled = matches!(
            status,
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
        ) || refusal.has("UNSUPPORTED")
            || status == StatusCode::BAD_REQUEST;
        if is_disabled {
            return Ok(Deleted::Disabled(refusal.message));
        }
        let who = self.who(&call).await;
        let errand = call.errand();
        Err(answer::of_refusal(
            status,
            retry_after,
            refusal,
            errand,
            who,
        ))
    }

    /// All tags of the repository, in the registry's order; none if there is no such repository.
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let mut url = self.url(repository, "tags/list")?;
        let mut tags = Vec::new();
        for _ in 0..PAGES {
            let what = format!("list the tags of {repository}");
            let call = Call::new(Method::GET, url.clone(), repository, Access::Pull, what);
            let response = self.send(&call).await?;
            match response.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Ok(tags),
                _ => return Err(self.unwanted(&call, response).await),
            }
            let next = next_page(response.headers());
            let body = answer::whole(response)
                .await
                .map_err(|source| Error::Unreachable {
                    errand: call.errand(),
                    source,
                })?;
            let body = body.unwrap_or_default();
            let page: Page = serde_json::from_slice(&body).map_err(|_| Error::Protocol {
                errand: call.errand(),
                what: "it is no list of tags".to_owned(),
            })?;
            tags.extend(page.tags.unwrap_or_default());
            match next.and_then(|next| url.join(&next).ok()) {
                Some(next) => url = next,
                None => break,
            }
        }
        Ok(tags)
    }

    fn manifest_call<'a>(
        &self,
        method: Method,
        reference: &'a Reference,
        access: Access,
        verb: &str,
    ) -> Result<Call<'a>, Error> {
        let repository = reference.repository();
        let url = self.url(repository, &format!("manifests/{}", reference.reading()))?;
        let what = format!("{verb} {reference}");
        let mut call = Call::new(method, url, repository, access, what);
        let accepted = HeaderValue::from_static(media_type::ACCEPTED);
        call.headers.insert(ACCEPT, accepted);
        Ok(call)
    }
}

fn checked(
    call: &Call<'_>,
    reference: &Reference,
    headers: &HeaderMap,
    bytes: Vec<u8>,
) -> Result<Manifest, Error> {
    let found = Digest::of(&bytes);
    let wanted = reference.digest().or_else(|| digest_of(headers));
    if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
        return Err(Error::DigestMismatch {
            errand: call.errand(),
            wanted,
            found: found.to_string(),
        });
    }
    let declared = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    Manifest::parse(bytes, declared).map_err(|source| Error::Manifest {
        errand: call.errand(),
        source,
    })
}

fn digest_of(headers: &HeaderMap) -> Option<Digest> {
    let value = headers.get("docker-content-digest")?.to_str().ok()?;
    value.trim().parse().ok()
}

/// The address in `Link: <…>; rel="next"`.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(reqwest::header::LINK)?.to_str().ok()?;
    let (address, rest) = link.strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_next_page() {
        let next = |link: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(reqwest::header::LINK, HeaderValue::from_static(link));
            next_page(&headers)
        };
        let link = r#"</v2/a/tags/list?last=b&n=2>; rel="next""#;
        assert_eq!(next(link).as_deref(), Some("/v2/a/tags/list?last=b&n=2"));
        assert_eq!(next(r#"</x>; rel="prev""#), None);
        assert_eq!(next("x"), None);
    }
}
