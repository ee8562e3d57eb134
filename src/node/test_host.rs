//! A directory that stands for a host in tests: whoever runs them is its only user, so nothing needs
//! root.

use std::fs;

use crate::root::Root;

/// Directories that every host has before us, those that hold others after these.
pub(crate) const EVERYWHERE: [&str; 4] = ["/etc", "/run", "/var", "/var/lib"];

pub(crate) struct TestHost {
    _directory: tempfile::TempDir,
    root: Root,
}

impl TestHost {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let host = Self {
            root: Root::below(directory.path()),
            _directory: directory,
        };
        for path in EVERYWHERE {
            fs::create_dir_all(host.root.at(path)).expect("a directory");
        }
        let own = crate::record::root_ids();
        host.write(
            "/etc/passwd",
            &format!("root:x:{}:{}::/root:/bin/sh\n", own.uid, own.gid),
        );
        host.write("/etc/group", &format!("root:x:{}:\n", own.gid));
        host
    }

    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    /// User and group of the host.
    #[expect(clippy::unused_self, reason = "a fact about the host")]
    pub(crate) fn user(&self) -> &'static str {
        "root"
    }

    /// Writes a file that we did not make.
    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.root.at(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.at(path)).expect("a text file")
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.root.at(path).symlink_metadata().is_ok()
    }
}
