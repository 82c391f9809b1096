//! What somebody types to say that the contents of a disk may go: what only this disk says of itself. Never a yes, never a countdown.

use cairn_process::Refusal;

use super::identity::DiskIdentity;

/// What was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent(pub String);

/// Each of which will do: the serial number, the world wide name, the names by which udev knows it. A disk without any of these is
/// named by its size in bytes.
pub fn words(disk: &DiskIdentity) -> Vec<String> {
    let mut words: Vec<String> = disk.serial.iter().chain(&disk.wwn).chain(&disk.by_id).cloned().collect();
    if words.is_empty() {
        words.push(disk.bytes.to_string());
    }
    words
}

impl Consent {
    /// Holds it against the disk.
    ///
    /// # Errors
    /// A refusal that says what would have to be typed.
    pub fn check(&self, disk: &DiskIdentity) -> Result<(), Refusal> {
        let words = words(disk);
        let typed = self.0.trim();
        let typed = typed.strip_prefix("/dev/disk/by-id/").unwrap_or(typed);
        if words.iter().any(|word| word == typed) {
            return Ok(());
        }
        Err(Refusal(format!("`{typed}` does not name {disk}; what does is {}: nothing was written", words[0])))
    }
}
