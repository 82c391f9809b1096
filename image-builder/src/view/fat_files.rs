//! The files of a FAT volume.

use std::path::PathBuf;

use cairn_disk::{DiskError, fat};

use super::{Files, Kind, ViewError};

/// An open volume, with the image's name for messages.
#[derive(Debug)]
pub(super) struct FatFiles<'a> {
    pub reader: fat::Reader<'a>,
    pub image: PathBuf,
}

impl FatFiles<'_> {
    fn error(&self, source: DiskError) -> ViewError {
        ViewError::Disk { path: self.image.clone(), source }
    }

    fn entries(&self, path: &str) -> Result<Option<Vec<fat::FatEntry>>, ViewError> {
        self.reader.list(path.trim_matches('/')).map_err(|e| self.error(e))
    }

    fn entry(&self, path: &str) -> Result<Option<fat::FatEntry>, ViewError> {
        let path = path.trim_matches('/');
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        // FAT does not tell capitals.
        Ok(self.entries(folder)?.into_iter().flatten().find(|e| e.name.eq_ignore_ascii_case(name)))
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
        let Some(entry) = self.entry(path)?.filter(|e| !e.is_dir) else { return Ok(None) };
        if entry.len > most {
            return Err(ViewError::TooLarge { path: path.to_string(), bytes: entry.len });
        }
        self.reader.read(path.trim_matches('/'), most).map_err(|e| self.error(e))
    }

    fn list(&self, path: &str) -> Result<Option<Vec<String>>, ViewError> {
        if self.kind(path)? != Some(Kind::Folder) {
            return Ok(None);
        }
        Ok(self.entries(path)?.map(|entries| entries.into_iter().map(|e| e.name).collect()))
    }

    /// Nobody asks when something on a boot partition was changed.
    fn modified(&self, _path: &str) -> Result<Option<i64>, ViewError> {
        Ok(None)
    }
}
