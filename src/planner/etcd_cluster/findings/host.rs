//! What a member needs of its host: user, directories, programs, units that start at boot.

use super::{Finding, Remedy, drift, exposed, wanted};
use crate::{
    access::shut,
    etcd_cluster::{certificate::Role, desired::Desired, names, trust::other_root},
    facts::HostFacts,
    name::NodeKey,
    program::{lost_link, program},
    version,
};

pub(super) fn prepared(
    desired: &Desired,
    key: &NodeKey,
    host: &HostFacts,
    found: &mut Vec<Finding>,
) {
    if !host.users.iter().any(|user| user == names::USER) {
        found.push(drift(
            format!("user {} is missing", names::USER),
            Remedy::Prepare,
        ));
    }
    let data = names::data(&desired.name, key);
    match host.files.get(&data) {
        None => found.push(drift(
            format!("data directory {data} is missing"),
            Remedy::Prepare,
        )),
        Some(fact) if !fact.stranger.is_empty() => found.push(drift(
            format!(
                "{} does not belong to {}, and the member cannot write it",
                fact.stranger,
                names::USER
            ),
            Remedy::Prepare,
        )),
        Some(fact) => found.extend(
            exposed(&data, fact, 0o700, names::USER, names::USER)
                .map(|sentence| drift(sentence, Remedy::Prepare)),
        ),
    }
    // Absent ones show by what is missing in them.
    for path in names::DIRECTORIES {
        if let Some(fact) = host.files.get(path) {
            let sentence = match path {
                names::HOME if fact.made => exposed(path, fact, 0o700, names::USER, names::USER),
                _ => shut(path, fact),
            };
            found.extend(sentence.map(|sentence| drift(sentence, Remedy::Prepare)));
        }
    }
    let root = desired.issuer.root_path();
    for path in [root.clone(), desired.issuer.file_path()] {
        match (host.files.get(&path), other_root(desired, host)) {
            (None, _) => found.push(drift(format!("{path} is missing"), Remedy::Prepare)),
            (Some(_), Some((is, should))) if path == root => found.push(drift(
                format!(
                    "{path} is the root {is}, and that of the CA {} is {should}",
                    desired.issuer.name
                ),
                Remedy::Prepare,
            )),
            (Some(file), _) if file.is_edited() => {
                found.push(drift(format!("{path} was edited"), Remedy::Prepare));
            }
            (Some(file), _) => found.extend(
                exposed(&path, file, 0o644, "root", "root")
                    .map(|sentence| drift(sentence, Remedy::Prepare)),
            ),
        }
    }
    // Which version it is says nothing; without any no certificate renews itself.
    if host.timer_helper == Some(false) {
        let sentence = format!(
            "{}, which renews certificates, is missing or does not start",
            names::TIMER_HELPER
        );
        found.push(drift(sentence, Remedy::Prepare));
    }
    if host.owner.is_none() {
        found.push(wanted(Remedy::Prepare));
    }
}

pub(super) fn programs(desired: &Desired, host: &HostFacts, found: &mut Vec<Finding>) {
    let directory = names::programs(&desired.version);
    let owner = names::owner(&desired.name);
    let own = ["etcd", "etcdctl", "etcdutl"].map(|name| format!("{directory}/{name}"));
    // The step CLI is for people who look at certificates.
    for path in own
        .into_iter()
        .chain([format!("/opt/step/{}/step", version::STEP)])
    {
        found.extend(program(&path, host, &owner).map(|sentence| Finding {
            sentence,
            remedy: Remedy::Install,
        }));
    }
    let (link, target) = names::link(&desired.version);
    found.extend(lost_link(&link, &target, host).map(|sentence| drift(sentence, Remedy::Install)));
    for path in names::program_directories(&desired.version) {
        let sentence = host.files.get(&path).and_then(|fact| shut(&path, fact));
        found.extend(sentence.map(|sentence| drift(sentence, Remedy::Install)));
    }
}

pub(super) fn enabled(
    desired: &Desired,
    key: &NodeKey,
    host: &HostFacts,
    found: &mut Vec<Finding>,
) {
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
