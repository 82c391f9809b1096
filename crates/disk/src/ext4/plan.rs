//! A file system whose every byte of metadata and every place of data is decided.

use std::fmt;

use cairn_process::Report;
use mkext4::RegionSink;
use uuid::Uuid;

use crate::error::DiskError;
use crate::ext4::copy;
use crate::ext4::layout::{Layout, Making};
use crate::ext4::size::{self, Contents};
use crate::target::Target;
use crate::tree::Tree;

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
    layout: Layout<'a>,
    bytes: u64,
}

impl fmt::Debug for Ext4Plan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ext4Plan").field("bytes", &self.bytes).finish_non_exhaustive()
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
        let making = Making {
            blocks: geometry.blocks,
            inodes: geometry.inodes,
            uuid: *options.uuid.as_bytes(),
            label: options.label.clone(),
            epoch: options.epoch,
            reserved_percent: size::RESERVED_PERCENT,
        };
        let layout = Layout::new(tree, making).map_err(|source| DiskError::Ext4 { source })?;
        Ok(Ext4Plan { tree, layout, bytes })
    }

    /// The bytes that were asked for, or found to be needed.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes of data in files, for a progress bar.
    pub fn data_bytes(&self) -> u64 {
        let len = |entry: usize| copy::len(&self.tree.entries()[entry]);
        self.layout.files().fold(0, |sum: u64, file| sum.saturating_add(len(file.entry)))
    }

    /// Writes the file system at `offset` of a target by `threads` threads, the metadata by the first of them. Reports the
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
        let metadata = || self.metadata(target, offset);
        copy::data(self.tree, &self.layout, target, offset, threads, report, metadata)
    }

    fn metadata(&self, target: &dyn Target, offset: u64) -> Result<(), DiskError> {
        let mut sink = Sink { target, offset, pending: Vec::new(), pending_at: 0, failed: None };
        let emitted = self.layout.emit(&mut sink);
        let flushed = sink.flush();
        if let Some((at, error)) = sink.failed {
            return Err(DiskError::write(target.name(), at, error));
        }
        emitted.map_err(|source| DiskError::Ext4 { source })?;
        flushed.map_err(|error| DiskError::write(target.name(), offset, error))
    }
}

/// Passes the metadata on to the target, in pieces of up to 1 MiB: most of it comes as single blocks that follow
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use cairn_process::Quiet;

    use super::*;
    use crate::source::{Region, Source};
    use crate::target::MemoryTarget;
    use crate::tree::{Content, Entry, Node};

    fn tree(files: &[(&str, u64, Content)]) -> Tree {
        let mut tree = Tree::new();
        for (path, len, content) in files {
            let node = Node::File { len: *len, content: content.clone() };
            tree.push(Entry { path: (*path).into(), mode: 0o644, uid: 0, gid: 0, mtime: 7, node }).unwrap();
        }
        tree
    }

    fn plan(tree: &Tree) -> Ext4Plan<'_> {
        let size = Ext4Size::AtLeast { free: 0 };
        Ext4Plan::new(tree, &Ext4Options { uuid: Uuid::from_u128(5), label: "x".into(), epoch: 7, size }).unwrap()
    }

    #[derive(Default)]
    struct Counted(AtomicU64);

    impl Report for Counted {
        fn phase(&self, _name: &str, _total: Option<u64>) {}

        fn advance(&self, steps: u64) {
            self.0.fetch_add(steps, Ordering::Relaxed);
        }

        fn note(&self, _text: &str) {}
    }

    #[test]
    fn what_is_told_and_what_is_copied_are_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, vec![3; 300_000]).unwrap();
        let bytes = |len: usize| Content::Bytes(vec![7; len]);
        let mut files = vec![("path", 300_000, Content::Path(path)), ("empty", 0, Content::Path("/nowhere".into()))];
        let names: Vec<String> = (0..150).map(|n| n.to_string()).collect();
        files.extend(names.iter().map(|name| (name.as_str(), 100, bytes(100))));
        let tree = tree(&files);
        let plan = plan(&tree);
        assert_eq!(plan.data_bytes(), 315_000);
        assert!(format!("{plan:?}").starts_with("Ext4Plan { bytes: "));
        let len = usize::try_from(plan.bytes()).unwrap();
        let write = |fill, threads| {
            let target = MemoryTarget::new(len + 8192, fill);
            let report = Counted::default();
            plan.write(&target, 4096, threads, &report).unwrap();
            assert_eq!(report.0.into_inner(), 315_000);
            let region = Region::new(&target, 4096, plan.bytes());
            let reader = crate::ext4::Reader::open(region).unwrap();
            assert!(reader.read("/path", 1 << 20).unwrap().unwrap() == vec![3; 300_000]);
            assert!(reader.read("/149", 100).unwrap().unwrap() == [7; 100]);
            assert_eq!(reader.read("/empty", 0).unwrap().unwrap(), b"");
            let mut bytes = vec![0; len];
            region.read_at(0, &mut bytes).unwrap();
            let around = target.into_bytes();
            assert!(around[..4096].iter().chain(&around[4096 + len..]).all(|b| *b == fill));
            bytes
        };
        assert!(write(0, 1) == write(0x5a, 3), "neither threads nor what was there show");
    }

    #[test]
    fn a_file_that_is_not_what_it_was_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        std::os::unix::fs::symlink("file", dir.path().join("link")).unwrap();
        let put = |len, content| {
            let tree = tree(&[("first", 3, Content::Bytes(b"123".to_vec())), ("file", len, content)]);
            plan(&tree).write(&MemoryTarget::new(16 << 20, 0), 0, 1, &Quiet)
        };
        put(5, Content::Path(path.clone())).unwrap();
        for (len, wanted) in [(4, "more"), (6, "5"), (1 << 20, "5")] {
            let error = put(len, Content::Path(path.clone())).unwrap_err();
            assert!(matches!(&error, DiskError::Changed { found, .. } if found == wanted), "{len}: {error:?}");
        }
        for len in [4, 6] {
            let error = put(len, Content::Bytes(b"12345".to_vec())).unwrap_err();
            assert!(matches!(&error, DiskError::Changed { found, .. } if found == "5"), "{len}: {error:?}");
        }
        // It has become a link.
        let error = put(5, Content::Path(dir.path().join("link"))).unwrap_err();
        assert!(matches!(error, DiskError::Read { .. }), "{error:?}");
    }

    #[test]
    fn the_first_of_several_failures_is_told() {
        // In each batch of files one that is not there, and as many threads as batches.
        let names: Vec<String> = (0..640).map(|n| format!("{n:03}")).collect();
        let of = |name: &String| (name.parse::<u64>().unwrap() % 64) == 63;
        let content = |name: &String| {
            if of(name) { Content::Path(format!("/nowhere/{name}").into()) } else { Content::Bytes(vec![1]) }
        };
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), 1, content(name))).collect();
        let tree = tree(&files);
        let plan = plan(&tree);
        let error = plan.write(&MemoryTarget::new(16 << 20, 0), 0, 10, &Quiet).unwrap_err();
        assert!(matches!(&error, DiskError::Read { path, .. } if path.ends_with("063")), "{error:?}");
    }

    #[test]
    fn pieces_go_where_they_belong() {
        let target = MemoryTarget::new(20 << 20, 0xee);
        let mut sink = Sink { target: &target, offset: 512, pending: Vec::new(), pending_at: 0, failed: None };
        let pieces =
            [(4096, 1, 4096), (16 << 20, 2, 4096), ((16 << 20) + 4096, 3, 100), (0, 4, 2 << 20), (8 << 20, 5, 1)];
        for (at, byte, len) in pieces {
            sink.data(at, &vec![byte; len]).unwrap();
        }
        sink.zeros(3 << 20, 4096).unwrap();
        sink.flush().unwrap();
        let bytes = target.into_bytes();
        let at = |n: usize| bytes[512 + n];
        assert_eq!(
            [at(16 << 20), at((16 << 20) + 4095), at((16 << 20) + 4096), at((16 << 20) + 4196)],
            [2, 2, 3, 0xee]
        );
        assert_eq!([at(0), at(8192), at((2 << 20) - 1), at(2 << 20)], [4, 4, 4, 0xee]);
        assert_eq!([at(3 << 20), at((3 << 20) + 4095), at((3 << 20) + 4096)], [0, 0, 0xee]);
        assert_eq!([at(8 << 20), at((8 << 20) + 1)], [5, 0xee]);
    }
}
