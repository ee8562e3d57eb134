//! Every example is accepted by the CLI with the built provider.

use std::{fs, path::Path};

use lab::{HostSpec, Release};
use tests::{Outcome, Site};

#[test]
fn every_example_is_valid() -> Outcome {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let provider = fs::read_to_string(examples.join("provider/provider.tf"))?;
    let mut configurations = Vec::new();
    for name in ["quickstart", "three-clusters"] {
        configurations.push((
            name.to_owned(),
            fs::read_to_string(examples.join(name).join("main.tf"))?,
        ));
    }
    for entry in fs::read_dir(examples.join("resources"))?.flatten() {
        let resource = fs::read_to_string(entry.path().join("resource.tf"))?;
        configurations.push((
            entry.file_name().to_string_lossy().into_owned(),
            format!("{provider}\n{resource}"),
        ));
    }
    for entry in fs::read_dir(examples.join("functions"))?.flatten() {
        configurations.push((
            entry.file_name().to_string_lossy().into_owned(),
            fs::read_to_string(entry.path().join("function.tf"))?,
        ));
    }
    assert_eq!(configurations.len(), 7, "{configurations:?}");
    let site = Site::new("examples", vec![HostSpec::new(Release::Bookworm)])?;
    for (name, text) in configurations {
        site.write("main.tf", &text)?;
        site.init()?;
        let run = site.run(&["validate", "-no-color"])?;
        assert!(run.is_ok(), "{name}: {run}");
        let run = site.run(&["fmt", "-check", "-diff", "-no-color"])?;
        assert!(run.is_ok(), "{name} is not formatted: {run}");
    }
    site.down()
}
