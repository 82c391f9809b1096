//! A machine in an image, raw or qcow2: its root is the ext4 file system that has generations, its boot partitions are
//! the FAT volumes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use cairn_disk::ext4::{self, EntryKind};
use cairn_disk::partition_table::{self, Table};
use cairn_disk::{Budget, DiskError, Region, Source, fat, image};

use super::fat_files::FatFiles;
use super::{BootVolume, Files, Kind, PROFILES, View, ViewError};

/// An image that is open for reading.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    source: Box<dyn Source>,
    table: Table,
}

impl Disk {
    /// Opens an image and reads its partition table.
    ///
    /// # Errors
    /// When it is no image, or has no partition table.
    pub fn open(path: &Path) -> Result<Disk, ViewError> {
        let source = image::open(path)?;
        let table =
            partition_table::read(&*source).map_err(|source| ViewError::Disk { path: path.to_path_buf(), source })?;
        Ok(Disk { path: path.to_path_buf(), source, table })
    }

    /// The image.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The disk's bytes.
    pub fn source(&self) -> &dyn Source {
        &*self.source
    }

    /// The disk's partition table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    fn budget(&self) -> Arc<Budget> {
        self.source.budget().unwrap_or_default()
    }

    /// The machine in the image.
    ///
    /// # Errors
    /// [`ViewError::NotAMachine`] when no file system in it has generations; a damaged one is told of then.
    pub fn machine(&self) -> Result<View<'_>, ViewError> {
        let (mut root, mut boot, mut damaged) = (None, Vec::new(), None);
        for partition in &self.table.partitions {
            let region = Region::new(&*self.source, partition.offset, partition.bytes);
            if is_fat(region) {
                if let Ok(reader) = fat::open(region) {
                    let files = Rc::new(FatFiles::new(reader, &self.path, self.budget()));
                    let xbootldr = partition.kind.name() == Some("xbootldr");
                    let name = format!("partition {}", partition.number);
                    boot.push(BootVolume { name, xbootldr, volume: Some(files.clone()), files });
                }
                continue;
            }
            if root.is_some() || !is_ext4(region) {
                continue;
            }
            let open = |reader| Ext4Files::new(reader, &self.path, self.budget());
            let files = match ext4::Reader::open(region).map(open) {
                Ok(files) => files,
                Err(error) => {
                    damaged = Some(error);
                    continue;
                }
            };
            match files.reader.kind(PROFILES) {
                Ok(Some(_)) => root = Some(files),
                Ok(None) => {}
                Err(error) => damaged = Some(error),
            }
        }
        match (root, damaged) {
            (Some(root), _) => Ok(View {
                name: self.path.clone(),
                root: Rc::new(root),
                folder: None,
                in_image: boot,
                disk: Some(self),
            }),
            (None, Some(source)) => Err(ViewError::Disk { path: self.path.clone(), source }),
            (None, None) => Err(ViewError::NotAMachine {
                path: self.path.clone(),
                why: format!("no file system in it has {PROFILES}"),
            }),
        }
    }
}

fn has(region: Region<'_>, offset: u64, magic: &[u8]) -> bool {
    let mut found = vec![0; magic.len()];
    region.read_at(offset, &mut found).is_ok() && found == magic
}

/// A boot sector's signature alone is not enough: other things have it too.
pub(crate) fn is_fat(region: Region<'_>) -> bool {
    has(region, 510, &[0x55, 0xaa]) && (has(region, 82, b"FAT32   ") || has(region, 54, b"FAT1"))
}

pub(crate) fn is_ext4(region: Region<'_>) -> bool {
    has(region, 1024 + 56, &[0x53, 0xef])
}

/// An open ext4 file system, with the image's name for messages.
#[derive(Debug)]
pub(crate) struct Ext4Files<'a> {
    reader: ext4::Reader<'a>,
    image: PathBuf,
    budget: Arc<Budget>,
}

impl<'a> Ext4Files<'a> {
    /// Those that this reader reads, on this account.
    pub fn new(reader: ext4::Reader<'a>, image: &Path, budget: Arc<Budget>) -> Ext4Files<'a> {
        Ext4Files { reader, image: image.to_path_buf(), budget }
    }

    fn told<T>(&self, result: Result<T, DiskError>) -> Result<T, ViewError> {
        result.map_err(|source| disk_error(&self.image, source))
    }
}

/// What a path in an image is called: `hello.raw:/etc/fstab`.
pub(super) fn in_image(image: &Path, path: &str) -> PathBuf {
    PathBuf::from(format!("{}:/{}", image.display(), path.trim_start_matches('/')))
}

/// An error of a reader's; a file that is too large is the same whatever it is in.
pub(super) fn disk_error(image: &Path, source: DiskError) -> ViewError {
    match source {
        DiskError::TooLarge { path, bytes } => ViewError::TooLarge { path, bytes },
        source => ViewError::Disk { path: image.to_path_buf(), source },
    }
}

impl Files for Ext4Files<'_> {
    fn kind(&self, path: &str) -> Result<Option<Kind>, ViewError> {
        let kind = self.told(self.reader.kind(path))?;
        Ok(kind.map(|kind| match kind {
            EntryKind::Directory => Kind::Folder,
            EntryKind::File => Kind::File,
            EntryKind::Other => Kind::Other,
        }))
    }

    fn link(&self, path: &str) -> Result<Option<String>, ViewError> {
        self.told(self.reader.link(path))
    }

    fn read(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>, ViewError> {
        self.told(self.reader.read(path, most))
    }

    fn list(&self, path: &str) -> Result<Option<Vec<String>>, ViewError> {
        self.told(self.reader.list(path))
    }

    fn modified(&self, path: &str) -> Result<Option<i64>, ViewError> {
        self.told(self.reader.modified(path))
    }

    fn shown(&self, path: &str) -> PathBuf {
        in_image(&self.image, path)
    }

    fn copy(&self, path: &str, most: u64, to: &mut dyn Write) -> Result<Option<()>, ViewError> {
        self.told(self.reader.copy(path, most, to))
    }

    fn identity(&self, path: &str) -> Result<Option<u64>, ViewError> {
        self.told(self.reader.identity(path))
    }

    fn budget(&self) -> Arc<Budget> {
        Arc::clone(&self.budget)
    }
}
