//! Lines for the person who waits, on standard error, each with the seconds since the start.

use std::sync::LazyLock;
use std::time::Instant;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Starts the clock; without it the first line does.
pub fn start() {
    LazyLock::force(&START);
}

/// Shows one line.
#[expect(
    clippy::print_stderr,
    reason = "progress for a person is what this module is for"
)]
pub fn say(text: &str) {
    eprintln!("[{:6.1} s] {text}", START.elapsed().as_secs_f64());
}

/// Shows a line of a program that the lab runs, as it came.
#[expect(
    clippy::print_stderr,
    reason = "progress for a person is what this module is for"
)]
pub fn pass_on(line: &str) {
    eprintln!("{line}");
}
