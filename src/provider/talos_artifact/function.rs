//! `schematic_id`: the id that an Image Factory gives to a schematic.

use async_trait::async_trait;
use planner::talos_artifact::Schematic;
use tf_plugin::{
    Type, Value,
    provider::{Function, Signature},
};

/// The function.
pub(crate) struct SchematicId;

#[async_trait]
impl Function for SchematicId {
    fn signature(&self) -> Signature {
        Signature {
            name: "schematic_id",
            parameters: vec![(
                "yaml",
                Type::String,
                "A schematic as the factory takes it, in YAML.",
            )],
            result: Type::String,
            summary: "The id that an Image Factory gives to a schematic",
            description: "Computes the id of a schematic without asking a factory. What a factory refuses \
                          (an unknown field, a value of another type) is refused here too. A factory \
                          that knows who asks gives other ids, because it writes the owner into the \
                          schematic.",
        }
    }

    async fn call(&self, arguments: Vec<Value>) -> Result<Value, (String, Option<i64>)> {
        let yaml = arguments
            .first()
            .and_then(Value::as_str)
            .unwrap_or_default();
        Schematic::parse(yaml)
            .map(|schematic| Value::string(schematic.id().as_str()))
            .map_err(|error| (error.to_string(), Some(0)))
    }
}
