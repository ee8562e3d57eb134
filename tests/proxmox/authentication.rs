//! Who asks: API tokens, tickets, and the token against forged requests.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hyper::{HeaderMap, header};
use serde_json::json;

use crate::{
    cluster::Cluster,
    parameters,
    privilege::Subject,
    reply::{Answer, Reply},
    upid,
};

/// Tickets live for two hours.
const LIFE: Duration = Duration::from_hours(2);

/// Tickets that were given out.
#[derive(Debug, Default)]
pub(crate) struct Tickets(Mutex<BTreeMap<String, Ticket>>);

#[derive(Debug)]
struct Ticket {
    user: String,
    csrf: String,
    ends: Instant,
}

impl Tickets {
    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Ticket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn expire(&self) {
        self.held().clear();
    }
}

/// Who sent the request.
pub(crate) fn subject(
    cluster: &Cluster,
    headers: &HeaderMap,
    method: &str,
    is_upload: bool,
) -> Result<Subject, Reply> {
    let refused = |text: &str| Reply::bare(401, text);
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &header::HeaderValue| value.to_str().ok())
    };
    let cookie = text(header::COOKIE).and_then(|text| {
        text.split(';')
            .find_map(|part| part.trim().strip_prefix("PVEAuthCookie="))
    });
    if let Some(cookie) = cookie {
        let ticket = parameters::decode(cookie);
        let held = cluster.tickets.held();
        let ticket = held
            .get(&ticket)
            .filter(|ticket| ticket.ends > Instant::now())
            .ok_or_else(|| refused("permission denied - invalid PVE ticket"))?;
        // An upload is the one change that is taken without it.
        let csrf = headers
            .get("CSRFPreventionToken")
            .and_then(|value| value.to_str().ok());
        if method != "GET" && !is_upload && csrf != Some(ticket.csrf.as_str()) {
            return Err(refused("Permission denied - invalid csrf token"));
        }
        return Ok(Subject {
            user: ticket.user.clone(),
            token: None,
        });
    }
    let token = text(header::AUTHORIZATION)
        .and_then(|text| text.strip_prefix("PVEAPIToken="))
        .ok_or_else(|| refused("No ticket"))?;
    let (id, secret) = token
        .split_once('=')
        .ok_or_else(|| refused("unable to parse token"))?;
    let (user, name) = id
        .split_once('!')
        .ok_or_else(|| refused("unable to parse token"))?;
    let account = cluster
        .spec
        .accounts
        .iter()
        .find(|account| account.user == user)
        .ok_or_else(|| refused(&format!("no such user ('{user}')")))?;
    let token = account
        .tokens
        .iter()
        .find(|token| token.id == name)
        .ok_or_else(|| refused(&format!("no such token '{name}' for user '{user}'")))?;
    if cluster.faults().expired_tokens.contains(id) {
        return Err(refused(&format!("token '{name}' access expired")));
    }
    if token.secret != secret {
        return Err(refused("invalid token value!"));
    }
    Ok(Subject {
        user: user.to_owned(),
        token: Some(name.to_owned()),
    })
}

/// `POST /access/ticket`: a ticket for a password, or for an older ticket.
pub(crate) fn log_in(cluster: &Cluster, fields: &BTreeMap<String, String>) -> Answer {
    let missing = |name| Reply::parameter(name, "property is missing and it is not optional");
    let user = fields.get("username").ok_or_else(|| missing("username"))?;
    let password = fields.get("password").ok_or_else(|| missing("password"))?;
    let renews = cluster
        .tickets
        .held()
        .get(password)
        .is_some_and(|ticket| ticket.user == *user && ticket.ends > Instant::now());
    let account = cluster
        .spec
        .accounts
        .iter()
        .find(|account| account.user == *user)
        .filter(|account| renews || account.password.as_ref() == Some(password))
        .ok_or_else(|| Reply::bare(401, "authentication failure"))?;
    let random = || RandomState::new().build_hasher().finish();
    if account.has_second_factor {
        return Ok(Reply::data(json!({
            "username": user,
            "ticket": format!("PVE:!tfa!{:X}::{:016x}", upid::now_s(), random()),
            "NeedTFA": 1,
        })));
    }
    // The signature has characters that a cookie needs encoded.
    let text = format!(
        "PVE:{user}:{:08X}::{:016x}{:016x}+/==",
        upid::now_s(),
        random(),
        random()
    );
    let csrf = format!("{:08X}:{:016x}", upid::now_s(), random());
    let answer = json!({
        "username": user,
        "ticket": text,
        "CSRFPreventionToken": csrf,
        "clustername": "lab",
        "cap": { "access": {}, "dc": {}, "nodes": {}, "storage": {}, "vms": {} },
    });
    cluster.tickets.held().insert(
        text,
        Ticket {
            user: user.clone(),
            csrf,
            ends: Instant::now() + LIFE,
        },
    );
    Ok(Reply::data(answer))
}
