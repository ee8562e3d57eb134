//! Programs of a release on a host, and the links that units start them by.

use crate::{
    access::{PUBLIC, exposed},
    facts::{FileKind, HostFacts},
};

/// Directory that a build of this provider looks at and every host has; facts of older builds lack it.
const LOOKED_AT: &str = "/opt";

/// What is wrong with a program, in a sentence. It is empty if the program is as it should be and `owner`
/// is no user of it yet: whoever removed the last one that is known would take it away.
pub(crate) fn program(path: &str, host: &HostFacts, owner: &str) -> Option<String> {
    let Some(file) = host.files.get(path) else {
        return Some(format!("{path} is missing"));
    };
    if file.is_edited() {
        return Some(format!("{path} is another program than the one installed"));
    }
    exposed(path, file, PUBLIC, "root", "root").or_else(|| (file.owner != owner).then(String::new))
}

/// What is wrong with the link that units start a program by.
pub(crate) fn lost_link(path: &str, target: &str, host: &HostFacts) -> Option<String> {
    match host.files.get(path) {
        None if host.files.contains_key(LOOKED_AT) => Some(format!("{path} is missing")),
        Some(file) if file.kind != FileKind::Link || file.link_target != target => {
            Some(format!("{path} does not lead to {target}"))
        }
        None | Some(_) => None,
    }
}
