//! A build host with the real podman, a stand-in for the imager's image, and the helper under test.

use lab::{Release, build_host};

use crate::station::Station;

pub(crate) use lab::build_host::{GATE, IMAGE};

/// Bytes of what the stand-in makes.
pub(crate) const SIZE: u64 = (MIB as u64) << 20;

const MIB: u32 = 96;

/// Brings a build host up, with the stand-in loaded and the gate open.
pub(crate) async fn up(name: &str, release: Release) -> Station {
    let station = Station::on(name, build_host::spec(release)).await;
    build_host::prepare(station.host(), MIB).expect("the stand-in is loaded");
    station
}

/// Lets builds begin and not end, or end.
pub(crate) fn hold(station: &Station, held: bool) {
    build_host::hold(station.host(), held).expect("the gate moves");
}

/// Names of the containers that are there, running or not.
pub(crate) fn containers(station: &Station) -> Vec<String> {
    build_host::containers(station.host()).expect("podman answers")
}
