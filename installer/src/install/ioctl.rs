//! What the kernel is asked about a disk that is open (linux/fs.h, linux/blkpg.h).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

mod raw {
    #![allow(missing_docs, reason = "as in linux/fs.h")]
    nix::ioctl_read_bad!(sector_size, nix::request_code_none!(0x12, 104), nix::libc::c_int);
    nix::ioctl_none_bad!(reread, nix::request_code_none!(0x12, 95));
    nix::ioctl_write_ptr_bad!(blkpg, nix::request_code_none!(0x12, 105), super::Argument);
}

/// `struct blkpg_partition`.
#[repr(C)]
struct Partition {
    start: i64,
    length: i64,
    number: i32,
    names: [u8; 128],
}

/// `struct blkpg_ioctl_arg`.
#[repr(C)]
struct Argument {
    operation: i32,
    flags: i32,
    length: i32,
    data: *const Partition,
}

/// What the kernel is told about one partition, while it keeps to all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// There is one of this number: where it begins and how long it is, in bytes.
    Added(u32, u64, u64),
    /// There is none of this number any more.
    Removed(u32),
}

/// Tells the kernel about one partition (`BLKPG`).
///
/// # Errors
/// The system's: the partition is in use, or overlaps with one that the kernel knows.
pub fn tell(disk: &File, told: Told) -> io::Result<()> {
    let (operation, number, start, length) = match told {
        Told::Added(number, start, length) => (1, number, start, length),
        Told::Removed(number) => (2, number, 0, 0),
    };
    let partition = Partition {
        start: i64::try_from(start).map_err(io::Error::other)?,
        length: i64::try_from(length).map_err(io::Error::other)?,
        number: i32::try_from(number).map_err(io::Error::other)?,
        names: [0; 128],
    };
    let length = i32::try_from(size_of::<Partition>()).map_err(io::Error::other)?;
    let argument = Argument { operation, flags: 0, length, data: &raw const partition };
    // SAFETY: both structs are laid out as linux/blkpg.h says and live until the call returns; the kernel only reads.
    #[expect(unsafe_code, reason = "nix has no wrapper of this ioctl")]
    unsafe { raw::blkpg(disk.as_raw_fd(), &raw const argument) }?;
    Ok(())
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
