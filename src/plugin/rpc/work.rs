//! Calls that run: each in a task of its own, with panics caught and all of them counted.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use futures::FutureExt;
use tokio::sync::watch;
use tracing::Instrument;

use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    provider::Provider,
};

/// What runs, and how to ask it to stop.
#[derive(Clone)]
pub(crate) struct Work {
    provider: Arc<dyn Provider>,
    running: watch::Sender<usize>,
}

/// Counts a call for as long as its work lives.
struct Running(watch::Sender<usize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Work {
    pub(super) fn new(provider: Arc<dyn Provider>) -> Self {
        Self {
            provider,
            running: watch::Sender::new(0),
        }
    }

    /// Asks the provider to reach its next safe point. An error is the text of its panic.
    pub(crate) fn stop(&self) -> Result<(), String> {
        catch_unwind(AssertUnwindSafe(|| self.provider.stop())).map_err(|panic| text(&*panic))
    }

    /// The same if a call runs. That the provider has a defect in it is logged by then.
    pub(crate) fn stop_if_busy(&self) {
        if *self.running.borrow() > 0 {
            let _ = self.stop();
        }
    }

    /// Returns when no call runs.
    pub(crate) async fn idle(&self) {
        // This is a sender, so there is one.
        let _ = self.running.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Runs a handler in a task of its own, which a cancelled call does not drop half-way.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        rpc: &'static str,
        type_name: &str,
        work: impl Future<Output = T> + Send + 'static,
        failed: impl FnOnce(Diagnostics) -> T,
    ) -> T {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        self.running.send_modify(|count| *count += 1);
        let running = Running(self.running.clone());
        let started = Instant::now();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed).to_string();
        let span = tracing::info_span!(
            "rpc",
            tf_rpc = rpc,
            tf_resource_type = type_name,
            tf_req_id = number
        );
        let work = async move {
            let _running = running;
            AssertUnwindSafe(work).catch_unwind().await
        };
        let result = tokio::spawn(work.instrument(span.clone())).await;
        let elapsed = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        span.in_scope(|| tracing::debug!(tf_req_duration_ms = elapsed, "call answered"));
        let panic = match result {
            Ok(Ok(answer)) => return answer,
            Ok(Err(panic)) => text(&*panic),
            // Only the end of the runtime cancels a task.
            Err(error) => error.to_string(),
        };
        let summary = format!("The provider has a defect: {rpc} of {type_name} panicked");
        let detail = format!(
            "{panic}\n\nThe state is kept as it was. What was done until then stays; the next apply \
             looks at it and goes on.\nHint: run again with TF_LOG=debug and report what it prints."
        );
        failed(Diagnostic::error(summary, detail).into())
    }
}

fn text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "no message".to_owned())
}
