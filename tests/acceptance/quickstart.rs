//! The main job: a CA and three members with TLS, from nothing and back to nothing.

use lab::{Access, HostSpec, Release, provider::Cli};
use tests::{
    Outcome, Site,
    cluster::{Member, until},
    footprint::{difference, footprint},
};

const CLUSTER: &str = "etcd_cluster.demo";
const CA: &str = "etcd_step_ca.main";

/// Everything that must hold of the quickstart, on whatever hosts and CLI.
fn life(site: &Site) -> Outcome {
    let before = site
        .hosts()
        .iter()
        .map(footprint)
        .collect::<Result<Vec<_>, _>>()?;
    site.example("quickstart")?;
    let mut variables = site.quickstart();
    variables["protected"] = true.into();
    site.set(&variables)?;
    site.init()?;
    site.apply()?.expect_ok();
    assert_eq!(site.state(CLUSTER)?["status"], "ready");
    assert_eq!(site.state(CA)?["status"], "ready");
    let member = Member {
        host: &site.hosts()[0],
        cluster: "demo",
        key: "1",
        port: 2379,
    };
    let health = member.etcdctl(&["endpoint", "health", "--cluster"])?;
    assert_eq!(health.matches("is healthy").count(), 3, "{health}");
    member.etcdctl(&["put", "key", "value"])?;
    // What the creation itself remembered is enough.
    let plan = ["plan", "-detailed-exitcode", "-no-color"];
    let unread = site.run(&[&plan[..], &["-refresh=false"]].concat())?;
    assert_eq!(unread.code, 0, "{unread}");
    let read = site.run(&[&plan[..], &["-refresh-only"]].concat())?;
    assert_eq!(read.code, 0, "{read}");
    for _ in 0..3 {
        site.expect_no_change()?;
    }
    // All three at once, as after a power failure: everything comes back by itself.
    for host in site.hosts() {
        host.kill()?;
    }
    site.boot_all()?;
    until("all members answer after the boot", || {
        member
            .etcdctl(&["endpoint", "health", "--cluster"])
            .is_ok_and(|health| health.matches("is healthy").count() == 3)
    })?;
    assert!(
        member.etcdctl(&["get", "key"])?.contains("value"),
        "the write survived"
    );
    until("the CA answers after the boot", || {
        let state = site.hosts()[0].root_text(&["systemctl", "is-active", "step-ca.service"]);
        state.is_ok_and(|state| state == "active")
    })?;
    for host in site.hosts() {
        let timers = host.root_text(&[
            "systemctl",
            "list-timers",
            "--no-legend",
            "step-renew-demo-*",
        ])?;
        assert_eq!(timers.lines().count(), 3, "{timers}");
    }
    site.expect_no_change()?;
    let refused = site.destroy()?;
    assert_ne!(refused.code, 0, "{refused}");
    refused.expect_says("The cluster demo is protected from deletion");
    variables["protected"] = false.into();
    site.set(&variables)?;
    site.apply()?.expect_ok();
    site.destroy()?.expect_ok();
    for (host, before) in site.hosts().iter().zip(before) {
        let left = difference(&before, &footprint(host)?);
        assert_eq!(left, Vec::<String>::new(), "on {}", host.host_name());
    }
    Ok(())
}

#[test]
fn three_hosts_become_a_cluster_and_are_as_they_were_afterwards() -> Outcome {
    let hosts = vec![HostSpec::new(Release::Bookworm); 3];
    let site = Site::new("quickstart", hosts)?;
    life(&site)?;
    site.down()
}

#[test]
fn the_same_over_ipv6_alone_with_sudo_on_three_releases() -> Outcome {
    let spec = |release| {
        HostSpec::new(release)
            .v6()
            .access(Access::Sudo("ops".to_owned()))
    };
    let site = Site::new("mixed6", Release::ALL.map(spec).into())?;
    life(&site)?;
    site.down()
}

#[test]
#[expect(clippy::print_stdout, reason = "what is not shown is said")]
fn the_same_with_terraform_where_it_is() -> Outcome {
    let found = std::process::Command::new("terraform")
        .arg("-version")
        .output();
    if found.is_err() {
        // The lab brings OpenTofu; Terraform cannot be had from source under its licence.
        println!("terraform is not on the PATH: nothing to show");
        return Ok(());
    }
    let mut site = Site::new("terraform", Release::ALL.map(HostSpec::new).into())?;
    site.cli = Cli::Terraform;
    life(&site)?;
    site.down()
}
