//! Terraform's types and their JSON form on the wire.

use std::{collections::BTreeMap, fmt};

/// The type of an attribute or value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Text, in NFC.
    String,
    /// A decimal number of any size.
    Number,
    /// True or false.
    Bool,
    /// Whatever the user wrote, told with the value.
    Dynamic,
    /// Ordered elements of one type.
    List(Box<Self>),
    /// Elements of one type without order or repetition.
    Set(Box<Self>),
    /// Elements of one type by name.
    Map(Box<Self>),
    /// Elements of own types by position.
    Tuple(Vec<Self>),
    /// Elements of own types by name.
    Object(Object),
}

/// Members of an object type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// Type of each member.
    pub members: BTreeMap<String, Type>,
    /// Members that HCL may leave out; only schemas say so, never values.
    pub optional: Vec<String>,
}

/// Why a type's JSON cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not a type")]
pub struct InvalidType(String);

impl Type {
    /// A list of `element`.
    pub fn list(element: Self) -> Self {
        Self::List(Box::new(element))
    }

    /// A map of `element`.
    pub fn map(element: Self) -> Self {
        Self::Map(Box::new(element))
    }

    /// An object whose members are all required.
    pub fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Object(Object {
            members: members
                .into_iter()
                .map(|(name, ty)| (name.to_owned(), ty))
                .collect(),
            optional: Vec::new(),
        })
    }

    /// The type's JSON, as schemas and dynamic values carry it.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::json;
        match self {
            Self::String => json!("string"),
            Self::Number => json!("number"),
            Self::Bool => json!("bool"),
            Self::Dynamic => json!("dynamic"),
            Self::List(element) => json!(["list", element.to_json()]),
            Self::Set(element) => json!(["set", element.to_json()]),
            Self::Map(element) => json!(["map", element.to_json()]),
            Self::Tuple(elements) => {
                json!([
                    "tuple",
                    elements.iter().map(Self::to_json).collect::<Vec<_>>()
                ])
            }
            Self::Object(Object { members, optional }) => {
                let members: serde_json::Map<_, _> = members
                    .iter()
                    .map(|(name, ty)| (name.clone(), ty.to_json()))
                    .collect();
                if optional.is_empty() {
                    json!(["object", members])
                } else {
                    json!(["object", members, optional])
                }
            }
        }
    }

    /// Reads a type's JSON.
    ///
    /// # Errors
    /// [`InvalidType`] with the text that is none.
    pub fn from_json(json: &serde_json::Value) -> Result<Self, InvalidType> {
        let invalid = || InvalidType(json.to_string());
        if let Some(name) = json.as_str() {
            return match name {
                "string" => Ok(Self::String),
                "number" => Ok(Self::Number),
                "bool" => Ok(Self::Bool),
                "dynamic" => Ok(Self::Dynamic),
                _ => Err(invalid()),
            };
        }
        let parts = json.as_array().ok_or_else(invalid)?;
        let kind = parts
            .first()
            .and_then(|kind| kind.as_str())
            .ok_or_else(invalid)?;
        let inner = parts.get(1).ok_or_else(invalid)?;
        match kind {
            "list" => Ok(Self::list(Self::from_json(inner)?)),
            "set" => Ok(Self::Set(Box::new(Self::from_json(inner)?))),
            "map" => Ok(Self::map(Self::from_json(inner)?)),
            "tuple" => Ok(Self::Tuple(
                inner
                    .as_array()
                    .ok_or_else(invalid)?
                    .iter()
                    .map(Self::from_json)
                    .collect::<Result<_, _>>()?,
            )),
            "object" => Ok(Self::Object(Object {
                members: inner
                    .as_object()
                    .ok_or_else(invalid)?
                    .iter()
                    .map(|(name, ty)| Ok((name.clone(), Self::from_json(ty)?)))
                    .collect::<Result<_, InvalidType>>()?,
                optional: parts
                    .get(2)
                    .and_then(|names| names.as_array())
                    .map(|names| {
                        names
                            .iter()
                            .filter_map(|name| name.as_str().map(str::to_owned))
                            .collect()
                    })
                    .unwrap_or_default(),
            })),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String => formatter.write_str("string"),
            Self::Number => formatter.write_str("number"),
            Self::Bool => formatter.write_str("bool"),
            Self::Dynamic => formatter.write_str("dynamic"),
            Self::List(element) => write!(formatter, "list of {element}"),
            Self::Set(element) => write!(formatter, "set of {element}"),
            Self::Map(element) => write!(formatter, "map of {element}"),
            Self::Tuple(_) => formatter.write_str("tuple"),
            Self::Object(_) => formatter.write_str("object"),
        }
    }
}
