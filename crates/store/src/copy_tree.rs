//! The copy of one tree out of another store: of files, folders and links only, and of no more than the store says there is.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use cairn_process::Report;

use crate::canonical::MAX_DEPTH;
use crate::source::CopySource;
use crate::{PathInfo, StoreError, plain};

/// A copy under way.
pub(crate) struct Copy<'a> {
    source: &'a CopySource,
    info: &'a PathInfo,
    report: &'a dyn Report,
    /// The bytes that may still come.
    left: u64,
}

impl<'a> Copy<'a> {
    /// Copies a path's tree to `to`, which is an empty folder; `most` bytes of it. The kernel copies (and lets files share their
    /// blocks where it can).
    pub(crate) fn make(
        source: &'a CopySource,
        info: &'a PathInfo,
        most: u64,
        to: &Path,
        report: &'a dyn Report,
    ) -> Result<(), StoreError> {
        Copy { source, info, report, left: most }.tree(&source.real_path(&info.path), to, 0)
    }

    fn tree(&mut self, from: &Path, to: &Path, depth: usize) -> Result<(), StoreError> {
        let meta = fs::symlink_metadata(from).map_err(StoreError::io("reading", from))?;
        if meta.is_dir() {
            if depth > MAX_DEPTH {
                let why = format!("folders are nested deeper than {MAX_DEPTH}, which Nix refuses");
                return Err(StoreError::Unsupported { path: from.to_path_buf(), why });
            }
            if !to.is_dir() {
                fs::create_dir(to).map_err(StoreError::io("making", to))?;
                // Whatever the umask says.
                fs::set_permissions(to, fs::Permissions::from_mode(0o755)).map_err(StoreError::io("making", to))?;
            }
            for entry in fs::read_dir(from).map_err(StoreError::io("reading", from))? {
                let name = entry.map_err(StoreError::io("reading", from))?.file_name();
                self.tree(&from.join(&name), &to.join(&name), depth + 1)?;
            }
            return Ok(());
        }
        if depth == 0 {
            fs::remove_dir(to).map_err(StoreError::io("removing", to))?;
        }
        if meta.is_symlink() {
            let target = fs::read_link(from).map_err(StoreError::io("reading", from))?;
            symlink(target, to).map_err(StoreError::io("making", to))
        } else if meta.is_file() {
            self.file(from, to, &meta)
        } else {
            let why = "it is no file, folder or symbolic link, and a store path holds nothing else".to_string();
            Err(StoreError::Unsupported { path: from.to_path_buf(), why })
        }
    }

    fn file(&mut self, from: &Path, to: &Path, meta: &fs::Metadata) -> Result<(), StoreError> {
        // Before the disk is filled with what cannot be right.
        self.left = self.left.checked_sub(meta.len()).ok_or_else(|| {
            let what = match self.info.nar_size {
                0 => "its files have grown since they were counted".to_string(),
                size => format!("its files have more than the {size} bytes that it should have"),
            };
            self.source.damaged(&self.info.path, what)
        })?;
        let mut reader = plain::open(from).map_err(StoreError::io("reading", from))?;
        let mut writer = fs::File::create_new(to).map_err(StoreError::io("making", to))?;
        let copied = io::copy(&mut reader, &mut writer).map_err(|source| copying(from, to, source))?;
        let mode = if meta.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
        writer.set_permissions(fs::Permissions::from_mode(mode)).map_err(StoreError::io("making", to))?;
        self.report.advance(copied);
        Ok(())
    }
}

/// The bytes that the files of a tree say they have, holes too: a copy may not keep these.
pub(crate) fn size(top: &Path) -> Result<u64, StoreError> {
    fn add(at: &Path, depth: usize, sum: &mut u64) -> io::Result<()> {
        let meta = fs::symlink_metadata(at)?;
        if meta.is_file() {
            *sum = sum.saturating_add(meta.len());
        }
        // What is deeper is refused when it is copied.
        if meta.is_dir() && depth <= MAX_DEPTH {
            for entry in fs::read_dir(at)? {
                add(&entry?.path(), depth + 1, sum)?;
            }
        }
        Ok(())
    }
    let mut sum = 0;
    add(top, 0, &mut sum).map_err(StoreError::io("reading", top))?;
    Ok(sum)
}

/// Names the side that is at fault.
fn copying(from: &Path, to: &Path, source: io::Error) -> StoreError {
    let written = matches!(
        source.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem
    );
    let (action, path) = if written { ("writing", to) } else { ("copying", from) };
    StoreError::Io { action, path: path.to_path_buf(), source }
}
