//! The SSH server: keys of users, and its own host key.

use cairn_machine::model::Machine;

use crate::error::SystemError;
use crate::tree::Tree;
use crate::units::Units;

/// Where sshd looks for keys: first the user's own files, then those of the machine file.
const SERVER: &str = "\
# Keys of the machine file are in authorized_keys.d, one file for each user.
AuthorizedKeysFile .ssh/authorized_keys .ssh/authorized_keys2 /etc/ssh/authorized_keys.d/%u
HostKey /etc/ssh/ssh_host_ed25519_key
";

/// The package makes host keys on a first boot as systemd knows it, which these machines do not have: their machine id
/// is there from the start. An RSA key is left out, because making one takes many seconds.
const KEYGEN: &str = "\
[Unit]
ConditionFirstBoot=
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
ExecStart=
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N \"\" -C \"\" -f /etc/ssh/ssh_host_ed25519_key
";

/// Puts `ssh/authorized_keys.d`, and a drop-in for the server where there is one.
pub fn apply(tree: &mut Tree, machine: &Machine, has: &dyn Fn(&str) -> bool, units: &Units) -> Result<(), SystemError> {
    for (name, user) in machine.users.iter().filter(|(_, user)| !user.ssh_authorized_keys.is_empty()) {
        let keys: String = user.ssh_authorized_keys.iter().map(|key| format!("{}\n", key.trim())).collect();
        tree.file(&format!("ssh/authorized_keys.d/{name}"), keys)?;
    }
    if has("/usr/sbin/sshd") {
        tree.file("ssh/sshd_config.d/50-cairn.conf", SERVER)?;
    }
    if units.has("sshd-keygen.service") {
        tree.file("systemd/system/sshd-keygen.service.d/cairn.conf", KEYGEN)?;
    }
    Ok(())
}
