//! The private keys of WireGuard: files of the machine, drawn by it where they are missing.

use std::fmt::Write as _;

use cairn_machine::model::{Network, WIREGUARD_KEYS};

use super::super::{accounts::Ids, enable};
use crate::error::SystemError;
use crate::tree::{Access, Node, Tree};

const UNIT: &str = "cairn-wireguard.service";
/// networkd does not run as root, and reads the keys itself (systemd.netdev(5), `PrivateKeyFile=`).
const READER: &str = "systemd-network";
const SCRIPT: &str = "wireguard/cairn-keys";

/// Puts what draws keys before networkd reads them.
///
/// # Errors
/// See [`Tree::file`].
pub(super) fn apply(tree: &mut Tree, network: &Network, ids: &Ids) -> Result<(), SystemError> {
    let keys: Vec<String> = network
        .interfaces
        .iter()
        .filter_map(|(name, interface)| Some(interface.wireguard.as_ref()?.key_file(name)))
        .collect();
    if keys.is_empty() {
        return Ok(());
    }
    let mut text = String::from(
        "[Unit]\nDescription=Draw This Machine's Keys of WireGuard\nDocumentation=man:cairn(1)\nDefaultDependencies=no\n\
         Conflicts=shutdown.target\nAfter=local-fs.target systemd-tmpfiles-setup.service\n\
         Before=systemd-networkd.service shutdown.target\n",
    );
    for key in &keys {
        let _ = writeln!(text, "RequiresMountsFor={key}\nConditionFileNotEmpty=|!{key}");
    }
    text += "\n[Service]\nType=oneshot\nUMask=0077\nTimeoutStartSec=90\n";
    for key in &keys {
        let _ = writeln!(text, "ExecStart=/bin/sh /etc/{SCRIPT} {key}");
    }
    tree.file(&format!("systemd/system/{UNIT}"), text)?;
    tree.put(SCRIPT, Node::File(DRAW.into()), Access { mode: 0o755, uid: 0, gid: 0 })?;
    if keys.iter().any(|key| key.starts_with(WIREGUARD_KEYS)) && ids.groups.contains_key(READER) {
        tree.file("tmpfiles.d/cairn-wireguard.conf", format!("d {WIREGUARD_KEYS} 0750 root {READER} - -\n"))?;
    }
    enable(tree, [(format!("systemd-networkd.service.wants/{UNIT}"), format!("/etc/systemd/system/{UNIT}"))])
}

/// Any 32 bytes are a key: the kernel sets the bits that are fixed. A key is there as a whole or not at all.
const DRAW: &str = "\
# Draws a private key of WireGuard into the file that is named, unless it has one.
set -eu
[ ! -s \"$1\" ] || exit 0
mkdir -p \"${1%/*}\"
head -c 32 /dev/urandom | base64 >\"$1.new\"
chgrp systemd-network \"$1.new\"
chmod 0640 \"$1.new\"
sync \"$1.new\"
mv -T \"$1.new\" \"$1\"
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_drawn_once_and_has_the_length_of_one() {
        let folder = tempfile::tempdir().unwrap();
        let (script, key) = (folder.path().join("draw"), folder.path().join("a/b.key"));
        // The group is the machine's.
        std::fs::write(&script, DRAW.replace("chgrp systemd-network", "true")).unwrap();
        let draw = || {
            cairn_process::Tool::new("sh", "dash", "test").arg(&script).arg(&key).run().unwrap();
            std::fs::read_to_string(&key).unwrap()
        };
        let drawn = draw();
        assert!(drawn.len() == 45 && drawn.ends_with("=\n"), "{drawn}");
        assert_eq!(draw(), drawn, "the key of somebody else's peers stays");
        std::fs::write(&key, "").unwrap();
        assert_ne!(draw(), drawn, "what a power cut has left is no key");
    }
}
