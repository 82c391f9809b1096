//! A FAT volume that is read and written in user space, file by file: a new one, or one that is there.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::rc::Rc;

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};

use super::check_path;
use super::device::Device;
use super::reader::FatEntry;
use super::{FatOptions, clock, cluster_size, dots};
use crate::error::DiskError;
use crate::target::Target;

/// More than what lies before a volume's tables, or what rounds each of them up.
const RESERVED: u64 = 256 << 10;

/// An open volume. Nothing is on the target for sure before [`FatVolume::finish`].
pub struct FatVolume<'a> {
    device: Rc<RefCell<Device<'a>>>,
    volume: FileSystem<Shared<'a>>,
    target: &'a dyn Target,
}

/// The device, once for `fatfs`, which swallows what it is given, and once for what comes after it.
pub(super) struct Shared<'a>(Rc<RefCell<Device<'a>>>);

impl fmt::Debug for FatVolume<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FatVolume").field("volume_id", &self.volume.volume_id()).finish_non_exhaustive()
    }
}

impl Read for Shared<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

impl Write for Shared<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().flush()
    }
}

impl Seek for Shared<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.borrow_mut().seek(to)
    }
}

impl<'a> FatVolume<'a> {
    /// Makes a FAT32 volume, or one of FAT16, in `len` bytes of the target from `offset` on.
    ///
    /// # Errors
    /// [`DiskError::Fat`]; [`DiskError::Full`] and [`DiskError::Write`] for the target.
    pub fn format(
        target: &'a dyn Target,
        offset: u64,
        len: u64,
        options: &FatOptions,
    ) -> Result<FatVolume<'a>, DiskError> {
        let fat = |source| DiskError::Fat { source };
        let mut device = Device::new(target, offset, len, tables(len)).map_err(fat)?;
        let made = make(&mut device, len, options).and_then(|()| device.seek(SeekFrom::Start(0)).map(drop));
        if let Some((at, error)) = device.take_failure() {
            return Err(DiskError::write(target.name(), at, error));
        }
        made.map_err(fat)?;
        FatVolume::on(device, target, options.epoch)
    }

    /// Opens the volume that is there. What is written to it gets the time `epoch`.
    ///
    /// # Errors
    /// [`DiskError::Fat`] when it is none.
    pub fn open(target: &'a dyn Target, offset: u64, len: u64, epoch: i64) -> Result<FatVolume<'a>, DiskError> {
        FatVolume::on(Device::existing(target, offset, len), target, epoch)
    }

    fn on(device: Device<'a>, target: &'a dyn Target, epoch: i64) -> Result<FatVolume<'a>, DiskError> {
        let device = Rc::new(RefCell::new(device));
        let options = FsOptions::new().time_provider(clock::stopped_at(epoch));
        let fat = |source| DiskError::Fat { source };
        let volume = FileSystem::new(Shared(Rc::clone(&device)), options).map_err(fat)?;
        // Counts the free clusters; from here on fatfs keeps the count, and writes it at the end.
        volume.stats().map_err(fat)?;
        Ok(FatVolume { device, volume, target })
    }

    /// Writes all that was collected, and mends what `fatfs` does in its own way.
    ///
    /// # Errors
    /// As [`FatVolume::format`].
    pub fn finish(self) -> Result<(), DiskError> {
        let fat = |source| DiskError::Fat { source };
        // Drop would do it too, and say nothing when it fails.
        let unmounted = self.volume.unmount();
        let mut device = self.device.borrow_mut();
        let done = unmounted.and_then(|()| dots::mend(&mut device)).and_then(|()| device.finish());
        match device.take_failure() {
            Some((at, error)) => Err(DiskError::write(self.target.name(), at, error)),
            None => done.map_err(fat),
        }
    }

    /// The bytes of a cluster, and those in free clusters.
    ///
    /// # Errors
    /// What `fatfs` says.
    pub fn space(&self) -> io::Result<(u64, u64)> {
        let stats = self.volume.stats()?;
        let cluster = u64::from(stats.cluster_size());
        Ok((cluster, u64::from(stats.free_clusters()) * cluster))
    }

    /// What is in a directory (`""` is the root), sorted by name; `None` when there is no such directory.
    ///
    /// # Errors
    /// What `fatfs` says.
    pub fn list(&self, path: &str) -> io::Result<Option<Vec<FatEntry>>> {
        let root = self.volume.root_dir();
        let directory = match path {
            "" => Ok(root),
            path => root.open_dir(path),
        };
        let directory = match directory {
            Ok(directory) => directory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut entries = Vec::new();
        for entry in directory.iter() {
            let entry = entry?;
            let name = entry.file_name();
            if name != "." && name != ".." {
                entries.push(FatEntry { name, is_dir: entry.is_dir(), len: entry.len() });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(entries))
    }

    /// A file to read.
    ///
    /// # Errors
    /// What `fatfs` says; [`io::ErrorKind::NotFound`].
    pub fn read(&self, path: &str) -> io::Result<impl Read + use<'_, 'a>> {
        self.volume.root_dir().open_file(path)
    }

    /// Writes a new file; its directories are made as they are needed.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], [`io::ErrorKind::InvalidInput`] for a name that FAT cannot hold, what reading
    /// and `fatfs` say.
    pub fn create(&mut self, path: &str, from: &mut dyn Read) -> io::Result<()> {
        check_path(path).map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
        let root = self.volume.root_dir();
        if root.open_file(path).is_ok() || root.open_dir(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        for (end, _) in path.match_indices('/') {
            root.create_dir(&path[..end])?;
        }
        let mut out = root.create_file(path)?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return out.flush(),
                Ok(count) => out.write_all(&buffer[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Overwrites the beginning of a file.
    ///
    /// # Errors
    /// What `fatfs` says; [`io::ErrorKind::NotFound`].
    pub fn overwrite(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.volume.root_dir().open_file(path)?;
        file.write_all(bytes)?;
        file.flush()
    }

    /// Removes a file.
    ///
    /// # Errors
    /// What `fatfs` says; [`io::ErrorKind::NotFound`].
    pub fn remove(&mut self, path: &str) -> io::Result<()> {
        self.volume.root_dir().remove(path)
    }
}

/// Where a new volume's tables and its first folder will be, and some bytes more. What is behind them `fatfs` clears when it makes a
/// folder there, so that on a real disk not all of the volume has to be written.
fn tables(len: u64) -> u64 {
    let cluster = cluster_size(len);
    RESERVED + 2 * ((len / cluster + 2) * 4 + RESERVED) + 2 * cluster
}

fn make(device: &mut Device<'_>, len: u64, options: &FatOptions) -> io::Result<()> {
    let sector = u32::from(options.sector_size);
    let too_large = |_| io::Error::other("a FAT file system has at most 2^32 sectors");
    let mut label = [b' '; 11];
    let text = &options.label.as_bytes()[..options.label.len().min(11)];
    label[..text.len()].copy_from_slice(text);
    let format = FormatVolumeOptions::new()
        .fat_type(if options.small { FatType::Fat16 } else { FatType::Fat32 })
        .bytes_per_sector(u16::try_from(sector).map_err(io::Error::other)?)
        .bytes_per_cluster(u32::try_from(cluster_size(len)).map_err(io::Error::other)?)
        .total_sectors(u32::try_from(len / u64::from(sector)).map_err(too_large)?)
        .volume_id(options.volume_id)
        .volume_label(label);
    fatfs::format_volume(device, format)
}
