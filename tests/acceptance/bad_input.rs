//! What a user gets wrong is said at plan, at the place where it is, with nothing changed.

use std::net::{IpAddr, Ipv4Addr};

use lab::{HostSpec, Release};
use tests::{
    Outcome, Site,
    footprint::{difference, footprint},
};

/// A change of a good configuration, and what must be said of it.
struct Case {
    from: &'static str,
    to: &'static str,
    says: &'static [&'static str],
    /// How the line begins that is shown as the place of it.
    at: &'static str,
}

impl Case {
    /// The configuration with it.
    fn text(&self, head: &str) -> String {
        assert!(GOOD.contains(self.from), "{}", self.from);
        format!("{head}{}", GOOD.replacen(self.from, self.to, 1))
    }

    /// The place as the CLI shows it: number and text of the line.
    fn place(&self, text: &str) -> String {
        let mut lines = text.lines().zip(1..);
        let found = lines.find(|(line, _)| line.trim_start().starts_with(self.at));
        let (line, number) = found.unwrap_or_else(|| panic!("no line {}", self.at));
        format!("{number}: {}", line.trim())
    }
}

const fn case(
    from: &'static str,
    to: &'static str,
    says: &'static [&'static str],
    at: &'static str,
) -> Case {
    Case { from, to, says, at }
}

const ERRORS: [Case; 19] = [
    case(
        "name = \"k8s\"",
        "name = \"K8s\"",
        &["Invalid name"],
        "name = \"K8s\"",
    ),
    case("\"b\" =", "\"b-1\" =", &["Invalid node key"], "\"b-1\" ="),
    case(
        "port = 22",
        "prot = 22",
        &["Unknown member \"prot\"", "Did you mean port?"],
        "\"a\" =",
    ),
    case(
        "port = 22",
        "port = \"ssh\"",
        &["port of node \"a\" must be a number"],
        "\"a\" =",
    ),
    case(
        "host = \"10.1.1.2\"",
        "host = \"etcd2.example\"",
        &["An IP address is needed", "etcd2.example"],
        "\"b\" =",
    ),
    case(
        "host = \"10.1.1.2\"",
        "host = \"10.1.1.1\"",
        &["Two nodes on one host"],
        "\"b\" =",
    ),
    case(
        "version = \"3.5.35\"",
        "version = \"3.4.1\"",
        &["Unsupported version"],
        "version = ",
    ),
    case(
        "version = \"3.5.35\"",
        "version = \"new\"",
        &["Invalid version"],
        "version = ",
    ),
    case(
        "election_timeout_ms = 1000",
        "election_timeout_ms = 400",
        &["Election timeout too short"],
        "election_timeout_ms",
    ),
    case(
        "max-request-bytes",
        "max-request-byte",
        &["Did you mean max-request-bytes?"],
        "extra_options",
    ),
    case(
        "client_port = 2379",
        "client_port = 2380",
        &["Ports must differ"],
        "client_port",
    ),
    case(
        "server_sans = [\"etcd.example\"]",
        "server_sans = [\"etcd.example\", \"dns.client.etcd.internal\"]",
        &[
            "Name of a role of another cluster",
            "dns.client.etcd.internal",
        ],
        "server_sans = ",
    ),
    case(
        "server_sans = [\"etcd.example\"]",
        "release_sha256 = { \"x86_64\" = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\" }",
        &["Unknown architecture", "amd64, arm64"],
        "release_sha256 = ",
    ),
    case(
        "server_sans = [\"etcd.example\"]",
        "release_sha256 = { amd64 = \"00\" }",
        &["Invalid SHA-256"],
        "release_sha256 = ",
    ),
    case(
        "\"c\" = { host = \"10.1.1.3\" }",
        "\"c\" = { host = \"10.1.1.3\", server_sans = [\"b.peer.etcd.internal\"] }",
        &["Name of a role of another cluster"],
        "\"c\" =",
    ),
    case(
        "client_port = 2379",
        "client_port = 5379.5",
        &["Not a whole number", "5379.5 has a fraction"],
        "client_port",
    ),
    case(
        "heartbeat_interval_ms = 100",
        "heartbeat_interval_ms = 99999999999999999999",
        &["99999999999999999999 is out of any range"],
        "heartbeat_interval_ms",
    ),
    case(
        "certificate_lifetime = \"8760h\"",
        "certificate_lifetime = \"1m\"",
        &["Invalid lifetime"],
        "certificate_lifetime",
    ),
    case(
        "create = \"5m\"",
        "create = \"soon\"",
        &["Invalid timeout"],
        "create = ",
    ),
];

const WARNINGS: [Case; 3] = [
    case(
        "\"c\" = { host = \"10.1.1.3\" }",
        "",
        &["Even number of members"],
        "nodes = {",
    ),
    case(
        "version = \"3.5.35\"",
        "version = \"3.5.21\"",
        &["known security faults"],
        "version = ",
    ),
    case(
        "version = \"3.5.35\"",
        "version = \"3.5.99\"",
        &["newer than this provider"],
        "version = ",
    ),
];

const GOOD: &str = r#"
resource "etcd_step_ca" "main" {
  name        = "main"
  nodes       = { "a" = { host = "10.1.1.1" } }
  active_node = "a"
}
resource "etcd_cluster" "k8s" {
  name = "k8s"
  issuer = etcd_step_ca.main.issuer
  version = "3.5.35"
  client_port = 2379
  heartbeat_interval_ms = 100
  election_timeout_ms = 1000
  certificate_lifetime = "8760h"
  server_sans = ["etcd.example"]
  extra_options = { max-request-bytes = "3145728" }
  nodes = {
    "a" = { host = "10.1.1.1", port = 22 }
    "b" = { host = "10.1.1.2" }
    "c" = { host = "10.1.1.3" }
  }
  timeouts {
    create = "5m"
  }
}
"#;

#[test]
fn mistakes_are_found_offline_at_the_place_where_they_are() -> Outcome {
    // Validation needs no host; the site brings the CLI.
    let site = Site::new("input", vec![HostSpec::new(Release::Bookworm)])?;
    site.write("main.tf", &format!("{}{GOOD}", site.head()))?;
    site.init()?;
    site.run(&["validate", "-no-color"])?.expect_ok();
    let with_code = |cases: &'static [Case], code: i32| cases.iter().map(move |case| (case, code));
    for (case, code) in with_code(&ERRORS, 1).chain(with_code(&WARNINGS, 0)) {
        let text = case.text(&site.head());
        site.write("main.tf", &text)?;
        let run = site.run(&["validate", "-no-color"])?;
        assert_eq!(run.code, code, "{}: {run}", case.to);
        for words in case.says {
            run.expect_says(words);
        }
        run.expect_says(&case.place(&text));
    }
    site.down()
}

#[test]
fn what_hosts_tell_is_found_at_plan() -> Outcome {
    let site = Site::new("admission", vec![HostSpec::new(Release::Bookworm)])?;
    let address = site.hosts()[0].address();
    let cluster = |name: &str, more: &str| {
        format!(
            "resource \"etcd_cluster\" \"{name}\" {{\n  name = \"{name}\"\n  issuer = \
             etcd_step_ca.main.issuer\n  nodes = {{ \"1\" = {{ host = \"{address}\" }} }}\n  \
             deletion_protection = false\n  delete_data = true\n{more}}}\n"
        )
    };
    let ca = format!(
        "resource \"etcd_step_ca\" \"main\" {{\n  name = \"main\"\n  nodes = {{ \"1\" = {{ host = \
         \"{address}\" }} }}\n  active_node = \"1\"\n  deletion_protection = false\n}}\n"
    );
    let good = format!("{}{ca}{}", site.head(), cluster("one", ""));
    // Two nodes that are one machine under two addresses.
    let IpAddr::V4(first) = address else {
        return Err("the lab has IPv4".into());
    };
    let second = Ipv4Addr::from_bits(first.to_bits() + 100);
    let host = &site.hosts()[0];
    host.root_text(&[
        "ip",
        "address",
        "add",
        &format!("{second}/24"),
        "dev",
        "host0",
    ])?;
    let before = footprint(host)?;
    let host_key = host.root_text(&["cat", "/etc/ssh/ssh_host_ed25519_key.pub"])?;
    let twin = good.replace(
        &format!("nodes = {{ \"1\" = {{ host = \"{address}\" }} }}\n  deletion_protection = false\n  delete"),
        &format!(
            "nodes = {{ \"1\" = {{ host = \"{address}\" }}, \"2\" = {{ host = \"{second}\", address = \
             \"10.9.9.9\", host_key = \"{}\" }} }}\n  deletion_protection = false\n  delete",
            host_key.trim()
        ),
    );
    site.write("main.tf", &twin)?;
    site.init()?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("Two nodes on one machine");
    plan.expect_says("has no address 10.9.9.9");
    // A version that the mirror does not have.
    site.write(
        "main.tf",
        &format!(
            "{}{ca}{}",
            site.head(),
            cluster("one", "  version = \"3.5.34\"\n")
        ),
    )?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("3.5.34");
    plan.expect_says("does not exist");
    // Two new clusters that want the same ports.
    site.write("main.tf", &format!("{good}{}", cluster("two", "")))?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    for port in [2379, 2380] {
        plan.expect_says(&format!("Two resources want port {port}"));
    }
    // A host that is not there is a warning: it may be made in the same apply.
    let absent = good.replace(&address.to_string(), "10.213.0.1");
    site.write("main.tf", &absent)?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 2, "{plan}");
    plan.expect_says("Host 10.213.0.1 cannot be checked now");
    // A look needs the helper, and leaves nothing else.
    let mut touched = difference(&before, &footprint(host)?);
    touched.retain(|line| !line.contains("/opt/etcd-node"));
    assert_eq!(touched, Vec::<String>::new());
    // Two clusters that want the same ports.
    site.write("main.tf", &good)?;
    site.apply()?.expect_ok();
    site.write("main.tf", &format!("{good}{}", cluster("two", "")))?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("belongs to etcd_cluster/one");
    // A checksum of another archive than that which the programs came from.
    let zeros = format!("  release_sha256 = {{ amd64 = \"{}\" }}\n", "0".repeat(64));
    site.write(
        "main.tf",
        &good.replace(
            "  delete_data = true\n",
            &format!("  delete_data = true\n{zeros}"),
        ),
    )?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says_at(
        "programs that are installed are from another archive",
        "release_sha256 = ",
    );
    // A name that the CA gave to another cluster, before anything is laid down for it.
    let ports = "  client_port = 3379\n  peer_port = 3380\n";
    site.write("main.tf", &format!("{good}{}", cluster("two", ports)))?;
    let register = "/etc/step-ca/consumers.json";
    host.root_text(&["cp", "-a", register, "/root/consumers.json"])?;
    let enter = "s/\"consumers\": {/\"consumers\": {\"two\": \"another\",/";
    host.root_text(&["sed", "-i", enter, register])?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("The CA main serves another cluster named two");
    host.root_text(&["mv", "/root/consumers.json", register])?;
    // Steps that nobody can announce.
    let later = good.replace(
        "  name = \"one\"\n",
        "  name = \"one\"\n  heartbeat_interval_ms = terraform_data.later.output\n",
    );
    let data = "resource \"terraform_data\" \"later\" {\n  input = 300\n}\n";
    site.write("main.tf", &format!("{later}{data}"))?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 2, "{plan}");
    plan.expect_says("what the apply will do is not known yet");
    plan.expect_says("heartbeat_interval_ms is known only after apply");
    // A replacement is no matter of ports, nor of an import.
    let replace = ["plan", "-no-color", "-replace=etcd_cluster.one"];
    site.write("main.tf", &good)?;
    let plan = site.run(&replace)?;
    plan.expect_ok();
    plan.expect_says("etcd_cluster.one will be replaced");
    let protected = good.replace(
        "  deletion_protection = false\n  delete_data = true\n",
        "  delete_data = true\n",
    );
    site.write("main.tf", &protected)?;
    site.apply()?.expect_ok();
    let plan = site.run(&replace)?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("The cluster one is protected from deletion");
    assert!(!plan.text.contains("Port "), "{plan}");
    // Neither is a state that was lost.
    site.write("main.tf", &good)?;
    site.apply()?.expect_ok();
    site.run(&["state", "rm", "etcd_cluster.one"])?.expect_ok();
    let plan = site.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("Cluster one exists already on");
    assert!(!plan.text.contains("Port "), "{plan}");
    let id = format!("one@{address}");
    site.run(&["import", "-no-color", "etcd_cluster.one", &id])?
        .expect_ok();
    site.apply()?.expect_ok();
    site.expect_no_change()?;
    site.destroy()?.expect_ok();
    site.down()
}
