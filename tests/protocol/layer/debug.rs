//! A provider that a person starts under a debugger.

use std::{path::Path, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tests::{
    Outcome,
    client::{DEADLINE, Line, Plugin},
};
use tf_plugin::tfplugin5::{self as wire, provider_client::ProviderClient};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Command,
    time::timeout,
};

#[tokio::test]
async fn it_tells_how_to_reach_it_and_serves_until_interrupted() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let mut child = Command::new(Path::new(env!("CARGO_BIN_EXE_sample-provider")))
        .arg("-debug")
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdout = BufReader::new(child.stdout.take().ok_or("standard output is piped")?);
    let mut text = String::new();
    timeout(DEADLINE, stdout.read_line(&mut text)).await??;
    let json = text
        .trim()
        .strip_prefix("TF_REATTACH_PROVIDERS='")
        .and_then(|text| text.strip_suffix('\''))
        .ok_or("a line for the shell")?;
    let told: serde_json::Value = serde_json::from_str(json)?;
    let told = &told["registry.example/test/sample"];
    assert_eq!(
        (&told["Protocol"], &told["ProtocolVersion"]),
        (&"grpc".into(), &5.into())
    );
    assert_eq!(
        (&told["Test"], &told["Pid"]),
        (&true.into(), &child.id().into())
    );
    let line = Line {
        text: text.clone(),
        network: told["Addr"]["Network"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        address: told["Addr"]["String"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        certificate: None,
        multiplex: None,
    };
    // Several runs of the CLI, one after another.
    for _ in 0..3 {
        let mut calls = ProviderClient::new(Plugin::channel(&line, None).await?);
        calls
            .get_schema(wire::get_provider_schema::Request {})
            .await?;
    }
    let pid = Pid::from_raw(i32::try_from(child.id().ok_or("it runs")?)?).ok_or("an id")?;
    kill_process(pid, Signal::INT)?;
    let status = timeout(DEADLINE, child.wait()).await??;
    assert!(status.success(), "{status}");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).await?;
    assert_eq!(rest, "");
    assert_eq!(
        std::fs::read_dir(temporary.path())?.count(),
        0,
        "nothing is left"
    );
    Ok(())
}
