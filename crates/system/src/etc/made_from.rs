//! `/etc/cairn`: the files that the system was made from, so that `cairn upgrade` finds them on the machine.
//!
//! The machine file is there as `machine.yaml` whatever it was called, its lock as `machine.lock`, and what it names
//! (hardware file, sources of files) under the same relative names. Its text is never rewritten, so what it names
//! outside its own folder (an absolute path, or one with `..`) is left out: an upgrade then says that it is missing.
//! Hashes of first passwords are secrets, are left out too, and are not missed by accounts that are there.

use std::collections::{BTreeMap, BTreeSet};

use cairn_machine::names::RelPath;
use cairn_machine::{Checked, FilePurpose, NamedFile};

use crate::error::SystemError;
use crate::tree::{Access, FILE, Node, Tree};

/// Only root reads it.
const SECRET: Access = Access { mode: 0o600, uid: 0, gid: 0 };

/// Puts the files.
///
/// # Errors
/// When a named file has the name of the machine file or the lock, and is another.
pub fn apply(
    tree: &mut Tree,
    checked: &Checked,
    files: &BTreeMap<&str, Vec<u8>>,
    named: &BTreeMap<String, Vec<u8>>,
) -> Result<(), SystemError> {
    let mut put = |name: &str, bytes: &[u8], access: Access, pointer: String| {
        let path = format!("cairn/{name}");
        match tree.get(&path) {
            Some(Node::File(there)) if there == bytes => Ok(()),
            Some(_) => {
                let message = format!("{name} is what another file is called in the machine's /etc/cairn");
                let help = "machine.yaml and machine.lock are the machine file itself and its lock there; give this \
                            file another name";
                Err(SystemError::refused_with(pointer, message, Some(help.into())))
            }
            None => {
                tree.put(&path, Node::File(bytes.to_vec()), access)?;
                Ok(())
            }
        }
    };
    for name in ["machine.yaml", "machine.lock"] {
        if let Some(bytes) = files.get(name) {
            put(name, bytes, FILE, String::new())?;
        }
    }
    if let (Some(name), Some(bytes)) = (&checked.machine.hardware, files.get("hardware.yaml"))
        && let Some(name) = inside(name)
    {
        put(&name, bytes, FILE, "/hardware".into())?;
    }
    let secret = secret(checked);
    for (named_file, name) in carried(checked) {
        if let Some(bytes) = named.get(&named_file.path) {
            let access = if secret.contains(&name) { SECRET } else { FILE };
            put(&name, bytes, access, named_file.pointer)?;
        }
    }
    Ok(())
}

/// What the machine file names and the machine will not have, in the order of the places in the file: each with the
/// reason, for whoever makes the system.
#[must_use]
pub fn left_out(checked: &Checked) -> Vec<String> {
    let hardware = checked.machine.hardware.iter().cloned();
    let others = checked.named_files().into_iter().filter(|f| !f.purpose.is_secret());
    let names = hardware.chain(others.map(|f| f.path)).filter(|name| inside(name).is_none());
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The named files that go along, each with its name there.
fn carried(checked: &Checked) -> impl Iterator<Item = (NamedFile, String)> {
    let all = checked.named_files();
    let is_password = |f: &NamedFile| f.purpose.is_secret();
    let passwords: BTreeSet<String> = all.iter().filter(|f| is_password(f)).filter_map(|f| inside(&f.path)).collect();
    all.into_iter().filter_map(move |file| {
        let name = inside(&file.path)?;
        (!passwords.contains(&name)).then_some((file, name))
    })
}

/// The named files that not everybody may read: a copy is not easier to read than the file that it becomes.
fn secret(checked: &Checked) -> BTreeSet<String> {
    let all_read = |path: &String| checked.machine.files.get(path).is_none_or(|f| f.mode_bits() & 0o004 != 0);
    let is_secret = |file: &NamedFile| match &file.purpose {
        FilePurpose::EtcFile(path) => !all_read(path),
        FilePurpose::BootFile(_) | FilePurpose::DeviceTree => false,
        _ => true,
    };
    checked.named_files().iter().filter(|file| is_secret(file)).filter_map(|file| inside(&file.path)).collect()
}

/// A relative path without detours; `None` if it leads, or may lead, out of the folder.
fn inside(path: &str) -> Option<String> {
    RelPath::beside(path).ok().map(RelPath::into_string)
}

#[cfg(test)]
mod tests {
    use cairn_machine::{SourceFile, check};

    use super::*;

    const HEAD: &str = "version: 1\nhostname: m\nsource:\n  debian: {}\ndisks:\n  main:\n    layout: uefi\n";

    fn checked(more: &str) -> Checked {
        let text = format!("{HEAD}{more}");
        let hardware = b"version: 1\n".to_vec();
        check(&SourceFile::new("m.yaml", text.into_bytes()), &mut |_| Ok(hardware.clone())).unwrap()
    }

    fn made(checked: &Checked, files: &[(&'static str, &str)], named: &[(&str, &str)]) -> Result<Tree, SystemError> {
        let mut tree = Tree::default();
        let files = files.iter().map(|(n, t)| (*n, t.as_bytes().to_vec())).collect();
        let named = named.iter().map(|(n, t)| (n.to_string(), t.as_bytes().to_vec())).collect();
        apply(&mut tree, checked, &files, &named)?;
        Ok(tree)
    }

    #[test]
    fn what_the_machine_file_names_is_there_under_the_same_names_and_no_password() {
        let checked = checked(
            "hardware: hw/laptop.yaml\nusers:\n  ann:\n    hashed_password_file: ann.password\nfiles:\n  \
             /etc/motd:\n    source: ./files/motd\n  /etc/key:\n    source: key\n    mode: '0600'\n  /etc/out:\n    \
             source: /abs\n  /etc/up:\n    source: a/../b\n  /etc/leak:\n    source: ann.password\n",
        );
        let files = [("machine.yaml", "m"), ("machine.lock", "l"), ("hardware.yaml", "h")];
        let named = [("./files/motd", "hi"), ("key", "k"), ("/abs", "a"), ("a/../b", "b"), ("ann.password", "$y$")];
        let tree = made(&checked, &files, &named).unwrap();
        let names: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
        assert_eq!(
            names,
            ["cairn/files/motd", "cairn/hw/laptop.yaml", "cairn/key", "cairn/machine.lock", "cairn/machine.yaml"]
        );
        assert_eq!(tree.special("etc/"), "0600 0 0 etc/cairn/key\n");
        assert_eq!(left_out(&checked), ["/abs", "a/../b"]);
    }

    #[test]
    fn a_file_with_the_name_of_another_is_refused_unless_it_is_the_same() {
        let checked = checked("files:\n  /etc/x:\n    source: machine.yaml\n");
        let error = made(&checked, &[("machine.yaml", "m")], &[("machine.yaml", "another")]).unwrap_err();
        assert_eq!(error.pointer(), Some("/files/~1etc~1x/source"));
        assert!(error.help().unwrap().contains("give this file another name"));
        made(&checked, &[("machine.yaml", "m")], &[("machine.yaml", "m")]).unwrap();
    }
}
