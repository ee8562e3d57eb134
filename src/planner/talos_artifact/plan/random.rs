//! Lives of artifacts: random wishes, random misfortunes. After each apply that nothing stood
//! against, nothing is left to do.

use crate::talos_artifact::{
    Begun, Desired, InstallerWish, Observed, Recorded, Source, Step, TagSeen, Wish,
    fixture::{File, World, imager_wish, proxmox, read, unseen, wish},
    plan, status,
};

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

fn random_wish(dice: &mut Dice) -> Wish {
    let is_imager = dice.once_in(2);
    let mut wish = if is_imager { imager_wish() } else { wish() };
    wish.talos_version = format!("v1.11.{}", dice.below(3));
    wish.file_name = dice.once_in(4).then(|| "talos.iso".to_owned());
    wish.overwrite = dice.once_in(2);
    wish.keep_previous = dice.once_in(4);
    wish.local_file = match dice.below(4) {
        0 => Some("/srv/a.iso".to_owned()),
        1 => Some("/srv/b.iso".to_owned()),
        _ => None,
    };
    wish.proxmox = Vec::new();
    for (storage, nodes) in [
        ("resources", vec!["pve01", "pve02"]),
        ("local", vec!["pve03", "pve04"]),
    ] {
        if !dice.once_in(4) {
            let mut block = proxmox(storage, &nodes);
            if dice.once_in(3) {
                block.nodes.pop();
            }
            if !is_imager && dice.once_in(4) {
                block.transfer = Some("download".to_owned());
            }
            wish.proxmox.push(block);
        }
    }
    wish.artifact_repository = dice.once_in(2).then(|| "ghcr.io/x/images".to_owned());
    wish.installer = (is_imager || dice.once_in(2)).then(|| InstallerWish {
        repository: "ghcr.io/x/installer".to_owned(),
        tag: dice.once_in(4).then(|| "latest".to_owned()),
        platform: None,
        overwrite_tag: dice.once_in(2),
    });
    let goes_nowhere =
        wish.proxmox.is_empty() && wish.local_file.is_none() && wish.artifact_repository.is_none();
    if is_imager && goes_nowhere {
        wish.image_format = Some("none".to_owned());
        wish.file_name = None;
    }
    wish
}

fn misfortune(dice: &mut Dice, world: &mut World, desired: &Desired) {
    let other = TagSeen {
        digest: "sha256:other".to_owned(),
        ..TagSeen::default()
    };
    match dice.below(13) {
        0 => world.schematics.clear(),
        1 => world.files.clear(),
        2 => {
            if let Some(file) = world.files.values_mut().next() {
                file.size = 12;
            }
        }
        3 => world.tags.clear(),
        4 => world.tags.values_mut().for_each(|tag| *tag = other.clone()),
        5 => {
            world.tags.clear();
            world.manifests.clear();
        }
        6 => world.local.clear(),
        7 => {
            if let Some(file) = world.local.values_mut().next() {
                file.size = 3;
                file.sha256 = "other".to_owned();
            }
        }
        8 => {
            let key = world.key("local", "pve03", &desired.volume());
            let file = File {
                size: 5,
                sha256: "other".to_owned(),
            };
            world.files.entry(key).or_insert(file);
        }
        // A killed apply: what it did stays, its record is lost; what it noted may be, too.
        9 => {
            world.recorded = Recorded::default();
            world.begun.clear();
            if dice.once_in(2) {
                let nodes = world.files.keys().map(|(storage, node, volume)| Begun {
                    storage: storage.clone(),
                    node: node.clone(),
                    volume: volume.clone(),
                });
                world.begun = nodes.collect();
            }
        }
        10 => world.rebuilds += 1,
        _ => {}
    }
    world.factory_is_down = dice.once_in(12);
    world.registry_is_down = dice.once_in(12);
    world.down.clear();
    if dice.once_in(8) {
        world.down.insert("pve03".to_owned());
    }
}

/// All places have the same bytes, and those are told.
fn assert_one_build(seed: u64, desired: &Desired, world: &World) {
    let Some(bytes) = world.observe(desired).bytes(desired) else {
        return;
    };
    if !desired.has_image() {
        return;
    }
    for target in &desired.targets {
        for node in &target.nodes {
            let key = world.key(&target.storage, node, &desired.volume());
            let file = &world.files[&key];
            assert_eq!(file.sha256, bytes.sha256, "seed {seed}: {key:?}");
        }
    }
    if let Some(place) = &desired.artifact {
        let tag = &world.tags[&place.to_string()];
        assert_eq!(tag.sha256.as_ref(), Some(&bytes.sha256), "seed {seed}");
    }
}

fn is_imager(desired: &Desired) -> bool {
    matches!(desired.source, Source::Imager(_))
}

#[test]
fn every_life_comes_to_rest() {
    let (mut ready, mut refused) = (0, 0);
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let shared: &[&str] = if dice.once_in(2) { &["resources"] } else { &[] };
        let mut world = World::new(shared);
        let mut desired = read(&random_wish(&mut dice));
        for _ in 0..8 {
            if dice.once_in(2) {
                desired = read(&random_wish(&mut dice));
            }
            misfortune(&mut dice, &mut world, &desired);
            let before = world.clone();
            if world.run(&desired).ends_with("other bytes") {
                // The next plan says what comes of it.
                let log = world.run(&desired);
                let is_again = log.ends_with("other bytes");
                assert!(!is_again || is_imager(&desired), "seed {seed}: {log}");
                if is_again {
                    continue;
                }
            }
            let observed = world.observe(&desired);
            let now = plan(&desired, &observed);
            let (failing, left): (Vec<_>, Vec<_>) =
                now.steps.iter().partition(|step| world.fails(step));
            // What waits for the others stays.
            let is_old = |step: &&&Step| step.stage() == 3 && !failing.is_empty();
            let left = left.iter().filter(|step| !is_old(step)).count();
            assert_eq!(left, 0, "seed {seed}: {:?}", now.steps);
            if now.blocked().is_empty()
                && unseen(&desired, &observed).next().is_none()
                && failing.is_empty()
            {
                assert_eq!(status(&desired, &observed), "ready", "seed {seed}");
                assert_one_build(seed, &desired, &world);
                ready += 1;
            } else {
                refused += 1;
            }
            // Facts that were stored say the same.
            let stored = Observed::load(&observed.store());
            let stored = stored.ok().flatten().unwrap_or_default();
            assert_eq!(plan(&desired, &stored), now, "seed {seed}");
            // Nothing is built that a registry has.
            let had_artifact = desired.artifact.as_ref().is_some_and(|place| {
                let tag = before.tags.get(&place.to_string());
                tag.is_some_and(|tag| tag.content.as_ref() == Some(&desired.content()))
            });
            if had_artifact {
                assert!(!world.log.contains(&"build the ISO for nocloud".to_owned()));
            }
        }
    }
    assert!(ready > 1000 && refused > 100, "{ready} {refused}");
}
