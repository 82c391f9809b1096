//! Two files that share blocks: `FICLONERANGE`, which copies nothing. What the kernel or the file system cannot do is tried once and
//! then left; the bytes are then read and written in large pieces. `copy_file_range` takes twice as long for that: it goes through a
//! pipe of 64 KiB, and holds up for each piece whoever else writes to the file.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;

/// What is shared is whole blocks; all file systems with reflinks have blocks of this size.
const BLOCK: u64 = 4096;

mod ioctl {
    //! `FICLONERANGE` of linux/fs.h.

    /// `struct file_clone_range`.
    #[repr(C)]
    pub(super) struct Range {
        pub(super) src_fd: i64,
        pub(super) src_offset: u64,
        pub(super) src_length: u64,
        pub(super) dest_offset: u64,
    }

    nix::ioctl_write_ptr!(clone_range, 0x94, 13, Range);
}

/// Whether files were found to share blocks.
#[derive(Debug)]
pub(crate) struct Sharing(AtomicBool);

impl Sharing {
    pub(crate) fn new() -> Sharing {
        Sharing(AtomicBool::new(true))
    }

    /// Whether blocks can be shared, as far as is known.
    pub(crate) fn is_possible(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Lets both files share the whole blocks of `count` bytes; says how many bytes these are, or 0 where that is not to be had.
    pub(crate) fn share(&self, from: &File, from_at: u64, to: &File, to_at: u64, count: u64) -> io::Result<u64> {
        let count = whole_blocks(count);
        if count == 0 || !self.is_possible() {
            return Ok(0);
        }
        let range = ioctl::Range {
            src_fd: i64::from(from.as_raw_fd()),
            src_offset: from_at,
            src_length: count,
            dest_offset: to_at,
        };
        // SAFETY: both descriptors are open for as long as the borrowed files, and the kernel only reads the struct.
        #[expect(unsafe_code, reason = "nix has no wrapper of this ioctl")]
        let result = unsafe { ioctl::clone_range(to.as_raw_fd(), &range) };
        match result {
            Ok(_) => Ok(count),
            Err(error @ (Errno::ENOSPC | Errno::EDQUOT | Errno::EIO)) => Err(error.into()),
            // Other file systems, no reflinks, other block sizes: they will not learn it while we run.
            Err(_) => {
                self.0.store(false, Ordering::Relaxed);
                Ok(0)
            }
        }
    }
}

/// Copies bytes between two files: shared where the file system can do that, read and written otherwise.
///
/// # Errors
/// The system's; `UnexpectedEof` when the first file ends too early.
pub fn copy_range(from: &File, from_at: u64, to: &File, to_at: u64, count: u64) -> io::Result<()> {
    let mut done = Sharing::new().share(from, from_at, to, to_at, count)?;
    let mut buffer = vec![0; usize::try_from((count - done).min(1 << 20)).unwrap_or(1 << 20)];
    while done < count {
        let piece = usize::try_from(count - done).unwrap_or(usize::MAX).min(buffer.len());
        from.read_exact_at(&mut buffer[..piece], from_at + done)?;
        to.write_all_at(&buffer[..piece], to_at + done)?;
        done += piece as u64;
    }
    Ok(())
}

fn whole_blocks(bytes: u64) -> u64 {
    bytes / BLOCK * BLOCK
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file
    }

    fn contents(mut file: &File) -> Vec<u8> {
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_shared_is_whole_blocks() {
        for (bytes, whole) in [(0, 0), (4095, 0), (4096, 4096), (12_287, 8192)] {
            assert_eq!(whole_blocks(bytes), whole);
        }
    }

    #[test]
    fn what_cannot_be_shared_is_tried_once() {
        let (from, nothing) = (file(&[7; 10_000]), File::options().write(true).open("/dev/null").unwrap());
        let sharing = Sharing::new();
        assert!(sharing.is_possible());
        // Without a whole block there is nothing to share, and nothing is learnt.
        assert_eq!(sharing.share(&from, 0, &nothing, 0, 100).unwrap(), 0);
        assert!(sharing.is_possible());
        assert_eq!(sharing.share(&from, 0, &nothing, 0, 10_000).unwrap(), 0);
        assert!(!sharing.is_possible());
    }

    #[test]
    fn a_range_is_copied_whatever_can_be_shared() {
        const LEN: usize = 1_400_000;
        let mut some = Vec::new();
        (0..LEN as u64 / 8).for_each(|n| some.extend_from_slice(&(n * 0x9e37_79b9).to_le_bytes()));
        let (zero, full) = (vec![0; LEN], vec![0xff; LEN]);
        // What lies on another file system is never shared, and what is no file neither.
        let far = File::from(nix::sys::memfd::memfd_create("far", nix::sys::memfd::MFdFlags::empty()).unwrap());
        far.write_all_at(&some, 0).unwrap();
        let zeros = File::open("/dev/zero").unwrap();
        for (from, bytes) in [(&file(&some), &some), (&far, &some), (&zeros, &zero)] {
            for count in [0, 1, 4096, 1_300_000] {
                let to = file(&full);
                copy_range(from, 5, &to, 3, count as u64).unwrap();
                let found = contents(&to);
                assert!(found[3..3 + count] == bytes[5..5 + count], "{count}");
                assert!(found[..3] == full[..3] && found[3 + count..] == full[3 + count..], "{count}");
            }
        }
        let error = copy_range(&file(b"short"), 0, &file(&[]), 0, 6).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
