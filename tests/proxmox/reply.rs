//! Answers: JSON, and the reason in the status line.

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode, ext::ReasonPhrase, header};
use serde_json::{Map, Value, json};

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The reason in the status line; the usual one for `None`.
    reason: Option<String>,
    /// `None` for answers that come before the API: they have no body.
    data: Option<Value>,
    errors: BTreeMap<String, String>,
    total: Option<usize>,
}

/// A good answer or a bad one.
pub(crate) type Answer = Result<Reply, Reply>;

impl Reply {
    pub(crate) fn data(data: Value) -> Self {
        Self {
            status: 200,
            reason: None,
            data: Some(data),
            errors: BTreeMap::new(),
            total: None,
        }
    }

    /// A part of a list.
    pub(crate) fn part(data: Value, total: usize) -> Self {
        Self {
            total: Some(total),
            ..Self::data(data)
        }
    }

    /// An answer of the HTTP server itself: a reason and no body.
    pub(crate) fn bare(status: u16, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: Some(reason.into()),
            data: None,
            ..Self::data(Value::Null)
        }
    }

    /// A thrown exception.
    pub(crate) fn thrown(reason: impl Into<String>) -> Self {
        Self {
            status: 500,
            reason: Some(reason.into()),
            ..Self::data(Value::Null)
        }
    }

    /// A parameter that is not taken.
    pub(crate) fn parameter(name: &str, text: &str) -> Self {
        Self {
            status: 400,
            reason: Some("Parameter verification failed.".to_owned()),
            errors: BTreeMap::from([(name.to_owned(), text.to_owned())]),
            ..Self::data(Value::Null)
        }
    }

    /// A privilege that lacks.
    pub(crate) fn forbidden(path: &str, privileges: &[&str]) -> Self {
        let text = format!("Permission check failed ({path}, {})", privileges.join("|"));
        Self {
            status: 403,
            reason: Some(text),
            ..Self::data(Value::Null)
        }
    }

    /// As it goes over the wire. `is_kept` says whether the connection may be used again.
    pub(crate) fn into_response(
        self,
        has_message_in_body: bool,
        is_kept: bool,
    ) -> Response<Full<Bytes>> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let is_error = !status.is_success();
        let body = match self.data {
            None => Bytes::new(),
            Some(data) => {
                let mut envelope = Map::from_iter([("data".to_owned(), data)]);
                if !self.errors.is_empty() {
                    envelope.insert("errors".to_owned(), json!(self.errors));
                }
                if let Some(total) = self.total {
                    envelope.insert("total".to_owned(), json!(total));
                }
                if let Some(reason) = &self.reason
                    && is_error
                    && has_message_in_body
                {
                    envelope.insert("message".to_owned(), json!(format!("{reason}\n")));
                }
                Value::Object(envelope).to_string().into()
            }
        };
        let mut response = Response::builder()
            .status(status)
            .header(header::SERVER, "pve-api-daemon/3.0")
            .header(header::CACHE_CONTROL, "max-age=0")
            .header(header::PRAGMA, "no-cache");
        if !body.is_empty() {
            response = response.header(header::CONTENT_TYPE, "application/json;charset=UTF-8");
        }
        let keep = if is_kept && self.status < 400 {
            "Keep-Alive"
        } else {
            "close"
        };
        response = response.header(header::CONNECTION, keep);
        // Only the first line fits into a status line.
        let line = self
            .reason
            .as_deref()
            .and_then(|reason| reason.lines().next())
            .map(|line| ReasonPhrase::try_from(line.as_bytes().to_vec()));
        if let Some(Ok(line)) = line {
            response = response.extension(line);
        }
        response.body(Full::new(body)).expect("the parts are valid")
    }
}
