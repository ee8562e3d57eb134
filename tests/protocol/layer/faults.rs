//! A defect in the provider is told and costs nothing of what is stored.

use tests::{
    Outcome,
    client::{Failure, Life, Plugin, errors, read, write},
};
use tf_plugin::{Value, tfplugin5 as wire};

use crate::sample::{configure, running, start, thing};

fn is_defect(diagnostics: &[wire::Diagnostic]) {
    let errors = errors(diagnostics);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].contains("panicked") && errors[0].contains("asked for"),
        "{errors:?}"
    );
}

async fn stored<const N: usize>(
    plugin: &Plugin,
    members: [(&str, Value); N],
) -> Result<(Life, Value), Failure> {
    let (mut life, config) = thing(plugin, "a", members).await?;
    life.apply(&config).await?;
    Ok((life, config))
}

#[tokio::test]
async fn a_panic_in_read_keeps_state_private_and_identity() -> Outcome {
    let plugin = running().await?;
    let (mut life, _) = stored(&plugin, [("act", Value::string("panic in read"))]).await?;
    let answer = life.ask_read().await?;
    is_defect(&answer.diagnostics);
    assert_eq!(
        read(answer.new_state.as_ref(), &life.ty)?,
        life.stored.state
    );
    assert_eq!(answer.private, life.stored.private);
    assert_eq!(answer.new_identity, life.stored.identity);
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_panic_in_update_keeps_state_private_and_identity() -> Outcome {
    let plugin = running().await?;
    let (mut life, mut config) = stored(&plugin, []).await?;
    config.set("act", Value::string("panic in update"));
    let planned = life.plan(&config).await?;
    let answer = life.ask_apply(&config, &planned).await?;
    is_defect(&answer.diagnostics);
    assert_eq!(
        read(answer.new_state.as_ref(), &life.ty)?,
        life.stored.state
    );
    assert_eq!(answer.private, planned.response.planned_private);
    assert_eq!(answer.new_identity, life.stored.identity);
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_panic_in_create_leaves_no_object_and_one_in_delete_leaves_it() -> Outcome {
    let plugin = running().await?;
    let (mut life, config) =
        thing(&plugin, "b", [("act", Value::string("panic in create"))]).await?;
    let planned = life.plan(&config).await?;
    let answer = life.ask_apply(&config, &planned).await?;
    is_defect(&answer.diagnostics);
    assert_eq!(read(answer.new_state.as_ref(), &life.ty)?, Value::Null);
    let (mut life, _) = stored(&plugin, [("act", Value::string("panic in delete"))]).await?;
    let planned = life.plan(&Value::Null).await?;
    let answer = life.ask_apply(&Value::Null, &planned).await?;
    is_defect(&answer.diagnostics);
    assert_eq!(
        read(answer.new_state.as_ref(), &life.ty)?,
        life.stored.state
    );
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_panic_in_any_other_call_is_an_error_of_that_call() -> Outcome {
    let plugin = running().await?;
    let (mut life, config) = thing(&plugin, "c", [("act", Value::string("panic in plan"))]).await?;
    is_defect(&life.ask_plan(&config).await?.diagnostics);
    let (mut life, config) =
        thing(&plugin, "c", [("act", Value::string("panic in validate"))]).await?;
    is_defect(&life.validate(&config).await?);
    let (mut life, _) = stored(&plugin, [("act", Value::string("panic in plan_delete"))]).await?;
    is_defect(&life.ask_plan(&Value::Null).await?.diagnostics);
    let request = wire::upgrade_resource_state::Request {
        type_name: "sample_thing".to_owned(),
        version: 1,
        raw_state: Some(wire::RawState {
            json: b"{}".to_vec(),
            ..Default::default()
        }),
    };
    let answer = plugin
        .calls()?
        .upgrade_resource_state(request)
        .await?
        .into_inner();
    is_defect(&answer.diagnostics);
    let request = wire::import_resource_state::Request {
        type_name: "sample_thing".to_owned(),
        id: "panic".to_owned(),
        ..Default::default()
    };
    let answer = plugin
        .calls()?
        .import_resource_state(request)
        .await?
        .into_inner();
    is_defect(&answer.diagnostics);
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_panic_in_stop_is_told_and_harms_no_other_call() -> Outcome {
    let plugin = running().await?;
    configure(&plugin, [("act", Value::string("panic in stop"))]).await?;
    let answer = plugin
        .calls()?
        .stop(wire::stop::Request {})
        .await?
        .into_inner();
    assert!(answer.error.contains("asked for"), "{answer:?}");
    let (mut life, config) = thing(&plugin, "d", []).await?;
    life.apply(&config).await?;
    assert!(plugin.shutdown().await?.status.success());
    Ok(())
}

#[tokio::test]
async fn a_panic_while_configuring_is_an_error() -> Outcome {
    let plugin = running().await?;
    let failed = configure(&plugin, [("act", Value::string("panic in configure"))]).await;
    assert!(failed.is_err_and(|error| error.to_string().contains("panicked")));
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_panic_is_written_in_the_form_that_core_takes_for_one() -> Outcome {
    let plugin = start()?.plugin().await?;
    let _ = configure(&plugin, [("act", Value::string("panic in configure"))]).await;
    let ended = plugin.shutdown().await?;
    let trace: Vec<_> = ended
        .log
        .iter()
        .skip_while(|line| !line.starts_with("panic: "))
        .collect();
    assert!(
        trace
            .iter()
            .any(|line| line.contains("asked for in configure")),
        "{trace:?}"
    );
    Ok(())
}

#[tokio::test]
async fn an_attribute_that_is_not_in_the_schema_is_a_defect_and_not_lost() -> Outcome {
    let plugin = running().await?;
    let (mut life, config) = thing(&plugin, "e", [("act", Value::string("misspell"))]).await?;
    let errors = errors(&life.ask_plan(&config).await?.diagnostics);
    assert!(
        errors.iter().any(|error| error.contains("szie")),
        "{errors:?}"
    );
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn an_identity_never_changes() -> Outcome {
    let plugin = running().await?;
    let (mut life, mut config) = stored(&plugin, []).await?;
    let identity = life.stored.identity.clone();
    config.set("act", Value::string("change identity"));
    life.apply(&config).await?;
    assert_eq!(life.stored.identity, identity);
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn an_error_while_updating_keeps_what_was_done() -> Outcome {
    let plugin = running().await?;
    let (mut life, mut config) = stored(&plugin, []).await?;
    config.set("act", Value::string("half"));
    let planned = life.plan(&config).await?;
    let answer = life.ask_apply(&config, &planned).await?;
    assert_eq!(errors(&answer.diagnostics).len(), 1);
    let state = read(answer.new_state.as_ref(), &life.ty)?;
    assert_eq!(state.get("size"), &Value::integer(1_i64));
    assert_eq!(answer.new_identity, life.stored.identity);
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_write_only_value_needs_a_caller_that_knows_of_them() -> Outcome {
    let plugin = running().await?;
    let secret = Value::string("hush");
    let block = Value::object([("key", secret.clone()), ("user", Value::Null)]);
    for (name, value, place) in [("secret", secret, ".secret:"), ("ssh", block, ".ssh.key:")] {
        let (life, config) = thing(&plugin, "f", [(name, value)]).await?;
        let request = wire::validate_resource_type_config::Request {
            type_name: life.type_name.clone(),
            config: Some(write(&config, &life.ty)),
            client_capabilities: None,
        };
        let answer = plugin
            .calls()?
            .validate_resource_type_config(request)
            .await?
            .into_inner();
        let errors = errors(&answer.diagnostics);
        assert!(
            errors.len() == 1 && errors[0].starts_with(place),
            "{errors:?}"
        );
    }
    plugin.shutdown().await?;
    Ok(())
}
