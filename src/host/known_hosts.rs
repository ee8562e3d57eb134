//! Known hosts: which keys a host may show, by the rules of sshd(8), "`SSH_KNOWN_HOSTS` FILE FORMAT".
//!
//! Decides whether a key is known, unknown, changed or revoked; what to do then is the session's.
//! Never writes: a host key is trusted only when a person has put it there.

use std::{fmt, io, net::IpAddr, path::PathBuf, sync::Arc};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use russh::keys::{Algorithm, Certificate, PublicKey, ssh_key::certificate::CertType};

use crate::{host_key, profile};

/// A source that exists and cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("reading the known hosts file {} failed", .path.display())]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: Arc<io::Error>,
}

/// Where a line stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// File, or what the user's attribute is called.
    pub source: String,
    /// From 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.source, self.line)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marker {
    None,
    CertAuthority,
    Revoked,
}

/// A line that speaks of the host.
#[derive(Clone, Debug)]
struct Entry {
    marker: Marker,
    /// False: the line names the host without the port, which is not 22; it can only confirm.
    names_port: bool,
    key: PublicKey,
    place: Place,
}

/// All lines that speak of one host.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownKeys {
    entries: Vec<Entry>,
    sources: Vec<String>,
}

/// What the known hosts say of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Known,
    /// No line with a key of this type; `others` are lines with keys of other types.
    Unknown {
        others: Vec<Place>,
    },
    Changed {
        place: Place,
        known: String,
    },
    Revoked {
        place: Place,
    },
    /// A certificate of a trusted authority, but not good for this host or not now.
    BadCertificate {
        why: String,
    },
}

impl KnownKeys {
    /// Reads all sources for `host` at `port`.
    pub(crate) fn read(
        sources: &[profile::KnownHosts],
        host: &str,
        port: u16,
    ) -> Result<Self, ReadError> {
        let mut keys = Self::default();
        for source in sources {
            match source {
                profile::KnownHosts::File(path) => {
                    let name = path.display().to_string();
                    match std::fs::read(path) {
                        Ok(bytes) => keys.add(&name, &String::from_utf8_lossy(&bytes), host, port),
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => {
                            let source = Arc::new(error);
                            return Err(ReadError {
                                path: path.clone(),
                                source,
                            });
                        }
                    }
                    keys.sources.push(name);
                }
                profile::KnownHosts::Text { name, text } => {
                    keys.add(name, text, host, port);
                    keys.sources.push(name.clone());
                }
            }
        }
        Ok(keys)
    }

    fn add(&mut self, source: &str, text: &str, host: &str, port: u16) {
        let host = canonical(host);
        let with_port = name(&host, port);
        for (index, line) in text.lines().enumerate() {
            let place = || Place {
                source: source.to_owned(),
                line: index + 1,
            };
            // As in OpenSSH, a line that cannot be read speaks of no host.
            let Some((marker, patterns, key)) = parse(line) else {
                continue;
            };
            let names_port = matches(patterns, &with_port);
            if names_port || (port != 22 && matches(patterns, &host)) {
                let Ok(key) = PublicKey::from_openssh(key) else {
                    continue;
                };
                self.entries.push(Entry {
                    marker,
                    names_port,
                    key,
                    place: place(),
                });
            }
        }
    }

    /// Names of the sources, for messages.
    pub(crate) fn sources(&self) -> &[String] {
        &self.sources
    }

    /// Types of the host's known keys. Asked for first, because the server shows only one key:
    /// otherwise a known key of one type would meet an unknown one of another.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        let mut algorithms: Vec<Algorithm> = Vec::new();
        for entry in self
            .entries
            .iter()
            .filter(|entry| entry.marker == Marker::None)
        {
            let algorithm = entry.key.algorithm();
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        algorithms
    }

    /// Whether certificates of some authority are good for the host.
    pub(crate) fn trusts_authority(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.marker == Marker::CertAuthority)
    }

    /// What the lines say of a bare key.
    pub(crate) fn check(&self, key: &PublicKey) -> Verdict {
        if let Some(place) = self.revoked(key) {
            return Verdict::Revoked { place };
        }
        let plain = || {
            self.entries
                .iter()
                .filter(|entry| entry.marker == Marker::None)
        };
        if plain().any(|entry| entry.key.key_data() == key.key_data()) {
            return Verdict::Known;
        }
        let binding = || plain().filter(|entry| entry.names_port);
        if let Some(entry) = binding().find(|entry| entry.key.algorithm() == key.algorithm()) {
            let known = host_key::fingerprint(&entry.key);
            return Verdict::Changed {
                place: entry.place.clone(),
                known,
            };
        }
        Verdict::Unknown {
            others: binding().map(|entry| entry.place.clone()).collect(),
        }
    }

    /// What the lines say of a certificate for `host` at `now` (seconds since 1970).
    ///
    /// A certificate of an authority that is not trusted counts as the bare key inside.
    pub(crate) fn check_certificate(
        &self,
        certificate: &Certificate,
        host: &str,
        now: u64,
    ) -> Verdict {
        let authority = PublicKey::new(certificate.signature_key().clone(), "");
        let bare = PublicKey::new(certificate.public_key().clone(), "");
        if let Some(place) = self.revoked(&authority).or_else(|| self.revoked(&bare)) {
            return Verdict::Revoked { place };
        }
        let is_trusted = self.entries.iter().any(|entry| {
            entry.marker == Marker::CertAuthority && entry.key.key_data() == authority.key_data()
        });
        if !is_trusted {
            return self.check(&bare);
        }
        let bad = |why: &str| Verdict::BadCertificate {
            why: why.to_owned(),
        };
        let fingerprint = authority.fingerprint(russh::keys::HashAlg::Sha256);
        if certificate.cert_type() != CertType::Host {
            return bad("it is a certificate for users, not for hosts");
        }
        if certificate.validate_at(now, [&fingerprint]).is_err() {
            return bad("it is not valid now, or its signature is wrong");
        }
        if !certificate.critical_options().is_empty() {
            return bad("it holds critical options, which host certificates have none of");
        }
        let principals = certificate.valid_principals();
        let host = canonical(host);
        if principals.is_empty()
            || principals
                .iter()
                .any(|name| glob(&name.to_ascii_lowercase(), &host))
        {
            Verdict::Known
        } else {
            Verdict::BadCertificate {
                why: format!("it is for {}", principals.join(", ")),
            }
        }
    }

    fn revoked(&self, key: &PublicKey) -> Option<Place> {
        let is_revoked = |entry: &&Entry| {
            entry.marker == Marker::Revoked && entry.key.key_data() == key.key_data()
        };
        self.entries
            .iter()
            .find(is_revoked)
            .map(|entry| entry.place.clone())
    }
}

/// A host as ssh(1) writes it down: addresses have one spelling.
fn canonical(host: &str) -> String {
    host.parse::<IpAddr>()
        .map_or_else(|_| host.to_ascii_lowercase(), |address| address.to_string())
}

/// What a known hosts file calls `host` at `port`.
pub(crate) fn name(host: &str, port: u16) -> String {
    if port == 22 {
        host.to_owned()
    } else {
        format!("[{host}]:{port}")
    }
}

fn parse(line: &str) -> Option<(Marker, &str, &str)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (first, rest) = line.split_once([' ', '\t'])?;
    let (marker, patterns, key) = match first {
        "@cert-authority" | "@revoked" => {
            let (patterns, key) = rest.trim_start().split_once([' ', '\t'])?;
            let marker = if first == "@revoked" {
                Marker::Revoked
            } else {
                Marker::CertAuthority
            };
            (marker, patterns, key)
        }
        _ if first.starts_with('@') => return None,
        _ => (Marker::None, first, rest),
    };
    Some((marker, patterns, key.trim()))
}

/// Whether a list of patterns holds `name`; a negated one that matches wins.
fn matches(patterns: &str, name: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',') {
        if let Some(hashed) = pattern.strip_prefix("|1|") {
            found |= matches_hash(hashed, name);
        } else if let Some(pattern) = pattern.strip_prefix('!') {
            if glob(&pattern.to_ascii_lowercase(), name) {
                return false;
            }
        } else {
            found |= glob(&pattern.to_ascii_lowercase(), name);
        }
    }
    found
}

/// `salt|hash`, both in base64: HMAC-SHA1 of the name (`hostfile.c`, `host_hash`).
fn matches_hash(hashed: &str, name: &str) -> bool {
    let Some((salt, hash)) = hashed.split_once('|') else {
        return false;
    };
    let (Ok(salt), Ok(hash)) = (STANDARD.decode(salt), STANDARD.decode(hash)) else {
        return false;
    };
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    hmac::verify(&key, name.as_bytes(), &hash).is_ok()
}

/// `*` is any text, `?` one character (`ssh_config(5)`, PATTERNS). Linear but for the last star.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=";

    fn key(line: &str) -> PublicKey {
        PublicKey::from_openssh(line).expect("a key")
    }

    fn known(text: &str, host: &str, port: u16) -> KnownKeys {
        let source = profile::KnownHosts::Text {
            name: "known_hosts".into(),
            text: text.into(),
        };
        KnownKeys::read(&[source], host, port).expect("a text can be read")
    }

    fn place(line: usize) -> Place {
        Place {
            source: "known_hosts".into(),
            line,
        }
    }

    #[test]
    fn a_key_is_known_by_name_pattern_and_port() {
        for (patterns, host, port, expected) in [
            ("10.0.1.10", "10.0.1.10", 22, true),
            ("10.0.1.10", "10.0.1.11", 22, false),
            ("a,b,c", "b", 22, true),
            ("*.example.com", "A.Example.com", 22, true),
            ("*.example.com,!b.example.com", "b.example.com", 22, false),
            ("10.0.1.?", "10.0.1.9", 22, true),
            ("[10.0.1.10]:2222", "10.0.1.10", 2222, true),
            ("[10.0.1.10]:2222", "10.0.1.10", 22, false),
            ("10.0.1.10", "10.0.1.10", 2222, true),
            ("[fe80::1]:2222", "fe80::1", 2222, true),
            ("fdec::c", "FDEC:0:0:0:0:0:0:c", 22, true),
            ("[fdec::c]:2222", "fdec:0::c", 2222, true),
        ] {
            let verdict = known(&format!("{patterns} {ED25519}"), host, port).check(&key(ED25519));
            assert_eq!(
                verdict == Verdict::Known,
                expected,
                "{patterns} {host} {port}"
            );
        }
    }

    #[test]
    fn a_hashed_name_is_found() {
        let salt = b"01234567890123456789";
        let mac = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
        let hash = STANDARD.encode(hmac::sign(&mac, b"[10.0.1.10]:2222"));
        let line = format!("|1|{}|{hash} {ED25519}", STANDARD.encode(salt));
        assert_eq!(
            known(&line, "10.0.1.10", 2222).check(&key(ED25519)),
            Verdict::Known
        );
        let other = known(&line, "10.0.1.10", 22).check(&key(ED25519));
        assert_eq!(other, Verdict::Unknown { others: vec![] });
    }

    #[test]
    fn a_changed_key_names_its_line() {
        let text = format!("# comment\n\nh {ECDSA}\nh {OTHER}\n");
        let verdict = known(&text, "h", 22).check(&key(ED25519));
        let known = host_key::fingerprint(&key(OTHER));
        assert_eq!(
            verdict,
            Verdict::Changed {
                place: place(4),
                known
            }
        );
    }

    #[test]
    fn a_key_of_another_type_is_unknown_and_its_type_is_asked_for() {
        let keys = known(&format!("h {ECDSA}\n"), "h", 22);
        assert_eq!(
            keys.check(&key(ED25519)),
            Verdict::Unknown {
                others: vec![place(1)]
            }
        );
        assert_eq!(keys.algorithms(), [key(ECDSA).algorithm()]);
    }

    #[test]
    fn a_name_without_port_never_says_changed() {
        let keys = known(&format!("h {OTHER}\n"), "h", 2222);
        assert_eq!(
            keys.check(&key(ED25519)),
            Verdict::Unknown { others: vec![] }
        );
    }

    #[test]
    fn a_revoked_key_is_refused_wherever_it_stands() {
        let text = format!("h {ED25519}\n@revoked * {ED25519}\n");
        let verdict = known(&text, "h", 22).check(&key(ED25519));
        assert_eq!(verdict, Verdict::Revoked { place: place(2) });
    }

    #[test]
    fn lines_that_cannot_be_read_speak_of_no_host() {
        let text = format!("h\n@strange h {ED25519}\nh ssh-ed25519 AAAA\nh nonsense\n");
        let verdict = known(&text, "h", 22).check(&key(ED25519));
        assert_eq!(verdict, Verdict::Unknown { others: vec![] });
    }
}
