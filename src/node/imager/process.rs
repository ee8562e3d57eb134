//! A program that runs for minutes and is listened to meanwhile.

use std::{
    collections::VecDeque,
    io,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::Command,
    runtime::Handle,
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::line::Lines;

/// Lines that travel with a failure are fewer.
const KEPT_LINES: usize = 40;

/// How long output is waited for after the program's end: something that it started may hold the
/// pipe open.
const REST: Duration = Duration::from_secs(2);

/// What is run.
pub(super) struct Call<'a> {
    pub(super) program: &'a Path,
    pub(super) arguments: &'a [String],
    /// All of it.
    pub(super) environment: &'a [(String, String)],
    /// Its standard input; empty closes it.
    pub(super) input: &'a [u8],
    /// Whether its standard output is listened to as well.
    pub(super) hears_output: bool,
    pub(super) until: Instant,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Ran {
    /// `None` if it took too long and was killed.
    pub(super) status: Option<ExitStatus>,
    /// Its last lines, fit to be shown.
    pub(super) last: VecDeque<String>,
}

impl Ran {
    pub(super) fn text(&self) -> String {
        self.last
            .iter()
            .flat_map(|line| [line.as_str(), "\n"])
            .collect()
    }
}

/// Runs a program to its end. Must be called from a thread for blocking work.
pub(super) fn run(call: &Call<'_>, on_line: &mut dyn FnMut(&str)) -> io::Result<Ran> {
    Handle::current().block_on(run_async(call, on_line))
}

async fn run_async(call: &Call<'_>, on_line: &mut dyn FnMut(&str)) -> io::Result<Ran> {
    let piped_if = |wanted: bool| {
        if wanted {
            Stdio::piped()
        } else {
            Stdio::null()
        }
    };
    let mut child = Command::new(call.program)
        .args(call.arguments)
        .env_clear()
        .envs(call.environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(piped_if(!call.input.is_empty()))
        .stdout(piped_if(call.hears_output))
        .stderr(Stdio::piped())
        // A line that hangs up signals our group: what was begun is finished all the same.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let (sender, mut pieces) = mpsc::channel(16);
    if let Some(output) = child.stdout.take() {
        tokio::spawn(pump(output, 0, sender.clone()));
    }
    if let Some(errors) = child.stderr.take() {
        tokio::spawn(pump(errors, 1, sender.clone()));
    }
    drop(sender);
    if let Some(mut input) = child.stdin.take() {
        let bytes = call.input.to_vec();
        tokio::spawn(async move {
            // A program that does not read to the end has its reasons, and says them itself.
            let _ = input.write_all(&bytes).await;
        });
    }
    let mut streams = [Lines::default(), Lines::default()];
    let mut last = VecDeque::new();
    let mut each = |line: String| {
        on_line(&line);
        if last.len() == KEPT_LINES {
            last.pop_front();
        }
        last.push_back(line);
    };
    let status = loop {
        tokio::select! {
            Some((stream, bytes)) = pieces.recv() => {
                let bytes: Vec<u8> = bytes;
                streams[stream].push(&bytes, &mut each);
            }
            status = child.wait() => break Some(status?),
            () = sleep_until(call.until) => {
                child.kill().await?;
                break None;
            }
        }
    };
    let rest = async {
        while let Some((stream, bytes)) = pieces.recv().await {
            streams[stream].push(&bytes, &mut each);
        }
    };
    let _ = timeout(REST, rest).await;
    for stream in &mut streams {
        stream.end(&mut each);
    }
    Ok(Ran { status, last })
}

async fn pump(mut from: impl AsyncRead + Unpin, stream: usize, to: mpsc::Sender<(usize, Vec<u8>)>) {
    let mut buffer = vec![0; 8 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if to.send((stream, buffer[..count].to_vec())).await.is_err() {
            return;
        }
    }
}
