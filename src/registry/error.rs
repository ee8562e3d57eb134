//! Why a registry did not do what was asked, what holds now and what to do next.

use std::{error::Error as StdError, fmt, io, path::PathBuf, time::Duration};

use crate::{
    credentials::NoCredentials,
    digest::Digest,
    manifest::NoManifest,
    reference::{NoReference, Reference},
    source::NoImage,
    tls::NoAuthority,
};

/// What was being done when it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// The registry's host.
    pub host: String,
    /// What was asked of it, as "read the tag ghcr.io/x/y:v1".
    pub what: String,
}

impl fmt::Display for Errand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)
    }
}

/// Why a registry did not do what was asked.
///
/// `Display` is a fragment without its source; [`Error::hint`] is the next step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that is none.
    #[error(transparent)]
    Reference(#[from] NoReference),
    /// A host that no URL can have.
    #[error("{host:?} is not a host that can be connected to")]
    Host {
        /// As written.
        host: String,
    },
    /// The CA that is configured.
    #[error(transparent)]
    Authority(#[from] NoAuthority),
    /// The HTTP client could not be made.
    #[error("prepare HTTP")]
    Client {
        /// Why.
        source: reqwest::Error,
    },
    /// Credentials could not be looked up.
    #[error("look up the credentials for {host}")]
    Credentials {
        /// The registry.
        host: String,
        /// Why.
        source: NoCredentials,
    },
    /// No connection, or one that broke.
    #[error("{errand}: {host} could not be reached", host = .errand.host)]
    Unreachable {
        /// What was asked.
        errand: Errand,
        /// Why.
        source: reqwest::Error,
    },
    /// A connection on which nothing moves.
    #[error("{errand}: {host} has been silent for {seconds} s", host = .errand.host)]
    Silent {
        /// What was asked.
        errand: Errand,
        /// The limit.
        seconds: u64,
    },
    /// Who asks is not known there, or not let in.
    #[error("{errand}: {host} does not let in {who}{}", said(.message), host = .errand.host)]
    Unauthorised {
        /// What was asked.
        errand: Errand,
        /// Who asked.
        who: String,
        /// What the registry says; may be empty.
        message: String,
    },
    /// Who asks may not do this.
    #[error("{errand}: {host} denies it to {who}{}", said(.message), host = .errand.host)]
    Denied {
        /// What was asked.
        errand: Errand,
        /// Who asked.
        who: String,
        /// What the registry says; may be empty.
        message: String,
    },
    /// The registry does not let the tag be moved.
    #[error("{host} does not let the tag {reference} be moved{}", said(.message), host = .reference.repository().host())]
    Immutable {
        /// The tag.
        reference: Box<Reference>,
        /// What the registry says; may be empty.
        message: String,
    },
    /// The tag holds something else, and nobody said that it may be replaced.
    #[error("{reference} holds other content: {found}, not {wanted}")]
    OtherContent {
        /// The tag.
        reference: Box<Reference>,
        /// What it holds.
        found: Digest,
        /// What was to be put there.
        wanted: Digest,
    },
    /// It is not there.
    #[error("{errand}: it is not there{}", said(.message))]
    NotFound {
        /// What was asked.
        errand: Errand,
        /// What the registry says; may be empty.
        message: String,
    },
    /// Bytes that are not what their name says.
    #[error("{errand}: the content is not what was asked for: {wanted} is wanted, {found} came")]
    DigestMismatch {
        /// What was asked.
        errand: Errand,
        /// Digest that was wanted.
        wanted: Digest,
        /// Digest that came, or what the registry says of it.
        found: String,
    },
    /// Too many requests.
    #[error("{errand}: {host} wants fewer requests{}", later(*.retry_after), host = .errand.host)]
    RateLimited {
        /// What was asked.
        errand: Errand,
        /// How long it wants to be left alone, if it says so.
        retry_after: Option<Duration>,
    },
    /// The registry has a fault.
    #[error("{errand}: {host} answers {status}{}", said(.message), host = .errand.host)]
    Fault {
        /// What was asked.
        errand: Errand,
        /// From 500.
        status: u16,
        /// What the registry says; may be empty.
        message: String,
    },
    /// The registry refuses the request for another reason.
    #[error("{errand}: {host} refuses with {status}{}", said(.message), host = .errand.host)]
    Refused {
        /// What was asked.
        errand: Errand,
        /// From 400 to 499.
        status: u16,
        /// The registry's codes, as `MANIFEST_INVALID`.
        codes: Vec<String>,
        /// What the registry says; may be empty.
        message: String,
    },
    /// What answers does not keep to the protocol.
    #[error("{errand}: the answer of {host} is not that of a registry: {what}", host = .errand.host)]
    Protocol {
        /// What was asked.
        errand: Errand,
        /// What is wrong with it.
        what: String,
    },
    /// Credentials would have to be sent without encryption.
    #[error("{errand}: {host} sends us for a token to {realm}, where the credentials would travel in clear", host = .errand.host)]
    Realm {
        /// What was asked.
        errand: Errand,
        /// Where the token would be.
        realm: String,
    },
    /// A manifest that is none.
    #[error("{errand}")]
    Manifest {
        /// What was asked.
        errand: Errand,
        /// Why.
        source: NoManifest,
    },
    /// An archive or layout on this machine.
    #[error(transparent)]
    Image(#[from] NoImage),
    /// A file on this machine.
    #[error("read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Where the content was to be written to.
    #[error("{errand}: write what comes")]
    Write {
        /// What was asked.
        errand: Errand,
        /// Why.
        source: io::Error,
    },
}

fn said(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

fn later(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |pause| {
        format!(", the next in {} s", pause.as_secs())
    })
}

impl Error {
    /// The registry that it is about, as references begin; nothing where it is about something here.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Host { host } | Self::Credentials { host, .. } => Some(host),
            Self::Immutable { reference, .. } | Self::OtherContent { reference, .. } => {
                Some(reference.repository().host())
            }
            Self::Unreachable { errand, .. }
            | Self::Silent { errand, .. }
            | Self::Unauthorised { errand, .. }
            | Self::Denied { errand, .. }
            | Self::NotFound { errand, .. }
            | Self::DigestMismatch { errand, .. }
            | Self::RateLimited { errand, .. }
            | Self::Fault { errand, .. }
            | Self::Refused { errand, .. }
            | Self::Protocol { errand, .. }
            | Self::Realm { errand, .. }
            | Self::Manifest { errand, .. } => Some(&errand.host),
            Self::Reference(_)
            | Self::Authority(_)
            | Self::Client { .. }
            | Self::Image(_)
            | Self::File { .. }
            | Self::Write { .. } => None,
        }
    }

    /// Whether the same may work if it is asked again soon.
    pub fn is_transient(&self) -> bool {
        match self {
            // A certificate that is not trusted does not become so.
            Self::Unreachable { source, .. } => !is_certificate(source),
            Self::Silent { .. } | Self::RateLimited { .. } | Self::Fault { .. } => true,
            _ => false,
        }
    }

    /// Whether nothing is known of what the registry holds, because it gave no answer of its own.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Silent { .. }
                | Self::RateLimited { .. }
                | Self::Fault { .. }
        )
    }

    /// What to do next, as a sentence without "Hint:"; nothing where the error says it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { source, errand } if is_certificate(source) => format!(
                "give the CA that signed the certificate of {} as the registry's CA file.",
                errand.host
            ),
            Self::Unreachable { errand, .. } | Self::Silent { errand, .. } => format!(
                "see that {} is up and can be reached from here; if it speaks plain HTTP, list it as insecure.",
                errand.host
            ),
            Self::Unauthorised { errand, .. } => format!(
                "log in with `docker login {0}` or `podman login {0}`, or name the file that has the credentials.",
                errand.host
            ),
            Self::Denied { errand, who, .. } => {
                format!("give {who} the right to do this on {}.", errand.host)
            }
            Self::Immutable { .. } => {
                "choose another tag: this one keeps its content for ever.".to_owned()
            }
            Self::OtherContent { reference, .. } => format!(
                "choose another tag, or allow {reference} to be overwritten; whoever installs from it then gets the new content."
            ),
            Self::RateLimited { errand, .. } => {
                format!("wait, or log in to {}: users have higher limits.", errand.host)
            }
            Self::Fault { errand, .. } => {
                format!("try again later, and see the log of {}.", errand.host)
            }
            Self::DigestMismatch { .. } => {
                "nothing of it was used; see whether the file changed meanwhile, else whether the registry's storage is sound.".to_owned()
            }
            Self::Realm { errand, .. } => {
                format!("let {} name its token service by https.", errand.host)
            }
            _ => return None,
        })
    }
}

/// Whether TLS failed on the certificate.
fn is_certificate(error: &(dyn StdError + 'static)) -> bool {
    if let Some(error) = error.downcast_ref() {
        return matches!(error, rustls::Error::InvalidCertificate(_));
    }
    // An `io::Error` names as its source not what it wraps, but the source of that.
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match wrapped {
        Some(wrapped) => is_certificate(wrapped),
        None => error.source().is_some_and(is_certificate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_certificate_within_errors() {
        let refused = |cause| rustls::Error::InvalidCertificate(cause);
        let inner = io::Error::other(refused(rustls::CertificateError::UnknownIssuer));
        assert!(is_certificate(&io::Error::other(inner)));
        let inner = io::Error::other(rustls::Error::DecryptError);
        assert!(!is_certificate(&io::Error::other(inner)));
        assert!(!is_certificate(&io::Error::from(io::ErrorKind::TimedOut)));
    }
}
