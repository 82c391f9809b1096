//! The boot set: the files that a boot partition must hold, each with the part that it plays.

use bootloader_templates::TemplateError;
use sha2::{Digest, Sha256};

use crate::entry_name::EntryName;
use crate::generation::Artifact;
use crate::image::Signed;
use crate::installation::Installation;

/// Which partition a file belongs on. On a disk with one boot partition both are that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The EFI system partition: the firmware starts the loader from it.
    Esp,
    /// Where the loader finds kernels and entries: XBOOTLDR where there is one, else the ESP.
    Boot,
}

/// Where a file's contents come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file of the store.
    Store(Artifact),
    /// A program that the machine has signed, with the signature.
    Signed(Signed),
}

impl Content {
    /// The length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Store(artifact) => artifact.size,
            Content::Signed(program) => program.size,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// SHA-256 of the contents.
    pub fn sha256(&self) -> [u8; 32] {
        match self {
            Content::Bytes(bytes) => Sha256::digest(bytes).into(),
            Content::Store(artifact) => artifact.sha256,
            Content::Signed(program) => program.sha256,
        }
    }
}

/// The part that a file plays, which decides how it may be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// A kernel or an initrd, named by its contents: written once, never overwritten.
    Artifact,
    /// A menu entry or a menu: written once when all that it names is there.
    Entry(Option<EntryName>),
    /// At most one sector, which is overwritten in place: after a power cut it says the old or the new.
    Sector,
    /// A boot loader's program, which the firmware finds by this very name.
    Program,
    /// A program that shim starts, by this very name beside itself. It is changed before the shim is that starts it: an older
    /// shim starts a newer one, and a newer shim may have heard that an older one is not to be trusted.
    SecondStage,
    /// GRUB's first script where its place is everybody's: one sector, as [`Role::Sector`], that must not take the place of
    /// another system's.
    Stub,
    /// A file of no consequence for what boots.
    Plain,
    /// A file of the machine file's own, which must not take the place of somebody else's.
    Own,
}

impl Role {
    /// What the part is called.
    pub fn name(&self) -> &'static str {
        match self {
            Role::Artifact => "artifact",
            Role::Entry(_) => "entry",
            Role::Sector => "sector",
            Role::Program => "program",
            Role::SecondStage => "second stage",
            Role::Stub => "stub",
            Role::Plain => "plain",
            Role::Own => "own",
        }
    }
}

/// One file of the boot set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFile {
    /// The partition.
    pub place: Place,
    /// The path on it, without a leading slash.
    pub path: String,
    /// What is in it.
    pub content: Content,
    /// Its part.
    pub role: Role,
}

impl BootFile {
    /// Whether the machine has to remember that the file is its own: neither its name nor its contents say so.
    pub fn is_remembered(&self, installation: Installation) -> bool {
        self.role == Role::Own || self.role == Role::SecondStage && !installation.owns(&self.path)
    }
}

/// Everything that a boot partition must hold, sorted by partition and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootSet {
    /// The files.
    pub files: Vec<BootFile>,
}

/// Why there is no boot set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// Without a generation the menu would be empty.
    #[error("there is no generation to boot")]
    Empty,
    /// Two generations with one number.
    #[error("generation {0} is there twice")]
    Twice(u64),
    /// There are keys, and a generation has no image that is signed by them.
    #[error("generation {0} has no image that the machine's own keys have signed")]
    NotSigned(u64),
    /// A value that the loader's files cannot carry.
    #[error("writing the menu entry of generation {number}")]
    Entry {
        /// The generation.
        number: u64,
        /// Why.
        source: TemplateError,
    },
    /// An entry of the machine file's own that the loader's files cannot carry.
    #[error("writing the menu entry {name}")]
    Extra {
        /// Its name in `boot.entries`.
        name: String,
        /// Why.
        source: TemplateError,
    },
    /// GRUB's environment block.
    #[error("writing GRUB's environment block")]
    Environment(#[source] bootloader_templates::grub::BlockError),
    /// The loader's own configuration.
    #[error("writing the boot loader's configuration")]
    Loader(#[source] TemplateError),
    /// More than one sector cannot be changed at once.
    #[error(
        "{path} would have {len} bytes, and only {SECTOR} can be replaced so that a power cut leaves the old or the new"
    )]
    TooLong {
        /// The file.
        path: String,
        /// Its length.
        len: usize,
    },
}

/// The size of a file that is overwritten in place, in bytes: the smallest sector that a disk has.
pub const SECTOR: usize = 512;

/// A text made exactly one sector long by a comment at its end, so that it can be overwritten in place for ever.
pub(crate) fn one_sector(path: &str, text: &str) -> Result<Vec<u8>, SetError> {
    let mut bytes = text.as_bytes().to_vec();
    if bytes.len() > SECTOR || (bytes.len() < SECTOR && !text.ends_with('\n')) {
        return Err(SetError::TooLong { path: path.into(), len: bytes.len() });
    }
    bytes.resize(SECTOR, b'#');
    if let Some(last) = bytes.last_mut() {
        *last = b'\n';
    }
    Ok(bytes)
}

impl BootSet {
    /// The set with one file for each path, sorted.
    pub(crate) fn new(mut files: Vec<BootFile>) -> BootSet {
        files.sort_by(|a, b| (a.place, &a.path).cmp(&(b.place, &b.path)));
        files.dedup_by(|a, b| (a.place, &a.path) == (b.place, &b.path));
        BootSet { files }
    }

    /// The same set for a disk whose one boot partition is everything.
    #[must_use]
    pub fn on_one_partition(self, place: Place) -> BootSet {
        BootSet::new(self.files.into_iter().map(|file| BootFile { place, ..file }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sector_is_filled_by_a_comment_or_refused() {
        let line = |len: usize| format!("{}\n", "x".repeat(len - 1));
        for len in [1, 100, SECTOR - 1, SECTOR] {
            let bytes = one_sector("a", &line(len)).unwrap();
            assert_eq!(bytes.len(), SECTOR);
            assert!(bytes.starts_with(&line(len).as_bytes()[..len]) && bytes.ends_with(b"\n"), "{len}");
            assert!(bytes[len..].iter().rev().skip(1).all(|byte| *byte == b'#'), "{len}");
        }
        // What fills it needs no comment, whatever it ends with; a comment cannot follow half a line.
        assert!(one_sector("a", &"x".repeat(SECTOR)).is_ok());
        for (text, len) in [("x".repeat(SECTOR - 1), SECTOR - 1), (line(SECTOR + 1), SECTOR + 1), (line(2000), 2000)] {
            let error = one_sector("a", &text).unwrap_err();
            assert!(matches!(&error, SetError::TooLong { path, len: told } if path == "a" && *told == len), "{error}");
        }
        assert!(Content::Bytes(Vec::new()).is_empty() && !Content::Bytes(vec![0]).is_empty());
    }
}
