//! A swap file, and packed memory.

use cairn_machine::model::{Swap, Zram};

use super::enable_if_any;
use crate::error::SystemError;
use crate::tree::Tree;
use crate::units::{UnitFile, Units};

const FILE: &str = "/var/swapfile";
const MAKE: &str = "cairn-swapfile.service";
const UNIT: &str = "var-swapfile.swap";
const ZRAM: &str = "cairn-zram.service";

/// Puts the units.
///
/// # Errors
/// See [`Tree::file`].
pub fn apply(tree: &mut Tree, swap: &Swap) -> Result<(), SystemError> {
    if let Some(size) = swap.file {
        put(tree, MAKE, &make(size.bytes()))?;
        put(tree, UNIT, &unit())?;
    }
    if let Some(zram) = &swap.zram {
        put(tree, ZRAM, &packed(zram))?;
    }
    Ok(())
}

/// The file is made beside its name, and gets it when it is whole. One of another size is made anew: nothing uses it yet.
fn make(bytes: u64) -> String {
    format!(
        "[Unit]\nDescription=Make the Swap File\nDocumentation=man:cairn(1)\nDefaultDependencies=no\nConflicts=shutdown.target\n\
         RequiresMountsFor=/var\nAfter=systemd-remount-fs.service\nBefore={UNIT} shutdown.target\n\n\
         [Service]\nType=oneshot\nUMask=0077\n\
         ExecStart=/bin/sh -euc '[ \"$$(stat -c %%s {FILE} 2>/dev/null)\" != {bytes} ] || exit 0; rm -f {FILE} {FILE}.new; \
         trap \"rm -f {FILE}.new\" EXIT; fallocate -l {bytes} {FILE}.new; mkswap -q {FILE}.new; sync {FILE}.new; mv {FILE}.new {FILE}'\n"
    )
}

/// A machine without it runs all the same, so nothing waits for it but swap.target.
fn unit() -> String {
    format!(
        "[Unit]\nDescription=Swap File\nRequires={MAKE}\nAfter={MAKE}\n\n[Swap]\nWhat={FILE}\n\n[Install]\nWantedBy=swap.target\n"
    )
}

fn packed(zram: &Zram) -> String {
    let Zram { memory_percent, algorithm, priority } = zram;
    format!(
        "[Unit]\nDescription=Packed Memory (zram)\nDocumentation=man:cairn(1) man:zramctl(8)\nDefaultDependencies=no\n\
         Conflicts=shutdown.target\nAfter=systemd-remount-fs.service\nBefore=swap.target shutdown.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nRuntimeDirectory=cairn-zram\n\
         ExecStartPre=/usr/sbin/modprobe zram num_devices=1\n\
         ExecStart=/bin/sh -euc 'read -r _ kib _ </proc/meminfo; \
         device=$$(zramctl --find --size $$((kib * {memory_percent} / 100))KiB --algorithm {}); \
         mkswap -q $$device; swapon --discard --priority {priority} $$device; echo $$device >/run/cairn-zram/device'\n\
         ExecStop=/bin/sh -euc 'device=$$(cat /run/cairn-zram/device); swapoff $$device; zramctl --reset $$device'\n\n\
         [Install]\nWantedBy=swap.target\n",
        algorithm.name()
    )
}

fn put(tree: &mut Tree, name: &str, text: &str) -> Result<(), SystemError> {
    tree.file(&format!("systemd/system/{name}"), text)?;
    let file = UnitFile::File { folder: "/etc/systemd/system", text: text.to_string() };
    enable_if_any(tree, &Units::of([(name.to_string(), file)]), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_unit_for_what_is_asked_for() {
        let swap: Swap = serde_json::from_str(r#"{"file":"2G","zram":{"memory_percent":25}}"#).unwrap();
        let mut tree = Tree::default();
        apply(&mut tree, &swap).unwrap();
        assert!(
            tree.text("systemd/system/cairn-swapfile.service")
                .unwrap()
                .contains("fallocate -l 2147483648 /var/swapfile.new")
        );
        let zram = tree.text("systemd/system/cairn-zram.service").unwrap();
        assert!(zram.contains("kib * 25 / 100))KiB --algorithm zstd)") && zram.contains("--priority 100"), "{zram}");
        assert!(tree.get("systemd/system/swap.target.wants/var-swapfile.swap").is_some());
        let mut tree = Tree::default();
        apply(&mut tree, &Swap::default()).unwrap();
        assert_eq!(tree, Tree::default());
    }
}
