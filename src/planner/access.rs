//! Who may read, write and pass a path on a host.

use crate::facts::FileFact;

/// Mode of programs, and of directories that services pass.
pub(crate) const PUBLIC: u32 = 0o755;

/// What is wrong with owner and mode of a path that is ours. An older build did not tell the group.
pub(crate) fn exposed(
    path: &str,
    fact: &FileFact,
    mode: u32,
    user: &str,
    group: &str,
) -> Option<String> {
    if fact.mode != mode || fact.user != user {
        return Some(format!(
            "{path} has mode {:04o} and owner {}, wanted {mode:04o} and {user}",
            fact.mode, fact.user
        ));
    }
    (!fact.group.is_empty() && fact.group != group)
        .then(|| format!("{path} has group {}, wanted {group}", fact.group))
}

/// User that etcd and the renewals of its certificates run as.
pub(crate) const SERVICE: &str = "etcd";

/// The same of root's directory that services pass. One that was there before us has the owner and
/// mode that others gave it, as long as etcd can pass.
pub(crate) fn shut(path: &str, fact: &FileFact) -> Option<String> {
    if fact.made {
        return exposed(path, fact, PUBLIC, "root", "root");
    }
    let passes = fact.mode & 0o001 != 0
        || fact.user == SERVICE
        || (fact.group == SERVICE && fact.mode & 0o010 != 0);
    if passes {
        return None;
    }
    let who = match fact.user.as_str() {
        "root" => "only root can pass it".to_owned(),
        // Such as a number, on a disk that came from another machine.
        user => format!("it is {user}'s, and {SERVICE} cannot pass it"),
    };
    Some(format!("{path} has mode {:04o}: {who}", fact.mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(mode: u32, user: &str, is_ours: bool) -> FileFact {
        FileFact {
            mode,
            user: user.to_owned(),
            group: user.to_owned(),
            made: is_ours,
            ..FileFact::default()
        }
    }

    #[test]
    fn a_directory_of_others_is_theirs_as_long_as_services_pass_it() {
        let said = |mode, user, is_ours| shut("/etc/etcd", &directory(mode, user, is_ours));
        assert_eq!(said(0o755, "root", true), None);
        for (mode, user) in [(0o700, "root"), (0o777, "root"), (0o755, "eve")] {
            let sentence = said(mode, user, true).expect("ours is as we made it");
            assert!(sentence.contains("wanted 0755 and root"), "{sentence}");
        }
        for (mode, user) in [
            (0o755, "root"),
            (0o775, "root"),
            (0o700, "etcd"),
            (0o711, "997"),
        ] {
            assert_eq!(said(mode, user, false), None);
        }
        let of_group = FileFact {
            group: "etcd".to_owned(),
            ..directory(0o750, "root", false)
        };
        assert_eq!(shut("/etc/etcd", &of_group), None);
        assert_eq!(
            said(0o700, "997", false).as_deref(),
            Some("/etc/etcd has mode 0700: it is 997's, and etcd cannot pass it")
        );
        assert_eq!(
            said(0o700, "root", false).as_deref(),
            Some("/etc/etcd has mode 0700: only root can pass it")
        );
    }
}
