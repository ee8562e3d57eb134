//! What is wrong with a wish is said in a plan, at the attribute, before anything is touched.

use tests::{Outcome, Run};

use crate::scene::{Scene, on_shared};

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
    for (lines, says) in [
        (
            "  extensions = [\"siderolabs/qemu-guest-agnt\"]",
            "siderolabs/qemu-guest-agent",
        ),
        ("  platform = \"noclod\"", "nocloud"),
        ("  image_format = \"iso.xz\"", "image_format"),
        ("  mode = \"imager\"", "builder"),
        ("  file_name = \"my image.iso\"", "my_image.iso"),
        (
            "  installer {\n    repository = \"127.0.0.1:1/x\"\n    platform = \"noclod\"\n  }",
            "Did you mean \"nocloud\"",
        ),
        (
            "  kernel_args = [\"talos.platform=metal\"]",
            "talos.platform",
        ),
        ("  schematic = \"customisation: {}\"", "customization"),
        ("  factory_url = \"factory\"", "factory_url"),
        (
            "  installer {\n    repository = \"127.0.0.1:1/X\"\n  }",
            "lower-case",
        ),
        (
            "  proxmox {\n    storage = \"rbd-vm\"\n    nodes = [\"pve01\"]\n  }",
            "rbd-vm",
        ),
        (
            "  overlay {\n    image = \"siderolabs/sbc-raspberrypi\"\n    name = \"rpi_generik\"\n  }",
            "offers rpi_generic: did you mean that?",
        ),
        ("  local_file = \"/etc\"", "A directory has this name"),
        ("  extensions = [null]", "An element is null"),
        ("  meta = { \"10\" = null }", "An element is null"),
        (
            "  proxmox {\n    storage = \"local\"\n    nodes = [\"pve01\", null]\n  }",
            "An element is null",
        ),
        (
            "  proxmox {\n    storage = \"isos\"\n    nodes = [\"pve01\", \"pve03\"]\n  }",
            "The node does not have this storage",
        ),
    ] {
        refused(&scene, lines)?.expect_says(says);
    }
    assert!(scene.proxmox.files().is_empty());
    let old = "resource \"talos_artifact\" \"image\" {\n  provider = etcd\n  talos_version = \"v1.11.50\"\n}\n";
    scene.write(old)?;
    let plan = scene.desk.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("does not offer Talos v1.11.50");
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
    apply.expect_says("mine.iso");
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
