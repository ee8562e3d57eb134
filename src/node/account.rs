//! Users and groups of the host, by the tables themselves: a static program has no name service.

use std::{fs, os::unix::fs::lchown, path::Path};

use crate::{
    failure::Failed,
    program,
    proto::{Outcome, User, failure::Kind},
    record,
    root::Root,
};

/// A line of /etc/passwd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: String,
}

/// Numbers that a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The user of a name.
pub(crate) fn user(root: &Root, name: &str) -> Option<Account> {
    row(root, "/etc/passwd", 0, name).and_then(|fields| {
        Some(Account {
            uid: fields.get(2)?.parse().ok()?,
            gid: fields.get(3)?.parse().ok()?,
            home: fields.get(5)?.clone(),
        })
    })
}

fn group(root: &Root, name: &str) -> Option<u32> {
    row(root, "/etc/group", 0, name)?.get(2)?.parse().ok()
}

/// Name of a uid, or the number where there is none.
pub(crate) fn user_name(root: &Root, uid: u32) -> String {
    row(root, "/etc/passwd", 2, &uid.to_string())
        .map_or_else(|| uid.to_string(), |fields| fields[0].clone())
}

/// Name of a gid, or the number where there is none.
pub(crate) fn group_name(root: &Root, gid: u32) -> String {
    row(root, "/etc/group", 2, &gid.to_string())
        .map_or_else(|| gid.to_string(), |fields| fields[0].clone())
}

fn row(root: &Root, table: &str, column: usize, value: &str) -> Option<Vec<String>> {
    let text = fs::read_to_string(root.at(table)).ok()?;
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(column) == Some(&value))
            .then(|| fields.iter().map(|field| (*field).to_owned()).collect())
    })
}

/// Numbers of a user and a group by name.
pub(crate) fn ids(root: &Root, user_name: &str, group_name: &str) -> Result<Ids, Failed> {
    let missing = |what: &str, name: &str| {
        Failed::new(
            Kind::NotFound,
            name,
            format!("there is no {what} {name} on this host"),
        )
    };
    let uid = user(root, user_name)
        .ok_or_else(|| missing("user", user_name))?
        .uid;
    let gid = group(root, group_name).ok_or_else(|| missing("group", group_name))?;
    Ok(Ids { uid, gid })
}

/// Makes a system user with a group of the same name where there is none.
pub(crate) fn create(root: &Root, wish: &User) -> Result<Outcome, Failed> {
    let plain = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || "_-".contains(character)
    };
    let starts_well = wish
        .name
        .starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    if !starts_well || wish.name.len() > 32 || !wish.name.chars().all(plain) {
        return Err(Failed::invalid(
            &wish.name,
            format!("{:?} is not a user's name", wish.name),
        ));
    }
    if user(root, &wish.name).is_some() {
        return Ok(Outcome::NotNeeded);
    }
    let mut arguments = vec![
        "--system",
        "--home-dir",
        wish.home.as_str(),
        "--no-create-home",
        "--shell",
        "/usr/sbin/nologin",
    ];
    if group(root, &wish.name).is_some() {
        arguments.extend(["--gid", wish.name.as_str()]);
    } else {
        arguments.push("--user-group");
    }
    arguments.extend(["--", wish.name.as_str()]);
    program::run("useradd", &arguments)?;
    Ok(Outcome::Added)
}

/// Removes a user that we made, with its group.
pub(crate) fn remove(root: &Root, name: &str) -> Result<(), Failed> {
    if user(root, name).is_none() {
        return Ok(());
    }
    program::run("userdel", &["--", name])?;
    // userdel takes the group along only where USERGROUPS_ENAB says so.
    if group(root, name).is_some() {
        program::run("groupdel", &["--", name])?;
    }
    Ok(())
}

/// Gives a tree to root, without following links: nothing is left of a user that goes.
pub(crate) fn give_to_root(path: &Path) -> Result<(), Failed> {
    let failed = |error: &std::io::Error| Failed::io("changing the owner of", path, error);
    let root = record::root_ids();
    lchown(path, Some(root.uid), Some(root.gid)).map_err(|error| failed(&error))?;
    let is_directory = fs::symlink_metadata(path)
        .map_err(|error| failed(&error))?
        .is_dir();
    if is_directory {
        for entry in fs::read_dir(path).map_err(|error| failed(&error))? {
            give_to_root(&entry.map_err(|error| failed(&error))?.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_tables_and_falls_back_to_numbers() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("etc")).expect("etc");
        fs::write(
            directory.path().join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nbroken\netcd:x:998:997::/var/lib/etcd:/bin/false\n",
        )
        .expect("a table");
        fs::write(
            directory.path().join("etc/group"),
            "root:x:0:\netcd:x:997:\n",
        )
        .expect("a table");
        let root = Root::below(directory.path());
        let etcd = user(&root, "etcd").expect("a user");
        assert_eq!(
            (etcd.uid, etcd.gid, etcd.home.as_str()),
            (998, 997, "/var/lib/etcd")
        );
        assert_eq!(user(&root, "broken"), None);
        assert_eq!(
            ids(&root, "root", "etcd").expect("both"),
            Ids { uid: 0, gid: 997 }
        );
        assert_eq!(
            ids(&root, "nobody", "etcd").expect_err("absent").0.kind(),
            Kind::NotFound
        );
        assert_eq!(
            (user_name(&root, 998), group_name(&root, 5)),
            ("etcd".into(), "5".into())
        );
    }

    #[test]
    fn refuses_names_that_are_options_or_worse() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = Root::below(directory.path());
        for name in ["", "-o", "a b", "Etcd", "a:b", "../x"] {
            let wish = User {
                name: name.to_owned(),
                home: "/".to_owned(),
            };
            let failed = create(&root, &wish).expect_err(name);
            assert_eq!(failed.0.kind(), Kind::InvalidRequest);
        }
    }
}
