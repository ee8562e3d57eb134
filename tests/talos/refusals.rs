//! What the Proxmox cluster refuses: said at plan where it is sure, else by the apply, with nothing half there.

use proxmox_server::{Account, ROOT_TOKEN, Spec};
use tests::Outcome;

use crate::scene::{OWN, SHARED, Scene, on_own, on_shared};

/// Who may put images on storages, and no more.
const TOKEN: &str = "ci@pve!images=6f0e3f42-0d7d-4d6b-9a59-0c4a9b9f2d11";

/// A cluster with a login that has these privileges on all storages.
fn cluster(privileges: &[&str]) -> Spec {
    let (_, secret) = TOKEN.split_once('=').unwrap_or_default();
    let mut spec = Spec::default();
    spec.accounts.push(
        Account::new("ci@pve")
            .grant("/storage", privileges)
            .token("images", secret),
    );
    spec
}

/// The login of a usual scene.
fn as_root() -> String {
    format!("    api_token = \"{ROOT_TOKEN}\"\n    ca_file = \"ca.pem\"\n")
}

fn as_ci(scene: &mut Scene) {
    scene.lines.proxmox = format!("    api_token = \"{TOKEN}\"\n    ca_file = \"ca.pem\"\n");
}

#[test]
fn a_file_that_may_not_be_deleted_stays_with_a_warning() -> Outcome {
    let mut scene = Scene::with(cluster(&["Datastore.Audit", "Datastore.AllocateTemplate"]))?;
    as_ci(&mut scene);
    scene.artifact(&on_own())?;
    scene.desk.init()?;
    scene.desk.apply()?.expect_ok();
    let name = scene.state("talos_image_file_name")?;
    let name = name.as_str().unwrap_or_default();
    let destroy = scene.desk.destroy()?;
    destroy.expect_ok();
    for node in ["pve01", "pve02", "pve03"] {
        destroy.expect_says(&format!("local:iso/{name} stays on {node}"));
    }
    destroy.expect_says("Datastore.Allocate on /storage/local");
    assert_eq!(scene.proxmox.files().len(), 3);
    // It is out of the state: nothing is left to destroy.
    scene.desk.destroy()?.expect_ok();
    Ok(())
}

#[test]
fn a_login_that_may_not_upload_is_told_what_it_lacks() -> Outcome {
    let mut scene = Scene::with(cluster(&["Datastore.Audit"]))?;
    as_ci(&mut scene);
    scene.artifact(&on_shared())?;
    scene.desk.init()?;
    let lacks = "lacks Datastore.AllocateTemplate on /storage/resources";
    for run in [scene.desk.plan()?, scene.desk.apply()?] {
        assert_eq!(run.code, 1, "{run}");
        run.expect_says_at(lacks, "storage = \"resources\"");
    }
    let download = on_shared().replace("  }\n", "    transfer = \"download\"\n  }\n");
    scene.artifact(&download)?;
    scene.desk.plan()?.expect_says_at(
        "Sys.AccessNetwork on /nodes/pve01",
        "storage = \"resources\"",
    );
    assert!(scene.proxmox.files().is_empty());
    assert_eq!(scene.proxmox.count("POST", "/"), 0, "nothing was tried");
    assert_eq!(scene.factory.front().builds(), Vec::<String>::new());
    // Whoever may do it is let go on.
    let may_not = std::mem::replace(&mut scene.lines.proxmox, as_root());
    scene.artifact(&on_shared())?;
    scene.desk.apply()?.expect_ok();
    scene.proxmox.forget_calls();
    scene.desk.expect_no_change()?;
    assert_eq!(scene.proxmox.count("GET", "/access/permissions"), 0);
    // What is there may be seen without that privilege; what is gone cannot be brought back.
    scene.lines.proxmox = may_not;
    scene.artifact(&on_shared())?;
    scene.desk.expect_no_change()?;
    let name = scene.state("talos_image_file_name")?;
    let name = name.as_str().unwrap_or_default();
    std::fs::remove_file(scene.proxmox.path("pve01", SHARED, "iso", name))?;
    let plan = scene.desk.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says_at(lacks, "storage = \"resources\"");
    scene.lines.proxmox = as_root();
    scene.artifact(&on_shared())?;
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    Ok(())
}

#[test]
fn an_expired_token_stops_an_apply_before_anything_is_sent() -> Outcome {
    let mut scene = Scene::with(cluster(&["Datastore.Audit", "Datastore.AllocateTemplate"]))?;
    scene.artifact(&on_shared())?;
    scene.desk.init()?;
    scene.proxmox.expire_token("root@pam!lab");
    for run in [scene.desk.plan()?, scene.desk.apply()?] {
        assert_eq!(run.code, 1, "{run}");
        run.expect_says_at("the login has expired", "storage = \"resources\"");
    }
    assert_eq!(scene.proxmox.count("POST", "/upload"), 0);
    assert_eq!(scene.factory.front().builds(), Vec::<String>::new());
    // Another token, and all goes on.
    as_ci(&mut scene);
    scene.artifact(&on_shared())?;
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    assert_eq!(scene.proxmox.count("POST", "/upload"), 1);
    Ok(())
}

#[test]
fn a_certificate_that_is_not_the_pinned_one_is_never_spoken_to() -> Outcome {
    let mut scene = Scene::new()?;
    let right = scene.proxmox.fingerprint("pve01").to_owned();
    let other = scene.proxmox.fingerprint("pve02").to_owned();
    let pin = |fingerprint: &str| {
        format!("    api_token = \"{ROOT_TOKEN}\"\n    fingerprint = \"{fingerprint}\"\n")
    };
    scene.lines.proxmox = pin(&other);
    scene.artifact(&on_shared())?;
    scene.desk.init()?;
    let plan = scene.desk.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    let told = format!("has the fingerprint {right}");
    plan.expect_says_at(&told, "storage = \"resources\"");
    let apply = scene.desk.apply()?;
    assert_ne!(apply.code, 0, "{apply}");
    apply.expect_says_at(&told, "storage = \"resources\"");
    apply.expect_says("which is not the trusted one");
    apply.expect_says("in the proxmox block of the provider");
    assert!(scene.proxmox.calls().is_empty(), "no token was sent");
    scene.lines.proxmox = pin(&right);
    scene.artifact(&on_shared())?;
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    Ok(())
}

#[test]
fn no_space_is_told_and_leaves_nothing_half_there() -> Outcome {
    let scene = Scene::new()?;
    scene.artifact(&on_shared())?;
    scene.desk.init()?;
    // Less than the image, which nobody knows before it was fetched.
    scene.proxmox.set_available(SHARED, 1000);
    let apply = scene.desk.apply()?;
    assert_ne!(apply.code, 0, "{apply}");
    apply.expect_says_at("1000 bytes free", "storage = \"resources\"");
    assert!(scene.proxmox.files().is_empty());
    // Enough on the storage, too little where uploads come in.
    scene.proxmox.set_available(SHARED, 1 << 30);
    for node in ["pve01", "pve02", "pve03"] {
        scene.proxmox.set_upload_space(node, 1000);
    }
    let apply = scene.desk.apply()?;
    assert_ne!(apply.code, 0, "{apply}");
    apply.expect_says_at("No space left on device", "storage = \"resources\"");
    apply.expect_says("/var/tmp");
    assert!(scene.proxmox.files().is_empty());
    for node in ["pve01", "pve02", "pve03"] {
        scene.proxmox.set_upload_space(node, 1 << 30);
    }
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    let builds = scene.factory.front().builds();
    let images = builds
        .iter()
        .filter(|build| build.contains("nocloud-amd64"));
    assert_eq!(images.count(), 1, "{builds:?}");
    Ok(())
}

#[test]
fn an_identical_file_is_adopted_and_stays() -> Outcome {
    let scene = Scene::new()?;
    let front = scene.factory.front();
    let id = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";
    let image = front.image(id, "v1.11.5", "nocloud-amd64.iso");
    let name = "uploaded-by-hand.iso";
    for node in ["pve01", "pve02", "pve03"] {
        scene.proxmox.put(node, OWN, "iso", name, &image.bytes())?;
    }
    scene.artifact(&format!("  file_name = \"{name}\"\n{}", on_own()))?;
    scene.desk.init()?;
    scene
        .changes()?
        .expect_says("was not written by this resource");
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    assert_eq!(scene.proxmox.count("POST", "/upload"), 0);
    assert_eq!(scene.state("sha256")?, image.digest().hex());
    scene.desk.destroy()?.expect_ok();
    assert_eq!(scene.proxmox.files().len(), 3, "it is not ours to remove");
    Ok(())
}

#[test]
fn storages_and_nodes_that_there_are_not_are_refused_at_plan() -> Outcome {
    let scene = Scene::new()?;
    scene.artifact("")?;
    scene.desk.init()?;
    let on = |storage: &str, node: &str| {
        format!(
            "  proxmox {{\n    storage = \"{storage}\"\n    nodes = [\"pve01\", \"{node}\"]\n  }}\n"
        )
    };
    for (lines, says, at) in [
        (
            on("absent", "pve02"),
            "no storage absent",
            "storage = \"absent\"",
        ),
        (on(SHARED, "pve09"), "no node pve09", "nodes"),
        (on(OWN, "pve09"), "no node pve09", "nodes"),
        (on("", "pve02"), "is not the id of a storage", "storage ="),
        (
            on("a..b", "pve02"),
            "is not the id of a storage",
            "storage = \"a..b\"",
        ),
        (
            on("../x", "pve02"),
            "is not the id of a storage",
            "storage = \"../x\"",
        ),
        (on(OWN, ""), "is not the name of a node", "nodes"),
        (on(OWN, ".."), "is not the name of a node", "nodes"),
        (on(OWN, "a/b"), "is not the name of a node", "nodes"),
        ("  file_name = \"\"\n".to_owned(), "1 to 255", "file_name"),
        (
            "  file_name = \"../x.iso\"\n".to_owned(),
            "without a directory",
            "file_name",
        ),
        (
            "  file_name = \"x..iso\"\n".to_owned(),
            "holds no",
            "file_name",
        ),
    ] {
        scene.artifact(&lines)?;
        let plan = scene.desk.plan()?;
        assert_eq!(plan.code, 1, "{lines}: {plan}");
        plan.expect_says_at(says, at);
    }
    assert!(scene.proxmox.files().is_empty());
    // Who may not see a storage does not know whether it is there, and can do nothing with it.
    let mut scene = Scene::with(cluster(&[]))?;
    as_ci(&mut scene);
    scene.artifact(&on("absent", "pve02"))?;
    scene.desk.init()?;
    let plan = scene.desk.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says_at(
        "lacks Datastore.Audit or Datastore.AllocateSpace on /storage/absent",
        "storage = \"absent\"",
    );
    assert!(!plan.text.contains("no storage absent"), "{plan}");
    Ok(())
}
