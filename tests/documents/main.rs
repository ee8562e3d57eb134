//! The generated pages are what the schemas say now, and every example is complete.
//!
//! `UPDATE_EXPECT=1 cargo test -p tests --test documents` writes them anew.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use provider::EtcdProvider;
use tf_plugin::{
    Schema,
    docs::{Page, function_page, page},
    provider::{Provider, Resource},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn example(path: &str) -> String {
    let path = root().join("examples").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Compares a page with the schema, or writes it.
fn check(path: &str, text: &str) {
    let place = root().join("docs").join(path);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::create_dir_all(place.parent().expect("below docs")).expect("a directory");
        fs::write(&place, text).expect("a page");
        return;
    }
    let there = fs::read_to_string(&place).unwrap_or_default();
    assert!(
        there == text,
        "docs/{path} is stale: run this test with UPDATE_EXPECT=1 and commit it"
    );
}

fn resources() -> Vec<Arc<dyn Resource>> {
    EtcdProvider::new().resources()
}

#[test]
fn the_provider_has_its_page() {
    let text = example("provider/provider.tf");
    let about = Page {
        name: "etcd",
        kind: "Provider",
        example: &text,
        import: "",
    };
    check("index.md", &page(&about, &EtcdProvider::new().schema()));
}

#[test]
fn every_resource_has_its_page_and_example() {
    for resource in resources() {
        let name = resource.type_name();
        let (hcl, import) = (
            example(&format!("resources/{name}/resource.tf")),
            fs::read_to_string(root().join(format!("examples/resources/{name}/import.sh")))
                .unwrap_or_default(),
        );
        let about = Page {
            name,
            kind: "Resource",
            example: &hcl,
            import: &import,
        };
        let short = name.strip_prefix("etcd_").unwrap_or(name);
        check(
            &format!("resources/{short}.md"),
            &page(&about, &resource.schema()),
        );
    }
}

#[test]
fn every_function_has_its_page_and_example() {
    for function in EtcdProvider::new().functions() {
        let signature = function.signature();
        let hcl = example(&format!("functions/{}/function.tf", signature.name));
        check(
            &format!("functions/{}.md", signature.name),
            &function_page("etcd", &signature, &hcl),
        );
    }
}

#[test]
fn every_schema_is_valid_and_described() {
    let mut schemas: Vec<(String, Schema)> = resources()
        .iter()
        .map(|one| (one.type_name().to_owned(), one.schema()))
        .collect();
    schemas.push(("provider".to_owned(), EtcdProvider::new().schema()));
    for (name, schema) in schemas {
        assert_eq!(schema.problems(), Vec::<String>::new(), "{name}");
        for attribute in &schema.block.attributes {
            assert!(
                attribute.description.ends_with(['.', '`']) || attribute.name == "nodes",
                "{name}.{}",
                attribute.name
            );
        }
    }
}
