//! A data source that gives back what it is given.

use async_trait::async_trait;
use tf_plugin::{
    Attribute, Block, Diagnostic, Diagnostics, Schema, Type, Value, provider::DataSource,
};

use crate::fault;

pub(crate) struct Echo;

#[async_trait]
impl DataSource for Echo {
    fn type_name(&self) -> &'static str {
        "sample_echo"
    }

    fn schema(&self) -> Schema {
        Schema {
            version: 0,
            block: Block {
                description: "What it is given.".to_owned(),
                attributes: vec![
                    Attribute::optional("given", Type::Dynamic, "Anything."),
                    Attribute::optional("act", Type::String, "What goes wrong."),
                    Attribute::computed("echo", Type::Dynamic, "The same."),
                ],
                blocks: Vec::new(),
            },
        }
    }

    async fn validate(&self, config: &Value) -> Diagnostics {
        fault(config, "validate");
        Diagnostics::new()
    }

    async fn read(&self, config: Value) -> (Value, Diagnostics) {
        fault(&config, "read");
        let mut state = config;
        state.set("echo", state.get("given").clone());
        let warning = Diagnostic::warning("Echo", "What it is given, it gives.");
        (state, warning.into())
    }
}
