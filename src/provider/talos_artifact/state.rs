//! From what is wished and what was seen to a state.

use planner::talos_artifact::{Desired, Observed, Step, drift, status};
use tf_plugin::Value;

use super::{handle, life::Kind, schema};
use crate::common;

/// Outputs that follow from the id of the content: unknown while a factory has to be asked for it.
pub(super) const FROM_ID: [&str; 6] = [
    "schematic_id",
    "talos_image_file_ids",
    "talos_image_file_name",
    "talos_image_id",
    "installer_image",
    "image",
];

/// Sets what is known before an apply; `steps` are those that it will take.
pub(super) fn set_planned(
    state: &mut Value,
    kind: Kind,
    desired: &Desired,
    observed: &Observed,
    steps: &[Step],
) {
    set_outputs(state, kind, desired, observed);
    let pushes = steps.iter().any(|step| {
        matches!(
            step,
            Step::PushInstaller { .. }
                | Step::CopyInstaller { .. }
                | Step::AskInstaller { .. }
                | Step::AdoptTag { .. }
        )
    });
    if pushes {
        set_open(state, &["installer_image_digest"]);
    }
    let publishes = steps
        .iter()
        .any(|step| matches!(step, Step::PublishArtifact { .. } | Step::AdoptTag { .. }));
    if publishes && kind == Kind::Artifact {
        let mut image = state.get("image").clone();
        image.set("oci", Value::unknown());
        state.set("image", image);
    }
}

/// Marks what an apply is the first to learn. What is recorded stays known: an apply takes no other
/// bytes than those.
pub(super) fn set_unsettled(state: &mut Value, kind: Kind, desired: &Desired, observed: &Observed) {
    if desired.has_image() && observed.bytes(desired).is_none() {
        match kind {
            Kind::Artifact => set_open(state, &["sha256", "size_bytes"]),
            Kind::Copy if state.get("sha256").is_null() => {
                common::unknown(state, &["sha256", "size_bytes"]);
            }
            Kind::Copy => {}
        }
    }
    let has_installer = kind == Kind::Artifact && desired.installer_image().is_some();
    if has_installer && observed.recorded.installer_digest(desired).is_none() {
        set_open(state, &["installer_image_digest"]);
    }
}

/// Marks outputs as known only after apply, in the handle too.
fn set_open(state: &mut Value, names: &[&str]) {
    let mut image = state.get("image").clone();
    for name in names {
        if image.as_map().is_some() {
            image.set(name, Value::unknown());
        }
    }
    common::unknown(state, names);
    if image.as_map().is_some() {
        state.set("image", image);
    }
}

/// Sets what was seen. What was not seen stays as it was.
pub(super) fn set_seen(state: &mut Value, kind: Kind, desired: &Desired, observed: &Observed) {
    set_outputs(state, kind, desired, observed);
    state.set("drift", Value::strings(drift(desired, observed)));
    state.set("status", Value::string(status(desired, observed)));
}

/// The first output that a plan has told and that is another one now.
pub(super) fn broken_promise(planned: &Value, made: &Value) -> Option<&'static str> {
    let names = schema::MADE.iter().chain(&FROM_ID);
    let mut names = names.chain(&["talos_version", "kubernetes_version"]);
    names
        .find(|name| !agrees(planned.get(name), made.get(name)))
        .copied()
}

/// Whether a value is the planned one, where that was known.
fn agrees(planned: &Value, made: &Value) -> bool {
    match (planned.as_map(), made.as_map()) {
        _ if planned.is_unknown() => true,
        (Some(members), Some(_)) if !planned.is_wholly_known() => members
            .iter()
            .all(|(name, member)| agrees(member, made.get(name))),
        _ => planned == made,
    }
}

fn text(text: Option<impl Into<String>>) -> Value {
    Value::optional_string(text)
}

fn set_outputs(state: &mut Value, kind: Kind, desired: &Desired, observed: &Observed) {
    let bytes = observed.bytes(desired).filter(|_| desired.has_image());
    let sha256 = text(bytes.as_ref().map(|bytes| bytes.sha256.clone()));
    let size = bytes
        .and_then(|bytes| i64::try_from(bytes.size_bytes).ok())
        .map_or(Value::Null, Value::integer);
    let file_name = desired.has_image().then(|| desired.file_name.clone());
    let ids = desired.file_ids().into_iter();
    state.set(
        "talos_image_file_ids",
        Value::object(ids.map(|(node, id)| (node, Value::string(id)))),
    );
    state.set("talos_image_file_name", text(file_name.clone()));
    state.set("talos_image_id", Value::string(desired.artifact_id()));
    let version = Value::string(desired.variant.version.to_string());
    let kubernetes = text(desired.kubernetes.as_ref().map(ToString::to_string));
    if kind == Kind::Copy {
        // What its source says, also where that is not known yet.
        let source = state.get("source").clone();
        state.set("talos_version", version);
        state.set("kubernetes_version", kubernetes);
        for name in [
            "installer_image",
            "installer_image_digest",
            "sha256",
            "size_bytes",
        ] {
            state.set(name, source.get(name).clone());
        }
        if source.get("sha256").is_null() {
            state.set("sha256", sha256);
            state.set("size_bytes", size);
        }
        return;
    }
    let installer = text(desired.installer_image());
    let digest = text(observed.recorded.installer_digest(desired));
    state.set(
        "schematic_id",
        text(desired.schematic_id().map(ToString::to_string)),
    );
    state.set("installer_image", installer.clone());
    state.set("installer_image_digest", digest.clone());
    state.set("sha256", sha256.clone());
    state.set("size_bytes", size.clone());
    let oci = desired.artifact.as_ref().map(|place| {
        let recorded = observed.recorded.tag(place);
        let recorded = recorded.filter(|tag| tag.content == desired.content());
        recorded.map_or_else(
            || place.to_string(),
            |tag| format!("{}@{}", place.repository, tag.digest),
        )
    });
    let image = handle::value([
        ("artifact_id", Value::string(desired.artifact_id())),
        ("talos_version", version),
        ("kubernetes_version", kubernetes),
        ("platform", Value::string(&*desired.variant.platform)),
        (
            "architecture",
            Value::string(desired.variant.architecture.as_str()),
        ),
        ("format", Value::string(desired.format.as_str())),
        ("file_name", text(file_name)),
        ("url", text(desired.image_url())),
        ("oci", text(oci)),
        ("path", text(desired.local_file.clone())),
        ("sha256", sha256),
        ("size_bytes", size),
        ("installer_image", installer),
        ("installer_image_digest", digest),
    ]);
    state.set("image", image);
}
