use std::collections::BTreeMap;

use expect_test::{Expect, expect};

use crate::{
    problem::Problems,
    talos_artifact::{
        CopyWish, Desired, Handle, InstallerWish, OverlayWish, Value, Wish,
        fixture::{World, copy_wish, handle, imager_wish, lines, problems, proxmox, read, wish},
    },
};

/// Problems after a change of a wish that has none.
fn check(wish: Wish, change: impl Fn(&mut Wish), expected: &Expect) {
    assert_eq!(problems(&wish), "");
    let mut wish = wish;
    change(&mut wish);
    expected.assert_eq(&problems(&wish));
}

#[expect(clippy::unnecessary_wraps, reason = "attributes are options")]
fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "blocks are options")]
fn installer(repository: &str, tag: Option<&str>, platform: Option<&str>) -> Option<InstallerWish> {
    Some(InstallerWish {
        repository: repository.to_owned(),
        tag: tag.map(str::to_owned),
        platform: platform.map(str::to_owned),
        overwrite_tag: false,
    })
}

#[test]
fn known_at_plan() {
    let desired = read(&Wish {
        installer: installer("ghcr.io/x/installer", None, None),
        ..wish()
    });
    let told = format!(
        "{}\n{}\n{:?}\n{:?}\n{:?}\n{}",
        desired.artifact_id(),
        desired.file_name,
        desired.file_ids(),
        desired.installer_image(),
        desired.factory_installer(),
        desired.content(),
    );
    expect![[r#"
        ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515
        talos-v1.11.5-nocloud-amd64-ce4c9805.iso
        {"pve01": "resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso", "pve02": "resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso", "pve03": "resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso"}
        Some("ghcr.io/x/installer:v1.11.5-ce4c9805")
        Some("factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.5")
        ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso"#]].assert_eq(&told);
}

#[test]
fn names_as_the_original_layout_spells_them() {
    let desired = read(&Wish {
        file_name: text("talos-frr-v1.11.5-nocloud-amd64.iso"),
        installer: installer("ghcr.io/sulibot/talos-frr-installer", Some("v1.11.5"), None),
        ..imager_wish()
    });
    assert_eq!(
        desired.file_ids()["pve01"],
        "local:iso/talos-frr-v1.11.5-nocloud-amd64.iso"
    );
    assert_eq!(
        desired.installer_image().as_deref(),
        Some("ghcr.io/sulibot/talos-frr-installer:v1.11.5")
    );
}

#[test]
fn the_id_of_the_server_wins() {
    let other = "a".repeat(64);
    let desired = read(&Wish {
        server_id: Some(other.clone()),
        ..wish()
    });
    assert_eq!(desired.artifact_id(), other);
    assert!(desired.file_name.contains("-aaaaaaaa."));
}

#[test]
fn words_and_versions_are_checked() {
    check(
        wish(),
        |wish| wish.talos_version = "1.11".to_owned(),
        &expect![[r#"E talos_version: Invalid version: "1.11" is not a version such as v1.11.5."#]],
    );
    check(
        wish(),
        |wish| wish.talos_version = "v1.11.5+frr".to_owned(),
        &expect![[
            r#"E talos_version: Invalid version: "v1.11.5+frr" is not a version such as v1.11.5."#
        ]],
    );
    check(
        wish(),
        |wish| wish.kubernetes_version = text("one"),
        &expect![[
            r#"E kubernetes_version: Invalid version: "one" is not a version such as 1.34.1."#
        ]],
    );
    check(
        wish(),
        |wish| wish.kubernetes_version = text("v1.28.0"),
        &expect![
            "W kubernetes_version: The versions do not fit each other: Talos v1.11.5 runs Kubernetes 1.29 to 1.34, not 1.28.0. The image does not contain Kubernetes: the machine configuration decides."
        ],
    );
    check(
        wish(),
        |wish| wish.platform = text("noclod"),
        &expect![[
            r#"E platform: Invalid platform: "noclod" is none of nocloud, metal, akamai, aws, azure, cloudstack, digital-ocean, equinixMetal, exoscale, gcp, hcloud, opennebula, openstack, oracle, scaleway, upcloud, vmware, vultr. Did you mean "nocloud"?"#
        ]],
    );
    check(
        wish(),
        |wish| wish.architecture = text("x86_64"),
        &expect![[r#"E architecture: Invalid architecture: "x86_64" is none of amd64, arm64."#]],
    );
    check(
        wish(),
        |wish| wish.mode = text("build"),
        &expect![[r#"E mode: Invalid mode: "build" is none of factory, imager."#]],
    );
    check(
        wish(),
        |wish| wish.image_format = text("vmdk"),
        &expect![[
            r#"E image_format: Invalid image_format: "vmdk" is none of iso, qcow2, raw, none."#
        ]],
    );
    check(
        wish(),
        |wish| wish.bootloader = text("sdboot"),
        &expect![[
            r#"E bootloader: Invalid bootloader: "sdboot" is none of dual-boot, sd-boot, grub. Did you mean "sd-boot"?"#
        ]],
    );
    check(
        wish(),
        |wish| {
            wish.platform = text("hcloud");
            wish.architecture = text("arm64");
        },
        &expect!["E platform: There is no such image: Platform hcloud has no images for arm64."],
    );
}

#[test]
fn a_raw_schematic_is_the_whole_content() {
    check(
        wish(),
        |wish| {
            wish.schematic = text("customization: {}");
            wish.kernel_args = texts(&["a"]);
            wish.bootloader = text("grub");
        },
        &expect![[r#"
            E extensions: schematic and extensions exclude each other: A schematic is the whole content. Write extensions in it, or remove it.
            E kernel_args: schematic and kernel_args exclude each other: A schematic is the whole content. Write kernel_args in it, or remove it.
            E bootloader: schematic and bootloader exclude each other: A schematic is the whole content. Write bootloader in it, or remove it."#]],
    );
    let raw = Wish {
        extensions: Vec::new(),
        schematic: text("customization: {}"),
        ..wish()
    };
    check(
        raw.clone(),
        |wish| wish.schematic = text("customisation: {}\nx: y"),
        &expect![[r#"
            E schematic: Invalid schematic: line 1, column 1: field customisation is unknown in a schematic (did you mean customization?).
            E schematic: Invalid schematic: line 2, column 1: field x is unknown in a schematic (there are owner, overlay, customization)."#]],
    );
    let args = "customization: {extraKernelArgs: [talos.platform=metal]}";
    check(
        raw,
        |wish| wish.schematic = text(args),
        &expect![
            "E schematic: talos.platform contradicts the platform: talos.platform=metal would overwrite the nocloud of the image: the node would not read what it is given there, such as its address. Remove it, or set platform."
        ],
    );
}

#[test]
fn modes_have_attributes_of_their_own() {
    check(
        wish(),
        |wish| {
            wish.extension_images = texts(&["ghcr.io/x/y:v1"]);
            wish.builder = imager_wish().builder;
        },
        &expect![[r#"
            E extension_images: extension_images needs mode "imager": A factory builds from official extensions only, and builds them itself. Set mode = "imager", or remove it.
            E builder: builder needs mode "imager": A factory builds from official extensions only, and builds them itself. Set mode = "imager", or remove it."#]],
    );
    check(
        imager_wish(),
        |wish| {
            wish.schematic = text("customization: {}");
            wish.extensions = texts(&["siderolabs/a"]);
            wish.factory_url = text("https://example.com");
            wish.bootloader = text("grub");
            wish.secure_boot = true;
        },
        &expect![[r#"
            E schematic: schematic needs mode "factory": Write kernel_args, meta, overlay and extension_images instead.
            E extensions: extensions needs mode "factory": Names are resolved by a factory: name the images in extension_images instead.
            E factory_url: factory_url needs mode "factory": The imager runs on the builder: remove it.
            E bootloader: bootloader needs mode "factory": The imager has no flag for it: remove it.
            E secure_boot: No secure boot with the imager: The imager signs with keys that this resource does not hand over. A factory has keys of its own: set mode = "factory"."#]],
    );
    check(
        imager_wish(),
        |wish| wish.builder = None,
        &expect![[
            r#"E builder: A builder is missing: The imager runs in a container on a host that is reached by SSH: builder { host = "…" }."#
        ]],
    );
    check(
        imager_wish(),
        |wish| wish.image_format = text("qcow2"),
        &expect![[
            r#"E image_format: The imager makes no qcow2: Its flags know ISO and raw disk images: take "iso" or "raw", or mode "factory"."#
        ]],
    );
    check(
        imager_wish(),
        |wish| wish.proxmox[0].transfer = text("download"),
        &expect![
            "E proxmox.0.transfer: Nothing to download from: A node can fetch an image from a factory only. Images of the imager are uploaded: remove transfer."
        ],
    );
    check(
        imager_wish(),
        |wish| {
            wish.extension_images = texts(&["ghcr.io/x/y", "y:v1"]);
            let builder = wish.builder.as_mut().expect("a builder");
            builder.imager = text("ghcr.io/siderolabs/imager:v1.12.0");
            builder.base_installer = text("x");
        },
        &expect![[r#"
            E extension_images.0: Invalid image: "ghcr.io/x/y": It has neither a tag nor a digest, so it could be any image.
            E extension_images.1: Invalid image: "y:v1": A repository is a registry and a path, such as ghcr.io/example/installer.
            E builder.base_installer: Invalid image: "x": A repository is a registry and a path, such as ghcr.io/example/installer.
            W builder.imager: The imager is of another version: The imager decides which kernel is in the image: ghcr.io/siderolabs/imager:v1.12.0 makes Talos v1.12.0, while talos_version is v1.11.5."#]],
    );
    check(
        imager_wish(),
        |wish| {
            wish.proxmox = Vec::new();
            wish.artifact_repository = None;
        },
        &expect![[r#"
            E image_format: The image would go nowhere: Give it a place: proxmox, artifact_repository or local_file; or image_format = "none" for an installer alone.
            W artifact_repository: The image is kept on the build host only: No two runs of the imager make the same bytes, and nothing can fetch an image from a storage. A file that is lost is sent again from the build host, which keeps its last three builds; once it is gone there, the image is built again. artifact_repository keeps it in a registry."#]],
    );
    check(
        imager_wish(),
        |wish| wish.artifact_repository = None,
        &expect![
            "W artifact_repository: The image is kept on the build host only: No two runs of the imager make the same bytes, and nothing can fetch an image from a storage. A file that is lost is sent again from the build host, which keeps its last three builds; once it is gone there, the image is built again. artifact_repository keeps it in a registry."
        ],
    );
    check(
        imager_wish(),
        |wish| {
            *wish = Wish {
                image_format: text("none"),
                installer: None,
                proxmox: Vec::new(),
                artifact_repository: None,
                ..wish.clone()
            };
        },
        &expect![[
            r#"E installer: Nothing would be made: image_format is "none" and there is no installer block."#
        ]],
    );
}

#[test]
fn content_that_cannot_work_or_has_no_effect_is_named() {
    check(
        wish(),
        |wish| {
            wish.kernel_args = texts(&[
                "talos.platform=metal",
                "talos.platform=nocloud",
                "talos.unified_cgroup_hierarchy=0",
                "talos.unified_cgroup_hierarchy=1",
                "a b",
            ]);
        },
        &expect![[r#"
            E kernel_args.4: Invalid argument for the kernel: An argument is one word without spaces; each is an entry of its own.
            E kernel_args.0: talos.platform contradicts the platform: talos.platform=metal would overwrite the nocloud of the image: the node would not read what it is given there, such as its address. Remove it, or set platform.
            W kernel_args.1: talos.platform is set already: Images of platform nocloud say so themselves: remove talos.platform=nocloud.
            W kernel_args.2: An argument without effect: From Talos 1.11 on there is one hierarchy of control groups, and a node only logs that this asks for another. It is part of the id all the same: without it, the image has another one."#]],
    );
    check(
        wish(),
        |wish| {
            wish.talos_version = "v1.9.5".to_owned();
            wish.kernel_args = texts(&["console=ttyS0"]);
        },
        &expect![
            "W kernel_args: Arguments of the kernel are not in the installer: They are in the image, and gone after the installation: before Talos 1.10 an installer takes them from machine.install.extraKernelArgs of the machine configuration."
        ],
    );
    check(
        wish(),
        |wish| {
            wish.image_format = text("none");
            wish.proxmox = Vec::new();
            wish.meta = BTreeMap::from([("10".to_owned(), "x".to_owned())]);
            wish.bootloader = text("grub");
        },
        &expect![[r#"
            W bootloader: The boot loader reaches nothing: It is chosen for disk images, and for ISOs from Talos 1.12 on. It is part of the id all the same.
            W meta: META reaches nothing: Only images hold META, installers do not, and image_format is "none"."#]],
    );
    check(
        wish(),
        |wish| wish.meta = BTreeMap::from([("0x0a".to_owned(), "x".to_owned())]),
        &expect![[
            r#"E meta.0x0a: Invalid key of META: "0x0a" is not a number from 0 to 255, such as "10"."#
        ]],
    );
    check(
        wish(),
        |wish| {
            wish.secure_boot = true;
            wish.bootloader = text("dual-boot");
        },
        &expect![[r#"
            E bootloader: Secure boot needs sd-boot: Images with secure boot are started by sd-boot; dual-boot cannot be verified.
            W bootloader: The boot loader reaches nothing: It is chosen for disk images, and for ISOs from Talos 1.12 on. It is part of the id all the same."#]],
    );
    check(
        wish(),
        |wish| wish.bootloader = text("sd-boot"),
        &expect![
            "W bootloader: The boot loader reaches nothing: It is chosen for disk images, and for ISOs from Talos 1.12 on. It is part of the id all the same."
        ],
    );
    check(
        wish(),
        |wish| wish.extensions = texts(&["qemu-guest-agent", "siderolabs/a", "siderolabs/a"]),
        &expect![[r#"
            E extensions.0: Invalid name of an extension: "qemu-guest-agent" is not a name such as siderolabs/qemu-guest-agent. Images of extensions need mode "imager" and extension_images.
            E extensions.2: An extension stands twice: "siderolabs/a" stands above already; it would make another id of the same content."#]],
    );
    check(
        wish(),
        |wish| {
            wish.talos_version = "v1.6.0".to_owned();
            wish.overlay = Some(OverlayWish {
                image: "siderolabs/sbc-raspberrypi".to_owned(),
                name: "rpi_generic".to_owned(),
                options: BTreeMap::new(),
            });
        },
        &expect!["E overlay: No overlays in this version: Overlays came with Talos 1.7."],
    );
    check(
        imager_wish(),
        |wish| {
            wish.overlay = Some(OverlayWish {
                image: "siderolabs/sbc-raspberrypi".to_owned(),
                name: "rpi_generic".to_owned(),
                options: [
                    ("a".to_owned(), Value::List(Vec::new())),
                    ("b".to_owned(), Value::Text("@/etc/shadow".to_owned())),
                ]
                .into(),
            });
        },
        &expect![[r#"
            E overlay.image: Invalid image: "siderolabs" is no registry: write the host in full, such as docker.io/siderolabs/sbc-raspberrypi.
            E overlay.options: Invalid option of an overlay: The imager takes a as one text that does not begin with "@".
            E overlay.options: Invalid option of an overlay: The imager takes b as one text that does not begin with "@"."#]],
    );
}

#[test]
fn image_and_installer_of_different_platforms_are_warned_about() {
    check(
        wish(),
        |wish| wish.installer = installer("ghcr.io/x/installer", None, Some("metal")),
        &expect![
            "W installer.platform: Image and installer are of different platforms: From Talos 1.10 on the installer fixes the platform: a node that boots the nocloud image and is installed with the metal installer reads no nocloud data (host name, addresses) after the installation. Put its network into the machine configuration, or leave installer.platform out."
        ],
    );
    // With the imager, it is a choice.
    let chosen = Wish {
        installer: installer("ghcr.io/x/installer", None, Some("metal")),
        ..imager_wish()
    };
    assert_eq!(problems(&chosen), "");
    // Before 1.10 there was one installer for all of them.
    let old = Wish {
        talos_version: "v1.9.5".to_owned(),
        installer: installer("ghcr.io/x/installer", None, Some("metal")),
        ..wish()
    };
    assert_eq!(problems(&old), "");
}

#[test]
fn names_and_places_are_checked() {
    check(
        wish(),
        |wish| wish.file_name = text("talos frr.iso"),
        &expect![[
            r#"E file_name: Invalid file name: Proxmox would store it as "talos_frr.iso": a file name is letters, digits, "_", "." and "-", without a directory."#
        ]],
    );
    check(
        wish(),
        |wish| wish.file_name = text("x.raw.xz"),
        &expect![[
            r#"E file_name: Invalid file name: The file of image_format "iso" ends with .iso or .img. Proxmox cannot use packed images; raw images are unpacked on the way."#
        ]],
    );
    check(
        wish(),
        |wish| wish.local_file = text("x.iso"),
        &expect![
            "W local_file: A relative path: x.iso lies in the directory of the run, which Terragrunt clears with its cache. Write an absolute path."
        ],
    );
    check(
        wish(),
        |wish| wish.factory_url = text("factory.example"),
        &expect![[
            r#"E factory_url: Invalid URL: "factory.example" is not a scheme and a host such as https://factory.talos.dev, with nothing else. A login is given in the factory block of the provider."#
        ]],
    );
    check(
        wish(),
        |wish| wish.installer = installer("installer", Some("v1.11.5+frr"), None),
        &expect![[r#"
            E installer.repository: Invalid repository: A repository is a registry and a path, such as ghcr.io/example/installer.
            E installer.tag: Invalid tag: A tag has no plus sign: registries refuse it. Write "-" instead."#]],
    );
    check(
        wish(),
        |wish| wish.installer = installer("ghcr.io/x/installer", None, Some("nocluod")),
        &expect![[
            r#"E installer.platform: Invalid platform: "nocluod" is no platform of Talos. Did you mean "nocloud"?"#
        ]],
    );
    check(
        wish(),
        |wish| wish.artifact_repository = text("Images"),
        &expect![
            "E artifact_repository: Invalid repository: A repository is a registry and a path, such as ghcr.io/example/installer."
        ],
    );
    check(
        wish(),
        |wish| {
            wish.image_format = text("none");
            wish.file_name = text("x.iso");
            wish.local_file = text("/srv/x.iso");
        },
        &expect![[r#"
            E file_name: There is no file: image_format is "none", so file_name has no use.
            E proxmox: There is no image: image_format is "none", so proxmox has nothing to hold.
            E local_file: There is no image: image_format is "none", so local_file has nothing to hold."#]],
    );
}

#[test]
fn storages_and_nodes_are_checked() {
    check(
        wish(),
        |wish| {
            wish.proxmox.push(proxmox("resources", &["pve03", "pve04"]));
            wish.proxmox.push(proxmox("a:b", &[]));
            wish.proxmox
                .push(proxmox("local", &["pve05.example", "pve06", "pve06"]));
            wish.proxmox[3].transfer = text("scp");
        },
        &expect![[r#"
            E proxmox.1.nodes: A node stands twice: pve03 has the image on storage resources already, and talos_image_file_ids has one id for each node.
            E proxmox.2.storage: Invalid storage: "a:b" is not the id of a storage, such as local.
            E proxmox.2.nodes: No nodes: Name the nodes that use the image, also on a shared storage: each gets its file id.
            E proxmox.3.nodes: Invalid node: "pve05.example" is not the name of a node, such as pve01 (no domain).
            E proxmox.3.nodes: A node stands twice: pve06 is in this list already.
            E proxmox.3.transfer: Invalid transfer: "scp" is neither upload nor download."#]],
    );
    check(
        wish(),
        |wish| {
            wish.image_format = text("raw");
            wish.proxmox[0].transfer = text("download");
        },
        &expect![
            "E proxmox.0.transfer: A node cannot unpack this image: Raw images come packed. Upload it, which unpacks it on the way, or take qcow2."
        ],
    );
}

#[test]
fn a_copy_needs_something_to_copy() {
    let source = read(&wish());
    let world = World::new(&[]);
    let check = |change: fn(&mut Handle), expected: Expect| {
        let mut given = handle(&source, &world);
        change(&mut given);
        let mut problems = Problems::default();
        let copy = Desired::read_copy(&copy_wish(given), &mut problems);
        assert_eq!(copy.is_none(), problems.has_errors());
        expected.assert_eq(&lines(&problems.0));
    };
    check(|_| {}, expect![""]);
    check(
        |given| given.format = "none".to_owned(),
        expect![[r#"
        E source: The source has no image: It was made with image_format = "none", so there is nothing to copy.
        E proxmox: There is no image: image_format is "none", so proxmox has nothing to hold."#]],
    );
    check(
        |given| given.url = None,
        expect![
            "E source: The source can be fetched from nowhere: It has no factory, no artifact_repository and no local_file. Give the artifact that made it one of them."
        ],
    );
}

#[test]
fn what_a_copy_takes_from_its_source_is_checked() {
    let source = Handle {
        artifact_id: "a".to_owned(),
        talos_version: "v1.11.5".to_owned(),
        platform: "nocloud".to_owned(),
        architecture: "amd64".to_owned(),
        format: "iso".to_owned(),
        file_name: Some("x.iso".to_owned()),
        url: Some("https://factory.talos.dev/x.iso".to_owned()),
        ..Handle::default()
    };
    let faults = |source: Handle| {
        let wish = CopyWish {
            source,
            ..CopyWish::default()
        };
        let mut problems = Problems::default();
        let desired = Desired::read_copy(&wish, &mut problems);
        assert_eq!(desired.is_none(), problems.has_errors());
        problems.0.len()
    };
    assert_eq!(faults(source.clone()), 0);
    let with = |member: fn(&mut Handle, String), text: &str| {
        let mut source = source.clone();
        member(&mut source, text.to_owned());
        faults(source)
    };
    let digest = format!("ghcr.io/x/images@sha256:{}", "a".repeat(64));
    for (member, good, bad) in [
        (
            (|source, text| source.url = Some(text)) as fn(&mut Handle, String),
            "http://[::1]:8080/x.iso",
            &[
                "ftp://x/y.iso",
                "https:///x.iso",
                "https://x/my image.iso",
                "",
            ][..],
        ),
        (
            |source, text| source.oci = Some(text),
            &digest,
            &[
                "ghcr.io/x/images",
                "images:v1",
                "ghcr.io/x/images@sha256:aa",
            ],
        ),
        (|source, text| source.path = Some(text), "x.iso", &["", " "]),
        (
            |source, text| source.sha256 = Some(text),
            &"0a".repeat(32),
            &["", "0A", "sha256:00"],
        ),
    ] {
        assert_eq!(with(member, good), 0, "{good}");
        let is_place = !good.starts_with("0a");
        assert_eq!(with(member, Handle::OPEN) == 0, is_place);
        for text in bad {
            assert_eq!(with(member, text), 1, "{text}");
        }
    }
    for name in [
        None,
        Some("../my image.iso"),
        Some("my image.iso"),
        Some("x.qcow2"),
    ] {
        let named = Handle {
            file_name: name.map(str::to_owned),
            ..source.clone()
        };
        assert_eq!(faults(named), 1, "{name:?}");
    }
    for other in [
        Handle {
            architecture: "amd65".to_owned(),
            ..source.clone()
        },
        Handle {
            format: "vmdk".to_owned(),
            ..source.clone()
        },
    ] {
        assert_eq!(faults(other), 1);
    }
}
