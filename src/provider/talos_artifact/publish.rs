//! What manifests say of our artifacts, so that whoever wants the same image finds it.

use std::collections::BTreeMap;

/// Type of an artifact that holds an image.
pub(super) const TYPE: &str = "application/vnd.etcd-fleet.talos-image.v1";
/// Type of the file in it.
pub(super) const FILE: &str = "application/octet-stream";
/// Annotation that says which image it is, in the planner's one word.
pub(super) const CONTENT: &str = "dev.etcd-fleet.talos.content";

/// Which image it is, if it is one of ours.
pub(super) fn content_of(annotations: &BTreeMap<String, String>) -> Option<String> {
    annotations.get(CONTENT).cloned()
}

/// Annotations of the artifact of an image.
pub(super) fn annotations(content: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(CONTENT.to_owned(), content.to_owned())])
}
