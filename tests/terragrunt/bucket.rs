//! A real S3 server on loopback, for state.

use std::{
    error::Error,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use lab::{Home, program::Program};
use tests::cluster::until;

use crate::tree::Tree;

/// Tries to find a port that nobody else takes before the server does.
const TRIES: usize = 10;
const KEY: &str = "ops";
const SECRET: &str = "correct-horse-battery";
const BUCKET: &str = "states";

/// A server; it ends when this is dropped.
pub(crate) struct Bucket {
    child: Child,
    address: SocketAddr,
    directory: tempfile::TempDir,
}

impl Bucket {
    /// A server with an empty bucket. The bucket keeps no versions: with them, this server takes an object that was
    /// removed for one that is there, and a lock could be taken once only.
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        let bucket = Self::bare(false)?;
        fs::create_dir(bucket.path(""))?;
        Ok(bucket)
    }

    /// A server without any bucket, which would keep versions.
    pub(crate) fn absent() -> Result<Self, Box<dyn Error>> {
        Self::bare(true)
    }

    fn bare(keeps_versions: bool) -> Result<Self, Box<dyn Error>> {
        let program = Program::named("versitygw")?.pop().ok_or("a version")?;
        let binary = program.ensure(&Home::open()?)?.join("versitygw");
        let directory = tempfile::tempdir()?;
        for name in ["objects", "versions"] {
            fs::create_dir(directory.path().join(name))?;
        }
        for _ in 0..TRIES {
            let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
            let mut server = Command::new(&binary);
            server.args(["--quiet", "--port", &address.to_string(), "posix"]);
            if keeps_versions {
                server
                    .arg("--versioning-dir")
                    .arg(directory.path().join("versions"));
            }
            let mut child = server
                .arg(directory.path().join("objects"))
                .env_clear()
                .env("ROOT_ACCESS_KEY_ID", KEY)
                .env("ROOT_SECRET_ACCESS_KEY", SECRET)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()?;
            if listens(&mut child, address)? {
                return Ok(Self {
                    child,
                    address,
                    directory,
                });
            }
        }
        Err("the S3 server did not start".into())
    }

    /// Lets the units of a tree keep their state here.
    pub(crate) fn keeps_state_of(&self, tree: &mut Tree) {
        tree.set("TG_STATE_BUCKET", BUCKET);
        tree.set("TG_STATE_ENDPOINT", &format!("http://{}", self.address));
        tree.set("AWS_ACCESS_KEY_ID", KEY);
        tree.set("AWS_SECRET_ACCESS_KEY", SECRET);
    }

    /// Where an object of the bucket lies.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.directory.path().join("objects").join(BUCKET).join(key)
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until somebody listens; false if the server ended instead, because somebody else took its port.
fn listens(child: &mut Child, address: SocketAddr) -> Result<bool, Box<dyn Error>> {
    let listening = until("the server listens", || {
        has_ended(child) || TcpStream::connect(address).is_ok()
    });
    if listening.is_err() {
        child.kill()?;
        child.wait()?;
    }
    listening?;
    // Another program may have the port meanwhile.
    Ok(!has_ended(child))
}

fn has_ended(child: &mut Child) -> bool {
    !matches!(child.try_wait(), Ok(None))
}
