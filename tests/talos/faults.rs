//! What goes wrong on the way: an error with words, nothing lost, and the next apply completes.

use proxmox_server::{Effect, Fault, TaskEnd};
use tests::Outcome;

use crate::scene::{OWN, RESOURCE, SHARED, Scene, on_own, on_shared};

#[test]
fn a_cut_upload_and_a_late_task_are_taken_up_by_the_next_apply() -> Outcome {
    let scene = Scene::new()?;
    scene.artifact(&on_own())?;
    scene.desk.init()?;
    scene.proxmox.fault(
        Fault::once(
            "/nodes/pve02/storage/local/upload",
            Effect::CutAfter(100_000),
        )
        .times(1000),
    );
    let apply = scene.desk.apply()?;
    apply.expect_says_at("was cut after", "storage = \"local\"");
    apply.expect_says("pve02");
    // What is there is in the state: nothing is tainted, nothing forgotten.
    assert_ne!(scene.state("status")?, "ready");
    assert_eq!(scene.proxmox.files().len(), 2, "nothing half there");
    scene.proxmox.mend();
    scene
        .proxmox
        .end_task("imgcopy", TaskEnd::Early("disk quota exceeded".to_owned()));
    let apply = scene.desk.apply()?;
    assert_ne!(apply.code, 0, "{apply}");
    apply.expect_says_at("disk quota exceeded", "storage = \"local\"");
    scene.desk.apply()?.expect_ok();
    assert_eq!(scene.state("status")?, "ready");
    scene.desk.expect_no_change()?;
    let builds = scene.factory.front().builds();
    assert_eq!(
        builds.len(),
        2,
        "image and installer, built once: {builds:?}"
    );
    scene.desk.destroy()?.expect_ok();
    assert!(scene.proxmox.files().is_empty());
    Ok(())
}

#[test]
fn what_does_not_answer_is_never_gone() -> Outcome {
    let scene = Scene::made(&on_own())?;
    scene.proxmox.take_offline(OWN, &["pve02"]);
    let plan = scene.desk.plan()?;
    assert_eq!(plan.code, 0, "{plan}");
    plan.expect_says("storage local on pve02 was not seen");
    scene.proxmox.take_offline(OWN, &["pve02", "pve03"]);
    let plan = scene.desk.plan()?;
    assert_eq!(plan.code, 0, "{plan}");
    plan.expect_says("storage local on pve02 and pve03 was not seen");
    let destroy = scene.desk.destroy()?;
    assert_ne!(destroy.code, 0, "{destroy}");
    destroy.expect_says("forget_unreachable");
    assert_eq!(scene.proxmox.files().len(), 3, "all or nothing");
    scene.proxmox.bring_online(OWN);
    scene.desk.destroy()?.expect_ok();
    Ok(())
}

#[test]
fn a_factory_with_a_fault_of_its_own_is_asked_again() -> Outcome {
    let scene = Scene::new()?;
    scene.artifact(&on_shared())?;
    scene.desk.init()?;
    scene.factory.front().fail([
        registries::Fault::Status(500),
        registries::Fault::CutAfter(1000),
        registries::Fault::Status(503),
    ]);
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    Ok(())
}

/// What a creation says whose factory is away: before and after, nothing is there.
fn expect_away(scene: &Scene, line: &str) -> Outcome {
    let plan = scene.changes()?;
    let version = "talos_version = \"v1.11.5\"";
    plan.expect_says_at("cannot be checked now", version);
    plan.expect_says_at("an apply would have to wait", line);
    let apply = scene.desk.apply()?;
    assert_eq!(apply.code, 1, "{apply}");
    apply.expect_says_at("nothing more can be done now", line);
    apply.expect_says_at(
        &format!("The factory {} does not answer", url(line, scene)),
        line,
    );
    assert!(scene.proxmox.files().is_empty());
    // No object, so none that is tainted.
    let state = scene.desk.run(&["state", "list"])?;
    assert_eq!(state.text.trim(), "", "{state}");
    Ok(())
}

/// The factory that a line names, or that of the provider.
fn url(line: &str, scene: &Scene) -> String {
    let named = line.split('"').nth(1).filter(|word| word.contains("//"));
    named.map_or_else(|| scene.factory.url(), str::to_owned)
}

#[test]
fn a_factory_that_stays_away_is_said() -> Outcome {
    let scene = Scene::new()?;
    let front = scene.factory.front();
    // Nobody listens.
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let closed = listener.local_addr()?;
    drop(listener);
    let line = format!("factory_url = \"http://{closed}\"");
    scene.artifact(&format!("  {line}\n{}", on_shared()))?;
    scene.desk.init()?;
    expect_away(&scene, &line)?;

    // There, and out of order for long.
    front.set_outage(Some(503));
    scene.artifact(&on_shared())?;
    expect_away(&scene, RESOURCE)?;
    // It comes back, and breaks off whenever it is to give the image.
    front.set_outage(None);
    front.fail(vec![registries::Fault::CutAfter(1000); 4]);
    let apply = scene.desk.apply()?;
    assert_eq!(apply.code, 1, "{apply}");
    apply.expect_says_at("could not fetch the image", RESOURCE);
    assert!(scene.proxmox.files().is_empty());
    scene.desk.apply()?.expect_ok();
    assert_eq!(scene.state("status")?, "ready");
    scene.desk.expect_no_change()?;

    // Who has the image needs it no more.
    front.set_outage(Some(503));
    let plan = scene.desk.plan()?;
    assert_eq!(plan.code, 0, "{plan}");
    plan.expect_says("was not seen");
    plan.expect_says("503");
    scene.desk.apply()?.expect_ok();
    assert_eq!(scene.state("status")?, "ready");
    // Other content has to wait, and what is there stays.
    scene.artifact(&format!("  kernel_args = [\"a=b\"]\n{}", on_shared()))?;
    scene.changes()?.expect_says("cannot be checked now");
    let apply = scene.desk.apply()?;
    assert_eq!(apply.code, 1, "{apply}");
    apply.expect_says_at("does not answer", RESOURCE);
    assert_eq!(scene.proxmox.files().len(), 1);
    let shown = scene.desk.run(&["show", "-no-color"])?;
    assert!(!shown.text.contains("tainted"), "{shown}");
    front.set_outage(None);
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    Ok(())
}

#[test]
fn a_factory_that_forgot_the_schematic_is_given_it_again() -> Outcome {
    let mut scene = Scene::made(&format!(
        "  extensions = [\"siderolabs/qemu-guest-agent\"]\n{}",
        on_shared()
    ))?;
    let id = scene.state("schematic_id")?;
    let id = id.as_str().unwrap_or_default().to_owned();
    // Another one in its place, with nothing in its store.
    let catalog = registries::Catalog::default();
    scene.runtime.block_on(scene.factory.begin_anew(&catalog));
    let plan = scene.changes()?;
    plan.expect_says(&format!("does not know the schematic {id}"));
    plan.expect_says(&format!("give schematic {id} to {}", scene.factory.url()));
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    let front = scene.factory.front();
    let asked = front.requests();
    assert!(asked.contains(&"POST /schematics".to_owned()), "{asked:?}");
    assert_eq!(
        front.builds(),
        Vec::<String>::new(),
        "nothing was made again"
    );
    assert_eq!(scene.proxmox.count("POST", "/upload"), 1);
    assert_eq!(scene.proxmox.files().len(), 1, "{SHARED}");
    Ok(())
}

#[test]
fn an_expired_token_is_said() -> Outcome {
    let scene = Scene::made(&format!("{}  forget_unreachable = true\n", on_shared()))?;
    scene.proxmox.expire_token("root@pam!lab");
    // Else a nightly plan would find nothing, for ever.
    let plan = scene.desk.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says_at("refuses the login", "storage = \"resources\"");
    plan.expect_says("expired");
    // A storage that is gone for good is another matter: nothing is forgotten.
    let destroy = ["destroy", "-auto-approve", "-no-color", "-refresh=false"];
    let destroy = scene.desk.run(&destroy)?;
    assert_ne!(destroy.code, 0, "{destroy}");
    destroy.expect_says("refuses the login");
    assert_eq!(scene.state("status")?, "ready");
    Ok(())
}

#[test]
fn a_first_build_that_takes_long_is_waited_for() -> Outcome {
    let scene = Scene::new()?;
    scene.artifact(&on_shared())?;
    scene.desk.init()?;
    let front = scene.factory.front();
    front.hold();
    let log = scene.desk.directory().join("provider.log");
    let apply = ["apply", "-auto-approve", "-no-color"];
    let mut cli = scene.desk.start(&apply, &log)?;
    let is_asked = |line: &String| line.starts_with("GET /image/");
    while !front.requests().iter().any(is_asked) {
        assert!(cli.try_wait()?.is_none(), "the apply did not wait");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(scene.proxmox.files().is_empty());
    front.release();
    assert!(cli.wait()?.success());
    scene.desk.expect_no_change()?;
    Ok(())
}

#[test]
fn bytes_that_are_not_those_of_the_source_go_nowhere() -> Outcome {
    let scene = Scene::new()?;
    let image = "resource \"talos_artifact\" \"image\" {\n  provider = etcd\n  talos_version = \"v1.11.5\"\n}\n";
    scene.write(image)?;
    scene.desk.init()?;
    scene.desk.apply()?.expect_ok();
    // The factory has built it anew, and other bytes came of it.
    scene.factory.front().set_image_size(2 << 20);
    scene.write(&format!(
        "{image}resource \"talos_artifact_copy\" \"copy\" {{\n  provider = etcd\n  source = \
         talos_artifact.image.image\n{}}}\n",
        on_shared()
    ))?;
    let apply = scene.desk.apply()?;
    assert_ne!(apply.code, 0, "{apply}");
    apply.expect_says_at("wanted", "source = talos_artifact.image.image");
    apply.expect_says("-replace=ADDRESS");
    assert!(scene.proxmox.files().is_empty());
    scene
        .desk
        .run(&[
            "apply",
            "-auto-approve",
            "-no-color",
            "-replace=talos_artifact.image",
        ])?
        .expect_ok();
    scene.desk.expect_no_change()?;
    assert_eq!(scene.proxmox.files().len(), 1);
    Ok(())
}
