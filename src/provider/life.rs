//! What the lives of all resources have in common: refusing to work unconfigured, looking before a
//! creation, results in the form that Core wants.

use std::{sync::Arc, time::Duration};

use host::proto::ObserveRequest;
use planner::{facts::Fact, name::NodeKey};
use tf_plugin::{
    Diagnostic, Diagnostics, Severity, Value,
    provider::{Change, Current, Outcome},
};

use crate::{
    context::{Context, Setup},
    executor::Limits,
    facts::Facts,
    hosts::Hosts,
    import,
    report::{Told, Trouble, sentence},
    timeouts,
};

/// Limit for looking at hosts within a plan: warnings come from it, no facts.
const PROBE: Duration = Duration::from_secs(20);

/// The configured provider, or why there is none.
pub(crate) fn ready(setup: &Setup) -> Result<Arc<Context>, Diagnostics> {
    match setup {
        Setup::Ready(context) => Ok(Arc::clone(context)),
        Setup::Unknown => Err(Diagnostic::error(
            "The provider's configuration is not known yet",
            "Something in the provider block is made by this same apply. Apply that first (with \
             -target), or use values that are known.",
        )
        .into()),
        Setup::Missing => Err(Diagnostic::error(
            "The provider is not configured",
            "Core asked for work before it configured the provider. Please report this.",
        )
        .into()),
    }
}

/// The object as it was, with a warning that nobody could look.
pub(crate) fn not_read(setup: &Setup, current: Current) -> Outcome {
    let mut diagnostics = Diagnostics::new();
    if matches!(setup, Setup::Unknown) {
        diagnostics.warning(
            "Hosts were not looked at",
            "The provider's configuration is not wholly known during this plan, so the last known state \
             is used.",
        );
    }
    Outcome::unchanged(current, diagnostics)
}

/// Only what stops: warnings about a configuration are validation's to tell, once.
pub(crate) fn errors(diagnostics: &Diagnostics) -> Diagnostics {
    let mut errors = Diagnostics::new();
    for diagnostic in diagnostics
        .iter()
        .filter(|found| found.severity == Severity::Error)
    {
        errors.push(diagnostic.clone());
    }
    errors
}

/// An object with its identity.
pub(crate) fn made(state: Value, private: Vec<u8>, diagnostics: Diagnostics) -> Outcome {
    let identity = import::identity_of(&state);
    Outcome {
        state,
        private,
        identity,
        diagnostics,
    }
}

/// Whether all hosts were seen, and none knows the resource.
pub(crate) fn is_gone(facts: &Facts) -> bool {
    let mut facts = facts.values();
    facts.all(|fact| fact.known().is_some_and(|host| host.owner.is_none()))
}

/// The answer to a change that leaves nothing to look at on hosts: what was planned is wholly known.
pub(crate) fn settled(change: &Change) -> Option<Outcome> {
    let (planned, private) = (&change.planned, &change.private);
    planned
        .is_wholly_known()
        .then(|| made(planned.clone(), private.clone(), Diagnostics::new()))
}

/// An object that is not there any more.
pub(crate) fn gone(diagnostics: Diagnostics) -> Outcome {
    Outcome {
        state: Value::Null,
        private: Vec::new(),
        identity: Value::Null,
        diagnostics,
    }
}

/// The answer to a creation; one that failed leaves nothing in the state, so nothing is tainted.
pub(crate) fn created(result: Result<Outcome, Diagnostics>) -> Outcome {
    result.unwrap_or_else(Outcome::failed)
}

/// The answer to a change; with an error, the object stays as it was.
pub(crate) fn updated(change: Change, result: Result<Outcome, Diagnostics>) -> Outcome {
    result.unwrap_or_else(|diagnostics| made(change.prior, change.private, diagnostics))
}

/// The answer to a removal; with an error, the object stays, and the next removal goes on.
pub(crate) fn deleted(current: Current, result: Result<Diagnostics, Diagnostics>) -> Outcome {
    match result {
        Ok(diagnostics) => gone(diagnostics),
        Err(diagnostics) => Outcome::unchanged(current, diagnostics),
    }
}

/// Limits of a run of an operation.
pub(crate) fn limits(context: &Context, values: &Value, operation: &str) -> Limits {
    Limits {
        timeout: timeouts::limit(values, operation),
        stop: context.stop.subscribe(),
    }
}

/// Looks at hosts for a creation that is planned. Hosts that are away are left to the planner's
/// warning; whatever a person must mend is an error now.
pub(crate) async fn probe(
    hosts: &Hosts,
    owner: &str,
    request: impl Fn(&NodeKey) -> ObserveRequest,
    diagnostics: &mut Diagnostics,
) -> Facts {
    let (mut facts, troubles) = hosts.observe_all(owner, PROBE, request).await;
    for trouble in troubles.iter().filter(|trouble| !trouble.is_unreachable()) {
        let Some(key) = trouble.key() else { continue };
        let host = &hosts.target(key).host;
        diagnostics.push(trouble.diagnostic(format!("Host {host} cannot be worked on")));
        facts.remove(key);
    }
    facts
}

/// Looks at hosts before a creation: all must be there.
///
/// # Errors
/// One diagnostic for each host that is not.
pub(crate) async fn look(
    hosts: &Hosts,
    owner: &str,
    limit: Duration,
    request: impl Fn(&NodeKey) -> ObserveRequest,
) -> Result<Facts, Diagnostics> {
    let (facts, troubles) = hosts.observe_all(owner, limit, request).await;
    let mut diagnostics = Diagnostics::new();
    for trouble in &troubles {
        let host = trouble
            .key()
            .map_or("", |key| hosts.target(key).host.as_str());
        diagnostics.push(trouble.diagnostic(format!("Host {host} cannot be worked on")));
    }
    for (key, fact) in &facts {
        let is_told = troubles.iter().any(|trouble| trouble.key() == Some(key));
        if let (Fact::Unknown(why), false) = (fact, is_told) {
            let host = &hosts.target(key).host;
            diagnostics.error(format!("Host {host} cannot be worked on"), why.clone());
        }
    }
    if diagnostics.has_errors() {
        Err(diagnostics)
    } else {
        Ok(facts)
    }
}

/// What the files of a resource are without the ledger that says so.
///
/// `anew` is what lets it be made anew there if no backup is left.
pub(crate) fn forgotten(what: &str, host: &str, anew: &str) -> Diagnostic {
    Diagnostic::error(
        format!("{what}: the ledger on {host} does not know it any more"),
        format!(
            "Its files are there and are left as they are: without a ledger they count as somebody \
             else's. Nothing was changed.\nHint: Put /var/lib/etcd-node/ledger.json on {host} back from \
             a backup (its copy is /etc/etcd-node/ledger.json), and plan again.{anew}"
        ),
    )
}

/// Warnings about hosts that were not seen in a refresh, with what a person can do about each. A host
/// that answers and whose records cannot be read is an error: nothing there mends itself.
pub(crate) fn warn_unseen(
    hosts: &Hosts,
    facts: &Facts,
    troubles: &[Trouble],
    what: &str,
) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    for (key, fact) in facts {
        let Fact::Unknown(why) = fact else { continue };
        let trouble = troubles.iter().find(|trouble| trouble.key() == Some(key));
        let is_broken = trouble.is_some_and(Trouble::is_broken);
        let came_to = if is_broken {
            "cannot be worked on"
        } else {
            "was not seen"
        };
        let summary = format!(
            "{what}: host {} of node {key} {came_to}",
            hosts.target(key).host
        );
        let mut diagnostic = match trouble {
            Some(trouble) => trouble.diagnostic(summary),
            None => Diagnostic::error(summary, sentence(why)),
        };
        if is_broken {
            diagnostics.push(diagnostic);
            continue;
        }
        diagnostic.severity = Severity::Warning;
        diagnostic.detail = format!(
            "What it has is taken to be as it was last seen. {}",
            diagnostic.detail
        );
        diagnostics.push(diagnostic);
    }
    diagnostics
}
