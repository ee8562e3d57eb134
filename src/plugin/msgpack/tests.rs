//! Bytes against what go-cty writes, and against chance.

use super::*;
use crate::{json, number::Number, types::Object, value::Refinement};

/// A line of the golden table.
struct Golden {
    line: usize,
    ty: Type,
    /// As a state file has it; absent if not wholly known.
    json: Option<&'static str>,
    bytes: Vec<u8>,
    /// What is written for the value once it is read: floats that are no exact fraction, which
    /// only arithmetic gives, come back as decimal text.
    again: Vec<u8>,
}

fn goldens() -> impl Iterator<Item = Golden> {
    let table = include_str!("../golden/go-cty.tsv");
    let lines = (1..)
        .zip(table.lines())
        .filter(|(_, text)| !text.starts_with('#'));
    lines.map(|(line, text)| {
        let columns: Vec<&str> = text.split('\t').collect();
        let [ty, json, bytes, again] = columns[..] else {
            panic!("line {line} has four columns")
        };
        let ty = serde_json::from_str(ty).expect("the type is JSON");
        let bytes = hex::decode(bytes).expect("the bytes are hexadecimal");
        Golden {
            line,
            ty: Type::from_json(&ty).expect("the type is one"),
            json: (json != "-").then_some(json),
            again: match again {
                "=" => bytes.clone(),
                again => hex::decode(again).expect("the bytes are hexadecimal"),
            },
            bytes,
        }
    })
}

#[test]
fn reads_and_writes_the_bytes_of_go_cty() {
    assert!(goldens().count() > 150, "the table is there");
    for Golden {
        line,
        ty,
        json,
        bytes,
        again,
    } in goldens()
    {
        let value = decode(&bytes, &ty).unwrap_or_else(|error| panic!("line {line}: {error}"));
        assert_eq!(
            hex::encode(encode(&value, &ty)),
            hex::encode(&again),
            "line {line}: {value:?}"
        );
        assert_eq!(
            value.is_wholly_known(),
            json.is_some(),
            "line {line}: {value:?}"
        );
        if let Some(json) = json {
            let told = json::from_slice(json.as_bytes(), &ty);
            assert_eq!(told.as_ref(), Ok(&value), "line {line}: {json}");
            assert_eq!(
                json::from_json(&json::to_json(&value), &ty),
                Ok(value),
                "line {line}"
            );
        }
    }
}

#[test]
fn reads_what_go_cty_reads_and_never_writes() {
    let read = |hex: &str, ty: &Type| decode(&hex::decode(hex).expect("hexadecimal"), ty).ok();
    let number = |text: &str| Some(Value::Number(Number::parse(text).expect("a number")));
    assert_eq!(
        decode(&[], &Type::Number).ok(),
        Some(Value::Null),
        "nothing at all"
    );
    assert_eq!(
        read("cf8000000000000000", &Type::Number),
        number("9223372036854775808")
    );
    assert_eq!(
        read("d3ffffffffffffffff", &Type::Number),
        number("-1"),
        "more bytes than needed"
    );
    assert_eq!(
        read("ca3f000000", &Type::Number),
        number("0.5"),
        "a short float"
    );
    assert_eq!(read("cb7ff0000000000000", &Type::Number), None, "infinity");
    assert_eq!(read("a3316531", &Type::Number), number("10"), "an exponent");
    assert_eq!(
        read("a2317a", &Type::Number),
        None,
        "text that is no number"
    );
    assert_eq!(
        read("c40161", &Type::String),
        Some(Value::string("a")),
        "text as bytes"
    );
    assert_eq!(
        read("a365cc81", &Type::String),
        Some(Value::string("\u{e9}")),
        "decomposed text"
    );
    assert_eq!(read("a1ff", &Type::String), None, "text that is not UTF-8");
    assert!(
        read("92a822737472696e6722a178", &Type::Dynamic).is_some(),
        "type as text"
    );
}

#[test]
fn an_extension_is_an_unknown_value_or_an_error() {
    let read = |hex: &str, ty: &Type| decode(&hex::decode(hex).expect("hexadecimal"), ty).ok();
    let unknown = Some(Value::unknown());
    assert_eq!(
        read("d40500", &Type::String),
        unknown,
        "one byte, whatever its type"
    );
    assert_eq!(read("c70000", &Type::String), unknown, "no byte");
    assert_eq!(
        read("c7030c8101c2", &Type::Dynamic),
        unknown,
        "no promise of a dynamic value"
    );
    assert_eq!(
        read("d5010000", &Type::String),
        None,
        "another extension is no unknown value"
    );
    let long = format!("c805000c8101c2{}", "00".repeat(1280 - 3));
    assert_eq!(read(&long, &Type::String), None, "longer than go-cty reads");
    // Key 9 is none that is known here; what stands before it holds.
    let promised = Value::Unknown(Box::new(Refinement {
        null: Some(false),
        ..Refinement::default()
    }));
    assert_eq!(read("c7050c8201c209c0", &Type::String), Some(promised));
}

#[test]
fn a_promise_that_core_would_refuse_is_not_made() {
    let long = Value::Unknown(Box::new(Refinement {
        prefix: Some("p".repeat(2000)),
        ..Refinement::default()
    }));
    assert_eq!(hex::encode(encode(&long, &Type::String)), "d40000");
}

#[test]
fn refuses_what_does_not_fit_the_type() {
    let object = Type::object([("a", Type::String)]);
    for (bytes, ty) in [
        (&[0x80][..], &object),
        (&[0x81, 0xa1, b'b', 0xa1, b'x'], &object),
        (&[0x82, 0xa1, b'a', 0xc0, 0xa1, b'b', 0xc0], &object),
        (&[0x91, 0xc0], &Type::Tuple(vec![])),
        (&[0xc3], &Type::String),
        (&[0x01], &Type::Bool),
        (&[0xdd, 0xff, 0xff, 0xff, 0xff], &Type::list(Type::Bool)),
        (&[0xdb, 0xff, 0xff, 0xff, 0xff], &Type::String),
        (&[0x93, 0xc0, 0xc0, 0xc0], &Type::Dynamic),
    ] {
        assert!(decode(bytes, ty).is_err(), "{bytes:x?} as {ty}");
    }
}

#[test]
fn nesting_without_end_is_an_error() {
    let mut ty = Type::String;
    for _ in 0..=DEPTH_LIMIT {
        ty = Type::list(ty);
    }
    let bytes = vec![0x91; DEPTH_LIMIT + 2];
    assert!(matches!(decode(&bytes, &ty), Err(DecodeError::TooDeep)));
    // A dynamic value whose type is dynamic again and again.
    let mut bytes = Vec::new();
    for _ in 0..100_000 {
        bytes.extend_from_slice(b"\x92\xc4\x09\"dynamic\"");
    }
    assert!(matches!(
        decode(&bytes, &Type::Dynamic),
        Err(DecodeError::TooDeep)
    ));
}

#[test]
fn a_member_that_is_not_given_is_null() {
    let ty = Type::object([("a", Type::String), ("b", Type::Number)]);
    let bytes = encode(&Value::object([("a", Value::string("x"))]), &ty);
    assert_eq!(hex::encode(bytes), "82a161a178a162c0");
}

#[test]
fn numbers_of_a_state_are_text() {
    let ty = Type::object([("any", Type::Dynamic), ("count", Type::list(Type::Number))]);
    let five = Value::integer(5);
    let value = Value::object([
        (
            "any",
            Value::Dynamic(Box::new((Type::Number, five.clone()))),
        ),
        ("count", Value::List(vec![five, Value::Null])),
    ]);
    let bytes = encode_state(&value, &ty);
    assert_eq!(
        hex::encode(&bytes),
        "82a3616e7992c408226e756d62657222a135a5636f756e7492a135c0"
    );
    assert_eq!(decode(&bytes, &ty).ok(), Some(value));
}

/// A sequence that looks random and is the same in every run (xorshift).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("a usize has at most 64 bits");
        usize::try_from(self.next() % end).expect("it is below a usize")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(64)).map(|_| self.byte()).collect()
    }

    /// The same bytes with a few of them changed, removed, repeated or put in.
    fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let place = self.below(bytes.len() + 1);
            match (self.below(5), bytes.get_mut(place)) {
                (0, Some(byte)) => *byte = self.byte(),
                (1, Some(byte)) => *byte ^= 1 << self.below(8),
                (2, Some(_)) => bytes.truncate(place),
                (3, Some(_)) => {
                    bytes.remove(place);
                }
                _ => bytes.insert(place, self.byte()),
            }
        }
        bytes
    }

    fn text(&mut self) -> String {
        const TEXTS: [&str; 6] = ["", "a", "e\u{301}", "10.0.1.10", "\u{1f600}", "x y"];
        TEXTS[self.below(TEXTS.len())].to_owned()
    }

    fn number(&mut self) -> Number {
        match self.below(4) {
            0 => Number::from(i64::from_le_bytes(self.next().to_le_bytes())),
            1 => Number::from(self.next()),
            2 => Number::parse(&format!("-{}.{}", self.next(), self.next())).expect("a number"),
            _ => Number::parse(&format!("{}e-{}", self.byte(), self.below(40))).expect("a number"),
        }
    }

    fn ty(&mut self, depth: usize) -> Type {
        match self.below(if depth == 0 { 4 } else { 9 }) {
            0 => Type::String,
            1 => Type::Number,
            2 => Type::Bool,
            3 => Type::Dynamic,
            4 => Type::list(self.ty(depth - 1)),
            5 => Type::Set(Box::new(self.ty(depth - 1))),
            6 => Type::map(self.ty(depth - 1)),
            7 => Type::Tuple((0..self.below(4)).map(|_| self.ty(depth - 1)).collect()),
            _ => Type::Object(Object {
                members: (0..self.below(4))
                    .map(|index| (format!("m{index}"), self.ty(depth - 1)))
                    .collect(),
                optional: Vec::new(),
            }),
        }
    }

    fn refinement(&mut self, ty: &Type) -> Refinement {
        let mut refinement = Refinement::default();
        match ty {
            Type::Dynamic => return refinement,
            Type::String => refinement.prefix = Some(self.text()),
            Type::Number => refinement.number_max = Some((self.number(), self.below(2) == 0)),
            Type::List(_) | Type::Set(_) | Type::Map(_) => refinement.length_min = Some(1),
            _ => {}
        }
        refinement.null = (self.below(2) == 0).then_some(false);
        refinement
    }

    fn value(&mut self, ty: &Type) -> Value {
        match self.below(8) {
            0 => return Value::Null,
            1 => return Value::Unknown(Box::new(self.refinement(ty))),
            _ => {}
        }
        match ty {
            Type::String => Value::string(self.text()),
            Type::Number => Value::Number(self.number()),
            Type::Bool => Value::Bool(self.below(2) == 0),
            Type::List(element) | Type::Set(element) => {
                Value::List((0..self.below(4)).map(|_| self.value(element)).collect())
            }
            Type::Map(element) => {
                Value::object((0..self.below(4)).map(|_| (self.text(), self.value(element))))
            }
            Type::Tuple(types) => Value::List(types.iter().map(|ty| self.value(ty)).collect()),
            Type::Object(object) => {
                let members = object.members.iter();
                Value::object(members.map(|(name, ty)| (name.clone(), self.value(ty))))
            }
            Type::Dynamic => match self.ty(2) {
                Type::Dynamic => Value::Null,
                ty => {
                    let value = self.value(&ty);
                    Value::Dynamic(Box::new((ty, value)))
                }
            },
        }
    }
}

/// Whatever the bytes: no panic, and what is read once is read the same again.
fn check(bytes: &[u8], ty: &Type) -> bool {
    let Ok(value) = decode(bytes, ty) else {
        return false;
    };
    let written = encode(&value, ty);
    assert_eq!(
        decode(&written, ty).ok().as_ref(),
        Some(&value),
        "{bytes:x?} as {ty:?}"
    );
    true
}

#[test]
fn survives_any_bytes() {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let goldens: Vec<_> = goldens().collect();
    let mut read = 0;
    for _ in 0..500 {
        for golden in &goldens {
            read += usize::from(check(&chance.mutate(&golden.bytes), &golden.ty));
            // Bytes of one type where another is wanted.
            let other = chance.below(goldens.len());
            check(&chance.mutate(&golden.bytes), &goldens[other].ty);
        }
    }
    assert!(read > 1000, "mutations leave something to read: {read}");
    for _ in 0..50_000 {
        let ty = chance.ty(3);
        check(&chance.bytes(), &ty);
    }
}

#[test]
fn survives_any_text_of_a_state_file() {
    let mut chance = Chance(0x6a09_e667_f3bc_c909);
    let texts: Vec<_> = goldens()
        .filter_map(|golden| Some((golden.json?, golden.ty)))
        .collect();
    let mut read = 0;
    for _ in 0..200 {
        for (text, ty) in &texts {
            let Ok(value) = json::from_slice(&chance.mutate(text.as_bytes()), ty) else {
                continue;
            };
            assert_eq!(
                json::from_json(&json::to_json(&value), ty),
                Ok(value),
                "{text}"
            );
            read += 1;
        }
    }
    assert!(read > 1000, "mutations leave something to read: {read}");
}

#[test]
fn what_is_written_is_read_again() {
    let mut chance = Chance(0x2545_f491_4f6c_dd1d);
    for _ in 0..50_000 {
        let ty = chance.ty(3);
        let value = chance.value(&ty);
        // Text is in NFC once it has been read.
        let read = decode(&encode(&value, &ty), &ty).expect("what was written can be read");
        assert!(check(&encode(&value, &ty), &ty), "{value:?}");
        assert_eq!(
            encode(&read, &ty),
            encode(&value, &ty),
            "{value:?} as {ty:?}"
        );
    }
}
