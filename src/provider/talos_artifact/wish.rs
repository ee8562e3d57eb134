//! From a configuration, plan or state to what the planner knows.

use std::collections::BTreeMap;

use planner::{
    node::NodeWish,
    problem::Problems,
    talos_artifact::{
        BuilderWish, CopyWish, Desired, Handle, InstallerWish, OverlayWish, ProxmoxWish,
        Value as OverlayOption, Wish,
    },
};
use tf_plugin::{Diagnostic, Diagnostics, Path, Value};

use crate::{common::text, report, services::Services};

/// A configuration that was read.
pub(super) struct Read {
    /// `None` if something is wrong or unknown.
    pub(super) desired: Option<Desired>,
    /// What the person wrote, where it is an artifact.
    pub(super) wish: Option<Wish>,
    /// The build host, if there is one.
    pub(super) builder: Option<BuildHost>,
}

/// The host on which the imager runs.
#[derive(Clone, Debug)]
pub(super) struct BuildHost {
    pub(super) node: NodeWish,
    pub(super) engine: Option<String>,
}

/// Attributes and blocks of which some only say where things go: all must be known.
const COMPUTED: [&str; 14] = [
    "id",
    "schematic_id",
    "talos_image_file_ids",
    "talos_image_file_name",
    "talos_image_id",
    "installer_image",
    "installer_image_digest",
    "sha256",
    "size_bytes",
    "image",
    "drift",
    "change_plan",
    "status",
    "timeouts",
];

/// Whether everything that a person gives is known.
fn is_given(values: &Value) -> bool {
    let members = values.as_map().into_iter().flatten();
    members
        .filter(|(name, _)| !COMPUTED.contains(&name.as_str()))
        .all(|(_, value)| value.is_wholly_known())
}

/// Unless a person says otherwise, nothing goes that machines may boot from: what uses the ids of the
/// files is changed after the files are.
fn keeps(values: &Value) -> bool {
    values.get("keep_previous").as_bool() != Some(false)
}

/// Reads an artifact. `services` are those of the provider, once it is configured.
pub(super) fn artifact(
    values: &Value,
    services: Option<&Services>,
    server_id: Option<String>,
    diagnostics: &mut Diagnostics,
) -> Read {
    let builder = builder(values.get("builder"));
    if !is_given(values) {
        return Read {
            desired: None,
            wish: None,
            builder,
        };
    }
    if nulls(values, diagnostics) {
        return Read {
            desired: None,
            wish: None,
            builder,
        };
    }
    let wish = Wish {
        talos_version: text(values, "talos_version").unwrap_or_default(),
        kubernetes_version: text(values, "kubernetes_version"),
        platform: text(values, "platform"),
        architecture: text(values, "architecture"),
        mode: text(values, "mode"),
        schematic: text(values, "schematic"),
        extensions: list(values.get("extensions")),
        kernel_args: list(values.get("kernel_args")),
        meta: map(values.get("meta")),
        bootloader: text(values, "bootloader"),
        secure_boot: flag(values, "secure_boot"),
        overlay: overlay(values.get("overlay")),
        factory_url: text(values, "factory_url"),
        default_factory_url: services.map(|known| known.factory.url.as_str().to_owned()),
        server_id,
        extension_images: list(values.get("extension_images")),
        builder: builder_wish(values.get("builder")),
        image_format: text(values, "image_format"),
        file_name: text(values, "file_name"),
        local_file: text(values, "local_file"),
        artifact_repository: text(values, "artifact_repository"),
        overwrite: flag(values, "overwrite"),
        keep_previous: keeps(values),
        proxmox: targets(values.get("proxmox")),
        installer: installer(values.get("installer")),
    };
    let mut problems = Problems::default();
    let desired = Desired::read(&wish, &mut problems);
    diagnostics.extend(report::problems(problems));
    Read {
        desired,
        wish: Some(wish),
        builder,
    }
}

/// Reads a copy.
pub(super) fn copy(values: &Value, diagnostics: &mut Diagnostics) -> Read {
    let source = values.get("source");
    // What is known only after the source was made does not decide what is wished.
    let is_known = is_given(&without(values, "source")) && !source.get("artifact_id").is_unknown();
    if !is_known || source.is_unknown() {
        return Read {
            desired: None,
            wish: None,
            builder: None,
        };
    }
    if nulls(values, diagnostics) {
        return Read {
            desired: None,
            wish: None,
            builder: None,
        };
    }
    let wish = CopyWish {
        source: handle(source),
        file_name: text(values, "file_name"),
        overwrite: flag(values, "overwrite"),
        keep_previous: keeps(values),
        local_file: text(values, "local_file"),
        proxmox: targets(values.get("proxmox")),
    };
    let mut problems = Problems::default();
    let desired = Desired::read_copy(&wish, &mut problems);
    diagnostics.extend(report::problems(problems));
    Read {
        desired,
        wish: None,
        builder: None,
    }
}

fn without(values: &Value, name: &str) -> Value {
    let mut rest = values.clone();
    rest.set(name, Value::Null);
    rest
}

fn handle(source: &Value) -> Handle {
    let member = |name: &str| text(source, name);
    // That the image will be in a registry is known before its digest is.
    let place = |name: &str| {
        let is_open = source.get(name).is_unknown();
        text(source, name).or_else(|| is_open.then(|| Handle::OPEN.to_owned()))
    };
    Handle {
        artifact_id: member("artifact_id").unwrap_or_default(),
        talos_version: member("talos_version").unwrap_or_default(),
        kubernetes_version: member("kubernetes_version"),
        platform: member("platform").unwrap_or_default(),
        architecture: member("architecture").unwrap_or_default(),
        format: member("format").unwrap_or_default(),
        file_name: member("file_name"),
        url: member("url"),
        oci: place("oci"),
        path: member("path"),
        sha256: member("sha256"),
        size_bytes: source
            .get("size_bytes")
            .as_i64()
            .and_then(|size| u64::try_from(size).ok()),
        installer_image: member("installer_image"),
        installer_image_digest: member("installer_image_digest"),
    }
}

/// Refuses null elements: what is meant to be there would be left out in silence.
fn nulls(values: &Value, diagnostics: &mut Diagnostics) -> bool {
    let mut found = Vec::new();
    let mut list = |path: &Path, value: &Value| {
        for (index, element) in value.as_list().unwrap_or_default().iter().enumerate() {
            if element.is_null() {
                found.push(path.clone().index(i64::try_from(index).unwrap_or_default()));
            }
        }
    };
    for name in ["extensions", "kernel_args", "extension_images"] {
        list(&Path::attribute(name), values.get(name));
    }
    let blocks = values.get("proxmox").as_list().unwrap_or_default();
    for (index, block) in blocks.iter().enumerate() {
        let path = Path::attribute("proxmox").index(i64::try_from(index).unwrap_or_default());
        list(&path.member("nodes"), block.get("nodes"));
    }
    let options = Path::attribute("overlay").member("options");
    for (path, value) in [
        (Path::attribute("meta"), values.get("meta")),
        (options, values.get("overlay").get("options")),
    ] {
        let entries = value.as_map().into_iter().flatten();
        let empty = entries.filter(|(_, value)| value.is_null());
        found.extend(empty.map(|(key, _)| path.clone().key(key)));
    }
    let is_refused = !found.is_empty();
    for path in found {
        diagnostics.push(
            Diagnostic::error("An element is null", "Give it a value, or leave it out.").at(path),
        );
    }
    is_refused
}

fn flag(values: &Value, name: &str) -> bool {
    values.get(name).as_bool() == Some(true)
}

fn list(value: &Value) -> Vec<String> {
    let elements = value.as_list().unwrap_or_default();
    elements
        .iter()
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect()
}

fn map(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_map().into_iter().flatten();
    entries
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn overlay(block: &Value) -> Option<OverlayWish> {
    let options = map(block.get("options"));
    (!block.is_null()).then(|| OverlayWish {
        image: text(block, "image").unwrap_or_default(),
        name: text(block, "name").unwrap_or_default(),
        options: options
            .into_iter()
            .map(|(name, value)| (name, OverlayOption::Text(value)))
            .collect(),
    })
}

fn builder_wish(block: &Value) -> Option<BuilderWish> {
    (!block.is_null()).then(|| BuilderWish {
        host: text(block, "host").unwrap_or_default(),
        imager: text(block, "imager"),
        base_installer: text(block, "base_installer"),
    })
}

fn builder(block: &Value) -> Option<BuildHost> {
    (!block.is_null()).then(|| BuildHost {
        node: NodeWish {
            host: text(block, "host").unwrap_or_default(),
            port: block.get("port").as_i64(),
            user: text(block, "user"),
            ssh_profile: text(block, "ssh_profile"),
            host_key: text(block, "host_key"),
            ..NodeWish::default()
        },
        engine: text(block, "engine"),
    })
}

fn installer(block: &Value) -> Option<InstallerWish> {
    (!block.is_null()).then(|| InstallerWish {
        repository: text(block, "repository").unwrap_or_default(),
        tag: text(block, "tag"),
        platform: text(block, "platform"),
        overwrite_tag: flag(block, "overwrite_tag"),
    })
}

fn targets(blocks: &Value) -> Vec<ProxmoxWish> {
    let blocks = blocks.as_list().unwrap_or_default();
    let target = |block: &Value| ProxmoxWish {
        storage: text(block, "storage").unwrap_or_default(),
        nodes: list(block.get("nodes")),
        transfer: text(block, "transfer"),
    };
    blocks.iter().map(target).collect()
}
