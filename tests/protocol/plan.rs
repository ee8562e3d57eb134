//! What it validates and plans without seeing a host.

use tests::{
    Outcome,
    client::{Life, errors, unknown_everywhere},
};
use tf_plugin::{Refinement, Type, Value};

use crate::provider::{ca, cluster, each, nodes, running};

/// A state as after an apply: what is unknown in a plan has some value.
pub(crate) fn pretend_made(planned: &Value) -> Value {
    match planned {
        Value::Unknown(_) => Value::Null,
        Value::Map(members) => {
            let made = |(name, value): (&String, &Value)| {
                let value = match (name.as_str(), value) {
                    ("id", Value::Unknown(_)) => Value::string("5f0d6a8e"),
                    ("status", Value::Unknown(_)) => Value::string("ready"),
                    ("root_fingerprint", Value::Unknown(_)) => Value::string("ab".repeat(32)),
                    ("change_plan" | "drift", Value::Unknown(_)) => Value::List(Vec::new()),
                    (_, value) => pretend_made(value),
                };
                (name.clone(), value)
            };
            Value::object(members.iter().map(made))
        }
        Value::List(elements) => Value::List(elements.iter().map(pretend_made).collect()),
        known => known.clone(),
    }
}

#[tokio::test]
async fn validation_is_content_when_everything_is_unknown() -> Outcome {
    let plugin = running().await?;
    for name in plugin.schemas().await?.resource_schemas.keys() {
        let mut life = Life::new(&plugin, name).await?;
        let unknown = unknown_everywhere(&life.block);
        let errors = errors(&life.validate(&unknown).await?);
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn validation_needs_no_configured_provider_and_names_the_users_attribute() -> Outcome {
    let plugin = crate::provider::start(tests::client::Trust::Mutual)?
        .plugin()
        .await?;
    let mut life = Life::new(&plugin, "etcd_step_ca").await?;
    let node = |member| nodes([(member, Value::string("10.0.1.10"))]);
    for (name, nodes, place) in [
        ("Not a name", node("host"), ".name:"),
        ("main", node("hots"), ".nodes[1]"),
        // One mistake hides no other.
        ("Not a name", node("hots"), ".name:"),
        ("Not a name", node("hots"), ".nodes[1]"),
    ] {
        let config = life.config([
            ("name", Value::string(name)),
            ("nodes", nodes),
            ("active_node", Value::string("1")),
        ]);
        let errors = errors(&life.validate(&config).await?);
        assert!(
            errors.iter().any(|error| error.starts_with(place)),
            "{place} in {errors:#?}"
        );
    }
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn two_processes_plan_the_same_bytes() -> Outcome {
    let (one, other) = (running().await?, running().await?);
    for (mut life, mut config) in each(&one).await? {
        let created = life.plan(&config).await?;
        life.in_process(&other)?;
        assert_eq!(
            life.plan(&config).await?.response,
            created.response,
            "{}",
            life.type_name
        );
        life.stored.state = pretend_made(&created.state);
        life.stored.private = created.response.planned_private;
        let (attribute, value) = match life.type_name.as_str() {
            "talos_artifact" => ("kernel_args", Value::strings(["a=b".to_owned()])),
            "talos_artifact_copy" => ("file_name", Value::string("other.iso")),
            _ => ("deletion_protection", Value::Bool(false)),
        };
        config.set(attribute, value);
        let updated = life.ask_plan(&config).await?;
        life.in_process(&one)?;
        assert_eq!(life.ask_plan(&config).await?, updated, "{}", life.type_name);
    }
    one.shutdown().await?;
    other.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn what_is_not_known_before_creation_is_unknown_and_the_rest_is_told() -> Outcome {
    let plugin = running().await?;
    for (mut life, config) in each(&plugin).await? {
        let planned = life.plan(&config).await?.state;
        assert!(planned.get("id").is_unknown(), "{}", life.type_name);
        for attribute in &life.block.attributes {
            let is_open = attribute.computed && config.get(&attribute.name).is_null();
            let is_left = is_open && planned.get(&attribute.name).is_null();
            assert!(
                !is_left,
                "{}.{} is null for good",
                life.type_name, attribute.name
            );
        }
    }
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_state_survives_hosts_that_are_not_seen() -> Outcome {
    let plugin = running().await?;
    for (mut life, config) in each(&plugin).await? {
        let planned = life.plan(&config).await?;
        life.stored.state = pretend_made(&planned.state);
        life.stored.private = planned.response.planned_private;
        life.stored.identity = planned.response.planned_identity;
        let before = life.stored.clone();
        assert!(!life.refresh().await?.is_empty(), "somebody is told");
        let seen = life.stored.clone();
        assert_eq!(
            seen.state.get("id"),
            before.state.get("id"),
            "{}",
            life.type_name
        );
        assert_eq!(seen.identity, before.identity);
        life.refresh().await?;
        assert_eq!(life.stored, seen, "nothing changes by itself");
    }
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn nodes_come_in_every_form_that_core_sends() -> Outcome {
    let plugin = running().await?;
    let promised = Value::Unknown(Box::new(Refinement {
        null: Some(false),
        ..Refinement::default()
    }));
    let (mut life, config) = cluster(&plugin).await?;
    let host = |value| ("host", value);
    let told = |ty, value| Value::Dynamic(Box::new((ty, value)));
    let object = Type::object([("host", Type::String), ("address", Type::String)]);
    let member = [
        host(Value::string("127.0.0.1")),
        ("address", Value::string("10.0.1.10")),
    ];
    let member = Value::object(member);
    for nodes in [
        Value::unknown(),
        told(Type::map(object.clone()), Value::unknown()),
        told(
            Type::map(object.clone()),
            Value::object([("1", Value::unknown())]),
        ),
        told(Type::map(object), Value::object([("1", member)])),
        nodes([host(promised)]),
        nodes([
            host(Value::string("10.0.1.10")),
            ("port", Value::string("22")),
        ]),
        nodes([host(Value::string("10.0.1.10")), ("port", Value::unknown())]),
    ] {
        let mut config = config.clone();
        config.set("nodes", nodes.clone());
        let wrong = errors(&life.validate(&config).await?);
        assert!(wrong.is_empty(), "{nodes:?}: {wrong:?}");
        assert_eq!(life.plan(&config).await?.state.get("nodes"), &nodes);
    }
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_provider_whose_configuration_is_not_known_yet_plans_all_the_same() -> Outcome {
    let plugin = crate::provider::start(tests::client::Trust::Mutual)?
        .plugin()
        .await?;
    crate::provider::configure(&plugin, [("user", Value::unknown())]).await?;
    let (mut life, config) = ca(&plugin).await?;
    let planned = life.plan(&config).await?;
    life.stored.state = pretend_made(&planned.state);
    let seen = life.ask_read().await?;
    assert!(errors(&seen.diagnostics).is_empty());
    let state = tests::client::read(seen.new_state.as_ref(), &life.ty)?;
    assert_eq!(
        state, life.stored.state,
        "what cannot be read stays as it was"
    );
    plugin.shutdown().await?;
    Ok(())
}
