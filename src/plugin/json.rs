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
            .map(|(name, json)| Ok((name.clone(), read(json, element, &format!("{place}.{name}"))?)))
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
            let ty = ty.and_then(|ty| Type::from_json(ty).ok()).ok_or_else(wrong)?;
            let value = read(value.unwrap_or(&Json::Null), &ty, place)?;
            Ok(if value.is_null() { Value::Null } else { Value::Dynamic(Box::new((ty, value))) })
        }
    }
}
