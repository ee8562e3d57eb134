//! What it writes to standard error, and where secrets are.

use tests::{Outcome, client::Trust};
use tf_plugin::Value;

use crate::provider::{ca, configure, start};

const SECRETS: [&str; 4] = ["private_key", "passphrase", "password", "sudo_password"];

#[tokio::test]
async fn no_secret_is_in_a_line_a_plan_a_state_or_an_error() -> Outcome {
    let plugin = start(Trust::Mutual)?
        .env("TF_LOG", "trace")
        .plugin()
        .await?;
    let secrets = SECRETS.map(|name| (name, Value::string(format!("planted-{name}"))));
    configure(&plugin, secrets).await?;
    let (mut life, config) = ca(&plugin).await?;
    let planned = life.plan(&config).await?;
    let applied = life.ask_apply(&config, &planned).await?;
    life.stored.state = crate::plan::pretend_made(&planned.state);
    let seen = life.ask_read().await?;
    let ended = plugin.shutdown().await?;
    let leaks = |text: &str| text.contains("planted");
    let bytes = |bytes: &[u8]| leaks(&String::from_utf8_lossy(bytes));
    assert!(!leaks(&format!("{planned:?}{applied:?}{seen:?}")));
    assert!(
        ![&applied.private, &seen.private]
            .iter()
            .any(|private| bytes(private))
    );
    for state in [
        planned.response.planned_state,
        applied.new_state,
        seen.new_state,
    ] {
        assert!(!bytes(
            &state.map(|state| state.msgpack).unwrap_or_default()
        ));
    }
    assert!(ended.log.len() > 3, "each call is told: {:#?}", ended.log);
    for line in &ended.log {
        assert!(!leaks(line), "{line}");
        let json: serde_json::Value =
            serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))?;
        for name in ["@level", "@message", "@timestamp", "@module"] {
            assert!(json[name].is_string(), "{name} is text in {line}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn it_is_silent_unless_asked() -> Outcome {
    let plugin = start(Trust::Mutual)?.plugin().await?;
    configure(&plugin, []).await?;
    let (mut life, config) = ca(&plugin).await?;
    life.plan(&config).await?;
    assert_eq!(plugin.shutdown().await?.log, Vec::<String>::new());
    Ok(())
}
