use super::*;

/// YAML and the id that is published for it (image-factory's docs and tests, the Talos docs).
const PUBLISHED: [(&str, &str); 14] = [
    (
        "customization: {}",
        "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba",
    ),
    (
        "{customization: {systemExtensions: {officialExtensions: [siderolabs/qemu-guest-agent]}}}",
        "ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515",
    ),
    (
        "{customization: {extraKernelArgs: [noapic, nolapic]}}",
        "9cba8e32753f91a16c1837ab8abf356af021706ef284aef07380780177d9a06c",
    ),
    (
        "{customization: {extraKernelArgs: [nolapic, nomodeset]}}",
        "e0fb1129bbbdfb5d002e94af4cdce712a8370e850950a33a242d4c3f178c532d",
    ),
    (
        "{customization: {systemExtensions: {officialExtensions: [siderolabs/amd-ucode, \
         siderolabs/gvisor, siderolabs/gasket-driver]}}}",
        "51ff3e49313773332729a5c04e57af0dbe2e6d3f65ff638e6d4c3a05065fefff",
    ),
    (
        "{customization: {meta: [{key: 10, value: foo}]}}",
        "d308a2a5ee2277bed5fbaa104fcbc8d59122abfa737df987a95b4ca763459a7f",
    ),
    (
        r#"{customization: {meta: [{key: 0xa, value: '{"externalIPs":["1.2.3.4"]}'}]}}"#,
        "fe866116408a5a13dab7d5003eb57a00954ea81ebeec3fbbcd1a6d4462a00036",
    ),
    (
        "{overlay: {image: siderolabs/sbc-raspberrypi, name: rpi_generic}}",
        "ee21ef4a5ef808a9b7484cc0dda0f25075021691c8c09a276591eedb638ea1f9",
    ),
    (
        "{customization: {secureboot: {includeWellKnownCertificates: true}}}",
        "fa8e05f142a851d3ee568eb0a8e5841eaf6b0ebc8df9a63df16ac5ed2c04f3e6",
    ),
    (
        "{customization: {bootloader: grub}}",
        "39d496b2cbdb6265d3b714514c5334bf010f1b4d31b23b9e38c80fb2f3ad7ecb",
    ),
    (
        "{customization: {bootloader: sd-boot}}",
        "9ed5fecdacb36b5c5427b87d409f1065cfb2df69b0f71c58b868d9d466d8dab3",
    ),
    (
        "{customization: {diskImage: {sectorSize: 4096}}}",
        "92833e9ddd9bb9e11b2464fa5525429f01866306d52ebd882ee08d7918f6d1ea",
    ),
    (
        "{customization: {extraKernelArgs: [net.ifnames=0], systemExtensions: \
         {officialExtensions: [siderolabs/gvisor, siderolabs/intel-ucode]}}}",
        "b8e8fbbe1b520989e6c52c8dc8303070cb42095997e76e812fa8892393e1d176",
    ),
    (
        "{customization: {extraKernelArgs: [talos.unified_cgroup_hierarchy=1], systemExtensions: \
         {officialExtensions: [siderolabs/intel-ucode, siderolabs/qemu-guest-agent, \
         siderolabs/crun, siderolabs/ctr]}}}",
        "2c80398aadeec6f67750bd9a79d3dc3b451bf59ec1eec75c2ab6ca826788737c",
    ),
];

#[test]
fn gives_the_published_ids() {
    for (yaml, id) in PUBLISHED {
        let schematic = Schematic::parse(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"));
        assert_eq!(
            schematic.id().as_str(),
            id,
            "{yaml}:\n{}",
            schematic.canonical()
        );
        let again = Schematic::parse(&schematic.canonical());
        assert_eq!(again, Ok(schematic), "{yaml}");
    }
}
