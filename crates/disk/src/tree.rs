//! What goes into a file system: an ordered list of directories, files and links. Its order is the order of the inodes
//! and of the data on the disk, so the same tree gives the same bytes.

use std::collections::HashMap;
use std::fmt;
use std::fs::Metadata;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::error::DiskError;

mod ahead;

use ahead::Item;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path from the root of the file system, without a leading slash: `nix/store`. The root itself is `""`.
    pub path: String,
    /// Permission bits, the special ones included.
    pub mode: u16,
    /// The owning user.
    pub uid: u32,
    /// The owning group.
    pub gid: u32,
    /// The time of the last change, in seconds since 1970.
    pub mtime: i64,
    /// What it is.
    pub node: Node,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Dir,
    /// A file.
    File {
        /// Its length in bytes.
        len: u64,
        /// Where its bytes come from.
        content: Content,
    },
    /// A symbolic link to this target.
    Symlink(String),
    /// Another name of an earlier file, by its index. Mode, owner and time are the file's.
    Hardlink(usize),
}

/// Where a file's bytes come from.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// A file on this machine: an absolute path with no link on the way, so that none is followed that comes there later.
    Path(PathBuf),
    /// These bytes.
    Bytes(Vec<u8>),
}

impl fmt::Debug for Content {
    /// Bytes can be many: their count is told.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Content::Bytes(bytes) => f.debug_tuple("Bytes").field(&bytes.len()).finish(),
        }
    }
}

/// Entries in order: parents before their children, no path twice.
#[derive(Clone, Default)]
pub struct Tree {
    entries: Vec<Entry>,
    /// The index of the directory that an entry is in.
    parents: Vec<Option<usize>>,
    /// Where the name begins in an entry's path.
    names: Vec<usize>,
    /// Entries by the hashes of their paths; where another has it already, by the next number. The paths again would be as much memory.
    index: HashMap<u64, u32>,
    hashes: RandomState,
}

/// How a folder of this machine is taken into a tree.
#[derive(Debug, Clone, Copy, Default)]
pub struct FolderOptions {
    /// Who owns everything, where it is not who owns it here.
    pub owner: Option<(u32, u32)>,
    /// The time of everything, where it is not the time here.
    pub mtime: Option<i64>,
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

impl Tree {
    /// An empty tree. Its root directory is 0755, root's, with the file system's epoch as its time, unless an entry with
    /// the path `""` says otherwise.
    pub fn new() -> Tree {
        Tree::default()
    }

    /// The entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The directory that an entry is in, by index; `None` for what is in the root, and for the root itself.
    pub(crate) fn parent(&self, entry: usize) -> Option<usize> {
        self.parents.get(entry).copied().flatten()
    }

    /// An entry's name in its directory; `""` for the root.
    pub(crate) fn name(&self, entry: usize) -> &str {
        &self.entries[entry].path[self.names[entry]..]
    }

    /// The index of the entry with a path.
    pub fn find(&self, path: &str) -> Option<usize> {
        self.place(path).ok()
    }

    /// The index of the entry with a path, or where it would be found by.
    fn place(&self, path: &str) -> Result<usize, u64> {
        let mut place = self.hashes.hash_one(path);
        while let Some(index) = self.index.get(&place) {
            if self.entries[*index as usize].path == path {
                return Ok(*index as usize);
            }
            place = place.wrapping_add(1);
        }
        Err(place)
    }

    /// Makes room for so many entries more, which are then added without a pause.
    pub fn reserve(&mut self, more: usize) {
        self.entries.reserve(more);
        self.parents.reserve(more);
        self.names.reserve(more);
        self.index.reserve(more);
    }

    /// Adds an entry and gives its index.
    ///
    /// # Errors
    /// [`DiskError::Tree`] when its directory is not there yet, its path is there already or not a path, a name has more
    /// than 255 bytes, a link has no target, or a hard link does not name an earlier file.
    pub fn push(&mut self, entry: Entry) -> Result<usize, DiskError> {
        let parent = self.check_path(&entry).map_err(|why| DiskError::Tree { path: entry.path.clone(), why })?;
        self.push_into(parent, entry)
    }

    /// Adds an entry whose path is one, into a directory that is known.
    fn push_into(&mut self, parent: Option<usize>, entry: Entry) -> Result<usize, DiskError> {
        let index = self.entries.len();
        let refused = |why| Err(DiskError::Tree { path: entry.path.clone(), why });
        if let Err(why) = self.check_node(&entry.node) {
            return refused(why);
        }
        let Err(place) = self.place(&entry.path) else { return refused("it is there already") };
        let Ok(number) = u32::try_from(index) else {
            return refused("there are more entries than a file system can have");
        };
        self.index.insert(place, number);
        // As long as the directory's path, and a slash.
        self.names.push(parent.map_or(0, |parent| self.entries[parent].path.len() + 1));
        self.entries.push(entry);
        self.parents.push(parent);
        Ok(index)
    }

    fn check_node(&self, node: &Node) -> Result<(), &'static str> {
        match node {
            Node::Symlink(target) if target.is_empty() || target.len() > 4095 || target.contains('\0') => {
                Err("a link's target has 1 to 4095 bytes")
            }
            Node::Hardlink(to) if !matches!(self.entries.get(*to), Some(Entry { node: Node::File { .. }, .. })) => {
                Err("a hard link names an earlier file")
            }
            _ => Ok(()),
        }
    }

    /// The directory that an entry is to be in.
    fn check_path(&self, entry: &Entry) -> Result<Option<usize>, &'static str> {
        if entry.path.is_empty() {
            let first = self.entries.is_empty() && entry.node == Node::Dir;
            return if first { Ok(None) } else { Err("the root is a directory and comes first") };
        }
        let (parent, name) = entry.path.rsplit_once('/').map_or(("", entry.path.as_str()), |(p, n)| (p, n));
        if name.is_empty() || name == "." || name == ".." || name.len() > 255 || name.contains('\0') {
            return Err("a name has 1 to 255 bytes and is neither '.' nor '..'");
        }
        if parent.is_empty() {
            return if entry.path.starts_with('/') { Err("a path has no leading slash") } else { Ok(None) };
        }
        // Most lie beside the one before, or in it.
        let last = self.entries.len().checked_sub(1);
        let mut near = [last.and_then(|last| self.parent(last)), last].into_iter().flatten();
        let near = near.find(|index| self.entries[*index].path == parent);
        match near.or_else(|| self.find(parent)) {
            Some(index) if self.entries[index].node == Node::Dir => Ok(Some(index)),
            Some(_) => Err("what it is in is not a directory"),
            None => Err("its directory is not there"),
        }
    }

    /// Adds a directory of root's with mode 0755, and those that it is in, as far as they are not there.
    ///
    /// # Errors
    /// See [`Tree::push`].
    pub fn dirs(&mut self, path: &str, mtime: i64) -> Result<(), DiskError> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let path = &path[..end];
            if !path.is_empty() && self.find(path).is_none() {
                self.push(Entry { path: path.to_string(), mode: 0o755, uid: 0, gid: 0, mtime, node: Node::Dir })?;
            }
        }
        Ok(())
    }

    /// Adds what is in a folder of this machine under `at` (`""` for the root), sorted by name; the folder itself too,
    /// unless it is the root. Names that are hard links to one file here are so there.
    ///
    /// # Errors
    /// [`DiskError::Name`], [`DiskError::Special`], [`DiskError::Read`]; see also [`Tree::push`].
    pub fn add_folder(&mut self, at: &str, folder: &Path, options: FolderOptions) -> Result<(), DiskError> {
        let mut links = HashMap::new();
        // The folder may be named by links; within it none is followed, now or when its files are read.
        let folder = &folder.canonicalize().map_err(|source| read(folder, source))?;
        let metadata = folder.symlink_metadata().map_err(|source| read(folder, source))?;
        let top = match at {
            "" => None,
            at => Some(self.push(entry(at.to_string(), &metadata, options, Node::Dir))?),
        };
        // Each folder that was met, where it is in the tree: its children come after all that are beside it.
        let mut places = HashMap::from([(0, (at.to_string(), top))]);
        ahead::walk(folder, |number, folder, items| {
            let (at, parent) = places.remove(&number).unwrap_or_default();
            for item in items {
                let source = folder.join(&item.name);
                let Some(name) = item.name.to_str() else { return Err(DiskError::Name { path: source }) };
                let path = if at.is_empty() { name.to_string() } else { format!("{at}/{name}") };
                let within = item.folder.map(|number| (number, path.clone()));
                let index = self.add_one(parent, path, source, item, options, &mut links)?;
                if let Some((number, path)) = within {
                    places.insert(number, (path, Some(index)));
                }
            }
            Ok(())
        })
    }

    /// Adds one file, link or directory.
    fn add_one(
        &mut self,
        parent: Option<usize>,
        path: String,
        source: PathBuf,
        item: Item,
        options: FolderOptions,
        links: &mut HashMap<(u64, u64), usize>,
    ) -> Result<usize, DiskError> {
        let Item { metadata, target, .. } = item;
        let kind = metadata.file_type();
        let node = if kind.is_dir() {
            Node::Dir
        } else if let Some(target) = target {
            let target = target.map_err(|error| read(&source, error))?;
            let target = target.into_os_string().into_string();
            Node::Symlink(target.map_err(|_| DiskError::Name { path: source })?)
        } else if kind.is_file() {
            match links.get(&(metadata.dev(), metadata.ino())) {
                Some(index) => Node::Hardlink(*index),
                None => Node::File { len: metadata.len(), content: Content::Path(source) },
            }
        } else {
            let what = if kind.is_fifo() {
                "a named pipe"
            } else if kind.is_socket() {
                "a socket"
            } else {
                "a device"
            };
            return Err(DiskError::Special { path: source, what });
        };
        let first_of_many = matches!(node, Node::File { .. }) && metadata.nlink() > 1;
        let index = self.push_into(parent, entry(path, &metadata, options, node))?;
        if first_of_many {
            links.insert((metadata.dev(), metadata.ino()), index);
        }
        Ok(index)
    }
}

fn entry(path: String, metadata: &Metadata, options: FolderOptions, node: Node) -> Entry {
    let (uid, gid) = options.owner.unwrap_or((metadata.uid(), metadata.gid()));
    let mtime = options.mtime.unwrap_or(metadata.mtime());
    // Only permission bits are left after the mask.
    Entry { path, mode: (metadata.mode() & 0o7777) as u16, uid, gid, mtime, node }
}

fn read(path: &Path, source: std::io::Error) -> DiskError {
    DiskError::Read { path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_lies_below_the_root_and_behind_no_link() {
        let node = || Node::File { len: 0, content: Content::Bytes(Vec::new()) };
        let entry = |path: &str, node: Node| Entry { path: path.into(), mode: 0o644, uid: 0, gid: 0, mtime: 0, node };
        let mut tree = Tree::new();
        tree.dirs("a", 0).unwrap();
        tree.push(entry("a/link", Node::Symlink("/etc".into()))).unwrap();
        tree.push(entry("a/file", node())).unwrap();
        let long = "x".repeat(300);
        for path in [
            "/",
            "/etc",
            "/a/x",
            "..",
            "../x",
            ".",
            "a/..",
            "a/../x",
            "a/../../x",
            "a/./x",
            "a//x",
            "a/",
            "a/x/",
            "x\0",
            "a/link/x",
            "a/file/x",
            "none/x",
            &long,
        ] {
            assert!(tree.push(entry(path, node())).is_err(), "{path:?}");
            assert!(tree.push(entry(path, Node::Symlink("x".into()))).is_err(), "{path:?}");
            assert!(tree.push(entry(path, Node::Dir)).is_err(), "{path:?}");
        }
        for path in ["/x", "../x", "b/../x", "b/./x", "a/link/x", "b//x", "b/x\0"] {
            assert!(tree.dirs(path, 0).is_err(), "{path:?}");
        }
        let found: Vec<&str> = tree.entries().iter().map(|entry| &*entry.path).collect();
        assert!(found.iter().all(|path| matches!(*path, "a" | "a/link" | "a/file" | "b")), "{found:?}");
    }

    #[test]
    fn what_just_fits_is_taken() {
        let file = || Node::File { len: 0, content: Content::Bytes(Vec::new()) };
        let entry = |path: &str, node: Node| Entry { path: path.into(), mode: 0o644, uid: 0, gid: 0, mtime: 0, node };
        let mut tree = Tree::new();
        assert!(tree.push(entry("", file())).is_err(), "the root is no file");
        let root = tree.push(entry("", Node::Dir)).unwrap();
        assert!(Tree::new().push(entry("", Node::Symlink("x".into()))).is_err());
        let of = tree.push(entry(&"x".repeat(255), file())).unwrap();
        assert!(tree.push(entry(&"y".repeat(256), file())).is_err());
        tree.push(entry("link", Node::Symlink("x".repeat(4095)))).unwrap();
        assert!(tree.push(entry("longer", Node::Symlink("x".repeat(4096)))).is_err());
        tree.push(entry("same", Node::Hardlink(of))).unwrap();
        assert!(tree.push(entry("folder", Node::Hardlink(root))).is_err());
        let mut late = Tree::new();
        late.push(entry("first", file())).unwrap();
        assert!(late.push(entry("", Node::Dir)).is_err(), "the root comes first");
    }

    #[test]
    fn a_folder_is_taken_as_it_is() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("b")).unwrap();
        for name in ["a", "b/c", "d"] {
            std::fs::write(at(name), name).unwrap();
        }
        std::fs::set_permissions(at("a"), std::fs::Permissions::from_mode(0o640)).unwrap();
        std::fs::hard_link(at("b/c"), at("e")).unwrap();
        std::os::unix::fs::symlink("a", at("link")).unwrap();
        let taken = |to: &str, options| {
            let mut tree = Tree::new();
            tree.add_folder(to, dir.path(), options).unwrap();
            tree
        };
        let tree = taken("", FolderOptions::default());
        let paths: Vec<&str> = tree.entries().iter().map(|e| &*e.path).collect();
        assert_eq!(paths, ["a", "b", "d", "e", "link", "b/c"]);
        let [a, b, d, e, link, c] = tree.entries() else { panic!("{paths:?}") };
        assert_eq!((a.mode, &a.node), (0o640, &Node::File { len: 1, content: Content::Path(at("a")) }));
        assert_eq!((&b.node, &link.node, &c.node), (&Node::Dir, &Node::Symlink("a".into()), &Node::Hardlink(3)));
        assert!(matches!((&d.node, &e.node), (Node::File { .. }, Node::File { .. })));
        let metadata = at("a").symlink_metadata().unwrap();
        assert_eq!((a.uid, a.gid, a.mtime), (metadata.uid(), metadata.gid(), metadata.mtime()));
        let tree = taken("in", FolderOptions { owner: Some((7, 8)), mtime: Some(9) });
        assert!(tree.entries().iter().all(|e| (e.uid, e.gid, e.mtime) == (7, 8, 9)));
        assert_eq!((tree.find("in"), tree.find("in/b/c"), tree.find("b")), (Some(0), Some(6), None));
        let nothing = Tree::new().add_folder("", &at("none"), FolderOptions::default());
        assert!(matches!(nothing, Err(DiskError::Read { path, .. }) if path == at("none")));
    }

    #[test]
    fn what_is_large_is_told_by_its_size() {
        let mut tree = Tree::new();
        tree.dirs("a/b", 0).unwrap();
        assert_eq!(format!("{tree:?}"), "Tree { entries: 2, .. }");
        assert_eq!(format!("{:?}", Content::Bytes(vec![1; 3])), "Bytes(3)");
        assert_eq!(format!("{:?}", Content::Path("x".into())), "Path(\"x\")");
    }
}
