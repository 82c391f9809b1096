//! What the machine remembers of its boots: `/var/lib/cairn/boot.json`.

use image_builder::view::{Files, ViewError};
use serde::Deserialize;

/// Where it is.
pub const PATH: &str = "/var/lib/cairn/boot.json";

/// The record. One that is missing or damaged says nothing; the machine works without it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Record {
    /// What is started when nobody chooses.
    pub default: Option<u64>,
    /// What has booted well.
    pub good: Vec<u64>,
    /// What has booted well last.
    pub last_good: Option<u64>,
    /// What was tried and did not boot well.
    pub failed: Vec<u64>,
}

/// Reads the record. The text is why it could not be understood.
pub fn read(files: &dyn Files) -> Result<(Record, Option<String>), ViewError> {
    let Some(bytes) = files.read(PATH, 1 << 20)? else { return Ok((Record::default(), None)) };
    Ok(match serde_json::from_slice(&bytes) {
        Ok(record) => (record, None),
        Err(error) => (Record::default(), Some(format!("{PATH} is damaged: {error}"))),
    })
}
