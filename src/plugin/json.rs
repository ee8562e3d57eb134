//! The JSON form of values: state files, and schemas' golden text.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value as Json, value::RawValue};
use unicode_normalization::UnicodeNormalization;

use crate::{
    number::Number,
    types::{Object, Type},
    value::Value,
};

/// Reads a value from a state file's JSON. Lenient as Core is: members that are missing are null,
/// and members that the type does not have are dropped.
///
/// # Errors
/// A sentence with the place in the value where something else stands.
pub fn from_json(json: &Json, ty: &Type) -> Result<Value, String> {
    from_slice(json.to_string().as_bytes(), ty)
}

/// Like [`from_json`], from the text itself, so that numbers of any size are kept.
///
/// # Errors
/// A sentence with the place in the value where something else stands.
pub fn from_slice(json: &[u8], ty: &Type) -> Result<Value, String> {
    let json = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    read(json, ty, "")
}

fn read(json: &RawValue, ty: &Type, place: &str) -> Result<Value, String> {
    let wrong = || match place.strip_prefix('.').unwrap_or(place) {
        "" => format!("it is not a {ty}"),
        place => format!("{place} is not a {ty}"),
    };
    if json.get() == "null" {
        return Ok(Value::Null);
    }
    match ty {
        Type::String => match parse(json).ok_or_else(wrong)? {
            Json::String(text) => Ok(Value::String(text.nfc().collect())),
            // The schema had another type once; Core converts the same way.
            Json::Number(_) | Json::Bool(_) => Ok(Value::string(json.get())),
            _ => Err(wrong()),
        },
        Type::Bool => match parse(json).ok_or_else(wrong)? {
            Json::Bool(truth) => Ok(Value::Bool(truth)),
            Json::String(text) => match text.as_str() {
                "true" | "1" => Ok(Value::Bool(true)),
                "false" | "0" => Ok(Value::Bool(false)),
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        },
        Type::Number => match parse(json).ok_or_else(wrong)? {
            Json::Number(_) => Number::parse(json.get()),
            Json::String(text) => Number::parse(&text),
            _ => None,
        }
        .map(Value::Number)
        .ok_or_else(wrong),
        Type::List(element) | Type::Set(element) => parse::<Vec<&RawValue>>(json)
            .ok_or_else(wrong)?
            .into_iter()
            .enumerate()
            .map(|(index, json)| read(json, element, &format!("{place}[{index}]")))
            .collect::<Result<_, _>>()
            .map(Value::List),
        Type::Tuple(types) => parse::<Vec<&RawValue>>(json)
            .filter(|elements| elements.len() == types.len())
            .ok_or_else(wrong)?
            .into_iter()
            .zip(types)
            .enumerate()
            .map(|(index, (json, ty))| read(json, ty, &format!("{place}[{index}]")))
            .collect::<Result<_, _>>()
            .map(Value::List),
        Type::Map(element) => parse::<BTreeMap<String, &RawValue>>(json)
            .ok_or_else(wrong)?
            .into_iter()
            .map(|(name, json)| {
                let value = read(json, element, &format!("{place}.{name}"))?;
                Ok((name.nfc().collect(), value))
            })
            .collect::<Result<_, _>>()
            .map(Value::Map),
        Type::Object(Object { members, .. }) => {
            let found = parse::<BTreeMap<String, &RawValue>>(json).ok_or_else(wrong)?;
            let value = |(name, ty): (&String, &Type)| {
                let value = found.get(name).map_or(Ok(Value::Null), |json| {
                    read(json, ty, &format!("{place}.{name}"))
                });
                Ok((name.clone(), value?))
            };
            members
                .iter()
                .map(value)
                .collect::<Result<_, String>>()
                .map(Value::Map)
        }
        Type::Dynamic => {
            let told: Told<'_> = parse(json).ok_or_else(wrong)?;
            let ty = Type::from_json(&told.ty).map_err(|_| wrong())?;
            let value = told
                .value
                .map_or(Ok(Value::Null), |value| read(value, &ty, place))?;
            Ok(match ty {
                Type::Dynamic => value,
                ty => Value::Dynamic(Box::new((ty, value))),
            })
        }
    }
}

/// A value in a place of dynamic type.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(rename = "type")]
    ty: Json,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

fn parse<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

/// The JSON form of a value, as state files have it. Unknown values become null: a state has none.
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Null | Value::Unknown(_) => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        // What a JSON number here would round is text, which is read as a number all the same.
        Value::Number(number) => serde_json::from_str(number.as_str())
            .ok()
            .filter(|json: &Json| Number::parse(&json.to_string()).as_ref() == Some(number))
            .unwrap_or_else(|| Json::String(number.as_str().to_owned())),
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

    #[test]
    fn numbers_of_any_size_are_kept() {
        let text = "[9007199254740993.5, 18446744073709551617, 1e3, 0.1, \"7\"]";
        let ty = Type::list(Type::Number);
        let value = from_slice(text.as_bytes(), &ty).expect("a value");
        let numbers = [
            "9007199254740993.5",
            "18446744073709551617",
            "1000",
            "0.1",
            "7",
        ];
        let wanted = numbers.map(|text| Value::Number(Number::parse(text).expect("a number")));
        assert_eq!(value, Value::List(wanted.to_vec()));
        assert_eq!(from_json(&to_json(&value), &ty), Ok(value));
    }

    #[test]
    fn a_null_of_a_told_type_keeps_it() {
        let json = serde_json::json!({ "value": null, "type": "string" });
        let value = Value::Dynamic(Box::new((Type::String, Value::Null)));
        assert_eq!(from_json(&json, &Type::Dynamic), Ok(value.clone()));
        assert_eq!(to_json(&value), json);
    }

    #[test]
    fn primitives_are_converted_as_core_converts_them() {
        let read = |text: &str, ty| from_slice(text.as_bytes(), &ty);
        assert_eq!(read("22", Type::String), Ok(Value::string("22")));
        assert_eq!(read("true", Type::String), Ok(Value::string("true")));
        assert_eq!(read("\"true\"", Type::Bool), Ok(Value::Bool(true)));
        assert_eq!(
            read(r#""e\u0301""#, Type::String),
            Ok(Value::string("\u{e9}"))
        );
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let ty = Type::object([("nodes", Type::list(Type::object([("port", Type::Number)])))]);
        let json = serde_json::json!({ "nodes": [{ "port": true }], "gone": 1 });
        assert_eq!(
            from_json(&json, &ty),
            Err("nodes[0].port is not a number".to_owned())
        );
        assert_eq!(
            from_slice(b"[]", &Type::Bool),
            Err("it is not a bool".to_owned())
        );
        assert!(from_slice(b"{\"a\":", &Type::Dynamic).is_err());
    }
}
