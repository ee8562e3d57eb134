//! Plan, create, read, update and delete a CA.

use std::sync::Mutex;

use planner::{
    etcd_step_ca::{self as planner_ca, Desired, Observed},
    problem::Problems,
};
use tf_plugin::{
    Diagnostic, Diagnostics, Value,
    provider::{Change, Current, Import, Outcome, Plan},
};

use super::{WHAT, look, schema, state, wish, work::CaWork};
use crate::{
    common::{self, text},
    context::{Context, Setup},
    creation, executor,
    facts::Facts,
    hosts::Hosts,
    import,
    life::{self, errors, limits, look as look_at, made, not_read, probe, ready, warn_unseen},
    nodes,
    report::{self, Told},
    session::{self, Locked},
    timeouts,
};
use std::sync::Arc;

/// A CA that can be worked on.
struct Case {
    hosts: Hosts,
    desired: Desired,
    nodes: nodes::Nodes,
}

fn case(context: &Arc<Context>, values: &Value) -> Result<Case, Diagnostics> {
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

pub(super) async fn read(setup: &Setup, current: Current) -> Outcome {
    let Ok(context) = ready(setup) else {
        return not_read(setup, current);
    };
    creation::note(setup, &current.state, planner_ca::owner);
    let Case {
        hosts,
        desired,
        nodes,
    } = match case(&context, &current.state) {
        Ok(case) => case,
        Err(diagnostics) => return Outcome::unchanged(current, diagnostics),
    };
    let owner = planner_ca::owner(&desired.name);
    let limit = timeouts::limit(&current.state, "read");
    let (mut facts, troubles) = hosts
        .observe_all(&owner, limit, |_| look::request(&desired))
        .await;
    session::claim(&hosts, &mut facts, &owner, &desired.id).await;
    let mut diagnostics = warn_unseen(&hosts, &facts, &troubles, &format!("CA {}", desired.name));
    let is_gone = facts
        .values()
        .all(|fact| fact.known().is_some_and(|host| host.owner.is_none()));
    if let Some(left) = forgotten(&hosts, &desired, &current.state, &facts) {
        diagnostics.push(left);
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
    let observed = Observed { hosts: facts };
    if let Some(changed) = replaced(&desired, &current.state, &observed) {
        diagnostics.push(changed);
        return Outcome::unchanged(current, diagnostics);
    }
    let mut problems = Problems::default();
    planner_ca::warnings(&desired, &observed, &mut problems);
    diagnostics.extend(report::problems(problems));
    let mut values = current.state;
    state::set_seen(&mut values, &desired, &nodes, &observed);
    let before = Observed::load(&current.private).ok().flatten();
    let is_same = before.is_some_and(|before| observed.is_same(&before, &desired));
    let private = if is_same {
        current.private
    } else {
        observed.store()
    };
    made(values, private, diagnostics)
}

/// A host with this very CA and a ledger that does not know it: taken for gone, it would be made anew, and
/// nobody would trust the new one.
fn forgotten(hosts: &Hosts, desired: &Desired, state: &Value, facts: &Facts) -> Option<Diagnostic> {
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
fn replaced(desired: &Desired, state: &Value, observed: &Observed) -> Option<Diagnostic> {
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

pub(super) async fn plan(setup: &Setup, change: Change) -> Plan {
    let mut diagnostics = Diagnostics::new();
    let mut planned = change.planned;
    planned.set(
        "nodes",
        nodes::settle(change.prior.get("nodes"), change.config.get("nodes")),
    );
    let read = wish::read(&planned, &mut diagnostics);
    let mut diagnostics = errors(&diagnostics);
    creation::note(setup, &change.prior, planner_ca::owner);
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
    common::unknown(planned, &schema::MADE);
    common::unknown(planned, &["issuer", "urls", "change_plan", "status"]);
    planned.set("drift", Value::List(Vec::new()));
    let Some(desired) = &read.desired else { return };
    state::set_wished(planned, desired, &read.nodes, None);
    planned.set(
        "change_plan",
        Value::strings(planner_ca::announce_creation(desired)),
    );
    let Ok(context) = ready(setup) else { return };
    let hosts = match Hosts::new(&context, &read.nodes.wishes) {
        Ok(hosts) => hosts,
        Err(found) => return diagnostics.extend(found),
    };
    let owner = planner_ca::owner(&desired.name);
    let mut facts = probe(&hosts, &owner, |_| look::request(desired), diagnostics).await;
    session::leave_made(&mut facts, &context.origin, &desired.wish());
    let replaced = match creation::plan(&hosts, &owner, WHAT, &facts, diagnostics) {
        Ok(id) => id,
        Err(protected) => return diagnostics.extend(protected),
    };
    let problems = admission(desired, &Observed { hosts: facts }, replaced);
    diagnostics.extend(report::problems(problems));
}

/// What stands against the creation, and what is to be known of an earlier one of the same name.
/// `replaced` is the uid of the object that it takes the place of.
fn admission(desired: &Desired, observed: &Observed, replaced: Option<String>) -> Problems {
    let mut problems = Problems::default();
    let unfinished = || session::unfinished(&observed.hosts).map(|journal| journal.id.clone());
    let id = replaced.or_else(unfinished);
    planner_ca::admit(desired, observed, id.as_deref(), &mut problems);
    let name = &desired.name;
    creation::goes_on(WHAT, name, &observed.hosts, &desired.wish(), &mut problems);
    // Nothing has certificates from a CA that is in no state, so nothing in another one is of value.
    for (key, fact) in &observed.hosts {
        let Some(host) = fact.known() else { continue };
        let other = host.journal.as_ref();
        let Some(journal) = other.filter(|journal| journal.wish != desired.wish()) else {
            continue;
        };
        let consumers = host.ca.as_ref().map(|ca| ca.consumers.join(", "));
        let called = desired.called(key);
        match consumers.filter(|consumers| !consumers.is_empty()) {
            Some(consumers) => problems.error(
                &["name"],
                format!("An earlier creation of CA {name} is in use"),
                format!(
                    "{} began it on {called} with other settings and did not finish it, and {consumers} \
                     has certificates from it. Set those again and apply: then it is completed. Nothing \
                     was changed.",
                    journal.by
                ),
            ),
            None => problems.warning(
                &["name"],
                format!("What an earlier creation of CA {name} left is removed first"),
                format!(
                    "{} began it on {called} with other settings and did not finish it. Nobody has \
                     certificates from it.",
                    journal.by
                ),
            ),
        }
    }
    problems
}

fn plan_update(
    prior: &Value,
    private: &[u8],
    planned: &mut Value,
    read: &wish::Read,
    diagnostics: &mut Diagnostics,
) {
    let Some(desired) = &read.desired else {
        common::unknown(planned, &["issuer", "urls", "change_plan", "status"]);
        let what = format!("CA {}", text(prior, "name").unwrap_or_default());
        let unknown = wish::unknown(planned);
        return common::warn_unannounced(&what, "restart step-ca", &unknown, diagnostics);
    };
    let mut problems = Problems::default();
    if let Some(before) = wish::read(prior, &mut Diagnostics::new()).desired {
        planner_ca::refuse(&before, desired, &mut problems);
    }
    diagnostics.extend(report::problems(problems));
    state::set_wished(
        planned,
        desired,
        &read.nodes,
        text(prior, "root_fingerprint"),
    );
    planned.set("drift", Value::List(Vec::new()));
    let observed = match Observed::load(private) {
        Ok(observed) => observed.unwrap_or_default(),
        Err(too_new) => {
            return diagnostics.error("The state is from a newer provider", format!("{too_new}."));
        }
    };
    let (steps, blocked) = planner_ca::plan(desired, &observed);
    let has_drift = !common::texts(prior, "drift").is_empty();
    if !steps.is_empty() || has_drift {
        common::announce(
            planned,
            prior,
            steps.iter().map(ToString::to_string).collect(),
        );
        common::unknown(planned, &["status"]);
    }
    // The apply goes the new way, and says what it met there.
    if !nodes::rerouted(prior.get("nodes"), &read.nodes.wishes).is_empty() {
        common::unknown(planned, &["status"]);
    }
    if has_drift && steps.is_empty() {
        for reason in blocked {
            diagnostics.warning(
                format!(
                    "CA {}: something is wrong and cannot be mended now",
                    desired.name
                ),
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
    let owner = planner_ca::owner(&case.desired.name);
    let observed = admitted(&case, change).await?;
    creation::begin(&context, &owner, &observed.hosts)?;
    let locked = session::lock(&case.hosts, &owner, &observed.hosts)
        .await
        .map_err(|trouble| creation::not_begun(WHAT, &case.desired.name, &trouble))?;
    let outcome = create_locked(&context, &case, &locked, change).await;
    locked.release().await;
    outcome
}

/// The host as it is now, if nothing stands against the creation.
async fn admitted(case: &Case, change: &Change) -> Result<Observed, Diagnostics> {
    let owner = planner_ca::owner(&case.desired.name);
    let limit = timeouts::limit(&change.planned, "read");
    let request = |_: &_| look::request(&case.desired);
    let mut hosts = look_at(&case.hosts, &owner, limit, request).await?;
    let origin = &case.hosts.context().origin;
    session::leave_made(&mut hosts, origin, &case.desired.wish());
    let observed = Observed { hosts };
    let problems = admission(&case.desired, &observed, None);
    if problems.has_errors() {
        return Err(errors(&report::problems(problems)));
    }
    Ok(observed)
}

async fn create_locked(
    context: &Context,
    case: &Case,
    locked: &Locked<'_>,
    change: &Change,
) -> Result<Outcome, Diagnostics> {
    // Whoever had the lock before may have made it meanwhile.
    let observed = admitted(case, change).await?;
    let Case { hosts, nodes, .. } = case;
    let failed = |trouble: &report::Trouble| creation::not_begun(WHAT, &case.desired.name, trouble);
    let owner = planner_ca::owner(&case.desired.name);
    let wish = case.desired.wish();
    let id = session::settle_id(hosts, &observed.hosts, &owner, &wish)
        .await
        .map_err(|trouble| failed(&trouble))?;
    let desired = Desired {
        id,
        ..case.desired.clone()
    };
    session::begin(hosts, &owner, &desired.id, &wish)
        .await
        .map_err(|trouble| failed(&trouble))?;
    let work = CaWork {
        hosts,
        locked,
        desired: &desired,
        claims: false,
        last: Mutex::new(observed),
        waiting: Mutex::new(None),
    };
    let result = executor::run(&work, limits(context, &change.planned, "create")).await;
    let observed = work.last.into_inner().unwrap_or_default();
    if let Err(error) = result {
        let what = format!("Creation of CA {}", desired.name);
        let next = "What was made stays on the host; the next apply goes on from there.";
        return Err(report::run(&what, &error, next).into());
    }
    let observed = Observed {
        hosts: session::without_journal(observed.hosts, &desired.id),
    };
    let mut values = change.planned.clone();
    values.set("id", Value::string(&desired.id));
    state::set_seen(&mut values, &desired, nodes, &observed);
    values.set("drift", Value::List(Vec::new()));
    session::hand_back(hosts, &owner, &desired.id, &wish).await;
    Ok(made(values, observed.store(), Diagnostics::new()))
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
    let Case {
        hosts,
        desired,
        nodes,
    } = case(&context, &change.planned)?;
    let owner = planner_ca::owner(&desired.name);
    let what = format!("Change of CA {}", desired.name);
    let limit = timeouts::limit(&change.planned, "read");
    let facts = look_at(&hosts, &owner, limit, |_| look::request(&desired)).await?;
    let observed = Observed { hosts: facts };
    if let Some(other) = replaced(&desired, &change.prior, &observed) {
        return Err(other.into());
    }
    let before = Observed::load(&change.private).ok().flatten();
    let mut problems = Problems::default();
    planner_ca::misplaced(
        &desired,
        &observed,
        &before.unwrap_or_default(),
        &mut problems,
    );
    if problems.has_errors() {
        return Err(report::problems(problems));
    }
    let locked = session::lock(&hosts, &owner, &observed.hosts)
        .await
        .map_err(|trouble| trouble.diagnostic(format!("{what} did not begin")))?;
    let work = CaWork {
        hosts: &hosts,
        locked: &locked,
        desired: &desired,
        claims: true,
        last: Mutex::new(observed),
        waiting: Mutex::new(None),
    };
    let result = executor::run(&work, limits(&context, &change.planned, "update")).await;
    let observed = work.last.into_inner().unwrap_or_default();
    locked.release().await;
    if let Err(error) = result {
        let next = "What was done stays; the next apply goes on from there.";
        return Err(report::run(&what, &error, next).into());
    }
    let mut values = change.planned.clone();
    state::set_seen(&mut values, &desired, &nodes, &observed);
    values.set("drift", Value::List(Vec::new()));
    Ok(made(values, observed.store(), Diagnostics::new()))
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
    let Case { hosts, desired, .. } = case(&context, state)?;
    let owner = planner_ca::owner(&desired.name);
    let limit = timeouts::limit(state, "read");
    let (facts, _) = hosts
        .observe_all(&owner, limit, |_| look::request(&desired))
        .await;
    let consumers: Vec<String> = facts
        .values()
        .filter_map(|fact| fact.known()?.ca.as_ref())
        .flat_map(|ca| ca.consumers.clone())
        .collect();
    if !consumers.is_empty() {
        return Err(Diagnostic::error(
            format!("CA {} still serves {}", desired.name, consumers.join(", ")),
            format!(
                "Without it their certificates cannot be renewed, and they stop when the last one \
                 ends. Nothing was changed.\nHint: Destroy them first. If they are long gone, take \
                 their names out of {}/consumers.json on the CA host.",
                planner_ca::directory(desired.instance.as_ref())
            ),
        )
        .into());
    }
    if let Some(left) = forgotten(&hosts, &desired, state, &facts) {
        return Err(left.into());
    }
    let (locked, _) = session::lock_reached(&hosts, &owner, &facts)
        .await
        .map_err(|trouble| {
            trouble.diagnostic(format!("Removal of CA {} did not begin", desired.name))
        })?;
    let removed = common::remove(&hosts, state, &owner, timeouts::limit(state, "delete")).await;
    locked.release().await;
    if removed.has_errors() {
        Err(removed)
    } else {
        Ok(removed)
    }
}

pub(super) async fn import(setup: &Setup, wanted: Import) -> Outcome {
    let found = async {
        let context = ready(setup)?;
        import::find(&context, "etcd_step_ca", &schema::schema(), &wanted).await
    };
    match found.await {
        Ok(state) => made(state, Vec::new(), Diagnostics::new()),
        Err(diagnostics) => Outcome::failed(diagnostics),
    }
}
