//! Which call is which, and the calls that are short.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    authentication,
    cluster::Cluster,
    content, download, firewall, name,
    parameters::{self, Parameters},
    privilege::{self, Subject},
    reply::{Answer, Reply},
    task::Task,
};

/// A call: everything but an upload.
pub(crate) struct Call<'a> {
    pub(crate) cluster: &'a Arc<Cluster>,
    /// The node that was asked.
    pub(crate) asked: &'a str,
    pub(crate) method: &'a str,
    /// Below `/api2/json`, decoded, without empty segments.
    pub(crate) segments: &'a [&'a str],
    pub(crate) parameters: Parameters,
}

/// Whether the call can be made by anybody.
pub(crate) fn is_open(method: &str, segments: &[&str]) -> bool {
    matches!(
        (method, segments),
        ("GET" | "POST", ["access", "ticket"]) | ("GET", ["access", "domains"])
    )
}

impl Call<'_> {
    /// Answers it. `subject` is `None` only for calls that are open.
    pub(crate) async fn answer(mut self, subject: Option<&Subject>) -> Answer {
        let in_path: &[(&str, &str)] = match self.segments {
            ["nodes", node, "storage", storage, ..] => &[("node", node), ("storage", storage)],
            ["nodes", node, ..] => &[("node", node)],
            _ => &[],
        };
        for (name, value) in in_path {
            self.take_repeated(name, value)?;
        }
        let Call {
            cluster,
            method,
            segments,
            ..
        } = &self;
        let Some(subject) = subject else {
            return match (*method, *segments) {
                ("POST", ["access", "ticket"]) => authentication::log_in(cluster, &self.parameters),
                ("GET", ["access", "domains"]) => Ok(Reply::data(json!([
                    { "realm": "pam", "type": "pam", "default": 1 },
                    { "realm": "pve", "type": "pve" },
                ]))),
                _ => Ok(Reply::data(Value::Null)),
            };
        };
        match (*method, *segments) {
            ("GET", ["version"]) => Ok(self.version()),
            ("GET", ["access", "permissions"]) => self.permissions(subject),
            ("GET", ["nodes"]) => Ok(Reply::data(self.nodes())),
            ("GET", ["cluster", "status"]) => Ok(Reply::data(self.cluster_status())),
            ("GET", ["cluster", "resources"]) => Ok(Reply::data(self.resources(subject))),
            (_, ["cluster", "firewall", rest @ ..]) => firewall::answer(&self, subject, rest),
            ("GET", ["cluster", "tasks"]) => Ok(Reply::data(json!(self.tasks(subject, |_| true)))),
            ("GET", ["storage"]) => Ok(Reply::data(self.storages(subject))),
            ("GET", ["storage", id]) => self.configuration(subject, id),
            (_, ["nodes", node, rest @ ..]) => {
                let node = self.node(node)?;
                self.of_node(subject, &node, rest).await
            }
            _ => Err(self.unknown()),
        }
    }

    /// A parameter may repeat what stands in the path, and nothing else.
    fn take_repeated(&mut self, name: &str, in_path: &str) -> Result<(), Reply> {
        match self.parameters.remove(name) {
            Some(value) if value != in_path => Err(Reply::parameter(
                name,
                "duplicate parameter (already defined in URI) with conflicting values!",
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn unknown(&self) -> Reply {
        let path = self.segments.join("/");
        Reply::bare(
            501,
            format!("Method '{} /{path}' not implemented", self.method),
        )
    }

    /// The node that the call is for, if it is there and up.
    fn node(&self, node: &str) -> Result<String, Reply> {
        if node == "localhost" {
            return Ok(self.asked.to_owned());
        }
        if !self.cluster.spec.nodes.iter().any(|known| known == node) {
            return Err(Reply::thrown(format!(
                "hostname lookup '{node}' failed - failed to get address info for: {node}: Name or service not known"
            )));
        }
        if node != self.asked && self.cluster.faults().down.contains(node) {
            return Err(Reply::bare(595, "No route to host"));
        }
        Ok(node.to_owned())
    }

    async fn of_node(&self, subject: &Subject, node: &str, rest: &[&str]) -> Answer {
        let cluster = self.cluster;
        let query = &self.parameters;
        match (self.method, rest) {
            ("GET", ["version"]) => Ok(self.version()),
            ("GET", ["status"]) => {
                cluster.require_any(subject, &format!("/nodes/{node}"), &["Sys.Audit"])?;
                Ok(Reply::data(json!({
                    "uptime": 1000,
                    "pveversion": format!("pve-manager/{}", cluster.spec.version),
                })))
            }
            ("GET", ["qemu" | "lxc"]) => Ok(Reply::data(json!([]))),
            ("GET", ["query-url-metadata"]) => {
                download::metadata(cluster, subject, node, query).await
            }
            // Anybody who is logged in may see it.
            ("GET", ["certificates", "info"]) => Ok(Reply::data(json!([{
                "filename": "pve-root-ca.pem",
                "fingerprint": cluster.ca_fingerprint,
            }]))),
            ("GET", ["storage"]) => self.statuses(subject, node),
            ("GET", ["storage", id, "status"]) => self.status(subject, node, id),
            ("GET", ["storage", id, "content"]) => content::list(cluster, subject, node, id, query),
            ("GET", ["storage", id, "content", volume @ ..]) if !volume.is_empty() => {
                content::attributes(cluster, subject, node, id, &volume.join("/"))
            }
            ("DELETE", ["storage", id, "content", volume @ ..]) if !volume.is_empty() => {
                content::delete(cluster, subject, node, id, &volume.join("/"), query).await
            }
            // Without a body there is no upload: the call itself is reached, and finds no file.
            ("POST", ["storage", _, "upload"]) => {
                name::check(query)?;
                Err(Reply::thrown("missing temporary file name"))
            }
            ("POST", ["storage", id, "download-url"]) => {
                download::start(cluster, subject, node, id, query.clone())
            }
            ("GET", ["tasks"]) => {
                let of_node = self.tasks(subject, |task| task.upid.node == node);
                let total = of_node.len();
                Ok(Reply::part(json!(of_node), total))
            }
            ("GET", ["tasks", upid, "status"]) => {
                let task = self.task(subject, node, upid)?;
                Ok(Reply::data(task.status().ok_or_else(no_such_task)?))
            }
            ("GET", ["tasks", upid, "log"]) => self.task_log(subject, node, upid),
            _ => Err(self.unknown()),
        }
    }

    fn version(&self) -> Reply {
        let version = &self.cluster.spec.version;
        let release = version.rsplit_once('.').map_or("9.1", |(head, _)| head);
        Reply::data(json!({
            "version": version,
            "release": release,
            "repoid": "0123456789abcdef",
        }))
    }

    fn permissions(&self, subject: &Subject) -> Answer {
        parameters::only(&self.parameters, &["path", "userid"])?;
        let spec = &self.cluster.spec;
        let of = |path: &str| -> Value {
            // The value says whether the privilege holds for what is below.
            privilege::effective(spec, subject, path)
                .into_iter()
                .map(|name| (name, json!(1)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        if let Some(path) = self.parameters.get("path") {
            return Ok(Reply::data(json!({ path: of(path) })));
        }
        let mut paths = vec!["/".to_owned(), "/storage".to_owned(), "/nodes".to_owned()];
        paths.extend(
            spec.storages
                .iter()
                .map(|one| format!("/storage/{}", one.id)),
        );
        let all: serde_json::Map<_, _> = paths
            .into_iter()
            .map(|path| {
                let found = of(&path);
                (path, found)
            })
            .filter(|(_, found)| found != &json!({}))
            .collect();
        Ok(Reply::data(all.into()))
    }

    fn nodes(&self) -> Value {
        let faults = self.cluster.faults();
        self.cluster
            .spec
            .nodes
            .iter()
            .map(|node| {
                let status = if faults.down.contains(node) {
                    "offline"
                } else {
                    "online"
                };
                json!({
                    "node": node,
                    "id": format!("node/{node}"),
                    "type": "node",
                    "status": status,
                    "level": "",
                    "cpu": 0.01,
                    "maxcpu": 8,
                    "mem": 1_u64 << 30,
                    "maxmem": 16_u64 << 30,
                    "uptime": 1000,
                    "ssl_fingerprint": "",
                })
            })
            .collect()
    }

    fn cluster_status(&self) -> Value {
        let nodes = &self.cluster.spec.nodes;
        let head = json!({
            "type": "cluster",
            "id": "cluster",
            "name": "lab",
            "version": 1,
            "quorate": 1,
            "nodes": nodes.len(),
        });
        let faults = self.cluster.faults();
        let members = nodes.iter().enumerate().map(|(index, node)| {
            json!({
                "type": "node",
                "id": format!("node/{node}"),
                "name": node,
                "nodeid": index + 1,
                "ip": "127.0.0.1",
                "online": u8::from(!faults.down.contains(node)),
                "local": u8::from(node == self.asked),
                "level": "",
            })
        });
        std::iter::once(head).chain(members).collect()
    }

    fn resources(&self, subject: &Subject) -> Value {
        let storages = self.cluster.storages().clone();
        let mut found = Vec::new();
        for node in &self.cluster.spec.nodes {
            found.push(json!({ "id": format!("node/{node}"), "type": "node", "node": node, "status": "online" }));
            for storage in storages.iter().filter(|storage| storage.is_for(node)) {
                if self.cluster.require_read(subject, &storage.id).is_ok() {
                    found.push(json!({
                        "id": format!("storage/{node}/{}", storage.id),
                        "type": "storage",
                        "node": node,
                        "storage": storage.id,
                        "plugintype": storage.kind,
                        "shared": u8::from(storage.is_shared),
                        "status": "available",
                    }));
                }
            }
        }
        found.into()
    }

    fn storages(&self, subject: &Subject) -> Value {
        let storages = self.cluster.storages().clone();
        storages
            .iter()
            .filter(|storage| self.cluster.require_read(subject, &storage.id).is_ok())
            .map(configuration)
            .collect()
    }

    fn configuration(&self, subject: &Subject, id: &str) -> Answer {
        self.cluster
            .require_any(subject, &format!("/storage/{id}"), &["Datastore.Allocate"])?;
        let storage = self
            .cluster
            .storage(id)
            .ok_or_else(|| Reply::thrown(format!("storage '{id}' does not exist")))?;
        Ok(Reply::data(configuration(&storage)))
    }

    fn statuses(&self, subject: &Subject, node: &str) -> Answer {
        let known = ["storage", "content", "enabled", "target", "format"];
        parameters::only(&self.parameters, &known)?;
        let storages = self.cluster.storages().clone();
        let wanted = |name: &str| self.parameters.get(name);
        let found: Vec<Value> = storages
            .iter()
            .filter(|storage| wanted("storage").is_none_or(|id| *id == storage.id))
            .filter(|storage| wanted("content").is_none_or(|kind| storage.contents.contains(kind)))
            .filter(|storage| self.cluster.require_read(subject, &storage.id).is_ok())
            .filter(|storage| {
                wanted("enabled").is_none_or(|flag| flag != "1" || !storage.is_disabled)
            })
            .map(|storage| {
                let mut status = self.cluster.status(storage, node);
                status["storage"] = json!(storage.id);
                status
            })
            .collect();
        Ok(Reply::data(found.into()))
    }

    fn status(&self, subject: &Subject, node: &str, id: &str) -> Answer {
        self.cluster.require_read(subject, id)?;
        let storage = self
            .cluster
            .storage(id)
            .ok_or_else(|| Reply::parameter("storage", "No such storage."))?;
        Ok(Reply::data(self.cluster.status(&storage, node)))
    }

    fn tasks(&self, subject: &Subject, wanted: impl Fn(&Task) -> bool) -> Vec<Value> {
        self.cluster
            .tasks()
            .iter()
            .filter(|task| wanted(task) && self.may_see(subject, task).is_ok())
            .map(|task| task.listed())
            .collect()
    }

    /// A task is free for who started it, and for the user of the token that did.
    fn may_see(&self, subject: &Subject, task: &Task) -> Result<(), Reply> {
        if task.owner == *subject || subject.token.is_none() && task.owner.user == subject.user {
            return Ok(());
        }
        let path = format!("/nodes/{}", task.upid.node);
        self.cluster.require_any(subject, &path, &["Sys.Audit"])
    }

    fn task(&self, subject: &Subject, node: &str, upid: &str) -> Result<Arc<Task>, Reply> {
        if !upid.starts_with("UPID:") {
            return Err(Reply::parameter("upid", "unable to parse worker upid"));
        }
        let task = self
            .cluster
            .task(upid)
            .filter(|task| task.upid.node == node)
            .ok_or_else(no_such_task)?;
        self.may_see(subject, &task)?;
        Ok(task)
    }

    fn task_log(&self, subject: &Subject, node: &str, upid: &str) -> Answer {
        parameters::only(&self.parameters, &["start", "limit", "download"])?;
        let task = self.task(subject, node, upid)?;
        let log = task.log().ok_or_else(no_such_task)?;
        let number = |name, default| {
            self.parameters
                .get(name)
                .and_then(|text| text.parse::<usize>().ok())
                .unwrap_or(default)
        };
        let limit = match number("limit", 50) {
            0 => usize::MAX,
            limit => limit,
        };
        let lines: Vec<Value> = log
            .iter()
            .enumerate()
            .skip(number("start", 0))
            .take(limit)
            .map(|(index, line)| json!({ "n": index + 1, "t": line }))
            .collect();
        Ok(Reply::part(json!(lines), log.len()))
    }
}

fn no_such_task() -> Reply {
    Reply::parameter("upid", "no such task")
}

fn configuration(storage: &crate::spec::Storage) -> Value {
    let contents: Vec<_> = storage.contents.iter().map(String::as_str).collect();
    let nodes: Vec<_> = storage.nodes.iter().map(String::as_str).collect();
    let mut found = json!({
        "storage": storage.id,
        "type": storage.kind,
        "content": contents.join(","),
        "shared": u8::from(storage.is_shared),
        "digest": "0000000000000000000000000000000000000000",
    });
    if !nodes.is_empty() {
        found["nodes"] = json!(nodes.join(","));
    }
    if storage.is_disabled {
        found["disable"] = json!(1);
    }
    found
}
