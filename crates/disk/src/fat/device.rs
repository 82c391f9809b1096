//! The device that `fatfs` writes through: a region of the target that is zero at first.
//!
//! `fatfs` writes its tables four bytes at a time and formats by writing zeros. Small writes therefore collect in pages in
//! memory, zeros are not written where there are zeros already, and data that follows data is written, and read, in large pieces.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::target::Target;

const PAGE: u64 = 4096;
/// Writes and reads from this size on are data; `fatfs` writes and reads its own structures in smaller pieces.
const DATA: usize = 1024;
const PIECE: usize = 1 << 20;
/// How much is read at once where data is read.
const WINDOW: u64 = 128 << 10;

pub(super) struct Device<'a> {
    target: &'a dyn Target,
    start: u64,
    len: u64,
    at: u64,
    pages: BTreeMap<u64, Page>,
    piece: Vec<u8>,
    piece_at: u64,
    /// What was read last of data, as it is on the target.
    window: Vec<u8>,
    window_at: u64,
    /// A page that is zeros on the target: formatting asks eight times for each.
    zeros: Option<u64>,
    /// The first error of a write, which `fatfs` passes on in words of its own, or only logs.
    failed: Option<(u64, io::Error)>,
}

/// Bytes that are in memory, and whether they are other ones than on the target.
struct Page {
    bytes: Box<[u8; PAGE as usize]>,
    changed: bool,
}

impl<'a> Device<'a> {
    /// A region of the target that nobody has written to, of which so many bytes are to be zeros.
    pub(super) fn new(target: &'a dyn Target, start: u64, len: u64, zeros: u64) -> io::Result<Device<'a>> {
        target.zeros(start, zeros.min(len))?;
        Ok(Device::existing(target, start, len))
    }

    /// A region with a volume in it.
    pub(super) fn existing(target: &'a dyn Target, start: u64, len: u64) -> Device<'a> {
        Device {
            target,
            start,
            len,
            at: 0,
            pages: BTreeMap::new(),
            piece: Vec::new(),
            piece_at: 0,
            window: Vec::new(),
            window_at: 0,
            zeros: None,
            failed: None,
        }
    }

    pub(super) fn take_failure(&mut self) -> Option<(u64, io::Error)> {
        self.failed.take()
    }

    /// Writes everything that was collected.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.write_piece()?;
        for (at, page) in std::mem::take(&mut self.pages) {
            if page.changed && (page.bytes.iter().any(|b| *b != 0) || !self.is_zero(at)?) {
                let len = usize::try_from(PAGE.min(self.len - at)).unwrap_or_default();
                self.write_through(at, &page.bytes[..len])?;
            }
        }
        Ok(())
    }

    /// Bytes at a place, for those who look after `fatfs`.
    pub(super) fn get<const N: usize>(&mut self, at: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.seek(SeekFrom::Start(at))?;
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Replaces bytes at a place.
    pub(super) fn put(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.seek(SeekFrom::Start(at))?;
        self.write_all(bytes)
    }

    fn write_through(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.window.clear();
        self.zeros = None;
        let at = self.start + at;
        self.target.write_at(at, bytes).map_err(|error| {
            let kind = error.kind();
            self.failed.get_or_insert((at, error));
            kind.into()
        })
    }

    fn write_piece(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.piece);
        self.write_through(self.piece_at, &piece)?;
        // A page that was read before has the data too.
        let end = self.piece_at + piece.len() as u64;
        for (at, page) in self.pages.range_mut(self.piece_at / PAGE * PAGE..end) {
            let (from, to) = (self.piece_at.max(*at), end.min(at + PAGE));
            let source = &piece[index(from - self.piece_at)..index(to - self.piece_at)];
            page.bytes[index(from - at)..index(to - at)].copy_from_slice(source);
        }
        self.piece = piece;
        self.piece.clear();
        Ok(())
    }

    /// The page with a place in it.
    fn page(&mut self, at: u64) -> io::Result<&mut Page> {
        let page = at / PAGE * PAGE;
        if self.waits(page) {
            self.write_piece()?;
        }
        if !self.pages.contains_key(&page) {
            let mut bytes = Box::new([0; PAGE as usize]);
            let len = index(PAGE.min(self.len.saturating_sub(page)));
            self.target.read_at(self.start + page, &mut bytes[..len])?;
            self.pages.insert(page, Page { bytes, changed: false });
        }
        self.pages.get_mut(&page).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Whether something of this page is in the piece that waits to be written.
    fn waits(&self, page: u64) -> bool {
        self.piece_at < page + PAGE && page < self.piece_at + self.piece.len() as u64
    }

    /// Reads data of one page that is not in memory, and what follows it at once.
    fn read_data(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = at + buffer.len() as u64;
        // Whether it waits is asked first: writing it out empties the window.
        if self.waits(at / PAGE * PAGE) {
            self.write_piece()?;
        }
        if at < self.window_at || self.window_at + (self.window.len() as u64) < end {
            self.window.resize(index(WINDOW.min(self.len - at)), 0);
            self.window_at = at;
            if let Err(error) = self.target.read_at(self.start + at, &mut self.window) {
                self.window.clear();
                return Err(error);
            }
        }
        let from = index(at - self.window_at);
        buffer.copy_from_slice(&self.window[from..from + buffer.len()]);
        Ok(())
    }
}

impl Read for Device<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.at;
        let count = index(self.len.saturating_sub(at).min(PAGE - at % PAGE)).min(buffer.len());
        if count == 0 {
            return Ok(0);
        }
        let from = index(at % PAGE);
        if count >= DATA && !self.pages.contains_key(&(at / PAGE * PAGE)) {
            self.read_data(at, &mut buffer[..count])?;
        } else {
            buffer[..count].copy_from_slice(&self.page(at)?.bytes[from..from + count]);
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl Write for Device<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let at = self.at;
        let left = self.len.saturating_sub(at);
        if left == 0 {
            return Ok(0);
        }
        if bytes.len() >= DATA {
            let count = bytes.len().min(index(left));
            if self.piece_at + self.piece.len() as u64 != at || self.piece.len() + count > PIECE {
                self.write_piece()?;
                self.piece_at = at;
            }
            self.piece.extend_from_slice(&bytes[..count]);
            self.at += count as u64;
            return Ok(count);
        }
        let count = index(left.min(PAGE - at % PAGE)).min(bytes.len());
        let from = index(at % PAGE);
        let page = at / PAGE * PAGE;
        let touched = self.pages.contains_key(&page) || self.waits(page);
        // Zeros onto what was never written: it is zero. Reading the page would cost as much as formatting does.
        if touched || bytes[..count].iter().any(|b| *b != 0) || !self.is_zero(page)? {
            let page = self.page(at)?;
            page.changed = true;
            page.bytes[from..from + count].copy_from_slice(&bytes[..count]);
        }
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        // `fatfs` flushes after every file; nothing is lost that the caller would keep.
        Ok(())
    }
}

impl Device<'_> {
    fn is_zero(&mut self, page: u64) -> io::Result<bool> {
        if self.zeros == Some(page) {
            return Ok(true);
        }
        let mut bytes = [0; PAGE as usize];
        let len = index(PAGE.min(self.len.saturating_sub(page)));
        self.target.read_at(self.start + page, &mut bytes[..len])?;
        let zero = bytes.iter().all(|b| *b == 0);
        self.zeros = zero.then_some(page);
        Ok(zero)
    }
}

impl Seek for Device<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Lengths inside a page or a piece.
fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;
    use crate::target::{Fault, FaultTarget, MemoryTarget};

    const START: u64 = 1536;

    /// Numbers that are the same in every run.
    fn numbers() -> impl FnMut(usize) -> usize {
        let mut state = 7_u64;
        move |end| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % end
        }
    }

    /// Whatever is written in whatever order, what is read is what was written last, and so is what is there at the end.
    #[test]
    fn it_is_like_memory() {
        // No whole number of pages.
        const LEN: usize = 100_000;
        let mut below = numbers();
        for existing in [false, true] {
            let target = MemoryTarget::new(LEN + 4096, 0xee);
            let mut device = if existing {
                Device::existing(&target, START, LEN as u64)
            } else {
                Device::new(&target, START, LEN as u64, LEN as u64).unwrap()
            };
            let mut model = vec![if existing { 0xee } else { 0 }; LEN];
            for n in 0..4000 {
                let size = [1, 4, 32, 512, 1023, 1024, 1025, 4096, 9000][below(9)];
                let at = if below(2) == 0 { below(LEN) } else { below(LEN / 512) * 512 };
                // Where the one before has ended, now and then: pieces grow.
                let at = if below(3) == 0 { usize::try_from(device.at).unwrap().min(LEN - 1) } else { at };
                device.seek(SeekFrom::Start(at as u64)).unwrap();
                let size = size.min(LEN - at);
                if below(3) == 0 {
                    let mut found = vec![0; size];
                    device.read_exact(&mut found).unwrap();
                    assert!(found == model[at..at + size], "{n}: {size} bytes at {at}");
                } else {
                    // Zeros, too.
                    let byte = u8::try_from(below(3) * below(80)).unwrap();
                    device.write_all(&vec![byte; size]).unwrap();
                    model[at..at + size].fill(byte);
                }
                assert_eq!(device.stream_position().unwrap(), (at + size) as u64);
                if below(500) == 0 {
                    device.finish().unwrap();
                }
            }
            device.finish().unwrap();
            let bytes = target.into_bytes();
            let start = usize::try_from(START).unwrap();
            assert!(bytes[start..start + LEN] == model, "what is there at the end");
            assert!(bytes[..start].iter().chain(&bytes[start + LEN..]).all(|b| *b == 0xee), "and around it");
        }
    }

    #[test]
    fn it_ends_where_it_ends() {
        let target = MemoryTarget::new(20_000, 0xee);
        let mut device = Device::new(&target, START, 5000, 5000).unwrap();
        assert_eq!(device.seek(SeekFrom::End(-100)).unwrap(), 4900);
        assert_eq!(device.write(&[1; 2000]).unwrap(), 100);
        assert_eq!((device.write(&[1; 2000]).unwrap(), device.write(&[1]).unwrap()), (0, 0));
        assert_eq!(device.seek(SeekFrom::Current(-50)).unwrap(), 4950);
        assert_eq!(device.write(&[2; 100]).unwrap(), 50);
        assert_eq!(device.read(&mut [0; 9]).unwrap(), 0);
        assert_eq!(device.seek(SeekFrom::Start(9000)).unwrap(), 9000);
        assert_eq!((device.read(&mut [0; 9]).unwrap(), device.write(&[1; 9]).unwrap()), (0, 0));
        assert!(device.seek(SeekFrom::Current(-9001)).is_err());
        assert_eq!(device.get::<4>(4948).unwrap(), [1, 1, 2, 2]);
        device.put(4998, &[3, 4]).unwrap();
        assert!(device.put(4999, &[5, 6]).is_err());
        device.finish().unwrap();
        let bytes = target.into_bytes();
        let end = usize::try_from(START).unwrap() + 5000;
        assert_eq!(bytes[end - 4..end + 1], [2, 2, 3, 5, 0xee]);
    }

    /// What is written, and what is read.
    #[derive(Debug)]
    struct Counting(MemoryTarget, Mutex<Vec<(u64, usize)>>, Mutex<Vec<(u64, usize)>>);

    use std::sync::Mutex;

    impl Source for Counting {
        fn len(&self) -> u64 {
            self.0.len()
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            self.2.lock().unwrap().push((offset, buffer.len()));
            self.0.read_at(offset, buffer)
        }
    }

    impl Target for Counting {
        fn name(&self) -> &str {
            self.0.name()
        }

        fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            self.1.lock().unwrap().push((offset, bytes.len()));
            self.0.write_at(offset, bytes)
        }

        fn zeros(&self, offset: u64, len: u64) -> io::Result<()> {
            self.0.zeros(offset, len)
        }

        fn sync(&self) -> io::Result<()> {
            self.0.sync()
        }
    }

    #[test]
    fn data_goes_out_in_large_pieces_and_zeros_where_something_was() {
        let target = Counting(MemoryTarget::new(4 << 20, 0xee), Mutex::default(), Mutex::default());
        let mut device = Device::new(&target, 4096, 3 << 20, 3 << 20).unwrap();
        // Zeros onto zeros are nothing to write.
        device.put(0, &[0; 600]).unwrap();
        for n in 0..20 {
            device.put(8192 + n * 65_536, &[7; 65_536]).unwrap();
        }
        device.put(2 << 20, &[1; 4]).unwrap();
        device.finish().unwrap();
        let written = std::mem::take(&mut *target.1.lock().unwrap());
        assert_eq!(written, [(12_288, 1 << 20), (12_288 + (1 << 20), 4 * 65_536), ((2 << 20) + 4096, 4096)]);
        // What was there is overwritten, also by zeros.
        let mut device = Device::existing(&target, 4096, 3 << 20);
        device.put(2 << 20, &[0; 4]).unwrap();
        device.put((2 << 20) + 65_536, &[0; 4]).unwrap();
        device.finish().unwrap();
        assert_eq!(*target.1.lock().unwrap(), [((2 << 20) + 4096, 4096)]);
    }

    #[test]
    fn data_is_read_in_large_pieces_and_what_was_only_read_is_not_written() {
        let target = Counting(MemoryTarget::new(1 << 20, 7), Mutex::default(), Mutex::default());
        let mut device = Device::existing(&target, 0, 303_104);
        let mut clusters = vec![0; 303_104];
        for cluster in clusters.chunks_mut(4096) {
            device.read_exact(cluster).unwrap();
        }
        assert!(clusters.iter().all(|b| *b == 7));
        assert_eq!(device.get::<4>(9000).unwrap(), [7; 4]);
        assert_eq!(
            *target.2.lock().unwrap(),
            // As much as a window; what is left; the page of the four bytes.
            [(0, 131_072), (131_072, 131_072), (262_144, 40_960), (8192, 4096)]
        );
        device.finish().unwrap();
        assert_eq!(*target.1.lock().unwrap(), []);
        // Formatting looks at a page once, and not for each of its sectors.
        let mut device = Device::existing(&target, 0, 303_104);
        target.zeros(0, 8192).unwrap();
        target.2.lock().unwrap().clear();
        (0..16).for_each(|n| device.put(n * 512, &[0; 512]).unwrap());
        assert_eq!(*target.2.lock().unwrap(), [(0, 4096), (4096, 4096)]);
    }

    #[test]
    fn the_very_first_bytes_are_like_all_others() {
        let target = MemoryTarget::new(32 << 10, 0xee);
        let mut device = Device::new(&target, 0, 32 << 10, 32 << 10).unwrap();
        // Zeros onto data that waits to be written, and a look at it.
        device.put(0, &[7; 2000]).unwrap();
        device.put(100, &[0; 4]).unwrap();
        device.put(8192, &[7; 2000]).unwrap();
        device.put(0, &[8; 2000]).unwrap();
        assert_eq!(device.get::<4>(98).unwrap(), [8; 4]);
        device.put(98, &[9, 9, 0, 0]).unwrap();
        // A page without a single zero, in small pieces.
        (0..8).for_each(|n| device.put(16_384 + n * 512, &[5; 512]).unwrap());
        device.finish().unwrap();
        let bytes = target.into_bytes();
        assert_eq!(bytes[96..104], [8, 8, 9, 9, 0, 0, 8, 8]);
        assert!(bytes[16_384..20_480].iter().all(|b| *b == 5) && bytes[20_480] == 0);
        let target = MemoryTarget::new(32 << 10, 0);
        let mut device = Device::existing(&target, 0, 32 << 10);
        device.put(0, &[7; 2000]).unwrap();
        device.put(100, &[0; 4]).unwrap();
        device.finish().unwrap();
        assert_eq!(target.into_bytes()[99..105], [7, 0, 0, 0, 0, 7]);
    }

    #[test]
    fn the_first_failure_is_kept_with_its_place() {
        let target = FaultTarget::new(MemoryTarget::new(64 << 10, 0), Fault::FullAfter(0));
        let mut device = Device::new(&target, START, 32 << 10, 32 << 10).unwrap();
        assert!(device.take_failure().is_none());
        device.put(0, &[1; 2000]).unwrap();
        // A piece that does not follow: the one before goes out, and cannot.
        assert_eq!(device.put(8192, &[1; 2000]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        device.put(16_384, &[1; 4]).unwrap();
        assert!(device.finish().is_err());
        let (at, error) = device.take_failure().unwrap();
        assert_eq!((at, error.kind()), (START, io::ErrorKind::StorageFull));
    }
}
