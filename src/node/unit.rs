//! systemd, through systemctl: `show` is made for machines, verbs are fixed words.

use std::{collections::BTreeMap, fs, time::Duration};

use crate::{
    failure::Failed,
    proto::{Outcome, UnitFact, control_unit_request::Verb, failure::Kind},
    system,
};

const PROPERTIES: &str = "--property=Id,LoadState,ActiveState,SubState,UnitFileState,Result,MainPID,\
ActiveEnterTimestampMonotonic,NeedDaemonReload,FragmentPath,DropInPaths,NRestarts,NextElapseUSecRealtime";

/// Facts of units, in the order asked for.
pub(crate) fn facts(names: &[String]) -> Result<Vec<UnitFact>, Failed> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut arguments = vec!["show", "--no-pager", PROPERTIES, "--"];
    arguments.extend(names.iter().map(String::as_str));
    let text = system::run("systemctl", &arguments)?;
    let facts = text.split("\n\n").zip(names).map(|(block, name)| {
        let values: BTreeMap<&str, &str> = block
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        let get = |key: &str| values.get(key).copied().unwrap_or_default();
        let main_pid = get("MainPID").parse().unwrap_or(0);
        let (executable, executable_sha256) = executable(main_pid);
        let active = matches!(get("ActiveState"), "active" | "reloading");
        UnitFact {
            name: name.clone(),
            load_state: get("LoadState").to_owned(),
            active_state: get("ActiveState").to_owned(),
            sub_state: get("SubState").to_owned(),
            unit_file_state: get("UnitFileState").to_owned(),
            result: get("Result").to_owned(),
            main_pid,
            active_since_ms: if active {
                since(get("ActiveEnterTimestampMonotonic").parse().unwrap_or(0))
            } else {
                0
            },
            needs_reload: get("NeedDaemonReload") == "yes",
            fragment_path: get("FragmentPath").to_owned(),
            executable,
            executable_sha256,
            drop_ins: get("DropInPaths")
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            restarts: get("NRestarts").parse().unwrap_or(0),
            next_elapse_ms: 0,
        }
    });
    Ok(facts.collect())
}

/// From microseconds on the monotonic clock to milliseconds since 1970.
fn since(monotonic_us: i64) -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now_us = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
    system::now_ms() - (now_us - monotonic_us) / 1_000
}

fn executable(pid: u32) -> (String, String) {
    if pid == 0 {
        return Default::default();
    }
    let link = format!("/proc/{pid}/exe");
    let path = fs::read_link(&link)
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    // Read through /proc: the file behind the path may be another one by now.
    let sha256 = crate::observe::sha256(std::path::Path::new(&link)).unwrap_or_default();
    (path, sha256)
}

/// Does one verb; `no_block` returns when the job is queued.
pub(crate) fn control(
    unit: &str,
    verb: Verb,
    no_block: bool,
    timeout: Duration,
) -> Result<Outcome, Failed> {
    let before = facts(&[unit.to_owned()])?.remove(0);
    let is_up = matches!(
        before.active_state.as_str(),
        "active" | "activating" | "reloading"
    );
    let enabled = before.unit_file_state == "enabled";
    let unloaded = before.load_state == "not-found";
    let not_needed = match verb {
        Verb::Start => before.active_state == "active" || (no_block && is_up),
        Verb::Stop => !is_up && before.active_state != "deactivating",
        Verb::Enable => enabled,
        Verb::Disable => !enabled,
        Verb::EnableAndStart => enabled && before.active_state == "active",
        Verb::Restart | Verb::Reload => false,
    };
    if not_needed || (unloaded && matches!(verb, Verb::Stop | Verb::Disable)) {
        return Ok(Outcome::NotNeeded);
    }
    if matches!(verb, Verb::Start | Verb::Restart) && before.active_state == "failed" {
        // A unit that failed too often is not started again before this.
        system::run("systemctl", &["reset-failed", "--", unit])?;
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
    let seconds = timeout.as_secs().max(1).to_string();
    let mut arguments = vec![seconds.as_str(), "systemctl", "--no-ask-password"];
    arguments.extend(words);
    if no_block {
        arguments.push("--no-block");
    }
    arguments.extend(["--", unit]);
    system::run("timeout", &arguments).map_err(|failed| {
        Failed::new(
            Kind::UnitFailed,
            unit,
            format!("systemctl {} {unit} failed", words[0]),
        )
        .hint(format!("Look with `journalctl -u {unit}` on the host."))
        .output(&format!("{}\n{}", failed.0.output.join("\n"), tail(unit)))
    })?;
    Ok(Outcome::Updated)
}

/// The last lines of a unit's log.
pub(crate) fn tail(unit: &str) -> String {
    system::run(
        "journalctl",
        &["--unit", unit, "--no-pager", "--lines=15", "--output=cat"],
    )
    .unwrap_or_default()
}

/// Makes systemd read unit files again.
pub(crate) fn reload() -> Result<(), Failed> {
    system::run("systemctl", &["daemon-reload"]).map(|_| ())
}
