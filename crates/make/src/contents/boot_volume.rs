//! A FAT volume in user space as the boot transaction wants it: an image's boot partition is written by the same engine as
//! that of a running machine.

use std::io::{self, Cursor, Read};
use std::path::PathBuf;

use cairn_boot::{Content, Kind, Piece, ReadVolume, Space, Step, Target, Volume, apply};
use cairn_disk::DiskError;
use cairn_disk::fat::{self, FatContents, FatFile, FatVolume};
use cairn_root::Root;

/// The volume.
#[derive(Debug)]
pub struct BootVolume<'v, 'd>(pub &'v mut FatVolume<'d>);

impl ReadVolume for BootVolume<'_, '_> {
    fn list(&self, directory: &str) -> io::Result<Vec<(String, Kind)>> {
        let entries = self.0.list(directory)?.unwrap_or_default();
        let kind = |entry: &fat::FatEntry| if entry.is_dir { Kind::Directory } else { Kind::File(entry.len) };
        Ok(entries.iter().map(|entry| (entry.name.clone(), kind(entry))).collect())
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.0.read(path)?))
    }

    fn space(&self) -> io::Result<Space> {
        let (cluster, free) = self.0.space()?;
        Ok(Space { cluster, free })
    }
}

impl Volume for BootVolume<'_, '_> {
    fn create(&mut self, path: &str, contents: &mut dyn Read, _len: u64) -> io::Result<()> {
        self.0.create(path, contents)
    }

    fn overwrite(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.overwrite(path, bytes)
    }

    fn replace(&mut self, path: &str, contents: &mut dyn Read, _len: u64) -> io::Result<()> {
        self.0.remove(path)?;
        self.0.create(path, contents)
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        self.0.remove(path)
    }

    /// An image counts when it is whole, and has no name before that.
    fn barrier(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a new boot partition gets: the steps of the boot transaction, from nothing.
#[derive(Debug, Clone, Default)]
pub struct NewBootPartition {
    /// The steps.
    pub steps: Vec<Step>,
    /// What the partition must have room for: these files and those of the next generations.
    pub room_for: Vec<FatFile>,
    /// The root of the store that kernels come from.
    pub store: PathBuf,
}

impl FatContents for NewBootPartition {
    fn needed(&self) -> u64 {
        fat::needed(&self.room_for)
    }

    fn put(&self, volume: &mut FatVolume<'_>) -> Result<(), DiskError> {
        let update = cairn_boot::Update { steps: self.steps.clone(), written: 0, healed: Vec::new() };
        let mut volume = BootVolume(volume);
        let mut target = Target { esp: Some(&mut volume), boot: None };
        let root = Root::open(&self.store).map_err(|error| DiskError::Contents { source: error.into() })?;
        let open = |content: &Content| open(&root, content);
        apply(&update, &mut target, &open, &mut |_| ()).map_err(|error| DiskError::Contents { source: error.into() })
    }
}

/// Opens what goes onto a boot partition; a store's files are those of the machine with this root.
///
/// # Errors
/// The system's; [`io::ErrorKind::InvalidInput`] for what is no file.
pub fn open(root: &Root, content: &Content) -> io::Result<Box<dyn Read>> {
    Ok(match content {
        Content::Bytes(bytes) => Box::new(Cursor::new(bytes.clone())),
        Content::Store(artifact) => Box::new(root.open_file(&artifact.store_path)?),
        Content::Signed(program) => put_together(root, &program.pieces)?,
    })
}

/// Opens what is put together from pieces, one after the other; a store's files are those of the machine with this root.
///
/// # Errors
/// See [`open`].
pub fn put_together(root: &Root, pieces: &[Piece]) -> io::Result<Box<dyn Read>> {
    let mut all: Box<dyn Read> = Box::new(io::empty());
    for piece in pieces {
        all = match piece {
            Piece::Bytes(bytes) => Box::new(all.chain(Cursor::new(bytes.clone()))),
            Piece::Store(artifact) => Box::new(all.chain(root.open_file(&artifact.store_path)?.take(artifact.size))),
        };
    }
    Ok(all)
}
