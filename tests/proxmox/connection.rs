//! One request on a connection, in the order in which pveproxy looks at it.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{HeaderMap, Request, Response, body::Incoming, header};

use crate::{
    authentication,
    cluster::{Cluster, Seen},
    fault::Effect,
    parameters::{self, Parameters},
    privilege::Subject,
    reply::{Answer, Reply},
    route::{self, Call},
    upload::{self, Lost},
};

/// The connection has to end without an answer.
#[derive(Debug)]
pub(crate) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is cut")
    }
}

impl std::error::Error for Cut {}

/// What a form may have (`$limit_max_post`).
const MOST_FORM: u64 = 512 * 1024;

/// Answers a request to a node.
pub(crate) async fn handle(
    cluster: Arc<Cluster>,
    node: String,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Cut> {
    let method = request.method().as_str().to_owned();
    let path = request.uri().path().to_owned();
    let shown = request
        .uri()
        .path_and_query()
        .map_or(path.as_str(), |both| both.as_str());
    let shown = shown.strip_prefix("/api2/json").unwrap_or(shown).to_owned();
    let effect = cluster.faults().of_call(&method, &shown, &node);
    if effect == Some(Effect::Silence) {
        std::future::pending::<()>().await;
    }
    let is_answer_cut = effect == Some(Effect::CutAnswer);
    let (answer, is_kept) = match effect {
        Some(Effect::Answer(status, reason)) => (Ok(Err(Reply::bare(status, reason))), false),
        effect => {
            let cut_after = match effect {
                Some(Effect::CutAfter(bytes)) => Some(bytes),
                _ => None,
            };
            answer(&cluster, &node, &method, &path, cut_after, request).await
        }
    };
    let reply = answer
        .map(|answer| answer.unwrap_or_else(|reply| reply))
        .ok()
        .filter(|_| !is_answer_cut);
    cluster.seen().push(Seen {
        node,
        method,
        path: shown,
        status: reply.as_ref().map_or(0, |reply| reply.status),
    });
    reply
        .map(|reply| reply.into_response(cluster.spec.has_message_in_body, is_kept))
        .ok_or(Cut)
}

/// The answer, and whether the connection may be used again.
async fn answer(
    cluster: &Arc<Cluster>,
    node: &str,
    method: &str,
    path: &str,
    cut_after: Option<u64>,
    request: Request<Incoming>,
) -> (Result<Answer, Cut>, bool) {
    let bare = |status, text: String| (Ok(Err(Reply::bare(status, text))), false);
    if !["GET", "POST", "PUT", "DELETE"].contains(&method) {
        return bare(501, format!("method '{method}' not available"));
    }
    if let Some(encoding) = request.headers().get(header::TRANSFER_ENCODING) {
        let encoding = String::from_utf8_lossy(encoding.as_bytes()).to_lowercase();
        return bare(
            501,
            match encoding.as_str() {
                "chunked" => "chunked transfer encoding not supported".to_owned(),
                _ => format!("Unknown transfer encoding '{encoding}'"),
            },
        );
    }
    let decoded = parameters::decode(path);
    let Some(below) = decoded.strip_prefix("/api2/") else {
        return bare(501, format!("no such file '{decoded}'"));
    };
    let (format, below) = below
        .trim_start_matches('/')
        .split_once('/')
        .unwrap_or((below, ""));
    if format != "json" {
        return bare(501, format!("no formatter for uri /{below}, {format}"));
    }
    let segments: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
    // With a double slash, it is another path here, and a call to nowhere below.
    let upload = match below.split('/').collect::<Vec<_>>().as_slice() {
        ["nodes", target, "storage", storage, "upload"] if method == "POST" => {
            Some((*target, *storage))
        }
        _ => None,
    };
    let subject = if route::is_open(method, &segments) {
        None
    } else {
        match authentication::subject(cluster, request.headers(), method, upload.is_some()) {
            Ok(subject) => Some(subject),
            Err(reply) => return (Ok(Err(reply)), false),
        }
    };
    let query = parameters::parse(request.uri().query().unwrap_or(""));
    let length = length(request.headers());
    if let (Some((target, storage)), Some(subject)) = (upload, &subject)
        && length > 0
    {
        let answer = take_upload(
            cluster, subject, node, target, storage, query, cut_after, request,
        )
        .await;
        return (answer, false);
    }
    if cut_after.is_some() {
        return (Err(Cut), false);
    }
    if length > MOST_FORM {
        return bare(501, "for data too large".to_owned());
    }
    if length > 0 && !["POST", "PUT"].contains(&method) {
        return bare(501, format!("Unexpected content for method '{method}'"));
    }
    let parameters = match form(request, query).await {
        Ok(parameters) => parameters,
        Err(answer) => return (answer.map(Err), false),
    };
    let call = Call {
        cluster,
        asked: node,
        method,
        segments: &segments,
        parameters,
    };
    (Ok(call.answer(subject.as_ref()).await), true)
}

fn length(headers: &HeaderMap) -> u64 {
    headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// Kind and boundary of a body. Quotes are part of a boundary here.
fn content_type(headers: &HeaderMap) -> (String, Option<String>) {
    let text = headers
        .get(header::CONTENT_TYPE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .unwrap_or_default();
    let mut parts = text.split([';', ',']).map(str::trim);
    let kind = parts.next().unwrap_or_default().to_owned();
    let boundary = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        (name.trim() == "boundary").then(|| value.trim().to_owned())
    });
    (kind, boundary)
}

/// Query and form together.
async fn form(
    request: Request<Incoming>,
    mut query: Parameters,
) -> Result<Parameters, Result<Reply, Cut>> {
    let length = length(request.headers());
    if length == 0 {
        return Ok(query);
    }
    let (kind, _) = content_type(request.headers());
    if !["", "application/x-www-form-urlencoded", "application/json"].contains(&kind.as_str()) {
        let text = format!("upload 'Content-Type '{kind}' not implemented");
        return Err(Ok(Reply::bare(506, text)));
    }
    let limit = usize::try_from(MOST_FORM).unwrap_or(usize::MAX);
    let body = Limited::new(request.into_body(), limit)
        .collect()
        .await
        .map_err(|_| Err(Cut))?
        .to_bytes();
    let text = String::from_utf8_lossy(&body);
    let mut form = if kind == "application/json" {
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&text).unwrap_or_default();
        fields
            .into_iter()
            .map(|(name, value)| match value {
                serde_json::Value::String(text) => (name, text),
                other => (name, other.to_string()),
            })
            .collect()
    } else {
        parameters::parse(&text)
    };
    form.append(&mut query);
    Ok(form)
}

#[expect(
    clippy::too_many_arguments,
    reason = "they are what a request consists of, and go on to one call"
)]
async fn take_upload(
    cluster: &Arc<Cluster>,
    subject: &Subject,
    asked: &str,
    target: &str,
    storage: &str,
    query: Parameters,
    cut_after: Option<u64>,
    request: Request<Incoming>,
) -> Result<Answer, Cut> {
    // Since nothing else protects an upload from forgery, this comes before its bytes.
    let path = format!("/storage/{storage}");
    if let Err(reply) = cluster.require_any(subject, &path, &["Datastore.AllocateTemplate"]) {
        return Ok(Err(reply));
    }
    // pveproxy throws here where nobody catches it, and says nothing until its timeout.
    let (kind, boundary) = content_type(request.headers());
    let boundary = boundary
        .filter(|_| kind == "multipart/form-data")
        .ok_or(Cut)?;
    let body = request.into_body();
    let received = upload::receive(cluster, asked, target, &boundary, query, cut_after, body).await;
    let received = match received {
        Ok(received) => received,
        Err(Lost::Refused(reply)) => return Ok(Err(reply)),
        Err(Lost::Cut) => return Err(Cut),
    };
    let target = if target == "localhost" { asked } else { target };
    if !cluster.spec.nodes.iter().any(|known| known == target) {
        return Ok(Err(Reply::thrown(format!(
            "hostname lookup '{target}' failed - failed to get address info for: {target}: Name or service not known"
        ))));
    }
    Ok(upload::accept(
        cluster, subject, asked, target, storage, received,
    ))
}

/// Uploads whose bytes are coming now.
pub(crate) fn open_uploads(cluster: &Cluster) -> usize {
    cluster.open_uploads.load(Ordering::SeqCst)
}
