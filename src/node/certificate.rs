//! Keys that never leave the host, requests on them, and the certificates that come back.

use std::{fs, net::IpAddr, path::Path};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData, SanType};
use x509_parser::{certificate::X509Certificate, pem::Pem, prelude::FromDer};

use crate::{
    account, atomic,
    ensure::{self, FileWish, Tenure},
    failure::Failed,
    ledger::{ItemKind, Ledger},
    lock, observe,
    proto::{
        CreateCertificateRequestRequest, CreateCertificateRequestResponse,
        InstallCertificateRequest, InstallCertificateResponse, Outcome,
    },
    root::Root,
    secret::Secret,
};

/// Makes the key where there is none, and a request on it.
pub(crate) fn request(
    root: &Root,
    request: &CreateCertificateRequestRequest,
    operator: &str,
) -> Result<CreateCertificateRequestResponse, Failed> {
    // Anything that is wrong with the names is told before a key is made.
    let params = params(request)?;
    let (key, outcome) = key(root, request, operator)?;
    let csr_pem = params
        .serialize_request(&key)
        .and_then(|csr| csr.pem())
        .map_err(|error| {
            Failed::internal(
                &request.key_path,
                format!("making a request failed: {error}"),
            )
        })?;
    Ok(CreateCertificateRequestResponse {
        csr_pem,
        key: outcome.into(),
    })
}

fn params(request: &CreateCertificateRequestRequest) -> Result<CertificateParams, Failed> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, &request.common_name);
    for name in &request.dns_names {
        let name = name
            .as_str()
            .try_into()
            .map_err(|error| Failed::invalid(name, format!("{name} is not a DNS name: {error}")))?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    for address in &request.ip_addresses {
        let address: IpAddr = address
            .parse()
            .map_err(|_| Failed::invalid(address, format!("{address} is not an address")))?;
        params.subject_alt_names.push(SanType::IpAddress(address));
    }
    Ok(params)
}

/// The key is made once and used again, so a re-issue swaps one file and no handshake meets a pair
/// that does not fit.
fn key(
    root: &Root,
    request: &CreateCertificateRequestRequest,
    operator: &str,
) -> Result<(KeyPair, Outcome), Failed> {
    let path = root.wanted(&request.key_path)?;
    let wish = |content| FileWish {
        path: &request.key_path,
        user: &request.user,
        group: &request.group,
        mode: request.mode,
        content,
        tenure: Tenure::Own(ItemKind::Key),
        is_hashed: false,
    };
    if ensure::is_own(root, &request.owner, &request.key_path)? {
        let existing = fs::read(&path)
            .ok()
            .map(Secret::new)
            .and_then(|pem| KeyPair::from_pem(std::str::from_utf8(pem.expose()).ok()?).ok());
        if let Some(key) = existing {
            let _lock = lock::host(root, operator)?;
            Ledger::load(root)?.owner_mut(&request.owner, &request.id)?;
            let ids = account::ids(root, &request.user, &request.group)?;
            atomic::protect_file(&path, ids, request.mode)?;
            return Ok((key, Outcome::NotNeeded));
        }
    }
    let key = KeyPair::generate().map_err(|error| {
        Failed::internal(&request.key_path, format!("making a key failed: {error}"))
    })?;
    let pem = Secret::new(key.serialize_pem());
    let outcome = ensure::one_file(
        root,
        &request.owner,
        &request.id,
        &wish(pem.expose()),
        operator,
    )?;
    Ok((key, outcome))
}

/// Puts a chain beside its key after checking that they belong together.
pub(crate) fn install(
    root: &Root,
    request: &InstallCertificateRequest,
    operator: &str,
) -> Result<InstallCertificateResponse, Failed> {
    let key_path = root.wanted(&request.key_path)?;
    check_chain(&request.chain_pem, &key_path).map_err(|why| {
        Failed::invalid(
            &request.path,
            format!("the chain for {} is refused: {why}", request.path),
        )
    })?;
    // A renewal that runs now has made a newer one, or waits and finds this.
    let _lock = lock::take(
        root,
        &lock_name(&request.path),
        operator,
        lock::CERTIFICATE_WAIT,
    )?;
    let wish = FileWish {
        path: &request.path,
        user: &request.user,
        group: &request.group,
        mode: request.mode,
        content: request.chain_pem.as_bytes(),
        tenure: Tenure::Own(ItemKind::File),
        // It renews itself.
        is_hashed: false,
    };
    let outcome = ensure::one_file(root, &request.owner, &request.id, &wish, operator)?;
    let certificate = Some(observe::certificate(root, &request.path, &request.key_path));
    Ok(InstallCertificateResponse {
        outcome: outcome.into(),
        certificate,
    })
}

/// Name of the lock on a certificate, for a timer and an apply.
pub(crate) fn lock_name(path: &str) -> String {
    lock::name_of("certificate", path)
}

/// Why a chain cannot stand beside a key.
pub(crate) fn check_chain(chain_pem: &str, key_path: &Path) -> Result<(), String> {
    let blocks: Vec<Pem> = Pem::iter_from_buffer(chain_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| "it is not PEM")?;
    let chain: Vec<X509Certificate<'_>> = blocks
        .iter()
        .map(|block| match X509Certificate::from_der(&block.contents) {
            Ok((_, certificate)) if block.label == "CERTIFICATE" => Ok(certificate),
            _ => Err("it holds something else than certificates"),
        })
        .collect::<Result<_, _>>()?;
    let leaf = chain.first().ok_or("it is empty")?;
    let key = fs::read(key_path)
        .map(Secret::new)
        .map_err(|error| format!("its key {} cannot be read: {error}", key_path.display()))?;
    let key = std::str::from_utf8(key.expose())
        .ok()
        .and_then(|pem| KeyPair::from_pem(pem).ok())
        .ok_or_else(|| format!("its key {} is not a private key", key_path.display()))?;
    if key.subject_public_key_info() != leaf.public_key().raw {
        return Err("it does not belong to the key on this host".to_owned());
    }
    for pair in chain.windows(2) {
        if pair[0]
            .verify_signature(Some(pair[1].public_key()))
            .is_err()
        {
            return Err("a certificate in it is not signed by the next one".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rcgen::{BasicConstraints, Certificate, IsCa, Issuer};

    use super::*;
    use crate::test_host::TestHost;

    const OWNER: &str = "etcd_cluster/k8s";
    const KEY: &str = "/etc/etcd/ssl/etcd-k8s-1-peer.key";
    const CERTIFICATE: &str = "/etc/etcd/ssl/etcd-k8s-1-peer.crt";

    fn key_wish(host: &TestHost) -> CreateCertificateRequestRequest {
        CreateCertificateRequestRequest {
            owner: OWNER.to_owned(),
            id: "1".to_owned(),
            key_path: KEY.to_owned(),
            user: host.user().to_owned(),
            group: host.user().to_owned(),
            mode: 0o400,
            common_name: "k8s.peer.etcd.internal".to_owned(),
            dns_names: vec!["k8s.peer.etcd.internal".to_owned()],
            ip_addresses: vec!["10.0.1.10".to_owned()],
        }
    }

    struct Ca {
        certificate: Certificate,
        issuer: Issuer<'static, KeyPair>,
    }

    fn ca() -> Ca {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        Ca {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    fn sign(host: &TestHost, ca: &Ca) -> String {
        let pem = fs::read_to_string(host.root().at(KEY)).expect("a key");
        let key = KeyPair::from_pem(&pem).expect("a key");
        let leaf = CertificateParams::default()
            .signed_by(&key, &ca.issuer)
            .expect("a leaf");
        format!("{}{}", leaf.pem(), ca.certificate.pem())
    }

    fn chain_wish(host: &TestHost, chain_pem: String) -> InstallCertificateRequest {
        InstallCertificateRequest {
            owner: OWNER.to_owned(),
            id: "1".to_owned(),
            path: CERTIFICATE.to_owned(),
            key_path: KEY.to_owned(),
            chain_pem,
            user: host.user().to_owned(),
            group: host.user().to_owned(),
            mode: 0o444,
        }
    }

    #[test]
    fn a_key_is_made_once_and_closed_again_when_somebody_opened_it() {
        let host = TestHost::new();
        let made = request(host.root(), &key_wish(&host), "test").expect("made");
        assert_eq!(made.key(), Outcome::Added);
        let path = host.root().at(KEY);
        let before = fs::read(&path).expect("a key");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("opened");
        let again = request(host.root(), &key_wish(&host), "test").expect("again");
        assert_eq!(again.key(), Outcome::NotNeeded);
        assert_eq!(fs::read(&path).expect("a key"), before);
        assert_eq!(
            fs::metadata(&path).expect("a key").permissions().mode() & 0o7777,
            0o400
        );
        assert!(!again.csr_pem.contains("PRIVATE"));
    }

    #[test]
    fn a_foreign_key_is_neither_used_nor_replaced() {
        let host = TestHost::new();
        host.write(KEY, "not ours");
        let failed = request(host.root(), &key_wish(&host), "test").expect_err("foreign");
        assert_eq!(failed.0.kind(), crate::proto::failure::Kind::Foreign);
        assert_eq!(host.read(KEY), "not ours");
        let other = CreateCertificateRequestRequest {
            id: "2".to_owned(),
            ..key_wish(&host)
        };
        assert!(request(host.root(), &other, "test").is_err());
    }

    #[test]
    fn a_chain_stands_only_beside_its_own_key_and_in_order() {
        let host = TestHost::new();
        request(host.root(), &key_wish(&host), "test").expect("made");
        let (own, other) = (ca(), ca());
        let chain = sign(&host, &own);
        let installed =
            install(host.root(), &chain_wish(&host, chain.clone()), "test").expect("good");
        assert_eq!(installed.outcome(), Outcome::Added);
        assert!(installed.certificate.expect("a fact").key_matches);
        let again = install(host.root(), &chain_wish(&host, chain.clone()), "test").expect("good");
        assert_eq!(again.outcome(), Outcome::NotNeeded);
        let leaf = chain
            .split_inclusive("-----END CERTIFICATE-----\n")
            .next()
            .expect("a leaf");
        for bad in [
            String::new(),
            "text".to_owned(),
            format!("{leaf}{}", other.certificate.pem()),
            other.certificate.pem(),
        ] {
            assert!(install(host.root(), &chain_wish(&host, bad), "test").is_err());
        }
        assert_eq!(host.read(CERTIFICATE), chain);
    }

    #[test]
    fn names_that_cannot_be_are_told_before_a_key_is_made() {
        let host = TestHost::new();
        let wish = CreateCertificateRequestRequest {
            ip_addresses: vec!["10.0.1".to_owned()],
            ..key_wish(&host)
        };
        assert!(request(host.root(), &wish, "test").is_err());
        assert!(!host.root().at(KEY).exists());
    }
}
