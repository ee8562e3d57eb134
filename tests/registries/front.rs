//! What stands before the real image factory: it passes everything on, and puts stand-ins where the real one would build.
//!
//! Whether there is something to build is for the real one to say. It refuses unknown schematics and versions and wrong
//! paths by itself; only where it has tried to build, and failed because its sources are stubs, a stand-in is given.
//! Installers are put, signed by the factory's own key, where the real one looks for those that it built before; so the
//! real one serves them.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http_body_util::{BodyExt, Collected, StreamBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, LOCATION, TRANSFER_ENCODING,
        WWW_AUTHENTICATE,
    },
};
use registry::{Digest, Image, Progress, Registries, Repository};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    cosign::Key,
    http::{self, Body, Server, answer, whole},
    layout::{layer, layout},
    stand_in::StandIn,
};

/// Repository of the installers below the factory's namespace.
pub(crate) const INSTALLERS: &str = "installers";
/// Bytes of an image unless a test wants others.
const SIZE: u64 = 1024 * 1024;
/// End of the name of what is packed.
const PACKED: &str = ".zst";
/// Who owns schematics, where a login is wanted.
const OWNER: &str = "lab";

/// How a request is to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answered with this status and nothing done.
    Status(u16),
    /// The connection breaks when so many bytes of the image have been sent.
    CutAfter(u64),
}

/// What stands before the real factory.
#[derive(Debug)]
pub struct Front {
    server: Server,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    client: reqwest::Client,
    /// Address of the real factory.
    real: String,
    /// Host of the registry that the real one works on.
    registry: String,
    registries: Registries,
    key: Key,
    port: u16,
    size: AtomicU64,
    /// Times that everything built was lost.
    rebuilds: AtomicU64,
    redirects: AtomicBool,
    held: watch::Sender<bool>,
    faults: Mutex<VecDeque<Fault>>,
    /// What everything is answered with, while there is an outage.
    outage: Mutex<Option<StatusCode>>,
    /// The header that is wanted.
    login: Mutex<Option<String>>,
    refuses_installers: AtomicBool,
    /// Whether the login is of no interest to the factory.
    is_proxy: AtomicBool,
    /// Ids with an owner, and those of the same schematics without.
    owned: Mutex<HashMap<String, (String, String)>>,
    built: Mutex<HashMap<String, watch::Receiver<bool>>>,
    builds: Mutex<Vec<String>>,
    requests: Mutex<Vec<String>>,
}

impl Front {
    pub(crate) fn start(
        listener: TcpListener,
        client: reqwest::Client,
        real: String,
        registry: String,
        registries: Registries,
        key: Key,
    ) -> Self {
        let state = Arc::new(State {
            client,
            real,
            registry,
            registries,
            key,
            port: listener.local_addr().expect("it is bound").port(),
            size: SIZE.into(),
            rebuilds: 0.into(),
            redirects: false.into(),
            held: watch::Sender::new(false),
            faults: Mutex::default(),
            outage: Mutex::default(),
            login: Mutex::default(),
            refuses_installers: false.into(),
            is_proxy: false.into(),
            owned: Mutex::default(),
            built: Mutex::default(),
            builds: Mutex::default(),
            requests: Mutex::default(),
        });
        let shared = state.clone();
        let server = http::serve(listener, move |request| shared.clone().answer(request));
        Self { server, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    pub(crate) fn host(&self) -> String {
        self.server.address.to_string()
    }

    /// Answers nothing more.
    pub(crate) fn close(&self) {
        self.server.close();
    }

    /// Images have so many bytes from now on.
    pub fn set_image_size(&self, bytes: u64) {
        self.state.size.store(bytes, Ordering::SeqCst);
    }

    /// Images that were built are lost, and get other bytes of the same number when they are asked for again.
    pub fn rebuild(&self) {
        self.state.rebuilds.fetch_add(1, Ordering::SeqCst);
    }

    /// The image that is given for a path such as `nocloud-amd64.iso`. What is given for `nocloud-amd64.raw.zst` is that of
    /// `nocloud-amd64.raw`, packed.
    pub fn image(&self, schematic: &str, version: &str, path: &str) -> StandIn {
        self.state.image(schematic, version, path)
    }

    /// Builds that begin from now on do not end before [`Front::release`].
    pub fn hold(&self) {
        self.state.held.send_replace(true);
    }

    /// Lets all builds end.
    pub fn release(&self) {
        self.state.held.send_replace(false);
    }

    /// What was built so far, in order: `<schematic>/<version>/<path>`, or `<installer>/<schematic>/<version>`.
    pub fn builds(&self) -> Vec<String> {
        self.state.builds.lock().expect("no panic").clone()
    }

    /// What was asked so far, in order: method and path.
    pub fn requests(&self) -> Vec<String> {
        self.state.requests.lock().expect("no panic").clone()
    }

    /// The next requests fail in these ways. [`Fault::CutAfter`] waits for a GET of an image.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.faults.lock().expect("no panic").extend(faults);
    }

    /// Everything is answered with this status, until it is told that nothing is.
    pub fn set_outage(&self, status: Option<u16>) {
        let status = status.map(|status| StatusCode::from_u16(status).expect("a status"));
        *self.state.outage.lock().expect("no panic") = status;
    }

    /// Whether GET of an image answers 302 to another host, as a factory with a store of a cloud behind it does.
    pub fn set_redirects(&self, redirects: bool) {
        self.state.redirects.store(redirects, Ordering::SeqCst);
    }

    /// Whether installers are refused, as where the factory's own registry is out of order.
    pub fn refuse_installers(&self, refuses: bool) {
        self.state
            .refuses_installers
            .store(refuses, Ordering::SeqCst);
    }

    /// Wants this `Authorization` header from now on, as a factory of the enterprise edition does: schematics then get an
    /// owner, and another id for it.
    pub fn require_login(&self, header: &str) {
        *self.state.login.lock().expect("no panic") = Some(header.to_owned());
    }

    /// Wants the header, and gives the usual ids all the same, as a proxy before a factory does.
    pub fn require_login_of_a_proxy(&self, header: &str) {
        self.require_login(header);
        self.state.is_proxy.store(true, Ordering::SeqCst);
    }
}

impl State {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let line = format!("{method} {path}");
        self.requests.lock().expect("no panic").push(line);
        let is_stored = path.starts_with("/stored/");
        if !is_stored {
            if let Some(status) = self.failing() {
                return answer(status, format!("{status}\n"));
            }
            if !self.is_let_in(&request) {
                let mut refusal = answer(StatusCode::UNAUTHORIZED, "unauthorized\n");
                let wanted = "Basic realm=\"factory\"".parse().expect("a header");
                refusal.headers_mut().insert(WWW_AUTHENTICATE, wanted);
                return refusal;
            }
        }
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let is_read = [Method::GET, Method::HEAD].contains(&method);
        match parts[..] {
            ["image", schematic, version, file] if is_read => {
                let given = self.clone().give(&request, schematic, version, file).await;
                match given {
                    Some(given) => given,
                    None => self.pass_on(request).await,
                }
            }
            ["stored", schematic, version, file] => {
                let name = request.uri().query().unwrap_or(file);
                let image = self.image(schematic, version, file.trim_end_matches(PACKED));
                self.send(&method, &image, name, file.ends_with(PACKED))
            }
            ["v2", ..] if self.refuses_installers.load(Ordering::SeqCst) => {
                answer(StatusCode::FORBIDDEN, "forbidden\n")
            }
            ["v2", image, schematic, "manifests", version] if is_read => {
                self.clone().install(image, schematic, version).await;
                self.pass_on(request).await
            }
            ["schematics"] if method == Method::POST && self.has_owners() => {
                self.own(request).await
            }
            ["schematics", schematic] if self.owned(schematic).is_some() => {
                let (_, text) = self.owned(schematic).unwrap_or_default();
                answer(StatusCode::OK, text)
            }
            _ => self.pass_on(request).await,
        }
    }

    fn failing(&self) -> Option<StatusCode> {
        if let Some(status) = *self.outage.lock().expect("no panic") {
            return Some(status);
        }
        let mut faults = self.faults.lock().expect("no panic");
        match faults.front() {
            Some(Fault::Status(status)) => {
                let status = StatusCode::from_u16(*status).expect("a status");
                faults.pop_front();
                Some(status)
            }
            _ => None,
        }
    }

    fn login(&self) -> Option<String> {
        self.login.lock().expect("no panic").clone()
    }

    fn has_owners(&self) -> bool {
        self.login().is_some() && !self.is_proxy.load(Ordering::SeqCst)
    }

    fn is_let_in(&self, request: &Request<Incoming>) -> bool {
        let shown = request.headers().get(AUTHORIZATION);
        self.login()
            .is_none_or(|wanted| shown.is_some_and(|shown| shown.as_bytes() == wanted.as_bytes()))
    }

    fn owned(&self, schematic: &str) -> Option<(String, String)> {
        self.owned.lock().expect("no panic").get(schematic).cloned()
    }

    /// The id by which the real factory knows a schematic.
    fn real_id(&self, schematic: &str) -> String {
        self.owned(schematic)
            .map_or_else(|| schematic.to_owned(), |(real, _)| real)
    }

    fn image(&self, schematic: &str, version: &str, path: &str) -> StandIn {
        let version = version.trim_start_matches('v');
        let size = self.size.load(Ordering::SeqCst);
        let name = match self.rebuilds.load(Ordering::SeqCst) {
            0 => format!("{schematic}/v{version}/{path}"),
            rebuilds => format!("{rebuilds}/{schematic}/v{version}/{path}"),
        };
        StandIn::new(name, size)
    }

    /// The stand-in for an image; nothing if the real factory has an answer of its own.
    async fn give(
        self: Arc<Self>,
        request: &Request<Incoming>,
        schematic: &str,
        version: &str,
        file: &str,
    ) -> Option<Response<Body>> {
        semver::Version::parse(version.trim_start_matches('v')).ok()?;
        let id = self.real_id(schematic);
        let asked = format!("{}/image/{id}/{version}/{file}", self.real);
        let said = self.client.head(asked).send().await.ok()?;
        // Whose build was given up by another's going away is answered with nothing at all, which is a success to HTTP.
        let has_tried =
            said.status() == StatusCode::INTERNAL_SERVER_ERROR || said.status().is_success();
        if !has_tried {
            return None;
        }
        let image = self.image(schematic, version, file.trim_end_matches(PACKED));
        let key = format!("{schematic}/v{}/{file}", version.trim_start_matches('v'));
        self.clone().built(key, async {}).await;
        let query = request.uri().query().unwrap_or_default();
        let name = query
            .split('&')
            .find_map(|field| field.strip_prefix("filename="))
            .unwrap_or(file);
        let redirects = self.redirects.load(Ordering::SeqCst);
        if redirects && request.method() == Method::GET {
            let mut found = answer(StatusCode::FOUND, "");
            // Another host than the one that was asked, as a store is.
            let place = format!(
                "http://localhost:{}/stored/{schematic}/{version}/{file}?{name}",
                self.port
            );
            let place = place.parse().expect("it fits a header");
            found.headers_mut().insert(LOCATION, place);
            return Some(found);
        }
        Some(self.send(request.method(), &image, name, file.ends_with(PACKED)))
    }

    /// Sends an image, or only its head.
    fn send(
        &self,
        method: &Method,
        image: &StandIn,
        name: &str,
        is_packed: bool,
    ) -> Response<Body> {
        let packed = is_packed.then(|| {
            zstd::encode_all(&image.bytes()[..], zstd::DEFAULT_COMPRESSION_LEVEL)
                .expect("memory takes everything")
        });
        let size = packed
            .as_ref()
            .map_or_else(|| image.size_bytes(), |packed| packed.len() as u64);
        let mut response = if method == Method::HEAD {
            answer(StatusCode::OK, "")
        } else if let Some(packed) = packed {
            answer(StatusCode::OK, packed)
        } else {
            let cut = {
                let mut faults = self.faults.lock().expect("no panic");
                match faults.front() {
                    Some(Fault::CutAfter(bytes)) => {
                        let bytes = *bytes;
                        faults.pop_front();
                        Some(bytes)
                    }
                    _ => None,
                }
            };
            Response::new(body(image, cut))
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, size.into());
        let disposition = format!("attachment; filename=\"{name}\"");
        let disposition = disposition.parse().expect("it fits a header");
        headers.insert("content-disposition", disposition);
        response
    }

    /// Waits until `key` is built: once, whoever asks, also if they go away.
    async fn built(self: Arc<Self>, key: String, work: impl Future<Output = ()> + Send + 'static) {
        let mut done = {
            let this = self.clone();
            let mut built = self.built.lock().expect("no panic");
            let begin = || {
                let (sender, receiver) = watch::channel(false);
                let key = key.clone();
                tokio::spawn(async move {
                    let mut held = this.held.subscribe();
                    held.wait_for(|held| !held).await.expect("it is ours");
                    work.await;
                    this.builds.lock().expect("no panic").push(key);
                    sender.send_replace(true);
                });
                receiver
            };
            built.entry(key.clone()).or_insert_with(begin).clone()
        };
        done.wait_for(|done| *done)
            .await
            .expect("the build does not panic");
    }

    /// Puts an installer where the real factory looks for what it built before, if it could build this one.
    async fn install(self: Arc<Self>, image: &str, schematic: &str, version: &str) {
        let is_installer = image == "installer"
            || image.ends_with("-installer")
            || image.ends_with("installer-secureboot");
        let id = self.real_id(schematic);
        if !is_installer || !self.offers(version).await || !self.knows(&id).await {
            return;
        }
        let key = format!("{image}/{id}/{version}");
        let place = format!("{}/factory/{INSTALLERS}/{image}/{id}", self.registry);
        let place: Repository = place.parse().expect("a repository");
        let tag = place.tagged(version).expect("versions fit a tag");
        let (this, content) = (self.clone(), key.clone());
        let work = async move {
            let directory = tempfile::tempdir().expect("a directory");
            let of = |architecture: &str| {
                let text = format!("{content} for {architecture}\n");
                [
                    layer(&[("usr/bin/installer", b"stand-in\n")]),
                    layer(&[("usr/install/assets", text.as_bytes())]),
                ]
            };
            let (amd64, arm64) = (of("amd64"), of("arm64"));
            layout(directory.path(), &[("amd64", &amd64), ("arm64", &arm64)]);
            let image = Image::open(directory.path()).await.expect("our own layout");
            let pushed = this
                .registries
                .push(&image, &tag, true, &Progress::silent())
                .await
                .expect("the registry takes it");
            this.key.sign(&this.registries, &place, pushed.digest).await;
        };
        self.built(key, work).await;
    }

    /// Whether the real factory knows the version.
    async fn offers(&self, version: &str) -> bool {
        let asked = self.client.get(format!("{}/versions", self.real)).send();
        let Ok(said) = asked.await else { return false };
        let said = said.bytes().await.unwrap_or_default();
        let versions: Vec<String> = serde_json::from_slice(&said).unwrap_or_default();
        versions.iter().any(|known| known == version)
    }

    /// Whether the real factory knows the schematic.
    async fn knows(&self, id: &str) -> bool {
        let asked = self.client.get(format!("{}/schematics/{id}", self.real));
        let said = asked.send().await;
        said.is_ok_and(|said| said.status().is_success())
    }

    /// Takes a schematic and gives it an owner, which changes its id.
    async fn own(&self, request: Request<Incoming>) -> Response<Body> {
        let body = request.into_body().collect().await;
        let body = body.map(Collected::to_bytes).unwrap_or_default();
        let post = self.client.post(format!("{}/schematics", self.real));
        let said = post.body(body).send().await.expect("the real one answers");
        let status = said.status();
        let text = said.bytes().await.expect("the real one answers");
        if !status.is_success() {
            return answer(status, text);
        }
        let real: Value = serde_json::from_slice(&text).expect("it answers JSON");
        let real = real["id"].as_str().expect("it answers an id").to_owned();
        let kept = self.client.get(format!("{}/schematics/{real}", self.real));
        let kept = kept.send().await.expect("the real one answers");
        let kept = kept.text().await.expect("the real one answers");
        let text = format!("owner: {OWNER}\n{kept}");
        let id = Digest::of(text.as_bytes()).hex();
        let said = json!({"id": id, "schematic": text}).to_string();
        self.owned
            .lock()
            .expect("no panic")
            .insert(id, (real, text));
        answer(StatusCode::CREATED, said)
    }

    /// Passes a request to the real factory, and its answer back.
    async fn pass_on(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let mut path = parts
            .uri
            .path_and_query()
            .map_or_else(|| "/".to_owned(), ToString::to_string);
        let owned = self.owned.lock().expect("no panic").clone();
        for (id, (real, _)) in owned {
            path = path.replace(&id, &real);
        }
        let mut headers = parts.headers;
        for name in [
            HOST,
            CONNECTION,
            TRANSFER_ENCODING,
            CONTENT_LENGTH,
            AUTHORIZATION,
        ] {
            headers.remove(name);
        }
        let body = body.collect().await;
        let body = body.map(Collected::to_bytes).unwrap_or_default();
        let asked = self
            .client
            .request(parts.method, format!("{}{path}", self.real))
            .headers(headers)
            .body(body);
        let said = match asked.send().await {
            Ok(said) => said,
            Err(error) => return answer(StatusCode::BAD_GATEWAY, format!("{error}\n")),
        };
        let mut response = Response::new(whole(""));
        *response.status_mut() = said.status();
        *response.headers_mut() = said.headers().clone();
        for name in [CONNECTION, TRANSFER_ENCODING] {
            response.headers_mut().remove(name);
        }
        let pieces = said.bytes_stream().map_err(io::Error::other);
        *response.body_mut() = StreamBody::new(pieces.map_ok(Frame::data).boxed()).boxed_unsync();
        response
    }
}

/// The image's bytes; with `cut`, only so many, and then the connection breaks.
fn body(image: &StandIn, cut: Option<u64>) -> Body {
    let mut left = cut;
    let pieces = image.stream().then(move |piece: Bytes| {
        let result = match &mut left {
            None => Ok(Frame::data(piece)),
            Some(left) if *left >= piece.len() as u64 => {
                *left -= piece.len() as u64;
                Ok(Frame::data(piece))
            }
            Some(_) => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
        };
        async {
            // hyper sends what it has before it waits, so a break comes after the pieces before it.
            tokio::task::yield_now().await;
            result
        }
    });
    StreamBody::new(pieces.boxed()).boxed_unsync()
}
