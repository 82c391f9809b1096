//! A disk whose file systems are not to be seen before they are whole: the first page of each is kept back in memory while all else is
//! written. Whatever ends the work in the middle leaves places in which nobody finds a file system.

use std::io;
use std::sync::{Mutex, PoisonError};

use crate::source::Source;
use crate::target::Target;

/// What ext4, FAT and swap are found by is in here.
pub const HEAD: usize = 4096;

/// The disk.
#[derive(Debug)]
pub struct Withheld<'t> {
    target: &'t dyn Target,
    heads: Mutex<Vec<(u64, Vec<u8>)>>,
}

impl<'t> Withheld<'t> {
    /// Keeps back what is written at the beginning of the pieces that begin at `offsets`.
    ///
    /// # Errors
    /// The system's, of reading what is there.
    pub fn new(target: &'t dyn Target, offsets: &[u64]) -> io::Result<Withheld<'t>> {
        let read = |at: &u64| {
            let mut head = vec![0; HEAD];
            target.read_at(*at, &mut head).map(|()| (*at, head))
        };
        let heads = offsets.iter().map(read).collect::<io::Result<Vec<_>>>()?;
        Ok(Withheld { target, heads: Mutex::new(heads) })
    }

    /// Writes what was kept back, in the order of the offsets. What was written before is on the disk by then, and so is this when it
    /// returns.
    ///
    /// # Errors
    /// The system's.
    pub fn release(self) -> io::Result<()> {
        self.target.sync()?;
        for (at, head) in self.heads.into_inner().unwrap_or_else(PoisonError::into_inner) {
            self.target.write_at(at, &head)?;
        }
        self.target.sync()
    }
}

/// What of `len` bytes at `offset` lies in a head that begins at `at`: from where in the bytes, from where in the head, how many.
fn common(offset: u64, len: usize, at: u64) -> Option<(usize, usize, usize)> {
    let (from, to) = (offset.max(at), (offset + len as u64).min(at + HEAD as u64));
    let count = to.checked_sub(from).filter(|count| *count > 0)?;
    let index = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Some((index(from - offset), index(from - at), index(count)))
}

impl Source for Withheld<'_> {
    fn len(&self) -> u64 {
        self.target.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.target.read_at(offset, buffer)?;
        for (at, head) in &*self.heads.lock().unwrap_or_else(PoisonError::into_inner) {
            if let Some((from, into, count)) = common(offset, buffer.len(), *at) {
                buffer[from..from + count].copy_from_slice(&head[into..into + count]);
            }
        }
        Ok(())
    }
}

impl Target for Withheld<'_> {
    fn name(&self) -> &str {
        self.target.name()
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut parts: Vec<(usize, usize)> = vec![(0, bytes.len())];
        {
            let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
            for (at, head) in &mut *heads {
                let Some((from, into, count)) = common(offset, bytes.len(), *at) else { continue };
                head[into..into + count].copy_from_slice(&bytes[from..from + count]);
                let cut = |(begin, end): (usize, usize)| {
                    [(begin, end.min(from)), (begin.max(from + count), end)].into_iter().filter(|(b, e)| b < e)
                };
                parts = parts.into_iter().flat_map(cut).collect();
            }
        }
        parts.into_iter().try_for_each(|(begin, end)| self.target.write_at(offset + begin as u64, &bytes[begin..end]))
    }

    fn zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        for (at, head) in &mut *self.heads.lock().unwrap_or_else(PoisonError::into_inner) {
            let (from, to) = (offset.max(*at), offset.saturating_add(len).min(*at + HEAD as u64));
            if from < to {
                let index = |n: u64| usize::try_from(n - *at).unwrap_or(HEAD);
                head[index(from)..index(to)].fill(0);
            }
        }
        // On the disk it reads as zeros too: what was there before is not to be found either.
        self.target.zeros(offset, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.target.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::MemoryTarget;

    #[test]
    fn a_head_is_seen_by_who_writes_it_and_on_the_disk_when_it_is_released() {
        let disk = MemoryTarget::new(64 << 10, 0xee);
        let held = Withheld::new(&disk, &[8192, 32_768]).unwrap();
        let mut bytes = vec![0; 30_000];
        (0_u8..=250).cycle().zip(&mut bytes).for_each(|(n, byte)| *byte = n);
        held.write_at(5000, &bytes).unwrap();
        held.zeros(8200, 100).unwrap();
        let mut wanted = vec![0xee; 64 << 10];
        wanted[5000..35_000].copy_from_slice(&bytes);
        wanted[8200..8300].fill(0);
        let mut seen = vec![0; 64 << 10];
        held.read_at(0, &mut seen).unwrap();
        assert!(seen == wanted, "who writes sees what was written");
        let mut found = vec![0; 64 << 10];
        disk.read_at(0, &mut found).unwrap();
        let own = |at: usize| found[at..at + HEAD].iter().all(|b| *b == 0xee || *b == 0);
        assert!(own(8192) && own(32_768), "nothing of it is on the disk");
        assert!(found[12_288..32_768] == wanted[12_288..32_768] && found[..8192] == wanted[..8192]);
        assert_eq!((held.len(), held.name()), (64 << 10, "memory"));
        held.release().unwrap();
        assert!(disk.into_bytes() == wanted);
    }
}
