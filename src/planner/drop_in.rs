//! Drop-ins: what a person adds to a unit of ours.
//!
//! They are that person's, so they are neither removed nor drift. A unit that starts something else
//! because of one is said all the same, since nothing that is done here makes it right.

use crate::facts::{FileFact, UnitFact};

/// Directories of drop-ins for all units of a type, which distributions use.
const FOR_ALL: [&str; 2] = ["service.d", "timer.d"];

/// Drop-ins that are meant for this unit.
pub(crate) fn own(unit: &UnitFact) -> Vec<&str> {
    let directory = |path: &str| path.rsplit('/').nth(1).unwrap_or_default().to_owned();
    let paths = unit.drop_ins.iter().map(String::as_str);
    paths
        .filter(|path| !FOR_ALL.contains(&directory(path).as_str()))
        .collect()
}

/// Drop-ins because of which a service starts something else than its own file says, or as another
/// user. `None` if none does, and where the file is not ours: that is mended first.
pub(crate) fn overriding<'a>(unit: &'a UnitFact, file: Option<&FileFact>) -> Option<Vec<&'a str>> {
    let file = file.filter(|file| !file.is_edited())?;
    let text = file.content.as_deref()?;
    let values = |name| text.lines().filter_map(move |line| line.strip_prefix(name));
    let is_same = values("ExecStart=").eq(unit.exec_start.iter().map(String::as_str))
        && values("User=").next_back().unwrap_or_default() == unit.user;
    if unit.drop_ins.is_empty() || unit.exec_start.is_empty() || is_same {
        return None;
    }
    let own = own(unit);
    Some(if own.is_empty() {
        unit.drop_ins.iter().map(String::as_str).collect()
    } else {
        own
    })
}

/// What to add to a sentence about a service that is not well: drop-ins that may be why.
pub(crate) fn because(unit: Option<&UnitFact>) -> String {
    let drop_ins = unit.map(own).unwrap_or_default();
    if drop_ins.is_empty() {
        return String::new();
    }
    let verb = if drop_ins.len() == 1 {
        "changes"
    } else {
        "change"
    };
    format!(" ({} {verb} its unit)", drop_ins.join(" and "))
}

/// A warning about such a unit: one line, and what to do.
pub(crate) fn warning(
    what: &str,
    name: &str,
    host: &str,
    unit: &UnitFact,
    drop_ins: &[&str],
) -> (String, String) {
    let user = match unit.user.as_str() {
        "" => String::new(),
        user => format!(" as {user}"),
    };
    (
        format!("{what}: {name} on {host} starts something else than was written"),
        format!(
            "Because of {} it starts `{}`{user}. A drop-in belongs to whoever made it: no apply \
             removes it.\nHint: Remove it on {host}, then run `systemctl daemon-reload` and \
             `systemctl restart {name}`.",
            drop_ins.join(" and "),
            unit.exec_start.join("; "),
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[Service]\nUser=etcd\nExecStart=/opt/bin/etcd --config-file=/etc/a.yaml\n";
    const DROP_IN: &str = "/etc/systemd/system/etcd-k8s-2.service.d/a.conf";

    fn file(content: &str) -> FileFact {
        FileFact {
            content: Some(content.to_owned()),
            ..FileFact::default()
        }
    }

    fn unit(exec_start: &[&str], user: &str, drop_ins: &[&str]) -> UnitFact {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        UnitFact {
            exec_start: texts(exec_start),
            user: user.to_owned(),
            drop_ins: texts(drop_ins),
            ..UnitFact::default()
        }
    }

    #[test]
    fn tells_drop_ins_that_change_what_is_started() {
        const OWN: &str = "/opt/bin/etcd --config-file=/etc/a.yaml";
        let found = |unit: &UnitFact| {
            overriding(unit, Some(&file(FILE)))
                .map(|list| list.into_iter().map(str::to_owned).collect::<Vec<_>>())
        };
        let told = Some(vec![DROP_IN.to_owned()]);
        assert_eq!(found(&unit(&["/bin/sleep 1000"], "etcd", &[DROP_IN])), told);
        assert_eq!(found(&unit(&[OWN, OWN], "etcd", &[DROP_IN])), told);
        assert_eq!(found(&unit(&[OWN], "", &[DROP_IN])), told);
        let vendors = "/usr/lib/systemd/system/service.d/10-timeout-abort.conf";
        let both = unit(&["/bin/sleep 1000"], "etcd", &[vendors, DROP_IN]);
        assert_eq!(found(&both), told);
        // A limit, or the unit as it was written; an older build did not tell what is started.
        assert_eq!(found(&unit(&[OWN], "etcd", &[DROP_IN])), None);
        assert_eq!(found(&unit(&[OWN], "etcd", &[])), None);
        assert_eq!(found(&unit(&[], "", &[DROP_IN])), None);
    }

    #[test]
    fn a_unit_file_that_was_edited_is_mended_first() {
        let sleeps = unit(&["/bin/sleep 1000"], "etcd", &[DROP_IN]);
        let edited = FileFact {
            sha256: "other".to_owned(),
            ..file(FILE)
        };
        assert_eq!(overriding(&sleeps, Some(&edited)), None);
        assert_eq!(overriding(&sleeps, None), None);
    }
}
