//! Members that lost their place or their data come back to their cluster.

use std::fs;

use tests::{Outcome, Site, cluster::until};

const CLUSTER: &str = "etcd_cluster.demo";

/// What an installation leaves of a host whose data disk is kept: the disk, with a user that is nobody's.
const REINSTALL: &str = "
systemctl disable --now etcd-demo-3 step-renew-demo-peer.timer step-renew-demo-server.timer step-renew-demo-client.timer
rm -rf /etc/systemd/system/etcd-demo-3.service /etc/systemd/system/step-renew-demo-* /etc/etcd /etc/etcd-node \
  /opt/etcd /opt/step /opt/bin /opt/etcd-node /var/lib/etcd-node
systemctl daemon-reload
userdel etcd
chown 4242:4242 /var/lib/etcd
";

/// Takes members out of the list, as somebody does who saves what is left of a cluster.
fn remove(site: &Site, keys: &[usize]) -> Outcome {
    let first = site.member(1);
    for key in keys {
        let list = first.etcdctl(&["member", "list"])?;
        let name = format!("etcd-demo-{key}");
        let line = list.lines().find(|line| line.contains(&name));
        let id = line.and_then(|line| line.split(',').next());
        let id = id.ok_or("the member is in the list")?.to_owned();
        // etcd refuses it while members have not known each other for some seconds.
        until("the member is removed", || {
            first.etcdctl(&["member", "remove", &id]).is_ok()
        })?;
        // It may have led the others.
        until("there is a leader", || {
            first.etcdctl(&["endpoint", "health"]).is_ok()
        })?;
    }
    Ok(())
}

/// Calls that an apply makes, in order: the node whose host is asked, and for what.
fn calls(site: &Site) -> Result<Vec<(String, String)>, Box<dyn std::error::Error>> {
    let log = site.directory().join("calls.log");
    let output = site
        .command(&["apply", "-auto-approve", "-no-color"])?
        .env("TF_LOG_PROVIDER", "debug")
        .env("TF_LOG_PATH", &log)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = fs::read_to_string(&log)?;
    let calls = text.lines().filter_map(|line| {
        let value = |name: &str| {
            let rest = line.split_once(&format!(" {name}="))?.1;
            Some(rest.split(' ').next()?.trim_matches('"').to_owned())
        };
        let is_call = line.contains(": calling: ");
        is_call.then(|| Some((value("node")?, value("call")?)))?
    });
    Ok(calls.collect())
}

#[test]
fn members_that_were_removed_join_again() -> Outcome {
    let site = Site::running("rejoin")?;
    site.member(1).etcdctl(&["put", "key", "value"])?;
    // Of two the first joins while the other one is in no list.
    for gone in [&[3][..], &[2, 3]] {
        remove(&site, gone)?;
        let plan = site.plan()?;
        assert_eq!(plan.code, 2, "{plan}");
        for key in gone {
            plan.expect_says(&format!("etcd-demo-{key} is not in the member list"));
        }
        plan.expect_says(&format!("add {} as a learner", gone[0]));
        let made = calls(&site)?;
        site.expect_no_change()?;
        // What lets a member start without data is gone before it votes.
        for key in gone {
            let of = |call: &str| {
                let is_it =
                    |(node, name): &(String, String)| *node == key.to_string() && name == call;
                made.iter().rposition(is_it)
            };
            let promoted = made.iter().rposition(|(_, name)| name == "PromoteLearner");
            assert!(
                of("ControlUnit").is_some() && of("ControlUnit") < of("Ensure"),
                "{key}: {made:?}"
            );
            assert!(of("Ensure") < promoted, "{key}: {made:?}");
        }
        for key in gone {
            let member = site.member(*key);
            until("the member has the data", || {
                member
                    .etcdctl(&["get", "key"])
                    .is_ok_and(|text| text.contains("value"))
            })?;
        }
    }
    site.down()
}

#[test]
fn a_host_that_was_installed_anew_on_its_data_disk_joins_again() -> Outcome {
    let site = Site::running("disk")?;
    let (first, third) = (site.member(1), &site.hosts()[2]);
    first.etcdctl(&["put", "key", "value"])?;
    third.root_text(&["sh", "-ec", REINSTALL])?;
    // Data is never taken over unseen; the way is told before anything is done.
    for run in [site.plan()?, site.apply()?] {
        assert_eq!(run.code, 1, "{run}");
        run.expect_says("/var/lib/etcd/etcd-demo-3 on");
        run.expect_says("is there without its member");
        run.expect_says("mv /var/lib/etcd/etcd-demo-3 /var/lib/etcd/etcd-demo-3.before");
    }
    let data = "/var/lib/etcd/etcd-demo-3";
    third.root_text(&["mv", data, &format!("{data}.before")])?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 2, "{plan}");
    plan.expect_says("prepare the host of 3");
    site.apply()?.expect_ok();
    assert_eq!(site.state(CLUSTER)?["status"], "ready");
    let value = site
        .member(3)
        .etcdctl(&["get", "key", "--print-value-only"])?;
    assert_eq!(value.trim(), "value");
    site.expect_no_change()?;
    site.down()
}

/// The commands of docs/operations.md for a lost majority, for this cluster.
fn commands() -> Result<[String; 2], Box<dyn std::error::Error>> {
    let page = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/operations.md"
    ))?;
    let section = page
        .split("## A majority is lost")
        .nth(1)
        .ok_or("a section")?;
    let mut blocks = section.split("```shell\n").skip(1);
    let mut block = || -> Result<String, Box<dyn std::error::Error>> {
        let text = blocks.next().ok_or("a block")?;
        let text = text.split("```").next().unwrap_or_default();
        Ok(text.replace("etcd-k8s-", "etcd-demo-"))
    };
    Ok([block()?, block()?])
}

#[test]
fn a_cluster_is_saved_from_its_last_member() -> Outcome {
    let site = Site::running("saved")?;
    let first = site.member(1);
    first.etcdctl(&["put", "key", "value"])?;
    for (host, key) in site.hosts()[1..].iter().zip(["2", "3"]) {
        let script =
            format!("systemctl stop etcd-demo-{key}; rm -r /var/lib/etcd/etcd-demo-{key}/*");
        host.root_text(&["sh", "-ec", &script])?;
    }
    let apply = site.apply()?;
    assert_eq!(apply.code, 1, "{apply}");
    apply.expect_says("see \"A majority is lost\" in docs/operations.md");
    let [alone, back] = commands()?;
    site.hosts()[0].root_text(&["sh", "-ec", &alone])?;
    until("the last member is a cluster of one", || {
        first.etcdctl(&["endpoint", "health"]).is_ok()
    })?;
    site.hosts()[0].root_text(&["sh", "-ec", &back])?;
    until("it serves from its unit", || {
        first.etcdctl(&["endpoint", "health"]).is_ok()
    })?;
    site.apply()?.expect_ok();
    assert_eq!(site.state(CLUSTER)?["status"], "ready");
    for number in [2, 3] {
        let value = site
            .member(number)
            .etcdctl(&["get", "key", "--print-value-only"])?;
        assert_eq!(value.trim(), "value");
    }
    site.expect_no_change()?;
    site.down()
}
