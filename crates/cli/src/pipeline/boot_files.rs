//! The files that a machine file puts on the boot partition (`boot.files`).

use std::path::Path;

use cairn_boot::{BootFile, Content, Place, Role};
use cairn_machine::Checked;
use cairn_machine::names::shown;
use cairn_machine::pointer::child;

use crate::plain_file::{self, BOOT_FILE};

/// Where the sources of a machine file are.
#[derive(Debug, Clone, Copy)]
pub enum Sources<'a> {
    /// The caller's own machine file: relative to its folder, or anywhere.
    Users(&'a Path),
    /// The machine file of a machine: only in its folder.
    Machines(&'a Path),
}

/// Reads them.
pub fn read(sources: Sources<'_>, checked: &Checked) -> anyhow::Result<Vec<BootFile>> {
    let files = checked.machine.boot.files.iter().map(|(path, file)| {
        let bytes = match (&file.text, &file.source) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(source)) => {
                let read = match sources {
                    Sources::Users(folder) => plain_file::read(&folder.join(source), BOOT_FILE),
                    Sources::Machines(folder) => plain_file::read_own(folder, source, BOOT_FILE),
                };
                read.map_err(|e| {
                    let pointer = child(child("/boot/files", path), "source");
                    checked.problem(&pointer, format!("reading {}: {e}", shown(source)), None)
                })?
            }
            (None, None) => Vec::new(),
        };
        Ok(BootFile { place: Place::Boot, path: path.clone(), content: Content::Bytes(bytes), role: Role::Own })
    });
    files.collect()
}
