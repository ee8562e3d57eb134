//! Changes that wait for hosts that were not seen.

use super::{Phase, Role, desired::Desired, files, observed::Observed, subject};
use crate::name::NodeKey;

/// Nodes whose hosts were not seen and would be otherwise if they had been, in sentences. Without them
/// an apply would seem to have done what it did not even try.
pub fn left_out(before: &Desired, wanted: &Desired, observed: &Observed) -> Vec<String> {
    let waits = |key: &&NodeKey| {
        before.nodes.contains_key(key)
            && observed.host(key).is_none()
            && is_other_on(before, wanted, key)
    };
    wanted
        .nodes
        .keys()
        .filter(waits)
        .map(|key| {
            format!(
                "{} was not seen, and what changes there waits for it",
                wanted.called(key)
            )
        })
        .collect()
}

/// Whether the host of a node would get something else.
fn is_other_on(before: &Desired, wanted: &Desired, key: &NodeKey) -> bool {
    let of = |desired: &Desired| {
        let node = &desired.nodes[key];
        (
            files(desired, key, node, Phase::Existing),
            Role::ALL.map(|role| subject(desired, key, node, role)),
            desired.certificate_lifetime_s,
            desired.version.clone(),
        )
    };
    of(before) != of(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd_cluster::fixture::{desired, key, lose, observed};

    #[test]
    fn only_what_changes_on_a_host_that_was_not_seen_waits() {
        let before = desired(3);
        let mut seen = observed(&before);
        let mut wanted = before.clone();
        let node = wanted.nodes.get_mut(&key("3")).expect("a node");
        node.server_sans = vec!["etcd.example".to_owned()];
        assert_eq!(left_out(&before, &wanted, &seen), Vec::<String>::new());
        lose(&mut seen, "2");
        assert_eq!(left_out(&before, &wanted, &seen), Vec::<String>::new());
        lose(&mut seen, "3");
        assert_eq!(
            left_out(&before, &wanted, &seen),
            ["3 (10.0.1.13) was not seen, and what changes there waits for it"]
        );
        assert_eq!(left_out(&before, &before, &seen), Vec::<String>::new());
        wanted.certificate_lifetime_s += 3600;
        assert_eq!(left_out(&before, &wanted, &seen).len(), 2);
    }
}
