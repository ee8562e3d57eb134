//! Room on file systems.

use std::path::Path;

use rustix::fs::{StatVfs, StatVfsMountFlags, statvfs};

use crate::{proto::SpaceFact, root::Root};

fn nearest(path: &Path) -> Option<StatVfs> {
    path.ancestors().find_map(|path| statvfs(path).ok())
}

/// Free space for a service on the file system of a path or its nearest parent that exists.
pub(crate) fn free_bytes(path: &Path) -> u64 {
    nearest(path).map_or(0, |space| space.f_bavail.saturating_mul(space.f_frsize))
}

pub(super) fn fact(root: &Root, path: &str) -> SpaceFact {
    let place = root.at(path);
    let flags = nearest(&place).map_or(StatVfsMountFlags::empty(), |space| space.f_flag);
    SpaceFact {
        path: path.to_owned(),
        free_bytes: free_bytes(&place),
        noexec: flags.contains(StatVfsMountFlags::NOEXEC),
        read_only: flags.contains(StatVfsMountFlags::RDONLY),
    }
}
