//! Files that are seen old or new, never half.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use crate::{failure::Failed, system};

/// Writes `content` to `path` by rename in the same directory; owner and mode are right before the
/// name is, so nobody ever reads a key that is not yet theirs alone.
pub(crate) fn write(
    path: &Path,
    content: &[u8],
    user: &str,
    group: &str,
    mode: u32,
) -> Result<(), Failed> {
    let shown = path.display().to_string();
    let failed = |error: std::io::Error| Failed::io("writing", shown.clone(), &error);
    let directory = path.parent().unwrap_or(Path::new("/"));
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let temporary = directory.join(format!(".{name}.{}", std::process::id()));
    // Left by a run that was killed; the name holds our own process id.
    let _ = fs::remove_file(&temporary);
    let result = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(failed)?;
        file.write_all(content).map_err(failed)?;
        system::own(&temporary, user, group)?;
        file.set_permissions(fs::Permissions::from_mode(mode))
            .map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&temporary, path).map_err(failed)?;
        sync_directory(directory);
        Ok(())
    })();
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// Makes a rename last; file systems that cannot do it need not.
pub(crate) fn sync_directory(directory: &Path) {
    if let Ok(directory) = File::open(directory) {
        let _ = directory.sync_all();
    }
}
