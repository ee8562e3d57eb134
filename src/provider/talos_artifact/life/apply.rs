//! Making and changing an artifact.

use std::sync::Arc;

use planner::{
    problem::Problems,
    talos_artifact::{self as planner_artifact, Desired, Observed, Source, Step},
};
use tf_plugin::{
    Diagnostic, Diagnostics, Value,
    provider::{Change, Outcome},
};

use super::{
    Case, Kind, asks_factory, called, case, made, placed,
    plan::{creation, taken},
    server_id, shut, stored,
};
use crate::{
    common::text,
    context::{Context, Setup},
    executor,
    life::{limits, ready},
    report::{self, Told},
    session,
    talos_artifact::{
        build::Builder,
        factory::Factory,
        fault::Fault,
        look::{self, Depth},
        state,
        work::ArtifactWork,
    },
};

pub(in crate::talos_artifact) async fn create(
    kind: Kind,
    setup: &Setup,
    change: Change,
) -> Outcome {
    match try_create(kind, setup, &change).await {
        Ok(outcome) => outcome,
        Err(diagnostics) => Outcome::failed(diagnostics),
    }
}

/// The id that the factory gives, where it gives ids of its own.
async fn asked_id(
    kind: Kind,
    context: &Context,
    values: &Value,
    prior: &Value,
) -> Result<Option<String>, Diagnostics> {
    let services = Some(&context.services);
    if let Some(known) = server_id(kind, values, prior, services) {
        return Ok(Some(known));
    }
    let Case { desired, .. } = case(kind, context, values, None)?;
    let Source::Factory { url, schematic, .. } = &desired.source else {
        return Ok(None);
    };
    if !asks_factory(services, &desired) {
        return Ok(None);
    }
    let asked = async {
        let factory = Factory::new(&context.services.factory_at(Some(url)))?;
        factory.ensure_schematic(&schematic.canonical()).await
    };
    asked.await.map(Some).map_err(|error| {
        Fault::from(error)
            .diagnostic("The factory did not tell the schematic's id")
            .into()
    })
}

async fn try_create(kind: Kind, setup: &Setup, change: &Change) -> Result<Outcome, Diagnostics> {
    let context = ready(setup)?;
    let id = session::new_id();
    let (observed, mut diagnostics, desired, failed) =
        run(kind, &context, change, (&id, Observed::default()), "create").await?;
    let mut values = change.planned.clone();
    values.set("id", Value::string(id));
    if let Some(mut diagnostic) = failed {
        let recorded = &observed.recorded;
        if recorded.files.is_empty() && recorded.tags.is_empty() && recorded.local.is_empty() {
            diagnostics.push(diagnostic);
            return Err(diagnostics);
        }
        // An error would taint what is there already, and the next apply would throw it away.
        diagnostic.severity = tf_plugin::Severity::Warning;
        diagnostics.push(diagnostic);
    }
    let changes = values.get("change_plan").clone();
    state::set_seen(&mut values, kind, &desired, &observed);
    settle(&mut values, &desired, &changes);
    Ok(made(values, &observed, diagnostics))
}

/// After an apply nothing is drift: what is not done yet is work.
fn settle(values: &mut Value, desired: &Desired, changes: &Value) {
    values.set("drift", Value::List(Vec::new()));
    if changes.is_unknown() {
        let announced = planner_artifact::announce_creation(desired);
        values.set("change_plan", Value::strings(announced));
    }
}

/// What a run came to: facts, warnings, the wish, and why it did not come to its end.
type Ended = (Observed, Diagnostics, Desired, Option<Diagnostic>);

async fn run(
    kind: Kind,
    context: &Arc<Context>,
    change: &Change,
    (id, before): (&str, Observed),
    operation: &str,
) -> Result<Ended, Diagnostics> {
    let server_id = asked_id(kind, context, &change.planned, &change.prior).await?;
    let Case { desired, host } = case(kind, context, &change.planned, server_id)?;
    let builder = host.map(|host| Builder::new(context, host)).transpose()?;
    let what = called(&desired);
    let limits = limits(context, &change.planned, operation);
    // What a person has to decide comes before anything that takes long.
    let seen = look::observe(context, &desired, &before, Depth::Apply).await;
    if let Some(shut) = shut(&seen) {
        return Err(shut.into());
    }
    let refusals = planner_artifact::plan(&desired, &seen).refusals;
    if !refusals.is_empty() {
        return Err(report::problems(Problems(refusals)));
    }
    let who = if change.prior.is_null() {
        creation(&desired)
    } else {
        id.to_owned()
    };
    let taken = taken(context, &who, &desired, &seen).await;
    if taken.has_errors() {
        return Err(taken);
    }
    let announced = announced(change, &desired, &before);
    let work = ArtifactWork::new(context, (id, &desired), builder, before, limits.timeout)
        .announced(announced);
    let result = executor::run(&work, limits).await;
    let (observed, warnings) = work.end(result.is_ok()).await;
    let failed = result.err().map(|error| {
        let next = "What is in its place stays there; the next apply goes on from there.";
        let diagnostic = report::run(&what, &error, next);
        placed(diagnostic, &desired, &observed, &error)
    });
    Ok((observed, warnings, desired, failed))
}

/// The steps that the plan of an update said, by the facts that it was made on.
fn announced(change: &Change, desired: &Desired, before: &Observed) -> Option<Vec<Step>> {
    let is_said = !change.prior.is_null() && change.planned.get("change_plan").is_wholly_known();
    is_said.then(|| planner_artifact::plan(desired, before).steps)
}

pub(in crate::talos_artifact) async fn update(
    kind: Kind,
    setup: &Setup,
    change: Change,
) -> Outcome {
    let unchanged = |private: Vec<u8>, diagnostics| Outcome {
        state: change.prior.clone(),
        private,
        identity: Value::Null,
        diagnostics,
    };
    if change.planned.is_wholly_known() {
        return Outcome {
            state: change.planned,
            private: change.private,
            identity: Value::Null,
            diagnostics: Diagnostics::new(),
        };
    }
    let ended = async {
        let context = ready(setup)?;
        let before = stored(&change.private)?;
        let id = text(&change.prior, "id").unwrap_or_default();
        run(kind, &context, &change, (&id, before), "update").await
    };
    let (mut observed, mut diagnostics, desired, failed) = match ended.await {
        Ok(ended) => ended,
        Err(diagnostics) => return unchanged(change.private.clone(), diagnostics),
    };
    if change.planned.get("forget_unreachable").as_bool() == Some(true) {
        for place in planner_artifact::forget_unreachable(&desired, &mut observed) {
            diagnostics.warning(
                format!("{place} was forgotten"),
                "Nobody wants it there any more, and its storage does not answer: it stays when that \
                 comes back.",
            );
        }
    }
    if let Some(diagnostic) = failed {
        diagnostics.push(diagnostic);
        // What was done is remembered, so that nothing is done twice and all of it is ours.
        return unchanged(observed.store(), diagnostics);
    }
    let mut values = change.planned.clone();
    let changes = values.get("change_plan").clone();
    state::set_seen(&mut values, kind, &desired, &observed);
    settle(&mut values, &desired, &changes);
    if let Some(name) = state::broken_promise(&change.planned, &values) {
        // Core would take it for a fault of the provider.
        diagnostics.error(
            format!("{}: the facts changed since the plan", called(&desired)),
            format!(
                "{name} came out other than the plan said. What was done is remembered.\nHint: Run plan \
                 again, read what it says now, and apply that."
            ),
        );
        return unchanged(observed.store(), diagnostics);
    }
    made(values, &observed, diagnostics)
}
