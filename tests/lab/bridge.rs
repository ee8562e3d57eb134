//! The bridge of a lab, and the addresses on it.
//!
//! A lab is known by a number from 1 to 250, which is in the name of its bridge and in all its addresses. Making the
//! bridge is what claims the number: the kernel lets one process win. The bridge's hardware address is a hash of whose it
//! is, because that is the one mark that is set in the same moment; so one that is not ours is never removed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::command::{self, run};

/// Hosts' last address byte begins after this; 1 is the machine that runs the lab.
const FIRST_HOST: u8 = 10;

/// A bridge could not be made, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A step of making the bridge.
    #[error("make bridge {bridge}")]
    Make {
        /// Its name.
        bridge: String,
        /// What failed.
        source: command::Error,
    },
    /// All numbers are taken.
    #[error(
        "no free network: all bridges etcdlab1 to etcdlab250 exist or their addresses are routed elsewhere"
    )]
    NoneFree,
    /// The bridge is there and does not carry the lab's mark.
    #[error("bridge {bridge} is not this lab's; it was left alone")]
    NotOurs {
        /// Its name.
        bridge: String,
    },
    /// The bridge could not be removed.
    #[error("remove bridge {bridge}")]
    Remove {
        /// Its name.
        bridge: String,
        /// What failed.
        source: command::Error,
    },
    /// A host's port could not be set.
    #[error("set bridge port {port}")]
    SetPort {
        /// The port.
        port: String,
        /// What failed.
        source: command::Error,
    },
}

/// Which addresses a host has besides loopback: exactly one family, so that nothing works by the other one by accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// Number of a lab's network, 1 to 250.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Network(u8);

impl Network {
    /// Claims a free number by making its bridge, marked with `owner`.
    pub(crate) fn claim(owner: &str) -> Result<Self, Error> {
        for network in (1..=250).map(Self) {
            if network.exists() || network.is_routed() {
                continue;
            }
            match network.make(owner) {
                Ok(()) => return Ok(network),
                // Another process was faster.
                Err(Error::Make { .. }) if network.exists() && !network.is_marked(owner) => {}
                Err(error) => {
                    network.remove(owner)?;
                    return Err(error);
                }
            }
        }
        Err(Error::NoneFree)
    }

    /// Makes the bridge again, which is gone after a restart of the machine; one that is there is fine.
    pub(crate) fn restore(self, owner: &str) -> Result<(), Error> {
        if !self.exists() {
            return self.make(owner);
        }
        if self.is_marked(owner) {
            Ok(())
        } else {
            Err(Error::NotOurs {
                bridge: self.bridge(),
            })
        }
    }

    /// All networks that are marked with `owner`.
    pub(crate) fn all_claimed_by(owner: &str) -> Vec<Self> {
        (1..=250)
            .map(Self)
            .filter(|network| network.is_marked(owner))
            .collect()
    }

    fn make(self, owner: &str) -> Result<(), Error> {
        let bridge = self.bridge();
        run(&[
            "ip",
            "link",
            "add",
            "name",
            &bridge,
            "address",
            &mark(owner),
            "type",
            "bridge",
        ])
        .map_err(|source| Error::Make { bridge, source })?;
        self.configure()
    }

    /// Name of the bridge.
    pub fn bridge(self) -> String {
        format!("etcdlab{}", self.0)
    }

    /// Name of a host's machine; short, because the kernel limits the name of its network device to 15 characters.
    pub(crate) fn machine(self, host: u8) -> String {
        format!("lab{}-{host}", self.0)
    }

    /// Name of a host's device on the bridge, as systemd-nspawn makes it.
    fn port(self, host: u8) -> String {
        format!("vb-{}", self.machine(host))
    }

    /// Address of the machine that runs the lab, as the lab's hosts see it.
    pub fn gateway(self, family: Family) -> IpAddr {
        self.address(family, 1)
    }

    /// Address of host number `host`, from 1.
    pub(crate) fn host(self, family: Family, host: u8) -> IpAddr {
        self.address(family, FIRST_HOST + host)
    }

    /// Prefix length of both families' networks.
    pub(crate) fn prefix_length(family: Family) -> u8 {
        match family {
            Family::V4 => 24,
            Family::V6 => 64,
        }
    }

    fn address(self, family: Family, last: u8) -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(10, 213, self.0, last).into(),
            // A unique local prefix (RFC 4193) of the lab's own.
            Family::V6 => {
                Ipv6Addr::new(0xfdec, 0xd1ab, 0x7e57, self.0.into(), 0, 0, 0, last.into()).into()
            }
        }
    }

    /// Removes the bridge if it is marked with `owner`; one that is gone already is fine.
    pub(crate) fn remove(self, owner: &str) -> Result<(), Error> {
        let bridge = self.bridge();
        if !self.exists() {
            return Ok(());
        }
        if !self.is_marked(owner) {
            return Err(Error::NotOurs { bridge });
        }
        run(&["ip", "link", "delete", &bridge, "type", "bridge"])
            .map_err(|source| Error::Remove { bridge, source })?;
        Ok(())
    }

    /// Lets a host's frames through or drops them in silence, as a switch does whose other side is gone: the host's
    /// link stays up.
    pub(crate) fn set_port(self, host: u8, is_open: bool) -> Result<(), Error> {
        let port = self.port(host);
        let state = if is_open { "forwarding" } else { "disabled" };
        run(&["bridge", "link", "set", "dev", &port, "state", state])
            .map_err(|source| Error::SetPort { port, source })?;
        Ok(())
    }

    fn exists(self) -> bool {
        Path::new("/sys/class/net").join(self.bridge()).exists()
    }

    fn is_marked(self, owner: &str) -> bool {
        let file = Path::new("/sys/class/net")
            .join(self.bridge())
            .join("address");
        std::fs::read_to_string(file).is_ok_and(|address| address.trim() == mark(owner))
    }

    /// Whether this machine reaches the number's addresses by something else than its default route.
    fn is_routed(self) -> bool {
        [("-4", Family::V4), ("-6", Family::V6)]
            .into_iter()
            .any(|(flag, family)| {
                let address = self.gateway(family).to_string();
                run(&["ip", flag, "route", "show", "match", &address])
                    .is_ok_and(|routes| routes.lines().any(|route| !route.starts_with("default")))
            })
    }

    fn configure(self) -> Result<(), Error> {
        let bridge = self.bridge();
        let v4 = format!(
            "{}/{}",
            self.gateway(Family::V4),
            Self::prefix_length(Family::V4)
        );
        let v6 = format!(
            "{}/{}",
            self.gateway(Family::V6),
            Self::prefix_length(Family::V6)
        );
        let steps: [&[&str]; 4] = [
            // No spanning tree and no snooping: a port forwards from the first frame, and neighbour discovery gets through.
            &[
                "ip",
                "link",
                "set",
                "dev",
                &bridge,
                "type",
                "bridge",
                "stp_state",
                "0",
                "forward_delay",
                "0",
                "mcast_snooping",
                "0",
            ],
            &["ip", "address", "add", &v4, "dev", &bridge],
            &["ip", "address", "add", &v6, "dev", &bridge, "nodad"],
            &["ip", "link", "set", "dev", &bridge, "up"],
        ];
        for step in steps {
            run(step).map_err(|source| Error::Make {
                bridge: bridge.clone(),
                source,
            })?;
        }
        Ok(())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// Hardware address of the bridges of `owner`: locally administered, the rest a hash.
fn mark(owner: &str) -> String {
    let hash = Sha256::digest(owner);
    let bytes: Vec<String> = hash[..5].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("02:{}", bytes.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices_fit_into_fifteen_characters() {
        let last = Network(250);
        assert!(last.bridge().len() <= 15);
        assert!(last.port(99).len() <= 15, "{}", last.port(99));
    }

    #[test]
    fn addresses_of_two_labs_never_meet() {
        let addresses =
            |network: Network| [network.host(Family::V4, 1), network.host(Family::V6, 1)];
        assert_eq!(
            addresses(Network(7)).map(|address| address.to_string()),
            ["10.213.7.11", "fdec:d1ab:7e57:7::b"]
        );
        assert_ne!(addresses(Network(7)), addresses(Network(8)));
    }
}
