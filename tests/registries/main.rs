//! Runs the real image factory with its registry until its standard input ends, for a person or a program that measures.
//!
//! `factory-server [BYTES]`: size of the images. It says where it listens, and for each line that it is given what was
//! built so far.

use std::{
    error::Error,
    io::{BufRead as _, Write as _},
};

use registries::{Catalog, Factory};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let size = std::env::args().nth(1).map(|text| text.parse());
    let runtime = tokio::runtime::Runtime::new()?;
    let factory = runtime.block_on(Factory::start(&Catalog::default()));
    if let Some(size) = size.transpose()? {
        factory.front().set_image_size(size);
    }
    let mut output = std::io::stdout().lock();
    writeln!(output, "{}", json!({ "url": factory.url() }))?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let builds = factory.front().builds();
        writeln!(output, "{}", json!({ "builds": builds }))?;
    }
    // Processes of the factory end with it, and they belong to the runtime.
    let _inside = runtime.enter();
    drop(factory);
    Ok(())
}
