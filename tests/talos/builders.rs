//! What goes wrong on a build host: said at the user's attribute with the next step, and nothing left behind.

use lab::{HostSpec, Release, build_host};
use tests::Outcome;

use crate::{scene::on_shared, workshop::Workshop};

/// Space for the engine's store and some more.
const DISK_BYTES: u64 = 4 << 30;

#[test]
fn a_builder_that_fails_is_quoted_and_leaves_nothing() -> Outcome {
    let hosts = vec![
        build_host::spec(Release::Trixie).disk(DISK_BYTES),
        HostSpec::new(Release::Bullseye),
    ];
    let shop = Workshop::on("failing", hosts)?;
    let desk = &shop.scene.desk;
    let image = on_shared();
    shop.artifact(
        desk,
        &format!("  kernel_args = [\"stand-in.exit=3\"]\n{image}"),
    )?;
    desk.init()?;
    let apply = desk.apply()?;
    assert_eq!(apply.code, 1, "{apply}");
    let line = format!("imager = \"{}\"", shop.imager);
    apply.expect_says_at("could not build the ISO for nocloud", &line);
    apply.expect_says("failed with status 3");
    apply.expect_says("Error: extension frr needs Talos >= 9");
    assert_eq!(shop.changes()?, Vec::<String>::new());
    assert_eq!(build_host::images(shop.host())?, Vec::<String>::new());

    let extension = "  extension_images = [\"ghcr.io/absent/frr:v1\"]\n";
    shop.artifact(desk, &format!("{extension}{image}"))?;
    desk.apply()?
        .expect_says("error pulling ghcr.io/absent/frr:v1: no route to host");

    let lines = format!("  extension_images = [\"oci:/srv/nothing\"]\n{image}");
    shop.artifact(desk, &lines)?;
    let apply = desk.apply()?;
    apply.expect_says("/srv/nothing is no directory in the OCI image layout");
    apply.expect_says("skopeo copy");

    let builder = |host: &lab::Host, imager: &str| {
        let address = host.address();
        format!("  builder {{\n    host   = \"{address}\"\n    imager = \"{imager}\"\n  }}\n")
    };
    // An imager that is not there.
    let absent = shop.imager.replace("imager:", "nobody:");
    shop.artifact_by(desk, &builder(shop.host(), &absent), &image)?;
    desk.apply()?.expect_says("podman cannot pull");
    // A host without an engine.
    let bare = &shop.lab.hosts()[1];
    shop.artifact_by(desk, &builder(bare, &shop.imager), &image)?;
    let plan = shop.scene.changes()?;
    plan.expect_says("cannot build it now");
    let apply = desk.apply()?;
    assert_eq!(apply.code, 1, "{apply}");
    for run in [&plan, &apply] {
        let line = format!("host = \"{}\"", bare.address());
        run.expect_says_at("neither podman nor docker is installed", &line);
        run.expect_says("apt-get install podman");
    }

    shop.host().fill_disk(1 << 30)?;
    shop.artifact(desk, &image)?;
    let apply = desk.apply()?;
    let line = format!("host = \"{}\"", shop.host().address());
    apply.expect_says_at("the build needs 2048 MiB", &line);
    apply.expect_says("Make room on the build host");
    shop.host().free_disk()?;

    assert_eq!(shop.changes()?, Vec::<String>::new());
    assert!(shop.scene.proxmox.files().is_empty());
    desk.apply()?.expect_ok();
    desk.expect_no_change()?;

    // What is made needs no builder any more; what is not, says so before an apply.
    shop.host().cut_network()?;
    desk.expect_no_change()?;
    let lines =
        format!("  kernel_args = [\"a=b\"]\n  timeouts {{\n    update = \"20s\"\n  }}\n{image}");
    shop.artifact(desk, &lines)?;
    let plan = shop.scene.changes()?;
    plan.expect_says("Warning");
    plan.expect_says("cannot build it now");
    plan.expect_says(&shop.host().address().to_string());
    let apply = desk.apply()?;
    assert_eq!(apply.code, 1, "{apply}");
    apply.expect_says("could not build the ISO for nocloud");
    apply.expect_says(&shop.host().address().to_string());
    apply.expect_says("Hint:");
    shop.host().join_network()?;
    desk.apply()?.expect_ok();
    desk.expect_no_change()?;
    desk.destroy()?.expect_ok();
    assert_eq!(shop.changes()?, Vec::<String>::new());
    shop.down()
}
