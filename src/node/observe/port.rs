//! Who listens on a port, by the kernel's tables.

use std::{collections::HashMap, fs};

use crate::{
    ledger::{Ledger, has_extension},
    proto::PortFact,
};

/// State of a listening socket in /proc/net/tcp (`TCP_LISTEN`, `include/net/tcp_states.h`).
const LISTEN: &str = "0A";

pub(crate) fn facts(wanted: &[u32], ledger: &Ledger) -> Vec<PortFact> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let mut sockets = HashMap::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        sockets.extend(listeners(&fs::read_to_string(table).unwrap_or_default()));
    }
    let facts = wanted.iter().map(|port| {
        let claimed_by = ledger
            .owners
            .iter()
            .find(|(_, owner)| owner.ports.iter().any(|own| u32::from(*own) == *port))
            .map(|(name, _)| name.clone())
            .unwrap_or_default();
        let socket = sockets.get(port);
        let (process, unit) = socket.map(|socket| holder(socket)).unwrap_or_default();
        PortFact {
            port: *port,
            claimed_by,
            listening: socket.is_some(),
            process,
            unit,
        }
    });
    facts.collect()
}

/// Sockets that listen, as /proc/PID/fd names them, by port.
fn listeners(table: &str) -> impl Iterator<Item = (u32, String)> {
    table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let port = u32::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
        (*state == LISTEN).then(|| (port, format!("socket:[{inode}]")))
    })
}

/// Name and unit of the process that has a socket open.
fn holder(socket: &str) -> (String, String) {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Default::default();
    };
    for process in processes.flatten() {
        let Ok(files) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let has = files
            .flatten()
            .any(|file| fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == socket));
        if has {
            let read =
                |name: &str| fs::read_to_string(process.path().join(name)).unwrap_or_default();
            return (read("comm").trim().to_owned(), unit_of(&read("cgroup")));
        }
    }
    Default::default()
}

/// The unit in /proc/PID/cgroup, of either hierarchy.
fn unit_of(cgroup: &str) -> String {
    cgroup
        .lines()
        .find_map(|line| line.rsplit('/').find(|part| has_extension(part, "service")))
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_listeners_from_connections() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0\n   \
            1: 0100007F:094C 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0\n";
        let found: Vec<_> = listeners(table).collect();
        assert_eq!(found, [(2379, "socket:[4711]".to_owned())]);
    }

    #[test]
    fn finds_the_unit_in_both_hierarchies() {
        assert_eq!(
            unit_of("0::/system.slice/etcd-k8s-1.service\n"),
            "etcd-k8s-1.service"
        );
        assert_eq!(
            unit_of(
                "12:pids:/system.slice/ssh.service/x\n1:name=systemd:/system.slice/ssh.service\n"
            ),
            "ssh.service"
        );
        assert_eq!(unit_of("0::/user.slice/session-1.scope\n"), "");
    }

    #[test]
    fn finds_our_own_listener() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = u32::from(listener.local_addr().expect("an address").port());
        let directory = tempfile::tempdir().expect("a directory");
        let root = crate::root::Root::below(directory.path());
        let ledger = Ledger::load(&root).expect("new");
        let facts = facts(&[port, 1], &ledger);
        assert!(facts[0].listening && !facts[0].process.is_empty());
        assert!(!facts[1].listening);
    }
}
