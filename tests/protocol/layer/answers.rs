//! Every call is answered, whatever it asks; go-plugin's own services too.

use tests::{
    Outcome,
    client::{Failure, block_type, errors, every_call, read, write},
};
use tf_plugin::{
    Refinement, Type, Value,
    go_plugin::{
        ConnInfo, grpc_broker_client::GrpcBrokerClient, grpc_stdio_client::GrpcStdioClient,
    },
    health::{HealthCheckRequest, health_client::HealthClient},
    tfplugin5 as wire,
};
use tokio_stream::StreamExt;

use crate::sample::{configure, running, start, thing};

#[tokio::test]
async fn what_is_asked_in_vain_is_answered_with_an_error_and_no_status() -> Outcome {
    let plugin = running().await?;
    for name in ["", "sample_nothing", "sample_thing", "sample_echo"] {
        for (call, errors) in every_call(&plugin, name).await? {
            assert_eq!(errors.len(), 1, "{call} of {name:?}: {errors:?}");
        }
    }
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn what_the_layer_says_of_itself_fits_together() -> Outcome {
    let plugin = running().await?;
    let mut calls = plugin.calls()?;
    let schemas = plugin.schemas().await?;
    assert_eq!(tests::client::problems(&schemas), Vec::<String>::new());
    let capabilities = schemas.server_capabilities.ok_or("capabilities")?;
    assert!(capabilities.plan_destroy && capabilities.get_provider_schema_optional);
    assert!(capabilities.move_resource_state && !capabilities.generate_resource_config);
    let metadata = calls
        .get_metadata(wire::get_metadata::Request {})
        .await?
        .into_inner();
    let resources: Vec<_> = metadata
        .resources
        .iter()
        .map(|one| one.type_name.as_str())
        .collect();
    assert_eq!(resources, ["sample_thing"]);
    let functions = calls
        .get_functions(wire::get_functions::Request {})
        .await?
        .into_inner();
    assert_eq!(functions.functions, schemas.functions);
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_provider_configuration_is_checked_and_echoed() -> Outcome {
    let plugin = start()?.plugin().await?;
    let schema = plugin
        .schemas()
        .await?
        .provider
        .and_then(|schema| schema.block);
    let ty = block_type(&schema.ok_or("a schema")?)?;
    for (directory, wrong) in [(Value::string(""), 1), (Value::unknown(), 0)] {
        let config = Some(write(&Value::object([("directory", directory)]), &ty));
        let request = wire::prepare_provider_config::Request {
            config: config.clone(),
        };
        let answer = plugin
            .calls()?
            .prepare_provider_config(request)
            .await?
            .into_inner();
        assert_eq!(answer.prepared_config, config);
        let errors = errors(&answer.diagnostics);
        assert_eq!(errors.len(), wrong, "{errors:?}");
        assert!(
            errors.iter().all(|error| error.starts_with(".directory:")),
            "{errors:?}"
        );
    }
    configure(&plugin, [("directory", Value::unknown())]).await?;
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn values_of_every_form_come_back_as_they_went() -> Outcome {
    let plugin = running().await?;
    let promised = Value::Unknown(Box::new(Refinement {
        null: Some(false),
        prefix: Some("10.".to_owned()),
        ..Refinement::default()
    }));
    let number = |text| tf_plugin::Number::parse(text).map_or(Value::Null, Value::Number);
    let told = |ty, value| Value::Dynamic(Box::new((ty, value)));
    let host = Type::object([("host", Type::String)]);
    let values = [
        ("count_of", number("9223372036854775808")),
        ("count_of", number("0.1")),
        ("count_of", Value::integer(i64::MIN)),
        ("names", Value::strings(["", "caf\u{e9}"])),
        ("names", Value::List(vec![promised.clone(), Value::Null])),
        ("ports", Value::List(vec![number("2379"), number("2380")])),
        (
            "point",
            Value::object([("x", number("1")), ("y", Value::Null)]),
        ),
        (
            "pair",
            Value::List(vec![Value::string("a"), Value::unknown()]),
        ),
        ("nodes", Value::unknown()),
        ("nodes", told(Type::String, Value::Null)),
        ("nodes", told(Type::map(host.clone()), Value::unknown())),
        ("nodes", told(host, Value::object([("host", promised)]))),
        ("profile", Value::unknown()),
        (
            "zone",
            Value::object([("a", Value::object([("user", Value::unknown())]))]),
        ),
    ];
    for (name, value) in values {
        let (mut life, config) = thing(&plugin, "all", [(name, value.clone())]).await?;
        let errors = errors(&life.validate(&config).await?);
        assert!(errors.is_empty(), "{name}: {errors:?}");
        assert_eq!(life.plan(&config).await?.state.get(name), &value, "{name}");
    }
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_data_source_gives_what_it_is_given() -> Outcome {
    let plugin = running().await?;
    let schemas = plugin.schemas().await?;
    let block = schemas
        .data_source_schemas
        .get("sample_echo")
        .and_then(|one| one.block.clone());
    let ty = block_type(&block.ok_or("a schema")?)?;
    let given = Value::Dynamic(Box::new((Type::list(Type::Bool), Value::List(vec![]))));
    let config = Some(write(&Value::object([("given", given.clone())]), &ty));
    let type_name = "sample_echo".to_owned();
    let request = wire::validate_data_source_config::Request {
        type_name: type_name.clone(),
        config: config.clone(),
    };
    let answer = plugin
        .calls()?
        .validate_data_source_config(request)
        .await?
        .into_inner();
    assert!(answer.diagnostics.is_empty());
    let request = wire::read_data_source::Request {
        type_name,
        config,
        ..Default::default()
    };
    let answer = plugin
        .calls()?
        .read_data_source(request)
        .await?
        .into_inner();
    assert_eq!(read(answer.state.as_ref(), &ty)?.get("echo"), &given);
    assert!(errors(&answer.diagnostics).is_empty());
    assert_eq!(answer.diagnostics.len(), 1, "a warning is passed on");
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_function_answers_or_names_the_argument_at_fault() -> Outcome {
    let plugin = running().await?;
    let call = async |name: &str, argument: Value| -> Result<_, Failure> {
        let request = wire::call_function::Request {
            name: name.to_owned(),
            arguments: vec![write(&argument, &Type::Number)],
        };
        Ok(plugin.calls()?.call_function(request).await?.into_inner())
    };
    let twice = call("twice", Value::integer(21_i64)).await?;
    assert_eq!(
        read(twice.result.as_ref(), &Type::Number)?,
        Value::integer(42_i64)
    );
    for argument in [Value::integer(13_i64), Value::string("x")] {
        let refused = call("twice", argument).await?;
        let error = refused.error.ok_or("an error")?;
        assert_eq!(
            (refused.result, error.function_argument),
            (None, Some(0)),
            "{}",
            error.text
        );
    }
    let panicked = call("twice", Value::integer(666_i64)).await?;
    assert!(
        panicked
            .error
            .is_some_and(|error| error.text.contains("defect"))
    );
    assert!(call("thrice", Value::integer(1_i64)).await?.error.is_some());
    let request = wire::call_function::Request {
        name: "twice".to_owned(),
        arguments: vec![],
    };
    let empty = plugin.calls()?.call_function(request).await?.into_inner();
    assert!(
        empty
            .error
            .is_some_and(|error| error.text.contains("argument"))
    );
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn messages_of_many_megabytes_pass() -> Outcome {
    let plugin = running().await?;
    let text = Value::string("x".repeat(40 << 20));
    let (mut life, config) = thing(&plugin, "large", [("password", text.clone())]).await?;
    assert_eq!(life.plan(&config).await?.state.get("password"), &text);
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn health_is_told_for_the_name_that_go_plugin_asks() -> Outcome {
    let plugin = running().await?;
    let mut health = HealthClient::new(plugin.connection()?);
    let request = HealthCheckRequest {
        service: "plugin".to_owned(),
    };
    assert_eq!(health.check(request).await?.into_inner().status, 1);
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn streams_stay_open_and_silent_until_the_end() -> Outcome {
    let plugin = running().await?;
    let mut stdio = GrpcStdioClient::new(plugin.connection()?)
        .stream_stdio(())
        .await?
        .into_inner();
    let requests = tokio_stream::pending::<ConnInfo>();
    let mut broker = GrpcBrokerClient::new(plugin.connection()?);
    let mut broker = broker.start_stream(requests).await?.into_inner();
    let mut first = Box::pin(async {
        tokio::select! {
            data = stdio.next() => format!("{data:?}"),
            info = broker.next() => format!("{info:?}"),
        }
    });
    for _ in 0..3 {
        plugin.schemas().await?;
        assert!(futures::poll!(&mut first).is_pending());
    }
    drop(first);
    plugin.shutdown().await?;
    assert!(
        stdio.next().await.is_none_or(|end| end.is_err()),
        "the end, and no data"
    );
    Ok(())
}
