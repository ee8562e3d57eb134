//! The check of a request for a certificate: exactly the names that were announced, and none that
//! belongs to another cluster.

use planner::etcd_cluster::may_have;
use x509_parser::{
    certification_request::X509CertificationRequest, extensions::ParsedExtension, pem::Pem,
    prelude::FromDer,
};

use crate::{
    failure::Failed,
    observe,
    proto::{SignRequest, failure::Kind},
};

/// Refuses a request that is not for exactly the announced names.
pub(super) fn check(request: &SignRequest) -> Result<(), Failed> {
    match fault(request) {
        None => Ok(()),
        Some(why) => Err(Failed::new(
            Kind::NamesRefused,
            &request.common_name,
            format!("the request for {} is refused: {why}", request.common_name),
        )),
    }
}

fn fault(request: &SignRequest) -> Option<String> {
    let Some(Ok(block)) = Pem::iter_from_buffer(request.csr_pem.as_bytes()).next() else {
        return Some("it is not PEM".to_owned());
    };
    let Ok((rest, csr)) = X509CertificationRequest::from_der(&block.contents) else {
        return Some("it cannot be read".to_owned());
    };
    if !rest.is_empty() || csr.verify_signature().is_err() {
        return Some("its signature is wrong".to_owned());
    }
    let subject = &csr.certification_request_info.subject;
    let common_names: Vec<&str> = subject
        .iter_common_name()
        .filter_map(|name| name.as_str().ok())
        .collect();
    if common_names != [request.common_name.as_str()] || subject.iter_attributes().count() != 1 {
        return Some(format!("its subject is {subject}"));
    }
    let lists: Vec<_> = csr
        .requested_extensions()
        .into_iter()
        .flatten()
        .filter_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => {
                Some(observe::names_of(&names.general_names))
            }
            _ => None,
        })
        .collect();
    let (mut dns, mut addresses, has_others) = match <[_; 1]>::try_from(lists) {
        Ok([list]) => list,
        Err(lists) if lists.is_empty() => Default::default(),
        Err(_) => return Some("it has several lists of names".to_owned()),
    };
    dns.sort();
    addresses.sort();
    if has_others || dns != sorted(&request.dns_names) || addresses != sorted(&request.ip_addresses)
    {
        return Some(format!(
            "it is for {}",
            [dns, addresses].concat().join(", ")
        ));
    }
    let consumer = request.consumer.clone().unwrap_or_default().name;
    [std::slice::from_ref(&request.common_name), dns.as_slice()]
        .concat()
        .into_iter()
        .find(|name| !may_have(&consumer, name))
        .map(|name| format!("{name} is not a name of {consumer}"))
}

fn sorted(list: &[String]) -> Vec<String> {
    let mut list = list.to_vec();
    list.sort();
    list
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;
    use crate::proto::Consumer;

    fn csr(common_name: &str, sans: Vec<SanType>) -> String {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.subject_alt_names = sans;
        params
            .serialize_request(&key)
            .expect("a request")
            .pem()
            .expect("PEM")
    }

    fn dns(name: &str) -> SanType {
        SanType::DnsName(name.try_into().expect("a name"))
    }

    fn request(csr_pem: String) -> SignRequest {
        SignRequest {
            csr_pem,
            common_name: "k8s.peer.etcd.internal".to_owned(),
            dns_names: vec!["etcd-k8s-1".to_owned(), "k8s.peer.etcd.internal".to_owned()],
            ip_addresses: vec!["10.0.1.10".to_owned()],
            consumer: Some(Consumer {
                name: "k8s".to_owned(),
                id: "1".to_owned(),
            }),
            ..SignRequest::default()
        }
    }

    fn good_names() -> Vec<SanType> {
        vec![
            dns("k8s.peer.etcd.internal"),
            SanType::IpAddress("10.0.1.10".parse().expect("an address")),
            dns("etcd-k8s-1"),
        ]
    }

    #[test]
    fn signs_what_was_announced_in_any_order() {
        let good = request(csr("k8s.peer.etcd.internal", good_names()));
        check(&good).expect("as announced");
    }

    #[test]
    fn refuses_more_or_other_names_than_were_announced() {
        let with = |extra: SanType| [good_names(), vec![extra]].concat();
        for (common_name, sans) in [
            ("k8s.peer.etcd.internal", with(dns("b.peer.etcd.internal"))),
            (
                "k8s.peer.etcd.internal",
                with(SanType::Rfc822Name("a@b.c".try_into().expect("a name"))),
            ),
            ("k8s.peer.etcd.internal", good_names()[..2].to_vec()),
            ("k8s.peer.etcd.internal", Vec::new()),
            ("root", good_names()),
        ] {
            let failed = check(&request(csr(common_name, sans))).expect_err(common_name);
            assert_eq!(failed.0.kind(), Kind::NamesRefused);
        }
        assert!(check(&request("no request".to_owned())).is_err());
    }

    #[test]
    fn a_changed_request_is_refused_by_its_signature() {
        let pem = csr("k8s.peer.etcd.internal", good_names());
        let mut block = Pem::iter_from_buffer(pem.as_bytes())
            .next()
            .expect("one")
            .expect("PEM");
        let at = block
            .contents
            .windows(3)
            .position(|window| window == b"k8s")
            .expect("the name is in it");
        block.contents[at] = b'b';
        let text =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &block.contents);
        let changed = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n"
        );
        assert!(
            check(&request(changed))
                .expect_err("changed")
                .0
                .message
                .contains("signature")
        );
    }

    #[test]
    fn role_names_belong_to_one_cluster() {
        for name in [
            "k8s.peer.etcd.internal",
            "k8s.client.etcd.internal",
            "db.example",
            "localhost",
        ] {
            assert!(may_have("k8s", name), "{name}");
        }
        for name in [
            "b.peer.etcd.internal",
            "B.Peer.Etcd.Internal",
            "b.peer.etcd.internal.",
            "*.peer.etcd.internal",
            "x.k8s.peer.etcd.internal",
            "k8s.*.etcd.internal",
            "k8s..etcd.internal",
            "k8s.etcd.internal",
            "*.etcd.internal",
            "etcd.internal",
        ] {
            assert!(!may_have("k8s", name), "{name}");
        }
    }
}
