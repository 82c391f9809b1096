//! A disk that is in use: what is written goes to it and nothing else does, and what is read comes from it.
//!
//! The kernel's cache of a disk has pages of several sectors: a sector that is written through it is written with its
//! neighbours, and read back from memory. So both go past it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::source::{FileSource, Source};
use crate::target::Target;

const SECTOR: u64 = 512;
/// Where the kernel wants the bytes in memory to begin.
const ALIGNMENT: usize = 4096;

/// A block device with sectors of 512 bytes, or an image file.
#[derive(Debug)]
pub struct DiskDevice {
    file: File,
    name: String,
    len: u64,
}

impl DiskDevice {
    /// Opens it, for writing too if asked.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path, write: bool) -> io::Result<DiskDevice> {
        let open = |flags: OFlag| OpenOptions::new().read(true).write(write).custom_flags(flags.bits()).open(path);
        let file = match open(OFlag::O_DIRECT) {
            // A file system that cannot do it; only tests have disks there.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => open(OFlag::empty())?,
            other => other?,
        };
        let len = FileSource::new(file.try_clone()?)?.len();
        Ok(DiskDevice { file, name: path.display().to_string(), len })
    }
}

/// Memory that begins where the kernel wants it.
fn aligned(memory: &mut Vec<u8>, len: usize) -> &mut [u8] {
    memory.resize(len + ALIGNMENT, 0);
    let from = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    &mut memory[from..from + len]
}

impl Source for DiskDevice {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?.next_multiple_of(SECTOR);
        let begin = offset / SECTOR * SECTOR;
        let size = |bytes: u64| usize::try_from(bytes).map_err(|_| io::ErrorKind::UnexpectedEof);
        let mut memory = Vec::new();
        let sectors = aligned(&mut memory, size(end - begin)?);
        self.file.read_exact_at(sectors, begin)?;
        let from = size(offset - begin)?;
        buffer.copy_from_slice(&sectors[from..from + buffer.len()]);
        Ok(())
    }
}

impl Target for DiskDevice {
    fn name(&self) -> &str {
        &self.name
    }

    /// Whole sectors only.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(bytes.len() as u64).filter(|end| *end <= self.len);
        let whole = offset.is_multiple_of(SECTOR) && (bytes.len() as u64).is_multiple_of(SECTOR);
        if end.is_none() || !whole {
            return Err(io::Error::other(format!("{} bytes at {offset} are not sectors of the disk", bytes.len())));
        }
        let mut memory = Vec::new();
        let sectors = aligned(&mut memory, bytes.len());
        sectors.copy_from_slice(bytes);
        self.file.write_all_at(sectors, offset)
    }

    /// A disk that is in use is not cleared.
    fn zeros(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_go_out_whole_and_any_bytes_come_back() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(8192).unwrap();
        let disk = DiskDevice::open(file.path(), true).unwrap();
        disk.write_at(512, &[7; 1024]).unwrap();
        disk.sync().unwrap();
        let mut found = [0; 700];
        disk.read_at(500, &mut found).unwrap();
        assert!(found[..12].iter().all(|b| *b == 0) && found[12..].iter().all(|b| *b == 7));
        assert!(disk.read_at(8000, &mut [0; 200]).is_err());
        disk.read_at(8192, &mut []).unwrap();
        assert!(DiskDevice::open(file.path(), false).unwrap().write_at(0, &[0; 512]).is_err());
        for (at, len) in [(1, 512), (0, 5), (8192, 512)] {
            let error = disk.write_at(at, &vec![0; len]).unwrap_err();
            assert!(error.to_string().contains("are not sectors of the disk"), "{error}");
        }
        assert_eq!((disk.len(), disk.name()), (8192, &*file.path().display().to_string()));
        assert_eq!(disk.zeros(0, 512).unwrap_err().kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn any_bytes_are_read_from_anywhere() {
        let mut all = Vec::new();
        (0..1_u64 << 16).for_each(|n| all.extend_from_slice(&(n * 0x9e37_79b9).to_le_bytes()));
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().write_all_at(&all, 0).unwrap();
        let disk = DiskDevice::open(file.path(), false).unwrap();
        for (at, len) in [(0, 1), (511, 2), (512, 512), (5000, 9000), (300_001, 1), ((1 << 19) - 700, 700)] {
            let mut found = vec![0; len];
            disk.read_at(at as u64, &mut found).unwrap();
            assert!(found == all[at..at + len], "{at} {len}");
        }
    }

    #[test]
    fn what_knows_no_way_past_the_cache_is_opened_all_the_same_and_a_flush_that_fails_is_told() {
        let null = DiskDevice::open(Path::new("/dev/null"), true).unwrap();
        assert_eq!((null.len(), null.name()), (0, "/dev/null"));
        assert!(null.sync().is_err());
        assert_eq!(DiskDevice::open(Path::new("/nowhere"), false).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
