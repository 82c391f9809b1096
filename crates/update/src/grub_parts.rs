//! Whom to trust for GRUB's own parts, which are made for one machine. A system has them, or its base's own GRUB makes them; but
//! nothing of a disk or an image that is not the running machine's is run, for it may be anybody's: there it must be the base of the
//! same name that this computer has made or taken itself.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use cairn_boot::{Installation, ReadVolume};
use cairn_machine::Checked;
use cairn_observe::Observed;
use cairn_store::{Store, StoreError, StorePath};

use crate::turn::CACHE;

/// Longer programs are no boot loaders.
const MOST_PROGRAM: u64 = 64 << 20;

/// A base that may be run, and the folder in which is remembered what was made of it: the running machine's own, or the one of
/// the same name in the user's own store.
pub fn base_to_run(
    observed: &Observed<'_>,
    base: &StorePath,
    cache: Option<&Path>,
) -> anyhow::Result<Option<(PathBuf, PathBuf)>> {
    if let Some(root) = observed.folder().filter(|root| root.is_host()) {
        return Ok(Some((root.shown(base.to_string()), root.shown(CACHE))));
    }
    let Some(cache) = cache else { return Ok(None) };
    let store = match Store::at(cache) {
        Ok(store) => store,
        // Who only looks after machines never built one here.
        Err(StoreError::NoStore { .. }) => return Ok(None),
        Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(None),
        Err(other) => return Err(other.into()),
    };
    Ok(store.info(base)?.map(|_| (store.real_path(base), cache.to_path_buf())))
}

/// The loader's program where nothing can make it: what is on the partition, or why that says nothing.
pub fn as_found(
    first: &dyn ReadVolume,
    installation: Installation,
    checked: &Checked,
) -> Result<Option<Vec<u8>>, String> {
    if !checked.machine.firmware().uefi {
        return Ok(None);
    }
    let path = installation.grub_program();
    let mut program = Vec::new();
    let read = first.open(&path).and_then(|file| file.take(MOST_PROGRAM).read_to_end(&mut program));
    match read {
        Ok(0) => Err(format!("/{path} on the boot partition is empty")),
        Ok(_) => Ok(Some(program)),
        Err(error) => Err(format!("/{path} on the boot partition cannot be read: {error}")),
    }
}
