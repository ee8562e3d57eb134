//! What is laid down on a host: user, directories, programs, files, units that start at boot.

use host::proto::{Directory, Item, Link, User, control_unit_request::Verb, item};
use planner::{
    etcd_cluster::{Phase, Role, files, fingerprint, names},
    name::NodeKey,
    rendered::RenderedFile,
    version,
};

use super::{ClusterWork, Written, held};
use crate::{
    common::{self, control, shared_directory},
    download::{Program, Wanted},
    etcd_cluster::certify,
    executor::Ensure,
    programs,
    report::Trouble,
};

impl ClusterWork<'_> {
    pub(super) async fn prepare(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let desired = self.desired;
        let root = self
            .root
            .get_or_try_init(|| certify::root(self.ca, desired))
            .await?;
        let fingerprint = desired.issuer.fingerprint.clone().unwrap_or_default();
        let of_service = |path: &str, shared, data| {
            common::item(item::Item::Directory(Directory {
                path: path.to_owned(),
                user: names::USER.to_owned(),
                group: names::USER.to_owned(),
                mode: 0o700,
                shared,
                data,
            }))
        };
        let public = |path: String, content: String, follows: bool| {
            common::file(RenderedFile {
                path,
                user: "root",
                group: "root",
                mode: 0o644,
                content,
                shared: true,
                follows,
                unit: false,
            })
        };
        // Names that people and older tools look for; with two CAs on a host the last one has them.
        let link = |name: &str| {
            common::item(item::Item::Link(Link {
                path: format!("{}/{name}", names::TLS),
                target: desired.issuer.root_path(),
                unless_foreign: true,
                shared: true,
            }))
        };
        let mut request = self.request(vec![
            common::item(item::Item::User(User {
                name: names::USER.to_owned(),
                home: names::HOME.to_owned(),
            })),
            of_service(names::HOME, true, false),
            of_service(&names::data(&desired.name, key), false, true),
            shared_directory("/etc/etcd"),
            shared_directory(names::TLS),
            shared_directory("/etc/etcd/issuers"),
            public(desired.issuer.root_path(), root.clone(), false),
            public(
                desired.issuer.file_path(),
                desired.issuer.file(root, &fingerprint),
                true,
            ),
            link("root_ca.crt"),
            link("peer-ca.crt"),
            link("client-ca.crt"),
            common::timer_helper(),
        ]);
        request.claims_ports = true;
        request.ports = desired.ports().into_iter().map(u32::from).collect();
        self.write_down(key, |_| {}, request).await?;
        Ok(Ensure::Added)
    }

    pub(super) async fn install(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let machine = held(&self.last)
            .host(key)
            .map(|host| host.architecture.clone());
        let machine = machine.unwrap_or_default();
        let mut result = Ensure::NotNeeded;
        for (program, version) in [
            (Program::Etcd, &self.desired.version),
            (Program::Step, &version::STEP),
        ] {
            let architecture = crate::download::Architecture::from_machine(&machine);
            let sha256 = architecture
                .filter(|_| program == Program::Etcd)
                .and_then(|architecture| self.wanted.get(&architecture.to_string()))
                .map(|sha256| Wanted {
                    sha256: sha256.to_ascii_lowercase(),
                    origin: "release_sha256",
                });
            let wish = programs::Wish {
                owner: &self.owner(),
                id: &self.desired.id,
                program,
                version,
                machine: &machine,
                sha256,
            };
            let installed = programs::install(self.hosts, key, &wish).await?;
            if program == Program::Etcd {
                let (architecture, sha256) = installed.archive;
                held(&self.archives).insert(architecture, sha256);
            }
            if installed.ensure != Ensure::NotNeeded {
                result = installed.ensure;
            }
        }
        Ok(result)
    }

    /// Files, what makes units start at boot, and one reload for all of it.
    pub(super) fn files(&self, key: &NodeKey, phase: Phase) -> Vec<Item> {
        let files = files(self.desired, key, &self.desired.nodes[key], phase);
        let wanted = self.units(key).into_iter().map(|(unit, target)| {
            common::item(item::Item::Link(Link {
                path: format!("/etc/systemd/system/{target}.wants/{unit}"),
                target: format!("/etc/systemd/system/{unit}"),
                unless_foreign: false,
                shared: false,
            }))
        });
        let wanted: Vec<Item> = wanted.collect();
        files
            .into_iter()
            .map(common::file)
            .chain(wanted)
            .chain([common::reload()])
            .collect()
    }

    /// Units of a node that start at boot, and for which target.
    pub(super) fn units(&self, key: &NodeKey) -> Vec<(String, &'static str)> {
        let name = &self.desired.name;
        let timers = Role::ALL.map(|role| {
            let timer = format!("{}.timer", names::renewal(name, role.as_str()));
            (timer, "timers.target")
        });
        let member = (names::unit(name, key), "multi-user.target");
        std::iter::once(member).chain(timers).collect()
    }

    pub(super) async fn write(&self, key: &NodeKey, owes_restart: bool) -> Result<Ensure, Trouble> {
        let phase = if self.is_bootstrapped() {
            Phase::Existing
        } else {
            Phase::New
        };
        let owe = |written: &mut Written| {
            if owes_restart {
                written.started_with.clear();
            }
        };
        self.write_down(key, owe, self.request(self.files(key, phase)))
            .await
    }

    pub(super) async fn enable(&self, key: &NodeKey) -> Result<Ensure, Trouble> {
        let mut result = Ensure::NotNeeded;
        for (unit, target) in self.units(key) {
            let verbs: &[Verb] = if target == "timers.target" {
                &[Verb::Enable, Verb::Start]
            } else {
                &[Verb::Enable]
            };
            for verb in verbs {
                let done = control(self.hosts, key, &self.owner(), &unit, *verb, true).await?;
                if done != Ensure::NotNeeded {
                    result = done;
                }
            }
        }
        Ok(result)
    }

    pub(super) fn fingerprint(&self, key: &NodeKey) -> String {
        fingerprint(self.desired, key, &self.desired.nodes[key])
    }
}
