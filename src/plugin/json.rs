//! The JSON form of values: state files, and schemas' golden text.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::{
    types::{Object, Type},
    value::{Number, Value},
};

/// Reads a value from a state file's JSON. Lenient as Core is: members that are missing are null,
/// and members that the type does not have are dropped.
///
/// # Errors
/// A sentence with the place in the value where something else stands.
pub fn from_json(json: &Json, ty: &Type) -> Result<Value, String> {
    read(json, ty, "")
}

fn read(json: &Json, ty: &Type, place: &str) -> Result<Value, String> {
    let wrong = || format!("{place} is not a {ty}");
    if json.is_null() {
        return Ok(Value::Null);
    }
    match ty {
        Type::String => json.as_str().map(Value::string).ok_or_else(wrong),
        Type::Bool => json.as_bool().map(Value::Bool).ok_or_else(wrong),
        Type::Number => match json {
            Json::Number(number) => Number::parse(&number.to_string()),
            Json::String(text) => Number::parse(text),
            _ => None,
        }
        .map(Value::Number)
        .ok_or_else(wrong),
        Type::List(element) | Type::Set(element) => json
            .as_array()
            .ok_or_else(wrong)?
            .iter()
            .enumerate()
            .map(|(index, json)| read(json, element, &format!("{place}[{index}]")))
            .collect::<Result<_, _>>()
            .map(Value::List),
        Type::Tuple(types) => json
            .as_array()
            .filter(|elements| elements.len() == types.len())
            .ok_or_else(wrong)?
            .iter()
            .zip(types)
            .enumerate()
            .map(|(index, (json, ty))| read(json, ty, &format!("{place}[{index}]")))
            .collect::<Result<_, _>>()
            .map(Value::List),
        Type::Map(element) => json
            .as_object()
            .ok_or_else(wrong)?
            .iter()
            .map(|(name, json)| {
                Ok((
                    name.clone(),
                    read(json, element, &format!("{place}.{name}"))?,
                ))
            })
            .collect::<Result<_, _>>()
            .map(Value::Map),
        Type::Object(Object { members, .. }) => {
            let found = json.as_object().ok_or_else(wrong)?;
            members
                .iter()
                .map(|(name, ty)| {
                    let json = found.get(name).unwrap_or(&Json::Null);
                    Ok((name.clone(), read(json, ty, &format!("{place}.{name}"))?))
                })
                .collect::<Result<BTreeMap<_, _>, String>>()
                .map(Value::Map)
        }
        Type::Dynamic => {
            let (ty, value) = (json.get("type"), json.get("value"));
            let ty = ty
                .and_then(|ty| Type::from_json(ty).ok())
                .ok_or_else(wrong)?;
            let value = read(value.unwrap_or(&Json::Null), &ty, place)?;
            Ok(if value.is_null() {
                Value::Null
            } else {
                Value::Dynamic(Box::new((ty, value)))
            })
        }
    }
}

/// The JSON form of a value, as state files have it. Unknown values become null: a state has none.
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Null | Value::Unknown(_) => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        // A number of any size is a JSON number; serde keeps small ones, and text keeps the rest.
        Value::Number(number) => serde_json::from_str(number.as_str())
            .unwrap_or_else(|_| Json::String(number.as_str().to_owned())),
        Value::String(text) => Json::String(text.clone()),
        Value::List(elements) => elements.iter().map(to_json).collect(),
        Value::Map(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), to_json(value)))
            .collect(),
        Value::Dynamic(inner) => {
            serde_json::json!({ "type": inner.0.to_json(), "value": to_json(&inner.1) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let ty = Type::object([
            ("nodes", Type::Dynamic),
            ("port", Type::Number),
            ("unset", Type::String),
        ]);
        let inner = Type::map(Type::object([("host", Type::String)]));
        let nodes = Value::object([("1", Value::object([("host", Value::string("h"))]))]);
        let value = Value::object([
            ("nodes", Value::Dynamic(Box::new((inner, nodes)))),
            ("port", Value::integer(22)),
            ("unset", Value::Null),
        ]);
        assert_eq!(from_json(&to_json(&value), &ty), Ok(value));
    }
}
