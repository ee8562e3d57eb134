//! What is done to a CA, as data.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::NodeKey;

/// One step. Each is safe to repeat and to be cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Directories and claims on the host.
    PrepareHost {
        /// On which node.
        node: NodeKey,
    },
    /// step-ca and the step CLI.
    InstallPrograms {
        /// On which node.
        node: NodeKey,
    },
    /// Root, intermediate, provisioner, passwords, ca.json: where they are absent or differ.
    Initialise {
        /// On which node.
        node: NodeKey,
    },
    /// The unit.
    WriteFiles {
        /// On which node.
        node: NodeKey,
    },
    /// Starts at boot.
    EnableUnit {
        /// On which node.
        node: NodeKey,
    },
    /// Starts it.
    StartUnit {
        /// On which node.
        node: NodeKey,
    },
    /// Restarts it for a new configuration: signing pauses for a second.
    RestartUnit {
        /// On which node.
        node: NodeKey,
    },
    /// Waits until it answers.
    AwaitHealthy {
        /// On which node.
        node: NodeKey,
    },
    /// The creation is complete: its journal entry goes.
    ClaimCreation {
        /// On which node.
        node: NodeKey,
    },
}

impl Step {
    /// The node whose lane it runs in.
    pub fn node(&self) -> &NodeKey {
        match self {
            Self::PrepareHost { node }
            | Self::InstallPrograms { node }
            | Self::Initialise { node }
            | Self::WriteFiles { node }
            | Self::EnableUnit { node }
            | Self::StartUnit { node }
            | Self::RestartUnit { node }
            | Self::AwaitHealthy { node }
            | Self::ClaimCreation { node } => node,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrepareHost { node } => write!(formatter, "prepare the host of {node}"),
            Self::InstallPrograms { node } => {
                write!(formatter, "install step-ca and step on {node}")
            }
            Self::Initialise { node } => {
                write!(
                    formatter,
                    "make keys and configuration of the CA on {node} where they differ"
                )
            }
            Self::WriteFiles { node } => write!(formatter, "write the unit on {node}"),
            Self::EnableUnit { node } => write!(formatter, "enable the unit on {node}"),
            Self::StartUnit { node } => write!(formatter, "start step-ca on {node}"),
            Self::RestartUnit { node } => {
                write!(
                    formatter,
                    "restart step-ca on {node}; signing pauses for a moment"
                )
            }
            Self::AwaitHealthy { node } => {
                write!(formatter, "wait until step-ca on {node} answers")
            }
            Self::ClaimCreation { node } => {
                write!(formatter, "close the journal of the creation on {node}")
            }
        }
    }
}
