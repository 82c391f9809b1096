//! The medium's partition tables (UEFI specification, section 5.3): one for disks whose sectors have 512 bytes, one for those of 4096, since a
//! file does not know onto which it will be written. Each begins in the second sector as *its* disk counts; their entries lie where
//! the other has nothing. Both say the same.

use cairn_layout::SectorSize;
use crc::{CRC_32_ISO_HDLC, Crc};
use uuid::Uuid;

use super::MIB;
use crate::partition_table::beside::{Entry, fill};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
const ENTRY: usize = 128;
const ENTRIES: usize = 128;
/// Where the entries of each table are: from the medium's beginning, and, of the copies, from its end.
const PLACES: [(SectorSize, u64, u64); 2] =
    [(SectorSize::B512, 512 << 10, 128 << 10), (SectorSize::B4096, 8192, 64 << 10)];

/// A partition, in bytes.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub kind: Uuid,
    pub id: Uuid,
    pub name: &'static str,
    pub offset: u64,
    pub len: u64,
}

/// What is to be written: offsets in bytes, and bytes.
pub(super) fn writes(bytes: u64, id: Uuid, parts: &[Part]) -> Vec<(u64, Vec<u8>)> {
    PLACES
        .iter()
        .flat_map(|(sector, first, last)| table(bytes, id, parts, sector.bytes(), *first, bytes - last))
        .collect()
}

fn table(bytes: u64, id: Uuid, parts: &[Part], sector: u64, first: u64, last: u64) -> [(u64, Vec<u8>); 4] {
    let mut entries = vec![0; ENTRY * ENTRIES];
    for (part, place) in parts.iter().zip(entries.chunks_exact_mut(ENTRY)) {
        let entry = Entry {
            kind: part.kind,
            id: part.id,
            first: part.offset / sector,
            last: (part.offset + part.len) / sector - 1,
            attributes: 0,
            name: part.name.into(),
        };
        let name: Vec<u16> = part.name.encode_utf16().collect();
        fill(place, &entry, &name);
    }
    let end = bytes / sector - 1;
    let header = |own: u64, other: u64, at: u64| {
        // No longer than it says: what follows a header of 4096 bytes' sectors is the other table's.
        let mut header = vec![0; 92];
        header[..8].copy_from_slice(b"EFI PART");
        header[8..16].copy_from_slice(&[0, 0, 1, 0, 92, 0, 0, 0]);
        let usable = (MIB / sector, (bytes - MIB) / sector - 1);
        for (place, value) in [(24, own), (32, other), (40, usable.0), (48, usable.1), (72, at / sector)] {
            header[place..place + 8].copy_from_slice(&value.to_le_bytes());
        }
        header[56..72].copy_from_slice(&id.to_bytes_le());
        header[80..84].copy_from_slice(&(ENTRIES as u32).to_le_bytes());
        header[84..88].copy_from_slice(&(ENTRY as u32).to_le_bytes());
        header[88..92].copy_from_slice(&CRC.checksum(&entries).to_le_bytes());
        let sum = CRC.checksum(&header);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        header
    };
    [
        (sector, header(1, end, first)),
        (first, entries.clone()),
        (end * sector, header(end, 1, last)),
        (last, entries.clone()),
    ]
}
