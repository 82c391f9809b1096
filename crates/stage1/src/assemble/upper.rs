//! What must be in the machine's own layer of `/etc` before it is mounted: merged accounts, the machine id.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::facts::{RECORD, below, text_or_empty};
use super::kept;
use super::modes::Special;
use super::plan::UPPER;
use crate::accounts::files::{Accounts, NAMES};
use crate::accounts::merge::{Input, merge};
use crate::error::{Context, Error};

/// What is to be done to the upper layer.
#[derive(Debug)]
pub struct Upper {
    /// File name, contents (`None`: the generation's file serves), mode, group.
    files: Vec<(&'static str, Option<String>, u32, u32)>,
    /// Files that the generation has as well.
    drop: Vec<PathBuf>,
    record: String,
}

/// Merges the accounts, and translates the numbers of special files to those in use on this machine. `etc` is that
/// of a generation that is here to stay, if it is.
pub fn prepare(root: &Path, etc: Option<&Path>, accounts: &mut Input, special: &mut [Special]) -> Result<Upper, Error> {
    let input = std::mem::take(accounts);
    let declared = input.declared.clone();
    let first_machine = input.machine.clone();
    let merged = merge(input);
    for note in &merged.notes {
        eprintln!("cairn-stage1: {note}");
    }
    for entry in special {
        entry.uid = *merged.users.get(&entry.uid).unwrap_or(&entry.uid);
        entry.gid = *merged.groups.get(&entry.gid).unwrap_or(&entry.gid);
    }
    let shadow = merged.accounts.group("shadow").map_or(0, |g| g.gid);
    let files = plan(&declared, &first_machine, &merged.accounts, shadow);
    let mut record = merged.record.text();
    if record == text_or_empty(&below(root, Path::new(RECORD)))? {
        record.clear();
    }
    let drop = etc.map(|etc| kept::same(&below(root, Path::new(UPPER)), &below(root, etc))).unwrap_or_default();
    Ok(Upper { files, drop, record })
}

/// A file is in the upper layer only if it differs from the generation's.
fn plan(
    declared: &Accounts,
    machine: &Accounts,
    merged: &Accounts,
    shadow: u32,
) -> Vec<(&'static str, Option<String>, u32, u32)> {
    let texts = declared.texts().into_iter().zip(machine.texts()).zip(merged.texts());
    NAMES
        .into_iter()
        .zip(texts)
        .filter_map(|(name, ((declared, machine), merged))| {
            let (mode, group) = if name.ends_with("shadow") { (0o640, shadow) } else { (0o644, 0) };
            match merged {
                text if text == declared => (!machine.is_empty()).then_some((name, None, mode, group)),
                text if text == machine => None,
                text => Some((name, Some(text), mode, group)),
            }
        })
        .collect()
}

/// Writes it. Every file is replaced as a whole: a power cut leaves the old one or the new one.
pub fn write(upper: &Upper, root: &Path, folder: &Path) -> Result<(), Error> {
    let folder = below(root, folder);
    for (name, contents, mode, group) in &upper.files {
        let path = folder.join(name);
        match contents {
            Some(text) => replace(&path, text, *mode, *group)?,
            None => match fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(e).with_context(|| format!("removing {}", path.display()));
                }
                _ => {}
            },
        }
    }
    for path in &upper.drop {
        fs::remove_file(path).with_context(|| format!("removing {}", path.display()))?;
    }
    let id = folder.join("machine-id");
    if text_or_empty(&id)?.trim().len() != 32 {
        replace(&id, &new_machine_id()?, 0o444, 0)?;
    }
    if !upper.record.is_empty() {
        replace(&below(root, Path::new(RECORD)), &upper.record, 0o600, 0)?;
    }
    Ok(())
}

/// A random machine id, machine-id(5). It is drawn on the machine, not at build time: an image is written to many.
fn new_machine_id() -> Result<String, Error> {
    let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid").context("drawing a machine id")?;
    Ok(uuid.chars().filter(char::is_ascii_hexdigit).chain(['\n']).collect())
}

fn replace(path: &Path, text: &str, mode: u32, group: u32) -> Result<(), Error> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".cairn-new");
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        chown(&temporary, Some(0), Some(group))?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_from_the_generation_is_in_the_upper_layer() {
        let texts = ["a:x:1:1::/:/bin/sh\n", "a:x:1:\n", "a:!:::::::\n", "a:!::\n"];
        let declared = Accounts::parse(texts);
        let none = Accounts::default();
        assert_eq!(plan(&declared, &none, &declared, 42), []);

        let mut merged = declared.clone();
        merged.shadows[0].password = "$y$".into();
        let files = plan(&declared, &none, &merged, 42);
        assert_eq!(files, [("shadow", Some("a:$y$:::::::\n".into()), 0o640, 42)]);
        assert_eq!(
            plan(&declared, &merged, &merged, 42).iter().map(|f| f.0).collect::<Vec<_>>(),
            ["passwd", "group", "gshadow"]
        );
    }
}
