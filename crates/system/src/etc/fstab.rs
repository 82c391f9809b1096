//! The file systems besides the root, fstab(5). The root is mounted by the initrd, from the kernel's command line.

use std::fmt::Write as _;

use cairn_machine::model::FileSystem;

use super::Mount;
use crate::error::SystemError;
use crate::tree::Tree;

/// Where the system itself is, so that nothing else can be mounted there.
const TAKEN: [&str; 12] =
    ["/", "/bin", "/dev", "/etc", "/lib", "/lib64", "/nix", "/proc", "/run", "/sbin", "/sys", "/usr"];

/// Puts `fstab`.
///
/// # Errors
/// When something would be mounted over the system itself.
pub fn apply(tree: &mut Tree, mounts: &[Mount]) -> Result<(), SystemError> {
    let mut text = String::from("# <device> <mount point> <type> <options> <dump> <pass>\n");
    for Mount { device, target, format } in mounts {
        let below = |taken: &str| taken != "/" && target.strip_prefix(taken).is_some_and(|r| r.starts_with('/'));
        if *format != FileSystem::Swap && TAKEN.iter().any(|taken| target == taken || below(taken)) {
            let message = format!("{target} holds the system itself; nothing can be mounted there");
            return Err(SystemError::refused("/disks", message));
        }
        let target = target.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011");
        let _ = match format {
            // Only root looks into a boot partition. It is mounted when it is used, so that it is whole (never mounted)
            // when the power fails, and a damaged one does not keep the machine from booting. What a power cut has left must
            // not turn it read-only in the middle of the next update, which removes and writes anew what is damaged.
            FileSystem::Vfat => writeln!(
                text,
                "{device} {target} vfat umask=0077,errors=continue,noauto,nofail,x-systemd.automount,x-systemd.idle-timeout=2min 0 0"
            ),
            FileSystem::Ext4 => writeln!(text, "{device} {target} ext4 defaults 0 2"),
            FileSystem::Swap => writeln!(text, "{device} none swap defaults 0 0"),
        };
    }
    tree.file("fstab", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(target: &str, format: FileSystem) -> Mount {
        Mount { device: "PARTUUID=1".into(), target: target.into(), format }
    }

    #[test]
    fn every_kind_has_its_line() {
        let mut tree = Tree::default();
        let mounts = [mount("/efi", FileSystem::Vfat), mount("/home", FileSystem::Ext4), mount("", FileSystem::Swap)];
        apply(&mut tree, &mounts).unwrap();
        let text = tree.text("fstab").unwrap();
        assert!(text.contains("\nPARTUUID=1 /efi vfat umask=0077,errors=continue,"), "{text}");
        assert!(text.ends_with("\nPARTUUID=1 /home ext4 defaults 0 2\nPARTUUID=1 none swap defaults 0 0\n"), "{text}");
    }

    #[test]
    fn nothing_is_mounted_over_the_system() {
        for target in ["/", "/usr", "/usr/local", "/etc", "/nix/store"] {
            assert!(apply(&mut Tree::default(), &[mount(target, FileSystem::Ext4)]).is_err(), "{target}");
        }
        apply(&mut Tree::default(), &[mount("/usrlocal", FileSystem::Ext4)]).unwrap();
    }
}
