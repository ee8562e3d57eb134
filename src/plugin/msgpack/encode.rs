//! Values to bytes, the same ones that go-cty writes.

use std::collections::BTreeMap;

use rmp::encode as wr;
use unicode_normalization::UnicodeNormalization;

use super::{REFINED, REFINEMENT_LIMIT};
use crate::{
    number::Number,
    types::{Object, Type},
    value::{Refinement, Value},
};

const INFALLIBLE: &str = "writing to a vector does not fail";

/// Form of numbers.
#[derive(Clone, Copy)]
pub(super) enum Numbers {
    /// The shortest, as go-cty writes them.
    Shortest,
    /// All as decimal text.
    Text,
}

pub(super) fn write(out: &mut Vec<u8>, value: &Value, ty: &Type, numbers: Numbers) {
    match (value, ty) {
        (Value::Null, _) => wr::write_nil(out).expect(INFALLIBLE),
        (Value::Unknown(refinement), _) => write_unknown(out, refinement),
        // Null and unknown too: to Core a null text is another value than a null of no type.
        (Value::Dynamic(inner), Type::Dynamic) if inner.0 != Type::Dynamic => {
            wr::write_array_len(out, 2).expect(INFALLIBLE);
            wr::write_bin(out, inner.0.to_json().to_string().as_bytes()).expect(INFALLIBLE);
            write(out, &inner.1, &inner.0, numbers);
        }
        (Value::Dynamic(inner), ty) => write(out, &inner.1, ty, numbers),
        (value, Type::Dynamic) => {
            let ty = natural_type(value);
            wr::write_array_len(out, 2).expect(INFALLIBLE);
            wr::write_bin(out, ty.to_json().to_string().as_bytes()).expect(INFALLIBLE);
            write(out, value, &ty, numbers);
        }
        (Value::Bool(truth), _) => wr::write_bool(out, *truth).expect(INFALLIBLE),
        (Value::Number(number), _) => match numbers {
            Numbers::Shortest => write_number(out, number),
            Numbers::Text => wr::write_str(out, number.as_str()).expect(INFALLIBLE),
        },
        (Value::String(text), _) => write_text(out, text),
        (Value::List(elements), ty) => {
            wr::write_array_len(out, length(elements.len())).expect(INFALLIBLE);
            for (index, element) in elements.iter().enumerate() {
                write(out, element, element_type(ty, index), numbers);
            }
        }
        (Value::Map(members), Type::Object(Object { members: types, .. })) => {
            wr::write_map_len(out, length(types.len())).expect(INFALLIBLE);
            for (name, ty) in types {
                wr::write_str(out, name).expect(INFALLIBLE);
                write(out, members.get(name).unwrap_or(&Value::Null), ty, numbers);
            }
        }
        (Value::Map(members), ty) => {
            // Sorted by what is written, or the bytes would depend on how a name was composed.
            let members: BTreeMap<String, &Value> = members
                .iter()
                .map(|(name, member)| (name.nfc().collect(), member))
                .collect();
            wr::write_map_len(out, length(members.len())).expect(INFALLIBLE);
            for (name, member) in members {
                wr::write_str(out, &name).expect(INFALLIBLE);
                write(out, member, element_type(ty, 0), numbers);
            }
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    wr::write_str(out, &text.nfc().collect::<String>()).expect(INFALLIBLE);
}

fn length(length: usize) -> u32 {
    u32::try_from(length).expect("a value has fewer than 2^32 elements")
}

fn element_type(ty: &Type, index: usize) -> &Type {
    match ty {
        Type::List(element) | Type::Set(element) | Type::Map(element) => element,
        Type::Tuple(types) => types.get(index).unwrap_or(&Type::Dynamic),
        _ => &Type::Dynamic,
    }
}

/// The type that a value without a told one has: what HCL gives to the same literal.
fn natural_type(value: &Value) -> Type {
    match value {
        Value::Bool(_) => Type::Bool,
        Value::Number(_) => Type::Number,
        Value::String(_) => Type::String,
        Value::List(elements) => Type::Tuple(elements.iter().map(natural_type).collect()),
        Value::Map(members) => Type::Object(Object {
            members: members
                .iter()
                .map(|(name, value)| (name.clone(), natural_type(value)))
                .collect(),
            optional: Vec::new(),
        }),
        Value::Dynamic(inner) => inner.0.clone(),
        Value::Null | Value::Unknown(_) => Type::Dynamic,
    }
}

fn write_number(out: &mut Vec<u8>, number: &Number) {
    if let Some(integer) = number.as_i64() {
        wr::write_sint(out, integer).expect(INFALLIBLE);
    } else if let Some(fraction) = number.as_exact_fraction() {
        wr::write_f64(out, fraction).expect(INFALLIBLE);
    } else {
        wr::write_str(out, number.as_str()).expect(INFALLIBLE);
    }
}

fn write_unknown(out: &mut Vec<u8>, refinement: &Refinement) {
    let mut payload = Vec::new();
    let mut count = 0;
    let mut key = |payload: &mut Vec<u8>, key: u8| {
        count += 1;
        wr::write_uint(payload, u64::from(key)).expect(INFALLIBLE);
    };
    if let Some(null) = refinement.null {
        key(&mut payload, 1);
        wr::write_bool(&mut payload, null).expect(INFALLIBLE);
    }
    if let Some(prefix) = &refinement.prefix {
        key(&mut payload, 2);
        wr::write_str(&mut payload, prefix).expect(INFALLIBLE);
    }
    for (number, bound) in [(3, &refinement.number_min), (4, &refinement.number_max)] {
        if let Some((bound, inclusive)) = bound {
            key(&mut payload, number);
            wr::write_array_len(&mut payload, 2).expect(INFALLIBLE);
            write_number(&mut payload, bound);
            wr::write_bool(&mut payload, *inclusive).expect(INFALLIBLE);
        }
    }
    for (number, bound) in [(5, refinement.length_min), (6, refinement.length_max)] {
        if let Some(bound) = bound {
            key(&mut payload, number);
            wr::write_sint(&mut payload, bound).expect(INFALLIBLE);
        }
    }
    let mut map = Vec::new();
    wr::write_map_len(&mut map, count).expect(INFALLIBLE);
    map.extend_from_slice(&payload);
    // To promise nothing is always right, and Core refuses what is longer.
    if count == 0 || map.len() > REFINEMENT_LIMIT {
        // fixext1, type 0: what go-cty itself writes.
        out.extend_from_slice(&[0xd4, 0x00, 0x00]);
        return;
    }
    wr::write_ext_meta(out, length(map.len()), REFINED).expect(INFALLIBLE);
    out.extend_from_slice(&map);
}
