//! An input for a disk: patches of a good image, at places that hold something.
//!
//! Each patch is four bytes and what follows them: two for the sector (which of those that are not empty), one and a bit for
//! the place in it, the rest for how many bytes are put there. Any bytes are a list of patches, so that a guide may change
//! them as it likes.

use std::io;

use cairn_disk::Source;

const SECTOR: usize = 512;

/// A good image, and which of its sectors hold something.
#[derive(Debug)]
pub struct Good {
    /// All of it.
    pub bytes: Vec<u8>,
    sectors: Vec<usize>,
}

/// Bytes at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Where, from the image's beginning.
    pub at: usize,
    /// What is put there.
    pub bytes: Vec<u8>,
}

impl Good {
    /// Of these bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Good {
        let holds = |(_, sector): &(usize, &[u8])| sector.iter().any(|b| *b != 0);
        let sectors = bytes.chunks(SECTOR).enumerate().filter(holds).map(|(n, _)| n).collect();
        Good { bytes, sectors }
    }

    /// What an input says.
    #[must_use]
    pub fn patches(&self, mut input: &[u8]) -> Vec<Patch> {
        let mut patches = Vec::new();
        while let Some((head, rest)) = input.split_first_chunk::<4>() {
            let which = usize::from(u16::from_le_bytes([head[0], head[1]]));
            let sector = self.sectors.get(which % self.sectors.len().max(1)).copied().unwrap_or_default();
            let within = (usize::from(head[2]) | usize::from(head[3] & 1) << 8) % SECTOR;
            let count = (usize::from(head[3] >> 1) % 16 + 1).min(rest.len());
            let (bytes, after) = rest.split_at(count);
            let at = sector * SECTOR + within;
            let fits = bytes.len().min(self.bytes.len().saturating_sub(at));
            patches.push(Patch { at, bytes: bytes[..fits].to_vec() });
            input = after;
        }
        patches
    }

    /// The image with an input's patches.
    #[must_use]
    pub fn patched(&self, input: &[u8]) -> Patched<'_> {
        Patched { good: self, patches: self.patches(input) }
    }
}

/// An image with patches, read as a disk.
#[derive(Debug)]
pub struct Patched<'a> {
    good: &'a Good,
    patches: Vec<Patch>,
}

impl Patched<'_> {
    /// Reads, as far as there is something.
    #[must_use]
    pub fn bytes(&self, at: usize, len: usize) -> Vec<u8> {
        let end = (at + len).min(self.good.bytes.len());
        let mut bytes = self.good.bytes[at.min(end)..end].to_vec();
        self.overlay(at, &mut bytes);
        bytes
    }

    /// One more patch, on top of the others.
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        let fits = bytes.len().min(self.good.bytes.len().saturating_sub(at));
        self.patches.push(Patch { at, bytes: bytes[..fits].to_vec() });
    }

    /// All patches, in order.
    #[must_use]
    pub fn patches(&self) -> &[Patch] {
        &self.patches
    }

    fn overlay(&self, offset: usize, buffer: &mut [u8]) {
        for patch in &self.patches {
            let (from, to) = (patch.at.max(offset), (patch.at + patch.bytes.len()).min(offset + buffer.len()));
            if from < to {
                buffer[from - offset..to - offset].copy_from_slice(&patch.bytes[from - patch.at..to - patch.at]);
            }
        }
    }
}

impl Source for Patched<'_> {
    fn len(&self) -> u64 {
        self.good.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let offset = usize::try_from(offset).map_err(|_| end())?;
        let range = offset..offset.checked_add(buffer.len()).ok_or_else(end)?;
        buffer.copy_from_slice(self.good.bytes.get(range).ok_or_else(end)?);
        self.overlay(offset, buffer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_land_where_something_is_and_nowhere_else() {
        let mut bytes = vec![0; 8 * SECTOR];
        bytes[3 * SECTOR] = 1;
        bytes[7 * SECTOR + 511] = 1;
        let good = Good::new(bytes);
        let patched = good.patched(&[1, 0, 0xff, 0b11, 9, 9, 0, 0, 5, 0, 7]);
        let found: Vec<_> = patched.patches().iter().map(|p| (p.at, p.bytes.clone())).collect();
        assert_eq!(found, [(7 * SECTOR + 511, vec![9]), (3 * SECTOR + 5, vec![7])]);
        let mut sector = [0; SECTOR];
        patched.read_at(3 * SECTOR as u64, &mut sector).unwrap();
        assert_eq!((sector[0], sector[5], sector[6]), (1, 7, 0));
        assert_eq!(patched.bytes(8 * SECTOR - 1, 100), [9]);
        assert!(patched.read_at(8 * SECTOR as u64 - 1, &mut sector).is_err());
    }
}
