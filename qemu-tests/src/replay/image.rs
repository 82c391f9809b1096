//! A part of a disk at a moment: what was there at first, and for each sector the write that it holds.
//!
//! No data is copied when a write is applied or taken back, only the number that says where a sector's contents are;
//! that makes some hundred thousand states in a second. Writes of the same contents have the same number, so two states
//! are the same if their numbers are, and one [`Image::print`] stands for them.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::log::{Entry, Log, SECTOR};
use super::random::mix;
use crate::disk::zero;

/// Bytes that are kept or left out together when all of them are zero.
const PAGE: usize = 64 << 10;

/// A part of a disk before anything was recorded.
#[derive(Debug, Clone)]
pub struct Base {
    sectors: u64,
    pages: Vec<Option<Box<[u8]>>>,
}

impl Base {
    /// Reads this range of sectors of a disk's file.
    pub fn read(disk: &Path, range: Range<u64>) -> Result<Base> {
        let file = File::open(disk).with_context(|| format!("opening {}", disk.display()))?;
        let length = file.metadata()?.len();
        ensure!(range.end * SECTOR as u64 <= length, "{} has no sector {}", disk.display(), range.end - 1);
        let bytes = ((range.end - range.start) as usize) * SECTOR;
        let mut pages = Vec::with_capacity(bytes.div_ceil(PAGE));
        for at in (0..bytes).step_by(PAGE) {
            let mut page = vec![0; PAGE.min(bytes - at)];
            file.read_exact_at(&mut page, range.start * SECTOR as u64 + at as u64)?;
            pages.push((!zero(&page)).then(|| page.into_boxed_slice()));
        }
        Ok(Base { sectors: range.end - range.start, pages })
    }

    /// One that is made of these bytes.
    pub fn of(bytes: &[u8]) -> Base {
        let page = |page: &[u8]| (!zero(page)).then(|| page.to_vec().into_boxed_slice());
        Base { sectors: (bytes.len() / SECTOR) as u64, pages: bytes.chunks(PAGE).map(page).collect() }
    }

    fn sector(&self, sector: u64) -> &[u8] {
        let at = sector as usize * SECTOR;
        match self.pages.get(at / PAGE) {
            Some(Some(page)) => &page[at % PAGE..at % PAGE + SECTOR],
            _ => &[0; SECTOR],
        }
    }
}

/// What a sector holds: what it held at first, or a piece of the log's data, or zeros.
type Held = u32;
const FIRST: Held = 0;
const ZEROS: Held = u32::MAX;

/// The writes of a log, by sectors of the part of the disk that is of interest.
#[derive(Debug)]
struct Writes {
    data: Vec<u8>,
    /// For each sector of `data`: the number that stands for its contents at its place.
    held: Vec<Held>,
}

/// The part of the disk at a moment.
#[derive(Debug, Clone)]
pub struct Image {
    base: Arc<Base>,
    writes: Arc<Writes>,
    /// First sector of the part on the disk.
    start: u64,
    held: Vec<Held>,
    print: u64,
    undo: Vec<(u32, Held)>,
}

/// A place to come back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point(usize);

impl Image {
    /// The beginning: the base, which lies at sector `start` of the disk whose log this is.
    pub fn new(base: Base, start: u64, log: &Log) -> Image {
        let mut numbers: HashMap<&[u8], Held> = HashMap::new();
        let mut held = vec![FIRST; log.data.len() / SECTOR];
        for entry in &log.entries {
            let Some(data) = entry.data else { continue };
            for n in 0..entry.sectors as usize {
                let at = data + n * SECTOR;
                let bytes = &log.data[at..at + SECTOR];
                let place = (entry.sector + n as u64).checked_sub(start).filter(|place| *place < base.sectors);
                let as_before = place.is_some_and(|place| base.sector(place) == bytes);
                let number = (at / SECTOR) as Held + 1;
                held[at / SECTOR] = if as_before { FIRST } else { *numbers.entry(bytes).or_insert(number) };
            }
        }
        let sectors = base.sectors as usize;
        let writes = Writes { data: log.data.clone(), held };
        Image {
            base: base.into(),
            writes: writes.into(),
            start,
            held: vec![FIRST; sectors],
            print: 0,
            undo: Vec::new(),
        }
    }

    /// How many sectors there are.
    pub fn sectors(&self) -> u64 {
        self.base.sectors
    }

    /// Which number stands for this whole state.
    pub fn print(&self) -> u64 {
        self.print
    }

    /// The contents of a sector.
    pub fn sector(&self, sector: u64) -> &[u8] {
        match self.held.get(sector as usize) {
            None | Some(&ZEROS) => &[0; SECTOR],
            Some(&FIRST) => self.base.sector(sector),
            Some(&n) => {
                let at = (n as usize - 1) * SECTOR;
                &self.writes.data[at..at + SECTOR]
            }
        }
    }

    /// A number that stands for the contents of a sector, here and at other moments of the same log.
    pub fn sector_print(&self, sector: u64) -> u64 {
        match self.held.get(sector as usize) {
            Some(&FIRST) => sector << 32,
            Some(&held) => u64::from(held),
            None => u64::from(ZEROS),
        }
    }

    /// Applies the sectors of a request that `which` chooses, by their place in the request.
    pub fn apply(&mut self, entry: &Entry, which: impl Fn(u64) -> bool) {
        // A log may say that it discards more than any disk has.
        let from = self.start.saturating_sub(entry.sector);
        let to = (self.start + self.base.sectors).saturating_sub(entry.sector).min(entry.sectors);
        for n in from..to {
            let place = entry.sector + n - self.start;
            let held = match entry.data {
                Some(data) => self.writes.held[data / SECTOR + n as usize],
                None if entry.discard => ZEROS,
                None => continue,
            };
            if which(n) {
                self.set(place as usize, held);
            }
        }
    }

    fn set(&mut self, place: usize, held: Held) {
        let before = std::mem::replace(&mut self.held[place], held);
        if before != held {
            self.undo.push((place as u32, before));
            self.print ^= stamp(place, before) ^ stamp(place, held);
        }
    }

    /// This moment, to come back to.
    pub fn point(&self) -> Point {
        Point(self.undo.len())
    }

    /// Takes back what was applied since.
    pub fn back_to(&mut self, point: Point) {
        while self.undo.len() > point.0 {
            let Some((place, before)) = self.undo.pop() else { return };
            let after = std::mem::replace(&mut self.held[place as usize], before);
            self.print ^= stamp(place as usize, before) ^ stamp(place as usize, after);
        }
    }

    /// Writes the part as a file of this size, with holes where there are zeros.
    pub fn write_to(&self, path: &Path, size: u64) -> Result<()> {
        let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
        file.set_len(size)?;
        let page = (PAGE / SECTOR) as u64;
        for start in (0..self.sectors()).step_by(page as usize) {
            let end = self.sectors().min(start + page);
            let empty = matches!(self.base.pages.get((start / page) as usize), Some(None))
                && self.held[start as usize..end as usize].iter().all(|held| *held == FIRST);
            if !empty {
                let bytes: Vec<u8> = (start..end).flat_map(|sector| self.sector(sector)).copied().collect();
                file.write_all_at(&bytes, start * SECTOR as u64)?;
            }
        }
        Ok(())
    }

    /// Forgets how to go back.
    pub fn settle(&mut self) {
        self.undo.clear();
    }
}

fn stamp(place: usize, held: Held) -> u64 {
    if held == FIRST { 0 } else { mix((place as u64) << 32 | u64::from(held)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_applied_and_taken_back() {
        let mut log = Log::default();
        log.write(11, &[[1; SECTOR], [2; SECTOR]].concat());
        log.write(12, &[3; SECTOR]);
        log.entries.push(Entry { sector: 10, sectors: 1, discard: true, ..Entry::default() });
        let mut image = Image::new(Base::of(&[9; 4 * SECTOR]), 10, &log);
        let first = image.print();
        image.apply(&log.entries[0], |_| true);
        let point = image.point();
        let before = image.print();
        image.apply(&log.entries[1], |_| true);
        image.apply(&log.entries[2], |_| true);
        assert_eq!([0, 1, 2, 3].map(|s| image.sector(s)[0]), [0, 1, 3, 9]);
        image.back_to(point);
        assert_eq!(image.print(), before);
        assert_eq!([0, 1, 2, 3].map(|s| image.sector(s)[0]), [9, 1, 2, 9]);
        image.back_to(Point(0));
        assert_eq!(image.print(), first);
    }

    #[test]
    fn the_same_contents_are_the_same_state() {
        let mut log = Log::default();
        log.write(0, &[1; SECTOR]);
        log.write(0, &[2; SECTOR]);
        log.write(0, &[1; SECTOR]);
        log.write(0, &[9; SECTOR]);
        let mut image = Image::new(Base::of(&[9; SECTOR]), 0, &log);
        let prints: Vec<u64> = log
            .entries
            .iter()
            .map(|entry| {
                image.apply(entry, |_| true);
                image.print()
            })
            .collect();
        assert_eq!(prints[0], prints[2]);
        assert_ne!(prints[0], prints[1]);
        assert_eq!(prints[3], 0);
    }

    #[test]
    fn what_lies_outside_is_left_alone() {
        let mut log = Log::default();
        log.write(9, &[[1; SECTOR], [2; SECTOR], [3; SECTOR]].concat());
        log.entries.push(Entry { sector: 1, sectors: u64::MAX - 1, discard: true, ..Entry::default() });
        let mut image = Image::new(Base::of(&[9; SECTOR]), 10, &log);
        image.apply(&log.entries[0], |_| true);
        assert_eq!((image.sectors(), image.sector(0)[0], image.sector(1)[0]), (1, 2, 0));
        image.apply(&log.entries[1], |_| true);
        assert_eq!(image.sector(0)[0], 0);
    }
}
