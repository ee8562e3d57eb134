//! The blocks `proxmox`, `factory` and `registry`: services that images come from and go to.

use std::{
    collections::BTreeMap,
    env, fs,
    sync::{Arc, OnceLock},
    time::Duration,
};

use planner::talos_artifact::{FactoryUrl, PUBLIC_FACTORY};
use proxmox::{Fingerprint, Trust};
use tf_plugin::{
    Attribute, Block, Diagnostic, Diagnostics, NestedBlock, Nesting, Path, Type, Value,
};

use crate::{
    report::sentence,
    ssh,
    talos_artifact::factory::{Credentials, Settings},
};

/// Services as the provider block names them. Clients are made when they are first needed.
#[derive(Debug)]
pub(crate) struct Services {
    proxmox: Option<proxmox::Settings>,
    client: OnceLock<Result<proxmox::Client, proxmox::Error>>,
    registry: registry::Settings,
    registries: OnceLock<Result<registry::Registries, Arc<registry::Error>>>,
    /// The factory that is meant where a resource names none.
    pub(crate) factory: Settings,
}

/// The blocks of the provider's configuration.
pub(crate) fn blocks() -> Vec<NestedBlock> {
    let text = |name, description: &str| Attribute::optional(name, Type::String, description);
    let single = |name, description: &str, attributes| NestedBlock {
        name,
        nesting: Nesting::Single,
        block: Block {
            description: description.to_owned(),
            attributes,
            blocks: Vec::new(),
        },
    };
    vec![
        single(
            "proxmox",
            "The Proxmox VE cluster on whose storages images are put.",
            vec![
                text(
                    "endpoint",
                    "URL of one node, such as `https://pve01.example:8006`. Default: \
                     `PROXMOX_VE_ENDPOINT`.",
                ),
                text(
                    "api_token",
                    "API token, as `USER@REALM!TOKENID=UUID`. Default: `PROXMOX_VE_API_TOKEN`. For \
                     images it needs `Datastore.AllocateTemplate` and `Datastore.Audit` on the \
                     storage, and `Datastore.Allocate` to delete them.",
                )
                .sensitive(),
                text(
                    "username",
                    "User with realm, such as `root@pam`, instead of a token. Default: \
                     `PROXMOX_VE_USERNAME`.",
                ),
                text(
                    "password",
                    "The user's password. Default: `PROXMOX_VE_PASSWORD`.",
                )
                .sensitive(),
                text(
                    "ca_file",
                    "Certificate of the CA that signs the nodes' certificates, in PEM: \
                     `/etc/pve/pve-root-ca.pem` of a node.",
                ),
                text(
                    "fingerprint",
                    "SHA-256 fingerprint of the node's certificate, instead of a CA; several, with commas \
                     between them, where several nodes are reached directly.",
                ),
                Attribute::optional(
                    "insecure",
                    Type::Bool,
                    "Take any certificate. Whoever is in between reads and changes everything.",
                ),
                Attribute::optional(
                    "node_endpoints",
                    Type::map(Type::String),
                    "URL by node name, for nodes that are reached directly: an upload through another \
                     node is stored there and copied once more.",
                ),
            ],
        ),
        single(
            "factory",
            "The Image Factory that makes images.",
            vec![
                text("url", &format!("Where it is. Default: `{PUBLIC_FACTORY}`.")),
                text(
                    "username",
                    "User, where it wants one; for installers that are fetched from it too.",
                ),
                text("password", "The user's password.").sensitive(),
                text("token", "Bearer token, instead of a user.").sensitive(),
                text(
                    "ca_file",
                    "Certificates to trust beside those of the system, in PEM; for installers that are fetched \
                     from it too.",
                ),
            ],
        ),
        single(
            "registry",
            "Registries of installers and images.",
            vec![
                text(
                    "config_file",
                    "File with logins, as `docker login` and `podman login` write it. Default: the places \
                     where they write it.",
                ),
                Attribute::optional(
                    "insecure",
                    Type::list(Type::String),
                    "Hosts, with port, that speak plain HTTP. This machine itself always may.",
                ),
                text(
                    "ca_file",
                    "Certificates to trust beside those of the system, in PEM.",
                ),
            ],
        ),
    ]
}

/// Reads the blocks; what is wrong is reported at them.
pub(crate) fn read(config: &Value, diagnostics: &mut Diagnostics) -> Services {
    let factory = read_factory(config.get("factory"), diagnostics);
    let registry = read_registry(config.get("registry"), diagnostics);
    Services {
        proxmox: read_proxmox(config.get("proxmox"), diagnostics),
        client: OnceLock::new(),
        registry: with_factory(registry, &factory),
        registries: OnceLock::new(),
        factory,
    }
}

/// A factory is a registry too, for its installers: it has the same login and the same
/// certificate there, and speaks plain HTTP where its URL says so.
fn with_factory(mut settings: registry::Settings, factory: &Settings) -> registry::Settings {
    let host = factory.url.host();
    let secret = |secret: &host::Secret| registry::Secret::new(secret.expose());
    if let Some(credentials) = &factory.credentials {
        let credentials = match credentials {
            Credentials::Basic { user, password } => registry::Credentials::Basic {
                user: user.clone(),
                password: secret(password),
            },
            Credentials::Token(token) => registry::Credentials::Bearer(secret(token)),
        };
        settings.keychain = settings.keychain.with(host, credentials);
    }
    if let Some(ca) = &factory.ca {
        let pem = settings.ca_pem.get_or_insert_default();
        pem.push(b'\n');
        pem.extend_from_slice(ca.as_bytes());
    }
    if factory.url.as_str().starts_with("http://") {
        settings.insecure.push(host.to_owned());
    }
    settings
}

/// A text of a block, or else of the environment.
fn given(block: &Value, name: &str, variable: &str) -> Option<String> {
    let text = block.get(name).as_str().map(str::to_owned);
    text.or_else(|| env::var(variable).ok())
        .filter(|text| !text.is_empty())
}

fn wrong(place: &Path, name: &'static str, detail: String, diagnostics: &mut Diagnostics) {
    diagnostics
        .push(Diagnostic::error(format!("Invalid {name}"), detail).at(place.clone().member(name)));
}

/// The text of a file that a block names.
fn file(
    block: &Value,
    name: &'static str,
    place: &Path,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let path = ssh::at_home(block.get(name).as_str()?);
    fs::read_to_string(&path)
        .map_err(|error| {
            let detail = format!("{} cannot be read: {error}.", path.display());
            wrong(place, name, detail, diagnostics);
        })
        .ok()
}

fn read_proxmox(block: &Value, diagnostics: &mut Diagnostics) -> Option<proxmox::Settings> {
    let place = Path::attribute("proxmox");
    let endpoint = given(block, "endpoint", "PROXMOX_VE_ENDPOINT");
    if block.is_null() && endpoint.is_none() {
        return None;
    }
    let Some(endpoint) = endpoint else {
        let detail =
            "Name a node, such as \"https://pve01.example:8006\", or set PROXMOX_VE_ENDPOINT.";
        wrong(&place, "endpoint", detail.to_owned(), diagnostics);
        return None;
    };
    let token = given(block, "api_token", "PROXMOX_VE_API_TOKEN");
    let user = given(block, "username", "PROXMOX_VE_USERNAME");
    let password = given(block, "password", "PROXMOX_VE_PASSWORD");
    let credentials = match (token, user, password) {
        (Some(token), _, _) => proxmox::Credentials::Token(token.into()),
        (None, Some(user), Some(password)) => proxmox::Credentials::UserPassword {
            user,
            password: password.into(),
        },
        _ => {
            let detail = "Give api_token, or username and password; or set PROXMOX_VE_API_TOKEN.";
            wrong(&place, "api_token", detail.to_owned(), diagnostics);
            return None;
        }
    };
    let trust = trust(block, &place, diagnostics);
    let mut settings = proxmox::Settings::new(endpoint, credentials, trust);
    concat!("terraform-provider-etcd/", env!("CARGO_PKG_VERSION"))
        .clone_into(&mut settings.user_agent);
    settings.node_endpoints = texts(block.get("node_endpoints"));
    // What can be known without a network is said before anything is planned.
    if let (false, Err(error)) = (block.is_null(), proxmox::Client::new(settings.clone()))
        && let proxmox::Kind::Settings { setting, said } = error.kind()
    {
        let name = match setting {
            proxmox::Setting::Endpoint => "endpoint",
            proxmox::Setting::Credentials => "api_token",
            proxmox::Setting::Trust => "ca_file",
        };
        wrong(&place, name, sentence(said), diagnostics);
    }
    Some(settings)
}

fn texts(map: &Value) -> BTreeMap<String, String> {
    let entries = map.as_map().into_iter().flatten();
    entries
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn trust(block: &Value, place: &Path, diagnostics: &mut Diagnostics) -> Trust {
    let mut fingerprints: Vec<Fingerprint> = Vec::new();
    let given = block.get("fingerprint").as_str().unwrap_or_default();
    for text in given
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
    {
        match text.parse() {
            Ok(fingerprint) => fingerprints.push(fingerprint),
            Err(_) => wrong(
                place,
                "fingerprint",
                format!(
                    "\"{text}\" is not a SHA-256 fingerprint: 32 bytes in hexadecimal, with colons or \
                     without."
                ),
                diagnostics,
            ),
        }
    }
    let ca = file(block, "ca_file", place, diagnostics);
    match (block.get("insecure").as_bool(), fingerprints, ca) {
        (Some(true), _, _) => Trust::Insecure,
        (_, fingerprints, _) if !fingerprints.is_empty() => Trust::Fingerprints(fingerprints),
        (_, _, Some(pem)) => Trust::CaPem(pem),
        _ => Trust::SystemRoots,
    }
}

fn read_factory(block: &Value, diagnostics: &mut Diagnostics) -> Settings {
    let place = Path::attribute("factory");
    let text = |name: &str| block.get(name).as_str().map(str::to_owned);
    let url = text("url").unwrap_or_else(|| PUBLIC_FACTORY.to_owned());
    let url = FactoryUrl::parse(&url).unwrap_or_else(|| {
        let detail = format!("\"{url}\" is not a URL such as {PUBLIC_FACTORY}.");
        wrong(&place, "url", detail, diagnostics);
        FactoryUrl::parse(PUBLIC_FACTORY).expect("the public factory has a URL")
    });
    let secret = |name: &str| text(name).map(host::Secret::new);
    let credentials = match (secret("token"), text("username"), secret("password")) {
        (Some(token), _, _) => Some(Credentials::Token(token)),
        (None, Some(user), Some(password)) => Some(Credentials::Basic { user, password }),
        (None, None, None) => None,
        _ => {
            let detail = "username and password belong together.";
            wrong(&place, "username", detail.to_owned(), diagnostics);
            None
        }
    };
    Settings {
        url,
        credentials,
        ca: file(block, "ca_file", &place, diagnostics),
    }
}

fn read_registry(block: &Value, diagnostics: &mut Diagnostics) -> registry::Settings {
    let place = Path::attribute("registry");
    let hosts = block.get("insecure").as_list().unwrap_or_default();
    let keychain = match block.get("config_file").as_str() {
        Some(path) => registry::Keychain::file(ssh::at_home(path)),
        None => registry::Keychain::usual(),
    };
    registry::Settings {
        insecure: hosts
            .iter()
            .filter_map(|host| host.as_str().map(str::to_owned))
            .collect(),
        ca_pem: file(block, "ca_file", &place, diagnostics).map(String::into_bytes),
        keychain,
        // A factory builds an installer when it is asked for.
        patience: BUILD,
        ..registry::Settings::default()
    }
}

/// Silence that a registry may keep, which may be a factory at work.
const BUILD: Duration = Duration::from_mins(21);

impl Services {
    /// The client of registries.
    ///
    /// # Errors
    /// The settings cannot be used.
    pub(crate) fn registries(&self) -> Result<&registry::Registries, Arc<registry::Error>> {
        let made = self
            .registries
            .get_or_init(|| registry::Registries::new(self.registry.clone()).map_err(Arc::new));
        made.as_ref().map_err(Arc::clone)
    }

    /// The Proxmox cluster, if the provider block or the environment names one.
    ///
    /// # Errors
    /// Its settings cannot be used.
    pub(crate) fn proxmox(&self) -> Option<Result<&proxmox::Client, &proxmox::Error>> {
        let settings = self.proxmox.as_ref()?;
        let client = self
            .client
            .get_or_init(|| proxmox::Client::new(settings.clone()));
        Some(client.as_ref())
    }

    /// How to reach the factory at `url`, or the usual one. Credentials go to the usual one only.
    pub(crate) fn factory_at(&self, url: Option<&FactoryUrl>) -> Settings {
        match url {
            Some(url) if *url != self.factory.url => Settings {
                url: url.clone(),
                credentials: None,
                ca: self.factory.ca.clone(),
            },
            _ => self.factory.clone(),
        }
    }

    /// How to reach the factory that serves a URL.
    pub(crate) fn factory_of(&self, url: &str) -> Settings {
        let end = url
            .match_indices('/')
            .nth(2)
            .map_or(url.len(), |(index, _)| index);
        self.factory_at(FactoryUrl::parse(&url[..end]).as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factory_is_trusted_as_a_registry_too() {
        let factory = |ca: Option<&str>| Settings {
            url: FactoryUrl::parse("https://factory.example").expect("a URL"),
            credentials: None,
            ca: ca.map(str::to_owned),
        };
        let registry = |own: Option<&str>| registry::Settings {
            ca_pem: own.map(|pem| pem.as_bytes().to_vec()),
            ..registry::Settings::default()
        };
        let trusted = |own, ca| {
            let pem = with_factory(registry(own), &factory(ca)).ca_pem;
            pem.map(|pem| String::from_utf8(pem).expect("text"))
        };
        assert_eq!(trusted(None, None), None);
        assert_eq!(trusted(None, Some("F")).as_deref(), Some("\nF"));
        assert_eq!(trusted(Some("R"), Some("F")).as_deref(), Some("R\nF"));
    }
}
