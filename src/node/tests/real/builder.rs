//! A build host with the real podman, and a stand-in for the imager's image.
//!
//! The true image has hundreds of megabytes and comes from a registry that the lab cannot reach. The
//! stand-in is built from busybox without a network and honours the same contract: a profile as first
//! argument or `-` for one on standard input, options, progress on standard error, one file in /out
//! named after platform and architecture.

use lab::{HostSpec, Release};

use crate::station::Station;

/// Reference of the stand-in.
pub(crate) const IMAGE: &str = "registry.internal/stand-in/imager:v1.11.5";

/// As long as the file `hold` is in it, builds do not end.
pub(crate) const GATE: &str = "/srv/gate";

/// Bytes of what the stand-in makes.
pub(crate) const SIZE: u64 = 96 << 20;

/// Containers without control groups, kernel keyring and network: a host of the lab is a container
/// itself, and lets go of these.
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

const STAND_IN: &str = r#"#!/bin/sh
set -eu
platform=metal arch=amd64 kind=$1
shift
if [ "$kind" = - ]; then
    while read -r key value; do
        case "$key" in
        platform:) platform=$value ;;
        arch:) arch=$value ;;
        ociPath:) [ -f "$value/oci-layout" ] || { echo "Error: no layout at $value" >&2; exit 1; } ;;
        esac
    done
    kind=iso
fi
while [ $# -gt 0 ]; do
    case "$1" in
    --platform) platform=$2 ;;
    --arch) arch=$2 ;;
    --system-extension-image) echo "Error: error pulling $2: no route to host" >&2; exit 1 ;;
    *) echo "Error: unknown flag: $1" >&2; exit 1 ;;
    esac
    shift 2
done
[ "$kind" = iso ] || { echo "Error: unknown profile $kind" >&2; exit 1; }
echo "profile ready:" >&2
printf 'arch: %s\nplatform: %s\n' "$arch" "$platform" >&2
echo "mounts: $(awk '{ printf "%s ", $2 }' /proc/mounts)" >&2
if [ -e /layouts/gate/hold ]; then
    : >/out/half.iso
    echo "building 50%" >&2
    while [ -e /layouts/gate/hold ]; do sleep 0.05; done
fi
dd if=/dev/urandom of="/out/$platform-$arch.iso" bs=1M count=96 2>/dev/null
echo "output written" >&2
"#;

/// Brings a build host up, with the stand-in loaded and the gate open.
pub(crate) async fn up(name: &str, release: Release) -> Station {
    let spec = HostSpec::new(release).with_packages(&["busybox-static", "crun", "podman"]);
    let station = Station::on(name, spec).await;
    write(&station, "/etc/containers/containers.conf", CONTAINERS);
    write(&station, "/etc/containers/storage.conf", STORAGE);
    write(
        &station,
        &format!("{GATE}/oci-layout"),
        "{\"imageLayoutVersion\": \"1.0.0\"}",
    );
    write(&station, "/root/stand-in/imager", STAND_IN);
    let make = format!(
        "cd /root/stand-in
        chmod 755 imager
        mkdir bin out
        cp /bin/busybox bin/
        for name in awk dd sh sleep; do ln -s busybox bin/$name; done
        tar -c . | podman import --quiet --change 'ENTRYPOINT [\"/imager\"]' --change 'ENV PATH=/bin' - {IMAGE}"
    );
    station.root(&["sh", "-ceu", &make]);
    station
}

/// Lets builds begin and not end, or end.
pub(crate) fn hold(station: &Station, held: bool) {
    let gate = format!("{GATE}/hold");
    let words = if held {
        ["touch", &gate]
    } else {
        ["rm", &gate]
    };
    station.root(&words);
}

/// Names of the containers that are there, running or not.
pub(crate) fn containers(station: &Station) -> Vec<String> {
    let names = station.root(&["podman", "ps", "--all", "--format", "{{.Names}}"]);
    names.lines().map(str::to_owned).collect()
}

fn write(station: &Station, path: &str, text: &str) {
    let script = "mkdir -p \"$(dirname \"$1\")\"\nprintf %s \"$2\" >\"$1\"";
    station.root(&["sh", "-ceu", script, "sh", path, text]);
}
