//! What a BIOS starts: GRUB's boot sector, and the core image that it loads.
//!
//! The boot sector has room for code in its first 440 bytes; behind it are the disk's signature and partition table,
//! which stay. It loads the core image's first sector from where a number in it says, and that one loads the rest from
//! where a number in it says: both are patched, as `grub-install` does it. A new disk gets both from [`BootCode::write`]; how
//! those of a disk that is in use become others is in [`update`].

mod update;

pub use update::{CodeProblem, CodeUpdate, Compared};

use crate::error::DiskError;
use crate::partition_table::BOOT_CODE;
use crate::target::Target;

/// A BIOS reads sectors of this size.
const SECTOR: u64 = 512;
/// Where the boot sector has the core image's first sector (64 bits).
const KERNEL_SECTOR: usize = 0x5c;
/// A jump that `grub-install` takes out for hard disks: without it the drive that the BIOS names is believed.
const DRIVE_CHECK: usize = 0x66;
/// Where the core image's first sector has the sector that the rest begins at (64 bits).
const BLOCK_LIST: usize = 0x1f4;

/// What a BIOS starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootCode {
    /// GRUB's boot sector, `boot.img`.
    pub sector: [u8; SECTOR as usize],
    /// GRUB's core image.
    pub core: Vec<u8>,
}

impl BootCode {
    /// Writes both. The core image goes to `(offset, length)` in bytes: a BIOS boot partition, or what lies between an MBR
    /// and the first partition. The boot sector comes last: until then the disk starts what it started before.
    ///
    /// # Errors
    /// [`DiskError::TooSmall`] when the core image does not fit, [`DiskError::Write`].
    pub fn write(&self, target: &dyn Target, (offset, len): (u64, u64)) -> Result<(), DiskError> {
        let needed = self.needed();
        if needed > len {
            return Err(DiskError::TooSmall { what: "the place for GRUB's core image", size: len, needed });
        }
        let write = |at: u64, bytes: &[u8]| {
            target.write_at(at, bytes).map_err(|source| DiskError::write(target.name(), at, source))
        };
        write(offset, &self.core_at(offset))?;
        write(0, &self.code_for(offset))
    }

    /// The bytes that the core image takes, in whole sectors.
    fn needed(&self) -> u64 {
        (self.core.len() as u64).next_multiple_of(SECTOR)
    }

    /// The core image as it lies at this byte of the disk.
    fn core_at(&self, offset: u64) -> Vec<u8> {
        let mut core = self.core.clone();
        core.resize(self.core.len().next_multiple_of(SECTOR as usize), 0);
        core[BLOCK_LIST..BLOCK_LIST + 8].copy_from_slice(&(offset / SECTOR + 1).to_le_bytes());
        core
    }

    /// The boot sector's code for a core image at this byte of the disk.
    fn code_for(&self, offset: u64) -> [u8; BOOT_CODE] {
        let mut code = [0; BOOT_CODE];
        code.copy_from_slice(&self.sector[..BOOT_CODE]);
        code[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&(offset / SECTOR).to_le_bytes());
        code[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[0x90, 0x90]);
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::MemoryTarget;

    fn code(len: usize) -> BootCode {
        let mut sector = [0xee; 512];
        sector[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[0xeb, 0x05]);
        BootCode { sector, core: vec![0xcc; len] }
    }

    #[test]
    fn both_know_where_they_are_and_the_table_stays() {
        let disk = MemoryTarget::new(4 << 20, 0x11);
        code(1000).write(&disk, (1 << 20, 1 << 20)).unwrap();
        let bytes = disk.into_bytes();
        assert_eq!(bytes[KERNEL_SECTOR..KERNEL_SECTOR + 8], 2048_u64.to_le_bytes());
        assert_eq!(bytes[DRIVE_CHECK..DRIVE_CHECK + 2], [0x90, 0x90]);
        assert!(bytes[440..1 << 20].iter().all(|b| *b == 0x11), "signature, table and what is behind them stay");
        let core = &bytes[1 << 20..];
        assert_eq!(core[BLOCK_LIST..BLOCK_LIST + 8], 2049_u64.to_le_bytes());
        assert_eq!((core[0], core[999], core[1000], core[1023], core[1024]), (0xcc, 0xcc, 0, 0, 0x11));
    }

    #[test]
    fn behind_an_mbr_it_begins_at_the_second_sector() {
        let disk = MemoryTarget::new(2 << 20, 0);
        code(600).write(&disk, (512, (1 << 20) - 512)).unwrap();
        let bytes = disk.into_bytes();
        assert_eq!(bytes[KERNEL_SECTOR], 1);
        assert_eq!(bytes[512 + BLOCK_LIST], 2);
    }

    #[test]
    fn a_core_image_without_room_is_refused() {
        let disk = MemoryTarget::new(1 << 20, 0);
        let error = code(1025).write(&disk, (512, 1024)).unwrap_err();
        assert!(matches!(error, DiskError::TooSmall { size: 1024, needed: 1536, .. }), "{error}");
        code(1024).write(&disk, (512, 1024)).unwrap();
    }
}
