//! Provider and helper run where there is nothing but a kernel: CI images are often Alpine, and hosts
//! have the glibc that they have.

use std::process::Command;

use lab::Home;
use tests::{Outcome, desk::provider};

#[test]
fn both_programs_run_in_an_empty_root() -> Outcome {
    let home = Home::open()?;
    let provider = provider(&home)?;
    let root = tempfile::tempdir()?;
    for (name, program) in [("provider", &provider.binary), ("helper", &provider.helper)] {
        // By a process of its own: what another test starts just then would inherit our open file, and a
        // program that is open for writing cannot be run.
        let copied = Command::new("cp")
            .arg(program)
            .arg(root.path().join(name))
            .status()?;
        assert!(copied.success(), "{name}: {copied}");
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
