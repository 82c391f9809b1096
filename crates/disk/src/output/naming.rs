//! What file systems can do with names, some more of it and some less.

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, RenameFlags, renameat2};

/// What is asked of the file system; it may still refuse. Tests ask for less, and so go the ways of lesser ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Abilities {
    /// Files without a name.
    pub unnamed: bool,
    /// Renaming that exchanges two names, or leaves what has the name alone.
    pub exchange: bool,
    /// Several names for one file.
    pub links: bool,
}

/// Everything.
pub(super) const ALL: Abilities = Abilities { unnamed: true, exchange: true, links: true };

impl Abilities {
    pub fn open_unnamed(self, folder: &Path) -> io::Result<File> {
        if !self.unnamed {
            return Err(Errno::EOPNOTSUPP.into());
        }
        OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_TMPFILE.bits()).mode(0o644).open(folder)
    }

    pub fn exchange(self, a: &Path, b: &Path) -> nix::Result<()> {
        self.rename(a, b, RenameFlags::RENAME_EXCHANGE)
    }

    pub fn rename_new(self, from: &Path, to: &Path) -> nix::Result<()> {
        self.rename(from, to, RenameFlags::RENAME_NOREPLACE)
    }

    fn rename(self, from: &Path, to: &Path, flags: RenameFlags) -> nix::Result<()> {
        if !self.exchange {
            return Err(Errno::EINVAL);
        }
        renameat2(AT_FDCWD, from, AT_FDCWD, to, flags)
    }

    pub fn link(self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.links {
            return Err(Errno::EPERM.into());
        }
        std::fs::hard_link(from, to)
    }
}

/// A hidden name beside the target that nothing else has: two files of one process have two, and so have two processes
/// that do not see each other and have the same number, on two computers or in two containers.
pub(super) fn hidden_name(target: &Path, end: &str) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // Its keys are the system's random numbers.
    let random = RandomState::new().build_hasher().finish();
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".{}-{count}-{random:016x}.{end}", std::process::id()));
    target.with_file_name(name)
}
