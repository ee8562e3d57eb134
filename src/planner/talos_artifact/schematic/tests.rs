use expect_test::expect;

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

/// One line of the fixture.
#[derive(serde::Deserialize)]
struct Vector {
    input: String,
    #[serde(default)]
    id: String,
    /// The factory's words, if it takes no such schematic.
    #[serde(default)]
    refused: String,
}

/// What the factory takes and YAML 1.2 does not, or what has no use: refused here, with a place. An
/// id is never another one for that.
fn is_only_taken_there(error: &InvalidSchematic) -> bool {
    let reasons = [
        "plain scalar cannot start with '-' followed by ,[]{}",
        "invalid indentation",
        "the tag !",
    ];
    error
        .0
        .iter()
        .all(|fault| reasons.iter().any(|reason| fault.what.starts_with(reason)))
}

#[test]
fn agrees_with_the_factory_on_every_vector() {
    let mut wrong = Vec::new();
    let (mut same, mut refused) = (0, 0);
    for line in include_str!("vectors.jsonl").lines().skip(1) {
        let vector: Vector = serde_json::from_str(line).expect("a vector");
        match Schematic::parse(&vector.input) {
            Ok(schematic) if schematic.id().as_str() == vector.id => {
                same += 1;
                let again = Schematic::parse(&schematic.canonical());
                // What the writer there cannot write, its reader cannot read.
                if let Ok(again) = again {
                    assert_eq!(again.canonical(), schematic.canonical(), "{}", vector.input);
                }
            }
            Ok(schematic) => wrong.push(format!(
                "{:?}\n{}{}",
                vector.input,
                schematic.canonical(),
                vector.refused
            )),
            Err(_) if vector.id.is_empty() => refused += 1,
            Err(error) if is_only_taken_there(&error) => {}
            Err(error) => wrong.push(format!("{:?}: {error}", vector.input)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(same > 550 && refused > 40, "{same} {refused}");
}

#[test]
fn quotes_scalars_as_the_factory_does() {
    let plain = [
        "console=ttyS0,115200",
        "-init_on_alloc",
        "key=a:b",
        "=",
        "a b",
        "v1.2",
        "é",
    ];
    let double = [
        "true",
        "yes",
        "on",
        "No",
        "y",
        "null",
        "~",
        "123",
        "0x10",
        "1e3",
        ".5",
        "1_000",
        "0o7",
        "12:30:45",
        "2020-01-01",
        "<<",
        "",
        "08",
        "a\tb",
    ];
    let single = [
        "*x", "&x", "!x", "%x", "@x", "{a}", "a: b", "x:", "\"dq\"", " x", "x ", "a #b",
    ];
    let written = |text: &str| {
        let schematic = Schematic {
            kernel_args: vec![text.to_owned()],
            ..Schematic::default()
        };
        let canonical = schematic.canonical();
        let (_, item) = canonical.split_once("- ").expect("an item");
        item.trim_end_matches('\n').to_owned()
    };
    for text in plain {
        assert_eq!(written(text), text);
    }
    for text in double {
        assert_eq!(written(text), format!("\"{}\"", text.replace('\t', "\\t")));
    }
    for text in single {
        assert_eq!(written(text), format!("'{text}'"));
    }
    assert_eq!(written("a\nb"), "|-\n          a\n          b");
    assert_eq!(written("a\nb\n"), "|\n          a\n          b");
    let long = "word ".repeat(60) + "end";
    assert_eq!(written(&long), long, "lines are not folded");
}

/// What is wrong with a schematic, a line each.
fn faults(yaml: &str) -> String {
    match Schematic::parse(yaml) {
        Ok(schematic) => panic!("{yaml} is {schematic:?}"),
        Err(error) => error
            .0
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

#[test]
fn names_every_fault_with_its_place() {
    expect![[r#"
        line 1, column 1: field customisation is unknown in a schematic (did you mean customization?)
        line 3, column 3: field extraKernelArg is unknown in customization (did you mean extraKernelArgs?)
        line 5, column 12: a whole number from 0 to 255 is wanted, not "300"
        line 6, column 14: text is wanted, not a list
        line 7, column 3: field customExtensions is unknown in customization (did you mean systemExtensions?)
        line 8, column 15: "sdboot" is none of none, dual-boot, sd-boot, grub (did you mean sd-boot?)"#]].assert_eq(&faults(
        "customisation: {}\ncustomization:\n  extraKernelArg: [a]\n  meta:\n    - key: 300\n      value: [a]\n  \
         customExtensions: []\n  bootloader: sdboot\n",
    ));
    for (yaml, expected) in [
        (
            "",
            expect![
                "line 1, column 1: there is no document; an empty schematic is written customization: {}"
            ],
        ),
        (
            "customization: {}\ncustomization: {}\n",
            expect!["line 2, column 1: key customization stands already in line 1"],
        ),
        (
            "customization:\n  extraKernelArgs:\n    - a\n    -\n",
            expect!["line 4, column 6: an item that is empty"],
        ),
        (
            "customization: {}\n---\ncustomization: {}\n",
            expect!["line 2, column 1: a second document: the factory reads the first one only"],
        ),
        (
            "customization: {secureboot: {enrollKeys: if-safe}}",
            expect![
                "line 1, column 42: if-safe is what holds without enrollKeys: leave the key out, so that the id is clear"
            ],
        ),
        (
            "customization: {extraKernelArgs: [a",
            expect!["line 2, column 1: while parsing a flow sequence, expected ',' or ']'"],
        ),
        (
            "customization: {extraKernelArgs: [\"a\u{2028}b\"]}",
            expect![
                "line 1, column 37: a line separator that is not a line feed: write it as an escape in double quotes"
            ],
        ),
    ] {
        expected.assert_eq(&faults(yaml));
    }
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let levels = (1..9).map(|level| {
        let before = format!("*a{}", level - 1);
        format!(
            "    a{level}: &a{level} [{}]\n",
            vec![before; 10].join(", ")
        )
    });
    let first = "overlay:\n  options:\n    a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    let yaml: String = std::iter::once(first).chain(levels).collect();
    assert!(faults(&yaml).contains("too large"));
    let deep = format!(
        "overlay: {{options: {{a: {}x{}}}}}",
        "[".repeat(100),
        "]".repeat(100)
    );
    assert!(!faults(&deep).is_empty());
}

#[test]
fn order_is_kept_and_part_of_the_id() {
    let id = |list: &str| {
        let yaml = format!("customization: {{systemExtensions: {{officialExtensions: [{list}]}}}}");
        Schematic::parse(&yaml).map(|schematic| schematic.id())
    };
    assert_ne!(
        id("siderolabs/a, siderolabs/b"),
        id("siderolabs/b, siderolabs/a")
    );
    let options = Schematic::parse("overlay: {image: i, name: n, options: {c10: 1, c2: 2, b: 3}}");
    let canonical = options
        .map(|schematic| schematic.canonical())
        .unwrap_or_default();
    let order: Vec<usize> = ["b:", "c2:", "c10:"]
        .iter()
        .filter_map(|key| canonical.find(key))
        .collect();
    assert!(order.len() == 3 && order.is_sorted(), "{canonical}");
}
