//! Waits for what happens elsewhere.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Machines of CI are slow, and several tests run at once.
const PATIENCE: Duration = Duration::from_mins(2);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Waits until something holds; false if it never did.
pub(crate) fn until(mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > end {
            return false;
        }
        thread::sleep(LOOK_AGAIN);
    }
    true
}
