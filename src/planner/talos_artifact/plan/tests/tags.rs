//! Tags in registries.

use expect_test::expect;

use super::{applied, installer};
use crate::talos_artifact::{
    InstallerWish, TagSeen, Wish,
    fixture::{World, imager_wish, read, wish},
};

#[test]
fn a_tag_that_moved_leads_back() {
    let (desired, mut world) = applied(&installer(wish()), &["resources"]);
    let digest = world.recorded.installer_digest(&desired);
    for tag in world.tags.values_mut() {
        tag.digest = "sha256:other".to_owned();
    }
    expect![[r#"
        drift: tag ghcr.io/x/installer:v1.11.5-ce4c9805 leads to another image (sha256:other instead of sha256:7d40fe97f02cb18393aa9ec3a858c1959f11bc53362c27569ff2705f15e0f224)
        let ghcr.io/x/installer:v1.11.5-ce4c9805 lead to sha256:7d40fe97f02cb18393aa9ec3a858c1959f11bc53362c27569ff2705f15e0f224 again
        status: tag ghcr.io/x/installer:v1.11.5-ce4c9805 leads to another image (sha256:other instead of sha256:7d40fe97f02cb18393aa9ec3a858c1959f11bc53362c27569ff2705f15e0f224)"#]].assert_eq(&world.told(&desired));
    expect!["let ghcr.io/x/installer:v1.11.5-ce4c9805 lead to sha256:7d40fe97f02cb18393aa9ec3a858c1959f11bc53362c27569ff2705f15e0f224 again"].assert_eq(&world.run(&desired));
    assert_eq!(world.recorded.installer_digest(&desired), digest);
    world.tags.clear();
    expect![[r#"
        drift: tag ghcr.io/x/installer:v1.11.5-ce4c9805 is gone
        let ghcr.io/x/installer:v1.11.5-ce4c9805 lead to sha256:7d40fe97f02cb18393aa9ec3a858c1959f11bc53362c27569ff2705f15e0f224 again
        status: tag ghcr.io/x/installer:v1.11.5-ce4c9805 is gone"#]].assert_eq(&world.told(&desired));
    world.run(&desired);
    // Its manifest is gone too.
    world.tags.clear();
    world.manifests.clear();
    expect!["copy the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.5 to ghcr.io/x/installer:v1.11.5-ce4c9805"].assert_eq(&world.run(&desired));
    assert_eq!(world.told(&desired), "status: ready");
}

#[test]
fn a_tag_of_another_image_needs_a_word() {
    let mut wished = installer(imager_wish());
    let mut world = World::new(&[]);
    let place = read(&wished).installer.expect("an installer").place;
    let other = TagSeen {
        digest: "sha256:other".to_owned(),
        ..TagSeen::default()
    };
    world.tags.insert(place.to_string(), other);
    expect![[r#"
        build the ISO for nocloud
        put the image in ghcr.io/sulibot/talos-images:v1.11.5-nocloud-amd64-iso-4cd0adb524c9e64d5546c1b587e3714b
        upload local:iso/talos-v1.11.5-nocloud-amd64-4cd0adb5.iso on pve01
        refused at installer.tag: A tag leads to another image
        status: ghcr.io/x/installer:v1.11.5-4cd0adb5 leads to sha256:other, which is another installer. Nodes that install from the tag would get another one than before. Take another tag (the default carries the beginning of the id), or set overwrite_tag = true."#]].assert_eq(&world.told(&read(&wished)));
    let installer = wished.installer.as_mut().expect("an installer");
    installer.overwrite_tag = true;
    expect![[r#"
        build the ISO for nocloud
        build the installer for nocloud
        put the image in ghcr.io/sulibot/talos-images:v1.11.5-nocloud-amd64-iso-4cd0adb524c9e64d5546c1b587e3714b
        upload local:iso/talos-v1.11.5-nocloud-amd64-4cd0adb5.iso on pve01
        push the installer to ghcr.io/x/installer:v1.11.5-4cd0adb5, in place of another"#]].assert_eq(&world.run(&read(&wished)));
    // The same tag for new content.
    let tagged = |version: &str, overwrite_tag| Wish {
        talos_version: version.to_owned(),
        installer: Some(InstallerWish {
            repository: "ghcr.io/x/installer".to_owned(),
            tag: Some("latest".to_owned()),
            overwrite_tag,
            ..InstallerWish::default()
        }),
        ..wish()
    };
    let (_, world) = applied(&tagged("v1.11.5", false), &["resources"]);
    expect![[r#"
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.6/nocloud-amd64.iso
        upload resources:iso/talos-v1.11.6-nocloud-amd64-ce4c9805.iso on pve01, pve02 and pve03 (shared)
        refused at installer.tag: A tag leads to another image
        status: ghcr.io/x/installer:latest leads to sha256:7d40fe97f02cb18393aa9ec3a858c1959f11bc53362c27569ff2705f15e0f224, which is another installer. Nodes that install from the tag would get another one than before. Take another tag (the default carries the beginning of the id), or set overwrite_tag = true."#]].assert_eq(&world.told(&read(&tagged("v1.11.6", false))));
    expect![[r#"
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.6/nocloud-amd64.iso
        upload resources:iso/talos-v1.11.6-nocloud-amd64-ce4c9805.iso on pve01, pve02 and pve03 (shared)
        copy the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.6 to ghcr.io/x/installer:latest
        remove resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve01 (shared)"#]].assert_eq(&world.clone().run(&read(&tagged("v1.11.6", true))));
}
