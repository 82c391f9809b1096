//! The files that a machine file puts on the boot partition (`boot.files`).

use std::path::Path;

use anyhow::Context;
use cairn_boot::{BootFile, Content, Place, Role};
use cairn_machine::Checked;

/// Reads them; sources are relative to `folder`.
pub fn read(folder: &Path, checked: &Checked) -> anyhow::Result<Vec<BootFile>> {
    let files = checked.machine.boot.files.iter().map(|(path, file)| {
        let bytes = match (&file.text, &file.source) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(source)) => {
                let source = folder.join(source);
                std::fs::read(&source).with_context(|| format!("reading {}", source.display()))?
            }
            (None, None) => Vec::new(),
        };
        Ok(BootFile { place: Place::Boot, path: path.clone(), content: Content::Bytes(bytes), role: Role::Own })
    });
    files.collect()
}
