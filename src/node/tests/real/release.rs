//! Release archives of the lab, sent as the provider sends them.

use std::{fs, path::PathBuf};

use lab::{Home, program::Program};
use prost::bytes::Bytes;
use tonic::{Response, Status};

use crate::{
    proto::{
        InstallHeader, InstallProgram, InstallRequest, InstallResponse, Link, install_request::Part,
    },
    station::Node,
};

/// Bytes of one message.
const CHUNK: usize = 256 << 10;

/// The archive of one release.
pub(crate) struct Archive {
    pub(crate) version: String,
    pub(crate) content: Bytes,
    /// As the release's own checksum file says.
    pub(crate) sha256: String,
    /// Directory of the programs in it, with a slash at its end.
    top: String,
}

/// Versions that the lab has of a program, as text in order.
pub(crate) fn versions(program: &str) -> Vec<String> {
    let programs = Program::named(program).expect("the lab builds it");
    programs
        .into_iter()
        .map(|program| program.version)
        .collect()
}

impl Archive {
    pub(crate) fn of(program: &str, version: &str) -> Self {
        let home = Home::open().expect("the lab's home");
        let directory = home.archives().join(program).join(format!("v{version}"));
        let missing = || -> ! {
            panic!(
                "no release archive in {}: `cargo lab test real` makes it",
                directory.display()
            )
        };
        let files: Vec<PathBuf> = fs::read_dir(&directory)
            .unwrap_or_else(|_| missing())
            .map(|entry| entry.expect("a readable directory").path())
            .collect();
        let named = |end: &str| {
            files
                .iter()
                .find(|path| path.to_string_lossy().ends_with(end))
                .unwrap_or_else(|| missing())
        };
        let (archive, sums) = match program {
            "etcd" => (named(".tar.gz"), named("SHA256SUMS")),
            _ => (named(".tar.gz"), named("checksums.txt")),
        };
        let name = archive.file_name().expect("a file").to_string_lossy();
        let top = match program {
            "etcd" => name.replace(".tar.gz", "/"),
            "step" => format!("step_{version}/bin/"),
            _ => format!("{program}_{version}/"),
        };
        let sums = fs::read_to_string(sums).expect("a checksum file");
        let sha256 = sums.split_whitespace().next().expect("a checksum");
        Self {
            version: version.to_owned(),
            content: fs::read(archive).expect("a readable archive").into(),
            sha256: sha256.to_owned(),
            top,
        }
    }

    /// The newest of a program that the lab has in one version.
    pub(crate) fn only(program: &str) -> Self {
        let version = versions(program).pop().expect("at least one version");
        Self::of(program, &version)
    }

    /// What is asked for with it: these programs in `/opt/<directory>/<version>`, with links
    /// `/opt/bin/<name>` to them.
    pub(crate) fn header(
        &self,
        owner: &str,
        id: &str,
        directory: &str,
        names: &[&str],
    ) -> InstallHeader {
        let directory = format!("/opt/{directory}/{}", self.version);
        let programs = names
            .iter()
            .map(|name| InstallProgram {
                member: format!("{}{name}", self.top),
                name: (*name).to_owned(),
                links: vec![Link {
                    path: format!("/opt/bin/{name}"),
                    target: format!("{directory}/{name}"),
                    unless_foreign: true,
                    shared: true,
                }],
            })
            .collect();
        InstallHeader {
            owner: owner.to_owned(),
            id: id.to_owned(),
            directory,
            archive_sha256: self.sha256.clone(),
            programs,
        }
    }
}

/// The messages that send an archive, or what there is of it.
pub(crate) fn messages(header: InstallHeader, content: &Bytes) -> Vec<InstallRequest> {
    let chunks = (0..content.len())
        .step_by(CHUNK)
        .map(|start| Part::Chunk(content.slice(start..content.len().min(start + CHUNK))));
    std::iter::once(Part::Header(header))
        .chain(chunks)
        .map(|part| InstallRequest { part: Some(part) })
        .collect()
}

/// Sends an archive, or what there is of it.
pub(crate) async fn install(
    node: &mut Node,
    header: InstallHeader,
    content: &Bytes,
) -> Result<Response<InstallResponse>, Status> {
    node.install(tokio_stream::iter(messages(header, content)))
        .await
}
