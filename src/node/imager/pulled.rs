//! Images of builders that were not on this host before us: they go with the last build that they
//! were for. What was there, or is run by somebody else, stays.

use std::{collections::BTreeSet, fs, io, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    engine::{self, Engine},
    place::{self, Place},
    request::BuildId,
};
use crate::{
    failure::Failed,
    lock::{self, Lock},
    proto::failure::Kind,
    record,
    root::Root,
};

const FORMAT: u32 = 1;

/// Beside the builds.
const FILE: &str = "pulled.json";

/// Name of the lock on the file, and on what it says of the engines' stores.
const LOCK: &str = "pulled-images";

/// Longest wait for it: an engine may take its time to remove an image.
const WAIT: Duration = Duration::from_mins(2);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    format: u32,
    written_by: String,
    images: Vec<Pulled>,
}

/// An image that we had pulled.
#[derive(Debug, Serialize, Deserialize)]
struct Pulled {
    engine: String,
    image: String,
    /// Builds that it is for.
    builds: BTreeSet<String>,
}

/// Answers whether the image is there, and notes that `build` needs it: one that is absent will be
/// ours. The build's directory must be there already, because by that it counts as one that is needed.
pub(super) fn look(
    root: &Root,
    engine: &Engine,
    image: &str,
    build: &BuildId,
    operator: &str,
) -> Result<Option<String>, Failed> {
    let _lock = locked(root, operator)?;
    let there = engine.image_id(image)?;
    let mut record = load(root)?;
    let known = record
        .images
        .iter_mut()
        .find(|known| known.image == image && known.engine == engine.name);
    match (known, &there) {
        (Some(known), _) => {
            known.builds.insert(build.as_str().to_owned());
        }
        (None, None) => record.images.push(Pulled {
            engine: engine.name.to_owned(),
            image: image.to_owned(),
            builds: BTreeSet::from([build.as_str().to_owned()]),
        }),
        (None, Some(_)) => return Ok(there),
    }
    save(root, record)?;
    Ok(there)
}

/// Removes images of ours that no build on this host needs any more.
pub(super) fn sweep(root: &Root, operator: &str) -> Result<(), Failed> {
    if !any(root) {
        return Ok(());
    }
    let _lock = locked(root, operator)?;
    let mut record = load(root)?;
    let mut kept = Vec::new();
    for mut pulled in record.images {
        let exists = |id: &String| BuildId::new(id).is_ok_and(|id| Place::new(root, id).exists());
        pulled.builds.retain(exists);
        if pulled.builds.is_empty() {
            remove(root, &pulled)?;
        } else {
            kept.push(pulled);
        }
    }
    record.images = kept;
    save(root, record)
}

/// There are images of ours on this host.
pub(super) fn any(root: &Root) -> bool {
    path(root).exists()
}

fn remove(root: &Root, pulled: &Pulled) -> Result<(), Failed> {
    let engine = match engine::find(root, &pulled.engine) {
        Ok(engine) => engine,
        // Its store went with it, or is out of reach for good.
        Err(failed) if failed.0.kind() == Kind::EngineUnavailable => return Ok(()),
        Err(failed) => return Err(failed),
    };
    if engine.image_id(&pulled.image)?.is_some() {
        engine.remove_image(&pulled.image);
    }
    Ok(())
}

fn locked(root: &Root, operator: &str) -> Result<Lock, Failed> {
    lock::take(root, LOCK, operator, WAIT)
}

fn path(root: &Root) -> PathBuf {
    root.at(place::DIRECTORY).join(FILE)
}

fn load(root: &Root) -> Result<Record, Failed> {
    Ok(record::read(&path(root), FORMAT)?.unwrap_or_default())
}

fn save(root: &Root, record: Record) -> Result<(), Failed> {
    let path = path(root);
    if !record.images.is_empty() {
        return record::write(
            &path,
            &Record {
                format: FORMAT,
                written_by: record::VERSION.to_owned(),
                ..record
            },
        );
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failed::io("removing", &path, &error))
        }
        _ => Ok(()),
    }
}
