//! The committed code of `proto/` is what the compiler makes of it today.
//!
//! `UPDATE_EXPECT=1` writes it anew. Needs `protoc`, which building the workspace does not.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests lies in the workspace")
        .to_owned()
}

fn check(protos: &[&str], files: &[(&str, &str)], server: bool, client: bool) {
    let root = root();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let protos: Vec<_> = protos
        .iter()
        .map(|proto| root.join("proto").join(proto))
        .collect();
    tonic_prost_build::configure()
        .build_server(server)
        .build_client(client)
        .bytes(".etcd_node.v1.InstallRequest")
        .bytes(".etcd_node.v1.ReadBuildResponse")
        .out_dir(directory.path())
        .compile_protos(&protos, &[root.join("proto")])
        .expect("protoc is installed and the definitions are valid");
    for (package, committed) in files {
        let made = std::fs::read_to_string(directory.path().join(format!("{package}.rs")))
            .expect("a generated file");
        let committed = root.join(committed);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::create_dir_all(committed.parent().expect("a folder")).expect("a folder");
            std::fs::write(&committed, made).expect("a writable file");
        } else {
            let text = std::fs::read_to_string(&committed).expect("a committed file");
            assert!(
                made == text,
                "{} is stale: run this test with UPDATE_EXPECT=1 and commit it",
                committed.display()
            );
        }
    }
}

#[test]
fn the_plugin_protocol_is_fresh() {
    check(
        &[
            "tfplugin5.proto",
            "go-plugin/plugin.proto",
            "go-plugin/health.proto",
        ],
        &[
            ("tfplugin5", "src/plugin/gen/tfplugin5.rs"),
            ("plugin", "src/plugin/gen/plugin.rs"),
            ("grpc.health.v1", "src/plugin/gen/health.rs"),
        ],
        true,
        true,
    );
}

#[test]
fn the_helper_interface_is_fresh_on_both_ends() {
    check(
        &["node.proto"],
        &[("etcd_node.v1", "src/host/gen/node.rs")],
        false,
        true,
    );
    check(
        &["node.proto"],
        &[("etcd_node.v1", "src/node/gen/node.rs")],
        true,
        false,
    );
}
