//! What packages draw at random while they are installed, and a machine can draw by itself: left out of the base, in which
//! every machine would have the same, and made at the machine's first boot.

/// One thing that is drawn.
#[derive(Debug)]
pub(crate) struct Drawn {
    /// Its name: in the base's list, and of its unit.
    pub(crate) name: &'static str,
    /// What it is, in a unit's words.
    pub(crate) what: &'static str,
    /// Its files in the base; a `*` at the end stands for any rest.
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
    /// Units that start before `sysinit.target`, where everything else waits for.
    pub(crate) before: &'static str,
}

/// SSH's host keys are not here: `sshd-keygen` and [`crate::etc`] know them.
pub(crate) const ALL: [Drawn; 8] = [
    Drawn {
        name: "snakeoil",
        what: "Self-Signed Certificate",
        files: &["etc/ssl/private/ssl-cert-snakeoil.key", "etc/ssl/certs/ssl-cert-snakeoil.pem"],
        made: Some(Made {
            files: &["/etc/ssl/private/ssl-cert-snakeoil.key", "/etc/ssl/certs/ssl-cert-snakeoil.pem"],
            commands: &["/usr/sbin/make-ssl-cert generate-default-snakeoil --force-overwrite"],
            user: None,
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
            before: "",
        }),
    },
    Drawn {
        name: "iscsi",
        what: "Name of the iSCSI Initiator",
        files: &["etc/iscsi/initiatorname.iscsi"],
        made: Some(Made {
            files: &["/etc/iscsi/initiatorname.iscsi"],
            // What the package's own script does where it finds this word; iscsiadm needs the name as well.
            commands: &[
                "/bin/sh -c 'echo GenerateName=yes > /etc/iscsi/initiatorname.iscsi'",
                "/usr/lib/open-iscsi/startup-checks.sh",
            ],
            user: None,
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
            before: "",
        }),
    },
    // No secret; but its bytes are others each time.
    Drawn {
        name: "aliases",
        what: "Database of Mail Aliases",
        files: &["etc/aliases.db"],
        made: Some(Made { files: &["/etc/aliases.db"], commands: &["/usr/bin/newaliases"], user: None, before: "" }),
    },
    // Erlang draws it where it finds none.
    Drawn { name: "rabbitmq", what: "Erlang's Cookie", files: &["var/lib/rabbitmq/.erlang.cookie"], made: None },
    // A history of the installation, with the clock's times.
    Drawn {
        name: "etckeeper",
        what: "History of /etc",
        files: &["etc/.git/*", "etc/.hg/*", "etc/.bzr/*", "etc/_darcs/*", "etc/.etckeeper", "etc/.gitignore"],
        made: None,
    },
];

/// What a file of the base is, if it is one of these.
pub(crate) fn of(path: &str) -> Option<&'static Drawn> {
    let is = |file: &&str| file.strip_suffix('*').map_or(path == *file, |start| path.starts_with(start));
    ALL.iter().find(|drawn| drawn.files.iter().any(is))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_name_or_by_their_start() {
        assert_eq!(of("etc/munge/munge.key").unwrap().name, "munge");
        assert_eq!(of("etc/dropbear/dropbear_rsa_host_key.pub").unwrap().name, "dropbear");
        assert_eq!(of("etc/.git/config").unwrap().name, "etckeeper");
        assert!(of("etc/munge/munge.key.old").is_none() && of("etc/gitconfig").is_none());
    }
}
