//! The provider itself: its configuration block and its resources.

use std::{
    env,
    os::unix::fs::MetadataExt,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use host::{Pool, Profile};
use tf_plugin::{
    Attribute, Block, Diagnostic, Diagnostics, NestedBlock, Nesting, Path, Schema, Type, Value,
    provider::{Function, Provider, Resource},
};
use tokio::sync::watch;

use crate::{
    context::{Context, Names, Setup},
    download::{Downloads, Source},
    etcd_cluster::EtcdCluster,
    etcd_step_ca::EtcdStepCa,
    helper,
    in_state::InState,
    services, ssh,
    talos_artifact::{Places, SchematicId, TalosArtifact},
};

/// The setup that all resources share.
pub(crate) struct Shared(RwLock<Setup>);

impl Shared {
    pub(crate) fn get(&self) -> Setup {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Production etcd as infrastructure code.
pub struct EtcdProvider {
    shared: Arc<Shared>,
}

impl EtcdProvider {
    /// Not configured yet.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared(RwLock::new(Setup::Missing))),
        }
    }

    fn read(config: &Value, diagnostics: &mut Diagnostics) -> Setup {
        if !config.is_wholly_known() {
            return Setup::Unknown;
        }
        let default_profile = Arc::new(read_ssh(config, diagnostics));
        let mut profiles = std::collections::BTreeMap::new();
        for (index, block) in (0..).zip(config.get("ssh_profile").as_list().unwrap_or_default()) {
            let place = Path::attribute("ssh_profile").index(index);
            let name = block.get("name").as_str().unwrap_or_default().to_owned();
            let profile = ssh::profile(block, &place, diagnostics);
            if profiles.insert(name.clone(), Arc::new(profile)).is_some() {
                diagnostics.push(
                    Diagnostic::error(
                        "Two profiles of one name",
                        format!("ssh_profile \"{name}\" stands twice."),
                    )
                    .at(place.member("name")),
                );
            }
        }
        let mirror = config
            .get("download")
            .get("mirror")
            .as_str()
            .map(str::to_owned);
        let mirror = mirror.or_else(|| {
            env::var("ETCD_DOWNLOAD_MIRROR")
                .ok()
                .filter(|text| !text.is_empty())
        });
        let source = mirror.map_or(Source::Upstream, |mirror| match Source::parse(&mirror) {
            Source::Directory(path) => Source::Directory(ssh::at_home(&path.display().to_string())),
            source => source,
        });
        let cache = config
            .get("download")
            .get("cache")
            .as_str()
            .map(ssh::at_home);
        let helpers = helper::source().unwrap_or_else(|error| {
            diagnostics.error(
                "The helper for hosts cannot be read",
                format!("{error}. Hint: see that ETCD_NODE_PATH names the etcd-node program."),
            );
            host::HelperSource::default()
        });
        let user = user();
        let operator = operator(&user);
        Setup::Ready(Arc::new(Context {
            pool: Pool::new(helpers, &operator),
            downloads: Downloads::new(source, cache),
            services: services::read(config, diagnostics),
            default_profile,
            profiles,
            operator,
            origin: origin(&user),
            stop: watch::Sender::new(false),
            names: Names::default(),
            in_state: InState::default(),
            places: Places::default(),
        }))
    }
}

impl Default for EtcdProvider {
    fn default() -> Self {
        Self::new()
    }
}

fn read_ssh(config: &Value, diagnostics: &mut Diagnostics) -> Profile {
    ssh::profile(config.get("ssh"), &Path::attribute("ssh"), diagnostics)
}

/// "root@ci": who runs this process.
fn user() -> String {
    let uid = || std::fs::metadata("/proc/self").map_or(0, |own| own.uid());
    let user = ["LOGNAME", "USER"]
        .iter()
        .find_map(|name| env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| format!("uid {}", uid()));
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user}@{}", machine.trim())
}

/// "apply by root@ci pid 4711", for those who wait for a lock.
fn operator(user: &str) -> String {
    format!("apply by {user} pid {}", std::process::id())
}

/// "root@ci in /live/clusters/k8s", for those who meet a creation that was not finished.
fn origin(user: &str) -> String {
    match env::current_dir() {
        Ok(directory) => format!("{user} in {}", directory.display()),
        Err(_) => user.to_owned(),
    }
}

#[async_trait]
impl Provider for EtcdProvider {
    fn name(&self) -> &'static str {
        "etcd"
    }

    fn schema(&self) -> Schema {
        let text = |name, description: &str| Attribute::optional(name, Type::String, description);
        let mut blocks = ssh::blocks();
        blocks.extend(services::blocks());
        blocks.push(NestedBlock {
            name: "download",
            nesting: Nesting::Single,
            block: Block {
                description: "Where release archives come from.".to_owned(),
                attributes: vec![
                    text(
                        "mirror",
                        "URL or directory that holds the archives and their checksum files, as \
                         `etcd/v3.5.35/etcd-v3.5.35-linux-amd64.tar.gz`. Default: \
                         `ETCD_DOWNLOAD_MIRROR`, else the release pages of the projects.",
                    ),
                    text(
                        "cache",
                        "Directory in which archives are kept. Default: \
                         `$XDG_CACHE_HOME/terraform-provider-etcd`.",
                    ),
                ],
                blocks: Vec::new(),
            },
        });
        Schema {
            version: 0,
            block: Block {
                description:
                    "Production etcd on your own hosts: certificate authorities and clusters, \
                              reached by SSH."
                        .to_owned(),
                attributes: Vec::new(),
                blocks,
            },
        }
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        vec![
            Arc::new(EtcdCluster::new(Arc::clone(&self.shared))),
            Arc::new(EtcdStepCa::new(Arc::clone(&self.shared))),
            Arc::new(TalosArtifact::new(Arc::clone(&self.shared))),
            Arc::new(TalosArtifact::copy(Arc::clone(&self.shared))),
        ]
    }

    fn functions(&self) -> Vec<Arc<dyn Function>> {
        vec![Arc::new(SchematicId)]
    }

    async fn validate(&self, config: &Value) -> Diagnostics {
        let mut diagnostics = Diagnostics::new();
        if config.is_wholly_known() {
            read_ssh(config, &mut diagnostics);
            services::read(config, &mut diagnostics);
        }
        diagnostics
    }

    async fn configure(&self, config: Value) -> Diagnostics {
        let mut diagnostics = Diagnostics::new();
        let setup = Self::read(&config, &mut diagnostics);
        *self
            .shared
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner) = setup;
        diagnostics
    }

    fn stop(&self) {
        // Calls under way go on to the next safe point; only new connections are refused.
        if let Setup::Ready(context) = self.shared.get() {
            context.stop.send_replace(true);
            context.pool.stop();
        }
    }
}
