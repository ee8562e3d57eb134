//! What a certificate says, and whether its key belongs to it.

use std::{fs, os::unix::fs::MetadataExt};

use rcgen::PublicKeyData;
use x509_parser::{
    extensions::GeneralName,
    pem::Pem,
    prelude::{FromDer, X509Certificate},
};

use super::digest;
use crate::{proto::CertificateFact, system};

pub(crate) fn fact(path: &str, key_path: &str) -> CertificateFact {
    let mut fact = CertificateFact {
        path: path.to_owned(),
        ..CertificateFact::default()
    };
    if let Ok(key) = fs::metadata(key_path) {
        fact.key_present = true;
        fact.key_mode = key.mode() & 0o7777;
        fact.key_user = system::user_name(key.uid());
    }
    let Ok(bytes) = fs::read(path) else {
        return fact;
    };
    fact.present = true;
    let blocks: Result<Vec<Pem>, _> = Pem::iter_from_buffer(&bytes).collect();
    let Some(blocks) = blocks.ok().filter(|blocks| !blocks.is_empty()) else {
        "it is not PEM".clone_into(&mut fact.error);
        return fact;
    };
    let Ok((_, leaf)) = X509Certificate::from_der(&blocks[0].contents) else {
        "it is not a certificate".clone_into(&mut fact.error);
        return fact;
    };
    fact.fingerprint = digest(&blocks[0].contents);
    fact.chain_fingerprint = blocks
        .last()
        .map(|last| digest(&last.contents))
        .unwrap_or_default();
    fact.not_before_ms = leaf.validity().not_before.timestamp() * 1000;
    fact.not_after_ms = leaf.validity().not_after.timestamp() * 1000;
    let name = |name: &x509_parser::x509::X509Name<'_>| {
        name.iter_common_name()
            .next()
            .and_then(|cn| cn.as_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    fact.common_name = name(leaf.subject());
    fact.issuer_common_name = name(leaf.issuer());
    (fact.dns_names, fact.ip_addresses) = names(&leaf);
    fact.key_matches = fs::read_to_string(key_path)
        .ok()
        .and_then(|pem| rcgen::KeyPair::from_pem(&pem).ok())
        .is_some_and(|key| key.subject_public_key_info() == leaf.public_key().raw);
    fact
}

/// DNS names and addresses in the SANs.
pub(crate) fn names(certificate: &X509Certificate<'_>) -> (Vec<String>, Vec<String>) {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Default::default();
    };
    split(&extension.value.general_names)
}

pub(crate) fn split(names: &[GeneralName<'_>]) -> (Vec<String>, Vec<String>) {
    let (mut dns, mut addresses) = (Vec::new(), Vec::new());
    for name in names {
        match name {
            GeneralName::DNSName(name) => dns.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => {
                if let Ok(bytes) = <[u8; 4]>::try_from(*bytes) {
                    addresses.push(std::net::IpAddr::from(bytes).to_string());
                } else if let Ok(bytes) = <[u8; 16]>::try_from(*bytes) {
                    addresses.push(std::net::IpAddr::from(bytes).to_string());
                }
            }
            _ => {}
        }
    }
    (dns, addresses)
}
