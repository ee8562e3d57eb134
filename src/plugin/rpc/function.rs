//! Calling a function.

use std::sync::Arc;

use super::{Rpc, decode, encode};
use crate::tfplugin5::{self as wire, DynamicValue, FunctionError};

/// What is wrong, and the position of the argument at fault if one is.
type Failure = (String, Option<i64>);

pub(super) async fn call(
    rpc: &Rpc,
    request: wire::call_function::Request,
) -> wire::call_function::Response {
    match called(rpc, request).await {
        Ok(result) => wire::call_function::Response {
            result: Some(result),
            error: None,
        },
        Err((text, function_argument)) => wire::call_function::Response {
            result: None,
            error: Some(FunctionError {
                text,
                function_argument,
            }),
        },
    }
}

async fn called(rpc: &Rpc, request: wire::call_function::Request) -> Result<DynamicValue, Failure> {
    let name = request.name.as_str();
    let callable = rpc.catalog.functions.get(name).cloned();
    let callable = callable.ok_or_else(|| (format!("there is no function {name}"), None))?;
    let parameters = &callable.signature.parameters;
    let (given, wanted) = (request.arguments.len(), parameters.len());
    if given != wanted {
        return Err((
            format!("{name} takes {wanted} argument(s), not {given}"),
            None,
        ));
    }
    let mut arguments = Vec::new();
    for (index, (argument, (name, ty, _))) in (0..).zip(request.arguments.iter().zip(parameters)) {
        let value = decode(Some(argument), ty);
        arguments.push(value.map_err(|_| (format!("{name} is not a {ty}"), Some(index)))?);
    }
    let function = Arc::clone(&callable.function);
    let work = async move { function.call(arguments).await };
    let failed = |_| {
        Err((
            "the provider has a defect: the function panicked".to_owned(),
            None,
        ))
    };
    let result = rpc.work.run("CallFunction", name, work, failed).await?;
    let (result, defect) = encode(result, &callable.signature.result);
    if defect.has_errors() {
        let text = "the provider has a defect: the result is not of the type that it should be";
        return Err((text.to_owned(), None));
    }
    Ok(result)
}
