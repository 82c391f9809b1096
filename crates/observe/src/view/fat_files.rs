//! The files of a FAT volume.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use cairn_boot::{Kind as VolumeKind, ReadVolume, Space};
use cairn_disk::{Budget, DiskError, fat};

use super::image::{disk_error, in_image};
use super::{Files, Kind, ViewError};

/// The entries of a folder, where there is one.
type Entries = Option<Rc<Vec<fat::FatEntry>>>;

/// An open volume, with the image's name for messages.
#[derive(Debug)]
pub(super) struct FatFiles<'a> {
    reader: fat::Reader<'a>,
    image: PathBuf,
    budget: Arc<Budget>,
    /// The folders that were read: each question about a file begins with its folder.
    folders: RefCell<BTreeMap<String, Entries>>,
}

impl<'a> FatFiles<'a> {
    pub fn new(reader: fat::Reader<'a>, image: &Path, budget: Arc<Budget>) -> FatFiles<'a> {
        FatFiles { reader, image: image.to_path_buf(), budget, folders: RefCell::default() }
    }

    fn error(&self, source: DiskError) -> ViewError {
        disk_error(&self.image, source)
    }

    fn entries(&self, path: &str) -> Result<Entries, ViewError> {
        let path = path.trim_matches('/');
        if let Some(known) = self.folders.borrow().get(path) {
            return Ok(known.clone());
        }
        let entries = self.reader.list(path).map_err(|e| self.error(e))?.map(Rc::new);
        self.budget.keep(path.len()).map_err(|why| ViewError::Endless { path: path.to_string(), why })?;
        self.folders.borrow_mut().insert(path.to_string(), entries.clone());
        Ok(entries)
    }

    fn entry(&self, path: &str) -> Result<Option<fat::FatEntry>, ViewError> {
        let path = path.trim_matches('/');
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(entries) = self.entries(folder)? else { return Ok(None) };
        let looked_at = entries.len() as u64 / 16 + 1;
        self.budget.steps(looked_at).map_err(|why| ViewError::Endless { path: path.to_string(), why })?;
        // FAT does not tell capitals.
        Ok(entries.iter().find(|e| e.name.eq_ignore_ascii_case(name)).cloned())
    }
}

impl Files for FatFiles<'_> {
    fn kind(&self, path: &str) -> Result<Option<Kind>, ViewError> {
        if path.trim_matches('/').is_empty() {
            return Ok(Some(Kind::Folder));
        }
        Ok(self.entry(path)?.map(|entry| if entry.is_dir { Kind::Folder } else { Kind::File }))
    }

    fn link(&self, _path: &str) -> Result<Option<String>, ViewError> {
        Ok(None)
    }

    fn read(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>, ViewError> {
        let mut bytes = Vec::new();
        Ok(self.copy(path, most, &mut bytes)?.map(|()| bytes))
    }

    fn copy(&self, path: &str, most: u64, to: &mut dyn Write) -> Result<Option<()>, ViewError> {
        let Some(entry) = self.entry(path)?.filter(|e| !e.is_dir) else { return Ok(None) };
        if entry.len > most {
            return Err(ViewError::TooLarge { path: path.to_string(), bytes: entry.len });
        }
        self.reader.copy(path.trim_matches('/'), most, to).map_err(|e| self.error(e))
    }

    fn list(&self, path: &str) -> Result<Option<Vec<String>>, ViewError> {
        if self.kind(path)? != Some(Kind::Folder) {
            return Ok(None);
        }
        Ok(self.entries(path)?.map(|entries| entries.iter().map(|e| e.name.clone()).collect()))
    }

    /// Nobody asks when something on a boot partition was changed.
    fn modified(&self, _path: &str) -> Result<Option<i64>, ViewError> {
        Ok(None)
    }

    fn shown(&self, path: &str) -> PathBuf {
        in_image(&self.image, path)
    }

    fn budget(&self) -> Arc<Budget> {
        Arc::clone(&self.budget)
    }
}

/// As the boot transaction looks at a partition.
impl ReadVolume for FatFiles<'_> {
    fn list(&self, directory: &str) -> io::Result<Vec<(String, VolumeKind)>> {
        let entries = self.entries(directory).map_err(io::Error::other)?;
        let kind =
            |entry: &fat::FatEntry| if entry.is_dir { VolumeKind::Directory } else { VolumeKind::File(entry.len) };
        Ok(entries.iter().flat_map(|all| all.iter()).map(|entry| (entry.name.clone(), kind(entry))).collect())
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.reader.file(path)?))
    }

    fn space(&self) -> io::Result<Space> {
        let info = self.reader.info().map_err(io::Error::other)?;
        Ok(Space { cluster: info.cluster, free: info.free })
    }
}
