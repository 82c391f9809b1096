//! The root file system of a machine that has not booted yet: the store, its database and records, the profile, the first
//! passwords.
//! Everything else on it the machine makes by itself at its first boot.

use std::collections::{BTreeMap, HashMap};

use cairn_disk::{Content, DiskError, Entry, Node, Tree};
use cairn_store::{EntryKind, PathInfo, RECORD_DIRS, Store, StoreError, database, profile};

/// The time of everything in the store, as Nix has it.
const STORE_MTIME: i64 = 1;

/// Where a machine has passphrases of wireless networks.
const WIFI: &str = "var/lib/cairn/wifi";

/// What the machine starts with.
#[derive(Debug)]
pub struct RootContents<'a> {
    /// The store that the paths are copied from.
    pub store: &'a Store,
    /// The closure, references and all.
    pub closure: &'a [PathInfo],
    /// Links to make: generations, the current one, roots of garbage collection.
    pub links: &'a [profile::Link],
    /// What the machine remembers of its generations: the text of [`cairn_boot::RECORD_FILE`].
    pub record: &'a str,
    /// crypt(5) hashes of first passwords by login name. They go into the machine's own state, not into the store.
    pub passwords: &'a BTreeMap<String, String>,
    /// Passphrases of wireless networks, as [`crate::named_files::Passphrases`]: they go there too.
    pub passphrases: &'a BTreeMap<String, String>,
    /// Directories that other partitions are mounted on.
    pub mount_points: &'a [String],
    /// The time of everything outside the store, in seconds since 1970. A generation's date is its link's time.
    pub epoch: i64,
}

/// Why there is no root file system.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tree.
    #[error(transparent)]
    Tree(#[from] DiskError),
}

/// The tree of the root file system. Files with the same contents are there once, whatever path they belong to.
///
/// # Errors
/// When a path is not in the store, or a name cannot be in an image.
pub fn tree(contents: &RootContents<'_>) -> Result<Tree, RootError> {
    let mut tree = Tree::new();
    let epoch = contents.epoch;
    add_store(&mut tree, contents.store, contents.closure, epoch)?;
    add_database(&mut tree, contents)?;
    for link in contents.links {
        let path = link.path.to_string_lossy().into_owned();
        add_parents(&mut tree, &path, epoch)?;
        push(&mut tree, path, 0o777, epoch, Node::Symlink(link.target.clone()))?;
    }
    tree.dirs("var/lib/cairn", epoch)?;
    push_bytes(&mut tree, cairn_boot::RECORD_FILE.into(), 0o644, epoch, contents.record.into())?;
    push(&mut tree, "var/lib/cairn/passwords".into(), 0o700, epoch, Node::Dir)?;
    for (user, hash) in contents.passwords {
        let bytes = format!("{}\n", hash.trim()).into_bytes();
        push_bytes(&mut tree, format!("var/lib/cairn/passwords/{user}"), 0o600, epoch, bytes)?;
    }
    if !contents.passphrases.is_empty() {
        push(&mut tree, WIFI.into(), 0o700, epoch, Node::Dir)?;
    }
    for (name, line) in contents.passphrases {
        push_bytes(&mut tree, format!("{WIFI}/{name}"), 0o600, epoch, format!("{line}\n").into_bytes())?;
    }
    for mount_point in contents.mount_points {
        tree.dirs(mount_point.trim_matches('/'), epoch)?;
    }
    Ok(tree)
}

/// Adds the paths of a closure and what Cairn's own store writes down about them: with it whoever has them can build on them, offline.
///
/// # Errors
/// When a path is not in the store.
pub fn add_store(tree: &mut Tree, store: &Store, closure: &[PathInfo], epoch: i64) -> Result<(), RootError> {
    tree.dirs("nix/store", epoch)?;
    let mut seen = HashMap::new();
    for info in closure {
        add_path(tree, store, info, &mut seen)?;
    }
    for dir in RECORD_DIRS {
        tree.dirs(dir, epoch)?;
    }
    for file in store.records(closure)? {
        push_bytes(tree, file.path, 0o644, epoch, file.bytes)?;
    }
    Ok(())
}

/// Adds a file that is no part of the system, with its folders.
pub(super) fn log(tree: &mut Tree, path: &str, text: &str, epoch: i64) -> Result<(), DiskError> {
    add_parents(tree, path, epoch)?;
    push_bytes(tree, path.to_string(), 0o644, epoch, text.as_bytes().to_vec()).map(drop)
}

/// A store path, file by file, from its listing.
fn add_path(
    tree: &mut Tree,
    store: &Store,
    info: &PathInfo,
    seen: &mut HashMap<([u8; 32], bool), usize>,
) -> Result<(), RootError> {
    let real = store.real_path(&info.path);
    let top = format!("nix/store/{}", info.path.base_name());
    let listing = store.listing(&info.path)?;
    tree.reserve(listing.entries().len());
    for entry in listing.iter() {
        let path = if entry.path.is_empty() { top.clone() } else { format!("{top}/{}", entry.path) };
        match &entry.kind {
            EntryKind::Directory => push(tree, path, 0o555, STORE_MTIME, Node::Dir)?,
            EntryKind::Symlink { target } => push(tree, path, 0o777, STORE_MTIME, Node::Symlink(target.clone()))?,
            EntryKind::File { size, executable, sha256 } => {
                let mode = if *executable { 0o555 } else { 0o444 };
                // Empty files are not worth a link, and there are more of them than an inode may have names.
                let twin = if *size > 0 { seen.get(&(*sha256, *executable)) } else { None };
                if let Some(first) = twin {
                    push(tree, path, mode, STORE_MTIME, Node::Hardlink(*first))?;
                    continue;
                }
                let source = if entry.path.is_empty() { real.clone() } else { real.join(&entry.path) };
                let node = Node::File { len: *size, content: Content::Path(source) };
                let index = push(tree, path, mode, STORE_MTIME, node)?;
                seen.insert((*sha256, *executable), index);
                continue;
            }
        };
    }
    Ok(())
}

/// What makes the files in /nix/store a store: Nix's database, and the same as a registration file.
fn add_database(tree: &mut Tree, contents: &RootContents<'_>) -> Result<(), RootError> {
    let epoch = contents.epoch;
    tree.dirs("nix/var/nix/db", epoch)?;
    push_bytes(tree, "nix/var/nix/db/db.sqlite".into(), 0o644, epoch, database::sqlite(contents.closure)?)?;
    push_bytes(tree, "nix/var/nix/db/schema".into(), 0o644, epoch, database::SCHEMA.into())?;
    let registration = database::registration(contents.closure)?.into_bytes();
    push_bytes(tree, "nix-path-registration".into(), 0o644, epoch, registration)?;
    Ok(())
}

fn add_parents(tree: &mut Tree, path: &str, epoch: i64) -> Result<(), DiskError> {
    match path.rsplit_once('/') {
        Some((parent, _)) => tree.dirs(parent, epoch),
        None => Ok(()),
    }
}

fn push_bytes(tree: &mut Tree, path: String, mode: u16, mtime: i64, bytes: Vec<u8>) -> Result<usize, DiskError> {
    push(tree, path, mode, mtime, Node::File { len: bytes.len() as u64, content: Content::Bytes(bytes) })
}

fn push(tree: &mut Tree, path: String, mode: u16, mtime: i64, node: Node) -> Result<usize, DiskError> {
    tree.push(Entry { path, mode, uid: 0, gid: 0, mtime, node })
}
