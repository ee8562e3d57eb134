//! Starting a provider: environment, handshake line, connection.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use base64::Engine as _;
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

use super::Failure;
use super::{ClientCertificate, DEADLINE, Plugin};

/// What Core puts into the environment so that a person who starts a plugin is told what it is.
pub const COOKIE: (&str, &str) = (
    "TF_PLUGIN_MAGIC_COOKIE",
    "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
);

/// Variables of the caller that would change what a provider does.
const FOREIGN: [&str; 6] = [
    "TF_LOG",
    "TF_LOG_PROVIDER",
    "PLUGIN_CLIENT_CERT",
    "PLUGIN_MULTIPLEX_GRPC",
    "PLUGIN_UNIX_SOCKET_DIR",
    "TF_REATTACH_PROVIDERS",
];

/// How the connection is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Mutual TLS, as always.
    Mutual,
    /// As with `TF_DISABLE_PLUGIN_TLS`.
    Plaintext,
}

/// A provider that is about to be started.
#[derive(Debug)]
pub struct Start {
    command: Command,
    temporary: TempDir,
    client: Option<ClientCertificate>,
}

impl Start {
    /// `binary`, started as Core starts it, with a directory for temporary files of its own.
    pub fn new(binary: &Path, trust: Trust) -> Result<Self, Failure> {
        let temporary = tempfile::Builder::new().prefix("tf").tempdir()?;
        let client = match trust {
            Trust::Mutual => Some(ClientCertificate::new()?),
            Trust::Plaintext => None,
        };
        let mut command = Command::new(binary);
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
            .env(COOKIE.0, COOKIE.1)
            .env("PLUGIN_MIN_PORT", "10000")
            .env("PLUGIN_MAX_PORT", "25000")
            .env("PLUGIN_PROTOCOL_VERSIONS", "6,5")
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(client) = &client {
            command.env("PLUGIN_CLIENT_CERT", client.pem());
        }
        Ok(Self {
            command,
            temporary,
            client,
        })
    }

    /// Its directory for temporary files.
    pub fn temporary(&self) -> &Path {
        self.temporary.path()
    }

    /// With an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Without an environment variable.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// With an argument.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    /// Runs it to its own end.
    pub async fn output(mut self) -> Result<Output, Failure> {
        Ok(timeout(DEADLINE, self.command.output()).await??)
    }

    /// Starts it, reads its line and connects.
    pub async fn plugin(mut self) -> Result<Plugin, Failure> {
        let mut child = self.command.spawn()?;
        let stdout = child.stdout.take().ok_or("standard output is piped")?;
        let stderr = child.stderr.take().ok_or("standard error is piped")?;
        let mut stdout = BufReader::new(stdout);
        let mut first = String::new();
        timeout(DEADLINE, stdout.read_line(&mut first)).await??;
        let mut plugin = Plugin::new(child, stdout, stderr, first, self.temporary, self.client);
        plugin.connect().await?;
        Ok(plugin)
    }
}

/// What the provider says first.
#[derive(Debug, Clone)]
pub struct Line {
    /// The whole line.
    pub text: String,
    /// `unix` or `tcp`.
    pub network: String,
    /// Path of the socket, or host and port.
    pub address: String,
    /// The provider's certificate, if it speaks TLS.
    pub certificate: Option<CertificateDer<'static>>,
    /// A seventh field, which only a caller that asks for multiplexing gets.
    pub multiplex: Option<String>,
}

impl Line {
    /// Reads it as strictly as go-plugin does.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let line = text
            .strip_suffix('\n')
            .ok_or_else(|| format!("no whole line: {text:?}"))?;
        let fields: Vec<_> = line.split('|').collect();
        let [
            core,
            protocol,
            network,
            address,
            kind,
            certificate,
            multiplex @ ..,
        ] = fields.as_slice()
        else {
            return Err(format!("not six fields: {line}").into());
        };
        if (*core, *protocol, *kind) != ("1", "5", "grpc") || multiplex.len() > 1 {
            return Err(format!("not protocol 5 over gRPC: {line}").into());
        }
        let certificate = match *certificate {
            "" => None,
            text => Some(
                base64::engine::general_purpose::STANDARD_NO_PAD
                    .decode(text)?
                    .into(),
            ),
        };
        Ok(Self {
            text: line.to_owned(),
            network: (*network).to_owned(),
            address: (*address).to_owned(),
            certificate,
            multiplex: multiplex.first().map(|text| (*text).to_owned()),
        })
    }

    /// The socket, if it is one.
    pub fn socket(&self) -> Option<PathBuf> {
        (self.network == "unix").then(|| PathBuf::from(&self.address))
    }
}
