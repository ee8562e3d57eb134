//! Removal of a file from a storage.

use reqwest::Method;
use tokio::time::Instant;

use crate::{Client, ContentKind, Error, Upid, call::Call, refusal::About};

impl Client {
    /// Removes a file; whether there was one. Proxmox removes an image too that a machine has in
    /// its drive.
    ///
    /// # Errors
    /// [`Kind::Forbidden`](crate::Kind::Forbidden) without `Datastore.Allocate`; others if it cannot
    /// be told whether the file is there, or its removal failed.
    pub async fn delete(
        &self,
        node: &str,
        storage: &str,
        content: ContentKind,
        file_name: &str,
        deadline: Instant,
    ) -> Result<bool, Error> {
        // Proxmox removes what is not there as well: only the listing tells.
        if self
            .find(node, storage, content, file_name)
            .await?
            .is_none()
        {
            return Ok(false);
        }
        let volume_id = content.volume_id(storage, file_name);
        let doing = format!("remove {volume_id} of node {node}");
        let call = Call::new(
            Method::DELETE,
            doing.as_str(),
            &["nodes", node, "storage", storage, "content", &volume_id],
        )
        .about(About {
            node,
            storage,
            content: Some(content),
        });
        let upid: Option<Upid> = self
            .write(&call)
            .await?
            .read()
            .map_err(|kind| self.error(call.doing, Some(node), kind))?;
        if let Some(upid) = upid {
            self.follow(&upid, deadline)
                .await
                .map_err(|error| error.doing(&doing))?;
        }
        Ok(true)
    }
}
