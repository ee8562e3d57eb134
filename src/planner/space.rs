//! Is there room on a host for what is to be made?

use crate::{facts::HostFacts, problem::Problems};

/// Where programs are laid down, and what they take: etcd of two versions, step-ca and step.
pub const PROGRAMS: (&str, u64) = ("/opt", 300 << 20);

/// Where members keep their data, and what a new one takes at once: two segments of its log, a first
/// database, and room to write on. A member whose first start meets a full disk leaves data behind
/// that no later start can read.
pub const DATA: (&str, u64) = ("/var/lib/etcd", 200 << 20);

/// Collects what is missing at the places that were looked at.
pub(crate) fn check(
    name: &str,
    host: &HostFacts,
    needs: &[(&str, u64)],
    place: &[&str],
    problems: &mut Problems,
) {
    for (path, bytes) in needs {
        let Some(space) = host.space.get(*path) else {
            continue;
        };
        if space.read_only {
            problems.error(
                place,
                format!("{path} on {name} is read-only"),
                "Mount it writable. Nothing was changed.",
            );
        } else if space.free_bytes < *bytes {
            problems.error(
                place,
                format!("Too little room in {path} on {name}"),
                format!(
                    "{} MiB are free there, and {} MiB are needed to begin with. Make room, or mount a \
                     larger disk. Nothing was changed.",
                    space.free_bytes >> 20,
                    bytes >> 20
                ),
            );
        }
        if space.noexec && *path == PROGRAMS.0 {
            problems.error(
                place,
                format!("{path} on {name} is mounted noexec"),
                "The programs lie there. Mount it without noexec. Nothing was changed.",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::SpaceFact;

    fn problems_of(space: SpaceFact) -> Vec<String> {
        let mut host = HostFacts::default();
        host.space.insert(PROGRAMS.0.to_owned(), space);
        let mut problems = Problems::default();
        check(
            "h",
            &host,
            &[PROGRAMS, DATA],
            &["nodes", "1"],
            &mut problems,
        );
        problems
            .0
            .into_iter()
            .map(|problem| problem.summary)
            .collect()
    }

    #[test]
    fn room_that_is_missing_is_said() {
        let enough = SpaceFact {
            free_bytes: 1 << 40,
            ..SpaceFact::default()
        };
        assert_eq!(problems_of(enough.clone()), Vec::<String>::new());
        assert_eq!(
            problems_of(SpaceFact::default()),
            ["Too little room in /opt on h"]
        );
        assert_eq!(
            problems_of(SpaceFact {
                read_only: true,
                ..enough.clone()
            }),
            ["/opt on h is read-only"]
        );
        assert_eq!(
            problems_of(SpaceFact {
                noexec: true,
                ..enough
            }),
            ["/opt on h is mounted noexec"]
        );
    }
}
