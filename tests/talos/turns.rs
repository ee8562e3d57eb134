//! Several who want the same at once: one makes it, the others wait for him by name, and all succeed.

use std::{path::PathBuf, process::Child};

use lab::build_host::{self, GATE};
use tests::{Desk, Outcome, cluster::until};

use crate::{
    scene::{SHARED, Scene, on_shared},
    workshop::{Workshop, logged, state},
};

/// An apply in the background, with its log.
struct Apply {
    child: Child,
    log: PathBuf,
}

impl Apply {
    fn start(desk: &Desk) -> Result<Self, Box<dyn std::error::Error>> {
        let log = desk.directory().join("apply.log");
        let _ = std::fs::remove_file(&log);
        let child = desk.start(&["apply", "-auto-approve", "-no-color"], &log)?;
        Ok(Self { child, log })
    }

    fn until_it_says(&self, words: &str) -> Outcome {
        until(words, || logged(&self.log).contains(words))
    }

    /// Fails the test unless it ended well.
    fn end(self) -> Outcome {
        let output = self.child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{}", logged(&self.log));
        Ok(())
    }
}

/// Two applies of these lines at the same time, of which the first is held in mid-build.
fn two(shop: &Workshop, lines: &str, shares_cache: bool, builds: usize) -> Outcome {
    let (first, mut second) = (shop.desk()?, shop.desk()?);
    if shares_cache {
        second.environment.clone_from(&first.environment);
    }
    for desk in [&first, &second] {
        shop.artifact(desk, lines)?;
        desk.init()?;
    }
    let before = shop.builds()?;
    build_host::hold(shop.host(), true)?;
    let one = Apply::start(&first)?;
    one.until_it_says("phase=building")?;
    // What the imager says of its progress is in the log at info.
    one.until_it_says("percent=50")?;
    let other = Apply::start(&second)?;
    other.until_it_says("somebody else makes it: waiting")?;
    // By name: who, where, and which process.
    let line = logged(&other.log);
    let line = line
        .lines()
        .find(|line| line.contains("somebody else makes it"));
    let line = line.unwrap_or_default();
    assert!(
        line.contains("whom=\"apply by ") && line.contains(" pid "),
        "{line}"
    );
    build_host::hold(shop.host(), false)?;
    one.end()?;
    other.end()?;
    assert_eq!(shop.builds()? - before, builds, "each was built once");
    assert_eq!(state(&first, "sha256")?, state(&second, "sha256")?);
    assert_eq!(
        state(&first, "installer_image_digest")?,
        state(&second, "installer_image_digest")?
    );
    for desk in [&first, &second] {
        desk.expect_no_change()?;
    }
    for desk in [&first, &second] {
        desk.destroy()?.expect_ok();
    }
    Ok(())
}

#[test]
fn two_applies_of_the_imager_give_one_build() -> Outcome {
    let shop = Workshop::new("turns")?;
    // Held by its own extension, of which each run has other content here.
    let image = |number: u8| {
        format!(
            "  extension_images = [\"oci:{GATE}\"]\n  kernel_args = [\"run={number}\"]\n{}",
            on_shared()
        )
    };
    // Two machines and a registry: by a claim there.
    two(
        &shop,
        &format!("{}{}", image(1), shop.in_registry()),
        false,
        2,
    )?;
    // Two terminals of one machine.
    two(&shop, &image(2), true, 1)?;
    // Two machines without a registry: by the build host.
    two(&shop, &image(3), false, 1)?;
    assert_eq!(shop.changes()?, Vec::<String>::new());
    shop.down()
}

#[test]
fn a_killed_provider_leaves_a_build_that_the_next_apply_takes() -> Outcome {
    let shop = Workshop::new("killed")?;
    let desk = shop.desk()?;
    let lines = format!(
        "  extension_images = [\"oci:{GATE}\"]\n{}{}",
        on_shared(),
        shop.in_registry()
    );
    shop.artifact(&desk, &lines)?;
    desk.init()?;
    build_host::hold(shop.host(), true)?;
    let mut killed = Apply::start(&desk)?;
    killed.until_it_says("phase=building")?;
    tests::plugin::kill_provider(&killed.child)?;
    killed.child.wait()?;
    // What it began goes on without it.
    until("the container of the build", || {
        build_host::containers(shop.host()).is_ok_and(|names| names.len() == 1)
    })?;
    assert!(shop.scene.proxmox.files().is_empty());

    let next = Apply::start(&desk)?;
    next.until_it_says("somebody else makes it: waiting")?;
    assert_eq!(
        build_host::containers(shop.host())?.len(),
        1,
        "a second one"
    );
    build_host::hold(shop.host(), false)?;
    next.end()?;
    assert_eq!(shop.builds()?, 2, "the ISO and the installer, each once");
    assert_eq!(build_host::containers(shop.host())?, Vec::<String>::new());
    desk.expect_no_change()?;
    assert_eq!(shop.changes()?, Vec::<String>::new());
    desk.destroy()?.expect_ok();
    assert!(shop.scene.proxmox.files().is_empty());
    shop.down()
}

#[test]
fn two_applies_of_a_factory_image_give_one_upload() -> Outcome {
    let scene = Scene::new()?;
    scene.artifact(&on_shared())?;
    scene.desk.init()?;
    let mut second = Desk::new(lab::Home::open()?)?;
    second.environment.clone_from(&scene.desk.environment);
    for name in ["ca.pem", "main.tf"] {
        let text = std::fs::read_to_string(scene.desk.directory().join(name))?;
        second.write(name, &text)?;
    }
    second.init()?;
    // The first is held while it has the image in hand.
    scene.proxmox.hold_tasks();
    let one = Apply::start(&scene.desk)?;
    until("the upload has begun", || {
        scene.proxmox.count("POST", "/upload") == 1
    })?;
    let other = Apply::start(&second)?;
    other.until_it_says("somebody else makes it: waiting")?;
    scene.proxmox.release_tasks();
    one.end()?;
    other.end()?;
    assert_eq!(scene.proxmox.count("POST", "/upload"), 1);
    assert_eq!(scene.proxmox.files().len(), 1);
    scene.desk.expect_no_change()?;
    second.expect_no_change()?;
    // Who wrote it removes it; who found it leaves it.
    second.destroy()?.expect_ok();
    assert_eq!(scene.proxmox.files().len(), 1, "{SHARED}");
    scene.desk.destroy()?.expect_ok();
    assert!(scene.proxmox.files().is_empty());
    Ok(())
}
