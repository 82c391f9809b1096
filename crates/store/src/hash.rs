//! Reading a tree once over two threads: one makes the NAR's hash and looks for references, the other hashes each
//! file for the listing. The NAR's hash is sequential by nature, so more threads would not help.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use nix_archive::nar::{CaseHack, ReferencePattern, ReferenceScan};
use sha2::{Digest, Sha256};

use crate::canonical::{Found, FoundKind, below};
use crate::{Entry, EntryKind, Listing, StoreError, StorePath};

/// How much of a file is read at a time.
const PIECE: u64 = 256 * 1024;

/// What reading a tree told.
#[derive(Debug)]
pub(crate) struct Hashed {
    pub(crate) nar_hash: [u8; 32],
    pub(crate) nar_size: u64,
    /// Those of the candidates whose hash parts occur in the tree.
    pub(crate) references: BTreeSet<StorePath>,
    pub(crate) listing: Listing,
}

/// Reads a canonical tree.
pub(crate) fn hash_tree(top: &Path, found: Vec<Found>, candidates: &[StorePath]) -> Result<Hashed, StoreError> {
    let (nar, listing) = std::thread::scope(|scope| {
        let files = scope.spawn(|| hash_files(top, found));
        let nar = nar_hash(top, candidates);
        let listing = files.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (nar, listing)
    });
    let (nar, listing) = (nar?, listing?);
    let references = nar.matches.iter().map(|i| candidates[*i].clone()).collect();
    Ok(Hashed { nar_hash: nar.nar_sha256, nar_size: nar.nar_size, references, listing })
}

/// The NAR's hash and size, and the indices of the candidates that occur in it.
pub(crate) fn nar_hash(top: &Path, candidates: &[StorePath]) -> Result<ReferenceScan, StoreError> {
    let pattern = ReferencePattern::new(candidates.iter().map(StorePath::hash_part)).map_err(|e| {
        // A checked store path always has a hash part of the right length and letters; say it all the same.
        StoreError::Unsupported { path: top.to_path_buf(), why: e.to_string() }
    })?;
    pattern.scan_path(top, CaseHack::Disabled).map_err(|source| StoreError::Nar { path: top.to_path_buf(), source })
}

fn hash_files(top: &Path, found: Vec<Found>) -> Result<Listing, StoreError> {
    let mut buffer = Vec::new();
    let mut entries = Vec::with_capacity(found.len());
    for Found { path, kind } in found {
        let kind = match kind {
            FoundKind::Directory => EntryKind::Directory,
            FoundKind::Symlink { target } => EntryKind::Symlink { target },
            FoundKind::File { executable } => {
                let (size, sha256) = hash_file(&below(top, &path), &mut buffer)?;
                EntryKind::File { size, executable, sha256 }
            }
        };
        entries.push(Entry { path, kind });
    }
    Ok(Listing::new(entries))
}

/// Length and SHA-256 of one file. The buffer is only kept for the next one.
pub(crate) fn hash_file(path: &Path, buffer: &mut Vec<u8>) -> Result<(u64, [u8; 32]), StoreError> {
    let reading = || StoreError::io("reading", path);
    let mut file = crate::plain::open(path).map_err(reading())?;
    let (mut size, mut hash) = (0, Sha256::new());
    loop {
        buffer.clear();
        let read = file.by_ref().take(PIECE).read_to_end(buffer).map_err(reading())?;
        size += read as u64;
        hash.update(&buffer);
        if (read as u64) < PIECE {
            return Ok((size, hash.finalize().into()));
        }
    }
}
