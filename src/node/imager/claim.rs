//! Who still needs a finished build: whoever was told of it, until it is removed or the connection is
//! over. Builds that somebody needs are neither removed by others nor pushed out by newer ones.

use std::{
    collections::HashMap,
    fs::{File, TryLockError},
    io,
    sync::Mutex,
    time::{Duration, Instant, SystemTime},
};

use super::{place::Place, request::BuildId};
use crate::lock;

/// Longest that the start of a program takes.
const MOMENT: Duration = Duration::from_secs(1);

/// Builds that callers on this connection were told of. The locks end with the helper.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<HashMap<String, File>>);

impl Claims {
    /// Notes that the build was asked for just now.
    pub(super) fn hold(&self, place: &Place) -> io::Result<()> {
        let file = share(place)?;
        file.set_modified(SystemTime::now())?;
        let mut held = self.0.lock().expect("no holder panics");
        held.insert(place.id.as_str().to_owned(), file);
        Ok(())
    }

    pub(super) fn release(&self, id: &BuildId) {
        let mut held = self.0.lock().expect("no holder panics");
        if let Some(file) = held.remove(id.as_str()) {
            // Closing is not enough while a process is being started: it has a copy of the open file.
            let _ = file.unlock();
        }
    }
}

/// A reader's share in a build, until it is dropped.
pub(super) fn share(place: &Place) -> io::Result<File> {
    let file = place.use_file()?;
    file.lock_shared()?;
    Ok(file)
}

/// The build for oneself alone; `None` if somebody needs it. Must be called from a thread for blocking
/// work.
///
/// A program that is just being started has all our open files for a moment, and with them the locks
/// that we gave back: so it is tried more than once.
pub(super) fn alone(place: &Place) -> io::Result<Option<File>> {
    let file = place.use_file()?;
    let end = Instant::now() + MOMENT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if Instant::now() < end => lock::pause(),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}
