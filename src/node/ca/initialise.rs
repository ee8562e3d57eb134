//! Makes a CA with the real step CLI. Every piece is made where it is absent, so a run that was cut
//! off is continued by the next.

use std::{fs, path::Path, time::Duration};

use rcgen::KeyPair;

use super::{
    CONFIGURATION, PROVISIONER_KEY, ROOT, configuration,
    pair::{self, Stage},
    protection, sign,
};
use crate::{
    atomic, ensure,
    failure::Failed,
    ledger::{ItemKind, Ledger, Standing},
    lock, observe,
    proto::{InitialiseCaRequest, InitialiseCaResponse, Outcome},
    record,
    root::Root,
    secret::Secret,
};

/// Another run that makes the same CA just now is done in seconds.
const WAIT: Duration = Duration::from_mins(1);

pub(crate) fn initialise(
    root: &Root,
    request: &InitialiseCaRequest,
    operator: &str,
) -> Result<InitialiseCaResponse, Failed> {
    let place = root.wanted(&request.directory)?;
    let step = root.wanted(&request.step_path)?.display().to_string();
    // Two at once would make two roots.
    let name = lock::name_of("initialise", &request.directory);
    let _lock = lock::take(root, &name, operator, WAIT)?;
    enter(root, &place, request, operator)?;
    let was_open = !protection::exposed(root, &request.directory).is_empty();
    protection::make_directories(&place)?;
    protection::close(&place)?;
    let new_root = pair::make(
        &place,
        &step,
        &Stage {
            name: "root",
            subject: format!("{} Root CA", request.name),
            lifetime_hours: request.root_lifetime_hours,
            above: None,
            signed: Some("intermediate"),
        },
    )?;
    let new_intermediate = pair::make(
        &place,
        &step,
        &Stage {
            name: "intermediate",
            subject: format!("{} Intermediate CA", request.name),
            lifetime_hours: request.intermediate_lifetime_hours,
            above: Some("root"),
            signed: None,
        },
    )?;
    make_provisioner_key(&place)?;
    let text = configuration::render(request, &sign::provisioner_key(&place)?);
    let path = format!("{}/{CONFIGURATION}", request.directory);
    let wish = ensure::FileWish {
        path: &path,
        user: "root",
        group: "root",
        mode: 0o400,
        content: text.as_bytes(),
        tenure: ensure::Tenure::Own(ItemKind::File),
        is_hashed: true,
    };
    let written = ensure::one_file(root, &request.owner, &request.id, &wish, operator)?;
    let root_path = place.join(ROOT);
    let root_pem = fs::read_to_string(&root_path)
        .map_err(|error| Failed::io("reading", &root_path, &error))?;
    let outcome = match (new_root || new_intermediate, written) {
        (true, _) => Outcome::Added,
        (false, Outcome::NotNeeded) if !was_open => Outcome::NotNeeded,
        (false, _) => Outcome::Updated,
    };
    Ok(InitialiseCaResponse {
        outcome: outcome.into(),
        root_fingerprint: observe::fingerprint(&root_pem),
        root_pem,
        configuration_changed: written != Outcome::NotNeeded,
    })
}

/// The whole directory is the CA's; one that somebody else filled is refused.
fn enter(
    root: &Root,
    place: &Path,
    request: &InitialiseCaRequest,
    operator: &str,
) -> Result<(), Failed> {
    let directory = &request.directory;
    let _lock = lock::host(root, operator)?;
    let mut ledger = Ledger::load(root)?;
    let before = ledger.clone();
    ledger.owner_mut(&request.owner, &request.id)?;
    match ledger.standing(directory, &request.owner) {
        Standing::Other(other) => return Err(Failed::conflict(directory, other)),
        Standing::Shared => return Err(Failed::conflict(directory, "several owners")),
        Standing::Unknown if ensure::is_populated(place) => {
            return Err(Failed::foreign(directory)
                .hint("Give this CA an instance name of its own, or move the directory away."));
        }
        Standing::Own | Standing::Unknown => {}
    }
    ledger.enter(root, &request.owner, directory, ItemKind::Data, None);
    if ledger == before {
        Ok(())
    } else {
        ledger.save(root)
    }
}

fn make_provisioner_key(place: &Path) -> Result<(), Failed> {
    let path = place.join(PROVISIONER_KEY);
    if path.exists() {
        return Ok(());
    }
    let key = KeyPair::generate().map_err(|error| {
        Failed::internal(
            "provisioner_key",
            format!("making the provisioner's key failed: {error}"),
        )
    })?;
    atomic::write(
        &path,
        Secret::new(key.serialize_pem()).expose(),
        record::root_ids(),
        0o400,
    )
}
