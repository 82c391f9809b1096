//! The `cairn` program that a system carries, so that the machine can make its next generation by itself.
//!
//! It becomes a store path named by its contents, `cairn-VERSION` with `bin/cairn`. Before that it is held against the
//! base: a program that the base's libraries cannot start is refused while nothing has been made yet.

use std::cmp::Reverse;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use cairn_store::{EntryKind, Store, StorePath, to_hex};
use sha2::{Digest, Sha256};

use crate::error::SystemError;
use crate::initrd::elf;
use crate::memory::Memory;
use crate::tree::{read_in, resolve_in};

/// Where the program is in its store path.
pub const INSIDE: &str = "bin/cairn";

/// ELF's number for x86-64.
const X86_64: u16 = 62;

/// What to do about a program that cannot run on the machine.
const HELP: &str = "the machine gets the program that makes it, for its own upgrades: use a cairn that was built on the \
                    machine's release of Debian or an older one";

/// Which program a system carries.
#[derive(Debug, Clone, Copy)]
pub enum Program<'a> {
    /// A file, usually the running executable. It is added to the store.
    File(&'a Path),
    /// A path of the store, with `bin/cairn` in it.
    Added(&'a StorePath),
}

/// A program in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The store path.
    pub path: StorePath,
    /// The version, as the store path's name has it.
    pub version: String,
    /// SHA-256 of the program, in base 16.
    pub sha256: String,
}

/// Brings the program into the store, after holding it against the base. A file that was brought there before, and that nobody has
/// changed since, is not read again.
///
/// # Errors
/// [`SystemError::Program`] for one that does not run there.
pub fn add(program: Program<'_>, store: &Store, base: &Path, cache: &Path) -> Result<Carried, SystemError> {
    match program {
        Program::Added(path) => {
            let file = store.real_path(path).join(INSIDE);
            check(&file, &read(&file)?, base)?;
            carried(store, path.clone())
        }
        Program::File(file) => {
            let seen = Seen::at(file).map_err(SystemError::io("looking at the program", file))?;
            let memory = Memory::new(cache, "programs", &seen.key(base));
            if let Some(path) = memory.path(store)? {
                return carried(store, path);
            }
            // Made before the program is read, so its time is that of the reading's begin.
            let begun = store.scratch()?;
            let begun = Seen::at(begun.path()).map_err(SystemError::io("looking at", begun.path()))?;
            let bytes = read(file)?;
            check(file, &bytes, base)?;
            let path = add_bytes(&bytes, store, cache)?;
            if seen.long_before(&begun) && Seen::at(file).is_ok_and(|now| now == seen) {
                memory.remember(&path)?;
            }
            carried(store, path)
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, SystemError> {
    fs::read(file).map_err(SystemError::io("reading the program", file))
}

fn add_bytes(bytes: &[u8], store: &Store, cache: &Path) -> Result<StorePath, SystemError> {
    let hash = to_hex(&Sha256::digest(bytes));
    let name = format!("cairn-{}", env!("CARGO_PKG_VERSION"));
    // The same bytes are another path under another name.
    let memory = Memory::new(cache, "programs", &format!("{name}-{hash}"));
    if let Some(path) = memory.path(store)? {
        return Ok(path);
    }
    let path = into_store(&name, bytes, store)?;
    memory.remember(&path)?;
    Ok(path)
}

/// Which file it is, and when it was changed last: whoever writes to it changes that, and no program can put it back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Seen {
    fn at(path: &Path) -> std::io::Result<Seen> {
        let meta = fs::metadata(path)?;
        Ok(Seen {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }

    /// Whether a write since would be seen: a clock has ticked, and two file systems need not agree on the second.
    fn long_before(&self, now: &Seen) -> bool {
        self.changed.0 + 10 < now.changed.0
    }

    /// What is remembered of it: that it runs on this base, which is a path of the store and never changes.
    fn key(&self, base: &Path) -> String {
        let base = base.file_name().unwrap_or_default().to_string_lossy();
        to_hex(&Sha256::digest(format!("1 {} {base} {self:?}", env!("CARGO_PKG_VERSION"))))
    }
}

fn into_store(name: &str, bytes: &[u8], store: &Store) -> Result<StorePath, SystemError> {
    let scratch = store.scratch()?;
    let target = scratch.path().join(INSIDE);
    let folder = target.parent().unwrap_or(scratch.path());
    fs::create_dir_all(folder).map_err(SystemError::io("making", folder))?;
    fs::write(&target, bytes)
        .and_then(|()| fs::set_permissions(&target, fs::Permissions::from_mode(0o755)))
        .map_err(SystemError::io("writing", &target))?;
    Ok(store.add(name, scratch, &[])?.path)
}

fn carried(store: &Store, path: StorePath) -> Result<Carried, SystemError> {
    let entry = store.listed(&path, INSIDE)?;
    let Some(EntryKind::File { sha256, executable: true, .. }) = entry.map(|entry| entry.kind) else {
        return Err(SystemError::Malformed { path: store.real_path(&path).join(INSIDE), what: "a program" });
    };
    let sha256 = to_hex(&sha256);
    let version = path.name().strip_prefix("cairn-").unwrap_or(path.name()).to_string();
    Ok(Carried { version, sha256, path })
}

/// Whether the base can start the program: its dynamic loader, its libraries, and their versions are there.
fn check(file: &Path, program: &[u8], base: &Path) -> Result<(), SystemError> {
    let refused = |why: String, help: &str| {
        Err(SystemError::Program { program: file.to_path_buf(), why, help: Some(help.to_string()) })
    };
    let (Some(X86_64), Some(needs)) = (elf::machine(program), elf::needs(program)) else {
        return refused("is no program for x86-64 Linux".into(), HELP);
    };
    if let Some(loader) = &needs.interpreter
        && resolve_in(base, loader).is_none()
    {
        return refused(format!("is started by {loader}, which the base does not have"), HELP);
    }
    for library in &needs.libraries {
        let Some(path) = crate::initrd::library_in(base, library, &needs.folders) else {
            let help = "name the package that has the library in source.debian.packages, or use a cairn that was built \
                        without it";
            return refused(format!("needs the library {library}, which none of the base's packages has"), help);
        };
        let bytes = read_in(base, &path).map_err(SystemError::io("reading", base.join(&path)))?.unwrap_or_default();
        let provided = elf::provides(&bytes).unwrap_or_default();
        let wanted = needs.versions.iter().filter(|(of, _)| of == library).map(|(_, version)| version.as_str());
        let lacking = wanted.filter(|version| !provided.contains(*version)).min_by_key(|v| Reverse(numbers(v)));
        if let Some(version) = lacking {
            // Private and unnumbered versions are no measure of how new a library is.
            let family = |v: &&String| v.split_once('_').map(|f| f.0) == version.split_once('_').map(|f| f.0);
            let newest = provided.iter().filter(family).max_by_key(|v| numbers(v));
            let has = newest.map_or_else(String::new, |newest| format!(" (the newest version in it is {newest})"));
            return refused(format!("needs {version} of {library}, which the base's {library} lacks{has}"), HELP);
        }
    }
    Ok(())
}

/// The numbers of a version, for comparing: `GLIBC_2.4` comes before `GLIBC_2.34`.
fn numbers(version: &str) -> Vec<u32> {
    let numbers = version.rsplit('_').next().unwrap_or_default();
    numbers.split('.').map_while(|n| n.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program of this machine that needs little more than the C library, which this test itself has loaded.
    fn shell() -> Vec<u8> {
        fs::read("/bin/sh").unwrap()
    }

    /// A base with the libraries of that program.
    fn own_base() -> tempfile::TempDir {
        let base = tempfile::tempdir().unwrap();
        let needs = elf::needs(&shell()).unwrap();
        let loaded = fs::read_to_string("/proc/self/maps").unwrap();
        let folder = base.path().join("usr/lib/x86_64-linux-gnu");
        fs::create_dir_all(&folder).unwrap();
        for library in &needs.libraries {
            let mut paths = loaded.lines().filter_map(|l| l.find('/').map(|at| &l[at..]));
            let found = paths.find(|path| path.ends_with(&format!("/{library}")));
            fs::copy(found.unwrap_or_else(|| panic!("{library} is loaded")), folder.join(library)).unwrap();
        }
        let loader = base.path().join("usr").join(needs.interpreter.unwrap().trim_start_matches('/'));
        fs::create_dir_all(loader.parent().unwrap()).unwrap();
        fs::write(loader, "").unwrap();
        base
    }

    fn refused(program: &[u8], base: &Path) -> String {
        check(Path::new("/x/cairn"), program, base).unwrap_err().to_string()
    }

    /// The bytes with every occurrence of `from` made `to`, of the same length.
    fn with(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
        assert_eq!(from.len(), to.len());
        let mut bytes = bytes.to_vec();
        let places: Vec<usize> =
            bytes.windows(from.len()).enumerate().filter(|(_, w)| *w == from.as_bytes()).map(|(i, _)| i).collect();
        assert!(!places.is_empty(), "{from} is there");
        for at in places {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
        bytes
    }

    #[test]
    fn a_program_that_the_base_cannot_start_is_refused() {
        let base = own_base();
        let own = shell();
        check(Path::new("/x/cairn"), &own, base.path()).unwrap();

        // The newest version that it wants, made one that no C library has.
        let needs = elf::needs(&own).unwrap();
        let newest = needs.versions.iter().filter(|v| v.0 == "libc.so.6").max_by_key(|v| numbers(&v.1)).unwrap();
        let newer = newest.1.replace("GLIBC_2.", "GLIBC_9.");
        let told = refused(&with(&own, &format!("{}\0", newest.1), &format!("{newer}\0")), base.path());
        assert!(told.starts_with(&format!("/x/cairn needs {newer} of libc.so.6, which the base's libc.so.6 lacks")));
        assert!(told.contains("the newest version in it is GLIBC_2."), "{told}");

        let library = base.path().join("usr/lib/x86_64-linux-gnu/libc.so.6");
        fs::remove_file(library).unwrap();
        assert!(refused(&own, base.path()).contains("needs the library libc.so.6, which none of the base's packages"));
        fs::remove_dir_all(base.path().join("usr/lib64")).unwrap();
        assert!(refused(&own, base.path()).contains("is started by /lib64/ld-linux-x86-64.so.2"));
        assert!(refused(b"#!/bin/sh\n", base.path()).contains("is no program for x86-64 Linux"));
        assert!(refused(&own[..40], base.path()).contains("is no program for x86-64 Linux"));
    }

    #[test]
    fn a_program_is_added_once_and_is_the_same_path_when_it_is_given_as_one() {
        let (base, dir) = (own_base(), tempfile::tempdir().unwrap());
        let store = Store::open(&dir.path().join("store")).unwrap();
        let own = Path::new("/bin/sh");
        let cache = dir.path().join("cache");
        let first = add(Program::File(own), &store, base.path(), &cache).unwrap();
        assert_eq!(first.path.name(), concat!("cairn-", env!("CARGO_PKG_VERSION")));
        assert_eq!(first.version, env!("CARGO_PKG_VERSION"));
        let copy = dir.path().join("elsewhere");
        fs::copy(own, &copy).unwrap();
        assert_eq!(add(Program::File(&copy), &store, base.path(), &cache).unwrap(), first);
        assert_eq!(add(Program::Added(&first.path), &store, base.path(), &cache).unwrap(), first);
        // Without the memory it is added again, and is the same; with the memory but without the path, too.
        fs::remove_dir_all(&cache).unwrap();
        assert_eq!(add(Program::File(own), &store, base.path(), &cache).unwrap(), first);
        store.remove(&first.path).unwrap();
        assert_eq!(add(Program::File(own), &store, base.path(), &cache).unwrap(), first);
    }

    /// How often the program is remembered by when it was changed.
    fn seen(cache: &Path) -> usize {
        fs::read_dir(cache.join("programs")).unwrap().filter(|f| f.as_ref().unwrap().file_name().len() == 64).count()
    }

    #[test]
    fn a_program_is_read_again_when_it_is_another_or_was_changed_just_now() {
        let (base, dir) = (own_base(), tempfile::tempdir().unwrap());
        let store = Store::open(&dir.path().join("store")).unwrap();
        let cache = dir.path().join("cache");
        let new = dir.path().join("new");
        fs::copy("/bin/sh", &new).unwrap();
        let first = add(Program::File(&new), &store, base.path(), &cache).unwrap();
        assert_eq!(seen(&cache), 0, "a change within the same tick would not be seen");
        // This one has been there for long.
        assert_eq!(add(Program::File(Path::new("/bin/sh")), &store, base.path(), &cache).unwrap(), first);
        assert_eq!(seen(&cache), 1);
        // On another base it is held against that one.
        let empty = tempfile::tempdir().unwrap();
        add(Program::File(Path::new("/bin/sh")), &store, empty.path(), &cache).unwrap_err();
        let old = Seen::at(Path::new("/bin/sh")).unwrap();
        for other in [
            Seen { device: 0, ..old.clone() },
            Seen { inode: 0, ..old.clone() },
            Seen { size: 0, ..old.clone() },
            Seen { modified: (old.modified.0, old.modified.1 + 1), ..old.clone() },
            Seen { changed: (old.changed.0, old.changed.1 + 1), ..old.clone() },
        ] {
            assert_ne!(other.key(base.path()), old.key(base.path()));
        }
        let later = |seconds| Seen { changed: (old.changed.0 + seconds, old.changed.1), ..old.clone() };
        assert!(!old.long_before(&later(10)) && old.long_before(&later(11)));
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(numbers("GLIBC_2.34") > numbers("GLIBC_2.4"));
        assert!(numbers("GLIBC_2.2.5") < numbers("GLIBC_2.3"));
        assert_eq!(numbers("GLIBC_PRIVATE"), Vec::<u32>::new());
    }
}
