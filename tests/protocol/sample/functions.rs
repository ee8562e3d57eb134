//! A function.

use async_trait::async_trait;
use tf_plugin::{
    Number, Type, Value,
    provider::{Function, Signature},
};

/// Twice a number; refuses 13 and panics at 666.
pub(crate) struct Twice;

#[async_trait]
impl Function for Twice {
    fn signature(&self) -> Signature {
        Signature {
            name: "twice",
            parameters: vec![("number", Type::Number, "What is doubled.")],
            result: Type::Number,
            summary: "Twice a number",
            description: "Twice a number.",
        }
    }

    async fn call(&self, arguments: Vec<Value>) -> Result<Value, (String, Option<i64>)> {
        let number = arguments.first().and_then(Value::as_i64);
        assert!(number != Some(666), "asked for");
        match number.and_then(|number| number.checked_mul(2)) {
            Some(26) | None => Err(("that number is not doubled".to_owned(), Some(0))),
            Some(twice) => Ok(Value::Number(Number::from(twice))),
        }
    }
}
