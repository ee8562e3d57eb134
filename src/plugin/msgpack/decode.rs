//! Bytes to values.

use std::collections::BTreeMap;

use rmp::{Marker, decode as rd};
use unicode_normalization::UnicodeNormalization;

use super::{DEPTH_LIMIT, DecodeError, REFINED, REFINEMENT_LIMIT};
use crate::{
    number::Number,
    types::{Object, Type},
    value::{Refinement, Value},
};

type Result<T> = std::result::Result<T, DecodeError>;

pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
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

    pub(super) fn value(&mut self, ty: &Type, depth: usize) -> Result<Value> {
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
            | Marker::Ext32 => return self.unknown(ty),
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
                Ok(match ty {
                    Type::Dynamic => value,
                    ty => Value::Dynamic(Box::new((ty, value))),
                })
            }
        }
    }

    /// Any extension of at most one byte is a plain unknown, whatever its type.
    fn unknown(&mut self, ty: &Type) -> Result<Value> {
        let meta = rd::read_ext_meta(&mut self.bytes).map_err(|_| DecodeError::Malformed)?;
        let length = usize::try_from(meta.size).map_err(|_| DecodeError::Malformed)?;
        let payload = self.take(length)?;
        // go-cty takes nothing else for an unknown value, and promises nothing of a dynamic one.
        if length > 1 && (meta.typeid != REFINED || length > REFINEMENT_LIMIT) {
            return Err(DecodeError::Mismatch {
                found: format!("extension {} of {length} bytes", meta.typeid),
                wanted: ty.to_string(),
            });
        }
        if length <= 1 || *ty == Type::Dynamic {
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
