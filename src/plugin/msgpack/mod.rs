//! The msgpack form of values (go-cty `cty/msgpack`), driven by their type.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use crate::{types::Type, value::Value};

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

/// Reads a value; empty bytes are null.
///
/// # Errors
/// [`DecodeError`]; never panics, whatever the bytes.
pub fn decode(bytes: &[u8], ty: &Type) -> Result<Value, DecodeError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    decode::Reader { bytes }.value(ty, 0)
}

/// Writes a value of type `ty`; members that a map lacks are null.
pub fn encode(value: &Value, ty: &Type) -> Vec<u8> {
    let mut out = Vec::new();
    encode::write(&mut out, value, ty, encode::Numbers::Shortest);
    out
}

/// Writes a state: the same value with all numbers as text.
///
/// After a refresh Terraform compares two states by what they are in its memory
/// (`states/state_equal.go`). There a number out of a state file has 512 bits, as one out of text
/// has, but one out of a msgpack integer has 64: `-refresh-only` would always find a change.
pub(crate) fn encode_state(value: &Value, ty: &Type) -> Vec<u8> {
    let mut out = Vec::new();
    encode::write(&mut out, value, ty, encode::Numbers::Text);
    out
}
