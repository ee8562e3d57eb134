//! Provider and helper run where there is nothing but a kernel: CI images are often Alpine, and hosts
//! have the glibc that they have.

use std::{fs, process::Command};

use lab::Home;
use tests::{Outcome, desk::provider};

#[test]
fn both_programs_run_in_an_empty_root() -> Outcome {
    let home = Home::open()?;
    let provider = provider(&home)?;
    let root = tempfile::tempdir()?;
    for (name, program) in [("provider", &provider.binary), ("helper", &provider.helper)] {
        fs::copy(program, root.path().join(name))?;
        let output = Command::new("chroot")
            .arg(root.path())
            .args([&format!("/{name}"), "--version"])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains(env!("CARGO_PKG_VERSION")),
            "{name}: {output:?}"
        );
    }
    // Without Core around it, the provider says what it is, and ends.
    let output = Command::new("chroot")
        .arg(root.path())
        .arg("/provider")
        .output()?;
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("tofu init"), "{text}");
    Ok(())
}
