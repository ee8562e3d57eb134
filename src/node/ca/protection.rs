//! Whose the files of a CA are, and who may read them.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::{CONFIGURATION, INTERMEDIATE, PROVISIONER_KEY, ROOT};
use crate::{atomic, failure::Failed, record, root::Root};

/// Directories below that of the CA, itself included, with their modes.
const DIRECTORIES: [(&str, u32); 4] = [
    ("", 0o755),
    ("certs", 0o755),
    ("config", 0o755),
    ("secrets", 0o700),
];

/// Files that are written once, with their modes. step-ca runs as a root that may not pass over modes,
/// so that a file of somebody else is closed to it.
const FILES: [(&str, u32); 8] = [
    (ROOT, 0o444),
    (INTERMEDIATE, 0o444),
    (CONFIGURATION, 0o400),
    (PROVISIONER_KEY, 0o400),
    ("secrets/root_ca_key", 0o400),
    ("secrets/root_password", 0o400),
    ("secrets/intermediate_ca_key", 0o400),
    ("secrets/intermediate_password", 0o400),
];

/// Makes the directories that are missing.
pub(super) fn make_directories(place: &Path) -> Result<(), Failed> {
    for (sub, mode) in DIRECTORIES {
        let path = place.join(sub);
        fs::create_dir_all(&path).map_err(|error| Failed::io("making", &path, &error))?;
        atomic::protect_directory(&path, record::root_ids(), mode)?;
    }
    Ok(())
}

/// Gives the files that are there and are exposed back to root.
pub(super) fn close(place: &Path) -> Result<(), Failed> {
    for (name, mode) in FILES {
        let path = place.join(name);
        if is_exposed(&path, mode) {
            atomic::protect_file(&path, record::root_ids(), mode)?;
        }
    }
    Ok(())
}

/// What is there of the CA in `directory` and is not root's, is closed to root, or is more open to
/// others than it should be. Paths are those of the host.
pub(crate) fn exposed(root: &Root, directory: &str) -> Vec<String> {
    let all = DIRECTORIES.iter().chain(&FILES);
    all.filter(|(name, mode)| is_exposed(&root.at(directory).join(name), *mode))
        .map(|(name, _)| match *name {
            "" => directory.to_owned(),
            name => format!("{directory}/{name}"),
        })
        .collect()
}

fn is_exposed(path: &Path, mode: u32) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| {
        let (is, own) = (found.mode(), record::root_ids());
        found.uid() != own.uid || is & 0o077 & !mode != 0 || mode & 0o500 & !is != 0
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::test_host::TestHost;

    #[test]
    fn what_others_may_read_is_found_and_closed() {
        const PLACE: &str = "/etc/step-ca";
        let host = TestHost::new();
        let place = host.root().at(PLACE);
        make_directories(&place).expect("made");
        let protect = |name: &str, mode| {
            fs::set_permissions(place.join(name), fs::Permissions::from_mode(mode)).expect("set");
        };
        for (name, mode) in FILES {
            fs::write(place.join(name), "x").expect("written");
            protect(name, mode);
        }
        let found = || exposed(host.root(), PLACE);
        assert_eq!(found(), Vec::<String>::new());
        // What only root may do besides is nobody's loss.
        protect(CONFIGURATION, 0o600);
        assert_eq!(found(), Vec::<String>::new());
        protect("secrets/root_ca_key", 0o440);
        protect("certs/root_ca.crt", 0o044);
        protect("secrets", 0o711);
        let open = ["secrets", ROOT, "secrets/root_ca_key"];
        assert_eq!(found(), open.map(|name| format!("{PLACE}/{name}")));
        make_directories(&place).expect("closed");
        close(&place).expect("closed");
        assert_eq!(found(), Vec::<String>::new());
    }
}
