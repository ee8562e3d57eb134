//! A CA on this host.

use std::{fs, path::Path, time::Duration};

use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::first_in_pem;
use crate::{
    ca::{self, Configuration, Register},
    digest,
    failure::{Failed, chain},
    proto::{CaFact, CaQuery, Consumer},
    root::Root,
};

/// step-ca answers from memory.
const HEALTH_LIMIT: Duration = Duration::from_secs(2);

pub(super) async fn fact(root: &Root, query: &CaQuery) -> Result<CaFact, Failed> {
    let directory = &query.directory;
    let place = root.wanted(directory)?;
    let mut fact = CaFact {
        directory: directory.clone(),
        ..CaFact::default()
    };
    let Ok(root_pem) = fs::read_to_string(place.join(ca::ROOT)) else {
        return Ok(fact);
    };
    fact.exposed = ca::exposed(root, directory);
    fact.lost = ca::lost(root, directory);
    fact.lacks_provisioner_key = !place.join(ca::PROVISIONER_KEY).exists();
    fact.present = place.join(ca::CONFIGURATION).exists();
    (fact.root_fingerprint, fact.root_not_after_ms) = summary(&root_pem);
    if let Ok(pem) = fs::read_to_string(place.join(ca::INTERMEDIATE)) {
        (
            fact.intermediate_fingerprint,
            fact.intermediate_not_after_ms,
        ) = summary(&pem);
    }
    fact.consumers = Register::load(&place)?
        .consumers
        .into_iter()
        .map(|(name, id)| Consumer { name, id })
        .collect();
    match Configuration::load(&place) {
        Ok(configuration) => fact.provisioners = configuration.provisioners(),
        Err(failed) => fact.error = failed.0.message,
    }
    match health(&place, query.port, &root_pem).await {
        Ok(()) => fact.healthy = true,
        Err(why) => fact.error = why,
    }
    fact.root_pem = root_pem;
    Ok(fact)
}

async fn health(place: &Path, port: u32, root_pem: &str) -> Result<(), String> {
    let configuration = Configuration::load(place).map_err(|failed| failed.0.message)?;
    let (client, url) =
        ca::loopback(&configuration, port, root_pem).map_err(|failed| failed.0.message)?;
    let response = client
        .get(format!("{url}/health"))
        .timeout(HEALTH_LIMIT)
        .send()
        .await
        .map_err(|error| chain(&error))?;
    let text = response.text().await.map_err(|error| chain(&error))?;
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    if answer["status"] == "ok" {
        Ok(())
    } else {
        Err(format!("it answers {}", text.trim()))
    }
}

/// Fingerprint of a PEM certificate, and its end in milliseconds since 1970.
fn summary(pem: &str) -> (String, i64) {
    let Some(der) = first_in_pem(pem) else {
        return Default::default();
    };
    let end = X509Certificate::from_der(&der).map_or(0, |(_, certificate)| {
        certificate.validity().not_after.timestamp() * 1000
    });
    (digest::bytes(&der), end)
}

/// SHA-256 of a PEM certificate in DER, hex.
pub(crate) fn fingerprint(pem: &str) -> String {
    summary(pem).0
}
