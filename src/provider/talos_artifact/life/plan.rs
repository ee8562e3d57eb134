//! What an apply will do, and what stands against it.

use std::{sync::Arc, time::Duration};

use planner::{
    problem::Problems,
    talos_artifact::{
        self as planner_artifact, Desired, Observed, Offer, Source, Step, check_offer,
    },
};
use tf_plugin::{
    Diagnostic, Diagnostics, Path, Value,
    provider::{Change, Plan},
};

use super::{Kind, asks_factory, called, server_id, services, shut, stored};
use crate::{
    common::{self, text},
    context::{Context, Setup},
    life::{errors, ready},
    report::{self, Told, sentence},
    services::Services,
    talos_artifact::{
        build::Builder,
        copy,
        factory::Factory,
        look::{self, Depth},
        places::{Place, places},
        schema, state, wish,
    },
};

/// Longest wait of a plan for the build host: its engine may be busy with another's image.
const PROBE: Duration = Duration::from_secs(20);

pub(in crate::talos_artifact) async fn plan(kind: Kind, setup: &Setup, change: Change) -> Plan {
    let mut diagnostics = Diagnostics::new();
    let mut planned = change.planned;
    let services = services(setup);
    let server_id = server_id(kind, &planned, &change.prior, services);
    let has_server_id = server_id.is_some();
    let read = kind.wish(&planned, services, server_id, &mut diagnostics);
    let mut diagnostics = errors(&diagnostics);
    let is_open = read
        .desired
        .as_ref()
        .is_some_and(|desired| asks_factory(services, desired) && !has_server_id);
    if change.prior.is_null() {
        plan_creation(kind, setup, &mut planned, &read, is_open, &mut diagnostics).await;
    } else {
        let before = (&change.prior, &change.private[..]);
        plan_update(
            kind,
            setup,
            before,
            &mut planned,
            &read,
            is_open,
            &mut diagnostics,
        )
        .await;
    }
    Plan {
        planned,
        private: change.private,
        identity: Value::Null,
        diagnostics,
    }
}

/// Marks everything that apply settles as unknown.
fn open(kind: Kind, planned: &mut Value) {
    common::unknown(planned, &schema::MADE[1..]);
    common::unknown(planned, &["change_plan", "status"]);
    match kind {
        Kind::Artifact => common::unknown(planned, &state::FROM_ID),
        Kind::Copy => common::unknown(planned, &copy::FROM_SOURCE),
    }
}

async fn plan_creation(
    kind: Kind,
    setup: &Setup,
    planned: &mut Value,
    read: &wish::Read,
    is_open: bool,
    diagnostics: &mut Diagnostics,
) {
    open(kind, planned);
    common::unknown(planned, &["id"]);
    planned.set("drift", Value::List(Vec::new()));
    let Some(desired) = &read.desired else { return };
    let nothing = Observed::default();
    let announced = planner_artifact::plan(desired, &nothing).steps;
    if !is_open {
        state::set_planned(planned, kind, desired, &nothing, &announced);
        state::set_unsettled(planned, kind, desired, &nothing);
        if !is_from_open_source(kind, planned) {
            let sentences = planner_artifact::sentences(&announced);
            planned.set("change_plan", Value::strings(sentences));
        }
    }
    let Ok(context) = ready(setup) else { return };
    if let Some(wish) = &read.wish {
        diagnostics.extend(offered(&context.services, wish, desired).await);
    }
    let seen = look::observe(&context, desired, &nothing, Depth::Plan).await;
    obstacles(desired, &seen, is_open, diagnostics);
    let steps = planner_artifact::plan(desired, &seen).steps;
    diagnostics.extend(build_host(&context, read, &steps).await);
    diagnostics.extend(taken(&context, &creation(desired), desired, &seen).await);
}

async fn plan_update(
    kind: Kind,
    setup: &Setup,
    (prior, private): (&Value, &[u8]),
    planned: &mut Value,
    read: &wish::Read,
    is_open: bool,
    diagnostics: &mut Diagnostics,
) {
    planned.set("drift", Value::List(Vec::new()));
    let (Some(desired), false) = (&read.desired, is_open) else {
        open(kind, planned);
        return;
    };
    let observed = match stored(private) {
        Ok(observed) => observed,
        Err(too_new) => return diagnostics.extend(too_new),
    };
    if let Ok(context) = ready(setup) {
        let id = text(prior, "id").unwrap_or_default();
        diagnostics.extend(taken(&context, &id, desired, &observed).await);
    }
    let plan = planner_artifact::plan(desired, &observed);
    state::set_planned(planned, kind, desired, &observed, &plan.steps);
    let has_drift = !common::texts(prior, "drift").is_empty();
    // A node that is to see what a shared storage has already needs no step, and has to be looked at.
    let is_unseen = |look: &planner_artifact::Look| {
        let fact = observed.storage(&look.storage, &look.node);
        fact.is_none()
    };
    let has_new_places = planned.get("proxmox") != prior.get("proxmox")
        && planner_artifact::looks(desired, &observed)
            .iter()
            .any(is_unseen);
    if plan.steps.is_empty() && !has_drift && !has_new_places {
        // Another wish is another status, though nothing is to be done for it: a node that went away and
        // is wanted no more does not keep it from being ready.
        if *planned != *prior {
            common::unknown(planned, &["status"]);
            state::set_unsettled(planned, kind, desired, &observed);
        }
        obstacles(desired, &observed, false, diagnostics);
        return;
    }
    if is_from_open_source(kind, planned) {
        common::unknown(planned, &["change_plan"]);
    } else {
        let sentences = planner_artifact::sentences(&plan.steps);
        common::announce(planned, prior, sentences);
    }
    common::unknown(planned, &["status"]);
    state::set_unsettled(planned, kind, desired, &observed);
    let is_other_content = observed
        .recorded
        .image
        .as_ref()
        .is_none_or(|image| image.content != desired.content());
    if let (Setup::Ready(context), Some(wish), true) = (setup, &read.wish, is_other_content) {
        diagnostics.extend(offered(&context.services, wish, desired).await);
    }
    // The refresh looked at the places of before: what stands at those of now is said here too.
    let seen = match ready(setup) {
        Ok(context) => look::observe(&context, desired, &observed, Depth::Plan).await,
        Err(_) => observed,
    };
    obstacles(desired, &seen, false, diagnostics);
    if let Setup::Ready(context) = setup {
        diagnostics.extend(build_host(context, read, &plan.steps).await);
    }
}

/// Warns if something is to be built and the build host could not do it now: it may be made, or
/// mended, before the apply.
async fn build_host(context: &Arc<Context>, read: &wish::Read, steps: &[Step]) -> Diagnostics {
    let builds = |step: &Step| matches!(step, Step::Build { .. });
    let (Some(desired), Some(host), true) =
        (&read.desired, &read.builder, steps.iter().any(builds))
    else {
        return Diagnostics::new();
    };
    let builder = match Builder::new(context, host.clone()) {
        Ok(builder) => builder,
        Err(diagnostics) => return diagnostics,
    };
    let mut diagnostics = Diagnostics::new();
    let summary = format!(
        "{}: {} cannot build it now",
        called(desired),
        builder.host()
    );
    match tokio::time::timeout(PROBE, builder.probe()).await {
        Ok(Ok(())) => {}
        Ok(Err(fault)) => {
            let mut warning = fault.diagnostic(summary);
            warning.severity = tf_plugin::Severity::Warning;
            diagnostics.push(warning);
        }
        Err(_) => {
            let detail = format!("It did not answer within {} s.", PROBE.as_secs());
            let place = Path::attribute("builder").member("host");
            diagnostics.push(Diagnostic::warning(summary, detail).at(place));
        }
    }
    diagnostics
}

/// What a creation is called before it has an id. Two of the same content may share their files.
pub(super) fn creation(desired: &Desired) -> String {
    format!("new {}", desired.content())
}

/// Claims the places of what is wanted; an error if another object of this run wants something else
/// at one of them. Both would be written, again and again, or one be taken for the other.
pub(super) async fn taken(
    context: &Context,
    who: &str,
    desired: &Desired,
    seen: &Observed,
) -> Diagnostics {
    let wanted = places(desired, seen);
    let taken = context.places.want(who, &desired.content(), wanted).await;
    let (attribute, what) = match taken {
        None => return Diagnostics::new(),
        Some(Place::Volume(file)) => ("file_name", format!("{}:{}", file.storage, file.volume)),
        Some(Place::Local(path)) => ("local_file", path),
    };
    Diagnostic::error(
        "Two resources want one file",
        format!(
            "Another talos_artifact or talos_artifact_copy of this configuration puts other content at \
             {what}.\nHint: Give one of them another {attribute}."
        ),
    )
    .at(Path::attribute(attribute))
    .into()
}

/// Whether something of a copy's source is known only after another apply.
fn is_from_open_source(kind: Kind, planned: &Value) -> bool {
    kind == Kind::Copy && !planned.get("source").is_wholly_known()
}

/// Tells what stands against the wish: what a person must decide as errors, what does not answer as
/// warnings, because it may answer by the time of the apply.
fn obstacles(desired: &Desired, seen: &Observed, is_open: bool, diagnostics: &mut Diagnostics) {
    if let Some(shut) = shut(seen) {
        diagnostics.push(shut);
        return;
    }
    let plan = planner_artifact::plan(desired, seen);
    if !is_open {
        diagnostics.extend(report::problems(Problems(plan.refusals)));
        diagnostics.extend(report::problems(Problems(plan.warnings)));
    }
    for wait in plan.waits {
        diagnostics.push(report::warned(
            format!("{}: an apply would have to wait", called(desired)),
            sentence(&wait.why),
            wait.place,
        ));
    }
}

/// Compares versions and names of extensions with what the factory offers.
async fn offered(
    services: &Services,
    wish: &planner::talos_artifact::Wish,
    desired: &Desired,
) -> Diagnostics {
    let Source::Factory { url, schematic, .. } = &desired.source else {
        return Diagnostics::new();
    };
    let version = desired.variant.version.to_string();
    let factory = || Factory::new(&services.factory_at(Some(url)));
    let versions = look::found(async { Ok(factory()?.versions().await?) }).await;
    let is_offered = versions
        .known()
        .is_some_and(|versions| versions.contains(&version));
    let extensions = if is_offered && !schematic.extensions.is_empty() {
        let names = async { Ok(factory()?.extensions(&version).await?) };
        Some(look::found(names).await)
    } else {
        None
    };
    let overlays = if is_offered && !schematic.overlay.name.is_empty() {
        let names = async { Ok(factory()?.overlays(&version).await?) };
        Some(look::found(names).await)
    } else {
        None
    };
    let offer = Offer {
        versions,
        extensions,
        overlays,
    };
    let mut problems = Problems::default();
    check_offer(wish, desired, &offer, &mut problems);
    report::problems(problems)
}
