//! Renewal of a certificate, as timers run it every quarter of an hour.
//!
//! Cheap and local until two thirds of the life are over. Then the present certificate vouches for
//! its successor at each URL of the issuer file, the last good one first; the key stays.

use std::{fs, path::Path, time::Duration};

use planner::issuer::IssuerFile;
use serde::{Deserialize, Serialize};

use crate::{
    atomic, ca,
    failure::Failed,
    lock, observe,
    proto::{CertificateFact, Outcome, failure::Kind},
    system,
};

const MEMORY: &str = "/var/lib/etcd-node/renew.json";

/// Which URL answered last, by CA.
#[derive(Default, Serialize, Deserialize)]
struct Memory(std::collections::BTreeMap<String, String>);

#[derive(Deserialize)]
struct Renewed {
    crt: String,
    ca: String,
}

/// Renews if it is time, or if `force` says so.
///
/// # Errors
/// [`Failed`] if it is time and no URL of the CA renewed it; the present certificate stays.
pub async fn renew(
    path: &str,
    key_path: &str,
    issuer_path: &str,
    force: bool,
) -> Result<(Outcome, CertificateFact), Failed> {
    let name = format!("renew{}", path.replace('/', "-"));
    let _lock = lock::take(&name, "renewal", Duration::from_secs(60))?;
    let present = observe::certificate(path, key_path);
    if !present.present || !present.error.is_empty() || !present.key_matches {
        return Err(Failed::new(
            Kind::NotFound,
            path,
            format!("{path} and {key_path} are not a usable pair"),
        )
        .hint("The next apply issues a new one."));
    }
    let life = present.not_after_ms - present.not_before_ms;
    if !force && system::now_ms() < present.not_before_ms + life / 3 * 2 {
        return Ok((Outcome::NotNeeded, present));
    }
    let read = |path: &str| {
        fs::read_to_string(path).map_err(|error| Failed::io("reading", path.to_owned(), &error))
    };
    let issuer: IssuerFile = serde_json::from_str(&read(issuer_path)?).map_err(|error| {
        Failed::new(
            Kind::Internal,
            issuer_path,
            format!("{issuer_path} cannot be read: {error}"),
        )
    })?;
    if issuer.format > 1 {
        return Err(Failed::new(
            Kind::NewerFormat,
            issuer_path,
            format!("{issuer_path} was written by a newer version"),
        ));
    }
    let (chain, key) = (read(path)?, read(key_path)?);
    let client = ca::client(&issuer.root_pem, Some((&chain, &key)))?;
    let memory: Memory = fs::read(MEMORY)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let mut urls = issuer.urls.clone();
    urls.sort_by_key(|url| memory.0.get(&issuer.name) != Some(url));
    let mut troubles = Vec::new();
    for url in urls {
        match ask(&client, &url).await {
            Ok(renewed) => {
                let text = format!("{}\n{}\n", renewed.crt.trim_end(), renewed.ca.trim_end());
                let (user, group, mode) = owner_of(path)?;
                atomic::write(Path::new(path), text.as_bytes(), &user, &group, mode)?;
                remember(memory, &issuer.name, &url);
                return Ok((Outcome::Updated, observe::certificate(path, key_path)));
            }
            Err(why) => troubles.push(format!("{url}: {why}")),
        }
    }
    Err(Failed::new(
        Kind::CaUnavailable,
        path,
        format!(
            "{path} is due for renewal and no CA renewed it: {}",
            troubles.join("; ")
        ),
    )
    .hint("Look at step-ca on its host; the certificate is still valid."))
}

async fn ask(client: &reqwest::Client, url: &str) -> Result<Renewed, String> {
    let response = client
        .post(format!("{url}/1.0/renew"))
        .send()
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status();
    let text = response.text().await.map_err(|error| error.to_string())?;
    if !status.is_success() {
        return Err(format!("{status}: {}", text.trim()));
    }
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn owner_of(path: &str) -> Result<(String, String, u32), Failed> {
    use std::os::unix::fs::MetadataExt;
    let found =
        fs::metadata(path).map_err(|error| Failed::io("reading", path.to_owned(), &error))?;
    Ok((
        system::user_name(found.uid()),
        system::group_name(found.gid()),
        found.mode() & 0o7777,
    ))
}

/// What is remembered saves a moment next time; that it could not be is no trouble.
fn remember(mut memory: Memory, ca: &str, url: &str) {
    memory.0.insert(ca.to_owned(), url.to_owned());
    if let Ok(bytes) = serde_json::to_vec(&memory) {
        let _ = atomic::write(Path::new(MEMORY), &bytes, "root", "root", 0o600);
    }
}
