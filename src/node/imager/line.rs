//! What engines and builders print, made fit to be shown: single lines, printable, bounded, without
//! secrets. An imager prints its whole profile, with kernel arguments and an embedded machine
//! configuration.

/// Bytes of a line that are kept. Whoever prints more shows data.
const LENGTH: usize = 500;

/// Words after which, and a colon or an equals sign, a secret stands.
const SECRET_WORDS: [&str; 6] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "authorization",
];

/// Shorter values after `key:` are numbers and names, longer ones keys.
const KEY_LENGTH: usize = 24;

/// Cuts a stream into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
    in_private_key: bool,
}

impl Lines {
    /// Calls `each` with every line that is complete now. A carriage return ends one too: so bars
    /// that are drawn over themselves become lines.
    pub(super) fn push(&mut self, bytes: &[u8], each: &mut impl FnMut(String)) {
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => self.end(each),
                // The rest of a line that is too long is passed over.
                byte if self.rest.len() < 4 * LENGTH => self.rest.push(*byte),
                _ => {}
            }
        }
    }

    /// The same with what came last, without a line end.
    pub(super) fn end(&mut self, each: &mut impl FnMut(String)) {
        let bytes = std::mem::take(&mut self.rest);
        let line = printable(&String::from_utf8_lossy(&bytes));
        if line.is_empty() {
            return;
        }
        let is_boundary = line.contains("PRIVATE KEY-----");
        if is_boundary {
            self.in_private_key = line.contains("-----BEGIN");
        } else if !self.in_private_key {
            each(redact(&line));
        }
    }
}

/// Without control characters and the sequences by which terminals are driven (ECMA-48, 5.4).
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        if character == '\x1b' {
            if rest.next_if_eq(&'[').is_some() {
                while rest
                    .next_if(|next| !('\x40'..='\x7e').contains(next))
                    .is_some()
                {}
                rest.next();
            }
        } else if !character.is_control() {
            out.push(character);
        } else if character == '\t' {
            out.push(' ');
        }
    }
    out.trim_end().to_owned()
}

fn redact(line: &str) -> String {
    let mut line = without_logins(line);
    let lower = line.to_ascii_lowercase();
    let ends = SECRET_WORDS.iter().filter_map(|word| {
        let at = lower.find(word)?;
        let sign = lower[at..].find([':', '='])?;
        (sign < word.len() + 16).then_some(at + sign + 1)
    });
    let schemes = ["bearer ", "basic "].iter().filter_map(|scheme| {
        let end = lower.find(scheme)? + scheme.len();
        let value = lower[end..].split_whitespace().next()?;
        (value.len() >= KEY_LENGTH).then_some(end)
    });
    let keys = ["key:", "key=", "key\":"].iter().filter_map(|word| {
        let end = lower.find(word)? + word.len();
        (lower[end..].trim().len() >= KEY_LENGTH).then_some(end)
    });
    let cut = ends
        .chain(schemes)
        .chain(keys)
        .filter(|end| !lower[*end..].trim().is_empty())
        .min();
    if let Some(end) = cut {
        line.truncate(end);
        line.push_str(" …");
    }
    if line.len() > LENGTH {
        let end = (0..=LENGTH).rev().find(|at| line.is_char_boundary(*at));
        line.truncate(end.unwrap_or(0));
        line.push_str(" …");
    }
    line
}

/// Takes user and password out of URLs.
fn without_logins(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let authority = after
            .find(|character: char| character == '/' || character.is_whitespace())
            .unwrap_or(after.len());
        rest = match after[..authority].rfind('@') {
            Some(at) => {
                out.push('…');
                &after[at..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&str]) -> Vec<String> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(piece.as_bytes(), &mut |line| out.push(line));
        }
        lines.end(&mut |line| out.push(line));
        out
    }

    #[test]
    fn lines_are_whole_whatever_the_pieces_and_printable() {
        assert_eq!(
            lines(&[
                "one\ntw",
                "o\r\n\n",
                "\x1b[1;32mthree\x1b[0m\x07",
                " 4\r50%"
            ]),
            ["one", "two", "three 4", "50%"]
        );
    }

    #[test]
    fn secrets_are_left_out() {
        let long = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0";
        let key_line = format!("    key: {long}");
        let header = format!("sent Authorization Bearer {long}");
        let text = [
            "pulling https://ops:hunter2@registry.example/x failed",
            "  - talos.config=https://c.example/?token=hunter2&a=b",
            "password: hunter2",
            &key_line,
            &header,
            "  - key: 10",
            "a basic installer",
            "-----BEGIN EC PRIVATE KEY-----",
            long,
            "-----END EC PRIVATE KEY-----",
            "done",
        ];
        let shown = lines(&[&text.join("\n")]);
        assert_eq!(
            shown,
            [
                "pulling https://…@registry.example/x failed",
                "  - talos.config=https://c.example/?token= …",
                "password: …",
                "    key: …",
                "sent Authorization Bearer  …",
                "  - key: 10",
                "a basic installer",
                "done",
            ]
        );
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let shown = lines(&["ä".repeat(100_000).as_str()]);
        assert_eq!(shown.len(), 1);
        assert!(shown[0].len() <= LENGTH + 5, "{}", shown[0].len());
    }
}
