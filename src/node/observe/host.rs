//! The machine itself.

use std::{fs, net::Ipv6Addr};

use crate::{clock, program, proto::Host, record, root::Root};

pub(super) fn fact(root: &Root) -> Host {
    let read = |path: &str| {
        fs::read_to_string(root.at(path))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let mut release = read("/etc/os-release");
    if release.is_empty() {
        release = read("/usr/lib/os-release");
    }
    let proc = |path: &str| fs::read_to_string(path).unwrap_or_default();
    Host {
        hostname: proc("/proc/sys/kernel/hostname").trim().to_owned(),
        machine_id: read("/etc/machine-id"),
        architecture: std::env::consts::ARCH.to_owned(),
        os_id: field(&release, "ID"),
        os_version: field(&release, "VERSION_ID"),
        init: proc("/proc/1/comm").trim().to_owned(),
        systemd_version: program::run("systemctl", &["--version"])
            .ok()
            .and_then(|text| systemd_version(&text))
            .unwrap_or(0),
        boot_id: proc("/proc/sys/kernel/random/boot_id").trim().to_owned(),
        now_ms: clock::now_ms(),
        helper_version: record::VERSION.to_owned(),
        addresses: addresses(&proc("/proc/net/fib_trie"), &proc("/proc/net/if_inet6")),
    }
}

/// A value of os-release(5).
fn field(release: &str, name: &str) -> String {
    release
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .unwrap_or_default()
        .trim_matches(['"', '\''])
        .to_owned()
}

/// From "systemd 247 (247.3-7)" or "systemd 257~rc1".
fn systemd_version(text: &str) -> Option<u32> {
    let word = text.split_whitespace().nth(1)?;
    word.split(|character: char| !character.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// Addresses of the interfaces from the kernel's own tables, sorted, without loopback and link-local
/// ones.
fn addresses(trie: &str, inet6: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut candidate = "";
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            candidate = address;
        } else if line.starts_with("/32 host LOCAL") && !candidate.starts_with("127.") {
            found.push(candidate.to_owned());
        }
    }
    for line in inet6.lines() {
        let digits = line.split_whitespace().next().unwrap_or_default();
        let Ok(number) = u128::from_str_radix(digits, 16) else {
            continue;
        };
        let address = Ipv6Addr::from(number);
        if !address.is_loopback() && !address.is_unicast_link_local() {
            found.push(address.to_string());
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_os_release_and_the_version_of_systemd() {
        let release = "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"11\"\nID=debian\nID_LIKE='x'";
        assert_eq!(field(release, "ID"), "debian");
        assert_eq!(field(release, "VERSION_ID"), "11");
        assert_eq!(field(release, "MISSING"), "");
        assert_eq!(
            systemd_version("systemd 247 (247.3-7+deb11u5)\n+PAM"),
            Some(247)
        );
        assert_eq!(systemd_version("systemd 257~rc1"), Some(257));
        assert_eq!(systemd_version(""), None);
    }

    #[test]
    fn finds_addresses_in_the_kernels_tables() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.1.10\n        /32 host LOCAL\n     \
            |-- 10.0.1.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n\
            Local:\n     |-- 10.0.1.10\n        /32 host LOCAL\n";
        let inet6 = "00000000000000000000000000000001 01 80 10 80       lo\n\
            fd000000000000000000000000000010 02 40 00 80     host0\n\
            fe80000000000000000000000000abcd 02 40 20 80     host0\n";
        assert_eq!(addresses(trie, inet6), ["10.0.1.10", "fd00::10"]);
    }
}
