//! Any bytes are a value of the type or an error, and what is written of a value is read as the same value.

#![no_main]

mod golden;

use libfuzzer_sys::fuzz_target;
use tf_plugin::msgpack::{decode, encode};

fuzz_target!(|data: &[u8]| {
    let Some((ty, bytes)) = golden::split(data) else {
        return;
    };
    if let Ok(value) = decode(bytes, ty) {
        let written = encode(&value, ty);
        let read = decode(&written, ty).expect("what was written can be read");
        assert_eq!(encode(&read, ty), written, "{value:?} as {ty}");
    }
});
