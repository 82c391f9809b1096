//! Files of the machine file's own.

use std::collections::BTreeMap;

use cairn_machine::model::Machine;
use cairn_machine::pointer::child;

use super::accounts::Ids;
use crate::error::SystemError;
use crate::tree::{FILE, Node, Tree};

/// Puts every file of `files`.
///
/// # Errors
/// When an owner is not among the accounts, or a mode is no mode.
pub fn apply(
    tree: &mut Tree,
    machine: &Machine,
    sources: &BTreeMap<String, Vec<u8>>,
    ids: &Ids,
) -> Result<(), SystemError> {
    for (path, file) in &machine.files {
        let pointer = child("/files", path);
        let Some(inside) = path.strip_prefix("/etc/").filter(|p| !p.is_empty()) else {
            return Err(SystemError::refused(pointer, format!("{path} is not below /etc")));
        };
        if let Some(target) = &file.link {
            tree.link(inside, target.clone())?;
            continue;
        }
        let bytes = match (&file.text, sources.get(path)) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(bytes)) => bytes.clone(),
            (None, None) => return Err(SystemError::refused(pointer, format!("{path} has no contents"))),
        };
        let mut access = FILE;
        if let Some(mode) = &file.mode {
            let bad = || SystemError::refused(child(&pointer, "mode"), format!("{mode} is no mode such as 0644"));
            access.mode = u32::from_str_radix(mode, 8).ok().filter(|m| *m <= 0o7777).ok_or_else(bad)?;
        }
        if let Some(user) = &file.user {
            let unknown = || SystemError::refused(child(&pointer, "user"), format!("there is no user {user}"));
            access.uid = *ids.users.get(user).ok_or_else(unknown)?;
        }
        if let Some(group) = &file.group {
            let unknown = || SystemError::refused(child(&pointer, "group"), format!("there is no group {group}"));
            access.gid = *ids.groups.get(group).ok_or_else(unknown)?;
        }
        tree.put(inside, Node::File(bytes), access)?;
        if file.mode.is_some() {
            tree.insist(inside);
        }
    }
    Ok(())
}
