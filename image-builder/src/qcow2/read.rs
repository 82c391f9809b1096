//! Reading qcow2: plain images without backing file, compression and encryption.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use cairn_disk::Source;

use super::Qcow2Error;

/// The bits of an entry that are an offset.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;
const READS_AS_ZEROS: u64 = 1;

/// A qcow2 image, read as the disk that it holds.
#[derive(Debug)]
pub struct Qcow2Source {
    file: File,
    len: u64,
    cluster_bits: u32,
    l1: Vec<u64>,
    /// The table of the second level that was used last, with its place in the file.
    l2: Mutex<Option<(u64, Vec<u64>)>>,
}

impl Qcow2Source {
    /// Opens an image.
    ///
    /// # Errors
    /// [`Qcow2Error::Read`], [`Qcow2Error::Damaged`], and [`Qcow2Error::Unsupported`] for what only QEMU reads.
    pub fn open(path: &Path) -> Result<Qcow2Source, Qcow2Error> {
        let file = File::open(path).map_err(|source| Qcow2Error::Read { path: path.to_path_buf(), source })?;
        Qcow2Source::new(file, path)
    }

    /// Takes an image that is open; messages call it by its path.
    ///
    /// # Errors
    /// See [`Qcow2Source::open`].
    pub fn new(file: File, path: &Path) -> Result<Qcow2Source, Qcow2Error> {
        let damaged = |why: &str| Qcow2Error::Damaged { path: path.to_path_buf(), why: why.to_string() };
        let unsupported = |why: &str| Qcow2Error::Unsupported { path: path.to_path_buf(), why: why.to_string() };
        let mut header = [0; 104];
        file.read_exact_at(&mut header[..72], 0).map_err(|_| damaged("it ends in its header"))?;
        let n32 = |at: usize| u32::from_be_bytes(std::array::from_fn(|i| header[at + i]));
        let n64 = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| header[at + i]));
        if !header.starts_with(b"QFI\xfb") {
            return Err(damaged("it has no header"));
        }
        let (version, cluster_bits, len) = (n32(4), n32(20), n64(24));
        match version {
            2 => {}
            3 => file.read_exact_at(&mut header[72..], 72).map_err(|_| damaged("it ends in its header"))?,
            _ => return Err(unsupported(&format!("of version {version}"))),
        }
        let n64 = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| header[at + i]));
        let incompatible = if version == 3 { n64(72) } else { 0 };
        if n64(8) != 0 {
            return Err(unsupported("with a backing file"));
        }
        if u32::from_be_bytes(std::array::from_fn(|i| header[32 + i])) != 0 {
            return Err(unsupported("that is encrypted"));
        }
        if incompatible & 2 != 0 {
            return Err(damaged("it says so itself; see `qemu-img check`"));
        }
        // Bit 0, "dirty", is about reference counts only, which reading does not need.
        if incompatible & !3 != 0 {
            return Err(unsupported(&format!("with features ({incompatible:#x}) that only QEMU reads")));
        }
        if !(9..=21).contains(&cluster_bits) {
            return Err(damaged("its clusters have an impossible size"));
        }
        let entries = u32::from_be_bytes(std::array::from_fn(|i| header[36 + i]));
        let per_l2 = 1_u64 << (cluster_bits - 3);
        // QEMU's own bound for the table of the first level.
        if entries > 4 << 20 || u64::from(entries).saturating_mul(per_l2) < len.div_ceil(1 << cluster_bits) {
            return Err(damaged("its table does not go with its size"));
        }
        let l1 = table(&file, n64(40), u64::from(entries)).map_err(|_| damaged("it ends in its table"))?;
        Ok(Qcow2Source { file, len, cluster_bits, l1, l2: Mutex::new(None) })
    }

    /// Where a cluster of the disk is in the file; `None` for one that is not there and reads as zeros.
    fn place(&self, cluster: u64) -> io::Result<Option<u64>> {
        let per_l2 = 1_u64 << (self.cluster_bits - 3);
        let l1 = usize::try_from(cluster / per_l2).ok().and_then(|i| self.l1.get(i)).copied().unwrap_or_default();
        if l1 & OFFSET == 0 {
            return Ok(None);
        }
        let mut kept = self.l2.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match &*kept {
            Some((at, l2)) if *at == l1 & OFFSET => l2[index(cluster % per_l2)],
            _ => {
                let l2 = table(&self.file, l1 & OFFSET, per_l2)?;
                let entry = l2[index(cluster % per_l2)];
                *kept = Some((l1 & OFFSET, l2));
                entry
            }
        };
        if entry & COMPRESSED != 0 {
            return Err(io::Error::other("it is compressed; `qemu-img convert` makes a plain image of it"));
        }
        Ok((entry & OFFSET != 0 && entry & READS_AS_ZEROS == 0).then_some(entry & OFFSET))
    }
}

impl Source for Qcow2Source {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let cluster = 1_u64 << self.cluster_bits;
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let count = index(cluster - at % cluster).min(buffer.len() - done);
            let piece = &mut buffer[done..done + count];
            match self.place(at / cluster)? {
                Some(place) => self.file.read_exact_at(piece, place + at % cluster)?,
                None => piece.fill(0),
            }
            done += count;
        }
        Ok(())
    }
}

fn table(file: &File, at: u64, entries: u64) -> io::Result<Vec<u64>> {
    let mut bytes = vec![0; index(entries * 8)];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes.chunks_exact(8).map(|b| u64::from_be_bytes(std::array::from_fn(|i| b[i]))).collect())
}

/// Lengths inside a cluster or a table, both bounded when the image was opened.
fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
