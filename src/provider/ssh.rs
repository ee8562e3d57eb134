//! The blocks `ssh` and `ssh_profile`: how to log in to hosts.

use std::{
    env,
    path::{Path as FilePath, PathBuf},
    time::Duration,
};

use host::{Bastion, HostKey, Identity, KnownHosts, Profile, Secret};
use planner::duration::milliseconds;
use tf_plugin::{
    Attribute, Block, Diagnostic, Diagnostics, NestedBlock, Nesting, Path, Type, Value,
};

use crate::common::integer;

/// Who logs in if nobody is named.
const USER: &str = "root";

/// Private keys that are tried if no identity is named, as `ssh` does.
const KEY_FILES: [&str; 3] = ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"];

/// The blocks of the provider's configuration.
pub(crate) fn blocks() -> Vec<NestedBlock> {
    let mut named = login();
    named.insert(
        0,
        Attribute::required(
            "name",
            Type::String,
            "What `ssh_profile` in an entry of `nodes` says.",
        ),
    );
    let nested = |name, nesting, description: &str, attributes| NestedBlock {
        name,
        nesting,
        block: Block {
            description: description.to_owned(),
            attributes,
            blocks: vec![bastion()],
        },
    };
    vec![
        nested("ssh", Nesting::Single, "How to log in to hosts.", login()),
        nested(
            "ssh_profile",
            Nesting::List,
            "Another way to log in, for nodes that name it. May stand any number of times.",
            named,
        ),
    ]
}

fn identity() -> Vec<Attribute> {
    let text = |name, description: &str| Attribute::optional(name, Type::String, description);
    vec![
        text("user", "User to log in as. Default: `root`."),
        text(
            "private_key_file",
            "File with the private key. Default, if no other identity is given either: the agent of \
             `SSH_AUTH_SOCK`, then `~/.ssh/id_ed25519`, `id_ecdsa` and `id_rsa`.",
        ),
        text("private_key", "The private key itself, in PEM.").sensitive(),
        text("passphrase", "Passphrase of the private key.").sensitive(),
        text(
            "certificate_file",
            "SSH certificate on the key. Default: the key file's name with `-cert.pub`, if it exists.",
        ),
        text(
            "certificate",
            "The SSH certificate itself, for `private_key`.",
        ),
        Attribute::optional(
            "agent",
            Type::Bool,
            "Use the keys of the agent of `SSH_AUTH_SOCK`.",
        ),
        text("password", "Password to log in with.").sensitive(),
        text(
            "known_hosts_file",
            "Where the keys of the hosts are written down. Default: `~/.ssh/known_hosts`. A host whose \
             key is not there is refused.",
        ),
        text(
            "known_hosts",
            "Lines of a known_hosts file, beside or instead of the file.",
        ),
    ]
}

fn login() -> Vec<Attribute> {
    let mut attributes = identity();
    attributes.push(
        Attribute::optional(
            "sudo_password",
            Type::String,
            "Password for sudo on the hosts. Not needed for root and with `NOPASSWD`.",
        )
        .sensitive(),
    );
    attributes.push(Attribute::optional(
        "connect_timeout",
        Type::String,
        "Limit for each connection. Default: `\"10s\"`.",
    ));
    attributes
}

fn bastion() -> NestedBlock {
    let mut attributes = identity();
    attributes.insert(
        0,
        Attribute::required("host", Type::String, "Name or address of the bastion."),
    );
    attributes.push(Attribute::optional(
        "port",
        Type::Number,
        "SSH port. Default: `22`.",
    ));
    attributes.push(Attribute::optional(
        "host_key",
        Type::String,
        "Its public key or `SHA256:` fingerprint; known hosts then do not matter.",
    ));
    NestedBlock {
        name: "bastion",
        nesting: Nesting::Single,
        block: Block {
            description: "A host through which all others are reached.".to_owned(),
            attributes,
            blocks: Vec::new(),
        },
    }
}

/// Reads one block; what is wrong is reported below `place`.
pub(crate) fn profile(block: &Value, place: &Path, diagnostics: &mut Diagnostics) -> Profile {
    let mut profile = Profile::new(block.get("user").as_str().unwrap_or(USER));
    profile.identities = identities(block);
    profile.known_hosts = known_hosts(block);
    profile.sudo_password = secret(block.get("sudo_password"));
    if let Some(text) = block.get("connect_timeout").as_str() {
        match milliseconds(text).filter(|limit| *limit > 0) {
            Some(limit) => profile.timing.connect = Duration::from_millis(limit),
            None => diagnostics.push(
                Diagnostic::error(
                    "Invalid timeout",
                    format!("\"{text}\" is not a duration such as \"10s\"."),
                )
                .at(place.clone().member("connect_timeout")),
            ),
        }
    }
    let nested = block.get("bastion");
    if !nested.is_null() {
        let place = place.clone().member("bastion");
        profile.bastion = Some(read_bastion(nested, &place, diagnostics));
    }
    profile
}

fn read_bastion(block: &Value, place: &Path, diagnostics: &mut Diagnostics) -> Bastion {
    let port = place.clone().member("port");
    let port = integer(block.get("port"), port, diagnostics).unwrap_or(22);
    let port = u16::try_from(port).unwrap_or_else(|_| {
        let detail = format!("{port} is not a port (1 to 65535).");
        diagnostics
            .push(Diagnostic::error("Invalid port", detail).at(place.clone().member("port")));
        22
    });
    let host_key = block.get("host_key").as_str().and_then(|text| {
        text.parse::<HostKey>()
            .map_err(|error| {
                let at = place.clone().member("host_key");
                diagnostics
                    .push(Diagnostic::error("Invalid host key", format!("It is {error}.")).at(at));
            })
            .ok()
    });
    Bastion {
        host: block.get("host").as_str().unwrap_or_default().to_owned(),
        port,
        user: block.get("user").as_str().unwrap_or(USER).to_owned(),
        identities: identities(block),
        known_hosts: known_hosts(block),
        host_key,
        bastion: None,
    }
}

fn identities(block: &Value) -> Vec<Identity> {
    let mut identities = Vec::new();
    let passphrase = secret(block.get("passphrase"));
    let text = |name: &str| block.get(name).as_str().map(str::to_owned);
    if let Some(path) = text("private_key_file") {
        identities.push(Identity::KeyFile {
            path: at_home(&path),
            passphrase: passphrase.clone(),
            certificate_file: text("certificate_file").map(|path| at_home(&path)),
        });
    }
    if let Some(pem) = secret(block.get("private_key")) {
        identities.push(Identity::Key {
            pem,
            passphrase,
            certificate: text("certificate"),
        });
    }
    let socket = || {
        env::var_os("SSH_AUTH_SOCK")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    if block.get("agent").as_bool() == Some(true) {
        // Without a socket the login says that there is no agent.
        identities.push(Identity::Agent {
            socket: socket().unwrap_or_default(),
        });
    }
    if let Some(password) = secret(block.get("password")) {
        identities.push(Identity::Password(password));
    }
    if identities.is_empty() {
        identities.extend(
            socket()
                .filter(|_| block.get("agent").as_bool() != Some(false))
                .map(|socket| Identity::Agent { socket }),
        );
        let files = KEY_FILES
            .map(at_home)
            .into_iter()
            .filter(|path| path.is_file());
        identities.extend(files.map(|path| Identity::KeyFile {
            path,
            passphrase: None,
            certificate_file: None,
        }));
    }
    identities
}

fn known_hosts(block: &Value) -> Vec<KnownHosts> {
    let text = block
        .get("known_hosts")
        .as_str()
        .map(|text| KnownHosts::Text {
            name: "known_hosts".to_owned(),
            text: text.to_owned(),
        });
    let file = block.get("known_hosts_file").as_str();
    let file = match (file, &text) {
        (None, Some(_)) => None,
        (file, _) => Some(KnownHosts::File(at_home(
            file.unwrap_or("~/.ssh/known_hosts"),
        ))),
    };
    file.into_iter().chain(text).collect()
}

fn secret(value: &Value) -> Option<Secret> {
    value.as_str().map(|text| Secret::new(text.to_owned()))
}

/// A path with `~` for the home of whoever runs the provider.
pub(crate) fn at_home(path: &str) -> PathBuf {
    let home = env::var_os("HOME").filter(|home| !home.is_empty());
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => FilePath::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}
