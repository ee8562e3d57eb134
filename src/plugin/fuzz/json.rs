//! Any text of a state file is a value of the type or an error, and what is written of it is read as the same value.

#![no_main]

mod golden;

use libfuzzer_sys::fuzz_target;
use tf_plugin::json::{from_json, from_slice, to_json};

fuzz_target!(|data: &[u8]| {
    let Some((ty, text)) = golden::split(data) else {
        return;
    };
    if let Ok(value) = from_slice(text, ty) {
        assert_eq!(from_json(&to_json(&value), ty), Ok(value));
    }
});
