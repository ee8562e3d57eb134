//! What is looked at on the host of a CA.

use host::proto::{CaQuery, CertificateQuery, FileQuery, ObserveRequest};
use planner::{
    etcd_step_ca::{self as planner_ca, Desired},
    issuer::root_path,
    space, version,
};

/// Everything that drift, plan and status are made of.
pub(super) fn request(desired: &Desired) -> ObserveRequest {
    let directory = planner_ca::directory(desired.instance.as_ref());
    let file = |path: String, content| FileQuery { path, content };
    ObserveRequest {
        files: vec![
            file(directory.clone(), false),
            file(format!("{directory}/config/ca.json"), false),
            file(format!("/opt/step-ca/{}/step-ca", version::STEP_CA), false),
            file(format!("/opt/step/{}/step", version::STEP), false),
            file("/opt".to_owned(), false),
            file("/opt/bin".to_owned(), false),
            file(planner_ca::LINK.to_owned(), false),
            file(planner_ca::unit_file(desired).path, true),
            file(root_path(&desired.name), false),
        ],
        certificates: vec![CertificateQuery {
            path: root_path(&desired.name),
            ..CertificateQuery::default()
        }],
        units: vec![planner_ca::unit(desired.instance.as_ref())],
        cas: vec![CaQuery {
            directory,
            port: desired.port.into(),
        }],
        ports: vec![desired.port.into()],
        owners: vec![planner_ca::owner(&desired.name)],
        space: vec![space::PROGRAMS.0.to_owned()],
        ..ObserveRequest::default()
    }
}
