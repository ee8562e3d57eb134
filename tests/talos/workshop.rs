//! A scene with a build host: real podman on a host of the lab, which pulls the stand-in for the imager from a registry
//! of this machine.

use std::{error::Error, path::Path};

use lab::{Host, HostSpec, Lab, Release, bridge::Family, build_host};
use registries::{Options, RegistryServer};
use serde_json::Value as Json;
use tests::{Desk, footprint};

use crate::scene::{IMAGE, Scene};

/// Size of the ISOs that are built here.
const IMAGE_MIB: u32 = 3;

/// Everything that an image of the imager passes.
pub(crate) struct Workshop {
    pub(crate) scene: Scene,
    pub(crate) lab: Lab,
    /// The stand-in, as the build host pulls it.
    pub(crate) imager: String,
    /// Where it is pulled from.
    _images: RegistryServer,
    before: Vec<String>,
}

impl Workshop {
    /// A scene with a usual build host.
    pub(crate) fn new(name: &str) -> Result<Self, Box<dyn Error>> {
        Self::on(name, vec![build_host::spec(Release::Bookworm)])
    }

    /// The same with hosts of one's own wish, of which the first builds.
    pub(crate) fn on(name: &str, hosts: Vec<HostSpec>) -> Result<Self, Box<dyn Error>> {
        let scene = Scene::new()?;
        let name = format!("{name}-{}", std::process::id());
        let lab = Lab::up(&lab::Home::open()?, &lab::Spec::ephemeral(&name, hosts))?;
        let host = &lab.hosts()[0];
        build_host::prepare(host, IMAGE_MIB)?;
        let network = lab.network().ok_or("a lab that is up has a network")?;
        let pulled_from = scene.runtime.block_on(RegistryServer::start(Options {
            address: Some(network.gateway(Family::V4)),
            ..Options::default()
        }));
        let imager = build_host::publish(host, pulled_from.host())?;
        let before = footprint::footprint(host)?;
        Ok(Self {
            scene,
            lab,
            imager,
            _images: pulled_from,
            before,
        })
    }

    pub(crate) fn host(&self) -> &Host {
        &self.lab.hosts()[0]
    }

    /// A desk of another person, or of the next runner of a CI: its own directory and cache.
    pub(crate) fn desk(&self) -> Result<Desk, Box<dyn Error>> {
        let mut desk = Desk::new(lab::Home::open()?)?;
        let cache = desk.directory().join("cache");
        desk.environment.push(("XDG_CACHE_HOME", cache));
        desk.write("ca.pem", self.scene.proxmox.ca_pem())?;
        Ok(desk)
    }

    /// Terraform's head, and the provider's block with the login for the build host.
    fn head(&self) -> String {
        let host = self.host();
        let ssh = format!(
            "provider \"etcd\" {{\n  ssh {{\n    user = \"{}\"\n    private_key_file = \"{}\"\n    known_hosts_file = \
             \"{}\"\n  }}\n",
            host.user(),
            host.private_key_file().display(),
            host.known_hosts_file().display(),
        );
        self.scene.head().replace("provider \"etcd\" {\n", &ssh)
    }

    /// An artifact of the imager with these lines.
    pub(crate) fn artifact(&self, desk: &Desk, lines: &str) -> Result<(), Box<dyn Error>> {
        let builder = format!(
            "  builder {{\n    host   = \"{}\"\n    imager = \"{}\"\n  }}\n",
            self.host().address(),
            self.imager,
        );
        self.artifact_by(desk, &builder, lines)
    }

    /// The same with a builder block of one's own.
    pub(crate) fn artifact_by(
        &self,
        desk: &Desk,
        builder: &str,
        lines: &str,
    ) -> Result<(), Box<dyn Error>> {
        let resource = format!(
            "resource \"talos_artifact\" \"image\" {{\n  provider      = etcd\n  talos_version = \"v1.11.5\"\n  mode          \
             = \"imager\"\n{builder}{lines}\n}}\n"
        );
        desk.write("main.tf", &format!("{}{resource}", self.head()))
    }

    /// Lines that keep image and installer in the user's registry.
    pub(crate) fn in_registry(&self) -> String {
        let host = self.scene.registry.host();
        format!(
            "  artifact_repository = \"{host}/images\"\n  installer {{\n    repository = \"{host}/installer\"\n    platform   \
             = \"metal\"\n  }}\n"
        )
    }

    /// How often the imager ran.
    pub(crate) fn builds(&self) -> Result<usize, Box<dyn Error>> {
        Ok(build_host::containers_so_far(self.host())?.len())
    }

    /// What is on the build host now that was not there, and what is gone.
    pub(crate) fn changes(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let now = footprint::footprint(self.host())?;
        let mut changes = footprint::difference(&self.before, &now);
        // The engine's own account of what it did.
        let own = [
            "/libpod/",
            "containers/cache",
            "/vfs-containers/containers.json",
        ];
        changes.retain(|line| !own.iter().any(|own| line.contains(own)));
        // Also where /var is a disk of its own.
        let ours = "find /var/lib/etcd-node /opt/etcd-node 2>/dev/null || :";
        let ours = self.host().root_text(&["sh", "-c", ours])?;
        changes.extend(ours.lines().map(str::to_owned));
        Ok(changes)
    }

    /// Takes the host down.
    pub(crate) fn down(self) -> Result<(), Box<dyn Error>> {
        Ok(self.lab.down()?)
    }
}

/// An attribute of the artifact in the state of a desk.
pub(crate) fn state(desk: &Desk, attribute: &str) -> Result<Json, Box<dyn Error>> {
    Ok(desk.state(IMAGE)?[attribute].clone())
}

/// What the provider logged.
pub(crate) fn logged(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}
