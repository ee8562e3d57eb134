//! The server: its listeners, and how a test looks at it and spoils it.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs};
use tokio::{net::TcpListener, runtime::Runtime, sync::watch};
use tokio_rustls::TlsAcceptor;

use crate::{
    certificate::{Authority, Leaf, fingerprint},
    cluster::{Cluster, Seen},
    connection,
    fault::{Fault, TaskEnd},
    spec::{Spec, Storage},
};

/// A cluster that listens on 127.0.0.1. It ends when it is dropped, and its files go with it unless
/// [`Spec::directory`] was given.
pub struct Server {
    cluster: Arc<Cluster>,
    nodes: BTreeMap<String, Node>,
    ca_pem: String,
    runtime: Option<Runtime>,
    _temporary: Option<tempfile::TempDir>,
}

struct Node {
    address: SocketAddr,
    fingerprint: String,
    /// False ends the listener and all its connections.
    is_up: watch::Sender<bool>,
}

impl Server {
    /// Starts it, on threads of its own: with or without a runtime around.
    ///
    /// # Errors
    /// Its directory, ports or certificates cannot be made.
    pub fn start(mut spec: Spec) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let (directory, temporary) = if let Some(directory) = spec.directory.take() {
            (directory, None)
        } else {
            let temporary = tempfile::Builder::new().prefix("proxmox-").tempdir()?;
            (temporary.path().to_owned(), Some(temporary))
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("proxmox-server")
            .enable_all()
            .build()?;
        let fetch = fetcher(spec.download_ca.as_deref())?;
        let insecure = reqwest::Client::builder()
            .no_proxy()
            .tls_danger_accept_invalid_certs(true)
            .build()?;
        let authority = Authority::new()?;
        let ca = authority.fingerprint.clone();
        let cluster = Arc::new(Cluster::new(spec, directory, ca, fetch, insecure));
        let mut nodes = BTreeMap::new();
        for (index, name) in cluster.spec.nodes.iter().enumerate() {
            fs::create_dir_all(cluster.receiving(name))?;
            for storage in cluster.storages().iter() {
                fs::create_dir_all(cluster.root(storage, name))?;
            }
            let leaf = authority.leaf(name)?;
            let fingerprint = fingerprint(&leaf.certificate);
            let acceptor = acceptor(leaf)?;
            let port = match cluster.spec.port {
                0 => 0,
                first => first + u16::try_from(index)?,
            };
            let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let listener = {
                let _inside = runtime.enter();
                let listener = std::net::TcpListener::bind(wanted)?;
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener)?
            };
            let address = listener.local_addr()?;
            let (is_up, seen) = watch::channel(true);
            runtime.spawn(node(
                Arc::clone(&cluster),
                name.clone(),
                listener,
                acceptor,
                seen,
            ));
            nodes.insert(
                name.clone(),
                Node {
                    address,
                    fingerprint,
                    is_up,
                },
            );
        }
        Ok(Self {
            cluster,
            nodes,
            ca_pem: authority.pem,
            runtime: Some(runtime),
            _temporary: temporary,
        })
    }

    // --- how it is reached

    fn node(&self, node: &str) -> &Node {
        self.nodes
            .get(node)
            .unwrap_or_else(|| panic!("the cluster has no node {node}"))
    }

    /// `https://127.0.0.1:PORT` of a node.
    ///
    /// # Panics
    /// The cluster has no such node; so in all that follows.
    pub fn endpoint(&self, node: &str) -> String {
        format!("https://{}", self.node(node).address)
    }

    /// Endpoints of all nodes, by name.
    pub fn endpoints(&self) -> BTreeMap<String, String> {
        self.nodes
            .keys()
            .map(|node| (node.clone(), self.endpoint(node)))
            .collect()
    }

    /// SHA-256 of a node's certificate, as the web interface shows it.
    pub fn fingerprint(&self, node: &str) -> &str {
        &self.node(node).fingerprint
    }

    /// The CA that signed the nodes' certificates.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    // --- what it holds

    /// Path of a file on a storage, as a node sees it, whether it is there or not.
    pub fn path(&self, node: &str, storage: &str, content: &str, name: &str) -> PathBuf {
        let known = self.cluster.storage(storage);
        known
            .and_then(|known| self.cluster.folder(&known, node, content))
            .unwrap_or_else(|| panic!("storage {storage} holds no {content}"))
            .join(name)
    }

    /// Puts a file on a storage, behind everybody's back.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(
        &self,
        node: &str,
        storage: &str,
        content: &str,
        name: &str,
        bytes: &[u8],
    ) -> io::Result<PathBuf> {
        let path = self.path(node, storage, content, name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, bytes)?;
        Ok(path)
    }

    /// All files on all storages and in all folders for uploads, below the server's directory.
    pub fn files(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        let mut folders = vec![self.cluster.directory.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(path) = path.strip_prefix(&self.cluster.directory) {
                    found.insert(path.to_owned());
                }
            }
        }
        found
    }

    /// The firewall of the cluster: its options, the networks of its IP sets, the rules of its security groups.
    pub fn firewall(&self) -> serde_json::Value {
        self.cluster.firewall().shown()
    }

    /// Calls so far, in the order of their answers.
    pub fn calls(&self) -> Vec<Seen> {
        self.cluster.seen().clone()
    }

    /// Calls so far with this method whose path contains this.
    pub fn count(&self, method: &str, path: &str) -> usize {
        self.cluster
            .seen()
            .iter()
            .filter(|seen| seen.method == method && seen.path.contains(path))
            .count()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.cluster.seen().clear();
    }

    /// Bytes of uploads that have come in, those of broken ones too.
    pub fn received_bytes(&self) -> u64 {
        self.cluster.received_bytes.load(Ordering::Relaxed)
    }

    /// Uploads whose bytes are coming now.
    pub fn open_uploads(&self) -> usize {
        connection::open_uploads(&self.cluster)
    }

    // --- how it is spoilt

    /// Adds a fault of calls.
    pub fn fault(&self, fault: Fault) {
        self.cluster.faults().calls.push(fault);
    }

    /// Takes all faults of calls and tasks back, also those that still wait for theirs.
    pub fn mend(&self) {
        let mut faults = self.cluster.faults();
        faults.calls.clear();
        faults.task_ends.clear();
    }

    /// The next task of this kind (`imgcopy`, `download`, `imgdel`) ends like this.
    pub fn end_task(&self, kind: &str, end: TaskEnd) {
        self.cluster.faults().task_ends.push((kind.to_owned(), end));
    }

    /// New tasks are unknown to the first so many looks.
    pub fn hide_tasks(&self, looks: u32) {
        self.cluster.faults().unknown_task_polls = looks;
    }

    /// New tasks are shown as running to so many looks at least.
    pub fn slow_tasks(&self, looks: u32) {
        self.cluster.faults().running_task_polls = looks;
    }

    /// Tasks wait before they do anything, until [`Self::release_tasks`].
    pub fn hold_tasks(&self) {
        self.cluster.gate.set_open(false);
    }

    /// Tasks go on.
    pub fn release_tasks(&self) {
        self.cluster.gate.set_open(true);
    }

    /// Uploads to storages of these nodes stop in their middle, until [`Self::release_uploads`].
    pub fn hold_uploads(&self, nodes: &[&str]) {
        let nodes = nodes.iter().map(|&node| node.to_owned()).collect();
        self.cluster.faults().held_uploads = nodes;
        self.cluster.upload_gate.set_open(false);
    }

    /// Uploads go on.
    pub fn release_uploads(&self) {
        self.cluster.upload_gate.set_open(true);
    }

    /// New files are left out of so many listings of each node.
    pub fn lag_listings(&self, listings: u32) {
        self.cluster.faults().listing_lag = listings;
    }

    /// All tickets are no longer good.
    pub fn expire_tickets(&self) {
        self.cluster.tickets.expire();
    }

    /// The token (`USER@REALM!NAME`) is no longer good.
    pub fn expire_token(&self, id: &str) {
        self.cluster.faults().expired_tokens.insert(id.to_owned());
    }

    /// The storage does not answer these nodes; any node for none.
    pub fn take_offline(&self, storage: &str, nodes: &[&str]) {
        let nodes = nodes.iter().map(|&node| node.to_owned()).collect();
        self.cluster
            .faults()
            .offline
            .insert(storage.to_owned(), nodes);
    }

    /// The storage answers again.
    pub fn bring_online(&self, storage: &str) {
        self.cluster.faults().offline.remove(storage);
    }

    /// The storage has so many bytes left.
    pub fn set_available(&self, storage: &str, bytes: u64) {
        self.cluster
            .faults()
            .available
            .insert(storage.to_owned(), bytes);
    }

    /// The node has so many bytes for uploads that come in.
    pub fn set_upload_space(&self, node: &str, bytes: u64) {
        self.cluster
            .faults()
            .upload_space
            .insert(node.to_owned(), bytes);
    }

    /// Changes the configuration of a storage.
    pub fn change_storage(&self, storage: &str, change: impl FnOnce(&mut Storage)) {
        if let Some(storage) = self
            .cluster
            .storages()
            .iter_mut()
            .find(|known| known.id == storage)
        {
            change(storage);
        }
    }

    /// The node goes down: nobody answers, and the other nodes say so.
    pub fn stop_node(&self, node: &str) {
        self.cluster.faults().down.insert(node.to_owned());
        self.node(node).is_up.send_replace(false);
    }

    /// The node comes up again, on the same port.
    pub fn start_node(&self, node: &str) {
        self.cluster.faults().down.remove(node);
        self.node(node).is_up.send_replace(true);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A runtime may not be waited for within another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("endpoints", &self.endpoints())
            .field("directory", &self.cluster.directory)
            .finish_non_exhaustive()
    }
}

/// How nodes fetch: with the system's roots and the given one, never through a proxy.
fn fetcher(ca_pem: Option<&str>) -> Result<reqwest::Client, Box<dyn Error + Send + Sync>> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};

    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = ca_pem {
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes())?)?;
    }
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(tls)
        .build()?)
}

fn acceptor(leaf: Leaf) -> Result<TlsAcceptor, rustls::Error> {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.certificate], leaf.key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// One node: listens while it is up.
async fn node(
    cluster: Arc<Cluster>,
    name: String,
    listener: TcpListener,
    acceptor: TlsAcceptor,
    mut is_up: watch::Receiver<bool>,
) {
    let Ok(address) = listener.local_addr() else {
        return;
    };
    let mut listener = Some(listener);
    let up = is_up.clone();
    loop {
        let Some(open) = listener.take() else {
            if !becomes(&mut is_up, true).await {
                return;
            }
            match TcpListener::bind(address).await {
                Ok(open) => listener = Some(open),
                // Connections of before may still hold the port.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
            continue;
        };
        tokio::select! {
            accepted = open.accept() => {
                if let Ok((stream, _)) = accepted {
                    let work = serve(Arc::clone(&cluster), name.clone(), acceptor.clone(), stream);
                    let mut is_up = up.clone();
                    tokio::spawn(async move {
                        tokio::select! {
                            () = work => {}
                            _ = becomes(&mut is_up, false) => {}
                        }
                    });
                }
                listener = Some(open);
            }
            has_changed = becomes(&mut is_up, false) => {
                if !has_changed {
                    return;
                }
            }
        }
    }
}

/// Waits for the state; false if there will be no other one.
async fn becomes(is_up: &mut watch::Receiver<bool>, wanted: bool) -> bool {
    is_up.wait_for(|is_up| *is_up == wanted).await.is_ok()
}

async fn serve(
    cluster: Arc<Cluster>,
    node: String,
    acceptor: TlsAcceptor,
    stream: tokio::net::TcpStream,
) {
    // Answers are small and waited for.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service =
        service_fn(|request| connection::handle(Arc::clone(&cluster), node.clone(), request));
    // How a connection ends is the client's business.
    let _ = http1::Builder::new()
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
