//! Which process is ours: a number is given out again after its process ended, a number with its start time is not.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A signal could not be sent, or its process did not end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused.
    #[error("end process {pid}")]
    Signal {
        /// The process.
        pid: i32,
        /// Why.
        source: io::Error,
    },
    /// The process is still there after the deadline.
    #[error("process {pid} has not ended within {} s of a kill", deadline.as_secs())]
    StillThere {
        /// The process.
        pid: i32,
        /// How long it was waited for.
        deadline: Duration,
    },
}

/// A process by number, start time and boot, so that another one with the same number is never taken for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pid: i32,
    /// Field 22 of `/proc/PID/stat`, in clock ticks since boot (proc(5)).
    start_ticks: u64,
    boot_id: String,
}

impl Process {
    /// The process that has number `pid` now; `None` if there is none, or it has ended and is not yet reaped.
    pub fn of(pid: i32) -> Option<Self> {
        let start_ticks = start_ticks(pid)?;
        Some(Self {
            pid,
            start_ticks,
            boot_id: boot_id(),
        })
    }

    /// This process.
    pub fn current() -> Self {
        let pid =
            i32::try_from(std::process::id()).expect("Linux gives process numbers below 2^22");
        Self::of(pid).expect("a process that runs is in /proc")
    }

    /// The process's number.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// The only child of the process, if it has exactly one.
    pub fn only_child(&self) -> Option<Self> {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid)).ok()?;
        let mut words = children.split_whitespace();
        let child = words.next()?.parse().ok()?;
        if words.next().is_some() {
            return None;
        }
        Self::of(child)
    }

    /// Ends the process at once and waits until it is gone; one that has ended already is fine.
    ///
    /// # Errors
    /// [`Error::Signal`] if the kernel refuses, [`Error::StillThere`] after `deadline`.
    pub fn kill(&self, deadline: Duration) -> Result<(), Error> {
        let failed = |source: Errno| Error::Signal {
            pid: self.pid,
            source: source.into(),
        };
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Ok(());
        };
        // The descriptor is taken before the identity is checked: from here on the number cannot change its owner.
        let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::SRCH) => return Ok(()),
            Err(source) => return Err(failed(source)),
        };
        if !self.is_alive() {
            return Ok(());
        }
        match pidfd_send_signal(&descriptor, Signal::KILL) {
            Ok(()) => {}
            Err(Errno::SRCH) => return Ok(()),
            Err(source) => return Err(failed(source)),
        }
        let end = Instant::now() + deadline;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs())
                    .expect("a deadline is far below 2^63 seconds"),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut descriptors = [PollFd::new(&descriptor, PollFlags::IN)];
            match poll(&mut descriptors, Some(&timeout)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(source) => return Err(failed(source)),
            }
        }
        Err(Error::StillThere {
            pid: self.pid,
            deadline,
        })
    }
}

/// Start time of a process that runs; `None` for none and for a zombie.
fn start_ticks(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, field 2, is in parentheses and may hold anything: fields are counted from the last one.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::command;

    #[test]
    fn kills_the_process_it_was_made_from_and_no_other_of_the_same_number() {
        let mut child = command(&["sleep", "600"])
            .spawn()
            .expect("sleep is on every machine");
        let pid = i32::try_from(child.id()).expect("a process number");
        let process = Process::of(pid).expect("it runs");
        let other = Process {
            start_ticks: process.start_ticks + 1,
            ..process.clone()
        };

        other
            .kill(Duration::from_secs(5))
            .expect("a process that is not there is fine");
        assert!(process.is_alive());

        process.kill(Duration::from_secs(5)).expect("it ends");
        assert!(!process.is_alive());
        child.wait().expect("it can be reaped");
        process
            .kill(Duration::from_secs(5))
            .expect("ended before is fine");
    }
}
