//! What a host printed, made fit to be shown: bounded, printable, without secrets.

use std::collections::VecDeque;

/// Bytes of output that are kept to be shown.
const SHOWN_BYTES: usize = 1024;

/// Words after which a secret is likely to stand.
const SECRET_WORDS: [&str; 5] = ["password", "passwd", "passphrase", "secret", "token"];

/// The last bytes of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: VecDeque<u8>,
}

impl Tail {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let surplus = self.bytes.len().saturating_sub(SHOWN_BYTES);
        self.bytes.drain(..surplus);
    }

    /// What is kept, as it is.
    pub(crate) fn text(&self) -> String {
        let bytes: Vec<u8> = self.bytes.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What is kept, fit to be shown.
    pub(crate) fn printable(&self) -> String {
        printable(&self.text(), &[])
    }
}

/// `text` in one line, its lines joined by " / ", without control characters and `secrets`, and
/// with what follows a word such as "password" and a colon or an equals sign left out.
pub(crate) fn printable(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "…");
    }
    let lines: Vec<String> = text
        .split(['\n', '\r'])
        .map(|line| redact(&line.replace(char::is_control, " ")))
        .filter(|line| !line.is_empty())
        .collect();
    let joined = lines.join(" / ");
    let surplus = joined.len().saturating_sub(SHOWN_BYTES);
    let start = (surplus..joined.len())
        .find(|at| joined.is_char_boundary(*at))
        .unwrap_or(0);
    joined[start..].to_owned()
}

fn redact(line: &str) -> String {
    let line = line.trim();
    let lower = line.to_ascii_lowercase();
    for word in SECRET_WORDS {
        let Some(at) = lower.find(word) else { continue };
        let Some(sign) = lower[at..].find([':', '=']) else {
            continue;
        };
        let end = at + sign + 1;
        if sign < word.len() + 16 && !line[end..].trim().is_empty() {
            return format!("{} …", &line[..end]);
        }
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_shown_in_one_line_without_secrets() {
        let text = "welcome\x1b[0m\r\n\nmy password is: hunter2\nsudo: a password is required\ntoken=abc\nxhunter3x\n";
        let shown = printable(text, &["hunter3"]);
        assert_eq!(
            shown,
            "welcome [0m / my password is: … / sudo: a password is required / token= … / x…x"
        );
    }

    #[test]
    fn only_the_last_of_much_output_is_kept() {
        let mut tail = Tail::default();
        tail.push("ä".repeat(SHOWN_BYTES).as_bytes());
        tail.push(b"the end");
        let shown = tail.printable();
        assert!(
            shown.len() <= SHOWN_BYTES + 2 && shown.ends_with("the end"),
            "{shown}"
        );
    }
}
