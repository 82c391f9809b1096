//! How a disk that is in use gets another core image, so that the power may go at any moment.
//!
//! The place for the core image has room for two. The new one is written where the disk does not start from, and read back;
//! then one write of one sector, the boot sector, makes it count: code and pointer are in that sector together, so the disk
//! starts all of the old or all of the new. The partition table in the same sector is written as it is read.

use std::ops::Range;

use super::{BLOCK_LIST, BootCode, KERNEL_SECTOR, SECTOR};
use crate::error::DiskError;
use crate::partition_table::BOOT_CODE;
use crate::source::Source;
use crate::target::Target;

/// Copies begin where a physical sector does, so that writing one cannot tear what is beside it.
const ALIGNMENT: u64 = 4096;
/// An entry of the list in the core image's first sector, which goes from its end backwards: a sector, and how many.
const BLOCK: usize = 12;
/// More entries than any core image has.
const MOST_BLOCKS: usize = 32;

/// How a disk compares with what a BIOS should start from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// It is what it should be.
    Right,
    /// It is not, and this mends it.
    Update(Box<CodeUpdate>),
    /// It is not, and beside what the disk starts from there is no room: nothing that is in use is ever overwritten.
    NoRoom {
        /// What is wrong.
        problem: CodeProblem,
        /// The bytes that the core image takes.
        needed: u64,
        /// The bytes of the place for it.
        area: u64,
    },
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeProblem {
    /// The boot sector is not GRUB's, or leads out of the place for the core image.
    Foreign,
    /// The boot sector is of another GRUB, and the core image is right.
    Sector,
    /// The core image is another: of an earlier system, or damaged.
    Core,
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeUpdate {
    /// Why.
    pub problem: CodeProblem,
    /// The core image and where it goes, unless a whole one is there already.
    core: Option<(u64, Vec<u8>)>,
    code: [u8; BOOT_CODE],
}

impl BootCode {
    /// Compares a disk with it; `area` is the place for the core image. Only reads.
    ///
    /// # Errors
    /// The system's, for the boot sector. What else cannot be read is not right.
    pub fn compare(&self, disk: &dyn Source, (start, len): (u64, u64)) -> std::io::Result<Compared> {
        let mut sector = [0; SECTOR as usize];
        disk.read_at(0, &mut sector)?;
        let used = in_use(disk, &sector);
        let inside = |offset: u64| offset >= start && offset + self.needed() <= start + len;
        let now = used.first().map(|first| first.start).filter(|now| inside(*now));
        let problem = match now {
            Some(now) if !self.is_at(disk, now) => CodeProblem::Core,
            Some(now) if sector[..BOOT_CODE] == self.code_for(now) => return Ok(Compared::Right),
            Some(now) => {
                let update = CodeUpdate { problem: CodeProblem::Sector, core: None, code: self.code_for(now) };
                return Ok(Compared::Update(Box::new(update)));
            }
            None => CodeProblem::Foreign,
        };
        let free = |offset: &u64| {
            let new = *offset..*offset + self.needed();
            inside(*offset) && used.iter().all(|old| old.end <= new.start || new.end <= old.start)
        };
        let places = [start, start + len / 2].map(|offset| offset.next_multiple_of(ALIGNMENT));
        let Some(offset) = places.into_iter().find(free) else {
            return Ok(Compared::NoRoom { problem, needed: self.needed(), area: len });
        };
        // An update that ended before it made the copy count has left it whole.
        let core = (!self.is_at(disk, offset)).then(|| (offset, self.core_at(offset)));
        Ok(Compared::Update(Box::new(CodeUpdate { problem, core, code: self.code_for(offset) })))
    }

    fn is_at(&self, disk: &dyn Source, offset: u64) -> bool {
        let core = self.core_at(offset);
        let mut found = vec![0; core.len()];
        disk.read_at(offset, &mut found).is_ok() && found == core
    }
}

impl CodeUpdate {
    /// Whether a core image is written, besides the boot sector.
    pub fn writes_core(&self) -> bool {
        self.core.is_some()
    }

    /// Writes it. What the disk starts from is not touched before all of the new is on the disk and has been read back.
    ///
    /// # Errors
    /// [`DiskError::Write`], [`DiskError::Full`], [`DiskError::Differs`]. Until the very last write the disk starts what it
    /// started before.
    pub fn apply(&self, target: &dyn Target) -> Result<(), DiskError> {
        if let Some((offset, core)) = &self.core {
            put(target, *offset, core)?;
        }
        let mut sector = [0; SECTOR as usize];
        let failed = |source| DiskError::Read { path: target.name().into(), source };
        target.read_at(0, &mut sector).map_err(failed)?;
        sector[..BOOT_CODE].copy_from_slice(&self.code);
        put(target, 0, &sector)
    }
}

/// Writes, waits until it is on the disk, and compares.
fn put(target: &dyn Target, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
    let failed = |source| DiskError::write(target.name(), offset, source);
    target.write_at(offset, bytes).map_err(failed)?;
    target.sync().map_err(failed)?;
    let mut found = vec![0; bytes.len()];
    target.read_at(offset, &mut found).map_err(|source| DiskError::Read { path: target.name().into(), source })?;
    if found == bytes { Ok(()) } else { Err(DiskError::Differs { target: target.name().into(), offset }) }
}

/// What a disk starts from, as the boot sector of any GRUB and the list in its core image have it, in bytes: first the core
/// image's first sector. Nothing when the boot sector is not GRUB's.
fn in_use(disk: &dyn Source, sector: &[u8]) -> Vec<Range<u64>> {
    let code = &sector[..BOOT_CODE];
    if !code.starts_with(&[0xeb]) || !code.windows(4).any(|word| word == b"GRUB") {
        return Vec::new();
    }
    let sectors = |first: u64, count: u64| {
        let start = first.checked_mul(SECTOR)?;
        Some(start..start.checked_add(count * SECTOR)?)
    };
    let Some(first) = sectors(number(sector, KERNEL_SECTOR), 1) else { return Vec::new() };
    let mut used = vec![first.clone()];
    let mut list = [0; SECTOR as usize];
    if disk.read_at(first.start, &mut list).is_ok() {
        for at in (0..MOST_BLOCKS).map(|n| BLOCK_LIST - n * BLOCK) {
            let count = u64::from(u16::from_le_bytes([list[at + 8], list[at + 9]]));
            match sectors(number(&list, at), count) {
                Some(range) if count > 0 => used.push(range),
                _ => break,
            }
        }
    }
    used
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;
    use crate::boot_code::DRIVE_CHECK;
    use crate::target::MemoryTarget;

    // A sixteenth of what it really is: there are many states to look at.
    const GAP: (u64, u64) = (512, (64 << 10) - 512);
    const DISK: usize = 192 << 10;

    /// A GRUB of a version, with a core image of a length.
    fn grub(version: u8, len: usize) -> BootCode {
        let mut sector = [version; 512];
        sector[..3].copy_from_slice(&[0xeb, 0x63, 0x90]);
        sector[0x180..0x184].copy_from_slice(b"GRUB");
        sector[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[0xeb, 0x05]);
        let mut core = vec![version; len];
        core[BLOCK_LIST - BLOCK..BLOCK_LIST].fill(0);
        let rest = u16::try_from(len.div_ceil(512) - 1).unwrap();
        core[BLOCK_LIST + 8..BLOCK_LIST + 10].copy_from_slice(&rest.to_le_bytes());
        core[BLOCK_LIST + 10..BLOCK_LIST + 12].copy_from_slice(&0x0820_u16.to_le_bytes());
        BootCode { sector, core }
    }

    /// A disk with what `code` makes of a new one. The table and all else is full of something.
    fn disk(code: &BootCode, area: (u64, u64)) -> Vec<u8> {
        let target = MemoryTarget::new(DISK, 0x11);
        code.write(&target, area).unwrap();
        target.into_bytes()
    }

    /// What a BIOS would start: the version of the code, and the core image that it loads. Panics on what would not run.
    fn starts(bytes: &[u8]) -> (u8, Vec<u8>) {
        let first = usize::try_from(number(bytes, KERNEL_SECTOR)).unwrap() * 512;
        let mut core = bytes[first..first + 512].to_vec();
        let rest = usize::try_from(number(&core, BLOCK_LIST)).unwrap() * 512;
        let count = usize::from(u16::from_le_bytes([core[BLOCK_LIST + 8], core[BLOCK_LIST + 9]]));
        core.extend(&bytes[rest..rest + count * 512]);
        core[BLOCK_LIST..BLOCK_LIST + 8].fill(0);
        (bytes[3], core)
    }

    fn whole(code: &BootCode) -> (u8, Vec<u8>) {
        let mut core = code.core_at(0);
        core[BLOCK_LIST..BLOCK_LIST + 8].fill(0);
        (code.sector[3], core)
    }

    fn update(code: &BootCode, bytes: &[u8], area: (u64, u64)) -> CodeUpdate {
        match code.compare(&Recorder::of(bytes), area).unwrap() {
            Compared::Update(update) => *update,
            other => panic!("{other:?}"),
        }
    }

    /// A sector that was written, or a flush.
    type Event = Option<(usize, Vec<u8>)>;

    /// A disk that remembers each sector that is written, and when it was told to flush. After some writes there is no power,
    /// or after some calls an error.
    #[derive(Debug)]
    struct Recorder {
        inner: MemoryTarget,
        log: Mutex<Vec<Event>>,
        calls: Mutex<usize>,
        broken: Option<usize>,
        /// The write (the first is 1) of which the disk keeps another last byte.
        lies: Option<usize>,
        writes: Mutex<usize>,
    }

    impl Recorder {
        fn of(bytes: &[u8]) -> Recorder {
            let inner = MemoryTarget::new(bytes.len(), 0);
            inner.write_at(0, bytes).unwrap();
            let (log, calls, writes) = (Mutex::default(), Mutex::default(), Mutex::default());
            Recorder { inner, log, calls, broken: None, lies: None, writes }
        }

        fn call(&self) -> io::Result<()> {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            if self.broken == Some(*calls) { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
        }
    }

    impl Source for Recorder {
        fn len(&self) -> u64 {
            self.inner.len()
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            self.call()?;
            self.inner.read_at(offset, buffer)
        }
    }

    impl Target for Recorder {
        fn name(&self) -> &str {
            "disk"
        }

        fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            assert!(offset.is_multiple_of(512) && bytes.len().is_multiple_of(512), "whole sectors only");
            self.call()?;
            self.inner.write_at(offset, bytes)?;
            let mut writes = self.writes.lock().unwrap();
            *writes += 1;
            if self.lies == Some(*writes) {
                let last = bytes.len() - 1;
                self.inner.write_at(offset + last as u64, &[bytes[last] ^ 1])?;
            }
            let at = |n: usize| usize::try_from(offset).unwrap() + n * 512;
            let sectors = bytes.chunks(512).enumerate().map(|(n, sector)| Some((at(n), sector.to_vec())));
            self.log.lock().unwrap().extend(sectors);
            Ok(())
        }

        fn zeros(&self, _offset: u64, _len: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn sync(&self) -> io::Result<()> {
            self.call()?;
            self.log.lock().unwrap().push(None);
            Ok(())
        }
    }

    /// Every state that a power cut can leave: what was flushed, and of what was not, any part.
    fn cuts(before: &[u8], log: &[Event]) -> Vec<Vec<u8>> {
        let mut states = Vec::new();
        let mut flushed = before.to_vec();
        let mut random = 1_u64;
        for epoch in log.split(Option::is_none) {
            let epoch: Vec<_> = epoch.iter().flatten().collect();
            let mut state = flushed.clone();
            for (at, sector) in &epoch {
                states.push(state.clone());
                state[*at..at + 512].copy_from_slice(sector);
            }
            for _ in 0..64 {
                let mut part = flushed.clone();
                for (at, sector) in &epoch {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    if random >> 63 == 1 {
                        part[*at..at + 512].copy_from_slice(sector);
                    }
                }
                states.push(part);
            }
            flushed = state;
        }
        states.push(flushed);
        states
    }

    #[test]
    fn a_power_cut_leaves_all_of_the_old_or_all_of_the_new() {
        // From one version to the next again and again, with lengths that grow and shrink, in both kinds of places.
        for area in [GAP, (64 << 10, 64 << 10)] {
            let versions: Vec<BootCode> = [(1, 10_000), (2, 12_000), (3, 9123), (4, 25_000), (5, 512), (6, 10_000)]
                .map(|(version, len)| grub(version, len))
                .into();
            let mut bytes = disk(&versions[0], area);
            for pair in versions.windows(2) {
                let (old, new) = (whole(&pair[0]), whole(&pair[1]));
                assert_eq!(starts(&bytes), old);
                let target = Recorder::of(&bytes);
                update(&pair[1], &bytes, area).apply(&target).unwrap();
                let states = cuts(&bytes, &target.log.into_inner().unwrap());
                assert!(states.len() > 128);
                for state in &states {
                    let found = starts(state);
                    assert!(found == old || found == new, "version {}", found.0);
                    let (from, to) = (usize::try_from(area.0).unwrap(), usize::try_from(area.0 + area.1).unwrap());
                    assert!(state[440..512] == bytes[440..512], "signature and table stay");
                    assert!(state[512..from.max(512)].iter().chain(&state[to..]).all(|b| *b == 0x11));
                    // And another run completes it.
                    let again = Recorder::of(state);
                    match pair[1].compare(&again, area).unwrap() {
                        Compared::Update(update) => update.apply(&again).unwrap(),
                        other => assert_eq!(other, Compared::Right),
                    }
                    assert_eq!(starts(&again.inner.into_bytes()), new);
                }
                bytes = states.into_iter().next_back().unwrap();
                assert_eq!(pair[1].compare(&Recorder::of(&bytes), area).unwrap(), Compared::Right);
            }
        }
    }

    #[test]
    fn an_error_in_any_call_leaves_what_starts() {
        let (old, new) = (grub(1, 10_000), grub(2, 12_000));
        let bytes = disk(&old, GAP);
        let update = update(&new, &bytes, GAP);
        for at in 1.. {
            let target = Recorder { broken: Some(at), ..Recorder::of(&bytes) };
            let result = update.apply(&target);
            let found = starts(&target.inner.into_bytes());
            assert!(found == whole(&old) || found == whole(&new), "{at}");
            if result.is_ok() {
                assert!(at > 6 && found == whole(&new));
                break;
            }
        }
    }

    #[test]
    fn a_copy_that_is_whole_already_only_has_to_count() {
        let (old, new) = (grub(1, 10_000), grub(2, 12_000));
        let mut bytes = disk(&old, GAP);
        let target = Recorder::of(&bytes);
        let first = update(&new, &bytes, GAP);
        assert!(first.writes_core());
        first.apply(&target).unwrap();
        // The power went just before the boot sector.
        let after = target.inner.into_bytes();
        bytes[512..].copy_from_slice(&after[512..]);
        let second = update(&new, &bytes, GAP);
        assert!(!second.writes_core());
        let target = Recorder::of(&bytes);
        second.apply(&target).unwrap();
        assert_eq!(target.inner.into_bytes(), after);
    }

    #[test]
    fn what_is_damaged_or_foreign_is_found_and_mended() {
        let code = grub(1, 10_000);
        let good = disk(&code, GAP);
        type Damage = fn(&mut Vec<u8>);
        let cases: [(&str, CodeProblem, Damage); 5] = [
            ("a bit in the core image", CodeProblem::Core, |b| b[512 + 7000] ^= 1),
            ("a bit in the boot sector", CodeProblem::Sector, |b| b[300] ^= 1),
            ("a pointer to nowhere", CodeProblem::Foreign, |b| b[KERNEL_SECTOR + 6] = 0xff),
            ("another boot sector", CodeProblem::Foreign, |b| b[..440].fill(0x33)),
            ("no list of blocks", CodeProblem::Core, |b| b[512 + BLOCK_LIST..1024].fill(0xff)),
        ];
        for (what, problem, damage) in cases {
            let mut bytes = good.clone();
            damage(&mut bytes);
            let update = update(&code, &bytes, GAP);
            assert_eq!(update.problem, problem, "{what}");
            let target = Recorder::of(&bytes);
            update.apply(&target).unwrap();
            let after = target.inner.into_bytes();
            assert_eq!(starts(&after), whole(&code), "{what}");
            assert_eq!(after[440..512], good[440..512], "{what}");
        }
    }

    #[test]
    fn without_room_for_two_nothing_is_overwritten() {
        let (old, new) = (grub(1, 10_000), grub(2, 10_000));
        let area = (512, 20_480);
        let bytes = disk(&old, area);
        let found = new.compare(&Recorder::of(&bytes), area).unwrap();
        assert_eq!(found, Compared::NoRoom { problem: CodeProblem::Core, needed: 10_240, area: 20_480 });
        assert_eq!(old.compare(&Recorder::of(&bytes), area).unwrap(), Compared::Right);
        // A core image of somebody else's GRUB that lies across the whole place.
        let bytes = disk(&grub(3, 45_000), GAP);
        assert!(matches!(grub(2, 31_000).compare(&Recorder::of(&bytes), GAP).unwrap(), Compared::NoRoom { .. }));
    }

    #[test]
    fn a_disk_that_keeps_other_bytes_is_told_and_starts_what_it_started() {
        let (old, new) = (grub(1, 10_000), grub(2, 12_000));
        let bytes = disk(&old, GAP);
        let update = update(&new, &bytes, GAP);
        // The core image: nothing starts from it yet.
        let target = Recorder { lies: Some(1), ..Recorder::of(&bytes) };
        let error = update.apply(&target).unwrap_err();
        assert!(matches!(error, DiskError::Differs { offset, .. } if offset > 0), "{error:?}");
        assert_eq!(*target.writes.lock().unwrap(), 1, "the boot sector came after a bad core image");
        assert_eq!(starts(&target.inner.into_bytes()), whole(&old));
        // The boot sector itself, in the last byte of its signature.
        let target = Recorder { lies: Some(2), ..Recorder::of(&bytes) };
        let error = update.apply(&target).unwrap_err();
        assert!(matches!(error, DiskError::Differs { offset: 0, .. }), "{error:?}");
    }

    #[test]
    fn a_core_image_never_reaches_beyond_its_place() {
        // What is there is somebody else's, so that all of the place is free; a core image begins at whole pages.
        let bytes = vec![0x33; DISK];
        let new = grub(2, 10_000);
        let needed = 10_240;
        for (start, first) in [(512, 4096), (64 << 10, 64 << 10)] {
            let enough = first - start + needed;
            let fits = new.compare(&Recorder::of(&bytes), (start, enough)).unwrap();
            assert!(matches!(fits, Compared::Update(_)), "{fits:?}");
            for less in [1, 511, 512] {
                let area = (start, enough - less);
                let found = new.compare(&Recorder::of(&bytes), area).unwrap();
                assert_eq!(found, Compared::NoRoom { problem: CodeProblem::Foreign, needed, area: area.1 }, "{less}");
            }
        }
    }

    #[test]
    fn all_of_a_core_image_in_several_pieces_is_in_use() {
        let mut bytes = disk(&grub(1, 10_000), GAP);
        let list = 512 + BLOCK_LIST;
        // The second piece: 40 sectors at 30 KiB.
        bytes[list - BLOCK..list - BLOCK + 8].copy_from_slice(&60_u64.to_le_bytes());
        bytes[list - BLOCK + 8..list - BLOCK + 10].copy_from_slice(&40_u16.to_le_bytes());
        let sector: [u8; 512] = bytes[..512].try_into().unwrap();
        let used = in_use(&Recorder::of(&bytes), &sector);
        assert_eq!(used.len(), 3);
        assert_eq!(used[2], 60 * 512..100 * 512);
        // The first piece lies across the one place, the second across the other.
        let found = grub(2, 10_000).compare(&Recorder::of(&bytes), GAP).unwrap();
        assert!(matches!(found, Compared::NoRoom { .. }), "{found:?}");
    }

    #[test]
    fn what_is_grubs_begins_with_a_jump_and_says_so() {
        let good = disk(&grub(1, 10_000), GAP);
        let used = |change: fn(&mut [u8])| {
            let mut bytes = good.clone();
            change(&mut bytes);
            let sector: [u8; 512] = bytes[..512].try_into().unwrap();
            in_use(&Recorder::of(&bytes), &sector)
        };
        let core = [512..1024, 1024..1024 + 19 * 512];
        assert_eq!(used(|_| ()), core);
        assert_eq!(used(|b| b[0] = 0xea), []);
        assert_eq!(used(|b| b[0x183] = b'b'), []);
        // An entry without sectors ends the list; what is behind it is code.
        assert_eq!(used(|b| b[512 + BLOCK_LIST - 3 * BLOCK..512 + BLOCK_LIST - BLOCK].fill(1)), core);
    }

    #[test]
    fn the_copy_goes_to_and_fro() {
        let mut bytes = disk(&grub(1, 10_000), GAP);
        let mut places = Vec::new();
        for code in [grub(2, 12_000), grub(3, 9000), grub(4, 11_000)] {
            let target = Recorder::of(&bytes);
            let update = update(&code, &bytes, GAP);
            places.push(update.core.as_ref().unwrap().0);
            update.apply(&target).unwrap();
            bytes = target.inner.into_bytes();
        }
        // The second half begins in the middle, rounded up to a page.
        assert_eq!(places, [36_864, 4096, 36_864]);
    }
}
