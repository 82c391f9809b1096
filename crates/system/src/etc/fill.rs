//! Partitions below `/var` and `/srv` get what packages have there, as the root does.

use cairn_machine::model::FileSystem;

use super::Mount;
use crate::error::SystemError;
use crate::tree::Tree;

/// Before anything that has its data there: what is not there when tmpfiles and the journal look would be made otherwise.
const UNIT: &str = "\
[Unit]
Description=Give Partitions What Packages Have for Them
DefaultDependencies=no
Conflicts=shutdown.target
After=local-fs.target
Before=sysinit.target systemd-tmpfiles-setup.service systemd-journal-flush.service shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/cairn/cairn-stage1 fill
";
const NAME: &str = "cairn-fill.service";

/// Puts the unit, where there is such a partition.
///
/// # Errors
/// None that is not a mistake of ours.
pub fn apply(tree: &mut Tree, mounts: &[Mount]) -> Result<(), SystemError> {
    // `/var` itself, and what belongs to the machine's state, is the initrd's.
    let below = |target: &str| target == "/srv" || ["/var/", "/srv/"].iter().any(|top| target.starts_with(top));
    if mounts.iter().any(|mount| mount.format == FileSystem::Ext4 && below(&mount.target)) {
        tree.file(&format!("systemd/system/{NAME}"), UNIT)?;
        tree.link(&format!("systemd/system/sysinit.target.wants/{NAME}"), format!("../{NAME}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_there_where_it_has_something_to_do() {
        let with = |target: &str, format| {
            let mut tree = Tree::default();
            apply(&mut tree, &[Mount { device: "PARTUUID=1".into(), target: target.into(), format }]).unwrap();
            tree.get("systemd/system/sysinit.target.wants/cairn-fill.service").is_some()
        };
        for target in ["/var/log", "/srv", "/srv/ftp"] {
            assert!(with(target, FileSystem::Ext4), "{target}");
        }
        for target in ["/var", "/home", "/variable", "/srvx"] {
            assert!(!with(target, FileSystem::Ext4), "{target}");
        }
        assert!(!with("none", FileSystem::Swap));
    }
}
