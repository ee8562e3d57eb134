//! Resident memory of a process that another one starts.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Pause between two looks. The kernel keeps the peak itself: only what grows after the last look is missed.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Runs `act`; gives its result and the highest peak, in MiB, of all processes that run `binary` meanwhile.
pub(super) fn watched<T>(binary: &Path, act: impl FnOnce() -> T) -> (T, f64) {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak = 0;
            while !is_done.load(Ordering::Relaxed) {
                peak = peak.max(peak_kib(binary));
                thread::sleep(LOOK_AGAIN);
            }
            peak
        });
        let result = act();
        is_done.store(true, Ordering::Relaxed);
        let peak = watcher.join().expect("the watcher does not panic");
        (result, f64::from(peak) / 1024.0)
    })
}

/// The highest `VmHWM` (proc(5)) of the processes that run `binary` now, in KiB.
fn peak_kib(binary: &Path) -> u32 {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|process| fs::read_link(process.path().join("exe")).is_ok_and(|exe| exe == binary))
        .filter_map(|process| fs::read_to_string(process.path().join("status")).ok())
        .filter_map(|status| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("VmHWM:"))?
                .to_owned();
            line.split_whitespace().next()?.parse().ok()
        })
        .max()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_the_memory_of_this_very_process() {
        let binary = std::env::current_exe().expect("a test has a binary");
        let ((), peak) = watched(&binary, || thread::sleep(LOOK_AGAIN * 4));
        assert!(peak > 0.5, "{peak} MiB");
    }
}
