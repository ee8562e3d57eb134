//! Sends a finished build, piece by piece and no faster than it is read.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use prost::bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{claim, place::Place, request::BuildId};
use crate::{
    failure::Failed,
    proto::{ReadBuildRequest, ReadBuildResponse, failure::Kind, read_build_response::Part},
    root::Root,
};

/// Bytes of one message.
const CHUNK: usize = 256 << 10;

/// Messages that wait for a slow reader.
const AHEAD: usize = 4;

pub(crate) type Chunks = ReceiverStream<Result<ReadBuildResponse, Status>>;

/// Opens a build and begins to send it. Must be called from a thread for blocking work.
pub(crate) fn read(root: &Root, request: &ReadBuildRequest) -> Result<Chunks, Failed> {
    let place = Place::new(root, BuildId::new(&request.build_id)?);
    let absent = || {
        Failed::new(
            Kind::NotFound,
            place.id.as_str(),
            format!("no build {} is finished on this host", place.id.as_str()),
        )
        .hint("Build it again: an apply does.")
    };
    if !place.exists() {
        return Err(absent());
    }
    // Before the look at the manifest: what is found then stays.
    let share = claim::share(&place).map_err(|_| absent())?;
    let manifest = place.manifest()?.ok_or_else(absent)?;
    let path = place.output(&manifest);
    let offset = request.offset;
    if offset > manifest.size_bytes {
        let size = manifest.size_bytes;
        return Err(Failed::invalid(
            place.id.as_str(),
            format!("offset {offset} is behind the end of {size} bytes"),
        ));
    }
    let file = File::open(&path)
        .and_then(|mut file| {
            file.seek(SeekFrom::Start(offset))?;
            Ok(file)
        })
        .map_err(|error| Failed::io("reading", &path, &error))?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let _share = share;
        let left = manifest.size_bytes - offset;
        let first = Part::Build(place.built(manifest.clone(), true));
        if let Err(error) = send(&sender, first, file, left) {
            let failed = Failed::io("reading", &place.output(&manifest), &error);
            let _ = sender.blocking_send(Err(failed.into()));
        }
    });
    Ok(ReceiverStream::new(receiver))
}

/// Returns early if nobody reads any more.
fn send(
    sender: &mpsc::Sender<Result<ReadBuildResponse, Status>>,
    first: Part,
    mut file: File,
    mut left: u64,
) -> io::Result<()> {
    let give = |part| {
        let response = ReadBuildResponse { part: Some(part) };
        sender.blocking_send(Ok(response)).is_ok()
    };
    if !give(first) {
        return Ok(());
    }
    while left > 0 {
        let length = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        let mut chunk = vec![0; length];
        // A file that is shorter than it was is an error, not an end.
        file.read_exact(&mut chunk)?;
        left -= length as u64;
        if !give(Part::Chunk(Bytes::from(chunk))) {
            return Ok(());
        }
    }
    Ok(())
}
