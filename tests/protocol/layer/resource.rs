//! The life of a resource, as Core sees it.

use tests::{Outcome, client::errors};
use tf_plugin::{Number, Type, Value, tfplugin5 as wire};

use crate::sample::{running, thing};

fn labels() -> Value {
    Value::object([("a", Value::string("1")), ("b", Value::string("2"))])
}

/// A configuration in which everything stands.
fn everything() -> [(&'static str, Value); 12] {
    let number = |text| Number::parse(text).map_or(Value::Null, Value::Number);
    let node = Value::object([("host", Value::string("10.0.1.10"))]);
    let nodes = Type::object([("1", Type::object([("host", Type::String)]))]);
    let nodes = Value::Dynamic(Box::new((nodes, Value::object([("1", node)]))));
    let user = |name| Value::object([("user", Value::string(name))]);
    let ssh = [
        ("user", Value::string("ops")),
        ("key", Value::string("hush")),
    ];
    [
        ("count_of", number("18446744073709551616")),
        ("flag", Value::Bool(false)),
        ("labels", labels()),
        ("names", Value::strings(["b", "a", "b"])),
        ("ports", Value::List(vec![number("2379"), number("2380")])),
        (
            "point",
            Value::object([("x", number("0.1")), ("y", Value::Null)]),
        ),
        (
            "pair",
            Value::List(vec![Value::string("a"), Value::Bool(true)]),
        ),
        ("nodes", nodes),
        ("secret", Value::string("hush")),
        ("ssh", Value::object(ssh)),
        ("profile", Value::List(vec![user("one"), user("two")])),
        ("zone", Value::object([("north", user("three"))])),
    ]
}

#[tokio::test]
async fn what_is_applied_is_settled_and_stays_so() -> Outcome {
    let plugin = running().await?;
    let (mut life, config) = thing(&plugin, "a", everything()).await?;
    assert!(errors(&life.validate(&config).await?).is_empty());
    life.apply(&config).await?;
    for _ in 0..3 {
        assert!(life.is_settled(&config).await?, "without a refresh");
        let before = life.stored.clone();
        life.refresh().await?;
        assert_eq!(life.stored, before, "a refresh changes nothing");
        assert!(life.is_settled(&config).await?, "with a refresh");
        assert_eq!(
            life.upgrade().await?,
            life.stored.state,
            "as the state file has it"
        );
    }
    life.apply(&Value::Null).await?;
    assert_eq!(life.stored.state, Value::Null);
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn what_is_gone_already_is_destroyed_all_the_same() -> Outcome {
    let plugin = running().await?;
    let (mut life, config) = thing(&plugin, "a", []).await?;
    life.apply(&config).await?;
    std::fs::remove_file(plugin.temporary().join("a"))?;
    life.apply(&Value::Null).await?;
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn what_was_changed_outside_is_found_and_mended() -> Outcome {
    let plugin = running().await?;
    let (mut life, config) = thing(&plugin, "a", everything()).await?;
    life.apply(&config).await?;
    let path = plugin.temporary().join("a");
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(&path, text.replace("\"north\"", "\"south\""))?;
    life.refresh().await?;
    assert!(
        !life.is_settled(&config).await?,
        "the change is planned away"
    );
    life.apply(&config).await?;
    assert!(life.is_settled(&config).await?);
    std::fs::remove_file(&path)?;
    life.refresh().await?;
    assert_eq!(life.stored.state, Value::Null, "what is gone is made again");
    life.apply(&config).await?;
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn two_processes_plan_the_same_bytes() -> Outcome {
    let (one, other) = (running().await?, running().await?);
    let (mut life, mut config) = thing(&one, "a", everything()).await?;
    let created = life.plan(&config).await?.response;
    life.in_process(&other)?;
    assert_eq!(life.plan(&config).await?.response, created);
    life.apply(&config).await?;
    config.set("flag", Value::Bool(true));
    let updated = life.plan(&config).await?.response;
    life.in_process(&one)?;
    assert_eq!(life.plan(&config).await?.response, updated);
    one.shutdown().await?;
    other.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn schemas_are_the_same_in_every_process() -> Outcome {
    let (one, other) = (running().await?, running().await?);
    assert_eq!(one.schemas().await?, other.schemas().await?);
    Ok(())
}

#[tokio::test]
async fn what_is_not_given_is_unknown_until_it_is_made_and_then_kept() -> Outcome {
    let plugin = running().await?;
    let (mut life, mut config) = thing(&plugin, "a", [("labels", labels())]).await?;
    let planned = life.plan(&config).await?.state;
    for name in ["id", "size", "members", "ratio"] {
        assert!(planned.get(name).is_unknown(), "{name}");
    }
    life.apply(&config).await?;
    config.set("flag", Value::Bool(true));
    let planned = life.plan(&config).await?.state;
    assert_eq!(planned.get("id"), &Value::string("a"));
    assert_eq!(planned.get("ratio"), life.stored.state.get("ratio"));
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn write_only_values_are_in_no_plan_and_no_state() -> Outcome {
    let plugin = running().await?;
    let (mut life, config) = thing(&plugin, "a", everything()).await?;
    let planned = life.plan(&config).await?;
    assert!(!format!("{planned:?}").contains("hush"));
    assert_eq!(planned.state.get("ssh").get("user"), &Value::string("ops"));
    life.apply(&config).await?;
    life.refresh().await?;
    assert!(
        !life.state_file().to_string().contains("hush"),
        "{}",
        life.state_file()
    );
    let file = std::fs::read_to_string(plugin.temporary().join("a"))?;
    assert!(
        !file.contains("hush"),
        "not even where the provider keeps its things"
    );
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn errors_are_told_at_the_users_own_attribute() -> Outcome {
    let plugin = running().await?;
    let empty = Value::object([("a", Value::string(""))]);
    let (mut life, config) = thing(&plugin, "", [("labels", empty)]).await?;
    let errors = errors(&life.validate(&config).await?);
    assert_eq!(
        errors,
        [
            ".name: No name: The name is empty.",
            ".labels[a]: No label: The label is empty."
        ]
    );
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn validation_is_content_when_everything_is_unknown() -> Outcome {
    let plugin = running().await?;
    let (mut life, _) = thing(&plugin, "a", []).await?;
    let unknown = tests::client::unknown_everywhere(&life.block);
    assert!(errors(&life.validate(&unknown).await?).is_empty());
    assert!(!life.plan(&unknown).await?.state.is_wholly_known());
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_destruction_can_be_refused_at_plan() -> Outcome {
    let plugin = running().await?;
    let (mut life, config) = thing(&plugin, "a", [("act", Value::string("keep"))]).await?;
    life.apply(&config).await?;
    let answer = life.ask_plan(&Value::Null).await?;
    assert_eq!(
        errors(&answer.diagnostics),
        [".act: Kept: It is protected."]
    );
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn import_by_name_and_by_identity_lead_to_the_same() -> Outcome {
    let plugin = running().await?;
    let (mut life, config) = thing(&plugin, "a", everything()).await?;
    life.apply(&config).await?;
    let wanted = life.stored.clone();
    let named = wire::import_resource_state::Request {
        type_name: "sample_thing".to_owned(),
        id: "a".to_owned(),
        ..Default::default()
    };
    let identified = wire::import_resource_state::Request {
        type_name: "sample_thing".to_owned(),
        identity: wanted.identity.clone(),
        ..Default::default()
    };
    for request in [named, identified] {
        let answer = plugin
            .calls()?
            .import_resource_state(request)
            .await?
            .into_inner();
        assert!(answer.diagnostics.is_empty(), "{answer:?}");
        let [imported] = &answer.imported_resources[..] else {
            panic!("one: {answer:?}")
        };
        assert_eq!(imported.type_name, "sample_thing");
        life.stored.state = tests::client::read(imported.state.as_ref(), &life.ty)?;
        life.stored.private.clone_from(&imported.private);
        life.stored.identity.clone_from(&imported.identity);
        life.refresh().await?;
        assert_eq!(life.stored.state, wanted.state);
        assert_eq!(life.stored.identity, wanted.identity);
    }
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn an_identity_is_told_once_it_is_known() -> Outcome {
    let plugin = running().await?;
    let (mut life, mut config) = thing(&plugin, "a", []).await?;
    config.set("name", Value::unknown());
    assert_eq!(life.plan(&config).await?.response.planned_identity, None);
    config.set("name", Value::string("a"));
    assert!(
        life.plan(&config)
            .await?
            .response
            .planned_identity
            .is_some()
    );
    life.apply(&config).await?;
    assert!(life.stored.identity.is_some());
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn an_older_state_is_brought_to_today() -> Outcome {
    let plugin = running().await?;
    let (life, _) = thing(&plugin, "a", []).await?;
    let upgrade = async |version, json: &str| -> Result<_, tests::client::Failure> {
        let request = wire::upgrade_resource_state::Request {
            type_name: "sample_thing".to_owned(),
            version,
            raw_state: Some(wire::RawState {
                json: json.as_bytes().to_vec(),
                flatmap: [].into(),
            }),
        };
        Ok(plugin
            .calls()?
            .upgrade_resource_state(request)
            .await?
            .into_inner())
    };
    let old = upgrade(2, r#"{ "title": "a", "flag": true, "secret": "hush" }"#).await?;
    let state = tests::client::read(old.upgraded_state.as_ref(), &life.ty)?;
    assert_eq!(state.get("name"), &Value::string("a"));
    assert_eq!(
        state.get("secret"),
        &Value::Null,
        "write-only values are in no state"
    );
    // Attributes that there are no more are dropped, missing ones are null, numbers are not rounded.
    let same = upgrade(
        3,
        r#"{ "name": "a", "gone": 1, "count_of": 9007199254740993.5 }"#,
    )
    .await?;
    let state = tests::client::read(same.upgraded_state.as_ref(), &life.ty)?;
    let number = Number::parse("9007199254740993.5").map(Value::Number);
    assert_eq!(Some(state.get("count_of")), number.as_ref());
    let wrong = upgrade(3, r#"{ "name": ["a"] }"#).await?;
    assert!(
        errors(&wrong.diagnostics)[0].contains("name is not a string"),
        "{wrong:?}"
    );
    plugin.shutdown().await?;
    Ok(())
}
