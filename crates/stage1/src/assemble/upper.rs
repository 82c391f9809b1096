//! What must be in the machine's own layer of `/etc` before it is mounted: merged accounts, the machine id.

use std::io;
use std::path::{Path, PathBuf};

use super::accounts::{self, RECORD};
use super::kept;
use super::modes::Special;
use super::plan::{STATE, UPPER};
use crate::accounts::files::{Accounts, NAMES};
use crate::accounts::merge::merge;
use crate::accounts::subordinate;
use crate::error::{Context, Error};
use crate::folder::{Folder, Owned};
use crate::notes::Notes;
use crate::root::Root;

/// A machine id has no more, nor less.
const ID_LENGTH: usize = 32;

/// What is to be done to the upper layer.
#[derive(Debug, Default)]
pub struct Upper {
    /// File name, contents (`None`: the generation's file serves), mode, group.
    files: Vec<(&'static str, Option<String>, u32, u32)>,
    /// Files that are in the way.
    aside: Vec<&'static str>,
    /// Files that the generation has as well.
    drop: Vec<PathBuf>,
    record: String,
}

/// Merges the accounts, and translates the numbers of special files to those in use on this machine. `here_to_stay` is
/// the `/etc` of a generation that is not on trial.
pub fn prepare(root: &Root, etc: &Path, here_to_stay: bool, special: &mut [Special], notes: &mut Notes) -> Upper {
    let upper = root.folder(Path::new(UPPER)).ok().filter(|_| here_to_stay);
    let drop = upper.map(|upper| kept::same(root, &upper, etc)).unwrap_or_default();
    let read = match accounts::read(root, etc, notes) {
        Ok(read) => read,
        // The machine's files serve as they are.
        Err(e) => {
            notes.say(e);
            return Upper { drop, ..Upper::default() };
        }
    };
    let declared = read.input.declared.clone();
    let machine = read.input.machine.clone();
    let merged = merge(read.input);
    for note in &merged.notes {
        notes.say(note);
    }
    for entry in special {
        entry.uid = *merged.users.get(&entry.uid).unwrap_or(&entry.uid);
        entry.gid = *merged.groups.get(&entry.gid).unwrap_or(&entry.gid);
    }
    let shadow = merged.accounts.group("shadow").map_or(0, |g| g.gid);
    let mut files = plan(&declared, &machine, &merged.accounts, shadow);
    files.extend(subordinate(&read.subordinate, &declared, &merged.accounts));
    let mut record = merged.record.text();
    if record == read.record {
        record.clear();
    }
    Upper { files, aside: read.unreadable, drop, record }
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

/// Subordinate numbers go with the numbers of their users.
fn subordinate(
    texts: &[(String, Option<String>); 2],
    declared: &Accounts,
    merged: &Accounts,
) -> Vec<(&'static str, Option<String>, u32, u32)> {
    let number =
        |accounts: &Accounts, name: &str| accounts.users.iter().find(|u| u.name == name).map(|u| i64::from(u.uid));
    let moved = |name: &str| match (number(declared, name), number(merged, name)) {
        (Some(declared), Some(used)) => used - declared,
        _ => 0,
    };
    let plan = |(name, (declared, machine)): (&'static str, &(String, Option<String>))| {
        let text = subordinate::merge(declared, machine.as_deref().unwrap_or_default(), &moved);
        match machine {
            Some(machine) if text == *machine && text != *declared => None,
            Some(_) if text == *declared => Some((name, None, 0o644, 0)),
            None if text == *declared => None,
            _ => Some((name, Some(text), 0o644, 0)),
        }
    };
    subordinate::NAMES.into_iter().zip(texts).filter_map(plan).collect()
}

/// Writes it to the machine's own layer.
///
/// # Errors
/// When the layer is not there. What cannot be written is told.
pub fn write(upper: &Upper, root: &Root, notes: &mut Notes) -> Result<(), Error> {
    let folder = root.folder(Path::new(UPPER)).context("opening the machine's own layer of /etc")?;
    for name in &upper.aside {
        match folder.set_aside(name) {
            Ok(aside) => notes.say(format!("/etc/{name} is now /etc/{}", aside.display())),
            Err(e) => notes.say(format!("setting /etc/{name} aside: {e}")),
        }
    }
    let written = write_files(upper, &folder, notes);
    for path in &upper.drop {
        let parent = path.parent().unwrap_or(Path::new(""));
        let dropped = folder.below(parent).and_then(|parent| parent.remove(path.file_name().unwrap_or_default()));
        if let Err(e) = dropped {
            notes.say(format!("removing /etc/{} from the machine's own layer: {e}", path.display()));
        }
    }
    if machine_id(&folder).is_none() {
        write_machine_id(&folder, new_machine_id(), notes);
    }
    // It says what was done: if not all was, the next boot has to know what was before.
    if written && !upper.record.is_empty() {
        let owned = Owned { mode: 0o600, uid: 0, gid: 0 };
        let record = root.folder(Path::new(STATE)).and_then(|state| state.replace(RECORD, &upper.record, owned));
        if let Err(e) = record {
            notes.say(format!("writing {STATE}/{RECORD}: {e}"));
        }
    }
    Ok(())
}

/// Writes it to a layer that is forgotten when the machine stops, which may lie over the machine's own.
pub fn write_volatile(upper: &Upper, root: &Root, folder: &Folder, notes: &mut Notes) {
    write_files(upper, folder, notes);
    let old = root.folder(Path::new(UPPER)).ok().and_then(|folder| machine_id(&folder));
    write_machine_id(folder, old.map_or_else(new_machine_id, Ok), notes);
}

/// Every file is replaced as a whole: a power cut leaves the old one or the new one.
fn write_files(upper: &Upper, folder: &Folder, notes: &mut Notes) -> bool {
    let mut all = true;
    for (name, contents, mode, gid) in &upper.files {
        let done = match contents {
            Some(text) => folder.replace(name, text, Owned { mode: *mode, uid: 0, gid: *gid }),
            None => folder.remove(name),
        };
        if let Err(e) = done {
            notes.say(format!("writing /etc/{name}: {e}"));
            all = false;
        }
    }
    all
}

/// The machine's id, if it has one: machine-id(5).
fn machine_id(folder: &Folder) -> Option<String> {
    let text = folder.text("machine-id", 4096).ok()?;
    let id = text.trim();
    let good = id.len() == ID_LENGTH && id.chars().all(|c| c.is_ascii_hexdigit()) && id.contains(|c| c != '0');
    good.then(|| format!("{id}\n"))
}

/// A random one. It is drawn on the machine, not at build time: an image is written to many.
fn new_machine_id() -> io::Result<String> {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    Ok(uuid.chars().filter(char::is_ascii_hexdigit).chain(['\n']).collect())
}

fn write_machine_id(folder: &Folder, id: io::Result<String>, notes: &mut Notes) {
    let written = id.and_then(|id| folder.replace("machine-id", &id, Owned { mode: 0o444, uid: 0, gid: 0 }));
    if let Err(e) = written {
        notes.say(format!("writing /etc/machine-id: {e}"));
    }
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
