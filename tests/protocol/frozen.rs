//! States that earlier builds wrote: read without loss, and with the same configuration nothing is to do.
//!
//! A fixture is what a state file holds of one resource after a real apply. It is written once and never
//! edited: each build that can write another form adds its own.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use tests::{
    Outcome,
    client::{Life, Plugin},
};
use tf_plugin::Value;

use crate::provider::running;

/// What a person wrote: the state without what the provider alone computes.
fn configuration(life: &Life, state: &Value) -> Value {
    let mut config = state.clone();
    for attribute in &life.block.attributes {
        if attribute.computed && !attribute.optional {
            config.set(&attribute.name, Value::Null);
        }
    }
    config
}

/// A cluster keeps the version that was the default when it was made.
async fn keeps_its_version(plugin: &Plugin, fixture: &Path) -> Outcome {
    let text = fs::read_to_string(fixture)?;
    let told: serde_json::Value = serde_json::from_str(&text)?;
    let newest = told["attributes"]["version"].as_str().ok_or("a version")?;
    let earlier = "3.5.34";
    assert_ne!(newest, earlier, "the fixture has the default");
    let told: serde_json::Value = serde_json::from_str(&text.replace(newest, earlier))?;
    let mut life = Life::new(plugin, "etcd_cluster").await?;
    life.stored.state = life.upgrade_from(0, &told["attributes"]).await?;
    let mut config = configuration(&life, &life.stored.state);
    config.set("version", Value::Null);
    let planned = life.plan(&config).await?.state;
    assert_eq!(planned.get("version").as_str(), Some(earlier));
    assert_eq!(planned, life.stored.state, "nothing is planned");
    Ok(())
}

async fn check(plugin: &Plugin, fixture: &Path) -> Outcome {
    let told: serde_json::Value = serde_json::from_str(&fs::read_to_string(fixture)?)?;
    let name = told["type"].as_str().ok_or("a type")?;
    let version = told["schema_version"].as_i64().ok_or("a version")?;
    let private = told["private"].as_str().ok_or("private data")?;
    let mut life = Life::new(plugin, name).await?;
    life.stored.state = life.upgrade_from(version, &told["attributes"]).await?;
    life.stored.private = STANDARD.decode(private)?;
    for (attribute, value) in told["attributes"].as_object().ok_or("attributes")? {
        assert_eq!(
            &life.state_file()[attribute],
            value,
            "{attribute} of {name} v{version} is lost"
        );
    }

    let config = configuration(&life, &life.stored.state);
    let planned = life.plan(&config).await?;
    assert_eq!(
        planned.state, life.stored.state,
        "{name} v{version}: the same configuration plans nothing"
    );
    // The facts in it are understood, not just carried: without them a change would not be known.
    let mut wish = config.clone();
    let (attribute, value) = match name {
        "etcd_cluster" => ("snapshot_count", Value::integer(20_000)),
        "etcd_step_ca" => ("max_lifetime", Value::string("30000h")),
        "talos_artifact" => ("kernel_args", Value::strings(["a=b".to_owned()])),
        "talos_artifact_copy" => ("file_name", Value::string("other.iso")),
        _ => return Err(format!("say what a change of {name} is").into()),
    };
    wish.set(attribute, value);
    let changed = life.plan(&wish).await?.state;
    let steps = changed.get("change_plan").as_list().unwrap_or_default();
    assert!(!steps.is_empty(), "{name}: {changed:?}");
    Ok(())
}

#[tokio::test]
async fn a_version_that_nobody_names_stays() -> Outcome {
    let plugin = running().await?;
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/state/etcd_cluster-v0.json");
    keeps_its_version(&plugin, &fixture).await?;
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn states_of_earlier_builds_are_read_and_need_nothing() -> Outcome {
    let plugin = running().await?;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/state");
    let mut seen = 0;
    for entry in fs::read_dir(directory)? {
        check(&plugin, &entry?.path()).await?;
        seen += 1;
    }
    assert!(seen >= 4, "one for each resource");
    plugin.shutdown().await?;
    Ok(())
}
