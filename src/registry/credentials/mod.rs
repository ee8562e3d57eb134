//! Who we are to a registry, as docker and its relatives remember it.

mod file;
mod helper;
mod keychain;

pub use file::NoFile;
pub use helper::HelperFailed;
pub use keychain::Keychain;

use crate::secret::Secret;

/// What proves who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing: what everybody may do.
    Anonymous,
    /// A name and a password or access token.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token that is exchanged for others (`identitytoken`).
    Identity(Secret),
    /// A token that is sent as it is (`registrytoken`).
    Bearer(Secret),
}

impl Credentials {
    /// Who that is, for messages.
    pub(crate) fn who(&self) -> String {
        match self {
            Self::Anonymous => {
                "an unknown caller (no credentials are configured for it)".to_owned()
            }
            Self::Basic { user, .. } => format!("user {user:?}"),
            Self::Identity(_) => "the holder of the identity token".to_owned(),
            Self::Bearer(_) => "the holder of the registry token".to_owned(),
        }
    }
}

/// Credentials could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum NoCredentials {
    /// A file of them.
    #[error(transparent)]
    File(#[from] NoFile),
    /// A program that keeps them.
    #[error(transparent)]
    Helper(#[from] HelperFailed),
}
