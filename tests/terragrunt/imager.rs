//! The artifacts of mode imager for real: an extension of one's own, and a container on a build host that puts it into
//! image and installer.

use std::{collections::BTreeSet, error::Error, fs, os::unix::fs::PermissionsExt as _};

use lab::{Home, Host, Lab, Release, Spec, build_host};
use registries::{Options, RegistryServer};
use serde_json::json;
use tests::Outcome;

use crate::{
    artifacts::Works,
    tree::{Tree, files},
};

/// The engine on the machine that runs Terragrunt: it writes down what it was told.
const ENGINE: &str = "#!/bin/sh\necho \"$*\" >>\"$0.told\"\n";
/// Where the stand-in for the imager is looked for.
const IMAGER: &str = "ghcr.io/siderolabs/imager:v1.11.5";
const IMAGE_MIB: u32 = 3;
const ISO: &str = "talos-frr-v1.11.5-nocloud-amd64.iso";

/// A tree in mode imager, with a build host and a registry.
struct Shop {
    works: Works,
    lab: Lab,
    registry: RegistryServer,
}

impl Shop {
    fn new() -> Result<Self, Box<dyn Error>> {
        let mut works = Works::new()?;
        let registry = works
            .runtime
            .block_on(RegistryServer::start(Options::default()));
        let name = format!("extension-{}", std::process::id());
        let hosts = vec![build_host::spec(Release::Bookworm)];
        let lab = Lab::up(&Home::open()?, &Spec::ephemeral(&name, hosts))?;
        let host = &lab.hosts()[0];
        build_host::prepare(host, IMAGE_MIB)?;
        host.root_text(&["podman", "tag", build_host::IMAGE, IMAGER])?;

        let tree = &mut works.tree;
        let engine = tree.live("podman");
        fs::write(&engine, ENGINE)?;
        fs::set_permissions(&engine, fs::Permissions::from_mode(0o755))?;
        let path = std::env::var("PATH").unwrap_or_default();
        tree.set("PATH", &format!("{}:{path}", tree.live("").display()));
        tree.set("TG_CONTAINER_ENGINE", "podman");
        tree.set("TALOS_BUILD_HOST", &host.address().to_string());
        tree.log_in(host);
        for name in ["installer", "images", "extension"] {
            tree.edit(
                "common/install-schematic.hcl",
                &format!("\"ghcr.io/sulibot/talos-frr-{name}\""),
                &format!("\"{}/talos-frr-{name}\"", registry.host()),
            )?;
        }
        tree.edit(
            "common/install-schematic.hcl",
            "mode        = \"factory\"",
            "mode        = \"imager\"",
        )?;
        tree.edit(
            "common/install-schematic.hcl",
            "build_extension      = false",
            "build_extension      = true",
        )?;
        Ok(Self {
            works,
            lab,
            registry,
        })
    }

    fn host(&self) -> &Host {
        &self.lab.hosts()[0]
    }

    /// What the engine was told so far, a line each.
    fn told(&self) -> Vec<String> {
        let told = fs::read_to_string(self.works.tree.live("podman.told")).unwrap_or_default();
        told.lines().map(str::to_owned).collect()
    }

    /// Builds the extension by a real engine, as the other one was told to, and looks into it.
    fn expect_extension(&self, told: &str) -> Outcome {
        let host = self.host();
        let context = self.works.tree.module("talos-extension/context");
        for file in files(&context)? {
            let text = fs::read_to_string(context.join(&file))?;
            build_host::write(host, &format!("/srv/context/{file}"), &text)?;
        }
        for image in [
            "docker.io/library/alpine:3.22",
            "quay.io/frrouting/frr:10.4.1",
        ] {
            host.root_text(&["podman", "tag", build_host::IMAGE, image])?;
        }
        let mut build = vec!["env", "BUILDAH_ISOLATION=chroot", "podman"];
        build.extend(told.split(' '));
        *build.last_mut().ok_or("a context")? = "/srv/context";
        host.root_text(&build)?;
        let tag = told.split(' ').skip_while(|word| *word != "--tag").nth(1);
        let look = "cd \"$(podman image mount \"$1\")\"\nfind . -maxdepth 1\ncat manifest.yaml\n\
                    find rootfs/usr/local -maxdepth 4\ntest -x rootfs/usr/local/lib/containers/frr/start";
        let found = host.root_text(&["sh", "-ceu", look, "sh", tag.ok_or("a tag")?])?;
        host.root_text(&["podman", "image", "umount", "--all"])?;
        // Talos takes nothing else at the top, and only some places below.
        let top: BTreeSet<_> = found
            .lines()
            .take_while(|line| line.starts_with('.'))
            .collect();
        assert_eq!(top, BTreeSet::from([".", "./manifest.yaml", "./rootfs"]));
        for line in [
            "  version: \"1.0.18\"",
            "rootfs/usr/local/etc/containers/frr.yaml",
            "rootfs/usr/local/lib/containers/frr/start",
            "rootfs/usr/local/lib/containers/frr/bin",
        ] {
            assert!(found.lines().any(|there| there == line), "{line}: {found}");
        }
        Ok(())
    }

    /// Makes an image by hand, with the commands of the README, and sees that what they go on with is there.
    fn expect_image_by_hand(&self) -> Outcome {
        let readme = fs::read_to_string(self.works.tree.live("artifacts/README.md"))?;
        let by_hand = readme.split_once("An image by hand").ok_or("a recipe")?.1;
        let recipe = by_hand.split("```").nth(1).ok_or("commands")?;
        let (builds, rest) = recipe.split_once("crane push").ok_or("a push")?;
        let builds = builds
            .trim_start_matches("shell")
            .replace("docker ", "podman ");
        assert_eq!(builds.matches("podman run").count(), 2, "{recipe}");
        let host = self.host();
        let image = IMAGER.replace("v1.11.5", "v1.12.0");
        host.root_text(&["podman", "tag", build_host::IMAGE, &image])?;
        let run = format!("mkdir -p /srv/by-hand/out\ncd /srv/by-hand\n{builds}\nls out");
        let made = host.root_text(&["sh", "-ceu", &run])?;
        for name in ["installer-amd64.tar", "nocloud-amd64.iso"] {
            assert!(made.contains(name), "{made}");
            assert!(rest.contains(&format!(" out/{name} ")), "{rest}");
        }
        Ok(())
    }

    /// How often the imager ran.
    fn builds(&self) -> Result<usize, Box<dyn Error>> {
        Ok(build_host::containers_so_far(self.host())?.len())
    }
}

/// What the imager said while it made a file.
fn said(log: &str, file: &str) -> Vec<String> {
    let file = format!("what={file} ");
    log.lines()
        .filter(|line| line.contains("the imager says") && line.contains(&file))
        .filter_map(|line| Some(line.split_once("line=\"")?.1.split_once('"')?.0.to_owned()))
        .collect()
}

/// Extensions that it pulled, in their order.
fn pulled(said: &[String]) -> Vec<String> {
    said.iter()
        .filter_map(|line| line.strip_prefix("pulling ")?.strip_suffix("..."))
        .filter(|image| !image.contains("/installer-base:"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn an_extension_of_ones_own_is_in_the_image_and_in_the_installer() -> Outcome {
    let mut shop = Shop::new()?;
    let log = shop.works.tree.live("provider.log");
    shop.works.tree.set("TF_LOG_PROVIDER", "debug");
    shop.works
        .tree
        .set("TF_LOG_PATH", &log.display().to_string());
    let tree = &shop.works.tree;

    // Everything is seen before anything is made.
    let plan = tree.all("artifacts", &["plan", "-no-color"])?;
    plan.expect_ok();
    plan.expect_says("Succeeded 3");
    let repository = format!("{}/talos-frr-extension:v1.0.18-", shop.registry.host());
    plan.expect_says(&repository);
    for step in [
        "build the ISO for nocloud",
        "build the installer for metal",
        "upload resources:iso/",
    ] {
        plan.expect_says(step);
    }
    assert_eq!(shop.told(), Vec::<String>::new(), "a plan makes nothing");

    let apply = tree.all("artifacts", &["apply", "-no-color"])?;
    apply.expect_ok();
    apply.expect_says("Succeeded 3");
    let extension = shop.works.output("extension", "extension_image")?;
    let extension = extension.as_str().ok_or("a reference")?.to_owned();
    assert!(extension.starts_with(&repository), "{extension}");
    let told = shop.told();
    assert_eq!(told.len(), 2, "one build, one push: {told:?}");
    let build = told[0].strip_suffix("/context").ok_or("a context")?;
    assert!(
        build.starts_with(&format!(
            "build --build-arg VERSION=1.0.18 --build-arg FRR_IMAGE=quay.io/frrouting/frr:10.4.1 \
             --tag {extension} /"
        )),
        "{build}"
    );
    assert_eq!(told[1], format!("push {extension}"));

    shop.expect_extension(build)?;

    // One ISO and one installer, of the same version and the same extensions in the same order.
    assert_eq!(shop.builds()?, 2);
    let log = fs::read_to_string(&log)?;
    let mut extensions = extensions(tree)?;
    extensions.push(extension.clone());
    for (file, platform) in [
        ("nocloud-amd64.iso", "platform: nocloud"),
        ("installer-amd64.tar", "platform: metal"),
    ] {
        let said = said(&log, file);
        assert_eq!(pulled(&said), extensions, "{said:?}");
        assert!(said.iter().any(|line| line == platform), "{said:?}");
    }
    let there = shop.works.proxmox.path("pve03", "resources", "iso", ISO);
    assert_eq!(fs::metadata(there)?.len(), u64::from(IMAGE_MIB) << 20);
    let iso = format!("resources:iso/{ISO}");
    assert_eq!(
        shop.works.output("registry", "talos_image_file_ids")?,
        json!({"pve01": iso, "pve02": iso, "pve03": iso})
    );
    let installer = format!("{}/talos-frr-installer:v1.11.5", shop.registry.host());
    assert_eq!(shop.works.output("images", "installer_image")?, installer);
    shop.works.expect_no_change()?;
    tree.all("artifacts", &["apply", "-no-color"])?.expect_ok();
    assert_eq!(shop.told(), told, "it is built once");
    assert_eq!(shop.builds()?, 2);

    shop.expect_image_by_hand()?;

    // What the clusters install speaks BGP.
    let config = "clusters/cluster-103/config";
    tree.terragrunt(config, &["apply", "-auto-approve", "-no-color"])?
        .expect_ok();
    let configurations = tree.json(config, &["output", "-json", "machine_configurations"])?;
    let worker = configurations["terrawk01"].as_str().ok_or("a text")?;
    assert!(worker.contains("router bgp 4210103021"), "{worker}");
    assert!(worker.contains(&format!("image: {installer}")), "{worker}");

    // Another file of the extension is another extension, and nothing that is there is overwritten.
    let daemons = tree.module("talos-extension/context/daemons");
    let text = fs::read_to_string(&daemons)?;
    fs::write(&daemons, text.replace("bfdd=yes", "bfdd=no"))?;
    tree.terragrunt(
        "artifacts/extension",
        &["apply", "-auto-approve", "-no-color"],
    )?
    .expect_ok();
    let newer = shop.works.output("extension", "extension_image")?;
    assert_ne!(newer, extension);
    assert_eq!(shop.told().len(), 4, "one more build, one more push");
    let plan = || tree.terragrunt("artifacts/images", &["plan", "-no-color"]);
    let refused = plan()?;
    assert_ne!(refused.code, 0, "{refused}");
    refused.expect_says(&format!("{installer} leads to"));
    refused.expect_says("which is another installer");
    for name in ["installer_tag        = ", "iso_name             = "] {
        let file = "common/install-schematic.hcl";
        let text = fs::read_to_string(tree.live(file))?;
        let line = text.lines().find(|line| line.contains(name));
        tree.edit(file, line.ok_or("a name")?, &format!("  {name}null"))?;
    }
    let newer = newer.as_str().ok_or("a reference")?;
    let plan = plan()?;
    plan.expect_ok();
    for words in [newer, "build the installer for metal", "put the image in"] {
        plan.expect_says(words);
    }
    shop.lab.down()?;
    Ok(())
}

/// The official extensions as the tree pins them.
fn extensions(tree: &Tree) -> Result<Vec<String>, Box<dyn Error>> {
    let found = tree.json("artifacts/images", &["render", "--format", "json"])?;
    let pinned = &found["inputs"]["system_extensions"];
    Ok(pinned
        .as_array()
        .ok_or("a list")?
        .iter()
        .filter_map(|image| image.as_str().map(ToOwned::to_owned))
        .collect())
}
