//! The CA on this host: made once, asked to sign, with a register of who has certificates from it.

mod client;
mod initialise;
mod sign;
mod token;

use std::{fs, path::Path, time::Duration};

use serde::{Deserialize, Serialize};
use x509_parser::{
    pem::Pem,
    prelude::{FromDer, X509Certificate},
};

use crate::{
    atomic,
    failure::Failed,
    observe,
    proto::{CaFact, CaQuery, Consumer, ForgetConsumerRequest, Outcome},
};

pub(crate) use client::client;
pub(crate) use initialise::initialise;
pub(crate) use sign::sign;

/// Clusters and clients that have certificates from a CA.
#[derive(Default, Serialize, Deserialize)]
struct Register {
    format: u32,
    consumers: std::collections::BTreeMap<String, String>,
}

impl Register {
    fn path(directory: &str) -> String {
        format!("{directory}/consumers.json")
    }

    fn load(directory: &str) -> Self {
        fs::read(Self::path(directory))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or(Self {
                format: 1,
                ..Self::default()
            })
    }

    fn save(&self, directory: &str) -> Result<(), Failed> {
        let text = serde_json::to_vec_pretty(self).expect("texts and numbers are JSON");
        atomic::write(
            Path::new(&Self::path(directory)),
            &text,
            "root",
            "root",
            0o600,
        )
    }
}

/// Takes a consumer out of the register.
pub(crate) fn forget(request: &ForgetConsumerRequest) -> Result<Outcome, Failed> {
    let consumer = request.consumer.clone().unwrap_or_default();
    let mut register = Register::load(&request.ca_directory);
    if register.consumers.get(&consumer.name) != Some(&consumer.id) {
        return Ok(Outcome::NotNeeded);
    }
    register.consumers.remove(&consumer.name);
    register.save(&request.ca_directory)?;
    Ok(Outcome::Updated)
}

/// What is known of a CA in a directory, and whether it answers.
pub(crate) async fn fact(query: &CaQuery) -> CaFact {
    let mut fact = CaFact {
        directory: query.directory.clone(),
        ..CaFact::default()
    };
    let Ok(root_pem) = fs::read_to_string(format!("{}/certs/root_ca.crt", query.directory)) else {
        return fact;
    };
    fact.present = Path::new(&format!("{}/config/ca.json", query.directory)).exists();
    (fact.root_fingerprint, fact.root_not_after_ms) = summary(&root_pem);
    if let Ok(pem) = fs::read_to_string(format!("{}/certs/intermediate_ca.crt", query.directory)) {
        (
            fact.intermediate_fingerprint,
            fact.intermediate_not_after_ms,
        ) = summary(&pem);
    }
    fact.consumers = Register::load(&query.directory)
        .consumers
        .into_iter()
        .map(|(name, id)| Consumer { name, id })
        .collect();
    match health(query.port, &root_pem).await {
        Ok(()) => fact.healthy = true,
        Err(why) => fact.error = why,
    }
    fact.root_pem = root_pem;
    fact
}

async fn health(port: u32, root_pem: &str) -> Result<(), String> {
    let client = client(root_pem, None).map_err(|failed| failed.0.message)?;
    let response = client
        .get(format!("https://127.0.0.1:{port}/health"))
        .timeout(Duration::from_secs(2))
        .send()
        .await
        .map_err(|error| client::chain(&error))?;
    let text = response
        .text()
        .await
        .map_err(|error| client::chain(&error))?;
    if text.contains("\"ok\"") {
        Ok(())
    } else {
        Err(format!("it answers {text}"))
    }
}

/// Fingerprint and end of a PEM certificate.
fn summary(pem: &str) -> (String, i64) {
    let Some(Ok(block)) = Pem::iter_from_buffer(pem.as_bytes()).next() else {
        return Default::default();
    };
    let end = X509Certificate::from_der(&block.contents).map_or(0, |(_, certificate)| {
        certificate.validity().not_after.timestamp() * 1000
    });
    (observe::digest(&block.contents), end)
}

/// SHA-256 of a PEM certificate in DER, hex.
pub(crate) fn fingerprint(pem: &str) -> String {
    summary(pem).0
}
