//! May this CA be made on its hosts? Asked at plan and again before the first step.

use super::{desired::Desired, names, observed::Observed};
use crate::{
    facts::{Fact, HostFacts},
    issuer::root_path,
    problem::Problems,
};

/// Collects what stands against making the CA on its hosts.
pub fn admit(desired: &Desired, observed: &Observed, id: Option<&str>, problems: &mut Problems) {
    for (key, node) in &desired.nodes {
        let place = ["nodes", key.as_str(), "host"];
        let host = match observed.hosts.get(key) {
            Some(Fact::Known(host)) => host,
            Some(Fact::Unknown(why)) => {
                problems.warning(
                    &place,
                    format!("Host {} cannot be checked now", node.host),
                    format!("{why}. If it is made in the same apply, that is expected."),
                );
                continue;
            }
            None => continue,
        };
        crate::etcd_cluster::check_host(&node.host, host, &place, problems);
        crate::space::check(
            &node.host,
            host,
            &[crate::space::PROGRAMS],
            &place,
            problems,
        );
        check_consumers(desired, &node.host, host, problems);
        if let Some(owner) = &host.owner {
            if Some(owner.id.as_str()) != id {
                problems.error(
                    &["name"],
                    format!("CA {} exists already on {}", desired.name, node.host),
                    format!(
                        "It was made by this provider and is not in this state. Take it over with \
                         `tofu import ADDRESS {}@{}`. Nothing was changed.",
                        desired.name, node.host
                    ),
                );
            }
            continue;
        }
        let directory = names::directory(desired.instance.as_ref());
        if host
            .files
            .get(&directory)
            .is_some_and(|file| file.populated)
        {
            problems.error(
                &["instance"],
                format!("{directory} on {} is not empty", node.host),
                "Another CA lives there, or one that no ledger knows any more: then put \
                 /var/lib/etcd-node/ledger.json back from a backup and import it. Else give this one an \
                 instance name, such as instance = \"b\", and another port. Nothing was changed."
                    .to_owned(),
            );
        }
        if let Some(fact) = host.ports.get(&desired.port)
            && (fact.listening || !fact.claimed_by.is_empty())
        {
            let who = [&fact.claimed_by, &fact.process]
                .into_iter()
                .find(|who| !who.is_empty())
                .map_or("Another process", String::as_str);
            problems.error(
                &["port"],
                format!("Port {} on {} is taken", desired.port, node.host),
                format!("{who} has it. Give this CA another port. Nothing was changed."),
            );
        }
    }
}

/// Refuses a name under which clusters on this host trust another CA.
fn check_consumers(desired: &Desired, name: &str, host: &HostFacts, problems: &mut Problems) {
    let path = root_path(&desired.name);
    let owner = host.files.get(&path).map_or("", |file| file.owner.as_str());
    let trusted = host
        .certificates
        .get(&path)
        .map_or("", |root| root.fingerprint.as_str());
    let own = host
        .ca
        .as_ref()
        .map_or("", |ca| ca.root_fingerprint.as_str());
    if owner.is_empty() || trusted == own {
        return;
    }
    problems.error(
        &["name"],
        format!("{owner} on {name} trusts another CA named {}", desired.name),
        format!(
            "{path} there is the root of a CA on other hosts. Two CAs of one name cannot serve clusters \
             on the same host. Give this one another name. Nothing was changed."
        ),
    );
}

#[cfg(test)]
mod tests;
