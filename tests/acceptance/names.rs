//! Where SSH reaches a host, where etcd listens there and what others are told are three things.

use std::error::Error;

use lab::{Host, HostSpec, Release};
use serde_json::{Value as Json, json};
use tests::{Outcome, Site, cluster::until};

const CLUSTER: &str = "etcd_cluster.demo";

/// Seconds by which a CA dates certificates back, for clocks that are behind.
const BACKDATED: i64 = 60;

/// Two more addresses for a host, and the names of all hosts, each with both of its addresses.
fn readdress(host: &Host, number: usize) -> Outcome {
    let script = format!(
        "ip address add 10.88.0.{number}/24 dev host0\n\
         ip address add fd88::{number}/64 dev host0 nodad\n\
         for i in 1 2 3; do echo \"10.88.0.$i etcd$i.example\"; echo \"fd88::$i etcd$i.example\"; done \
         >> /etc/hosts"
    );
    host.root_text(&["sh", "-ec", &script])?;
    Ok(())
}

/// A certificate as the real step shows it: a file of the host, or what a URL serves there.
fn inspect(host: &Host, place: &str) -> Result<Json, Box<dyn Error>> {
    let argv = [
        "/opt/bin/step",
        "certificate",
        "inspect",
        "--format",
        "json",
        "--insecure",
        place,
    ];
    Ok(serde_json::from_str(&host.root_text(&argv)?)?)
}

/// Names and addresses in a certificate, sorted.
fn names(certificate: &Json) -> Vec<String> {
    let all = &certificate["extensions"]["subject_alt_name"];
    let mut names: Vec<String> = ["dns_names", "ip_addresses"]
        .iter()
        .flat_map(|kind| all[kind].as_array().cloned().unwrap_or_default())
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

fn life(certificate: &Json) -> i64 {
    certificate["validity"]["length"].as_i64().unwrap_or(-1)
}

/// Asks the cluster from a host with nothing but the outputs of the resource.
fn health(site: &Site, number: usize) -> Result<String, Box<dyn Error>> {
    let state = site.state(CLUSTER)?;
    let member = &state["members"][number.to_string()]["client_certificate"];
    let file = |name: &str| member[name].as_str().unwrap_or_default().to_owned();
    Ok(site.hosts()[number - 1].root_text(&[
        "/opt/bin/etcdctl",
        "--endpoints",
        state["endpoints_joined"].as_str().unwrap_or_default(),
        "--cacert",
        &file("ca_file"),
        "--cert",
        &file("certificate_file"),
        "--key",
        &file("key_file"),
        "endpoint",
        "health",
    ])?)
}

fn processes(site: &Site) -> Result<Vec<String>, Box<dyn Error>> {
    let of = |(host, key): (&Host, u8)| {
        let unit = format!("etcd-demo-{key}");
        Ok(host.root_text(&["systemctl", "show", "-P", "MainPID", &unit])?)
    };
    site.hosts().iter().zip(1..).map(of).collect()
}

#[test]
fn hosts_listen_and_are_told_of_under_different_names_in_both_families() -> Outcome {
    let site = Site::new("names", vec![HostSpec::new(Release::Bookworm); 3])?;
    for (host, number) in site.hosts().iter().zip(1..) {
        readdress(host, number)?;
    }
    let listens = ["10.88.0.1", "10.88.0.2", "fd88::3"];
    let node = |number: usize, more: &str| {
        format!(
            "\"{number}\" = {{ host = \"{}\", address = \"{}\", advertise = \"etcd{number}.example\"{more} }}",
            site.hosts()[number - 1].address(),
            listens[number - 1],
        )
    };
    let configuration = |first: &str, more: &str| {
        format!(
            r#"{}
resource "etcd_step_ca" "main" {{
  name                = "main"
  nodes               = {{ "1" = {{ host = "{}" }} }}
  active_node         = "1"
  deletion_protection = false
}}
resource "etcd_cluster" "demo" {{
  name                = "demo"
  issuer              = etcd_step_ca.main.issuer
  deletion_protection = false
  nodes = {{
    {}
    {}
    {}
  }}
  {more}
}}
"#,
            site.head(),
            site.hosts()[0].address(),
            node(1, first),
            node(2, ""),
            node(3, ""),
        )
    };
    let first = ", server_sans = [\"k8s.example\", \"10.99.0.9\"]";
    site.write(
        "main.tf",
        &configuration(first, "server_sans = [\"etcd.kube-system.svc\"]"),
    )?;
    site.init()?;
    site.apply()?.expect_ok();
    site.expect_no_change()?;
    let state = site.state(CLUSTER)?;
    assert_eq!(state["status"], "ready");
    for (number, host) in (1..=3).zip(site.hosts()) {
        let member = format!("etcd-demo-{number}");
        let stem = format!("/etc/etcd/ssl/{member}-client");
        let expected = json!({
            "name": member,
            "host": host.address().to_string(),
            "address": listens[number - 1],
            "peer_url": format!("https://etcd{number}.example:2380"),
            "client_url": format!("https://etcd{number}.example:2379"),
            "unit": format!("{member}.service"),
            "data_directory": format!("/var/lib/etcd/{member}"),
            "configuration_file": format!("/etc/etcd/{member}-conf.yaml"),
            "client_certificate": {
                "ca_file": "/etc/etcd/ssl/main-root_ca.crt",
                "certificate_file": format!("{stem}.crt"),
                "key_file": format!("{stem}.key"),
            },
        });
        assert_eq!(state["members"][number.to_string()], expected);
        let health = health(&site, number)?;
        assert_eq!(health.matches("is healthy").count(), 3, "{health}");
        // What is not said to be listened on is not.
        let listeners = host.root_text(&["ss", "-Hltn", "sport = :2379 or sport = :2380"])?;
        assert!(
            !listeners.contains(&host.address().to_string()),
            "{listeners}"
        );
    }

    let host = &site.hosts()[0];
    let certificates =
        ["peer", "server", "client"].map(|role| format!("/etc/etcd/ssl/etcd-demo-1-{role}.crt"));
    let common = [
        "demo.server.etcd.internal",
        "etcd-demo-1",
        "etcd1.example",
        "localhost",
    ];
    let mut expected = [
        vec![
            "demo.peer.etcd.internal",
            "etcd-demo-1",
            "etcd1.example",
            "10.88.0.1",
        ],
        [
            &common[..],
            &[
                "10.88.0.1",
                "127.0.0.1",
                "::1",
                "etcd.kube-system.svc",
                "k8s.example",
                "10.99.0.9",
            ],
        ]
        .concat(),
        vec!["demo.client.etcd.internal"],
    ];
    let ssh = host.address().to_string();
    expected[1].push(&ssh);
    for (path, mut expected) in certificates.iter().zip(expected) {
        let certificate = inspect(host, path)?;
        expected.sort_unstable();
        assert_eq!(names(&certificate), expected, "{path}");
        assert_eq!(life(&certificate), 17_520 * 3600 + BACKDATED, "{path}");
    }

    // Other names, and then another life: new certificates for those who run.
    let before = processes(&site)?;
    let served = |words: &str| {
        let served = inspect(host, "https://10.88.0.1:2379");
        served.is_ok_and(|served| names(&served).iter().any(|name| name == words))
    };
    site.write(
        "main.tf",
        &configuration("", "server_sans = [\"other.example\"]"),
    )?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 2, "{plan}");
    plan.expect_says("issue the server certificate of 1");
    plan.expect_says("issue the server certificate of 3");
    assert!(!plan.text.contains("restart 1"), "{plan}");
    site.apply()?.expect_ok();
    until("the new name is served", || served("other.example"))?;
    site.expect_no_change()?;
    let short = "server_sans = [\"other.example\"]\n  certificate_lifetime = \"1h\"";
    site.write("main.tf", &configuration("", short))?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 2, "{plan}");
    for role in ["peer", "server", "client"] {
        plan.expect_says(&format!("issue the {role} certificate of 2"));
    }
    site.apply()?.expect_ok();
    for path in &certificates {
        assert_eq!(life(&inspect(host, path)?), 3600 + BACKDATED, "{path}");
    }
    site.expect_no_change()?;
    assert_eq!(processes(&site)?, before, "nobody was restarted");
    let health = health(&site, 3)?;
    assert_eq!(health.matches("is healthy").count(), 3, "{health}");
    // The longest that there is.
    site.write(
        "main.tf",
        &configuration("", &short.replace("1h", "26280h")),
    )?;
    site.apply()?.expect_ok();
    let certificate = inspect(host, &certificates[0])?;
    assert_eq!(life(&certificate), 26_280 * 3600 + BACKDATED);
    site.expect_no_change()?;
    site.down()
}
