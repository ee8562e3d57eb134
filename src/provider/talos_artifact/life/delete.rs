//! Removing what an artifact wrote, and nothing else.

use planner::{
    facts::Fact,
    talos_artifact::{self as planner_artifact, Observed, Recorded},
};
use tf_plugin::{
    Diagnostic, Diagnostics, Value,
    provider::{Current, Outcome},
};

use super::{Case, Kind, called, case, placed, server_id, shut, stored};
use crate::{
    common::text,
    context::{Context, Setup},
    executor,
    life::{limits, ready},
    report::{self, sentence},
    talos_artifact::{
        build::Builder,
        fault,
        look::{self, Depth},
        places::Place,
        work::ArtifactWork,
    },
};

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
pub(in crate::talos_artifact) fn plan_delete(
    setup: &Setup,
    current: Current,
) -> (Vec<u8>, Diagnostics) {
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
                "Another resource of this configuration uses the same: {}. If it takes them over as files that \
                 were there, it will not remove them either. A resource that is only renamed keeps what is \
                 its own with a `moved` block.",
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

pub(in crate::talos_artifact) async fn delete(
    kind: Kind,
    setup: &Setup,
    current: Current,
) -> Outcome {
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
    if let Some(shut) = shut(&seen)
        && seen.recorded.files.iter().any(|file| file.is_ours)
    {
        return Err(shut.into());
    }
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
                .at(fault::storage()),
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
        let diagnostic = report::run(&format!("Removal of {what}"), &error, next);
        diagnostics.push(placed(diagnostic, &desired, &observed, &error));
    }
    Ok((observed, diagnostics))
}
