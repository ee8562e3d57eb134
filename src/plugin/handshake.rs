//! What Core and plugin tell each other before the first call: cookie, version, address.

use std::{
    io::{self, Write},
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// Core sets it so that a person who starts the plugin by hand gets an explanation.
const COOKIE: (&str, &str) = (
    "TF_PLUGIN_MAGIC_COOKIE",
    "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
);

/// Version of `tfplugin5`.
const PROTOCOL: u32 = 5;

/// Longest path of a Unix socket that every system takes (`sun_path` has 104 to 108 bytes).
pub(crate) const SOCKET_PATH_LIMIT: usize = 100;

/// What Core said through the environment.
#[derive(Debug, Default)]
pub(crate) struct Handshake {
    /// Core's certificate in PEM; absent means no TLS.
    pub(crate) client_certificate: Option<String>,
    /// The caller asks whether several servers can share one connection.
    pub(crate) multiplex: bool,
    /// Directory for the socket, for hosts with a runner of their own.
    pub(crate) socket_directory: Option<PathBuf>,
    /// Ports to choose from where there can be no socket.
    pub(crate) ports: Option<RangeInclusive<u16>>,
}

/// Why there is nobody to talk to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "This is a provider for Terraform and OpenTofu. It is started by them, not by hand: write \
         it into `required_providers` and run `tofu init`"
    )]
    NotStartedByCore,
    #[error("the caller speaks plugin protocol {0}; this provider speaks 5")]
    NoCommonVersion(String),
}

impl Handshake {
    /// Reads the environment.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        if variable(COOKIE.0).as_deref() != Some(COOKIE.1) {
            return Err(Error::NotStartedByCore);
        }
        if let Some(versions) = variable("PLUGIN_PROTOCOL_VERSIONS") {
            let mut parsed = versions
                .split(',')
                .filter_map(|text| text.trim().parse::<u32>().ok());
            if !parsed.any(|version| version == PROTOCOL) {
                return Err(Error::NoCommonVersion(versions));
            }
        }
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let port = |name: &str| set(name)?.parse::<u16>().ok();
        let ports = port("PLUGIN_MIN_PORT")
            .zip(port("PLUGIN_MAX_PORT"))
            .map(|(first, last)| first..=last);
        Ok(Self {
            client_certificate: set("PLUGIN_CLIENT_CERT"),
            multiplex: set("PLUGIN_MULTIPLEX_GRPC").is_some(),
            socket_directory: set("PLUGIN_UNIX_SOCKET_DIR").map(PathBuf::from),
            ports: ports.filter(|ports| !ports.is_empty()),
        })
    }

    /// Prints the one line that Core waits for.
    pub(crate) fn announce(&self, address: &Address, certificate: &str) -> io::Result<()> {
        let mut line = format!("1|{PROTOCOL}|{address}|grpc|{certificate}");
        if self.multiplex {
            // Asked for or not, this is one connection for one server.
            line.push_str("|false");
        }
        line.push('\n');
        let mut out = io::stdout().lock();
        out.write_all(line.as_bytes())?;
        out.flush()
    }
}

/// Where the plugin listens.
#[derive(Debug)]
pub(crate) enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// Loopback TCP, where the socket's path would be too long.
    Tcp(std::net::SocketAddr),
}

impl Address {
    pub(crate) fn fits(path: &Path) -> bool {
        path.as_os_str().len() <= SOCKET_PATH_LIMIT
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix|{}", path.display()),
            Self::Tcp(address) => write!(formatter, "tcp|{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| {
            pairs
                .iter()
                .find(|pair| pair.0 == name)
                .map(|pair| pair.1.to_owned())
        }
    }

    #[test]
    fn explains_itself_without_the_cookie() {
        let error = Handshake::read(environment(&[])).expect_err("no cookie");
        assert_eq!(error, Error::NotStartedByCore);
    }

    #[test]
    fn takes_version_five_from_any_order() {
        for versions in ["5,6", "6,5", "5"] {
            let pairs = [COOKIE, ("PLUGIN_PROTOCOL_VERSIONS", versions)];
            assert!(Handshake::read(environment(&pairs)).is_ok(), "{versions}");
        }
        let pairs = [COOKIE, ("PLUGIN_PROTOCOL_VERSIONS", "6")];
        assert!(Handshake::read(environment(&pairs)).is_err());
    }
}
