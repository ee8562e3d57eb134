//! Another build of the provider on hosts and state of an earlier one: nothing to do, nothing touched.

use std::{fs, io::Write};

use lab::{Host, HostSpec, Release};
use tests::{Outcome, Site};

/// Processes of the members and the CA, and the helper that timers run.
fn running(hosts: &[Host]) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let script = "for unit in etcd-demo-1 etcd-demo-2 etcd-demo-3 step-ca; do \
                  systemctl show -P MainPID -P NRestarts $unit; done; readlink /opt/etcd-node/current";
    let seen = hosts
        .iter()
        .map(|host| Ok(host.root_text(&["sh", "-ec", script])?));
    seen.collect()
}

#[test]
fn another_build_finds_nothing_to_do_and_mends_what_is_wrong() -> Outcome {
    let mut site = Site::new("builds", vec![HostSpec::new(Release::Bookworm); 3])?;
    site.example("quickstart")?;
    site.set(&site.quickstart())?;
    site.init()?;
    site.apply()?.expect_ok();
    let before = running(site.hosts())?;

    // The same program for all that it does, and another one for whoever compares hashes.
    let other = site.directory().join("etcd-node");
    fs::copy(site.helper(), &other)?;
    fs::OpenOptions::new()
        .append(true)
        .open(&other)?
        .write_all(b"another build")?;
    site.environment.push(("ETCD_NODE_PATH", other));
    site.expect_no_change()?;
    assert_eq!(running(site.hosts())?, before, "a plan changes nothing");
    let cached = site.hosts()[0].root_text(&["sh", "-ec", "ls /opt/etcd-node/cache | wc -l"])?;
    assert_eq!(cached.trim(), "2", "the other build was really there");
    site.apply()?.expect_ok();
    assert_eq!(running(site.hosts())?, before, "nor does an empty apply");

    // It mends what the former build made, on the host where something is wrong only.
    site.hosts()[1].root_text(&["systemctl", "stop", "etcd-demo-2"])?;
    site.apply()?.expect_ok();
    site.expect_no_change()?;
    let after = running(site.hosts())?;
    assert_eq!([&after[0], &after[2]], [&before[0], &before[2]]);
    assert_ne!(after[1], before[1]);

    // And the former build takes over again.
    site.environment.clear();
    site.expect_no_change()?;
    assert_eq!(running(site.hosts())?, after);
    site.down()
}
