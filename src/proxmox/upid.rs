//! The name that Proxmox gives a task: `UPID:node:pid:pstart:starttime:type:id:user:`.

use std::fmt;

use serde::Deserialize;

/// Name of a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Upid(String);

impl Upid {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The node that runs it: not always the one that was asked.
    pub fn node(&self) -> &str {
        self.part(1)
    }

    /// What it does: `imgcopy`, `download`, `imgdel`.
    pub fn kind(&self) -> &str {
        self.part(5)
    }

    fn part(&self, index: usize) -> &str {
        self.0.split(':').nth(index).unwrap_or("")
    }
}

impl TryFrom<String> for Upid {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        if parts.len() >= 9 && parts[0] == "UPID" && !parts[1].is_empty() {
            Ok(Self(text))
        } else {
            Err(format!("{text:?} is not the name of a task"))
        }
    }
}

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Upid;

    #[test]
    fn a_task_knows_its_node() {
        let text = "UPID:pve02:0000A1B2:00C0FFEE:66F00000:imgcopy::root@pam!ci:";
        let upid = Upid::try_from(text.to_owned()).expect("a task");
        assert_eq!((upid.node(), upid.kind()), ("pve02", "imgcopy"));
        assert!(Upid::try_from("UPID:x".to_owned()).is_err());
    }
}
