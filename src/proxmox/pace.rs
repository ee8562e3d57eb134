//! How often things are asked for again: polls, retries, backoff.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// Delays between two looks at the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Before the second look.
    pub first: Duration,
    /// Between later looks, at most; each delay is half as long again as the one before.
    pub most: Duration,
    /// How often a reading call is made at most, when the fault is one that goes away.
    pub attempts: u32,
    /// How often Proxmox may say that it does not know a task that it just named, before the task
    /// counts as lost.
    pub unknown_task_polls: u32,
    /// How often a storage is asked whether it lists a file that was just written.
    pub read_back_looks: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            most: Duration::from_secs(3),
            attempts: 5,
            unknown_task_polls: 12,
            read_back_looks: 25,
        }
    }
}

impl Pace {
    pub(crate) fn delays(self) -> Delays {
        Delays {
            next: self.first,
            most: self.most,
        }
    }
}

/// Grows from `first` to `most`.
#[derive(Debug)]
pub(crate) struct Delays {
    next: Duration,
    most: Duration,
}

impl Delays {
    /// Waits for the next delay, shortened by up to a quarter so that callers who met the same
    /// fault at once do not come back at once.
    pub(crate) async fn wait(&mut self) {
        let quarter = self.next / 4;
        let share = RandomState::new().build_hasher().finish() % 1024;
        let jitter = quarter * u32::try_from(share).unwrap_or(0) / 1024;
        tokio::time::sleep(self.next.saturating_sub(jitter)).await;
        self.next = (self.next * 3 / 2).min(self.most);
    }
}
