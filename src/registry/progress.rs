//! How far a transfer has come.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// How far a transfer has come, in bytes. What the registry has already is counted as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// Bytes that are there. It goes back when a part has to be sent again.
    pub done: u64,
    /// Bytes of the whole.
    pub total: u64,
}

type Listener = dyn Fn(Transferred) + Send + Sync;

/// Who is told how far a transfer has come: after each piece, so the listener must be quick.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Listener>>);

impl Progress {
    /// Nobody is told.
    pub fn silent() -> Self {
        Self(None)
    }

    /// `listener` is told.
    pub fn to(listener: impl Fn(Transferred) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Progress")
    }
}

/// Counts the bytes of one transfer of several blobs, one after the other.
#[derive(Debug)]
pub(crate) struct Meter {
    progress: Progress,
    total: u64,
    /// Bytes of the blobs before the present one.
    finished: AtomicU64,
    /// Bytes of the present one.
    present: AtomicU64,
}

impl Meter {
    pub(crate) fn new(progress: &Progress, total: u64) -> Self {
        Self {
            progress: progress.clone(),
            total,
            finished: AtomicU64::new(0),
            present: AtomicU64::new(0),
        }
    }

    /// The present blob has come to `bytes`.
    pub(crate) fn set(&self, bytes: u64) {
        self.present.store(bytes, Ordering::Relaxed);
        self.tell();
    }

    /// `bytes` more of the present blob are there.
    pub(crate) fn add(&self, bytes: u64) {
        self.present.fetch_add(bytes, Ordering::Relaxed);
        self.tell();
    }

    /// The present blob, of `size` bytes, is there, however it came there.
    pub(crate) fn finish(&self, size: u64) {
        self.present.store(0, Ordering::Relaxed);
        self.finished.fetch_add(size, Ordering::Relaxed);
        self.tell();
    }

    /// Bytes so far: it changes as long as something moves.
    pub(crate) fn done(&self) -> u64 {
        self.finished.load(Ordering::Relaxed) + self.present.load(Ordering::Relaxed)
    }

    fn tell(&self) {
        if let Some(listener) = &self.progress.0 {
            listener(Transferred {
                done: self.done(),
                total: self.total,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn counts_over_several_blobs() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = seen.clone();
        let progress = Progress::to(move |at| told.lock().expect("one thread").push(at.done));
        let meter = Meter::new(&progress, 10);
        meter.add(3);
        meter.set(1);
        meter.finish(4);
        meter.add(6);
        meter.finish(6);
        assert_eq!(*seen.lock().expect("one thread"), [3, 1, 4, 10, 10]);
    }
}
