//! Copying by the kernel: `FICLONERANGE`, which copies nothing, and `copy_file_range`. What the kernel or the file
//! system cannot do is tried once and then left.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::copy_file_range;

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

/// What the kernel was found to do for these files.
#[derive(Debug)]
pub(crate) struct Kernel {
    clones: AtomicBool,
    copies: AtomicBool,
}

impl Kernel {
    pub(crate) fn new() -> Kernel {
        Kernel { clones: AtomicBool::new(true), copies: AtomicBool::new(true) }
    }

    /// Whether blocks can be shared, as far as is known.
    pub(crate) fn may_share(&self) -> bool {
        self.clones.load(Ordering::Relaxed)
    }

    /// Copies up to `count` bytes and says how many: fewer where the file ends early or the kernel cannot do it.
    pub(crate) fn copy(&self, from: &File, from_at: u64, to: &File, to_at: u64, count: u64) -> io::Result<u64> {
        let shared = self.share(from, from_at, to, to_at, count / BLOCK * BLOCK)?;
        if shared > 0 {
            // The tail, less than a block, is the caller's to write.
            return Ok(shared);
        }
        let mut done = 0;
        while done < count && self.copies.load(Ordering::Relaxed) {
            // The kernel takes no more than 2 GiB at a time; less lets a disk write while we copy on.
            let piece = usize::try_from((count - done).min(64 << 20)).unwrap_or(usize::MAX);
            let (mut source, mut place) = (offset(from_at + done)?, offset(to_at + done)?);
            match copy_file_range(from, Some(&mut source), to, Some(&mut place), piece) {
                Ok(0) => break,
                Ok(copied) => done += copied as u64,
                Err(Errno::EINTR) => {}
                Err(Errno::EXDEV | Errno::ENOSYS | Errno::EINVAL | Errno::EOPNOTSUPP | Errno::EPERM) => {
                    self.copies.store(false, Ordering::Relaxed);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    /// Lets both files share blocks; says how many bytes: all or none.
    fn share(&self, from: &File, from_at: u64, to: &File, to_at: u64, count: u64) -> io::Result<u64> {
        if count == 0 || !self.clones.load(Ordering::Relaxed) {
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
                self.clones.store(false, Ordering::Relaxed);
                Ok(0)
            }
        }
    }
}

/// Copies bytes between two files: shared where the file system can do that, by the kernel where it can, read and written
/// otherwise.
///
/// # Errors
/// The system's; `UnexpectedEof` when the first file ends too early.
pub fn copy_range(from: &File, from_at: u64, to: &File, to_at: u64, count: u64) -> io::Result<()> {
    let mut done = Kernel::new().copy(from, from_at, to, to_at, count)?;
    let mut buffer = vec![0; usize::try_from((count - done).min(1 << 20)).unwrap_or(1 << 20)];
    while done < count {
        let piece = usize::try_from(count - done).unwrap_or(usize::MAX).min(buffer.len());
        from.read_exact_at(&mut buffer[..piece], from_at + done)?;
        to.write_all_at(&buffer[..piece], to_at + done)?;
        done += piece as u64;
    }
    Ok(())
}

fn offset(at: u64) -> io::Result<i64> {
    i64::try_from(at).map_err(|_| io::ErrorKind::InvalidInput.into())
}
