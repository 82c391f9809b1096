//! The files that a machine file puts on the boot partition (`boot.files`).

use std::path::Path;

use anyhow::Context;
use cairn_boot::{BootFile, Content, Place, Role};
use cairn_machine::Checked;
use cairn_root::read_plain;

/// FAT has no longer files, and no boot partition has room for one of half that length.
pub const MOST: u64 = 2 << 30;

/// Reads them; sources are relative to `folder`, which is the user's own.
pub fn read(folder: &Path, checked: &Checked) -> anyhow::Result<Vec<BootFile>> {
    of(checked, &mut |source| {
        let source = folder.join(source);
        read_plain(&source, MOST).with_context(|| format!("reading {}", source.display()))
    })
}

/// Reads them with a function that knows where a `source` is.
pub fn of(checked: &Checked, read: &mut dyn FnMut(&str) -> anyhow::Result<Vec<u8>>) -> anyhow::Result<Vec<BootFile>> {
    let files = checked.machine.boot.files.iter().map(|(path, file)| {
        let bytes = match (&file.text, &file.source) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(source)) => read(source)?,
            (None, None) => Vec::new(),
        };
        Ok(BootFile { place: Place::Boot, path: path.clone(), content: Content::Bytes(bytes), role: Role::Own })
    });
    files.collect()
}
