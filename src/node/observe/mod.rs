//! Facts about the host. Nothing here changes anything.

mod certificate;
mod etcd;
mod ports;

use std::{fs, io, io::Read, os::unix::fs::MetadataExt, path::Path};

use sha2::{Digest, Sha256};

use crate::{
    ca,
    failure::Failed,
    journal,
    ledger::Ledger,
    proto::{
        FileFact, FileQuery, Host, ObserveRequest, ObserveResponse, OwnerFact, SpaceFact, UserFact,
        file_fact::Kind as FileKind,
    },
    system, unit,
};

pub(crate) use certificate::{fact as certificate, split as split_names};
pub(crate) use etcd::{Client, failed as etcd_failed, member as etcd_member};
pub(crate) use ports::facts as ports;

/// Largest content that is answered.
const CONTENT_LIMIT: u64 = 64 * 1024;

/// Looks at everything that was asked for, side by side.
pub(crate) async fn observe(request: ObserveRequest) -> Result<ObserveResponse, Failed> {
    let members = futures::future::join_all(request.etcd.iter().map(etcd::fact));
    let cas = futures::future::join_all(request.cas.iter().map(ca::fact));
    let local = {
        let request = request.clone();
        tokio::task::spawn_blocking(move || look(&request))
    };
    let (etcd, cas, local) = tokio::join!(members, cas, local);
    let mut response = local.map_err(|_| {
        Failed::new(
            crate::proto::failure::Kind::Internal,
            "observe",
            "looking at the host panicked",
        )
    })??;
    response.etcd = etcd;
    response.cas = cas;
    Ok(response)
}

fn look(request: &ObserveRequest) -> Result<ObserveResponse, Failed> {
    let ledger = Ledger::load()?;
    let owners = ledger
        .owners
        .iter()
        .filter(|(name, _)| request.whole_ledger || request.owners.contains(name))
        .map(|(name, owner)| OwnerFact {
            owner: name.clone(),
            id: owner.id.clone(),
            ports: owner.ports.iter().map(|port| u32::from(*port)).collect(),
            manifest: owner.manifest.clone(),
            paths: owner.items.keys().cloned().collect(),
            units: Vec::new(),
        });
    Ok(ObserveResponse {
        host: Some(host()),
        files: request
            .files
            .iter()
            .map(|query| file(query, &ledger))
            .collect(),
        units: unit::facts(&request.units)?,
        certificates: request
            .certificates
            .iter()
            .map(|query| certificate::fact(&query.path, &query.key_path))
            .collect(),
        etcd: Vec::new(),
        cas: Vec::new(),
        ports: ports::facts(&request.ports, &ledger),
        users: request
            .users
            .iter()
            .map(|name| {
                let user = system::user(name);
                UserFact {
                    name: name.clone(),
                    present: user.is_some(),
                    uid: user.as_ref().map_or(0, |user| user.uid),
                    gid: user.as_ref().map_or(0, |user| user.gid),
                    home: user.map(|user| user.home).unwrap_or_default(),
                }
            })
            .collect(),
        journal: journal::all()
            .into_iter()
            .filter(|entry| request.whole_ledger || request.owners.contains(&entry.owner))
            .collect(),
        space: request
            .space
            .iter()
            .map(|path| SpaceFact {
                path: path.clone(),
                free_bytes: free_bytes(Path::new(path)),
                noexec: false,
                read_only: false,
            })
            .collect(),
        timer_helper_version: timer_helper_version().unwrap_or_default(),
        owners: owners.collect(),
    })
}

fn host() -> Host {
    let read = |path: &str| {
        fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let release = read("/etc/os-release");
    let field = |name: &str| {
        release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_default()
            .trim_matches('"')
            .to_owned()
    };
    let version = system::run("systemctl", &["--version"]).unwrap_or_default();
    Host {
        hostname: read("/proc/sys/kernel/hostname"),
        machine_id: read("/etc/machine-id"),
        architecture: std::env::consts::ARCH.to_owned(),
        os_id: field("ID"),
        os_version: field("VERSION_ID"),
        init: read("/proc/1/comm"),
        systemd_version: version
            .split_whitespace()
            .nth(1)
            .and_then(|text| text.split('.').next()?.parse().ok())
            .unwrap_or(0),
        boot_id: read("/proc/sys/kernel/random/boot_id"),
        now_ms: system::now_ms(),
        helper_version: env!("CARGO_PKG_VERSION").to_owned(),
        addresses: addresses(),
    }
}

/// Addresses of the interfaces, from the kernel's own tables.
fn addresses() -> Vec<String> {
    let mut found = Vec::new();
    // Local entries of the routing trie: every IPv4 address that the host answers to.
    let trie = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let mut candidate = "";
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            candidate = address;
        } else if line.starts_with("/32 host LOCAL") && !candidate.starts_with("127.") {
            found.push(candidate.to_owned());
        }
    }
    for line in fs::read_to_string("/proc/net/if_inet6")
        .unwrap_or_default()
        .lines()
    {
        let Some(digits) = line.get(..32) else {
            continue;
        };
        let groups: Vec<&str> = (0..8)
            .map(|index| &digits[index * 4..index * 4 + 4])
            .collect();
        if let Ok(address) = groups.join(":").parse::<std::net::Ipv6Addr>() {
            let link_local = (address.segments()[0] & 0xffc0) == 0xfe80;
            if !address.is_loopback() && !link_local {
                found.push(address.to_string());
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn file(query: &FileQuery, ledger: &Ledger) -> FileFact {
    let path = Path::new(&query.path);
    let (owner, recorded) = ledger.find(&query.path).unwrap_or_default();
    let mut fact = FileFact {
        path: query.path.clone(),
        owner: owner.to_owned(),
        recorded_sha256: recorded.to_owned(),
        ..FileFact::default()
    };
    let Ok(found) = fs::symlink_metadata(path) else {
        return fact;
    };
    fact.mode = found.mode() & 0o7777;
    fact.user = system::user_name(found.uid());
    fact.group = system::group_name(found.gid());
    fact.size_bytes = found.len();
    fact.modified_ms = found.mtime() * 1000 + found.mtime_nsec() / 1_000_000;
    let kind = if found.is_file() {
        fact.sha256 = sha256(path).unwrap_or_default();
        // Keys stay where they are, whoever asks.
        let is_key = query.path.ends_with(".key") || query.path.contains("/secrets/");
        if query.content && found.len() <= CONTENT_LIMIT && !is_key {
            fact.content = fs::read_to_string(path).ok();
        }
        FileKind::File
    } else if found.is_dir() {
        fact.populated = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        FileKind::Directory
    } else if found.is_symlink() {
        fact.link_target = fs::read_link(path)
            .map(|target| target.display().to_string())
            .unwrap_or_default();
        FileKind::Link
    } else {
        FileKind::Other
    };
    fact.kind = kind.into();
    fact
}

/// SHA-256 of a file, lower-case hex.
pub(crate) fn sha256(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// SHA-256 of bytes, lower-case hex.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Free space for root on the file system of a path or its nearest parent that exists.
pub(crate) fn free_bytes(path: &Path) -> u64 {
    path.ancestors()
        .find_map(|path| rustix::fs::statvfs(path).ok())
        .map_or(0, |space| space.f_bavail * space.f_frsize)
}

/// Version of the helper that timers use.
pub(crate) fn timer_helper_version() -> Option<String> {
    let path = "/opt/etcd-node/current/etcd-node";
    if !Path::new(path).exists() {
        return None;
    }
    let text = system::run(path, &["--version"]).ok()?;
    text.split_whitespace().last().map(str::to_owned)
}
