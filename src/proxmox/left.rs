//! What a failed transfer leaves on the storage.

use std::fmt;

/// What a failed transfer has left on the storage.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Left {
    /// Nothing: what was there before is there now.
    #[default]
    Nothing,
    /// It had left a part of the file, which is removed again.
    Removed(String),
    /// Part of the file stays under this volume id, or the file that stood there before is spoilt.
    Remains(String),
    /// The file that stood there before is gone.
    Lost(String),
    /// It could not be told whether something stays under this volume id.
    Unknown(String),
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Removed(volume) => write!(f, "; the part that lay at {volume} is removed"),
            Self::Remains(volume) => write!(f, "; an incomplete file stays at {volume}"),
            Self::Lost(volume) => write!(f, "; the file that was at {volume} before is gone"),
            Self::Unknown(volume) => {
                write!(
                    f,
                    "; whether an incomplete file stays at {volume} is unknown"
                )
            }
        }
    }
}
