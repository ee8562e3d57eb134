//! Before the first call.

use std::os::unix::fs::PermissionsExt;

use tests::{
    Outcome,
    client::{COOKIE, ClientCertificate, Plugin, Start, Trust},
};

use crate::sample::{configure, start};

fn said(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

async fn refuses(start: Start, why: &str) -> Outcome {
    let output = start.output().await?;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert!(said(&output.stderr).contains(why), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn without_the_cookie_it_explains_itself_on_standard_error() -> Outcome {
    refuses(start()?.without(COOKIE.0), "required_providers").await?;
    refuses(
        start()?.env(COOKIE.0, "something else"),
        "required_providers",
    )
    .await
}

#[tokio::test]
async fn a_caller_without_protocol_five_is_refused() -> Outcome {
    let start = start()?.env("PLUGIN_PROTOCOL_VERSIONS", "4,6");
    refuses(start, "this provider speaks 5").await
}

#[tokio::test]
async fn a_certificate_that_is_none_is_refused_before_the_line() -> Outcome {
    let start = start()?.env("PLUGIN_CLIENT_CERT", "nonsense");
    refuses(start, "PLUGIN_CLIENT_CERT is not a certificate").await
}

#[tokio::test]
async fn its_socket_is_in_a_directory_of_its_own() -> Outcome {
    let plugin = start()?.plugin().await?;
    let socket = plugin.line()?.socket().ok_or("it listens on a socket")?;
    let directory = socket.parent().ok_or("a socket is in a directory")?;
    assert_eq!(directory.parent(), Some(plugin.temporary()));
    assert_eq!(
        std::fs::metadata(directory)?.permissions().mode() & 0o777,
        0o700
    );
    Ok(())
}

#[tokio::test]
async fn a_caller_may_choose_where_the_socket_is() -> Outcome {
    let directory = tempfile::tempdir()?;
    let start = start()?.env("PLUGIN_UNIX_SOCKET_DIR", directory.path());
    let plugin = start.plugin().await?;
    let socket = plugin.line()?.socket().ok_or("it listens on a socket")?;
    assert!(socket.starts_with(directory.path()), "{socket:?}");
    Ok(())
}

#[tokio::test]
async fn it_listens_on_loopback_where_no_socket_can_be() -> Outcome {
    let directory = tempfile::tempdir()?;
    let long = directory.path().join("d".repeat(100));
    std::fs::create_dir(&long)?;
    for place in [long, directory.path().join("missing")] {
        let plugin = start()?.env("TMPDIR", &place).plugin().await?;
        let line = plugin.line()?;
        assert_eq!(line.network, "tcp", "{}", line.text);
        let port: u16 = line
            .address
            .strip_prefix("127.0.0.1:")
            .ok_or("loopback")?
            .parse()?;
        assert!(
            (10000..=25000).contains(&port),
            "within the caller's limits: {port}"
        );
        plugin.schemas().await?;
        plugin.shutdown().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_caller_that_multiplexes_is_told_that_it_cannot() -> Outcome {
    let plugin = start()?
        .env("PLUGIN_MULTIPLEX_GRPC", "true")
        .plugin()
        .await?;
    assert_eq!(plugin.line()?.multiplex.as_deref(), Some("false"));
    plugin.schemas().await?;
    Ok(())
}

#[tokio::test]
async fn it_speaks_plaintext_to_a_caller_without_certificate() -> Outcome {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_sample-provider"));
    let plugin = Start::new(binary, Trust::Plaintext)?.plugin().await?;
    assert_eq!(plugin.line()?.certificate, None);
    configure(&plugin, []).await
}

#[tokio::test]
async fn only_the_callers_own_certificate_opens_it() -> Outcome {
    let plugin = start()?.plugin().await?;
    let line = plugin.line()?;
    let stranger = ClientCertificate::new()?;
    for client in [None, Some(&stranger)] {
        let refused = match Plugin::channel(&line, client).await {
            Err(_) => true,
            // With TLS 1.3 a client learns of the refusal only when it speaks.
            Ok(channel) => {
                let mut calls = tf_plugin::tfplugin5::provider_client::ProviderClient::new(channel);
                let request = tf_plugin::tfplugin5::get_provider_schema::Request {};
                calls.get_schema(request).await.is_err()
            }
        };
        assert!(refused, "{client:?}");
    }
    plugin.schemas().await?;
    Ok(())
}

#[tokio::test]
async fn its_certificate_is_for_a_server_named_localhost_and_of_today() -> Outcome {
    use x509_parser::prelude::{FromDer, X509Certificate};
    let plugin = start()?.plugin().await?;
    let der = plugin.line()?.certificate.ok_or("it speaks TLS")?;
    let (_, certificate) = X509Certificate::from_der(&der)?;
    let usage = certificate.extended_key_usage()?.ok_or("its use is told")?;
    assert!(usage.value.server_auth);
    let names = certificate
        .subject_alternative_name()?
        .ok_or("it has names")?;
    assert!(format!("{names:?}").contains("localhost"), "{names:?}");
    assert!(certificate.validity().is_valid());
    let years = 60 * 60 * 24 * 365;
    let length = certificate
        .validity()
        .time_to_expiration()
        .ok_or("not over")?;
    assert!(length.whole_seconds() < 40 * years, "{length}");
    Ok(())
}
