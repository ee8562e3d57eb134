//! Archives come over HTTP once to this machine, whatever runs side by side, and once to each host.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use lab::{Host, HostSpec, Release};
use tests::{Outcome, Site};

/// What a mirror does wrong with files whose path has some words in it.
#[derive(Clone, Copy)]
enum Fault {
    /// It is overloaded.
    Unavailable,
    /// It ends the connection in the middle of the file.
    Cut,
    /// Every checksum in it is another one.
    OtherSums,
}

#[derive(Default)]
struct State {
    /// How often each archive was asked for, by path.
    fetched: BTreeMap<String, usize>,
    /// The words, what it does wrong, and how often it still does.
    fault: Option<(&'static str, Fault, usize)>,
}

/// A web server on loopback with the release archives.
struct Mirror {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Mirror {
    /// Serves `archives` until the tests end.
    fn new(archives: &Path) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mirror = Self {
            address: listener.local_addr()?,
            state: Arc::default(),
        };
        let (state, archives) = (mirror.state.clone(), archives.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, archives) = (state.clone(), archives.clone());
                // Clients go away as they like.
                std::thread::spawn(move || drop(answer(stream, &archives, &state)));
            }
        });
        Ok(mirror)
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn fail(&self, words: &'static str, fault: Fault, times: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.fault = Some((words, fault, times));
    }

    /// How often each archive was asked for since the last question.
    fn fetched(&self) -> BTreeMap<String, usize> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.fetched)
    }
}

/// Answers one request and closes the connection.
fn answer(stream: TcpStream, archives: &Path, state: &Mutex<State>) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let mut words = first.split(' ');
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default().trim_start_matches('/'),
    );
    let fault = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if method == "GET" && path.ends_with(".tar.gz") {
            *state.fetched.entry(path.to_owned()).or_default() += 1;
        }
        let mut strikes = None;
        if let Some((words, fault, times)) = &mut state.fault
            && method == "GET"
            && path.contains(*words)
            && *times > 0
        {
            *times -= 1;
            strikes = Some(*fault);
        }
        strikes
    };
    let (status, mut body) = match (fs::read(archives.join(path)), fault) {
        (_, Some(Fault::Unavailable)) => ("503 Service Unavailable", Vec::new()),
        (Err(_), _) => ("404 Not Found", Vec::new()),
        (Ok(text), Some(Fault::OtherSums)) => ("200 OK", other_sums(&text)),
        (Ok(body), _) => ("200 OK", body),
    };
    let length = body.len();
    if matches!(fault, Some(Fault::Cut)) {
        body.truncate(length / 2);
    }
    if method == "HEAD" {
        body.clear();
    }
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(&body)
}

/// A checksum file in which no sum is right.
fn other_sums(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let lines = text
        .lines()
        .map(|line| format!("{}{}\n", "0".repeat(64), &line[64..]));
    lines.collect::<String>().into_bytes()
}

/// A CA on one host for a cluster on the other one.
fn configuration(site: &Site, mirror: &Mirror, name: &str, hosts: [&Host; 2]) -> String {
    let archives = site.archives().display().to_string();
    let head = site.head().replace(&archives, &mirror.url());
    let [ca, member] = hosts.map(Host::address);
    format!(
        r#"{head}
resource "etcd_step_ca" "main" {{
  name                = "{name}"
  nodes               = {{ "1" = {{ host = "{ca}" }} }}
  active_node         = "1"
  deletion_protection = false
}}
resource "etcd_cluster" "main" {{
  name                = "{name}"
  issuer              = etcd_step_ca.main.issuer
  nodes               = {{ "1" = {{ host = "{member}" }} }}
  deletion_protection = false
}}
"#
    )
}

/// How often the helper of a host laid programs down, by directory.
fn laid_down(host: &Host) -> Result<BTreeMap<String, usize>, Box<dyn std::error::Error>> {
    let log = host.root_text(&["cat", "/var/lib/etcd-node/log.jsonl"])?;
    let mut found = BTreeMap::new();
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        if line["call"] == "Install" && line["outcome"] == "added" {
            let directory = line["subject"].as_str().unwrap_or_default().to_owned();
            *found.entry(directory).or_default() += 1;
        }
    }
    Ok(found)
}

#[test]
fn archives_are_fetched_once_by_http_and_sent_once_to_a_host() -> Outcome {
    let mut site = Site::new("download", vec![HostSpec::new(Release::Bookworm); 2])?;
    let mirror = Mirror::new(site.archives())?;
    let cache = site.directory().join("cache");
    site.environment.push(("XDG_CACHE_HOME", cache.clone()));
    let [first, second] = site.hosts() else {
        return Err("two hosts".into());
    };
    site.write(
        "main.tf",
        &configuration(&site, &mirror, "a", [first, second]),
    )?;
    site.init()?;

    // What goes wrong is said with the URL, and leaves nothing that a later apply could take for good.
    let archive = "/step-ca/v0.30.2/step-ca_linux_0.30.2_amd64.tar.gz";
    let url = format!("{}{archive}", mirror.url());
    for (words, fault, says) in [
        (
            "step-ca_linux",
            Fault::Unavailable,
            format!("fetching {url} was answered with status 503"),
        ),
        (
            "step-ca_linux",
            Fault::Cut,
            format!("fetching {url} failed"),
        ),
        (
            "step-ca/v0.30.2/checksums.txt",
            Fault::OtherSums,
            format!("SHA-256 of {url} is"),
        ),
    ] {
        mirror.fail(words, fault, usize::MAX);
        let apply = site.apply()?;
        assert_eq!(apply.code, 1, "{apply}");
        // Core breaks the line where it likes, but never in the middle of a URL.
        apply.expect_says(&says);
        apply.expect_says("Hint: ");
        let kept: Vec<PathBuf> = archives_below(&cache);
        assert_eq!(kept, Vec::<PathBuf>::new(), "after {says}");
    }
    mirror.fetched();

    // Two processes at once, on a mirror that is busy for a moment.
    mirror.fail("etcd-v3.5.35", Fault::Unavailable, 2);
    let other = site.directory().join("b");
    fs::create_dir(&other)?;
    let text = configuration(&site, &mirror, "b", [second, first]);
    site.write("b/main.tf", &text)?;
    site.run(&["-chdir=b", "init", "-no-color"])?.expect_ok();
    let apply = |directory: &str| -> Result<Child, Box<dyn std::error::Error>> {
        let chdir = format!("-chdir={directory}");
        let mut command = site.command(&[&chdir, "apply", "-auto-approve", "-no-color"])?;
        Ok(command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?)
    };
    for apply in [apply(".")?, apply("b")?] {
        let output = apply.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
    let once = |names: &[&str]| -> BTreeMap<String, usize> {
        names.iter().map(|name| ((*name).to_owned(), 1)).collect()
    };
    let mut fetched = once(&[
        "step-ca/v0.30.2/step-ca_linux_0.30.2_amd64.tar.gz",
        "step/v0.30.2/step_linux_0.30.2_amd64.tar.gz",
    ]);
    fetched.insert("etcd/v3.5.35/etcd-v3.5.35-linux-amd64.tar.gz".to_owned(), 3);
    assert_eq!(mirror.fetched(), fetched);
    for host in [first, second] {
        assert_eq!(
            laid_down(host)?,
            once(&[
                "/opt/etcd/3.5.35",
                "/opt/step-ca/0.30.2",
                "/opt/step/0.30.2"
            ]),
            "on {}",
            host.host_name()
        );
    }

    // What a later apply needs of an archive, it takes from here.
    site.expect_no_change()?;
    second.root_text(&["sh", "-ec", "printf x >> /opt/etcd/3.5.35/etcdctl"])?;
    site.apply()?.expect_ok();
    site.expect_no_change()?;
    assert_eq!(mirror.fetched(), BTreeMap::new(), "all is in the cache");
    site.down()
}

/// Archives that a cache holds, whole or not.
fn archives_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(archives_below(&path));
        } else if entry.file_name() != "lock" {
            found.push(path);
        }
    }
    found
}
