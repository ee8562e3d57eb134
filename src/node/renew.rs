//! Renewal of a certificate, as timers run it every quarter of an hour.
//!
//! Cheap and local until two thirds of the life are over. Then the present certificate vouches for
//! its successor at each URL of the issuer file, the last good one first; the key stays.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use planner::issuer::IssuerFile;
use serde::{Deserialize, Serialize};

use crate::{
    account::Ids,
    atomic, ca, certificate, clock,
    failure::{Failed, chain},
    ledger,
    lock::{self, Lock},
    log, observe,
    proto::{
        CertificateFact, Outcome, RenewCertificateRequest, RenewCertificateResponse, failure::Kind,
    },
    record,
    root::Root,
    secret::Secret,
};

const FORMAT: u32 = 1;

/// Which URL of a CA answered last.
#[derive(Serialize, Deserialize)]
struct Memory {
    format: u32,
    written_by: String,
    url: String,
}

/// Renews if it is time, or if the request says so all the same.
pub(crate) async fn renew(
    root: &Root,
    request: RenewCertificateRequest,
    operator: &str,
) -> Result<RenewCertificateResponse, Failed> {
    let prepared = tokio::task::spawn_blocking({
        let (root, request, operator) = (root.clone(), request.clone(), operator.to_owned());
        move || prepare(&root, &request, &operator)
    });
    let prepared = prepared
        .await
        .map_err(|error| Failed::internal("renew", format!("preparing ended early: {error}")))??;
    let due = match prepared {
        Prepared::NotDue(present) => {
            return Ok(RenewCertificateResponse {
                outcome: Outcome::NotNeeded.into(),
                certificate: Some(*present),
            });
        }
        Prepared::Due(due) => due,
    };
    let (text, url) = ask_all(&request.path, &due).await?;
    put(&request.path, &due, &text)?;
    remember(root, &due.issuer.name, &url);
    Ok(RenewCertificateResponse {
        outcome: Outcome::Updated.into(),
        certificate: Some(observe::certificate(root, &request.path, &request.key_path)),
    })
}

/// The same for a timer: what was done goes to the log of the host.
///
/// # Errors
/// One sentence for the journal, if it is time and no URL of the CA renewed the certificate.
pub async fn run(
    certificate: &str,
    key: &str,
    issuer: &str,
    force: bool,
) -> Result<String, String> {
    let root = Root::host();
    let request = RenewCertificateRequest {
        path: certificate.to_owned(),
        key_path: key.to_owned(),
        issuer_path: issuer.to_owned(),
        force,
    };
    let result = renew(&root, request, "timer").await;
    let (outcome, answer) = match result {
        Ok(response) if response.outcome() == Outcome::NotNeeded => return Ok(String::new()),
        Ok(response) => {
            let until = clock::text(response.certificate.map_or(0, |fact| fact.not_after_ms));
            (
                "updated".to_owned(),
                Ok(format!("renewed {certificate}, good until {until}\n")),
            )
        }
        Err(failed) => {
            let sentence = format!("{failed}. {}", failed.0.hint);
            (failed.to_string(), Err(sentence.trim().to_owned()))
        }
    };
    let line = log::Line {
        operator: "timer",
        call: "renew",
        owner: "",
        subject: certificate,
        outcome: &outcome,
    };
    log::add(&root, &line);
    answer
}

enum Prepared {
    NotDue(Box<CertificateFact>),
    Due(Box<Due>),
}

struct Due {
    /// Keeps a timer and an apply apart.
    _lock: Lock,
    place: PathBuf,
    key_place: PathBuf,
    before: CertificateFact,
    issuer: IssuerFile,
    client: reqwest::Client,
    urls: Vec<String>,
}

fn prepare(
    root: &Root,
    request: &RenewCertificateRequest,
    operator: &str,
) -> Result<Prepared, Failed> {
    let RenewCertificateRequest {
        path,
        key_path,
        issuer_path,
        force,
    } = request;
    let (place, key_place) = (root.wanted(path)?, root.wanted(key_path)?);
    let issuer_place = root.wanted(issuer_path)?;
    let lock = lock::take(
        root,
        &certificate::lock_name(path),
        operator,
        lock::CERTIFICATE_WAIT,
    )?;
    let present = observe::certificate(root, path, key_path);
    if !present.present || !present.error.is_empty() || !present.key_matches {
        let why = match present.error.as_str() {
            "" => "they do not belong together or one is missing",
            why => why,
        };
        return Err(Failed::new(
            Kind::NotFound,
            path,
            format!("{path} and {key_path} are not a usable pair: {why}"),
        )
        .hint("The next apply issues a new certificate."));
    }
    if !force && !is_due(&present, clock::now_ms()) {
        return Ok(Prepared::NotDue(Box::new(present)));
    }
    let issuer: IssuerFile = record::read(&issuer_place, FORMAT)?.ok_or_else(|| {
        Failed::new(
            Kind::NotFound,
            issuer_path,
            format!("there is no issuer file {issuer_path}"),
        )
    })?;
    if observe::fingerprint(&issuer.root_pem) != issuer.fingerprint {
        return Err(Failed::new(
            Kind::ChecksumMismatch,
            issuer_path,
            format!(
                "the root in {issuer_path} does not have the fingerprint that is written there"
            ),
        )
        .hint("The next apply writes the file anew."));
    }
    let read = |place: &Path| {
        let text = fs::read(place).map_err(|error| Failed::io("reading", place, &error))?;
        Ok(Secret::new(text))
    };
    let (chain, key) = (read(&place)?, read(&key_place)?);
    // Both were read as PEM above.
    let text = |secret: &'_ Secret| {
        std::str::from_utf8(secret.expose())
            .unwrap_or_default()
            .to_owned()
    };
    let client = ca::client(&issuer.root_pem, Some((&text(&chain), &text(&key))), None)?;
    let last_good = record::read::<Memory>(&memory_path(root, &issuer.name), FORMAT)
        .ok()
        .flatten()
        .map(|memory| memory.url);
    let mut urls = issuer.urls.clone();
    urls.sort_by_key(|url| last_good.as_ref() != Some(url));
    Ok(Prepared::Due(Box::new(Due {
        _lock: lock,
        place,
        key_place,
        before: present,
        issuer,
        client,
        urls,
    })))
}

/// Whether two thirds of the life are over.
fn is_due(present: &CertificateFact, now_ms: i64) -> bool {
    let life_ms = present.not_after_ms - present.not_before_ms;
    now_ms >= present.not_before_ms + life_ms / 3 * 2
}

async fn ask_all(path: &str, due: &Due) -> Result<(String, String), Failed> {
    let mut troubles = Vec::new();
    for url in &due.urls {
        match ask(due, url).await {
            Ok(text) => return Ok((text, url.clone())),
            Err(why) => troubles.push(format!("{url}: {why}")),
        }
    }
    let left_ms = due.before.not_after_ms - clock::now_ms();
    let hint = if left_ms > 0 {
        format!(
            "The certificate is good for {} more hours; look at step-ca on its hosts.",
            left_ms / 3_600_000
        )
    } else {
        "The certificate has expired; the next apply issues a new one.".to_owned()
    };
    let why = if troubles.is_empty() {
        "it names none".to_owned()
    } else {
        troubles.join("; ")
    };
    Err(Failed::new(
        Kind::CaUnavailable,
        path,
        format!(
            "{path} is due for renewal and no URL of CA {} renewed it: {why}",
            due.issuer.name
        ),
    )
    .hint(hint))
}

async fn ask(due: &Due, url: &str) -> Result<String, String> {
    let response = due
        .client
        .post(format!("{}/1.0/renew", url.trim_end_matches('/')))
        .send()
        .await
        .map_err(|error| chain(&error))?;
    let status = response.status();
    let text = response.text().await.map_err(|error| chain(&error))?;
    if !status.is_success() {
        return Err(format!("{status} {}", text.trim()));
    }
    let signed: ca::Signed = serde_json::from_str(&text)
        .map_err(|error| format!("its answer cannot be read: {error}"))?;
    let chain_pem = signed.chain_pem();
    // What does not fit its key is worse than what is old.
    certificate::check_chain(&chain_pem, &due.key_place)?;
    Ok(chain_pem)
}

/// The successor has owner and mode of what it replaces.
fn put(path: &str, due: &Due, text: &str) -> Result<(), Failed> {
    let found = fs::symlink_metadata(&due.place)
        .map_err(|error| Failed::io("reading", &due.place, &error))?;
    if !found.is_file() {
        return Err(Failed::foreign(path));
    }
    let ids = Ids {
        uid: found.uid(),
        gid: found.gid(),
    };
    atomic::write(&due.place, text.as_bytes(), ids, found.mode() & 0o7777)
}

fn memory_path(root: &Root, ca: &str) -> PathBuf {
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() || "-_".contains(character) {
            character
        } else {
            '_'
        }
    };
    let name: String = ca.chars().map(plain).collect();
    root.at(ledger::HOME)
        .join("renew")
        .join(format!("{name}.json"))
}

/// What is remembered saves a moment next time; that it could not be is no trouble.
fn remember(root: &Root, ca: &str, url: &str) {
    if root.at(ledger::HOME).is_dir() {
        let memory = Memory {
            format: FORMAT,
            written_by: record::VERSION.to_owned(),
            url: url.to_owned(),
        };
        let _ = record::write(&memory_path(root, ca), &memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_due_after_two_thirds_of_the_life() {
        let present = CertificateFact {
            not_before_ms: 1_000,
            not_after_ms: 4_000,
            ..CertificateFact::default()
        };
        assert!(!is_due(&present, 2_999));
        assert!(is_due(&present, 3_000));
        assert!(is_due(&present, 9_000));
    }
}
