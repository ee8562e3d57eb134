//! Parameters of queries and forms.

use std::collections::BTreeMap;

use crate::reply::Reply;

/// Parameters by name.
pub(crate) type Parameters = BTreeMap<String, String>;

/// Text without percent-encoding.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let coded = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| hex::decode(digits).ok());
        if let Some(byte) = coded {
            bytes.extend(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `a=1&b=2`, with `+` for a blank.
pub(crate) fn parse(text: &str) -> Parameters {
    text.split(['&', ';'])
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let plain = |text: &str| decode(&text.replace('+', " "));
            (plain(name), plain(value))
        })
        .collect()
}

/// Refuses parameters that a call does not know.
pub(crate) fn only(parameters: &Parameters, known: &[&str]) -> Result<(), Reply> {
    match parameters
        .keys()
        .find(|name| !known.contains(&name.as_str()))
    {
        None => Ok(()),
        Some(name) => Err(Reply::parameter(
            name,
            "property is not defined in schema and the schema does not allow additional properties",
        )),
    }
}

/// A parameter that must be there.
pub(crate) fn required<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a str, Reply> {
    parameters
        .get(name)
        .map(String::as_str)
        .ok_or_else(|| Reply::parameter(name, "property is missing and it is not optional"))
}

/// A parameter that is one of these words, if it is there.
pub(crate) fn one_of(parameters: &Parameters, name: &str, words: &[&str]) -> Result<(), Reply> {
    match parameters.get(name) {
        Some(value) if !words.contains(&value.as_str()) => Err(Reply::parameter(
            name,
            &format!(
                "value '{value}' does not have a value in the enumeration '{}'",
                words.join(", ")
            ),
        )),
        _ => Ok(()),
    }
}
