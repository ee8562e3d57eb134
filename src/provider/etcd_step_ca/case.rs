//! A CA that can be worked on, and what keeps anybody from working on it.

use std::sync::Arc;

use planner::etcd_step_ca::{self as planner_ca, Desired, Observed};
use tf_plugin::{Diagnostic, Diagnostics, Value};

use super::wish;
use crate::{
    common::text,
    context::Context,
    facts::Facts,
    hosts::Hosts,
    life::{self, errors},
    nodes,
};

/// A CA that can be worked on.
pub(super) struct Case {
    pub(super) hosts: Hosts,
    pub(super) desired: Desired,
    pub(super) nodes: nodes::Nodes,
}

pub(super) fn read(context: &Arc<Context>, values: &Value) -> Result<Case, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    let read = wish::read(values, &mut diagnostics);
    let desired = read.desired.ok_or_else(|| errors(&diagnostics))?;
    let hosts = Hosts::new(context, &read.nodes.wishes)?;
    Ok(Case {
        hosts,
        desired,
        nodes: read.nodes,
    })
}

/// A host with this very CA and a ledger that does not know it: taken for gone, it would be made anew, and
/// nobody would trust the new one.
pub(super) fn forgotten(
    hosts: &Hosts,
    desired: &Desired,
    state: &Value,
    facts: &Facts,
) -> Option<Diagnostic> {
    let root = text(state, "root_fingerprint")?;
    let (key, _) = facts.iter().find(|(_, fact)| {
        fact.known().is_some_and(|host| {
            let ca = host.ca.as_ref();
            let is_there = ca.is_some_and(|ca| ca.root_fingerprint == root);
            host.owner.is_none() && host.journal.is_none() && is_there
        })
    })?;
    let what = format!("CA {}", desired.name);
    Some(life::forgotten(&what, &hosts.target(key).host, ""))
}

/// Another CA in the place of ours is no drift: its root would be trusted by nobody.
pub(super) fn replaced(
    desired: &Desired,
    state: &Value,
    observed: &Observed,
) -> Option<Diagnostic> {
    let called = desired.called(&desired.active);
    let host = observed.host(&desired.active)?;
    let owner = host.owner.as_ref()?;
    if owner.id != desired.id {
        return Some(Diagnostic::error(
            format!("Another CA {} is on {called}", desired.name),
            format!(
                "It was made under the id {}, the one in this state under {}. Nothing was changed.\n\
                 Hint: Remove this resource from the state and import what is there.",
                owner.id, desired.id
            ),
        ));
    }
    let known = text(state, "root_fingerprint")?;
    let found = &host.ca.as_ref().filter(|ca| ca.present)?.root_fingerprint;
    (*found != known).then(|| {
        Diagnostic::error(
            format!("The CA on {called} has another root"),
            format!(
                "Its root has the fingerprint {found}, the one in this state has {known}. Certificates \
                 of the former are not valid under the new one. Nothing was changed.\nHint: Put the \
                 former directory {} back from a backup.",
                planner_ca::directory(desired.instance.as_ref())
            ),
        )
    })
}

/// A CA that is protected and gone is not made anew in silence: nobody would trust the new one.
pub(super) fn gone(hosts: &Hosts, desired: &Desired) -> Diagnostic {
    let host = &hosts.target(&desired.active).host;
    Diagnostic::error(
        format!("CA {} is gone from {host}", desired.name),
        format!(
            "Neither its files nor its entry in the ledger are there any more. A new one would have another \
             root, and refuse every certificate of this one. Nothing was changed.\nHint: Put {} and \
             /var/lib/etcd-node/ledger.json back from a backup. If nobody needs this CA any more, take it \
             out of the state (`tofu state rm`), and the next apply makes a new one.",
            planner_ca::directory(desired.instance.as_ref())
        ),
    )
}
