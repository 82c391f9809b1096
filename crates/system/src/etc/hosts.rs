//! The machine's name, and its own addresses by name.

use cairn_machine::model::Machine;

use crate::error::SystemError;
use crate::tree::Tree;

/// Puts `hostname` and `hosts`.
pub fn apply(tree: &mut Tree, machine: &Machine) -> Result<(), SystemError> {
    let name = &machine.hostname;
    tree.file("hostname", format!("{name}\n"))?;
    // Debian's way: the name is there without a network, on an address of its own.
    let names = match name.split_once('.') {
        Some((short, _)) => format!("{name} {short}"),
        None => name.clone(),
    };
    let hosts = format!(
        "127.0.0.1 localhost\n127.0.1.1 {names}\n\n::1 localhost ip6-localhost ip6-loopback\n\
         ff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n"
    );
    tree.file("hosts", hosts)
}
