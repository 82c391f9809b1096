//! Scratch files without a name: nothing of a run is left behind, however it ends.
//!
//! QEMU opens such a file through our own `/proc/PID/fd/N`, so it lives exactly as long as one of us has it open.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use cairn_process::Tool;

use crate::qemu::QemuError;

/// A file without a name.
#[derive(Debug)]
pub(crate) struct Scratch {
    file: File,
}

impl Scratch {
    /// An empty one, in `TMPDIR` or else in /var/tmp: it may grow to gigabytes, and /tmp is often memory.
    pub(crate) fn new() -> io::Result<Scratch> {
        if std::env::var_os("TMPDIR").is_none()
            && let Ok(file) = tempfile::tempfile_in("/var/tmp")
        {
            return Ok(Scratch { file });
        }
        Ok(Scratch { file: tempfile::tempfile()? })
    }

    /// One with this in it.
    pub(crate) fn holding(bytes: &[u8]) -> io::Result<Scratch> {
        let mut scratch = Scratch::new()?;
        scratch.file.write_all(bytes)?;
        Ok(scratch)
    }

    /// A copy of a file.
    pub(crate) fn copy_of(path: &Path) -> io::Result<Scratch> {
        let mut scratch = Scratch::new()?;
        io::copy(&mut File::open(path)?, &mut scratch.file)?;
        Ok(scratch)
    }

    /// A qcow2 file for what a machine writes onto a disk of this size. What is below it is said when it is used: it names no file.
    pub(crate) fn overlay(size: u64) -> Result<Scratch, QemuError> {
        let overlay = Scratch::new().map_err(QemuError::io("making the overlay"))?;
        Tool::new("qemu-img", "qemu-utils", "make a disposable overlay over the image")
            .args(["create", "-q", "-f", "qcow2"])
            .arg(overlay.path())
            .arg(size.to_string())
            .run()?;
        Ok(overlay)
    }

    /// Where a child of ours finds it.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()))
    }

    /// How long it is.
    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// What is in it from `offset` on, at most `limit` bytes.
    pub(crate) fn read_from(&self, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; limit];
        let mut have = 0;
        while have < limit {
            match self.file.read_at(&mut bytes[have..], offset + have as u64)? {
                0 => break,
                n => have += n,
            }
        }
        bytes.truncate(have);
        Ok(bytes)
    }

    /// All of it.
    pub(crate) fn read(&mut self) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_reach_it_by_its_path_while_it_is_open() {
        let mut scratch = Scratch::holding(b"one").unwrap();
        assert_eq!(std::fs::read(scratch.path()).unwrap(), b"one");
        std::fs::write(scratch.path(), b"two and more").unwrap();
        assert_eq!(scratch.read().unwrap(), b"two and more");
        assert_eq!(scratch.read_from(4, 3).unwrap(), b"and");
        let path = scratch.path();
        drop(scratch);
        assert!(!path.exists());
    }
}
