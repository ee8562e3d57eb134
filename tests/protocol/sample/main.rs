//! A provider whose things are files, with attributes of all kinds and with faults on demand.

mod echo;
mod functions;
mod thing;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use tf_plugin::{
    Attribute, Block, Diagnostic, Diagnostics, Path, Schema, Type, Value,
    provider::{DataSource, Function, Provider, Resource},
};
use tokio::sync::watch;

/// What all objects share.
struct Shared {
    /// Where things lie; absent as long as it is not known.
    directory: RwLock<Option<PathBuf>>,
    stopped: watch::Sender<bool>,
    panics_in_stop: AtomicBool,
}

impl Shared {
    fn directory(&self) -> Option<PathBuf> {
        let directory = self.directory.read();
        directory.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Sample(Arc<Shared>);

#[async_trait]
impl Provider for Sample {
    fn name(&self) -> &'static str {
        "sample"
    }

    fn schema(&self) -> Schema {
        let act = "What goes wrong: `panic in configure`, `panic in stop`.";
        Schema {
            version: 0,
            block: Block {
                description: "Things in a directory.".to_owned(),
                attributes: vec![
                    Attribute::optional("directory", Type::String, "Where things lie."),
                    Attribute::optional("token", Type::String, "A secret.").sensitive(),
                    Attribute::optional("act", Type::String, act),
                ],
                blocks: Vec::new(),
            },
        }
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        vec![Arc::new(thing::Thing(Arc::clone(&self.0)))]
    }

    fn data_sources(&self) -> Vec<Arc<dyn DataSource>> {
        vec![Arc::new(echo::Echo)]
    }

    fn functions(&self) -> Vec<Arc<dyn Function>> {
        vec![Arc::new(functions::Twice)]
    }

    async fn validate(&self, config: &Value) -> Diagnostics {
        match config.get("directory").as_str() {
            Some("") => Diagnostic::error("No directory", "The name is empty.")
                .at(Path::attribute("directory"))
                .into(),
            _ => Diagnostics::new(),
        }
    }

    async fn configure(&self, config: Value) -> Diagnostics {
        fault(&config, "configure");
        tracing::info!(has_token = !config.get("token").is_null(), "configured");
        let directory = config.get("directory").as_str().map(PathBuf::from);
        *self
            .0
            .directory
            .write()
            .unwrap_or_else(PoisonError::into_inner) = directory;
        let panics = config.get("act").as_str() == Some("panic in stop");
        self.0.panics_in_stop.store(panics, Ordering::Relaxed);
        Diagnostics::new()
    }

    fn stop(&self) {
        self.0.stopped.send_replace(true);
        let panics = self.0.panics_in_stop.load(Ordering::Relaxed);
        assert!(!panics, "asked for in stop");
    }
}

/// Panics if `act` asks for it here.
fn fault(value: &Value, place: &str) {
    let act = value.get("act").as_str().unwrap_or_default();
    assert!(act != format!("panic in {place}"), "asked for in {place}");
}

fn main() -> ExitCode {
    let shared = Shared {
        directory: RwLock::new(None),
        stopped: watch::Sender::new(false),
        panics_in_stop: AtomicBool::new(false),
    };
    tf_plugin::serve(Sample(Arc::new(shared)), "registry.example/test/sample")
}
