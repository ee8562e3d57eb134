//! Whose the files in a data directory are.

use std::{
    fs::{self, Metadata},
    os::unix::fs::{MetadataExt, lchown},
    path::{Path, PathBuf},
};

use crate::{account::Ids, failure::Failed};

/// The first path below a directory, as seen from there, that does not belong to its user.
pub(crate) fn stranger(directory: &Path) -> Option<PathBuf> {
    let own = fs::symlink_metadata(directory).ok()?.uid();
    let mut found = None;
    // What goes away meanwhile is nobody's.
    let _ = walk(directory, &mut |path, file| {
        if file.uid() != own && found.is_none() {
            found = path.strip_prefix(directory).map(Path::to_owned).ok();
        }
        Ok(())
    });
    found
}

/// Gives everything below a directory that has another user to `ids`; answers whether there was any.
pub(super) fn give(directory: &Path, ids: Ids) -> Result<bool, Failed> {
    let mut given = false;
    walk(directory, &mut |path, file| {
        if file.uid() == ids.uid {
            return Ok(());
        }
        given = true;
        lchown(path, Some(ids.uid), Some(ids.gid))
            .map_err(|error| Failed::io("changing the owner of", path, &error))
    })?;
    Ok(given)
}

/// Shows what is below a directory, without following links or leaving its file system. Files with
/// several names are left out: one of them may lie where others keep theirs.
fn walk(
    directory: &Path,
    show: &mut impl FnMut(&Path, &Metadata) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let failed = |path: &Path, error| Failed::io("looking at", path, &error);
    let own = fs::symlink_metadata(directory).map_err(|error| failed(directory, error))?;
    for entry in fs::read_dir(directory).map_err(|error| failed(directory, error))? {
        let path = entry.map_err(|error| failed(directory, error))?.path();
        // etcd removes old logs and snapshots as it runs.
        let Ok(found) = fs::symlink_metadata(&path) else {
            continue;
        };
        if found.is_dir() || found.nlink() == 1 {
            show(&path, &found)?;
        }
        if found.is_dir() && found.dev() == own.dev() {
            walk(&path, show)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_below_gets_the_user_of_the_directory() {
        let home = tempfile::tempdir().expect("a directory");
        let wal = home.path().join("member/wal");
        fs::create_dir_all(&wal).expect("made");
        fs::write(wal.join("0.wal"), "x").expect("written");
        fs::write(home.path().join("twice"), "x").expect("written");
        fs::hard_link(home.path().join("twice"), wal.join("twice")).expect("linked");
        assert_eq!(stranger(home.path()), None);
        let own = fs::symlink_metadata(home.path()).expect("there");
        let ids = |uid| Ids {
            uid,
            gid: own.gid(),
        };
        assert!(!give(home.path(), ids(own.uid())).expect("nothing to do"));
        // Only root may give files away: the test has what systemd and its lab need.
        assert!(give(home.path(), ids(12345)).expect("given"));
        let owner = |path: &Path| fs::symlink_metadata(path).expect("there").uid();
        assert_eq!(owner(&wal.join("0.wal")), 12345);
        assert_eq!(owner(&wal.join("twice")), own.uid());
        assert_eq!(stranger(home.path()), Some(PathBuf::from("member")));
    }
}
