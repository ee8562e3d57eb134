//! Work that is finished even when whoever asked for it is gone.

use tokio::sync::watch;

/// Counts what runs.
#[derive(Clone, Debug)]
pub(crate) struct Busy(watch::Sender<usize>);

/// One thing that runs.
#[derive(Debug)]
pub(crate) struct Guard(watch::Sender<usize>);

impl Busy {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(crate) fn begin(&self) -> Guard {
        self.0.send_modify(|count| *count += 1);
        Guard(self.0.clone())
    }

    /// Waits until nothing runs.
    pub(crate) async fn idle(&self) {
        let mut count = self.0.subscribe();
        // It cannot be closed: we hold a sender.
        let _ = count.wait_for(|count| *count == 0).await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
