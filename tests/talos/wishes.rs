//! What is wrong with a wish is said in a plan, at the attribute, before anything is touched.

use tests::{Outcome, Run};

use crate::scene::{RESOURCE, Scene, on_shared};

/// The plan of an artifact with these lines, which must fail.
fn refused(scene: &Scene, lines: &str) -> Result<Run, Box<dyn std::error::Error>> {
    scene.artifact(lines)?;
    let plan = scene.desk.plan()?;
    assert_eq!(plan.code, 1, "{lines}: {plan}");
    Ok(plan)
}

#[test]
fn mistakes_are_named_with_what_was_probably_meant() -> Outcome {
    let scene = Scene::new()?;
    scene.artifact("")?;
    scene.desk.init()?;
    for (lines, says, at) in [
        (
            "  extensions = [\"siderolabs/qemu-guest-agnt\"]",
            "siderolabs/qemu-guest-agent",
            "extensions = [",
        ),
        (
            "  platform = \"noclod\"",
            "nocloud",
            "platform = \"noclod\"",
        ),
        (
            "  image_format = \"iso.xz\"",
            "image_format",
            "image_format = \"iso.xz\"",
        ),
        ("  mode = \"imager\"", "builder", RESOURCE),
        (
            "  builder {\n    host = \"127.0.0.1\"\n  }",
            "builder needs mode",
            "host = \"127.0.0.1\"",
        ),
        (
            "  file_name = \"my image.iso\"",
            "my_image.iso",
            "file_name = \"my image.iso\"",
        ),
        (
            "  installer {\n    repository = \"127.0.0.1:1/x\"\n    platform = \"noclod\"\n  }",
            "Did you mean \"nocloud\"",
            "platform = \"noclod\"",
        ),
        (
            "  kernel_args = [\"talos.platform=metal\"]",
            "talos.platform",
            "kernel_args = [",
        ),
        (
            "  schematic = \"customisation: {}\"",
            "customization",
            "schematic = \"customisation: {}\"",
        ),
        (
            "  factory_url = \"factory\"",
            "factory_url",
            "factory_url = \"factory\"",
        ),
        (
            "  installer {\n    repository = \"127.0.0.1:1/X\"\n  }",
            "lower-case",
            "repository = \"127.0.0.1:1/X\"",
        ),
        (
            "  proxmox {\n    storage = \"rbd-vm\"\n    nodes = [\"pve01\"]\n  }",
            "holds disks only: take one of files",
            "storage = \"rbd-vm\"",
        ),
        (
            "  overlay {\n    image = \"siderolabs/sbc-raspberrypi\"\n    name = \"rpi_generik\"\n  }",
            "offers rpi_generic: did you mean that?",
            "name = \"rpi_generik\"",
        ),
        (
            "  local_file = \"/etc\"",
            "A directory has this name",
            "local_file = \"/etc\"",
        ),
        (
            "  extensions = [null]",
            "An element is null",
            "extensions = [null]",
        ),
        (
            "  meta = { \"10\" = null }",
            "An element is null",
            "meta = { \"10\" = null }",
        ),
        (
            "  proxmox {\n    storage = \"local\"\n    nodes = [\"pve01\", null]\n  }",
            "An element is null",
            "nodes = [\"pve01\", null]",
        ),
        (
            "  proxmox {\n    storage = \"isos\"\n    nodes = [\"pve01\", \"pve03\"]\n  }",
            "The node does not have this storage",
            "nodes = [\"pve01\", \"pve03\"]",
        ),
    ] {
        refused(&scene, lines)?.expect_says_at(says, at);
    }
    assert!(scene.proxmox.files().is_empty());
    for (version, says) in [
        ("v1.11.50", "does not offer Talos v1.11.50"),
        ("1.11", "is not a version such as"),
        ("latest", "is not a version such as"),
    ] {
        let line = format!("  talos_version = \"{version}\"\n");
        scene.write(&format!("{RESOURCE}\n  provider = etcd\n{line}}}\n"))?;
        let plan = scene.desk.plan()?;
        assert_eq!(plan.code, 1, "{plan}");
        plan.expect_says_at(says, &line);
    }
    assert_eq!(scene.factory.front().builds(), Vec::<String>::new());
    Ok(())
}

#[test]
fn a_file_of_somebody_else_is_left_alone() -> Outcome {
    let scene = Scene::new()?;
    scene
        .proxmox
        .put("pve01", "resources", "iso", "mine.iso", b"mine")?;
    scene.artifact(&format!("  file_name = \"mine.iso\"\n{}", on_shared()))?;
    scene.desk.init()?;
    let apply = scene.desk.apply()?;
    assert_ne!(apply.code, 0, "{apply}");
    apply.expect_says_at("Another image has this name", "file_name = \"mine.iso\"");
    let path = scene.proxmox.path("pve01", "resources", "iso", "mine.iso");
    assert_eq!(std::fs::read(&path)?, b"mine");
    scene.artifact(&format!(
        "  file_name = \"mine.iso\"\n  overwrite = true\n{}",
        on_shared()
    ))?;
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    assert_ne!(std::fs::read(&path)?, b"mine");
    Ok(())
}

#[test]
fn the_function_computes_ids() -> Outcome {
    let scene = Scene::new()?;
    scene.write(
        "output \"id\" {\n  value = provider::etcd::schematic_id(\"customization: {}\\n\")\n}\n",
    )?;
    scene.desk.init()?;
    let apply = scene.desk.apply()?;
    apply.expect_ok();
    apply.expect_says("376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba");
    Ok(())
}
