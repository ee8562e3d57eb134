//! A build host: containers in a container, and a stand-in for the imager's image.
//!
//! The true image has hundreds of megabytes and comes from a registry that the lab cannot reach. The stand-in is made of
//! busybox without a network and honours the same contract (`stand_in_imager.sh`).

use crate::base::Release;
use crate::host::{Error, Host};
use crate::spec::HostSpec;

/// Reference under which the stand-in is in the host's own store.
pub const IMAGE: &str = "registry.internal/stand-in/imager:v1.11.5";

/// A directory in the OCI image layout. A build that is given it does not end as long as the file `hold` is in it.
pub const GATE: &str = "/srv/gate";

const STAND_IN: &str = include_str!("stand_in_imager.sh");

/// Programs that the stand-in finds.
const APPLETS: &str = "awk cat cut dd gzip mkdir mv rm sed sh sha256sum sleep tar tr";

/// Containers without control groups, kernel keyring and network: a host of the lab is a container itself, and lets go of
/// these.
const CONTAINERS: &str = r#"[containers]
cgroups = "disabled"
keyring = false
log_driver = "k8s-file"
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
"#;

/// An overlay file system cannot lie on another.
const STORAGE: &str = r#"[storage]
driver = "vfs"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
"#;

/// A host with what containers need.
pub fn spec(release: Release) -> HostSpec {
    HostSpec::new(release).with_packages(&["busybox-static", "crun", "podman"])
}

/// Sets the engine up, loads the stand-in, which makes ISOs of `image_mib` MiB, and opens the gate.
pub fn prepare(host: &Host, image_mib: u32) -> Result<(), Error> {
    write(host, "/etc/containers/containers.conf", CONTAINERS)?;
    write(host, "/etc/containers/storage.conf", STORAGE)?;
    write(
        host,
        &format!("{GATE}/oci-layout"),
        "{\"imageLayoutVersion\": \"1.0.0\"}",
    )?;
    write(host, "/root/stand-in/imager", STAND_IN)?;
    let make = format!(
        "cd /root/stand-in
        chmod 755 imager
        mkdir bin out
        cp /bin/busybox bin/
        for name in {APPLETS}; do ln -s busybox bin/$name; done
        tar -c . | podman import --quiet --change 'ENTRYPOINT [\"/imager\"]' --change 'ENV PATH=/bin' \
            --change 'ENV MIB={image_mib}' - {IMAGE}
        rm -r /root/stand-in"
    );
    host.root_text(&["sh", "-ceu", &make])?;
    Ok(())
}

/// Moves the stand-in from the host's store to a registry that speaks plain HTTP; gives its reference there.
pub fn publish(host: &Host, registry: &str) -> Result<String, Error> {
    let trust = format!("[[registry]]\nlocation = \"{registry}\"\ninsecure = true\n");
    write(host, "/etc/containers/registries.conf.d/lab.conf", &trust)?;
    let reference = format!("{registry}/stand-in/imager:v1.11.5");
    host.root_text(&["podman", "push", "--quiet", IMAGE, &reference])?;
    host.root_text(&["podman", "image", "rm", IMAGE])?;
    Ok(reference)
}

/// Lets builds begin and not end, or end.
pub fn hold(host: &Host, held: bool) -> Result<(), Error> {
    let gate = format!("{GATE}/hold");
    let verb = if held { "touch" } else { "rm" };
    host.root_text(&[verb, &gate])?;
    Ok(())
}

/// Names of the containers that are there, running or not.
pub fn containers(host: &Host) -> Result<Vec<String>, Error> {
    lines(host, &["podman", "ps", "--all", "--format", "{{.Names}}"])
}

/// Names of all containers that there ever were, by the engine's own account.
pub fn containers_so_far(host: &Host) -> Result<Vec<String>, Error> {
    let argv = "podman events --stream=false --since 24h --filter event=create --filter type=container \
                --format '{{.Name}}'";
    lines(host, &["sh", "-c", argv])
}

/// Images in the engine's store.
pub fn images(host: &Host) -> Result<Vec<String>, Error> {
    let format = "{{.Repository}}:{{.Tag}}";
    lines(host, &["podman", "images", "--all", "--format", format])
}

/// Writes a file of root's.
pub fn write(host: &Host, path: &str, text: &str) -> Result<(), Error> {
    let script = "mkdir -p \"$(dirname \"$1\")\"\nprintf %s \"$2\" >\"$1\"";
    host.root_text(&["sh", "-ceu", script, "sh", path, text])?;
    Ok(())
}

fn lines(host: &Host, argv: &[&str]) -> Result<Vec<String>, Error> {
    let text = host.root_text(argv)?;
    Ok(text.lines().map(str::to_owned).collect())
}
