//! etcd's options that a user may add: name, type, and the minor versions that know them.
//!
//! Source: the JSON tags of `server/embed/config.go` of 3.5, 3.6 and 3.7. The file is decoded
//! without strictness, so an unknown key would vanish without a word; here it is an error.

use std::collections::BTreeMap;

use semver::Version;

use crate::{duration, near::nearest, problem::Problems};

#[derive(Clone, Copy)]
enum Kind {
    Bool,
    Integer,
    Text,
    /// An integer of nanoseconds in the file; the user writes a duration.
    Duration,
}

/// Name in 3.7, type, and how 3.5 and 3.6 call it (`None`: the same; `Some("")`: not at all).
const OPTIONS: [(&str, Kind, Option<&str>); 27] = [
    ("max-request-bytes", Kind::Integer, None),
    ("max-txn-ops", Kind::Integer, None),
    ("max-concurrent-streams", Kind::Integer, None),
    ("max-wals", Kind::Integer, None),
    ("max-snapshots", Kind::Integer, None),
    ("max-learners", Kind::Integer, Some("")),
    ("log-level", Kind::Text, None),
    ("metrics", Kind::Text, None),
    ("grpc-keepalive-min-time", Kind::Duration, None),
    ("grpc-keepalive-interval", Kind::Duration, None),
    ("grpc-keepalive-timeout", Kind::Duration, None),
    ("backend-batch-interval", Kind::Duration, None),
    ("backend-batch-limit", Kind::Integer, None),
    ("backend-bbolt-freelist-type", Kind::Text, None),
    ("enable-grpc-gateway", Kind::Bool, None),
    ("enable-pprof", Kind::Bool, None),
    ("host-whitelist", Kind::Text, None),
    ("cors", Kind::Text, None),
    ("auth-token", Kind::Text, None),
    ("bcrypt-cost", Kind::Integer, None),
    ("cipher-suites", Kind::Text, None),
    ("tls-max-version", Kind::Text, None),
    (
        "compaction-batch-limit",
        Kind::Integer,
        Some("experimental-compaction-batch-limit"),
    ),
    (
        "corrupt-check-time",
        Kind::Duration,
        Some("experimental-corrupt-check-time"),
    ),
    (
        "warning-apply-duration",
        Kind::Duration,
        Some("experimental-warning-apply-duration"),
    ),
    (
        "watch-progress-notify-interval",
        Kind::Duration,
        Some("experimental-watch-progress-notify-interval"),
    ),
    (
        "snapshot-catchup-entries",
        Kind::Integer,
        Some("experimental-snapshot-catch-up-entries"),
    ),
];

/// Options that this provider sets from its own attributes, with the attribute or the reason.
const OWNED: [(&str, &str); 23] = [
    ("name", "it follows from name and node key"),
    ("data-dir", "it follows from name and node key"),
    ("wal-dir", "it is not supported yet"),
    ("listen-client-urls", "use address and client_port"),
    ("listen-peer-urls", "use address and peer_port"),
    ("listen-metrics-urls", "use metrics_port"),
    ("advertise-client-urls", "use advertise and client_port"),
    ("initial-advertise-peer-urls", "use advertise and peer_port"),
    ("initial-cluster", "it follows from nodes"),
    ("initial-cluster-token", "it is unique for each cluster"),
    ("initial-cluster-state", "it follows from the live cluster"),
    ("heartbeat-interval", "use heartbeat_interval_ms"),
    ("election-timeout", "use election_timeout_ms"),
    ("snapshot-count", "use snapshot_count"),
    ("auto-compaction-mode", "use auto_compaction_mode"),
    ("auto-compaction-retention", "use auto_compaction_retention"),
    ("quota-backend-bytes", "use quota_backend_bytes"),
    ("client-transport-security", "TLS is always on"),
    ("peer-transport-security", "TLS is always on"),
    ("strict-reconfig-check", "it is always on"),
    ("pre-vote", "it is always on"),
    ("tls-min-version", "it is TLS 1.2"),
    (
        "force-new-cluster",
        "it destroys a cluster that has a quorum",
    ),
];

/// The options as they stand in the YAML of `version`; what is wrong is collected.
pub(super) fn validate(
    wanted: &BTreeMap<String, String>,
    version: &Version,
    problems: &mut Problems,
) -> BTreeMap<String, String> {
    let mut valid = BTreeMap::new();
    for (name, value) in wanted {
        let place = ["extra_options", name];
        if let Some((_, why)) = OWNED.iter().find(|(owned, _)| owned == name) {
            problems.error(
                &place,
                "Option is set by the provider",
                format!("{name}: {why}."),
            );
            continue;
        }
        let Some((_, kind, older)) = OPTIONS.iter().find(|(known, ..)| known == name) else {
            problems.error(&place, "Unknown option", unknown(name, version));
            continue;
        };
        let key = match older {
            Some("") if version.minor < 6 => {
                problems.error(
                    &place,
                    "Option of a later version",
                    format!("etcd {version} does not know {name}; it came with 3.6."),
                );
                continue;
            }
            Some(older) if version.minor < 6 && !older.is_empty() => *older,
            _ => name,
        };
        match literal(*kind, value) {
            Some(literal) => {
                valid.insert(key.to_owned(), literal);
            }
            None => problems.error(
                &place,
                "Invalid value",
                format!("{name} = \"{value}\" is not {}.", describe(*kind)),
            ),
        }
    }
    valid
}

fn describe(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "\"true\" or \"false\"",
        Kind::Integer => "a whole number",
        Kind::Text => "a text on one line",
        Kind::Duration => "a duration such as \"5s\"",
    }
}

fn literal(kind: Kind, value: &str) -> Option<String> {
    match kind {
        Kind::Bool => matches!(value, "true" | "false").then(|| value.to_owned()),
        Kind::Integer => value.parse::<u64>().ok().map(|number| number.to_string()),
        Kind::Text => (!value.contains(['\n', '\r'])).then(|| quote(value)),
        Kind::Duration => {
            let milliseconds = duration::milliseconds(value)?;
            Some(milliseconds.checked_mul(1_000_000)?.to_string())
        }
    }
}

/// A YAML text that no reader takes for anything else.
pub(super) fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON, and JSON texts are YAML")
}

fn unknown(name: &str, version: &Version) -> String {
    let known = OPTIONS
        .iter()
        .map(|(known, ..)| *known)
        .chain(OWNED.iter().map(|(owned, _)| *owned));
    let near = nearest(name, known);
    let hint = near.map_or_else(String::new, |near| format!(" Did you mean {near}?"));
    format!(
        "\"{name}\" is not an option of etcd {version} that this provider knows. etcd would ignore it \
         without a word.{hint}"
    )
}

#[cfg(test)]
mod tests;
