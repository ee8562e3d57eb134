//! One SSH connection: TCP or through a bastion, key exchange, host key, login.
//!
//! The host key is always checked. What runs over the connection is the launcher's.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use russh::{
    Preferred, cipher,
    client::{self, Handle},
    kex,
    keys::{Algorithm, EcdsaCurve, HashAlg, PublicKeyOrCertificate},
};
use tokio::{net::TcpStream, time::timeout};
use tracing::debug;

use crate::{
    Error, HostKey, Identity, Target, Timing, auth,
    error::HostKeyError,
    host_key,
    known_hosts::{self, KnownKeys, Verdict},
    profile::{self, Bastion},
    resolve::Resolver,
};

/// Safe too, and all that some hardened servers offer.
const NIST_CURVES: [kex::Name; 3] = [
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
];

/// Pause before the next address of a name is tried beside the former (RFC 8305, section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Bytes that the other side may send before it waits for us: large, for far hosts.
const WINDOW_BYTES: u32 = 16 << 20;

/// Host key algorithms without those that rest on SHA-1, best first.
const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
];

/// A connection with a user logged in.
pub(crate) struct Session {
    pub(crate) handle: Handle<Peer>,
    /// Kept open for as long as this one: this one runs through it.
    _through: Option<Box<Self>>,
}

/// One host on the way, the last included.
struct Hop<'a> {
    host: &'a str,
    port: u16,
    user: &'a str,
    identities: &'a [Identity],
    known_hosts: &'a [profile::KnownHosts],
    host_key: Option<&'a HostKey>,
    timing: &'a Timing,
}

impl Session {
    /// Connects to the target, through its bastions.
    pub(crate) async fn open(target: &Target, resolver: &Resolver) -> Result<Self, Error> {
        let profile = &target.profile;
        let hop = Hop {
            host: &target.host,
            port: target.port,
            user: target.user(),
            identities: &profile.identities,
            known_hosts: &profile.known_hosts,
            host_key: target.host_key.as_ref(),
            timing: &profile.timing,
        };
        open(hop, profile.bastion.as_ref(), resolver).await
    }

    /// Whether the other side answers within `limit`. Finds what died while this machine slept.
    pub(crate) async fn is_alive(&self, limit: Duration) -> bool {
        !self.handle.is_closed()
            && matches!(timeout(limit, self.handle.send_ping()).await, Ok(Ok(())))
    }
}

fn open<'a>(
    hop: Hop<'a>,
    bastion: Option<&'a Bastion>,
    resolver: &'a Resolver,
) -> BoxFuture<'a, Result<Session, Error>> {
    Box::pin(async move {
        let through = match bastion {
            None => None,
            Some(bastion) => {
                let outer = Hop {
                    host: &bastion.host,
                    port: bastion.port,
                    user: &bastion.user,
                    identities: &bastion.identities,
                    known_hosts: &bastion.known_hosts,
                    host_key: bastion.host_key.as_ref(),
                    timing: hop.timing,
                };
                let session = open(outer, bastion.bastion.as_deref(), resolver)
                    .await
                    .map_err(|source| {
                        match source {
                            // Hops before it have named themselves.
                            Error::Bastion { .. } => source,
                            source => Error::Bastion {
                                bastion: bastion.host.clone(),
                                host: hop.host.to_owned(),
                                source: Box::new(source),
                            },
                        }
                    })?;
                Some((Box::new(session), bastion.host.as_str()))
            }
        };
        hop.connect(through, resolver).await
    })
}

impl Hop<'_> {
    async fn connect(
        &self,
        through: Option<(Box<Session>, &str)>,
        resolver: &Resolver,
    ) -> Result<Session, Error> {
        let known = KnownKeys::read(self.known_hosts, self.host, self.port)?;
        let mut algorithms = self.algorithms(&known);
        let mut first_mismatch = None;
        loop {
            let attempt = self.exchange(through.as_ref(), resolver, &known, &algorithms);
            let shaken = timeout(self.timing.connect, attempt)
                .await
                .unwrap_or_else(|_| Err(self.timeout(self.timing.connect, "connecting")));
            match shaken {
                Ok(mut handle) => {
                    let login = auth::login(&mut handle, self.host, self.user, self.identities);
                    timeout(self.timing.login, login)
                        .await
                        .unwrap_or_else(|_| Err(self.timeout(self.timing.login, "logging in")))?;
                    return Ok(Session {
                        handle,
                        _through: through.map(|(session, _)| session),
                    });
                }
                // A pinned fingerprint does not say of which type its key is: ask for all.
                Err(Error::HostKey(mismatch))
                    if matches!(self.host_key, Some(HostKey::Fingerprint(_))) =>
                {
                    let HostKeyError::NotPinned { kind, .. } = &*mismatch else {
                        return Err(mismatch.into());
                    };
                    let left = without(&algorithms, kind);
                    if left.is_empty() || left.len() == algorithms.len() {
                        return Err(first_mismatch.unwrap_or(mismatch).into());
                    }
                    first_mismatch.get_or_insert(mismatch);
                    algorithms = left;
                }
                Err(error) => return Err(first_mismatch.map_or(error, Into::into)),
            }
        }
    }

    async fn exchange(
        &self,
        through: Option<&(Box<Session>, &str)>,
        resolver: &Resolver,
        known: &KnownKeys,
        algorithms: &[Algorithm],
    ) -> Result<Handle<Peer>, Error> {
        let verdict = Arc::new(Mutex::new(None));
        let peer = Peer {
            host: self.host.to_owned(),
            name: known_hosts::name(self.host, self.port),
            pinned: self.host_key.cloned(),
            known: known.clone(),
            verdict: Arc::clone(&verdict),
        };
        let config = Arc::new(self.config(known, algorithms));
        let shaken = match through {
            None => {
                let addresses =
                    resolver
                        .addresses(self.host, self.port)
                        .await
                        .map_err(|source| Error::Resolve {
                            host: self.host.to_owned(),
                            source,
                        })?;
                let stream = dial(&addresses)
                    .await
                    .map_err(|error| self.connect_error(error))?;
                // Small messages go back and forth; waiting to fill packets would slow each of them.
                stream
                    .set_nodelay(true)
                    .map_err(|error| self.connect_error(error))?;
                client::connect_stream(config, stream, peer).await
            }
            Some((session, bastion)) => {
                let channel = session
                    .handle
                    .channel_open_direct_tcpip(self.host, self.port.into(), "127.0.0.1", 0)
                    .await
                    .map_err(|error| Error::Forward {
                        bastion: (*bastion).to_owned(),
                        host: self.host.to_owned(),
                        port: self.port,
                        why: forward_text(&error),
                    })?;
                client::connect_stream(config, channel.into_stream(), peer).await
            }
        };
        shaken.map_err(|error| {
            let verdict = verdict
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            match verdict {
                Some(verdict) => Error::HostKey(Arc::new(verdict)),
                None => Error::Handshake {
                    host: self.host.to_owned(),
                    port: self.port,
                    source: Arc::new(error),
                },
            }
        })
    }

    fn config(&self, known: &KnownKeys, algorithms: &[Algorithm]) -> client::Config {
        // A certificate is only asked for if there is an authority to judge it by.
        let certificates = if self.host_key.is_none() && known.trusts_authority() {
            algorithms.to_vec()
        } else {
            vec![]
        };
        let interval = self.timing.keepalive_interval;
        let silent = self.timing.keepalive_timeout.as_millis() / interval.as_millis().max(1);
        client::Config {
            preferred: Preferred {
                key: algorithms.to_vec().into(),
                host_key_certificates: certificates.into(),
                kex: [&Preferred::DEFAULT.kex, &NIST_CURVES[..]].concat().into(),
                cipher: [&Preferred::DEFAULT.cipher, &[cipher::AES_128_GCM][..]]
                    .concat()
                    .into(),
                ..Preferred::DEFAULT
            },
            window_size: WINDOW_BYTES,
            keepalive_interval: Some(interval),
            keepalive_max: usize::try_from(silent).unwrap_or(1).max(1),
            nodelay: true,
            ..client::Config::default()
        }
    }

    /// Those of known keys first, then the others.
    fn algorithms(&self, known: &KnownKeys) -> Vec<Algorithm> {
        let preferred = match self.host_key {
            Some(pinned) => pinned.algorithm().into_iter().collect(),
            None => known.algorithms(),
        };
        let is_preferred =
            |algorithm: &Algorithm| preferred.iter().any(|known| same_type(known, algorithm));
        let (mut first, rest): (Vec<_>, Vec<_>) = ALGORITHMS.into_iter().partition(is_preferred);
        first.extend(rest);
        first
    }

    fn timeout(&self, limit: Duration, doing: &'static str) -> Error {
        Error::Timeout {
            host: self.host.to_owned(),
            port: self.port,
            seconds: limit.as_secs(),
            doing,
        }
    }

    fn connect_error(&self, error: io::Error) -> Error {
        let (host, port) = (self.host.to_owned(), self.port);
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Error::Refused { host, port },
            _ => Error::Connect {
                host,
                port,
                source: Arc::new(error),
            },
        }
    }
}

/// Keys have one type where signatures have several algorithms.
fn same_type(one: &Algorithm, other: &Algorithm) -> bool {
    one == other || matches!((one, other), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

fn without(algorithms: &[Algorithm], kind: &str) -> Vec<Algorithm> {
    algorithms
        .iter()
        .filter(|algorithm| match algorithm {
            Algorithm::Rsa { .. } => kind != "ssh-rsa",
            other => other.as_str() != kind,
        })
        .cloned()
        .collect()
}

fn forward_text(error: &russh::Error) -> String {
    match error {
        russh::Error::ChannelOpenFailure(reason) => match reason {
            russh::ChannelOpenFailure::AdministrativelyProhibited => {
                "it is forbidden there".to_owned()
            }
            russh::ChannelOpenFailure::ConnectFailed => "nothing answers there".to_owned(),
            other => format!("{other:?}"),
        },
        other => other.to_string(),
    }
}

/// The first address that answers; each next one is tried beside the former after a short pause.
async fn dial(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut dialled = FuturesUnordered::new();
    let mut next = addresses.iter();
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    dialled.extend(next.next().map(TcpStream::connect));
    while !dialled.is_empty() {
        match timeout(NEXT_ADDRESS, dialled.next()).await {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(error))) => last = error,
            Ok(None) | Err(_) => {}
        }
        dialled.extend(next.next().map(TcpStream::connect));
    }
    Err(last)
}

/// The other end, as far as the key exchange is concerned.
pub(crate) struct Peer {
    host: String,
    /// As in known hosts.
    name: String,
    pinned: Option<HostKey>,
    known: KnownKeys,
    verdict: Arc<Mutex<Option<HostKeyError>>>,
}

impl Peer {
    /// Why the key cannot be trusted; none if it can.
    fn judge(&self, shown: &PublicKeyOrCertificate) -> Option<HostKeyError> {
        let key = shown.public_key();
        let (kind, fingerprint) = (key.algorithm().to_string(), host_key::fingerprint(&key));
        let host = self.name.clone();
        if let Some(pinned) = &self.pinned {
            return if pinned.matches(&key) {
                None
            } else {
                let (pinned, key) = (pinned.to_string(), host_key::line(&key));
                Some(HostKeyError::NotPinned {
                    host,
                    kind,
                    fingerprint,
                    pinned,
                    key,
                })
            };
        }
        let verdict = match shown.certificate() {
            None => self.known.check(&key),
            Some(certificate) => {
                let now = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default()
                    .as_secs();
                self.known.check_certificate(certificate, &self.host, now)
            }
        };
        let line = format!("{host} {}", host_key::line(&key));
        match verdict {
            Verdict::Known => None,
            Verdict::Unknown { others } => {
                let sources = self.known.sources().to_vec();
                Some(HostKeyError::Unknown {
                    host,
                    kind,
                    fingerprint,
                    line,
                    sources,
                    others,
                })
            }
            Verdict::Changed { place, known } => Some(HostKeyError::Changed {
                host,
                kind,
                fingerprint,
                known,
                place,
                line,
            }),
            Verdict::Revoked { place } => Some(HostKeyError::Revoked {
                host,
                kind,
                fingerprint,
                place,
            }),
            Verdict::BadCertificate { why } => Some(HostKeyError::Certificate { host, why }),
        }
    }
}

impl client::Handler for Peer {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        let judged = self.judge(shown);
        let is_good = judged.is_none();
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = judged;
        Ok(is_good)
    }

    async fn auth_banner(
        &mut self,
        banner: &str,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        debug!(host = self.host, banner, "the server greets");
        Ok(())
    }

    /// As the default, without a log line of its own for every end.
    async fn disconnected(
        &mut self,
        reason: client::DisconnectReason<russh::Error>,
    ) -> Result<(), russh::Error> {
        match reason {
            client::DisconnectReason::ReceivedDisconnect(_) => Ok(()),
            client::DisconnectReason::Error(error) => Err(error),
        }
    }
}
