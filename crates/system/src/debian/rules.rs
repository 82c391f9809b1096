//! What of an installed tree is the base, and what belongs to one machine, one build or one moment.

use crate::drawn;

/// What becomes of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate<'a> {
    /// It is kept where it is.
    Keep,
    /// It is the kernel of this release.
    Kernel(&'a str),
    /// It is left out.
    Drop,
}

/// Folders below /var whose files are made anew by their owners; the folders themselves are kept.
const EMPTIED: [&str; 8] = [
    "var/cache/",
    "var/log/",
    "var/tmp/",
    "var/backups/",
    "var/lib/dbus/",
    "var/lib/systemd/timers/",
    "var/lib/wtmpdb/",
    "var/spool/mail/",
];

/// Single paths that are left out. Most of them belong to one machine; some tell how the tree was made.
const DROPPED: [&str; 23] = [
    "etc/.pwd.lock",
    "etc/.updated",
    "etc/hostname",
    "etc/hosts",
    "etc/machine-id",
    "etc/mtab",
    "etc/resolv.conf",
    "etc/adjtime",
    // mmdebstrap's own.
    "etc/apt/sources.list",
    "etc/apt/apt.conf.d/00mmdebstrap",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "var/.updated",
    "var/lock",
    "var/run",
    "var/mail",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/available",
    "var/lib/dpkg/triggers/Lock",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/timesync/clock",
];

/// The programs of memtest86+, which the boot loader starts.
const MEMORY_TESTS: [&str; 2] = ["boot/memtest86+x64.bin", "boot/memtest86+x64.efi"];

/// Decides about one path, which is relative, without `./`. `is_dir` tells whether it is a folder.
pub(super) fn fate(path: &str, is_dir: bool) -> Fate<'_> {
    if let Some(release) = path.strip_prefix("boot/vmlinuz-") {
        return if release.contains('/') { Fate::Drop } else { Fate::Kernel(release) };
    }
    // apt's lists and archives; mmdebstrap makes the folders even where there is no apt.
    if ["var/lib/apt", "var/cache/apt"].iter().any(|dir| path == *dir || path.starts_with(&format!("{dir}/"))) {
        return Fate::Drop;
    }
    let top = path.split('/').next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let kept = match top {
        _ if DROPPED.contains(&path) => false,
        // Every machine made from the base would share it.
        _ if drawn::of(path).is_some() => false,
        "usr" | "srv" => true,
        "boot" => MEMORY_TESTS.contains(&path),
        "etc" => is_dir || !is_machines_own(path, name),
        "var" => is_dir || !(EMPTIED.iter().any(|dir| path.starts_with(dir)) || is_old_copy(path, name)),
        // /bin and its like are links that the machine's root folder has; the rest is the machine's.
        _ => false,
    };
    if kept { Fate::Keep } else { Fate::Drop }
}

/// Whether a link among the certificates leads to the self-signed one, which is another on each machine: the link's name is
/// a hash of it.
pub(super) fn is_hash_of_drawn(path: &str, target: &str) -> bool {
    path.starts_with("etc/ssl/certs/") && target.rsplit('/').next() == Some("ssl-cert-snakeoil.pem")
}

fn is_machines_own(path: &str, name: &str) -> bool {
    // The old copies that shadow's tools leave: passwd-, group-, subuid-, …
    let old_copy = path == format!("etc/{name}") && name.ends_with('-');
    let host_key = path.starts_with("etc/ssh/ssh_host_");
    let sources = path.starts_with("etc/apt/sources.list.d/");
    old_copy || host_key || sources
}

fn is_old_copy(path: &str, name: &str) -> bool {
    // dpkg's last state, ucf's numbered copies.
    (path.starts_with("var/lib/dpkg/") && !path.contains("/info/") && name.ends_with("-old"))
        || (path.starts_with("var/lib/ucf/") && name.ends_with(|c: char| c.is_ascii_digit()) && name.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_files_stay() {
        for path in [
            "usr/bin/bash",
            "usr/lib/modules/6.12/modules.dep",
            "boot/memtest86+x64.efi",
            "usr/lib/x-",
            "etc/passwd",
            "etc/ld.so.cache",
            "etc/alternatives/awk",
            "etc/ssh/sshd_config",
            "var/lib/dpkg/status",
            "var/lib/dpkg/info/foo-old.list",
            "var/lib/pam/auth",
            "var/lib/systemd/catalog/database",
            "srv/tftp/pxelinux.0",
        ] {
            assert_eq!(fate(path, false), Fate::Keep, "{path}");
        }
        assert_eq!(fate("var/log/journal", true), Fate::Keep);
        assert_eq!(fate("var/cache/man", true), Fate::Keep);
    }

    #[test]
    fn what_belongs_to_one_machine_or_one_moment_goes() {
        for path in [
            "bin",
            "dev/null",
            "root/.bashrc",
            "tmp/x",
            "proc/1",
            "boot/initrd.img-6.12",
            "boot/System.map-6.12",
            "etc/machine-id",
            "etc/hostname",
            "etc/hosts",
            "etc/munge/munge.key",
            "etc/ssl/private/ssl-cert-snakeoil.key",
            "etc/.git/objects/ab/cdef",
            "etc/nvme/hostid",
            "etc/xrdp/rsakeys.ini",
            "var/lib/dkms/mok.pub",
            "etc/aliases.db",
            "var/lib/rabbitmq/.erlang.cookie",
            "etc/passwd-",
            "etc/subuid-",
            "etc/ssh/ssh_host_rsa_key",
            "etc/ssh/ssh_host_rsa_key.pub",
            "etc/apt/sources.list.d/0000cairn.list",
            "var/cache/ldconfig/aux-cache",
            "var/cache/debconf/config.dat",
            "var/log/dpkg.log",
            "var/lib/apt/lists/lock",
            "var/lib/dpkg/status-old",
            "var/lib/dpkg/lock",
            "var/lib/ucf/hashfile.0",
        ] {
            assert_eq!(fate(path, false), Fate::Drop, "{path}");
        }
    }

    #[test]
    fn a_history_goes_with_its_folders_and_what_has_drawn_files_among_others_stays() {
        for path in ["etc/.git", "etc/.git/objects/ab", "etc/.hg", "etc/.bzr", "etc/_darcs"] {
            assert_eq!(fate(path, true), Fate::Drop, "{path}");
        }
        for path in ["etc/dropbear", "etc/munge", "etc/nvme", "etc/xrdp", "var/lib/dkms"] {
            assert_eq!(fate(path, true), Fate::Keep, "{path}");
        }
    }

    #[test]
    fn the_kernel_tells_its_release() {
        assert_eq!(fate("boot/vmlinuz-6.12.117+deb13-cloud-amd64", false), Fate::Kernel("6.12.117+deb13-cloud-amd64"));
    }
}
