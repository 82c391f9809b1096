//! The medium from which systems are installed: one file that is a CD, a stick and a disk at once.
//!
//! It is a disk with a GPT; in its first MiB, which no partition has, there is room for what a CD begins with:
//!
//! | bytes | what |
//! | --- | --- |
//! | 0 | GRUB's boot sector, a protective MBR |
//! | 512; 4096 | the GPT's header, for sectors of either size |
//! | 8192 | the entries for sectors of 4096 bytes |
//! | 32768 | ISO 9660: descriptors, El Torito's catalog, folders, GRUB's first menu |
//! | 61440 | the tag: where the payload is, and the root of its hashes, which names the medium |
//! | 65536 | GRUB's core image, for a BIOS, whatever it takes the medium for |
//! | 524288 | the entries for sectors of 512 bytes |
//! | 1 MiB | the EFI system partition: loaders, menu, kernel, initrd |
//! | then | the payload: a squashfs, and behind it its hashes (dm-verity) |
//! | then | what can be put onto the finished medium: a FAT file system |
//! | the last MiB | the copies of the tables |
//!
//! Sources: UEFI 2.10 (5.3, 13.3), ECMA-119, El Torito 1.0; what boots from it was tried.

mod iso;
mod tables;
mod tag;

use std::fs::File;
use std::io;

use cairn_layout::SectorSize;
use uuid::Uuid;

use crate::error::DiskError;
use crate::fat::{FatFile, FatOptions, FatVolume, needed_small};
use crate::target::Target;
use iso::CORE;
pub use tag::Tag;
use tables::Part;

const MIB: u64 = 1 << 20;
/// A sector of a CD.
const SECTOR: u64 = 2048;
/// A page: what hashes are made of, and what the payload's length is a multiple of.
pub const PAGE: u64 = 4096;
/// Where the tag is.
pub const TAG: u64 = 61_440;
/// Where the EFI system partition begins.
const ESP: u64 = MIB;
/// Where the entries for sectors of 512 bytes begin: the core image ends before them.
const CORE_END: u64 = 512 << 10;
/// What makes a volume FAT16: 4085 clusters and more.
const LEAST: u64 = 17 * MIB;
/// The size of the place for answers, keys and logs.
pub const SPARE: u64 = LEAST;

const ESP_TYPE: Uuid = Uuid::from_u128(0xC12A7328_F81F_11D2_BA4B_00A0C93EC93B);
const LINUX_TYPE: Uuid = Uuid::from_u128(0x0FC63DAF_8483_4772_8E79_3D69D8477DE4);
/// Windows shows partitions of this type to whoever plugs in the stick.
const BASIC_DATA: Uuid = Uuid::from_u128(0xEBD0A0A2_B9E5_4433_87C0_68B6B72699C7);

/// What the medium is made of.
#[derive(Debug)]
pub struct Medium<'a> {
    /// Its label: at most 32 capital letters, digits and `_`.
    pub label: &'a str,
    /// The time of everything, in seconds since 1970.
    pub epoch: i64,
    /// GRUB's boot sector, and its core image in the form that a CD boots (`i386-pc-eltorito`).
    pub boot_sector: [u8; 512],
    /// See there.
    pub core: Vec<u8>,
    /// What is in the folder `/boot/grub` of the CD's own file system: names in capitals (8.3), at most 2048 bytes each.
    pub cd_files: Vec<(String, Vec<u8>)>,
    /// The files of the EFI system partition.
    pub esp: Vec<FatFile>,
    /// The payload with its hashes behind it.
    pub payload: &'a File,
    /// The payload's own length, and that of the hashes, in bytes; multiples of [`PAGE`].
    pub lengths: (u64, u64),
    /// The root of the hashes.
    pub root_hash: [u8; 32],
    /// The files of the place for answers.
    pub spare: Vec<FatFile>,
}

/// The volume id of the EFI system partition: GRUB looks for it.
#[must_use]
pub fn volume_id(root_hash: &[u8; 32]) -> u32 {
    u32::from_le_bytes([root_hash[0], root_hash[1], root_hash[2], root_hash[3]])
}

impl Medium<'_> {
    /// How many bytes it has.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.spare_offset() + SPARE + MIB
    }

    fn esp_len(&self) -> u64 {
        needed_small(&self.esp).max(LEAST)
    }

    fn payload_offset(&self) -> u64 {
        ESP + self.esp_len()
    }

    fn spare_offset(&self) -> u64 {
        (self.payload_offset() + self.lengths.0 + self.lengths.1).next_multiple_of(MIB)
    }

    fn tag(&self) -> Vec<u8> {
        let at = self.payload_offset();
        let tag = Tag {
            root_hash: self.root_hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            payload: (at, self.lengths.0),
            hashes: (at + self.lengths.0, self.lengths.1),
            spare: (self.spare_offset(), SPARE),
        };
        let mut bytes = tag.text().into_bytes();
        bytes.resize(PAGE as usize, 0);
        bytes
    }

    /// Writes it. The target's bytes are zeros.
    ///
    /// # Errors
    /// [`DiskError::TooSmall`] where something has no room, [`DiskError::Full`] and [`DiskError::Write`] for the target,
    /// [`DiskError::Read`] and [`DiskError::Changed`] for what is copied.
    pub fn write(&self, target: &dyn Target) -> Result<(), DiskError> {
        /// The most that FAT16 has with clusters of 4 KiB.
        const MOST: u64 = 255 * MIB;
        let end = CORE * SECTOR + self.core.len() as u64;
        let small = |what, size, needed| DiskError::TooSmall { what, size, needed };
        if end > CORE_END {
            return Err(small("the place for GRUB's core image", CORE_END - CORE * SECTOR, self.core.len() as u64));
        }
        if let Some((_, bytes)) = self.cd_files.iter().find(|(_, bytes)| bytes.len() as u64 > SECTOR) {
            return Err(small("a file of the CD's own file system", SECTOR, bytes.len() as u64));
        }
        if self.cd_files.len() > iso::MOST_FILES {
            return Err(small("the CD's own file system", iso::MOST_FILES as u64, self.cd_files.len() as u64));
        }
        if self.esp_len() > MOST {
            return Err(small("the medium's EFI system partition", MOST, self.esp_len()));
        }
        if target.len() < self.bytes() {
            return Err(small("the target", target.len(), self.bytes()));
        }
        let put = |at: u64, bytes: &[u8]| {
            target.write_at(at, bytes).map_err(|source| DiskError::write(target.name(), at, source))
        };
        self.file_system(target, ESP, self.esp_len(), ("CAIRN-BOOT", volume_id(&self.root_hash)), &self.esp)?;
        let id = volume_id(&self.root_hash).wrapping_add(1);
        self.file_system(target, self.spare_offset(), SPARE, ("CAIRNMEDIUM", id), &self.spare)?;
        copy(self.payload, self.lengths.0 + self.lengths.1, target, self.payload_offset())?;
        let volume = iso::Volume { label: self.label, epoch: self.epoch, bytes: self.bytes(), files: &self.cd_files };
        let (at, bytes) = volume.bytes();
        put(at, &bytes)?;
        put(TAG, &self.tag())?;
        put(CORE * SECTOR, &core_for_both(&self.core))?;
        for (at, bytes) in tables::writes(self.bytes(), self.disk_id(), &self.parts()) {
            put(at, &bytes)?;
        }
        put(0, &self.first_sector())
    }

    fn file_system(
        &self,
        target: &dyn Target,
        offset: u64,
        len: u64,
        (label, volume_id): (&str, u32),
        files: &[FatFile],
    ) -> Result<(), DiskError> {
        let options = FatOptions {
            volume_id,
            label: label.into(),
            epoch: self.epoch,
            sector_size: SectorSize::B512,
            small: true,
        };
        let mut volume = FatVolume::format(target, offset, len, &options)?;
        let put = crate::fat::FatContents::put(&files, &mut volume);
        put.and(volume.finish())
    }

    fn disk_id(&self) -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_OID, &self.root_hash)
    }

    fn parts(&self) -> [Part; 3] {
        let part = |name: &'static str, kind, (offset, len)| Part {
            kind,
            id: Uuid::new_v5(&self.disk_id(), name.as_bytes()),
            name,
            offset,
            len,
        };
        let payload = self.payload_offset();
        [
            part("cairn-boot", ESP_TYPE, (ESP, self.esp_len())),
            part("cairn-medium", LINUX_TYPE, (payload, self.spare_offset() - payload)),
            part("cairn", BASIC_DATA, (self.spare_offset(), SPARE)),
        ]
    }

    /// GRUB's boot sector as a hard disk has it, and the one entry that protects the GPT from those who know none.
    fn first_sector(&self) -> [u8; 512] {
        let mut sector = self.boot_sector;
        sector[440..].fill(0);
        // Where the core image goes on after the part for a CD, and that the drive which the BIOS names is believed (as `grub-install`).
        let begin = CORE * SECTOR / 512;
        sector[0x5c..0x64].copy_from_slice(&(begin + SECTOR / 512).to_le_bytes());
        sector[0x66..0x68].copy_from_slice(&[0x90, 0x90]);
        let sectors = u32::try_from(self.bytes() / 512 - 1).unwrap_or(u32::MAX);
        sector[446..458].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0]);
        sector[458..462].copy_from_slice(&sectors.to_le_bytes());
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        sector
    }
}

/// The core image with both that is asked of it: what a CD's boot fills in (a table at 8: descriptors, own place, length, sum), and the
/// sector at which a disk's goes on.
fn core_for_both(core: &[u8]) -> Vec<u8> {
    /// Where the first sector of the part for disks has the place of the rest: behind the part for a CD.
    const BLOCK_LIST: usize = 2048 + 500;
    let mut core = core.to_vec();
    core.resize(core.len().next_multiple_of(SECTOR as usize), 0);
    core[BLOCK_LIST..BLOCK_LIST + 8].copy_from_slice(&(CORE * SECTOR / 512 + 5).to_le_bytes());
    let words = core[64..].chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    let sum = words.fold(0_u32, u32::wrapping_add);
    for (at, value) in [(8, 16), (12, CORE as u32), (16, core.len() as u32), (20, sum)] {
        core[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    core
}

fn copy(from: &File, len: u64, target: &dyn Target, offset: u64) -> Result<(), DiskError> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    while done < len {
        let count = usize::try_from((len - done).min(buffer.len() as u64)).unwrap_or(buffer.len());
        let piece = &mut buffer[..count];
        let read = |source: io::Error| DiskError::Read { path: "the medium's payload".into(), source };
        from.read_exact_at(piece, done).map_err(read)?;
        target.write_at(offset + done, piece).map_err(|e| DiskError::write(target.name(), offset + done, e))?;
        done += count as u64;
    }
    Ok(())
}
