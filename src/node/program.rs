//! The system's own programs, run with fixed words, an empty environment and a deadline.

use std::{process::Stdio, time::Duration};

use tokio::{process::Command, runtime::Handle, time::timeout};

use crate::{failure::Failed, proto::failure::Kind};

/// Where programs are looked for, whatever sudo left of the path.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// For programs that only look something up or change a table.
const USUAL: Duration = Duration::from_mins(1);

/// Runs a program and answers what it printed. Must be called from a thread for blocking work.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, Failed> {
    run_with(program, arguments, &[], USUAL)
}

/// The same with more environment and a deadline; the program is killed when it is over.
pub(crate) fn run_with(
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
    limit: Duration,
) -> Result<String, Failed> {
    let failed = |message: String| Failed::new(Kind::ProgramFailed, program, message);
    let work = async {
        let output = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            // Times are read back.
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .envs(environment.iter().copied())
            .current_dir("/")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        timeout(limit, output).await
    };
    let words = || format!("{program} {}", arguments.join(" "));
    let output = Handle::current()
        .block_on(work)
        .map_err(|_| {
            let seconds = limit.as_secs();
            Failed::new(
                Kind::Deadline,
                program,
                format!("{} took over {seconds} s", words()),
            )
        })?
        .map_err(|error| failed(format!("starting {program} failed: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(format!("{} ended with {}", words(), output.status))
        .output(&String::from_utf8_lossy(&output.stderr)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime
            .block_on(async { tokio::task::spawn_blocking(work).await })
            .expect("no panic")
    }

    #[test]
    fn answers_output_and_tells_the_last_words_of_a_failure() {
        let output = on_a_thread(|| run("sh", &["-c", "echo $TZ $HOME"]));
        assert_eq!(output.expect("a success"), "UTC\n");
        let failed = on_a_thread(|| run("sh", &["-c", "echo why >&2; exit 3"])).expect_err("3");
        assert_eq!(failed.0.kind(), Kind::ProgramFailed);
        assert_eq!(failed.0.output, ["why"]);
    }

    #[test]
    fn ends_a_program_that_takes_too_long() {
        let limit = Duration::from_millis(50);
        let failed = on_a_thread(move || run_with("sleep", &["60"], &[], limit)).expect_err("late");
        assert_eq!(failed.0.kind(), Kind::Deadline);
    }
}
