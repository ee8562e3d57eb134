//! Plan, create, read, update and delete a cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use planner::{
    etcd_cluster::{self as cluster, Desired, Observed, names},
    problem::Problems,
    version,
};
use tf_plugin::{
    Diagnostic, Diagnostics, Path, Severity, Value,
    provider::{Change, Current, Import, Outcome, Plan},
};

use super::{
    WHAT, certify, look, schema, state, wish,
    work::{ClusterWork, Ended},
};
use crate::{
    common::{self, texts},
    context::{Context, Setup},
    download::{self, Architecture, Program, Release},
    executor,
    facts::Facts,
    hosts::Hosts,
    import,
    life::{errors, limits, look as look_at, made, not_read, probe, ready, warn_unseen},
    nodes,
    report::{self, Told},
    session, timeouts,
};

/// A cluster that can be worked on.
struct Case {
    hosts: Hosts,
    ca: Hosts,
    desired: Desired,
}

fn case(context: &Arc<Context>, values: &Value) -> Result<Case, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    let read = wish::read(values, &mut diagnostics);
    let (Some(desired), Some(handle)) = (read.desired, read.handle) else {
        return Err(errors(&diagnostics));
    };
    let hosts = Hosts::new(context, &read.nodes.wishes)?;
    let ca = Hosts::new(context, &handle.nodes)?;
    Ok(Case { hosts, ca, desired })
}

pub(super) async fn read(setup: &Setup, current: Current) -> Outcome {
    let Ok(context) = ready(setup) else {
        return not_read(setup, current);
    };
    let Case { hosts, desired, .. } = match case(&context, &current.state) {
        Ok(case) => case,
        Err(diagnostics) => return Outcome::unchanged(current, diagnostics),
    };
    let owner = names::owner(&desired.name);
    let limit = timeouts::limit(&current.state, "read");
    let request = |key: &_| look::request(&desired, key);
    let (mut facts, troubles) = hosts.observe_all(&owner, limit, request).await;
    session::claim(&hosts, &mut facts, &owner, &desired.id).await;
    let mut diagnostics = warn_unseen(
        &hosts,
        &facts,
        &troubles,
        &format!("Cluster {}", desired.name),
    );
    let is_gone = facts
        .values()
        .all(|fact| fact.known().is_some_and(|host| host.owner.is_none()));
    if is_gone {
        return Outcome {
            state: Value::Null,
            private: Vec::new(),
            identity: Value::Null,
            diagnostics,
        };
    }
    if let Some(other) = another(&hosts, &desired, &facts) {
        diagnostics.push(other);
        return Outcome::unchanged(current, diagnostics);
    }
    let observed = Observed { hosts: facts };
    let mut values = current.state;
    // After an import only what the user gives is there.
    state::set_wished(&mut values, &desired);
    state::set_seen(&mut values, &desired, &observed);
    if values.get("change_plan").is_null() {
        values.set("change_plan", Value::List(Vec::new()));
    }
    made(values, observed.store(), diagnostics)
}

/// A host where somebody else's cluster has our name.
fn another(hosts: &Hosts, desired: &Desired, facts: &Facts) -> Option<Diagnostic> {
    facts.iter().find_map(|(key, fact)| {
        let owner = fact.known()?.owner.as_ref().filter(|owner| owner.id != desired.id)?;
        let host = &hosts.target(key).host;
        Some(Diagnostic::error(
            format!("Another cluster {} is on {host}", desired.name),
            format!(
                "It was made under the id {}, the one in this state under {}. Nothing was changed.\n\
                 Hint: Remove this resource from the state and import what is there.",
                owner.id, desired.id
            ),
        ))
    })
}

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
    if change.prior.is_null() {
        plan_creation(setup, &mut planned, &read, &mut diagnostics).await;
    } else {
        plan_update(
            &change.prior,
            &change.private,
            &mut planned,
            &read,
            &mut diagnostics,
        );
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
    let facts = probe(
        &hosts,
        &owner,
        |key| look::request(desired, key),
        diagnostics,
    )
    .await;
    offered(&context, desired, &facts, diagnostics).await;
    let id = session::unfinished(&facts);
    let mut problems = Problems::default();
    cluster::admit(
        desired,
        &Observed { hosts: facts },
        id.as_deref(),
        &mut problems,
    );
    diagnostics.extend(report::problems(problems));
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

fn plan_update(
    prior: &Value,
    private: &[u8],
    planned: &mut Value,
    read: &wish::Read,
    diagnostics: &mut Diagnostics,
) {
    let Some(desired) = &read.desired else {
        common::unknown(planned, &schema::WISHED);
        common::unknown(planned, &["change_plan", "status"]);
        return;
    };
    let mut problems = Problems::default();
    if let Some(before) = wish::read(prior, &mut Diagnostics::new()).desired {
        cluster::refuse(&before, desired, &mut problems);
    }
    diagnostics.extend(report::problems(problems));
    state::set_wished(planned, desired);
    planned.set("drift", Value::List(Vec::new()));
    let observed = match Observed::load(private) {
        Ok(observed) => observed.unwrap_or_default(),
        Err(too_new) => {
            return diagnostics.error("The state is from a newer provider", format!("{too_new}."));
        }
    };
    let plan = cluster::plan(desired, &observed);
    let has_drift = !texts(prior, "drift").is_empty();
    if !plan.steps.is_empty() || has_drift {
        planned.set("change_plan", Value::strings(plan.sentences()));
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

pub(super) async fn create(setup: &Setup, change: Change) -> Outcome {
    match try_create(setup, &change).await {
        Ok(outcome) => outcome,
        Err(diagnostics) => Outcome::failed(diagnostics),
    }
}

async fn try_create(setup: &Setup, change: &Change) -> Result<Outcome, Diagnostics> {
    let context = ready(setup)?;
    let Case {
        hosts,
        ca,
        mut desired,
    } = case(&context, &change.planned)?;
    let owner = names::owner(&desired.name);
    let what = format!("Creation of cluster {}", desired.name);
    let failed = |trouble: &report::Trouble| -> Diagnostics {
        trouble.diagnostic(format!("{what} did not begin")).into()
    };
    let limit = timeouts::limit(&change.planned, "read");
    let facts = look_at(&hosts, &owner, limit, |key| look::request(&desired, key)).await?;
    let unfinished = session::unfinished(&facts);
    let mut problems = Problems::default();
    let observed = Observed { hosts: facts };
    cluster::admit(&desired, &observed, unfinished.as_deref(), &mut problems);
    if problems.has_errors() {
        return Err(report::problems(problems));
    }
    let locked = session::lock(&hosts, &owner, &observed.hosts)
        .await
        .map_err(|trouble| failed(&trouble))?;
    let had_quorum = |host: &planner::facts::HostFacts| {
        let manifest = host
            .owner
            .as_ref()
            .and_then(|owner| cluster::Manifest::parse(&owner.manifest));
        manifest.is_some_and(|manifest| manifest.bootstrapped)
    };
    desired.id = session::settle_id(&hosts, &observed.hosts, &owner, &desired.wish(), had_quorum)
        .await
        .map_err(|trouble| failed(&trouble))?;
    session::begin(&hosts, &owner, &desired.id, &desired.wish())
        .await
        .map_err(|trouble| failed(&trouble))?;
    let wanted = wish::map(&change.planned, "release_sha256");
    let work = ClusterWork::new(&hosts, &ca, &desired, None, wanted, observed);
    let result = executor::run(&work, limits(&context, &change.planned, "create")).await;
    let ended = work.end();
    locked.release().await;
    match result {
        Ok(_) => Ok(after(change, &desired, ended, Diagnostics::new())),
        // Something of value may be in it by now: it must stand in the state, and not be tainted.
        Err(error) if ended.bootstrapped => {
            let next = "The cluster exists. The next apply completes it in place.";
            let mut diagnostic = report::run(&what, &error, next);
            diagnostic.severity = Severity::Warning;
            let reason = format!("incomplete: {}", report::chain(&error));
            let mut outcome = after(change, &desired, ended, diagnostic.into());
            outcome.state.set("status", Value::string(reason));
            Ok(outcome)
        }
        Err(error) => {
            let next = "What was made stays on the hosts; the next apply goes on from there.";
            Err(report::run(&what, &error, next).into())
        }
    }
}

/// The state after a run.
fn after(
    change: &Change,
    desired: &Desired,
    mut ended: Ended,
    diagnostics: Diagnostics,
) -> Outcome {
    ended.observed.hosts = session::without_journal(ended.observed.hosts, &desired.id);
    let mut values = change.planned.clone();
    values.set("id", Value::string(&desired.id));
    if values.get("release_sha256").is_unknown() {
        let archives: BTreeMap<String, Value> = ended
            .archives
            .into_iter()
            .map(|(name, sha256)| (name, Value::string(sha256)))
            .collect();
        values.set("release_sha256", Value::Map(archives));
    }
    state::set_seen(&mut values, desired, &ended.observed);
    values.set("drift", Value::List(Vec::new()));
    made(values, ended.observed.store(), diagnostics)
}

pub(super) async fn update(setup: &Setup, change: Change) -> Outcome {
    match try_update(setup, &change).await {
        Ok(outcome) => outcome,
        Err(diagnostics) => Outcome {
            identity: import::identity_of(&change.prior),
            state: change.prior,
            private: change.private,
            diagnostics,
        },
    }
}

async fn try_update(setup: &Setup, change: &Change) -> Result<Outcome, Diagnostics> {
    if change.planned.is_wholly_known() {
        return Ok(made(
            change.planned.clone(),
            change.private.clone(),
            Diagnostics::new(),
        ));
    }
    let context = ready(setup)?;
    let Case { hosts, ca, desired } = case(&context, &change.planned)?;
    let owner = names::owner(&desired.name);
    let what = format!("Change of cluster {}", desired.name);
    let limit = timeouts::limit(&change.planned, "read");
    let request = |key: &_| look::request(&desired, key);
    let (facts, _) = hosts.observe_all(&owner, limit, request).await;
    if let Some(other) = another(&hosts, &desired, &facts) {
        return Err(other.into());
    }
    let locked = session::lock(&hosts, &owner, &facts)
        .await
        .map_err(|trouble| trouble.diagnostic(format!("{what} did not begin")))?;
    let announced = texts(&change.planned, "change_plan").into_iter().collect();
    let wanted = wish::map(&change.planned, "release_sha256");
    let observed = Observed { hosts: facts };
    let work = ClusterWork::new(&hosts, &ca, &desired, Some(announced), wanted, observed);
    let result = executor::run(&work, limits(&context, &change.planned, "update")).await;
    let ended = work.end();
    locked.release().await;
    match result {
        Ok(_) => Ok(after(change, &desired, ended, Diagnostics::new())),
        Err(error) => {
            let next = "What was done stays; the next apply goes on from there.";
            Err(report::run(&what, &error, next).into())
        }
    }
}

pub(super) async fn delete(setup: &Setup, current: Current) -> Outcome {
    match try_delete(setup, &current).await {
        Ok(diagnostics) => Outcome {
            state: Value::Null,
            private: Vec::new(),
            identity: Value::Null,
            diagnostics,
        },
        Err(diagnostics) => Outcome::unchanged(current, diagnostics),
    }
}

async fn try_delete(setup: &Setup, current: &Current) -> Result<Diagnostics, Diagnostics> {
    let state = &current.state;
    let protected = common::protected(state, WHAT);
    if protected.has_errors() {
        return Err(protected);
    }
    let context = ready(setup)?;
    let Case { hosts, ca, desired } = case(&context, state)?;
    let owner = names::owner(&desired.name);
    let mut diagnostics =
        common::remove(&hosts, state, &owner, timeouts::limit(state, "delete")).await;
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    for why in certify::forget(&ca, &desired).await {
        diagnostics.warning(
            format!("The CA {} still has {} in its register", desired.issuer.name, desired.name),
            format!(
                "{why} Before another cluster of this name can be made under it, take the name out of \
                 {}/consumers.json on the CA host.",
                desired.issuer.directory
            ),
        );
    }
    Ok(diagnostics)
}

pub(super) async fn import(setup: &Setup, wanted: Import) -> Outcome {
    let found = async {
        let context = ready(setup)?;
        import::find(&context, "etcd_cluster", &schema::schema(), &wanted).await
    };
    match found.await {
        Ok(state) => made(state, Vec::new(), Diagnostics::new()),
        Err(diagnostics) => Outcome::failed(diagnostics),
    }
}
