//! Drift in sentences.

use super::{desired::Desired, findings::findings, observed::Observed};

/// What differs on hosts that were seen, sorted, one fact each.
pub fn drift(desired: &Desired, observed: &Observed) -> Vec<String> {
    let mut sentences = Vec::new();
    for key in desired.nodes.keys() {
        for finding in findings(desired, observed, key) {
            if !finding.sentence.is_empty() {
                sentences.push(format!("{}: {}", desired.called(key), finding.sentence));
            }
        }
    }
    sentences.sort();
    sentences.dedup();
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd_step_ca::fixture::{host, lost, read, seen, stop, wish};

    #[test]
    fn finds_nothing_after_an_apply_and_nothing_of_a_host_that_was_not_seen() {
        let desired = read(&wish());
        assert_eq!(drift(&desired, &seen(host(&desired))), Vec::<String>::new());
        assert_eq!(drift(&desired, &lost()), Vec::<String>::new());
    }

    #[test]
    fn is_sorted_and_says_the_same_later() {
        let desired = read(&wish());
        let mut host = host(&desired);
        stop(&mut host);
        host.files.clear();
        let mut later = host.clone();
        later.now_ms += 3_600_000;
        let drift = |host| drift(&desired, &seen(host));
        assert!(drift(host.clone()).is_sorted());
        assert!(drift(host.clone()).len() > 3);
        assert_eq!(drift(host), drift(later));
    }
}
