//! Files of the machine file's own, under /etc.

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
    for (path, file) in machine.files.iter().filter(|(path, _)| path.starts_with("/etc/")) {
        let pointer = child("/files", path);
        let Some(inside) = path.strip_prefix("/etc/").filter(|p| !p.is_empty()) else {
            return Err(SystemError::refused(pointer, format!("{path} is not below /etc")));
        };
        if let Some((message, help)) = hides(tree, inside, file.link.is_some()) {
            return Err(SystemError::refused_with(pointer, message, Some(help)));
        }
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

/// What a declared file would silently take away: a folder with all that is in it, or a file or link that stands where a
/// folder would have to be. Files are there to be replaced.
fn hides(tree: &Tree, inside: &str, is_link: bool) -> Option<(String, String)> {
    let above = inside.match_indices('/').map(|(end, _)| &inside[..end]);
    for folder in above {
        match tree.get(folder) {
            None | Some(Node::Folder) => {}
            Some(Node::File(_)) => {
                let message = format!("/etc/{folder} is a file of the packages, so nothing can be in it");
                return Some((message, "choose another path".into()));
            }
            Some(Node::Link(target)) => {
                let message =
                    format!("/etc/{folder} is a link of the packages, to {target}, and would become a folder");
                return Some((message, "write the path that the link leads to".into()));
            }
        }
    }
    let within = tree.first_within(inside);
    match (tree.get(inside), within) {
        // Nothing is lost with a folder that is empty, and a link can lead to another one.
        (Some(Node::Folder), None) if is_link => None,
        (Some(Node::Folder), None) => {
            let message = format!("/etc/{inside} is a folder of the packages, and would become a file");
            Some((message, format!("name the file in it that is meant, such as /etc/{inside}/NAME")))
        }
        (_, Some(first)) => {
            let message = format!("/etc/{inside} is a folder, and would go with all that is in it (/etc/{first})");
            Some((message, format!("name the file in it that is meant, such as /etc/{inside}/NAME")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(files: &str) -> Option<(String, String)> {
        let mut tree = Tree::default();
        tree.file("ssh/sshd_config", "of the package").unwrap();
        tree.file("hosts", "of the package").unwrap();
        tree.link("alternatives/x", "/usr/bin/x").unwrap();
        tree.put("empty", Node::Folder, crate::tree::EXECUTABLE).unwrap();
        let text = format!(r#"{{"version":1,"hostname":"h","source":{{"debian":{{}}}},"disks":{{}},"files":{files}}}"#);
        let machine: Machine = serde_json::from_str(&text).unwrap();
        let result = apply(&mut tree, &machine, &BTreeMap::new(), &Ids::default());
        result.err().map(|e| (e.pointer().unwrap_or_default().to_string(), e.to_string()))
    }

    #[test]
    fn a_file_takes_no_folder_away_and_a_folder_no_file() {
        for (path, kind, words) in [
            ("/etc/ssh", "text", "would go with all that is in it (/etc/ssh/sshd_config)"),
            ("/etc/ssh", "link", "would go with all that is in it"),
            ("/etc/empty", "text", "would become a file"),
            ("/etc/hosts/foo", "text", "/etc/hosts is a file"),
            ("/etc/alternatives/x/y/z", "text", "/etc/alternatives/x is a link of the packages, to /usr/bin/x"),
        ] {
            let (pointer, message) = refused(&format!(r#"{{"{path}":{{"{kind}":"hello"}}}}"#)).expect(path);
            assert_eq!(pointer, child("/files", path));
            assert!(message.contains(words), "{message}");
        }
        for (path, kind) in [
            ("/etc/hosts", "text"),
            ("/etc/ssh/sshd_config", "link"),
            ("/etc/ssh/new/er", "text"),
            ("/etc/empty", "link"),
        ] {
            assert_eq!(refused(&format!(r#"{{"{path}":{{"{kind}":"hello"}}}}"#)), None, "{path}");
        }
    }
}
