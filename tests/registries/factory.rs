//! The real image factory, offline: it reads its catalog from a registry of ours and keeps schematics there.

use std::{ffi::OsStr, fs, net::TcpListener};

use registry::{Keychain, Registries, Settings};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    catalog::Catalog,
    cosign::Key,
    front::{Front, INSTALLERS},
    http,
    process::{PATIENCE, Process},
    registry_server::{Options, RegistryServer},
};

/// Tries to find a port that nobody else takes before the factory does.
const TRIES: usize = 10;

/// A real image factory that runs, with the registry that it works on and the front that answers for it.
#[derive(Debug)]
pub struct Factory {
    registry: RegistryServer,
    front: Front,
    process: Process,
    /// Keeps the port when another factory takes the place of this one.
    listener: TcpListener,
    _directory: TempDir,
}

impl Factory {
    /// Starts a factory that offers `catalog`, and waits until it answers.
    pub async fn start(catalog: &Catalog) -> Self {
        let listener = http::listener().await;
        let listener = listener.into_std().expect("it is a listener");
        Self::start_at(listener, catalog).await
    }

    /// Puts another factory in the place of this one, at the same address: it offers `catalog`, and knows no schematic.
    pub async fn begin_anew(&mut self, catalog: &Catalog) {
        self.front.close();
        self.process.kill().await;
        let listener = self.listener.try_clone().expect("it is a listener");
        *self = Self::start_at(listener, catalog).await;
    }

    async fn start_at(kept: TcpListener, catalog: &Catalog) -> Self {
        let registry = RegistryServer::start(Options::default()).await;
        catalog.publish(registry.host()).await;
        let directory = tempfile::tempdir().expect("a directory");
        let key = Key::new();
        let key_path = directory.path().join("key.pem");
        fs::write(&key_path, key.pem()).expect("a file can be written");
        let url = format!("http://{}", kept.local_addr().expect("it is bound"));
        let repository = |name: &str| {
            json!({
                "registry": registry.host(), "namespace": "factory", "repository": name, "insecure": true,
            })
        };
        let mut configuration = json!({
            "http": {"externalURL": url},
            "metrics": {"addr": ""},
            "cache": {"oci": repository("cache"), "signingKeyPath": key_path},
            "containerSignature": {"disabled": true},
            "artifacts": {
                "core": {"registry": registry.host(), "insecure": true},
                "schematic": repository("schematics"),
                "installer": {"internal": repository(INSTALLERS)},
            },
        });
        let client = client();
        for _ in 0..TRIES {
            // The factory does not say which port it got, so it is given one.
            let address = http::listener().await.local_addr().expect("it is bound");
            configuration["http"]["httpListenAddr"] = address.to_string().into();
            let path = directory.path().join("config.json");
            fs::write(&path, configuration.to_string()).expect("a file can be written");
            let arguments = [OsStr::new("--config"), path.as_os_str()];
            // Where it keeps what it fetches, and where it would look for credentials.
            let environment = [
                ("TMPDIR", directory.path().as_os_str()),
                ("HOME", directory.path().as_os_str()),
            ];
            let mut process = Process::start("image-factory", &arguments, &environment);
            let real = format!("http://{address}");
            if answers(&client, &real, &mut process).await {
                let registries = Registries::new(Settings {
                    keychain: Keychain::anonymous(),
                    ..Settings::default()
                });
                let registries = registries.expect("the usual settings are right");
                let host = registry.host().to_owned();
                let listener = kept.try_clone().expect("it is a listener");
                let listener =
                    tokio::net::TcpListener::from_std(listener).expect("within a runtime");
                let front = Front::start(listener, client, real, host, registries, key);
                return Self {
                    registry,
                    front,
                    process,
                    listener: kept,
                    _directory: directory,
                };
            }
        }
        panic!("the image factory did not start");
    }

    /// Its address, without a slash at the end.
    pub fn url(&self) -> String {
        self.front.url()
    }

    /// Its host with the port, as references of installers begin.
    pub fn host(&self) -> String {
        self.front.host()
    }

    /// What stands before it: what it built, and how it is to fail.
    pub fn front(&self) -> &Front {
        &self.front
    }

    /// The registry that it works on.
    pub fn registry(&self) -> &RegistryServer {
        &self.registry
    }

    /// What it printed last.
    pub fn said(&self) -> String {
        self.process.said()
    }

    /// Ends the real factory: the front answers 502 then.
    pub async fn stop(&mut self) {
        self.process.kill().await;
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("the usual settings are right")
}

/// Waits until the factory answers; false if it ended instead, because somebody else took its port.
async fn answers(client: &reqwest::Client, real: &str, process: &mut Process) -> bool {
    let end = tokio::time::Instant::now() + PATIENCE;
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(20));
    loop {
        looks.tick().await;
        let answer = client.get(format!("{real}/healthz")).send().await;
        // Another program may have the port meanwhile.
        if process.has_ended() {
            return false;
        }
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return true;
        }
        assert!(
            tokio::time::Instant::now() < end,
            "the image factory does not answer; it said {}",
            process.said()
        );
    }
}
