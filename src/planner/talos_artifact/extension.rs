//! Names of official system extensions.

use crate::near::nearest;

/// Former names, and what the factory takes for them when it has no extension of the former name
/// (image-factory v1.0.3, `internal/profile`).
const ALIASES: [(&str, &str); 11] = [
    ("siderolabs/v4l-uvc", "siderolabs/v4l-uvc-drivers"),
    ("siderolabs/usb-modem", "siderolabs/usb-modem-drivers"),
    ("siderolabs/gasket", "siderolabs/gasket-driver"),
    (
        "siderolabs/talos-vmtoolsd",
        "siderolabs/vmtoolsd-guest-agent",
    ),
    (
        "siderolabs/xe-guest-utilities",
        "siderolabs/xen-guest-agent",
    ),
    (
        "siderolabs/nvidia-container-toolkit",
        "siderolabs/nvidia-container-toolkit-lts",
    ),
    (
        "siderolabs/nvidia-open-gpu-kernel-modules",
        "siderolabs/nvidia-open-gpu-kernel-modules-lts",
    ),
    (
        "siderolabs/nonfree-kmod-nvidia",
        "siderolabs/nonfree-kmod-nvidia-lts",
    ),
    (
        "siderolabs/nvidia-fabricmanager",
        "siderolabs/nvidia-fabric-manager-lts",
    ),
    ("siderolabs/i915-ucode", "siderolabs/i915"),
    ("siderolabs/amdgpu-firmware", "siderolabs/amdgpu"),
];

/// What a factory makes of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It offers it.
    Offered,
    /// It takes another extension for it.
    Renamed(&'static str),
    /// It has none; what was meant, perhaps.
    Missing(Option<String>),
}

/// Looks a name up among the names that a factory offers for a version.
pub fn look_up(name: &str, offered: &[String]) -> Lookup {
    let is_offered = |name: &str| offered.iter().any(|known| known == name);
    if is_offered(name) {
        return Lookup::Offered;
    }
    let renamed = ALIASES.iter().find(|(former, _)| *former == name);
    if let Some((_, renamed)) = renamed.filter(|(_, renamed)| is_offered(renamed)) {
        return Lookup::Renamed(renamed);
    }
    // A name without its owner is the commonest mistake.
    let whole = format!("siderolabs/{name}");
    let near = if is_offered(&whole) {
        Some(whole)
    } else {
        nearest(name, offered.iter().map(String::as_str)).map(str::to_owned)
    };
    Lookup::Missing(near)
}

/// Whether a text can be a name: an owner and a name.
pub(super) fn is_name(text: &str) -> bool {
    text.split_once('/').is_some_and(|(owner, name)| {
        let is_plain = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte)
                })
        };
        is_plain(owner) && is_plain(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_names_former_names_and_near_ones() {
        let offered =
            ["i915", "qemu-guest-agent", "iscsi-tools"].map(|name| format!("siderolabs/{name}"));
        let near = |name: &str| Lookup::Missing(Some(name.to_owned()));
        for (name, expected) in [
            ("siderolabs/iscsi-tools", Lookup::Offered),
            ("siderolabs/i915-ucode", Lookup::Renamed("siderolabs/i915")),
            ("siderolabs/gasket", Lookup::Missing(None)),
            (
                "siderolabs/qemu-guest-agnt",
                near("siderolabs/qemu-guest-agent"),
            ),
            ("qemu-guest-agent", near("siderolabs/qemu-guest-agent")),
        ] {
            assert_eq!(look_up(name, &offered), expected, "{name}");
        }
        assert!(is_name("siderolabs/qemu-guest-agent") && !is_name("qemu-guest-agent"));
        assert!(!is_name("ghcr.io/x/y:v1") && !is_name("a/") && !is_name("A/b"));
    }
}
