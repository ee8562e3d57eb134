//! One member at a time: a bad option meets one, what crashes is mended, a cut line is waited for.

use std::{
    fs,
    process::Child,
    time::{Duration, Instant},
};

use lab::Host;
use tests::{Outcome, Site, cluster::until};

const CLUSTER: &str = "etcd_cluster.demo";

fn configuration(host: &Host, key: &str) -> Result<String, Box<dyn std::error::Error>> {
    Ok(host.root_text(&["cat", &format!("/etc/etcd/etcd-demo-{key}-conf.yaml")])?)
}

#[test]
fn a_bad_option_meets_one_member_and_the_next_apply_mends_it() -> Outcome {
    let site = Site::running("option")?;
    let good = fs::read_to_string(site.directory().join("main.tf"))?;
    // What no etcd takes is refused at plan.
    site.write(
        "main.tf",
        &site.with("extra_options = { log-level = \"nonsense\" }")?,
    )?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("log-level = \"nonsense\" is not one of debug, info");
    // What only etcd can know is met by one member.
    site.write("main.tf", &good)?;
    let token = "jwt,sign-method=RS256,pub-key=/nowhere,priv-key=/nowhere";
    let bad = site.with(&format!("extra_options = {{ auth-token = \"{token}\" }}"))?;
    site.write("main.tf", &bad)?;
    let apply = site.apply()?;
    assert_eq!(apply.code, 1, "{apply}");
    apply.expect_says("journalctl -u etcd-demo-");
    let mut met = 0;
    for (host, key) in site.hosts().iter().zip(["1", "2", "3"]) {
        met += usize::from(configuration(host, key)?.contains("/nowhere"));
    }
    assert_eq!(met, 1, "members that got the option");
    site.write("main.tf", &good)?;
    site.apply()?.expect_ok();
    assert_eq!(site.state(CLUSTER)?["status"], "ready");
    site.expect_no_change()?;
    site.down()
}

#[test]
fn a_member_that_is_down_or_crashes_is_started_however_often() -> Outcome {
    let site = Site::running("again")?;
    let host = &site.hosts()[1];
    for _ in 0..3 {
        host.root_text(&["systemctl", "stop", "etcd-demo-2"])?;
        let plan = site.plan()?;
        assert_eq!(plan.code, 2, "{plan}");
        plan.expect_says("start 2");
        site.apply()?.expect_ok();
        site.expect_no_change()?;
    }
    for _ in 0..3 {
        host.root_text(&[
            "sh",
            "-ec",
            "sed -i 's/^data-dir:.*/data-dir: \"\\/nowhere\"/' /etc/etcd/etcd-demo-2-conf.yaml; \
             systemctl restart --no-block etcd-demo-2",
        ])?;
        until("it has crashed again and again", || {
            let restarts = host.root_text(&["systemctl", "show", "-P", "NRestarts", "etcd-demo-2"]);
            restarts.is_ok_and(|count| count.trim().parse().is_ok_and(|count: u32| count >= 2))
        })?;
        site.apply()?.expect_ok();
        assert_eq!(site.state(CLUSTER)?["status"], "ready");
        site.expect_no_change()?;
    }
    site.down()
}

/// An apply that has done its first step.
fn begun(site: &Site) -> Result<Child, Box<dyn std::error::Error>> {
    let log = site.directory().join("provider.log");
    let mut child = site.start(&["apply", "-auto-approve", "-no-color"], &log)?;
    let end = Instant::now() + Duration::from_mins(2);
    while !fs::read_to_string(&log)
        .unwrap_or_default()
        .contains("step done")
    {
        assert!(
            Instant::now() < end && child.try_wait()?.is_none(),
            "the change has not begun"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(child)
}

#[test]
fn a_removal_waits_for_a_change_that_is_under_way() -> Outcome {
    let site = Site::running("removal")?;
    // Somebody else has the same state.
    let copy = site.directory().join("copy");
    fs::create_dir(&copy)?;
    for name in ["main.tf", "test.auto.tfvars.json", "terraform.tfstate"] {
        fs::copy(site.directory().join(name), copy.join(name))?;
    }
    site.run(&["-chdir=copy", "init", "-no-color"])?.expect_ok();
    site.write("main.tf", &site.with("snapshot_count = 20000")?)?;
    let mut change = begun(&site)?;
    assert!(change.try_wait()?.is_none(), "the change is over");
    let removal = site.run(&[
        "-chdir=copy",
        "destroy",
        "-auto-approve",
        "-no-color",
        "-target=etcd_cluster.demo",
    ])?;
    let change = change.wait_with_output()?;
    let said = String::from_utf8_lossy(&change.stderr);
    assert!(change.status.success(), "{said}");
    removal.expect_ok();
    for host in site.hosts() {
        let left = host.root_text(&[
            "find",
            "/etc/etcd",
            "/etc/systemd/system",
            "-name",
            "etcd-demo*",
        ]);
        assert!(
            left.is_err() || left.as_ref().is_ok_and(String::is_empty),
            "{left:?}"
        );
    }
    site.down()
}

#[test]
fn connections_that_are_cut_all_at_once_are_made_again() -> Outcome {
    let site = Site::running("cut")?;
    site.write("main.tf", &site.with("snapshot_count = 20000")?)?;
    let child = begun(&site)?;
    std::thread::scope(|scope| {
        for host in site.hosts() {
            // Helpers of timers that run just now may go too: they come again.
            scope.spawn(|| host.root(&["pkill", "-KILL", "-x", "etcd-node"]));
        }
    });
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert_eq!(site.state(CLUSTER)?["status"], "ready");
    site.expect_no_change()?;
    site.down()
}
