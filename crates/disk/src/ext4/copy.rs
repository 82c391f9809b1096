//! Files' data into their places: shared where the file system can share blocks, read and written otherwise; by several threads.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use cairn_process::Report;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statfs::{EXT4_SUPER_MAGIC, fstatfs};

use crate::error::DiskError;
use crate::ext4::BLOCK;
use crate::ext4::layout::{FileIn, Layout};
use crate::ext4::open::Folders;
use crate::share::Sharing;
use crate::target::Target;
use crate::tree::{Content, Entry, Node, Tree};

/// A thread's buffer: small files that lie side by side are written with one call.
const BUFFER: usize = 1 << 20;
/// Files from this size on are read and written piece by piece; below, several fit the buffer.
const LARGE: u64 = 256 << 10;
/// Where blocks can be shared the calls save room, not only time: on xfs and btrfs this size leaves a quarter of a Debian
/// system to be written, in the time that LARGE takes.
const WORTH_SHARING: u64 = 32 << 10;
/// How many files a thread takes at a time.
const BATCH: usize = 64;

/// The length of a file; 0 for what is none.
pub(crate) fn len(entry: &Entry) -> u64 {
    match entry.node {
        Node::File { len, .. } => len,
        Node::Dir | Node::Symlink(_) | Node::Hardlink(_) => 0,
    }
}

/// Copies the data of all files into the file system at `offset` of the target. This thread does the `rest` first, while the others
/// copy already; what is written there must be elsewhere.
pub(crate) fn data(
    tree: &Tree,
    layout: &Layout<'_>,
    target: &dyn Target,
    offset: u64,
    threads: usize,
    report: &dyn Report,
    rest: impl FnOnce() -> Result<(), DiskError>,
) -> Result<(), DiskError> {
    // The kernel lets one thread at a time write into a file. So the threads do different things: this one copies what is large, and
    // mostly writes; the others read many small files for each write.
    let (large, small): (Vec<_>, Vec<_>) = layout.files().partition(|file| len(&tree.entries()[file.entry]) >= LARGE);
    let shared = Shared {
        tree,
        layout,
        large: Queue::new(&large, 1),
        small: Queue::new(&small, BATCH),
        target,
        offset,
        report,
        sharing: Sharing::new(),
        stop: AtomicBool::new(false),
        failed: Mutex::default(),
    };
    shared.reserve();
    std::thread::scope(|scope| {
        for _ in 1..threads.min((large.len() + small.len()).div_ceil(BATCH)) {
            scope.spawn(|| shared.work([&shared.small, &shared.large]));
        }
        rest().inspect_err(|_| shared.stop.store(true, Ordering::Relaxed))?;
        shared.work([&shared.large, &shared.small]);
        Ok(())
    })?;
    let mut failed = shared.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.pop_first().map_or(Ok(()), |(_, error)| Err(error))
}

/// Files that are taken by whoever is free, some at a time.
struct Queue<'a> {
    files: &'a [FileIn],
    batch: usize,
    next: AtomicUsize,
}

impl<'a> Queue<'a> {
    fn new(files: &'a [FileIn], batch: usize) -> Queue<'a> {
        Queue { files, batch, next: AtomicUsize::new(0) }
    }

    /// The next ones, if there are more.
    fn take(&self) -> Option<&'a [FileIn]> {
        let first = self.next.fetch_add(self.batch, Ordering::Relaxed);
        self.files.get(first..self.files.len().min(first + self.batch)).filter(|batch| !batch.is_empty())
    }
}

struct Shared<'a> {
    tree: &'a Tree,
    layout: &'a Layout<'a>,
    large: Queue<'a>,
    small: Queue<'a>,
    target: &'a dyn Target,
    offset: u64,
    report: &'a dyn Report,
    sharing: Sharing,
    stop: AtomicBool,
    /// Failures by the order of the files, not of time: the first of them is told.
    failed: Mutex<BTreeMap<usize, DiskError>>,
}

impl Shared<'_> {
    /// Reserves the room of all data at once where the target is a file of ext4: a reservation for each block would otherwise be made
    /// while all other threads wait to write. Other file systems may share blocks, which needs no room.
    fn reserve(&self) {
        let Some(file) = self.target.file().filter(|file| is_on_ext4(file)) else { return };
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for (at, count) in self.layout.files().flat_map(|file| self.layout.places(file)) {
            let end = at + count.next_multiple_of(BLOCK);
            match ranges.last_mut() {
                Some((_, last)) if *last == at => *last = end,
                _ => ranges.push((at, end)),
            }
        }
        for (at, end) in ranges {
            let range = i64::try_from(self.offset + at).ok().zip(i64::try_from(end - at).ok());
            // What cannot be reserved is told when it is written.
            let _ = range.map(|(at, count)| fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, at, count));
        }
    }

    /// Takes files until there are none, of one queue after the other.
    fn work(&self, queues: [&Queue<'_>; 2]) {
        let mut buffer = Buffer { bytes: vec![0; BUFFER + 1], len: 0, at: 0 };
        let mut folders = Folders::default();
        // What was taken is done, whatever fails elsewhere: the first failure is among what was taken first.
        let goes_on = || !self.stop.load(Ordering::Relaxed);
        for batch in queues.into_iter().flat_map(|queue| std::iter::from_fn(move || goes_on().then(|| queue.take())?)) {
            let (mut copied, mut at) = (0, 0);
            let done = batch.iter().try_for_each(|file| {
                at = file.entry;
                let entry = &self.tree.entries()[at];
                copied += len(entry);
                self.file(entry, &self.layout.places(*file), &mut folders, &mut buffer)
            });
            if let Err(error) = done.and_then(|()| self.flush(&mut buffer)) {
                self.stop.store(true, Ordering::Relaxed);
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).insert(at, error);
                return;
            }
            self.report.advance(copied);
        }
    }

    fn file(
        &self,
        entry: &Entry,
        extents: &[(u64, u64)],
        folders: &mut Folders,
        buffer: &mut Buffer,
    ) -> Result<(), DiskError> {
        let Node::File { len, content } = &entry.node else { return Ok(()) };
        match content {
            Content::Bytes(bytes) if bytes.len() as u64 != *len => {
                let found = bytes.len().to_string();
                Err(DiskError::Changed { path: entry.path.clone().into(), expected: *len, found })
            }
            Content::Bytes(bytes) => self.bytes(bytes, extents, buffer),
            Content::Path(path) => {
                let read = |source| DiskError::Read { path: path.clone(), source };
                let mut file = folders.open(path).map_err(read)?;
                if let ([(at, _)], true) = (extents, *len < self.large_from()) {
                    return self.small(&mut file, path, *len, self.offset + at, buffer);
                }
                let found = file.metadata().map_err(read)?.len();
                if found != *len {
                    return Err(DiskError::Changed { path: path.clone(), expected: *len, found: found.to_string() });
                }
                self.large(&mut file, path, *len, extents, buffer)
            }
        }
    }

    /// The size from which on a file is a large one.
    fn large_from(&self) -> u64 {
        let shares = self.target.file().is_some() && self.sharing.is_possible();
        if shares { WORTH_SHARING } else { LARGE }
    }

    /// A large file: shared where that can be, and what is left by ourselves.
    fn large(
        &self,
        file: &mut File,
        path: &Path,
        len: u64,
        extents: &[(u64, u64)],
        buffer: &mut Buffer,
    ) -> Result<(), DiskError> {
        let mut from = 0;
        let mut rest = Vec::new();
        for &(at, count) in extents {
            let at = self.offset + at;
            let done = match self.target.file() {
                Some(out) => self.sharing.share(file, from, out, at, count),
                None => Ok(0),
            };
            let done = done.map_err(|error| DiskError::write(self.target.name(), at, error))?;
            rest.extend(left((from, at, count), done));
            from += count;
        }
        for (from, at, count) in rest {
            self.plain(file, path, len, (from, at, count), buffer)?;
        }
        Ok(())
    }

    /// Part of a large file, through the buffer.
    fn plain(
        &self,
        file: &File,
        path: &Path,
        len: u64,
        (mut from, mut at, mut count): (u64, u64, u64),
        buffer: &mut Buffer,
    ) -> Result<(), DiskError> {
        use std::os::unix::fs::FileExt;
        self.flush(buffer)?;
        while count > 0 {
            let take = usize::try_from(count).unwrap_or(BUFFER).min(BUFFER);
            file.read_exact_at(&mut buffer.bytes[..take], from).map_err(|error| short(path, len, error))?;
            // Whole blocks, as everywhere: nothing that was on a disk before stays behind the end of a file.
            let padded = take.next_multiple_of(BLOCK as usize);
            buffer.bytes[take..padded].fill(0);
            self.target
                .write_at(at, &buffer.bytes[..padded])
                .map_err(|error| DiskError::write(self.target.name(), at, error))?;
            let done = take as u64;
            (from, at, count) = (from + done, at + done, count - done);
        }
        Ok(())
    }

    /// A small file in one piece: one read that asks for a byte too many tells its length too.
    fn small(&self, file: &mut dyn Read, path: &Path, len: u64, at: u64, buffer: &mut Buffer) -> Result<(), DiskError> {
        let count = usize::try_from(len).unwrap_or(BUFFER);
        let padded = count.next_multiple_of(BLOCK as usize);
        self.make_room(at, padded, buffer)?;
        let place = &mut buffer.bytes[buffer.len..];
        let mut done = 0;
        while done < count {
            match file.read(&mut place[done..=count]) {
                Ok(0) => break,
                Ok(more) => done += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(DiskError::Read { path: path.to_path_buf(), source }),
            }
        }
        if done != count {
            let found = if done > count { "more".to_string() } else { done.to_string() };
            return Err(DiskError::Changed { path: path.to_path_buf(), expected: len, found });
        }
        place[count..padded].fill(0);
        buffer.len += padded;
        Ok(())
    }

    /// Bytes from memory.
    fn bytes(&self, mut bytes: &[u8], extents: &[(u64, u64)], buffer: &mut Buffer) -> Result<(), DiskError> {
        for &(at, count) in extents {
            let (mut here, rest) = bytes.split_at(bytes.len().min(usize::try_from(count).unwrap_or(usize::MAX)));
            bytes = rest;
            let mut at = self.offset + at;
            while !here.is_empty() {
                let (piece, rest) = here.split_at(here.len().min(BUFFER));
                let padded = piece.len().next_multiple_of(BLOCK as usize);
                self.make_room(at, padded, buffer)?;
                let place = &mut buffer.bytes[buffer.len..buffer.len + padded];
                place[..piece.len()].copy_from_slice(piece);
                place[piece.len()..].fill(0);
                buffer.len += padded;
                at += padded as u64;
                here = rest;
            }
        }
        Ok(())
    }

    /// Writes what is in the buffer, unless the next bytes fit behind it and belong there.
    fn make_room(&self, at: u64, count: usize, buffer: &mut Buffer) -> Result<(), DiskError> {
        if buffer.len == 0 || buffer.at + buffer.len as u64 != at || buffer.len + count > BUFFER {
            self.flush(buffer)?;
            buffer.at = at;
        }
        Ok(())
    }

    fn flush(&self, buffer: &mut Buffer) -> Result<(), DiskError> {
        let len = std::mem::take(&mut buffer.len);
        if len == 0 {
            return Ok(());
        }
        self.target
            .write_at(buffer.at, &buffer.bytes[..len])
            .map_err(|error| DiskError::write(self.target.name(), buffer.at, error))
    }
}

fn is_on_ext4(file: &File) -> bool {
    fstatfs(file).is_ok_and(|found| found.filesystem_type() == EXT4_SUPER_MAGIC)
}

/// What is left of a range, as its place in the file, on the disk, and its length, when so much of it is done.
fn left((from, at, count): (u64, u64, u64), done: u64) -> Option<(u64, u64, u64)> {
    (done < count).then(|| (from + done, at + done, count - done))
}

/// Bytes that wait to be written at one place.
struct Buffer {
    bytes: Vec<u8>,
    len: usize,
    at: u64,
}

/// What a failed read of a file means: it is shorter than it was, or it cannot be read.
fn short(path: &Path, len: u64, error: io::Error) -> DiskError {
    let path = path.to_path_buf();
    if error.kind() == io::ErrorKind::UnexpectedEof {
        DiskError::Changed { path, expected: len, found: "less".into() }
    } else {
        DiskError::Read { path, source: error }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use cairn_process::Quiet;

    use super::*;
    use crate::ext4::layout::Making;
    use crate::source::Source;
    use crate::target::MemoryTarget;

    const START: u64 = 512;

    /// What `write` puts onto a disk that is full of something, and what it says.
    fn put(
        write: impl FnOnce(&Shared<'_>, &mut Buffer) -> Result<(), DiskError>,
    ) -> (Result<(), DiskError>, MemoryTarget) {
        let target = MemoryTarget::new(20 << 20, 0xee);
        let (blocks, label) = (4096, String::new());
        let making = Making { blocks, inodes: 16, uuid: [1; 16], label, epoch: 0, reserved_percent: 1 };
        let tree = Tree::new();
        let layout = Layout::new(&tree, making).unwrap();
        let shared = Shared {
            tree: &tree,
            layout: &layout,
            large: Queue::new(&[], 1),
            small: Queue::new(&[], 1),
            target: &target,
            offset: START,
            report: &Quiet,
            sharing: Sharing::new(),
            stop: AtomicBool::new(false),
            failed: Mutex::default(),
        };
        let mut buffer = Buffer { bytes: vec![0; BUFFER + 1], len: 0, at: 0 };
        let done = write(&shared, &mut buffer).and_then(|()| shared.flush(&mut buffer));
        (done, target)
    }

    fn get(target: &MemoryTarget, at: u64, len: usize) -> Vec<u8> {
        let mut found = vec![0; len];
        target.read_at(START + at, &mut found).unwrap();
        found
    }

    /// Bytes of which no two pages are the same.
    fn some(len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        (0..=len as u64 / 8).for_each(|n| bytes.extend_from_slice(&(n * 0x9e37_79b9).to_le_bytes()));
        bytes.truncate(len);
        bytes
    }

    /// That an extent holds these bytes, zeros up to a whole block, and that nothing is written behind it.
    #[track_caller]
    fn holds(target: &MemoryTarget, at: u64, bytes: &[u8]) {
        let found = get(target, at, bytes.len().next_multiple_of(4096) + 1);
        let (tail, behind) = found[bytes.len()..].split_at(found.len() - 1 - bytes.len());
        assert!(&found[..bytes.len()] == bytes, "the bytes at {at}");
        assert!(tail.iter().all(|b| *b == 0) && behind == [0xee], "what is behind the bytes at {at}");
    }

    #[test]
    fn bytes_go_where_their_extents_are() {
        let bytes = some((2 << 20) + 4096 + 100);
        let whole = 2 << 20;
        let (done, target) = put(|shared, buffer| {
            // More than a buffer, in one extent and the rest of it far away.
            shared.bytes(&bytes, &[(0, whole), (5 << 20, 8192)], buffer)?;
            // Before what is waiting, behind it, and where a product of its numbers is.
            shared.bytes(&bytes[..4096], &[((8 << 20) + 4096, 4096)], buffer)?;
            shared.bytes(&bytes[4096..8192], &[(8 << 20, 4096)], buffer)?;
            shared.bytes(&bytes[..100], &[((8 << 20) + 8192, 4096)], buffer)?;
            shared.bytes(&bytes[..200], &[((8 << 20) + 12_288, 4096)], buffer)
        });
        done.unwrap();
        let at = usize::try_from(whole).unwrap();
        holds(&target, 0, &bytes[..at]);
        holds(&target, 5 << 20, &bytes[at..]);
        assert!(get(&target, 8 << 20, 8192) == [&bytes[4096..8192], &bytes[..4096]].concat());
        assert!(get(&target, (8 << 20) + 8192, 100) == bytes[..100]);
        holds(&target, (8 << 20) + 12_288, &bytes[..200]);
        let (done, target) = put(|shared, buffer| {
            shared.bytes(&bytes[..4096], &[(4096 - START, 4096)], buffer)?;
            shared.bytes(&bytes[..9], &[((16 << 20) - START, 4096)], buffer)
        });
        done.unwrap();
        holds(&target, 4096 - START, &bytes[..4096]);
        holds(&target, (16 << 20) - START, &bytes[..9]);
    }

    #[test]
    fn a_large_file_goes_into_all_of_its_extents() {
        let bytes = some((3 << 20) + (1 << 19) + 77);
        let mut file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
        let (len, path) = (bytes.len() as u64, Path::new("file"));
        let first = 2_621_440;
        let extents = [(1 << 20, first), (8 << 20, 4096), (10 << 20, len - first - 4096)];
        let (done, target) = put(|shared, buffer| {
            // Something waits in the buffer that the file goes through.
            shared.bytes(b"waits", &[(0, 4096)], buffer)?;
            shared.large(&mut file, path, len, &extents, buffer)
        });
        done.unwrap();
        holds(&target, 0, b"waits");
        let first = usize::try_from(first).unwrap();
        holds(&target, 1 << 20, &bytes[..first]);
        holds(&target, 8 << 20, &bytes[first..first + 4096]);
        holds(&target, 10 << 20, &bytes[first + 4096..]);
        // One that has become shorter, and one that cannot be read.
        let (done, _) = put(|shared, buffer| shared.large(&mut file, path, len + 1, &[(0, len + 1)], buffer));
        assert!(matches!(done, Err(DiskError::Changed { found, .. }) if found == "less"));
        let mut folder = File::open("/").unwrap();
        let (done, _) = put(|shared, buffer| shared.large(&mut folder, path, 4096, &[(0, 4096)], buffer));
        assert!(matches!(done, Err(DiskError::Read { .. })));
    }

    #[test]
    fn what_is_left_begins_where_what_is_done_ends() {
        assert_eq!(left((100, 5000, 30), 0), Some((100, 5000, 30)));
        assert_eq!(left((100, 5000, 30), 29), Some((129, 5029, 1)));
        assert_eq!(left((100, 5000, 30), 30), None);
    }

    /// Reads that end as they are told to.
    struct Told(VecDeque<Result<usize, io::ErrorKind>>);

    impl Read for Told {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.pop_front().unwrap_or(Ok(0))?;
            buffer[..count].fill(0x77);
            Ok(count)
        }
    }

    #[test]
    fn a_small_file_is_read_to_its_end_and_its_length_is_held_against_it() {
        use io::ErrorKind::{Interrupted, PermissionDenied};
        let told = |reads: &[Result<usize, io::ErrorKind>]| {
            let mut file = Told(reads.iter().copied().collect());
            put(|shared, buffer| shared.small(&mut file, Path::new("file"), 5000, START + 4096, buffer))
        };
        for reads in [&[Ok(5000)][..], &[Ok(4000), Ok(1000)], &[Err(Interrupted), Ok(2000), Err(Interrupted), Ok(3000)]]
        {
            let (done, target) = told(reads);
            done.unwrap();
            holds(&target, 4096, &[0x77; 5000]);
        }
        for (reads, wanted) in [(&[Ok(4999)][..], "4999"), (&[Ok(5001)], "more"), (&[Ok(4000), Ok(1001)], "more")] {
            let (done, _) = told(reads);
            assert!(
                matches!(&done, Err(DiskError::Changed { found, expected: 5000, .. }) if found == wanted),
                "{done:?}"
            );
        }
        let (done, _) = told(&[Ok(10), Err(PermissionDenied), Ok(4990)]);
        assert!(matches!(done, Err(DiskError::Read { .. })), "{done:?}");
    }
}
