//! Several clusters on the same hosts under one CA.

use std::error::Error;

use lab::{Host, HostSpec, Release};
use serde_json::json;
use tests::{
    Outcome, Site,
    cluster::{Member, until},
};

/// Whether a port of the host answers somebody with a certificate of a cluster on it. Who answers there is
/// checked against `ca`, or not at all: then a refusal is the port's own.
fn answers(host: &Host, url: &str, cluster: &str, role: &str, ca: Option<&str>) -> bool {
    let stem = format!("/etc/etcd/ssl/etcd-{cluster}-1-{role}");
    let (certificate, key) = (format!("{stem}.crt"), format!("{stem}.key"));
    let root = ca.map(|ca| format!("/etc/etcd/ssl/{ca}-root_ca.crt"));
    // The port for members offers HTTP/2 and does not speak it.
    let mut argv = vec![
        "curl",
        "--http1.1",
        "--silent",
        "--show-error",
        "--fail",
        "--max-time",
        "10",
    ];
    match &root {
        Some(root) => argv.extend(["--cacert", root]),
        None => argv.push("--insecure"),
    }
    argv.extend(["--cert", &certificate, "--key", &key, url]);
    host.root_text(&argv).is_ok()
}

/// What every program on the host trusts.
fn trusted(host: &Host) -> Result<String, Box<dyn Error>> {
    let places = "/etc/ssl/certs /usr/local/share/ca-certificates /usr/share/ca-certificates";
    let script = format!("find {places} -printf '%p %s %T@ %l\\n' | sort");
    Ok(host.root_text(&["sh", "-ec", &script])?)
}

/// Life of a certificate on the host, in seconds.
fn life(host: &Host, path: &str) -> Result<i64, Box<dyn Error>> {
    let inspect = [
        "/opt/bin/step",
        "certificate",
        "inspect",
        "--format",
        "json",
        path,
    ];
    let told: serde_json::Value = serde_json::from_str(&host.root_text(&inspect)?)?;
    Ok(told["validity"]["length"].as_i64().ok_or("a length")?)
}

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
    let host = &site.hosts()[0];
    let trust = trusted(host)?;
    site.apply()?.expect_ok();
    site.expect_no_change()?;
    assert_eq!(trusted(host)?, trust, "our CA is nobody else's business");
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
            // Between members: the port of one, asked with the certificates of another.
            let url = format!("https://{}:{}/members", host.address(), member.port + 1);
            for role in ["peer", "client"] {
                let ca = (other.cluster == member.cluster).then_some("main");
                assert_eq!(
                    answers(host, &url, other.cluster, role, ca),
                    other.cluster == member.cluster && role == "peer",
                    "the peer port of {} asked with the {role} certificate of {}",
                    member.cluster,
                    other.cluster
                );
            }
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

#[test]
fn a_cluster_may_have_a_ca_of_its_own_on_the_same_host() -> Outcome {
    let site = Site::new("cas", vec![HostSpec::new(Release::Bookworm)])?;
    let host = &site.hosts()[0];
    let address = host.address();
    let pair = |name: &str, ca: &str, ports: &str| {
        format!(
            r#"
resource "etcd_step_ca" "{name}" {{
  name                = "{name}"
  nodes               = {{ "1" = {{ host = "{address}" }} }}
  active_node         = "1"
  deletion_protection = false
{ca}
}}
resource "etcd_cluster" "{name}" {{
  name                = "{name}"
  issuer              = etcd_step_ca.{name}.issuer
  nodes               = {{ "1" = {{ host = "{address}" }} }}
  deletion_protection = false
{ports}
}}
"#
        )
    };
    let own = "instance = \"own\"\n  port = 9100";
    let ports = "client_port = 2479\n  peer_port = 2480";
    let text = [site.head(), pair("main", "", ""), pair("own", own, ports)].concat();
    site.write("main.tf", &text)?;
    site.init()?;
    site.apply()?.expect_ok();
    site.expect_no_change()?;

    // Ten years, and a minute for clocks that are behind.
    let years = 10 * 365 * 24 * 3600;
    for directory in ["/etc/step-ca", "/etc/step-ca-own"] {
        for name in ["root_ca", "intermediate_ca"] {
            let life = life(host, &format!("{directory}/certs/{name}.crt"))?;
            assert!((years..=years + 60).contains(&life), "{name}: {life} s");
        }
    }

    host.reboot()?;
    let clusters = [("main", 2379_u16), ("own", 2479)];
    for (cluster, port) in clusters {
        let url = format!("https://{address}:{port}/health");
        until("the cluster answers after the boot", || {
            answers(host, &url, cluster, "client", Some(cluster))
        })?;
        let (other, _) = clusters
            .iter()
            .find(|(other, _)| *other != cluster)
            .ok_or("two clusters")?;
        assert!(
            !answers(host, &url, other, "client", None),
            "{cluster} lets in who has a certificate of {other}"
        );
    }
    until("both CAs are back", || {
        let units = ["systemctl", "is-active", "step-ca", "step-ca-own"];
        host.root_text(&units).is_ok()
    })?;
    site.expect_no_change()?;

    // One goes, the other one stays.
    site.write("main.tf", &[site.head(), pair("main", "", "")].concat())?;
    site.apply()?.expect_ok();
    let left = host.root_text(&[
        "sh",
        "-c",
        "ls -d /etc/step-ca-own /etc/systemd/system/step-ca-own*",
    ]);
    assert!(left.is_err(), "{left:?}");
    assert_eq!(
        host.root_text(&["systemctl", "is-active", "step-ca"])?,
        "active"
    );
    let url = format!("https://{address}:2379/health");
    assert!(answers(host, &url, "main", "client", Some("main")));
    site.expect_no_change()?;
    site.down()
}
