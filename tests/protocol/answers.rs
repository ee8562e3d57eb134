//! Every call is answered.

use tests::{
    Outcome,
    client::{errors, every_call, read},
};

use crate::provider::{artifact, ca, cluster, copy, running};

#[tokio::test]
async fn what_is_asked_in_vain_is_answered_with_an_error_and_no_status() -> Outcome {
    let plugin = running().await?;
    let schemas = plugin.schemas().await?;
    let resources = schemas.resource_schemas.keys();
    let mut names: Vec<_> = resources
        .chain(schemas.data_source_schemas.keys())
        .cloned()
        .collect();
    names.extend([String::new(), "etcd_nothing".to_owned()]);
    for name in names {
        for (call, errors) in every_call(&plugin, &name).await? {
            assert!(!errors.is_empty(), "{call} of {name:?}");
        }
    }
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_creation_that_reaches_no_host_leaves_no_object() -> Outcome {
    let plugin = running().await?;
    for ((mut life, config), words) in [
        (ca(&plugin).await?, "127.0.0.1"),
        (artifact(&plugin).await?, "127.0.0.1"),
        (copy(&plugin).await?, "no proxmox block"),
    ] {
        let planned = life.plan(&config).await?;
        let answer = life.ask_apply(&config, &planned).await?;
        let errors = errors(&answer.diagnostics);
        assert!(
            errors.iter().any(|error| error.contains(words)),
            "names what was not reached: {errors:?}"
        );
        let state = read(answer.new_state.as_ref(), &life.ty)?;
        assert!(state.is_null(), "{}", life.type_name);
    }
    plugin.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_destruction_is_refused_while_the_object_is_protected() -> Outcome {
    let plugin = running().await?;
    for (mut life, config) in [ca(&plugin).await?, cluster(&plugin).await?] {
        life.stored.state = crate::plan::pretend_made(&life.plan(&config).await?.state);
        let refused = errors(&life.ask_plan(&tf_plugin::Value::Null).await?.diagnostics);
        assert!(
            refused
                .iter()
                .any(|error| error.starts_with(".deletion_protection")),
            "{}: {refused:?}",
            life.type_name
        );
    }
    plugin.shutdown().await?;
    Ok(())
}
