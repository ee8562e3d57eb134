//! Block YAML byte for byte as go-yaml v4 writes it with its defaults: 4 spaces, no line folding,
//! empty collections in flow style (`emitter.go`).

use std::cmp::Ordering;

use super::{
    Value,
    plain::{self, Plain},
};

/// Keys longer than that, in bytes, stand after a `?`.
const LONGEST_SIMPLE_KEY: usize = 128;

const STEP: usize = 4;

/// What is to be written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tree {
    /// Quoted where that is needed.
    Text(String),
    /// Never quoted.
    Plain(String),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
}

impl Tree {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// A mapping with texts as keys.
    pub(super) fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        Self::Map(
            entries
                .into_iter()
                .map(|(key, value)| (Self::text(key), value))
                .collect(),
        )
    }
}

impl From<&Value> for Tree {
    fn from(value: &Value) -> Self {
        let plain = |text: &str| Self::Plain(text.to_owned());
        match value {
            Value::Null => plain("null"),
            Value::Bool(true) => plain("true"),
            Value::Bool(false) => plain("false"),
            Value::Int(number) => Self::Plain(number.to_string()),
            Value::Uint(number) => Self::Plain(number.to_string()),
            Value::Float(number) => Self::Plain(plain::write_float(*number)),
            Value::Timestamp(text) => plain(text),
            Value::Text(text) => Self::text(text),
            Value::List(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Map(entries) => {
                let mut entries: Vec<&(Value, Value)> = entries.iter().collect();
                entries.sort_by(|(left, _), (right, _)| order(left, right));
                let entries = entries.into_iter();
                Self::Map(
                    entries
                        .map(|(key, value)| (key.into(), value.into()))
                        .collect(),
                )
            }
        }
    }
}

/// Order of keys: numbers and booleans by value, then by kind, then texts in natural order
/// (`sorter.go`).
fn order(left: &Value, right: &Value) -> Ordering {
    let by_kind = || kind(left).cmp(&kind(right));
    match (number(left), number(right)) {
        (Some(one), Some(other)) => one
            .partial_cmp(&other)
            .unwrap_or(Ordering::Equal)
            .then_with(by_kind),
        _ => match (left, right) {
            (Value::Text(left), Value::Text(right)) => natural(left, right),
            _ => by_kind(),
        },
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "keys are compared as floating point numbers there too"
)]
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(is_true) => Some(f64::from(u8::from(*is_true))),
        Value::Int(number) => Some(*number as f64),
        Value::Uint(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// In the order of Go's kinds.
fn kind(value: &Value) -> u8 {
    match value {
        Value::Bool(_) => 1,
        Value::Int(_) => 2,
        Value::Uint(_) => 11,
        Value::Float(_) => 14,
        Value::Null => 20,
        Value::Map(_) => 21,
        Value::List(_) => 23,
        Value::Text(_) => 24,
        Value::Timestamp(_) => 25,
    }
}

/// `c2` before `c10`; letters after other signs, but after digits before them.
fn natural(left: &str, right: &str) -> Ordering {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut after_digits = false;
    for at in 0..left.len().min(right.len()) {
        let (one, other) = (left[at], right[at]);
        if one == other {
            after_digits = is_digit(one);
            continue;
        }
        return match (one.is_alphabetic(), other.is_alphabetic()) {
            (true, true) => one.cmp(&other),
            (true, false) if after_digits => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if after_digits => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                // Zeros within a number are digits of it, zeros before it are not.
                let within = (one == '0' || other == '0')
                    && left[..at]
                        .iter()
                        .rev()
                        .take_while(|char| is_digit(**char))
                        .any(|char| *char != '0');
                let (one_number, one_end) = run(&left, at, within);
                let (other_number, other_end) = run(&right, at, within);
                one_number
                    .cmp(&other_number)
                    .then(one_end.cmp(&other_end))
                    .then(one.cmp(&other))
            }
        };
    }
    left.len().cmp(&right.len())
}

fn is_digit(char: char) -> bool {
    char.is_ascii_digit()
}

fn run(text: &[char], from: usize, within: bool) -> (i64, usize) {
    let mut number = i64::from(within);
    let mut at = from;
    while let Some(digit) = text.get(at).and_then(|char| char.to_digit(10)) {
        number = number.wrapping_mul(10).wrapping_add(i64::from(digit));
        at += 1;
    }
    (number, at)
}

/// Writes a mapping as a document.
pub(super) fn document(tree: &Tree) -> String {
    let mut writer = Writer {
        text: String::new(),
        column: 0,
        after_space: true,
        at_indent: true,
    };
    writer.node(tree, None, false);
    writer.line(0);
    writer.text
}

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

struct Writer {
    text: String,
    column: usize,
    /// The last thing written separates from the next.
    after_space: bool,
    /// Nothing but spaces and indicators on this line.
    at_indent: bool,
}

impl Writer {
    fn put(&mut self, char: char) {
        self.text.push(char);
        self.column += 1;
    }

    fn break_line(&mut self, char: char) {
        self.text.push(char);
        self.column = 0;
        self.at_indent = true;
    }

    /// Goes to column `indent`: on this line if nothing stands there, else on the next.
    fn line(&mut self, indent: usize) {
        let is_beyond = self.column > indent || (self.column == indent && !self.after_space);
        if !self.at_indent || is_beyond {
            self.break_line('\n');
        }
        while self.column < indent {
            self.put(' ');
        }
        self.after_space = true;
    }

    fn indicator(&mut self, text: &str, is_apart: bool, keeps_indent: bool) {
        if is_apart && !self.after_space {
            self.put(' ');
        }
        for char in text.chars() {
            self.put(char);
        }
        self.after_space = false;
        self.at_indent &= keeps_indent;
    }

    /// Writes a node inside of a collection at `parent`.
    fn node(&mut self, tree: &Tree, parent: Option<usize>, in_list: bool) {
        let indent = deeper(parent, in_list);
        match tree {
            Tree::Plain(text) => self.plain(text),
            Tree::Text(text) => self.scalar(text, indent, false),
            Tree::List(items) if items.is_empty() => self.indicator("[]", true, false),
            Tree::Map(entries) if entries.is_empty() => self.indicator("{}", true, false),
            Tree::List(items) => {
                for item in items {
                    self.line(indent);
                    self.indicator("-", true, true);
                    self.node(item, Some(indent), true);
                }
            }
            Tree::Map(entries) => {
                // A document begins at column 0.
                let indent = if parent.is_none() { 0 } else { indent };
                for (key, value) in entries {
                    self.line(indent);
                    self.key(key, indent);
                    self.node(value, Some(indent), false);
                }
            }
        }
    }

    fn key(&mut self, key: &Tree, indent: usize) {
        match key {
            Tree::Text(text) if !is_simple_key(text) => {
                self.indicator("?", true, true);
                self.scalar(text, deeper(Some(indent), false), false);
                self.line(indent);
                self.indicator(":", true, true);
            }
            Tree::Text(text) => {
                self.scalar(text, indent, true);
                self.indicator(":", false, false);
            }
            other => {
                self.node(other, Some(indent), false);
                self.indicator(":", false, false);
            }
        }
    }

    fn plain(&mut self, text: &str) {
        if !self.after_space {
            self.put(' ');
        }
        for char in text.chars() {
            self.put(char);
        }
        self.after_space = false;
        self.at_indent = false;
    }

    fn scalar(&mut self, text: &str, indent: usize, is_key: bool) {
        match style(text, is_key) {
            Style::Plain => self.plain(text),
            Style::Single => {
                self.indicator("'", true, false);
                self.lines(text, indent, true);
                self.indicator("'", false, false);
            }
            Style::Double => {
                self.indicator("\"", true, false);
                self.escaped(text);
                self.indicator("\"", false, false);
            }
            Style::Literal => {
                self.indicator("|", true, false);
                if text.starts_with(|char| char == ' ' || is_break(char)) {
                    // Its number is that of the step, whatever the depth.
                    self.indicator(&STEP.to_string(), false, false);
                }
                let mut ends = text.chars().rev();
                if !ends.next().is_some_and(is_break) {
                    self.indicator("-", false, false);
                } else if ends.next().is_none_or(is_break) {
                    self.indicator("+", false, false);
                }
                self.break_line('\n');
                self.after_space = true;
                self.lines(text, indent, false);
            }
        }
    }

    /// Lines of a literal or of single quotes, each after the first indented.
    fn lines(&mut self, text: &str, indent: usize, is_quoted: bool) {
        let mut is_broken = !is_quoted;
        for char in text.chars() {
            if is_break(char) {
                self.break_line(char);
                is_broken = true;
                continue;
            }
            if is_broken {
                self.line(indent);
            }
            if is_quoted && char == '\'' {
                self.put('\'');
            }
            self.put(char);
            self.at_indent = false;
            is_broken = false;
        }
    }

    fn escaped(&mut self, text: &str) {
        // A byte order mark at the front makes every sign of the text look like one there.
        let is_marked = text.starts_with('\u{feff}');
        for char in text.chars() {
            let is_kept =
                is_printable(char) && !is_break(char) && !is_marked && !matches!(char, '"' | '\\');
            if is_kept {
                self.put(char);
                continue;
            }
            let short = match char {
                '\0' => "0",
                '\u{7}' => "a",
                '\u{8}' => "b",
                '\t' => "t",
                '\n' => "n",
                '\u{b}' => "v",
                '\u{c}' => "f",
                '\r' => "r",
                '\u{1b}' => "e",
                '"' => "\"",
                '\\' => "\\",
                '\u{85}' => "N",
                '\u{a0}' => "_",
                '\u{2028}' => "L",
                '\u{2029}' => "P",
                _ => "",
            };
            let number = u32::from(char);
            let escape = match number {
                _ if !short.is_empty() => short.to_owned(),
                0..=0xff => format!("x{number:02X}"),
                0x100..=0xffff => format!("u{number:04X}"),
                _ => format!("U{number:08X}"),
            };
            self.put('\\');
            for char in escape.chars() {
                self.put(char);
            }
        }
    }
}

/// Column of what stands inside of a collection at `parent`.
fn deeper(parent: Option<usize>, in_list: bool) -> usize {
    match parent {
        None => STEP,
        // Beside the "- ".
        Some(indent) if in_list => indent + 2,
        Some(indent) => STEP * ((indent + STEP) / STEP),
    }
}

fn is_simple_key(text: &str) -> bool {
    text.len() <= LONGEST_SIMPLE_KEY && !text.contains(is_break)
}

/// The style of a text: the plainest one that reads back as this text.
fn style(text: &str, is_key: bool) -> Style {
    let shape = Shape::of(text);
    let is_multiline = text.contains('\n');
    let wanted = if is_multiline {
        let is_blank = text.chars().all(char::is_whitespace);
        if is_blank {
            Style::Double
        } else {
            Style::Literal
        }
    } else if plain::meaning(text) == Plain::Text && !plain::is_old(text) {
        Style::Plain
    } else {
        Style::Double
    };
    match wanted {
        Style::Plain if shape.is_plain => Style::Plain,
        Style::Plain if shape.is_single => Style::Single,
        Style::Literal if shape.is_block && !is_key => Style::Literal,
        _ => Style::Double,
    }
}

/// In which styles a text can be written.
struct Shape {
    is_plain: bool,
    is_single: bool,
    is_block: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let at = |index: usize| chars.get(index).copied();
        let ends_word = |index: usize| at(index).is_none_or(|char| matches!(char, ' ' | '\t'));
        let has_pair = |first: fn(char) -> bool, second: fn(char) -> bool| {
            chars
                .windows(2)
                .any(|pair| first(pair[0]) && second(pair[1]))
        };
        let is_space = |char: char| char == ' ';
        let has_indicator = text.starts_with("---")
            || text.starts_with("...")
            || at(0).is_some_and(|char| "#,[]{}&*!|>'\"%@`".contains(char))
            || (at(0).is_some_and(|char| "?:-".contains(char)) && ends_word(1))
            || (1..chars.len()).any(|index| match chars[index] {
                ':' => ends_word(index + 1),
                '#' => {
                    let before = chars[index - 1];
                    matches!(before, ' ' | '\t' | '\0') || is_break(before)
                }
                _ => false,
            });
        let has_break = chars.iter().any(|char| is_break(*char));
        let is_special = chars
            .iter()
            .any(|char| *char != '\t' && !is_printable(*char));
        let has_tab = text.contains('\t');
        let at_ends = |wanted: fn(char) -> bool| {
            at(0).is_some_and(wanted) || chars.last().copied().is_some_and(wanted)
        };
        let is_padded = at_ends(is_space) || at_ends(is_break);
        let break_space = has_pair(is_break, is_space);
        let space_break = has_pair(is_space, is_break);
        let is_awkward = space_break || is_special;
        Self {
            is_plain: !(is_padded
                || has_break
                || break_space
                || is_awkward
                || has_tab
                || has_indicator),
            is_single: !(break_space || is_awkward || has_tab),
            is_block: !(text.ends_with(' ') || is_awkward),
        }
    }
}

fn is_break(char: char) -> bool {
    matches!(char, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What stands in a document as it is. Signs beyond the first plane do not, in this writer.
fn is_printable(char: char) -> bool {
    matches!(char, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}
