//! The schema of `etcd_step_ca`.

use tf_plugin::{Attribute, Block, Schema, Type};

use crate::{common, issuer, nodes, timeouts};

/// Computed attributes that are known only once the CA exists.
pub(super) const MADE: [&str; 3] = ["id", "root_certificate", "root_fingerprint"];

pub(super) fn schema() -> Schema {
    Schema {
        version: 0,
        block: Block {
            description: "A certificate authority (step-ca) on a host of yours, for clusters and \
                          their clients. Keys and passwords are made on the host and never leave it."
                .to_owned(),
            attributes: attributes(),
            blocks: vec![timeouts::block()],
        },
    }
}

pub(super) fn attributes() -> Vec<Attribute> {
    let text = |name, description: &str| Attribute::optional(name, Type::String, description);
    let computed = |name, ty, description: &str| Attribute::computed(name, ty, description);
    let mut attributes = vec![
        computed("id", Type::String, "Uid, made at creation."),
        Attribute::required(
            "name",
            Type::String,
            "Name of the CA: 1 to 40 lower-case letters, digits and hyphens. Cannot change.",
        ),
        Attribute::required("nodes", Type::Dynamic, nodes::DESCRIPTION),
        Attribute::required("active_node", Type::String, "Key of the node that signs."),
        Attribute::optional(
            "port",
            Type::Number,
            "Port of the CA. Cannot change. Default: `9000`.",
        ),
        text(
            "instance",
            "Name of a second CA on the same host; it has a unit and a directory of its own. Cannot \
             change.",
        ),
        text(
            "provisioner_name",
            "Name of the provisioner. Cannot change. Default: `etcd-provisioner`.",
        ),
        text(
            "min_lifetime",
            "Shortest lifetime of certificates. Default: `1h`.",
        ),
        text(
            "default_lifetime",
            "Lifetime of certificates for which none is asked. Default: `17520h` (two years).",
        ),
        text(
            "max_lifetime",
            "Longest lifetime of certificates. Default: `26280h` (three years).",
        ),
    ];
    attributes.extend(common::deletion_attributes("CA"));
    attributes.extend([
        computed("issuer", issuer::ty(), issuer::DESCRIPTION),
        computed(
            "root_certificate",
            Type::String,
            "The root certificate, in PEM.",
        ),
        computed(
            "root_fingerprint",
            Type::String,
            "SHA-256 of the root certificate, in hexadecimal.",
        ),
        computed(
            "urls",
            Type::list(Type::String),
            "URLs of all nodes, in the order of their keys.",
        ),
    ]);
    attributes.extend(common::account_attributes());
    attributes
}
