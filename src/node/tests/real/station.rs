//! A real host with the helper under test on it.

use std::{
    fs, io,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use hyper_util::rt::TokioIo;
use lab::{Home, Host, HostSpec, Lab, Release, Spec};
use prost::Message;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use crate::proto::{
    ControlUnitRequest, ControlUnitResponse, EnsureRequest, Failure, File, Item, Reload,
    control_unit_request::Verb, failure::Kind, item::Item as Wish, node_client::NodeClient,
};

/// Longest wait for anything that a host or a program does by itself.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at what may have changed.
const PAUSE: Duration = Duration::from_millis(50);
/// Where the helper under test lies on the host.
pub(crate) const HELPER: &str = "/usr/local/bin/etcd-node";

pub(crate) type Node = NodeClient<Channel>;

/// A host and a helper that serves there.
pub(crate) struct Station {
    lab: Lab,
    /// Ends when it is dropped, and the helper with it.
    ssh: Child,
    pub(crate) node: Node,
}

impl Station {
    pub(crate) async fn up(name: &str, release: Release) -> Self {
        Self::on(name, HostSpec::new(release)).await
    }

    /// The same with a host of one's own wish.
    pub(crate) async fn on(name: &str, host: HostSpec) -> Self {
        let helper: PathBuf = std::env::var_os("ETCD_NODE_PATH")
            .expect("ETCD_NODE_PATH names the built helper; `cargo lab test real` sets it")
            .into();
        let home = Home::open().expect("the lab needs root and a place for its files");
        let name = format!("node-{name}-{}", std::process::id());
        let spec = Spec::ephemeral(&name, vec![host]);
        let lab = Lab::up(&home, &spec).expect("the lab comes up");
        let host = &lab.hosts()[0];
        let place = host.root_directory().join(HELPER.trim_start_matches('/'));
        fs::copy(&helper, place)
            .unwrap_or_else(|error| panic!("copy {} to the host: {error}", helper.display()));
        let (ssh, node) = connect(host).await;
        Self { lab, ssh, node }
    }

    /// Cuts the connection, as a network does, and makes another with a helper of its own.
    pub(crate) async fn reconnect(&mut self) {
        // It may have ended with its helper.
        let _ = self.ssh.kill().await;
        (self.ssh, self.node) = connect(&self.lab.hosts()[0]).await;
    }

    /// Takes the host's power away, gives it back, and starts a helper there.
    pub(crate) async fn power_cycle(&mut self) {
        let host = &self.lab.hosts()[0];
        host.kill().expect("the power is off");
        host.boot().expect("it comes up again");
        self.reconnect().await;
    }

    pub(crate) fn host(&self) -> &Host {
        &self.lab.hosts()[0]
    }

    pub(crate) fn address(&self) -> String {
        self.lab.hosts()[0].address().to_string()
    }

    /// A file of the host as this machine sees it.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        let root = self.lab.hosts()[0].root_directory();
        root.join(path.trim_start_matches('/'))
    }

    /// What a command prints that must succeed, run as root on the host.
    #[track_caller]
    pub(crate) fn root(&self, argv: &[&str]) -> String {
        match self.lab.hosts()[0].root_text(argv) {
            Ok(text) => text,
            Err(error) => panic!("{error}"),
        }
    }

    /// Takes the host down. One whose test failed stays until the lab is used again.
    pub(crate) fn down(self) {
        self.lab.down().expect("the lab goes down");
    }

    /// Has the helper write a unit of `owner` and tells systemd.
    pub(crate) async fn unit(&mut self, owner: &str, id: &str, name: &str, content: &str) {
        let file = File {
            path: format!("/etc/systemd/system/{name}"),
            unit: true,
            content: content.as_bytes().to_vec(),
            ..plain_file()
        };
        let items = [Wish::File(file), Wish::Reload(Reload {})];
        self.ensure(owner, id, items).await;
    }

    pub(crate) async fn ensure<const N: usize>(&mut self, owner: &str, id: &str, items: [Wish; N]) {
        let request = EnsureRequest {
            owner: owner.to_owned(),
            id: id.to_owned(),
            items: items
                .into_iter()
                .map(|item| Item { item: Some(item) })
                .collect(),
            ..EnsureRequest::default()
        };
        self.node.ensure(request).await.expect("ensured");
    }

    pub(crate) async fn control(
        &mut self,
        owner: &str,
        unit: &str,
        verb: Verb,
    ) -> ControlUnitResponse {
        let request = ControlUnitRequest {
            owner: owner.to_owned(),
            unit: unit.to_owned(),
            verb: verb.into(),
            ..ControlUnitRequest::default()
        };
        let response = self.node.control_unit(request).await;
        response
            .unwrap_or_else(|status| panic!("{unit}: {:?}", failure(&status)))
            .into_inner()
    }
}

/// A file of root's that everybody reads, without path and content.
pub(crate) fn plain_file() -> File {
    File {
        user: "root".to_owned(),
        group: "root".to_owned(),
        mode: 0o644,
        ..File::default()
    }
}

/// Starts the helper on the host and connects to it.
async fn connect(host: &Host) -> (Child, Node) {
    tokio::time::timeout(PATIENCE, serve(host))
        .await
        .expect("the helper announces itself in time")
}

async fn serve(host: &Host) -> (Child, Node) {
    let mut ssh = Command::from(host.ssh());
    ssh.arg(format!("{HELPER} serve n0nce"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut ssh = ssh.spawn().expect("ssh is installed");
    let input = ssh.stdin.take().expect("its input is piped");
    let mut output = BufReader::new(ssh.stdout.take().expect("its output is piped"));
    let mut line = String::new();
    output.read_line(&mut line).await.expect("a line of text");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(line, format!("ETCD-NODE-READY n0nce {version}\n"));
    let mut ends = Some(TokioIo::new(tokio::io::join(output, input)));
    let connector = tower::service_fn(move |_| {
        let ends = ends.take();
        std::future::ready(ends.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)))
    });
    let channel = Endpoint::from_static("http://etcd-node.internal")
        .connect_with_connector(connector)
        .await
        .expect("the helper speaks HTTP/2");
    (ssh, NodeClient::new(channel))
}

/// What the helper says about a call that failed.
pub(crate) fn failure(status: &Status) -> Failure {
    assert!(
        !status.details().is_empty(),
        "a failure of the connection: {status}"
    );
    Failure::decode(status.details()).expect("the details are a failure")
}

/// The failure of a call that must fail in this way.
#[track_caller]
pub(crate) fn refused<T>(kind: Kind, result: Result<tonic::Response<T>, Status>) -> Failure {
    let Err(status) = result else {
        panic!("it was done, not refused as {kind:?}");
    };
    let failure = failure(&status);
    assert_eq!(failure.kind(), kind, "{failure:?}");
    failure
}

/// What `look` finds, as soon as it finds something.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            Instant::now() < end,
            "not within {} s: {what}",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(PAUSE).await;
    }
}
