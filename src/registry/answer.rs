//! What a registry's answer means.

use std::time::Duration;

use reqwest::{
    Response, StatusCode,
    header::{DATE, HeaderMap, RETRY_AFTER},
};
use serde::Deserialize;
use time::{OffsetDateTime, UtcDateTime, format_description::well_known::Rfc2822};

use crate::error::{Errand, Error};

/// Bytes of an answer's text that an error repeats.
const SHOWN: usize = 300;
/// Bytes of an error's text that are read at most.
const READ: usize = 64 * 1024;

/// Why a registry refuses, as it says (distribution-spec, "Error Codes").
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Codes, as `DENIED`.
    pub(crate) codes: Vec<String>,
    /// Messages, joined.
    pub(crate) message: String,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Refusal {
    /// Reads the body of an answer that is no success. Not every server behind the API answers in its form.
    pub(crate) fn parse(body: &[u8]) -> Self {
        if let Ok(Errors { errors }) = serde_json::from_slice(body) {
            let mut refusal = Self::default();
            let mut messages: Vec<String> = Vec::new();
            for OneError { code, message } in errors {
                let text = match (code.is_empty(), message.is_empty()) {
                    (false, false) => format!("{code} ({message})"),
                    (false, true) => code.clone(),
                    _ => message,
                };
                if !messages.contains(&text) {
                    messages.push(text);
                }
                refusal.codes.push(code);
            }
            refusal.message = shown(&messages.join("; "));
            return refusal;
        }
        let text = String::from_utf8_lossy(body);
        // A page of a proxy helps nobody.
        let text = if text.trim_start().starts_with('<') {
            ""
        } else {
            text.trim()
        };
        Self {
            codes: Vec::new(),
            message: shown(text),
        }
    }

    pub(crate) fn has(&self, code: &str) -> bool {
        self.codes.iter().any(|known| known == code)
    }

    /// Whether a tag may not be moved. There is no code for it: Harbor says "configured as immutable" with 412, ECR
    /// "already exists … cannot be overwritten because the tag is immutable" with 400, Artifact Registry and Zot the like.
    pub(crate) fn is_immutable(&self, status: StatusCode) -> bool {
        let message = self.message.to_ascii_lowercase();
        let says = ["immutable", "cannot be overwritten", "already exists"];
        says.iter().any(|words| message.contains(words))
            || matches!(
                status,
                StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED
            )
    }
}

/// One line of printable text.
fn shown(text: &str) -> String {
    let mut line: String = text
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(SHOWN)
        .collect();
    if text.chars().count() > SHOWN {
        line.push('…');
    }
    line.trim().to_owned()
}

/// The body of an answer that is no success, as far as it is of use.
pub(crate) async fn refusal(mut response: Response) -> Refusal {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > READ {
            break;
        }
    }
    Refusal::parse(&body)
}

/// Longest answer that is read where it is no image, in bytes. A page of a registry's tags has some thousand.
const WHOLE: usize = 8 * 1024 * 1024;

/// A body in JSON; `None` if it is longer than any of a registry.
pub(crate) async fn whole(mut response: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        if body.len() + piece.len() > WHOLE {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body))
}

/// The error of an answer that is no success. `who` asked.
pub(crate) async fn error(response: Response, errand: Errand, who: String) -> Error {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let refusal = refusal(response).await;
    of_refusal(status, retry_after, refusal, errand, who)
}

/// The same of an answer that was read already.
pub(crate) fn of_refusal(
    status: StatusCode,
    retry_after: Option<Duration>,
    refusal: Refusal,
    errand: Errand,
    who: String,
) -> Error {
    let Refusal { codes, message } = refusal;
    let is = |code: &str| codes.iter().any(|known| known == code);
    match status {
        StatusCode::UNAUTHORIZED => Error::Unauthorised {
            errand,
            who,
            message,
        },
        StatusCode::FORBIDDEN => Error::Denied {
            errand,
            who,
            message,
        },
        StatusCode::NOT_FOUND => Error::NotFound { errand, message },
        StatusCode::TOO_MANY_REQUESTS => Error::RateLimited {
            errand,
            retry_after,
        },
        _ if is("TOOMANYREQUESTS") => Error::RateLimited {
            errand,
            retry_after,
        },
        _ if is("DENIED") => Error::Denied {
            errand,
            who,
            message,
        },
        status if status.is_server_error() => Error::Fault {
            errand,
            status: status.as_u16(),
            message,
        },
        status if status.is_client_error() => Error::Refused {
            errand,
            status: status.as_u16(),
            codes,
            message,
        },
        status => Error::Protocol {
            errand,
            what: format!("status {}", status.as_u16()),
        },
    }
}

/// How long the server wants to be left alone: seconds, or a date (RFC 9110, 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = http_date(text)?;
    let now = server_time(headers).unwrap_or_else(now);
    Some(Duration::try_from(then - now).unwrap_or_default())
}

/// The server's clock, as its answer says.
pub(crate) fn server_time(headers: &HeaderMap) -> Option<OffsetDateTime> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

/// This machine's clock.
pub(crate) fn now() -> OffsetDateTime {
    UtcDateTime::now().into()
}

fn http_date(text: &str) -> Option<OffsetDateTime> {
    // The form of HTTP is that of mail but for the zone's name.
    let text = text.trim().replace("GMT", "+0000");
    OffsetDateTime::parse(&text, &Rfc2822).ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn reads_the_protocols_errors_and_those_of_others() {
        let refusal = Refusal::parse(
            br#"{"errors":[{"code":"DENIED","message":"requested access\nis denied","detail":null},{"code":"UNKNOWN"}]}"#,
        );
        assert!(refusal.has("DENIED"));
        assert_eq!(
            refusal.message,
            "DENIED (requested access is denied); UNKNOWN"
        );
        let refusal = Refusal::parse(b"schematic not found\n");
        assert_eq!(refusal.message, "schematic not found");
        assert_eq!(Refusal::parse(b"<html>502</html>").message, "");
        assert_eq!(Refusal::parse(b"").message, "");
        let long = Refusal::parse("ä".repeat(1000).as_bytes());
        assert_eq!(long.message.chars().count(), SHOWN + 1);
    }

    #[test]
    fn recognises_that_a_tag_may_not_be_moved() {
        let says = [
            (
                412,
                r#"{"errors":[{"code":"PRECONDITION","message":"Failed to process request due to 'x:v1' configured as immutable."}]}"#,
            ),
            (
                400,
                r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag 'v1' already exists in the 'x' repository and cannot be overwritten because the tag is immutable."}]}"#,
            ),
            (409, "{}"),
        ];
        for (status, body) in says {
            let status = StatusCode::from_u16(status).expect("a status");
            assert!(
                Refusal::parse(body.as_bytes()).is_immutable(status),
                "{body}"
            );
        }
        let other = Refusal::parse(br#"{"errors":[{"code":"MANIFEST_INVALID","message":"no"}]}"#);
        assert!(!other.is_immutable(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn knows_how_long_to_wait() {
        let after = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
            let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
            headers.insert(DATE, date);
            retry_after(&headers)
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(
            after("Sun, 06 Nov 1994 08:50:07 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(after("Sun, 06 Nov 1994 08:49:07 GMT"), Some(Duration::ZERO));
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn each_answer_has_its_kind() {
        let kind = |status: u16, body: &str| {
            let errand = Errand {
                host: "a.example".into(),
                what: "read".into(),
            };
            let status = StatusCode::from_u16(status).expect("a status");
            let refusal = Refusal::parse(body.as_bytes());
            of_refusal(status, None, refusal, errand, "user \"u\"".into())
        };
        assert!(matches!(kind(401, ""), Error::Unauthorised { .. }));
        assert!(matches!(kind(403, ""), Error::Denied { .. }));
        assert!(matches!(kind(404, ""), Error::NotFound { .. }));
        assert!(matches!(kind(429, ""), Error::RateLimited { .. }));
        assert!(matches!(kind(502, ""), Error::Fault { .. }));
        assert!(matches!(kind(405, ""), Error::Refused { .. }));
        assert!(matches!(kind(302, ""), Error::Protocol { .. }));
        let denied = r#"{"errors":[{"code":"DENIED","message":"no"}]}"#;
        let text = kind(400, denied).to_string();
        assert_eq!(text, "read: a.example denies it to user \"u\": DENIED (no)");
    }
}
