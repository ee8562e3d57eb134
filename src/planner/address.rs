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

/// Whether a text is an IP address or can be a DNS name.
pub fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(inner)
    };
    text.parse::<IpAddr>().is_ok() || (text.len() <= 253 && text.split('.').all(is_label))
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
    fn tells_names_from_what_would_break_a_list_or_a_certificate() {
        for good in ["10.0.0.1", "fd00::1", "etcd.example", "db_1", "a-b.c"] {
            assert!(is_name(good), "{good}");
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            "ops@host",
            "a,b",
            "a b",
            "[fd00::1]",
            "-a",
            "a-",
            "a..b",
            "host:22",
            &long,
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn says_which_addresses_no_other_host_can_reach() {
        let why = |text: &str| unusable(text.parse().expect(text));
        for bad in [
            "0.0.0.0",
            "::",
            "127.0.0.2",
            "::1",
            "224.0.0.1",
            "ff02::1",
            "169.254.1.1",
            "fe80::1",
        ] {
            assert!(why(bad).is_some(), "{bad}");
        }
        for good in ["10.0.0.1", "192.168.1.1", "fd00::1", "2001:db8::1"] {
            assert_eq!(why(good), None, "{good}");
        }
    }

    #[test]
    fn finds_the_loopback_of_the_same_family() {
        let of = |text: &str| loopback(text.parse().expect(text)).to_string();
        assert_eq!(of("10.0.0.1"), "127.0.0.1");
        assert_eq!(of("fd00::1"), "::1");
    }

    #[test]
    fn puts_brackets_around_ipv6_only() {
        assert_eq!(https("10.0.0.1", 2379), "https://10.0.0.1:2379");
        assert_eq!(https("fd00::1", 2379), "https://[fd00::1]:2379");
        assert_eq!(https("etcd.example", 2379), "https://etcd.example:2379");
    }
}
