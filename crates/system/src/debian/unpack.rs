//! From the tar stream of an installed tree to the files of a base.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, Entry, EntryType};

use cairn_machine::names::{RelPath, plain_name, shown};

use super::error::Error;
use super::modes::{Mode, Modes};
use super::rules::{Fate, fate, is_hash_of_drawn};
use crate::drawn;
use crate::tree::NewFolders;

/// What a tree turned out to be.
#[derive(Debug, Default)]
pub(super) struct Unpacked {
    /// The kernel's release.
    pub(super) kernel_release: String,
    /// What is special about its files.
    pub(super) modes: Modes,
    /// What was left out because a machine draws it by itself.
    pub(super) drawn: BTreeSet<&'static str>,
}

/// What stopped the unpacking: the stream or our side of it.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The stream ended or is no tar. Its writer knows why.
    Stream(io::Error),
    /// Anything else.
    Here(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Stopped {
        Stopped::Here(error)
    }
}

/// Reads a tar to its end and writes what belongs into a base below `dir`, which is empty.
///
/// No owner, no special mode and no time is given to any file: the store gives them all the same.
pub(super) fn unpack(stream: impl Read, dir: &Path) -> Result<Unpacked, Stopped> {
    let mut archive = Archive::new(stream);
    let folders = NewFolders::new(dir);
    let mut tree = Tree { dir, folders, result: Unpacked::default(), places: BTreeMap::new() };
    for entry in archive.entries().map_err(Stopped::Stream)? {
        tree.add(&mut entry.map_err(Stopped::Stream)?)?;
    }
    // The rest of the last block, or the writer would find its pipe closed.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(Stopped::Stream)?;
    let aside = dir.join(ASIDE);
    match fs::remove_dir_all(&aside) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("removing", aside)(e).into()),
        _ => Ok(tree.result),
    }
}

impl Unpacked {
    /// Says what the tree below `dir` lacks to be a base.
    pub(super) fn check(&self, dir: &Path) -> Result<(), Error> {
        let odd = |what: String| Err(Error::Tree { what });
        if self.kernel_release.is_empty() {
            return odd("there is no kernel in it: `source.debian.kernel` must name a kernel package".into());
        }
        let modules = format!("usr/lib/modules/{}", self.kernel_release);
        if !dir.join(&modules).is_dir() {
            return odd(format!("the kernel's modules are not in {modules}"));
        }
        Ok(())
    }
}

fn odd(what: String) -> Stopped {
    Stopped::Here(Error::Tree { what })
}

/// Where files that are left out lie while the stream is read, below the base: a hard link that is kept may name one.
const ASIDE: &str = ".left-out";

struct Tree<'a> {
    dir: &'a Path,
    /// Those that were made: an entry behind a link of the stream would be written wherever that leads.
    folders: NewFolders<'a>,
    result: Unpacked,
    /// Where each file and link of the stream is now, below `dir`, and the mode of a file: for hard links to it.
    places: BTreeMap<String, (String, Option<Mode>)>,
}

impl Tree<'_> {
    fn add<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), Stopped> {
        let kind = entry.header().entry_type();
        let Some(path) = relative(&entry.path().map_err(Stopped::Stream)?)? else { return Ok(()) };
        let Some(path) = path.to_str() else {
            // A store path cannot hold it; what is left out may have any name.
            return match fate(&path.to_string_lossy(), kind.is_dir()) {
                Fate::Drop => Ok(()),
                _ => Err(odd(format!("the name of {} is not UTF-8", path.display()))),
            };
        };
        if !kind.is_dir()
            && let Some(drawn) = drawn::of(path)
        {
            self.result.drawn.insert(drawn.name);
        }
        let target = match fate(path, kind.is_dir()) {
            Fate::Drop if matches!(kind, EntryType::Regular | EntryType::Symlink | EntryType::Link) => {
                format!("{ASIDE}/{}", self.places.len())
            }
            Fate::Drop => return Ok(()),
            Fate::Keep => path.to_string(),
            Fate::Kernel(release) => {
                // It becomes the name of a folder.
                plain_name(release).map_err(|why| odd(format!("{}: {why}", shown(path))))?;
                if !self.result.kernel_release.is_empty() {
                    let (first, second) = (self.result.kernel_release.clone(), release.to_string());
                    return Err(Error::TwoKernels { first, second, pointer: None }.into());
                }
                self.result.kernel_release = release.to_string();
                "boot/vmlinuz".into()
            }
        };
        let target = RelPath::new(target).map_err(|why| odd(format!("{}: {why}", shown(path))))?;
        self.folders.above(&target).map_err(Error::from)?;
        let place = self.dir.join(&target);
        match kind {
            EntryType::Directory => {
                self.folders.make(&target).map_err(Error::from)?;
                let mode = mode(entry)?;
                if !mode.is_plain_dir() {
                    self.result.modes.0.insert(target.into_string(), mode);
                }
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let mode = mode(entry)?;
                if target.as_str().ends_with(".pyc") {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes).map_err(Stopped::Stream)?;
                    pyc_of_store(&mut bytes);
                    write_file(&mut bytes.as_slice(), &place, mode.mode & 0o100 != 0)?;
                } else {
                    write_file(entry, &place, mode.mode & 0o100 != 0)?;
                }
                self.placed(path, target.into_string(), Some(mode));
            }
            EntryType::Symlink => {
                let to = entry.link_name().map_err(Stopped::Stream)?.unwrap_or_default();
                if is_hash_of_drawn(path, &to.to_string_lossy()) {
                    return Ok(());
                }
                symlink(&*to, &place).map_err(Error::io("making the link", &place))?;
                self.placed(path, target.into_string(), None);
            }
            EntryType::Link => {
                let to = entry.link_name().map_err(Stopped::Stream)?.unwrap_or_default();
                let first = relative(&to)?.unwrap_or_default();
                let Some((at, mode)) = first.to_str().and_then(|first| self.places.get(first)).cloned() else {
                    return Err(odd(format!("{path} is a hard link to {}, which is not there", first.display())));
                };
                fs::hard_link(self.dir.join(at), &place).map_err(Error::io("linking", place))?;
                self.placed(path, target.into_string(), mode);
            }
            other => return Err(odd(format!("{path} is of a kind that a base cannot hold ({other:?})"))),
        }
        Ok(())
    }

    /// Remembers where a file or link is, and what is special about it.
    fn placed(&mut self, path: &str, target: String, mode: Option<Mode>) {
        if let Some(mode) = &mode
            && !mode.is_plain_file()
            && !target.starts_with(ASIDE)
        {
            self.result.modes.0.insert(target.clone(), mode.clone());
        }
        self.places.insert(path.to_string(), (target, mode));
    }
}

/// Tells a compiled Python file that its source was changed at second 1, as every file in a store is: otherwise Python
/// would compile it again at every start, and could not keep the result.
///
/// After the magic number come flags (0: the source's time and size are compared), then the time (PEP 552).
fn pyc_of_store(bytes: &mut [u8]) {
    if bytes.len() >= 16 && bytes[2..8] == *b"\r\n\0\0\0\0" {
        bytes[8..12].copy_from_slice(&1_u32.to_le_bytes());
    }
}

/// The path without `./`; `None` for the root itself.
fn relative(path: &Path) -> Result<Option<PathBuf>, Stopped> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir | Component::RootDir => {}
            _ => return Err(odd(format!("{} leads out of the tree", path.display()))),
        }
    }
    Ok(Some(clean).filter(|path| !path.as_os_str().is_empty()))
}

fn mode<R: Read>(entry: &mut Entry<'_, R>) -> Result<Mode, Stopped> {
    let mut capability = None;
    if let Some(extensions) = entry.pax_extensions().map_err(Stopped::Stream)? {
        for extension in extensions {
            let extension = extension.map_err(Stopped::Stream)?;
            if extension.key_bytes() == b"SCHILY.xattr.security.capability" {
                capability = Some(extension.value_bytes().to_vec());
            }
        }
    }
    let header = entry.header();
    Ok(Mode {
        mode: header.mode().map_err(Stopped::Stream)? & 0o7777,
        uid: header.uid().map_err(Stopped::Stream)?,
        gid: header.gid().map_err(Stopped::Stream)?,
        capability,
    })
}

fn write_file(from: &mut impl Read, path: &Path, executable: bool) -> Result<(), Stopped> {
    let mode = if executable { 0o755 } else { 0o644 };
    let open = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file: File = open.map_err(Error::io("making", path))?;
    let mut buffer = [0; 64 << 10];
    loop {
        match from.read(&mut buffer).map_err(Stopped::Stream)? {
            0 => break,
            n => file.write_all(&buffer[..n]).map_err(Error::io("writing", path))?,
        }
    }
    // The umask may have taken the executable bit.
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(Error::io("opening up", path))?;
    Ok(())
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
