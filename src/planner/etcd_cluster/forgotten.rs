//! Hosts that have a member and a ledger that does not know it.

use super::{Phase, Role, desired::Desired, files, names, observed::Observed};
use crate::{facts::FileFact, name::NodeKey};

/// Nodes whose configuration is on their host although the ledger there knows nothing of it: it was lost,
/// and its copy too. Everything there counts as somebody else's then, so nothing is done.
pub fn forgotten<'a>(desired: &'a Desired, observed: &Observed) -> Vec<&'a NodeKey> {
    let is_forgotten = |key: &&NodeKey| {
        observed.host(key).is_some_and(|host| {
            let file = host.files.get(&names::configuration(&desired.name, key));
            let is_nobodys = |file: &FileFact| file.owner.is_empty();
            host.owner.is_none() && host.journal.is_none() && file.is_some_and(is_nobodys)
        })
    };
    desired.nodes.keys().filter(is_forgotten).collect()
}

/// Nodes whose host has data of theirs and nothing else: it was installed anew, and its data disk kept.
pub fn orphaned<'a>(desired: &'a Desired, observed: &Observed) -> Vec<&'a NodeKey> {
    let is_orphaned = |key: &&NodeKey| {
        observed.host(key).is_some_and(|host| {
            let data = host.files.get(&names::data(&desired.name, key));
            host.owner.is_none()
                && host.journal.is_none()
                && data.is_some_and(|data| data.owner.is_empty() && data.populated)
        })
    };
    let forgotten = forgotten(desired, observed);
    let nodes = desired.nodes.keys().filter(is_orphaned);
    nodes.filter(|key| !forgotten.contains(key)).collect()
}

/// The command that takes the member of a node off its host, with everything that is its alone and counts
/// as somebody else's without a ledger: afterwards the node joins anew, and gets its data from the others.
/// What others use too is taken over as it is, if it is as it should be.
pub fn clearing(desired: &Desired, key: &NodeKey) -> String {
    let cluster = &desired.name;
    let timers = Role::ALL.map(|role| format!("{}.timer", names::renewal(cluster, role.as_str())));
    let mut units = vec![names::unit(cluster, key)];
    units.extend(timers);
    let mut paths = vec![names::data(cluster, key)];
    let written = files(desired, key, &desired.nodes[key], Phase::Existing);
    paths.extend(written.into_iter().map(|file| file.path));
    for role in Role::ALL {
        let stem = names::certificate_stem(cluster, key, role.as_str());
        paths.extend([format!("{stem}.crt"), format!("{stem}.key")]);
    }
    format!(
        "systemctl disable --now {}; rm -rf {}; systemctl daemon-reload",
        units.join(" "),
        paths.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd_cluster::fixture::{bare, desired, host_mut, key, lose, observed};

    #[test]
    fn a_host_without_its_ledger_is_told_from_a_bare_one() {
        let desired = desired(3);
        let mut seen = observed(&desired);
        assert_eq!(forgotten(&desired, &seen), [] as [&NodeKey; 0]);
        lose(&mut seen, "1");
        *host_mut(&mut seen, "2") = bare(&desired, &key("2"));
        let host = host_mut(&mut seen, "3");
        host.owner = None;
        assert_eq!(
            forgotten(&desired, &seen),
            [] as [&NodeKey; 0],
            "another's file"
        );
        for file in host_mut(&mut seen, "3").files.values_mut() {
            file.owner.clear();
        }
        assert_eq!(forgotten(&desired, &seen), [&key("3")]);
        assert_eq!(orphaned(&desired, &seen), [] as [&NodeKey; 0]);
        // Installed anew, on the same data disk.
        let host = host_mut(&mut seen, "3");
        let data = names::data(&desired.name, &key("3"));
        host.files.retain(|path, _| *path == data);
        host.files.get_mut(&data).expect("data").populated = true;
        assert_eq!(forgotten(&desired, &seen), [] as [&NodeKey; 0]);
        assert_eq!(orphaned(&desired, &seen), [&key("3")]);
    }
}
