//! Values on the wire.

use tf_plugin::{
    Type, Value, msgpack,
    tfplugin5::{self as wire, DynamicValue},
};

use super::Failure;

/// As Core sends it.
pub fn write(value: &Value, ty: &Type) -> DynamicValue {
    DynamicValue {
        msgpack: msgpack::encode(value, ty),
        json: Vec::new(),
    }
}

/// As Core reads it: nothing is null.
pub fn read(value: Option<&DynamicValue>, ty: &Type) -> Result<Value, Failure> {
    Ok(value.map_or(Ok(Value::Null), |value| msgpack::decode(&value.msgpack, ty))?)
}

/// Summaries and details of errors, each with the place that it names.
pub fn errors(diagnostics: &[wire::Diagnostic]) -> Vec<String> {
    use wire::attribute_path::step::Selector;
    let wanted = wire::diagnostic::Severity::Error;
    let place = |path: &wire::AttributePath| {
        let step = |step: &wire::attribute_path::Step| match &step.selector {
            Some(Selector::AttributeName(name)) => format!(".{name}"),
            Some(Selector::ElementKeyString(key)) => format!("[{key}]"),
            Some(Selector::ElementKeyInt(index)) => format!("[{index}]"),
            None => "?".to_owned(),
        };
        path.steps.iter().map(step).collect::<String>()
    };
    diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity() == wanted)
        .map(|diagnostic| {
            let place = diagnostic.attribute.as_ref().map(place).unwrap_or_default();
            format!("{place}: {}: {}", diagnostic.summary, diagnostic.detail)
        })
        .collect()
}

/// A configuration with these attributes and blocks, all others absent.
pub fn configuration<const N: usize>(
    block: &wire::schema::Block,
    members: [(&str, Value); N],
) -> Value {
    use wire::schema::nested_block::NestingMode;
    let attributes = block.attributes.iter();
    let attributes = attributes.map(|attribute| (attribute.name.clone(), Value::Null));
    let blocks = block.block_types.iter().map(|nested| {
        let absent = match nested.nesting() {
            NestingMode::Single | NestingMode::Group | NestingMode::Invalid => Value::Null,
            NestingMode::List | NestingMode::Set => Value::List(Vec::new()),
            NestingMode::Map => Value::object::<&str>([]),
        };
        (nested.type_name.clone(), absent)
    });
    let mut config = Value::object(attributes.chain(blocks));
    for (name, value) in members {
        config.set(name, value);
    }
    config
}

/// A configuration in which all that may be written is unknown, as root variables are at `validate`.
pub fn unknown_everywhere(block: &wire::schema::Block) -> Value {
    use wire::schema::nested_block::NestingMode;
    let attributes = block.attributes.iter().map(|attribute| {
        let value = if attribute.required || attribute.optional {
            Value::unknown()
        } else {
            Value::Null
        };
        (attribute.name.clone(), value)
    });
    let blocks = block.block_types.iter().map(|nested| {
        let value = match nested.nesting() {
            NestingMode::Single | NestingMode::Group => nested
                .block
                .as_ref()
                .map_or(Value::Null, unknown_everywhere),
            // A dynamic block with an unknown for_each.
            _ => Value::unknown(),
        };
        (nested.type_name.clone(), value)
    });
    Value::object(attributes.chain(blocks))
}
