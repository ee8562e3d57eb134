//! How far a long transfer is, in the log at info.

use std::sync::atomic::{AtomicU64, Ordering};

/// One transfer. Says each tenth once, or each 100 MB where the size is not known.
#[derive(Debug)]
pub(crate) struct Progress {
    what: String,
    told: AtomicU64,
}

/// Bytes between two words about a transfer of unknown size.
const STRIDE: u64 = 100_000_000;

impl Progress {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            told: AtomicU64::new(0),
        }
    }

    /// `done` bytes are through, of `all` if that is known.
    pub(crate) fn at(&self, done: u64, all: Option<u64>) {
        let reached = match all {
            Some(all) if all > 0 => done.saturating_mul(10) / all,
            _ => done / STRIDE,
        };
        if self.told.fetch_max(reached, Ordering::Relaxed) >= reached {
            return;
        }
        let what = &self.what;
        match all {
            Some(all) if all > 0 => {
                let percent = reached * 10;
                tracing::info!(
                    what,
                    percent,
                    done_bytes = done,
                    size_bytes = all,
                    "transfer goes on"
                );
            }
            _ => tracing::info!(what, done_bytes = done, "transfer goes on"),
        }
    }
}
