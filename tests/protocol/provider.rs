//! The built provider, and what to ask of it.

use std::{net::TcpListener, path::PathBuf};

use tests::client::{
    Failure, Life, Plugin, Start, Trust, block_type, configuration, errors, write,
};
use tf_plugin::{Type, Value, tfplugin5 as wire};

/// Names the provider's program.
const PATH: &str = "ETCD_PROVIDER_PATH";

fn program() -> Result<PathBuf, Failure> {
    let path = std::env::var_os(PATH).ok_or_else(|| format!("{PATH} names no program"))?;
    Ok(path.into())
}

/// The provider, not started yet, in a home of its own.
pub(crate) fn start(trust: Trust) -> Result<Start, Failure> {
    let start = Start::new(&program()?, trust)?;
    let home = start.temporary().to_owned();
    Ok(start
        .env("HOME", &home)
        .env("XDG_CACHE_HOME", home.join("cache"))
        .without("SSH_AUTH_SOCK"))
}

/// A running one that knows no key and no host.
pub(crate) async fn running() -> Result<Plugin, Failure> {
    let plugin = start(Trust::Mutual)?.plugin().await?;
    configure(&plugin, []).await?;
    Ok(plugin)
}

/// Configures it with an `ssh` block.
pub(crate) async fn configure<const N: usize>(
    plugin: &Plugin,
    ssh: [(&str, Value); N],
) -> Result<(), Failure> {
    let schema = plugin
        .schemas()
        .await?
        .provider
        .and_then(|schema| schema.block);
    let schema = schema.ok_or("the provider has a schema")?;
    let nested = schema
        .block_types
        .iter()
        .find(|nested| nested.type_name == "ssh");
    let nested = nested
        .and_then(|nested| nested.block.as_ref())
        .ok_or("it has an ssh block")?;
    let config = configuration(&schema, [("ssh", configuration(nested, ssh))]);
    let request = wire::configure::Request {
        terraform_version: "1.13.0".to_owned(),
        config: Some(write(&config, &block_type(&schema)?)),
        client_capabilities: None,
    };
    let answer = plugin.calls()?.configure(request).await?.into_inner();
    match errors(&answer.diagnostics)[..] {
        [] => Ok(()),
        ref errors => Err(errors.join("\n").into()),
    }
}

/// A `nodes` attribute with one node.
pub(crate) fn nodes<const N: usize>(members: [(&str, Value); N]) -> Value {
    let ty = |value: &Value| match value {
        Value::Number(_) => Type::Number,
        _ => Type::String,
    };
    let types = Type::Object(tf_plugin::Object {
        members: members
            .iter()
            .map(|(name, value)| ((*name).to_owned(), ty(value)))
            .collect(),
        optional: Vec::new(),
    });
    let value = Value::object([("1", Value::object(members))]);
    Value::Dynamic(Box::new((Type::object([("1", types)]), value)))
}

/// A port of this machine where nobody listens.
pub(crate) fn closed_port() -> Result<Value, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    Ok(Value::integer(listener.local_addr()?.port()))
}

/// A CA on a host that refuses connections.
pub(crate) async fn ca(plugin: &Plugin) -> Result<(Life, Value), Failure> {
    let life = Life::new(plugin, "etcd_step_ca").await?;
    let node = [
        ("host", Value::string("127.0.0.1")),
        ("port", closed_port()?),
        ("address", Value::string("10.0.1.10")),
    ];
    let config = life.config([
        ("name", Value::string("main")),
        ("nodes", nodes(node)),
        ("active_node", Value::string("1")),
    ]);
    Ok((life, config))
}

/// An artifact of a factory that refuses connections.
pub(crate) async fn artifact(plugin: &Plugin) -> Result<(Life, Value), Failure> {
    let life = Life::new(plugin, "talos_artifact").await?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let factory = format!("http://{}", listener.local_addr()?);
    let config = life.config([
        ("talos_version", Value::string("v1.11.5")),
        ("kubernetes_version", Value::string("1.31.4")),
        ("factory_url", Value::string(factory)),
        ("proxmox", Value::List(vec![storage()])),
    ]);
    Ok((life, config))
}

/// A copy of that artifact as if it was made.
pub(crate) async fn copy(plugin: &Plugin) -> Result<(Life, Value), Failure> {
    let (mut artifact, config) = artifact(plugin).await?;
    let made = crate::plan::pretend_made(&artifact.plan(&config).await?.state);
    let mut image = made.get("image").clone();
    let sha256 = "ab".repeat(32);
    let installer = format!("127.0.0.1/installer@sha256:{sha256}");
    image.set("installer_image_digest", Value::string(installer));
    image.set("sha256", Value::string(sha256));
    image.set("size_bytes", Value::integer(1 << 20));
    let life = Life::new(plugin, "talos_artifact_copy").await?;
    let config = life.config([("source", image), ("proxmox", Value::List(vec![storage()]))]);
    Ok((life, config))
}

/// A storage of a Proxmox cluster that the provider is told nothing of.
fn storage() -> Value {
    Value::object([
        ("storage", Value::string("resources")),
        ("nodes", Value::strings(["pve01".to_owned()])),
        ("transfer", Value::Null),
    ])
}

/// One of each resource that reaches something, and nothing of it.
pub(crate) async fn each(plugin: &Plugin) -> Result<[(Life, Value); 4], Failure> {
    Ok([
        ca(plugin).await?,
        cluster(plugin).await?,
        artifact(plugin).await?,
        copy(plugin).await?,
    ])
}

/// A cluster on a host that refuses connections, with certificates of a CA that is only planned.
pub(crate) async fn cluster(plugin: &Plugin) -> Result<(Life, Value), Failure> {
    let (mut ca, mut config) = ca(plugin).await?;
    // A name and a port of its own: no run makes two with the same on one host.
    config.set("name", Value::string("issuing"));
    config.set("port", Value::integer(9100_u16));
    let issuer = ca.plan(&config).await?.state.get("issuer").clone();
    let life = Life::new(plugin, "etcd_cluster").await?;
    let node = [
        ("host", Value::string("127.0.0.1")),
        ("port", closed_port()?),
        ("address", Value::string("10.0.1.10")),
    ];
    let config = life.config([
        ("name", Value::string("k8s")),
        ("issuer", issuer),
        ("nodes", nodes(node)),
    ]);
    Ok((life, config))
}
