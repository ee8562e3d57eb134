//! A creation that was begun, and is gone on with under another wish.

use super::{desired::Desired, names, observed::Observed};
use crate::problem::Problems;

/// Refuses to go on with other members than those that were started: what has data is changed by updates
/// alone, which know what may follow on what. `id` is the uid of the creation that was begun.
pub fn check_begun(
    desired: &Desired,
    observed: &Observed,
    id: Option<&str>,
    problems: &mut Problems,
) {
    let started = desired.nodes.keys().find_map(|key| {
        let manifest = observed.manifest(key)?;
        let wal = names::wal(&desired.name, key);
        let has_data = observed.host(key)?.files.contains_key(&wal);
        let is_it = Some(manifest.id.as_str()) == id;
        (is_it && (has_data || manifest.bootstrapped)).then_some((key, manifest))
    });
    let Some((key, manifest)) = started else {
        return;
    };
    let called = desired.called(key);
    let version = desired.version.to_string();
    for (attribute, is, should, way) in [
        (
            "version",
            &manifest.version,
            &version,
            format!("set version = \"{}\"", manifest.version),
        ),
        (
            "issuer",
            &manifest.issuer,
            &desired.issuer.name.to_string(),
            format!("give it the issuer of the CA {}", manifest.issuer),
        ),
    ] {
        if is != should {
            problems.error(
                &[attribute],
                format!("The creation of cluster {} was begun otherwise", desired.name),
                format!(
                    "Its member on {called} was started with {attribute} {is}, and this one has {should}. To \
                     complete it, {way}, and apply; change that afterwards. Nothing was changed."
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd_cluster::fixture::{bare, desired, host_mut, key, observed};

    fn places(change: impl Fn(&mut Desired, &mut Observed)) -> Vec<String> {
        let mut wished = desired(3);
        let mut seen = observed(&wished);
        let id = wished.id.clone();
        change(&mut wished, &mut seen);
        let mut problems = Problems::default();
        check_begun(&wished, &seen, Some(&id), &mut problems);
        problems
            .0
            .iter()
            .map(|problem| problem.place.join("."))
            .collect()
    }

    #[test]
    fn members_that_were_started_stay_as_they_are() {
        let newer = |wished: &mut Desired| wished.version.patch += 1;
        assert_eq!(places(|_, _| {}), [""; 0]);
        assert_eq!(places(|wished, _| newer(wished)), ["version"]);
        let other = |wished: &mut Desired| {
            wished.issuer.name = crate::name::Name::parse("other").expect("a name");
        };
        assert_eq!(places(|wished, _| other(wished)), ["issuer"]);
        // One host is enough to know it, and what was not started yet may be anything.
        let only_third = |wished: &mut Desired, seen: &mut Observed| {
            newer(wished);
            for node in ["1", "2"] {
                *host_mut(seen, node) = bare(wished, &key(node));
            }
        };
        assert_eq!(places(only_third), ["version"]);
        let unstarted = |wished: &mut Desired, seen: &mut Observed| {
            only_third(wished, seen);
            *host_mut(seen, "3") = bare(wished, &key("3"));
        };
        assert_eq!(places(unstarted), [""; 0]);
        // Another cluster of the name is told elsewhere.
        let foreign = |wished: &mut Desired, seen: &mut Observed| {
            newer(wished);
            for node in ["1", "2", "3"] {
                let owner = host_mut(seen, node).owner.as_mut().expect("an owner");
                owner.manifest = owner.manifest.replace(&wished.id, "another");
            }
        };
        assert_eq!(places(foreign), [""; 0]);
    }
}
