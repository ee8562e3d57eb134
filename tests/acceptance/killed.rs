//! The provider is killed after every step of a creation; the next apply goes on from there.

use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use lab::{HostSpec, Release};
use tests::{
    Outcome, Site,
    cluster::until,
    plugin::{kill_provider, providers},
};

/// Steps of the whole creation are fewer.
const MOST_KILLS: usize = 60;

/// Steps that a log of the provider says were done.
fn steps(log: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let step = |line: &str| {
        let (_, rest) = line.split_once("step done")?;
        Some(rest.split_once("step=\"")?.1.split_once('"')?.0.to_owned())
    };
    text.lines().filter_map(step).collect()
}

/// Runs an apply and kills the provider as soon as it did a step that is not in `known`. Gives
/// whether it was killed.
fn apply_and_kill(
    site: &Site,
    log: &Path,
    known: &mut BTreeSet<String>,
) -> Result<bool, Box<dyn std::error::Error>> {
    let _ = fs::remove_file(log);
    let mut child: Child = site.start(&["apply", "-auto-approve", "-no-color"], log)?;
    let end = Instant::now() + Duration::from_mins(5);
    loop {
        let done = steps(log);
        if let Some(new) = done.difference(known).next().cloned() {
            known.insert(new);
            // It may have come to its end meanwhile.
            let _ = kill_provider(&child);
            child.wait()?;
            return Ok(true);
        }
        if let Some(status) = child.try_wait()? {
            let mut text = String::new();
            if let Some(mut output) = child.stderr.take() {
                output.read_to_string(&mut text)?;
            }
            assert!(status.success(), "an apply that nobody killed: {text}");
            return Ok(false);
        }
        assert!(
            Instant::now() < end,
            "an apply takes more than five minutes"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_creation_that_is_killed_after_every_step_is_completed() -> Outcome {
    let site = Site::prepared("killed", vec![HostSpec::new(Release::Bookworm); 3])?;
    let log = site.directory().join("provider.log");
    let mut known = BTreeSet::new();
    let mut kills = 0;
    while apply_and_kill(&site, &log, &mut known)? {
        kills += 1;
        assert!(kills < MOST_KILLS, "it does not come to an end: {known:?}");
    }
    assert!(kills > 8, "it was killed {kills} times: {known:?}");
    let health = site
        .member(1)
        .etcdctl(&["endpoint", "health", "--cluster"])?;
    assert_eq!(health.matches("is healthy").count(), 3, "{health}");
    assert_eq!(site.state("etcd_cluster.demo")?["status"], "ready");
    site.expect_no_change()?;
    site.destroy()?.expect_ok();
    site.down()
}

#[test]
fn a_cli_that_is_killed_takes_provider_and_helper_with_it() -> Outcome {
    let site = Site::prepared("orphan", vec![HostSpec::new(Release::Bookworm)])?;
    let host = &site.hosts()[0];
    let log = site.directory().join("provider.log");
    let mut cli = site.start(&["apply", "-auto-approve", "-no-color"], &log)?;
    until("the creation has begun", || !steps(&log).is_empty())?;
    let started = providers(&cli);
    assert!(!started.is_empty(), "the CLI runs a provider");
    cli.kill()?;
    cli.wait()?;
    until("the provider has ended", || {
        let is_there = |id: &String| Path::new("/proc").join(id).exists();
        !started.iter().any(is_there)
    })?;
    // A timer may run one for a moment.
    until("no helper is left on the host", || {
        host.root_text(&["pgrep", "-x", "etcd-node"]).is_err()
    })?;
    let plan = site.plan()?;
    assert!(
        !plan.text.contains("tainted") && !plan.text.contains("replaced"),
        "{plan}"
    );
    site.apply()?.expect_ok();
    assert_eq!(site.state("etcd_cluster.demo")?["status"], "ready");
    site.expect_no_change()?;
    site.down()
}

/// Removes the cluster and kills the provider while the hosts are at it.
fn destroy_and_kill(site: &Site, log: &Path) -> Outcome {
    let _ = fs::remove_file(log);
    let arguments = [
        "destroy",
        "-auto-approve",
        "-no-color",
        "-target=etcd_cluster.demo",
    ];
    let mut command = site.command(&arguments)?;
    let log_at = command
        .env("TF_LOG_PROVIDER", "debug")
        .env("TF_LOG_PATH", log);
    let mut cli = log_at.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    until("the removal has begun", || {
        let text = fs::read_to_string(log).unwrap_or_default();
        text.contains("call=Remove") || text.contains("call=\"Remove\"")
    })?;
    kill_provider(&cli)?;
    cli.wait()?;
    Ok(())
}

#[test]
fn a_removal_that_is_killed_is_completed_or_undone_by_a_creation() -> Outcome {
    let site = Site::running("unmade")?;
    let log = site.directory().join("provider.log");
    destroy_and_kill(&site, &log)?;
    // The hosts finish it meanwhile; an apply waits for them, and begins anew when nothing is left.
    let mut applies = 0;
    until("an apply makes it anew", || {
        applies += 1;
        site.apply().is_ok_and(|apply| apply.is_ok())
    })?;
    assert!(applies <= 3, "{applies} applies");
    assert_eq!(site.state("etcd_cluster.demo")?["status"], "ready");
    site.expect_no_change()?;
    destroy_and_kill(&site, &log)?;
    site.destroy()?.expect_ok();
    for host in site.hosts() {
        host.root_text(&["test", "!", "-e", "/var/lib/etcd-node"])?;
    }
    site.down()
}
