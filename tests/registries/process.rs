//! A program that runs as long as a test needs it.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    time::timeout,
};

/// Names the directory of the real programs: `<name>-<version>-<hash>/bin`.
const PROGRAMS: &str = "ETCD_LAB_PROGRAMS";
/// For a program to say or do what it was started for. Machines of CI are slow, and several tests start at once.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The real program `name`.
fn program(name: &str) -> PathBuf {
    let directory = std::env::var_os(PROGRAMS)
        .unwrap_or_else(|| panic!("{PROGRAMS} names no directory: run `cargo lab test real`"));
    let directory = Path::new(&directory);
    let entries = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("read {}: {error}", directory.display()));
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let file_name = entry.file_name();
            let version = file_name.to_str()?.strip_prefix(name)?.strip_prefix('-')?;
            let is_version = version.starts_with(|digit: char| digit.is_ascii_digit());
            let binary = entry.path().join("bin").join(name);
            (is_version && binary.is_file()).then_some(binary)
        })
        .collect();
    // Of several builds the last one is of the present sources.
    found.sort_by_key(|path| {
        path.metadata()
            .and_then(|metadata| metadata.modified())
            .ok()
    });
    found
        .pop()
        .unwrap_or_else(|| panic!("no {name} in {}", directory.display()))
}

/// A program that runs; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    lines: watch::Receiver<Vec<String>>,
}

impl Process {
    /// Starts the real program `name` with nothing in its environment but what is given.
    pub(crate) fn start<S: AsRef<OsStr>>(
        name: &str,
        arguments: &[S],
        environment: &[(&str, &OsStr)],
    ) -> Self {
        let mut child = Command::new(program(name))
            .args(arguments)
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("start {name}: {error}"));
        let (sender, lines) = watch::channel(Vec::new());
        let stdout = child.stdout.take().expect("its output is piped");
        let stderr = child.stderr.take().expect("its errors are piped");
        tokio::spawn(gather(stdout, sender.clone()));
        tokio::spawn(gather(stderr, sender));
        Self {
            name: name.to_owned(),
            child,
            lines,
        }
    }

    /// What `look` finds in a line that the program prints.
    pub(crate) async fn until_line<T>(&mut self, look: impl Fn(&str) -> Option<T>) -> T {
        let mut lines = self.lines.clone();
        let found = async {
            loop {
                let found = lines.borrow_and_update().iter().find_map(|line| look(line));
                if found.is_some() || lines.changed().await.is_err() {
                    return found;
                }
            }
        };
        let found = timeout(PATIENCE, found).await;
        found
            .ok()
            .flatten()
            .unwrap_or_else(|| panic!("{} did not say it; it said {}", self.name, self.said()))
    }

    /// Whether the program has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// What it printed last.
    pub(crate) fn said(&self) -> String {
        let lines = self.lines.borrow();
        let start = lines.len().saturating_sub(20);
        lines[start..].join("\n")
    }

    /// How many lines it printed that have `text` in them.
    pub(crate) fn lines_with(&self, text: &str) -> usize {
        let lines = self.lines.borrow();
        lines.iter().filter(|line| line.contains(text)).count()
    }

    /// Kills it and waits until it is gone, with its port.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("a child can be killed");
    }
}

async fn gather(from: impl AsyncRead + Unpin, to: watch::Sender<Vec<String>>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        to.send_modify(|lines| lines.push(line));
    }
}
