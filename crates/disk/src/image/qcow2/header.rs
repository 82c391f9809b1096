//! The header of a qcow2 file: what the image asks of whoever opens it.
//!
//! QEMU opens the files that a header names, as its caller and wherever they are. An image comes from anybody, so the names are
//! read here, before QEMU sees the file, and an image that has any is not used.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Features that QEMU must know to read an image: without them it would read it wrongly.
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
/// Dirty (of reference counts only), external data, compression type, extended tables.
const KNOWN_TO_QEMU: u64 = 0b1_1111;

/// Kinds of header extensions.
const DATA_FILE: u32 = 0x4441_5441;
const ENCRYPTION: u32 = 0x0537_be77;

/// The longest name that the format knows.
const LONGEST_NAME: u32 = 1023;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// The size of the disk in bytes.
    pub(crate) size: u64,
    /// 2 or 3; others are not read.
    pub(crate) version: u32,
    /// What the image cannot be had without, in words; nothing for one that stands alone.
    pub(crate) asks_for: Option<String>,
}

/// Why a header says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// The file ends too soon, or says what cannot be.
    Damaged(&'static str),
    /// It says of itself that it is corrupt.
    Corrupt,
}

impl Header {
    /// Reads the header and its extensions, all of which lie in the first cluster.
    pub(crate) fn read(file: &File) -> Result<Header, BadHeader> {
        let mut bytes = [0; 104];
        let ends = |_| BadHeader::Damaged("it is a qcow2 image that breaks off in its header");
        file.read_exact_at(&mut bytes[..72], 0).map_err(ends)?;
        let version = n32(&bytes, 4);
        if version == 3 {
            file.read_exact_at(&mut bytes[72..], 72).map_err(ends)?;
        }
        let header = |asks_for| Header { size: n64(&bytes, 24), version, asks_for };
        if version == 1 {
            return Ok(header(Some("it is in version 1 of QEMU's format (qcow)".into())));
        }
        if !(2..=3).contains(&version) {
            return Ok(header(Some(format!("it is in version {version} of the qcow2 format"))));
        }
        let cluster_bits = n32(&bytes, 20);
        if !(9..=21).contains(&cluster_bits) {
            return Err(BadHeader::Damaged("it is a qcow2 image with clusters of an impossible size"));
        }
        if n64(&bytes, 8) != 0 {
            let name = name(file, n64(&bytes, 8), n32(&bytes, 16));
            return Ok(header(Some(format!("it takes data from another file, its backing file{name}"))));
        }
        if n32(&bytes, 32) != 0 {
            return Ok(header(Some("it is encrypted".into())));
        }
        let incompatible = n64(&bytes, 72);
        if incompatible & CORRUPT != 0 {
            return Err(BadHeader::Corrupt);
        }
        let length = if version == 3 { n32(&bytes, 100) } else { 72 };
        if version == 3 && length < 104 {
            return Err(BadHeader::Damaged("it is a qcow2 image with a damaged header"));
        }
        let found = extensions(file, u64::from(length), 1 << cluster_bits)?;
        let asks_for = match found {
            _ if found.encrypted => Some("it is encrypted".to_string()),
            Extensions { data_file: Some(name), .. } => {
                Some(format!("its data is in another file, its data file{name}"))
            }
            _ if incompatible & EXTERNAL_DATA != 0 => Some("its data is in another file, its data file".to_string()),
            _ if incompatible & !KNOWN_TO_QEMU != 0 => {
                Some(format!("it has features ({:#x}) that nobody knows", incompatible & !KNOWN_TO_QEMU))
            }
            _ => None,
        };
        Ok(header(asks_for))
    }
}

#[derive(Debug, Default)]
struct Extensions {
    data_file: Option<String>,
    encrypted: bool,
}

/// Walks the extensions, as QEMU does: from the header's end to the one of kind 0, or to the cluster's end.
fn extensions(file: &File, from: u64, cluster: u64) -> Result<Extensions, BadHeader> {
    let damaged = BadHeader::Damaged("it is a qcow2 image with a damaged header");
    if !(72..=cluster).contains(&from) {
        return Err(damaged);
    }
    let mut found = Extensions::default();
    let mut at = from;
    while at + 8 <= cluster {
        let mut head = [0; 8];
        // A file that ends here has no more of them.
        if file.read_exact_at(&mut head, at).is_err() {
            break;
        }
        let (kind, length) = (n32(&head, 0), n32(&head, 4));
        at += 8;
        if u64::from(length) > cluster - at {
            return Err(damaged);
        }
        match kind {
            0 => break,
            DATA_FILE => found.data_file = Some(name(file, at, length)),
            ENCRYPTION => found.encrypted = true,
            _ => {}
        }
        at += u64::from(length).next_multiple_of(8);
    }
    Ok(found)
}

/// A name in the file for a message: ` 'NAME'`, or nothing where it cannot be read.
fn name(file: &File, at: u64, length: u32) -> String {
    let mut bytes = vec![0; usize::try_from(length.min(LONGEST_NAME)).unwrap_or_default()];
    match file.read_exact_at(&mut bytes, at) {
        Ok(()) if !bytes.is_empty() => format!(" '{}'", String::from_utf8_lossy(&bytes)),
        _ => String::new(),
    }
}

fn n32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn n64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(std::array::from_fn(|i| bytes[at + i]))
}
