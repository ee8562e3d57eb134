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

use crate::{
    account, digest,
    proto::{CertificateFact, CertificateQuery},
    root::Root,
};

/// The same with a look at who issued it.
pub(super) fn queried(root: &Root, query: &CertificateQuery) -> CertificateFact {
    let mut fact = fact(root, &query.path, &query.key_path);
    if fact.present && fact.error.is_empty() && !query.root_path.is_empty() {
        let wanted = fs::read_to_string(root.at(&query.root_path))
            .ok()
            .and_then(|pem| first_in_pem(&pem))
            .filter(|der| digest::bytes(der) == query.root_fingerprint);
        // With another root in its place nothing can be told.
        if let Some(wanted) = wanted {
            fact.chain_error = fs::read(root.at(&query.path))
                .map_err(|error| error.to_string())
                .and_then(|chain| leads_to(&chain, &wanted))
                .err()
                .unwrap_or_default();
        }
    }
    fact
}

/// Why a chain in PEM does not lead to a root in DER.
fn leads_to(chain: &[u8], root: &[u8]) -> Result<(), String> {
    let blocks: Vec<Pem> = Pem::iter_from_buffer(chain)
        .collect::<Result<_, _>>()
        .map_err(|_| "it is not PEM")?;
    let der: Vec<&[u8]> = blocks
        .iter()
        .map(|block| block.contents.as_slice())
        .chain([root])
        .collect();
    for pair in der.windows(2) {
        if pair[0] == pair[1] {
            continue;
        }
        let [below, above] = [pair[0], pair[1]].map(X509Certificate::from_der);
        let ((_, below), (_, above)) = below
            .and_then(|below| Ok((below, above?)))
            .map_err(|_| "it holds something else than certificates")?;
        if below.verify_signature(Some(above.public_key())).is_err() {
            return Err(format!(
                "{} is not signed by {}",
                below.subject(),
                above.subject()
            ));
        }
    }
    Ok(())
}

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
    let place = root.at(path);
    let (Ok(bytes), Ok(found)) = (fs::read(&place), fs::metadata(&place)) else {
        return fact;
    };
    fact.present = true;
    fact.mode = found.mode() & 0o7777;
    fact.user = account::user_name(root, found.uid());
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer};

    use super::*;
    use crate::test_host::TestHost;

    const PATH: &str = "/etc/etcd/ssl/peer.crt";
    const ROOT: &str = "/etc/etcd/ssl/main-root_ca.crt";

    /// A certificate authority: its certificate, and what it signs with.
    fn authority(above: Option<&Issuer<'_, KeyPair>>) -> (String, Issuer<'static, KeyPair>) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = match above {
            None => params.self_signed(&key),
            Some(above) => params.signed_by(&key, above),
        };
        let pem = certificate.expect("a certificate").pem();
        (pem, Issuer::new(params, key))
    }

    fn leaf(issuer: &Issuer<'_, KeyPair>) -> String {
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::default().signed_by(&key, issuer);
        leaf.expect("a leaf").pem()
    }

    fn chain_error(host: &TestHost, fingerprint: &str) -> String {
        let query = CertificateQuery {
            path: PATH.to_owned(),
            root_path: ROOT.to_owned(),
            root_fingerprint: fingerprint.to_owned(),
            ..CertificateQuery::default()
        };
        queried(host.root(), &query).chain_error
    }

    #[test]
    fn tells_a_chain_that_does_not_lead_to_the_root() {
        let host = TestHost::new();
        let (root, root_issuer) = authority(None);
        let (intermediate, issuer) = authority(Some(&root_issuer));
        let (other, other_issuer) = authority(None);
        let fingerprint = digest::bytes(&first_in_pem(&root).expect("a root"));
        host.write(ROOT, &root);
        let signed = leaf(&issuer);
        for good in [
            format!("{signed}{intermediate}"),
            format!("{signed}{intermediate}{root}"),
            leaf(&root_issuer),
        ] {
            host.write(PATH, &good);
            assert_eq!(chain_error(&host, &fingerprint), "", "{good}");
        }
        for foreign in [
            other.clone(),
            leaf(&other_issuer),
            format!("{}{other}", leaf(&other_issuer)),
            format!("{}{intermediate}", leaf(&other_issuer)),
            // Nobody can check it without the intermediate.
            signed.clone(),
        ] {
            host.write(PATH, &foreign);
            assert_ne!(chain_error(&host, &fingerprint), "", "{foreign}");
        }
        // With another root in its place nothing can be told.
        host.write(ROOT, &other);
        assert_eq!(chain_error(&host, &fingerprint), "");
    }

    #[test]
    fn tells_mode_and_owner_of_a_certificate() {
        let host = TestHost::new();
        host.write(PATH, &authority(None).0);
        let mode = fs::Permissions::from_mode(0o640);
        fs::set_permissions(host.root().at(PATH), mode).expect("a mode");
        let fact = fact(host.root(), PATH, "");
        assert_eq!((fact.mode, fact.user.as_str()), (0o640, host.user()));
    }
}
