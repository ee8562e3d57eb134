//! The guide's own commands, as they stand there.

use std::{error::Error, fs, path::Path};

use proxmox_server::Server;
use serde_json::Value as Json;
use tests::Outcome;

use crate::{
    artifacts::Works,
    bucket::Bucket,
    tree::{Tree, files},
};

/// The text of a section of the guide, by its number.
fn section(number: usize) -> Result<String, Box<dyn Error>> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides/talos-clusters.md");
    let guide = fs::read_to_string(guide)?;
    let start = guide
        .find(&format!("\n## {number}. "))
        .ok_or("the section is there")?;
    let rest = &guide[start + 1..];
    Ok(rest[..rest.find("\n## ").unwrap_or(rest.len())].to_owned())
}

/// The only shell block of a section.
fn commands(number: usize) -> Result<String, Box<dyn Error>> {
    let section = section(number)?;
    let blocks: Vec<_> = section.split("```shell\n").skip(1).collect();
    let [block] = blocks[..] else {
        return Err(format!("one block of commands in section {number}: {section}").into());
    };
    Ok(block.split("```").next().unwrap_or_default().to_owned())
}

#[test]
fn everything_is_seen_before_anything_is_there() -> Outcome {
    let tree = Tree::new()?;
    let run = tree.shell("", &commands(3)?)?;
    run.expect_ok();
    // Networks, artifacts and clusters; the extension is off.
    run.expect_says("Run Summary 14 units");
    run.expect_says("Succeeded 13");
    run.expect_says("Excluded 1");
    run.expect_says("terraform_data.mock");
    assert_eq!(files(&tree.live(".state"))?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_ci_builds_once_and_then_deploys() -> Outcome {
    let mut works = Works::new()?;
    let bucket = Bucket::start()?;
    bucket.keeps_state_of(&mut works.tree);
    // The machines of a cluster cannot be had: their plans stand for them.
    let commands = commands(9)?;
    for cluster in ["102", "101"] {
        let line = format!("apply --filter './clusters/cluster-{cluster}/**'");
        assert_eq!(commands.matches(&line).count(), 1, "{commands}");
    }
    let commands = commands.replace("apply --filter './clusters/", "plan --filter './clusters/");

    let first = works.tree.shell("", &commands)?;
    first.expect_ok();
    // Every change: artifacts and all clusters. Then the artifacts, then each cluster by itself.
    for (units, succeeded) in [("12", "11"), ("3", "2"), ("3", "3")] {
        first.expect_says(&format!("Run Summary {units} units"));
        first.expect_says(&format!("Succeeded {succeeded}"));
    }
    let made = works.work();
    assert_eq!(made.1, 1, "{made:?}");
    assert!(!works.tree.live(".state").exists());
    let state = bucket.path("artifacts/images/terraform.tfstate");
    assert!(fs::read_to_string(&state)?.contains("talos_artifact"));
    assert!(
        !bucket
            .path("artifacts/images/terraform.tfstate.tflock")
            .exists(),
        "the lock is given back"
    );
    let file = works.output("registry", "talos_image_file_ids")?["pve01"].clone();

    // The next runner has nothing but the repository.
    works.tree = works.tree.elsewhere()?;
    let second = works.tree.shell("", &commands)?;
    second.expect_ok();
    second.expect_says(&format!("file_id = {file}"));
    assert_eq!(works.work(), made, "nothing is built or sent again");

    // Every night.
    let text = section(9)?;
    let nightly = text
        .split('`')
        .find(|code| code.contains("-detailed-exitcode"))
        .ok_or("a command for drift")?;
    let night = works.tree.shell("artifacts", nightly)?;
    assert_eq!(night.code, 0, "{night}");
    let name = remove_image(&works.proxmox, &file)?;
    let night = works.tree.shell("artifacts", nightly)?;
    assert_eq!(night.code, 2, "{night}");
    night.expect_says(&format!("{name} is gone"));
    Ok(())
}

/// Removes an image behind everybody's back; gives its name.
fn remove_image(proxmox: &Server, file_id: &Json) -> Result<String, Box<dyn Error>> {
    let (_, name) = file_id
        .as_str()
        .and_then(|id| id.rsplit_once('/'))
        .ok_or("an id of a file")?;
    fs::remove_file(proxmox.path("pve01", "resources", "iso", name))?;
    Ok(name.to_owned())
}

#[test]
fn the_bucket_is_made_with_the_command_of_the_guide() -> Outcome {
    let bucket = Bucket::absent()?;
    let mut tree = Tree::new()?;
    bucket.keeps_state_of(&mut tree);
    let text = section(9)?;
    let command = text
        .split('`')
        .find(|code| code.contains("backend bootstrap"))
        .ok_or("a command that makes the bucket")?;
    tree.shell("", command)?.expect_ok();
    assert!(bucket.path("").is_dir());
    let unit = "common/0-sdn-setup";
    tree.terragrunt(unit, &["apply", "-auto-approve", "-no-color"])?
        .expect_ok();
    assert!(
        bucket
            .path("common/0-sdn-setup/terraform.tfstate")
            .is_file()
    );
    Ok(())
}

#[test]
fn state_moves_into_a_bucket() -> Outcome {
    let bucket = Bucket::start()?;
    let mut tree = Tree::new()?;
    let unit = "common/0-sdn-setup";
    tree.terragrunt(unit, &["apply", "-auto-approve", "-no-color"])?
        .expect_ok();
    bucket.keeps_state_of(&mut tree);
    let readme = fs::read_to_string(tree.live("README.md"))?;
    let command = readme
        .lines()
        .find(|line| line.contains("-migrate-state"))
        .ok_or("a command that moves state")?;
    tree.shell("common", command)?.expect_ok();
    let plan = tree.terragrunt(unit, &["plan", "-detailed-exitcode", "-no-color"])?;
    assert_eq!(plan.code, 0, "{plan}");
    assert_eq!(
        files(&bucket.path("common"))?,
        ["0-sdn-setup/terraform.tfstate"]
    );
    Ok(())
}
