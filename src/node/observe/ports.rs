//! Who listens on a port, by the kernel's tables.

use std::{collections::HashMap, fs};

use crate::{ledger::Ledger, proto::PortFact};

/// State of a listening socket in /proc/net/tcp.
const LISTEN: &str = "0A";

pub(crate) fn facts(wanted: &[u32], ledger: &Ledger) -> Vec<PortFact> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let mut inodes: HashMap<u32, String> = HashMap::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table)
            .unwrap_or_default()
            .lines()
            .skip(1)
        {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields.len() < 10 || fields[3] != LISTEN {
                continue;
            }
            let port = fields[1]
                .rsplit(':')
                .next()
                .and_then(|hex| u32::from_str_radix(hex, 16).ok());
            if let Some(port) = port.filter(|port| wanted.contains(port)) {
                inodes.insert(port, format!("socket:[{}]", fields[9]));
            }
        }
    }
    let facts = wanted.iter().map(|port| {
        let claimed_by = ledger
            .owners
            .iter()
            .find(|(_, owner)| owner.ports.iter().any(|own| u32::from(*own) == *port))
            .map(|(name, _)| name.clone())
            .unwrap_or_default();
        let inode = inodes.get(port);
        let (process, unit) = inode.map(|inode| holder(inode)).unwrap_or_default();
        PortFact {
            port: *port,
            claimed_by,
            listening: inode.is_some(),
            process,
            unit,
        }
    });
    facts.collect()
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
            let unit = read("cgroup")
                .lines()
                .filter_map(|line| line.rsplit('/').next())
                .find(|name| name.ends_with(".service"))
                .unwrap_or_default()
                .to_owned();
            return (read("comm").trim().to_owned(), unit);
        }
    }
    Default::default()
}
