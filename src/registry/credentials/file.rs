//! `config.json` of docker and `auth.json` of podman.

use std::{collections::BTreeMap, io, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Credentials;
use crate::{reference::Repository, secret::Secret};

/// Docker Hub's key, from the times of the first protocol.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// A file of credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NoFile {
    /// It cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what docker writes.
    #[error("{} is not a docker configuration: {why}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why, without the file's content.
        why: String,
    },
    /// The `auth` of an entry.
    #[error("the entry {entry:?} of {} has an `auth` that is not base64 of user:password", path.display())]
    Auth {
        /// The file.
        path: PathBuf,
        /// The key below `auths`.
        entry: String,
    },
}

/// A file of credentials.
#[derive(Debug, Default, Deserialize)]
pub(super) struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Entry {
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<Secret>,
    #[serde(rename = "registrytoken")]
    registry_token: Option<Secret>,
}

/// What a file says about a repository.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A helper program `docker-credential-<name>` knows, under this key.
    Helper { name: String, key: String },
    /// It stands in the file.
    Known(Credentials),
}

impl File {
    pub(super) fn parse(bytes: &[u8], path: &std::path::Path) -> Result<Self, NoFile> {
        // An empty file is what `touch` and some CI templates leave.
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        serde_json::from_slice(bytes).map_err(|error| NoFile::Parse {
            path: path.to_owned(),
            // serde's own text may repeat a value, which may be a password.
            why: format!("error at line {}, column {}", error.line(), error.column()),
        })
    }

    /// What the file says, the likeliest first: a helper of this host, the common helper, an entry.
    pub(super) fn answers(
        &self,
        repository: &Repository,
        path: &std::path::Path,
    ) -> Result<Vec<Answer>, NoFile> {
        let host = repository.host();
        let key = if is_docker_hub(host) {
            DOCKER_HUB
        } else {
            host
        };
        let mut answers = Vec::new();
        let own = self.helpers.iter().find(|(entry, _)| is_host(entry, host));
        if let Some(name) = own.map(|(_, name)| name).or(self.store.as_ref())
            && !name.is_empty()
        {
            answers.push(Answer::Helper {
                name: name.clone(),
                key: key.to_owned(),
            });
        }
        let entry = self
            .auths
            .iter()
            .filter(|(entry, _)| covers(entry, repository))
            .max_by_key(|(entry, _)| entry.len());
        if let Some((name, entry)) = entry
            && let Some(credentials) = entry.credentials(name, path)?
        {
            answers.push(Answer::Known(credentials));
        }
        Ok(answers)
    }
}

impl Entry {
    /// Docker leaves an entry empty where a helper keeps the secret.
    fn credentials(
        &self,
        name: &str,
        path: &std::path::Path,
    ) -> Result<Option<Credentials>, NoFile> {
        let filled = |secret: &&Secret| !secret.expose().is_empty();
        if let Some(token) = self.identity_token.as_ref().filter(filled) {
            return Ok(Some(Credentials::Identity(token.clone())));
        }
        if let Some(token) = self.registry_token.as_ref().filter(filled) {
            return Ok(Some(Credentials::Bearer(token.clone())));
        }
        if let Some(auth) = self.auth.as_ref().filter(filled) {
            let refused = || NoFile::Auth {
                path: path.to_owned(),
                entry: name.to_owned(),
            };
            let decoded = STANDARD
                .decode(auth.expose().trim())
                .map_err(|_| refused())?;
            let decoded = Zeroizing::new(String::from_utf8(decoded).map_err(|_| refused())?);
            let (user, password) = decoded.split_once(':').ok_or_else(refused)?;
            return Ok(Some(Credentials::Basic {
                user: user.to_owned(),
                // Some writers of these files end it with a NUL.
                password: Secret::new(password.trim_end_matches('\0')),
            }));
        }
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Ok(Some(Credentials::Basic {
                user: user.clone(),
                password: password.clone(),
            }));
        }
        Ok(None)
    }
}

fn is_docker_hub(host: &str) -> bool {
    ["docker.io", "index.docker.io", "registry-1.docker.io"].contains(&host)
}

/// An entry's host and the namespace that it is for.
///
/// Docker writes hosts, in old files as URLs with the protocol's version; podman also writes namespaces of a host.
fn parts(entry: &str) -> (&str, &str) {
    for scheme in ["https://", "http://"] {
        if let Some(rest) = entry.strip_prefix(scheme) {
            return (rest.split('/').next().unwrap_or_default(), "");
        }
    }
    let (host, namespace) = entry.split_once('/').unwrap_or((entry, ""));
    (host, namespace.trim_end_matches('/'))
}

fn is_host(entry: &str, host: &str) -> bool {
    let (entry, _) = parts(entry);
    entry == host || (is_docker_hub(entry) && is_docker_hub(host))
}

fn covers(entry: &str, repository: &Repository) -> bool {
    let (_, namespace) = parts(entry);
    is_host(entry, repository.host())
        && (namespace.is_empty()
            || repository.name() == namespace
            || repository
                .name()
                .strip_prefix(namespace)
                .is_some_and(|rest| rest.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn answers(json: &str, repository: &str) -> Vec<Answer> {
        let file = File::parse(json.as_bytes(), Path::new("config.json")).expect("a file");
        let repository = repository.parse().expect("a repository");
        file.answers(&repository, Path::new("config.json"))
            .expect("answers")
    }

    fn basic(user: &str, password: &str) -> Answer {
        Answer::Known(Credentials::Basic {
            user: user.into(),
            password: Secret::new(password),
        })
    }

    #[test]
    fn reads_each_kind_of_entry() {
        let json = r#"{"auths": {
            "a.example": {"auth": "dTpwOnc="},
            "b.example": {"username": "u", "password": "p"},
            "c.example": {"auth": "dTpw", "identitytoken": "i"},
            "d.example": {"registrytoken": "r"},
            "e.example": {}
        }, "HttpHeaders": {"x": "y"}}"#;
        assert_eq!(answers(json, "a.example/x"), [basic("u", "p:w")]);
        assert_eq!(answers(json, "b.example/x"), [basic("u", "p")]);
        let identity = Credentials::Identity(Secret::new("i"));
        assert_eq!(answers(json, "c.example/x"), [Answer::Known(identity)]);
        let bearer = Credentials::Bearer(Secret::new("r"));
        assert_eq!(answers(json, "d.example/x"), [Answer::Known(bearer)]);
        assert_eq!(answers(json, "e.example/x"), []);
        assert_eq!(answers(json, "f.example/x"), []);
    }

    #[test]
    fn knows_hosts_by_their_old_names() {
        let json = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "dTpw"}, "https://a.example/v2/": {"auth": "dTpx"}}}"#;
        assert_eq!(answers(json, "docker.io/library/x"), [basic("u", "p")]);
        assert_eq!(answers(json, "a.example/x"), [basic("u", "q")]);
        assert_eq!(answers(json, "a.example:5000/x"), []);
    }

    #[test]
    fn the_nearest_namespace_counts() {
        let json =
            r#"{"auths": {"a.example": {"auth": "dTpw"}, "a.example/team": {"auth": "dTpx"}}}"#;
        assert_eq!(answers(json, "a.example/team/x"), [basic("u", "q")]);
        assert_eq!(answers(json, "a.example/teams/x"), [basic("u", "p")]);
    }

    #[test]
    fn a_helper_of_the_host_comes_before_the_common_one() {
        let json = r#"{"credHelpers": {"a.example": "own"}, "credsStore": "common", "auths": {"a.example": {"auth": "dTpw"}}}"#;
        let helper = |name: &str, key: &str| Answer::Helper {
            name: name.into(),
            key: key.into(),
        };
        assert_eq!(
            answers(json, "a.example/x"),
            [helper("own", "a.example"), basic("u", "p")]
        );
        assert_eq!(answers(json, "docker.io/x"), [helper("common", DOCKER_HUB)]);
    }

    #[test]
    fn a_broken_file_is_refused_without_showing_it() {
        let path = Path::new("config.json");
        let error = File::parse(br#"{"auths": {"a.example": "hunter2"}}"#, path);
        let text = format!("{:?}", error.expect_err("a text is no entry"));
        assert!(!text.contains("hunter2"), "{text}");
        let file = File::parse(br#"{"auths": {"a.example": {"auth": "hunter2"}}}"#, path);
        let repository = "a.example/x".parse().expect("a repository");
        let error = file.expect("JSON").answers(&repository, path);
        let text = format!("{:?}", error.expect_err("no base64"));
        assert!(!text.contains("hunter2"), "{text}");
        assert!(File::parse(b" \n", path).is_ok());
    }
}
