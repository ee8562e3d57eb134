//! Where credentials are looked for, and in which order.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::{
    Credentials, NoCredentials,
    file::{Answer, File, NoFile},
    helper,
};
use crate::reference::Repository;

/// Where credentials are looked for: first those given here, then files, the first that knows the registry.
#[derive(Clone, Debug, Default)]
pub struct Keychain {
    given: BTreeMap<String, Credentials>,
    files: Vec<PathBuf>,
    /// The files were named, so they must be there.
    is_named: bool,
}

impl Keychain {
    /// Nowhere: all registries are used by nobody.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// In this file of docker's or podman's form, which must exist.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            given: BTreeMap::new(),
            files: vec![path.into()],
            is_named: true,
        }
    }

    /// Where docker and podman look, by this process's environment.
    pub fn usual() -> Self {
        Self {
            given: BTreeMap::new(),
            files: places(|name| {
                std::env::var_os(name)
                    .filter(|value| !value.is_empty())
                    .map(PathBuf::from)
            }),
            is_named: false,
        }
    }

    /// The same with credentials for the registry `host`, which come first.
    #[must_use]
    pub fn with(mut self, host: &str, credentials: Credentials) -> Self {
        self.given.insert(host.to_owned(), credentials);
        self
    }

    /// Who we are to the registry of `repository`. Reads files and runs helpers anew each time.
    pub async fn credentials(&self, repository: &Repository) -> Result<Credentials, NoCredentials> {
        if let Some(given) = self.given.get(repository.host()) {
            return Ok(given.clone());
        }
        for path in &self.files {
            let Some(file) = self.read(path).await? else {
                continue;
            };
            for answer in file.answers(repository, path)? {
                match answer {
                    Answer::Known(credentials) => return Ok(credentials),
                    Answer::Helper { name, key } => {
                        if let Some(credentials) = helper::ask(&name, &key).await? {
                            return Ok(credentials);
                        }
                    }
                }
            }
        }
        Ok(Credentials::Anonymous)
    }

    async fn read(&self, path: &Path) -> Result<Option<File>, NoFile> {
        match tokio::fs::read(path).await {
            Ok(bytes) => File::parse(&zeroize::Zeroizing::new(bytes), path).map(Some),
            Err(error) if !self.is_named && error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(NoFile::Read {
                path: path.to_owned(),
                source,
            }),
        }
    }
}

/// Docker's file, then podman's (containers-auth.json(5)).
///
/// `DOCKER_CONFIG` takes the place of `~/.docker`, as in docker itself; the file that knows the registry wins, so a
/// machine with both tools needs no choice.
fn places(variable: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let home = variable("HOME");
    let below_home = |rest: &str| home.as_ref().map(|home| home.join(rest));
    let docker = variable("DOCKER_CONFIG").or_else(|| below_home(".docker"));
    let config = variable("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
    [
        docker.map(|directory| directory.join("config.json")),
        variable("REGISTRY_AUTH_FILE"),
        variable("XDG_RUNTIME_DIR").map(|directory| directory.join("containers/auth.json")),
        config.map(|directory| directory.join("containers/auth.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn found(variables: &[(&str, &str)]) -> Vec<String> {
        let places = places(|name| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some(PathBuf::from(value))
        });
        places
            .into_iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    #[test]
    fn looks_where_docker_and_podman_look() {
        assert_eq!(
            found(&[("HOME", "/h")]),
            ["/h/.docker/config.json", "/h/.config/containers/auth.json"]
        );
        let all = [
            ("HOME", "/h"),
            ("DOCKER_CONFIG", "/d"),
            ("REGISTRY_AUTH_FILE", "/a.json"),
            ("XDG_RUNTIME_DIR", "/r"),
            ("XDG_CONFIG_HOME", "/c"),
        ];
        assert_eq!(
            found(&all),
            [
                "/d/config.json",
                "/a.json",
                "/r/containers/auth.json",
                "/c/containers/auth.json"
            ]
        );
        assert!(found(&[]).is_empty());
    }

    #[tokio::test]
    async fn what_is_given_comes_first_and_a_named_file_must_exist() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("config.json");
        let repository: Repository = "a.example/x".parse().expect("a repository");
        let error = Keychain::file(&path).credentials(&repository).await;
        assert!(matches!(
            error,
            Err(NoCredentials::File(NoFile::Read { .. }))
        ));
        std::fs::write(&path, r#"{"auths": {"a.example": {"auth": "dTpw"}}}"#).expect("written");
        let keychain = Keychain::file(&path);
        let from_file = keychain.credentials(&repository).await.expect("read");
        assert_eq!(from_file.who(), "user \"u\"");
        let given = Credentials::Bearer(Secret::new("t"));
        let keychain = keychain.with("a.example", given.clone());
        assert_eq!(
            keychain.credentials(&repository).await.expect("given"),
            given
        );
        let nobody = Keychain::anonymous().credentials(&repository).await;
        assert_eq!(nobody.expect("nobody"), Credentials::Anonymous);
    }
}
