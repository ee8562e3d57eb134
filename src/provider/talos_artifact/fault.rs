//! Why a step or a look failed, and how a person is told.

use std::sync::Arc;

use host::proto::{Failure, failure::Kind};
use planner::talos_artifact::{
    Desired, ImagerOutput, Refused, Source, Step, attribute as attribute_of_step,
};
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

    /// Whether nothing can be seen of a Proxmox cluster, though it answers.
    pub(super) fn refused(&self) -> Option<Refused> {
        let Self::Proxmox(error) = self else {
            return None;
        };
        match error.kind() {
            proxmox::Kind::Unauthorized { .. }
            | proxmox::Kind::Expired { .. }
            | proxmox::Kind::SecondFactor => Some(Refused::Login(self.of_look())),
            proxmox::Kind::Fingerprint { .. } | proxmox::Kind::Certificate { .. } => {
                Some(Refused::Certificate(self.of_look()))
            }
            _ => None,
        }
    }

    /// What the login to a Proxmox cluster lacks, where that is the fault.
    pub(super) fn lacking(&self) -> Option<String> {
        let Self::Proxmox(error) = self else {
            return None;
        };
        match error.kind() {
            proxmox::Kind::Forbidden(missing) => Some(missing.to_string()),
            _ => None,
        }
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
            Self::Proxmox(error) => match error.kind() {
                proxmox::Kind::Fingerprint { seen } => format!(
                    "compare it with the fingerprint in the node's own web interface; if it is the right \
                     one, set fingerprint = \"{seen}\" in the proxmox block of the provider."
                ),
                _ => error.hint(),
            },
            Self::Registry(error) => error.hint().unwrap_or_default(),
            Self::Image(error) => error.hint(),
            Self::NoProxmox => {
                "give the provider a proxmox block with endpoint and api_token.".to_owned()
            }
            Self::Refused { hint, .. } => hint.clone(),
            Self::Builder(_) | Self::Wait(_) => String::new(),
        }
    }

    /// The user's attribute, where the fault alone tells it. Logins, and what of a server is trusted, stand
    /// in the provider's block, where Core lets no resource point: the block that needs them is named.
    fn place(&self) -> Option<Path> {
        match self {
            Self::Factory(_) => Some(Path::attribute("factory_url")),
            Self::Proxmox(_) | Self::NoProxmox => Some(storage()),
            Self::Builder(trouble) => Some(builder_place(trouble)),
            Self::Refused { place, .. } => place.map(Path::attribute),
            Self::Registry(_) | Self::Image(_) | Self::Wait(_) => None,
        }
    }

    /// The user's attribute that is at fault when a step fails in this way.
    pub(super) fn place_in(&self, desired: &Desired, step: &Step) -> Option<Path> {
        let of_step = || report::path(attribute_of_step(desired, step));
        match self {
            Self::Factory(error) if error.is_of_wish() => Some(Path::attribute(match step {
                Step::EnsureSchematic { .. } => "schematic",
                Step::FetchImage { .. } if matches!(desired.source, Source::Copy(_)) => "source",
                // Most factories that refuse such an image have no keys to sign it with.
                _ if desired.variant.secure_boot => "secure_boot",
                _ => "talos_version",
            })),
            Self::Factory(factory::Error::Write { .. }) => None,
            Self::Factory(_) | Self::Refused { place: None, .. } => of_step(),
            Self::Proxmox(error) => match error.kind() {
                proxmox::Kind::Name { .. } | proxmox::Kind::Exists { .. } => {
                    Some(Path::attribute("file_name"))
                }
                proxmox::Kind::Source { .. } => None,
                _ => of_step(),
            },
            Self::Registry(error) => registry_place(error, desired, step),
            Self::Image(images::Error::Checksum { .. }) => match desired.source {
                Source::Copy(_) => Some(Path::attribute("source")),
                _ => Some(Path::attribute("talos_version")),
            },
            Self::Image(_) => {
                matches!(step, Step::WriteLocal { .. }).then(|| Path::attribute("local_file"))
            }
            _ => self.place(),
        }
    }
}

/// The first storage: where a fault of the whole cluster is told. Core does not find the line of a block.
pub(super) fn storage() -> Path {
    Path::attribute("proxmox").index(0).member("storage")
}

/// The attribute that names the registry, or the tag in it. What is copied from a factory comes from a
/// registry too, that of the factory.
fn registry_place(error: &registry::Error, desired: &Desired, step: &Step) -> Option<Path> {
    use registry::Error;
    if let (Source::Factory { url, .. }, Some(host)) = (&desired.source, error.host())
        && url.host() == host
    {
        return Some(Path::attribute("factory_url"));
    }
    // Who builds says so in the registry first.
    let is_of_image = if let Step::Build { output, .. } = step {
        *output != ImagerOutput::Installer && desired.artifact.is_some()
    } else {
        let place = attribute_of_step(desired, step);
        if place.first().map(String::as_str) != Some("installer") {
            return report::path(place);
        }
        false
    };
    if is_of_image {
        return Some(Path::attribute("artifact_repository"));
    }
    let is_tag = matches!(error, Error::OtherContent { .. } | Error::Immutable { .. });
    let member = if is_tag { "tag" } else { "repository" };
    Some(Path::attribute("installer").member(member))
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
    builder.member(if is_host { "host" } else { "imager" })
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

#[cfg(test)]
mod tests {
    use planner::{
        problem::Problems,
        talos_artifact::{InstallerWish, Origin, Tagged, Wish},
    };
    use reqwest::StatusCode;

    use super::*;

    /// An image and an installer in registries.
    fn desired() -> Desired {
        let wish = Wish {
            talos_version: "v1.11.5".to_owned(),
            default_factory_url: Some("https://factory.example".to_owned()),
            artifact_repository: Some("ghcr.io/x/images".to_owned()),
            installer: Some(InstallerWish {
                repository: "ghcr.io/x/installer".to_owned(),
                ..InstallerWish::default()
            }),
            ..Wish::default()
        };
        Desired::read(&wish, &mut Problems::default()).expect("it can be wished")
    }

    fn denied(host: &str) -> Fault {
        let errand = registry::Errand {
            host: host.to_owned(),
            what: "push".to_owned(),
        };
        registry::Error::Denied {
            errand,
            who: "ops".to_owned(),
            message: String::new(),
        }
        .into()
    }

    fn status(status: StatusCode) -> Fault {
        let url = "https://factory.example/x".to_owned();
        let said = String::new();
        factory::Error::Status { url, status, said }.into()
    }

    #[test]
    fn a_fault_is_at_the_attribute_that_names_what_failed() {
        let desired = desired();
        let installer = desired
            .installer
            .as_ref()
            .map(|wanted| wanted.place.clone());
        let installer: Tagged = installer.expect("there is one");
        let image = desired.artifact.clone().expect("there is one");
        let copy = Step::CopyInstaller {
            from: "factory.example/metal-installer/x:v1.11.5".to_owned(),
            place: installer,
            replaces: false,
        };
        let publish = Step::PublishArtifact {
            place: image,
            replaces: false,
        };
        let build = |output| Step::Build {
            output,
            platform: "metal".to_owned(),
        };
        let ensure = Step::EnsureSchematic {
            factory: "https://factory.example".to_owned(),
            id: "x".to_owned(),
        };
        let fetch = Step::FetchImage {
            origin: Origin::Factory("https://factory.example/x".to_owned()),
            keeps_bytes: true,
        };
        let immutable = || -> Fault {
            let reference = "ghcr.io/x/installer:v1".parse().expect("a reference");
            registry::Error::Immutable {
                reference: Box::new(reference),
                message: String::new(),
            }
            .into()
        };
        let checksum = || -> Fault {
            images::Error::Checksum {
                place: "x".to_owned(),
                found: "a".to_owned(),
                wanted: "b".to_owned(),
            }
            .into()
        };
        for (fault, step, wanted) in [
            (denied("ghcr.io"), &copy, "installer.repository"),
            (immutable(), &copy, "installer.tag"),
            // What is copied is fetched from the factory first.
            (denied("factory.example"), &copy, "factory_url"),
            (denied("ghcr.io"), &publish, "artifact_repository"),
            (
                denied("ghcr.io"),
                &build(ImagerOutput::Iso),
                "artifact_repository",
            ),
            (
                denied("ghcr.io"),
                &build(ImagerOutput::Installer),
                "installer.repository",
            ),
            (status(StatusCode::BAD_REQUEST), &ensure, "schematic"),
            (status(StatusCode::BAD_GATEWAY), &ensure, "factory_url"),
            (status(StatusCode::UNAUTHORIZED), &fetch, "factory_url"),
            (status(StatusCode::NOT_FOUND), &fetch, "talos_version"),
            (checksum(), &fetch, "talos_version"),
        ] {
            let place = fault.place_in(&desired, step);
            let place = place.map(|place| place.to_string());
            assert_eq!(place.as_deref(), Some(wanted), "{fault} in {step}");
        }
    }
}
