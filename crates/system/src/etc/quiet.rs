//! What does not belong into a system made of store paths: the traces of one machine, and units whose work is done
//! when the base is built, or that have nothing to do on such a machine.

use super::mask;
use crate::error::SystemError;
use crate::tree::{Node, Tree};
use crate::units::Units;

/// The traces of one machine, which would be the same on all machines made from a base.
const MACHINES_OWN: [&str; 7] =
    ["machine-id", "hostname", "resolv.conf", "fstab", ".pwd.lock", ".updated", "ld.so.nohwcap"];

/// Why nobody can have a unit that is masked.
const IN_THE_BASE: &str =
    "its work is done when the packages are installed; what it made here would hide that of every generation to come";
const BY_GENERATIONS: &str = "packages are changed by making a new generation, with `cairn upgrade`";

/// Units that are masked; with a reason, for good, and without one unless the machine file enables them.
const MASKED: [(&str, Option<&str>); 15] = [
    ("ldconfig.service", Some(IN_THE_BASE)),
    ("systemd-hwdb-update.service", Some(IN_THE_BASE)),
    ("systemd-journal-catalog-update.service", Some(IN_THE_BASE)),
    ("systemd-sysusers.service", Some(IN_THE_BASE)),
    ("systemd-update-done.service", Some(IN_THE_BASE)),
    ("systemd-firstboot.service", Some("what it asks for is in the machine file")),
    ("apt-daily.service", Some(BY_GENERATIONS)),
    ("apt-daily.timer", Some(BY_GENERATIONS)),
    ("apt-daily-upgrade.service", Some(BY_GENERATIONS)),
    ("apt-daily-upgrade.timer", Some(BY_GENERATIONS)),
    // The list of packages changes with a generation only, and every generation has its own.
    ("dpkg-db-backup.service", None),
    ("dpkg-db-backup.timer", None),
    // For ext4 on LVM only; looking for it takes many seconds.
    ("e2scrub_all.service", None),
    ("e2scrub_all.timer", None),
    ("e2scrub_reap.service", None),
];

/// Generators that are masked: the boot partition has its line in fstab, and sshd on AF_VSOCK was not asked for.
const MASKED_GENERATORS: [&str; 2] = ["systemd-gpt-auto-generator", "systemd-ssh-generator"];

/// Takes the traces away.
pub fn clean(tree: &mut Tree) -> Result<(), SystemError> {
    let old_copy = |path: &str| !path.contains('/') && path.ends_with('-');
    tree.retain(|path, node| {
        let own = MACHINES_OWN.contains(&path) || old_copy(path) || path.starts_with("ssh/ssh_host_");
        *node == Node::Folder || !own
    });
    // As Debian's tmpfiles.d/debian.conf makes it at every boot.
    tree.link("mtab", "../proc/self/mounts")?;
    // Debian makes it when a package is installed; a base has no /var of its own.
    tree.file("tmpfiles.d/cairn.conf", "d /var/mail 2775 root mail - -\n")
}

/// Masks what has nothing to do.
pub fn mask_units(tree: &mut Tree, units: &Units) -> Result<(), SystemError> {
    for (name, _) in MASKED.iter().filter(|(name, _)| units.has(name)) {
        mask(tree, name)?;
    }
    for name in MASKED_GENERATORS {
        tree.link(&format!("systemd/system-generators/{name}"), "/dev/null")?;
    }
    Ok(())
}

/// Why a unit stays masked, whoever enables it.
pub fn why_masked(name: &str) -> Option<&'static str> {
    MASKED.iter().find(|(masked, _)| *masked == name).and_then(|(_, why)| *why)
}

/// Takes the mask away from a unit that is masked unless somebody wants it.
pub fn unmask(tree: &mut Tree, name: &str) {
    let path = format!("systemd/system/{name}");
    if MASKED.iter().any(|(masked, why)| *masked == name && why.is_none())
        && matches!(tree.get(&path), Some(Node::Link(target)) if target == "/dev/null")
    {
        tree.remove(&path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::UnitFile;

    #[test]
    fn traces_go_and_masked_units_lose_their_links() {
        let mut tree = Tree::default();
        for path in ["machine-id", "passwd-", "passwd", "ssh/ssh_host_rsa_key.pub", "ssh/sshd_config"] {
            tree.file(path, "x").unwrap();
        }
        tree.link("systemd/system/timers.target.wants/e2scrub_all.timer", "/usr/lib/systemd/system/e2scrub_all.timer")
            .unwrap();
        let mut units = Units::default();
        units.files.insert("e2scrub_all.timer".into(), UnitFile::Alias(Some("x.timer".into())));
        units.files.insert("x.timer".into(), UnitFile::File { folder: "/usr/lib/systemd/system", text: String::new() });
        clean(&mut tree).unwrap();
        mask_units(&mut tree, &units).unwrap();
        let paths: Vec<&str> = tree.iter().map(|(p, _)| p).collect();
        assert_eq!(
            paths,
            [
                "mtab",
                "passwd",
                "ssh/sshd_config",
                "systemd/system-generators/systemd-gpt-auto-generator",
                "systemd/system-generators/systemd-ssh-generator",
                "systemd/system/e2scrub_all.timer",
                "tmpfiles.d/cairn.conf",
            ]
        );
    }
}
