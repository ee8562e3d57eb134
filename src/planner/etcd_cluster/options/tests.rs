use super::*;

/// Valid options as `name: value`, then what is wrong.
fn check(version: &str, options: &[(&str, &str)]) -> Vec<String> {
    let version = Version::parse(version).expect("a version");
    let options = options
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut problems = Problems::default();
    let valid = validate(&options.collect(), &version, &mut problems);
    let valid = valid
        .into_iter()
        .map(|(name, value)| format!("{name}: {value}"));
    let wrong = problems
        .0
        .into_iter()
        .map(|problem| format!("{}: {}", problem.place.join("."), problem.summary));
    valid.chain(wrong).collect()
}

#[test]
fn writes_values_as_etcd_reads_them() {
    let said = check(
        "3.7.3",
        &[
            ("max-request-bytes", "3145728"),
            ("enable-pprof", "true"),
            ("cors", "*"),
            ("grpc-keepalive-timeout", "20s"),
            ("log-level", "debug"),
            (
                "auth-token",
                "jwt,sign-method=ES256,priv-key=/etc/etcd/jwt.pem,ttl=10m",
            ),
            (
                "cipher-suites",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256",
            ),
        ],
    );
    assert_eq!(
        said,
        [
            "auth-token: \"jwt,sign-method=ES256,priv-key=/etc/etcd/jwt.pem,ttl=10m\"",
            "cipher-suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]",
            "cors: \"*\"",
            "enable-pprof: true",
            "grpc-keepalive-timeout: 20000000000",
            "log-level: \"debug\"",
            "max-request-bytes: 3145728",
        ]
    );
}

#[test]
fn names_follow_the_version() {
    let option = [("snapshot-catchup-entries", "5000")];
    assert_eq!(
        check("3.5.35", &option),
        ["experimental-snapshot-catch-up-entries: 5000"]
    );
    for version in ["3.6.16", "3.7.3"] {
        assert_eq!(check(version, &option), ["snapshot-catchup-entries: 5000"]);
    }
    let later = [("max-learners", "2")];
    assert_eq!(
        check("3.5.35", &later),
        ["extra_options.max-learners: Option of a later version"]
    );
    assert_eq!(check("3.6.16", &later), ["max-learners: 2"]);
}

#[test]
fn refuses_values_of_another_type() {
    for (name, value) in [
        ("max-request-bytes", "1.5"),
        ("max-request-bytes", "-1"),
        ("enable-pprof", "yes"),
        ("cors", "a\nforce-new-cluster: true"),
        ("corrupt-check-time", "4"),
        ("corrupt-check-time", "99999999999h"),
        ("max-txn-ops", "9223372036854775808"),
        ("max-concurrent-streams", "4294967296"),
        ("log-level", "nonsense"),
        ("log-level", ""),
        ("metrics", "all"),
        ("backend-bbolt-freelist-type", "hashmap"),
        ("tls-max-version", "TLS1.1"),
        ("auth-token", "nonsense"),
        ("auth-token", "jwt"),
        ("auth-token", "jwt,sign-method=RS1"),
        ("auth-token", "jwt,sign-method=RS256,sign-method=RS256"),
        ("auth-token", "simple,x"),
        ("cipher-suites", "TLS_RSA_WITH_RC4_128_SHA"),
        ("cipher-suites", ""),
        ("cors", "a.example"),
        ("cors", "https://a.example"),
    ] {
        let wrong = format!("extra_options.{name}: Invalid value");
        assert_eq!(check("3.5.35", &[(name, value)]), [wrong], "{value}");
    }
}

#[test]
fn refuses_what_the_provider_sets_itself() {
    for name in ["data-dir", "force-new-cluster", "initial-cluster-state"] {
        assert_eq!(
            check("3.5.35", &[(name, "x")]),
            [format!(
                "extra_options.{name}: Option is set by the provider"
            )]
        );
    }
}

#[test]
fn an_unknown_option_is_never_passed_on_in_silence() {
    let version = crate::version::default_version();
    let mut problems = Problems::default();
    let options = BTreeMap::from([("max-request-byte".to_owned(), "1".to_owned())]);
    assert!(validate(&options, &version, &mut problems).is_empty());
    let problem = &problems.0[0];
    assert!(problem.is_error);
    assert_eq!(problem.place, ["extra_options", "max-request-byte"]);
    assert!(problem.detail.ends_with("Did you mean max-request-bytes?"));
    let far = check("3.5.35", &[("experimental-enable-v2v3", "true")]);
    assert_eq!(
        far,
        ["extra_options.experimental-enable-v2v3: Unknown option"]
    );
}

#[test]
fn no_option_is_listed_twice() {
    let mut names: Vec<&str> = OPTIONS.iter().map(|(name, ..)| *name).collect();
    names.extend(OWNED.iter().map(|(name, _)| *name));
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}
