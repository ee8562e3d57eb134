//! What the login may do, to be told before anything is tried.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use crate::{Client, Error, call::Call};

/// Something that a login may or may not do with a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// See the storage and its files; needed for everything else.
    List,
    /// Send a file.
    Upload,
    /// Have the node fetch a file.
    Download,
    /// Remove a file.
    Delete,
}

/// A privilege that the login lacks: `Datastore.Audit or Datastore.AllocateSpace on /storage/resources`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Any of these would do; the server's words where it names none.
    pub privileges: Vec<String>,
    /// The object in the tree of permissions: `/storage/resources`.
    pub path: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.privileges.join(" or "), self.path)
    }
}

/// Path and privileges, any of which is enough.
type Need = (String, &'static [&'static str]);

impl Action {
    /// What is needed, all of it (the `permissions` of the calls in pve-storage,
    /// `src/PVE/API2/Storage/{Status,Content}.pm`).
    fn needs(self, node: &str, storage: &str) -> Vec<Need> {
        let storage = format!("/storage/{storage}");
        match self {
            Self::List => vec![(storage, &["Datastore.Audit", "Datastore.AllocateSpace"])],
            Self::Upload => vec![(storage, &["Datastore.AllocateTemplate"])],
            Self::Download => vec![
                (storage, &["Datastore.AllocateTemplate"]),
                (format!("/nodes/{node}"), &["Sys.AccessNetwork"]),
            ],
            Self::Delete => vec![(storage, &["Datastore.Allocate"])],
        }
    }
}

impl Client {
    /// The privileges that the login has on an object of the tree of permissions.
    ///
    /// # Errors
    /// It cannot be told.
    pub async fn privileges(&self, path: &str) -> Result<Vec<String>, Error> {
        let call = Call::get(
            format!("read the login's permissions on {path}"),
            &["access", "permissions"],
        )
        .query(&[("path", path)]);
        // The value says whether a privilege is inherited further down, not whether it is there.
        let mut found: BTreeMap<String, BTreeMap<String, Value>> =
            self.read(&call)
                .await?
                .read()
                .map_err(|kind| self.error(call.doing, None, kind))?;
        Ok(found.remove(path).unwrap_or_default().into_keys().collect())
    }

    /// What the login lacks for these actions.
    ///
    /// # Errors
    /// It cannot be told.
    pub async fn missing(
        &self,
        node: &str,
        storage: &str,
        actions: &[Action],
    ) -> Result<Vec<Missing>, Error> {
        let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut missing = Vec::new();
        for &action in actions {
            for (path, privileges) in action.needs(node, storage) {
                if !known.contains_key(&path) {
                    let found = self.privileges(&path).await?;
                    known.insert(path.clone(), found);
                }
                let has = |wanted: &str| known[&path].iter().any(|found| found == wanted);
                if privileges.iter().any(|wanted| has(wanted)) {
                    continue;
                }
                // Before Sys.AccessNetwork there was (Proxmox VE 8.2), this pair did.
                if privileges.contains(&"Sys.AccessNetwork") {
                    let root = self.privileges("/").await?;
                    if ["Sys.Audit", "Sys.Modify"]
                        .iter()
                        .all(|wanted| root.iter().any(|found| found == wanted))
                    {
                        continue;
                    }
                }
                missing.push(Missing {
                    privileges: privileges.iter().map(|&name| name.to_owned()).collect(),
                    path,
                });
            }
        }
        Ok(missing)
    }
}
