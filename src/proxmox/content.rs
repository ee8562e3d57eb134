//! What lies on a storage.

use serde::Deserialize;

use crate::{Client, ContentKind, Error, Kind, call::Call, refusal, refusal::About, storage};

/// A file on a storage.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Volume {
    /// `STORAGE:KIND/NAME`; has no node in it, so that it is the same on all nodes of a shared
    /// storage.
    #[serde(rename = "volid")]
    pub volume_id: String,
    /// Its size.
    #[serde(default, rename = "size", deserialize_with = "storage::size")]
    pub size_bytes: u64,
    /// `iso`, `qcow2`, `raw`, …
    #[serde(default)]
    pub format: String,
    /// Seconds since 1970; a copy sets it anew.
    #[serde(default, rename = "ctime")]
    pub created_s: Option<i64>,
}

impl Client {
    /// Files on the storage as this node sees them; of one kind, if one is given.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an unknown storage or node, others if it cannot be told.
    pub async fn list(
        &self,
        node: &str,
        storage: &str,
        content: Option<ContentKind>,
    ) -> Result<Vec<Volume>, Error> {
        let mut call = Call::get(
            format!("list storage {storage} of node {node}"),
            &["nodes", node, "storage", storage, "content"],
        )
        .about(About {
            node,
            storage,
            content: None,
        });
        if let Some(content) = content {
            call = call.query(&[("content", content.word())]);
        }
        let answer = self.read(&call).await?;
        answer
            .read()
            .map_err(|kind| self.error(call.doing, Some(node), kind))
    }

    /// The file, or `None` if the storage answers and does not list it.
    ///
    /// # Errors
    /// It cannot be told.
    pub async fn find(
        &self,
        node: &str,
        storage: &str,
        content: ContentKind,
        file_name: &str,
    ) -> Result<Option<Volume>, Error> {
        let wanted = content.volume_id(storage, file_name);
        let listed = self.list(node, storage, Some(content)).await?;
        Ok(listed.into_iter().find(|volume| volume.volume_id == wanted))
    }

    /// The path of a file on the node, or `None` if the file is not there.
    ///
    /// # Errors
    /// It cannot be told.
    pub async fn path(
        &self,
        node: &str,
        storage: &str,
        content: ContentKind,
        file_name: &str,
    ) -> Result<Option<String>, Error> {
        #[derive(Deserialize)]
        struct Attributes {
            path: String,
        }
        let volume_id = content.volume_id(storage, file_name);
        let call = Call::get(
            format!("look at {volume_id} of node {node}"),
            &["nodes", node, "storage", storage, "content", &volume_id],
        )
        .about(About {
            node,
            storage,
            content: None,
        });
        match self.read(&call).await {
            Ok(answer) => answer
                .read::<Attributes>()
                .map(|attributes| Some(attributes.path))
                .map_err(|kind| self.error(call.doing, Some(node), kind)),
            // A file that is missing and one that cannot be read are told in the same words: the
            // listing knows which.
            Err(error) => match error.kind() {
                Kind::Server { said, .. } if refusal::may_be_missing(said) => {
                    match self.find(node, storage, content, file_name).await? {
                        Some(_) => Err(error),
                        None => Ok(None),
                    }
                }
                _ => Err(error),
            },
        }
    }

    /// Waits until the storage lists the file with this size; any size for `None`.
    ///
    /// A shared storage may list a file late, also on the node that wrote it.
    ///
    /// # Errors
    /// [`Kind::NotListed`] or [`Kind::Size`] after a number of looks.
    pub async fn read_back(
        &self,
        node: &str,
        storage: &str,
        content: ContentKind,
        file_name: &str,
        size_bytes: Option<u64>,
    ) -> Result<Volume, Error> {
        let pace = self.settings().pace;
        let mut delays = pace.delays();
        let mut looks = 1;
        loop {
            let found = self.find(node, storage, content, file_name).await?;
            if let Some(volume) = &found
                && size_bytes.is_none_or(|size| size == volume.size_bytes)
            {
                return Ok(volume.clone());
            }
            if looks >= pace.read_back_looks {
                let volume_id = content.volume_id(storage, file_name);
                let kind = match found {
                    None => Kind::NotListed { volume_id },
                    Some(volume) => Kind::Size {
                        volume_id,
                        found_bytes: volume.size_bytes,
                        wanted_bytes: size_bytes.unwrap_or_default(),
                    },
                };
                let doing = format!("read back {file_name} of storage {storage} on node {node}");
                return Err(self.error(doing, Some(node), kind));
            }
            looks += 1;
            delays.wait().await;
        }
    }
}
