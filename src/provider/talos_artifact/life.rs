//! Plan, create, read, update and delete an artifact or a copy.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use planner::{
    facts::Fact,
    problem::Problems,
    talos_artifact::{
        self as planner_artifact, Desired, Observed, Offer, Recorded, Source, Step, check_offer,
        listed,
    },
};
use tf_plugin::{
    Diagnostic, Diagnostics, Path, Value,
    provider::{Change, Current, Outcome, Plan},
};

use super::{
    build::Builder,
    factory::Factory,
    fault::Fault,
    look::{self, Depth},
    places::{Place, places},
    schema, state,
    wish::{self, BuildHost},
    work::ArtifactWork,
};
use crate::{
    common::{self, text},
    context::{Context, Setup},
    executor,
    life::{errors, limits, not_read, ready},
    report::{self, Told, sentence},
    services::Services,
    session, timeouts,
};

/// Longest wait of a plan for the build host: its engine may be busy with another's image.
const PROBE: Duration = Duration::from_secs(20);

/// Which of the two resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `talos_artifact`.
    Artifact,
    /// `talos_artifact_copy`.
    Copy,
}

impl Kind {
    pub(super) fn wish(
        self,
        values: &Value,
        services: Option<&Services>,
        server_id: Option<String>,
        diagnostics: &mut Diagnostics,
    ) -> wish::Read {
        match self {
            Self::Artifact => wish::artifact(values, services, server_id, diagnostics),
            Self::Copy => wish::copy(values, diagnostics),
        }
    }
}

fn services(setup: &Setup) -> Option<&Services> {
    match setup {
        Setup::Ready(context) => Some(&context.services),
        _ => None,
    }
}

/// The id that a factory with logins gave to this content, if a state has one.
fn server_id(
    kind: Kind,
    values: &Value,
    prior: &Value,
    services: Option<&Services>,
) -> Option<String> {
    let local = |values: &Value| {
        let read = kind.wish(values, services, None, &mut Diagnostics::new());
        match read.desired?.source {
            Source::Factory { url, id, .. } => Some((url, id.to_string())),
            _ => None,
        }
    };
    let told = text(prior, "schematic_id")?;
    let (_, before) = local(prior)?;
    let (url, now) = local(values)?;
    // Another factory gives another id, or the usual one.
    let served = text(prior.get("image"), "url").or_else(|| {
        let own = prior.get("installer").is_null();
        let image = text(prior, "installer_image").filter(|_| own)?;
        Some(format!("//{image}"))
    });
    let is_same_factory = served.is_none_or(|served| {
        let host = served.split_once("//").map_or("", |(_, rest)| rest);
        host.split('/').next() == Some(url.host())
    });
    (now == before && (told == now || is_same_factory)).then_some(told)
}

/// Whether the factory gives ids of its own, which only it can tell.
fn asks_factory(services: Option<&Services>, desired: &Desired) -> bool {
    match (&desired.source, services) {
        (Source::Factory { url, .. }, Some(services)) => {
            services.factory_at(Some(url)).credentials.is_some()
        }
        _ => false,
    }
}

/// What it is called in sentences.
fn called(desired: &Desired) -> String {
    if desired.has_image() {
        format!("Talos image {}", desired.file_name)
    } else {
        let installer = desired.installer_image().unwrap_or_default();
        format!("Talos installer {installer}")
    }
}

/// An artifact that can be worked on.
struct Case {
    desired: Desired,
    host: Option<BuildHost>,
}

fn case(
    kind: Kind,
    context: &Context,
    values: &Value,
    server_id: Option<String>,
) -> Result<Case, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    let read = kind.wish(values, Some(&context.services), server_id, &mut diagnostics);
    let desired = read.desired.ok_or_else(|| errors(&diagnostics))?;
    Ok(Case {
        desired,
        host: read.builder,
    })
}

fn stored(private: &[u8]) -> Result<Observed, Diagnostics> {
    Observed::load(private)
        .map(Option::unwrap_or_default)
        .map_err(|too_new| {
            Diagnostic::error(
                "The state is from a newer provider",
                sentence(&too_new.to_string()),
            )
            .into()
        })
}

pub(super) async fn read(kind: Kind, setup: &Setup, current: Current) -> Outcome {
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

fn made(state: Value, observed: &Observed, diagnostics: Diagnostics) -> Outcome {
    Outcome {
        state,
        private: observed.store(),
        identity: Value::Null,
        diagnostics,
    }
}

/// What is said of everything that did not answer, once for each reason. A login that is refused is an
/// error: nothing would ever be seen with it, and a plan would say for ever that all is well.
fn unseen(desired: &Desired, observed: &Observed) -> Diagnostics {
    if let Some(why) = &observed.refused_login {
        return refused_login(why).into();
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

fn refused_login(why: &str) -> Diagnostic {
    Diagnostic::error(
        "The Proxmox cluster refuses the login",
        format!(
            "{}\nNothing of the storages is known, and nothing was changed.\nHint: Set api_token, or \
             username and password, in the proxmox block of the provider.",
            sentence(why)
        ),
    )
    .at(Path::attribute("proxmox"))
}

pub(super) async fn plan(kind: Kind, setup: &Setup, change: Change) -> Plan {
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
        Kind::Copy => common::unknown(planned, &super::copy::FROM_SOURCE),
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
fn creation(desired: &Desired) -> String {
    format!("new {}", desired.content())
}

/// Claims the places of what is wanted; an error if another object of this run wants something else
/// at one of them. Both would be written, again and again, or one be taken for the other.
async fn taken(context: &Context, who: &str, desired: &Desired, seen: &Observed) -> Diagnostics {
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
    if let Some(why) = &seen.refused_login {
        diagnostics.push(refused_login(why));
        return;
    }
    let plan = planner_artifact::plan(desired, seen);
    if !is_open {
        diagnostics.extend(report::problems(Problems(plan.refusals)));
        diagnostics.extend(report::problems(Problems(plan.warnings)));
    }
    for reason in plan.waits {
        diagnostics.warning(
            format!("{}: an apply would have to wait", called(desired)),
            sentence(&reason),
        );
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

async fn plan_update(
    kind: Kind,
    setup: &Setup,
    (prior, private): (&Value, &[u8]),
    planned: &mut Value,
    read: &wish::Read,
    is_open: bool,
    diagnostics: &mut Diagnostics,
) {
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
    planned.set("drift", Value::List(Vec::new()));
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

pub(super) async fn create(kind: Kind, setup: &Setup, change: Change) -> Outcome {
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
    if let Some(why) = &seen.refused_login {
        return Err(refused_login(why).into());
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
        report::run(
            &what,
            &error,
            "What is in its place stays there; the next apply goes on from there.",
        )
    });
    Ok((observed, warnings, desired, failed))
}

/// The steps that the plan of an update said, by the facts that it was made on.
fn announced(change: &Change, desired: &Desired, before: &Observed) -> Option<Vec<Step>> {
    let is_said = !change.prior.is_null() && change.planned.get("change_plan").is_wholly_known();
    is_said.then(|| planner_artifact::plan(desired, before).steps)
}

pub(super) async fn update(kind: Kind, setup: &Setup, change: Change) -> Outcome {
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

/// Gives up the files of others that an object uses.
fn release(context: &Context, id: &str, recorded: &Recorded) {
    for file in recorded.files.iter().filter(|file| !file.is_ours) {
        context.places.leave(id, &Place::Volume(file.begun()));
    }
    for local in recorded.local.iter().filter(|local| !local.is_ours) {
        context.places.leave(id, &Place::Local(local.path.clone()));
    }
}

/// Leaves files to other objects of this run that use them, and says which others may miss them. The
/// deletion itself runs in a process that may meet none of those objects.
pub(super) fn plan_delete(setup: &Setup, current: Current) -> (Vec<u8>, Diagnostics) {
    let Ok(context) = ready(setup) else {
        return (current.private, Diagnostics::new());
    };
    let mut observed = match stored(&current.private) {
        Ok(observed) => observed,
        Err(too_new) => return (current.private, too_new),
    };
    let id = text(&current.state, "id").unwrap_or_default();
    context.places.note(&id, &mut observed.recorded);
    release(&context, &id, &observed.recorded);
    let mut diagnostics = Diagnostics::new();
    let (mut stay, mut go) = (Vec::new(), Vec::new());
    for file in &mut observed.recorded.files {
        if !file.is_ours {
            continue;
        }
        file.is_ours = !context.places.leave(&id, &Place::Volume(file.begun()));
        let list = if file.is_ours { &mut go } else { &mut stay };
        list.push(format!("{}:{} on {}", file.storage, file.volume, file.node));
    }
    for local in observed.recorded.local.iter_mut().filter(|it| it.is_ours) {
        local.is_ours = !context.places.leave(&id, &Place::Local(local.path.clone()));
        if !local.is_ours {
            stay.push(local.path.clone());
        }
    }
    if !stay.is_empty() {
        diagnostics.warning(
            "Files stay for another resource",
            format!(
                "Another resource of this configuration uses the same: {}.",
                stay.join(", ")
            ),
        );
    }
    if !go.is_empty() {
        diagnostics.warning(
            "Others may use what is removed",
            format!(
                "Of other states nothing is known here. Whoever took over a file of this resource there \
                 (\"A file of this name is there\"), and machines that boot from it, will miss it: {}.",
                go.join(", ")
            ),
        );
    }
    (observed.store(), diagnostics)
}

pub(super) async fn delete(kind: Kind, setup: &Setup, current: Current) -> Outcome {
    match try_delete(kind, setup, &current).await {
        Ok((observed, diagnostics)) if diagnostics.has_errors() => Outcome {
            state: current.state,
            private: observed.store(),
            identity: Value::Null,
            diagnostics,
        },
        Ok((_, diagnostics)) => Outcome {
            state: Value::Null,
            private: Vec::new(),
            identity: Value::Null,
            diagnostics,
        },
        Err(diagnostics) => Outcome::unchanged(current, diagnostics),
    }
}

async fn try_delete(
    kind: Kind,
    setup: &Setup,
    current: &Current,
) -> Result<(Observed, Diagnostics), Diagnostics> {
    let context = ready(setup)?;
    let before = stored(&current.private)?;
    let state = &current.state;
    let server_id = server_id(kind, state, state, Some(&context.services));
    let Case { desired, host } = case(kind, &context, state, server_id)?;
    let host = host.filter(|_| !before.recorded.builds.is_empty());
    let builder = host.map(|host| Builder::new(&context, host)).transpose()?;
    let mut seen = look::observe(&context, &desired, &before, Depth::Plan).await;
    let id = text(state, "id").unwrap_or_default();
    context.places.note(&id, &mut seen.recorded);
    release(&context, &id, &seen.recorded);
    let forgets = state.get("forget_unreachable").as_bool() == Some(true);
    let mut diagnostics = Diagnostics::new();
    for file in seen.recorded.files.iter().filter(|file| file.is_ours) {
        let Some(Fact::Unknown(why)) = seen.storage(&file.storage, &file.node) else {
            continue;
        };
        let place = format!("{}:{} on {}", file.storage, file.volume, file.node);
        if forgets {
            diagnostics.warning(format!("{place} was forgotten"), sentence(why));
        } else {
            diagnostics.push(
                Diagnostic::error(
                    format!("{place} cannot be removed now"),
                    format!(
                        "{}\nNothing was removed.\nHint: Run destroy again when it answers. If it is \
                         gone for good, set forget_unreachable = true, apply, and destroy again.",
                        sentence(why)
                    ),
                )
                .at(Path::attribute("proxmox")),
            );
        }
    }
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    for sentence in planner_artifact::left_by_removal(&seen) {
        diagnostics.warning(planner_artifact::EXCHANGED, sentence);
    }
    let steps = planner_artifact::plan_removal(&seen);
    let what = called(&desired);
    let limits = limits(&context, state, "delete");
    let subject = (id.as_str(), &desired);
    let work = ArtifactWork::new(&context, subject, builder, seen, limits.timeout).removing(steps);
    let result = executor::run(&work, limits).await;
    let (observed, warnings) = work.end(result.is_ok()).await;
    diagnostics.extend(warnings);
    if let Err(error) = result {
        let next = "What is left stays in the state; run destroy again.";
        diagnostics.push(report::run(&format!("Removal of {what}"), &error, next));
    }
    Ok((observed, diagnostics))
}
