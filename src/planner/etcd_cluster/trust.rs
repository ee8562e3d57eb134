//! The root certificate on a host: its file is named after the CA, and two CAs may have one name.

use super::{desired::Desired, names};
use crate::{facts::HostFacts, name::NodeKey, node::Node, problem::Problems};

/// Digits of a fingerprint that tell roots apart for a person.
const DIGITS: usize = 16;

/// The root on a host, if it is not the one of the cluster's CA: fingerprints of both, shortened.
pub(super) fn other_root<'a>(
    desired: &'a Desired,
    host: &'a HostFacts,
) -> Option<(&'a str, &'a str)> {
    let wanted = desired.issuer.fingerprint.as_deref()?;
    let found = &host
        .certificates
        .get(&desired.issuer.root_path())?
        .fingerprint;
    (!found.is_empty() && found != wanted).then(|| (short(found), short(wanted)))
}

fn short(fingerprint: &str) -> &str {
    fingerprint.get(..DIGITS).unwrap_or(fingerprint)
}

/// Refuses to make a cluster where others trust another CA of the same name: with its root in that place
/// they would trust none of their own certificates any more.
pub(super) fn check_root(
    desired: &Desired,
    key: &NodeKey,
    node: &Node,
    host: &HostFacts,
    problems: &mut Problems,
) {
    let path = desired.issuer.root_path();
    let owner = host.files.get(&path).map_or("", |file| file.owner.as_str());
    if owner.is_empty() || owner == names::owner(&desired.name) {
        return;
    }
    let name = &desired.issuer.name;
    let roots = match (&desired.issuer.fingerprint, other_root(desired, host)) {
        (Some(_), None) => return,
        (Some(_), Some((found, wanted))) => {
            format!("{path} there is the root {found}, and this issuer has the root {wanted}")
        }
        // A CA that is still to be made has no root that anybody could have already.
        (None, _) => format!("{path} is there, and the issuer of this cluster is still to be made"),
    };
    problems.error(
        &["issuer"],
        format!("{owner} on {} trusts another CA named {name}", node.host),
        format!(
            "{roots}. Two CAs of one name cannot serve clusters on the same host (node \"{key}\"): give \
             this CA another name, or give this cluster the issuer that {owner} has. Nothing was changed."
        ),
    );
}
