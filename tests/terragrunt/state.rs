//! State outlives caches and moves.

use std::fs;

use tests::Outcome;

use crate::{
    bucket::Bucket,
    tree::{Tree, copy, files},
};

const UNIT: &str = "clusters/cluster-103/config";

/// A tree in which a unit was applied for real: the provider of Talos needs no network for it.
fn applied() -> Result<Tree, Box<dyn std::error::Error>> {
    let tree = Tree::new()?;
    tree.pretend_artifacts()?;
    tree.terragrunt(UNIT, &["apply", "-auto-approve", "-no-color"])?
        .expect_ok();
    Ok(tree)
}

#[track_caller]
fn expect_no_change(tree: &Tree, unit: &str) -> Outcome {
    let plan = tree.terragrunt(unit, &["plan", "-detailed-exitcode", "-no-color"])?;
    assert_eq!(plan.code, 0, "{plan}");
    Ok(())
}

#[test]
fn a_cleared_cache_costs_nothing() -> Outcome {
    let tree = applied()?;
    let state = fs::read(tree.state(UNIT))?;
    fs::remove_dir_all(tree.live(UNIT).join(".terragrunt-cache"))?;
    tree.terragrunt(UNIT, &["init", "-no-color", "--log-level", "debug"])?
        .expect_ok();
    expect_no_change(&tree, UNIT)?;
    assert_eq!(fs::read(tree.state(UNIT))?, state);
    let stray: Vec<_> = files(&tree.live(UNIT))?
        .into_iter()
        .filter(|file| file.ends_with(".tfstate") && !file.contains("/.terraform/"))
        .collect();
    assert_eq!(stray, Vec::<String>::new(), "no state beside the unit");
    Ok(())
}

#[test]
fn a_unit_that_moves_takes_its_state_along_and_back() -> Outcome {
    let tree = applied()?;
    let moved = "clusters/development/config";
    for (old, new) in [(UNIT, moved), (moved, UNIT)] {
        let pulled = tree.json(old, &["state", "pull"])?;
        fs::write(tree.live("pulled"), pulled.to_string())?;
        let parent = |unit: &str| tree.live(unit.trim_end_matches("/config"));
        fs::rename(parent(old), parent(new))?;
        fs::remove_file(tree.state(old))?;
        let file = tree.live("pulled").display().to_string();
        tree.terragrunt(new, &["state", "push", &file])?.expect_ok();
        assert!(
            tree.state(new).exists(),
            "the state lies at the unit's own path"
        );
        expect_no_change(&tree, new)?;
    }
    Ok(())
}

#[test]
fn migrating_local_state_is_refused() -> Outcome {
    let tree = applied()?;
    copy(
        &tree.live("clusters/cluster-103"),
        &tree.live("clusters/other"),
    )?;
    let migrate = tree.terragrunt("", &["backend", "migrate", UNIT, "clusters/other/config"])?;
    assert_ne!(migrate.code, 0, "{migrate}");
    migrate.expect_says("refusing to migrate");
    // Two clusters of one number are no tree.
    fs::remove_dir_all(tree.live("clusters/other"))?;
    expect_no_change(&tree, UNIT)
}

#[test]
fn a_unit_in_a_bucket_moves_with_one_command() -> Outcome {
    let bucket = Bucket::absent()?;
    let mut tree = Tree::new()?;
    bucket.keeps_state_of(&mut tree);
    let (old, new) = ("common/0-sdn-setup", "common/networks");
    tree.terragrunt(old, &["backend", "bootstrap"])?.expect_ok();
    tree.terragrunt(old, &["apply", "-auto-approve", "-no-color"])?
        .expect_ok();
    copy(&tree.live(old), &tree.live(new))?;
    tree.terragrunt("", &["backend", "migrate", old, new])?
        .expect_ok();
    let moved = fs::read_to_string(bucket.path(new).join("terraform.tfstate"))?;
    assert!(moved.contains("vnet101"), "{moved}");
    fs::remove_dir_all(tree.live(old))?;
    expect_no_change(&tree, new)
}

#[test]
fn state_lies_where_it_is_told() -> Outcome {
    let mut tree = Tree::new()?;
    let elsewhere = tempfile::tempdir()?;
    tree.set(
        "TG_STATE_DIRECTORY",
        &elsewhere.path().display().to_string(),
    );
    tree.terragrunt(
        "common/0-sdn-setup",
        &["apply", "-auto-approve", "-no-color"],
    )?
    .expect_ok();
    assert_eq!(
        files(elsewhere.path())?,
        ["common/0-sdn-setup/terraform.tfstate"]
    );
    assert!(!tree.live(".state").exists());
    Ok(())
}
