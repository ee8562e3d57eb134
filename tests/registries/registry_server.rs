//! The real registry (`distribution`) with a storage of its own.

use std::{ffi::OsStr, fmt::Write as _, fs};

use tempfile::TempDir;

use crate::{
    process::Process,
    token::{ISSUER, SERVICE, TokenService},
};

/// The one user, where a login is wanted.
pub const USER: &str = "ops";
/// The user's password; with what must be escaped somewhere.
pub const PASSWORD: &str = "correct horse: battery";
/// bcrypt of the password, the one kind that the registry takes.
const PASSWORD_HASH: &str = "$2y$04$abcdefghijklmnopqrstuuLWwnUiysqxaAvQXpJaPAchjKHrkmxwG";

/// What a registry wants to see before it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// Nothing.
    #[default]
    None,
    /// Name and password.
    Basic,
    /// A token of a service that wants name and password, or the identity token.
    Bearer,
}

/// How a registry is to behave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What it wants to see.
    pub login: Login,
    /// Whether it removes things.
    pub allows_delete: bool,
    /// Whether it refuses all writing.
    pub is_read_only: bool,
    /// Where it listens, if not on loopback: hosts of a lab reach this machine by the address of their bridge.
    pub address: Option<std::net::IpAddr>,
    /// Whether it speaks TLS. It then listens on 127.0.0.2, which is not taken for a place of plain HTTP.
    pub has_tls: bool,
}

/// A real registry that runs; it ends when this is dropped.
#[derive(Debug)]
pub struct RegistryServer {
    directory: TempDir,
    process: Process,
    host: String,
    ca_pem: Option<String>,
    token: Option<TokenService>,
}

impl RegistryServer {
    /// Starts an empty registry on a free port and waits until it listens.
    pub async fn start(options: Options) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let address = match options.address {
            Some(address) => address.to_string(),
            None if options.has_tls => "127.0.0.2".to_owned(),
            None => "127.0.0.1".to_owned(),
        };
        Self::run(directory, &format!("{address}:0"), options).await
    }

    /// Ends it and starts it again with other options, at the same place and with what it holds.
    pub async fn restart(self, options: Options) -> Self {
        let Self {
            directory,
            mut process,
            host,
            ..
        } = self;
        process.kill().await;
        Self::run(directory, &host, options).await
    }

    async fn run(directory: TempDir, address: &str, options: Options) -> Self {
        let token = match options.login {
            Login::Bearer => Some(TokenService::start().await),
            _ => None,
        };
        let ca_pem = options.has_tls.then(|| certificate(&directory));
        let configuration = configuration(&directory, address, options, token.as_ref());
        let path = directory.path().join("config.yml");
        fs::write(&path, configuration).expect("a file can be written");
        let arguments = [OsStr::new("serve"), path.as_os_str()];
        let environment = [("OTEL_TRACES_EXPORTER", OsStr::new("none"))];
        let mut process = Process::start("registry", &arguments, &environment);
        let host = process
            .until_line(|line| {
                let (_, rest) = line.split_once("listening on ")?;
                let end = rest.find([',', '"', ' ']).unwrap_or(rest.len());
                Some(rest[..end].to_owned())
            })
            .await;
        Self {
            directory,
            process,
            host,
            ca_pem,
            token,
        }
    }

    /// Its host with the port, as references begin.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The certificate of the CA to trust, if it speaks TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Tokens that its service gave out so far.
    pub fn tokens_given(&self) -> usize {
        self.token.as_ref().map_or(0, TokenService::given)
    }

    /// Bytes of all that it holds, also of what is unfinished.
    pub fn stored_bytes(&self) -> u64 {
        size(&self.directory.path().join("storage"))
    }

    /// What it printed last.
    pub fn said(&self) -> String {
        self.process.said()
    }

    /// Lines with `text` that it printed so far; it prints one for each request, by its method and path.
    pub fn said_lines(&self, text: &str) -> usize {
        self.process.lines_with(text)
    }

    /// Ends it: nobody answers any more.
    pub async fn stop(&mut self) {
        self.process.kill().await;
    }
}

fn configuration(
    directory: &TempDir,
    address: &str,
    options: Options,
    token: Option<&TokenService>,
) -> String {
    let below = |name: &str| directory.path().join(name).display().to_string();
    let mut text = format!(
        "version: 0.1\n\
         log:\n  level: info\n\
         storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: {}\n  \
         maintenance:\n    uploadpurging:\n      enabled: false\n    readonly:\n      enabled: {}\n\
         http:\n  addr: {address}\n  secret: the-same-after-a-restart\n",
        below("storage"),
        options.allows_delete,
        options.is_read_only,
    );
    let mut add = |more: &str| text.write_str(more).expect("a text takes text");
    if options.has_tls {
        let (certificate, key) = (below("certificate.pem"), below("key.pem"));
        add(&format!(
            "  tls:\n    certificate: {certificate}\n    key: {key}\n"
        ));
    }
    match (options.login, token) {
        (Login::Basic, _) => {
            let users = format!("{USER}:{PASSWORD_HASH}\n");
            fs::write(below("users"), users).expect("a file can be written");
            add(&format!(
                "auth:\n  htpasswd:\n    realm: lab\n    path: {}\n",
                below("users")
            ));
        }
        (Login::Bearer, Some(token)) => {
            fs::write(below("keys.json"), &token.keys).expect("a file can be written");
            let (realm, keys) = (token.realm(), below("keys.json"));
            add(&format!(
                "auth:\n  token:\n    realm: {realm}\n    service: {SERVICE}\n    issuer: {ISSUER}\n    \
                 jwks: {keys}\n    signingalgorithms: [ES256]\n"
            ));
        }
        _ => {}
    }
    text
}

/// Writes a certificate and key for 127.0.0.2; gives the CA's certificate.
fn certificate(directory: &TempDir) -> String {
    let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("no names are fine");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let ca_certificate = ca.self_signed(&ca_key).expect("a certificate");
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["127.0.0.2".to_owned()];
    let leaf = rcgen::CertificateParams::new(names)
        .and_then(|leaf| leaf.signed_by(&key, &issuer))
        .expect("a certificate");
    let write = |name: &str, text: String| {
        fs::write(directory.path().join(name), text).expect("a file can be written");
    };
    write("certificate.pem", leaf.pem());
    write("key.pem", key.serialize_pem());
    ca_certificate.pem()
}

fn size(path: &std::path::Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return path.metadata().map_or(0, |metadata| metadata.len());
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| size(&entry.path()))
        .sum()
}
