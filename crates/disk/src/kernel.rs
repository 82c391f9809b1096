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
        match self.share(from, from_at, to, to_at, whole_blocks(count))? {
            0 => {}
            // The tail, less than a block, is the caller's to write.
            shared => return Ok(shared),
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

fn whole_blocks(bytes: u64) -> u64 {
    bytes / BLOCK * BLOCK
}

fn offset(at: u64) -> io::Result<i64> {
    i64::try_from(at).map_err(|_| io::ErrorKind::InvalidInput.into())
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
    fn what_the_kernel_cannot_do_is_tried_once() {
        let (from, nothing) = (file(&[7; 10_000]), File::options().write(true).open("/dev/null").unwrap());
        let kernel = Kernel::new();
        assert!(kernel.may_share());
        // Without a whole block there is nothing to share, and nothing is learnt.
        assert_eq!(kernel.copy(&from, 0, &nothing, 0, 100).unwrap(), 0);
        assert!(kernel.may_share());
        assert!(!kernel.copies.load(Ordering::Relaxed), "a device was copied to");
        assert_eq!(kernel.copy(&from, 0, &nothing, 0, 10_000).unwrap(), 0);
        assert!(!kernel.may_share());
    }

    #[test]
    fn it_copies_what_it_was_told_to_and_no_more() {
        // More than it is given at a time, and there is more of it.
        const COUNT: u64 = 65 << 20;
        let (from, to) = (file(&[]), file(&[]));
        for at in [0, 64 << 20, (65 << 20) - 5] {
            from.write_all_at(b"mark-here", at).unwrap();
        }
        from.set_len(COUNT + (4 << 20)).unwrap();
        let kernel = Kernel::new();
        let done = kernel.copy(&from, 0, &to, 3 << 20, COUNT).unwrap();
        if kernel.copies.load(Ordering::Relaxed) {
            assert_eq!((done, to.metadata().unwrap().len()), (COUNT, (3 << 20) + COUNT));
            let found = |at: u64| {
                let mut bytes = [0; 5];
                to.read_exact_at(&mut bytes, (3 << 20) + at).unwrap();
                bytes
            };
            assert_eq!([0, 64 << 20, COUNT - 5].map(found), [*b"mark-"; 3]);
        }
        // Where the file ends, it ends.
        let (short, kernel) = (file(b"short"), Kernel::new());
        assert!(kernel.copy(&short, 0, &to, 0, 100).unwrap() <= 5);
    }

    #[test]
    fn a_range_is_copied_whatever_the_kernel_can_do() {
        const LEN: usize = 1_400_000;
        let mut some = Vec::new();
        (0..LEN as u64 / 8).for_each(|n| some.extend_from_slice(&(n * 0x9e37_79b9).to_le_bytes()));
        let (zero, full) = (vec![0; LEN], vec![0xff; LEN]);
        // What lies on another file system the kernel does not copy (since Linux 5.19), and what is no file it never does.
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
