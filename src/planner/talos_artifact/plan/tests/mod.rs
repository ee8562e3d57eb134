//! What a plan says, one scenario a test.

mod builds;
mod former;
mod local;
mod names;
mod silence;
mod sources;
mod storages;
mod tags;

use expect_test::Expect;

use crate::talos_artifact::{
    Desired, InstallerWish, Wish,
    fixture::{World, read},
};

/// A world in which the wish was applied.
fn applied(wish: &Wish, shared: &[&str]) -> (Desired, World) {
    let desired = read(wish);
    let mut world = World::new(shared);
    world.run(&desired);
    assert_eq!(world.told(&desired), "status: ready");
    (desired, world)
}

/// What a plan says after a change of the world.
fn check(wish: &Wish, shared: &[&str], change: impl Fn(&mut World), expected: &Expect) -> World {
    let (desired, mut world) = applied(wish, shared);
    change(&mut world);
    expected.assert_eq(&world.told(&desired));
    world
}

fn installer(wish: Wish) -> Wish {
    Wish {
        installer: Some(InstallerWish {
            repository: "ghcr.io/x/installer".to_owned(),
            ..InstallerWish::default()
        }),
        ..wish
    }
}
