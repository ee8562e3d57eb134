//! The schema of `etcd_cluster`.

use tf_plugin::{Attribute, Block, Schema, Type};

use crate::{common, issuer, nodes, timeouts};

/// Computed attributes that follow from the configuration.
pub(super) const WISHED: [&str; 5] = [
    "members",
    "endpoints",
    "endpoints_joined",
    "client_certificate",
    "cluster",
];

pub(super) fn schema() -> Schema {
    Schema {
        version: 0,
        block: Block {
            description: "An etcd cluster with TLS on hosts of yours, each member a systemd unit. \
                          Several clusters may share hosts."
                .to_owned(),
            attributes: attributes(),
            blocks: vec![timeouts::block()],
        },
    }
}

/// What is known of a member.
pub(super) fn member() -> Type {
    Type::object([
        ("name", Type::String),
        ("host", Type::String),
        ("address", Type::String),
        ("peer_url", Type::String),
        ("client_url", Type::String),
        ("unit", Type::String),
        ("data_directory", Type::String),
        ("configuration_file", Type::String),
        ("client_certificate", client_certificate()),
    ])
}

fn client_certificate() -> Type {
    Type::object([
        ("ca_file", Type::String),
        ("certificate_file", Type::String),
        ("key_file", Type::String),
    ])
}

/// The handle for other resources.
fn cluster() -> Type {
    Type::object([
        ("name", Type::String),
        ("client_port", Type::Number),
        ("peer_port", Type::Number),
        ("members", Type::map(member())),
        ("issuer", issuer::ty()),
    ])
}

pub(super) fn attributes() -> Vec<Attribute> {
    let mut attributes = wished();
    attributes.extend(tuning());
    attributes.extend(common::deletion_attributes("cluster"));
    attributes.extend(computed());
    attributes.extend(common::account_attributes());
    attributes
}

fn wished() -> Vec<Attribute> {
    vec![
        Attribute::computed("id", Type::String, "Uid, made at creation."),
        Attribute::required(
            "name",
            Type::String,
            "Name of the cluster: 1 to 40 lower-case letters, digits and hyphens. Cannot change.",
        ),
        Attribute::optional_computed(
            "version",
            Type::String,
            "Version of etcd, such as `3.5.35`. Default: the newest known patch of the 3.5 line when \
             the cluster is made; after that the version stays until another is named.",
        ),
        Attribute::required(
            "issuer",
            issuer::ty(),
            "The CA that signs its certificates: `etcd_step_ca.NAME.issuer`.",
        ),
        Attribute::required("nodes", Type::Dynamic, nodes::DESCRIPTION),
        Attribute::optional(
            "client_port",
            Type::Number,
            "Port for clients, on every node. Default: `2379`.",
        ),
        Attribute::optional(
            "peer_port",
            Type::Number,
            "Port for the other members, on every node. Default: `2380`.",
        ),
        Attribute::optional(
            "metrics_port",
            Type::Number,
            "Port for metrics over HTTP, on the loopback address only. Default: none.",
        ),
        Attribute::optional(
            "server_sans",
            Type::list(Type::String),
            "More names and addresses for all server certificates.",
        ),
        Attribute::optional(
            "certificate_lifetime",
            Type::String,
            "Lifetime of certificates, from `1h` to `26280h`. Timers renew them when two thirds are \
             over. Default: `17520h` (two years).",
        ),
        Attribute::optional_computed(
            "release_sha256",
            Type::map(Type::String),
            "SHA-256 of the release archive by architecture (`amd64`, `arm64`). Default: what the \
             release's checksum file says at the first installation.",
        ),
    ]
}

fn tuning() -> Vec<Attribute> {
    let number = |name, description: &str| Attribute::optional(name, Type::Number, description);
    let text = |name, description: &str| Attribute::optional(name, Type::String, description);
    vec![
        number(
            "heartbeat_interval_ms",
            "Heartbeat interval in milliseconds. Default: `250`.",
        ),
        number(
            "election_timeout_ms",
            "Election timeout in milliseconds, at least five heartbeats. Default: `5000`.",
        ),
        number(
            "snapshot_count",
            "Applied entries between two snapshots of raft. Default: `10000`.",
        ),
        text(
            "auto_compaction_mode",
            "`periodic` or `revision`. Default: `periodic`.",
        ),
        text(
            "auto_compaction_retention",
            "Hours or a duration, or a number of revisions. Default: `8`.",
        ),
        number(
            "quota_backend_bytes",
            "Largest database in bytes. Default: `2147483648` (2 GiB).",
        ),
        Attribute::optional(
            "extra_options",
            Type::map(Type::String),
            "More options of etcd by the name of its flag without dashes. Unknown ones are refused.",
        ),
    ]
}

fn computed() -> Vec<Attribute> {
    let computed = |name, ty, description: &str| Attribute::computed(name, ty, description);
    vec![
        computed(
            "members",
            Type::map(member()),
            "What each member is called and where it is, by node key.",
        ),
        computed(
            "endpoints",
            Type::list(Type::String),
            "Client URLs in the order of the node keys.",
        ),
        computed(
            "endpoints_joined",
            Type::String,
            "The same, separated by commas.",
        ),
        computed(
            "client_certificate",
            client_certificate(),
            "Paths of a client certificate on the first node; those of the others are in `members`.",
        ),
        computed(
            "cluster",
            cluster(),
            "What other resources are given as their cluster.",
        ),
    ]
}
