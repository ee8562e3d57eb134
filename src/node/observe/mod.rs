//! Facts about the host. Nothing here changes anything.

mod ca;
mod certificate;
mod etcd;
mod file;
mod host;
mod port;
mod space;

use tokio::task::{self, JoinError};

use crate::{
    account, ensure,
    failure::Failed,
    journal,
    ledger::{ItemKind, Ledger, SharedKind},
    proto::{ObserveRequest, ObserveResponse, OwnerFact, UserFact},
    root::Root,
    unit,
};

pub(crate) use ca::fingerprint;
pub(crate) use certificate::{fact as certificate, first_in_pem, names_of};
pub(crate) use etcd::{Client, failed as etcd_failed, member as etcd_member};
pub(crate) use port::facts as ports;
pub(crate) use space::free_bytes;

/// Looks at everything that was asked for, side by side.
pub(crate) async fn observe(
    root: &Root,
    request: ObserveRequest,
) -> Result<ObserveResponse, Failed> {
    Ledger::load(root)?.remember_programs();
    let members =
        futures::future::join_all(request.etcd.iter().map(|query| etcd::fact(root, query)));
    let cas = futures::future::join_all(request.cas.iter().map(|query| ca::fact(root, query)));
    let host = task::spawn_blocking({
        let root = root.clone();
        move || {
            (
                host::fact(&root),
                ensure::timer_helper_version(&root).unwrap_or_default(),
            )
        }
    });
    let units = task::spawn_blocking({
        let names = request.units.clone();
        move || unit::facts(&names)
    });
    let local = task::spawn_blocking({
        let (root, request) = (root.clone(), request.clone());
        move || look(&root, &request)
    });
    let (etcd, cas, host, units, local) = tokio::join!(members, cas, host, units, local);
    let mut response = local.map_err(|error| panicked(&error))??;
    let (host, timer_helper_version) = host.map_err(|error| panicked(&error))?;
    response.host = Some(host);
    response.timer_helper_version = timer_helper_version;
    response.units = units.map_err(|error| panicked(&error))??;
    response.etcd = etcd;
    response.cas = cas.into_iter().collect::<Result<_, _>>()?;
    Ok(response)
}

fn panicked(error: &JoinError) -> Failed {
    Failed::internal(
        "Observe",
        format!("looking at the host ended early: {error}"),
    )
}

/// What needs nothing but files.
fn look(root: &Root, request: &ObserveRequest) -> Result<ObserveResponse, Failed> {
    let ledger = Ledger::load(root)?;
    let is_wanted = |name: &String| request.whole_ledger || request.owners.contains(name);
    Ok(ObserveResponse {
        files: request
            .files
            .iter()
            .map(|query| file::fact(root, query, &ledger, &request.owners))
            .collect::<Result<_, _>>()?,
        certificates: request
            .certificates
            .iter()
            .map(|query| certificate::queried(root, query))
            .collect(),
        ports: port::facts(&request.ports, &ledger),
        users: request.users.iter().map(|name| user(root, name)).collect(),
        owners: ledger
            .owners
            .keys()
            .filter(|name| is_wanted(name))
            .map(|name| owner(&ledger, name))
            .collect(),
        journal: journal::all(root)?
            .into_iter()
            .filter(|entry| is_wanted(&entry.owner))
            .collect(),
        space: request
            .space
            .iter()
            .map(|path| space::fact(root, path))
            .collect(),
        ..ObserveResponse::default()
    })
}

fn owner(ledger: &Ledger, name: &str) -> OwnerFact {
    let entry = &ledger.owners[name];
    let shared = ledger.shared.iter().filter(|(_, shared)| {
        shared.owners.contains(name)
            && matches!(
                shared.kind,
                SharedKind::File | SharedKind::Unit | SharedKind::Link
            )
    });
    OwnerFact {
        owner: name.to_owned(),
        id: entry.id.clone(),
        ports: entry.ports.iter().map(|port| u32::from(*port)).collect(),
        manifest: entry.manifest.clone(),
        paths: entry
            .items
            .iter()
            .filter(|(_, item)| item.kind != ItemKind::Unit)
            .map(|(path, _)| path)
            .chain(shared.map(|(path, _)| path))
            .cloned()
            .collect(),
        units: ledger.units(name).map(str::to_owned).collect(),
    }
}

fn user(root: &Root, name: &str) -> UserFact {
    let absent = UserFact {
        name: name.to_owned(),
        ..UserFact::default()
    };
    match account::user(root, name) {
        Some(found) => UserFact {
            present: true,
            uid: found.uid,
            gid: found.gid,
            home: found.home,
            ..absent
        },
        None => absent,
    }
}
