//! Locks that end with their holder: `flock` on a file that says who holds it.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{Read, Seek, Write},
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::{failure::Failed, proto::failure::Kind};

const DIRECTORY: &str = "/run/etcd-node/locks";

/// Longest wait for the lock on shared things of a host, which is held for moments only.
const HOST_WAIT: Duration = Duration::from_secs(30);

/// A held lock; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Locks that the caller holds by name until it says so or goes away.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<HashMap<String, Lock>>);

impl Held {
    pub(crate) fn take(&self, name: &str, holder: &str, wait: Duration) -> Result<(), Failed> {
        if self.0.lock().expect("no holder panics").contains_key(name) {
            return Ok(());
        }
        let lock = take(name, holder, wait)?;
        self.0
            .lock()
            .expect("no holder panics")
            .insert(name.to_owned(), lock);
        Ok(())
    }

    pub(crate) fn release(&self, name: &str) {
        self.0.lock().expect("no holder panics").remove(name);
    }
}

/// The lock on what several resources share on this host.
pub(crate) fn host(holder: &str) -> Result<Lock, Failed> {
    take("host", holder, HOST_WAIT)
}

/// Takes a lock, waiting at most `wait`.
pub(crate) fn take(name: &str, holder: &str, wait: Duration) -> Result<Lock, Failed> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./".contains(character);
    if name.is_empty() || name.contains("..") || !name.chars().all(plain) {
        return Err(Failed::new(
            Kind::InvalidRequest,
            name,
            "a lock has a plain name",
        ));
    }
    fs::create_dir_all(DIRECTORY).map_err(|error| Failed::io("making", DIRECTORY, &error))?;
    let path = format!("{DIRECTORY}/{}.lock", name.replace('/', "--"));
    let failed = |error: &std::io::Error| Failed::io("locking", path.clone(), error);
    let deadline = Instant::now() + wait;
    loop {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => {
                let write = |file: &mut File| {
                    file.set_len(0)?;
                    file.rewind()?;
                    file.write_all(holder.as_bytes())
                };
                write(&mut file).map_err(|error| failed(&error))?;
                return Ok(Lock { _file: file });
            }
            Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                // Another process gives no sign when it lets go.
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(fs::TryLockError::WouldBlock) => {
                let mut text = String::new();
                // A holder that just changes has no text yet.
                let _ = file.read_to_string(&mut text);
                let mut failed = Failed::new(
                    Kind::Locked,
                    name,
                    format!(
                        "{name} is locked by {}",
                        if text.is_empty() { "somebody" } else { &text }
                    ),
                );
                failed.0.holder = text;
                return Err(failed);
            }
            Err(fs::TryLockError::Error(error)) => return Err(failed(&error)),
        }
    }
}
