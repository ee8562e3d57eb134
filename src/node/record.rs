//! JSON files of ours. Each begins with a format number; a newer one than we know is refused.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{account::Ids, atomic, failure::Failed, proto::failure::Kind};

/// Files of ours are root's: 0 on a host, and whoever runs the test in a test.
pub(crate) fn root_ids() -> Ids {
    Ids {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    }
}

/// What every file of ours begins with.
#[derive(Deserialize)]
struct Head {
    format: u32,
    #[serde(default)]
    written_by: String,
}

/// Reads a file of at most format `known`; `None` if it is absent.
pub(crate) fn read<T: DeserializeOwned>(path: &Path, known: u32) -> Result<Option<T>, Failed> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failed::io("reading", path, &error)),
    };
    let shown = path.display().to_string();
    let broken = |error: serde_json::Error| {
        let message = format!("{shown} cannot be read: {error}");
        Failed::new(Kind::BrokenFile, &shown, message)
            .hint("Restore it from a backup of the host; nothing was changed.")
    };
    let head: Head = serde_json::from_slice(&text).map_err(broken)?;
    if head.format > known {
        let by = if head.written_by.is_empty() {
            "a newer version"
        } else {
            &head.written_by
        };
        return Err(Failed::new(
            Kind::NewerFormat,
            &shown,
            format!("{shown} has format {} and was written by {by}", head.format),
        )
        .hint(format!("Use the provider in version {by} or later."))
        .output(&head.written_by));
    }
    serde_json::from_slice(&text).map(Some).map_err(broken)
}

/// Writes a file that root alone reads, whole or not at all.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), Failed> {
    let mut text =
        serde_json::to_vec_pretty(value).expect("texts, numbers and maps of them are JSON");
    text.push(b'\n');
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(|error| Failed::io("making", directory, &error))?;
    }
    atomic::write(path, &text, root_ids(), 0o600)
}

/// Version that is written into files, for whoever finds a format that is too new.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        format: u32,
        written_by: String,
    }

    #[test]
    fn refuses_a_newer_format_by_naming_its_version() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sub/sample.json");
        assert_eq!(read::<Sample>(&path, 1).expect("absent"), None);
        let sample = Sample {
            format: 2,
            written_by: "9.1.0".to_owned(),
        };
        write(&path, &sample).expect("written");
        let failed = read::<Sample>(&path, 1).expect_err("newer");
        assert_eq!(failed.0.kind(), Kind::NewerFormat);
        assert_eq!(failed.0.output, ["9.1.0"]);
        assert_eq!(read(&path, 2).expect("known"), Some(sample));
        fs::write(&path, "{\"format\": 1").expect("a broken file");
        assert_eq!(
            read::<Sample>(&path, 2).expect_err("broken").0.kind(),
            Kind::BrokenFile
        );
    }
}
