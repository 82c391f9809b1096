//! What the machine remembers of its boots, read for those who look.

use cairn_boot::{RECORD_FILE, Record};
use image_builder::view::{Files, ViewError};

/// Reads the record; nothing when there is none. The text is why one that is there says nothing: it is told, and the
/// rest is shown all the same.
pub fn read(files: &dyn Files) -> Result<(Option<Record>, Option<String>), ViewError> {
    let Some(bytes) = files.read(&format!("/{RECORD_FILE}"), 1 << 20)? else { return Ok((None, None)) };
    Ok(match Record::parse(&String::from_utf8_lossy(&bytes)) {
        Ok(record) => (Some(record), None),
        Err(error) => (None, Some(error.to_string())),
    })
}
