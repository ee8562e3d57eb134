//! Why a step or a look failed, and how a person is told.

use std::sync::Arc;

use host::proto::{Failure, failure::Kind};
use tf_plugin::{Diagnostic, Path};

use super::{factory, images};
use crate::{
    executor::Retry,
    report::{self, Told, Trouble, sentence},
};

/// Why something could not be done for an artifact.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The factory.
    #[error("the factory did not give what was asked for")]
    Factory(#[from] factory::Error),
    /// The Proxmox cluster.
    #[error("Proxmox did not do what was asked")]
    Proxmox(#[from] proxmox::Error),
    /// A registry.
    #[error("the registry did not do what was asked")]
    Registry(#[from] Arc<registry::Error>),
    /// This machine.
    #[error("the image cannot be kept here")]
    Image(#[from] images::Error),
    /// The build host.
    #[error("the build host did not do what was asked")]
    Builder(#[from] Trouble),
    /// The configuration names no Proxmox cluster.
    #[error("the provider has no proxmox block and no PROXMOX_VE_ENDPOINT is set")]
    NoProxmox,
    /// Something is as it must not be.
    #[error("{why}")]
    Refused {
        /// A fragment.
        why: String,
        /// What to do next, as a sentence.
        hint: String,
        /// The attribute where that is done.
        place: Option<&'static str>,
    },
    /// Somebody else is at it.
    #[error("{0}")]
    Wait(String),
}

impl From<registry::Error> for Fault {
    fn from(error: registry::Error) -> Self {
        Self::Registry(Arc::new(error))
    }
}

impl Fault {
    /// Whether a file of the name and of this size, in bytes, was there before the transfer began.
    pub(super) fn is_there_with(&self, size_bytes: u64) -> bool {
        let Self::Proxmox(error) = self else {
            return false;
        };
        matches!(error.kind(), proxmox::Kind::Exists { size_bytes: Some(found), .. } if *found == size_bytes)
    }

    /// SHA-256 of what a node got, where it was another one than announced.
    pub(super) fn arrived(&self) -> Option<&str> {
        match self {
            Self::Proxmox(error) => match error.kind() {
                proxmox::Kind::Checksum { got, .. } => Some(got),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether trying again helps.
    pub(super) fn retry(&self) -> Retry {
        match self {
            Self::Wait(_) | Self::Image(images::Error::Busy { .. }) => Retry::NotYet,
            // The clients have tried again already, as often as it makes sense.
            _ => Retry::Permanent,
        }
    }

    /// In one line, without what comes next.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Factory(error) => report::chain(error),
            Self::Proxmox(error) => report::chain(error),
            Self::Registry(error) => report::chain(&**error),
            Self::Image(error) => report::chain(error),
            Self::Builder(trouble) => trouble.line(),
            other => other.to_string(),
        }
    }

    /// Whether a Proxmox cluster does not let the login in at all.
    pub(super) fn is_refused_login(&self) -> bool {
        let Self::Proxmox(error) = self else {
            return false;
        };
        matches!(
            error.kind(),
            proxmox::Kind::Unauthorized { .. }
                | proxmox::Kind::Expired { .. }
                | proxmox::Kind::SecondFactor
        )
    }

    /// Why nothing was seen, in one line with what to do next. It does not name what was looked at,
    /// which others do: so it is the same for all that have the same reason.
    pub(super) fn of_look(&self) -> String {
        let line = match self {
            Self::Proxmox(error) => {
                format!("{}: {}", error.endpoint(), report::chain(error.kind()))
            }
            other => other.line(),
        };
        let hint = self.hint();
        let hint = hint.trim_end_matches('.');
        if hint.is_empty() {
            line
        } else {
            format!("{} ({hint})", line.trim_end_matches('.'))
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Factory(error) => error.hint(),
            Self::Proxmox(error) => error.hint(),
            Self::Registry(error) => error.hint().unwrap_or_default(),
            Self::Image(error) => error.hint(),
            Self::NoProxmox => {
                "give the provider a proxmox block with endpoint and api_token.".to_owned()
            }
            Self::Refused { hint, .. } => hint.clone(),
            Self::Builder(_) | Self::Wait(_) => String::new(),
        }
    }

    fn place(&self) -> Option<Path> {
        match self {
            Self::Builder(trouble) => Some(builder_place(trouble)),
            Self::NoProxmox => Some(Path::attribute("proxmox")),
            Self::Refused { place, .. } => place.map(Path::attribute),
            Self::Registry(error) if matches!(**error, registry::Error::OtherContent { .. }) => {
                Some(Path::attribute("installer"))
            }
            _ => None,
        }
    }
}

/// The attribute that decides about a trouble on the build host: which host it is, or what runs there.
fn builder_place(trouble: &Trouble) -> Path {
    let builder = Path::attribute("builder");
    let is_host = match trouble {
        Trouble::Connect { .. } => true,
        Trouble::Call { source, .. } => {
            let kind = source.failure().map(Failure::kind);
            source.is_lost() || matches!(kind, Some(Kind::EngineUnavailable | Kind::DiskFull))
        }
        _ => false,
    };
    if is_host {
        builder.member("host")
    } else {
        builder
    }
}

impl Told for Fault {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    fn diagnostic(&self, summary: impl Into<String>) -> Diagnostic {
        if let Self::Builder(trouble) = self {
            return trouble.diagnostic(summary).at(builder_place(trouble));
        }
        let parts = [sentence(&self.line()), report::hint(&self.hint())];
        report::told(summary, &parts, self.place())
    }
}
