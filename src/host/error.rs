//! Why a host could not be reached, with what holds now and what to do next.

use std::{io, sync::Arc};

use hickory_resolver::net::NetError;

use crate::{
    helper::Architecture,
    known_hosts::{Place, ReadError},
    refusal::Refusal,
};

/// Why there is no helper to talk to on a host. Cheap to clone: all who wait for a host get it.
///
/// `Display` is a fragment without its source; [`Error::hint`] is the next step.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The provider was asked to stop.
    #[error("connecting to {host} was stopped as asked")]
    Stopped {
        /// The host.
        host: String,
    },
    /// No address for the name.
    #[error("resolving the name {host} failed")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        #[source]
        source: Arc<NetError>,
    },
    /// Nothing listens on the port.
    #[error("{host} refused the connection to port {port}")]
    Refused {
        /// The host.
        host: String,
        /// Its SSH port.
        port: u16,
    },
    /// No answer in time.
    #[error("{host} port {port} did not answer within {seconds} s while {doing}")]
    Timeout {
        /// The host.
        host: String,
        /// Its SSH port.
        port: u16,
        /// The limit.
        seconds: u64,
        /// What was going on, "connecting".
        doing: &'static str,
    },
    /// The network says no.
    #[error("connecting to {host} port {port} failed")]
    Connect {
        /// The host.
        host: String,
        /// Its SSH port.
        port: u16,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// What answers speaks no SSH that we know, or hung up.
    #[error("the SSH handshake with {host} port {port} failed")]
    Handshake {
        /// The host.
        host: String,
        /// Its SSH port.
        port: u16,
        /// Why.
        #[source]
        source: Arc<russh::Error>,
    },
    /// A source of known host keys cannot be read.
    #[error(transparent)]
    KnownHosts(#[from] ReadError),
    /// The key of the host cannot be trusted.
    #[error(transparent)]
    HostKey(#[from] Arc<HostKeyError>),
    /// No identity was good enough.
    #[error("{host} did not let {user} in; tried: {}", if .tried.is_empty() { "nothing".to_owned() } else { .tried.join("; ") })]
    Login {
        /// The host.
        host: String,
        /// Who.
        user: String,
        /// Each identity and what came of it.
        tried: Vec<String>,
        /// Methods that the host would take, as it says.
        accepted: Vec<&'static str>,
        /// The connection broke meanwhile, so some were perhaps not tried.
        is_cut: bool,
    },
    /// The way through a bastion.
    #[error("the bastion {bastion} on the way to {host} could not be used")]
    Bastion {
        /// The hop that failed.
        bastion: String,
        /// What lies behind it.
        host: String,
        /// Why.
        #[source]
        source: Box<Self>,
    },
    /// The bastion did not open the connection.
    #[error("the bastion {bastion} could not connect to {host} port {port}: {why}")]
    Forward {
        /// The hop.
        bastion: String,
        /// The host behind it.
        host: String,
        /// Its SSH port.
        port: u16,
        /// The bastion's answer.
        why: String,
    },
    /// The connection broke after the login and before the helper spoke.
    #[error("the connection to {host} broke while {doing}")]
    Cut {
        /// The host.
        host: String,
        /// What was going on.
        doing: &'static str,
    },
    /// The host did not start the helper.
    #[error("the helper did not start on {host}: {refusal}{}", quoted(.output))]
    Start {
        /// The host.
        host: String,
        /// Who logged in.
        user: String,
        /// What it was.
        refusal: Refusal,
        /// The last that the host printed; printable, redacted, may be empty.
        output: String,
    },
    /// The provider brings no helper that runs there.
    #[error("this build of the provider has no helper for {host}, which is {machine}")]
    NoHelper {
        /// The host.
        host: String,
        /// As `uname -m` says.
        machine: String,
        /// Those that there are.
        available: Vec<Architecture>,
    },
}

fn quoted(output: &str) -> String {
    if output.is_empty() {
        String::new()
    } else {
        format!("; it printed: {output}")
    }
}

/// Why the key of a host cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostKeyError {
    /// Nobody has vouched for it.
    #[error("the host key of {host} is not known: it shows {kind} {fingerprint}")]
    Unknown {
        /// As in known hosts, with the port if it is not 22.
        host: String,
        /// Type of the key.
        kind: String,
        /// `SHA256:…`
        fingerprint: String,
        /// The line that would make it known.
        line: String,
        /// Where it was looked for.
        sources: Vec<String>,
        /// Lines with keys of other types.
        others: Vec<Place>,
    },
    /// Known hosts say another key of the same type.
    #[error(
        "the host key of {host} has changed: it shows {kind} {fingerprint}, but {known} is known ({place})"
    )]
    Changed {
        /// As in known hosts.
        host: String,
        /// Type of the key.
        kind: String,
        /// Of the key that it shows.
        fingerprint: String,
        /// Of the key that is known.
        known: String,
        /// Where.
        place: Place,
        /// The line for the new key.
        line: String,
    },
    /// It is not the key that is pinned.
    #[error(
        "the host key of {host} is not the pinned one: it shows {kind} {fingerprint}, but {pinned} is configured"
    )]
    NotPinned {
        /// As in known hosts.
        host: String,
        /// Type of the key.
        kind: String,
        /// Of the key that it shows.
        fingerprint: String,
        /// As configured.
        pinned: String,
        /// The public key that it shows.
        key: String,
    },
    /// The key is marked as revoked.
    #[error("the host key of {host} is revoked: {kind} {fingerprint} ({place})")]
    Revoked {
        /// As in known hosts.
        host: String,
        /// Type of the key.
        kind: String,
        /// Of the key that it shows.
        fingerprint: String,
        /// Where.
        place: Place,
    },
    /// A certificate of a trusted authority that is not good here.
    #[error("the host certificate of {host} is refused: {why}")]
    Certificate {
        /// As in known hosts.
        host: String,
        /// Why.
        why: String,
    },
}

impl HostKeyError {
    /// The next step.
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown {
                host,
                line,
                sources,
                others,
                ..
            } => {
                let place = match sources.first() {
                    Some(source) => format!("{source} (looked in: {})", sources.join(", ")),
                    None => {
                        "a known hosts file, and name it in the configuration (none is named now)"
                            .to_owned()
                    }
                };
                let others = if others.is_empty() {
                    String::new()
                } else {
                    let others: Vec<_> = others.iter().map(ToString::to_string).collect();
                    format!(" Keys of other types are known ({}).", others.join("; "))
                };
                format!(
                    "compare the fingerprint with what `ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub` prints on the console of {host} (what `ssh-keyscan` shows comes over the same network and proves nothing by itself); if they are equal, add this line to {place}: {line}{others}",
                    key_file(line),
                )
            }
            Self::Changed { place, line, .. } => format!(
                "somebody may be listening in, or the host was installed anew. Compare the fingerprint on the host's console; if it is right, replace {place} by: {line}"
            ),
            Self::NotPinned { key, .. } => format!(
                "compare the fingerprint on the host's console; if it is right, set host_key = \"{key}\""
            ),
            Self::Revoked { place, .. } => format!(
                "give the host a new key; {place} says that this one must not be used again"
            ),
            Self::Certificate { host, .. } => format!(
                "have a certificate signed for {host} that is valid now, or pin the key of the host with host_key"
            ),
        }
    }
}

/// The part of `/etc/ssh/ssh_host_*_key` that belongs to a key's line.
fn key_file(line: &str) -> &'static str {
    match line
        .split(' ')
        .find(|word| word.starts_with("ssh-") || word.starts_with("ecdsa-"))
    {
        Some("ssh-rsa") => "rsa",
        Some(kind) if kind.starts_with("ecdsa-") => "ecdsa",
        _ => "ed25519",
    }
}

impl Error {
    /// Whether trying again soon can help by itself.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::Connect { .. }
            | Self::Cut { .. }
            | Self::Forward { .. }
            | Self::Timeout { .. } => true,
            // sshd hangs up without a word when too many log in at once (MaxStartups).
            Self::Handshake { source, .. } => matches!(
                **source,
                russh::Error::Disconnect
                    | russh::Error::HUP
                    | russh::Error::IO(_)
                    | russh::Error::ConnectionTimeout
                    | russh::Error::KeepaliveTimeout
            ),
            Self::Bastion { source, .. } => source.is_transient(),
            Self::Start { refusal, .. } => refusal.is_transient(),
            Self::Stopped { .. }
            | Self::Resolve { .. }
            | Self::KnownHosts(_)
            | Self::HostKey(_)
            | Self::Login { .. }
            | Self::NoHelper { .. } => false,
        }
    }

    /// Whether the host could not be reached at all, as opposed to: refused us. The former is a
    /// fact about the host, the latter a fault of the configuration.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::Refused { .. }
            | Self::Timeout { .. }
            | Self::Connect { .. }
            | Self::Handshake { .. }
            | Self::Forward { .. }
            | Self::Cut { .. } => true,
            Self::Bastion { source, .. } => source.is_unreachable(),
            _ => false,
        }
    }

    /// What holds on the host now, as a sentence.
    pub fn holds(&self) -> String {
        match self {
            Self::Start { host, refusal, .. } => refusal.holds(host),
            Self::Cut { host, .. } => {
                format!(
                    "Nothing but the cache below /opt/etcd-node/cache of {host} can have changed."
                )
            }
            _ => "Nothing was changed on the host.".to_owned(),
        }
    }

    /// What to do next, as a sentence without "Hint:".
    pub fn hint(&self) -> String {
        match self {
            Self::Stopped { .. } => "run apply again; it continues where it stopped.".to_owned(),
            Self::Resolve { host, .. } => format!(
                "write an IP address, or see that {host} is in /etc/hosts or known to the name servers of /etc/resolv.conf (other name services, such as mDNS and LDAP, are not asked)."
            ),
            Self::Refused { port, .. } => {
                format!("see that sshd runs there and listens on port {port}.")
            }
            Self::Timeout { doing, .. } if *doing == "logging in" => {
                "see that the agent is not waiting for a confirmation, and the load of the host.".to_owned()
            }
            Self::Timeout { .. } | Self::Connect { .. } => {
                "see that the host is on, that address and port are right and that no firewall drops the packets.".to_owned()
            }
            Self::Handshake { source, .. } => match **source {
                russh::Error::NoCommonAlgo { .. } => {
                    "the SSH server offers none of the algorithms that are safe and spoken here; update it, or let it offer curve25519-sha256 and aes256-gcm@openssh.com.".to_owned()
                }
                _ => "see that an SSH server listens on this port, and its log.".to_owned(),
            },
            Self::KnownHosts(error) => {
                format!("make {} readable, or name another file.", error.path.display())
            }
            Self::HostKey(error) => error.hint(),
            Self::Login { host, user, accepted, is_cut, .. } => {
                let accepted = if accepted.is_empty() {
                    String::new()
                } else {
                    format!(" The host takes: {}.", accepted.join(", "))
                };
                let cut = if *is_cut {
                    " The host ended the connection meanwhile (too many keys in the agent count as failures, MaxAuthTries): name the key itself."
                } else {
                    ""
                };
                format!(
                    "put the public key into ~{user}/.ssh/authorized_keys on {host}, or configure the identity that is there.{accepted}{cut}"
                )
            }
            Self::Bastion { source, .. } => source.hint(),
            Self::Forward { bastion, host, port, .. } => format!(
                "see that {bastion} reaches {host} port {port} and that its sshd allows TCP forwarding (AllowTcpForwarding)."
            ),
            Self::Cut { .. } => "try again; if it breaks at the same place, see the log of sshd on the host.".to_owned(),
            Self::Start { host, user, refusal, .. } => refusal.hint(host, user),
            Self::NoHelper { available, .. } if available.is_empty() => {
                "use a release of the provider, or name a static etcd-node program in ETCD_NODE_PATH.".to_owned()
            }
            Self::NoHelper { available, .. } => {
                let available: Vec<_> = available.iter().map(ToString::to_string).collect();
                format!("this build has helpers for {}; use one that has the other too.", available.join(", "))
            }
        }
    }
}
