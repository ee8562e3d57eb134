//! Names to addresses, without the C library: a static program has no name service modules.
//!
//! Reads /etc/hosts and /etc/resolv.conf once per process.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
};
use tokio::sync::OnceCell;

/// Asks once per process how names are resolved here.
#[derive(Default)]
pub(crate) struct Resolver {
    inner: OnceCell<TokioResolver>,
}

impl Resolver {
    /// Addresses of `host`, in the order in which to try them.
    pub(crate) async fn addresses(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, Arc<NetError>> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let resolver = self
            .inner
            .get_or_try_init(|| async { build() })
            .await
            .map_err(Arc::new)?;
        let found = resolver.lookup_ip(host).await.map_err(Arc::new)?;
        Ok(found
            .iter()
            .map(|address| SocketAddr::new(address, port))
            .collect())
    }
}

fn build() -> Result<TokioResolver, NetError> {
    // Without a usable /etc/resolv.conf, names in /etc/hosts are found all the same.
    let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|_| {
        TokioResolver::builder_with_config(
            ResolverConfig::default(),
            TokioRuntimeProvider::default(),
        )
    });
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_in_the_hosts_file_and_addresses_are_found() {
        let resolver = Resolver::default();
        for host in ["127.0.0.1", "localhost", "::1", "[::1]"] {
            let found = resolver.addresses(host, 22).await.expect("an address");
            assert!(
                found.iter().all(|address| address.ip().is_loopback()),
                "{host}: {found:?}"
            );
            assert!(!found.is_empty(), "{host}");
        }
    }
}
