//! What an answer says: data, or a refusal with reasons.

use std::collections::BTreeMap;

use hyper::ext::ReasonPhrase;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    Kind,
    refusal::{self, About},
};

/// A good answer.
#[derive(Debug)]
pub(crate) struct Answer {
    data: Value,
    /// How many there are in all, where the answer is a part of a list.
    pub(crate) total: Option<u64>,
}

#[derive(Default, Deserialize)]
struct Envelope {
    #[serde(default)]
    data: Value,
    #[serde(default)]
    errors: BTreeMap<String, Value>,
    message: Option<String>,
    total: Option<u64>,
}

impl Answer {
    /// The data as what the API documents.
    pub(crate) fn read<T: DeserializeOwned>(self) -> Result<T, Kind> {
        serde_json::from_value(self.data).map_err(|error| Kind::Answer {
            said: error.to_string(),
        })
    }
}

/// Longest answer that is read, in bytes: a list of ten thousand files has a fifth of it.
const MOST: usize = 16 * 1024 * 1024;

/// The whole of an answer; `None` if it is too long for one of Proxmox.
async fn beginning(mut response: reqwest::Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut read = Vec::new();
    while let Some(piece) = response.chunk().await? {
        if read.len() + piece.len() > MOST {
            return Ok(None);
        }
        read.extend_from_slice(&piece);
    }
    Ok(Some(read))
}

/// Reads an answer to its end.
///
/// # Errors
/// The outer one is the connection's, the inner one the server's.
pub(crate) async fn receive(
    response: reqwest::Response,
    about: About<'_>,
) -> Result<Result<Answer, Kind>, reqwest::Error> {
    let status = response.status();
    // hyper keeps the phrase only where it is not the usual one; then it is what Proxmox has to say.
    let reason = response
        .extensions()
        .get::<ReasonPhrase>()
        .map(|phrase| String::from_utf8_lossy(phrase.as_bytes()).into_owned());
    let bytes = match beginning(response).await {
        Ok(Some(bytes)) => bytes,
        // The status line has said it already.
        Ok(None) | Err(_) if !status.is_success() => Vec::new(),
        Ok(None) => {
            let said = format!("it is longer than {MOST} bytes");
            return Ok(Err(Kind::Answer { said }));
        }
        Err(error) => return Err(error),
    };
    let envelope = serde_json::from_slice::<Envelope>(&bytes);
    if status.is_success() {
        return Ok(envelope
            .map(|envelope| Answer {
                data: envelope.data,
                total: envelope.total,
            })
            .map_err(|error| Kind::Answer {
                said: format!("{} bytes that are not JSON: {error}", bytes.len()),
            }));
    }
    let envelope = envelope.unwrap_or_default();
    let canonical = status.canonical_reason().unwrap_or("no reason given");
    // The line holds the first line of the message; newer versions repeat the whole of it below.
    let said = envelope
        .message
        .map(|message| message.trim().to_owned())
        .filter(|message| !message.is_empty())
        .or(reason)
        .unwrap_or_else(|| canonical.to_owned());
    let errors = envelope
        .errors
        .into_iter()
        .map(|(name, text)| match text {
            Value::String(text) => (name, text),
            other => (name, other.to_string()),
        })
        .collect();
    Ok(Err(refusal::kind(status.as_u16(), &said, errors, about)))
}
