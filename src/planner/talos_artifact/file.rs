//! Names of images: on a Proxmox storage, in a registry, in a path.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Form of the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Format {
    /// A bootable ISO.
    #[default]
    Iso,
    /// A disk image for import.
    Qcow2,
    /// A raw disk image, unpacked.
    Raw,
    /// No image: an installer alone.
    None,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Iso, Self::Qcow2, Self::Raw, Self::None];

    /// Reads the word of the configuration.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }

    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Iso => "iso",
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
            Self::None => "none",
        }
    }

    /// What the factory and the imager call it at the end of a name. A raw image comes packed: the
    /// node can unpack zstd, and it is a tenth of the size.
    pub fn fetched_suffix(self) -> &'static str {
        match self {
            Self::Raw => "raw.zst",
            other => other.as_str(),
        }
    }

    /// Ends that a file name may have.
    fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Iso => &[".iso", ".img"],
            Self::Qcow2 => &[".qcow2"],
            Self::Raw => &[".raw", ".img"],
            Self::None => &[],
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Kind of content on a Proxmox storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ContentKind {
    /// Images for a virtual drive.
    Iso,
    /// Images for import as a disk.
    Import,
}

impl ContentKind {
    /// Where Proxmox takes a file of this name: `.iso` and `.img` are drives, others are imported.
    pub fn of(file_name: &str) -> Self {
        // Proxmox looks at small letters only.
        match file_name.rsplit_once('.') {
            Some((_, "iso" | "img")) => Self::Iso,
            _ => Self::Import,
        }
    }

    /// Proxmox' word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Iso => "iso",
            Self::Import => "import",
        }
    }
}

impl fmt::Display for ContentKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Longest file name that Proxmox takes, in bytes.
const LONGEST_NAME: usize = 255;

/// What Proxmox makes of a name: no path, and a `_` for every sign that it does not know
/// (pve-storage 9.1, `Storage.pm`). Whoever speaks to Proxmox has this rule too, for any name; here it
/// only tells why a name is refused.
fn normalised(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    name.chars()
        .map(|char| match char {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' | '-' => char,
            _ => '_',
        })
        .collect()
}

/// Why a file name cannot be had, as a sentence.
pub(super) fn name_fault(name: &str, format: Format) -> Option<String> {
    let normal = normalised(name);
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Some(format!("A file name has 1 to {LONGEST_NAME} characters."));
    }
    if normal != name {
        return Some(format!(
            "Proxmox would store it as \"{normal}\": a file name is letters, digits, \"_\", \".\" and \
             \"-\", without a directory."
        ));
    }
    if name.starts_with('.') || name.contains("..") {
        return Some("A file name does not begin with a dot and holds no \"..\".".to_owned());
    }
    let suffixes = format.suffixes();
    let fits = suffixes
        .iter()
        .any(|suffix| name.len() > suffix.len() && name.ends_with(suffix));
    (!fits).then(|| {
        let packed = [".xz", ".zst", ".gz"].iter().any(|end| name.ends_with(end));
        let hint = if packed {
            " Proxmox cannot use packed images; raw images are unpacked on the way."
        } else {
            ""
        };
        format!(
            "The file of image_format \"{format}\" ends with {}.{hint}",
            suffixes.join(" or ")
        )
    })
}

/// The id of a volume: `STORE:iso/NAME`.
pub fn volid(storage: &str, file_name: &str) -> String {
    format!("{storage}:{}/{file_name}", ContentKind::of(file_name))
}

/// Whether a text can be the id of a Proxmox storage.
pub(super) fn is_storage(text: &str) -> bool {
    text.len() >= 2
        && !text.contains("..")
        && text.starts_with(|char: char| char.is_ascii_alphabetic())
        && text.ends_with(|char: char| char.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Whether a text can be the name of a Proxmox node.
pub(super) fn is_node(text: &str) -> bool {
    let at_ends = |char: char| char.is_ascii_alphanumeric();
    text.len() <= 63
        && text.starts_with(at_ends)
        && text.ends_with(at_ends)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_names_as_proxmox_does() {
        for (name, normal) in [
            (
                "talos-frr-v1.11.5-nocloud-amd64.iso",
                "talos-frr-v1.11.5-nocloud-amd64.iso",
            ),
            ("a b+c.iso", "a_b_c.iso"),
            ("/srv/images/x.iso", "x.iso"),
            ("c:\\x.iso", "x.iso"),
            ("ü.iso", "_.iso"),
        ] {
            assert_eq!(normalised(name), normal);
        }
    }

    #[test]
    fn refuses_names_that_would_become_others() {
        for (name, format, good) in [
            ("x.iso", Format::Iso, true),
            ("x.img", Format::Iso, true),
            ("x.qcow2", Format::Qcow2, true),
            ("x.raw", Format::Raw, true),
            ("x.img", Format::Raw, true),
            ("x.iso", Format::Qcow2, false),
            ("x.raw.xz", Format::Raw, false),
            ("x.raw.zst", Format::Raw, false),
            ("x y.iso", Format::Iso, false),
            (".iso", Format::Iso, false),
            (".x.iso", Format::Iso, false),
            ("x..iso", Format::Iso, false),
            ("../x.iso", Format::Iso, false),
            ("", Format::Iso, false),
        ] {
            assert_eq!(name_fault(name, format).is_none(), good, "{name} {format}");
        }
        assert!(name_fault(&format!("{}.iso", "a".repeat(252)), Format::Iso).is_some());
    }

    #[test]
    fn names_volumes_by_their_kind() {
        assert_eq!(volid("resources", "x.iso"), "resources:iso/x.iso");
        assert_eq!(volid("local", "x.qcow2"), "local:import/x.qcow2");
        assert_eq!(volid("local", "x.raw"), "local:import/x.raw");
        assert_eq!(volid("local", "x.img"), "local:iso/x.img");
    }

    #[test]
    fn knows_storages_and_nodes() {
        assert!(is_storage("rbd-vm") && is_storage("local") && is_storage("a.b_c1"));
        assert!(!is_storage("1a") && !is_storage("a-") && !is_storage("") && !is_storage("a:b"));
        assert!(!is_storage("a..b") && !is_storage("../a") && !is_storage("a/b"));
        assert!(!is_node("") && !is_node("..") && !is_node("a/b"));
        assert!(is_node("pve01") && is_node("a") && !is_node("pve.example") && !is_node("-a"));
    }
}
