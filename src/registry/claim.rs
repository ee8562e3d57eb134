//! A claim: a tag that says who is at work, for those who would begin the same work.
//!
//! # What it can and cannot do
//!
//! The protocol has no "only if absent": of two who write a tag, the later wins, and neither is told. So a claim is
//! written, then read back after a pause; whoever reads another's name has lost. Two can both hold it only if one of them
//! looked before the other wrote and itself wrote more than the pause later. A claim therefore saves work; it is no lock.
//! What must hold is for the result's own tag to say: whoever finds it there adopts it ([`Registries::push`]).
//!
//! Times are the registry's (its `Date` header), so the clocks of those who claim need not agree. A claim ends by itself:
//! a killed process blocks nobody for longer than the life that it asked for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::Method;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    answer,
    client::{Call, Registries},
    content::Content,
    digest::Digest,
    error::Error,
    manifest::{Body, Descriptor, EMPTY_BLOB, ImageManifest, Manifest, media_type},
    progress::{Meter, Progress},
    reference::Reference,
    token::Access,
};

/// What a claim is, in a registry's list.
pub const CLAIM_TYPE: &str = "application/vnd.etcd-fleet.claim.v1";
/// Between writing a claim and reading it back.
const SETTLE: Duration = Duration::from_secs(1);

const OWNER: &str = "claim.owner";
const NONCE: &str = "claim.nonce";
const SINCE: &str = "claim.since";
const UNTIL: &str = "claim.until";

/// Who claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// For people who have to wait: user, machine, program. No secrets.
    pub name: String,
    /// Random: it tells two of the same name apart.
    pub nonce: String,
    /// How long the claim is to live if it is not renewed. Whole seconds.
    pub life: Duration,
}

/// Who is at work, and since when, by the registry's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// As they call themselves.
    pub name: String,
    /// When the claim was first written.
    pub since: OffsetDateTime,
    /// When it ends by itself.
    pub until: OffsetDateTime,
}

/// What came of claiming.
#[derive(Debug)]
pub enum Claimed {
    /// It is ours.
    Held(Claim),
    /// Somebody else is at work.
    Taken(Holder),
}

/// A claim that is held. Dropping it does nothing: it ends by itself, or by [`Claim::release`].
#[derive(Debug)]
pub struct Claim {
    registries: Registries,
    tag: Reference,
    claimant: Claimant,
    since: OffsetDateTime,
    digest: Digest,
}

/// What a claim's tag says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    holder: Holder,
    nonce: String,
}

impl Registries {
    /// Claims `tag`, unless somebody else holds it.
    pub async fn claim(&self, tag: &Reference, claimant: Claimant) -> Result<Claimed, Error> {
        let now = self.now(tag).await?;
        if let Some((_, record)) = self.record(tag).await?
            && record.nonce != claimant.nonce
            && record.holder.until > now
        {
            return Ok(Claimed::Taken(record.holder));
        }
        let mut claim = Claim {
            registries: self.clone(),
            tag: tag.clone(),
            claimant,
            since: now,
            digest: Digest::of(b""),
        };
        claim.write(now + claim.claimant.life).await?;
        tokio::time::sleep(SETTLE).await;
        match self.record(tag).await? {
            Some((digest, _)) if digest == claim.digest => Ok(Claimed::Held(claim)),
            Some((_, record)) => Ok(Claimed::Taken(record.holder)),
            // Removed by somebody who took it for an old one: they are at work.
            None => Ok(Claimed::Taken(Holder {
                name: "somebody who removed our claim".to_owned(),
                since: now,
                until: now + SETTLE,
            })),
        }
    }

    /// Who holds `tag` now, if anybody does.
    pub async fn holder(&self, tag: &Reference) -> Result<Option<Holder>, Error> {
        let now = self.now(tag).await?;
        let record = self.record(tag).await?;
        Ok(record
            .map(|(_, record)| record.holder)
            .filter(|holder| holder.until > now))
    }

    /// What the tag says, over or not. Something else under the tag is an error: it is not ours to overwrite.
    async fn record(&self, tag: &Reference) -> Result<Option<(Digest, Record)>, Error> {
        let Some(manifest) = self.read_with(tag, Access::Push).await? else {
            return Ok(None);
        };
        let digest = manifest.digest();
        let record = match &manifest.body {
            Body::Image(body) if body.artifact_type.as_deref() == Some(CLAIM_TYPE) => {
                parse(&body.annotations)
            }
            _ => None,
        };
        let record = record.ok_or_else(|| Error::Protocol {
            errand: crate::error::Errand {
                host: tag.repository().host().to_owned(),
                what: format!("claim {tag}"),
            },
            what: "the tag holds something that is no claim".to_owned(),
        })?;
        Ok(Some((digest, record)))
    }

    /// The registry's clock; this machine's if it does not tell.
    async fn now(&self, tag: &Reference) -> Result<OffsetDateTime, Error> {
        let repository = tag.repository();
        let name = tag.reading();
        let url = self.url(repository, &format!("manifests/{name}"))?;
        let what = format!("look at {tag}");
        let call = Call::new(Method::HEAD, url, repository, Access::Push, what);
        let response = self.send(&call).await?;
        let now = answer::server_time(response.headers()).unwrap_or_else(answer::now);
        Ok(now.replace_nanosecond(0).unwrap_or(now))
    }
}

impl Claim {
    /// Lets the claim live on for its life from now. If it was lost meanwhile, who has it. After an error it holds until
    /// the life that it had is over.
    pub async fn renew(&mut self) -> Result<Option<Holder>, Error> {
        let now = self.registries.now(&self.tag).await?;
        match self.registries.record(&self.tag).await? {
            Some((_, record))
                if record.nonce != self.claimant.nonce && record.holder.until > now =>
            {
                Ok(Some(record.holder))
            }
            _ => {
                let until = now + self.claimant.life;
                self.write(until).await?;
                Ok(None)
            }
        }
    }

    /// Ends the claim: others need not wait for its life to end. Nothing is done if it was lost meanwhile.
    pub async fn release(mut self) -> Result<(), Error> {
        let record = self.registries.record(&self.tag).await?;
        if record.is_none_or(|(digest, _)| digest != self.digest) {
            return Ok(());
        }
        // Written as over first: where nothing may be removed, that must do.
        let since = self.since;
        self.write(since).await?;
        let at = self.tag.repository().at(self.digest);
        if let Err(error) = self.registries.delete(&at, None).await {
            tracing::debug!(host = self.tag.repository().host(), error = %error, "a claim that is over stays");
        }
        Ok(())
    }

    async fn write(&mut self, until: OffsetDateTime) -> Result<(), Error> {
        let record = Record {
            holder: Holder {
                name: self.claimant.name.clone(),
                since: self.since,
                until,
            },
            nonce: self.claimant.nonce.clone(),
        };
        let empty = Descriptor::of(media_type::EMPTY, EMPTY_BLOB);
        let meter = Arc::new(Meter::new(&Progress::silent(), empty.size));
        let content = Content::Bytes(Bytes::from_static(EMPTY_BLOB));
        self.registries
            .push_blob(self.tag.repository(), &empty, &content, None, &meter)
            .await?;
        let mut manifest = ImageManifest::new(empty.clone(), vec![empty]);
        manifest.artifact_type = Some(CLAIM_TYPE.to_owned());
        manifest.annotations = notes(&record);
        let manifest = Manifest::image(manifest);
        self.registries.put(&self.tag, &manifest).await?;
        self.digest = manifest.digest();
        Ok(())
    }
}

fn notes(record: &Record) -> BTreeMap<String, String> {
    let time = |time: OffsetDateTime| time.format(&Rfc3339).unwrap_or_default();
    [
        (OWNER, record.holder.name.clone()),
        (NONCE, record.nonce.clone()),
        (SINCE, time(record.holder.since)),
        (UNTIL, time(record.holder.until)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn parse(notes: &BTreeMap<String, String>) -> Option<Record> {
    let time = |key: &str| OffsetDateTime::parse(notes.get(key)?, &Rfc3339).ok();
    Some(Record {
        holder: Holder {
            name: notes.get(OWNER)?.clone(),
            since: time(SINCE)?,
            until: time(UNTIL)?,
        },
        nonce: notes.get(NONCE)?.clone(),
    })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record {
            holder: Holder {
                name: "ops on ci-7".into(),
                since: datetime!(2026-01-02 03:04:05 UTC),
                until: datetime!(2026-01-02 03:34:05 UTC),
            },
            nonce: "n".into(),
        };
        let notes = notes(&record);
        assert_eq!(notes[SINCE], "2026-01-02T03:04:05Z");
        assert_eq!(parse(&notes), Some(record));
        assert_eq!(parse(&BTreeMap::new()), None);
    }
}
