//! What one resource made stays its own: another state, another resource of the same name, a CA of the same
//! name and swapped hosts are refused before anything is touched.

use std::{fs, path::PathBuf};

use lab::Host;
use serde_json::{Value as Json, json};
use tests::{
    Outcome, Site,
    cluster::{Member, until},
};

const CLUSTER: &str = "etcd_cluster.demo";

#[track_caller]
fn expect_all_healthy(site: &Site) {
    for member in [1, 2, 3].map(|number| site.member(number)) {
        let health = member.etcdctl(&["endpoint", "health"]);
        assert!(
            health
                .as_ref()
                .is_ok_and(|text| text.contains("is healthy")),
            "{health:?}"
        );
    }
}

/// The configuration of somebody else, with a state of its own, on the same hosts.
fn somebody_else(site: &Site, resources: &str, issuer: &Json) -> Outcome {
    let addresses: Vec<String> = site
        .hosts()
        .iter()
        .map(|host| format!("\"{}\"", host.address()))
        .collect();
    let text = format!(
        "{}\nlocals {{\n  hosts  = [{}]\n  nodes  = {{ for i, host in local.hosts : tostring(i + 1) => {{ \
         host = host }} }}\n  issuer = jsondecode({:?})\n}}\n{resources}",
        site.head(),
        addresses.join(", "),
        issuer.to_string(),
    );
    fs::create_dir_all(site.directory().join("other"))?;
    site.write("other/main.tf", &text)?;
    site.run(&["-chdir=other", "init", "-no-color"])?
        .expect_ok();
    Ok(())
}

const OTHER_PORTS: &str =
    "client_port = 12379\n  peer_port   = 12380\n  deletion_protection = false";

/// What somebody else wants, and what is said of it at plan.
fn refused() -> [(String, &'static str); 4] {
    let second_ca = format!(
        r#"
resource "etcd_step_ca" "main" {{
  name        = "main"
  port        = 9100
  nodes       = {{ "1" = {{ host = local.hosts[1] }} }}
  active_node = "1"
}}
resource "etcd_cluster" "other" {{
  name   = "other"
  issuer = etcd_step_ca.main.issuer
  nodes  = local.nodes
  {OTHER_PORTS}
}}
"#
    );
    let same = r#"
resource "etcd_cluster" "demo" {
  name                  = "demo"
  issuer                = local.issuer
  nodes                 = local.nodes
  heartbeat_interval_ms = 300
}
"#;
    let twice = format!(
        r#"
resource "etcd_cluster" "x" {{
  for_each = toset(["a", "b"])
  name     = "dup"
  issuer   = local.issuer
  nodes    = local.nodes
  {OTHER_PORTS}
}}
"#
    );
    let other_root = format!(
        r#"
resource "etcd_cluster" "other" {{
  name   = "other"
  issuer = merge(local.issuer, {{ root_fingerprint = "{}" }})
  nodes  = local.nodes
  {OTHER_PORTS}
}}
"#,
        "f".repeat(64)
    );
    [
        (second_ca, "etcd_cluster/demo on"),
        (same.to_owned(), "Cluster demo exists already on"),
        (twice, "Two resources etcd_cluster are named dup"),
        (other_root, "trusts another CA named main"),
    ]
}

#[test]
fn nobody_else_takes_over_what_a_state_has() -> Outcome {
    let site = Site::running("owned")?;
    let issuer = site.state(CLUSTER)?["issuer"].clone();
    for (resources, says) in refused() {
        somebody_else(&site, &resources, &issuer)?;
        let plan = site.run(&["-chdir=other", "plan", "-no-color"])?;
        assert_eq!(plan.code, 1, "{plan}");
        plan.expect_says(says);
        plan.expect_says("Nothing was changed");
    }
    // Nodes whose hosts were exchanged, and two nodes on one host.
    let text = fs::read_to_string(site.directory().join("main.tf"))?;
    let nodes = |second: usize, third: usize| {
        let hosts: Vec<String> = site
            .hosts()
            .iter()
            .map(|host| host.address().to_string())
            .collect();
        format!(
            r#"  nodes               = {{
    "1" = {{ host = "{}" }}
    "2" = {{ host = "{}", address = "{}" }}
    "3" = {{ host = "{}", address = "{}" }}
  }}
"#,
            hosts[0], hosts[second], hosts[1], hosts[third], hosts[2]
        )
    };
    for (second, third, says) in [
        (2, 1, "is not the machine of node \"2\""),
        (1, 1, "Two nodes on one host"),
    ] {
        with_nodes(&site, &nodes(second, third))?;
        let plan = site.plan()?;
        assert_eq!(plan.code, 1, "{plan}");
        plan.expect_says(says);
        site.write("main.tf", &text)?;
    }
    site.expect_no_change()?;
    expect_all_healthy(&site);
    site.down()
}

/// The quickstart with other nodes in its cluster.
fn with_nodes(site: &Site, nodes: &str) -> Outcome {
    let text = fs::read_to_string(site.directory().join("main.tf"))?;
    let (head, tail) = text
        .split_once("resource \"etcd_cluster\"")
        .expect("a cluster");
    let tail = tail.replace("  nodes               = local.nodes\n", nodes);
    site.write("main.tf", &format!("{head}resource \"etcd_cluster\"{tail}"))
}

/// The host as a kill between the quorum and its record leaves it: the journal is open. `knows` is
/// whether the record was written there.
fn reopen(host: &Host, knows: bool) -> Outcome {
    let ours = host.root_directory().join("var/lib/etcd-node");
    let path = ours.join("ledger.json");
    let mut ledger: Json = serde_json::from_slice(&fs::read(&path)?)?;
    let owner = &mut ledger["owners"]["etcd_cluster/demo"];
    let text = owner["manifest"].as_str().ok_or("a manifest")?;
    let mut manifest: Json = serde_json::from_str(text)?;
    manifest["bootstrapped"] = knows.into();
    owner["manifest"] = manifest.to_string().into();
    let entry = json!({
        "format": 1,
        "written_by": ledger["written_by"],
        "owner": "etcd_cluster/demo",
        "id": manifest["id"],
        "wish": manifest["wish"],
        "by": "an apply that was killed",
        "started_ms": 0,
        "phase": "creating",
    });
    let journal: PathBuf = ours.join("journal");
    fs::create_dir_all(&journal)?;
    fs::write(journal.join("etcd_cluster@demo.json"), entry.to_string())?;
    Ok(fs::write(&path, ledger.to_string())?)
}

#[test]
fn a_creation_on_other_ports_spares_what_had_a_quorum() -> Outcome {
    let site = Site::running("earlier")?;
    let first = site.member(1);
    first.etcdctl(&["put", "key", "value"])?;
    for (host, knows) in site.hosts().iter().zip([false, false, true]) {
        reopen(host, knows)?;
    }
    site.run(&["state", "rm", CLUSTER])?.expect_ok();
    let text = fs::read_to_string(site.directory().join("main.tf"))?;
    site.write("main.tf", &site.with("client_port = 4379")?)?;
    for run in [site.plan()?, site.apply()?] {
        assert_eq!(run.code, 1, "{run}");
        run.expect_says("An earlier creation of cluster demo may hold data");
        run.expect_says("Nothing was changed");
    }
    // No host needs to have written anything down: the members themselves say it.
    reopen(&site.hosts()[2], false)?;
    site.plan()?.expect_says("has a leader");
    expect_all_healthy(&site);
    // Members that were started are changed by updates alone.
    site.write("main.tf", &text)?;
    site.write("main.tf", &site.with("version = \"3.6.16\"")?)?;
    for run in [site.plan()?, site.apply()?] {
        assert_eq!(run.code, 1, "{run}");
        run.expect_says("The creation of cluster demo was begun otherwise");
        run.expect_says("set version = \"3.5.35\"");
    }
    expect_all_healthy(&site);
    // What the message says is the way.
    site.write("main.tf", &text)?;
    let apply = site.apply()?;
    apply.expect_ok();
    apply.expect_says("A creation of cluster demo that was begun goes on");
    assert!(!apply.text.contains("incomplete"), "{apply}");
    assert!(first.etcdctl(&["get", "key"])?.contains("value"));
    site.expect_no_change()?;
    site.down()
}

#[test]
fn a_creation_whose_answer_was_lost_is_completed_where_it_was_begun() -> Outcome {
    let site = Site::running("answer")?;
    let text = fs::read_to_string(site.directory().join("main.tf"))?;
    let id = site.state(CLUSTER)?["id"].clone();
    site.member(1).etcdctl(&["put", "key", "value"])?;
    let lose = || -> Outcome {
        site.run(&["state", "rm", CLUSTER])?.expect_ok();
        Ok(())
    };
    lose()?;
    // Somewhere else it is a thing that exists, and with other settings too.
    let same = r#"
resource "etcd_cluster" "demo" {
  name   = "demo"
  issuer = local.issuer
  nodes  = local.nodes
}
"#;
    let issuer = site.state("etcd_step_ca.main")?["issuer"].clone();
    somebody_else(&site, same, &issuer)?;
    let plan = site.run(&["-chdir=other", "plan", "-no-color"])?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("Cluster demo exists already on");
    site.write("main.tf", &site.with("client_port = 4379")?)?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("Cluster demo exists already on");
    site.write("main.tf", &text)?;
    let apply = site.apply()?;
    apply.expect_ok();
    apply.expect_says("A creation of cluster demo that was begun goes on");
    assert_eq!(
        site.state(CLUSTER)?["id"],
        id,
        "it was adopted, not made anew"
    );
    assert!(site.member(1).etcdctl(&["get", "key"])?.contains("value"));
    // Once it was read in a state, nobody takes it for a creation any more.
    site.expect_no_change()?;
    lose()?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("Cluster demo exists already on");
    site.down()
}

#[test]
fn a_host_that_is_reached_by_another_name_is_looked_at() -> Outcome {
    let site = Site::running("renamed")?;
    let addresses: Vec<String> = site
        .hosts()
        .iter()
        .map(|host| host.address().to_string())
        .collect();
    let third = &site.hosts()[2];
    let (network, number) = addresses[2].rsplit_once('.').ok_or("an address")?;
    let other = format!("{network}.1{number}");
    // The member stops, and the machine answers at its other address only.
    third.root_text(&[
        "sh",
        "-ec",
        &format!(
            "systemctl stop etcd-demo-3; \
             link=$(ip -o addr show to {} | cut -d' ' -f2); ip addr add {other}/24 dev $link; \
             echo ListenAddress {other} >> /etc/ssh/sshd_config; systemctl restart ssh",
            addresses[2]
        ),
    ])?;
    let key = third.root_text(&["cat", "/etc/ssh/ssh_host_ed25519_key.pub"])?;
    let key = key.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let nodes = format!(
        r#"  nodes               = {{
    "1" = {{ host = "{}" }}
    "2" = {{ host = "{}" }}
    "3" = {{ host = "{other}", address = "{}", host_key = "{key}" }}
  }}
"#,
        addresses[0], addresses[1], addresses[2]
    );
    with_nodes(&site, &nodes)?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 2, "{plan}");
    plan.expect_says("start 3");
    site.apply()?.expect_ok();
    assert_eq!(site.state(CLUSTER)?["status"], "ready");
    site.expect_no_change()?;
    expect_all_healthy(&site);
    site.down()
}

#[test]
fn what_a_later_cluster_uses_stays_and_a_name_can_be_made_again() -> Outcome {
    let site = Site::running("later")?;
    let text = fs::read_to_string(site.directory().join("main.tf"))?;
    let second = format!(
        r#"
resource "etcd_cluster" "second" {{
  name   = "second"
  issuer = etcd_step_ca.main.issuer
  nodes  = {{ for i, host in var.hosts : tostring(i + 1) => {{ host = host }} }}
  {OTHER_PORTS}
}}
"#
    );
    site.write("main.tf", &format!("{text}{second}"))?;
    site.apply()?.expect_ok();
    // Its data is kept, in a directory that only root can pass.
    let anew = site.run(&[
        "apply",
        "-auto-approve",
        "-no-color",
        "-replace=etcd_cluster.second",
    ])?;
    anew.expect_ok();
    site.expect_no_change()?;
    site.run(&[
        "destroy",
        "-auto-approve",
        "-no-color",
        "-target=etcd_cluster.demo",
    ])?
    .expect_ok();
    for host in site.hosts() {
        host.root_text(&["test", "-x", "/opt/bin/etcd-3.5.35"])?;
        host.root_text(&["systemctl", "restart", "--no-block", "etcd-second-*"])?;
    }
    let member = Member {
        host: &site.hosts()[0],
        cluster: "second",
        key: "1",
        port: 12379,
    };
    until("all members come up again", || {
        member
            .etcdctl(&["endpoint", "health", "--cluster"])
            .is_ok_and(|text| text.matches("is healthy").count() == 3)
    })?;
    site.run(&["destroy", "-auto-approve", "-no-color"])?
        .expect_ok();
    site.write("main.tf", &text)?;
    site.apply()?.expect_ok();
    site.expect_no_change()?;
    site.down()
}
