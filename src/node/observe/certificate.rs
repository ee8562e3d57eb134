//! What a certificate says, and whether its key belongs to it.

use std::{fs, net::IpAddr, os::unix::fs::MetadataExt};

use rcgen::{KeyPair, PublicKeyData};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    pem::Pem,
    prelude::FromDer,
    x509::X509Name,
};

use crate::{account, digest, proto::CertificateFact, root::Root};

pub(crate) fn fact(root: &Root, path: &str, key_path: &str) -> CertificateFact {
    let mut fact = CertificateFact {
        path: path.to_owned(),
        ..CertificateFact::default()
    };
    let key_place = root.at(key_path);
    if !key_path.is_empty()
        && let Ok(key) = fs::metadata(&key_place)
    {
        fact.key_present = true;
        fact.key_mode = key.mode() & 0o7777;
        fact.key_user = account::user_name(root, key.uid());
    }
    let Ok(bytes) = fs::read(root.at(path)) else {
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
    fact.fingerprint = digest::bytes(&blocks[0].contents);
    fact.chain_fingerprint = blocks
        .last()
        .map(|last| digest::bytes(&last.contents))
        .unwrap_or_default();
    fact.not_before_ms = leaf.validity().not_before.timestamp() * 1000;
    fact.not_after_ms = leaf.validity().not_after.timestamp() * 1000;
    fact.common_name = common_name(leaf.subject());
    fact.issuer_common_name = common_name(leaf.issuer());
    fact.authority_key_id = authority_key_id(&leaf);
    if let Ok(Some(names)) = leaf.subject_alternative_name() {
        (fact.dns_names, fact.ip_addresses, _) = names_of(&names.value.general_names);
    }
    fact.key_matches = fs::read_to_string(key_place)
        .ok()
        .and_then(|pem| KeyPair::from_pem(&pem).ok())
        .is_some_and(|key| key.subject_public_key_info() == leaf.public_key().raw);
    fact
}

fn common_name(name: &X509Name<'_>) -> String {
    name.iter_common_name()
        .next()
        .and_then(|name| name.as_str().ok())
        .unwrap_or_default()
        .to_owned()
}

fn authority_key_id(certificate: &X509Certificate<'_>) -> String {
    certificate
        .iter_extensions()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(identifier) => identifier
                .key_identifier
                .as_ref()
                .map(|identifier| hex::encode(identifier.0)),
            _ => None,
        })
        .unwrap_or_default()
}

/// DNS names and addresses of a list of names, and whether it holds anything else.
pub(crate) fn names_of(names: &[GeneralName<'_>]) -> (Vec<String>, Vec<String>, bool) {
    let (mut dns, mut addresses, mut has_others) = (Vec::new(), Vec::new(), false);
    for name in names {
        match name {
            GeneralName::DNSName(name) => dns.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => {
                let address = <[u8; 4]>::try_from(*bytes)
                    .map(IpAddr::from)
                    .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
                match address {
                    Ok(address) => addresses.push(address.to_string()),
                    Err(_) => has_others = true,
                }
            }
            _ => has_others = true,
        }
    }
    (dns, addresses, has_others)
}

/// The first certificate of a PEM text, in DER.
pub(crate) fn first_in_pem(pem: &str) -> Option<Vec<u8>> {
    Pem::iter_from_buffer(pem.as_bytes())
        .next()?
        .ok()
        .map(|block| block.contents)
}
