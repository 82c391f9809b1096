//! A new FAT32 volume with its files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use cairn_layout::{LEAST_FAT, SectorSize};
use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};

use super::device::Device;
use super::{FatFile, clock, cluster_size, dots, size};
use crate::error::DiskError;
use crate::target::Target;
use crate::tree::Content;

/// What a FAT volume is made with.
#[derive(Debug, Clone)]
pub struct FatOptions {
    /// Its volume id.
    pub volume_id: u32,
    /// Its label: at most 11 bytes, ASCII, in capitals.
    pub label: String,
    /// The time of everything on it, in seconds since 1970; FAT knows 1980 to 2107.
    pub epoch: i64,
    /// The sectors of the disk that it is on.
    pub sector_size: SectorSize,
}

/// Makes a FAT32 volume in `len` bytes of the target from `offset` on, with these files in the order of their paths.
///
/// # Errors
/// [`DiskError::TooSmall`], with what is needed ([`super::needed`]); [`DiskError::FatFile`] for what FAT cannot hold;
/// [`DiskError::Full`] and [`DiskError::Write`] for the target, [`DiskError::Read`] and [`DiskError::Changed`] for files.
pub fn write(
    target: &dyn Target,
    offset: u64,
    len: u64,
    files: &[FatFile],
    options: &FatOptions,
) -> Result<(), DiskError> {
    let files = sorted(files)?;
    let needed = size::needed(files.values().copied().cloned().collect::<Vec<_>>().as_slice());
    if len < needed.max(LEAST_FAT) {
        return Err(DiskError::TooSmall { what: "the FAT file system", size: len, needed });
    }
    let fat = |source| DiskError::Fat { source };
    let mut device = Device::new(target, offset, len).map_err(fat)?;
    let made = make(&mut device, len, options)
        .map_err(fat)
        .and_then(|()| fill(&mut device, &files, options))
        .and_then(|()| dots::mend(&mut device).map_err(fat))
        .and_then(|()| device.finish().map_err(fat));
    match device.take_failure() {
        Some((at, error)) => Err(DiskError::write(target.name(), at, error)),
        None => made,
    }
}

fn make(device: &mut Device<'_>, len: u64, options: &FatOptions) -> io::Result<()> {
    let sector = u32::from(options.sector_size);
    let too_large = |_| io::Error::other("a FAT file system has at most 2^32 sectors");
    let mut label = [b' '; 11];
    let text = &options.label.as_bytes()[..options.label.len().min(11)];
    label[..text.len()].copy_from_slice(text);
    let format = FormatVolumeOptions::new()
        .fat_type(FatType::Fat32)
        .bytes_per_sector(u16::try_from(sector).map_err(io::Error::other)?)
        .bytes_per_cluster(u32::try_from(cluster_size(len)).map_err(io::Error::other)?)
        .total_sectors(u32::try_from(len / u64::from(sector)).map_err(too_large)?)
        .volume_id(options.volume_id)
        .volume_label(label);
    fatfs::format_volume(device, format)
}

fn fill(device: &mut Device<'_>, files: &BTreeMap<String, &FatFile>, options: &FatOptions) -> Result<(), DiskError> {
    let fat = |source| DiskError::Fat { source };
    let clock = clock::stopped_at(options.epoch);
    io::Seek::seek(device, io::SeekFrom::Start(0)).map_err(fat)?;
    let volume = FileSystem::new(device, FsOptions::new().time_provider(clock)).map_err(fat)?;
    // Counts the free clusters; from here on fatfs keeps the count, and writes it at the end.
    volume.stats().map_err(fat)?;
    for file in files.values() {
        let root = volume.root_dir();
        for (end, _) in file.path.match_indices('/') {
            root.create_dir(&file.path[..end]).map_err(fat)?;
        }
        let mut out = root.create_file(&file.path).map_err(fat)?;
        match &file.content {
            Content::Bytes(bytes) => {
                copy(&mut bytes.as_slice(), &mut out, Path::new(&file.path), file.len)?;
            }
            Content::Path(path) => {
                let mut from = File::open(path).map_err(|source| DiskError::Read { path: path.clone(), source })?;
                copy(&mut from, &mut out, path, file.len)?;
            }
        }
        out.flush().map_err(fat)?;
    }
    // Drop would do it too, and say nothing when it fails.
    volume.unmount().map_err(fat)
}

fn copy(from: &mut dyn Read, to: &mut dyn Write, path: &Path, expected: u64) -> Result<(), DiskError> {
    let mut buffer = vec![0; 256 << 10];
    let mut done = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(DiskError::Read { path: path.to_path_buf(), source }),
        };
        done += count as u64;
        if done > expected || (count == 0 && done < expected) {
            let found = if done > expected { "more".to_string() } else { done.to_string() };
            return Err(DiskError::Changed { path: path.to_path_buf(), expected, found });
        }
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count]).map_err(|source| DiskError::Fat { source })?;
    }
}

/// The files by their paths, after a look at whether FAT can hold them.
fn sorted(files: &[FatFile]) -> Result<BTreeMap<String, &FatFile>, DiskError> {
    let mut sorted = BTreeMap::new();
    let mut kinds: BTreeMap<String, bool> = BTreeMap::new();
    for file in files {
        let bad = |why| DiskError::FatFile { path: file.path.clone(), why };
        if file.len > u64::from(u32::MAX) {
            return Err(bad("FAT holds files of less than 4 GiB"));
        }
        for name in file.path.split('/') {
            check_name(name).map_err(bad)?;
        }
        let ends = file.path.match_indices('/').map(|(at, _)| at).chain([file.path.len()]);
        for end in ends {
            // FAT does not tell capitals from small letters.
            let key = file.path[..end].to_lowercase();
            let is_file = end == file.path.len();
            match kinds.insert(key, is_file) {
                Some(_) if is_file => return Err(bad("another file has the same name, apart from capitals")),
                Some(true) => return Err(bad("a file has the name of its directory")),
                _ => {}
            }
        }
        sorted.insert(file.path.clone(), file);
    }
    Ok(sorted)
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.encode_utf16().count() > 255 {
        return Err("a name has 1 to 255 characters");
    }
    if name.ends_with(['.', ' ']) {
        return Err("a name does not end with a dot or a blank");
    }
    if name.chars().any(|c| c.is_control() || "\"*:<>?\\|".contains(c)) {
        return Err("a name has no control characters and none of \" * : < > ? \\ |");
    }
    Ok(())
}
