//! A CA certificate and its key, made by the step CLI and put in place together.
//!
//! The pair is made in a directory of its own, which gets another name when it is complete; from then
//! on a run that was cut off only moves files. A key that is in place is never made again: without it
//! everything that the CA ever signed is lost.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    atomic, failure::Failed, program, proto::failure::Kind, record, root::Root, secret::Secret,
};

/// step needs well under a second for a P-256 key.
const LIMIT: Duration = Duration::from_mins(1);

/// One level of the CA.
pub(super) struct Stage<'a> {
    /// `root` or `intermediate`.
    pub(super) name: &'a str,
    pub(super) subject: String,
    pub(super) lifetime_hours: u32,
    /// The level above, which signs.
    pub(super) above: Option<&'a str>,
    /// The level below, which it signs and which then does without its key.
    pub(super) signed: Option<&'a str>,
}

struct Paths {
    certificate: PathBuf,
    key: PathBuf,
    password: PathBuf,
    /// While step works.
    unfinished: PathBuf,
    /// While a complete pair is moved.
    complete: PathBuf,
}

fn paths(place: &Path, stage: &str) -> Paths {
    Paths {
        certificate: place.join(format!("certs/{stage}_ca.crt")),
        key: place.join(format!("secrets/{stage}_ca_key")),
        password: place.join(format!("secrets/{stage}_password")),
        unfinished: place.join(format!("secrets/.{stage}.new")),
        complete: place.join(format!("secrets/.{stage}.complete")),
    }
}

/// Files of the intermediate that are not there: without them the CA cannot sign, and they cannot be
/// made again. Paths are those of the host.
pub(crate) fn lost(root: &Root, directory: &str) -> Vec<String> {
    let paths = paths(Path::new(directory), "intermediate");
    [paths.certificate, paths.key, paths.password]
        .iter()
        .map(|path| path.display().to_string())
        .filter(|path| !root.at(path).exists())
        .collect()
}

/// Makes the pair where there is none. Answers whether it did.
pub(super) fn make(place: &Path, step: &str, stage: &Stage<'_>) -> Result<bool, Failed> {
    let paths = paths(place, stage.name);
    if paths.complete.exists() {
        settle(&paths)?;
        return Ok(true);
    }
    match (paths.certificate.exists(), paths.key.exists()) {
        (true, true) => return has_password(&paths).map(|()| false),
        (false, false) => {}
        // The key of the root may be kept elsewhere, once what it signed is in place.
        (true, false) if stage.signed.is_some_and(|below| is_whole(place, below)) => {
            return Ok(false);
        }
        (true, false) => return Err(torn(&paths.key, &paths.certificate)),
        (false, true) => return Err(torn(&paths.certificate, &paths.key)),
    }
    if !paths.password.exists() {
        atomic::write(
            &paths.password,
            Secret::random(32).expose(),
            record::root_ids(),
            0o400,
        )?;
    }
    let failed = |path: &Path, error: &io::Error| Failed::io("making", path, error);
    match fs::remove_dir_all(&paths.unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed(&paths.unfinished, &error));
        }
        _ => {}
    }
    fs::create_dir(&paths.unfinished).map_err(|error| failed(&paths.unfinished, &error))?;
    run_step(place, step, stage, &paths)?;
    fs::rename(&paths.unfinished, &paths.complete)
        .map_err(|error| failed(&paths.complete, &error))?;
    settle(&paths)?;
    Ok(true)
}

fn is_whole(place: &Path, stage: &str) -> bool {
    let paths = paths(place, stage);
    paths.certificate.exists() && paths.key.exists()
}

fn run_step(place: &Path, step: &str, stage: &Stage<'_>, new: &Paths) -> Result<(), Failed> {
    let text = |path: &Path| path.display().to_string();
    let (certificate, key) = (
        text(&new.unfinished.join("certificate")),
        text(&new.unfinished.join("key")),
    );
    let (profile, password) = (format!("{}-ca", stage.name), text(&new.password));
    let lifetime = format!("{}h", stage.lifetime_hours);
    let mut arguments = vec!["certificate", "create", &stage.subject, &certificate, &key];
    arguments.extend(["--profile", &profile, "--not-after", &lifetime]);
    arguments.extend([
        "--kty",
        "EC",
        "--curve",
        "P-256",
        "--password-file",
        &password,
    ]);
    let above = stage.above.map(|above| {
        let above = paths(place, above);
        [
            text(&above.certificate),
            text(&above.key),
            text(&above.password),
        ]
    });
    if let Some([certificate, key, password]) = &above {
        arguments.extend([
            "--ca",
            certificate,
            "--ca-key",
            key,
            "--ca-password-file",
            password,
        ]);
    }
    // step looks for a configuration of its user; there is none to find here.
    let home = text(&new.unfinished);
    program::run_with(
        step,
        &arguments,
        &[("STEPPATH", &home), ("HOME", &home)],
        LIMIT,
    )
    .map(|_| ())
}

/// Moves a complete pair into place, the key first; what was moved already is not there any more.
fn settle(paths: &Paths) -> Result<(), Failed> {
    for (name, to, mode) in [
        ("key", &paths.key, 0o400),
        ("certificate", &paths.certificate, 0o444),
    ] {
        let from = paths.complete.join(name);
        if from.exists() {
            fs::set_permissions(&from, Permissions::from_mode(mode))
                .and_then(|()| fs::File::open(&from)?.sync_all())
                .and_then(|()| fs::rename(&from, to))
                .and_then(|()| to.parent().map_or(Ok(()), atomic::sync_directory))
                .map_err(|error| Failed::io("writing", to, &error))?;
        }
    }
    fs::remove_dir_all(&paths.complete)
        .map_err(|error| Failed::io("removing", &paths.complete, &error))
}

fn torn(missing: &Path, there: &Path) -> Failed {
    let (missing, there) = (missing.display(), there.display());
    Failed::new(
        Kind::NotFound,
        missing.to_string(),
        format!("{missing} is missing although {there} is there"),
    )
    .hint("Restore it from a standby or a backup; a new one would break every certificate of this CA.")
}

fn has_password(paths: &Paths) -> Result<(), Failed> {
    if paths.password.exists() {
        Ok(())
    } else {
        Err(torn(&paths.password, &paths.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with what `stage` has when everything is in place.
    fn place(stage: &str) -> (tempfile::TempDir, Paths) {
        let directory = tempfile::tempdir().expect("a directory");
        for sub in ["certs", "secrets"] {
            fs::create_dir(directory.path().join(sub)).expect("a directory");
        }
        let paths = paths(directory.path(), stage);
        (directory, paths)
    }

    fn stage() -> Stage<'static> {
        Stage {
            name: "root",
            subject: "Root".to_owned(),
            lifetime_hours: 1,
            above: None,
            signed: Some("intermediate"),
        }
    }

    #[test]
    fn a_key_without_its_certificate_is_never_made_again() {
        let (directory, paths) = place("root");
        fs::write(&paths.key, "key").expect("a file");
        let failed = make(directory.path(), "/bin/false", &stage()).expect_err("torn");
        assert_eq!(failed.0.kind(), Kind::NotFound);
        assert_eq!(fs::read(&paths.key).expect("untouched"), b"key");
        fs::write(&paths.certificate, "certificate").expect("a file");
        assert!(
            make(directory.path(), "/bin/false", &stage()).is_err(),
            "no password"
        );
        fs::write(&paths.password, "password").expect("a file");
        assert!(!make(directory.path(), "/bin/false", &stage()).expect("whole"));
    }

    #[test]
    fn the_key_of_the_root_may_be_kept_elsewhere() {
        let (directory, root) = place("root");
        let below = paths(directory.path(), "intermediate");
        fs::write(&root.certificate, "certificate").expect("a file");
        let make = || make(directory.path(), "/bin/false", &stage());
        let failed = make().expect_err("nothing was signed yet");
        assert_eq!(failed.0.kind(), Kind::NotFound);
        fs::write(&below.certificate, "certificate").expect("a file");
        fs::write(&below.key, "key").expect("a file");
        assert!(!make().expect("whole"));
        assert!(!root.key.exists());
    }

    #[test]
    fn a_run_that_was_killed_while_it_moved_the_pair_is_continued() {
        let (directory, paths) = place("root");
        // The key is in place already, the certificate is not.
        fs::create_dir(&paths.complete).expect("a directory");
        fs::write(&paths.key, "key").expect("a file");
        fs::write(&paths.password, "password").expect("a file");
        fs::write(paths.complete.join("certificate"), "certificate").expect("a file");
        assert!(make(directory.path(), "/bin/false", &stage()).expect("continued"));
        assert_eq!(fs::read(&paths.certificate).expect("moved"), b"certificate");
        assert!(!paths.complete.exists());
    }
}
