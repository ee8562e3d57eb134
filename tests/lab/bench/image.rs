//! An image of 1 GiB on its way from the real factory to three storages of a Proxmox server of ours, all on this machine.

use std::fs;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::{Error, memory, timed};
use crate::command::{self, command};
use crate::home::{self, Home};
use crate::program::Program;
use crate::provider::{self, Cli, Provider};
use crate::repository;

/// Size of the image, in bytes.
const SIZE: u64 = 1 << 30;
/// Id of a schematic without anything in it.
const ID: &str = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// For three copies of the image on a slow disk.
const COPIED_WITHIN: Duration = Duration::from_mins(5);
/// Environment variable that tells the factory where the real programs lie.
const PROGRAMS_VARIABLE: &str = "ETCD_LAB_PROGRAMS";

/// The servers' binaries.
#[derive(Debug)]
pub(super) struct Servers {
    proxmox: PathBuf,
    factory: PathBuf,
}

impl Servers {
    /// Builds them, and the real programs that they run.
    pub(super) fn ensure(home: &Home) -> Result<Self, Error> {
        for name in ["registry", "image-factory"] {
            for program in Program::named(name)? {
                program.ensure(home)?;
            }
        }
        Ok(Self {
            proxmox: provider::tool("proxmox-server", "proxmox-server")?,
            factory: provider::tool("registries", "factory-server")?,
        })
    }
}

/// What one run measured.
pub(super) struct Values {
    /// Seconds of the apply.
    pub(super) apply: f64,
    /// Seconds of the same by curl.
    pub(super) curl: f64,
    /// MiB of the provider in the apply.
    pub(super) peak: f64,
    /// Seconds of a plan without change.
    pub(super) plan: f64,
    /// Builds and uploads for a second consumer of the same image.
    pub(super) second: f64,
}

/// A server that runs; it is killed when this is dropped.
struct Server {
    child: Child,
    /// The factory ends with it, and takes its own processes with it.
    input: Option<ChildStdin>,
    ends_with_input: bool,
    output: serde_json::StreamDeserializer<
        'static,
        serde_json::de::IoRead<BufReader<ChildStdout>>,
        Json,
    >,
    binary: PathBuf,
    /// What it says of itself.
    about: Json,
}

impl Server {
    fn start(
        home: &Home,
        binary: &Path,
        arguments: &[&str],
        ends_with_input: bool,
    ) -> Result<Self, Error> {
        let failed = |source| Error::File {
            path: binary.to_owned(),
            source,
        };
        let mut child = command(&[binary])
            .args(arguments)
            .env(PROGRAMS_VARIABLE, home.programs())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let input = child.stdin.take();
        let output = child.stdout.take().expect("the server's output is piped");
        let output = serde_json::Deserializer::from_reader(BufReader::new(output)).into_iter();
        let mut server = Self {
            child,
            input,
            ends_with_input,
            output,
            binary: binary.to_owned(),
            about: Json::Null,
        };
        server.about = server.answer()?;
        Ok(server)
    }

    fn answer(&mut self) -> Result<Json, Error> {
        let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let said = self.output.next().ok_or_else(ended);
        let said = said.and_then(|said| said.map_err(io::Error::from));
        said.map_err(|source| Error::File {
            path: self.binary.clone(),
            source,
        })
    }

    /// What it did so far.
    fn ask(&mut self) -> Result<Json, Error> {
        let input = self
            .input
            .as_mut()
            .expect("it is open as long as the server lives");
        input.write_all(b"\n").map_err(|source| Error::File {
            path: self.binary.clone(),
            source,
        })?;
        self.answer()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.input.take());
        if !self.ends_with_input {
            // It may have ended by itself.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Measures in `directory`, which holds several copies of the image for a while.
pub(super) fn measure(
    home: &Home,
    provider: &Provider,
    servers: &Servers,
    directory: &Path,
) -> Result<Values, Error> {
    let storages = directory.join("storages").display().to_string();
    home::make_directory(Path::new(&storages))?;
    let mut proxmox = Server::start(home, &servers.proxmox, &["0", &storages], false)?;
    let mut factory = Server::start(home, &servers.factory, &[&SIZE.to_string()], true)?;

    let curl = by_curl(&proxmox.about, &factory.about, directory)?;
    let sent_before = sent(&proxmox.ask()?);

    let first = configuration(&proxmox.about, &factory.about, &directory.join("first"))?;
    let tofu = |what: &'static str, place: &Path, arguments: &[&str]| {
        let mut tofu = provider.command(home, Cli::Tofu, place)?;
        tofu.args(arguments)
            .env("XDG_CACHE_HOME", directory.join("cache"));
        timed(|| {
            command::output(&mut tofu)
                .map(drop)
                .map_err(|source| Error::Measure { what, source })
        })
    };
    let apply = ["apply", "-input=false", "-auto-approve"];
    tofu("init", &first, &["init", "-input=false"])?;
    let (seconds, peak) = memory::watched(&provider.binary, || {
        tofu("an image for three storages", &first, &apply)
    });
    let seconds = seconds?;
    let plan = tofu(
        "a plan of an image",
        &first,
        &["plan", "-input=false", "-detailed-exitcode"],
    )?;

    let before = builds(&factory.ask()?) + sent(&proxmox.ask()?);
    assert!(before > sent_before, "the apply has sent something");
    let second = configuration(&proxmox.about, &factory.about, &directory.join("second"))?;
    tofu("init", &second, &["init", "-input=false"])?;
    tofu("the image of a second cluster", &second, &apply)?;
    let after = builds(&factory.ask()?) + sent(&proxmox.ask()?);
    drop((proxmox, factory));
    fs::remove_dir_all(directory).map_err(|source| Error::File {
        path: directory.to_owned(),
        source,
    })?;
    Ok(Values {
        apply: seconds,
        curl,
        peak,
        plan,
        second: f64::from(after - before),
    })
}

fn sent(said: &Json) -> u32 {
    said["sent"]
        .as_u64()
        .and_then(|sent| u32::try_from(sent).ok())
        .unwrap_or_default()
}

fn builds(said: &Json) -> u32 {
    let builds = said["builds"].as_array().map_or(0, Vec::len);
    u32::try_from(builds).unwrap_or_default()
}

fn text<'a>(about: &'a Json, name: &str) -> &'a str {
    about[name].as_str().unwrap_or_default()
}

fn nodes(proxmox: &Json) -> Vec<&Json> {
    proxmox["nodes"].as_array().into_iter().flatten().collect()
}

/// A directory with the configuration and its variables.
fn configuration(proxmox: &Json, factory: &Json, directory: &Path) -> Result<PathBuf, Error> {
    home::make_directory(directory)?;
    let from = repository::root().join("tests/lab/bench/image.tf");
    fs::copy(&from, directory.join("main.tf"))
        .map_err(|source| Error::File { path: from, source })?;
    let nodes = nodes(proxmox);
    let endpoints = nodes
        .iter()
        .map(|node| (text(node, "node").to_owned(), node["endpoint"].clone()));
    let variables = json!({
        "endpoint": nodes[0]["endpoint"],
        "node_endpoints": endpoints.collect::<serde_json::Map<_, _>>(),
        "fingerprints": nodes.iter().map(|node| &node["fingerprint"]).collect::<Vec<_>>(),
        "api_token": proxmox["api_token"],
        "factory": factory["url"],
    });
    let path = directory.join("terraform.tfvars.json");
    fs::write(&path, format!("{variables:#}\n")).map_err(|source| Error::File { path, source })?;
    Ok(directory.to_owned())
}

/// Seconds of what anybody would do by hand: fetch the image, compute its checksum, send it to all nodes at once, and wait
/// until it is in its place.
fn by_curl(proxmox: &Json, factory: &Json, directory: &Path) -> Result<f64, Error> {
    let what = "an image by curl";
    let failed = |source| Error::Measure { what, source };
    // The factory builds once, for whoever asks first: that is not measured.
    let url = format!(
        "{}/image/{ID}/v1.11.5/nocloud-amd64.iso",
        text(factory, "url")
    );
    let curl = |arguments: &[&str]| {
        let mut curl = command(&["curl", "-sSf", "-k", "--noproxy", "*"]);
        curl.args(arguments);
        command::output(&mut curl).map_err(failed)
    };
    let schematics = format!("{}/schematics", text(factory, "url"));
    curl(&["--data-binary", "customization: {}\n", &schematics])?;
    curl(&["-I", &url])?;
    let path = directory.join("floor.iso").display().to_string();
    let login = format!("Authorization: PVEAPIToken={}", text(proxmox, "api_token"));
    let to_node = |node: &Json, checksum: &str| -> Result<(), Error> {
        let base = format!(
            "{}/api2/json/nodes/{}",
            text(node, "endpoint"),
            text(node, "node")
        );
        let said = curl(&[
            "-H",
            &login,
            "-F",
            "content=iso",
            "-F",
            "checksum-algorithm=sha256",
            "-F",
            &format!("checksum={checksum}"),
            "-F",
            &format!("filename=@{path};filename=floor.iso"),
            &format!("{base}/storage/local/upload"),
        ])?;
        let said: Json = serde_json::from_str(&said).unwrap_or_default();
        let task = format!("{base}/tasks/{}/status", text(&said, "data"));
        let end = Instant::now() + COPIED_WITHIN;
        while Instant::now() < end {
            let said: Json =
                serde_json::from_str(&curl(&["-H", &login, &task])?).unwrap_or_default();
            if said["data"]["status"] == "stopped" {
                return Ok(());
            }
            thread::sleep(LOOK_AGAIN);
        }
        Err(Error::TooLong {
            what,
            deadline: COPIED_WITHIN,
        })
    };
    let seconds = timed(|| {
        curl(&["-o", &path, &url])?;
        let said = command::output(command(&["sha256sum"]).arg(&path)).map_err(failed)?;
        let checksum = said.split_whitespace().next().unwrap_or_default();
        thread::scope(|scope| {
            let sent: Vec<_> = nodes(proxmox)
                .into_iter()
                .map(|node| scope.spawn(|| to_node(node, checksum)))
                .collect();
            sent.into_iter()
                .try_for_each(|sent| sent.join().expect("sending does not panic"))
        })
    })?;
    fs::remove_file(&path).map_err(|source| Error::File {
        path: path.into(),
        source,
    })?;
    Ok(seconds)
}
