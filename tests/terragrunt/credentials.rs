//! Credentials come from the environment or from a file encrypted with SOPS, and are written nowhere.

use std::{fs, path::Path};

use tests::Outcome;

use crate::tree::{Tree, files};

const UNIT: &str = "clusters/cluster-101/compute";
/// What the encrypted file holds.
const TOKEN: &str = "11111111-2222-3333-4444-555555555555";

#[test]
fn an_encrypted_file_is_enough() -> Outcome {
    let mut tree = Tree::new()?;
    tree.unset("PROXMOX_VE_API_TOKEN");
    let plan = tree.terragrunt(UNIT, &["plan", "-no-color"])?;
    assert_ne!(plan.code, 0, "{plan}");
    plan.expect_says("Unable to create Proxmox VE API credentials");

    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("terragrunt/sops");
    fs::copy(
        fixtures.join("credentials.sops.yaml"),
        tree.live("common/credentials.sops.yaml"),
    )?;
    let plan = tree.terragrunt(UNIT, &["plan", "-no-color"])?;
    assert_ne!(plan.code, 0, "nobody can read it without the key: {plan}");

    let key = fixtures.join("age-key.txt").display().to_string();
    tree.set("SOPS_AGE_KEY_FILE", &key);
    let saved = tree.live("saved");
    let out = format!("-out={}", saved.display());
    let plan = tree.terragrunt(UNIT, &["plan", "-no-color", &out, "--log-level", "debug"])?;
    plan.expect_ok();
    assert!(!plan.text.contains(TOKEN), "{plan}");
    assert!(saved.is_file());
    for file in files(&tree.live(""))? {
        let content = fs::read(tree.live(&file))?;
        let is_there = content
            .windows(TOKEN.len())
            .any(|part| part == TOKEN.as_bytes());
        assert!(!is_there, "the token is in {file}");
    }
    Ok(())
}
