//! The types of the golden table, by which the fuzzer's bytes are read.

use std::sync::LazyLock;

use tf_plugin::Type;

static TYPES: LazyLock<Vec<Type>> = LazyLock::new(|| {
    let table = include_str!("../golden/go-cty.tsv");
    let mut texts: Vec<&str> = table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split('\t').next())
        .collect();
    texts.sort_unstable();
    texts.dedup();
    let parse = |text| {
        let json = serde_json::from_str(text).expect("the type is JSON");
        Type::from_json(&json).expect("the type is one")
    };
    texts.into_iter().map(parse).collect()
});

/// The first byte chooses the type, the others are the value.
pub fn split(data: &[u8]) -> Option<(&'static Type, &[u8])> {
    let (&first, rest) = data.split_first()?;
    Some((&TYPES[usize::from(first) % TYPES.len()], rest))
}
