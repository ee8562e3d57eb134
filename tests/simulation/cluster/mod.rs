//! Lives of clusters.

mod apply;
mod etcd;
mod fault;
mod life;
mod observe;
mod world;

use world::{Stop, World};

/// One life; what was broken in it, with what led to it.
pub(crate) fn live(seed: u64) -> Result<(), String> {
    let mut world = World::new(seed);
    match life::live(&mut world) {
        Ok(()) | Err(Stop::Killed) => Ok(()),
        Err(Stop::Broken(why) | Stop::Failed(why)) => Err(format!(
            "{} members, seed {seed}: {why}\n{}",
            world.hosts.len(),
            world.trail.join("\n")
        )),
    }
}
