//! What an apply would do, in words, and what stands against it.

use planner::{
    etcd_step_ca::{self as planner_ca, Observed},
    problem::Problems,
};
use tf_plugin::{
    Diagnostics, Value,
    provider::{Change, Plan},
};

use super::{WHAT, admission::admission, look, schema, state, wish};
use crate::{
    common::{self, text},
    context::Setup,
    creation,
    hosts::Hosts,
    import,
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
    creation::leave_made(&hosts, &mut facts, &desired.wish());
    creation::take_ports(&hosts, &[("port", desired.port)], diagnostics);
    let replaced = match creation::plan(&hosts, &owner, WHAT, &facts, diagnostics) {
        Ok(id) => id,
        Err(protected) => return diagnostics.extend(protected),
    };
    let problems = admission(desired, &Observed { hosts: facts }, replaced);
    diagnostics.extend(report::problems(problems));
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
