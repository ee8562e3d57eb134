//! The unit of step-ca.

use super::{desired::Desired, names};
use crate::rendered::RenderedFile;

/// Runs as root because the keys are root's alone; it can write nothing and may only bind ports.
pub fn file(desired: &Desired) -> RenderedFile {
    let instance = desired.instance.as_ref();
    let directory = names::directory(instance);
    let content = format!(
        "# Written by terraform-provider-etcd.\n\
         [Unit]\n\
         Description=step-ca {name}\n\
         Documentation=https://smallstep.com/docs/step-ca\n\
         After=network-online.target time-sync.target\n\
         Wants=network-online.target\n\
         AssertPathExists={directory}/config/ca.json\n\
         \n\
         [Service]\n\
         Type=simple\n\
         ExecStart=/opt/bin/step-ca --password-file {directory}/secrets/intermediate_password {directory}/config/ca.json\n\
         ExecReload=/bin/kill -HUP $MAINPID\n\
         Environment=STEPPATH={directory}\n\
         Restart=always\n\
         RestartSec=2s\n\
         NoNewPrivileges=yes\n\
         ProtectSystem=strict\n\
         ProtectHome=yes\n\
         PrivateTmp=yes\n\
         PrivateDevices=yes\n\
         ProtectKernelTunables=yes\n\
         ProtectKernelModules=yes\n\
         ProtectControlGroups=yes\n\
         RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\n\
         MemoryDenyWriteExecute=yes\n\
         CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        name = desired.name,
    );
    RenderedFile::unit(&names::unit(instance), content)
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;
    use crate::etcd_step_ca::{
        Wish,
        fixture::{read, wish},
    };

    #[test]
    fn renders_the_unit() {
        let file = file(&read(&wish()));
        assert_eq!(file.path, "/etc/systemd/system/step-ca.service");
        expect_file!["golden/step-ca.service"].assert_eq(&file.content);
    }

    #[test]
    fn a_second_ca_has_directory_and_unit_of_its_own() {
        let second = Wish {
            instance: Some("b".to_owned()),
            ..wish()
        };
        let file = file(&read(&second));
        assert_eq!(file.path, "/etc/systemd/system/step-ca-b.service");
        assert!(!file.content.contains("/etc/step-ca/"), "{}", file.content);
    }
}
