//! What is overwritten of a disk before its contents are: table, boot code, headers, signatures, and the firmware's entries. With it
//! everything comes back, as long as nothing else was written.
//!
//! A file that only grows: first a line of JSON that says what follows, then the bytes, then a line for each thing that has happened
//! since. Each is on the disk before the next thing is done.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::Context;
use cairn_disk::Source;
use cairn_disk::output::NewFile;
use cairn_disk::partition_table::BOOT_CODE;
use cairn_layout::onto::Onto;
use cairn_process::Refusal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::describe;
use super::identity::DiskIdentity;
use super::wipe::Piece;

/// The longest first line, and the most bytes behind it: a disk of 128 partitions, each with both ends.
const MOST_LINE: usize = 8 << 20;
const MOST_BYTES: u64 = 1 << 30;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The version of this form; 1.
    pub version: u32,
    /// The disk.
    pub disk: DiskIdentity,
    /// What was to be done to it.
    pub onto: Onto,
    /// The pieces whose bytes follow, in this order.
    pub pieces: Vec<Piece>,
    /// The hash of these bytes.
    pub sha256: String,
    /// The firmware's entries and their order, as they were.
    pub firmware: Option<SavedFirmware>,
    /// The files that are added to an EFI system partition that is kept.
    #[serde(default)]
    pub added: Vec<String>,
}

/// The firmware's entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedFirmware {
    /// `BootOrder`.
    pub order: Vec<u16>,
    /// Each entry's bytes.
    pub entries: std::collections::BTreeMap<u16, Vec<u8>>,
    /// `BootNext`.
    #[serde(default)]
    pub next: Option<u16>,
}

/// What happened since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// File systems are written from here on: what was in the places that they take is gone.
    Data,
    /// All is written. What [`table`] says of the disk's table, as it was left.
    Done(String),
    /// All was brought back.
    Undone,
}

/// A receipt that is being written.
#[derive(Debug)]
pub struct Writer {
    file: File,
}

/// Writes a receipt with the bytes of these pieces.
///
/// # Errors
/// What reading the disk and writing the file meet. Nothing but the file was written.
pub fn save(path: &Path, mut receipt: Receipt, disk: &dyn Source) -> anyhow::Result<Writer> {
    // One that is there may be the only way back from another installation.
    if path.symlink_metadata().is_ok() {
        return Err(Refusal(format!("{} is there already: give the receipt another name", path.display())).into());
    }
    let bytes = read(disk, &receipt.pieces).context("reading what will be overwritten")?;
    receipt.sha256 = hash(&bytes);
    let mut line = serde_json::to_vec(&receipt).context("writing the receipt")?;
    line.push(b'\n');
    let new = NewFile::create(path)?;
    // The ends of partitions are nobody's to read: there may be keys in them.
    new.file()
        .set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .context("closing the receipt to others")?;
    let written = new.file().write_all(&line).and_then(|()| new.file().write_all(&bytes));
    written.and_then(|()| new.file().sync_all()).with_context(|| format!("writing {}", path.display()))?;
    let file = new.file().try_clone().context("keeping the receipt open")?;
    new.commit()?;
    Ok(Writer { file })
}

impl Writer {
    /// Goes on with one that is there.
    ///
    /// # Errors
    /// The system's.
    pub fn resume(path: &Path) -> io::Result<Writer> {
        Ok(Writer { file: File::options().append(true).open(path)? })
    }

    /// Notes what happens next, or has happened.
    ///
    /// # Errors
    /// What writing meets.
    pub fn note(&mut self, event: &Event) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(event).context("writing the receipt")?;
        line.push(b'\n');
        self.file.write_all(&line).and_then(|()| self.file.sync_all()).context("writing the receipt")
    }
}

/// A receipt, read: what it says, the bytes, and what happened since.
#[derive(Debug)]
pub struct Saved {
    /// The first line.
    pub receipt: Receipt,
    /// The bytes of its pieces.
    pub bytes: Vec<u8>,
    /// What happened, in its order.
    pub events: Vec<Event>,
}

/// Reads a receipt.
///
/// # Errors
/// What is wrong with it.
pub fn load(path: &Path) -> anyhow::Result<Saved> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("opening {shown}"))?;
    let mut all = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut all).with_context(|| format!("reading {shown}"))?;
    let end = all.iter().take(MOST_LINE).position(|byte| *byte == b'\n');
    let end = end.with_context(|| format!("{shown} is no receipt of an installation"))?;
    let receipt: Receipt =
        serde_json::from_slice(&all[..end]).with_context(|| format!("{shown} is no receipt of an installation"))?;
    anyhow::ensure!(receipt.version == 1, "{shown} is of a later version than this program");
    let mut rest = all.split_off(end + 1);
    let len = receipt.pieces.iter().try_fold(0_u64, |sum, (_, len)| sum.checked_add(*len));
    let len = len.and_then(|len| usize::try_from(len).ok()).filter(|len| *len <= rest.len());
    let events = rest.split_off(len.with_context(|| format!("{shown} is cut off"))?);
    anyhow::ensure!(hash(&rest) == receipt.sha256, "{shown} is damaged: its bytes are not those that were saved");
    // A line that was cut off by a power cut is one that did not count yet.
    let events = events.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    Ok(Saved { receipt, bytes: rest, events })
}

/// The bytes of pieces of a disk, one behind the other.
///
/// # Errors
/// The system's.
pub fn read(disk: &dyn Source, pieces: &[Piece]) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    for (at, len) in pieces {
        let from = all.len();
        all.resize(from + usize::try_from(*len).map_err(io::Error::other)?, 0);
        disk.read_at(*at, &mut all[from..])?;
    }
    Ok(all)
}

/// The partition table of a disk as one hash: of a GPT its partitions and identifiers, of any other the sector where it is. What is in the
/// partitions does not count.
///
/// # Errors
/// The system's.
pub fn table(disk: &dyn Source, sector_size: u64) -> io::Result<String> {
    if let Ok(Some(gpt)) = describe::read(disk, sector_size) {
        return Ok(hash(format!("{gpt:?}").as_bytes()));
    }
    let mut sector = [0; 512];
    disk.read_at(0, &mut sector)?;
    // What lies before it is code for a BIOS.
    Ok(hash(&sector[BOOT_CODE..]))
}

/// A hash in base 16.
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
