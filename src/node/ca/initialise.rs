//! Makes a CA with the real step CLI. Every piece is made where it is absent, so a run that was cut
//! off is continued by the next.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use rcgen::KeyPair;
use serde_json::json;

use super::{fingerprint, token};
use crate::{
    atomic,
    failure::Failed,
    ledger::{Item, Kind2, Ledger},
    lock, observe,
    proto::{InitialiseCaRequest, InitialiseCaResponse, Outcome, failure::Kind},
    system,
};

pub(crate) fn initialise(
    request: &InitialiseCaRequest,
    operator: &str,
) -> Result<InitialiseCaResponse, Failed> {
    let directory = &request.directory;
    register(request, operator)?;
    for (sub, mode) in [
        ("", 0o755),
        ("/certs", 0o755),
        ("/config", 0o755),
        ("/secrets", 0o700),
    ] {
        let path = format!("{directory}{sub}");
        fs::create_dir_all(&path)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            .map_err(|error| Failed::io("making", path.clone(), &error))?;
    }
    let mut outcome = Outcome::NotNeeded;
    for name in ["root_password", "intermediate_password"] {
        let path = format!("{directory}/secrets/{name}");
        if !Path::new(&path).exists() {
            let mut bytes = [0_u8; 32];
            aws_lc_rs::rand::fill(&mut bytes)
                .map_err(|_| Failed::new(Kind::Internal, name, "no random bytes can be had"))?;
            atomic::write(
                Path::new(&path),
                hex::encode(bytes).as_bytes(),
                "root",
                "root",
                0o400,
            )?;
        }
    }
    if certify(request, "root", &[])? {
        outcome = Outcome::Added;
    }
    let (root, key, password) = (
        format!("{directory}/certs/root_ca.crt"),
        format!("{directory}/secrets/root_ca_key"),
        format!("{directory}/secrets/root_password"),
    );
    let signed_by = [
        "--ca",
        &root,
        "--ca-key",
        &key,
        "--ca-password-file",
        &password,
    ];
    if certify(request, "intermediate", &signed_by)? {
        outcome = Outcome::Added;
    }
    let changed = configure(request, operator)?;
    if changed && outcome == Outcome::NotNeeded {
        outcome = Outcome::Updated;
    }
    let root_pem =
        fs::read_to_string(&root).map_err(|error| Failed::io("reading", root, &error))?;
    Ok(InitialiseCaResponse {
        outcome: outcome.into(),
        root_fingerprint: fingerprint(&root_pem),
        root_pem,
        configuration_changed: changed,
    })
}

fn register(request: &InitialiseCaRequest, operator: &str) -> Result<(), Failed> {
    let _lock = lock::host(operator)?;
    let mut ledger = Ledger::load()?;
    let directory = &request.directory;
    let known = ledger.find(directory).map(|(name, _)| name.to_owned());
    if known.as_deref() == Some(request.owner.as_str()) {
        return Ok(());
    }
    let populated = fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some());
    if known.is_some() || populated {
        return Err(Failed::new(
            Kind::Foreign,
            directory,
            format!("{directory} holds something that was not made for this CA"),
        )
        .hint("Give this CA an instance name of its own, or move the directory away."));
    }
    let item = Item {
        kind: Kind2::Data,
        sha256: String::new(),
    };
    ledger
        .owner_mut(&request.owner, &request.id)?
        .items
        .insert(directory.clone(), item);
    ledger.save()
}

/// Makes key and certificate of one stage, if the certificate is not there. Both appear by rename,
/// the key first: a certificate always has its key.
fn certify(request: &InitialiseCaRequest, stage: &str, more: &[&str]) -> Result<bool, Failed> {
    let directory = &request.directory;
    let certificate = format!("{directory}/certs/{stage}_ca.crt");
    if Path::new(&certificate).exists() {
        return Ok(false);
    }
    let key = format!("{directory}/secrets/{stage}_ca_key");
    let (new_certificate, new_key) = (format!("{certificate}.new"), format!("{key}.new"));
    for leftover in [&new_certificate, &new_key, &key] {
        let _ = fs::remove_file(leftover);
    }
    let (title, hours) = match stage {
        "root" => ("Root", request.root_lifetime_hours),
        _ => ("Intermediate", request.intermediate_lifetime_hours),
    };
    let subject = format!("{} {title} CA", request.name);
    let profile = format!("{stage}-ca");
    let life = format!("{hours}h");
    let password = format!("{directory}/secrets/{stage}_password");
    let mut arguments = vec![
        "certificate",
        "create",
        &subject,
        &new_certificate,
        &new_key,
        "--profile",
        &profile,
        "--not-after",
        &life,
        "--kty",
        "EC",
        "--curve",
        "P-256",
        "--password-file",
        &password,
        "--force",
    ];
    arguments.extend(more);
    let environment = [("STEPPATH", directory.as_str()), ("HOME", "/root")];
    system::run_with(&request.step_path, &arguments, &environment, None)?;
    let finish = |from: &str, to: &str, mode: u32| {
        fs::set_permissions(from, fs::Permissions::from_mode(mode))
            .and_then(|()| fs::rename(from, to))
            .map_err(|error| Failed::io("moving", from.to_owned(), &error))
    };
    finish(&new_key, &key, 0o400)?;
    finish(&new_certificate, &certificate, 0o444)?;
    Ok(true)
}

/// Writes ca.json if it differs; answers whether it did.
fn configure(request: &InitialiseCaRequest, operator: &str) -> Result<bool, Failed> {
    let directory = &request.directory;
    let key_path = format!("{directory}/secrets/provisioner_key");
    if !Path::new(&key_path).exists() {
        let key = KeyPair::generate().map_err(|error| {
            Failed::new(
                Kind::Internal,
                &key_path,
                format!("making the provisioner's key failed: {error}"),
            )
        })?;
        atomic::write(
            Path::new(&key_path),
            key.serialize_pem().as_bytes(),
            "root",
            "root",
            0o400,
        )?;
    }
    let key = super::sign::provisioner_key(directory)?;
    let claims = json!({
        "minTLSCertDuration": request.min_lifetime,
        "maxTLSCertDuration": request.max_lifetime,
        "defaultTLSCertDuration": request.default_lifetime,
    });
    let configuration = json!({
        "root": format!("{directory}/certs/root_ca.crt"),
        "crt": format!("{directory}/certs/intermediate_ca.crt"),
        "key": format!("{directory}/secrets/intermediate_ca_key"),
        "address": request.listen,
        "dnsNames": request.dns_names,
        "logger": { "format": "text" },
        "authority": {
            // A token minted just before a restart stays good: this host's own helper minted it.
            "disableIssuedAtCheck": true,
            "claims": claims,
            "provisioners": [{
                "type": "JWK",
                "name": request.provisioner,
                "key": token::jwk(&key),
                "claims": claims,
            }],
        },
    });
    let mut text = serde_json::to_string_pretty(&configuration).expect("texts are JSON");
    text.push('\n');
    let path = format!("{directory}/config/ca.json");
    if fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(false);
    }
    {
        let _lock = lock::host(operator)?;
        let mut ledger = Ledger::load()?;
        let item = Item {
            kind: Kind2::File,
            sha256: observe::digest(text.as_bytes()),
        };
        ledger
            .owner_mut(&request.owner, &request.id)?
            .items
            .insert(path.clone(), item);
        ledger.save()?;
    }
    atomic::write(Path::new(&path), text.as_bytes(), "root", "root", 0o400)?;
    Ok(true)
}
