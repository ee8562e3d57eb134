//! Logins are nowhere but where the user put them: not in a log, a state, a plan, a cache or a temporary file.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use flate2::read::DeflateDecoder;
use proxmox_server::{Account, Spec};
use registries::{Login, Options, PASSWORD, RegistryServer, USER};
use tests::Outcome;

use crate::scene::{SHARED, Scene, on_shared};

/// A user of the Proxmox cluster, with a token.
const OPERATOR: &str = "ci@pve";
const TOKEN_SECRET: &str = "5ec2e700-7a11-4a11-8a11-0123456789ab";
const TICKET_PASSWORD: &str = "planted-password-of-a-ticket";
const FACTORY_PASSWORD: &str = "planted-password-of-the-factory";
/// `ops:` and the password of the factory.
const FACTORY_LOGIN: &str = "b3BzOnBsYW50ZWQtcGFzc3dvcmQtb2YtdGhlLWZhY3Rvcnk=";
/// `ops:` and the password of the registry.
const REGISTRY_LOGIN: &str = "b3BzOmNvcnJlY3QgaG9yc2U6IGJhdHRlcnk=";
/// How each ticket of that user begins.
const TICKET: &str = "PVE:ci@pve:";
/// The one file that is given a login.
const LOGINS: &str = "auth.json";

const SECRETS: [&str; 8] = [
    TOKEN_SECRET,
    TICKET_PASSWORD,
    FACTORY_PASSWORD,
    FACTORY_LOGIN,
    PASSWORD,
    REGISTRY_LOGIN,
    TICKET,
    "PVE%3Aci",
];

/// Files below a directory; what is linked lies elsewhere.
fn files(directory: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            found.extend(files(&entry.path())?);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// The files in a ZIP archive, as those of plans are.
fn unpacked(archive: &[u8]) -> Vec<Vec<u8>> {
    const HEAD: &[u8] = b"PK\x03\x04";
    let number = |at: usize| usize::from(u16::from_le_bytes([archive[at], archive[at + 1]]));
    let heads = archive.windows(HEAD.len()).enumerate();
    let heads = heads.filter(|(_, window)| *window == HEAD);
    let mut found = Vec::new();
    for (head, _) in heads {
        // The names end the head; the content says itself where it ends (APPNOTE 4.3.7).
        let content = head + 30 + number(head + 26) + number(head + 28);
        let mut file = Vec::new();
        let read = DeflateDecoder::new(&archive[content..]).read_to_end(&mut file);
        if read.is_ok() {
            found.push(file);
        }
    }
    found
}

/// Which secret is in it.
fn leak(bytes: &[u8]) -> Option<&'static str> {
    let is_in = |secret: &&&str| {
        let secret = secret.as_bytes();
        bytes.windows(secret.len()).any(|window| window == secret)
    };
    SECRETS.iter().find(is_in).copied()
}

/// Plans into a file, and applies what was planned.
fn by_saved_plan(scene: &Scene, name: &str) -> Outcome {
    let out = format!("-out={name}");
    let plan = scene.desk.run(&["plan", "-no-color", &out])?;
    plan.expect_ok();
    let apply = scene.desk.run(&["apply", "-no-color", name])?;
    apply.expect_ok();
    for run in [plan, apply] {
        assert_eq!(leak(run.text.as_bytes()), None, "{run}");
    }
    Ok(())
}

#[test]
fn no_login_is_written_anywhere() -> Outcome {
    let mut spec = Spec::default();
    spec.accounts.push(
        Account::new(OPERATOR)
            .password(TICKET_PASSWORD)
            .grant(
                "/storage",
                &[
                    "Datastore.Audit",
                    "Datastore.Allocate",
                    "Datastore.AllocateTemplate",
                ],
            )
            .token("images", TOKEN_SECRET),
    );
    let mut scene = Scene::with(spec)?;
    let front = scene.factory.front();
    front.require_login_of_a_proxy(&format!("Basic {FACTORY_LOGIN}"));
    let registry = scene.runtime.block_on(RegistryServer::start(Options {
        login: Login::Basic,
        ..Options::default()
    }));
    let host = registry.host().to_owned();
    let auth = serde_json::json!({"auths": {&host: {"username": USER, "password": PASSWORD}}});
    scene.desk.write(LOGINS, &auth.to_string())?;

    // Values that Core itself keeps nowhere.
    let names = ["token", "password", "factory"];
    let variables = names.map(|name| {
        format!("variable \"{name}\" {{\n  type      = string\n  ephemeral = true\n}}\n")
    });
    scene.desk.write("variables.tf", &variables.concat())?;
    let directory = scene.desk.directory().to_owned();
    let (temporary, log) = (directory.join("tmp"), directory.join("trace.log"));
    fs::create_dir(&temporary)?;
    let token = format!("{OPERATOR}!images={TOKEN_SECRET}");
    scene.desk.environment.extend([
        ("TF_VAR_token", token.into()),
        ("TF_VAR_password", TICKET_PASSWORD.into()),
        ("TF_VAR_factory", FACTORY_PASSWORD.into()),
        ("TMPDIR", temporary),
        ("TF_LOG", "trace".into()),
        ("TF_LOG_PATH", log.clone()),
    ]);
    scene.lines.factory = "    username = \"ops\"\n    password = var.factory\n".to_owned();
    let artifact = format!(
        "  artifact_repository = \"{host}/images\"\n  installer {{\n    repository = \
         \"{host}/installer\"\n  }}\n{}",
        on_shared()
    );
    let logins = [
        "    api_token = var.token\n    ca_file = \"ca.pem\"\n".to_owned(),
        format!(
            "    username = \"{OPERATOR}\"\n    password = var.password\n    ca_file = \
             \"ca.pem\"\n"
        ),
    ];
    for (run, login) in logins.into_iter().enumerate() {
        scene.lines.proxmox = login;
        scene.artifact(&artifact)?;
        if run == 0 {
            scene.desk.init()?;
        }
        by_saved_plan(&scene, &format!("saved-{run}"))?;
        assert_eq!(scene.proxmox.count("POST", "/upload"), run + 1);
        scene.desk.expect_no_change()?;
        let name = scene.state("talos_image_file_name")?;
        let name = name.as_str().unwrap_or_default();
        fs::remove_file(scene.proxmox.path("pve01", SHARED, "iso", name))?;
    }
    // An error quotes what a server says: still no login.
    scene.proxmox.expire_tickets();
    scene.factory.front().require_login("Basic another");
    let plan = scene.desk.plan()?;
    plan.expect_says("401");
    assert_eq!(leak(plan.text.as_bytes()), None, "{plan}");

    let mut searched = Vec::new();
    for path in files(&directory)? {
        if path.file_name().is_some_and(|name| name == LOGINS) {
            continue;
        }
        let bytes = fs::read(&path)?;
        let mut contents = unpacked(&bytes);
        searched.push((path.clone(), contents.len()));
        contents.push(bytes);
        for content in contents {
            assert_eq!(leak(&content), None, "{}", path.display());
        }
    }
    // All of these are there to be searched, and what is searched finds what it should.
    let has = |name: &str, parts: usize| {
        let is_it = |(path, found): &(PathBuf, usize)| path.ends_with(name) && *found >= parts;
        assert!(searched.iter().any(is_it), "{name}: {searched:?}");
    };
    has("terraform.tfstate", 0);
    has("saved-0", 3);
    has("saved-1", 3);
    has("trace.log", 0);
    let told = fs::read_to_string(log)?;
    for words in ["transfer goes on", "tf_rpc", "[TRACE]"] {
        assert!(told.contains(words), "{words} is not in the log");
    }
    assert_eq!(leak(&fs::read(directory.join(LOGINS))?), Some(PASSWORD));
    Ok(())
}
