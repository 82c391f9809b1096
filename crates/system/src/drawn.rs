//! What packages draw at random while they are installed, and a machine can draw by itself: left out of the base, in which
//! every machine would have the same, and made at the machine's first boot.

/// One thing that is drawn.
#[derive(Debug)]
pub(crate) struct Drawn {
    /// Its name: in the base's list, and of its unit.
    pub(crate) name: &'static str,
    /// What it is, in a unit's words.
    pub(crate) what: &'static str,
    /// Its files in the base; a `*` at the end stands for any rest, and after a `/` for the folder as well.
    pub(crate) files: &'static [&'static str],
    /// How the machine makes it; `None` where its program does so, or nobody misses it.
    pub(crate) made: Option<Made>,
}

/// How a machine makes what is missing.
#[derive(Debug)]
pub(crate) struct Made {
    /// The files that must be there afterwards, and not empty.
    pub(crate) files: &'static [&'static str],
    /// The command lines of the unit.
    pub(crate) commands: &'static [&'static str],
    /// Who runs them, if not root.
    pub(crate) user: Option<&'static str>,
    /// Everybody may read what they make.
    pub(crate) public: bool,
    /// Units that start before `sysinit.target`, where everything else waits for.
    pub(crate) before: &'static str,
}

/// SSH's host keys are not here: `sshd-keygen` and [`crate::etc`] know them.
pub(crate) const ALL: [Drawn; 11] = [
    Drawn {
        name: "snakeoil",
        what: "Self-Signed Certificate",
        files: &["etc/ssl/private/ssl-cert-snakeoil.key", "etc/ssl/certs/ssl-cert-snakeoil.pem"],
        made: Some(Made {
            files: &["/etc/ssl/private/ssl-cert-snakeoil.key", "/etc/ssl/certs/ssl-cert-snakeoil.pem"],
            commands: &["/usr/sbin/make-ssl-cert generate-default-snakeoil --force-overwrite"],
            user: None,
            public: false,
            before: "",
        }),
    },
    Drawn {
        name: "munge",
        what: "Key of MUNGE",
        files: &["etc/munge/munge.key"],
        made: Some(Made {
            files: &["/etc/munge/munge.key"],
            commands: &["/usr/sbin/mungekey --create --force"],
            user: Some("munge"),
            public: false,
            before: "",
        }),
    },
    Drawn {
        name: "rndc",
        what: "Key Between named and rndc",
        files: &["etc/bind/rndc.key"],
        made: Some(Made {
            files: &["/etc/bind/rndc.key"],
            commands: &["/usr/sbin/rndc-confgen -a -q -u bind"],
            user: None,
            public: false,
            before: "",
        }),
    },
    Drawn {
        name: "iscsi",
        what: "Name of the iSCSI Initiator",
        files: &["etc/iscsi/initiatorname.iscsi"],
        made: Some(Made {
            files: &["/etc/iscsi/initiatorname.iscsi"],
            // A machine whose base came from an earlier Cairn had the name from there, and is known by it: it keeps that of the
            // newest generation that has one. Without any, the package's own script draws one where it finds the word below;
            // iscsiadm needs the name as well.
            commands: &[
                "/bin/sh -c 'new=/etc/iscsi/initiatorname.iscsi; \
                 for old in $$(ls -dv /nix/var/nix/profiles/system-*-link/base$$new 2>/dev/null); do \
                 if test -s $$old; then cat $$old > $$new; fi; done; \
                 test -s $$new || echo GenerateName=yes > $$new'",
                "/usr/lib/open-iscsi/startup-checks.sh",
            ],
            user: None,
            public: false,
            before: "iscsid.service open-iscsi.service",
        }),
    },
    Drawn {
        name: "dropbear",
        what: "Host Keys of dropbear",
        files: &["etc/dropbear/dropbear_*"],
        made: Some(Made {
            files: &[
                "/etc/dropbear/dropbear_rsa_host_key",
                "/etc/dropbear/dropbear_ecdsa_host_key",
                "/etc/dropbear/dropbear_ed25519_host_key",
            ],
            commands: &["/bin/sh -ec 'for type in rsa ecdsa ed25519; do \
                         key=/etc/dropbear/dropbear_$${type}_host_key; \
                         if ! test -s $$key; then rm -f $$key; dropbearkey -t $$type -f $$key >/dev/null; fi; done'"],
            user: None,
            public: false,
            before: "",
        }),
    },
    // No secret; but its bytes are others each time.
    Drawn {
        name: "aliases",
        what: "Database of Mail Aliases",
        files: &["etc/aliases.db"],
        made: Some(Made {
            files: &["/etc/aliases.db"],
            commands: &["/usr/bin/newaliases"],
            user: None,
            public: false,
            before: "",
        }),
    },
    // No secrets, but two machines with one name take each other's place at a server. The name holds the same number.
    Drawn {
        name: "nvme",
        what: "Names of the NVMe Host",
        files: &["etc/nvme/hostnqn", "etc/nvme/hostid"],
        made: Some(Made {
            files: &["/etc/nvme/hostnqn", "/etc/nvme/hostid"],
            commands: &[
                "/bin/sh -ec 'test -s /etc/nvme/hostnqn || nvme gen-hostnqn > /etc/nvme/hostnqn'",
                "/bin/sh -ec 'test -s /etc/nvme/hostid || \
                 { grep -oE \"[0-9a-f-]{36}$$\" /etc/nvme/hostnqn || cat /proc/sys/kernel/random/uuid; } > /etc/nvme/hostid'",
            ],
            user: None,
            public: true,
            before: "",
        }),
    },
    Drawn {
        name: "xrdp",
        what: "RSA Key of xrdp",
        files: &["etc/xrdp/rsakeys.ini"],
        made: Some(Made {
            files: &["/etc/xrdp/rsakeys.ini"],
            commands: &[
                "/usr/bin/rm -f /etc/xrdp/rsakeys.ini",
                "/usr/bin/xrdp-keygen xrdp auto",
                "/usr/bin/chown root:xrdp /etc/xrdp/rsakeys.ini",
                "/usr/bin/chmod 0640 /etc/xrdp/rsakeys.ini",
            ],
            user: None,
            public: false,
            before: "",
        }),
    },
    // It has signed the modules that were built with the base; who builds others gets another.
    Drawn {
        name: "dkms",
        what: "Key for Kernel Modules",
        files: &["var/lib/dkms/mok.key", "var/lib/dkms/mok.pub"],
        made: None,
    },
    // Erlang draws it where it finds none.
    Drawn { name: "rabbitmq", what: "Erlang's Cookie", files: &["var/lib/rabbitmq/.erlang.cookie"], made: None },
    // A history of the installation, with the clock's times, in folders whose names are hashes of them.
    Drawn {
        name: "etckeeper",
        what: "History of /etc",
        files: &["etc/.git/*", "etc/.hg/*", "etc/.bzr/*", "etc/_darcs/*", "etc/.etckeeper", "etc/.gitignore"],
        made: None,
    },
];

/// What a file of the base is, if it is one of these; or a folder that is one as a whole.
pub(crate) fn of(path: &str) -> Option<&'static Drawn> {
    let is = |file: &&str| match file.strip_suffix('*') {
        None => path == *file,
        Some(start) => path.starts_with(start) || start.strip_suffix('/') == Some(path),
    };
    ALL.iter().find(|drawn| drawn.files.iter().any(is))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_name_or_by_their_start() {
        assert_eq!(of("etc/munge/munge.key").unwrap().name, "munge");
        assert_eq!(of("etc/dropbear/dropbear_rsa_host_key.pub").unwrap().name, "dropbear");
        for path in ["etc/.git/config", "etc/.git", "etc/.git/objects/ab", "etc/_darcs"] {
            assert_eq!(of(path).unwrap().name, "etckeeper", "{path}");
        }
        assert_eq!(of("var/lib/dkms/mok.key").unwrap().name, "dkms");
        assert!(of("etc/dropbear").is_none() && of("etc/.github").is_none() && of("etc/nvme").is_none());
        assert!(of("etc/munge/munge.key.old").is_none() && of("etc/gitconfig").is_none());
    }

    /// Runs the script of a unit's command line below a folder, and gives what it has written there.
    fn drawn_below(root: &std::path::Path, name: &str, command: usize, file: &str) -> String {
        let drawn = ALL.iter().find(|drawn| drawn.name == name).unwrap();
        let line = drawn.made.as_ref().unwrap().commands[command];
        let (_, script) = line.strip_suffix('\'').unwrap().split_once(" '").unwrap();
        let below = |folder: &str| root.join(folder).display().to_string();
        let script = script.replace("$$", "$").replace("/etc/", &format!("{}/", below("etc")));
        let script = script.replace("/nix/var/", &format!("{}/", below("nix/var")));
        cairn_process::Tool::new("sh", "dash", "test").args(["-ec", &script]).run().unwrap();
        std::fs::read_to_string(root.join(file)).unwrap()
    }

    #[test]
    fn a_machine_keeps_the_iscsi_name_that_it_had_from_the_base_of_an_earlier_generation() {
        let root = tempfile::tempdir().unwrap();
        let own = "etc/iscsi/initiatorname.iscsi";
        std::fs::create_dir_all(root.path().join("etc/iscsi")).unwrap();
        let name = || drawn_below(root.path(), "iscsi", 0, own);
        assert_eq!(name(), "GenerateName=yes\n");
        for (number, text) in [(2, Some("InitiatorName=two\n")), (10, Some("InitiatorName=ten\n")), (11, None)] {
            let base = root.path().join(format!("nix/var/nix/profiles/system-{number}-link/base"));
            // The file's path below the root stands in the script as a whole.
            let file = base.join(root.path().strip_prefix("/").unwrap()).join(own);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text.unwrap_or_default()).unwrap();
        }
        assert_eq!(name(), "InitiatorName=ten\n");
    }

    #[test]
    fn the_nvme_hosts_number_is_that_of_its_name() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/nvme")).unwrap();
        let number = "c2a1a1c0-1b1d-4c53-9d8b-2f9b1f1a2b3c";
        std::fs::write(root.path().join("etc/nvme/hostnqn"), format!("nqn.2014-08.org.nvmexpress:uuid:{number}\n"))
            .unwrap();
        let host = || drawn_below(root.path(), "nvme", 1, "etc/nvme/hostid");
        assert_eq!(host(), format!("{number}\n"));
        std::fs::remove_file(root.path().join("etc/nvme/hostid")).unwrap();
        std::fs::write(root.path().join("etc/nvme/hostnqn"), "nqn.of-somebody\n").unwrap();
        let drawn = host();
        assert!(drawn.len() == 37 && drawn == host(), "{drawn}");
    }
}
