//! Runs the server until it is told to stop, for a person who wants to try a client.
//!
//! `proxmox-server [PORT [DIRECTORY]]`: first port (8006) and where files are kept. It says where it listens, and for
//! each line that it is given how many files were sent to it so far.

use std::{
    error::Error,
    io::{BufRead as _, Write as _},
    path::PathBuf,
    sync::Arc,
};

use proxmox_server::{ROOT_TOKEN, Server, Spec};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().map_or(Ok(8006), |text| text.parse())?;
    let server = Arc::new(Server::start(Spec {
        port,
        directory: arguments.next().map(PathBuf::from),
        ..Spec::default()
    })?);
    let nodes = ["pve01", "pve02", "pve03"].map(|node| {
        json!({
            "node": node,
            "endpoint": server.endpoint(node),
            "fingerprint": server.fingerprint(node),
        })
    });
    let about = json!({ "nodes": nodes, "api_token": ROOT_TOKEN, "ca": server.ca_pem() });
    writeln!(std::io::stdout(), "{about:#}")?;
    let asked = Arc::clone(&server);
    std::thread::spawn(move || {
        for _ in std::io::stdin().lock().lines().map_while(Result::ok) {
            let sent = asked.count("POST", "/upload") + asked.count("POST", "/download-url");
            // Nobody listens any more: then nobody asks either.
            let _ = writeln!(std::io::stdout(), "{}", json!({ "sent": sent }));
        }
    });
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(tokio::signal::ctrl_c())?;
    Ok(())
}
