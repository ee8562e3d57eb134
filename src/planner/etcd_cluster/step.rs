//! What is done to a cluster, as data.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::certificate::Role;
use crate::name::NodeKey;

/// One step. Each is safe to repeat and to be cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// User, directories, root certificate, issuer file; claims name and ports on the host.
    PrepareHost {
        /// On which node.
        node: NodeKey,
    },
    /// Programs of the wanted version, and links to them.
    InstallPrograms {
        /// On which node.
        node: NodeKey,
        /// Version.
        version: String,
    },
    /// Key on the host if there is none, request, signature, certificate.
    IssueCertificate {
        /// On which node.
        node: NodeKey,
        /// Which of the three.
        role: Role,
    },
    /// Configuration, unit and timers.
    WriteFiles {
        /// On which node.
        node: NodeKey,
        /// The member must be restarted for it; written down before the files are touched.
        owes_restart: bool,
    },
    /// Units start at boot, timers tick.
    EnableUnits {
        /// On which node.
        node: NodeKey,
    },
    /// Starts all members side by side: none becomes ready before a majority runs.
    StartMembers {
        /// All nodes that are down.
        nodes: Vec<NodeKey>,
    },
    /// Waits until these members vote and see a quorum.
    AwaitHealthy {
        /// Which.
        nodes: Vec<NodeKey>,
    },
    /// Writes down that the cluster had its first quorum.
    FinishBootstrap {
        /// On which node.
        node: NodeKey,
    },
    /// Moves leadership away before its member is disrupted.
    MoveLeader {
        /// From which node.
        node: NodeKey,
        /// To the member of this one.
        to: NodeKey,
    },
    /// Restarts one member.
    RestartMember {
        /// Which.
        node: NodeKey,
        /// Failures that the others tolerate meanwhile; `None` if there are no others.
        tolerance: Option<usize>,
    },
    /// Stops a member that is not in the member list any more.
    StopMember {
        /// Which.
        node: NodeKey,
    },
    /// Moves a data directory aside that belongs to no member.
    SetDataAside {
        /// Of which node.
        node: NodeKey,
    },
    /// Takes a member out of the list whose data is lost.
    RemoveMember {
        /// Of which node.
        node: NodeKey,
        /// Its id.
        member_id: u64,
    },
    /// Adds the node's peer URL as a learner.
    AddLearner {
        /// Which.
        node: NodeKey,
    },
    /// Lets a learner vote, and takes away what lets its unit start without data.
    PromoteLearner {
        /// Of which node.
        node: NodeKey,
        /// Its id; 0 in a step that is foreseen for a member that is still to be added.
        member_id: u64,
    },
    /// The creation is complete: its journal entry goes.
    ClaimCreation {
        /// On which node.
        node: NodeKey,
    },
}

impl Step {
    /// The node whose lane it runs in; `None` for steps about several.
    pub fn node(&self) -> Option<&NodeKey> {
        match self {
            Self::StartMembers { .. } | Self::AwaitHealthy { .. } => None,
            Self::PrepareHost { node }
            | Self::InstallPrograms { node, .. }
            | Self::IssueCertificate { node, .. }
            | Self::WriteFiles { node, .. }
            | Self::EnableUnits { node }
            | Self::FinishBootstrap { node }
            | Self::MoveLeader { node, .. }
            | Self::RestartMember { node, .. }
            | Self::StopMember { node }
            | Self::SetDataAside { node }
            | Self::RemoveMember { node, .. }
            | Self::AddLearner { node }
            | Self::PromoteLearner { node, .. }
            | Self::ClaimCreation { node } => Some(node),
        }
    }

    /// A voting member stops answering for a while, or membership changes: alone in its wave, and
    /// only as announced.
    pub fn disrupts(&self) -> bool {
        matches!(
            self,
            Self::RestartMember { .. }
                | Self::MoveLeader { .. }
                | Self::StopMember { .. }
                | Self::RemoveMember { .. }
                | Self::AddLearner { .. }
                | Self::PromoteLearner { .. }
                | Self::SetDataAside { .. }
        )
    }

    /// The next wave needs facts from after it.
    pub(super) fn ends_wave(&self) -> bool {
        self.disrupts() || matches!(self, Self::StartMembers { .. } | Self::AwaitHealthy { .. })
    }
}

fn list(nodes: &[NodeKey]) -> String {
    nodes
        .iter()
        .map(NodeKey::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrepareHost { node } => write!(formatter, "prepare the host of {node}"),
            Self::InstallPrograms { node, version } => {
                write!(formatter, "install etcd {version} on {node}")
            }
            Self::IssueCertificate { node, role } => {
                write!(formatter, "issue the {role} certificate of {node}")
            }
            Self::WriteFiles { node, .. } => {
                write!(formatter, "write configuration and units on {node}")
            }
            Self::EnableUnits { node } => write!(formatter, "enable unit and timers on {node}"),
            Self::StartMembers { nodes } => write!(formatter, "start {}", list(nodes)),
            Self::AwaitHealthy { nodes } => write!(
                formatter,
                "wait until {} healthy",
                match nodes.len() {
                    1 => format!("{} is", list(nodes)),
                    _ => format!("{} are", list(nodes)),
                }
            ),
            Self::FinishBootstrap { node } => {
                write!(formatter, "record on {node} that the cluster exists")
            }
            Self::MoveLeader { node, to } => {
                write!(formatter, "move leadership from {node} to {to}")
            }
            Self::RestartMember {
                node,
                tolerance: None,
            } => write!(formatter, "restart {node}; the cluster stops meanwhile"),
            Self::RestartMember {
                node,
                tolerance: Some(tolerance),
            } => write!(
                formatter,
                "restart {node}; {tolerance} further failure{} tolerated meanwhile",
                if *tolerance == 1 { "" } else { "s" }
            ),
            Self::StopMember { node } => {
                write!(formatter, "stop {node}, which is not in the member list")
            }
            Self::SetDataAside { node } => {
                write!(formatter, "move the data directory of {node} aside")
            }
            Self::RemoveMember { node, member_id } => {
                write!(
                    formatter,
                    "remove member {member_id:x} of {node}, whose data is lost"
                )
            }
            Self::AddLearner { node } => write!(formatter, "add {node} as a learner"),
            Self::PromoteLearner { node, .. } => {
                write!(formatter, "promote {node} when it has caught up")
            }
            Self::ClaimCreation { node } => {
                write!(formatter, "close the journal of the creation on {node}")
            }
        }
    }
}
