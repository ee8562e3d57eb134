//! A CA on a host: made and started by the helper, with the real step and step-ca.

use crate::{
    proto::{
        CaFact, CaQuery, Consumer, CreateCertificateRequestRequest, InitialiseCaRequest,
        ObserveRequest, SignRequest, control_unit_request::Verb,
    },
    release::{Archive, install},
    station::{Station, until},
};

pub(crate) const OWNER: &str = "etcd_step_ca/main";
pub(crate) const ID: &str = "ca-1";
pub(crate) const DIRECTORY: &str = "/etc/step-ca";
pub(crate) const ROOT: &str = "/etc/step-ca/certs/root_ca.crt";
pub(crate) const UNIT: &str = "step-ca.service";
pub(crate) const PORT: u32 = 9000;

/// The cluster that asks for certificates.
pub(crate) const CLUSTER: &str = "etcd_cluster/k8s";
pub(crate) const CLUSTER_ID: &str = "k8s-1";
pub(crate) const KEY: &str = "/etc/etcd/ssl/etcd-k8s-1-peer.key";
const NAMES: [&str; 2] = ["etcd-k8s-1", "k8s.peer.etcd.internal"];

/// What the helper is asked to make on this host.
pub(crate) fn wish(station: &Station) -> InitialiseCaRequest {
    InitialiseCaRequest {
        owner: OWNER.to_owned(),
        id: ID.to_owned(),
        directory: DIRECTORY.to_owned(),
        name: "Main".to_owned(),
        provisioner: "etcd-provisioner".to_owned(),
        dns_names: vec![station.address()],
        listen: format!(":{PORT}"),
        root_lifetime_hours: 87_600,
        intermediate_lifetime_hours: 43_800,
        min_lifetime: "1h".to_owned(),
        default_lifetime: "24h".to_owned(),
        max_lifetime: "48h".to_owned(),
        step_path: "/opt/bin/step".to_owned(),
    }
}

/// Puts step and step-ca on the host.
pub(crate) async fn programs(station: &mut Station) {
    for program in ["step", "step-ca"] {
        let archive = Archive::only(program);
        let header = archive.header(OWNER, ID, program, &[program]);
        install(&mut station.node, header, &archive.content)
            .await
            .expect("installed");
    }
}

/// Makes the CA and starts it.
pub(crate) async fn start(station: &mut Station) {
    programs(station).await;
    let wish = wish(station);
    station.node.initialise_ca(wish).await.expect("made");
    serve(station).await;
}

/// Starts step-ca and waits until it answers.
pub(crate) async fn serve(station: &mut Station) {
    let content = format!(
        "[Service]\n\
         ExecStart=/opt/bin/step-ca --password-file {DIRECTORY}/secrets/intermediate_password \
         {DIRECTORY}/config/ca.json\n\
         Environment=STEPPATH={DIRECTORY}\n"
    );
    station.unit(OWNER, ID, UNIT, &content).await;
    station.control(OWNER, UNIT, Verb::Start).await;
    until("step-ca is healthy", async || {
        fact(station).await.healthy.then_some(())
    })
    .await;
}

/// What the helper sees of the CA.
pub(crate) async fn fact(station: &mut Station) -> CaFact {
    let query = CaQuery {
        directory: DIRECTORY.to_owned(),
        port: PORT,
    };
    let request = ObserveRequest {
        cas: vec![query],
        ..ObserveRequest::default()
    };
    let seen = station.node.observe(request).await.expect("facts");
    seen.into_inner().cas.remove(0)
}

/// What is to be signed for a request of [`CLUSTER`], which the helper makes with its key.
pub(crate) async fn request(station: &mut Station) -> SignRequest {
    let names = NAMES.map(str::to_owned).to_vec();
    let addresses = vec![station.address(), "127.0.0.1".to_owned()];
    let wish = CreateCertificateRequestRequest {
        owner: CLUSTER.to_owned(),
        id: CLUSTER_ID.to_owned(),
        key_path: KEY.to_owned(),
        user: "root".to_owned(),
        group: "root".to_owned(),
        mode: 0o400,
        common_name: NAMES[1].to_owned(),
        dns_names: names.clone(),
        ip_addresses: addresses.clone(),
    };
    let made = station.node.create_certificate_request(wish).await;
    SignRequest {
        ca_directory: DIRECTORY.to_owned(),
        ca_port: PORT,
        csr_pem: made.expect("a request").into_inner().csr_pem,
        common_name: NAMES[1].to_owned(),
        dns_names: names,
        ip_addresses: addresses,
        lifetime_seconds: 24 * 3600,
        consumer: Some(consumer("k8s", CLUSTER_ID)),
    }
}

pub(crate) fn consumer(name: &str, id: &str) -> Consumer {
    Consumer {
        name: name.to_owned(),
        id: id.to_owned(),
    }
}
