//! Certificates of members: the request from the member's host, the signature from the CA's.

use std::time::Duration;

use futures::future::join_all;
use host::proto::{
    CaQuery, Consumer, CreateCertificateRequestRequest, ForgetConsumerRequest,
    InstallCertificateRequest, ObserveRequest, SignRequest, SignResponse,
};
use planner::{
    etcd_cluster::{CERTIFICATE_MODE, Desired, KEY_MODE, Registered, Role, names, subject},
    name::{Name, NodeKey},
};
use tf_plugin::Diagnostics;

use crate::{
    common::ensured,
    executor::Ensure,
    hosts::Hosts,
    report::{Trouble, sentence},
};

/// Limit for a look at the register of a CA.
const LOOK: Duration = Duration::from_secs(20);

/// The root certificate of the issuer, from a host of the CA, checked against the fingerprint.
pub(super) async fn root(ca: &Hosts, desired: &Desired) -> Result<String, Trouble> {
    let wanted = desired.issuer.fingerprint.clone().unwrap_or_default();
    let query = CaQuery {
        directory: desired.issuer.directory.clone(),
        port: desired.issuer.port.into(),
    };
    let mut last = None;
    for key in ca.keys() {
        let request = ObserveRequest {
            cas: vec![query.clone()],
            ..ObserveRequest::default()
        };
        let fact = match ca.observe(key, request).await {
            Ok(response) => response.cas.into_iter().next().unwrap_or_default(),
            Err(trouble) => {
                last = Some(of_ca(ca, key, &desired.issuer.name, trouble));
                continue;
            }
        };
        if !fact.present {
            continue;
        }
        if fact.root_fingerprint == wanted {
            return Ok(fact.root_pem);
        }
        return Err(Trouble::Refused {
            why: format!(
                "the CA {} on {} has the root {}, and the issuer says {wanted}",
                desired.issuer.name,
                ca.target(key).host,
                fact.root_fingerprint
            ),
            hint: "run plan again; if it stays, somebody made another CA in its place.".to_owned(),
        });
    }
    Err(last.unwrap_or_else(|| Trouble::Refused {
        why: format!("no host of the CA {} has its files", desired.issuer.name),
        hint: "apply the CA first.".to_owned(),
    }))
}

/// A trouble with a node of the CA, which is none with the member of the same key.
fn of_ca(ca: &Hosts, key: &NodeKey, name: &Name, trouble: Trouble) -> Trouble {
    let retry = ca.retry(&trouble);
    Trouble::Ca {
        place: format!("the CA {name} on {}", ca.target(key).host),
        source: Box::new(trouble),
        retry,
    }
}

/// Who has the name of the cluster in the register of its CA; nobody if no host of the CA answers.
pub(super) async fn registered(ca: &Hosts, desired: &Desired) -> Option<Registered> {
    for key in ca.keys() {
        let query = CaQuery {
            directory: desired.issuer.directory.clone(),
            port: desired.issuer.port.into(),
        };
        let request = ObserveRequest {
            cas: vec![query],
            ..ObserveRequest::default()
        };
        let look = tokio::time::timeout(LOOK, ca.observe(key, request)).await;
        let Some(fact) = look.ok()?.ok()?.cas.into_iter().next() else {
            continue;
        };
        if fact.present {
            let mut consumers = fact.consumers.into_iter();
            let known = consumers.find(|known| known.name == desired.name.as_str())?;
            return Some(Registered {
                id: known.id,
                host: ca.target(key).host.clone(),
            });
        }
    }
    None
}

/// Makes the key if there is none, has the CA sign, and puts the certificate in place.
pub(super) async fn issue(
    members: &Hosts,
    ca: &Hosts,
    desired: &Desired,
    key: &NodeKey,
    role: Role,
) -> Result<Ensure, Trouble> {
    let owner = names::owner(&desired.name);
    let wanted = subject(desired, key, &desired.nodes[key], role);
    let stem = names::certificate_stem(&desired.name, key, role.as_str());
    let request = CreateCertificateRequestRequest {
        owner: owner.clone(),
        id: desired.id.clone(),
        key_path: format!("{stem}.key"),
        user: names::USER.to_owned(),
        group: names::USER.to_owned(),
        mode: KEY_MODE,
        common_name: wanted.common_name.clone(),
        dns_names: wanted.dns_names.clone(),
        ip_addresses: wanted.ip_addresses.clone(),
    };
    let csr = members
        .call(key, "CreateCertificateRequest", |mut client| async move {
            client.create_certificate_request(request).await
        })
        .await?;
    let request = SignRequest {
        ca_directory: desired.issuer.directory.clone(),
        ca_port: desired.issuer.port.into(),
        csr_pem: csr.csr_pem,
        common_name: wanted.common_name,
        dns_names: wanted.dns_names,
        ip_addresses: wanted.ip_addresses,
        lifetime_seconds: desired.certificate_lifetime_s,
        consumer: Some(consumer(desired)),
    };
    let signed = sign(ca, &desired.issuer.name, request).await?;
    let request = InstallCertificateRequest {
        owner,
        id: desired.id.clone(),
        path: format!("{stem}.crt"),
        key_path: format!("{stem}.key"),
        chain_pem: signed.chain_pem,
        user: names::USER.to_owned(),
        group: names::USER.to_owned(),
        mode: CERTIFICATE_MODE,
    };
    let installed = members
        .call(key, "InstallCertificate", |mut client| async move {
            client.install_certificate(request).await
        })
        .await?;
    Ok(ensured(installed.outcome()))
}

fn consumer(desired: &Desired) -> Consumer {
    Consumer {
        name: desired.name.to_string(),
        id: desired.id.clone(),
    }
}

/// Asks the hosts of the CA in the order of their keys; a standby says that it cannot sign.
async fn sign(ca: &Hosts, name: &Name, request: SignRequest) -> Result<SignResponse, Trouble> {
    let mut last = None;
    for key in ca.keys() {
        let request = request.clone();
        let signed = ca.call(key, "Sign", |mut client| async move {
            client.sign(request).await
        });
        match signed.await {
            Ok(signed) => return Ok(signed),
            Err(trouble) => last = Some(of_ca(ca, key, name, trouble)),
        }
    }
    Err(last.unwrap_or_else(|| Trouble::Refused {
        why: "the issuer names no host".to_owned(),
        hint: "give issuer the attribute issuer of an etcd_step_ca.".to_owned(),
    }))
}

/// Takes the cluster out of the CA's register; warns of what went wrong.
pub(super) async fn forget(ca: &Hosts, desired: &Desired) -> Diagnostics {
    let requests = ca.keys().map(|key| {
        let request = ForgetConsumerRequest {
            ca_directory: desired.issuer.directory.clone(),
            consumer: Some(consumer(desired)),
        };
        ca.call(key, "ForgetConsumer", |mut client| async move {
            client.forget_consumer(request).await
        })
    });
    let answers = join_all(requests).await;
    let mut diagnostics = Diagnostics::new();
    for trouble in answers.into_iter().filter_map(Result::err) {
        diagnostics.warning(
            format!(
                "The CA {} still has {} in its register",
                desired.issuer.name, desired.name
            ),
            format!(
                "{} Before another cluster of this name can be made under it, take the name out of \
                 {}/consumers.json on the CA host.",
                sentence(&trouble.line()),
                desired.issuer.directory
            ),
        );
    }
    diagnostics
}
