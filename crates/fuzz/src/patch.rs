//! An input for a disk: patches of a good image, at places that hold something.
//!
//! Each patch is four bytes and what follows them: two for the sector (which of those that are not empty), one and a bit for
//! the place in it, the rest for how many bytes are put there. Any bytes are a list of patches, so that a guide may change
//! them as it likes.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use cairn_disk::Source;

const SECTOR: usize = 512;
const AT_ONCE: u64 = 1 << 20;

/// A good image: only those of its sectors that hold something, for most of a disk is empty.
#[derive(Debug)]
pub struct Good {
    len: usize,
    /// Their numbers, ascending.
    sectors: Vec<usize>,
    /// What is in them, one after the other.
    held: Vec<u8>,
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
    /// What a file has in it.
    ///
    /// # Errors
    /// What reading meets.
    pub fn read(mut file: impl Read) -> io::Result<Good> {
        let mut good = Good { len: 0, sectors: Vec::new(), held: Vec::new() };
        let mut some = Vec::new();
        while file.by_ref().take(AT_ONCE).read_to_end(&mut some)? > 0 {
            for sector in some.chunks(SECTOR) {
                if sector.iter().any(|byte| *byte != 0) {
                    good.sectors.push(good.len / SECTOR);
                    good.held.extend(sector);
                    good.held.resize(good.sectors.len() * SECTOR, 0);
                }
                good.len += sector.len();
            }
            some.clear();
        }
        Ok(good)
    }

    /// Writes it into an empty file.
    ///
    /// # Errors
    /// What writing meets.
    pub fn write(&self, file: &File) -> io::Result<()> {
        file.set_len(self.len as u64)?;
        for (number, bytes) in self.sectors.iter().zip(self.held.chunks(SECTOR)) {
            let at = number * SECTOR;
            file.write_all_at(&bytes[..SECTOR.min(self.len - at)], at as u64)?;
        }
        Ok(())
    }

    /// What is at a place, as far as there is something.
    #[must_use]
    pub fn bytes(&self, at: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; at.saturating_add(len).min(self.len).saturating_sub(at)];
        self.fill(at, &mut bytes);
        bytes
    }

    /// Puts what there is of the sectors from `at` on over the zeros in `buffer`.
    fn fill(&self, at: usize, buffer: &mut [u8]) {
        let first = self.sectors.partition_point(|number| (number + 1) * SECTOR <= at);
        for (number, bytes) in self.sectors[first..].iter().zip(self.held[first * SECTOR..].chunks(SECTOR)) {
            let place = number * SECTOR;
            if place >= at + buffer.len() {
                break;
            }
            let (from, to) = (place.max(at), (place + SECTOR).min(at + buffer.len()));
            buffer[from - at..to - at].copy_from_slice(&bytes[from - place..to - place]);
        }
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
            let fits = bytes.len().min(self.len.saturating_sub(at));
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
        let mut bytes = self.good.bytes(at, len);
        self.overlay(at, &mut bytes);
        bytes
    }

    /// One more patch, on top of the others.
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        let fits = bytes.len().min(self.good.len.saturating_sub(at));
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
        self.good.len as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let offset = usize::try_from(offset).map_err(|_| end())?;
        offset.checked_add(buffer.len()).filter(|end| *end <= self.good.len).ok_or_else(end)?;
        buffer.fill(0);
        self.good.fill(offset, buffer);
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
        let good = Good::read(&*bytes).unwrap();
        assert_eq!(good.bytes(3 * SECTOR - 1, SECTOR + 2), [&[0, 1][..], &[0; SECTOR]].concat());
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
