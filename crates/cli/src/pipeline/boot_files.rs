//! The files that a machine file puts on the boot partition (`boot.files`).

use std::path::Path;

use cairn_boot::{BootFile, Content, Place, Role};
use cairn_machine::Checked;
use cairn_machine::names::shown;
use cairn_machine::pointer::child;

use crate::plain_file::{self, BOOT_FILE};

/// Reads them; sources are relative to `folder`, or anywhere: they are the user's own.
pub fn read(folder: &Path, checked: &Checked) -> anyhow::Result<Vec<BootFile>> {
    of(checked, &mut |source| plain_file::read(&folder.join(source), BOOT_FILE).map_err(|e| e.to_string()))
}

/// Reads them with a function that knows where a `source` is.
pub fn of(checked: &Checked, read: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>) -> anyhow::Result<Vec<BootFile>> {
    let files = checked.machine.boot.files.iter().map(|(path, file)| {
        let bytes = match (&file.text, &file.source) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(source)) => read(source).map_err(|why| {
                let pointer = child(child("/boot/files", path), "source");
                checked.problem(&pointer, format!("reading {}: {why}", shown(source)), None)
            })?,
            (None, None) => Vec::new(),
        };
        Ok(BootFile { place: Place::Boot, path: path.clone(), content: Content::Bytes(bytes), role: Role::Own })
    });
    files.collect()
}
