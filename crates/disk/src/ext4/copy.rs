//! Files' data into their places: shared where the file system can share blocks, copied by the kernel where it can do
//! that, read and written otherwise; by several threads.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use cairn_process::Report;
use mkext4::{InodeHandle, Layout};
use nix::fcntl::OFlag;

use crate::error::DiskError;
use crate::ext4::BLOCK;
use crate::kernel::Kernel;
use crate::target::Target;
use crate::tree::{Content, Entry, Node, Tree};

/// A thread's buffer: small files that lie side by side are written with one call.
const BUFFER: usize = 1 << 20;
/// Files from this size on are left to the kernel; below, a read into the buffer is quicker than two calls more.
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

/// Copies the data of all files into the file system at `offset` of the target.
pub(crate) fn data(
    tree: &Tree,
    layout: &Layout,
    files: &[(usize, InodeHandle)],
    target: &dyn Target,
    offset: u64,
    threads: usize,
    report: &dyn Report,
) -> Result<(), DiskError> {
    let shared = Shared {
        tree,
        layout,
        files,
        target,
        offset,
        report,
        kernel: Kernel::new(),
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        failed: Mutex::new(None),
    };
    std::thread::scope(|scope| {
        // This thread is one of them.
        for _ in 1..threads.min(files.len().div_ceil(BATCH)) {
            scope.spawn(|| shared.work());
        }
        shared.work();
    });
    match shared.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

struct Shared<'a> {
    tree: &'a Tree,
    layout: &'a Layout,
    files: &'a [(usize, InodeHandle)],
    target: &'a dyn Target,
    offset: u64,
    report: &'a dyn Report,
    kernel: Kernel,
    next: AtomicUsize,
    stop: AtomicBool,
    /// The first failure, by the order of the files, not of time.
    failed: Mutex<Option<(usize, DiskError)>>,
}

impl Shared<'_> {
    fn work(&self) {
        let mut buffer = Buffer { bytes: vec![0; BUFFER + 1], len: 0, at: 0 };
        while !self.stop.load(Ordering::Relaxed) {
            let first = self.next.fetch_add(BATCH, Ordering::Relaxed);
            let Some(batch) = self.files.get(first..self.files.len().min(first + BATCH)).filter(|b| !b.is_empty())
            else {
                return;
            };
            let mut copied = 0;
            let done = batch.iter().try_for_each(|(entry, handle)| {
                let entry = &self.tree.entries()[*entry];
                copied += len(entry);
                self.file(entry, &self.layout.extents(*handle), &mut buffer)
            });
            if let Err(error) = done.and_then(|()| self.flush(&mut buffer)) {
                self.stop.store(true, Ordering::Relaxed);
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                if failed.as_ref().is_none_or(|(earlier, _)| first < *earlier) {
                    *failed = Some((first, error));
                }
                return;
            }
            self.report.advance(copied);
        }
    }

    fn file(&self, entry: &Entry, extents: &[(u64, u64)], buffer: &mut Buffer) -> Result<(), DiskError> {
        let Node::File { len, content } = &entry.node else { return Ok(()) };
        match content {
            Content::Bytes(bytes) if bytes.len() as u64 != *len => {
                let found = bytes.len().to_string();
                Err(DiskError::Changed { path: entry.path.clone().into(), expected: *len, found })
            }
            Content::Bytes(bytes) => self.bytes(bytes, extents, buffer),
            Content::Path(path) => {
                let read = |source| DiskError::Read { path: path.clone(), source };
                // No link is followed, and nothing waits for a pipe: it was a file when the tree was read.
                let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
                let mut file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(read)?;
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
        let shares = self.target.file().is_some() && self.kernel.may_share();
        if shares { WORTH_SHARING } else { LARGE }
    }

    /// A large file: by the kernel if it can, and what it leaves by ourselves.
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
                Some(out) => self.kernel.copy(file, from, out, at, count),
                None => Ok(0),
            };
            let done = done.map_err(|error| DiskError::write(self.target.name(), at, error))?;
            if done < count {
                rest.push((from + done, at + done, count - done));
            }
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
    fn small(&self, file: &mut File, path: &Path, len: u64, at: u64, buffer: &mut Buffer) -> Result<(), DiskError> {
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
