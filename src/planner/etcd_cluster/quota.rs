//! The size of the database, and what it may have.

use super::{desired::Desired, observed::Observed};
use crate::problem::Problems;

/// From here on a person should know: writes stop at the quota, with an alarm that stays.
const FULL_PERCENT: u64 = 80;

/// Refuses a quota that a member's database is over already: it would start, and refuse every write.
pub fn check_quota(
    before: &Desired,
    wanted: &Desired,
    observed: &Observed,
    problems: &mut Problems,
) {
    let quota = wanted.tuning.quota_backend_bytes;
    if quota >= before.tuning.quota_backend_bytes {
        return;
    }
    let sizes = wanted.nodes.keys().filter_map(|key| {
        let size = observed.member(key)?.database_size_bytes;
        (size >= quota).then_some((key, size))
    });
    if let Some((key, size)) = sizes.max_by_key(|(_, size)| *size) {
        problems.error(
            &["quota_backend_bytes"],
            "The database is larger than that",
            format!(
                "That of {} has {}, and the quota would be {}: etcd would refuse every write. Compact and \
                 defragment it first, or set a larger quota. Nothing was changed.",
                wanted.called(key),
                mebibytes(size),
                mebibytes(quota)
            ),
        );
    }
}

/// How full the database of a member is, if somebody should know.
pub(super) fn is_nearly_full(desired: &Desired, size_bytes: u64) -> bool {
    size_bytes.saturating_mul(100) >= desired.tuning.quota_backend_bytes * FULL_PERCENT
}

pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd_cluster::fixture::{desired, etcd_mut, observed};

    #[test]
    fn a_quota_below_the_database_is_refused() {
        let before = desired(3);
        let mut seen = observed(&before);
        etcd_mut(&mut seen, "2").database_size_bytes = 16 << 20;
        let said = |quota: u64| {
            let mut wanted = before.clone();
            wanted.tuning.quota_backend_bytes = quota;
            let mut problems = Problems::default();
            check_quota(&before, &wanted, &seen, &mut problems);
            problems.0.into_iter().map(|problem| problem.detail).next()
        };
        assert_eq!(said(64 << 20), None);
        let said = said(4 << 20).expect("refused");
        assert!(
            said.starts_with("That of 2 (10.0.1.12) has 16 MiB, and the quota would be 4 MiB"),
            "{said}"
        );
    }
}
