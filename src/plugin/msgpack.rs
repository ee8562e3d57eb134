//! The msgpack form of values (go-cty `cty/msgpack`), driven by their type.

use std::collections::BTreeMap;

use rmp::{Marker, decode as rd, encode as wr};
use unicode_normalization::UnicodeNormalization;

use crate::{
    types::{Object, Type},
    value::{Number, Refinement, Value},
};

/// Extension of a refined unknown value (go-cty `cty/msgpack/unknown.go`).
const REFINED: i8 = 0x0c;
/// Longest refinement that go-cty reads.
const REFINEMENT_LIMIT: usize = 1024;
/// Deepest nesting that is read; HCL cannot write anything near it.
const DEPTH_LIMIT: usize = 100;

/// Why bytes are not a value of the wanted type.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end too early or are no msgpack.
    #[error("the bytes are not msgpack")]
    Malformed,
    /// Something else stands where a value of this type should.
    #[error("found {found} where {wanted} is wanted")]
    Mismatch {
        /// What stands there.
        found: String,
        /// What the type wants.
        wanted: String,
    },
    /// The object lacks a member or has one too many.
    #[error("the object's member {0} is missing or not in the schema")]
    Member(String),
    /// Nested too deep.
    #[error("the value is nested deeper than {DEPTH_LIMIT}")]
    TooDeep,
    /// The type that a dynamic value carries cannot be read.
    #[error("the type of a dynamic value cannot be read")]
    Type,
}

type Result<T> = std::result::Result<T, DecodeError>;

/// Reads a value; empty bytes are null.
///
/// # Errors
/// [`DecodeError`]; never panics, whatever the bytes.
pub fn decode(bytes: &[u8], ty: &Type) -> Result<Value> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    Reader { bytes }.value(ty, 0)
}

/// Writes a value of type `ty`; members that a map lacks are null.
pub fn encode(value: &Value, ty: &Type) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, value, ty);
    out
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Result<Marker> {
        self.bytes
            .first()
            .map(|byte| Marker::from_u8(*byte))
            .ok_or(DecodeError::Malformed)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, tail) = self
            .bytes
            .split_at_checked(count)
            .ok_or(DecodeError::Malformed)?;
        self.bytes = tail;
        Ok(head)
    }

    fn value(&mut self, ty: &Type, depth: usize) -> Result<Value> {
        if depth > DEPTH_LIMIT {
            return Err(DecodeError::TooDeep);
        }
        match self.peek()? {
            Marker::Null => {
                self.take(1)?;
                return Ok(Value::Null);
            }
            Marker::FixExt1
            | Marker::FixExt2
            | Marker::FixExt4
            | Marker::FixExt8
            | Marker::FixExt16
            | Marker::Ext8
            | Marker::Ext16
            | Marker::Ext32 => return self.unknown(),
            _ => {}
        }
        match ty {
            Type::String => Ok(Value::String(self.text()?.nfc().collect())),
            Type::Bool => match self.peek()? {
                Marker::True | Marker::False => {
                    let truth = self.take(1)?[0] == 0xc3;
                    Ok(Value::Bool(truth))
                }
                found => Err(mismatch(found, ty)),
            },
            Type::Number => self.number().map(Value::Number),
            Type::List(element) | Type::Set(element) => {
                let length = self.array_length(ty)?;
                let mut elements = Vec::new();
                for _ in 0..length {
                    elements.push(self.value(element, depth + 1)?);
                }
                Ok(Value::List(elements))
            }
            Type::Tuple(types) => {
                if self.array_length(ty)? != types.len() {
                    return Err(mismatch(Marker::FixArray(0), ty));
                }
                types
                    .iter()
                    .map(|ty| self.value(ty, depth + 1))
                    .collect::<Result<_>>()
                    .map(Value::List)
            }
            Type::Map(element) => {
                let length = self.map_length(ty)?;
                let mut members = BTreeMap::new();
                for _ in 0..length {
                    let name = self.text()?.nfc().collect();
                    members.insert(name, self.value(element, depth + 1)?);
                }
                Ok(Value::Map(members))
            }
            Type::Object(Object { members: types, .. }) => {
                let length = self.map_length(ty)?;
                let mut members = BTreeMap::new();
                for _ in 0..length {
                    let name: String = self.text()?.nfc().collect();
                    let ty = types
                        .get(&name)
                        .ok_or_else(|| DecodeError::Member(name.clone()))?;
                    members.insert(name, self.value(ty, depth + 1)?);
                }
                match types.keys().find(|name| !members.contains_key(*name)) {
                    Some(missing) => Err(DecodeError::Member(missing.clone())),
                    None => Ok(Value::Map(members)),
                }
            }
            Type::Dynamic => {
                if self.array_length(ty)? != 2 {
                    return Err(mismatch(Marker::FixArray(0), ty));
                }
                let json = serde_json::from_slice(self.binary()?).map_err(|_| DecodeError::Type)?;
                let ty = Type::from_json(&json).map_err(|_| DecodeError::Type)?;
                let value = self.value(&ty, depth + 1)?;
                Ok(Value::Dynamic(Box::new((ty, value))))
            }
        }
    }

    /// Any extension of at most one byte is a plain unknown, whatever its type.
    fn unknown(&mut self) -> Result<Value> {
        let meta = rd::read_ext_meta(&mut self.bytes).map_err(|_| DecodeError::Malformed)?;
        let length = usize::try_from(meta.size).map_err(|_| DecodeError::Malformed)?;
        let payload = self.take(length)?;
        if length <= 1 || meta.typeid != REFINED || length > REFINEMENT_LIMIT {
            return Ok(Value::unknown());
        }
        let mut reader = Reader { bytes: payload };
        let mut refinement = Refinement::default();
        let count = reader.map_length(&Type::map(Type::Dynamic))?;
        for _ in 0..count {
            let key = reader.number()?.as_i64().ok_or(DecodeError::Malformed)?;
            match key {
                1 => {
                    refinement.null =
                        Some(rd::read_bool(&mut reader.bytes).map_err(|_| DecodeError::Malformed)?);
                }
                2 => refinement.prefix = Some(reader.text()?.to_owned()),
                3 | 4 => {
                    if reader.array_length(&Type::list(Type::Number))? != 2 {
                        return Err(DecodeError::Malformed);
                    }
                    let number = reader.number()?;
                    let inclusive =
                        rd::read_bool(&mut reader.bytes).map_err(|_| DecodeError::Malformed)?;
                    let bound = Some((number, inclusive));
                    if key == 3 {
                        refinement.number_min = bound;
                    } else {
                        refinement.number_max = bound;
                    }
                }
                5 => refinement.length_min = reader.number()?.as_i64(),
                6 => refinement.length_max = reader.number()?.as_i64(),
                // A newer Core may promise more; what is not understood promises nothing.
                _ => break,
            }
        }
        Ok(Value::Unknown(Box::new(refinement)))
    }

    fn number(&mut self) -> Result<Number> {
        let found = self.peek()?;
        match found {
            Marker::F32 => rd::read_f32(&mut self.bytes)
                .ok()
                .and_then(|number| Number::from_f64(f64::from(number)))
                .ok_or(DecodeError::Malformed),
            Marker::F64 => rd::read_f64(&mut self.bytes)
                .ok()
                .and_then(Number::from_f64)
                .ok_or(DecodeError::Malformed),
            Marker::U64 => rd::read_u64(&mut self.bytes)
                .map(Number::from)
                .map_err(|_| DecodeError::Malformed),
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                let text = self.text()?;
                Number::parse(text).ok_or_else(|| mismatch(found, &Type::Number))
            }
            _ => rd::read_int::<i64, _>(&mut self.bytes)
                .map(Number::from)
                .map_err(|_| mismatch(found, &Type::Number)),
        }
    }

    fn text(&mut self) -> Result<&'a str> {
        let bytes = match self.peek()? {
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => self.binary()?,
            found => {
                let length = rd::read_str_len(&mut self.bytes)
                    .map_err(|_| mismatch(found, &Type::String))?;
                self.take(usize::try_from(length).map_err(|_| DecodeError::Malformed)?)?
            }
        };
        std::str::from_utf8(bytes).map_err(|_| DecodeError::Malformed)
    }

    fn binary(&mut self) -> Result<&'a [u8]> {
        let found = self.peek()?;
        let length = match found {
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
                rd::read_bin_len(&mut self.bytes).map_err(|_| DecodeError::Malformed)?
            }
            _ => rd::read_str_len(&mut self.bytes).map_err(|_| mismatch(found, &Type::String))?,
        };
        self.take(usize::try_from(length).map_err(|_| DecodeError::Malformed)?)
    }

    fn array_length(&mut self, ty: &Type) -> Result<usize> {
        let found = self.peek()?;
        let length = rd::read_array_len(&mut self.bytes).map_err(|_| mismatch(found, ty))?;
        usize::try_from(length).map_err(|_| DecodeError::Malformed)
    }

    fn map_length(&mut self, ty: &Type) -> Result<usize> {
        let found = self.peek()?;
        let length = rd::read_map_len(&mut self.bytes).map_err(|_| mismatch(found, ty))?;
        usize::try_from(length).map_err(|_| DecodeError::Malformed)
    }
}

fn mismatch(found: Marker, ty: &Type) -> DecodeError {
    DecodeError::Mismatch {
        found: format!("{found:?}"),
        wanted: ty.to_string(),
    }
}

const INFALLIBLE: &str = "writing to a vector does not fail";

fn write(out: &mut Vec<u8>, value: &Value, ty: &Type) {
    match (value, ty) {
        (Value::Null, _) => wr::write_nil(out).expect(INFALLIBLE),
        (Value::Unknown(refinement), _) => write_unknown(out, refinement),
        (Value::Dynamic(inner), Type::Dynamic) => {
            if inner.1.is_null() {
                wr::write_nil(out).expect(INFALLIBLE);
            } else if inner.1.is_unknown() {
                write_unknown(out, &Refinement::default());
            } else {
                wr::write_array_len(out, 2).expect(INFALLIBLE);
                wr::write_bin(out, inner.0.to_json().to_string().as_bytes()).expect(INFALLIBLE);
                write(out, &inner.1, &inner.0);
            }
        }
        (Value::Dynamic(inner), ty) => write(out, &inner.1, ty),
        (value, Type::Dynamic) => {
            let ty = natural_type(value);
            wr::write_array_len(out, 2).expect(INFALLIBLE);
            wr::write_bin(out, ty.to_json().to_string().as_bytes()).expect(INFALLIBLE);
            write(out, value, &ty);
        }
        (Value::Bool(truth), _) => wr::write_bool(out, *truth).expect(INFALLIBLE),
        (Value::Number(number), _) => write_number(out, number),
        (Value::String(text), _) => {
            wr::write_str(out, &text.nfc().collect::<String>()).expect(INFALLIBLE);
        }
        (Value::List(elements), ty) => {
            wr::write_array_len(out, length(elements.len())).expect(INFALLIBLE);
            for (index, element) in elements.iter().enumerate() {
                write(out, element, element_type(ty, index));
            }
        }
        (Value::Map(members), Type::Object(Object { members: types, .. })) => {
            wr::write_map_len(out, length(types.len())).expect(INFALLIBLE);
            for (name, ty) in types {
                wr::write_str(out, name).expect(INFALLIBLE);
                write(out, members.get(name).unwrap_or(&Value::Null), ty);
            }
        }
        (Value::Map(members), ty) => {
            wr::write_map_len(out, length(members.len())).expect(INFALLIBLE);
            for (name, member) in members {
                wr::write_str(out, name).expect(INFALLIBLE);
                write(out, member, element_type(ty, 0));
            }
        }
    }
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
    match number.as_i64() {
        Some(integer) => {
            wr::write_sint(out, integer).expect(INFALLIBLE);
        }
        None => wr::write_str(out, number.as_str()).expect(INFALLIBLE),
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
    if count == 0 {
        // fixext1, type 0: what go-cty itself writes.
        out.extend_from_slice(&[0xd4, 0x00, 0x00]);
        return;
    }
    let mut map = Vec::new();
    wr::write_map_len(&mut map, count).expect(INFALLIBLE);
    map.extend_from_slice(&payload);
    wr::write_ext_meta(out, length(map.len()), REFINED).expect(INFALLIBLE);
    out.extend_from_slice(&map);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(hex: &str, ty: &Type, value: &Value) {
        let bytes = hex::decode(hex.replace(' ', "")).expect("hex");
        assert_eq!(
            &decode(&bytes, ty).expect("a value"),
            value,
            "decoding {hex}"
        );
        assert_eq!(
            hex::encode(encode(value, ty)),
            hex.replace(' ', ""),
            "encoding {value:?}"
        );
    }

    // The bytes below are what go-cty 1.18 writes (`cty/msgpack/roundtrip_test.go` has the same values).
    #[test]
    fn has_the_bytes_of_go_cty() {
        round_trip("c0", &Type::String, &Value::Null);
        round_trip("d40000", &Type::String, &Value::unknown());
        round_trip("a161", &Type::String, &Value::string("a"));
        round_trip("a0", &Type::String, &Value::string(""));
        round_trip("c3", &Type::Bool, &Value::Bool(true));
        round_trip("05", &Type::Number, &Value::integer(5));
        round_trip("ff", &Type::Number, &Value::integer(-1));
        round_trip("cd0947", &Type::Number, &Value::integer(2375));
        round_trip("90", &Type::list(Type::String), &Value::List(vec![]));
        round_trip("80", &Type::map(Type::String), &Value::object::<&str>([]));
        round_trip(
            "c7030c8101c2",
            &Type::String,
            &Value::Unknown(Box::new(Refinement {
                null: Some(false),
                ..Refinement::default()
            })),
        );
        round_trip(
            "82a161a178a16202",
            &Type::object([("a", Type::String), ("b", Type::Number)]),
            &Value::object([("a", Value::string("x")), ("b", Value::integer(2))]),
        );
        round_trip(
            "92c40822737472696e6722a178",
            &Type::Dynamic,
            &Value::Dynamic(Box::new((Type::String, Value::string("x")))),
        );
    }

    #[test]
    fn keeps_numbers_that_no_float_holds() {
        for text in [
            "0.1",
            "9223372036854775808",
            "-9223372036854775809",
            "1e400",
        ] {
            let number = Value::Number(Number::parse(text).expect("a number"));
            let bytes = encode(&number, &Type::Number);
            assert_eq!(decode(&bytes, &Type::Number).expect("a value"), number);
        }
        let float = [0xcb, 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a];
        let number = decode(&float, &Type::Number).expect("a value");
        assert_eq!(
            number,
            Value::Number(Number::parse("0.1").expect("a number"))
        );
    }

    #[test]
    fn normalises_text_to_nfc() {
        let decomposed = wr::write_str;
        let mut bytes = Vec::new();
        decomposed(&mut bytes, "e\u{301}").expect("a vector");
        assert_eq!(
            decode(&bytes, &Type::String).expect("a value"),
            Value::string("\u{e9}")
        );
    }

    #[test]
    fn refuses_objects_with_missing_or_strange_members() {
        let ty = Type::object([("a", Type::String)]);
        assert!(decode(&[0x80], &ty).is_err());
        assert!(decode(&[0x81, 0xa1, b'b', 0xa1, b'x'], &ty).is_err());
    }

    /// Mutated bytes never panic, and what is read once is read the same again.
    #[test]
    fn survives_any_bytes() {
        let ty = Type::object([
            ("a", Type::list(Type::Number)),
            ("b", Type::map(Type::Dynamic)),
            ("c", Type::Tuple(vec![Type::Bool, Type::String])),
        ]);
        let seed = encode(
            &Value::object([
                ("a", Value::List(vec![Value::integer(1), Value::unknown()])),
                ("b", Value::object([("k", Value::string("v"))])),
                ("c", Value::List(vec![Value::Bool(true), Value::Null])),
            ]),
            &ty,
        );
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).expect("31 bits")
        };
        let mut read = 0;
        for _ in 0..100_000 {
            let mut bytes = seed.clone();
            for _ in 0..=random() % 3 {
                let at = random() % bytes.len();
                bytes[at] = u8::try_from(random() % 256).expect("a byte");
            }
            bytes.truncate(bytes.len() - random() % 4);
            if let Ok(value) = decode(&bytes, &ty) {
                read += 1;
                let again = decode(&encode(&value, &ty), &ty).expect("our own bytes");
                assert_eq!(again, value, "bytes {}", hex::encode(&bytes));
            }
        }
        assert!(read > 100, "only {read} of the inputs were values");
    }
}
