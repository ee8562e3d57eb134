//! Programs that keep credentials: `docker-credential-<name>` (docker-credential-helpers, README, "Development").

use std::{io, process::Stdio, time::Duration};

use serde::Deserialize;
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use super::Credentials;
use crate::secret::Secret;

/// A keychain may ask its owner to unlock it; longer than that nobody is there.
const LIMIT: Duration = Duration::from_mins(1);
/// The user name by which a helper says that the secret is an identity token.
const TOKEN_USER: &str = "<token>";
/// What a helper prints, with a failure, if it has nothing.
const NOTHING: &str = "credentials not found";

/// A program that keeps credentials did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum HelperFailed {
    /// It did not start.
    #[error("start {program}, which the docker configuration names")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It took too long.
    #[error("{program} gave no answer within {} s", LIMIT.as_secs())]
    Late {
        /// The program.
        program: String,
    },
    /// It failed.
    #[error("{program} ended with {status}: {message}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The first line that it printed.
        message: String,
    },
    /// It said what nobody understands.
    #[error("{program} answered something else than credentials")]
    Answer {
        /// The program.
        program: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    secret: Secret,
}

/// Asks the helper `name` for the credentials under `key`.
pub(super) async fn ask(name: &str, key: &str) -> Result<Option<Credentials>, HelperFailed> {
    let program = format!("docker-credential-{name}");
    let start = |source| HelperFailed::Start {
        program: program.clone(),
        source,
    };
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let mut input = child.stdin.take().expect("its input is piped");
    let work = async {
        // A helper that needs no key may be gone already.
        let _ = input.write_all(format!("{key}\n").as_bytes()).await;
        drop(input);
        child.wait_with_output().await
    };
    let output = timeout(LIMIT, work)
        .await
        .map_err(|_| HelperFailed::Late {
            program: program.clone(),
        })?
        .map_err(start)?;
    if !output.status.success() {
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        let said = String::from_utf8_lossy(&said);
        if said.contains(NOTHING) {
            return Ok(None);
        }
        return Err(HelperFailed::Failed {
            program,
            status: output.status,
            message: said.trim().lines().next().unwrap_or_default().to_owned(),
        });
    }
    let stdout = zeroize::Zeroizing::new(output.stdout);
    let answer: Answer =
        serde_json::from_slice(&stdout).map_err(|_| HelperFailed::Answer { program })?;
    Ok(Some(if answer.username == TOKEN_USER {
        Credentials::Identity(answer.secret)
    } else {
        Credentials::Basic {
            user: answer.username,
            password: answer.secret,
        }
    }))
}
