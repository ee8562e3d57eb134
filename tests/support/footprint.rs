//! Everything on a host that could be somebody's, to compare before and after.

use std::error::Error;

use lab::Host;

/// Files with mode, owner, size and link target, accounts, units and listeners.
///
/// What the system itself writes at any time is left out: logs, caches, clocks, and the backups and
/// lock files that `useradd` and `userdel` keep of accounts.
const LOOK: &str = r"
cd /
find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp -o -path ./var/tmp \
  -o -path ./var/log -o -path ./var/cache -o -path ./var/lib/systemd -o -path ./var/lib/private \
  -o -path ./root/.bash_history \) -prune \
  -o ! -name '*-' ! -name .pwd.lock ! -path './run/*' -printf '%p %y %m %u %g %l\n' | sort
find /run -name '*etcd*' -o -name '*step*' | sort
cat /etc/passwd /etc/group
systemctl list-unit-files --no-legend --no-pager | sort
systemctl list-units --all --no-legend --no-pager --plain --type=service,timer \
  | awk '$1 ~ /etcd|step/ {print $1}' | sort
ps -eo comm= | grep -E 'etcd|step' || true
";

/// What is on the host now.
pub fn footprint(host: &Host) -> Result<Vec<String>, Box<dyn Error>> {
    Ok(host
        .root_text(&["sh", "-c", LOOK])?
        .lines()
        .map(str::to_owned)
        .collect())
}

/// Lines that one has and the other has not.
pub fn difference(before: &[String], after: &[String]) -> Vec<String> {
    let gone = before
        .iter()
        .filter(|line| !after.contains(line))
        .map(|line| format!("- {line}"));
    let new = after
        .iter()
        .filter(|line| !before.contains(line))
        .map(|line| format!("+ {line}"));
    gone.chain(new).collect()
}
