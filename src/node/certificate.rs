//! Keys that never leave the host, requests on them, and the certificates that come back.

use std::{fs, net::IpAddr, path::Path};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData, SanType};
use x509_parser::{
    pem::Pem,
    prelude::{FromDer, X509Certificate},
};

use crate::{
    atomic,
    failure::Failed,
    ledger::{Item, Kind2, Ledger},
    lock, observe,
    proto::{
        CreateCertificateRequestRequest, CreateCertificateRequestResponse,
        InstallCertificateRequest, InstallCertificateResponse, Outcome, failure::Kind,
    },
    system,
};

/// The key is made once and used again, so a re-issue swaps one file and no handshake meets a pair
/// that does not fit.
pub(crate) fn request(
    request: &CreateCertificateRequestRequest,
    operator: &str,
) -> Result<CreateCertificateRequestResponse, Failed> {
    let path = Path::new(&request.key_path);
    let known = register(&request.owner, &request.id, &request.key_path, operator)?;
    let internal = |error: rcgen::Error| {
        Failed::new(
            Kind::Internal,
            &request.key_path,
            format!("making a request failed: {error}"),
        )
    };
    let present = known && fs::metadata(path).is_ok();
    let existing = present
        .then(|| {
            fs::read_to_string(path)
                .ok()
                .and_then(|pem| KeyPair::from_pem(&pem).ok())
        })
        .flatten();
    let (key, outcome) = match existing {
        Some(key) => {
            // Somebody may have opened it up: a key that others could read is not used again.
            system::own(path, &request.user, &request.group)?;
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(path, fs::Permissions::from_mode(request.mode))
                .map_err(|error| Failed::io("protecting", request.key_path.clone(), &error))?;
            (key, Outcome::NotNeeded)
        }
        None => {
            let key = KeyPair::generate().map_err(internal)?;
            let pem = key.serialize_pem();
            atomic::write(
                path,
                pem.as_bytes(),
                &request.user,
                &request.group,
                request.mode,
            )?;
            (
                key,
                if present {
                    Outcome::Updated
                } else {
                    Outcome::Added
                },
            )
        }
    };
    let mut params = CertificateParams::new(Vec::new()).map_err(internal)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, &request.common_name);
    for name in &request.dns_names {
        let name = name.as_str().try_into().map_err(internal)?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    for address in &request.ip_addresses {
        let address: IpAddr = address.parse().map_err(|_| {
            Failed::new(
                Kind::InvalidRequest,
                address,
                format!("{address} is not an address"),
            )
        })?;
        params.subject_alt_names.push(SanType::IpAddress(address));
    }
    let csr = params.serialize_request(&key).map_err(internal)?;
    let csr_pem = csr.pem().map_err(internal)?;
    Ok(CreateCertificateRequestResponse {
        csr_pem,
        key: outcome.into(),
    })
}

/// Writes down a path; a foreign file there is refused. Answers whether it was known before.
fn register(owner: &str, id: &str, path: &str, operator: &str) -> Result<bool, Failed> {
    let _lock = lock::host(operator)?;
    let mut ledger = Ledger::load()?;
    let known = ledger.find(path).map(|(name, _)| name.to_owned());
    match known {
        Some(name) if name == owner => return Ok(true),
        Some(name) => {
            return Err(Failed::new(
                Kind::Conflict,
                path,
                format!("{path} belongs to {name}"),
            ));
        }
        None if fs::symlink_metadata(path).is_ok() => {
            return Err(Failed::new(
                Kind::Foreign,
                path,
                format!("{path} is there already and was not made by this provider"),
            )
            .hint("Move it away, or choose another name."));
        }
        None => {}
    }
    let item = Item {
        kind: Kind2::File,
        sha256: String::new(),
    };
    ledger
        .owner_mut(owner, id)?
        .items
        .insert(path.to_owned(), item);
    ledger.save()?;
    Ok(false)
}

/// Puts a chain beside its key after checking that they belong together.
pub(crate) fn install(
    request: &InstallCertificateRequest,
    operator: &str,
) -> Result<InstallCertificateResponse, Failed> {
    let refused = |why: &str| {
        Failed::new(
            Kind::InvalidRequest,
            &request.path,
            format!("the chain for {}: {why}", request.path),
        )
    };
    let blocks: Vec<Pem> = Pem::iter_from_buffer(request.chain_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| refused("it is not PEM"))?;
    let first = blocks.first().ok_or_else(|| refused("it is empty"))?;
    let (_, leaf) = X509Certificate::from_der(&first.contents)
        .map_err(|_| refused("it is not a certificate"))?;
    let key = fs::read_to_string(&request.key_path)
        .map_err(|error| Failed::io("reading", request.key_path.clone(), &error))?;
    let key = KeyPair::from_pem(&key)
        .map_err(|_| Failed::new(Kind::Internal, &request.key_path, "the key cannot be read"))?;
    if key.subject_public_key_info() != leaf.public_key().raw {
        return Err(refused("it does not belong to the key on this host"));
    }
    if let Some(second) = blocks.get(1) {
        let (_, issuer) = X509Certificate::from_der(&second.contents)
            .map_err(|_| refused("its second part is not a certificate"))?;
        if leaf.verify_signature(Some(issuer.public_key())).is_err() {
            return Err(refused(
                "the leaf is not signed by the certificate behind it",
            ));
        }
    }
    register(&request.owner, &request.id, &request.path, operator)?;
    let path = Path::new(&request.path);
    let before = fs::read(path).ok();
    let outcome = match before {
        Some(bytes) if bytes == request.chain_pem.as_bytes() => Outcome::NotNeeded,
        before => {
            atomic::write(
                path,
                request.chain_pem.as_bytes(),
                &request.user,
                &request.group,
                request.mode,
            )?;
            if before.is_some() {
                Outcome::Updated
            } else {
                Outcome::Added
            }
        }
    };
    let certificate = Some(observe::certificate(&request.path, &request.key_path));
    Ok(InstallCertificateResponse {
        outcome: outcome.into(),
        certificate,
    })
}
