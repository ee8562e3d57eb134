//! Whether a provider's value is of the type that its schema says.

use crate::{
    types::{Object, Type},
    value::Value,
};

/// Makes `value` one of type `ty`: what does not fit becomes null or falls away. Gives the places
/// where that was, each a defect of the provider; Core would not read the value, or the wish that
/// stood there would be lost without a word.
pub(crate) fn fit(value: &mut Value, ty: &Type) -> Vec<String> {
    let mut places = Vec::new();
    check(value, ty, "", &mut places);
    places
}

fn check(value: &mut Value, ty: &Type, place: &str, places: &mut Vec<String>) {
    match (&mut *value, ty) {
        (Value::Dynamic(inner), Type::Dynamic) => {
            let (ty, value) = &mut **inner;
            check(value, ty, place, places);
        }
        // What has no type of its own is written with the one that HCL gives to the same literal.
        (Value::Null | Value::Unknown(_), _)
        | (Value::String(_), Type::String)
        | (Value::Number(_), Type::Number)
        | (Value::Bool(_), Type::Bool)
        | (_, Type::Dynamic) => {}
        (Value::Dynamic(inner), ty) => check(&mut inner.1, ty, place, places),
        (Value::List(elements), Type::List(element) | Type::Set(element)) => {
            for (index, value) in elements.iter_mut().enumerate() {
                check(value, element, &format!("{place}[{index}]"), places);
            }
        }
        (Value::List(elements), Type::Tuple(types)) if elements.len() == types.len() => {
            for (index, (value, ty)) in elements.iter_mut().zip(types).enumerate() {
                check(value, ty, &format!("{place}[{index}]"), places);
            }
        }
        (Value::Map(members), Type::Map(element)) => {
            for (name, value) in members {
                check(value, element, &format!("{place}[\"{name}\"]"), places);
            }
        }
        (Value::Map(members), Type::Object(Object { members: types, .. })) => {
            members.retain(|name, value| {
                let place = match place {
                    "" => name.clone(),
                    place => format!("{place}.{name}"),
                };
                match types.get(name) {
                    Some(ty) => check(value, ty, &place, places),
                    None => places.push(place),
                }
                types.contains_key(name)
            });
        }
        (wrong, _) => {
            *wrong = Value::Null;
            places.push(place.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_falls_away_and_is_told() {
        let ty = Type::object([
            ("name", Type::String),
            ("ports", Type::list(Type::Number)),
            ("node", Type::object([("host", Type::String)])),
            ("pair", Type::Tuple(vec![Type::Bool])),
            ("any", Type::Dynamic),
        ]);
        let mut value = Value::object([
            ("name", Value::integer(1)),
            ("nmae", Value::string("x")),
            (
                "ports",
                Value::List(vec![
                    Value::integer(1),
                    Value::string("2"),
                    Value::unknown(),
                ]),
            ),
            ("node", Value::object([("hots", Value::Null)])),
            ("pair", Value::List(vec![])),
            (
                "any",
                Value::Dynamic(Box::new((Type::String, Value::Bool(true)))),
            ),
        ]);
        let places = fit(&mut value, &ty);
        assert_eq!(
            places,
            ["any", "name", "nmae", "node.hots", "pair", "ports[1]"]
        );
        let rest = fit(&mut value, &ty);
        assert_eq!(rest, Vec::<String>::new(), "{value:?}");
        assert_eq!(value.get("ports").as_list().map(<[Value]>::len), Some(3));
    }
}
