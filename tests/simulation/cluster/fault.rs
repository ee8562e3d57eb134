//! What goes wrong: hosts, people, disks.

use planner::{
    etcd_cluster::{Role, names},
    name::NodeKey,
};

use super::world::{Host, World, quorum};

/// Things that can be undone by an apply at any time.
const SMALL: usize = 11;

impl World {
    /// Voters that may still be lost for good without the loss of the cluster.
    fn spare(&self) -> usize {
        let sound = self.hosts.iter().filter(|(key, host)| {
            let votes = host.data.is_some_and(|data| self.votes(data.member_id));
            votes && !self.is_isolated(key)
        });
        sound.count().saturating_sub(quorum(self.voters().max(1)))
    }

    /// Whether a restart would leave the member alone with its file, or it is alone by now.
    fn is_isolated(&self, key: &NodeKey) -> bool {
        let url = self.peer_url(key);
        let path = names::configuration(&self.desired.name, key);
        let file = self.hosts[key].files.get(&path);
        let says = file.is_some_and(|file| {
            !file
                .content
                .contains(&format!("listen-peer-urls: \"{url}\""))
        });
        let runs = self.process(key).is_some_and(|process| {
            process.options.get("listen-peer-urls") != Some(&format!("\"{url}\""))
        });
        says || runs
    }

    /// One thing that goes wrong on one host. A cluster that is being made holds nothing yet, and what
    /// only a person could mend is left out for it.
    pub(crate) fn fault(&mut self, is_made: bool) {
        let keys = self.keys();
        let key = self.random.pick(&keys);
        let kind = self.random.below(if is_made { SMALL + 8 } else { SMALL });
        if self.disrupted.as_ref() == Some(&key) {
            self.disrupted = None;
        }
        let what = match kind {
            0 => self.stop_unit(&key),
            1 => self.disable(&key),
            2 => self.crash(&key),
            3 => self.reboot(&key),
            4 => self.remove_file(&key),
            5 => self.edit_file(&key),
            6 => self.spoil_certificate(&key),
            7 => self.open_up(&key),
            8 => {
                self.hosts.get_mut(&key).expect("a host").is_reachable = false;
                "ssh is away"
            }
            9 => {
                self.host(&key).is_powered = false;
                self.unit(&key).process = None;
                "powered off"
            }
            10 => {
                self.commit();
                "a client writes"
            }
            11 => self.edit_options(&key, false),
            12 => self.edit_options(&key, true),
            13 => self.lose_data(&key),
            14 => self.wipe(&key),
            15 => self.remove_by_hand(&key),
            16 => self.forget_user(&key),
            17 => self.mute(),
            _ => self.retune(),
        };
        self.note(format!("fault on {key}: {what}"));
    }

    /// Everything can be reached again, as far as it exists.
    pub(crate) fn heal(&mut self) {
        for key in self.keys() {
            let host = self.host(&key);
            host.is_reachable = true;
            host.is_mute = false;
            if !host.is_powered {
                host.is_powered = true;
                self.boot(&key);
            }
        }
    }

    /// What systemd starts by itself.
    fn boot(&mut self, key: &NodeKey) {
        for unit in self.host(key).units.values_mut() {
            unit.process = None;
            unit.is_up = unit.is_enabled;
        }
        let files = self.hosts[key].files.clone();
        let units = &mut self.host(key).units;
        units.retain(|name, _| files.contains_key(&format!("/etc/systemd/system/{name}")));
    }

    fn stop_unit(&mut self, key: &NodeKey) -> &'static str {
        let units: Vec<String> = self.hosts[key].units.keys().cloned().collect();
        if units.is_empty() {
            return "nothing to stop";
        }
        let name = self.random.pick(&units);
        let unit = self.host(key).units.get_mut(&name).expect("a unit");
        unit.is_up = false;
        unit.process = None;
        "a unit is stopped"
    }

    fn disable(&mut self, key: &NodeKey) -> &'static str {
        let units: Vec<String> = self.hosts[key].units.keys().cloned().collect();
        if units.is_empty() {
            return "nothing to disable";
        }
        let name = self.random.pick(&units);
        self.host(key)
            .units
            .get_mut(&name)
            .expect("a unit")
            .is_enabled = false;
        "a unit is disabled"
    }

    fn crash(&mut self, key: &NodeKey) -> &'static str {
        self.unit(key).process = None;
        "the member crashes"
    }

    fn reboot(&mut self, key: &NodeKey) -> &'static str {
        if self.hosts[key].is_powered {
            self.boot(key);
        }
        "a reboot"
    }

    /// A file to spoil. The configuration only if the member has not read an edit of it already: what
    /// it runs with then could not be told by anybody.
    fn some_file(&mut self, key: &NodeKey) -> Option<String> {
        let spared = [
            Some(names::joining(&self.desired.name, key)),
            self.has_read_an_edit(key)
                .then(|| names::configuration(&self.desired.name, key)),
        ];
        let is_spared = |path: &&String| spared.iter().flatten().any(|spared| spared == *path);
        let files = self.hosts[key].files.keys();
        let files: Vec<String> = files.filter(|path| !is_spared(path)).cloned().collect();
        (!files.is_empty()).then(|| self.random.pick(&files))
    }

    fn remove_file(&mut self, key: &NodeKey) -> &'static str {
        let Some(path) = self.some_file(key) else {
            return "no file to remove";
        };
        self.note(path.clone());
        self.host(key).files.remove(&path);
        "a file is removed"
    }

    fn edit_file(&mut self, key: &NodeKey) -> &'static str {
        let Some(path) = self.some_file(key) else {
            return "no file to edit";
        };
        self.note(path.clone());
        self.now_ms += 1000;
        let now_ms = self.now_ms;
        let file = self.host(key).files.get_mut(&path).expect("a file");
        file.content.push_str("# edited\n");
        file.modified_ms = now_ms;
        "a file is edited"
    }

    fn spoil_certificate(&mut self, key: &NodeKey) -> &'static str {
        let role = self.random.pick(&Role::ALL);
        let stem = names::certificate_stem(&self.desired.name, key, role.as_str());
        let (kind, now_ms) = (self.random.below(5), self.now_ms);
        if let Some(fact) = self.host(key).certificates.get_mut(&format!("{stem}.crt")) {
            match kind {
                0 => fact.present = false,
                1 => fact.key_matches = false,
                2 => "not PEM".clone_into(&mut fact.error),
                3 => fact.key_mode = 0o644,
                _ => {
                    let life = fact.not_after_ms - fact.not_before_ms;
                    fact.not_before_ms = now_ms - life / 10 * 9;
                    fact.not_after_ms = fact.not_before_ms + life;
                }
            }
        }
        "a certificate is spoilt"
    }

    fn open_up(&mut self, key: &NodeKey) -> &'static str {
        if self.random.once_in(2) {
            if let Some(mode) = &mut self.host(key).directory {
                *mode = 0o755;
            }
        } else if let Some(path) = self.some_file(key) {
            self.host(key).files.get_mut(&path).expect("a file").mode = 0o666;
        }
        "a mode is changed"
    }

    /// An option is edited; the member may have been restarted for it.
    fn edit_options(&mut self, key: &NodeKey, is_harmful: bool) -> &'static str {
        if is_harmful && self.spare() == 0 {
            return "nobody to spare for a harmful edit";
        }
        self.now_ms += 1000;
        let now_ms = self.now_ms;
        let path = names::configuration(&self.desired.name, key);
        let url = self.peer_url(key);
        if self.has_read_an_edit(key) {
            return "an edit was read already";
        }
        let Some(file) = self.host(key).files.get_mut(&path) else {
            return "no configuration to edit";
        };
        let (from, to) = if is_harmful {
            (
                format!("listen-peer-urls: \"{url}\""),
                "listen-peer-urls: \"https://10.9.9.9:2380\"".to_owned(),
            )
        } else {
            (
                "heartbeat-interval: 250".to_owned(),
                "heartbeat-interval: 500".to_owned(),
            )
        };
        file.content = file.content.replace(&from, &to);
        file.modified_ms = now_ms;
        if self.random.once_in(2) {
            self.crash(key);
            return "an option is edited and loaded";
        }
        "an option is edited"
    }

    fn lose_data(&mut self, key: &NodeKey) -> &'static str {
        let is_spare = self.hosts[key]
            .data
            .is_none_or(|data| !self.votes(data.member_id));
        if !is_spare && self.spare() == 0 {
            return "nobody's data can be spared";
        }
        self.host(key).data = None;
        self.unit(key).process = None;
        if self.random.once_in(3) {
            self.host(key).directory = None;
        }
        "the data is lost"
    }

    fn wipe(&mut self, key: &NodeKey) -> &'static str {
        let is_spare = self.hosts[key]
            .data
            .is_none_or(|data| !self.votes(data.member_id));
        // The last host that knows the cluster is the cluster.
        let owners = self.hosts.values().filter(|host| host.owner.is_some());
        if (!is_spare && self.spare() == 0) || owners.count() < 2 {
            return "nobody can be spared";
        }
        *self.host(key) = Host::bare();
        "wiped"
    }

    fn remove_by_hand(&mut self, key: &NodeKey) -> &'static str {
        let url = self.peer_url(key);
        if self.voters() < 3 || self.spare() == 0 || !self.can_spare(key) {
            return "nobody can be removed";
        }
        self.list.retain(|member| member.peer_url != url);
        self.commit();
        "removed from the list by hand"
    }

    fn forget_user(&mut self, key: &NodeKey) -> &'static str {
        self.host(key).has_user = false;
        "the user is gone"
    }

    /// All members or some refuse to tell their list, as they do when rights are missing.
    fn mute(&mut self) -> &'static str {
        for host in self.hosts.values_mut() {
            host.is_mute = true;
        }
        if self.random.once_in(2) {
            let keys = self.keys();
            let key = self.random.pick(&keys);
            self.host(&key).is_mute = false;
        }
        "the member list is not told"
    }

    /// Another wish.
    fn retune(&mut self) -> &'static str {
        // Two members can never be restarted.
        if self.hosts.len() != 2 {
            self.desired.tuning.snapshot_count = 10_000 + self.random.below(3) as u64;
        }
        "another wish"
    }
}
