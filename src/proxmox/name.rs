//! Names of files on a storage, as the server changes and checks them
//! (`normalize_content_filename` and the extension patterns of pve-storage, `src/PVE/Storage.pm`).

use std::{fmt, str::FromStr};

/// What a file on a storage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentKind {
    /// Boot images for a CD drive: `.iso`, `.img`.
    Iso,
    /// Disk images to import: `.qcow2`, `.raw`, `.vmdk`, `.ova`.
    Import,
    /// Container templates: `.tar.gz`, `.tar.xz`, `.tar.zst`, `.tar.bz2`.
    Template,
}

impl ContentKind {
    /// The word of the API, which is also the folder in a volume id.
    pub fn word(self) -> &'static str {
        match self {
            Self::Iso => "iso",
            Self::Import => "import",
            Self::Template => "vztmpl",
        }
    }

    /// Extensions that the server takes.
    pub fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Iso => &[".iso", ".img"],
            Self::Import => &[".qcow2", ".raw", ".vmdk", ".ova"],
            Self::Template => &[".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2"],
        }
    }

    /// `STORAGE:KIND/NAME`, with the name as the server keeps it.
    pub fn volume_id(self, storage: &str, file_name: &str) -> String {
        format!(
            "{storage}:{}/{}",
            self.word(),
            normalise_file_name(file_name)
        )
    }
}

impl fmt::Display for ContentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for ContentKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Iso, Self::Import, Self::Template]
            .into_iter()
            .find(|kind| kind.word() == text)
            .ok_or(())
    }
}

/// The server would not take the name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Longer than 255 characters.
    #[error("the name has {length} characters, and a storage takes 255")]
    TooLong {
        /// How many it has.
        length: usize,
    },
    /// Nothing before the extension, or another extension.
    #[error("a file of kind {kind} is named *{}", kind.extensions().join(", *"))]
    Extension {
        /// What the file is.
        kind: ContentKind,
    },
}

/// The name that the server makes of a name: no path, and `_` for every character but letters,
/// digits, `_`, `.` and `-` of ASCII.
pub fn normalise_file_name(name: &str) -> String {
    let name = name.strip_suffix('\n').unwrap_or(name);
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    name.chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() || "_.-".contains(letter) {
                letter
            } else {
                '_'
            }
        })
        .collect()
}

/// Whether the server would take a file of this name and kind.
///
/// # Errors
/// [`NameError`].
pub fn check_file_name(kind: ContentKind, name: &str) -> Result<(), NameError> {
    let length = name.chars().count();
    if length > 255 {
        return Err(NameError::TooLong { length });
    }
    let name = normalise_file_name(name);
    // Only disk images are told by their case.
    let compared = match kind {
        ContentKind::Import => name.clone(),
        ContentKind::Iso | ContentKind::Template => name.to_ascii_lowercase(),
    };
    let fits = kind
        .extensions()
        .iter()
        .any(|extension| compared.len() > extension.len() && compared.ends_with(extension));
    if fits {
        Ok(())
    } else {
        Err(NameError::Extension { kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_what_the_server_makes_of_them() {
        for (given, kept) in [
            ("talos-v1.11.5.iso", "talos-v1.11.5.iso"),
            ("a b+c.iso", "a_b_c.iso"),
            ("../x/y.iso", "y.iso"),
            ("c:\\images\\y.iso", "y.iso"),
            ("größe.iso", "gr__e.iso"),
            ("y.iso\n", "y.iso"),
        ] {
            assert_eq!(normalise_file_name(given), kept);
        }
        assert_eq!(
            ContentKind::Iso.volume_id("resources", "a b.iso"),
            "resources:iso/a_b.iso"
        );
    }

    #[test]
    fn refuses_what_the_server_would_refuse() {
        assert_eq!(check_file_name(ContentKind::Iso, "x.ISO"), Ok(()));
        assert_eq!(check_file_name(ContentKind::Import, "x.qcow2"), Ok(()));
        let extension = |kind| Err(NameError::Extension { kind });
        assert_eq!(
            check_file_name(ContentKind::Import, "x.QCOW2"),
            extension(ContentKind::Import)
        );
        assert_eq!(
            check_file_name(ContentKind::Iso, ".iso"),
            extension(ContentKind::Iso)
        );
        assert_eq!(
            check_file_name(ContentKind::Iso, "nocloud-amd64.raw.xz"),
            extension(ContentKind::Iso)
        );
        let long = format!("{}.iso", "x".repeat(252));
        assert_eq!(
            check_file_name(ContentKind::Iso, &long),
            Err(NameError::TooLong { length: 256 })
        );
    }
}
