//! ca.json, as far as it matters here (`authority/config/config.go` of smallstep/certificates).

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
};

use rcgen::KeyPair;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{CONFIGURATION, token};
use crate::{
    failure::Failed,
    proto::{InitialiseCaRequest, failure::Kind},
};

/// Name under which the CA's own helper finds it; in every ca.json of ours.
pub(super) const LOCALHOST: &str = "localhost";

/// The parts that are read back.
#[derive(Debug, Deserialize)]
pub(crate) struct Configuration {
    #[serde(rename = "dnsNames")]
    dns_names: Vec<String>,
    #[serde(default)]
    address: String,
    authority: Authority,
}

#[derive(Debug, Deserialize)]
struct Authority {
    provisioners: Vec<Provisioner>,
}

#[derive(Debug, Deserialize)]
struct Provisioner {
    name: String,
    #[serde(default)]
    key: Json,
}

impl Configuration {
    /// Reads it below the directory of a CA.
    pub(crate) fn load(place: &Path) -> Result<Self, Failed> {
        let path = place.join(CONFIGURATION);
        let unavailable = |why: String| {
            let shown = path.display().to_string();
            Failed::new(
                Kind::CaUnavailable,
                &shown,
                format!("{shown} cannot be read: {why}"),
            )
        };
        let text = fs::read(&path).map_err(|error| unavailable(error.to_string()))?;
        serde_json::from_slice(&text).map_err(|error| unavailable(error.to_string()))
    }

    /// Names of all provisioners.
    pub(crate) fn provisioners(&self) -> Vec<String> {
        self.authority
            .provisioners
            .iter()
            .map(|provisioner| provisioner.name.clone())
            .collect()
    }

    /// The provisioner whose public key belongs to `key`.
    pub(super) fn provisioner(&self, key: &KeyPair) -> Option<&str> {
        let kid = token::kid(key);
        self.authority
            .provisioners
            .iter()
            .find(|provisioner| provisioner.key["kid"] == kid.as_str())
            .map(|provisioner| provisioner.name.as_str())
    }

    /// A name that the CA's certificate has, to find it on this host by.
    pub(super) fn own_name(&self) -> Result<&str, Failed> {
        self.dns_names
            .iter()
            .find(|name| *name == LOCALHOST)
            .or_else(|| {
                self.dns_names
                    .iter()
                    .find(|name| name.parse::<IpAddr>().is_err())
            })
            .or_else(|| self.dns_names.first())
            .map(String::as_str)
            .ok_or_else(|| Failed::new(Kind::CaUnavailable, "dnsNames", "ca.json has no dnsNames"))
    }

    /// Where it listens, as seen from this host.
    pub(super) fn own_address(&self) -> IpAddr {
        self.address
            .parse::<SocketAddr>()
            .ok()
            .map(|address| address.ip())
            .filter(|address| !address.is_unspecified())
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}

/// The whole file as it should be.
pub(super) fn render(request: &InitialiseCaRequest, provisioner_key: &KeyPair) -> String {
    let directory = &request.directory;
    let claims = json!({
        "minTLSCertDuration": request.min_lifetime,
        "maxTLSCertDuration": request.max_lifetime,
        "defaultTLSCertDuration": request.default_lifetime,
    });
    let mut dns_names = request.dns_names.clone();
    for own in [LOCALHOST, "127.0.0.1"] {
        if !dns_names.iter().any(|name| name == own) {
            dns_names.push(own.to_owned());
        }
    }
    // No "db": without ACME it would remember used tokens only, and a standby could not share it.
    // No "encryptedKey" with the provisioner: it would be published to everybody who asks.
    let configuration = json!({
        "root": format!("{directory}/{}", super::ROOT),
        "crt": format!("{directory}/{}", super::INTERMEDIATE),
        "key": format!("{directory}/secrets/intermediate_ca_key"),
        "address": request.listen,
        "dnsNames": dns_names,
        "logger": { "format": "text" },
        "authority": {
            // A token that was minted just before a restart stays good: only this host's own helper
            // mints them, and they live for minutes.
            "disableIssuedAtCheck": true,
            "claims": claims,
            "provisioners": [{
                "type": "JWK",
                "name": request.provisioner,
                "key": token::jwk(provisioner_key),
                "claims": claims,
            }],
        },
    });
    let mut text = serde_json::to_string_pretty(&configuration).expect("texts are JSON");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> InitialiseCaRequest {
        InitialiseCaRequest {
            directory: "/etc/step-ca".to_owned(),
            provisioner: "etcd-provisioner".to_owned(),
            dns_names: vec!["10.0.1.10".to_owned(), "ca.example".to_owned()],
            listen: ":9000".to_owned(),
            min_lifetime: "1h".to_owned(),
            default_lifetime: "17520h".to_owned(),
            max_lifetime: "26280h".to_owned(),
            ..InitialiseCaRequest::default()
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_publishes_no_private_key() {
        let key = KeyPair::generate().expect("a key");
        let text = render(&request(), &key);
        assert!(
            !text.contains("encryptedKey") && !text.contains("\"d\":") && !text.contains("\"db\"")
        );
        assert_eq!(text, render(&request(), &key), "the same bytes each time");
        let configuration: Configuration = serde_json::from_str(&text).expect("readable");
        assert_eq!(configuration.provisioners(), ["etcd-provisioner"]);
        assert_eq!(configuration.provisioner(&key), Some("etcd-provisioner"));
        assert_eq!(
            configuration.provisioner(&KeyPair::generate().expect("another")),
            None
        );
        assert_eq!(configuration.own_name().expect("a name"), "localhost");
        assert_eq!(configuration.own_address(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn a_ca_that_listens_on_one_address_is_asked_there() {
        let key = KeyPair::generate().expect("a key");
        for (listen, expected) in [
            ("10.0.1.10:9000", "10.0.1.10"),
            ("[::]:9000", "127.0.0.1"),
            ("[fd00::1]:9000", "fd00::1"),
        ] {
            let request = InitialiseCaRequest {
                listen: listen.to_owned(),
                ..request()
            };
            let configuration: Configuration =
                serde_json::from_str(&render(&request, &key)).expect("readable");
            assert_eq!(configuration.own_address().to_string(), expected);
        }
    }
}
