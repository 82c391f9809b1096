//! Which file system is in a partition, told from its first bytes, and what it says of itself.

use cairn_disk::{DiskError, Region, Source, ext4, fat};
use cairn_layout::FsUuid;
use serde::Serialize;
use uuid::Uuid;

use crate::view;

/// A file system that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSystemInfo {
    /// `vfat`, `ext4`, `swap`, or what blkid calls another one.
    pub format: String,
    /// Its identifier as blkid shows it.
    pub uuid: Option<String>,
    /// Its label.
    pub label: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// The bytes in use.
    pub used: Option<u64>,
    /// The bytes that are free.
    pub free: Option<u64>,
}

impl FileSystemInfo {
    fn named(format: &str) -> FileSystemInfo {
        FileSystemInfo { format: format.to_string(), uuid: None, label: None, size: None, used: None, free: None }
    }
}

/// Looks for a file system; `None` when there is nothing that we know.
pub(super) fn look(region: Region<'_>) -> Result<Option<FileSystemInfo>, DiskError> {
    let has = |offset: u64, magic: &[u8]| {
        let mut found = vec![0; magic.len()];
        region.read_at(offset, &mut found).is_ok() && found == magic
    };
    if view::is_ext4(region) {
        let info = ext4::Reader::open(region)?.info();
        let used = info.bytes.saturating_sub(info.free);
        return Ok(Some(FileSystemInfo {
            uuid: Some(info.uuid.to_string()),
            label: filled(info.label),
            size: Some(info.bytes),
            used: Some(used),
            free: Some(info.free),
            ..FileSystemInfo::named("ext4")
        }));
    }
    if has(4096 - 10, b"SWAPSPACE2") {
        return Ok(Some(swap(region)));
    }
    if view::is_fat(region) {
        let info = fat::open(region)?.info()?;
        return Ok(Some(FileSystemInfo {
            uuid: Some(FsUuid::VolumeId(info.volume_id).to_string()),
            label: filled(info.label),
            size: Some(info.bytes),
            used: Some(info.bytes.saturating_sub(info.free)),
            free: Some(info.free),
            ..FileSystemInfo::named("vfat")
        }));
    }
    let others: [(u64, &[u8], &str); 6] = [
        (0, b"XFSB", "xfs"),
        (0x10040, b"_BHRfS_M", "btrfs"),
        (0, b"LUKS\xba\xbe", "crypto_LUKS"),
        (0, b"hsqs", "squashfs"),
        (1024, b"\xe2\xe1\xf5\xe0", "erofs"),
        (0x8001, b"CD001", "iso9660"),
    ];
    Ok(others.iter().find(|(at, magic, _)| has(*at, magic)).map(|(_, _, name)| FileSystemInfo::named(name)))
}

fn swap(region: Region<'_>) -> FileSystemInfo {
    let mut header = [0; 44];
    let mut info = FileSystemInfo { size: Some(region.len()), ..FileSystemInfo::named("swap") };
    if region.read_at(1024, &mut header).is_ok() {
        info.uuid = Some(Uuid::from_bytes(std::array::from_fn(|i| header[12 + i])).to_string());
        info.label = filled(String::from_utf8_lossy(&header[28..44]).trim_end_matches('\0').to_string());
    }
    info
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
