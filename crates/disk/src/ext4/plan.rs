//! A file system whose every byte of metadata and every place of data is decided.

use std::fmt;

use cairn_process::Report;
use mkext4::{FsBuilder, InodeCount, InodeHandle, Layout, Meta, Options, ROOT, RegionSink};
use uuid::Uuid;

use crate::error::DiskError;
use crate::ext4::size::{self, Contents};
use crate::ext4::{BLOCK, copy};
use crate::target::Target;
use crate::tree::{Entry, Node, Tree};

/// What an ext4 file system is made with.
#[derive(Debug, Clone)]
pub struct Ext4Options {
    /// Its UUID; the seed of its directory hashes follows from it.
    pub uuid: Uuid,
    /// Its label, at most 16 bytes.
    pub label: String,
    /// The time of everything that the tree gives no time: seconds since 1970.
    pub epoch: i64,
    /// How large it is.
    pub size: Ext4Size,
}

/// How large a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ext4Size {
    /// So many bytes; a few MiB at the end stay unused where they do not make a block group.
    Fixed(u64),
    /// As large as it must be to hold the tree.
    AtLeast {
        /// Bytes to leave for anybody to use.
        free: u64,
    },
}

/// A planned file system. The tree is read when it is written.
pub struct Ext4Plan<'a> {
    tree: &'a Tree,
    layout: Layout,
    /// Of each entry that has data of its own: the inode that takes it.
    files: Vec<(usize, InodeHandle)>,
    bytes: u64,
}

impl fmt::Debug for Ext4Plan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ext4Plan").field("layout", &self.layout).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl<'a> Ext4Plan<'a> {
    /// Decides everything.
    ///
    /// # Errors
    /// [`DiskError::TooSmall`] with what is needed; [`DiskError::Ext4`] for what ext4 cannot hold.
    pub fn new(tree: &'a Tree, options: &Ext4Options) -> Result<Ext4Plan<'a>, DiskError> {
        let contents = Contents::of(tree);
        let bytes = match options.size {
            Ext4Size::Fixed(bytes) => bytes,
            Ext4Size::AtLeast { free } => contents.needed(free)?,
        };
        let Some(geometry) = contents.fit(bytes) else {
            return Err(DiskError::TooSmall { what: "the ext4 file system", size: bytes, needed: contents.needed(0)? });
        };
        let mut making = Options::new(geometry.blocks * BLOCK, *options.uuid.as_bytes(), options.epoch);
        making.inodes = InodeCount::Exact(geometry.inodes);
        making.label = (!options.label.is_empty()).then(|| options.label.clone());
        making.reserved_percent = size::RESERVED_PERCENT as u8;
        let (builder, files) = declare(tree, making).map_err(|source| DiskError::Ext4 { source })?;
        let layout = builder.seal().map_err(|source| DiskError::Ext4 { source })?;
        Ok(Ext4Plan { tree, layout, files, bytes })
    }

    /// The bytes that were asked for, or found to be needed.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes of data in files, for a progress bar.
    pub fn data_bytes(&self) -> u64 {
        let len = |entry: usize| copy::len(&self.tree.entries()[entry]);
        self.files.iter().fold(0, |sum: u64, (entry, _)| sum.saturating_add(len(*entry)))
    }

    /// Writes the file system at `offset` of a target: all metadata, then the data by `threads` threads. Reports the
    /// bytes of data as they are copied; the phase is the caller's.
    ///
    /// # Errors
    /// [`DiskError::Full`] and [`DiskError::Write`] for the target; [`DiskError::Read`] and [`DiskError::Changed`] for
    /// the files.
    pub fn write(
        &self,
        target: &dyn Target,
        offset: u64,
        threads: usize,
        report: &dyn Report,
    ) -> Result<(), DiskError> {
        let mut sink = Sink { target, offset, pending: Vec::new(), pending_at: 0, failed: None };
        let emitted = self.layout.writer(&mut sink).map(drop);
        let flushed = sink.flush();
        if let Some((at, error)) = sink.failed {
            return Err(DiskError::write(target.name(), at, error));
        }
        emitted.map_err(|source| DiskError::Ext4 { source })?;
        flushed.map_err(|error| DiskError::write(target.name(), offset, error))?;
        copy::data(self.tree, &self.layout, &self.files, target, offset, threads, report)
    }
}

type Declared = (FsBuilder, Vec<(usize, InodeHandle)>);

fn declare(tree: &Tree, options: Options) -> mkext4::Result<Declared> {
    // ext4 allows 65,000 names of a file; an empty file can have more in a store where same files are one.
    const MOST_LINKS: u32 = 65_000;
    let mut builder = FsBuilder::new(options)?;
    let mut handles: Vec<InodeHandle> = Vec::with_capacity(tree.entries().len());
    let mut links: Vec<u32> = vec![1; tree.entries().len()];
    let mut files = Vec::new();
    for (index, entry) in tree.entries().iter().enumerate() {
        if entry.path.is_empty() {
            builder.set_meta(ROOT, meta(entry))?;
            handles.push(ROOT);
            continue;
        }
        let parent = tree.parent(index).map_or(ROOT, |parent| handles[parent]);
        let name = entry.path.rsplit_once('/').map_or(entry.path.as_str(), |(_, name)| name);
        let handle = match &entry.node {
            Node::Dir => builder.mkdir(parent, name, meta(entry))?,
            Node::Symlink(target) => builder.symlink(parent, name, target, meta(entry))?,
            Node::File { len, .. } => {
                let handle = builder.file(parent, name, meta(entry), *len)?;
                files.push((index, handle));
                handle
            }
            Node::Hardlink(to) if links[*to] < MOST_LINKS => {
                links[*to] += 1;
                builder.hardlink(parent, name, handles[*to])?;
                handles[*to]
            }
            Node::Hardlink(to) => {
                // A second file with the same contents takes the names from here on.
                let original = &tree.entries()[*to];
                let handle = builder.file(parent, name, meta(original), copy::len(original))?;
                files.push((*to, handle));
                (handles[*to], links[*to]) = (handle, 1);
                handle
            }
        };
        handles.push(handle);
    }
    // Nothing to copy.
    files.retain(|(entry, _)| copy::len(&tree.entries()[*entry]) > 0);
    Ok((builder, files))
}

fn meta(entry: &Entry) -> Meta {
    Meta::new(entry.mode, entry.uid, entry.gid, (entry.mtime, 0))
}

/// Passes what mkext4 emits on to the target, in pieces of up to 1 MiB: most of it comes as single blocks that follow
/// each other.
struct Sink<'a> {
    target: &'a dyn Target,
    offset: u64,
    pending: Vec<u8>,
    pending_at: u64,
    failed: Option<(u64, std::io::Error)>,
}

impl Sink<'_> {
    const PIECE: usize = 1 << 20;

    fn flush(&mut self) -> std::io::Result<()> {
        if !self.pending.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            self.write(self.pending_at, &pending)?;
            self.pending = pending;
            self.pending.clear();
        }
        Ok(())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> std::io::Result<()> {
        let at = self.offset + at;
        self.target.write_at(at, bytes).map_err(|error| {
            let kind = error.kind();
            self.failed.get_or_insert((at, error));
            kind.into()
        })
    }
}

impl RegionSink for Sink<'_> {
    fn data(&mut self, at: u64, bytes: &[u8]) -> std::io::Result<()> {
        let follows = self.pending_at + self.pending.len() as u64 == at;
        if !follows || self.pending.len() + bytes.len() > Self::PIECE {
            self.flush()?;
            self.pending_at = at;
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    fn zeros(&mut self, at: u64, len: u64) -> std::io::Result<()> {
        self.target.zeros(self.offset + at, len)
    }
}
