//! Has the local step-ca sign a request after checking every name in it.

use std::{
    fs,
    time::{Duration, Instant},
};

use rcgen::KeyPair;
use serde::Deserialize;
use x509_parser::{
    certification_request::X509CertificationRequest, extensions::ParsedExtension, pem::Pem,
    prelude::FromDer,
};

use super::{
    Register,
    client::{chain, client},
    fingerprint, token,
};
use crate::{
    failure::Failed,
    observe,
    proto::{SignRequest, SignResponse, failure::Kind},
};

/// step-ca that was just started is not listening yet.
const STARTING: Duration = Duration::from_secs(8);

#[derive(Deserialize)]
struct Configuration {
    authority: Authority,
}
#[derive(Deserialize)]
struct Authority {
    provisioners: Vec<Provisioner>,
}
#[derive(Deserialize)]
struct Provisioner {
    name: String,
}
#[derive(Deserialize)]
struct Signed {
    crt: String,
    ca: String,
}

/// The provisioner's private key; it never leaves this host.
pub(super) fn provisioner_key(directory: &str) -> Result<KeyPair, Failed> {
    let path = format!("{directory}/secrets/provisioner_key");
    let unavailable = |why: String| {
        Failed::new(
            Kind::CaUnavailable,
            directory,
            format!("there is no usable CA in {directory}: {why}"),
        )
    };
    let pem = fs::read_to_string(&path).map_err(|error| unavailable(error.to_string()))?;
    KeyPair::from_pem(&pem).map_err(|error| unavailable(error.to_string()))
}

pub(crate) async fn sign(request: &SignRequest) -> Result<SignResponse, Failed> {
    let directory = &request.ca_directory;
    check_names(request)?;
    register(request)?;
    let key = provisioner_key(directory)?;
    let read = |path: String| {
        fs::read_to_string(&path).map_err(|error| {
            Failed::new(
                Kind::CaUnavailable,
                path.clone(),
                format!("reading {path} failed: {error}"),
            )
        })
    };
    let root_pem = read(format!("{directory}/certs/root_ca.crt"))?;
    let configuration: Configuration =
        serde_json::from_str(&read(format!("{directory}/config/ca.json"))?).map_err(|error| {
            Failed::new(
                Kind::CaUnavailable,
                directory,
                format!("ca.json cannot be read: {error}"),
            )
        })?;
    let provisioner = configuration
        .authority
        .provisioners
        .into_iter()
        .next()
        .map(|first| first.name);
    let provisioner = provisioner
        .ok_or_else(|| Failed::new(Kind::CaUnavailable, directory, "ca.json has no provisioner"))?;
    let sans: Vec<String> = request
        .dns_names
        .iter()
        .chain(&request.ip_addresses)
        .cloned()
        .collect();
    let audience = "https://127.0.0.1/1.0/sign";
    let token = token::mint(
        &key,
        &provisioner,
        audience,
        &fingerprint(&root_pem),
        &request.common_name,
        &sans,
    )?;
    let body = serde_json::json!({
        "csr": request.csr_pem,
        "ott": token,
        "notAfter": format!("{}s", request.lifetime_seconds),
    });
    let signed = post(request, &root_pem, &body).await?;
    let chain_pem = format!("{}\n{}\n", signed.crt.trim_end(), signed.ca.trim_end());
    Ok(SignResponse {
        chain_pem,
        root_pem,
    })
}

async fn post(
    request: &SignRequest,
    root_pem: &str,
    body: &serde_json::Value,
) -> Result<Signed, Failed> {
    let client = client(root_pem, None)?;
    let url = format!("https://127.0.0.1:{}/1.0/sign", request.ca_port);
    let deadline = Instant::now() + STARTING;
    let response = loop {
        match client.post(&url).json(body).send().await {
            Ok(response) => break response,
            Err(error) if error.is_connect() && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => {
                return Err(Failed::new(
                    Kind::CaUnavailable,
                    &request.ca_directory,
                    format!(
                        "step-ca does not answer on port {}: {}",
                        request.ca_port,
                        chain(&error)
                    ),
                )
                .hint("Look with `journalctl -u step-ca` on the CA host."));
            }
        }
    };
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    if !status.is_success() {
        return Err(Failed::new(
            Kind::CaRefused,
            &request.common_name,
            format!("step-ca refused to sign {} ({status})", request.common_name),
        )
        .output(&text));
    }
    serde_json::from_str(&text).map_err(|error| {
        Failed::new(
            Kind::CaRefused,
            &request.common_name,
            format!("step-ca's answer cannot be read: {error}"),
        )
    })
}

/// Exactly the names that were announced, or nothing is signed.
fn check_names(request: &SignRequest) -> Result<(), Failed> {
    let refused = |why: String| {
        Failed::new(
            Kind::NamesRefused,
            &request.common_name,
            format!("the request is refused: {why}"),
        )
    };
    let block = Pem::iter_from_buffer(request.csr_pem.as_bytes())
        .next()
        .and_then(Result::ok)
        .ok_or_else(|| refused("it is not PEM".to_owned()))?;
    let (_, csr) = X509CertificationRequest::from_der(&block.contents)
        .map_err(|_| refused("it cannot be read".to_owned()))?;
    csr.verify_signature()
        .map_err(|_| refused("its signature is wrong".to_owned()))?;
    let subject = &csr.certification_request_info.subject;
    let names: Vec<&str> = subject
        .iter_common_name()
        .filter_map(|name| name.as_str().ok())
        .collect();
    if names != [request.common_name.as_str()] {
        return Err(refused(format!("its common name is {names:?}")));
    }
    let (mut dns, mut addresses) = csr
        .requested_extensions()
        .into_iter()
        .flatten()
        .find_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => {
                Some(observe::split_names(&names.general_names))
            }
            _ => None,
        })
        .unwrap_or_default();
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    dns.sort();
    addresses.sort();
    if dns != sorted(&request.dns_names) || addresses != sorted(&request.ip_addresses) {
        return Err(refused(format!("it holds the names {dns:?} {addresses:?}")));
    }
    let consumer = request.consumer.clone().unwrap_or_default();
    let foreign = dns
        .iter()
        .filter_map(|name| name.strip_suffix(".etcd.internal"))
        .find(|stem| {
            stem.rsplit_once('.')
                .is_none_or(|(cluster, _)| cluster != consumer.name)
        });
    match foreign {
        Some(stem) => Err(refused(format!(
            "{stem}.etcd.internal is not a name of {}",
            consumer.name
        ))),
        None => Ok(()),
    }
}

/// Two clusters of one name under one CA would let each other in.
fn register(request: &SignRequest) -> Result<(), Failed> {
    let consumer = request.consumer.clone().unwrap_or_default();
    if consumer.name.is_empty() || consumer.id.is_empty() {
        return Err(Failed::new(
            Kind::InvalidRequest,
            "consumer",
            "a consumer has a name and an id",
        ));
    }
    let _lock = crate::lock::take(
        &format!("ca{}", request.ca_directory.replace('/', "-")),
        &consumer.name,
        Duration::from_secs(10),
    )?;
    let mut register = Register::load(&request.ca_directory);
    match register.consumers.get(&consumer.name) {
        Some(id) if *id == consumer.id => Ok(()),
        Some(id) => Err(Failed::new(
            Kind::Conflict,
            &consumer.name,
            format!(
                "this CA already serves another cluster with the name {} (made as {id})",
                consumer.name
            ),
        )
        .hint("Clusters of one name under one CA would let each other's clients in: choose another name or another CA.")),
        None => {
            register.consumers.insert(consumer.name, consumer.id);
            register.save(&request.ca_directory)
        }
    }
}
