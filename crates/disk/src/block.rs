//! A disk that a system is written onto: an open block device, or a file in its place. Through the kernel's cache, which puts small
//! writes together.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use crate::source::{FileSource, Source};
use crate::target::Target;

/// The kernel zeroes whole sectors, of whatever size.
const ALIGNMENT: u64 = 4096;
/// What is zeroed by writing, at a time.
const PIECE: usize = 1 << 20;

mod ioctl {
    #![allow(missing_docs, reason = "as in linux/fs.h")]
    // The number has no size in it.
    nix::ioctl_write_ptr_bad!(zero_out, nix::request_code_none!(0x12, 127), [u64; 2]);
}

/// The disk.
#[derive(Debug)]
pub struct BlockTarget {
    file: File,
    name: String,
    len: u64,
    is_device: bool,
}

impl BlockTarget {
    /// A disk that is open for reading and writing; messages call it `name`.
    ///
    /// # Errors
    /// When its length cannot be told.
    pub fn new(file: File, name: impl Into<String>) -> io::Result<BlockTarget> {
        let is_device = file.metadata()?.file_type().is_block_device();
        let len = FileSource::new(file.try_clone()?)?.len();
        Ok(BlockTarget { file, name: name.into(), len, is_device })
    }

    /// The open disk.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Zeroes whole pages as quickly as the disk can; `false` where the kernel has no way of its own.
    fn zero_pages(&self, offset: u64, len: u64) -> io::Result<bool> {
        if len == 0 {
            return Ok(true);
        }
        let done = if self.is_device {
            let range = [offset, len];
            // SAFETY: the descriptor is open, and the kernel reads two numbers from where `range` is.
            #[expect(unsafe_code, reason = "nix has no wrapper of this ioctl")]
            unsafe { ioctl::zero_out(self.file.as_raw_fd(), &raw const range) }.map(drop)
        } else {
            let (Ok(at), Ok(count)) = (i64::try_from(offset), i64::try_from(len)) else { return Ok(false) };
            fallocate(&self.file, FallocateFlags::FALLOC_FL_ZERO_RANGE, at, count)
        };
        match done {
            Ok(()) => Ok(true),
            Err(Errno::EOPNOTSUPP | Errno::ENOTTY | Errno::EINVAL | Errno::ENOSYS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn zero_by_writing(&self, mut offset: u64, mut len: u64) -> io::Result<()> {
        let zeros = vec![0; usize::try_from(len).unwrap_or(PIECE).min(PIECE)];
        while len > 0 {
            let count = usize::try_from(len).unwrap_or(PIECE).min(PIECE);
            self.file.write_all_at(&zeros[..count], offset).map_err(|error| self.gone(error))?;
            (offset, len) = (offset + count as u64, len - count as u64);
        }
        Ok(())
    }

    /// A disk that was pulled out has no bytes any more: for the kernel its end has come. What is read and written lies within the disk
    /// that was opened, so there is no other end.
    fn gone(&self, error: io::Error) -> io::Error {
        match error.kind() {
            ErrorKind::StorageFull if !self.is_device => error,
            ErrorKind::StorageFull | ErrorKind::UnexpectedEof => {
                io::Error::other("the disk is gone, or has become smaller")
            }
            _ => error,
        }
    }

    fn within(&self, offset: u64, count: u64) -> io::Result<u64> {
        let end = offset.checked_add(count).filter(|end| *end <= self.len);
        end.ok_or_else(|| {
            io::Error::other(format!("{count} bytes at {offset} are beyond the end of the disk ({})", self.len))
        })
    }
}

impl Source for BlockTarget {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(|error| self.gone(error))
    }
}

impl Target for BlockTarget {
    fn name(&self) -> &str {
        &self.name
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.within(offset, bytes.len() as u64)?;
        self.file.write_all_at(bytes, offset).map_err(|error| self.gone(error))
    }

    /// Something was there before: it is really written, or the disk is told.
    fn zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        let end = self.within(offset, len)?;
        let (first, last) = (offset.next_multiple_of(ALIGNMENT), end / ALIGNMENT * ALIGNMENT);
        if first >= last || !self.zero_pages(first, last - first)? {
            return self.zero_by_writing(offset, len);
        }
        self.zero_by_writing(offset, first - offset)?;
        self.zero_by_writing(last, end - last)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_is_gone_where_zeros_are_to_be_and_nowhere_else() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![0xee; 4 << 20], 0).unwrap();
        let disk = BlockTarget::new(file, "disk").unwrap();
        let mut wanted = vec![0xee_u8; 4 << 20];
        for (at, len) in [(0, 512), (5000, 9000), (8192, 4096), (100_000, 3 << 20), ((4 << 20) - 700, 700), (7, 0)] {
            disk.zeros(at, len).unwrap();
            let (at, len) = (usize::try_from(at).unwrap(), usize::try_from(len).unwrap());
            wanted[at..at + len].fill(0);
        }
        disk.write_at(4096, &[7; 10]).unwrap();
        wanted[4096..4106].fill(7);
        disk.sync().unwrap();
        let mut found = vec![0; 4 << 20];
        disk.read_at(0, &mut found).unwrap();
        assert!(found == wanted);
        assert_eq!((disk.len(), disk.name(), disk.file().metadata().unwrap().len()), (4 << 20, "disk", 4 << 20));
        disk.file().set_len(1 << 20).unwrap();
        assert!(disk.read_at(2 << 20, &mut [0]).unwrap_err().to_string().contains("the disk is gone"));
        for (at, len) in [(4 << 20, 1), (u64::MAX, 2), ((4 << 20) - 3, 4)] {
            assert!(disk.write_at(at, &vec![0; usize::try_from(len).unwrap()]).is_err(), "{at}");
            assert!(disk.zeros(at, len).is_err(), "{at}");
        }
    }
}
