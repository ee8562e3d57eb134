//! Its start and its end.

use rustix::process::Signal;
use tests::{
    Outcome,
    client::{COOKIE, ClientCertificate, Failure, Plugin, Trust},
};
use tf_plugin::{
    Type, Value,
    tfplugin5::{self as wire, provider_client::ProviderClient},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::provider::{configure, nodes, running, start};

#[tokio::test]
async fn without_the_cookie_it_explains_itself_on_standard_error() -> Outcome {
    let wrong = start(Trust::Mutual)?.env(COOKIE.0, "something else");
    for start in [start(Trust::Mutual)?.without(COOKIE.0), wrong] {
        let output = start.output().await?;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("required_providers"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn it_serves_with_and_without_tls() -> Outcome {
    for trust in [Trust::Mutual, Trust::Plaintext] {
        let plugin = start(trust)?.plugin().await?;
        assert_eq!(plugin.line()?.certificate.is_some(), trust == Trust::Mutual);
        configure(&plugin, []).await?;
        plugin.shutdown().await?;
    }
    Ok(())
}

#[tokio::test]
async fn only_the_callers_own_certificate_opens_it() -> Outcome {
    let plugin = running().await?;
    let stranger = ClientCertificate::new()?;
    for client in [None, Some(&stranger)] {
        if let Ok(channel) = Plugin::channel(&plugin.line()?, client).await {
            let request = wire::get_provider_schema::Request {};
            assert!(
                ProviderClient::new(channel)
                    .get_schema(request)
                    .await
                    .is_err()
            );
        }
    }
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn it_ends_with_core_and_leaves_nothing() -> Outcome {
    for is_told in [true, false] {
        let mut plugin = running().await?;
        plugin.signal(Signal::INT)?;
        plugin.schemas().await?;
        if is_told {
            plugin.tell_to_end().await?;
        } else {
            plugin.disconnect();
        }
        let ended = plugin.ended().await?;
        assert!(ended.status.success(), "{ended:#?}");
        assert_eq!(
            ended.stdout, "",
            "standard output is for the first line only"
        );
        assert_eq!(
            ended.left,
            Vec::<String>::new(),
            "no socket and nothing else"
        );
    }
    Ok(())
}

/// A host that takes a connection and says nothing, and an apply that waits for it for an hour.
struct Waiting {
    plugin: Plugin,
    apply: JoinHandle<Result<(Type, wire::apply_resource_change::Response), String>>,
    _host: (TcpListener, TcpStream),
}

async fn waiting() -> Result<Waiting, Failure> {
    let host = TcpListener::bind("127.0.0.1:0").await?;
    let port = Value::integer(host.local_addr()?.port());
    let plugin = start(Trust::Mutual)?.plugin().await?;
    let (mut life, mut config) = crate::provider::ca(&plugin).await?;
    let planned = life.plan(&config).await?;
    configure(&plugin, [("connect_timeout", Value::string("1h"))]).await?;
    config.set(
        "nodes",
        nodes([
            ("host", Value::string("127.0.0.1")),
            ("port", port),
            ("address", Value::string("10.0.1.10")),
        ]),
    );
    let mut planned = planned;
    planned.state.set("nodes", config.get("nodes").clone());
    planned.response.planned_state = Some(tests::client::write(&planned.state, &life.ty));
    let apply = tokio::spawn(async move {
        let response = life.ask_apply(&config, &planned).await;
        response
            .map_err(|error| error.to_string())
            .map(|response| (life.ty, response))
    });
    let (connection, _) = tokio::time::timeout(tests::client::DEADLINE, host.accept()).await??;
    Ok(Waiting {
        plugin,
        apply,
        _host: (host, connection),
    })
}

#[tokio::test]
async fn stop_ends_an_apply_that_waits_for_a_silent_host() -> Outcome {
    let Waiting {
        plugin,
        apply,
        _host,
    } = waiting().await?;
    plugin.calls()?.stop(wire::stop::Request {}).await?;
    let (ty, response) = tokio::time::timeout(tests::client::DEADLINE, apply).await???;
    assert_eq!(
        tests::client::errors(&response.diagnostics).len(),
        1,
        "{response:?}"
    );
    let state = tests::client::read(response.new_state.as_ref(), &ty)?;
    assert!(state.is_null(), "nothing was made");
    plugin.shutdown().await?;
    Ok(())
}

/// After the second Ctrl-C Core says nothing but this, and kills after 2 s whatever still runs.
#[tokio::test]
async fn shutdown_ends_it_in_the_middle_of_an_apply() -> Outcome {
    let Waiting { plugin, _host, .. } = waiting().await?;
    let ended = plugin.shutdown().await?;
    assert!(ended.status.success(), "{ended:#?}");
    assert_eq!(ended.left, Vec::<String>::new());
    Ok(())
}
