//! Runs other programs, and turns a failure into an error that shows what was run and what it said.

use std::ffi::OsStr;
use std::io;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::progress;

/// Bytes of a failed program's output that its error repeats.
const SHOWN_OUTPUT: usize = 2000;
/// Time between two signs of life of a program that takes long.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// A program could not be run to success.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program did not start.
    #[error("start `{argv}`")]
    Start {
        /// The program and its arguments.
        argv: String,
        /// Why.
        source: io::Error,
    },
    /// The program ended with a failure.
    #[error("`{argv}` ended with {status}: {output}")]
    Failed {
        /// The program and its arguments.
        argv: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it printed.
        output: String,
    },
}

/// A command of `argv`, with nothing on its standard input.
pub(crate) fn command<S: AsRef<OsStr>>(argv: &[S]) -> Command {
    let (program, arguments) = argv
        .split_first()
        .expect("a command line names its program");
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs `argv` and gives its standard output.
pub(crate) fn run<S: AsRef<OsStr>>(argv: &[S]) -> Result<String, Error> {
    output(&mut command(argv))
}

/// Runs a prepared command and gives its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, Error> {
    let output = command.output().map_err(|source| Error::Start {
        argv: shown(command),
        source,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
    if text.trim().is_empty() {
        text = String::from_utf8_lossy(&output.stdout).into_owned();
    }
    Err(Error::Failed {
        argv: shown(command),
        status: output.status,
        output: tail(&text),
    })
}

/// Runs a command that may take minutes: its output is kept for the error, and `what` shows signs of life meanwhile.
pub(crate) fn long(what: &str, command: &mut Command) -> Result<String, Error> {
    let begun = Instant::now();
    let (done, waits) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while waits.recv_timeout(SIGN_OF_LIFE) == Err(mpsc::RecvTimeoutError::Timeout) {
                progress::say(&format!("{what}: {} s so far", begun.elapsed().as_secs()));
            }
        });
        let result = output(command);
        drop(done);
        result
    })
}

/// The last part of a program's output, on whole characters.
pub(crate) fn tail(text: &str) -> String {
    let text = text.trim();
    let mut start = text.len().saturating_sub(SHOWN_OUTPUT);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}

/// The command line, for people.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}
