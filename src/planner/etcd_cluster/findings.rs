//! What is not as it should be on each host, each with what mends it.
//!
//! Drift and plan are both made from this one list, so every sentence has a step and no step
//! comes out of nowhere.

use super::{
    certificate::{Role, subject},
    desired::Desired,
    names,
    observed::Observed,
    render::{self, Phase, effective, essence, fingerprint, parse},
};
use crate::{
    facts::{CertificateFact, FileFact, HostFacts},
    name::NodeKey,
    node::Node,
    rendered::sha256,
    version,
};

/// Something on a host that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Without the node in front; empty for what is no drift but work that is wanted or owed.
    pub(super) sentence: String,
    /// What mends it.
    pub(super) remedy: Remedy,
}

/// What mends a finding, in the order in which it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Remedy {
    Prepare,
    Install,
    Issue(Role),
    Write,
    WriteAndRestart,
    Enable,
    Start,
    Restart,
    Rejoin,
    Await,
    Finish,
    Claim,
}

fn drift(sentence: String, remedy: Remedy) -> Finding {
    Finding { sentence, remedy }
}

fn wanted(remedy: Remedy) -> Finding {
    Finding {
        sentence: String::new(),
        remedy,
    }
}

/// Findings on the host of one node.
pub(super) fn findings(
    desired: &Desired,
    observed: &Observed,
    key: &NodeKey,
    node: &Node,
    host: &HostFacts,
) -> Vec<Finding> {
    let bootstrapped = observed.bootstrapped();
    let mut found = Vec::new();
    prepared(desired, key, host, &mut found);
    programs(desired, host, &mut found);
    certificates(desired, key, node, host, &mut found);
    let rewrites = written(desired, key, node, host, bootstrapped, &mut found);
    enabled(desired, key, host, &mut found);
    if bootstrapped {
        running(desired, observed, key, node, host, rewrites, &mut found);
    } else {
        starting(desired, observed, key, host, &mut found);
    }
    if host.journal.is_some() && bootstrapped {
        found.push(wanted(Remedy::Claim));
    }
    found
}

fn prepared(desired: &Desired, key: &NodeKey, host: &HostFacts, found: &mut Vec<Finding>) {
    if !host.users.iter().any(|user| user == names::USER) {
        found.push(drift(
            format!("user {} is missing", names::USER),
            Remedy::Prepare,
        ));
    }
    let data = names::data(&desired.name, key);
    if !host.files.contains_key(&data) {
        found.push(drift(
            format!("data directory {data} is missing"),
            Remedy::Prepare,
        ));
    }
    for path in [desired.issuer.root_path(), desired.issuer.file_path()] {
        match host.files.get(&path) {
            None => found.push(drift(format!("{path} is missing"), Remedy::Prepare)),
            Some(file) if edited(file) => {
                found.push(drift(format!("{path} was edited"), Remedy::Prepare));
            }
            Some(_) => {}
        }
    }
    if host.owner.is_none() {
        found.push(wanted(Remedy::Prepare));
    }
}

fn programs(desired: &Desired, host: &HostFacts, found: &mut Vec<Finding>) {
    let directory = names::programs(&desired.version);
    let own = ["etcd", "etcdctl", "etcdutl"].map(|name| format!("{directory}/{name}"));
    // The step CLI is for people who look at certificates.
    for path in own
        .into_iter()
        .chain([format!("/opt/step/{}/step", version::STEP)])
    {
        match host.files.get(&path) {
            None => found.push(drift(format!("{path} is missing"), Remedy::Install)),
            Some(file) if edited(file) => found.push(drift(
                format!("{path} is another program than the one installed"),
                Remedy::Install,
            )),
            Some(_) => {}
        }
    }
}

/// Two thirds of a life; the timers look every quarter of an hour, so a day later somebody must know.
fn is_late(certificate: &CertificateFact, now_ms: i64) -> bool {
    let life = certificate.not_after_ms - certificate.not_before_ms;
    let due = certificate.not_before_ms + life / 3 * 2;
    let grace = (life / 10).min(24 * 3_600_000);
    now_ms > due + grace
}

fn certificates(
    desired: &Desired,
    key: &NodeKey,
    node: &Node,
    host: &HostFacts,
    found: &mut Vec<Finding>,
) {
    for role in Role::ALL {
        let remedy = Remedy::Issue(role);
        let stem = names::certificate_stem(&desired.name, key, role.as_str());
        let path = format!("{stem}.crt");
        let Some(certificate) = host.certificates.get(&path).filter(|fact| fact.present) else {
            found.push(drift(format!("{role} certificate is missing"), remedy));
            continue;
        };
        if !certificate.error.is_empty() {
            found.push(drift(format!("{path} is not a certificate"), remedy));
            continue;
        }
        let wanted_names = subject(desired, key, node, role);
        if !certificate.key_matches {
            found.push(drift(
                format!("{role} certificate and {stem}.key do not belong together"),
                remedy,
            ));
        } else if certificate.key_mode & 0o077 != 0 || certificate.key_user != names::USER {
            found.push(drift(
                format!(
                    "{stem}.key has mode {:04o} and owner {}, wanted 0400 and {}",
                    certificate.key_mode,
                    certificate.key_user,
                    names::USER
                ),
                remedy,
            ));
        } else if sorted(&certificate.dns_names) != wanted_names.dns_names
            || sorted(&certificate.ip_addresses) != wanted_names.ip_addresses
        {
            found.push(wanted(remedy));
        }
        if is_late(certificate, host.now_ms) {
            found.push(drift(
                format!("renewal of the {role} certificate is overdue"),
                remedy,
            ));
        }
    }
}

fn sorted(list: &[String]) -> Vec<String> {
    let mut list = list.to_vec();
    list.sort();
    list.dedup();
    list
}

/// A file with other bytes than those of our last write.
fn edited(file: &FileFact) -> bool {
    file.sha256 != file.recorded_sha256
}

/// Returns whether the configuration is to be rewritten with other options.
fn written(
    desired: &Desired,
    key: &NodeKey,
    node: &Node,
    host: &HostFacts,
    bootstrapped: bool,
    found: &mut Vec<Finding>,
) -> bool {
    let phase = if bootstrapped {
        Phase::Existing
    } else {
        Phase::New
    };
    let unit = host.units.get(&names::unit(&desired.name, key));
    let mut rewrites = false;
    for file in render::files(desired, key, node, phase) {
        let Some(fact) = host.files.get(&file.path) else {
            found.push(drift(format!("{} is missing", file.path), Remedy::Write));
            continue;
        };
        let content = fact.content.as_deref().unwrap_or_default();
        if file.unit {
            if edited(fact) {
                found.push(drift(format!("{} was edited", file.path), Remedy::Write));
            } else if essence(content) != essence(&file.content) {
                found.push(wanted(Remedy::Write));
            }
            continue;
        }
        if sha256(file.content.as_bytes()) == fact.sha256 {
            continue;
        }
        let differences = differences(content, desired, key, node);
        let state_differs = parse(content).get("initial-cluster-state")
            != parse(&file.content).get("initial-cluster-state");
        rewrites = !differences.is_empty();
        // A member that was started after the edit runs with what the edit says.
        let loaded = edited(fact)
            && unit.is_some_and(|unit| unit.is_up() && unit.active_since_ms > fact.modified_ms);
        let owes = rewrites && bootstrapped && (loaded || !edited(fact));
        let remedy = if owes {
            Remedy::WriteAndRestart
        } else {
            Remedy::Write
        };
        if edited(fact) {
            let detail = if differences.is_empty() {
                "was edited, no option differs".to_owned()
            } else {
                format!("was edited: {}", differences.join(", "))
            };
            found.push(drift(format!("{} {detail}", file.path), remedy));
        } else if rewrites || state_differs {
            found.push(wanted(remedy));
        }
    }
    rewrites
}

/// Options that differ, in words.
fn differences(content: &str, desired: &Desired, key: &NodeKey, node: &Node) -> Vec<String> {
    let there: std::collections::BTreeMap<_, _> = parse(content)
        .into_iter()
        .filter(|(name, _)| {
            !matches!(
                name.as_str(),
                "initial-cluster" | "initial-cluster-token" | "initial-cluster-state"
            )
        })
        .collect();
    let wanted = effective(desired, key, node);
    let mut names: Vec<&String> = there.keys().chain(wanted.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter_map(|name| match (there.get(name), wanted.get(name)) {
            (Some(is), Some(should)) if is != should => {
                Some(format!("{name} is {is}, wanted {should}"))
            }
            (Some(is), None) => Some(format!("{name} is {is}, wanted nothing")),
            (None, Some(should)) => Some(format!("{name} is missing, wanted {should}")),
            _ => None,
        })
        .collect()
}

fn enabled(desired: &Desired, key: &NodeKey, host: &HostFacts, found: &mut Vec<Finding>) {
    let unit = names::unit(&desired.name, key);
    let timers =
        Role::ALL.map(|role| format!("{}.timer", names::renewal(&desired.name, role.as_str())));
    for name in std::iter::once(&unit).chain(&timers) {
        let Some(fact) = host.units.get(name) else {
            found.push(wanted(Remedy::Enable));
            continue;
        };
        if !fact.is_enabled() {
            let state = match fact.unit_file_state.as_str() {
                "" => "not enabled",
                state => state,
            };
            found.push(drift(format!("unit {name} is {state}"), Remedy::Enable));
        }
        if *name != unit && !fact.is_up() {
            found.push(drift(format!("timer {name} is stopped"), Remedy::Enable));
        }
    }
}

/// A cluster that had its quorum: every member should vote and answer.
fn running(
    desired: &Desired,
    observed: &Observed,
    key: &NodeKey,
    node: &Node,
    host: &HostFacts,
    rewrites: bool,
    found: &mut Vec<Finding>,
) {
    let unit_name = names::unit(&desired.name, key);
    let manifest = observed.manifest(key);
    if manifest
        .as_ref()
        .is_none_or(|manifest| !manifest.bootstrapped)
    {
        found.push(wanted(Remedy::Finish));
    }
    let url = desired.peer_url(node);
    let listed = observed.members().map(|members| {
        members
            .iter()
            .find(|member| member.peer_urls.contains(&url))
    });
    let wal = format!("{}/member/wal", names::data(&desired.name, key));
    match listed {
        Some(None) => {
            found.push(drift(
                format!(
                    "{} is not in the member list",
                    names::member(&desired.name, key)
                ),
                Remedy::Rejoin,
            ));
            return;
        }
        Some(Some(member)) if member.is_learner => {
            found.push(drift(
                format!(
                    "{} is a learner and does not vote",
                    names::member(&desired.name, key)
                ),
                Remedy::Rejoin,
            ));
            return;
        }
        Some(Some(_)) if !host.files.contains_key(&wal) => {
            found.push(drift(
                format!("{wal} is missing: the data is lost"),
                Remedy::Rejoin,
            ));
            return;
        }
        _ => {}
    }
    let unit = host.units.get(&unit_name);
    if !unit.is_some_and(crate::facts::UnitFact::is_up) {
        found.push(drift(format!("unit {unit_name} is stopped"), Remedy::Start));
        return;
    }
    let program = host
        .files
        .get(&format!("{}/etcd", names::programs(&desired.version)));
    let other_program = unit.zip(program).is_some_and(|(unit, program)| {
        !unit.executable_sha256.is_empty() && unit.executable_sha256 != program.recorded_sha256
    });
    if other_program {
        found.push(drift(
            format!("{unit_name} runs another program than the one installed"),
            Remedy::Restart,
        ));
    }
    let owed =
        manifest.is_some_and(|manifest| manifest.started_with != fingerprint(desired, key, node));
    if owed && !rewrites {
        found.push(wanted(Remedy::Restart));
    }
    if !observed.is_healthy(key) && observed.members().is_some() {
        found.push(drift(
            format!("{} does not answer", names::member(&desired.name, key)),
            Remedy::Await,
        ));
    }
}

/// A cluster that is being made.
fn starting(
    desired: &Desired,
    observed: &Observed,
    key: &NodeKey,
    host: &HostFacts,
    found: &mut Vec<Finding>,
) {
    let unit = host.units.get(&names::unit(&desired.name, key));
    if !unit.is_some_and(crate::facts::UnitFact::is_up) {
        found.push(wanted(Remedy::Start));
    }
    if !observed.is_healthy(key) {
        found.push(wanted(Remedy::Await));
    }
    found.push(wanted(Remedy::Finish));
}
