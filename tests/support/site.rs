//! A lab with a working directory in which `tofu` or `terraform` runs.

use std::{
    error::Error,
    fs,
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
};

use lab::{Home, Host, HostSpec, Lab, Release, Spec};
use serde_json::{Value as Json, json};

use crate::{Desk, cluster::Member};

/// Hosts, and a desk to work on them from.
pub struct Site {
    /// The hosts.
    pub lab: Lab,
    archives: PathBuf,
    desk: Desk,
}

impl Deref for Site {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

impl DerefMut for Site {
    fn deref_mut(&mut self) -> &mut Desk {
        &mut self.desk
    }
}

impl Site {
    /// Boots hosts and makes an empty working directory.
    pub fn new(name: &str, hosts: Vec<HostSpec>) -> Result<Self, Box<dyn Error>> {
        let home = Home::open()?;
        let archives = lab::archive::ensure(&home)?;
        let desk = Desk::new(home)?;
        let name = format!("{name}-{}", std::process::id());
        let lab = Lab::up(&desk.home, &Spec::ephemeral(&name, hosts))?;
        Ok(Self {
            lab,
            archives,
            desk,
        })
    }

    /// The hosts.
    pub fn hosts(&self) -> &[Host] {
        self.lab.hosts()
    }

    /// Directory of release archives.
    pub fn archives(&self) -> &Path {
        &self.archives
    }

    /// Starts all hosts side by side: what runs on them may wait for each other.
    pub fn boot_all(&self) -> Result<(), Box<dyn Error>> {
        std::thread::scope(|scope| {
            let boots: Vec<_> = self
                .hosts()
                .iter()
                .map(|host| scope.spawn(move || host.boot()))
                .collect();
            for boot in boots {
                boot.join().expect("a boot does not panic")?;
            }
            Ok(())
        })
    }

    /// Takes the hosts down.
    pub fn down(self) -> Result<(), Box<dyn Error>> {
        Ok(self.lab.down()?)
    }

    /// Puts an example of the repository into the working directory, with variables for these hosts.
    pub fn example(&self, name: &str) -> Result<(), Box<dyn Error>> {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../examples")
            .join(name)
            .join("main.tf");
        fs::copy(from, self.directory().join("main.tf"))?;
        Ok(())
    }

    /// Hosts with the quickstart's configuration, which was not applied yet.
    pub fn prepared(name: &str, hosts: Vec<HostSpec>) -> Result<Self, Box<dyn Error>> {
        let site = Self::new(name, hosts)?;
        site.example("quickstart")?;
        site.set(&site.quickstart())?;
        site.init()?;
        Ok(site)
    }

    /// Three hosts on which the quickstart runs.
    pub fn running(name: &str) -> Result<Self, Box<dyn Error>> {
        let site = Self::prepared(name, vec![HostSpec::new(Release::Bookworm); 3])?;
        site.apply()?.expect_ok();
        Ok(site)
    }

    /// The member of the quickstart on a host, counted from 1.
    pub fn member(&self, number: usize) -> Member<'_> {
        const KEYS: [&str; 3] = ["1", "2", "3"];
        Member {
            host: &self.hosts()[number - 1],
            cluster: "demo",
            key: KEYS[number - 1],
            port: 2379,
        }
    }

    /// The configuration with more lines in the quickstart's cluster.
    pub fn with(&self, lines: &str) -> Result<String, Box<dyn Error>> {
        let text = fs::read_to_string(self.directory().join("main.tf"))?;
        let issuer = "  issuer              = etcd_step_ca.main.issuer\n";
        let changed = text.replace(issuer, &format!("{issuer}  {lines}\n"));
        assert_ne!(changed, text, "the quickstart's cluster has an issuer");
        Ok(changed)
    }

    /// Variables of the quickstart for these hosts.
    pub fn quickstart(&self) -> Json {
        let first = &self.hosts()[0];
        json!({
            "hosts": self.hosts().iter().map(|host| host.address().to_string()).collect::<Vec<_>>(),
            "ssh_user": first.user(),
            "private_key_file": first.private_key_file(),
            "known_hosts_file": first.known_hosts_file(),
            "download_mirror": self.archives,
            "protected": false,
        })
    }

    /// The head of a configuration of its own: provider and login for these hosts.
    pub fn head(&self) -> String {
        let first = &self.hosts()[0];
        format!(
            r#"
terraform {{
  required_providers {{
    etcd = {{ source = "etcd-fleet/etcd" }}
  }}
}}
provider "etcd" {{
  ssh {{
    user             = "{}"
    private_key_file = "{}"
    known_hosts_file = "{}"
  }}
  download {{
    mirror = "{}"
  }}
}}
"#,
            first.user(),
            first.private_key_file().display(),
            first.known_hosts_file().display(),
            self.archives.display(),
        )
    }
}
