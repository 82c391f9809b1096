//! From the tar stream of an installed tree to the files of a base.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, Entry, EntryType};

use cairn_machine::names::{RelPath, plain_name, shown};

use super::error::Error;
use super::modes::{Mode, Modes};
use super::rules::{Fate, fate};
use crate::tree::NewFolders;

/// What a tree turned out to be.
#[derive(Debug, Default)]
pub(super) struct Unpacked {
    /// The kernel's release.
    pub(super) kernel_release: String,
    /// What is special about its files.
    pub(super) modes: Modes,
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
    let mut tree = Tree { dir, folders, result: Unpacked::default(), modes_of_files: BTreeMap::new() };
    for entry in archive.entries().map_err(Stopped::Stream)? {
        tree.add(&mut entry.map_err(Stopped::Stream)?)?;
    }
    // The rest of the last block, or the writer would find its pipe closed.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(Stopped::Stream)?;
    Ok(tree.result)
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

struct Tree<'a> {
    dir: &'a Path,
    /// Those that were made: an entry behind a link of the stream would be written wherever that leads.
    folders: NewFolders<'a>,
    result: Unpacked,
    /// Mode of every file that was kept, for hard links to it.
    modes_of_files: BTreeMap<String, Mode>,
}

impl Tree<'_> {
    fn add<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), Stopped> {
        let Some(path) = relative(&entry.path().map_err(Stopped::Stream)?)? else { return Ok(()) };
        let kind = entry.header().entry_type();
        let target = match fate(&path, kind.is_dir()) {
            Fate::Drop => return Ok(()),
            Fate::Keep => path.clone(),
            Fate::Kernel(release) => {
                // It becomes the name of a folder.
                plain_name(release).map_err(|why| odd(format!("{}: {why}", shown(&path))))?;
                if !self.result.kernel_release.is_empty() {
                    let first = &self.result.kernel_release;
                    return Err(odd(format!("two kernels, {first} and {release}; ask for one only")));
                }
                self.result.kernel_release = release.to_string();
                "boot/vmlinuz".into()
            }
        };
        let target = RelPath::new(target).map_err(|why| odd(format!("{}: {why}", shown(&path))))?;
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
                self.file(target.into_string(), mode);
            }
            EntryType::Symlink => {
                let to = entry.link_name().map_err(Stopped::Stream)?.unwrap_or_default();
                symlink(&*to, &place).map_err(Error::io("making the link", &place))?;
            }
            EntryType::Link => self.hard_link(entry, target.into_string(), &place)?,
            other => return Err(odd(format!("{path} is of a kind that a base cannot hold ({other:?})"))),
        }
        Ok(())
    }

    fn file(&mut self, path: String, mode: Mode) {
        if !mode.is_plain_file() {
            self.result.modes.0.insert(path.clone(), mode.clone());
        }
        self.modes_of_files.insert(path, mode);
    }

    fn hard_link<R: Read>(&mut self, entry: &Entry<'_, R>, path: String, place: &Path) -> Result<(), Stopped> {
        let to = entry.link_name().map_err(Stopped::Stream)?.unwrap_or_default();
        let Some(first) = relative(&to)? else { return Err(odd(format!("{path} is a link to nothing"))) };
        // A link to a file that was left out: nothing that Debian ships is like that.
        let Some(mode) = self.modes_of_files.get(&first).cloned() else {
            return Err(odd(format!("{path} is a hard link to {first}, which is not part of a base")));
        };
        fs::hard_link(self.dir.join(&first), place).map_err(Error::io("linking", place))?;
        self.file(path, mode);
        Ok(())
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
fn relative(path: &Path) -> Result<Option<String>, Stopped> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir | Component::RootDir => {}
            _ => return Err(odd(format!("{} leads out of the tree", path.display()))),
        }
    }
    if clean.as_os_str().is_empty() {
        return Ok(None);
    }
    match clean.into_os_string().into_string() {
        Ok(text) => Ok(Some(text)),
        Err(name) => Err(odd(format!("the name of {} is not UTF-8", Path::new(&name).display()))),
    }
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
mod tests {
    use tar::{Builder, Header};

    use super::*;

    struct Sample(Builder<Vec<u8>>);

    impl Sample {
        fn new() -> Sample {
            let mut sample = Sample(Builder::new(Vec::new()));
            sample.entry("./", EntryType::Directory, 0o755, 0, "", b"");
            sample.entry("./boot/vmlinuz-6.1", EntryType::Regular, 0o644, 0, "", b"kernel");
            sample.entry("./usr/lib/modules/6.1/", EntryType::Directory, 0o755, 0, "", b"");
            sample
        }

        fn entry(&mut self, path: &str, kind: EntryType, mode: u32, gid: u64, link: &str, data: &[u8]) {
            let mut header = Header::new_ustar();
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_uid(0);
            header.set_gid(gid);
            header.set_size(data.len() as u64);
            header.set_path(path).unwrap();
            if !link.is_empty() {
                header.set_link_name(link).unwrap();
            }
            header.set_cksum();
            self.0.append(&header, data).unwrap();
        }

        fn unpack(self, dir: &Path) -> Result<Unpacked, Stopped> {
            unpack(self.0.into_inner().unwrap().as_slice(), dir)
        }
    }

    fn told(result: Result<Unpacked, Stopped>) -> String {
        match result.unwrap_err() {
            Stopped::Here(error) => error.to_string(),
            Stopped::Stream(error) => format!("stream: {error}"),
        }
    }

    #[test]
    fn special_modes_are_written_down_and_not_given() {
        let dir = tempfile::tempdir().unwrap();
        let mut sample = Sample::new();
        sample.entry("./usr/bin/su", EntryType::Regular, 0o4755, 0, "", b"su");
        sample.entry("./usr/bin/su2", EntryType::Link, 0o4755, 0, "./usr/bin/su", b"");
        sample.entry("./etc/shadow", EntryType::Regular, 0o640, 42, "", b"root:*:");
        sample.entry("./etc/passwd", EntryType::Regular, 0o644, 0, "", b"root");
        sample.entry("./var/mail/", EntryType::Directory, 0o2775, 8, "", b"");
        sample.entry("./dev/null", EntryType::Char, 0o666, 0, "", b"");
        sample.entry("./bin", EntryType::Symlink, 0o777, 0, "usr/bin", b"");
        let unpacked = sample.unpack(dir.path()).unwrap();
        assert_eq!(unpacked.kernel_release, "6.1");
        assert_eq!(unpacked.modes.to_string(), "0640 0 42 etc/shadow\n4755 0 0 usr/bin/su\n4755 0 0 usr/bin/su2\n");
        let mode = fs::metadata(dir.path().join("usr/bin/su")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
        assert_eq!(fs::read(dir.path().join("boot/vmlinuz")).unwrap(), b"kernel");
        assert!(!dir.path().join("dev").exists() && !dir.path().join("bin").exists());
    }

    #[test]
    fn capabilities_are_read_from_the_pax_headers() {
        let dir = tempfile::tempdir().unwrap();
        let mut sample = Sample::new();
        sample.0.append_pax_extensions([("SCHILY.xattr.security.capability", b"\x01\0\x00\x02".as_slice())]).unwrap();
        sample.entry("./usr/bin/ping", EntryType::Regular, 0o755, 0, "", b"ping");
        assert_eq!(sample.unpack(dir.path()).unwrap().modes.to_string(), "0755 0 0 usr/bin/ping 01000002\n");
    }

    #[test]
    fn compiled_python_fits_its_source_in_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let mut sample = Sample::new();
        let timed = b"\xf3\x0d\r\n\0\0\0\0\xee\x39\x62\x68\x05\0\0\0code";
        let hashed = b"\xf3\x0d\r\n\x03\0\0\0hashhashcode";
        sample.entry("./usr/a.pyc", EntryType::Regular, 0o644, 0, "", timed);
        sample.entry("./usr/b.pyc", EntryType::Regular, 0o644, 0, "", hashed);
        sample.unpack(dir.path()).unwrap();
        let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
        assert_eq!(read("usr/a.pyc"), b"\xf3\x0d\r\n\0\0\0\0\x01\0\0\0\x05\0\0\0code");
        assert_eq!(read("usr/b.pyc"), hashed);
    }

    #[test]
    fn what_a_base_cannot_hold_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut sample = Sample::new();
        sample.entry("./usr/fifo", EntryType::Fifo, 0o644, 0, "", b"");
        assert!(told(sample.unpack(dir.path())).contains("usr/fifo is of a kind"));

        let dir = tempfile::tempdir().unwrap();
        let mut sample = Sample::new();
        sample.entry("./boot/vmlinuz-6.2", EntryType::Regular, 0o644, 0, "", b"kernel");
        assert!(told(sample.unpack(dir.path())).contains("two kernels, 6.1 and 6.2"));

        let dir = tempfile::tempdir().unwrap();
        let empty = unpack([0; 1024].as_slice(), dir.path()).unwrap();
        assert!(empty.check(dir.path()).unwrap_err().to_string().contains("there is no kernel"));
    }

    /// An entry whose name is not held to anything by the one who writes it.
    fn raw(sample: &mut Sample, path: &[u8], kind: EntryType, link: &[u8]) {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(if kind == EntryType::Regular { 1 } else { 0 });
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path);
        old.linkname[..link.len()].copy_from_slice(link);
        header.set_cksum();
        let data: &[u8] = if kind == EntryType::Regular { b"x" } else { b"" };
        sample.0.append(&header, data).unwrap();
    }

    #[test]
    fn no_entry_is_written_outside_or_behind_a_link() {
        let victim = tempfile::tempdir().unwrap();
        let out = victim.path().to_str().unwrap().as_bytes();
        let kinds = [EntryType::Regular, EntryType::Directory, EntryType::Symlink];
        for name in [
            &b"../x"[..],
            b"usr/../../x",
            b"usr/..",
            b"usr/a\nb",
            b"usr/a\x1b[2J",
            b"usr/\xff\xfe",
            b"boot/vmlinuz-..",
            b"boot/vmlinuz-.",
        ] {
            for kind in kinds {
                let dir = tempfile::tempdir().unwrap();
                let mut sample = Sample::new();
                raw(&mut sample, name, kind, b"x");
                assert!(sample.unpack(dir.path()).is_err(), "{:?} {kind:?}", String::from_utf8_lossy(name));
            }
        }
        for first in ["usr/l", "etc/l", "var/l", "usr/deep/er/l"] {
            for (more, kind) in [
                ("/x", EntryType::Regular),
                ("/x/y", EntryType::Regular),
                ("/x", EntryType::Directory),
                ("/x", EntryType::Symlink),
            ] {
                let dir = tempfile::tempdir().unwrap();
                let mut sample = Sample::new();
                raw(&mut sample, first.as_bytes(), EntryType::Symlink, out);
                raw(&mut sample, format!("{first}{more}").as_bytes(), kind, b"x");
                assert!(sample.unpack(dir.path()).is_err(), "{first}{more}");
            }
            // A second entry of the name, which would be written through the first.
            for kind in kinds {
                let dir = tempfile::tempdir().unwrap();
                let mut sample = Sample::new();
                raw(&mut sample, first.as_bytes(), EntryType::Symlink, &[out, b"/made"].concat());
                raw(&mut sample, first.as_bytes(), kind, b"x");
                assert!(sample.unpack(dir.path()).is_err(), "{first}");
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let mut sample = Sample::new();
        raw(&mut sample, b"usr/h", EntryType::Link, b"../../../etc/passwd");
        assert!(sample.unpack(dir.path()).is_err());
        assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_stream_that_breaks_off_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let mut sample = Sample::new();
        sample.entry("./usr/big", EntryType::Regular, 0o644, 0, "", &[7; 4096]);
        let bytes = sample.0.into_inner().unwrap();
        assert!(told(unpack(&bytes[..bytes.len() - 4096], dir.path())).starts_with("stream: "));
    }
}
