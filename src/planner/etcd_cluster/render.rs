//! Files of a member: configuration for its exact minor version, unit, renewal timers.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    certificate::Role,
    desired::Desired,
    membership::{Standing, standing},
    names,
    observed::Observed,
    options::quote,
};
use crate::{
    address,
    name::NodeKey,
    node::Node,
    rendered::{RenderedFile, sha256},
};

/// Before or after the cluster's first quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The data directory is made by the start.
    New,
    /// The data directory must be there: an unmounted disk must never become an empty database.
    Existing,
}

/// All files of a node, in the order in which they are written.
pub fn files(desired: &Desired, key: &NodeKey, node: &Node, phase: Phase) -> Vec<RenderedFile> {
    let mut files = vec![
        RenderedFile {
            path: names::configuration(&desired.name, key),
            user: "root",
            group: names::USER,
            mode: 0o640,
            content: configuration(desired, key, node, phase),
            shared: false,
            follows: false,
            unit: false,
        },
        RenderedFile::unit(&names::unit(&desired.name, key), unit(desired, key, phase)),
    ];
    for role in Role::ALL {
        let stem = names::renewal(&desired.name, role.as_str());
        files.push(RenderedFile::unit(
            &format!("{stem}.service"),
            renewal(desired, key, role),
        ));
        files.push(RenderedFile::unit(
            &format!("{stem}.timer"),
            timer(desired, role),
        ));
    }
    files
}

/// The files of a learner that joins: etcd starts without data only if `initial-cluster` names the very
/// members of the list.
pub fn files_to_join(
    desired: &Desired,
    observed: &Observed,
    key: &NodeKey,
    node: &Node,
) -> Vec<RenderedFile> {
    let mut listed = desired.clone();
    listed
        .nodes
        .retain(|key, _| standing(desired, observed, key) != Standing::Absent);
    files(&listed, key, node, Phase::Existing)
}

/// The configuration file.
pub(super) fn configuration(desired: &Desired, key: &NodeKey, node: &Node, phase: Phase) -> String {
    let mut text = String::from(
        "# Written by terraform-provider-etcd. A change made here is drift: the next plan shows it.\n",
    );
    let initial: Vec<String> = desired
        .nodes
        .iter()
        .map(|(key, node)| {
            format!(
                "{}={}",
                names::member(&desired.name, key),
                desired.peer_url(node)
            )
        })
        .collect();
    line(&mut text, "initial-cluster", &quote(&initial.join(",")));
    line(&mut text, "initial-cluster-token", &quote(&desired.token()));
    let state = if phase == Phase::New {
        "new"
    } else {
        "existing"
    };
    line(&mut text, "initial-cluster-state", state);
    for (name, value) in top(desired, key, node) {
        line(&mut text, &name, &value);
    }
    for (block, values) in tls(desired, key) {
        let _ = writeln!(text, "{block}:");
        for (name, value) in values {
            let _ = writeln!(text, "  {name}: {value}");
        }
    }
    text
}

/// Options that a member must be restarted for, by name; what the first start alone reads is left
/// out, because etcd ignores it later.
pub(super) fn effective(desired: &Desired, key: &NodeKey, node: &Node) -> BTreeMap<String, String> {
    let nested = tls(desired, key).into_iter().flat_map(|(block, values)| {
        values
            .into_iter()
            .map(move |(name, value)| (format!("{block}.{name}"), value))
    });
    top(desired, key, node).into_iter().chain(nested).collect()
}

/// SHA-256 of the effective options.
pub fn fingerprint(desired: &Desired, key: &NodeKey, node: &Node) -> String {
    let mut text = String::new();
    for (name, value) in effective(desired, key, node) {
        let _ = writeln!(text, "{name}={value}");
    }
    sha256(text.as_bytes())
}

/// The options in a file that was written here, or edited by somebody.
pub(super) fn parse(text: &str) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    let mut block = String::new();
    for line in text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
    {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let (nested, name, value) = (name.starts_with(' '), name.trim(), value.trim());
        if value.is_empty() {
            name.clone_into(&mut block);
        } else if nested {
            options.insert(format!("{block}.{name}"), value.to_owned());
        } else {
            options.insert(name.to_owned(), value.to_owned());
        }
    }
    options
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name}: {value}");
}

fn top(desired: &Desired, key: &NodeKey, node: &Node) -> Vec<(String, String)> {
    let tuning = &desired.tuning;
    let loopback = address::loopback(node.address).to_string();
    let own = node.address.to_string();
    let client = format!(
        "{},{}",
        address::https(&own, desired.client_port),
        address::https(&loopback, desired.client_port)
    );
    let member = names::member(&desired.name, key);
    let mut options = vec![
        ("name", quote(&member)),
        ("data-dir", quote(&names::data(&desired.name, key))),
        ("listen-client-urls", quote(&client)),
        ("advertise-client-urls", quote(&desired.client_url(node))),
        (
            "listen-peer-urls",
            quote(&address::https(&own, desired.peer_port)),
        ),
        (
            "initial-advertise-peer-urls",
            quote(&desired.peer_url(node)),
        ),
        (
            "heartbeat-interval",
            tuning.heartbeat_interval_ms.to_string(),
        ),
        ("election-timeout", tuning.election_timeout_ms.to_string()),
        ("snapshot-count", tuning.snapshot_count.to_string()),
        ("auto-compaction-mode", tuning.auto_compaction_mode.clone()),
        (
            "auto-compaction-retention",
            quote(&tuning.auto_compaction_retention),
        ),
        (
            "quota-backend-bytes",
            tuning.quota_backend_bytes.to_string(),
        ),
        ("strict-reconfig-check", "true".to_owned()),
        ("pre-vote", "true".to_owned()),
        ("logger", "zap".to_owned()),
        ("log-outputs", "[stderr]".to_owned()),
        ("tls-min-version", "TLS1.2".to_owned()),
    ];
    if let Some(port) = desired.metrics_port {
        options.push((
            "listen-metrics-urls",
            quote(&format!("http://{}", address::host_port(&loopback, port))),
        ));
    }
    if !tuning.extra.contains_key("enable-grpc-gateway") {
        // The gateway is a client of its own server and would come with the server's certificate,
        // which is none of the cluster's clients.
        options.push(("enable-grpc-gateway", "false".to_owned()));
    }
    // The checks have other names from 3.6 on; an old name in a file of 3.7 is ignored silently.
    if desired.version.minor < 6 {
        options.push(("experimental-initial-corrupt-check", "true".to_owned()));
        options.push(("experimental-compact-hash-check-enabled", "true".to_owned()));
    } else {
        options.push((
            "feature-gates",
            quote("CompactHashCheck=true,InitialCorruptCheck=true"),
        ));
    }
    options
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .chain(tuning.extra.clone())
        .collect()
}

type Block = (&'static str, Vec<(&'static str, String)>);

fn tls(desired: &Desired, key: &NodeKey) -> [Block; 2] {
    let block = |role: Role, allowed: Role| {
        let stem = names::certificate_stem(&desired.name, key, role.as_str());
        vec![
            ("cert-file", quote(&format!("{stem}.crt"))),
            ("key-file", quote(&format!("{stem}.key"))),
            ("client-cert-auth", "true".to_owned()),
            ("trusted-ca-file", quote(&desired.issuer.root_path())),
            (
                "allowed-hostname",
                format!("[{}.{allowed}.etcd.internal]", desired.name),
            ),
        ]
    };
    [
        (
            "client-transport-security",
            block(Role::Server, Role::Client),
        ),
        ("peer-transport-security", block(Role::Peer, Role::Peer)),
    ]
}

fn unit(desired: &Desired, key: &NodeKey, phase: Phase) -> String {
    let data = names::data(&desired.name, key);
    let assertion = match phase {
        Phase::New => String::new(),
        // Either is enough: the data, or the word of an apply that the member joins without any.
        Phase::Existing => format!(
            "AssertPathExists=|{data}/member/wal\nAssertPathExists=|{}\n",
            names::joining(&desired.name, key)
        ),
    };
    // TimeoutStartSec: READY needs a quorum, and a restore may take long; the apply has a deadline of
    // its own. TimeoutStopSec: leader transfer plus running requests. RestartSec is short because
    // members that start side by side miss each other for a moment.
    format!(
        "# Written by terraform-provider-etcd.\n\
         [Unit]\n\
         Description=etcd member {member}\n\
         Documentation=https://etcd.io/docs\n\
         After=network-online.target time-sync.target\n\
         Wants=network-online.target\n\
         {assertion}\
         \n\
         [Service]\n\
         Type=notify\n\
         User={user}\n\
         Group={user}\n\
         ExecStart=/opt/bin/etcd-{version} --config-file={configuration}\n\
         Restart=always\n\
         RestartSec=2s\n\
         TimeoutStartSec=infinity\n\
         TimeoutStopSec=90s\n\
         LimitNOFILE=65536\n\
         Nice=-5\n\
         IOSchedulingClass=best-effort\n\
         IOSchedulingPriority=0\n\
         OOMScoreAdjust=-900\n\
         NoNewPrivileges=yes\n\
         ProtectSystem=full\n\
         ProtectHome=yes\n\
         PrivateTmp=yes\n\
         PrivateDevices=yes\n\
         CapabilityBoundingSet=\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        member = names::member(&desired.name, key),
        user = names::USER,
        version = desired.version,
        configuration = names::configuration(&desired.name, key),
    )
}

fn renewal(desired: &Desired, key: &NodeKey, role: Role) -> String {
    let stem = names::certificate_stem(&desired.name, key, role.as_str());
    format!(
        "# Written by terraform-provider-etcd.\n\
         [Unit]\n\
         Description=Renew the {role} certificate of etcd cluster {name} when two thirds of its life are over\n\
         After=network-online.target\n\
         Wants=network-online.target\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart={helper} renew --certificate {stem}.crt --key {stem}.key --issuer {issuer}\n",
        name = desired.name,
        helper = names::TIMER_HELPER,
        issuer = desired.issuer.file_path(),
    )
}

fn timer(desired: &Desired, role: Role) -> String {
    format!(
        "# Written by terraform-provider-etcd.\n\
         [Unit]\n\
         Description=Check the {role} certificate of etcd cluster {name}\n\
         \n\
         [Timer]\n\
         OnCalendar=*:0/15\n\
         RandomizedDelaySec=5min\n\
         Persistent=true\n\
         \n\
         [Install]\n\
         WantedBy=timers.target\n",
        name = desired.name,
    )
}

/// The lines of a unit that decide what it does; the rest is wording.
pub(super) fn essence(unit: &str) -> Vec<&str> {
    ["ExecStart=", "AssertPathExists=", "User=", "OnCalendar="]
        .iter()
        .filter_map(|start| unit.lines().find(|line| line.starts_with(start)))
        .collect()
}

#[cfg(test)]
mod tests;
