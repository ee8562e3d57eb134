//! Is the host the machine that the CA's keys are on? On another one a CA with another root would be made.

use super::{desired::Desired, observed::Observed};
use crate::problem::Problems;

/// Collects, at each node, that its host is another machine than before.
pub fn misplaced(
    desired: &Desired,
    observed: &Observed,
    before: &Observed,
    problems: &mut Problems,
) {
    for (key, node) in &desired.nodes {
        let (Some(now), Some(known)) = (observed.host(key), before.host(key)) else {
            continue;
        };
        let is_known = !now.machine_id.is_empty() && !known.machine_id.is_empty();
        if is_known && now.machine_id != known.machine_id {
            problems.error(
                &["nodes", key.as_str(), "host"],
                format!("Host {} is not the machine of node \"{key}\"", node.host),
                format!(
                    "Its machine id is {}, and that of the machine with the keys of CA {} is {}. Let the \
                     node name the host that it had. Nothing was changed.",
                    now.machine_id, desired.name, known.machine_id
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd_step_ca::fixture::{host, lost, read, seen, wish};

    #[test]
    fn the_keys_stay_on_their_machine() {
        let desired = read(&wish());
        let before = seen(host(&desired));
        let mut other = host(&desired);
        other.machine_id = "machine-9".to_owned();
        for (now, errors) in [(before.clone(), 0), (lost(), 0), (seen(other), 1)] {
            let mut problems = Problems::default();
            misplaced(&desired, &now, &before, &mut problems);
            assert_eq!(problems.0.len(), errors, "{now:?}");
        }
    }
}
