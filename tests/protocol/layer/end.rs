//! How the process ends.

use rustix::process::Signal;
use tests::{
    Outcome,
    client::{Ended, Failure, Plugin},
};
use tf_plugin::{Value, tfplugin5 as wire};
use tokio::task::JoinHandle;

use crate::sample::{running, start, telling, thing};

type Applied = Result<wire::apply_resource_change::Response, tonic::Status>;

/// An apply that has begun and goes on.
async fn applying(plugin: &mut Plugin, act: &str) -> Result<JoinHandle<Applied>, Failure> {
    let (mut life, config) = thing(plugin, "slow", [("act", Value::string(act))]).await?;
    let planned = life.plan(&config).await?;
    let mut calls = plugin.calls()?;
    let request = wire::apply_resource_change::Request {
        type_name: life.type_name.clone(),
        prior_state: None,
        planned_state: planned.response.planned_state,
        config: Some(tests::client::write(&config, &life.ty)),
        planned_private: planned.response.planned_private,
        provider_meta: None,
        planned_identity: planned.response.planned_identity,
    };
    let apply =
        tokio::spawn(async move { Ok(calls.apply_resource_change(request).await?.into_inner()) });
    plugin.logged(|line| line.contains("waiting")).await?;
    Ok(apply)
}

fn left_nothing(ended: &Ended) {
    assert!(ended.status.success(), "{ended:#?}");
    assert_eq!(
        ended.stdout, "",
        "standard output is for the first line only"
    );
    let sockets: Vec<_> = ended
        .left
        .iter()
        .filter(|name| name.starts_with("tf-"))
        .collect();
    assert!(sockets.is_empty(), "{sockets:?} is left");
}

#[tokio::test]
async fn shutdown_ends_it_and_leaves_nothing() -> Outcome {
    let ended = running().await?.shutdown().await?;
    left_nothing(&ended);
    Ok(())
}

#[tokio::test]
async fn it_ends_when_core_is_gone_without_a_word() -> Outcome {
    let mut plugin = running().await?;
    plugin.disconnect();
    left_nothing(&plugin.ended().await?);
    Ok(())
}

#[tokio::test]
async fn another_connection_that_closes_is_not_the_end() -> Outcome {
    use tests::client::{Start, Trust};
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_sample-provider"));
    let plugin = Start::new(binary, Trust::Plaintext)?.plugin().await?;
    let line = plugin.line()?;
    for _ in 0..3 {
        let channel = Plugin::channel(&line, None).await?;
        let mut calls = wire::provider_client::ProviderClient::new(channel);
        calls
            .get_schema(wire::get_provider_schema::Request {})
            .await?;
    }
    plugin.schemas().await?;
    left_nothing(&plugin.shutdown().await?);
    Ok(())
}

#[tokio::test]
async fn interrupts_are_left_to_core() -> Outcome {
    let plugin = running().await?;
    for signal in [Signal::INT, Signal::INT, Signal::TERM] {
        plugin.signal(signal)?;
        plugin.schemas().await?;
    }
    left_nothing(&plugin.shutdown().await?);
    Ok(())
}

#[tokio::test]
async fn stop_lets_a_running_apply_reach_a_safe_point() -> Outcome {
    let mut plugin = telling().await?;
    let apply = applying(&mut plugin, "wait for stop").await?;
    let answer = plugin.calls()?.stop(wire::stop::Request {}).await?;
    assert_eq!(answer.into_inner().error, "");
    let applied = apply.await??;
    assert!(tests::client::errors(&applied.diagnostics).is_empty());
    plugin.schemas().await?;
    left_nothing(&plugin.shutdown().await?);
    Ok(())
}

#[tokio::test]
async fn a_terminated_provider_stops_as_if_core_had_said_so() -> Outcome {
    let mut plugin = telling().await?;
    let apply = applying(&mut plugin, "wait for stop").await?;
    plugin.signal(Signal::TERM)?;
    apply.await??;
    left_nothing(&plugin.shutdown().await?);
    Ok(())
}

#[tokio::test]
async fn a_running_apply_reaches_a_safe_point_when_core_is_gone() -> Outcome {
    let mut plugin = telling().await?;
    let apply = applying(&mut plugin, "wait for stop").await?;
    apply.abort();
    let _ = apply.await;
    plugin.disconnect();
    let ended = plugin.ended().await?;
    left_nothing(&ended);
    assert!(
        ended
            .log
            .iter()
            .any(|line| line.contains("at a safe point")),
        "{:#?}",
        ended.log
    );
    assert!(
        ended.left.contains(&"slow".to_owned()),
        "the step was finished: {:?}",
        ended.left
    );
    Ok(())
}

#[tokio::test]
async fn a_running_apply_reaches_a_safe_point_when_core_shuts_down() -> Outcome {
    let mut plugin = telling().await?;
    let apply = applying(&mut plugin, "wait for stop").await?;
    plugin.tell_to_end().await?;
    // Its answer is still delivered.
    apply.await??;
    left_nothing(&plugin.ended().await?);
    Ok(())
}

#[tokio::test]
async fn an_apply_that_never_ends_does_not_outlive_shutdown() -> Outcome {
    let mut plugin = telling().await?;
    let apply = applying(&mut plugin, "hang").await?;
    left_nothing(&plugin.shutdown().await?);
    assert!(apply.await?.is_err());
    Ok(())
}

#[tokio::test]
async fn a_cancelled_call_does_not_cut_a_change_in_two() -> Outcome {
    let mut plugin = telling().await?;
    let apply = applying(&mut plugin, "wait for stop").await?;
    apply.abort();
    let _ = apply.await;
    plugin.calls()?.stop(wire::stop::Request {}).await?;
    plugin
        .logged(|line| line.contains("at a safe point"))
        .await?;
    let ended = plugin.shutdown().await?;
    assert!(ended.left.contains(&"slow".to_owned()), "{:?}", ended.left);
    Ok(())
}

#[tokio::test]
async fn it_never_reads_standard_input_and_writes_one_line() -> Outcome {
    let plugin = start()?.plugin().await?;
    assert!(plugin.line()?.text.starts_with("1|5|unix|"));
    left_nothing(&plugin.shutdown().await?);
    Ok(())
}
