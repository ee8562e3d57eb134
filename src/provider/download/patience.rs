//! Trying again what a server may do better in a moment.

use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

use super::Error;

/// Pauses between attempts: a mirror that is restarted or sheds load is back within them.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
];

/// How often something is still tried again.
#[derive(Debug)]
pub(super) struct Patience(std::slice::Iter<'static, Duration>);

impl Patience {
    /// For four attempts.
    pub(super) fn new() -> Self {
        Self(PAUSES.iter())
    }

    /// Waits for the next attempt.
    ///
    /// # Errors
    /// The one of the last attempt, if it is for good or was one too many.
    pub(super) async fn bear(&mut self, error: Error) -> Result<(), Error> {
        if !is_transient(&error) {
            return Err(error);
        }
        let Some(pause) = self.0.next() else {
            return Err(error);
        };
        warn!(%error, pause_ms = pause.as_millis(), "fetching is tried again");
        sleep(*pause).await;
        Ok(())
    }
}

/// Whoever does not answer at all was waited for long enough already.
fn is_transient(error: &Error) -> bool {
    match error {
        Error::Fetch { source, .. } => !source.is_connect() && !source.is_timeout(),
        Error::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502..=504),
        _ => false,
    }
}
