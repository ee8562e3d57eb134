//! CAs for tests: as a user wishes them, and as an apply leaves them.

use std::collections::BTreeMap;

use super::{Desired, Manifest, Observed, Wish, directory, unit, unit_file};
use crate::{
    facts::{CaFact, Fact, FileFact, FileKind, HostFacts, OwnerFact, UnitFact},
    name::NodeKey,
    node::NodeWish,
    problem::{Problem, Problems},
    rendered::sha256,
    version,
};

pub(super) fn key() -> NodeKey {
    NodeKey::parse("1").expect("a key")
}

pub(super) fn wish() -> Wish {
    let node = NodeWish {
        host: "10.0.1.10".to_owned(),
        ..NodeWish::default()
    };
    Wish {
        name: "main".to_owned(),
        nodes: [("1".to_owned(), node)].into(),
        active_node: "1".to_owned(),
        ..Wish::default()
    }
}

/// What is wrong with a wish.
pub(super) fn problems(wish: &Wish) -> Vec<Problem> {
    let mut problems = Problems::default();
    let desired = Desired::read(wish, &mut problems);
    assert_eq!(desired.is_none(), problems.has_errors());
    problems.0
}

pub(super) fn read(wish: &Wish) -> Desired {
    let mut problems = Problems::default();
    let desired = Desired::read(wish, &mut problems);
    let mut desired = desired.unwrap_or_else(|| panic!("{problems:?}"));
    desired.id = "0123456789abcdef".to_owned();
    desired
}

fn file(content: &str) -> FileFact {
    FileFact {
        kind: FileKind::File,
        sha256: sha256(content.as_bytes()),
        recorded_sha256: sha256(content.as_bytes()),
        mode: 0o644,
        user: "root".to_owned(),
        content: Some(content.to_owned()),
        owner: "etcd_step_ca/main".to_owned(),
        ..FileFact::default()
    }
}

pub(super) fn manifest(desired: &Desired, started_with: &str) -> OwnerFact {
    let manifest = Manifest {
        format: 1,
        id: desired.id.clone(),
        node: key(),
        instance: desired.instance.as_ref().map(ToString::to_string),
        port: desired.port,
        started_with: started_with.to_owned(),
        record: String::new(),
    };
    OwnerFact {
        id: desired.id.clone(),
        manifest: manifest.to_json(),
    }
}

/// A host on which nothing was done yet.
pub(super) fn bare() -> HostFacts {
    HostFacts {
        architecture: "x86_64".to_owned(),
        init: "systemd".to_owned(),
        systemd_version: 252,
        machine_id: "machine-1".to_owned(),
        ca: Some(CaFact::default()),
        ..HostFacts::default()
    }
}

/// The host after an apply.
pub(super) fn host(desired: &Desired) -> HostFacts {
    let rendered = unit_file(desired);
    let directory = directory(desired.instance.as_ref());
    let program = |name| FileFact {
        mode: 0o755,
        group: "root".to_owned(),
        ..file(name)
    };
    let files = BTreeMap::from([
        (format!("{directory}/config/ca.json"), file("{}")),
        (
            format!("/opt/step-ca/{}/step-ca", version::STEP_CA),
            program("step-ca"),
        ),
        (format!("/opt/step/{}/step", version::STEP), program("step")),
        (rendered.path, file(&rendered.content)),
    ]);
    let running = UnitFact {
        load_state: "loaded".to_owned(),
        active_state: "active".to_owned(),
        unit_file_state: "enabled".to_owned(),
        active_since_ms: 1000,
        executable_sha256: sha256(b"step-ca"),
        ..UnitFact::default()
    };
    HostFacts {
        files,
        units: [(unit(desired.instance.as_ref()), running)].into(),
        ca: Some(CaFact {
            present: true,
            root_fingerprint: sha256(b"root"),
            healthy: true,
            ..CaFact::default()
        }),
        owner: Some(manifest(desired, &desired.configuration_hash())),
        ..bare()
    }
}

pub(super) fn seen(host: HostFacts) -> Observed {
    Observed {
        hosts: [(key(), Fact::Known(host))].into(),
    }
}

pub(super) fn lost() -> Observed {
    let fact = Fact::Unknown("connection timed out".to_owned());
    Observed {
        hosts: [(key(), fact)].into(),
    }
}

/// The service is down.
pub(super) fn stop(host: &mut HostFacts) {
    let unit = host.units.values_mut().next().expect("a unit");
    "inactive".clone_into(&mut unit.active_state);
    unit.executable_sha256.clear();
    host.ca.as_mut().expect("a CA").healthy = false;
}

/// All files of the CA are gone.
pub(super) fn lose_keys(host: &mut HostFacts) {
    stop(host);
    host.ca = Some(CaFact::default());
    host.files.remove("/etc/step-ca/config/ca.json");
}

/// Drift, steps and what is blocked, a line each.
pub(super) fn told(desired: &Desired, observed: &Observed) -> String {
    let mut lines: Vec<String> = super::drift(desired, observed)
        .into_iter()
        .map(|sentence| format!("drift: {sentence}"))
        .collect();
    let (steps, blocked) = super::plan(desired, observed);
    lines.extend(steps.iter().map(ToString::to_string));
    lines.extend(blocked.into_iter().map(|why| format!("blocked: {why}")));
    lines.join("\n")
}
