//! Where a registry's API is.

use reqwest::Url;

/// A registry's API, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Ends with a slash.
    pub(crate) base: Url,
    /// On this machine: never through a proxy.
    pub(crate) is_local: bool,
}

/// Where the API of the registry `host` is: HTTPS, but for names of this machine itself and those of `insecure`.
pub(crate) fn endpoint(host: &str, insecure: &[String]) -> Option<Endpoint> {
    let is_local = ["localhost", "127.0.0.1", "[::1]"].contains(&name(host));
    let scheme = if is_local || insecure.iter().any(|insecure| insecure == host) {
        "http"
    } else {
        "https"
    };
    // Docker Hub is written by a name that its API does not have.
    let host = match host {
        "docker.io" | "index.docker.io" => "registry-1.docker.io",
        host => host,
    };
    let base = Url::parse(&format!("{scheme}://{host}/")).ok()?;
    let has_rest = !base.username().is_empty() || base.query().is_some() || base.path() != "/";
    (base.has_host() && !has_rest).then_some(Endpoint { base, is_local })
}

/// `host` without its port.
fn name(host: &str) -> &str {
    if let Some(end) = host.find(']') {
        return &host[..=end];
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

/// Whether both are the same server, so that what is secret to one may be told to the other.
pub(crate) fn is_same_server(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(host: &str) -> String {
        let insecure = ["10.0.0.9:5000".to_owned()];
        let endpoint = endpoint(host, &insecure).expect(host);
        endpoint.base.to_string()
    }

    #[test]
    fn speaks_plain_http_only_where_it_may() {
        assert_eq!(base("ghcr.io"), "https://ghcr.io/");
        assert_eq!(base("docker.io"), "https://registry-1.docker.io/");
        assert_eq!(base("127.0.0.1:5000"), "http://127.0.0.1:5000/");
        assert_eq!(base("localhost"), "http://localhost/");
        assert_eq!(base("[::1]:5000"), "http://[::1]:5000/");
        assert_eq!(base("10.0.0.9:5000"), "http://10.0.0.9:5000/");
        assert_eq!(base("10.0.0.9:5001"), "https://10.0.0.9:5001/");
        assert_eq!(base("localhost.example"), "https://localhost.example/");
        assert_eq!(base("127.0.0.2:5000"), "https://127.0.0.2:5000/");
    }

    #[test]
    fn refuses_what_no_url_can_have() {
        for host in ["a.b:x", "a.b:99999", "[::1", ":5000"] {
            assert_eq!(endpoint(host, &[]), None, "{host}");
        }
    }

    #[test]
    fn another_port_is_another_server() {
        let url = |text: &str| Url::parse(text).expect(text);
        let one = url("https://a.example/v2/");
        assert!(is_same_server(&one, &url("https://a.example:443/x")));
        assert!(!is_same_server(&one, &url("https://a.example:444/x")));
        assert!(!is_same_server(&one, &url("http://a.example/x")));
    }
}
