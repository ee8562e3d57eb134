//! What a registry wants to see before it answers: the header `WWW-Authenticate`.

use std::collections::BTreeMap;

/// One way to prove who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token that is fetched from `realm`.
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

/// The challenges of one header, in its order; schemes that we do not speak are left out.
///
/// Grammar: RFC 9110, 11.6.1. A comma separates both challenges and parameters, so a word without `=` begins a challenge.
pub(crate) fn challenges(header: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after.trim_start_matches([' ', '\t']);
        let Some(value) = rest.strip_prefix('=') else {
            found.push((word.to_ascii_lowercase(), BTreeMap::new()));
            continue;
        };
        let (value, after) = value_of(value.trim_start_matches([' ', '\t']));
        rest = after;
        if let Some((_, parameters)) = found.last_mut() {
            parameters.insert(word.to_ascii_lowercase(), value);
        }
    }
    found
        .into_iter()
        .filter_map(|(scheme, mut parameters)| match scheme.as_str() {
            "basic" => Some(Challenge::Basic),
            "bearer" => Some(Challenge::Bearer {
                realm: parameters.remove("realm")?,
                service: parameters.remove("service"),
            }),
            _ => None,
        })
        .collect()
}

/// A token or quoted text, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[index + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
        }
    }

    #[test]
    fn reads_what_registries_send() {
        let header = r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:a/b:pull,push""#;
        let ghcr = bearer("https://ghcr.io/token", Some("ghcr.io"));
        assert_eq!(challenges(header), [ghcr]);
        assert_eq!(challenges(r#"Basic realm="a, b""#), [Challenge::Basic]);
        assert_eq!(challenges("basic"), [Challenge::Basic]);
        assert_eq!(
            challenges(r#"Negotiate, bearer realm = "x\"y" , Basic realm=plain"#),
            [bearer("x\"y", None), Challenge::Basic]
        );
    }

    #[test]
    fn is_not_upset_by_nonsense() {
        for header in [
            "",
            ",,",
            "Bearer",
            "Bearer realm",
            "Bearer realm=\"",
            "=",
            "a=b",
        ] {
            let found = challenges(header);
            assert!(
                found.is_empty() || header == "Bearer realm=\"",
                "{header}: {found:?}"
            );
        }
    }
}
