//! What is written to standard error.

use serde_json::Value as Json;
use tests::{Outcome, client::Failure};
use tf_plugin::Value;

use crate::sample::{configure, start, thing};

async fn lines(variables: &[(&str, &str)]) -> Result<Vec<String>, Failure> {
    let mut start = start()?;
    for (name, value) in variables {
        start = start.env(name, value);
    }
    let plugin = start.plugin().await?;
    configure(&plugin, [("token", Value::string("planted-token"))]).await?;
    let secrets = [
        ("secret", Value::string("planted-secret")),
        ("password", Value::string("planted-password")),
    ];
    let (mut life, config) = thing(&plugin, "a", secrets).await?;
    life.apply(&config).await?;
    life.refresh().await?;
    Ok(plugin.shutdown().await?.log)
}

fn levels(lines: &[String]) -> std::collections::BTreeSet<String> {
    lines
        .iter()
        .filter_map(|line| serde_json::from_str::<Json>(line).ok())
        .filter_map(|line| line["@level"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn every_line_is_one_that_core_reads() -> Outcome {
    let lines = lines(&[("TF_LOG", "JSON")]).await?;
    assert!(
        lines
            .iter()
            .any(|line| line.contains("ApplyResourceChange")),
        "{lines:#?}"
    );
    for line in &lines {
        let json: Json = serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))?;
        for name in ["@level", "@message", "@timestamp", "@module"] {
            assert!(json[name].is_string(), "{name} is text in {line}");
        }
        let time = json["@timestamp"].as_str().unwrap_or_default();
        assert_eq!(time.len(), "2006-01-02T15:04:05.000000Z".len(), "{time}");
        assert!(line.len() < 64 << 10);
    }
    Ok(())
}

#[tokio::test]
async fn a_call_is_told_with_its_name_its_type_its_number_and_its_time() -> Outcome {
    let lines = lines(&[("TF_LOG_PROVIDER", "debug")]).await?;
    let answered = lines.iter().find(|line| line.contains("call answered"));
    let line: Json = serde_json::from_str(answered.ok_or("a line for each call")?)?;
    for name in ["tf_rpc", "tf_resource_type", "tf_req_id"] {
        assert!(line[name].is_string(), "{name} in {line}");
    }
    assert!(line["tf_req_duration_ms"].is_u64(), "{line}");
    Ok(())
}

#[tokio::test]
async fn the_variable_of_the_provider_wins_and_without_one_it_is_silent() -> Outcome {
    assert_eq!(lines(&[]).await?, Vec::<String>::new());
    assert_eq!(lines(&[("TF_LOG", "off")]).await?, Vec::<String>::new());
    let info = lines(&[("TF_LOG", "trace"), ("TF_LOG_PROVIDER", "info")]).await?;
    assert_eq!(levels(&info), ["info".to_owned()].into());
    let own = [
        ("TF_LOG_PROVIDER_SAMPLE", "debug"),
        ("TF_LOG_PROVIDER", "off"),
    ];
    assert_eq!(
        levels(&lines(&own).await?),
        ["debug".to_owned(), "info".to_owned()].into()
    );
    Ok(())
}

#[tokio::test]
async fn no_secret_is_in_any_line() -> Outcome {
    for line in lines(&[("TF_LOG", "trace")]).await? {
        assert!(!line.contains("planted"), "{line}");
    }
    Ok(())
}
