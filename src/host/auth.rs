//! Logging in: certificates, then keys, then agents, then passwords.
//!
//! Decides the order and what the error tells of each. Stops when the server hangs up, because
//! sshd counts each refused key (`MaxAuthTries`).

use std::{fmt::Display, path::Path, sync::Arc};

use russh::{
    AgentAuthError, MethodKind, MethodSet,
    client::{AuthResult, Handle, KeyboardInteractiveAuthResponse},
    keys::{
        Algorithm, Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey,
        agent::{AgentIdentity, client::AgentClient},
        decode_secret_key,
        signature::Signer as _,
        ssh_encoding::Encode as _,
        ssh_key::private::KeypairData,
    },
};

use crate::{Error, Identity, Secret, session::Peer};

/// Questions of a keyboard-interactive login that are answered; each round may hold several.
const MAX_ROUNDS: usize = 4;

/// Logs `user` in with the first identity that is good enough.
pub(crate) async fn login(
    handle: &mut Handle<Peer>,
    host: &str,
    user: &str,
    identities: &[Identity],
) -> Result<(), Error> {
    let mut login = Login {
        handle,
        user,
        tried: Vec::new(),
        accepted: MethodSet::client_supported(),
        offered: Vec::new(),
        rsa_hashes: None,
    };
    if login.all(identities).await {
        return Ok(());
    }
    let is_cut = login.handle.is_closed();
    let accepted = login
        .accepted
        .iter()
        .filter(|kind| **kind != MethodKind::None);
    Err(Error::Login {
        host: host.to_owned(),
        user: user.to_owned(),
        accepted: if login.tried.is_empty() {
            vec![]
        } else {
            accepted.map(Into::into).collect()
        },
        tried: login.tried,
        is_cut,
    })
}

struct Login<'a> {
    handle: &'a mut Handle<Peer>,
    user: &'a str,
    tried: Vec<String>,
    accepted: MethodSet,
    /// Keys that were refused bare: an agent often holds those of the files too.
    offered: Vec<PublicKey>,
    rsa_hashes: Option<Vec<HashAlg>>,
}

/// A key of the configuration, read.
struct Loaded {
    name: String,
    key: Arc<PrivateKey>,
    certificate: Option<Certificate>,
}

impl Login<'_> {
    async fn all(&mut self, identities: &[Identity]) -> bool {
        let mut loaded = Vec::new();
        for identity in identities {
            match load(identity) {
                None => {}
                Some(Ok(key)) => loaded.push(key),
                Some(Err(why)) => self.tried.push(why),
            }
        }
        for key in &loaded {
            if let Some(certificate) = &key.certificate
                && self.certificate(key, certificate).await
            {
                return true;
            }
        }
        for key in &loaded {
            if self.key(key).await {
                return true;
            }
        }
        for identity in identities {
            if let Identity::Agent { socket } = identity
                && self.agent(socket).await
            {
                return true;
            }
        }
        for identity in identities {
            if let Identity::Password(password) = identity
                && self.password(password).await
            {
                return true;
            }
        }
        false
    }

    fn may(&self, kind: MethodKind) -> bool {
        !self.handle.is_closed() && self.accepted.contains(&kind)
    }

    /// Takes an answer in; true if it let us in.
    fn settle<E: Display>(&mut self, name: &str, result: Result<AuthResult, E>) -> bool {
        match result {
            Ok(AuthResult::Success) => true,
            Ok(AuthResult::Failure {
                remaining_methods,
                partial_success,
            }) => {
                // An empty list is what a lost connection looks like.
                if !remaining_methods.is_empty() {
                    self.accepted = remaining_methods;
                }
                let outcome = if partial_success {
                    "taken, but more is asked for"
                } else {
                    "refused"
                };
                self.tried.push(format!("{name}: {outcome}"));
                false
            }
            Err(error) => {
                self.tried.push(format!("{name}: {error}"));
                false
            }
        }
    }

    /// Hashes to sign with by an RSA key, best first; never SHA-1.
    async fn rsa_hashes(&mut self) -> Vec<HashAlg> {
        if let Some(hashes) = &self.rsa_hashes {
            return hashes.clone();
        }
        let hashes = match self.handle.best_supported_rsa_hash().await {
            Ok(Some(Some(hash))) => vec![hash],
            Ok(Some(None)) => vec![],
            // The server does not say: servers of before 2016 do not know them either.
            Ok(None) | Err(_) => vec![HashAlg::Sha512, HashAlg::Sha256],
        };
        self.rsa_hashes = Some(hashes.clone());
        hashes
    }

    async fn hashes(&mut self, algorithm: &Algorithm) -> Vec<Option<HashAlg>> {
        match algorithm {
            Algorithm::Rsa { .. } => self.rsa_hashes().await.into_iter().map(Some).collect(),
            _ => vec![None],
        }
    }

    async fn certificate(&mut self, loaded: &Loaded, certificate: &Certificate) -> bool {
        for hash in self.hashes(&certificate.algorithm()).await {
            if !self.may(MethodKind::PublicKey) {
                return false;
            }
            let mut signer = LocalSigner(Arc::clone(&loaded.key));
            let answer = self
                .handle
                .authenticate_certificate_with(self.user, certificate.clone(), hash, &mut signer)
                .await;
            if self.settle(&format!("certificate of {}", loaded.name), answer) {
                return true;
            }
        }
        false
    }

    async fn key(&mut self, loaded: &Loaded) -> bool {
        let hashes = self.hashes(&loaded.key.algorithm()).await;
        if hashes.is_empty() {
            self.tried.push(format!(
                "{}: the server takes RSA only with SHA-1",
                loaded.name
            ));
        }
        for hash in hashes {
            if !self.may(MethodKind::PublicKey) {
                return false;
            }
            let key = PrivateKeyWithHashAlg::new(Arc::clone(&loaded.key), hash);
            let answer = self.handle.authenticate_publickey(self.user, key).await;
            if self.settle(&loaded.name, answer) {
                return true;
            }
        }
        self.offered.push(loaded.key.public_key().clone());
        false
    }

    async fn agent(&mut self, socket: &Path) -> bool {
        let name = format!("agent {}", socket.display());
        let mut agent = match AgentClient::connect_uds(socket).await {
            Ok(agent) => agent,
            Err(error) => {
                self.tried.push(format!("{name}: {error}"));
                return false;
            }
        };
        let mut identities = match agent.request_identities().await {
            Ok(identities) => identities,
            Err(error) => {
                self.tried.push(format!("{name}: {error}"));
                return false;
            }
        };
        if identities.is_empty() {
            self.tried.push(format!("{name}: it holds no key"));
        }
        identities.sort_by_key(|identity| matches!(identity, AgentIdentity::PublicKey { .. }));
        for identity in identities {
            let algorithm = match &identity {
                AgentIdentity::PublicKey { key, .. } => key.algorithm(),
                AgentIdentity::Certificate { certificate, .. } => certificate.algorithm(),
            };
            for hash in self.hashes(&algorithm).await {
                if !self.may(MethodKind::PublicKey) {
                    return false;
                }
                let (what, answer) = match &identity {
                    AgentIdentity::PublicKey { key, comment } => {
                        if self
                            .offered
                            .iter()
                            .any(|offered| offered.key_data() == key.key_data())
                        {
                            continue;
                        }
                        let answer = self
                            .handle
                            .authenticate_publickey_with(self.user, key.clone(), hash, &mut agent)
                            .await;
                        (format!("{name}, key {comment}"), answer)
                    }
                    AgentIdentity::Certificate {
                        certificate,
                        comment,
                    } => {
                        let answer = self
                            .handle
                            .authenticate_certificate_with(
                                self.user,
                                certificate.clone(),
                                hash,
                                &mut agent,
                            )
                            .await;
                        (format!("{name}, certificate {comment}"), answer)
                    }
                };
                if self.settle(&what, answer) {
                    return true;
                }
            }
        }
        false
    }

    async fn password(&mut self, password: &Secret) -> bool {
        if self.may(MethodKind::Password) {
            let answer = self
                .handle
                .authenticate_password(self.user, password.expose())
                .await;
            if self.settle("password", answer) {
                return true;
            }
        }
        // Where PAM asks, the password is an answer to a question.
        if !self.may(MethodKind::KeyboardInteractive) {
            return false;
        }
        let answer = self.interactive(password).await;
        self.settle("password (keyboard-interactive)", answer)
    }

    async fn interactive(&mut self, password: &Secret) -> Result<AuthResult, russh::Error> {
        let mut answer = self
            .handle
            .authenticate_keyboard_interactive_start(self.user, None::<String>)
            .await?;
        for _ in 0..MAX_ROUNDS {
            let prompts = match answer {
                KeyboardInteractiveAuthResponse::Success => return Ok(AuthResult::Success),
                KeyboardInteractiveAuthResponse::Failure {
                    remaining_methods,
                    partial_success,
                } => {
                    return Ok(AuthResult::Failure {
                        remaining_methods,
                        partial_success,
                    });
                }
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
            };
            // What is echoed is no password: a name or a code, which we do not know.
            let responses = prompts
                .iter()
                .map(|prompt| {
                    if prompt.echo {
                        String::new()
                    } else {
                        password.expose().to_owned()
                    }
                })
                .collect();
            answer = self
                .handle
                .authenticate_keyboard_interactive_respond(responses)
                .await?;
        }
        Err(russh::Error::NotAuthenticated)
    }
}

/// The key of an identity that holds one; the error is for people.
fn load(identity: &Identity) -> Option<Result<Loaded, String>> {
    let (name, pem, passphrase, certificate) = match identity {
        Identity::Agent { .. } | Identity::Password(_) => return None,
        Identity::KeyFile {
            path,
            passphrase,
            certificate_file,
        } => {
            let name = format!("key file {}", path.display());
            let pem = match std::fs::read_to_string(path) {
                Ok(pem) => Secret::new(pem),
                Err(error) => return Some(Err(format!("{name}: {error}"))),
            };
            let certificate = if let Some(file) = certificate_file {
                match std::fs::read_to_string(file) {
                    Ok(text) => Some(text),
                    Err(error) => {
                        return Some(Err(format!("certificate {}: {error}", file.display())));
                    }
                }
            } else {
                // As ssh does; most keys have none.
                let mut file = path.clone().into_os_string();
                file.push("-cert.pub");
                std::fs::read_to_string(file).ok()
            };
            (name, pem, passphrase, certificate)
        }
        Identity::Key {
            pem,
            passphrase,
            certificate,
        } => (
            "key by value".to_owned(),
            pem.clone(),
            passphrase,
            certificate.clone(),
        ),
    };
    let passphrase = passphrase.as_ref().map(Secret::expose);
    let key = match decode_secret_key(pem.expose(), passphrase) {
        Ok(key) => Arc::new(key),
        Err(error) => {
            return Some(Err(format!(
                "{name}: {}",
                key_error(&error, passphrase.is_some())
            )));
        }
    };
    let certificate = certificate.map(|text| Certificate::from_openssh(text.trim()));
    let Ok(certificate) = certificate.transpose() else {
        return Some(Err(format!("{name}: its certificate cannot be read")));
    };
    Some(Ok(Loaded {
        name,
        key,
        certificate,
    }))
}

fn key_error(error: &russh::keys::Error, has_passphrase: bool) -> &'static str {
    match error {
        russh::keys::Error::KeyIsEncrypted => "it needs a passphrase and none is configured",
        _ if has_passphrase => "it cannot be read; the passphrase may be wrong",
        _ => "it cannot be read as a private key",
    }
}

/// Signs with a key of ours where the server wants a certificate.
struct LocalSigner(Arc<PrivateKey>);

impl russh::Signer for LocalSigner {
    type Error = AgentAuthError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        mut to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, AgentAuthError> {
        let signature = match self.0.key_data() {
            KeypairData::Rsa(keypair) => (keypair, hash).try_sign(&to_sign),
            keypair => keypair.try_sign(&to_sign),
        }
        .map_err(|error| russh::keys::Error::from(russh::keys::ssh_key::Error::from(error)))?;
        let mut blob = Vec::new();
        signature
            .encode(&mut blob)
            .map_err(russh::keys::Error::from)?;
        // The caller wants the request with the signature behind it.
        blob.encode(&mut to_sign)
            .map_err(russh::keys::Error::from)?;
        Ok(to_sign)
    }
}
