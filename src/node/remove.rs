//! Undoes what was made for an owner, and for the host when the last owner goes.

use std::{fs, path::Path, time::Duration};

use crate::{
    failure::Failed,
    journal,
    ledger::{self, Kind2, Ledger, Owner, SharedKind},
    lock,
    proto::{Outcome, RemoveRequest, RemoveResponse, control_unit_request::Verb, failure::Kind},
    system, unit,
};

/// TimeoutStopSec of members is 90 s.
const STOP: Duration = Duration::from_secs(120);

pub(crate) fn remove(request: &RemoveRequest, operator: &str) -> Result<RemoveResponse, Failed> {
    let owner = {
        let ledger = Ledger::load()?;
        let Some(owner) = ledger.owners.get(&request.owner).cloned() else {
            journal::clear(&request.owner, "")?;
            let host_clean = ledger.owners.is_empty();
            if host_clean {
                leave();
            }
            return Ok(RemoveResponse {
                outcome: Outcome::NotNeeded.into(),
                kept: Vec::new(),
                host_clean,
            });
        };
        if !request.id.is_empty() && owner.id != request.id {
            return Err(Failed::new(
                Kind::Conflict,
                &request.owner,
                format!("{} on this host was made as {}", request.owner, owner.id),
            ));
        }
        owner
    };
    // Stopping may take as long as a leader transfer; nobody waits for a lock meanwhile.
    stop_units(&owner)?;
    let _lock = lock::host(operator)?;
    let mut ledger = Ledger::load()?;
    let kept = remove_items(&owner, request)?;
    unit::reload()?;
    ledger.owners.remove(&request.owner);
    release_shared(&mut ledger, &request.owner)?;
    ledger.save()?;
    journal::clear(&request.owner, "")?;
    let host_clean = ledger.owners.is_empty();
    if host_clean {
        leave();
    }
    Ok(RemoveResponse {
        outcome: Outcome::Updated.into(),
        kept,
        host_clean,
    })
}

fn stop_units(owner: &Owner) -> Result<(), Failed> {
    let mut units: Vec<&str> = owner
        .items
        .iter()
        .filter(|(_, item)| item.kind == Kind2::Unit)
        .filter_map(|(path, _)| path.rsplit('/').next())
        .collect();
    // Timers first, or they start their services again.
    units.sort_by_key(|name| !name.ends_with(".timer"));
    for name in units {
        unit::control(name, Verb::Disable, false, STOP)?;
        unit::control(name, Verb::Stop, false, STOP)?;
        // Only units that failed have something to forget.
        let _ = system::run("systemctl", &["reset-failed", "--", name]);
    }
    Ok(())
}

fn remove_items(owner: &Owner, request: &RemoveRequest) -> Result<Vec<String>, Failed> {
    let mut kept = Vec::new();
    for (path, item) in &owner.items {
        match item.kind {
            Kind2::File | Kind2::Unit | Kind2::Link => remove_file(path)?,
            Kind2::Directory | Kind2::Data => {}
        }
    }
    // Deepest first: a directory in a directory.
    for (path, item) in owner.items.iter().rev() {
        match item.kind {
            Kind2::Directory => remove_tree(path)?,
            Kind2::Data if request.delete_data => remove_tree(path)?,
            Kind2::Data => {
                let populated =
                    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
                if populated {
                    kept.push(aside(path, request.now_ms)?);
                } else {
                    remove_tree(path)?;
                }
            }
            _ => {}
        }
    }
    Ok(kept)
}

/// Renames a directory to `<path>.deleted-<UTC time>`, root's alone.
pub(crate) fn aside(path: &str, now_ms: i64) -> Result<String, Failed> {
    let target = format!("{path}.deleted-{}", stamp(now_ms));
    fs::rename(path, &target)
        .map_err(|error| Failed::io("moving aside", path.to_owned(), &error))?;
    std::os::unix::fs::chown(&target, Some(0), Some(0))
        .map_err(|error| Failed::io("owning", target.clone(), &error))?;
    Ok(target)
}

/// `20261121T035959Z`, from milliseconds since 1970 (days to civil dates as by Hinnant).
fn stamp(now_ms: i64) -> String {
    let seconds = now_ms.div_euclid(1000);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z",
        rest / 3600,
        rest % 3600 / 60,
        rest % 60
    )
}

fn release_shared(ledger: &mut Ledger, owner: &str) -> Result<(), Failed> {
    let mut unused = Vec::new();
    for (key, shared) in &mut ledger.shared {
        if shared.owners.remove(owner) && shared.owners.is_empty() {
            unused.push(key.clone());
        }
    }
    let kind_of = |ledger: &Ledger, key: &String| ledger.shared[key].kind;
    // Files and links before the directories that hold them, users last.
    let order = |kind: SharedKind| match kind {
        SharedKind::Link => 0,
        SharedKind::File => 1,
        SharedKind::Programs => 2,
        SharedKind::Directory => 3,
        SharedKind::User => 4,
    };
    unused.sort_by_key(|key| (order(kind_of(ledger, key)), std::cmp::Reverse(key.len())));
    for key in unused {
        let Some(shared) = ledger.shared.remove(&key) else {
            continue;
        };
        if !shared.made {
            continue;
        }
        match shared.kind {
            SharedKind::File | SharedKind::Link => remove_file(&key)?,
            SharedKind::Programs => remove_tree(&key)?,
            // One that somebody else uses by now is not empty and stays.
            SharedKind::Directory => {
                let _ = fs::remove_dir(&key);
            }
            SharedKind::User => {
                let name = key.strip_prefix("user:").unwrap_or(&key);
                if system::user(name).is_some() {
                    system::run("userdel", &["--", name])?;
                }
            }
        }
    }
    Ok(())
}

/// The host as it was: nothing of ours but what a person's data is.
fn leave() {
    for path in [
        "/opt/etcd-node",
        ledger::HOME,
        "/run/etcd-node",
        "/etc/etcd-node",
    ] {
        // Gone already is what is wanted; busy means somebody started anew.
        let _ = fs::remove_dir_all(path);
    }
}

fn remove_file(path: &str) -> Result<(), Failed> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failed::io("removing", path.to_owned(), &error))
        }
        _ => Ok(()),
    }
}

fn remove_tree(path: &str) -> Result<(), Failed> {
    if !Path::new(path).exists() {
        return Ok(());
    }
    fs::remove_dir_all(path).map_err(|error| Failed::io("removing", path.to_owned(), &error))
}

#[cfg(test)]
mod tests {
    use super::stamp;

    #[test]
    fn names_what_is_moved_aside_by_utc_time() {
        assert_eq!(stamp(0), "19700101T000000Z");
        assert_eq!(stamp(1_795_233_599_000), "20261121T035959Z");
        assert_eq!(stamp(951_782_400_000), "20000229T000000Z");
    }
}
