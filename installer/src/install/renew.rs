//! A machine whose root stays: the system is made anew in the file system that is there, and all else in it is left alone.
//!
//! The new store is written beside the old one while the machine still starts; then the two change places, and the old one goes. What is
//! in `/var`, `/home` and everywhere else stays, but for what Cairn itself remembers of generations that are no more.

use std::io::{self, Read};

use anyhow::{Context, ensure};
use cairn_disk::ext4::Folders;
use cairn_disk::{Content, Entry, Node, Source, Tree};
use cairn_layout::human;
use cairn_layout::onto::Onto;
use cairn_make::LOGS;
use cairn_observe::view::ext4_names;
use cairn_process::{Refusal, Report, go_on};
use cairn_root::{Folder, Kind, Root};
use nix::sys::statvfs::fstatvfs;

use super::mounting::{How, with_mounted};
use crate::disks::Device;

/// Whatever was not written out before is not needed for looking.
const LOOK: How = How { kind: "ext4", options: "noload", reads: true };
const WRITE: How = How { kind: "ext4", options: "errors=remount-ro", reads: false };

/// The store, and where the new one is made.
const STORE: &str = "nix";
const NEW: &str = ".nix.new";
/// `/etc/cairn`, where somebody has changed it on the machine.
const OWN_FILES: &str = "var/lib/cairn/etc/upper/cairn";
/// Room that nobody is to fill.
const SPARE: u64 = 64 << 20;
/// What a folder takes.
const BLOCK: u64 = 4096;

/// Refuses a plan for a root in which no machine is, as far as that can be read without mounting it.
///
/// # Errors
/// The refusal.
pub fn judge(onto: &Onto, disk: &dyn Source) -> Result<(), Refusal> {
    let number = onto.renewed_root();
    let Some(root) = onto.there.partitions.iter().find(|one| Some(one.number) == number) else { return Ok(()) };
    let sector = onto.there.sector;
    let place = (root.first.offset(sector), root.sectors.bytes(sector));
    // One that is mounted, or was not left clean, is looked at when it is mounted.
    if ext4_names(disk, place, "/").is_none()
        || MACHINE.iter().all(|folder| ext4_names(disk, place, &format!("/{folder}")).is_some())
    {
        return Ok(());
    }
    Err(no_machine(&format!("partition {}", root.number)))
}

/// What a machine of Cairn's has.
const MACHINE: [&str; 2] = ["nix/store", "var/lib/cairn"];

fn no_machine(what: &str) -> Refusal {
    Refusal(format!(
        "{what} holds no machine of Cairn's (/nix/store, /var/lib/cairn), of which the system could be made anew: `--into again`, or \
         --replace, makes all of it anew"
    ))
}

/// That there is a machine in it, and room for a new system. Nothing is written.
///
/// # Errors
/// A refusal that says what is missing.
pub fn check(device: &Device, tree: &Tree) -> anyhow::Result<()> {
    with_mounted(device, LOOK, |at| {
        let folder = Root::open(at).context("opening it")?.top();
        let is_folder = |path: &str| matches!(folder.kind(path), Ok(Some(Kind::Folder)));
        if !MACHINE.into_iter().all(is_folder) {
            return Err(no_machine(&device.name).into());
        }
        let room = fstatvfs(&folder).context("asking how much is free")?;
        // For root: what is reserved counts.
        let (size, free) = (room.fragment_size(), room.blocks_free().saturating_mul(room.fragment_size()));
        let of = |entry: &Entry| match &entry.node {
            Node::File { len, .. } => len.next_multiple_of(size.max(1)),
            Node::Dir => BLOCK,
            Node::Symlink(_) | Node::Hardlink(_) => 0,
        };
        let needed: u64 = tree.entries().iter().map(of).fold(SPARE, u64::saturating_add);
        let entries = tree.entries().len() as u64;
        if needed > free || entries > room.files_free() {
            let why = format!(
                "{} has {} free, and the new system needs {} beside the old one",
                device.name,
                human(free),
                human(needed)
            );
            return Err(Refusal(format!(
                "{why}: `cairn gc` on the machine makes room, or `--into again` makes all of it anew"
            ))
            .into());
        }
        Ok(())
    })
}

/// Writes the new store beside the old one. What is left of one that was not finished goes first.
///
/// # Errors
/// What writing meets; the machine is as it was then.
pub fn write(device: &Device, tree: &Tree, report: &dyn Report) -> anyhow::Result<()> {
    report.phase("writing the system into the root that stays", None);
    with_mounted(device, WRITE, |at| {
        let folder = Root::open(at).context("opening it")?.top();
        folder.remove_tree(NEW).context("removing what an earlier installation has left")?;
        let made = below_new(&folder, tree);
        if made.is_err() {
            // It is in nobody's way; the next installation removes it.
            let _ = folder.remove_tree(NEW);
        }
        made
    })
}

/// Puts the new store in the place of the old one, and makes what else a new machine has.
///
/// # Errors
/// What writing meets. The same once more comes to its end.
pub fn change_places(device: &Device, tree: &Tree, report: &dyn Report) -> anyhow::Result<()> {
    report.phase("putting the new system in the place of the old one", None);
    with_mounted(device, WRITE, |at| {
        let folder = Root::open(at).context("opening it")?.top();
        folder.exchange(NEW, STORE).context("letting the new system and the old one change places")?;
        folder.sync()?;
        for (index, entry) in tree.entries().iter().enumerate().filter(|(_, entry)| !is_store(&entry.path)) {
            besides(&folder, tree, index).with_context(|| format!("writing /{}", entry.path))?;
        }
        set_aside(&folder).context("setting the old machine's own files aside")?;
        folder.sync_file_system()?;
        folder.remove_tree(NEW).context("removing the old system")?;
        Ok(folder.sync_file_system()?)
    })
}

/// The machine's own layer of `/etc` stays, but for the files that the old machine was made from: they would be taken for the new one's.
fn set_aside(folder: &Folder) -> io::Result<()> {
    if folder.kind(OWN_FILES)?.is_none() {
        return Ok(());
    }
    let mut number = 0_u32;
    loop {
        number += 1;
        let name = if number == 1 { format!("{OWN_FILES}.old") } else { format!("{OWN_FILES}.old.{number}") };
        if folder.kind(&name)?.is_none() {
            return folder.rename(OWN_FILES, name);
        }
    }
}

fn is_store(path: &str) -> bool {
    path.strip_prefix(STORE).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Where something of the store is while it is made.
fn new(path: &str) -> String {
    format!("{NEW}{}", &path[STORE.len()..])
}

fn below_new(folder: &Folder, tree: &Tree) -> anyhow::Result<()> {
    let entries: Vec<&Entry> = tree.entries().iter().filter(|entry| is_store(&entry.path)).collect();
    let mut folders = Folders::default();
    for entry in &entries {
        go_on()?;
        let path = new(&entry.path);
        let made = match &entry.node {
            Node::Dir => folder.make_folder(&path, entry.mode.into()),
            Node::Symlink(target) => folder.symlink(target, &path),
            Node::File { len, content } => file(folder, &path, entry, (*len, content), &mut folders),
            Node::Hardlink(first) => folder.hard_link(new(&tree.entries()[*first].path), &path),
        };
        made.with_context(|| format!("writing {}", folder.shown(&path).display()))?;
    }
    // Folders from within: whatever is made in one changes its time.
    for entry in entries.iter().rev().filter(|entry| !matches!(entry.node, Node::Hardlink(_))) {
        let path = new(&entry.path);
        folder.set_time(&path, entry.mtime).with_context(|| format!("writing {}", folder.shown(&path).display()))?;
    }
    Ok(folder.sync_file_system()?)
}

fn file(
    folder: &Folder,
    path: &str,
    entry: &Entry,
    (len, content): (u64, &Content),
    folders: &mut Folders,
) -> io::Result<()> {
    let mut to = folder.create_new(path, entry.mode.into())?;
    let copied = match content {
        Content::Bytes(bytes) => io::copy(&mut bytes.as_slice(), &mut to)?,
        Content::Path(from) => io::copy(&mut folders.open(from)?.take(len + 1), &mut to)?,
    };
    if copied != len {
        let error = format!("a file has changed while it was read: it had {len} bytes, and has {copied}");
        return Err(io::Error::other(error));
    }
    Ok(())
}

/// What a new machine has besides its store: folders where there are none, what Cairn remembers, and first passwords of accounts that
/// have none.
fn besides(folder: &Folder, tree: &Tree, index: usize) -> anyhow::Result<()> {
    let Entry { path, mode, node, .. } = &tree.entries()[index];
    let there = folder.kind(path)?;
    match node {
        Node::Dir if there.is_none() => Ok(folder.make_folder(path, (*mode).into())?),
        Node::File { content: Content::Bytes(bytes), .. } => {
            let renewed = path == cairn_boot::RECORD_FILE || !path.contains('/') || path.starts_with(LOGS);
            if there.is_none() || renewed {
                folder.write_durably(path, bytes, (*mode).into())?;
            }
            Ok(())
        }
        Node::Symlink(target) if there.is_none() => Ok(folder.symlink(target, path)?),
        Node::Dir | Node::Symlink(_) => Ok(()),
        Node::File { .. } | Node::Hardlink(_) => {
            ensure!(there.is_some(), "only the store has files of other files' contents");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_old_machine_was_made_from_is_set_aside_under_a_free_name() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Root::open(dir.path()).unwrap().top();
        set_aside(&folder).unwrap();
        for name in ["cairn.old", "cairn.old.2", "cairn.old.3"] {
            std::fs::create_dir_all(dir.path().join(OWN_FILES)).unwrap();
            set_aside(&folder).unwrap();
            assert!(folder.kind(OWN_FILES).unwrap().is_none());
            assert_eq!(folder.kind(format!("var/lib/cairn/etc/upper/{name}")).unwrap(), Some(Kind::Folder), "{name}");
        }
    }

    #[test]
    fn the_store_is_one_folder_and_no_other() {
        for (path, is) in [("nix", true), ("nix/store/x", true), ("nix-path-registration", false), ("var/nix", false)] {
            assert_eq!(is_store(path), is, "{path}");
        }
        assert_eq!((new("nix").as_str(), new("nix/store/x").as_str()), (".nix.new", ".nix.new/store/x"));
    }
}
