//! Factories and registries that want to know who asks.

use registries::{Login, Options, PASSWORD, RegistryServer, USER};
use tests::Outcome;

use crate::scene::{RESOURCE, Scene, on_own, on_shared};

/// `ops:secret of the lab`.
const HEADER: &str = "Basic b3BzOnNlY3JldCBvZiB0aGUgbGFi";
const LOGIN: &str = "    username = \"ops\"\n    password = \"secret of the lab\"\n";
/// Of a schematic without anything in it.
const USUAL_ID: &str = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";

#[test]
fn the_id_of_a_factory_that_knows_who_asks_wins() -> Outcome {
    let mut scene = Scene::new()?;
    scene.factory.front().require_login(HEADER);
    scene.artifact(&on_own())?;
    scene.desk.init()?;
    // Without a login, nothing can be known.
    let apply = scene.desk.apply()?;
    assert_ne!(apply.code, 0, "{apply}");
    apply.expect_says_at("the factory wants a login", RESOURCE);
    assert!(scene.proxmox.files().is_empty());

    scene.lines.factory = LOGIN.to_owned();
    let host = scene.registry.host().to_owned();
    let installer = format!("  installer {{\n    repository = \"{host}/installer\"\n  }}\n");
    scene.artifact(&format!("{}{installer}", on_own()))?;
    let plan = scene.changes()?;
    plan.expect_says("schematic_id = (known after apply)");
    plan.expect_says("talos_image_file_ids = (known after apply)");
    assert!(!plan.text.contains(USUAL_ID), "{plan}");
    scene.desk.apply()?.expect_ok();
    let id = scene.state("schematic_id")?;
    let id = id.as_str().unwrap_or_default().to_owned();
    assert_ne!(id, USUAL_ID);
    assert_eq!(scene.state("talos_image_id")?, id.as_str());
    let name = scene.state("talos_image_file_name")?;
    assert!(name.as_str().is_some_and(|name| name.contains(&id[..8])));
    let image = scene
        .factory
        .front()
        .image(&id, "v1.11.5", "nocloud-amd64.iso");
    assert_eq!(scene.state("sha256")?, image.digest().hex());
    assert_eq!(scene.proxmox.files().len(), 3);
    for _ in 0..2 {
        scene.desk.expect_no_change()?;
    }

    // What does not touch the content needs no new id.
    scene.artifact(&format!("{}{installer}", on_shared()))?;
    scene.changes()?.expect_says(&id[..8]);
    scene.desk.apply()?.expect_ok();
    assert_eq!(scene.state("schematic_id")?, id.as_str());
    scene.desk.expect_no_change()?;

    // Other content has another id, again of the factory's own.
    scene.artifact(&format!(
        "  kernel_args = [\"console=ttyS0\"]\n{}{installer}",
        on_shared()
    ))?;
    scene.changes()?.expect_says("(known after apply)");
    scene.desk.apply()?.expect_ok();
    assert_ne!(scene.state("schematic_id")?, id.as_str());
    scene.desk.expect_no_change()?;
    scene.desk.destroy()?.expect_ok();
    assert!(scene.proxmox.files().is_empty());
    Ok(())
}

#[test]
fn a_login_that_changes_no_id_plans_nothing_after_an_apply() -> Outcome {
    let mut scene = Scene::new()?;
    scene.factory.front().require_login_of_a_proxy(HEADER);
    scene.lines.factory = LOGIN.to_owned();
    scene.artifact(&on_shared())?;
    scene.desk.init()?;
    scene.desk.apply()?.expect_ok();
    assert_eq!(scene.state("schematic_id")?, USUAL_ID);
    // Its registry is asked with the same login.
    let digest = scene.state("installer_image_digest")?;
    let wanted = format!(
        "{}/nocloud-installer/{USUAL_ID}@sha256:",
        scene.factory.host()
    );
    assert!(
        digest
            .as_str()
            .is_some_and(|digest| digest.starts_with(&wanted)),
        "{digest}"
    );
    scene.desk.expect_no_change()?;
    Ok(())
}

#[test]
fn a_wrong_login_to_the_factory_is_told() -> Outcome {
    let mut scene = Scene::new()?;
    scene.factory.front().require_login(HEADER);
    scene.lines.factory = "    token = \"wrong\"\n".to_owned();
    scene.artifact(&on_shared())?;
    scene.desk.init()?;
    let plan = scene.changes()?;
    plan.expect_says("401");
    assert!(!plan.text.contains("wrong"), "the token is in {plan}");
    let apply = scene.desk.apply()?;
    assert_ne!(apply.code, 0, "{apply}");
    apply.expect_says_at("username and password or token", RESOURCE);
    Ok(())
}

#[test]
fn a_registry_that_refuses_is_told_and_the_next_apply_completes() -> Outcome {
    let scene = Scene::new()?;
    let closed = scene.runtime.block_on(RegistryServer::start(Options {
        login: Login::Basic,
        ..Options::default()
    }));
    let host = closed.host().to_owned();
    let lines = format!(
        "  installer {{\n    repository = \"{host}/installer\"\n  }}\n{}",
        on_shared()
    );
    scene.artifact(&lines)?;
    scene.desk.init()?;
    // Nobody is let in.
    let line = format!("repository = \"{host}/installer\"");
    scene
        .changes()?
        .expect_says_at(&format!("{host} does not let in an unknown caller"), &line);
    let apply = scene.desk.apply()?;
    apply.expect_says_at("no credentials are configured for it", &line);
    // The next run asks with a login, and the registry takes nothing.
    let auth = serde_json::json!({"auths": {&host: {"username": USER, "password": PASSWORD}}});
    scene.desk.write("auth.json", &auth.to_string())?;
    let closed = scene.runtime.block_on(closed.restart(Options {
        login: Login::Basic,
        is_read_only: true,
        ..Options::default()
    }));
    let apply = scene.desk.apply()?;
    apply.expect_says_at("could not copy the installer", &line);
    assert!(!apply.text.contains(PASSWORD), "{apply}");
    assert_ne!(scene.state("status")?, "ready", "{apply}");
    let closed = scene.runtime.block_on(closed.restart(Options {
        login: Login::Basic,
        ..Options::default()
    }));
    scene.desk.apply()?.expect_ok();
    assert_eq!(scene.state("status")?, "ready");
    scene.desk.expect_no_change()?;
    assert_eq!(scene.proxmox.count("POST", "/upload"), 1, "sent once");
    drop(closed);
    Ok(())
}

#[test]
fn a_tag_with_other_content_is_refused_unless_it_may_be_moved() -> Outcome {
    let scene = Scene::new()?;
    let host = scene.registry.host().to_owned();
    let installer = |more: &str| {
        format!(
            "  image_format = \"none\"\n  installer {{\n    repository = \"{host}/installer\"\n    tag =              \"v1.11.5\"\n{more}  }}\n"
        )
    };
    scene.artifact(&installer(""))?;
    scene.desk.init()?;
    scene.desk.apply()?.expect_ok();
    let first = scene.state("installer_image_digest")?;
    // The same from nothing: found, and taken over.
    std::fs::remove_file(scene.desk.directory().join("terraform.tfstate"))?;
    scene.desk.apply()?.expect_ok();
    assert_eq!(scene.state("installer_image_digest")?, first);
    // Other content under the tag that nodes install from.
    let other = format!("  kernel_args = [\"console=ttyS0\"]\n{}", installer(""));
    scene.artifact(&other)?;
    let plan = scene.desk.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says_at("A tag leads to another image", "tag = \"v1.11.5\"");
    plan.expect_says("overwrite_tag");
    let moved = installer("    overwrite_tag = true\n");
    scene.artifact(&format!("  kernel_args = [\"console=ttyS0\"]\n{moved}"))?;
    scene.desk.apply()?.expect_ok();
    assert_ne!(scene.state("installer_image_digest")?, first);
    scene.desk.expect_no_change()?;
    Ok(())
}
