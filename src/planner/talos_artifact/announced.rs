//! Whether steps were announced: an apply of a plan that was made before takes no others.

use super::{
    desired::{Desired, Tagged},
    observed::Observed,
    step::{FilePlace, Step},
};

/// The first of `steps` that `announced` does not cover; `now` is what they were planned on.
///
/// Facts that a plan could not have (a storage that was not looked at before, the bytes of a file on
/// this machine) may make less of a step, or split it. They never make more of it, unless the
/// configuration says so itself. What only prepares others is free: it changes nothing of anybody's.
pub fn unannounced<'a>(
    desired: &Desired,
    now: &Observed,
    announced: &[Step],
    steps: &'a [Step],
) -> Option<&'a Step> {
    let agreed = Agreed {
        desired,
        now,
        steps: announced,
    };
    steps.iter().find(|step| !agreed.covers(step))
}

/// What somebody has read and agreed to.
struct Agreed<'a> {
    desired: &'a Desired,
    now: &'a Observed,
    steps: &'a [Step],
}

impl Agreed<'_> {
    fn any(&self, covers: impl Fn(&Step) -> bool) -> bool {
        self.steps.iter().any(covers)
    }

    fn covers(&self, step: &Step) -> bool {
        match step {
            Step::EnsureSchematic { .. } | Step::FetchImage { .. } | Step::AskInstaller { .. } => {
                true
            }
            Step::Build { .. } | Step::RemoveLocal { .. } => self.any(|known| known == step),
            Step::AdoptFile(place) => self.file(place, |_| true),
            Step::Upload { place, replaces } | Step::DownloadByNode { place, replaces } => {
                // Of a file that a killed run wrote, only an apply learns whether it is whole.
                let is_begun = self.now.begun.contains(&place.begun());
                let may_replace = self.desired.overwrite || is_begun;
                self.file(place, |known| match known {
                    Step::Upload { replaces: too, .. }
                    | Step::DownloadByNode { replaces: too, .. } => {
                        !replaces || *too || may_replace
                    }
                    _ => is_begun,
                })
            }
            Step::AdoptTag { place, .. } => self.any(|known| tag(known) == Some(place)),
            Step::RestoreTag { place, .. } => self.any(|known| {
                let is_said = matches!(known, Step::RestoreTag { .. }) || moves(known);
                is_said && tag(known) == Some(place)
            }),
            Step::PushInstaller { place, replaces }
            | Step::CopyInstaller {
                place, replaces, ..
            }
            | Step::PublishArtifact { place, replaces } => self.any(|known| {
                let is_written =
                    !matches!(known, Step::AdoptTag { .. } | Step::RestoreTag { .. });
                let may_move = !replaces || moves(known) || self.overwrites(place);
                tag(known) == Some(place) && is_written && may_move
            }),
            Step::WriteLocal { path } => {
                // Whether a file of ours still has our bytes is looked at by an apply only.
                let recorded = self.now.recorded.local(path);
                let is_ours = recorded
                    .is_some_and(|it| it.is_ours && it.content == self.desired.content());
                is_ours || self.any(|known| known == step)
            }
            Step::AdoptLocal { path } => self.any(|known| {
                matches!(known, Step::WriteLocal { path: to } | Step::AdoptLocal { path: to } if to == path)
            }),
            Step::RemoveOld {
                storage,
                node,
                volume,
                is_shared,
            } => self.any(|known| {
                matches!(known, Step::RemoveOld { storage: on, node: of, volume: what, is_shared: all }
                    if on == storage && what == volume && all == is_shared && (*all || of == node))
            }),
        }
    }

    /// Whether every node that gets a file was said to get it, by a step that `allows` it.
    fn file(&self, place: &FilePlace, allows: impl Fn(&Step) -> bool) -> bool {
        let is_said = |node: &String| {
            self.any(|known| {
                let (Step::AdoptFile(at)
                | Step::Upload { place: at, .. }
                | Step::DownloadByNode { place: at, .. }) = known
                else {
                    return false;
                };
                let is_same = at.storage == place.storage && at.volume == place.volume;
                is_same && at.nodes.contains(node) && allows(known)
            })
        };
        if place.is_shared {
            // One file, through whichever node.
            place.nodes.iter().any(is_said)
        } else {
            place.nodes.iter().all(is_said)
        }
    }

    /// Whether the configuration says that this tag may be moved.
    fn overwrites(&self, place: &Tagged) -> bool {
        let installer = self.desired.installer.as_ref();
        installer.is_some_and(|wanted| wanted.place == *place && wanted.overwrite_tag)
    }
}

/// The tag that a step makes, or takes over.
fn tag(step: &Step) -> Option<&Tagged> {
    match step {
        Step::PushInstaller { place, .. }
        | Step::CopyInstaller { place, .. }
        | Step::PublishArtifact { place, .. }
        | Step::AdoptTag { place, .. }
        | Step::RestoreTag { place, .. } => Some(place),
        _ => None,
    }
}

/// Whether a step moves a tag that leads to something else.
fn moves(step: &Step) -> bool {
    matches!(
        step,
        Step::PushInstaller { replaces: true, .. }
            | Step::CopyInstaller { replaces: true, .. }
            | Step::PublishArtifact { replaces: true, .. }
    )
}

#[cfg(test)]
mod tests {
    use crate::talos_artifact::{
        Desired, InstallerWish, Observed, Wish,
        fixture::{World, proxmox, read, wish},
        plan, unannounced,
    };

    fn applied(wish: &Wish, shared: &[&str]) -> World {
        let mut world = World::new(shared);
        world.run(&read(wish));
        world
    }

    /// What would be done now and was not said when `before` was seen.
    fn surprise(desired: &Desired, before: &Observed, world: &World) -> Option<String> {
        let announced = plan(desired, before).steps;
        let now = world.observe(desired);
        let steps = plan(desired, &now).steps;
        unannounced(desired, &now, &announced, &steps).map(ToString::to_string)
    }

    #[test]
    fn a_file_that_went_since_the_plan_was_not_announced() {
        let mut world = applied(&wish(), &[]);
        let before = world.observe(&read(&wish()));
        let mut fewer = wish();
        fewer.proxmox[0].nodes.pop();
        let fewer = read(&fewer);
        assert_eq!(surprise(&fewer, &before, &world), None);
        world.files.retain(|(_, node, _), _| node != "pve01");
        let said = surprise(&fewer, &before, &world).expect("an upload");
        assert!(said.starts_with("upload resources:iso/"), "{said}");
        assert!(said.ends_with(" on pve01"), "{said}");
    }

    #[test]
    fn a_file_that_came_since_the_plan_is_not_replaced() {
        let mut world = applied(&wish(), &[]);
        let desired = read(&wish());
        let files = world.files.clone();
        world.files.clear();
        let before = world.observe(&desired);
        world.files = files;
        assert_eq!(surprise(&desired, &before, &world), None, "less is to do");
        world.files.values_mut().for_each(|file| file.size = 3);
        let said = surprise(&desired, &before, &world).expect("a replacement");
        assert!(said.ends_with("in place of another"), "{said}");
        let overwriting = read(&Wish {
            overwrite: true,
            ..wish()
        });
        assert_eq!(surprise(&overwriting, &before, &world), None);
    }

    #[test]
    fn places_that_nobody_looked_at_are_announced_without_their_facts() {
        for shared in [&["local"][..], &[]] {
            let world = applied(&wish(), shared);
            let before = world.observe(&read(&wish()));
            let mut more = wish();
            more.proxmox.push(proxmox("local", &["pve04", "pve05"]));
            assert_eq!(surprise(&read(&more), &before, &world), None);
        }
    }

    #[test]
    fn a_file_that_was_not_to_be_removed_stays() {
        let mut world = applied(&wish(), &["resources"]);
        let mut moved = wish();
        moved.proxmox = vec![proxmox("local", &["pve01"])];
        let moved = read(&moved);
        world.down = ["pve01", "pve02", "pve03"].map(str::to_owned).into();
        let mut before = world.observe(&moved);
        before.storages.remove("local");
        world.down.clear();
        let said = surprise(&moved, &before, &world).expect("a removal");
        assert!(said.starts_with("remove resources:iso/"), "{said}");
    }

    #[test]
    fn a_tag_that_moved_since_the_plan_is_not_moved_back() {
        let installed = Wish {
            installer: Some(InstallerWish {
                repository: "ghcr.io/x/installer".to_owned(),
                ..InstallerWish::default()
            }),
            ..wish()
        };
        let desired = read(&installed);
        let mut world = applied(&installed, &["resources"]);
        let before = world.observe(&desired);
        assert_eq!(surprise(&desired, &before, &world), None);
        world.tags.clear();
        let said = surprise(&desired, &before, &world).expect("a tag");
        assert!(said.starts_with("let ghcr.io/x/installer:"), "{said}");
    }
}
