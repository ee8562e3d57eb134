//! What a node is told about BGP, told to a real FRR that speaks with a real neighbour.

use std::{error::Error, fmt::Write as _, fs};

use lab::{Home, Host, HostSpec, Lab, Release, Spec, build_host};
use serde_json::Value as Json;
use tests::{Outcome, cluster::until};

use crate::tree::Tree;

const NODE: &str = "solwk01";

/// The gateway of the SDN: it says where the way out is, and more than a node wants to hear.
const GATEWAY: &str = "frr defaults datacenter
router bgp 65000
 bgp router-id 192.0.2.1
 no bgp default ipv4-unicast
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor gw0 interface remote-as external
 neighbor gw0 capability extended-nexthop
 address-family ipv4 unicast
  network 198.51.100.0/24
  neighbor gw0 activate
  neighbor gw0 default-originate
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:f::/48
  neighbor gw0 activate
  neighbor gw0 default-originate
 exit-address-family
";

/// Lays the wires: one to the gateway, which lives in a network namespace, one to nobody for the public network.
/// Router advertisements lead to the same gateway: without them it is BGP that tells the way.
const WIRES: &str = "
ip netns add gw
ip link add enp6s19 type veth peer name gw0 netns gw
sysctl -qw net.ipv6.conf.enp6s19.accept_ra=0
ip link set enp6s19 up
ip -n gw link set lo up
ip -n gw link set gw0 addrgenmode none
ip -n gw addr add fe80::255:ffff/64 dev gw0 nodad
ip -n gw link set gw0 up
ip link add public type veth peer name nobody
ip link set public up
ip link set nobody up
";

/// Starts FRR with the daemons of the extension, and the gateway's beside it.
const START: &str = "
mkdir -p /etc/frr/gw
cp /etc/frr/daemons /etc/frr/gw/daemons
echo 'watchfrr_options=\"--netns\"' >>/etc/frr/gw/daemons
chown -R frr:frr /etc/frr
systemctl restart frr
/usr/lib/frr/frrinit.sh start gw
";

/// Both documents of a node's machine configuration.
fn documents(tree: &Tree) -> Result<Json, Box<dyn Error>> {
    tree.pretend_artifacts()?;
    tree.edit(
        "common/install-schematic.hcl",
        "mode        = \"factory\"",
        "mode        = \"imager\"",
    )?;
    let unit = "clusters/cluster-101/config";
    tree.terragrunt(unit, &["apply", "-auto-approve", "-no-color"])?
        .expect_ok();
    let configurations = tree.json(unit, &["output", "-json", "machine_configurations"])?;
    let text = configurations[NODE].as_str().ok_or("a configuration")?;
    let directory = tree.live("decoded");
    fs::create_dir(&directory)?;
    fs::write(directory.join("node.yaml"), text)?;
    fs::write(
        directory.join("main.tf"),
        "output \"documents\" {\n  value = [for text in split(\"\\n---\\n\", file(\"node.yaml\")) : jsonencode(yamldecode(text))]\n}\n",
    )?;
    for arguments in [["init"].as_slice(), &["apply", "-auto-approve"]] {
        tree.tofu(&directory, arguments)?.expect_ok();
    }
    let state: Json = serde_json::from_slice(&fs::read(directory.join("terraform.tfstate"))?)?;
    let texts = state["outputs"]["documents"]["value"].as_array();
    let documents = texts.ok_or("a list")?.iter().map(|text| {
        let text = text.as_str().unwrap_or_default();
        serde_json::from_str(text)
    });
    Ok(Json::Array(documents.collect::<Result<_, _>>()?))
}

/// Gives the host the addresses and routes that the configuration gives the node.
fn configure(host: &Host, machine: &Json) -> Outcome {
    let texts = |list: &Json| -> Vec<String> {
        let list = list.as_array().into_iter().flatten();
        list.filter_map(|text| Some(text.as_str()?.to_owned()))
            .collect()
    };
    let interfaces = &machine["network"]["interfaces"];
    let mut script = WIRES.to_owned();
    let public = &interfaces[0];
    for address in texts(&public["addresses"]) {
        let nodad = if address.contains(':') { "nodad" } else { "" };
        writeln!(script, "ip addr add {address} dev public {nodad}")?;
    }
    let loopback = interfaces
        .as_array()
        .into_iter()
        .flatten()
        .find(|one| one["interface"] == "lo");
    for address in texts(&loopback.ok_or("a loopback")?["addresses"]) {
        writeln!(script, "ip addr add {address} dev lo")?;
    }
    let routes = public["routes"].as_array().ok_or("routes")?;
    assert_eq!(routes.len(), 2, "{routes:?}");
    for route in routes {
        let text = |key: &str| route[key].as_str().ok_or("a text");
        // Talos marks its own routes so.
        writeln!(
            script,
            "ip route add {} via {} metric {} proto static",
            text("network")?,
            text("gateway")?,
            route["metric"]
        )?;
    }
    host.root_text(&["sh", "-ceu", &script])?;
    Ok(())
}

/// What an `ip` command prints, a line each.
fn lines(host: &Host, command: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let text = host.root_text(&["sh", "-ceu", command])?;
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}

/// Waits until both ways out lead where they should.
#[track_caller]
fn expect_out(host: &Host, wanted: &str) {
    let look = "ip route get 203.0.113.1; ip -6 route get 2001:db8:bad::1";
    let is_so = until("both ways lead there", || {
        let ways = lines(host, look).unwrap_or_default();
        ways.iter().filter(|way| way.contains(wanted)).count() == 2
    });
    let routes = ["show bgp summary", "show ip route", "show ipv6 route"];
    let routes: Vec<_> = routes.iter().flat_map(|show| ["-c", *show]).collect();
    assert!(
        is_so.is_ok(),
        "not by {wanted}: {:?}\n{:?}",
        lines(host, look),
        host.root_text(&[&["vtysh"], &routes[..]].concat())
    );
}

#[test]
fn a_node_learns_the_way_out_and_tells_its_loopback() -> Outcome {
    let tree = Tree::new()?;
    let documents = documents(&tree)?;
    let spec = HostSpec::new(Release::Bookworm).with_packages(&["frr"]);
    let name = format!("bgp-{}", std::process::id());
    let lab = Lab::up(&Home::open()?, &Spec::ephemeral(&name, vec![spec]))?;
    let host = &lab.hosts()[0];
    configure(host, &documents[0]["machine"])?;
    let file = &documents[1]["configFiles"][0];
    let daemons = fs::read_to_string(tree.module("talos-extension/context/daemons"))?;
    for (path, text) in [
        ("/etc/frr/daemons", daemons.as_str()),
        (
            "/etc/frr/frr.conf",
            file["content"].as_str().ok_or("a file")?,
        ),
        ("/etc/frr/gw/frr.conf", GATEWAY),
    ] {
        build_host::write(host, path, text)?;
    }
    expect_out(host, "dev public");
    host.root_text(&["sh", "-ceu", START])?;

    // What was learned is nearer than what stands in the configuration.
    expect_out(host, "dev enp6s19");
    for family in ["-4", "-6"] {
        let default = lines(host, &format!("ip {family} route show default proto bgp"))?;
        assert_eq!(default.len(), 1, "{default:?}");
        assert!(default[0].contains("fe80::255:ffff"), "{default:?}");
        let learned = lines(host, &format!("ip {family} route show proto bgp"))?;
        assert_eq!(learned, default, "nothing but the way out is learned");
    }
    let told = lines(host, "ip -n gw -6 route show proto bgp")?;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("fd00:255:101::21 "), "{told:?}");
    assert_eq!(
        lines(host, "ip -n gw -4 route show proto bgp")?,
        Vec::<String>::new()
    );
    let summary = host.root_text(&[
        "vtysh",
        "-N",
        "gw",
        "-c",
        "show bgp ipv6 unicast summary json",
    ])?;
    let summary: Json = serde_json::from_str(&summary)?;
    assert_eq!(
        summary["peers"]["gw0"]["remoteAs"], 4_210_101_021_u32,
        "{summary}"
    );

    // Without the gateway, the node falls back on what it was given.
    host.root_text(&["ip", "-n", "gw", "link", "set", "gw0", "down"])?;
    expect_out(host, "dev public");
    lab.down()?;
    Ok(())
}
