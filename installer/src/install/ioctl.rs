//! What the kernel is asked about a disk that is open (linux/fs.h, linux/blkpg.h).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

mod raw {
    #![allow(missing_docs, reason = "as in linux/fs.h")]
    nix::ioctl_read_bad!(sector_size, nix::request_code_none!(0x12, 104), nix::libc::c_int);
    nix::ioctl_none_bad!(reread, nix::request_code_none!(0x12, 95));
}

/// Bytes in a logical sector (`BLKSSZGET`).
///
/// # Errors
/// The system's.
pub fn sector_size(disk: &File) -> io::Result<u64> {
    let mut size = 0;
    // SAFETY: the descriptor is open, and the kernel writes a number to where `size` is.
    #[expect(unsafe_code, reason = "nix has no wrapper of this ioctl")]
    unsafe { raw::sector_size(disk.as_raw_fd(), &raw mut size) }?;
    u64::try_from(size).map_err(io::Error::other)
}

/// Makes the kernel read the partition table again (`BLKRRPART`); it refuses while a partition is in use.
///
/// # Errors
/// The system's.
pub fn reread(disk: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open, and nothing is passed.
    #[expect(unsafe_code, reason = "nix has no wrapper of this ioctl")]
    unsafe { raw::reread(disk.as_raw_fd()) }?;
    Ok(())
}
