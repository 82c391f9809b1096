//! A whole disk after a power cut in the middle of much writing: chosen moments of a log, each made into a file of its own, for programs
//! that want to see a disk. For small parts of a disk and all of their states there is [`super::states`].

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::log::{Entry, Log, SECTOR};
use super::random::{Random, mix};
use crate::Cmd;

/// What a drive writes at once, in sectors, where it is chosen page by page.
const PAGE: u64 = 8;

/// What of the requests that were not flushed the drive had not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Lost {
    Nothing,
    /// So many of 256, chosen by this number: whole requests, or pages of them.
    Some {
        of_256: u64,
        salt: u64,
        pages: bool,
    },
}

/// A moment at which the power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cut {
    /// So many entries of the log had been done.
    pub done: usize,
    /// Those from here on were not flushed.
    pub epoch: usize,
    lost: Lost,
}

impl Cut {
    /// The end: all was done, and all is written.
    pub fn at_the_end_of(log: &Log) -> Cut {
        Cut { done: log.entries.len(), epoch: log.entries.len(), lost: Lost::Nothing }
    }

    /// Whether a page of a request has come onto the disk.
    fn has(&self, log: &Log, number: usize, page: u64) -> bool {
        let Lost::Some { of_256, salt, pages } = self.lost else { return true };
        let key = (number as u64) << 32 | if pages { page + 1 } else { 0 };
        number < self.epoch || log.entries[number].fua || mix(salt ^ mix(key)) % 256 >= of_256
    }

    /// The pieces that are on the disk, in their order: where they lie, in bytes, and the bytes.
    fn pieces<'l>(&self, log: &'l Log) -> impl Iterator<Item = (u64, &'l [u8])> {
        self.pieces_from(log, 0)
    }

    fn pieces_from<'l>(&self, log: &'l Log, first: usize) -> impl Iterator<Item = (u64, &'l [u8])> {
        let cut = *self;
        let writes = log.entries[..self.done].iter().enumerate().skip(first);
        let writes = writes.filter_map(|(n, entry)| Some((n, entry, entry.data?)));
        writes.flat_map(move |(number, entry, data)| {
            let whole = number < cut.epoch || cut.lost == Lost::Nothing;
            let step = if whole { entry.sectors.max(1) } else { PAGE };
            (0..entry.sectors)
                .step_by(step as usize)
                .filter(move |first| whole || cut.has(log, number, first / PAGE))
                .map(move |first| {
                    let count = step.min(entry.sectors - first) as usize * SECTOR;
                    let from = data + first as usize * SECTOR;
                    ((entry.sector + first) * SECTOR as u64, &log.data[from..from + count])
                })
        })
    }

    /// Which writes to this range of bytes are on the disk, as one number: the same number, the same bytes.
    pub fn print_of(&self, log: &Log, from: u64, len: u64) -> u64 {
        let there = self.pieces(log).filter(|(at, bytes)| *at < from + len && from < at + bytes.len() as u64);
        there.fold(0, |print, (at, bytes)| {
            let place = bytes.as_ptr() as u64 - log.data.as_ptr() as u64;
            mix(print ^ mix(at) ^ mix(!place) ^ bytes.len() as u64)
        })
    }

    /// Makes the disk as it is then, of what it was before the log began.
    pub fn make(&self, log: &Log, before: &Path, to: &Path) -> Result<()> {
        Cmd::new("cp").arg("--sparse=always").arg(before).arg(to).ok()?;
        let file = File::options().write(true).open(to).with_context(|| format!("opening {}", to.display()))?;
        for (at, bytes) in self.pieces(log) {
            file.write_all_at(bytes, at)?;
        }
        Ok(())
    }
}

/// A disk's file that goes from one cut to the next, in their order, and writes only what lies between.
#[derive(Debug)]
pub struct Moving<'l> {
    log: &'l Log,
    file: File,
    /// All up to here is there for good.
    flushed: usize,
    /// What lay below what is not.
    below: Vec<(u64, Vec<u8>)>,
}

impl Moving<'_> {
    /// Begins with the disk as it was before.
    pub fn begin<'l>(log: &'l Log, before: &Path, at: &Path) -> Result<Moving<'l>> {
        Cmd::new("cp").arg("--sparse=always").arg(before).arg(at).ok()?;
        let file = File::options().read(true).write(true).open(at)?;
        Ok(Moving { log, file, flushed: 0, below: Vec::new() })
    }

    /// Goes to a cut of the same epoch or a later one.
    pub fn to(&mut self, cut: &Cut) -> Result<()> {
        while let Some((at, bytes)) = self.below.pop() {
            self.file.write_all_at(&bytes, at)?;
        }
        let flushed = Cut { done: cut.epoch, epoch: cut.epoch, lost: Lost::Nothing };
        for (at, bytes) in flushed.pieces_from(self.log, self.flushed) {
            self.file.write_all_at(bytes, at)?;
        }
        self.flushed = cut.epoch;
        for (at, bytes) in cut.pieces_from(self.log, cut.epoch) {
            let mut below = vec![0; bytes.len()];
            self.file.read_exact_at(&mut below, at)?;
            self.below.push((at, below));
            self.file.write_all_at(bytes, at)?;
        }
        Ok(())
    }
}

/// All writes of a log of a disk of this many bytes.
pub fn read(path: &Path, bytes: u64) -> Result<Log> {
    let log = Log::read(path, 0..bytes / SECTOR as u64)?;
    ensure!(log.outside.is_none(), "there are writes behind the end of the disk");
    ensure!(log.entries.iter().all(|entry| !entry.discard), "a discard is not known here");
    Ok(log)
}

/// Where epochs begin: at what flushes, if anything was written since the last one.
pub fn epochs(log: &Log) -> Vec<usize> {
    let mut begins = vec![0];
    let mut wrote = false;
    for (number, entry) in log.entries.iter().enumerate() {
        if entry.flush && wrote {
            begins.push(number);
            wrote = false;
        }
        wrote |= entry.data.is_some();
    }
    begins
}

/// Moments of each epoch: its beginning, its end, others between in order, and as many after which a part of it is lost.
pub fn choose(log: &Log, of_each: usize, seed: u64) -> Vec<Cut> {
    let mut random = Random::new(seed);
    let begins = epochs(log);
    let ends = begins.iter().skip(1).copied().chain([log.entries.len()]);
    let (mut cuts, mut met) = (Vec::new(), HashSet::new());
    let mut add = |cut: Cut| {
        if met.insert(cut) {
            cuts.push(cut);
        }
    };
    for (&epoch, end) in begins.iter().zip(ends) {
        let is_write = |entry: &Entry| entry.data.is_some();
        let writes: Vec<usize> = (epoch..end).filter(|n| is_write(&log.entries[*n])).collect();
        for n in 0..=of_each {
            let index = n * writes.len() / of_each.max(1);
            let done = if index == 0 { epoch } else { writes[index - 1] + 1 };
            add(Cut { done, epoch, lost: Lost::Nothing });
        }
        for n in 0..of_each {
            let done = if n % 3 == 2 && !writes.is_empty() { writes[random.below(writes.len())] + 1 } else { end };
            // Few lost, half of them, or few written.
            let of_256 = [20, 128, 236][random.below(3)];
            add(Cut { done, epoch, lost: Lost::Some { of_256, salt: random.draw(), pages: random.coin() } });
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        let mut log = Log::default();
        (0..4).for_each(|n| log.write(n * 16, &[1; 16 * SECTOR]));
        log.flush();
        log.write(0, &[2; 8 * SECTOR]);
        log.flush();
        log
    }

    #[test]
    fn what_was_flushed_is_there_and_of_the_rest_any_part() {
        let log = log();
        assert_eq!(epochs(&log), [0, 4, 6]);
        let folder = tempfile::tempdir().unwrap();
        let (before, after) = (folder.path().join("before"), folder.path().join("after"));
        std::fs::write(&before, vec![0; 64 * SECTOR]).unwrap();
        let mut states = HashSet::new();
        let at = folder.path().join("moving");
        let mut moving = Moving::begin(&log, &before, &at).unwrap();
        for cut in choose(&log, 12, 7) {
            cut.make(&log, &before, &after).unwrap();
            let bytes = std::fs::read(&after).unwrap();
            moving.to(&cut).unwrap();
            assert!(std::fs::read(&at).unwrap() == bytes, "{cut:?}");
            let flushed = bytes[16 * SECTOR..].iter().all(|byte| *byte == 1);
            assert!(cut.epoch < 4 || flushed, "{cut:?}");
            assert!(cut.done > 4 || !bytes.contains(&2), "{cut:?}");
            states.insert(bytes.chunks(8 * SECTOR).map(|page| page[0]).collect::<Vec<u8>>());
        }
        assert!(states.len() > 8, "{states:?}");
        assert!(states.contains(&vec![2, 1, 1, 1, 1, 1, 1, 1]) && states.contains(&vec![0; 8]));
    }

    #[test]
    fn the_same_writes_have_the_same_number() {
        let log = log();
        let (end, cuts) = (Cut::at_the_end_of(&log), choose(&log, 4, 1));
        let print = |cut: &Cut| cut.print_of(&log, 20 * SECTOR as u64, 100);
        assert!(cuts.iter().filter(|cut| cut.epoch >= 4).all(|cut| print(cut) == print(&end)));
        assert_ne!(print(&cuts[0]), print(&end));
    }
}
