//! Where a member listens and what it tells others.

use std::net::IpAddr;

/// `host:port` with brackets where an IPv6 address needs them.
pub fn host_port(host: &str, port: u16) -> String {
    match host.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}

/// An https URL.
pub fn https(host: &str, port: u16) -> String {
    format!("https://{}", host_port(host, port))
}

/// The loopback address of the same family.
pub fn loopback(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
    }
}

/// Why members cannot reach each other at this address; `None` if they can.
pub fn unusable(address: IpAddr) -> Option<&'static str> {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => (address.segments()[0] & 0xffc0) == 0xfe80,
    };
    if address.is_unspecified() {
        Some("is no address that another host can reach")
    } else if address.is_loopback() {
        Some("is reached only from the host itself")
    } else if address.is_multicast() {
        Some("is a multicast address")
    } else if link_local {
        Some("is link-local")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_brackets_around_ipv6_only() {
        assert_eq!(https("10.0.0.1", 2379), "https://10.0.0.1:2379");
        assert_eq!(https("fd00::1", 2379), "https://[fd00::1]:2379");
        assert_eq!(https("etcd.example", 2379), "https://etcd.example:2379");
    }
}
