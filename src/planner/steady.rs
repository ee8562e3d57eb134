//! Facts without what changes by itself on a host that nobody touches.
//!
//! Core compares private bytes too: `plan -refresh-only -detailed-exitcode` gives 2 for other ones, and
//! says that nothing changed. Facts that mean the same are therefore not stored anew.

use std::collections::BTreeMap;

use crate::{
    facts::{Fact, HostFacts},
    name::NodeKey,
};

/// Whether facts of hosts differ only in what changes by itself: clocks, times of files and starts, who
/// leads, certificates that renewed themselves.
pub(crate) fn is_same(
    now: &BTreeMap<NodeKey, Fact<HostFacts>>,
    before: &BTreeMap<NodeKey, Fact<HostFacts>>,
) -> bool {
    now.len() == before.len()
        && now.iter().zip(before).all(|((key, now), (other, before))| {
            key == other
                && match (now, before) {
                    (Fact::Known(now), Fact::Known(before)) => steady(now) == steady(before),
                    (now, before) => now == before,
                }
        })
}

fn steady(host: &HostFacts) -> HostFacts {
    let mut host = host.clone();
    host.now_ms = 0;
    // Whether the address of a node is among them shows in the plan.
    host.addresses.clear();
    host.space.clear();
    for file in host.files.values_mut() {
        file.modified_ms = 0;
        // A renewed certificate or key has other bytes; what matters of it is a fact of its own.
        if file.recorded_sha256.is_empty() {
            file.sha256.clear();
        }
    }
    for unit in host.units.values_mut() {
        unit.active_since_ms = unit.active_since_ms.min(1);
    }
    for certificate in host.certificates.values_mut() {
        certificate.fingerprint.clear();
        certificate.not_before_ms = 0;
        certificate.not_after_ms = 0;
    }
    if let Some(etcd) = &mut host.etcd {
        etcd.leader_id = etcd.leader_id.min(1);
        etcd.database_size_bytes = 0;
    }
    host
}
