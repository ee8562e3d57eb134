//! What systemd says of units.

use std::{collections::BTreeMap, fs, path::Path};

use super::check_name;
use crate::{clock, digest, failure::Failed, program, proto::UnitFact};

/// All of them are known to systemd 239. Times come as text: the words for raw numbers came later.
const PROPERTIES: &str = "--property=Id,LoadState,ActiveState,SubState,UnitFileState,Result,MainPID,\
ActiveEnterTimestamp,NeedDaemonReload,FragmentPath,DropInPaths,NRestarts,\
NextElapseUSecRealtime,NextElapseUSecMonotonic,ExecStart,User,Job";

/// Facts of units, in the order asked for.
pub(crate) fn facts(names: &[String]) -> Result<Vec<UnitFact>, Failed> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    for name in names {
        check_name(name)?;
    }
    let mut arguments = vec!["show", "--no-pager", PROPERTIES, "--"];
    arguments.extend(names.iter().map(String::as_str));
    let text = program::run("systemctl", &arguments)?;
    let blocks: Vec<&str> = text.split("\n\n").collect();
    if blocks.len() != names.len() {
        return Err(Failed::internal(
            "systemctl",
            format!(
                "systemctl show answered for {} of {} units",
                blocks.len(),
                names.len()
            ),
        ));
    }
    Ok(blocks
        .into_iter()
        .zip(names)
        .map(|(block, name)| {
            let mut fact = parse(name, block, clock::now_ms(), clock::monotonic_us());
            (fact.executable, fact.executable_sha256) = executable(fact.main_pid);
            fact
        })
        .collect())
}

/// One block of `systemctl show`.
fn parse(name: &str, block: &str, now_ms: i64, monotonic_us: i64) -> UnitFact {
    let values: BTreeMap<&str, &str> = block
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let get = |key: &str| values.get(key).copied().unwrap_or_default();
    let text = |key: &str| get(key).to_owned();
    let is_active = matches!(get("ActiveState"), "active" | "reloading");
    let next_real_ms = clock::from_systemd(get("NextElapseUSecRealtime"));
    let next_elapse_ms = match clock::span_us(get("NextElapseUSecMonotonic")) {
        _ if next_real_ms != 0 => next_real_ms,
        // In whole seconds: two looks at the same timer must say the same.
        Some(next_us) if is_active => {
            (now_ms + (next_us - monotonic_us) / 1000 + 500) / 1000 * 1000
        }
        _ => 0,
    };
    UnitFact {
        name: name.to_owned(),
        load_state: text("LoadState"),
        active_state: match (get("ActiveState"), get("Job")) {
            // Nothing but a start can wait for a unit that is down: it is on its way.
            ("inactive" | "failed", job) if !matches!(job, "" | "0") => "activating".to_owned(),
            (state, _) => state.to_owned(),
        },
        sub_state: text("SubState"),
        unit_file_state: text("UnitFileState"),
        result: text("Result"),
        main_pid: get("MainPID").parse().unwrap_or(0),
        active_since_ms: if is_active {
            clock::from_systemd(get("ActiveEnterTimestamp"))
        } else {
            0
        },
        needs_reload: get("NeedDaemonReload") == "yes",
        fragment_path: text("FragmentPath"),
        executable: String::new(),
        executable_sha256: String::new(),
        drop_ins: get("DropInPaths")
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        restarts: get("NRestarts").parse().unwrap_or(0),
        next_elapse_ms,
        exec_start: block.lines().filter_map(command).collect(),
        user: text("User"),
    }
}

/// The words of one command: `ExecStart={ path=/bin/a ; argv[]=/bin/a -b ; ignore_errors=no ; … }`.
fn command(line: &str) -> Option<String> {
    let (_, rest) = line.strip_prefix("ExecStart=")?.split_once("argv[]=")?;
    let (words, _) = rest.split_once(" ; ")?;
    Some(words.to_owned())
}

/// Path and hash of what a process runs; empty if it is gone.
fn executable(pid: u32) -> (String, String) {
    if pid == 0 {
        return Default::default();
    }
    let link = format!("/proc/{pid}/exe");
    let path = fs::read_link(&link)
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    if is_manager(&path) {
        return Default::default();
    }
    // Read through /proc: the file behind the path may be another one by now.
    let sha256 = digest::program(Path::new(&link)).unwrap_or_default();
    (path, sha256)
}

/// Whether a process that was just begun is still systemd's own: it becomes the service's program a
/// moment later.
fn is_manager(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let name = name.strip_suffix(" (deleted)").unwrap_or(name);
    matches!(name, "systemd" | "systemd-executor" | "init")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_service_as_systemd_247_prints_it() {
        let block = "Id=etcd-k8s-1.service\nLoadState=loaded\nActiveState=active\nSubState=running\n\
            UnitFileState=enabled\nResult=success\nMainPID=4711\nNRestarts=2\n\
            ActiveEnterTimestamp=Sat 2026-11-21 03:59:59 UTC\nNeedDaemonReload=yes\n\
            FragmentPath=/etc/systemd/system/etcd-k8s-1.service\n\
            DropInPaths=/etc/systemd/system/etcd-k8s-1.service.d/a.conf /run/b.conf";
        let fact = parse("etcd-k8s-1.service", block, 0, 0);
        assert_eq!(fact.main_pid, 4711);
        assert_eq!(fact.restarts, 2);
        assert_eq!(fact.active_since_ms, 1_795_233_599_000);
        assert!(fact.needs_reload);
        assert_eq!(fact.drop_ins.len(), 2);
        assert_eq!(fact.next_elapse_ms, 0);
    }

    #[test]
    fn a_process_that_is_about_to_become_a_program_is_no_program_yet() {
        for path in [
            "/usr/lib/systemd/systemd",
            "/lib/systemd/systemd (deleted)",
            "/usr/lib/systemd/systemd-executor",
            "/sbin/init",
        ] {
            assert!(is_manager(path), "{path}");
        }
        for path in [
            "/opt/etcd/3.5.35/etcd",
            "/opt/etcd/3.5.35/etcd (deleted)",
            "",
        ] {
            assert!(!is_manager(path), "{path}");
        }
    }

    #[test]
    fn a_start_that_is_queued_is_under_way() {
        let state = |block| parse("a.service", block, 0, 0).active_state;
        assert_eq!(state("ActiveState=inactive\nJob=1207"), "activating");
        assert_eq!(state("ActiveState=failed\nJob=1207"), "activating");
        assert_eq!(state("ActiveState=inactive\nJob=0"), "inactive");
        assert_eq!(state("ActiveState=failed"), "failed");
        assert_eq!(state("ActiveState=active\nJob=1207"), "active");
    }

    #[test]
    fn tells_every_command_with_its_words_and_the_user() {
        let block = "User=etcd\n\
            ExecStart={ path=/opt/bin/etcd ; argv[]=/opt/bin/etcd --config-file=/etc/etcd/a.yaml ; \
            ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }\n\
            ExecStart={ path=/bin/sleep ; argv[]=/bin/sleep 1000 ; ignore_errors=no }";
        let fact = parse("a.service", block, 0, 0);
        assert_eq!(
            fact.exec_start,
            [
                "/opt/bin/etcd --config-file=/etc/etcd/a.yaml",
                "/bin/sleep 1000"
            ]
        );
        assert_eq!(fact.user, "etcd");
        let timer = parse("a.timer", "ActiveState=active", 0, 0);
        assert_eq!((timer.exec_start.len(), timer.user.as_str()), (0, ""));
    }

    #[test]
    fn says_when_a_timer_is_next() {
        let calendar = "ActiveState=active\nNextElapseUSecRealtime=Sat 2026-11-21 03:59:59 UTC\n\
            NextElapseUSecMonotonic=infinity";
        assert_eq!(
            parse("a.timer", calendar, 0, 0).next_elapse_ms,
            1_795_233_599_000
        );
        let monotonic =
            "ActiveState=active\nNextElapseUSecRealtime=\nNextElapseUSecMonotonic=1min 40s";
        // 60 s of 100 s since boot are over.
        let fact = parse("a.timer", monotonic, 1_000_000_123, 60_000_000);
        assert_eq!(fact.next_elapse_ms, 1_000_040_000);
        let off = "ActiveState=inactive\nNextElapseUSecRealtime=\nNextElapseUSecMonotonic=infinity";
        assert_eq!(parse("a.timer", off, 0, 0).next_elapse_ms, 0);
    }
}
