//! Facts as they lie in a state's private bytes: JSON with a format number, compressed, because the
//! facts of nine hosts are more text than a state should carry.

use std::io::{Read, Write};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The newest format that is read, and the one that is written.
const FORMAT: u32 = 1;

/// More than any facts are: what claims to be more is not ours.
const LIMIT: u64 = 16 << 20;

/// The private bytes were written by a newer provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state was written by a newer version of this provider (format {0}); use that version")]
pub struct TooNew(pub u32);

#[derive(Serialize)]
struct Stored<'a, T> {
    format: u32,
    observed: &'a T,
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[derive(Deserialize)]
struct Body<T> {
    observed: T,
}

/// As private bytes; the same facts give the same bytes.
pub(crate) fn store<T: Serialize>(observed: &T) -> Vec<u8> {
    let stored = Stored {
        format: FORMAT,
        observed,
    };
    let text = serde_json::to_vec(&stored).expect("texts and numbers are JSON");
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(&text)
        .and_then(|()| encoder.finish())
        .expect("memory takes everything")
}

/// From private bytes; `None` if there are none or they cannot be read.
///
/// # Errors
/// [`TooNew`] if a newer provider wrote them.
pub(crate) fn load<T: DeserializeOwned>(bytes: &[u8]) -> Result<Option<T>, TooNew> {
    let mut text = Vec::new();
    let decoder = DeflateDecoder::new(bytes);
    if decoder.take(LIMIT).read_to_end(&mut text).is_err() {
        return Ok(None);
    }
    match serde_json::from_slice::<Head>(&text) {
        Ok(head) if head.format > FORMAT => Err(TooNew(head.format)),
        Ok(_) => Ok(serde_json::from_slice::<Body<T>>(&text)
            .ok()
            .map(|body| body.observed)),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_was_stored() {
        let facts = vec!["one".to_owned(), "two".to_owned()];
        assert_eq!(load(&store(&facts)), Ok(Some(facts)));
    }

    #[test]
    fn what_is_not_ours_is_nothing_and_what_is_newer_is_refused() {
        for bytes in [&b""[..], b"{}", b"nonsense", &store(&1)[..4]] {
            assert_eq!(load::<String>(bytes), Ok(None), "{bytes:?}");
        }
        assert_eq!(load::<String>(&store(&1)), Ok(None));
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        let text = br#"{"format":2,"facts":[]}"#;
        encoder.write_all(text).expect("memory");
        let newer = encoder.finish().expect("memory");
        assert_eq!(load::<String>(&newer), Err(TooNew(2)));
    }
}
