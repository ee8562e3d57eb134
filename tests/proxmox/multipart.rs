//! Reads the form of an upload as pveproxy does: by hand, in one order.
//!
//! It looks for `content`, `checksum-algorithm` and `checksum`, in this order, at the beginning of
//! what is left; then for a part whose first line is its Content-Disposition, named `filename` and
//! with a file name; and takes everything up to the closing boundary as the file
//! (pve-http-server, `src/PVE/APIServer/AnyEvent.pm`, `file_upload_multipart`). What follows from
//! that is kept: fields in another order break the upload, a file part needs one more header line,
//! a field behind the file becomes part of it.

use std::{collections::BTreeMap, io, io::Write};

/// What may stand before the file: the buffer of a connection.
const MOST_BEFORE_FILE: usize = 64 * 1024;

/// Fields that stand before the file.
const FIELDS: [&str; 3] = ["content", "checksum-algorithm", "checksum"];

/// A form that is being read; the file's bytes go to `W`.
pub(crate) struct Form<W> {
    boundary: String,
    buffer: Vec<u8>,
    phase: Phase,
    file: W,
    /// The fields, and `filename`.
    pub(crate) fields: BTreeMap<String, String>,
    /// Bytes of the file so far.
    pub(crate) file_bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Preamble,
    Fields,
    File,
    End,
}

/// Why the form is not taken: the text of a 501.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) String);

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        let said = match error.kind() {
            io::ErrorKind::StorageFull => "No space left on device".to_owned(),
            _ => error.to_string(),
        };
        Self(format!("write to temporary file failed - {said}"))
    }
}

impl<W: Write> Form<W> {
    pub(crate) fn new(boundary: &str, file: W) -> Self {
        Self {
            boundary: boundary.to_owned(),
            buffer: Vec::new(),
            phase: Phase::Preamble,
            file,
            fields: BTreeMap::new(),
            file_bytes: 0,
        }
    }

    /// Whether the closing boundary was seen; nothing after it counts.
    pub(crate) fn is_complete(&self) -> bool {
        self.phase == Phase::End
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        if self.is_complete() {
            return Ok(());
        }
        self.buffer.extend_from_slice(bytes);
        if self.phase == Phase::Preamble
            && let Some((start, _)) = self.delimiter(0)
        {
            self.buffer.drain(..start);
            self.phase = Phase::Fields;
        }
        if self.phase == Phase::Fields {
            for name in FIELDS {
                self.take_field(name)?;
            }
            self.take_file_head()?;
        }
        if self.phase == Phase::File {
            return self.take_file_bytes();
        }
        if self.buffer.len() > MOST_BEFORE_FILE {
            return Err(Broken("upload failed".to_owned()));
        }
        Ok(())
    }

    /// The next `--boundary` with its line end, from `from`: where it begins and ends.
    fn delimiter(&self, from: usize) -> Option<(usize, usize)> {
        let mark = format!("--{}", self.boundary);
        let mut from = from;
        loop {
            let start = find(&self.buffer, mark.as_bytes(), from)?;
            let end = start + mark.len();
            if let Some(length) = newline(&self.buffer[end..]) {
                return Some((start, end + length));
            }
            from = start + 1;
        }
    }

    fn take_field(&mut self, name: &str) -> Result<(), Broken> {
        let Some((0, head)) = self.delimiter(0) else {
            return Ok(());
        };
        let Some(disposition) = find(&self.buffer, b"Content-Disposition: ", head) else {
            return Ok(());
        };
        let from = disposition + b"Content-Disposition: ".len();
        let named = format!("; name=\"{name}\"");
        let Some(at) = find(&self.buffer, named.as_bytes(), from) else {
            return Ok(());
        };
        let rest = at + named.len();
        // Until the next part has begun, the field may still grow.
        if self.delimiter(rest).is_none() {
            return Ok(());
        }
        form_data(&self.buffer[from..at])?;
        self.buffer.drain(..rest);
        self.drop_head();
        if let Some((end, _)) = self.delimiter(0) {
            let value = String::from_utf8_lossy(&self.buffer[..end])
                .trim()
                .to_owned();
            self.buffer.drain(..end);
            self.fields.insert(name.to_owned(), value);
        }
        Ok(())
    }

    fn take_file_head(&mut self) -> Result<(), Broken> {
        let Some((0, head)) = self.delimiter(0) else {
            return Ok(());
        };
        let start = b"Content-Disposition: ";
        if !self.buffer[head..].starts_with(start) {
            return Ok(());
        }
        let from = head + start.len();
        let Some(name_at) = find(&self.buffer, b"; name=\"", from) else {
            return Ok(());
        };
        let name_from = name_at + b"; name=\"".len();
        let Some(name_end) = find(&self.buffer, b"\"; filename=\"", name_from) else {
            return Ok(());
        };
        let file_from = name_end + b"\"; filename=\"".len();
        let Some(file_end) = find(&self.buffer, b"\"", file_from) else {
            return Ok(());
        };
        let Some(line_end) = newline(&self.buffer[file_end + 1..]) else {
            return Ok(());
        };
        // Everything may have to come first that the file's bytes are told from.
        if blank_line(&self.buffer, file_end + 1 + line_end).is_none() {
            return Ok(());
        }
        form_data(&self.buffer[from..name_at])?;
        let name = String::from_utf8_lossy(&self.buffer[name_from..name_end]).into_owned();
        if name != "filename" {
            return Err(Broken(format!(
                "wrong field name '{name}' for file upload, expected 'filename'"
            )));
        }
        let file_name = String::from_utf8_lossy(&self.buffer[file_from..file_end])
            .trim()
            .to_owned();
        self.fields.insert("filename".to_owned(), file_name);
        self.buffer.drain(..file_end + 1 + line_end);
        self.drop_head();
        self.phase = Phase::File;
        Ok(())
    }

    /// Drops what is left of a part's header lines. A part without any loses its own bytes up to
    /// the first blank line.
    fn drop_head(&mut self) {
        if let Some(end) = blank_line(&self.buffer, 0) {
            self.buffer.drain(..end);
        }
    }

    fn take_file_bytes(&mut self) -> Result<(), Broken> {
        let close = format!("--{}--", self.boundary);
        let (mut end, is_complete) = match find(&self.buffer, close.as_bytes(), 0) {
            Some(end) => (end, true),
            // The boundary, its dashes and two line ends.
            None => (
                self.buffer.len().saturating_sub(self.boundary.len() + 8),
                false,
            ),
        };
        if is_complete {
            end -= usize::from(self.buffer[..end].ends_with(b"\n"));
            end -= usize::from(self.buffer[..end].ends_with(b"\r"));
            self.phase = Phase::End;
        }
        self.file.write_all(&self.buffer[..end])?;
        self.file_bytes += end as u64;
        self.buffer.drain(..end);
        Ok(())
    }
}

fn form_data(disposition: &[u8]) -> Result<(), Broken> {
    if disposition == b"form-data" {
        return Ok(());
    }
    let text = String::from_utf8_lossy(disposition);
    Err(Broken(format!(
        "wrong Content-Disposition '{text}' in multipart, expected 'form-data'"
    )))
}

fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let hay = bytes.get(from..)?;
    let first = *wanted.first()?;
    let mut at = 0;
    while let Some(offset) = hay[at..].iter().position(|byte| *byte == first) {
        at += offset;
        if hay[at..].starts_with(wanted) {
            return Some(from + at);
        }
        at += 1;
    }
    None
}

/// Length of the line end that `bytes` begin with.
fn newline(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => None,
    }
}

/// Where the first blank line after `from` ends.
fn blank_line(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len()).find_map(|at| {
        let first = newline(&bytes[at..])?;
        let second = newline(&bytes[at + first..])?;
        Some(at + first + second)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = Result<(BTreeMap<String, String>, Vec<u8>, bool), Broken>;

    /// Reads a form in pieces of this size.
    fn read(text: &str, piece: usize) -> Read {
        let mut form = Form::new("B", Vec::new());
        for bytes in text.as_bytes().chunks(piece) {
            form.push(bytes)?;
        }
        let is_complete = form.is_complete();
        Ok((form.fields, form.file, is_complete))
    }

    fn field(name: &str, value: &str) -> String {
        format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    }

    fn file(content: &str) -> String {
        format!(
            "--B\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"x.iso\"\r\nContent-Type: application/octet-stream\r\n\r\n{content}\r\n--B--\r\n"
        )
    }

    #[test]
    fn reads_fields_and_a_file_in_pieces_of_any_size() {
        let text = field("content", "iso")
            + &field("checksum-algorithm", "sha256")
            + &field("checksum", "abc")
            + &file("one\r\n\r\n--B\r\ntwo");
        for piece in [1, 7, 64, 4096] {
            let (fields, bytes, is_complete) = read(&text, piece).expect("a form");
            assert!(is_complete);
            assert_eq!(bytes, b"one\r\n\r\n--B\r\ntwo");
            let fields: Vec<_> = fields.values().map(String::as_str).collect();
            assert_eq!(fields, ["abc", "sha256", "iso", "x.iso"]);
        }
    }

    #[test]
    fn fields_in_another_order_break_it() {
        let text = field("checksum", "abc") + &field("content", "iso") + &file("data");
        let Broken(said) = read(&text, 4096).expect_err("another order");
        assert!(said.starts_with("wrong Content-Disposition 'form-data; name=\"checksum\""));
    }

    #[test]
    fn an_unknown_field_before_the_file_breaks_it() {
        let text = field("content", "iso") + &field("overwrite", "1") + &file("data");
        let Broken(said) = read(&text, 4096).expect_err("an unknown field");
        assert!(said.starts_with("wrong field name 'overwrite"), "{said}");
    }

    #[test]
    fn a_field_behind_the_file_becomes_part_of_it() {
        let (head, tail) = {
            let file = file("data");
            let (head, _) = file.split_once("--B--").expect("an end");
            (head.to_owned(), field("checksum", "abc") + "--B--\r\n")
        };
        let (fields, bytes, _) =
            read(&(field("content", "iso") + &head + &tail), 4096).expect("a form");
        assert!(!fields.contains_key("checksum"));
        assert!(bytes.starts_with(b"data\r\n--B\r\nContent-Disposition"));
    }

    #[test]
    fn a_file_part_must_begin_with_its_disposition_and_have_another_line() {
        let other_first = file("data").replace(
            "--B\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"x.iso\"\r\nContent-Type: application/octet-stream\r\n",
            "--B\r\nContent-Type: application/octet-stream\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"x.iso\"\r\n",
        );
        let (_, _, is_complete) =
            read(&(field("content", "iso") + &other_first), 4096).expect("a form");
        assert!(!is_complete);
        let alone =
            file("lost\r\n\r\nkept").replace("Content-Type: application/octet-stream\r\n", "");
        let (_, bytes, _) = read(&(field("content", "iso") + &alone), 4096).expect("a form");
        assert_eq!(bytes, b"kept");
    }
}
