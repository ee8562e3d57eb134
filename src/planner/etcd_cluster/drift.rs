//! Drift in sentences.

use super::{desired::Desired, findings, observed::Observed, place};

/// What differs on hosts that were seen: one fact each, beginning with node key and host, sorted,
/// with nothing in it that changes by itself. Empty while the cluster is still being made.
pub fn drift(desired: &Desired, observed: &Observed) -> Vec<String> {
    if !observed.bootstrapped() {
        return Vec::new();
    }
    // On another machine everything is missing; none of it was ever there.
    let mut sentences = place::astray(desired, observed, &Observed::default());
    if !sentences.is_empty() {
        sentences.sort();
        return sentences;
    }
    for (key, found) in findings::all(desired, observed) {
        for finding in found {
            if !finding.sentence.is_empty() {
                sentences.push(format!("{}: {}", desired.called(key), finding.sentence));
            }
        }
    }
    sentences.sort();
    sentences.dedup();
    sentences
}
