//! The etcd half on real hosts: a CA and three clusters, planned before anything exists and applied side by side.

use lab::{HostSpec, Release};
use tests::{Outcome, Site, cluster::Member};

use crate::tree::Tree;

#[test]
fn a_ca_and_three_clusters_come_up_and_go() -> Outcome {
    let site = Site::new("terragrunt", vec![HostSpec::new(Release::Bookworm); 3])?;
    let mut tree = Tree::new()?;
    let first = &site.hosts()[0];
    let addresses: Vec<_> = site
        .hosts()
        .iter()
        .map(|host| host.address().to_string())
        .collect();
    tree.set("ETCD_HOSTS", &addresses.join(","));
    tree.set(
        "ETCD_DOWNLOAD_MIRROR",
        &site.archives().display().to_string(),
    );
    tree.log_in(first);

    let plan = tree.all("etcd", &["plan", "-no-color"])?;
    plan.expect_ok();
    plan.expect_says("Succeeded 4");
    let apply = tree.all("etcd", &["apply", "-no-color"])?;
    apply.expect_ok();
    apply.expect_says("Succeeded 4");

    for (cluster, port) in [("k8s", 2379), ("events", 2479), ("config", 2579)] {
        let member = Member {
            host: first,
            cluster,
            key: "1",
            port,
        };
        let health = member.etcdctl(&["endpoint", "health", "--cluster"])?;
        assert_eq!(
            health.matches("is healthy").count(),
            3,
            "{cluster}: {health}"
        );
    }
    let flags = tree.json("etcd/k8s", &["output", "-json", "apiserver_flags"])?;
    let servers: Vec<_> = addresses
        .iter()
        .map(|address| format!("https://{address}:2379"))
        .collect();
    assert_eq!(flags[0], format!("--etcd-servers={}", servers.join(",")));
    // An API server on the first host finds what its flags name.
    for flag in flags.as_array().into_iter().flatten().skip(1) {
        let (_, file) = flag
            .as_str()
            .and_then(|flag| flag.split_once('='))
            .ok_or("a flag with a file")?;
        first.root_text(&["test", "-r", file])?;
    }

    let plan = tree.all("etcd", &["plan", "-no-color", "-detailed-exitcode"])?;
    assert_eq!(plan.code, 0, "nothing is left to do: {plan}");

    tree.set("ETCD_PROTECTED", "false");
    tree.all("etcd", &["apply", "-no-color"])?.expect_ok();
    tree.all("etcd", &["destroy", "-no-color"])?.expect_ok();
    site.down()
}
