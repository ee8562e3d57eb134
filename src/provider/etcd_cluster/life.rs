//! Plan, create, read, update and delete a cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::future::join_all;
use planner::{
    etcd_cluster::{self as cluster, Desired, Observed, Registered, names},
    facts::{Fact, HostFacts},
    name::{Name, NodeKey},
    node::NodeWish,
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
    common::{self, text, texts},
    context::{Context, Setup, When},
    download::{self, Architecture, Program, Release},
    executor,
    facts::{self, Facts},
    hosts::Hosts,
    import,
    issuer::Handle,
    life::{self, errors, limits, look as look_at, made, not_read, probe, ready, warn_unseen},
    nodes,
    report::{self, Told},
    session::{self, Locked},
    timeouts,
};

/// A cluster that can be worked on.
pub(super) struct Case {
    pub(super) hosts: Hosts,
    pub(super) ca: Hosts,
    pub(super) desired: Desired,
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
    note(setup, &current.state);
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
    let before = Observed::load(&current.private).ok().flatten();
    let before = before.unwrap_or_default();
    let observed = Observed::of(facts).remembering(&before);
    let forgotten = cluster::forgotten(&desired, &observed);
    if !forgotten.is_empty() {
        for key in forgotten {
            diagnostics.push(without_ledger(&hosts, &desired, key));
        }
        return Outcome::unchanged(current, diagnostics);
    }
    if is_gone {
        return Outcome {
            state: Value::Null,
            private: Vec::new(),
            identity: Value::Null,
            diagnostics,
        };
    }
    if let Some(other) = another(&hosts, &desired, &observed.hosts) {
        diagnostics.push(other);
        return Outcome::unchanged(current, diagnostics);
    }
    let mut problems = Problems::default();
    cluster::warnings(&desired, &observed, &mut problems);
    diagnostics.extend(report::problems(problems));
    let mut values = current.state;
    // After an import only what the user gives is there.
    state::set_wished(&mut values, &desired);
    state::set_seen(&mut values, &desired, &observed);
    if values.get("change_plan").is_null() {
        values.set("change_plan", Value::List(Vec::new()));
    }
    let private = if observed.is_same(&before, &desired) {
        current.private
    } else {
        observed.store()
    };
    made(values, private, diagnostics)
}

fn without_ledger(hosts: &Hosts, desired: &Desired, key: &NodeKey) -> Diagnostic {
    let anew = format!(
        " If there is none, and the other members are healthy, take this one off its host, by hand and as \
         root, and apply: it joins anew.\n  {}",
        cluster::clearing(desired, key)
    );
    let what = format!("Cluster {}", desired.name);
    life::forgotten(&what, &hosts.target(key).host, &anew)
}

/// A host where somebody else's cluster has our name.
fn another(hosts: &Hosts, desired: &Desired, facts: &Facts) -> Option<Diagnostic> {
    let owner = |(key, fact): (_, &Fact<HostFacts>)| Some((key, fact.known()?.owner.clone()?));
    let owners = || facts.iter().filter_map(owner);
    let (key, owner) = owners().find(|(_, owner)| owner.id != desired.id)?;
    let host = &hosts.target(key).host;
    let hint = if owners().any(|(_, owner)| owner.id == desired.id) {
        format!(
            "The other hosts have the one in this state. If that on {host} is what is left of an earlier \
             one, take it off there, and apply; the member then joins anew:\n  sudo {} leave {} {}",
            names::TIMER_HELPER,
            names::owner(&desired.name),
            owner.id
        )
    } else {
        "Remove this resource from the state and import what is there.".to_owned()
    };
    Some(Diagnostic::error(
        format!("Another cluster {} is on {host}", desired.name),
        format!(
            "It was made under the id {}, the one in this state under {}. Nothing was changed.\nHint: {hint}",
            owner.id, desired.id
        ),
    ))
}

/// Remembers an object of the state: what is planned under its name later replaces it.
fn note(setup: &Setup, state: &Value) {
    let name = text(state, "name").and_then(|name| Name::parse(&name).ok());
    if let (Ok(context), Some(name)) = (ready(setup), name) {
        context.in_state.note(names::owner(&name), state);
    }
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
    note(setup, &change.prior);
    if change.prior.is_null() {
        plan_creation(setup, &mut planned, &read, &mut diagnostics).await;
    } else {
        match Observed::load(&change.private) {
            Ok(known) => {
                let known = known.unwrap_or_default();
                let way = nodes::rerouted(change.prior.get("nodes"), &read.nodes.wishes);
                let facts = moved(setup, &known, &way, &read, &mut diagnostics).await;
                let seen = Seen {
                    known,
                    facts,
                    is_rerouted: !way.is_empty(),
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
    session::leave_made(&mut facts, &context.origin, &desired.wish());
    offered(&context, desired, &facts, diagnostics).await;
    let replaced = match common::replaced(&context, &owner, WHAT, &facts, diagnostics) {
        Ok(id) => id,
        Err(protected) => return diagnostics.extend(protected),
    };
    let names = hosts.keys().map(|key| hosts.target(key).host.as_str());
    if !context.names.take(When::Planned, &owner, names) {
        diagnostics.push(common::twice(&owner));
    }
    let registered = registered(&context, desired, read.handle.as_ref()).await;
    let observed = Observed::of(facts);
    let problems = admission(&hosts, desired, &observed, replaced, registered).await;
    diagnostics.extend(report::problems(problems));
}

/// What stands against the creation, and what is to be known of an earlier one of the same name.
/// `replaced` is the uid of the object that it takes the place of, `registered` who has the name at the CA.
async fn admission(
    hosts: &Hosts,
    desired: &Desired,
    observed: &Observed,
    replaced: Option<String>,
    registered: Option<Registered>,
) -> Problems {
    let mut problems = Problems::default();
    let unfinished = || session::unfinished(&observed.hosts).map(|journal| journal.id.clone());
    let id = replaced.or_else(unfinished);
    cluster::admit(desired, observed, id.as_deref(), &mut problems);
    if let Some(registered) = registered {
        cluster::check_name(desired, observed, id.as_deref(), &registered, &mut problems);
    }
    if let Some(by) = session::continued(&observed.hosts, &desired.wish()) {
        problems.warning(
            &["name"],
            format!("A creation of cluster {} that was begun goes on", desired.name),
            format!(
                "{by} began it, and it was never seen in a state. If it is somebody else's, choose another \
                 name: what is made here will be in this state."
            ),
        );
    }
    let left = cluster::leftovers(desired, observed);
    let looks = earlier(hosts, desired, &left).await;
    cluster::settle(desired, &left, &looks, &mut problems);
    problems
}

/// Asks the members that an earlier creation left, at the ports that it had.
async fn earlier(hosts: &Hosts, desired: &Desired, left: &[cluster::Leftover]) -> Facts {
    let looks = left.iter().filter_map(|left| {
        let reach = left.reach(&desired.name)?;
        let request = look::leftover(&reach);
        Some(async move {
            let fact = match hosts.observe(&left.key, request).await {
                Ok(response) => Fact::Known(facts::from_response(response, "")),
                Err(trouble) => Fact::Unknown(trouble.line()),
            };
            (left.key.clone(), fact)
        })
    });
    join_all(looks).await.into_iter().collect()
}

/// What a plan for a cluster that stands in a state is made from.
struct Seen {
    /// What the last refresh saw.
    known: Observed,
    /// What is behind hosts that are reached otherwise than before, seen just now.
    facts: Facts,
    /// Some host is reached otherwise, whether it was seen or not.
    is_rerouted: bool,
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
    let mut problems = Problems::default();
    if let Some(before) = wish::read(prior, &mut Diagnostics::new()).desired {
        cluster::refuse(&before, desired, &mut problems);
    }
    diagnostics.extend(report::problems(problems));
    state::set_wished(planned, desired);
    planned.set("drift", Value::List(Vec::new()));
    let mut observed = seen.known;
    observed.hosts.extend(seen.facts);
    let plan = cluster::plan(desired, &observed);
    let has_drift = !texts(prior, "drift").is_empty();
    if !plan.steps.is_empty() || has_drift {
        common::announce(planned, prior, plan.sentences());
        common::unknown(planned, &["status"]);
    }
    // The apply goes the new way, and says what it met there.
    if seen.is_rerouted {
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
    let case = case(&context, &change.planned)?;
    let owner = names::owner(&case.desired.name);
    // Before anything is locked: what a person must mend, and in which order machines are locked.
    let (observed, _) = admitted(&case, change).await?;
    let machines = observed.hosts.values().filter_map(Fact::known);
    let machines = machines.map(|host| host.machine_id.as_str());
    if !context.names.take(When::Made, &owner, machines) {
        return Err(common::twice(&owner).into());
    }
    let locked = session::lock(&case.hosts, &owner, &observed.hosts)
        .await
        .map_err(|trouble| not_begun(&case.desired, &trouble))?;
    let outcome = create_locked(&context, &case, &locked, change).await;
    locked.release().await;
    outcome
}

async fn create_locked(
    context: &Context,
    case: &Case,
    locked: &Locked<'_>,
    change: &Change,
) -> Result<Outcome, Diagnostics> {
    // Whoever had the lock before may have made it meanwhile.
    let (observed, registered) = admitted(case, change).await?;
    let failed = |trouble: &report::Trouble| not_begun(&case.desired, trouble);
    let owner = names::owner(&case.desired.name);
    let wish = case.desired.wish();
    let id = session::settle_id(&case.hosts, &observed.hosts, &owner, &wish)
        .await
        .map_err(|trouble| failed(&trouble))?;
    let desired = Desired {
        id,
        ..case.desired.clone()
    };
    // The name stands for a creation that was removed just now: the CA would sign nothing for this one.
    if let Some(former) = registered.filter(|known| known.id != desired.id) {
        let former = Desired {
            id: former.id,
            ..desired.clone()
        };
        for why in certify::forget(&case.ca, &former).await {
            tracing::warn!(error = why, "the CA keeps the name of a former creation");
        }
    }
    session::begin(&case.hosts, &owner, &desired.id, &wish)
        .await
        .map_err(|trouble| failed(&trouble))?;
    let wanted = wish::map(&change.planned, "release_sha256");
    let machines = observed.clone();
    let work = ClusterWork::new(case, &desired, locked, machines, None, wanted, observed);
    let result = executor::run(&work, limits(context, &change.planned, "create")).await;
    let ended = work.end();
    let what = format!("Creation of cluster {}", desired.name);
    let outcome = match result {
        Ok(_) => after(change, &desired, ended, Diagnostics::new()),
        // Something of value may be in it by now: it must stand in the state, and not be tainted.
        Err(error) if ended.bootstrapped => {
            let next = "The cluster exists. The next apply completes it in place.";
            let mut diagnostic = report::run(&what, &error, next);
            diagnostic.severity = Severity::Warning;
            let reason = format!("incomplete: {}", report::chain(&error));
            let mut outcome = after(change, &desired, ended, diagnostic.into());
            outcome.state.set("status", Value::string(reason));
            outcome
        }
        Err(error) => {
            let next = "What was made stays on the hosts; the next apply goes on from there.";
            return Err(report::run(&what, &error, next).into());
        }
    };
    session::hand_back(&case.hosts, &owner, &desired.id, &wish).await;
    Ok(outcome)
}

fn not_begun(desired: &Desired, trouble: &report::Trouble) -> Diagnostics {
    let summary = format!("Creation of cluster {} did not begin", desired.name);
    trouble.diagnostic(summary).into()
}

/// The hosts as they are now, and who has the name at the CA, if nothing stands against the creation.
async fn admitted(
    case: &Case,
    change: &Change,
) -> Result<(Observed, Option<Registered>), Diagnostics> {
    let owner = names::owner(&case.desired.name);
    let limit = timeouts::limit(&change.planned, "read");
    let request = |key: &_| look::request(&case.desired, key);
    let mut hosts = look_at(&case.hosts, &owner, limit, request).await?;
    let origin = &case.hosts.context().origin;
    session::leave_made(&mut hosts, origin, &case.desired.wish());
    let observed = Observed::of(hosts);
    let registered = certify::registered(&case.ca, &case.desired).await;
    let problems = admission(
        &case.hosts,
        &case.desired,
        &observed,
        None,
        registered.clone(),
    )
    .await;
    if problems.has_errors() {
        return Err(errors(&report::problems(problems)));
    }
    Ok((observed, registered))
}

/// The state after a run.
fn after(change: &Change, desired: &Desired, ended: Ended, diagnostics: Diagnostics) -> Outcome {
    let before = Observed::load(&change.private).ok().flatten();
    let mut observed = ended.observed.remembering(&before.unwrap_or_default());
    observed.hosts = session::without_journal(observed.hosts, &desired.id);
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
    state::set_seen(&mut values, desired, &observed);
    values.set("drift", Value::List(Vec::new()));
    made(values, observed.store(), diagnostics)
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
    let case = case(&context, &change.planned)?;
    let Case { hosts, desired, .. } = &case;
    let owner = names::owner(&desired.name);
    let what = format!("Change of cluster {}", desired.name);
    let limit = timeouts::limit(&change.planned, "read");
    let request = |key: &_| look::request(desired, key);
    let (facts, _) = hosts.observe_all(&owner, limit, request).await;
    if let Some(other) = another(hosts, desired, &facts) {
        return Err(other.into());
    }
    let observed = Observed::of(facts);
    let mut machines = Observed::load(&change.private)
        .ok()
        .flatten()
        .unwrap_or_default();
    let mut problems = Problems::default();
    cluster::misplaced(desired, &observed, &machines, &mut problems);
    if problems.has_errors() {
        return Err(report::problems(problems));
    }
    let seen = observed.hosts.iter();
    let seen = seen.filter(|(_, fact)| fact.known().is_some());
    machines
        .hosts
        .extend(seen.map(|(key, fact)| (key.clone(), fact.clone())));
    let locked = session::lock(hosts, &owner, &observed.hosts)
        .await
        .map_err(|trouble| trouble.diagnostic(format!("{what} did not begin")))?;
    let announced = Some(common::announced(&change.planned).into_iter().collect());
    let wanted = wish::map(&change.planned, "release_sha256");
    let work = ClusterWork::new(
        &case, desired, &locked, machines, announced, wanted, observed,
    );
    let result = executor::run(&work, limits(&context, &change.planned, "update")).await;
    let ended = work.end();
    locked.release().await;
    match result {
        Ok(_) => Ok(after(change, desired, ended, Diagnostics::new())),
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
    let limit = timeouts::limit(state, "read");
    let request = |key: &_| look::request(&desired, key);
    let (facts, _) = hosts.observe_all(&owner, limit, request).await;
    let observed = Observed::of(facts);
    // Without its ledger a host would let go of what other resources need, and leave the member running.
    let mut diagnostics = Diagnostics::new();
    for key in cluster::forgotten(&desired, &observed) {
        diagnostics.push(without_ledger(&hosts, &desired, key));
    }
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let (locked, _) = session::lock_reached(&hosts, &owner, &observed.hosts)
        .await
        .map_err(|trouble| {
            trouble.diagnostic(format!("Removal of cluster {} did not begin", desired.name))
        })?;
    let limit = timeouts::limit(state, "delete");
    diagnostics.extend(common::remove(&hosts, state, &owner, limit).await);
    locked.release().await;
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
