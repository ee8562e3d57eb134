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
    /// A Go `uint32`.
    Integer32,
    Text,
    /// One of these words: with another one etcd does not start, or takes its default without a word.
    Word(&'static [&'static str]),
    /// `simple`, or `jwt` with its parameters (`auth.NewTokenProvider`).
    Token,
    /// Names with commas between them; a list in the file.
    CipherSuites,
    /// `*`, or URLs with commas between them: etcd ends in a panic over anything else.
    Origins,
    /// An integer of nanoseconds in the file; the user writes a duration.
    Duration,
}

/// What zap takes (`zapcore.Level`).
const LOG_LEVELS: [&str; 7] = ["debug", "info", "warn", "error", "dpanic", "panic", "fatal"];

/// Suites that Go holds for secure (`crypto/tls`, `CipherSuites`), and two older names of etcd's.
const CIPHER_SUITES: [&str; 15] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
];

/// Ways to sign a JSON web token that `golang-jwt` has.
const SIGN_METHODS: [&str; 12] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256",
    "HS384", "HS512",
];

/// Name in 3.7, type, and how 3.5 and 3.6 call it (`None`: the same; `Some("")`: not at all).
const OPTIONS: [(&str, Kind, Option<&str>); 27] = [
    ("max-request-bytes", Kind::Integer, None),
    ("max-txn-ops", Kind::Integer, None),
    ("max-concurrent-streams", Kind::Integer32, None),
    ("max-wals", Kind::Integer, None),
    ("max-snapshots", Kind::Integer, None),
    ("max-learners", Kind::Integer, Some("")),
    ("log-level", Kind::Word(&LOG_LEVELS), None),
    ("metrics", Kind::Word(&["basic", "extensive"]), None),
    ("grpc-keepalive-min-time", Kind::Duration, None),
    ("grpc-keepalive-interval", Kind::Duration, None),
    ("grpc-keepalive-timeout", Kind::Duration, None),
    ("backend-batch-interval", Kind::Duration, None),
    ("backend-batch-limit", Kind::Integer, None),
    (
        "backend-bbolt-freelist-type",
        Kind::Word(&["array", "map"]),
        None,
    ),
    ("enable-grpc-gateway", Kind::Bool, None),
    ("enable-pprof", Kind::Bool, None),
    ("host-whitelist", Kind::Text, None),
    ("cors", Kind::Origins, None),
    ("auth-token", Kind::Token, None),
    ("bcrypt-cost", Kind::Integer, None),
    ("cipher-suites", Kind::CipherSuites, None),
    ("tls-max-version", Kind::Word(&["TLS1.2", "TLS1.3"]), None),
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

fn describe(kind: Kind) -> String {
    match kind {
        Kind::Bool => "\"true\" or \"false\"".to_owned(),
        Kind::Integer => "a whole number".to_owned(),
        Kind::Integer32 => "a whole number up to 4294967295".to_owned(),
        Kind::Text => "a text on one line".to_owned(),
        Kind::Word(words) => format!("one of {}", words.join(", ")),
        Kind::Token => format!(
            "\"simple\", or \"jwt\" with parameters such as \"jwt,sign-method=RS256,pub-key=PATH,\
             priv-key=PATH\" (sign-method is one of {})",
            SIGN_METHODS.join(", ")
        ),
        Kind::CipherSuites => format!(
            "a list of suites with commas between them, out of {}",
            CIPHER_SUITES.join(", ")
        ),
        Kind::Origins => "\"*\" or a list of URLs such as \"https://a.example:443\"".to_owned(),
        Kind::Duration => "a duration such as \"5s\"".to_owned(),
    }
}

fn literal(kind: Kind, value: &str) -> Option<String> {
    match kind {
        Kind::Bool => matches!(value, "true" | "false").then(|| value.to_owned()),
        Kind::Integer => value
            .parse::<u64>()
            .ok()
            .filter(|number| i64::try_from(*number).is_ok())
            .map(|number| number.to_string()),
        Kind::Integer32 => value.parse::<u32>().ok().map(|number| number.to_string()),
        Kind::Text => (!value.contains(['\n', '\r'])).then(|| quote(value)),
        Kind::Word(words) => words.contains(&value).then(|| quote(value)),
        Kind::Token => is_token(value).then(|| quote(value)),
        Kind::CipherSuites => {
            let suites: Vec<&str> = value.split(',').map(str::trim).collect();
            let is_known = suites.iter().all(|suite| CIPHER_SUITES.contains(suite));
            is_known.then(|| format!("[{}]", suites.join(", ")))
        }
        Kind::Origins => {
            let is_url = |origin: &str| {
                let rest = ["http://", "https://"]
                    .iter()
                    .find_map(|scheme| origin.strip_prefix(scheme));
                // `types.NewURLs` wants a port and no path.
                rest.and_then(|rest| rest.rsplit_once(':'))
                    .is_some_and(|(name, port)| {
                        let plain = |letter: char| {
                            letter.is_ascii_alphanumeric() || "-._[]:".contains(letter)
                        };
                        !name.is_empty() && name.chars().all(plain) && port.parse::<u16>().is_ok()
                    })
            };
            (value == "*" || value.split(',').all(is_url)).then(|| quote(value))
        }
        Kind::Duration => {
            let milliseconds = duration::milliseconds(value)?;
            let nanoseconds = milliseconds.checked_mul(1_000_000)?;
            i64::try_from(nanoseconds)
                .ok()
                .map(|number| number.to_string())
        }
    }
}

/// Whether etcd takes it apart (`auth.decomposeOpts`): pairs, each name once, a method that there is.
fn is_token(value: &str) -> bool {
    let mut parts = value.split(',');
    match parts.next() {
        Some("simple") => value == "simple",
        Some("jwt") => {
            let mut given = BTreeMap::new();
            for part in parts {
                let Some((name, text)) = part.split_once('=') else {
                    return false;
                };
                if text.contains(['=', '\n', '\r']) || given.insert(name, text).is_some() {
                    return false;
                }
            }
            given
                .get("sign-method")
                .is_some_and(|method| SIGN_METHODS.contains(method))
        }
        _ => false,
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
