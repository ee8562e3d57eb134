//! What holds now, and what did not answer.

use std::collections::BTreeMap;

use planner::{
    facts::Fact,
    talos_artifact::{Desired, Observed, listed},
};
use tf_plugin::{
    Diagnostics, Value,
    provider::{Current, Outcome},
};

use super::{Case, Kind, called, case, made, server_id, shut, stored};
use crate::{
    common::text,
    context::Setup,
    life::{not_read, ready},
    report::sentence,
    talos_artifact::{
        look::{self, Depth},
        state,
    },
    timeouts,
};

pub(in crate::talos_artifact) async fn read(
    kind: Kind,
    setup: &Setup,
    current: Current,
) -> Outcome {
    let Ok(context) = ready(setup) else {
        return not_read(setup, current);
    };
    let mut before = match stored(&current.private) {
        Ok(before) => before,
        Err(diagnostics) => return Outcome::unchanged(current, diagnostics),
    };
    // Before anything that takes long: what is deleted meanwhile is to know of it.
    let id = text(&current.state, "id").unwrap_or_default();
    context.places.note(&id, &mut before.recorded);
    let server_id = server_id(
        kind,
        &current.state,
        &current.state,
        Some(&context.services),
    );
    let Case { desired, .. } = match case(kind, &context, &current.state, server_id) {
        Ok(case) => case,
        Err(diagnostics) => return Outcome::unchanged(current, diagnostics),
    };
    let limit = timeouts::limit(&current.state, "read");
    let look = look::observe(&context, &desired, &before, Depth::Plan);
    let Ok(mut observed) = tokio::time::timeout(limit, look).await else {
        let mut diagnostics = Diagnostics::new();
        diagnostics.warning(
            format!("{}: nothing was seen", called(&desired)),
            format!(
                "Looking took longer than {} s. The last known state is used.",
                limit.as_secs()
            ),
        );
        return Outcome::unchanged(current, diagnostics);
    };
    let diagnostics = unseen(&desired, &observed);
    if diagnostics.has_errors() {
        return Outcome::unchanged(current, diagnostics);
    }
    let seen = observed.clone();
    observed.recorded.settle(&desired, &seen);
    let mut values = current.state;
    context.places.note(&id, &mut observed.recorded);
    state::set_seen(&mut values, kind, &desired, &observed);
    // What an apply found done already it did not do, whatever its plan said.
    if let Some(done) = &observed.recorded.done {
        values.set("change_plan", Value::strings(done.clone()));
    }
    made(values, &observed, diagnostics)
}

/// What is said of everything that did not answer, once for each reason. A login that is refused and a
/// cluster that is another one are errors: a plan would say for ever that all is well.
fn unseen(desired: &Desired, observed: &Observed) -> Diagnostics {
    if let Some(shut) = shut(observed) {
        return shut.into();
    }
    let mut silent: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut note = |why, what| silent.entry(why).or_default().push(what);
    for (id, fact) in &observed.schematics {
        if let Fact::Unknown(why) = fact {
            note(why, format!("the schematic {id}"));
        }
    }
    for (storage, nodes) in &observed.storages {
        let mut alike: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (node, fact) in nodes {
            if let Fact::Unknown(why) = fact {
                alike.entry(why).or_default().push(node.clone());
            }
        }
        for (why, nodes) in alike {
            note(why, format!("storage {storage} on {}", listed(&nodes)));
        }
    }
    for (tag, fact) in &observed.tags {
        if let Fact::Unknown(why) = fact {
            note(why, format!("tag {tag}"));
        }
    }
    let mut diagnostics = Diagnostics::new();
    for (why, what) in silent {
        diagnostics.warning(
            format!("{}: {} was not seen", called(desired), what.join(", ")),
            format!(
                "{} What is known of it from before still counts.",
                sentence(why)
            ),
        );
    }
    diagnostics
}
