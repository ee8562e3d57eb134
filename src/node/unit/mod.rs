//! systemd, through systemctl: `show` is made for machines, verbs are fixed words.
//!
//! D-Bus would need a client larger than this helper's own code, for the same answers.

mod facts;
mod log;

use std::time::Duration;

use crate::{
    failure::Failed,
    ledger::{ItemKind, Ledger, SharedKind},
    program,
    proto::{
        ControlUnitRequest, ControlUnitResponse, Outcome, UnitFact, control_unit_request::Verb,
        failure::Kind,
    },
    root::Root,
};

pub(crate) use facts::facts;

/// Limit for a job that comes without one. Members have 90 s to stop.
const USUAL: Duration = Duration::from_mins(2);

/// Does what was asked of a unit that belongs to the owner.
pub(crate) fn control(
    root: &Root,
    request: &ControlUnitRequest,
) -> Result<ControlUnitResponse, Failed> {
    check_name(&request.unit)?;
    check_owner(&Ledger::load(root)?, &request.owner, &request.unit)?;
    let limit = match request.timeout_ms {
        0 => USUAL,
        milliseconds => Duration::from_millis(milliseconds.into()),
    };
    let outcome = order(&request.unit, request.verb(), request.no_block, limit)?;
    Ok(ControlUnitResponse {
        outcome: outcome.into(),
        unit: Some(one(&request.unit)?),
    })
}

/// A unit that is another's, or nobody's that we know, is left alone.
pub(crate) fn check_owner(ledger: &Ledger, owner: &str, unit: &str) -> Result<(), Failed> {
    if ledger.units(owner).any(|own| own == unit) {
        return Ok(());
    }
    let names = |path: &str| path.rsplit('/').next() == Some(unit);
    let holds = |kind: ItemKind, path: &str| kind == ItemKind::Unit && names(path);
    let other = ledger.owners.iter().find(|(_, entry)| {
        entry
            .items
            .iter()
            .any(|(path, item)| holds(item.kind, path))
    });
    match other {
        Some((other, _)) => Err(Failed::conflict(unit, other)),
        None if ledger
            .shared
            .iter()
            .any(|(path, shared)| shared.kind == SharedKind::Unit && names(path)) =>
        {
            Err(Failed::conflict(unit, "several others"))
        }
        None => Err(Failed::new(
            Kind::Foreign,
            unit,
            format!("{unit} is not a unit that was made for {owner}"),
        )),
    }
}

/// Names that systemctl takes for one unit and nothing else.
fn check_name(unit: &str) -> Result<(), Failed> {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || ":-_.\\@".contains(character);
    let suffixes = [
        ".service", ".timer", ".socket", ".path", ".target", ".mount", ".slice",
    ];
    let whole = suffixes
        .iter()
        .any(|suffix| unit.len() > suffix.len() && unit.ends_with(suffix));
    if whole && !unit.starts_with('-') && unit.len() < 256 && unit.chars().all(plain) {
        Ok(())
    } else {
        Err(Failed::invalid(
            unit,
            format!("{unit:?} is not the name of a unit"),
        ))
    }
}

fn one(unit: &str) -> Result<UnitFact, Failed> {
    facts(&[unit.to_owned()])?
        .pop()
        .ok_or_else(|| Failed::internal(unit, "systemctl show answered nothing"))
}

/// Whether a unit runs, begins or ends to.
pub(crate) fn is_up(fact: &UnitFact) -> bool {
    matches!(
        fact.active_state.as_str(),
        "active" | "activating" | "reloading" | "deactivating"
    ) || fact.main_pid != 0
}

/// Whether a verb would change anything.
fn is_needed(verb: Verb, no_block: bool, before: &UnitFact) -> bool {
    let is_active = before.active_state == "active";
    let starts = matches!(
        before.active_state.as_str(),
        "active" | "activating" | "reloading"
    );
    // Other words, such as "static", are of units that cannot be enabled.
    let is_enabled = before.unit_file_state == "enabled";
    match verb {
        Verb::Start => !(is_active || (no_block && starts)),
        Verb::Stop => is_up(before),
        Verb::Enable => !is_enabled,
        Verb::Disable => is_enabled || before.unit_file_state == "enabled-runtime",
        Verb::EnableAndStart => !(is_enabled && (is_active || (no_block && starts))),
        Verb::Restart | Verb::Reload => true,
    }
}

/// Whether starts of before must not count. Only a unit that systemd has in memory has any.
fn forgets_failures(verb: Verb, before: &UnitFact) -> bool {
    let starts = matches!(verb, Verb::Start | Verb::Restart | Verb::EnableAndStart);
    starts && (before.active_state != "inactive" || before.restarts > 0)
}

/// Does one verb; `no_block` returns when the job is queued.
pub(crate) fn order(
    unit: &str,
    verb: Verb,
    no_block: bool,
    limit: Duration,
) -> Result<Outcome, Failed> {
    check_name(unit)?;
    let before = one(unit)?;
    if !is_needed(verb, no_block, &before) {
        return Ok(Outcome::NotNeeded);
    }
    if forgets_failures(verb, &before) {
        // A unit that was started too often is not started again before this. Between two of its crashes
        // it is "activating", and nothing says how near it is to its limit.
        program::run("systemctl", &["reset-failed", "--", unit])?;
    }
    let words: &[&str] = match verb {
        Verb::Start => &["start"],
        Verb::Stop => &["stop"],
        Verb::Restart => &["restart"],
        Verb::Enable => &["enable", "--quiet"],
        Verb::Disable => &["disable", "--quiet"],
        Verb::EnableAndStart => &["enable", "--now", "--quiet"],
        Verb::Reload => &["reload"],
    };
    let mut arguments = vec!["--no-ask-password"];
    arguments.extend(words);
    if no_block && !matches!(verb, Verb::Enable | Verb::Disable) {
        arguments.push("--no-block");
    }
    arguments.extend(["--", unit]);
    program::run_with("systemctl", &arguments, &[], limit).map_err(|failed| {
        let kind = match failed.0.kind() {
            Kind::Deadline => Kind::Deadline,
            _ => Kind::UnitFailed,
        };
        let message = match kind {
            Kind::Deadline => format!("{unit} did not {} within {} s", words[0], limit.as_secs()),
            _ => format!("systemctl {} {unit} failed", words[0]),
        };
        Failed::new(kind, unit, message)
            .hint(format!("Look with `journalctl -u {unit}` on the host."))
            .output(&format!("{}\n{}", failed.0.output.join("\n"), tail(unit)))
    })?;
    Ok(Outcome::Updated)
}

/// What the log of a unit says last; nothing where there is no journal.
fn tail(unit: &str) -> String {
    let log = program::run(
        "journalctl",
        &["--unit", unit, "--no-pager", "--lines=60", "--output=cat"],
    );
    log::telling(&log.unwrap_or_default())
}

/// Makes systemd read unit files again.
pub(crate) fn reload() -> Result<(), Failed> {
    program::run("systemctl", &["daemon-reload"]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(active_state: &str, unit_file_state: &str) -> UnitFact {
        UnitFact {
            active_state: active_state.to_owned(),
            unit_file_state: unit_file_state.to_owned(),
            ..UnitFact::default()
        }
    }

    #[test]
    fn does_only_what_is_needed() {
        for (verb, no_block, active_state, unit_file_state, needed) in [
            (Verb::Start, false, "inactive", "enabled", true),
            (Verb::Start, false, "active", "enabled", false),
            (Verb::Start, false, "activating", "enabled", true),
            (Verb::Start, true, "activating", "enabled", false),
            (Verb::Stop, false, "failed", "enabled", false),
            (Verb::Stop, false, "activating", "enabled", true),
            (Verb::Stop, false, "deactivating", "enabled", true),
            (Verb::Enable, false, "active", "disabled", true),
            (Verb::Disable, false, "inactive", "", false),
            (Verb::Disable, false, "inactive", "enabled-runtime", true),
            (Verb::EnableAndStart, false, "active", "disabled", true),
            (Verb::EnableAndStart, false, "active", "enabled", false),
            (Verb::Restart, false, "active", "enabled", true),
        ] {
            let fact = fact(active_state, unit_file_state);
            assert_eq!(
                is_needed(verb, no_block, &fact),
                needed,
                "{verb:?} {fact:?}"
            );
        }
    }

    #[test]
    fn a_unit_that_crashes_again_and_again_may_be_started_all_the_same() {
        for (verb, active_state, forgets) in [
            (Verb::Start, "failed", true),
            (Verb::Start, "activating", true),
            (Verb::Restart, "activating", true),
            (Verb::Restart, "active", true),
            (Verb::Start, "inactive", false),
            (Verb::Stop, "activating", false),
            (Verb::Enable, "failed", false),
        ] {
            let fact = fact(active_state, "enabled");
            assert_eq!(
                forgets_failures(verb, &fact),
                forgets,
                "{verb:?} {active_state}"
            );
        }
    }

    #[test]
    fn a_unit_without_a_file_that_still_runs_is_up() {
        let fact = UnitFact {
            load_state: "not-found".to_owned(),
            main_pid: 7,
            ..fact("inactive", "")
        };
        assert!(is_needed(Verb::Stop, false, &fact));
    }

    #[test]
    fn takes_only_names_of_units() {
        for unit in [
            "etcd-k8s-1.service",
            "step-renew-k8s-peer.timer",
            "a@b.service",
        ] {
            check_name(unit).expect(unit);
        }
        for unit in [
            "",
            ".service",
            "-x.service",
            "a b.service",
            "a.service;id",
            "ssh",
            "a/b.service",
            "*.service",
        ] {
            assert!(check_name(unit).is_err(), "{unit:?}");
        }
    }
}
