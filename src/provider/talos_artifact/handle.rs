//! `image`: what another unit needs to know to bring the same image elsewhere.

use std::collections::BTreeMap;

use tf_plugin::{Object, Type, Value};

pub(super) const DESCRIPTION: &str = "The image for `source` of `talos_artifact_copy`: an object with \
    `artifact_id`, `talos_version`, `kubernetes_version`, `platform`, `architecture`, `format`, \
    `file_name`, `url` (at a factory), `oci` (artifact by digest), `path` (on the machine that made it), \
    `sha256`, `size_bytes`, `installer_image` and `installer_image_digest`.";

/// Members that are text.
const TEXTS: [&str; 13] = [
    "artifact_id",
    "talos_version",
    "kubernetes_version",
    "platform",
    "architecture",
    "format",
    "file_name",
    "url",
    "oci",
    "path",
    "sha256",
    "installer_image",
    "installer_image_digest",
];

pub(super) fn ty() -> Type {
    let texts = TEXTS.map(|name| (name.to_owned(), Type::String));
    let mut members: BTreeMap<String, Type> = texts.into();
    members.insert("size_bytes".to_owned(), Type::Number);
    Type::Object(Object {
        members,
        optional: Vec::new(),
    })
}

/// A handle; what is not given is null.
pub(super) fn value(members: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let empty = TEXTS.into_iter().chain(["size_bytes"]);
    let mut handle = Value::object(empty.map(|name| (name, Value::Null)));
    for (name, value) in members {
        handle.set(name, value);
    }
    handle
}
