//! All the moments at which power may fail, and what the disk may hold then.
//!
//! A flush ends an epoch: all before it is on the disk. Of what follows, the drive may have written any part: every
//! in-order prefix is tried (sector by sector, for short requests), and of each epoch a number of subsets, by request and
//! by sector, all of them where the epoch is short. A request with FUA is on the disk once it was done.

use std::collections::HashSet;
use std::fmt;

use super::image::Image;
use super::log::{Entry, Log};
use super::random::Random;

/// How thoroughly.
#[derive(Debug, Clone, Copy)]
pub struct Thorough {
    /// Random subsets of each epoch.
    pub subsets: usize,
    /// Where the random numbers begin.
    pub seed: u64,
    /// Requests of at most this many sectors may be cut in the middle, between sectors.
    pub torn: u64,
}

/// A moment.
#[derive(Debug, Clone)]
pub struct Moment {
    /// So many entries of the log had been done.
    pub cut: usize,
    /// So many marks are among them.
    pub phase: usize,
    /// Where the epoch begins: the entries from here to `cut` were not flushed.
    pub epoch: usize,
    /// What of these the drive had not written: entry and sector of it.
    pub lost: Vec<(usize, u64)>,
}

/// What was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// States that were rebuilt.
    pub states: usize,
    /// States that differ.
    pub distinct: usize,
    /// In-order prefixes among the states that were rebuilt.
    pub prefixes: usize,
    /// Epochs in which anything was written.
    pub epochs: usize,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after entry {} (epoch from {}", self.cut, self.epoch)?;
        match self.lost.len() {
            0 => write!(f, ", all written)"),
            n => {
                write!(f, "; {n} sectors lost:")?;
                for (entry, sector) in self.lost.iter().take(12) {
                    write!(f, " {entry}+{sector}")?;
                }
                f.write_str(if n > 12 { " ...)" } else { ")" })
            }
        }
    }
}

/// Walks over the moments of a log and shows each state that differs from those before, from the mark `from` on.
/// `image` is the disk before the log; afterwards it is the disk at its end.
pub fn walk(log: &Log, image: &mut Image, from: usize, how: Thorough, show: &mut dyn FnMut(&Image, &Moment)) -> Count {
    let walk = Walk { log, from, how, seen: HashSet::new(), count: Count::default(), show };
    walk.all(image)
}

struct Walk<'a> {
    log: &'a Log,
    from: usize,
    how: Thorough,
    seen: HashSet<(u64, usize)>,
    count: Count,
    show: &'a mut dyn FnMut(&Image, &Moment),
}

impl Walk<'_> {
    fn all(mut self, image: &mut Image) -> Count {
        let mut random = Random::new(self.how.seed);
        let mut phase = 0;
        let mut start = 0;
        while start < self.log.entries.len() {
            // A request that flushes and writes flushes first: it belongs to what follows.
            let next = self.log.entries[start + 1..].iter().position(|e| e.flush).map(|n| start + 1 + n);
            let end = next.unwrap_or(self.log.entries.len());
            let marks = self.log.entries[start..end].iter().filter(|e| e.mark.is_some()).count();
            if phase + marks >= self.from {
                self.epoch(image, start..end, phase, &mut random);
            } else {
                self.log.entries[start..end].iter().for_each(|entry| image.apply(entry, |_| true));
            }
            image.settle();
            phase += marks;
            start = end;
        }
        self.count
    }

    fn state(&mut self, image: &Image, moment: &Moment) {
        if moment.phase < self.from {
            return;
        }
        self.count.states += 1;
        if self.seen.insert((image.print(), moment.phase)) {
            self.count.distinct += 1;
            (self.show)(image, moment);
        }
    }

    fn epoch(&mut self, image: &mut Image, range: std::ops::Range<usize>, before: usize, random: &mut Random) {
        let log = self.log;
        let writes: Vec<usize> = range.clone().filter(|n| writes(&log.entries[*n])).collect();
        self.count.epochs += usize::from(!writes.is_empty());
        let first = image.point();
        let mut moment = Moment { cut: range.start, phase: before, epoch: range.start, lost: Vec::new() };
        self.state(image, &moment);
        for n in range.clone() {
            let entry = &log.entries[n];
            (moment.cut, moment.phase) = (n + 1, moment.phase + usize::from(entry.mark.is_some()));
            if entry.sectors > 1 && entry.sectors <= self.how.torn {
                for sector in 0..entry.sectors - 1 {
                    image.apply(entry, |s| s == sector);
                    moment.lost = (sector + 1..entry.sectors).map(|sector| (n, sector)).collect();
                    self.count.prefixes += usize::from(moment.phase >= self.from);
                    self.state(image, &moment);
                }
                moment.lost.clear();
            }
            image.apply(entry, |_| true);
            self.count.prefixes += usize::from(moment.phase >= self.from);
            self.state(image, &moment);
        }
        if !writes.is_empty() && self.how.subsets > 0 {
            self.subsets(image, first, &writes, &range, before, random);
        }
    }

    fn subsets(
        &mut self,
        image: &mut Image,
        first: super::image::Point,
        writes: &[usize],
        range: &std::ops::Range<usize>,
        before: usize,
        random: &mut Random,
    ) {
        let log = self.log;
        image.back_to(first);
        let phase = |cut: usize| before + log.entries[range.start..cut].iter().filter(|e| e.mark.is_some()).count();
        // All of them, where that is not more than was asked for.
        let bits = writes.len() as u32;
        if bits < usize::BITS && 1usize << bits <= self.how.subsets {
            for set in 0..1usize << bits {
                let lost = |place: usize, _| set >> place & 1 == 0;
                self.subset(image, first, writes, range, (range.end, phase(range.end)), &lost);
            }
        }
        for _ in 0..self.how.subsets {
            let cut = range.start + 1 + random.below(range.len());
            let salt = random.draw();
            let by_sector = random.coin();
            // Few lost, half of them, or few written.
            let odds = [3, 3, 128, 128, 253][random.below(5)];
            let lost = move |place: usize, sector: u64| {
                let key = (place as u64) << 32 | if by_sector { sector + 1 } else { 0 };
                super::random::mix(salt ^ super::random::mix(key)) % 256 < odds
            };
            self.subset(image, first, writes, range, (cut, phase(cut)), &lost);
        }
        // One request or one sector alone is lost, or has come through alone.
        for place in 0..writes.len().min(self.how.subsets) {
            let whole = (range.end, phase(range.end));
            self.subset(image, first, writes, range, whole, &|p, _| p == place);
            self.subset(image, first, writes, range, whole, &|p, _| p != place);
        }
        for n in range.clone() {
            image.apply(&log.entries[n], |_| true);
        }
    }

    fn subset(
        &mut self,
        image: &mut Image,
        first: super::image::Point,
        writes: &[usize],
        range: &std::ops::Range<usize>,
        (cut, phase): (usize, usize),
        lost: &dyn Fn(usize, u64) -> bool,
    ) {
        let mut moment = Moment { cut, phase, epoch: range.start, lost: Vec::new() };
        for (place, n) in writes.iter().enumerate().take_while(|(_, n)| **n < cut) {
            let entry = &self.log.entries[*n];
            let lost = |sector: u64| !entry.fua && lost(place, sector);
            moment.lost.extend((0..entry.sectors).filter(|s| lost(*s)).map(|s| (*n, s)));
            image.apply(entry, |sector| !lost(sector));
        }
        self.state(image, &moment);
        image.back_to(first);
    }
}

fn writes(entry: &Entry) -> bool {
    entry.data.is_some() || entry.discard
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::image::Base;
    use crate::replay::log::SECTOR;
    use std::collections::BTreeSet;

    const ALL: Thorough = Thorough { subsets: 200, seed: 1, torn: 8 };

    /// The states of a disk of four sectors, each as the first bytes of its sectors, with the phase.
    fn states(log: &Log, how: Thorough) -> (BTreeSet<(usize, [u8; 4])>, Count) {
        let mut image = Image::new(Base::of(&[0; 4 * SECTOR]), 0, log);
        let mut found = BTreeSet::new();
        let count = walk(log, &mut image, 0, how, &mut |image, moment| {
            found.insert((moment.phase, [0, 1, 2, 3].map(|s| image.sector(s)[0])));
        });
        (found, count)
    }

    fn at(phase: usize, states: &[[u8; 4]]) -> BTreeSet<(usize, [u8; 4])> {
        states.iter().map(|s| (phase, *s)).collect()
    }

    #[test]
    fn before_a_flush_any_subset_and_after_it_all() {
        let mut log = Log::default();
        log.write(0, &[1; SECTOR]);
        log.write(1, &[2; SECTOR]);
        log.flush();
        log.write(2, &[3; SECTOR]);
        let all = at(0, &[[0; 4], [1, 0, 0, 0], [0, 2, 0, 0], [1, 2, 0, 0], [1, 2, 3, 0]]);
        let (found, count) = states(&log, ALL);
        assert_eq!(found, all);
        assert_eq!((count.distinct, count.prefixes, count.epochs), (5, 4, 2));
        let (in_order, _) = states(&log, Thorough { subsets: 0, ..ALL });
        assert_eq!(in_order, at(0, &[[0; 4], [1, 0, 0, 0], [1, 2, 0, 0], [1, 2, 3, 0]]));
    }

    #[test]
    fn a_request_with_fua_is_there_once_it_was_done() {
        let mut log = Log::default();
        log.write(0, &[1; SECTOR]);
        log.write(1, &[2; SECTOR]);
        log.entries[1].fua = true;
        log.write(2, &[3; SECTOR]);
        let (found, _) = states(&log, ALL);
        let with: BTreeSet<_> = found.iter().filter(|(_, s)| s[1] == 2).map(|(_, s)| (s[0], s[2])).collect();
        assert_eq!(with, [(0, 0), (1, 0), (0, 3), (1, 3)].into());
        assert!(found.iter().all(|(_, s)| s[2] == 0 || s[1] == 2), "the third came without the second: {found:?}");
    }

    #[test]
    fn a_request_that_flushes_and_writes_flushes_first() {
        let mut log = Log::default();
        log.write(0, &[1; SECTOR]);
        log.write(1, &[2; SECTOR]);
        log.entries[1].flush = true;
        let (found, _) = states(&log, ALL);
        assert_eq!(found, at(0, &[[0; 4], [1, 0, 0, 0], [1, 2, 0, 0]]));
    }

    #[test]
    fn a_short_request_is_cut_between_its_sectors() {
        let mut log = Log::default();
        log.write(0, &[[1; SECTOR], [2; SECTOR], [3; SECTOR]].concat());
        let (in_order, _) = states(&log, Thorough { subsets: 0, ..ALL });
        for state in [[0; 4], [1, 0, 0, 0], [1, 2, 0, 0], [1, 2, 3, 0]] {
            assert!(in_order.contains(&(0, state)), "{state:?} in {in_order:?}");
        }
        let (any, _) = states(&log, ALL);
        assert_eq!(any.len(), 8);
    }

    #[test]
    fn the_same_sector_twice_in_an_epoch_holds_either() {
        let mut log = Log::default();
        log.write(0, &[1; SECTOR]);
        log.write(0, &[2; SECTOR]);
        let (found, _) = states(&log, ALL);
        assert_eq!(found, at(0, &[[0; 4], [1, 0, 0, 0], [2, 0, 0, 0]]));
    }

    #[test]
    fn marks_count_what_was_done_and_not_what_was_written() {
        let mut log = Log::default();
        log.write(0, &[1; SECTOR]);
        log.entries.push(Entry { mark: Some("returned".into()), ..Entry::default() });
        log.flush();
        let (found, _) = states(&log, ALL);
        // It has returned, and the drive may still have written nothing.
        assert_eq!(found, [(0, [0; 4]), (0, [1, 0, 0, 0]), (1, [0; 4]), (1, [1, 0, 0, 0])].into());
    }

    #[test]
    fn the_same_seed_gives_the_same_states() {
        let mut log = Log::default();
        for n in 0..40 {
            log.write(n % 4, &[n as u8; SECTOR]);
        }
        let how = Thorough { subsets: 50, ..ALL };
        assert_eq!(states(&log, how), states(&log, how));
        assert_ne!(states(&log, how), states(&log, Thorough { seed: 2, ..how }));
    }

    #[test]
    fn some_hundred_thousand_states_are_a_matter_of_seconds() {
        let mut log = Log::default();
        for epoch in 0..100u64 {
            for n in 0..10 {
                log.write(n, &[(epoch + n) as u8; SECTOR]);
            }
            log.flush();
        }
        let began = std::time::Instant::now();
        let (_, count) = states(&log, Thorough { subsets: 1000, ..ALL });
        assert!(count.states > 100_000, "{count:?}");
        assert!(began.elapsed().as_secs() < 20, "{count:?} took {:?}", began.elapsed());
    }
}
