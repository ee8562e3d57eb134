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
    let command = Command::new(&program);
    run(command, program, key).await
}

async fn run(
    mut command: Command,
    program: String,
    key: &str,
) -> Result<Option<Credentials>, HelperFailed> {
    let start = |source| HelperFailed::Start {
        program: program.clone(),
        source,
    };
    let mut child = command
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a helper that does this; `$1` is what it is asked for.
    async fn asked(script: &str) -> Result<Option<Credentials>, HelperFailed> {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]);
        run(command, "docker-credential-test".to_owned(), "a.example").await
    }

    #[tokio::test]
    async fn asks_on_standard_input_and_reads_the_answer() {
        let script = r#"read key; echo "{\"ServerURL\":\"$key\",\"Username\":\"$1 $key\",\"Secret\":\"s\"}""#;
        let known = Credentials::Basic {
            user: "get a.example".to_owned(),
            password: Secret::new("s"),
        };
        assert_eq!(asked(script).await.expect("an answer"), Some(known));
        let script = r#"echo '{"Username":"<token>","Secret":"t"}'"#;
        let identity = Credentials::Identity(Secret::new("t"));
        assert_eq!(asked(script).await.expect("an answer"), Some(identity));
    }

    #[tokio::test]
    async fn tells_nothing_from_failure() {
        let nothing = asked("echo credentials not found in native keychain; exit 1").await;
        assert_eq!(nothing.expect("an answer"), None);
        let failed = asked("echo locked >&2; exit 3").await;
        let failed = failed.expect_err("a failure").to_string();
        assert!(failed.ends_with("locked"), "{failed}");
        let odd = asked("echo hunter2").await.expect_err("no JSON");
        assert!(!format!("{odd:?} {odd}").contains("hunter2"));
        let absent = ask("that-nobody-has", "a.example").await;
        assert!(matches!(absent, Err(HelperFailed::Start { .. })));
    }
}
