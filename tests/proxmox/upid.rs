//! Names of tasks (pve-common, `src/PVE/UPID.pm`).

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// A name, and what it is made of.
#[derive(Clone, Debug)]
pub(crate) struct Upid {
    pub(crate) text: String,
    pub(crate) node: String,
    pub(crate) pid: u32,
    pub(crate) start: u32,
    pub(crate) time_s: u64,
    pub(crate) kind: String,
    pub(crate) id: String,
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl Upid {
    pub(crate) fn new(node: &str, kind: &str, id: &str, user: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0x1000);
        let pid = NEXT.fetch_add(1, Ordering::Relaxed);
        let start = 0x00C0_0000 + pid;
        let time_s = now_s();
        // Colons part the name.
        let id = id.replace('%', "%25").replace(':', "%3A");
        Self {
            text: format!("UPID:{node}:{pid:08X}:{start:08X}:{time_s:08X}:{kind}:{id}:{user}:"),
            node: node.to_owned(),
            pid,
            start,
            time_s,
            kind: kind.to_owned(),
            id,
        }
    }
}
