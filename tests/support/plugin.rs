//! Provider processes that a CLI has started.

use std::{error::Error, fs, process::Child};

/// Ids of the processes that this CLI started: the provider.
pub fn providers(cli: &Child) -> Vec<String> {
    let parent = cli.id();
    let mut found = Vec::new();
    // The CLI starts it from any of its threads.
    let tasks = fs::read_dir(format!("/proc/{parent}/task"));
    for task in tasks.into_iter().flatten().flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(children.split_whitespace().map(str::to_owned));
    }
    found.sort();
    found.dedup();
    found
}

/// Kills the provider that this CLI started, without a word.
///
/// # Errors
/// There is none, or it cannot be killed.
pub fn kill_provider(cli: &Child) -> Result<(), Box<dyn Error>> {
    let providers = providers(cli);
    if providers.is_empty() {
        return Err("the CLI runs no provider".into());
    }
    for provider in providers {
        let process = rustix::process::Pid::from_raw(provider.parse()?).ok_or("a process id")?;
        rustix::process::kill_process(process, rustix::process::Signal::KILL)?;
    }
    Ok(())
}
