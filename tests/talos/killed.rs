//! The provider dies in the middle of things; the next apply completes them, builds nothing again, and knows what is ours.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use proxmox_server::{Effect, Fault};
use tests::{Outcome, plugin::kill_provider};

use crate::scene::{Scene, on_own, on_shared};

/// For an apply to come to the place where it is killed.
const PATIENCE: Duration = Duration::from_mins(2);
/// More than what a connection holds on its way.
const LARGE: u64 = 24 << 20;

/// Starts an apply, waits until `is_there`, and kills the provider.
fn kill_when(scene: &Scene, is_there: impl Fn() -> bool) -> Result<(), Box<dyn Error>> {
    let log = scene.desk.directory().join("provider.log");
    let apply = ["apply", "-auto-approve", "-no-color"];
    let mut cli = scene.desk.start(&apply, &log)?;
    let end = Instant::now() + PATIENCE;
    while !is_there() {
        if let Some(status) = cli.try_wait()? {
            return Err(format!("the apply ended with {status} before it was killed").into());
        }
        if Instant::now() > end {
            cli.kill()?;
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("the apply does not come to its place: {said}").into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    kill_provider(&cli)?;
    let status = cli.wait()?;
    assert!(!status.success(), "an apply whose provider was killed");
    Ok(())
}

/// What the log says of the progress of a transfer, in percent.
fn percents(log: &str, what: &str) -> Vec<u32> {
    let what = format!("what=\"{what}");
    let lines = log.lines().filter(|line| line.contains("transfer goes on"));
    let percents = lines.filter(|line| line.contains(&what)).map(|line| {
        let (_, percent) = line.split_once(" percent=")?;
        percent.split(' ').next()?.parse().ok()
    });
    percents.flatten().collect()
}

/// Waits until the server has noticed that nobody sends any more.
fn settle(scene: &Scene) {
    scene.proxmox.release_uploads();
    let end = Instant::now() + PATIENCE;
    while scene.proxmox.open_uploads() > 0 {
        assert!(Instant::now() < end, "the server waits for an upload");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What holds when the next apply is through: nothing was built or fetched again, nothing is too much, and all goes
/// with the resource.
fn completes(scene: &Scene, files: usize, uploads: usize) -> Outcome {
    let fetched = fetches(scene);
    scene.desk.apply()?.expect_ok();
    assert_eq!(scene.state("status")?, "ready");
    scene.desk.expect_no_change()?;
    assert_eq!(fetches(scene), fetched, "the image was on this machine");
    assert_eq!(images(scene), 1, "built once");
    let found = scene.proxmox.files();
    assert_eq!(found.len(), files, "{found:?}");
    assert_eq!(scene.proxmox.count("POST", "/upload"), uploads);
    let size = scene.state("size_bytes")?;
    for file in &found {
        let path = scene.proxmox.path("pve01", "local", "iso", "x");
        let root = path.ancestors().find(|root| root.join(file).is_file());
        let root = root.ok_or("the server keeps its files in one place")?;
        assert_eq!(
            size,
            root.join(file).metadata()?.len(),
            "{}",
            file.display()
        );
    }
    scene.desk.destroy()?.expect_ok();
    let left = scene.proxmox.files();
    assert!(
        left.is_empty(),
        "what the killed run wrote is ours: {left:?}"
    );
    Ok(())
}

/// Images that the factory built, without installers.
fn images(scene: &Scene) -> usize {
    let builds = scene.factory.front().builds();
    builds
        .iter()
        .filter(|build| build.contains("nocloud-amd64"))
        .count()
}

/// How often the image was fetched.
fn fetches(scene: &Scene) -> usize {
    let requests = scene.factory.front().requests();
    let is_image = |line: &&String| line.starts_with("GET /image/");
    requests.iter().filter(is_image).count()
}

#[test]
fn in_the_middle_of_an_upload() -> Outcome {
    let scene = Scene::new()?;
    scene.factory.front().set_image_size(LARGE);
    scene.artifact(&on_own())?;
    scene.desk.init()?;
    scene.proxmox.hold_uploads(&["pve03"]);
    // Two nodes have it, the third one a part in its temporary file.
    let proxmox = &scene.proxmox;
    let log = scene.desk.directory().join("provider.log");
    kill_when(&scene, || {
        let is_whole = |seen: &proxmox_server::Seen| {
            seen.method == "GET" && seen.path.contains("/content?") && seen.status == 200
        };
        let listings = |node: &str| {
            let calls = proxmox.calls();
            let path = format!("/nodes/{node}/storage/local/upload");
            let sent = calls.iter().rposition(|seen| seen.path == path);
            sent.is_some_and(|sent| calls[sent..].iter().any(is_whole))
        };
        // How far it is, is in the log at info.
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        let told = percents(&log, "sending to local on pve03");
        let is_on_its_way = told.iter().any(|percent| (50..100).contains(percent));
        proxmox.open_uploads() == 1 && is_on_its_way && listings("pve01") && listings("pve02")
    })?;
    settle(&scene);
    assert_eq!(scene.proxmox.files().len(), 2, "nothing half there");
    let log = std::fs::read_to_string(&log)?;
    for (what, told) in [
        ("fetching ", [50, 100].as_slice()),
        ("sending to local on pve01", &[100]),
    ] {
        let found = percents(&log, what);
        let is_told = |percent| found.contains(percent);
        assert!(told.iter().all(is_told), "{what}: {found:?}");
        let mut tenths = found.clone();
        tenths.dedup();
        assert_eq!(tenths, found, "each tenth once: {what}");
    }
    // The one that was cut off counts too.
    completes(&scene, 3, 4)
}

#[test]
fn between_upload_and_state() -> Outcome {
    let scene = Scene::new()?;
    scene.artifact(&on_shared())?;
    scene.desk.init()?;
    scene.proxmox.hold_tasks();
    let proxmox = &scene.proxmox;
    let is_held = std::cell::Cell::new(true);
    kill_when(&scene, || {
        if is_held.get() && proxmox.count("POST", "/upload") == 1 {
            // The task may copy, but nobody is told that the file is there.
            proxmox.fault(Fault::once("/content", Effect::Silence).times(1000));
            proxmox.release_tasks();
            is_held.set(false);
        }
        let path = proxmox.path("pve01", "resources", "iso", "x");
        let folder = path.parent().map(std::fs::read_dir);
        let mut files = folder.into_iter().flatten().flatten().flatten();
        let is_whole = files.any(|file| file.metadata().is_ok_and(|data| data.len() == 1 << 20));
        !is_held.get() && is_whole
    })?;
    scene.proxmox.mend();
    completes(&scene, 1, 1)
}

#[test]
fn a_part_that_a_copy_left_is_replaced() -> Outcome {
    let scene = Scene::new()?;
    scene.artifact(&on_shared())?;
    scene.desk.init()?;
    scene.proxmox.hold_tasks();
    let proxmox = &scene.proxmox;
    kill_when(&scene, || proxmox.count("POST", "/upload") == 1)?;
    // Older versions leave the part where the disk was full.
    let name = planned_name(&scene)?;
    scene.proxmox.release_tasks();
    let path = scene.proxmox.path("pve01", "resources", "iso", &name);
    let end = Instant::now() + PATIENCE;
    while !path.metadata().is_ok_and(|data| data.len() == 1 << 20) {
        assert!(Instant::now() < end, "the task does not copy");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::write(&path, "a part")?;
    completes(&scene, 1, 2)
}

/// The name that the image gets.
fn planned_name(scene: &Scene) -> Result<String, Box<dyn Error>> {
    scene
        .desk
        .run(&["plan", "-no-color", "-out=saved"])?
        .expect_ok();
    let shown = scene.desk.command(&["show", "-json", "saved"])?.output()?;
    let plan: serde_json::Value = serde_json::from_slice(&shown.stdout)?;
    let after = &plan["resource_changes"][0]["change"]["after"];
    let name = after["talos_image_file_name"].as_str();
    Ok(name.ok_or("the name is known at plan")?.to_owned())
}
