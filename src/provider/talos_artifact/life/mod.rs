//! Plan, create, read, update and delete an artifact or a copy.

mod apply;
mod delete;
mod plan;
mod read;

use planner::talos_artifact::{self as planner_artifact, Desired, Observed, Refused, Source, Step};
use tf_plugin::{Diagnostic, Diagnostics, Value, provider::Outcome};

use super::{
    fault::{self, Fault},
    wish::{self, BuildHost},
};
use crate::{
    common::text,
    context::{Context, Setup},
    executor,
    life::errors,
    report::{self, sentence},
    services::Services,
};

pub(super) use apply::{create, update};
pub(super) use delete::{delete, plan_delete};
pub(super) use plan::plan;
pub(super) use read::read;

/// Which of the two resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `talos_artifact`.
    Artifact,
    /// `talos_artifact_copy`.
    Copy,
}

impl Kind {
    pub(super) fn wish(
        self,
        values: &Value,
        services: Option<&Services>,
        server_id: Option<String>,
        diagnostics: &mut Diagnostics,
    ) -> wish::Read {
        match self {
            Self::Artifact => wish::artifact(values, services, server_id, diagnostics),
            Self::Copy => wish::copy(values, diagnostics),
        }
    }
}

fn services(setup: &Setup) -> Option<&Services> {
    match setup {
        Setup::Ready(context) => Some(&context.services),
        _ => None,
    }
}

/// The id that a factory with logins gave to this content, if a state has one.
fn server_id(
    kind: Kind,
    values: &Value,
    prior: &Value,
    services: Option<&Services>,
) -> Option<String> {
    let local = |values: &Value| {
        let read = kind.wish(values, services, None, &mut Diagnostics::new());
        match read.desired?.source {
            Source::Factory { url, id, .. } => Some((url, id.to_string())),
            _ => None,
        }
    };
    let told = text(prior, "schematic_id")?;
    let (_, before) = local(prior)?;
    let (url, now) = local(values)?;
    // Another factory gives another id, or the usual one.
    let served = text(prior.get("image"), "url").or_else(|| {
        let own = prior.get("installer").is_null();
        let image = text(prior, "installer_image").filter(|_| own)?;
        Some(format!("//{image}"))
    });
    let is_same_factory = served.is_none_or(|served| {
        let host = served.split_once("//").map_or("", |(_, rest)| rest);
        host.split('/').next() == Some(url.host())
    });
    (now == before && (told == now || is_same_factory)).then_some(told)
}

/// Whether the factory gives ids of its own, which only it can tell.
fn asks_factory(services: Option<&Services>, desired: &Desired) -> bool {
    match (&desired.source, services) {
        (Source::Factory { url, .. }, Some(services)) => {
            services.factory_at(Some(url)).credentials.is_some()
        }
        _ => false,
    }
}

/// What it is called in sentences.
fn called(desired: &Desired) -> String {
    if desired.has_image() {
        format!("Talos image {}", desired.file_name)
    } else {
        let installer = desired.installer_image().unwrap_or_default();
        format!("Talos installer {installer}")
    }
}

/// An artifact that can be worked on.
struct Case {
    desired: Desired,
    host: Option<BuildHost>,
}

fn case(
    kind: Kind,
    context: &Context,
    values: &Value,
    server_id: Option<String>,
) -> Result<Case, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    let read = kind.wish(values, Some(&context.services), server_id, &mut diagnostics);
    let desired = read.desired.ok_or_else(|| errors(&diagnostics))?;
    Ok(Case {
        desired,
        host: read.builder,
    })
}

fn stored(private: &[u8]) -> Result<Observed, Diagnostics> {
    Observed::load(private)
        .map(Option::unwrap_or_default)
        .map_err(|too_new| {
            Diagnostic::error(
                "The state is from a newer provider",
                sentence(&too_new.to_string()),
            )
            .into()
        })
}

fn made(state: Value, observed: &Observed, diagnostics: Diagnostics) -> Outcome {
    Outcome {
        state,
        private: observed.store(),
        identity: Value::Null,
        diagnostics,
    }
}

/// Why nothing may be done with what is on the storages, if something stands against it: neither is a
/// storage that is gone.
fn shut(observed: &Observed) -> Option<Diagnostic> {
    if let Some(refused) = &observed.refused {
        return Some(refusal(refused));
    }
    observed.is_elsewhere().then(elsewhere)
}

fn elsewhere() -> Diagnostic {
    Diagnostic::error(
        "Another Proxmox cluster answers",
        "The files of this resource are on a cluster with another CA than the one that the provider's \
         endpoint leads to now; the same names mean other files there. Nothing was changed.\n\
         Hint: Set endpoint in the proxmox block of the provider back, or give each cluster a provider of \
         its own with `alias`. To leave the files where they are, take the resource out of the state \
         (`tofu state rm ADDRESS`) and apply: it is made anew here, and takes over what is there already.",
    )
    .at(fault::storage())
}

fn refusal(refused: &Refused) -> Diagnostic {
    let (summary, why, hint) = match refused {
        Refused::Login(why) => (
            "The Proxmox cluster refuses the login",
            why,
            "Set api_token, or username and password, in the proxmox block of the provider.",
        ),
        Refused::Certificate(why) => (
            "The certificate of the Proxmox node is not trusted",
            why,
            "Set ca_file or fingerprint in the proxmox block of the provider.",
        ),
    };
    Diagnostic::error(
        summary,
        format!(
            "{}\nNothing of the storages is known, and nothing was changed.\nHint: {hint}",
            sentence(why)
        ),
    )
    .at(fault::storage())
}

/// Why a run ended, at the user's own attribute where one is known to be at fault.
fn placed(
    diagnostic: Diagnostic,
    desired: &Desired,
    observed: &Observed,
    error: &executor::Error<Step, Fault>,
) -> Diagnostic {
    let place = match error {
        executor::Error::Step { step, source, .. } => source.place_in(desired, step),
        executor::Error::Blocked(_) => {
            let plan = planner_artifact::plan(desired, observed);
            plan.blocked_at().cloned().and_then(report::path)
        }
        _ => None,
    };
    report::at(diagnostic, place)
}
