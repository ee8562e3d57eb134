//! A factory, a registry, a Proxmox cluster, and a desk to work from.

use std::{error::Error, sync::Arc};

use proxmox_server::{ROOT_TOKEN, Server, Spec};
use registries::{Catalog, Factory, Options, RegistryServer};
use serde_json::Value as Json;
use tests::{Desk, Run};
use tokio::runtime::Runtime;

/// Everything that an image passes.
pub(crate) struct Scene {
    pub(crate) desk: Desk,
    pub(crate) proxmox: Server,
    pub(crate) factory: Factory,
    /// A registry of the user's own.
    pub(crate) registry: RegistryServer,
    pub(crate) runtime: Arc<Runtime>,
    /// Lines of the provider's blocks, beside those that say where the services are.
    pub(crate) lines: Lines,
}

/// Lines of the blocks of the provider.
pub(crate) struct Lines {
    /// How the Proxmox cluster is logged in to, and what of it is trusted.
    pub(crate) proxmox: String,
    /// The login to the factory.
    pub(crate) factory: String,
    /// Where logins to registries are found.
    pub(crate) registry: String,
}

/// The one storage that all nodes of the default cluster share.
pub(crate) const SHARED: &str = "resources";
/// A storage of each node's own.
pub(crate) const OWN: &str = "local";
/// The line that begins the resource: where an attribute is meant that the user did not write.
pub(crate) const RESOURCE: &str = "resource \"talos_artifact\" \"image\" {";
/// Name of the resource in the tests' configurations.
pub(crate) const IMAGE: &str = "talos_artifact.image";

impl Scene {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        Self::with(Spec::default())
    }

    /// With another Proxmox cluster.
    pub(crate) fn with(spec: Spec) -> Result<Self, Box<dyn Error>> {
        let runtime = Arc::new(Runtime::new()?);
        let (factory, registry) = runtime.block_on(async {
            (
                Factory::start(&Catalog::default()).await,
                RegistryServer::start(Options::default()).await,
            )
        });
        let proxmox = Server::start(spec).map_err(|error| error.to_string())?;
        let scene = Self {
            desk: Desk::new(lab::Home::open()?)?,
            proxmox,
            factory,
            registry,
            runtime,
            lines: Lines {
                proxmox: format!("    api_token = \"{ROOT_TOKEN}\"\n    ca_file = \"ca.pem\"\n"),
                factory: String::new(),
                registry: "    config_file = \"auth.json\"\n".to_owned(),
            },
        };
        // Nothing of the person who runs the tests.
        scene.desk.write("auth.json", "{}")?;
        let cache = scene.desk.directory().join("cache");
        std::fs::write(
            scene.desk.directory().join("ca.pem"),
            scene.proxmox.ca_pem(),
        )?;
        let mut scene = scene;
        scene.desk.environment.push(("XDG_CACHE_HOME", cache));
        Ok(scene)
    }

    /// Terraform's head and the provider's block.
    pub(crate) fn head(&self) -> String {
        format!(
            r#"
terraform {{
  required_providers {{
    etcd = {{ source = "etcd-fleet/etcd" }}
  }}
}}
provider "etcd" {{
  proxmox {{
    endpoint = "{}"
{}  }}
  factory {{
    url = "{}"
{}  }}
  registry {{
{}  }}
}}
"#,
            self.proxmox.endpoint("pve01"),
            self.lines.proxmox,
            self.factory.url(),
            self.lines.factory,
            self.lines.registry,
        )
    }

    /// An artifact with these lines beside the version.
    pub(crate) fn artifact(&self, lines: &str) -> Result<(), Box<dyn Error>> {
        self.write(&format!(
            "{RESOURCE}\n  provider      = etcd\n  talos_version = \"v1.11.5\"\n{lines}\n}}\n"
        ))
    }

    /// The configuration: the head and this.
    pub(crate) fn write(&self, body: &str) -> Result<(), Box<dyn Error>> {
        self.desk
            .write("main.tf", &format!("{}{body}", self.head()))
    }

    /// An artifact on the shared storage, made.
    pub(crate) fn made(lines: &str) -> Result<Self, Box<dyn Error>> {
        let scene = Self::new()?;
        scene.artifact(lines)?;
        scene.desk.init()?;
        scene.desk.apply()?.expect_ok();
        Ok(scene)
    }

    /// An attribute of the artifact in the state.
    pub(crate) fn state(&self, attribute: &str) -> Result<Json, Box<dyn Error>> {
        Ok(self.desk.state(IMAGE)?[attribute].clone())
    }

    /// A plan that must change something.
    pub(crate) fn changes(&self) -> Result<Run, Box<dyn Error>> {
        let plan = self.desk.plan()?;
        assert_eq!(plan.code, 2, "{plan}");
        Ok(plan)
    }
}

/// A block that puts the image on the storage that all share.
pub(crate) fn on_shared() -> String {
    format!(
        "  proxmox {{\n    storage = \"{SHARED}\"\n    nodes   = [\"pve01\", \"pve02\", \"pve03\"]\n  }}\n"
    )
}

/// A block that puts the image on a storage of each node.
pub(crate) fn on_own() -> String {
    format!(
        "  proxmox {{\n    storage = \"{OWN}\"\n    nodes   = [\"pve01\", \"pve02\", \"pve03\"]\n  }}\n"
    )
}
