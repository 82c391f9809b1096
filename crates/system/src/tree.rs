//! A tree of files in memory: how `/etc` is made before it becomes a store path.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use cairn_machine::names::RelPath;

use crate::error::SystemError;
use crate::special::{Special, escape};

/// The longest target of a link, in bytes.
const LONGEST_TARGET: usize = 4095;

/// What a path holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A file.
    File(Vec<u8>),
    /// A symbolic link, with its target.
    Link(String),
    /// A folder that is there even if it is empty, or whose owner or permissions are its own.
    Folder,
}

/// Owner and permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The permissions; for a file 0644 and 0755, for a folder 0755 are what a store path gives.
    pub mode: u32,
    /// The owning user's number.
    pub uid: u32,
    /// The owning group's number.
    pub gid: u32,
}

/// What is usual for a file that is not executable.
pub const FILE: Access = Access { mode: 0o644, uid: 0, gid: 0 };
/// What is usual for a folder, or a file that is executable.
pub const EXECUTABLE: Access = Access { mode: 0o755, uid: 0, gid: 0 };

/// A tree. Paths are relative, without `.` and `..`: what is put is held to be a [`RelPath`], for names in it come out of
/// texts. No node lies below a link or a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<String, (Node, Access)>,
    /// Files whose permissions somebody has asked for: 0644 is then not the 0444 that a store path makes of it.
    exact: BTreeSet<String>,
}

impl Tree {
    /// Reads a folder. `special` tells, by path below `prefix`, what its files' permissions do not.
    ///
    /// # Errors
    /// When something cannot be read or is neither file, folder nor link.
    pub fn read(folder: &Path, prefix: &str, special: &BTreeMap<String, Special>) -> Result<Tree, SystemError> {
        let mut tree = Tree::default();
        tree.read_folder(folder, "", prefix, special)?;
        Ok(tree)
    }

    fn read_folder(
        &mut self,
        folder: &Path,
        inside: &str,
        prefix: &str,
        special: &BTreeMap<String, Special>,
    ) -> Result<(), SystemError> {
        use std::os::unix::fs::PermissionsExt;
        for entry in fs::read_dir(folder).map_err(SystemError::io("reading", folder))? {
            let entry = entry.map_err(SystemError::io("reading", folder))?;
            let path = entry.path();
            let name = entry.file_name();
            let utf8 = || SystemError::Malformed { path: path.clone(), what: "named in UTF-8" };
            let name = name.to_str().ok_or_else(utf8)?;
            let inner = if inside.is_empty() { name.to_string() } else { format!("{inside}/{name}") };
            let meta = entry.metadata().map_err(SystemError::io("reading", &path))?;
            let executable = meta.permissions().mode() & 0o111 != 0;
            let known = special.get(&format!("{prefix}{inner}"));
            // A link has the permissions of what it leads to.
            let usual = if executable && !meta.is_symlink() { EXECUTABLE } else { FILE };
            let access = known.map_or(usual, |s| Access { mode: s.mode, uid: s.uid, gid: s.gid });
            let node = if meta.is_symlink() {
                let target = fs::read_link(&path).map_err(SystemError::io("reading", &path))?;
                Node::Link(target.to_str().ok_or_else(utf8)?.to_string())
            } else if meta.is_dir() {
                self.read_folder(&path, &inner, prefix, special)?;
                Node::Folder
            } else if meta.is_file() {
                Node::File(fs::read(&path).map_err(SystemError::io("reading", &path))?)
            } else {
                return Err(SystemError::Malformed { path, what: "a file, a folder or a link" });
            };
            self.nodes.insert(inner, (node, access));
        }
        Ok(())
    }

    /// Puts a file; what was at this path, or below it, goes.
    ///
    /// # Errors
    /// See [`Tree::put`].
    pub fn file(&mut self, path: &str, contents: impl Into<Vec<u8>>) -> Result<(), SystemError> {
        self.put(path, Node::File(contents.into()), FILE)
    }

    /// Puts a link; what was at this path, or below it, goes.
    ///
    /// # Errors
    /// See [`Tree::put`].
    pub fn link(&mut self, path: &str, target: impl Into<String>) -> Result<(), SystemError> {
        self.put(path, Node::Link(target.into()), FILE)
    }

    /// Puts a node; what was at this path goes, and what was below it unless both are folders.
    ///
    /// # Errors
    /// [`SystemError::Name`] when the path is none that leads down, and when a link has no target that it could have.
    pub fn put(&mut self, path: &str, node: Node, access: Access) -> Result<(), SystemError> {
        let path = RelPath::new(path).map_err(SystemError::name(path))?;
        if let Node::Link(target) = &node
            && (target.is_empty() || target.len() > LONGEST_TARGET || target.contains('\0'))
        {
            return Err(SystemError::Target { path: path.into_string() });
        }
        if node != Node::Folder {
            self.remove(path.as_str());
        }
        // What was a file or link on the way here would hide the new node.
        for folder in path.folders() {
            if !matches!(self.nodes.get(folder), None | Some((Node::Folder, _))) {
                self.nodes.remove(folder);
            }
        }
        self.nodes.insert(path.into_string(), (node, access));
        Ok(())
    }

    /// Gives files other contents, where the function has some.
    pub fn edit(&mut self, mut new: impl FnMut(&str, &[u8]) -> Option<Vec<u8>>) {
        for (path, (node, _)) in &mut self.nodes {
            if let Node::File(contents) = node
                && let Some(text) = new(path, contents)
            {
                *contents = text;
            }
        }
    }

    /// Gives a file the very permissions that it was put with.
    pub fn insist(&mut self, path: &str) {
        self.exact.insert(path.to_string());
    }

    /// Removes a path and all that is below it.
    pub fn remove(&mut self, path: &str) {
        self.nodes.remove(path);
        // The nodes are sorted: what is below stands together. `0` is the character after `/`.
        let below =
            self.nodes.range::<str, _>((Bound::Included(&*format!("{path}/")), Bound::Excluded(&*format!("{path}0"))));
        for path in below.map(|(path, _)| path.clone()).collect::<Vec<_>>() {
            self.nodes.remove(&path);
        }
    }

    /// Keeps only what `keep` says.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Node) -> bool) {
        self.nodes.retain(|path, (node, _)| keep(path, node));
    }

    /// What is at a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path).map(|(node, _)| node)
    }

    /// The first path below another one, if there is any.
    #[must_use]
    pub fn first_within(&self, path: &str) -> Option<&str> {
        let inside = format!("{path}/");
        let (first, _) = self.nodes.range::<str, _>((Bound::Included(&*inside), Bound::Unbounded)).next()?;
        first.starts_with(&inside).then_some(first.as_str())
    }

    /// The contents of a file as text; links are not followed.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<String> {
        match self.get(path)? {
            Node::File(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }

    /// Every path with what it holds, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, (node, _))| (path.as_str(), node))
    }

    /// The lines of the list of special files for what a store path cannot carry, `prefix` before each path.
    #[must_use]
    pub fn special(&self, prefix: &str) -> String {
        let mut text = String::new();
        for (path, (node, access)) in &self.nodes {
            let usual = match node {
                Node::Link(_) => true,
                Node::Folder => *access == EXECUTABLE,
                Node::File(_) => {
                    let as_stored = matches!(access.mode, 0o444 | 0o555);
                    let usual = matches!(access.mode, 0o644 | 0o755) && !self.exact.contains(path);
                    (as_stored || usual) && access.uid + access.gid == 0
                }
            };
            if !usual {
                let path = escape(&format!("{prefix}{path}"));
                let _ = writeln!(text, "{:04o} {} {} {path}", access.mode, access.uid, access.gid);
            }
        }
        text
    }

    /// Writes the tree into a folder that is there and empty. Everything is made, and nothing that is there is opened:
    /// a link is never followed.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), SystemError> {
        let mut folders = NewFolders::new(folder);
        for (path, (node, access)) in &self.nodes {
            let path = RelPath::new(path).map_err(SystemError::name(path))?;
            folders.above(&path)?;
            let target = folder.join(&path);
            let result = match node {
                Node::Folder => {
                    folders.make(&path)?;
                    continue;
                }
                Node::Link(to) => symlink(to, &target),
                Node::File(bytes) => {
                    let mode = if access.mode & 0o100 != 0 { 0o755 } else { 0o644 };
                    let mut file = fs::OpenOptions::new();
                    file.write(true).create_new(true).mode(mode);
                    file.open(&target).and_then(|mut f| std::io::Write::write_all(&mut f, bytes))
                }
            };
            result.map_err(SystemError::io("making", &target))?;
        }
        Ok(())
    }
}

/// The folders that were made in one that was empty. A path goes through these only, so through no link, whatever order
/// the paths come in.
#[derive(Debug)]
pub(crate) struct NewFolders<'a> {
    top: &'a Path,
    made: BTreeSet<String>,
}

/// A folder that cannot be made.
#[derive(Debug)]
pub(crate) struct NotMade {
    pub(crate) path: PathBuf,
    pub(crate) source: std::io::Error,
}

impl From<NotMade> for SystemError {
    fn from(NotMade { path, source }: NotMade) -> SystemError {
        SystemError::io("making the folder", path)(source)
    }
}

impl NewFolders<'_> {
    pub(crate) fn new(top: &Path) -> NewFolders<'_> {
        NewFolders { top, made: BTreeSet::new() }
    }

    /// Makes the folders above a path, as far as they are not made yet.
    ///
    /// # Errors
    /// The folder that cannot be made, and why.
    pub(crate) fn above(&mut self, path: &RelPath) -> Result<(), NotMade> {
        path.folders().try_for_each(|folder| self.one(folder))
    }

    /// Makes a folder, and those above it.
    ///
    /// # Errors
    /// See [`NewFolders::above`].
    pub(crate) fn make(&mut self, path: &RelPath) -> Result<(), NotMade> {
        self.above(path)?;
        self.one(path.as_str())
    }

    fn one(&mut self, folder: &str) -> Result<(), NotMade> {
        if self.made.contains(folder) {
            return Ok(());
        }
        // Not `create_dir_all`: what is there and not ours is a file or a link, and fails here.
        let path = self.top.join(folder);
        fs::create_dir(&path).map_err(|source| NotMade { path, source })?;
        self.made.insert(folder.to_string());
        Ok(())
    }
}

/// True if `path` is a file, folder or link in the base, its links followed inside the base.
pub(crate) fn exists_in(base: &Path, path: &str) -> bool {
    resolve_in(base, path).is_some()
}

/// Follows `path` inside the base: absolute links stay inside, and `/bin` and its like are below `/usr`.
pub(crate) fn resolve_in(base: &Path, path: &str) -> Option<String> {
    find_in(base, path).ok().flatten()
}

/// The same, for those to whom what cannot be looked at is not the same as what is not there.
pub(crate) fn find_in(base: &Path, path: &str) -> io::Result<Option<String>> {
    let mut rest: Vec<String> = parts(path).rev().collect();
    let mut done: Vec<String> = Vec::new();
    let mut links = 0;
    while let Some(part) = rest.pop() {
        if part == ".." {
            done.pop();
            continue;
        }
        if done.is_empty() && matches!(part.as_str(), "bin" | "sbin" | "lib" | "lib64") {
            done.push("usr".into());
        }
        done.push(part);
        let here = base.join(done.join("/"));
        let meta = match fs::symlink_metadata(&here) {
            Err(error) if is_absence(&error) => return Ok(None),
            meta => meta?,
        };
        if meta.is_symlink() {
            links += 1;
            if links > 40 {
                return Ok(None);
            }
            let Ok(target) = fs::read_link(&here)?.into_os_string().into_string() else { return Ok(None) };
            done.pop();
            if target.starts_with('/') {
                done.clear();
            }
            rest.extend(parts(&target).rev());
        }
    }
    Ok(Some(done.join("/")))
}

/// Reads a file of the base. What packages have in it may be links to anywhere: none of them brings a file of the machine that builds.
pub(crate) fn read_in(base: &Path, path: &str) -> io::Result<Option<Vec<u8>>> {
    find_in(base, path)?.map(|real| fs::read(base.join(real))).transpose()
}

/// True if the error says that nothing is there, or that nothing can be by that name.
pub(crate) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename)
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = String> + '_ {
    path.split('/').filter(|p| !p.is_empty() && *p != ".").map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_replaces_what_was_there_and_below() {
        let mut tree = Tree::default();
        tree.file("a/b", "1").unwrap();
        tree.file("a/b/c", "2").unwrap();
        assert_eq!(tree.get("a/b"), None, "a file on the way goes");
        tree.link("a", "x").unwrap();
        assert_eq!(tree.iter().count(), 1);
    }

    #[test]
    fn no_link_of_a_base_leads_out_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let (base, outside) = (dir.path().join("base"), dir.path().join("outside"));
        fs::create_dir_all(base.join("usr/share")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("file"), "secret").unwrap();
        fs::write(base.join("usr/share/file"), "its own").unwrap();
        let link = |name: &str, to: &Path| std::os::unix::fs::symlink(to, base.join(name)).unwrap();
        link("out", &outside);
        link("up", Path::new("../outside"));
        link("file-out", &outside.join("file"));
        link("file-up", Path::new("../outside/file"));
        for path in ["out/file", "up/file", "file-out", "file-up", "../outside/file", "nothing"] {
            assert_eq!(read_in(&base, path).unwrap(), None, "{path}");
        }
        link("in", Path::new("/usr/share"));
        link("file-in", Path::new("/../../usr/share/file"));
        for path in ["in/file", "file-in", "usr/share/file"] {
            assert_eq!(read_in(&base, path).unwrap().as_deref(), Some(&b"its own"[..]), "{path}");
        }
        assert!(read_in(&base, "usr/share").is_err(), "a folder is no file");
    }

    #[test]
    fn only_what_a_store_path_cannot_carry_is_special() {
        let mut tree = Tree::default();
        tree.file("plain", "").unwrap();
        tree.put("run", Node::File(vec![]), EXECUTABLE).unwrap();
        tree.put("shadow", Node::File(vec![]), Access { mode: 0o640, uid: 0, gid: 42 }).unwrap();
        tree.put("own dir", Node::Folder, Access { mode: 0o700, uid: 0, gid: 0 }).unwrap();
        tree.put("asked", Node::File(vec![]), EXECUTABLE).unwrap();
        tree.insist("asked");
        let special = "0755 0 0 etc/asked\n0700 0 0 etc/own\\040dir\n0640 0 42 etc/shadow\n";
        assert_eq!(tree.special("etc/"), special);
    }

    #[test]
    fn a_tree_is_read_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut tree = Tree::default();
        tree.file("a/file", "text").unwrap();
        tree.link("link", "/elsewhere").unwrap();
        tree.put("a/run", Node::File(b"#!".to_vec()), EXECUTABLE).unwrap();
        tree.put("a", Node::Folder, EXECUTABLE).unwrap();
        tree.put("empty", Node::Folder, EXECUTABLE).unwrap();
        tree.write(dir.path()).unwrap();
        assert_eq!(Tree::read(dir.path(), "etc/", &BTreeMap::new()).unwrap(), tree);
    }

    #[test]
    fn links_of_a_base_are_followed_inside_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("usr/bin")).unwrap();
        fs::write(dir.path().join("usr/bin/dash"), "").unwrap();
        symlink("dash", dir.path().join("usr/bin/sh")).unwrap();
        symlink("/usr/bin/sh", dir.path().join("usr/bin/posix")).unwrap();
        symlink("loop", dir.path().join("usr/bin/loop")).unwrap();
        assert_eq!(resolve_in(dir.path(), "/bin/posix").as_deref(), Some("usr/bin/dash"));
        assert!(exists_in(dir.path(), "/bin/sh") && !exists_in(dir.path(), "/bin/zsh"));
        assert!(!exists_in(dir.path(), "/usr/bin/loop"));
    }

    /// What can be no path of a tree.
    fn bad_paths() -> Vec<String> {
        let fixed = [
            "",
            "/",
            "/a",
            "//a",
            ".",
            "..",
            "./a",
            "../a",
            "a/..",
            "a/../b",
            "a/../../b",
            "a/./b",
            "a//b",
            "a/",
            "a/b/",
            "a\0",
            "a\nb",
            "a\u{1b}[2J",
            "a\u{7f}",
            "a\u{85}b",
        ];
        fixed
            .iter()
            .map(ToString::to_string)
            .chain(["x".repeat(300), format!("a/{}/b", "x".repeat(300)), "x/".repeat(3000)])
            .collect()
    }

    #[test]
    fn nothing_is_put_where_it_would_lead_out_of_the_tree() {
        let mut tree = Tree::default();
        for path in bad_paths() {
            for node in [Node::File(vec![]), Node::Link("x".into()), Node::Folder] {
                let refused = tree.put(&path, node, FILE);
                assert!(matches!(refused, Err(SystemError::Name { .. })), "{path:?}: {refused:?}");
            }
        }
        for target in ["", "a\0b", &"x".repeat(5000)] {
            assert!(matches!(tree.link("a", target), Err(SystemError::Target { .. })));
        }
        assert_eq!(tree, Tree::default());
        tree.file("a\\b/..c/d..", "good names, odd as they are").unwrap();
    }

    #[test]
    fn a_link_in_the_tree_is_never_followed() {
        let (dir, victim) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let out = victim.path().to_str().unwrap();
        // Whatever comes later wins, and never lies behind the other.
        let mut tree = Tree::default();
        tree.link("a", out).unwrap();
        tree.file("a/x", "1").unwrap();
        tree.file("b/x", "2").unwrap();
        tree.link("b", out).unwrap();
        assert_eq!(tree.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["a/x", "b"]);
        tree.write(dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("a/x")).unwrap(), b"1");
        assert!(dir.path().join("b").is_symlink());
        // A tree in which somebody has managed it all the same, and a folder that is not empty.
        for (first, second) in [("a", "a/x"), ("a", "a/b/c")] {
            let dir = tempfile::tempdir().unwrap();
            let mut tree = Tree::default();
            tree.nodes.insert(first.into(), (Node::Link(out.into()), FILE));
            tree.nodes.insert(second.into(), (Node::File(b"x".to_vec()), FILE));
            assert!(tree.write(dir.path()).is_err());
        }
        let dir = tempfile::tempdir().unwrap();
        symlink(out, dir.path().join("a")).unwrap();
        for path in ["a", "a/x"] {
            let mut tree = Tree::default();
            tree.file(path, "x").unwrap();
            assert!(tree.write(dir.path()).is_err(), "{path}");
            tree.put(path, Node::Folder, FILE).unwrap();
            assert!(tree.write(dir.path()).is_err(), "{path}");
        }
        assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_tree_takes_very_many_files() {
        let mut tree = Tree::default();
        for i in 0..200_000 {
            tree.file(&format!("d/{i}"), "").unwrap();
        }
        tree.file("d0", "").unwrap();
        tree.file("d", "").unwrap();
        assert_eq!(tree.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["d", "d0"]);
    }
}
