//! The sample provider, started and configured.

use std::path::Path;

use tests::client::{Failure, Life, Plugin, Start, Trust, block_type, errors, write};
use tf_plugin::{Value, tfplugin5 as wire};

/// The sample provider, not started yet.
pub(crate) fn start() -> Result<Start, Failure> {
    Start::new(
        Path::new(env!("CARGO_BIN_EXE_sample-provider")),
        Trust::Mutual,
    )
}

/// A running one whose things lie in its directory for temporary files.
pub(crate) async fn running() -> Result<Plugin, Failure> {
    let plugin = start()?.plugin().await?;
    configure(&plugin, []).await?;
    Ok(plugin)
}

/// The same, telling what it does.
pub(crate) async fn telling() -> Result<Plugin, Failure> {
    let plugin = start()?.env("TF_LOG", "info").plugin().await?;
    configure(&plugin, []).await?;
    Ok(plugin)
}

/// Configures it; the things lie in its directory for temporary files unless `members` say otherwise.
pub(crate) async fn configure<const N: usize>(
    plugin: &Plugin,
    members: [(&str, Value); N],
) -> Result<(), Failure> {
    let schema = plugin
        .schemas()
        .await?
        .provider
        .and_then(|schema| schema.block);
    let ty = block_type(&schema.ok_or("there is a schema")?)?;
    let directory = plugin.temporary().display().to_string();
    let mut config = Value::object([("directory", Value::string(directory))]);
    for (name, value) in members {
        config.set(name, value);
    }
    let request = wire::configure::Request {
        terraform_version: "1.13.0".to_owned(),
        config: Some(write(&config, &ty)),
        client_capabilities: None,
    };
    let answer = plugin.calls()?.configure(request).await?.into_inner();
    match errors(&answer.diagnostics)[..] {
        [] => Ok(()),
        ref errors => Err(errors.join("\n").into()),
    }
}

/// A thing of that name in the hands of Core, and a configuration for it.
pub(crate) async fn thing<const N: usize>(
    plugin: &Plugin,
    name: &str,
    members: [(&str, Value); N],
) -> Result<(Life, Value), Failure> {
    let life = Life::new(plugin, "sample_thing").await?;
    let mut config = life.config(members);
    config.set("name", Value::string(name));
    Ok((life, config))
}
