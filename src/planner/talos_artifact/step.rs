//! What is done for an artifact, as data.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    desired::Tagged,
    imager::ImagerOutput,
    observed::{Begun, Bytes},
};

/// One step. Each is safe to repeat and to be cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Gives the schematic to the factory.
    EnsureSchematic {
        /// URL of the factory.
        factory: String,
        /// The id that it should answer.
        id: String,
    },
    /// Fetches the image and computes its hash.
    FetchImage {
        /// Where from.
        origin: Origin,
        /// Whether the bytes are needed here; else the hash alone is.
        keeps_bytes: bool,
    },
    /// Runs the imager.
    Build {
        /// What it makes.
        output: ImagerOutput,
        /// Platform of the output.
        platform: String,
    },
    /// Takes over a file that is there with the right size; writes nothing.
    AdoptFile(FilePlace),
    /// Uploads the image.
    Upload {
        /// Where to.
        place: FilePlace,
        /// A file of this name is there and goes.
        replaces: bool,
    },
    /// Lets a node fetch the image, checked by our hash. If a file with this hash is there, nothing
    /// happens.
    DownloadByNode {
        /// Where to.
        place: FilePlace,
        /// A file of this name is there and goes first.
        replaces: bool,
    },
    /// Pushes the installer that the imager made.
    PushInstaller {
        /// Where to.
        place: Tagged,
        /// The tag leads to another image and is moved.
        replaces: bool,
    },
    /// Copies the factory's installer.
    CopyInstaller {
        /// The factory's reference.
        from: String,
        /// Where to.
        place: Tagged,
        /// A tag that leads to another image may be moved.
        replaces: bool,
    },
    /// Asks for the digest of the factory's installer, which builds it if nobody asked before. Writes
    /// nothing.
    AskInstaller {
        /// The factory's reference.
        from: String,
    },
    /// Puts the image in a registry, as an artifact.
    PublishArtifact {
        /// Where to.
        place: Tagged,
        /// The tag leads to another image and is moved.
        replaces: bool,
    },
    /// Takes over a tag that leads to the wanted image; writes nothing.
    AdoptTag {
        /// Which tag.
        place: Tagged,
        /// Where it leads.
        digest: String,
    },
    /// Lets a tag lead again to the image that the registry still has.
    RestoreTag {
        /// Which tag.
        place: Tagged,
        /// Where it should lead.
        digest: String,
    },
    /// Writes the image to a file on this machine.
    WriteLocal {
        /// Where to.
        path: String,
    },
    /// Takes over a file on this machine that is the image, byte by byte; writes nothing.
    AdoptLocal {
        /// Which.
        path: String,
    },
    /// Removes a file that we wrote and nobody wants any more.
    RemoveOld {
        /// Id of the storage.
        storage: String,
        /// Through which node.
        node: String,
        /// `iso/NAME`.
        volume: String,
        /// It goes for all nodes.
        is_shared: bool,
    },
    /// Removes a file on this machine that we wrote.
    RemoveLocal {
        /// Which.
        path: String,
    },
}

/// Where a file lies, or will.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePlace {
    /// Id of the storage.
    pub storage: String,
    /// Nodes that get it by this step. On a shared storage it gets there through the first.
    pub nodes: Vec<String>,
    /// All nodes see the same files.
    pub is_shared: bool,
    /// `iso/NAME`.
    pub volume: String,
    /// The bytes that should be there, as far as they are known; always when the step runs.
    pub bytes: Option<Bytes>,
}

impl FilePlace {
    /// How a run notes the file before it begins to write it.
    pub fn begun(&self) -> Begun {
        let node = self.nodes.first().filter(|_| !self.is_shared);
        Begun {
            storage: self.storage.clone(),
            node: node.cloned().unwrap_or_default(),
            volume: self.volume.clone(),
        }
    }

    /// `STORE:iso/NAME`.
    pub fn volid(&self) -> String {
        format!("{}:{}", self.storage, self.volume)
    }
}

/// Where an image is fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A factory, by the whole URL.
    Factory(String),
    /// Our artifact in a registry, by `REPOSITORY@DIGEST`.
    Artifact(String),
    /// A file on this machine.
    Path(String),
    /// What the handle of a copy names: its file, artifact or URL, whichever is there.
    Handle,
}

/// What a step did, for the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Whether something was written; false if it was there.
    pub is_changed: bool,
    /// Bytes of the image, after fetching or building it.
    pub bytes: Option<Bytes>,
    /// Digest in the registry, after pushing, copying or publishing.
    pub digest: Option<String>,
    /// Id of a build that may lie on the build host now.
    pub build: Option<String>,
}

impl Step {
    /// Steps of one stage may run side by side, those of a later one wait until facts are new.
    pub fn stage(&self) -> u8 {
        match self {
            Self::EnsureSchematic { .. } => 0,
            Self::FetchImage { .. } | Self::Build { .. } => 1,
            Self::RemoveOld { .. } | Self::RemoveLocal { .. } => 3,
            _ => 2,
        }
    }

    /// Steps of one lane run one after the other: builds share a host, files a storage of a node.
    pub fn lane(&self) -> String {
        match self {
            Self::EnsureSchematic { .. } | Self::FetchImage { .. } => "factory".to_owned(),
            Self::Build { .. } => "builder".to_owned(),
            Self::AdoptFile(place)
            | Self::Upload { place, .. }
            | Self::DownloadByNode { place, .. } => {
                format!("{} {}", place.storage, place.nodes.join(","))
            }
            Self::RemoveOld { storage, node, .. } => format!("{storage} {node}"),
            Self::PushInstaller { place, .. }
            | Self::CopyInstaller { place, .. }
            | Self::PublishArtifact { place, .. }
            | Self::AdoptTag { place, .. }
            | Self::RestoreTag { place, .. } => place.to_string(),
            Self::AskInstaller { from } => from.clone(),
            Self::WriteLocal { path } | Self::AdoptLocal { path } | Self::RemoveLocal { path } => {
                path.clone()
            }
        }
    }
}

/// The steps that may run now: those of the first stage.
pub fn wave(steps: &[Step]) -> Vec<Step> {
    let first = steps.iter().map(Step::stage).min();
    steps
        .iter()
        .filter(|step| Some(step.stage()) == first)
        .cloned()
        .collect()
}

/// `a`, `a and b`, `a, b and c`.
pub fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

impl fmt::Display for FilePlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = if self.is_shared { " (shared)" } else { "" };
        write!(
            formatter,
            "{} on {}{shared}",
            self.volid(),
            listed(&self.nodes)
        )
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Factory(url) => formatter.write_str(url),
            Self::Artifact(reference) => formatter.write_str(reference),
            Self::Path(path) => formatter.write_str(path),
            Self::Handle => formatter.write_str("its source"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instead = |replaces: &bool| {
            if *replaces {
                ", in place of another"
            } else {
                ""
            }
        };
        match self {
            Self::EnsureSchematic { factory, id } => {
                write!(formatter, "give schematic {id} to {factory}")
            }
            Self::FetchImage {
                origin,
                keeps_bytes: true,
            } => write!(formatter, "fetch the image from {origin}"),
            Self::FetchImage { origin, .. } => {
                write!(formatter, "compute the checksum of the image from {origin}")
            }
            Self::Build { output, platform } => {
                let what = match output {
                    ImagerOutput::Iso => "ISO",
                    ImagerOutput::Disk => "disk image",
                    ImagerOutput::Installer => "installer",
                };
                write!(formatter, "build the {what} for {platform}")
            }
            Self::AdoptFile(place) => {
                write!(
                    formatter,
                    "take over {place}, if it has the size of the image"
                )
            }
            Self::Upload { place, replaces } => {
                write!(formatter, "upload {place}{}", instead(replaces))
            }
            Self::DownloadByNode { place, replaces } => {
                write!(
                    formatter,
                    "let the node download {place}{}",
                    instead(replaces)
                )
            }
            Self::PushInstaller { place, replaces } => {
                write!(
                    formatter,
                    "push the installer to {place}{}",
                    instead(replaces)
                )
            }
            Self::CopyInstaller { from, place, .. } => {
                write!(formatter, "copy the installer {from} to {place}")
            }
            Self::AskInstaller { from } => {
                write!(formatter, "ask for the digest of the installer {from}")
            }
            Self::PublishArtifact { place, replaces } => {
                write!(formatter, "put the image in {place}{}", instead(replaces))
            }
            Self::AdoptTag { place, digest } => {
                write!(formatter, "take over {place}, which leads to {digest}")
            }
            Self::RestoreTag { place, digest } => {
                write!(formatter, "let {place} lead to {digest} again")
            }
            Self::WriteLocal { path } => write!(formatter, "write the image to {path}"),
            Self::AdoptLocal { path } => write!(formatter, "take over {path}, which is the image"),
            Self::RemoveOld {
                storage,
                node,
                volume,
                is_shared,
            } => {
                let shared = if *is_shared { " (shared)" } else { "" };
                write!(formatter, "remove {storage}:{volume} on {node}{shared}")
            }
            Self::RemoveLocal { path } => write!(formatter, "remove {path}"),
        }
    }
}
