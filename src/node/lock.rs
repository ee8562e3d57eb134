//! Locks that end with their holder: `flock` on a file that says who holds it.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Seek, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::{failure::Failed, proto::failure::Kind, root::Root};

/// Where lock files are; gone after a reboot, like their holders.
pub(crate) const DIRECTORY: &str = "/run/etcd-node/locks";

/// Name of the lock on what several resources share on a host.
const HOST: &str = "host";

/// Longest wait for the lock on shared things of a host, which is held for moments only.
const HOST_WAIT: Duration = Duration::from_mins(1);

/// Longest wait for a certificate: a renewal asks each URL of a CA once.
pub(crate) const CERTIFICATE_WAIT: Duration = Duration::from_mins(1);

/// How often a lock that is taken is tried: another process gives no sign when it lets go.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a lock is tried at least: whoever looks which locks there are holds each for a moment.
const MOMENT: Duration = Duration::from_millis(100);

/// A held lock; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a process that is just being started has a copy of the open file, and
        // with it the lock, until it becomes its program.
        let _ = self.0.unlock();
    }
}

/// Locks that the caller holds by name, each with the token of who took it, until it says so or goes
/// away.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<HashMap<String, (String, Lock)>>);

impl Held {
    /// Takes a lock; one that was taken with the same token is not waited for.
    pub(crate) fn take(
        &self,
        root: &Root,
        name: &str,
        holder: &str,
        token: &str,
        wait: Duration,
    ) -> Result<(), Failed> {
        if !token.is_empty() && self.has(name, token) {
            return Ok(());
        }
        // Two resources of one provider share this helper and exclude each other all the same:
        // `flock` tells open files apart, not processes.
        let lock = take(root, name, holder, wait)?;
        let mut held = self.0.lock().expect("no holder panics");
        held.insert(name.to_owned(), (token.to_owned(), lock));
        Ok(())
    }

    fn has(&self, name: &str, token: &str) -> bool {
        let held = self.0.lock().expect("no holder panics");
        held.get(name).is_some_and(|(by, _)| by == token)
    }

    /// Gives back what was taken with this token; a lock that is not held is free already.
    pub(crate) fn release(&self, name: &str, token: &str) {
        if self.has(name, token) {
            self.0.lock().expect("no holder panics").remove(name);
        }
    }
}

/// The lock on what several resources share on this host.
pub(crate) fn host(root: &Root, operator: &str) -> Result<Lock, Failed> {
    take(root, HOST, operator, HOST_WAIT)
}

/// Takes a lock, waiting at most `wait`. Must be called from a thread for blocking work.
pub(crate) fn take(root: &Root, name: &str, holder: &str, wait: Duration) -> Result<Lock, Failed> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./".contains(character);
    if name.is_empty() || name.len() > 200 || !name.chars().all(plain) {
        return Err(Failed::invalid(
            name,
            format!("{name:?} is not the name of a lock"),
        ));
    }
    let directory = root.at(DIRECTORY);
    // A character that no name holds stands for the slash.
    let path = directory.join(format!("{}.lock", name.replace('/', "@")));
    let deadline = Instant::now() + wait.max(MOMENT);
    loop {
        match attempt(&directory, &path, holder) {
            Ok(Some(lock)) => return Ok(lock),
            Ok(None) if Instant::now() < deadline => pause(),
            Ok(None) => {
                let by = fs::read_to_string(&path).unwrap_or_default();
                let shown = if by.is_empty() { "somebody else" } else { &by };
                let mut failed =
                    Failed::new(Kind::Locked, name, format!("{name} is locked by {shown}"))
                        .hint("Wait until that is done; the lock ends with its holder.");
                failed.0.holder.clone_from(&by);
                return Err(failed);
            }
            // The directory went away with somebody who left the host.
            Err(error) if error.kind() == io::ErrorKind::NotFound && Instant::now() < deadline => {
                pause();
            }
            Err(error) => return Err(Failed::io("locking", &path, &error)),
        }
    }
}

/// `None` if somebody else has it.
fn attempt(directory: &Path, path: &Path, holder: &str) -> io::Result<Option<Lock>> {
    fs::create_dir_all(directory)?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        Err(fs::TryLockError::Error(error)) => return Err(error),
    }
    // Whoever left the host last removed the file: then this is not the lock that others see.
    let same = fs::metadata(path).is_ok_and(|now| {
        file.metadata()
            .is_ok_and(|own| (own.dev(), own.ino()) == (now.dev(), now.ino()))
    });
    if !same {
        return Ok(None);
    }
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(holder.as_bytes())?;
    Ok(Some(Lock(file)))
}

/// Name of the lock on something with a path.
pub(crate) fn name_of(what: &str, path: &str) -> String {
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() || "-_./".contains(character) {
            character
        } else {
            '_'
        }
    };
    let path: String = path.chars().map(plain).collect();
    // The end of a path tells files apart; a name has its limit.
    format!("{what}{}", &path[path.len().saturating_sub(150)..])
}

#[expect(
    clippy::disallowed_methods,
    reason = "`flock` has no deadline, and this thread may block"
)]
pub(crate) fn pause() {
    std::thread::sleep(PAUSE);
}

/// Locks that are held now, with their holders.
pub(crate) fn all(root: &Root) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(root.at(DIRECTORY)) else {
        return Vec::new();
    };
    let mut held: Vec<_> = entries
        .flatten()
        .filter(|entry| {
            File::open(entry.path()).is_ok_and(|file| {
                matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock))
            })
        })
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().replace('@', "/");
            let holder = fs::read_to_string(entry.path()).unwrap_or_default();
            (name.trim_end_matches(".lock").to_owned(), holder)
        })
        .collect();
    held.sort();
    held
}

/// Removes the files of locks that nobody holds, and the directories if none is left. The caller
/// holds the host's lock, and gives its file back last.
pub(crate) fn leave(root: &Root) {
    let directory = root.at(DIRECTORY);
    let Ok(entries) = fs::read_dir(&directory) else {
        return;
    };
    let own = directory.join(format!("{HOST}.lock"));
    for entry in entries.flatten().filter(|entry| entry.path() != own) {
        let free = File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if free {
            let _ = fs::remove_file(entry.path());
        }
    }
    let others = fs::read_dir(&directory).is_ok_and(|entries| entries.count() > 1);
    if !others {
        let _ = fs::remove_file(&own);
        let _ = fs::remove_dir(&directory);
        let _ = directory.parent().map(fs::remove_dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_open_file_does_not_keep_a_lock_that_was_given_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = Root::below(directory.path());
        let lock = take(&root, "etcd_cluster/k8s", "ops", Duration::ZERO).expect("free");
        // As a process has it that is between fork and exec.
        let copy = lock.0.try_clone().expect("a copy");
        take(&root, "etcd_cluster/k8s", "others", Duration::ZERO).expect_err("taken");
        drop(lock);
        take(&root, "etcd_cluster/k8s", "others", Duration::ZERO).expect("free again");
        drop(copy);
    }

    #[test]
    fn a_held_lock_names_its_holder_and_ends_with_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = Root::below(directory.path());
        let held = Held::default();
        let lock = |holder: &str, token: &str| {
            let wait = Duration::from_millis(30);
            held.take(&root, "etcd_cluster/k8s", holder, token, wait)
        };
        lock("apply by ops", "1").expect("free");
        lock("apply by ops", "1").expect("ours already");
        lock("another apply", "2").expect_err("taken");
        lock("apply by ops", "").expect_err("nobody's token");
        // Two resources of one process have one name between them, and exclude each other.
        let failed = lock("apply by ops", "2").expect_err("taken by another change");
        assert_eq!(failed.0.kind(), Kind::Locked);
        assert_eq!(failed.0.holder, "apply by ops");
        assert_eq!(
            all(&root),
            [("etcd_cluster/k8s".to_owned(), "apply by ops".to_owned())]
        );
        held.release("etcd_cluster/k8s", "2");
        assert!(!all(&root).is_empty(), "who has it not cannot give it back");
        held.release("etcd_cluster/k8s", "1");
        take(&root, "etcd_cluster/k8s", "another apply", Duration::ZERO).expect("free again");
        assert!(all(&root).is_empty());
    }

    #[test]
    fn a_name_made_of_a_path_is_plain_and_short() {
        let name = name_of("certificate", &format!("/etc/é {}/a.crt", "x".repeat(300)));
        assert!(name.len() <= 200 && name.ends_with("/a.crt"));
        assert_eq!(
            name_of("certificate", "/etc/a.crt"),
            "certificate/etc/a.crt"
        );
    }

    #[test]
    fn names_that_differ_lock_different_things() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = Root::below(directory.path());
        let _first = take(&root, "a/b", "one", Duration::ZERO).expect("free");
        let _second = take(&root, "a--b", "two", Duration::ZERO).expect("another lock");
        assert!(
            take(&root, "../b", "three", Duration::ZERO).is_ok(),
            "dots stay inside a name"
        );
        assert!(take(&root, "a b", "four", Duration::ZERO).is_err());
    }

    #[test]
    fn a_lock_whose_file_was_removed_excludes_nobody_unseen() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = Root::below(directory.path());
        let path = root.at(DIRECTORY).join("host.lock");
        let first = host(&root, "first").expect("free");
        let waiting = {
            let root = root.clone();
            std::thread::spawn(move || host(&root, "second"))
        };
        leave(&root);
        assert!(!path.exists());
        drop(first);
        let second = waiting
            .join()
            .expect("no panic")
            .expect("the lock that others see");
        assert!(take(&root, HOST, "third", Duration::ZERO).is_err());
        drop(second);
    }

    #[test]
    fn leaving_keeps_locks_that_others_hold() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = Root::below(directory.path());
        let _other = take(&root, "etcd_cluster/b", "other", Duration::ZERO).expect("free");
        drop(take(&root, "etcd_cluster/a", "gone", Duration::ZERO).expect("free"));
        let _host = host(&root, "leaver").expect("free");
        leave(&root);
        let names: Vec<_> = all(&root).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["etcd_cluster/b", "host"]);
        assert!(!root.at(DIRECTORY).join("etcd_cluster@a.lock").exists());
    }
}
