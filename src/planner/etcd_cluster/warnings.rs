//! What a person should know of a cluster although no apply mends it.

use super::{
    certificate::Role,
    desired::Desired,
    membership::{called, strangers},
    names,
    observed::Observed,
    quota::{is_nearly_full, mebibytes},
    status::{raised, raiser},
};
use crate::{drop_in, problem::Problems};

/// Collects it as warnings.
pub fn warnings(desired: &Desired, observed: &Observed, problems: &mut Problems) {
    let what = format!("Cluster {}", desired.name);
    alarms(desired, observed, &what, problems);
    for member in strangers(desired, observed) {
        problems.warning(
            &[],
            format!(
                "{what}: the member list has {}, which is no node",
                called(member)
            ),
            format!(
                "{}. No apply removes what it did not add.\nHint: If nobody needs it, run `etcdctl member \
                 remove {:x}`.",
                if member.is_learner {
                    "It is a learner, and etcd takes one at a time"
                } else {
                    "It counts for the quorum"
                },
                member.id
            ),
        );
    }
    for (key, node) in &desired.nodes {
        let Some(host) = observed.host(key) else {
            continue;
        };
        if let Some(etcd) = &host.etcd
            && is_nearly_full(desired, etcd.database_size_bytes)
        {
            problems.warning(
                &["quota_backend_bytes"],
                format!(
                    "{what}: the database on {} has {} of {}",
                    node.host,
                    mebibytes(etcd.database_size_bytes),
                    mebibytes(desired.tuning.quota_backend_bytes)
                ),
                "At the quota etcd refuses every write, and raises an alarm that stays.\nHint: Compact and \
                 defragment it, or set a larger quota.",
            );
        }
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

/// Alarms stay until somebody disarms them, also when their cause is gone.
fn alarms(desired: &Desired, observed: &Observed, what: &str, problems: &mut Problems) {
    for (id, kind) in raised(desired, observed) {
        let who = raiser(desired, observed, id);
        let detail = match kind.as_str() {
            "NOSPACE" => {
                "The database has reached its quota: the cluster refuses every write but deletions, and \
                 does so until the alarm is taken back, whatever the quota is then.\nHint: Make room with \
                 `etcdctl compact REVISION` and `etcdctl defrag`, or raise quota_backend_bytes and apply; \
                 then run `etcdctl alarm disarm`."
            }
            "CORRUPT" => {
                "Its data differs from that of the others. Nothing is restarted before a person has looked.\n\
                 Hint: If the others agree (`etcdctl endpoint hashkv --cluster`), remove this member with \
                 `etcdctl member remove`, run `etcdctl alarm disarm` and apply: it joins anew, with the \
                 data of the others."
            }
            _ => "Hint: See `etcdctl alarm list`.",
        };
        problems.warning(
            &[],
            format!("{what}: {who} raises the alarm {kind}"),
            detail,
        );
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::{
        etcd_cluster::fixture::{desired, etcd_mut, host_mut, lose, observed, unit_mut},
        facts::{MemberFact, UnitFact},
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
    fn a_full_database_its_alarm_and_a_stranger_are_told_with_what_to_do() {
        let full = |seen: &mut Observed| {
            etcd_mut(seen, "2").database_size_bytes = 1700 << 20;
        };
        check(
            full,
            &expect![[r"
            Cluster k8s: the database on 10.0.1.12 has 1700 MiB of 2048 MiB
            At the quota etcd refuses every write, and raises an alarm that stays.
            Hint: Compact and defragment it, or set a larger quota."]],
        );
        let alarm = |seen: &mut Observed| {
            let id = etcd_mut(seen, "2").member_id;
            for key in ["1", "2", "3"] {
                etcd_mut(seen, key).alarms = vec![(id, "NOSPACE".to_owned())];
            }
        };
        check(
            alarm,
            &expect![[r"
            Cluster k8s: 2 (10.0.1.12) raises the alarm NOSPACE
            The database has reached its quota: the cluster refuses every write but deletions, and does so until the alarm is taken back, whatever the quota is then.
            Hint: Make room with `etcdctl compact REVISION` and `etcdctl defrag`, or raise quota_backend_bytes and apply; then run `etcdctl alarm disarm`."]],
        );
        let stranger = |seen: &mut Observed| {
            let other = MemberFact {
                id: 0xabc,
                name: "other".to_owned(),
                ..MemberFact::default()
            };
            for key in ["1", "2", "3"] {
                etcd_mut(seen, key).members.push(other.clone());
            }
        };
        check(
            stranger,
            &expect![[r"
            Cluster k8s: the member list has member abc (), which is no node
            It counts for the quorum. No apply removes what it did not add.
            Hint: If nobody needs it, run `etcdctl member remove abc`."]],
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
