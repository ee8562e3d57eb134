//! Looking at a cluster with etcd's own client, from a host of it.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use lab::Host;

/// A member as etcd's own client reaches it.
pub struct Member<'a> {
    /// Where it runs.
    pub host: &'a Host,
    /// Name of the cluster.
    pub cluster: &'a str,
    /// Key of the node.
    pub key: &'a str,
    /// Client port.
    pub port: u16,
}

impl Member<'_> {
    /// Runs `etcdctl` on the host, over TLS with the client certificate of `of`.
    pub fn etcdctl_as(&self, of: &str, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
        let stem = format!("/etc/etcd/ssl/etcd-{of}-{}-client", self.key);
        let endpoint = match self.host.address() {
            std::net::IpAddr::V4(address) => format!("https://{address}:{}", self.port),
            std::net::IpAddr::V6(address) => format!("https://[{address}]:{}", self.port),
        };
        let (certificate, key) = (format!("{stem}.crt"), format!("{stem}.key"));
        let mut argv = vec![
            "env",
            "ETCDCTL_API=3",
            "/opt/bin/etcdctl",
            "--endpoints",
            &endpoint,
            "--cacert",
            "/etc/etcd/ssl/main-root_ca.crt",
            "--cert",
            &certificate,
            "--key",
            &key,
            "--command-timeout=5s",
        ];
        argv.extend(arguments);
        Ok(self.host.root_text(&argv)?)
    }

    /// Runs `etcdctl` on the host, over TLS.
    pub fn etcdctl(&self, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
        self.etcdctl_as(self.cluster, arguments)
    }
}

/// Waits until a condition holds.
///
/// # Errors
/// What was waited for, after two minutes: machines of CI are slow, and several tests run at once.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) -> Result<(), Box<dyn Error>> {
    let end = Instant::now() + Duration::from_mins(2);
    while !condition() {
        if Instant::now() > end {
            return Err(format!("not within two minutes: {what}").into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
