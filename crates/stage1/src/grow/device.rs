//! Block devices as sysfs and the kernel show them.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error};

/// A disk or a partition.
#[derive(Debug)]
pub struct Device {
    /// Its node.
    pub node: PathBuf,
    /// The node of the disk that it is a partition of.
    pub disk: Option<PathBuf>,
    /// Its number on that disk.
    pub number: Option<u32>,
    /// Bytes.
    pub size: u64,
    /// Bytes in a logical sector.
    pub sector: u64,
}

/// Describes the device of a node such as `/dev/vda2` (no link).
pub fn describe(node: &Path) -> Result<Device, Error> {
    let doing = || format!("looking at {}", node.display());
    let name = node.file_name().ok_or_else(|| Error::new(format!("{} is no device", node.display())))?;
    let sys = Path::new("/sys/class/block").join(name).canonicalize().with_context(doing)?;
    let number = |path: &str| -> Result<u64, Error> {
        let path = sys.join(path);
        let text = fs::read_to_string(&path).with_context(doing)?;
        text.trim().parse().with_context(|| format!("reading {}", path.display()))
    };
    let partition = number("partition").ok().and_then(|n| u32::try_from(n).ok());
    let disk = partition.and_then(|_| Some(Path::new("/dev").join(sys.parent()?.file_name()?)));
    let queue = if disk.is_some() { "../queue/logical_block_size" } else { "queue/logical_block_size" };
    Ok(Device {
        node: node.to_path_buf(),
        disk,
        number: partition,
        // sysfs counts in sectors of 512 bytes, whatever the disk's are.
        size: number("size")? * 512,
        sector: number(queue)?.max(512),
    })
}

/// The node of a disk's partition: vda2, nvme0n1p2.
pub fn partition_node(disk: &Path, number: u32) -> PathBuf {
    let name = disk.as_os_str().to_string_lossy();
    let between = if name.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    format!("{name}{between}{number}").into()
}

/// Takes the lock that keeps udev away while the disk is being changed (systemd, "Locking Block Device Access").
pub fn lock(disk: &File) -> Result<(), Error> {
    disk.lock().context("locking the disk")
}

#[repr(C)]
struct BlkpgPartition {
    start: i64,
    length: i64,
    number: i32,
    names: [u8; 128],
}

#[repr(C)]
struct BlkpgArgument {
    operation: i32,
    flags: i32,
    length: i32,
    data: *const BlkpgPartition,
}

/// BLKPG_RESIZE_PARTITION of linux/blkpg.h.
const RESIZE: i32 = 3;

nix::ioctl_write_ptr_bad!(
    /// BLKPG of linux/blkpg.h.
    blkpg,
    0x1269,
    BlkpgArgument
);

/// Tells the kernel a partition's new length, in bytes, without it being unmounted or looked for anew.
pub fn resize(disk: &File, number: u32, start: u64, length: u64) -> Result<(), Error> {
    let doing = "telling the kernel the partition's new size";
    let partition = BlkpgPartition {
        start: i64::try_from(start).context(doing)?,
        length: i64::try_from(length).context(doing)?,
        number: i32::try_from(number).context(doing)?,
        names: [0; 128],
    };
    let size = i32::try_from(size_of::<BlkpgPartition>()).context(doing)?;
    let argument = BlkpgArgument { operation: RESIZE, flags: 0, length: size, data: &raw const partition };
    // SAFETY: both structs are laid out as linux/blkpg.h says and live until the call returns; the kernel only reads.
    #[expect(unsafe_code, reason = "the ioctl has no safe wrapper")]
    let result = unsafe { blkpg(disk.as_raw_fd(), &raw const argument) };
    result.map(drop).context(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partitions_node_follows_its_disks_name() {
        assert_eq!(partition_node(Path::new("/dev/vda"), 2), Path::new("/dev/vda2"));
        assert_eq!(partition_node(Path::new("/dev/nvme0n1"), 12), Path::new("/dev/nvme0n1p12"));
    }
}
