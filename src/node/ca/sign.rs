//! Has the local step-ca sign a request after checking every name in it.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use rcgen::KeyPair;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{
    Configuration, PROVISIONER_KEY, ROOT,
    client::loopback,
    register, request,
    token::{self, Grant},
};
use crate::{
    failure::{Failed, chain},
    observe,
    proto::{SignRequest, SignResponse, failure::Kind},
    root::Root,
    secret::Secret,
};

/// step-ca that was just started is not listening yet.
const STARTING: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// The answer to /1.0/sign and /1.0/renew (`api/api.go`).
#[derive(Deserialize)]
pub(crate) struct Signed {
    crt: String,
    ca: String,
    #[serde(default, rename = "certChain")]
    chain: Vec<String>,
}

impl Signed {
    /// Leaf and intermediates, as a server or client shows them.
    pub(crate) fn chain_pem(&self) -> String {
        let parts = if self.chain.is_empty() {
            vec![&self.crt, &self.ca]
        } else {
            self.chain.iter().collect()
        };
        parts
            .into_iter()
            .flat_map(|part| [part.trim_end(), "\n"])
            .collect()
    }
}

/// The provisioner's private key; it never leaves this host.
pub(super) fn provisioner_key(place: &Path) -> Result<KeyPair, Failed> {
    let unavailable = |why: String| {
        let shown = place.display().to_string();
        Failed::new(
            Kind::CaUnavailable,
            &shown,
            format!("there is no usable CA in {shown}: {why}"),
        )
    };
    let pem = fs::read(place.join(PROVISIONER_KEY))
        .map(Secret::new)
        .map_err(|error| unavailable(error.to_string()))?;
    let pem = std::str::from_utf8(pem.expose()).map_err(|error| unavailable(error.to_string()))?;
    KeyPair::from_pem(pem).map_err(|error| unavailable(error.to_string()))
}

pub(crate) async fn sign(root: &Root, request: SignRequest) -> Result<SignResponse, Failed> {
    // Checking and entering wait for locks and disks.
    let prepared = tokio::task::spawn_blocking({
        let (root, request) = (root.clone(), request.clone());
        move || prepare(&root, &request)
    });
    let prepared = prepared
        .await
        .map_err(|error| Failed::internal("Sign", format!("preparing ended early: {error}")))??;
    let (client, url) = loopback(&prepared.configuration, request.ca_port, &prepared.root_pem)?;
    let signed = post(&client, &url, &request, &prepared.body).await?;
    Ok(SignResponse {
        chain_pem: signed.chain_pem(),
        root_pem: prepared.root_pem,
    })
}

struct Prepared {
    configuration: Configuration,
    root_pem: String,
    body: Json,
}

fn prepare(root: &Root, wish: &SignRequest) -> Result<Prepared, Failed> {
    let place = root.wanted(&wish.ca_directory)?;
    if wish.lifetime_seconds == 0 {
        return Err(Failed::invalid(
            &wish.common_name,
            "a certificate needs a lifetime",
        ));
    }
    request::check(wish)?;
    let key = provisioner_key(&place)?;
    let configuration = Configuration::load(&place)?;
    let root_path = place.join(ROOT);
    let root_pem = fs::read_to_string(&root_path).map_err(|error| {
        let shown = root_path.display().to_string();
        Failed::new(
            Kind::CaUnavailable,
            &shown,
            format!("reading {shown} failed: {error}"),
        )
    })?;
    let consumer = wish.consumer.clone().unwrap_or_default();
    register::enter(root, &wish.ca_directory, &consumer)?;
    let provisioner = configuration.provisioner(&key).ok_or_else(|| {
        Failed::new(
            Kind::CaUnavailable,
            &wish.ca_directory,
            "ca.json has no provisioner with the key of this host",
        )
    })?;
    let sans: Vec<String> = wish
        .dns_names
        .iter()
        .chain(&wish.ip_addresses)
        .cloned()
        .collect();
    let token = token::mint(
        &key,
        &Grant {
            provisioner,
            audience: &audience(configuration.own_name()?),
            root_fingerprint: &observe::fingerprint(&root_pem),
            subject: &wish.common_name,
            sans: &sans,
        },
    )?;
    let body = json!({
        "csr": wish.csr_pem,
        "ott": token,
        "notAfter": format!("{}s", wish.lifetime_seconds),
    });
    Ok(Prepared {
        configuration,
        root_pem,
        body,
    })
}

/// What step-ca takes a token for, by one of its names (`config.GetAudiences`).
fn audience(name: &str) -> String {
    if name.parse::<std::net::Ipv6Addr>().is_ok() {
        format!("https://[{name}]/1.0/sign")
    } else {
        format!("https://{name}/1.0/sign")
    }
}

async fn post(
    client: &reqwest::Client,
    url: &str,
    request: &SignRequest,
    body: &Json,
) -> Result<Signed, Failed> {
    let deadline = Instant::now() + STARTING;
    let response = loop {
        match client
            .post(format!("{url}/1.0/sign"))
            .json(body)
            .send()
            .await
        {
            Ok(response) => break response,
            Err(error) if error.is_connect() && Instant::now() < deadline => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                let why = chain(&error);
                return Err(Failed::new(
                    Kind::CaUnavailable,
                    &request.ca_directory,
                    format!("step-ca does not answer on port {}: {why}", request.ca_port),
                )
                .hint("Look with `journalctl -u step-ca` on the CA host."));
            }
        }
    };
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    let refused = |why: String| {
        let name = &request.common_name;
        Failed::new(
            Kind::CaRefused,
            name,
            format!("step-ca refused to sign for {name}: {why}"),
        )
        .output(&text)
    };
    if !status.is_success() {
        return Err(refused(reason(&text).unwrap_or_else(|| status.to_string())));
    }
    serde_json::from_str(&text)
        .map_err(|error| refused(format!("its answer cannot be read: {error}")))
}

/// What step-ca's answer to a refused request says in words (`errs/error.go`).
fn reason(text: &str) -> Option<String> {
    let answer: Json = serde_json::from_str(text).ok()?;
    let words = answer["message"].as_str()?.trim_end_matches('.');
    (!words.is_empty()).then(|| words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_ca() {
        let text = r#"{"status":403,"message":"The request was forbidden."}"#;
        assert_eq!(reason(text).as_deref(), Some("The request was forbidden"));
        for other in ["", "Bad Gateway", "{}", r#"{"message":""}"#] {
            assert_eq!(reason(other), None, "{other}");
        }
    }

    #[test]
    fn puts_the_whole_chain_into_the_file() {
        let signed = Signed {
            crt: "leaf\n".into(),
            ca: "ca".into(),
            chain: Vec::new(),
        };
        assert_eq!(signed.chain_pem(), "leaf\nca\n");
        let chain = vec!["leaf".into(), "one\n".into(), "two".into()];
        assert_eq!(Signed { chain, ..signed }.chain_pem(), "leaf\none\ntwo\n");
    }
}
