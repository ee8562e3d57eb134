//! Work that is finished even when whoever asked for it is gone.

use std::collections::BTreeMap;

use tokio::sync::watch;

/// How much runs, by owner.
type Running = BTreeMap<String, usize>;

/// Counts what runs.
#[derive(Clone, Debug)]
pub(crate) struct Busy(watch::Sender<Running>);

/// One thing that runs.
#[derive(Debug)]
pub(crate) struct Guard {
    running: watch::Sender<Running>,
    owner: String,
}

impl Busy {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Running::new()))
    }

    /// Work for an owner begins; it ends with the guard.
    pub(crate) fn begin(&self, owner: &str) -> Guard {
        let count = |running: &mut Running| *running.entry(owner.to_owned()).or_default() += 1;
        self.0.send_modify(count);
        Guard {
            running: self.0.clone(),
            owner: owner.to_owned(),
        }
    }

    /// Whether something runs for an owner.
    pub(crate) fn runs(&self, owner: &str) -> bool {
        self.0.borrow().contains_key(owner)
    }

    /// Waits until nothing runs for an owner.
    pub(crate) async fn without(&self, owner: &str) {
        // It cannot be closed: we hold a sender.
        let mut running = self.0.subscribe();
        let _ = running.wait_for(|all| !all.contains_key(owner)).await;
    }

    /// Waits until nothing runs.
    pub(crate) async fn idle(&self) {
        let mut running = self.0.subscribe();
        let _ = running.wait_for(BTreeMap::is_empty).await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.running.send_modify(|running| {
            if let Some(count) = running.get_mut(&self.owner) {
                *count -= 1;
                if *count == 0 {
                    running.remove(&self.owner);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_runs_is_counted_for_each_owner() {
        let busy = Busy::new();
        let (first, second) = (busy.begin("a"), busy.begin("a"));
        let other = busy.begin("b");
        drop(first);
        assert!(busy.runs("a") && busy.runs("b"));
        drop(second);
        assert!(!busy.runs("a"));
        busy.without("a").await;
        let waiting = tokio::spawn({
            let busy = busy.clone();
            async move { busy.idle().await }
        });
        drop(other);
        waiting.await.expect("no panic");
    }
}
