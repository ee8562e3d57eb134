//! Everything can be seen before anything exists, and nothing that was seen so can be applied.

use tests::{Outcome, Run};

use crate::tree::{SHARED_ISO, Tree};

/// Units that ended well, as the summary of `run --all` counts them.
#[track_caller]
fn expect_units(run: &Run, count: usize) {
    run.expect_ok();
    run.expect_says(&format!("Run Summary {count} units"));
    run.expect_says(&format!("Succeeded {count}"));
}

#[test]
fn clusters_plan_before_anything_exists() -> Outcome {
    let tree = Tree::new()?;
    for command in ["init", "validate", "plan"] {
        expect_units(&tree.all("clusters", &[command, "-no-color"])?, 9);
    }
    let plan = tree.all("clusters/cluster-101", &["plan", "-no-color"])?;
    plan.expect_says("mock-talos-image.iso");
    plan.expect_says("terraform_data.mock");
    Ok(())
}

#[test]
fn networks_plan_before_anything_exists() -> Outcome {
    let tree = Tree::new()?;
    let plan = tree.all("common", &["plan", "-no-color"])?;
    expect_units(&plan, 2);
    for vnet in ["vnet100", "vnet101", "vnet102", "vnet103"] {
        plan.expect_says(vnet);
    }
    Ok(())
}

#[test]
fn etcd_plans_before_anything_exists() -> Outcome {
    let tree = Tree::new()?;
    for command in ["init", "validate", "plan"] {
        expect_units(&tree.all("etcd", &[command, "-no-color"])?, 4);
    }
    Ok(())
}

#[test]
fn an_apply_takes_no_mocks() -> Outcome {
    let tree = Tree::new()?;
    for unit in ["compute", "config", "bootstrap"] {
        let directory = format!("clusters/cluster-101/{unit}");
        let apply = tree.terragrunt(&directory, &["apply", "-auto-approve", "-no-color"])?;
        assert_ne!(apply.code, 0, "{unit}: {apply}");
        apply.expect_says("detected no outputs");
    }
    Ok(())
}

#[test]
fn a_plan_with_mocks_is_worth_nothing_later() -> Outcome {
    let tree = Tree::new()?;
    let unit = "clusters/cluster-101/config";
    let saved = tree.live("saved").display().to_string();
    tree.terragrunt(unit, &["plan", "-no-color", &format!("-out={saved}")])?
        .expect_ok();
    // Meanwhile somebody has built them.
    tree.pretend_artifacts()?;
    let apply = tree.terragrunt(unit, &["apply", "-no-color", &saved])?;
    assert_ne!(apply.code, 0, "{apply}");
    assert!(
        !tree.state(unit).exists()
            || !std::fs::read_to_string(tree.state(unit))?.contains("talos_machine_secrets"),
        "nothing was made"
    );
    let plan = tree.terragrunt("clusters/cluster-101/compute", &["plan", "-no-color"])?;
    plan.expect_ok();
    plan.expect_says(SHARED_ISO);
    assert!(!plan.text.contains("mock-"), "{plan}");
    Ok(())
}
#[test]
fn the_whole_tree_plans_before_anything_exists() -> Outcome {
    let tree = Tree::new()?;
    for command in ["init", "validate", "plan"] {
        let run = tree.all("", &[command, "-no-color"])?;
        run.expect_ok();
        // All but the optional extension.
        run.expect_says("Run Summary 18 units");
        run.expect_says("Succeeded 17");
        run.expect_says("Excluded 1");
    }
    Ok(())
}
