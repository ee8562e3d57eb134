//! What an apply would do, in words, and what stands against it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use planner::{
    etcd_cluster::{self as cluster, Desired, Observed, Registered, names},
    facts::Fact,
    node::NodeWish,
    problem::Problems,
    version,
};
use tf_plugin::{
    Diagnostic, Diagnostics, Path, Value,
    provider::{Change, Plan},
};

use super::{WHAT, admission::admission, certify, look, schema, state, wish};
use crate::{
    common::{self, text, texts},
    context::{Context, Setup},
    creation,
    download::{self, Architecture, Program, Release},
    facts::Facts,
    hosts::Hosts,
    import,
    issuer::Handle,
    life::{errors, probe, ready},
    nodes, report,
};

pub(super) async fn plan(setup: &Setup, change: Change) -> Plan {
    let mut diagnostics = Diagnostics::new();
    let mut planned = change.planned;
    planned.set(
        "nodes",
        nodes::settle(change.prior.get("nodes"), change.config.get("nodes")),
    );
    if planned.get("version").is_null() {
        planned.set(
            "version",
            Value::string(version::default_version().to_string()),
        );
    }
    let read = wish::read(&planned, &mut diagnostics);
    let mut diagnostics = errors(&diagnostics);
    let is_installed = planned.get("version") == change.prior.get("version");
    let installed = if is_installed {
        &change.prior
    } else {
        &Value::Null
    };
    diagnostics.extend(wish::check_pins(&planned, installed));
    creation::note(setup, &change.prior, names::owner);
    if change.prior.is_null() {
        plan_creation(setup, &mut planned, &read, &mut diagnostics).await;
    } else {
        match Observed::load(&change.private) {
            Ok(known) => {
                let known = known.unwrap_or_default();
                let way = nodes::rerouted(change.prior.get("nodes"), &read.nodes.wishes);
                let mut facts = moved(setup, &known, &way, &read, &mut diagnostics).await;
                let before = wish::read(&change.prior, &mut Diagnostics::new()).desired;
                if !is_roomier(before.as_ref(), &read) {
                    facts.extend(grown(setup, &read).await);
                }
                let seen = Seen {
                    known,
                    facts,
                    is_rerouted: !way.is_empty(),
                    before,
                };
                plan_update(&change.prior, seen, &mut planned, &read, &mut diagnostics);
            }
            Err(too_new) => {
                diagnostics.error("The state is from a newer provider", format!("{too_new}."));
            }
        }
    }
    let identity = import::identity_of(&planned);
    Plan {
        planned,
        private: change.private,
        identity,
        diagnostics,
    }
}

async fn plan_creation(
    setup: &Setup,
    planned: &mut Value,
    read: &wish::Read,
    diagnostics: &mut Diagnostics,
) {
    if planned.get("release_sha256").is_null() {
        common::unknown(planned, &["release_sha256"]);
    }
    common::unknown(planned, &["id", "change_plan", "status"]);
    common::unknown(planned, &schema::WISHED);
    planned.set("drift", Value::List(Vec::new()));
    let Some(desired) = &read.desired else { return };
    state::set_wished(planned, desired);
    planned.set(
        "change_plan",
        Value::strings(cluster::announce_creation(desired)),
    );
    let Ok(context) = ready(setup) else { return };
    let hosts = match Hosts::new(&context, &read.nodes.wishes) {
        Ok(hosts) => hosts,
        Err(found) => return diagnostics.extend(found),
    };
    let owner = names::owner(&desired.name);
    let mut facts = probe(
        &hosts,
        &owner,
        |key| look::request(desired, key),
        diagnostics,
    )
    .await;
    creation::leave_made(&hosts, &mut facts, &desired.wish());
    offered(&context, desired, &facts, diagnostics).await;
    creation::take_ports(&hosts, &desired.wanted_ports(), diagnostics);
    let replaced = match creation::plan(&hosts, &owner, WHAT, &facts, diagnostics) {
        Ok(id) => id,
        Err(protected) => return diagnostics.extend(protected),
    };
    let registered = registered(&context, desired, read.handle.as_ref()).await;
    let observed = Observed::of(facts);
    let problems = admission(&hosts, desired, &observed, replaced, registered).await;
    diagnostics.extend(report::problems(problems));
}

/// Who has the name of the cluster at its CA; nobody if the CA is not made yet or cannot be asked.
async fn registered(
    context: &Arc<Context>,
    desired: &Desired,
    handle: Option<&Handle>,
) -> Option<Registered> {
    desired.issuer.fingerprint.as_ref()?;
    let ca = Hosts::new(context, &handle?.nodes).ok()?;
    certify::registered(&ca, desired).await
}

/// Says whether the version can be had for the architectures of the hosts that were seen.
async fn offered(
    context: &Context,
    desired: &Desired,
    facts: &Facts,
    diagnostics: &mut Diagnostics,
) {
    let seen: BTreeSet<Architecture> = facts
        .values()
        .filter_map(|fact| Architecture::from_machine(&fact.known()?.architecture))
        .collect();
    for architecture in seen {
        let release = Release {
            program: Program::Etcd,
            version: desired.version.clone(),
            architecture,
        };
        let Err(error) = context.downloads.offers(&release).await else {
            continue;
        };
        let detail = format!(
            "{}{}",
            report::sentence(&report::chain(&error)),
            report::hint(&error.hint())
        );
        let diagnostic = match error {
            download::Error::NoSuchRelease { .. } => {
                Diagnostic::error(format!("There is no etcd {}", desired.version), detail)
            }
            _ => Diagnostic::warning(
                format!("Whether there is an etcd {} is not known", desired.version),
                detail,
            ),
        };
        diagnostics.push(diagnostic.at(Path::attribute("version")));
    }
}

/// What a plan for a cluster that stands in a state is made from.
struct Seen {
    /// What the last refresh saw.
    known: Observed,
    /// What is behind hosts that are reached otherwise than before, seen just now.
    facts: Facts,
    /// Some host is reached otherwise, whether it was seen or not.
    is_rerouted: bool,
    /// The wish of the last apply.
    before: Option<Desired>,
}

/// Looks behind hosts that are reached otherwise than before: a member stays on its machine, and the
/// refresh went the former way.
async fn moved(
    setup: &Setup,
    known: &Observed,
    wishes: &BTreeMap<String, NodeWish>,
    read: &wish::Read,
    diagnostics: &mut Diagnostics,
) -> Facts {
    let (Ok(context), Some(desired)) = (ready(setup), &read.desired) else {
        return Facts::new();
    };
    if wishes.is_empty() {
        return Facts::new();
    }
    let hosts = match Hosts::new(&context, wishes) {
        Ok(hosts) => hosts,
        Err(found) => {
            diagnostics.extend(found);
            return Facts::new();
        }
    };
    let owner = names::owner(&desired.name);
    let request = |key: &_| look::request(desired, key);
    let facts = probe(&hosts, &owner, request, diagnostics).await;
    for (key, fact) in &facts {
        if let Fact::Unknown(why) = fact {
            let host = &hosts.target(key).host;
            let warning = Diagnostic::warning(
                format!("Whether {host} is the machine of node \"{key}\" is not known"),
                report::sentence(why),
            );
            diagnostics.push(warning.at(Path::attribute("nodes").key(key.as_str())));
        }
    }
    // Together with the machines of the others: two nodes may meet on one.
    let mut seen = known.clone();
    seen.hosts.extend(facts.clone());
    let mut problems = Problems::default();
    cluster::misplaced(desired, &seen, known, &mut problems);
    diagnostics.extend(report::problems(problems));
    facts
}

/// Whether the databases may become as large as before.
fn is_roomier(before: Option<&Desired>, read: &wish::Read) -> bool {
    let quota = |desired: &Desired| desired.tuning.quota_backend_bytes;
    match (before, &read.desired) {
        (Some(before), Some(wanted)) => quota(wanted) >= quota(before),
        _ => true,
    }
}

/// What a smaller quota is held against: the sizes that the refresh stored may be as old as the last
/// change. Hosts that are not seen now are left out.
async fn grown(setup: &Setup, read: &wish::Read) -> Facts {
    let (Ok(context), Some(desired)) = (ready(setup), &read.desired) else {
        return Facts::new();
    };
    let Ok(hosts) = Hosts::new(&context, &read.nodes.wishes) else {
        return Facts::new();
    };
    let owner = names::owner(&desired.name);
    let request = |key: &_| look::request(desired, key);
    let mut facts = probe(&hosts, &owner, request, &mut Diagnostics::new()).await;
    facts.retain(|_, fact| fact.known().is_some());
    facts
}

fn plan_update(
    prior: &Value,
    seen: Seen,
    planned: &mut Value,
    read: &wish::Read,
    diagnostics: &mut Diagnostics,
) {
    let Some(desired) = &read.desired else {
        common::unknown(planned, &schema::WISHED);
        common::unknown(planned, &["change_plan", "status"]);
        let what = format!("Cluster {}", text(prior, "name").unwrap_or_default());
        let may = "restart the members, one at a time";
        let unknown = wish::unknown(planned);
        return common::warn_unannounced(&what, may, &unknown, diagnostics);
    };
    let mut observed = seen.known;
    observed.hosts.extend(seen.facts);
    let mut problems = Problems::default();
    if let Some(before) = &seen.before {
        cluster::refuse(before, desired, &mut problems);
        cluster::check_quota(before, desired, &observed, &mut problems);
    }
    diagnostics.extend(report::problems(problems));
    state::set_wished(planned, desired);
    planned.set("drift", Value::List(Vec::new()));
    let mut plan = cluster::plan(desired, &observed);
    if let Some(before) = &seen.before {
        plan.blocked
            .extend(cluster::left_out(before, desired, &observed));
    }
    let has_drift = !texts(prior, "drift").is_empty();
    if !plan.steps.is_empty() || has_drift {
        common::announce(planned, prior, plan.sentences());
        common::unknown(planned, &["status"]);
    }
    // The apply goes the new way, and says what it met there.
    if seen.is_rerouted {
        common::unknown(planned, &["status"]);
    }
    // A change that cannot be made now ends with the reason, and does not stand in the state.
    let is_changed = seen.before.is_some_and(|before| before.is_other(desired));
    if is_changed && !plan.blocked.is_empty() {
        common::unknown(planned, &["status"]);
    }
    let is_wanted = has_drift || planned != prior;
    if is_wanted {
        for reason in plan.blocked {
            diagnostics.warning(
                format!("Cluster {}: something cannot be done now", desired.name),
                report::sentence(&reason),
            );
        }
    }
}
