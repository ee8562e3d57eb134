//! Who may do what, as the access control lists say it.

use std::collections::BTreeSet;

use crate::spec::{Grant, ROOT, Spec};

/// Who asks: a user, or a user's token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) user: String,
    pub(crate) token: Option<String>,
}

impl Subject {
    /// `USER@REALM` or `USER@REALM!TOKEN`.
    pub(crate) fn name(&self) -> String {
        match &self.token {
            Some(token) => format!("{}!{token}", self.user),
            None => self.user.clone(),
        }
    }
}

/// Privileges that the calls ask for; root has them all.
const ALL: [&str; 13] = [
    "Datastore.Allocate",
    "Datastore.AllocateSpace",
    "Datastore.AllocateTemplate",
    "Datastore.Audit",
    "Permissions.Modify",
    "Pool.Audit",
    "SDN.Audit",
    "Sys.AccessNetwork",
    "Sys.Audit",
    "Sys.Console",
    "Sys.Modify",
    "VM.Allocate",
    "VM.Audit",
];

/// The privileges of a subject on an object.
pub(crate) fn effective(spec: &Spec, subject: &Subject, path: &str) -> BTreeSet<String> {
    let Some(account) = spec
        .accounts
        .iter()
        .find(|account| account.user == subject.user)
    else {
        return BTreeSet::new();
    };
    let own = if subject.user == ROOT {
        ALL.iter().map(|&name| name.to_owned()).collect()
    } else {
        nearest(&account.grants, path)
    };
    let token = subject
        .token
        .as_ref()
        .and_then(|id| account.tokens.iter().find(|token| token.id == *id));
    match token.and_then(|token| token.grants.as_ref()) {
        Some(grants) => own.intersection(&nearest(grants, path)).cloned().collect(),
        None => own,
    }
}

/// The grant closest to the object, from the object up to the root.
fn nearest(grants: &[Grant], path: &str) -> BTreeSet<String> {
    let mut at = path.trim_end_matches('/');
    loop {
        let here = if at.is_empty() { "/" } else { at };
        if let Some(grant) = grants.iter().find(|grant| grant.path == here) {
            return grant.privileges.clone();
        }
        match at.rfind('/') {
            Some(end) => at = &at[..end],
            None => return BTreeSet::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Account;

    #[test]
    fn a_grant_further_down_takes_the_place_of_one_above() {
        let spec = Spec {
            accounts: vec![
                Account::new("ci@pve")
                    .grant("/", &["Sys.Audit"])
                    .grant("/storage/x", &["Datastore.Audit"]),
            ],
            ..Spec::default()
        };
        let subject = Subject {
            user: "ci@pve".to_owned(),
            token: None,
        };
        let on = |path| {
            effective(&spec, &subject, path)
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(on("/storage/x"), ["Datastore.Audit"]);
        assert_eq!(on("/storage/y"), ["Sys.Audit"]);
        assert_eq!(on("/"), ["Sys.Audit"]);
    }
}
