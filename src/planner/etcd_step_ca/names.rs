//! Names and paths of a CA on a host.

use crate::name::Name;

/// The link that units start step-ca by.
pub const LINK: &str = "/opt/bin/step-ca";

/// `step-ca`, or `step-ca-<instance>` for a second one on the same host.
fn stem(instance: Option<&Name>) -> String {
    instance.map_or_else(
        || "step-ca".to_owned(),
        |instance| format!("step-ca-{instance}"),
    )
}

/// Its directory below /etc.
pub fn directory(instance: Option<&Name>) -> String {
    format!("/etc/{}", stem(instance))
}

/// What step-ca reads.
pub(super) fn configuration(instance: Option<&Name>) -> String {
    format!("{}/config/ca.json", directory(instance))
}

/// Its unit.
pub fn unit(instance: Option<&Name>) -> String {
    format!("{}.service", stem(instance))
}

/// Owner in the ledger.
pub fn owner(name: &Name) -> String {
    format!("etcd_step_ca/{name}")
}
