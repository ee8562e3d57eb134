//! What a person should know of a cluster although no apply mends it.

use super::{certificate::Role, desired::Desired, names, observed::Observed};
use crate::{drop_in, problem::Problems};

/// Collects it as warnings.
pub fn warnings(desired: &Desired, observed: &Observed, problems: &mut Problems) {
    let what = format!("Cluster {}", desired.name);
    for (key, node) in &desired.nodes {
        let Some(host) = observed.host(key) else {
            continue;
        };
        let renewals = Role::ALL.map(|role| names::renewal(&desired.name, role.as_str()));
        let services = renewals.iter().map(|stem| format!("{stem}.service"));
        for name in std::iter::once(names::unit(&desired.name, key)).chain(services) {
            let file = host.files.get(&format!("/etc/systemd/system/{name}"));
            if let Some(unit) = host.units.get(&name)
                && let Some(drop_ins) = drop_in::overriding(unit, file)
            {
                let (summary, detail) = drop_in::warning(&what, &name, &node.host, unit, &drop_ins);
                problems.warning(&[], summary, detail);
            }
        }
        for (role, stem) in Role::ALL.iter().zip(&renewals) {
            let unit = host.units.get(&format!("{stem}.service"));
            if unit.is_some_and(|unit| unit.active_state == "failed") {
                problems.warning(
                    &[],
                    format!(
                        "{what}: the last renewal of the {role} certificate on {} failed",
                        node.host
                    ),
                    format!(
                        "The timer tries again every quarter of an hour.\nHint: If this stays, look \
                         with `journalctl -u {stem}` on {}.",
                        node.host
                    ),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::{
        etcd_cluster::fixture::{desired, host_mut, lose, observed, unit_mut},
        facts::UnitFact,
    };

    fn check(change: impl Fn(&mut Observed), expected: &Expect) {
        let desired = desired(3);
        let mut seen = observed(&desired);
        change(&mut seen);
        let mut problems = Problems::default();
        warnings(&desired, &seen, &mut problems);
        assert!(!problems.has_errors());
        let told = problems
            .0
            .iter()
            .map(|problem| format!("{}\n{}", problem.summary, problem.detail));
        expected.assert_eq(&told.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn has_none_after_an_apply_and_none_of_a_host_that_was_not_seen() {
        check(|_| {}, &expect![""]);
        check(|seen| lose(seen, "2"), &expect![""]);
    }

    #[test]
    fn a_drop_in_that_changes_what_is_started_is_told() {
        let limit = |seen: &mut Observed| {
            let unit = unit_mut(seen, "2");
            unit.drop_ins = vec!["/etc/systemd/system/etcd-k8s-2.service.d/limit.conf".to_owned()];
        };
        check(limit, &expect![""]);
        let sleeps = |seen: &mut Observed| {
            limit(seen);
            unit_mut(seen, "2").exec_start = vec!["/bin/sleep 1000".to_owned()];
        };
        check(
            sleeps,
            &expect![[r"
            Cluster k8s: etcd-k8s-2.service on 10.0.1.12 starts something else than was written
            Because of /etc/systemd/system/etcd-k8s-2.service.d/limit.conf it starts `/bin/sleep 1000` as etcd. A drop-in belongs to whoever made it: no apply removes it.
            Hint: Remove it on 10.0.1.12, then run `systemctl daemon-reload` and `systemctl restart etcd-k8s-2.service`."]],
        );
    }

    #[test]
    fn a_renewal_that_failed_is_told() {
        let failed = |seen: &mut Observed| {
            let unit = UnitFact {
                active_state: "failed".to_owned(),
                ..UnitFact::default()
            };
            let name = "step-renew-k8s-peer.service".to_owned();
            host_mut(seen, "2").units.insert(name, unit);
        };
        check(
            failed,
            &expect![[r"
            Cluster k8s: the last renewal of the peer certificate on 10.0.1.12 failed
            The timer tries again every quarter of an hour.
            Hint: If this stays, look with `journalctl -u step-renew-k8s-peer` on 10.0.1.12."]],
        );
    }
}
