//! The folders that a store consists of, each held open, none of them a link: what is read, written, renamed and removed in
//! them stays in them, whosever disk it is. [`Folder::path`] has no link in it, so names may be joined to it.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use cairn_root::{Folder, Root};

use crate::missing::if_there;
use crate::{STORE_DIR, StoreError};

/// Where everything of Cairn's own lies in a store, below the root.
pub(crate) const OWN_DIR: &str = "nix/var/cairn";

/// A folder of what belongs to the paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// What makes a path valid.
    Info,
    /// What is in each tree.
    Listing,
    /// What `lstat` says of it.
    Fingerprint,
    /// Where trees are made.
    Tmp,
}

impl Part {
    const ALL: [Part; 4] = [Part::Info, Part::Listing, Part::Fingerprint, Part::Tmp];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Part::Info => "info",
            Part::Listing => "listing",
            Part::Fingerprint => "fingerprint",
            Part::Tmp => "tmp",
        }
    }

    /// No such file is longer than that.
    pub(crate) fn most(self) -> u64 {
        match self {
            Part::Info => 4 << 20,
            Part::Listing | Part::Fingerprint => 64 << 20,
            Part::Tmp => 0,
        }
    }
}

/// The open folders. Only in a store that is looked at may some be missing.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    pub(crate) store: Folder,
    pub(crate) own: Option<Folder>,
    parts: [Option<Folder>; 4],
}

impl Folders {
    /// Opens all, making those that are missing.
    pub(crate) fn made(disk: &Root) -> Result<Folders, StoreError> {
        let store = own_or_new(disk, STORE_DIR)?;
        let own = own_or_new(disk, OWN_DIR)?;
        let part = |part: Part| own.folder_or_new(part.name(), 0o755).map(Some);
        let [a, b, c, d] = Part::ALL.map(|p| part(p).map_err(unusable(own.shown(p.name()))));
        Ok(Folders { store, parts: [a?, b?, c?, d?], own: Some(own) })
    }

    /// Opens those that are there; nothing without a folder for the store paths.
    pub(crate) fn found(disk: &Root) -> Result<Option<Folders>, StoreError> {
        let Some(store) = own(disk, STORE_DIR)? else { return Ok(None) };
        let own = own(disk, OWN_DIR)?;
        let part = |part: Part| -> Result<Option<Folder>, StoreError> {
            let Some(own) = &own else { return Ok(None) };
            if_there(own.folder(part.name())).map_err(unusable(own.shown(part.name())))
        };
        let [a, b, c, d] = Part::ALL.map(part);
        Ok(Some(Folders { store, parts: [a?, b?, c?, d?], own }))
    }

    pub(crate) fn part(&self, part: Part) -> Option<&Folder> {
        self.parts[part as usize].as_ref()
    }
}

/// A folder that is written in; nothing when it is not there.
pub(crate) fn own(disk: &Root, path: &str) -> Result<Option<Folder>, StoreError> {
    if_there(disk.own(path)).map_err(unusable(disk.shown(path)))
}

/// The same; made when it is missing.
pub(crate) fn own_or_new(disk: &Root, path: &str) -> Result<Folder, StoreError> {
    disk.own_or_new(path).map_err(unusable(disk.shown(path)))
}

/// Tells a folder that is none, or not the machine's own, from other trouble.
pub(crate) fn unusable(path: PathBuf) -> impl FnOnce(io::Error) -> StoreError {
    move |source| match source.kind() {
        ErrorKind::InvalidInput | ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            StoreError::Unusable { path, source }
        }
        _ => StoreError::Io { action: "opening", path, source },
    }
}
