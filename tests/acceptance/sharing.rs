//! Several clusters on the same hosts under one CA.

use lab::{HostSpec, Release};
use serde_json::json;
use tests::{Outcome, Site, cluster::Member};

#[test]
fn three_clusters_live_side_by_side_and_refuse_each_other() -> Outcome {
    let site = Site::new("three", vec![HostSpec::new(Release::Bookworm); 3])?;
    site.example("three-clusters")?;
    let quickstart = site.quickstart();
    site.set(&json!({
        "hosts": quickstart["hosts"],
        "ssh": {
            "private_key_file": quickstart["private_key_file"],
            "known_hosts_file": quickstart["known_hosts_file"],
        },
        "download_mirror": quickstart["download_mirror"],
        "protected": false,
    }))?;
    site.init()?;
    site.apply()?.expect_ok();
    site.expect_no_change()?;
    let host = &site.hosts()[0];
    let members = [
        ("k8s", 2379, "3.5.35"),
        ("events", 2479, "3.6.16"),
        ("config", 2579, "3.7.3"),
    ]
    .map(|(cluster, port, version)| {
        (
            Member {
                host,
                cluster,
                key: "1",
                port,
            },
            version,
        )
    });
    for (member, version) in &members {
        let status = member.etcdctl(&["endpoint", "status", "--write-out=json"])?;
        assert!(
            status.contains(&format!("\"version\":\"{version}\"")),
            "{status}"
        );
        for (other, _) in &members {
            let answer = member.etcdctl_as(other.cluster, &["get", "key"]);
            assert_eq!(
                answer.is_ok(),
                other.cluster == member.cluster,
                "{} asked with the certificate of {}: {answer:?}",
                member.cluster,
                other.cluster
            );
        }
    }
    // What one loses, the others do not notice.
    let running = |cluster: &str| {
        host.root_text(&[
            "systemctl",
            "show",
            "-P",
            "MainPID",
            &format!("etcd-{cluster}-1.service"),
        ])
    };
    let before = [running("k8s")?, running("config")?];
    site.run(&[
        "destroy",
        "-auto-approve",
        "-no-color",
        "-target=etcd_cluster.this[\"events\"]",
    ])?
    .expect_ok();
    assert_eq!([running("k8s")?, running("config")?], before);
    assert!(
        members[0]
            .0
            .etcdctl(&["endpoint", "health"])?
            .contains("is healthy")
    );
    // Its state is lost: the hosts know what they have.
    let address = "etcd_cluster.this[\"k8s\"]";
    site.run(&["state", "rm", address])?.expect_ok();
    let again = site.run(&["plan", "-no-color", &format!("-target={address}")])?;
    assert_ne!(again.code, 0, "{again}");
    again.expect_says("Cluster k8s exists already on");
    let addresses: Vec<String> = site
        .hosts()
        .iter()
        .map(|host| host.address().to_string())
        .collect();
    let id = format!("k8s@{}", addresses.join(","));
    site.run(&["import", "-no-color", address, &id])?
        .expect_ok();
    let plan = site.run(&[
        "plan",
        "-detailed-exitcode",
        "-no-color",
        &format!("-target={address}"),
    ])?;
    assert_eq!(plan.code, 0, "nothing differs after an import: {plan}");
    site.destroy()?.expect_ok();
    site.down()
}
