//! A unified kernel image (<https://uapi-group.org/specifications/specs/unified_kernel_image/>): systemd's stub with a kernel, its
//! initrd and its command line as sections of one program for UEFI, so that one signature is for all of them. Its parts stay in the
//! store until it is written: only the stub's own bytes and the texts are here.
//!
//! The command line says whether the generation is on trial, and what is signed cannot be changed afterwards. So an image has both:
//! it is made of two profiles, of which the loader chooses one by its number (systemd 257).

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::generation::{Artifact, Generation, Variant};

/// Where the parts of a PE file are, from its header on (Microsoft's PE format).
const HEADER_AT: usize = 0x3c;
const SECTIONS: usize = 6;
const OPTIONAL_SIZE: usize = 20;
const OPTIONAL: usize = 24;
/// In the optional header of a 64-bit program.
const MAGIC: (usize, u16) = (0, 0x20b);
const INITIALIZED: usize = 8;
const SECTION_ALIGNMENT: usize = 32;
const FILE_ALIGNMENT: usize = 36;
const IMAGE_SIZE: usize = 56;
const HEADERS_SIZE: usize = 60;
const CHECKSUM: usize = 64;
const DIRECTORIES: usize = 108;
/// The directory of signatures.
const CERTIFICATES: usize = 112 + 4 * 8;
/// A line of the table of sections.
const LINE: usize = 40;
/// Initialized data that can be read.
const DATA: u32 = 0x4000_0040;
/// A signature's own header (`WIN_CERTIFICATE`): its length, the version and the kind.
const CERTIFICATE: usize = 8;
const VERSION_2: u16 = 0x0200;
const SIGNED_DATA: u16 = 0x0002;
/// Larger programs cannot be told in 32 bits.
const MOST: u64 = 1 << 31;

/// The profile of an image on trial, as an entry's options name it. Without a word it is the first.
pub(crate) const ON_TRIAL: &str = "@1";

/// A piece of a file that is put together from several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file of the store.
    Store(Artifact),
}

impl Piece {
    /// The length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::Store(artifact) => artifact.size,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A program for UEFI that nobody has signed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    pieces: Vec<Piece>,
    /// Where in the first piece the directory of signatures is told.
    directory: usize,
}

/// A program for UEFI with a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What it is put together from.
    pub pieces: Vec<Piece>,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of all of it.
    pub sha256: [u8; 32],
}

/// What belongs on the partition of a machine with keys of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Images {
    /// Of each generation that has an entry: its image, and then those of its variants.
    pub generations: BTreeMap<u64, Vec<Signed>>,
    /// What the firmware is given to know the machine by, while it knows nobody: the contents of [`crate::ENROLLED`].
    pub enrolled: Vec<(&'static str, Vec<u8>)>,
}

/// Why a program cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageError {
    /// It is no program for UEFI with 64 bits, or has been signed already.
    #[error("it is no program for UEFI that could be signed")]
    NoProgram,
    /// Its headers have no room for the sections.
    #[error("its headers have no room for {0} sections more")]
    NoRoom(usize),
    /// It knows nothing of profiles.
    #[error("it is of a systemd before 257, whose images have one command line only")]
    NoProfiles,
    /// It would be larger than a program can be.
    #[error("the image would be larger than 2 GiB")]
    TooLarge,
}

/// The sections of a generation's image besides the stub's own.
fn sections(generation: &Generation, of: Option<&Variant>) -> Vec<(&'static str, Piece)> {
    let text = |text: String| Piece::Bytes(text.into_bytes());
    let (spec, kernel, initrd, tree) = match of {
        None => (&generation.bootspec, &generation.kernel, &generation.initrd, &generation.device_tree),
        Some(one) => (&one.bootspec, &one.kernel, &one.initrd, &one.device_tree),
    };
    let line = |trial| {
        let words = of.map_or_else(|| generation.command_line(trial), |one| generation.variant_line(one, trial));
        text(words.join(" "))
    };
    let name: String = spec.label.chars().filter(|c| !c.is_control() && !"\"\\$`".contains(*c)).collect();
    let release = format!("ID=cairn\nPRETTY_NAME=\"{name}\"\nVERSION_ID={}\n", generation.number);
    let mut all = vec![(".osrel", text(release))];
    all.extend(generation.kernel_release.iter().map(|release| (".uname", text(release.clone()))));
    all.push((".cmdline", line(false)));
    all.extend(tree.iter().map(|tree| (".dtb", Piece::Store(tree.clone()))));
    all.extend(initrd.iter().map(|initrd| (".initrd", Piece::Store(initrd.clone()))));
    all.push((".linux", Piece::Store(kernel.clone())));
    // What stands before the first of them is every profile's, unless it has its own.
    all.push((".profile", text("ID=good\n".into())));
    all.push((".profile", text("ID=trial\nTITLE=on trial\n".into())));
    all.push((".cmdline", line(true)));
    all
}

impl Unsigned {
    /// A program as it is, such as a boot loader's.
    ///
    /// # Errors
    /// [`ImageError::NoProgram`].
    pub fn program(mut bytes: Vec<u8>) -> Result<Unsigned, ImageError> {
        let (_, optional) = headers(&bytes)?;
        bytes.resize(bytes.len().next_multiple_of(CERTIFICATE), 0);
        Ok(Unsigned { pieces: vec![Piece::Bytes(bytes)], directory: optional + CERTIFICATES })
    }

    /// The image of a generation, or of one of its variants.
    ///
    /// # Errors
    /// A stub that is none, or that is too old.
    pub fn image(stub: &[u8], generation: &Generation, of: Option<&Variant>) -> Result<Unsigned, ImageError> {
        Unsigned::has_profiles(stub)?;
        with_sections(stub, sections(generation, of))
    }

    /// Whether images can be made of a stub: it has to know of profiles.
    ///
    /// # Errors
    /// [`ImageError::NoProfiles`].
    pub fn has_profiles(stub: &[u8]) -> Result<(), ImageError> {
        stub.windows(8).any(|name| name == b".profile").then_some(()).ok_or(ImageError::NoProfiles)
    }

    /// What it is put together from.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// What its bytes follow from, as one hash: what is signed under it is always the same.
    pub fn id(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for piece in &self.pieces {
            let hash: [u8; 32] = match piece {
                Piece::Bytes(bytes) => Sha256::digest(bytes).into(),
                Piece::Store(artifact) => artifact.sha256,
            };
            hasher.update(piece.len().to_le_bytes());
            hasher.update(hash);
        }
        hasher.finalize().into()
    }

    /// The same with a signature (PKCS #7, as Authenticode has it), whose hash is still to be found.
    pub fn signed(&self, signature: &[u8]) -> Signed {
        let start: u64 = self.pieces.iter().map(Piece::len).sum();
        let length = (CERTIFICATE + signature.len()).next_multiple_of(CERTIFICATE);
        let mut table = Vec::with_capacity(length);
        table.extend(number(length as u64));
        table.extend(VERSION_2.to_le_bytes());
        table.extend(SIGNED_DATA.to_le_bytes());
        table.extend(signature);
        table.resize(length, 0);
        let mut pieces = self.pieces.clone();
        if let Some(Piece::Bytes(head)) = pieces.first_mut() {
            head[self.directory..self.directory + 4].copy_from_slice(&number(start));
            head[self.directory + 4..self.directory + 8].copy_from_slice(&number(length as u64));
        }
        pieces.push(Piece::Bytes(table));
        Signed { pieces, size: start + length as u64, sha256: [0; 32] }
    }
}

fn number(value: u64) -> [u8; 4] {
    // Nothing here is larger than `MOST`, which was looked at.
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

fn get4(bytes: &[u8], at: usize) -> Result<usize, ImageError> {
    let found = bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes);
    found.and_then(|found| usize::try_from(found).ok()).ok_or(ImageError::NoProgram)
}

fn get2(bytes: &[u8], at: usize) -> Result<usize, ImageError> {
    let found = bytes.get(at..at + 2).and_then(|two| two.try_into().ok()).map(u16::from_le_bytes);
    found.map(usize::from).ok_or(ImageError::NoProgram)
}

/// Where a program's header is, and its optional header.
fn headers(bytes: &[u8]) -> Result<(usize, usize), ImageError> {
    let header = get4(bytes, HEADER_AT)?;
    let rest = bytes.get(header..).ok_or(ImageError::NoProgram)?;
    let is = bytes.starts_with(b"MZ") && rest.starts_with(b"PE\0\0");
    let (at, magic) = MAGIC;
    let signed = get4(rest, OPTIONAL + CERTIFICATES)? != 0 || get4(rest, OPTIONAL + CERTIFICATES + 4)? != 0;
    let fits = get2(rest, OPTIONAL_SIZE)? >= CERTIFICATES + 8 && get4(rest, OPTIONAL + DIRECTORIES)? > 4;
    if !is || get2(rest, OPTIONAL + at)? != usize::from(magic) || !fits || signed || bytes.len() as u64 >= MOST {
        return Err(ImageError::NoProgram);
    }
    Ok((header, header + OPTIONAL))
}

/// A program with more sections behind its own.
fn with_sections(stub: &[u8], sections: Vec<(&'static str, Piece)>) -> Result<Unsigned, ImageError> {
    let (header, optional) = headers(stub)?;
    let (count, table) = (get2(stub, header + SECTIONS)?, optional + get2(stub, header + OPTIONAL_SIZE)?);
    let (in_memory, in_file) =
        (get4(stub, optional + SECTION_ALIGNMENT)? as u64, get4(stub, optional + FILE_ALIGNMENT)? as u64);
    let pages = |n: u64| n.is_power_of_two() && n <= 1 << 20;
    if !pages(in_memory) || !pages(in_file) || in_file < CERTIFICATE as u64 {
        return Err(ImageError::NoProgram);
    }
    // Where the program's own end, in memory and in its headers.
    let mut end = get4(stub, optional + HEADERS_SIZE)? as u64;
    let mut first = end;
    for line in (0..count).map(|n| table + n * LINE) {
        let (size, address) = (get4(stub, line + 8)? as u64, get4(stub, line + 12)? as u64);
        end = end.max(address + size);
        if get4(stub, line + 16)? > 0 {
            first = first.min(get4(stub, line + 20)? as u64);
        }
    }
    let new = (table + (count + sections.len()) * LINE) as u64;
    if new > first || first > stub.len() as u64 {
        return Err(ImageError::NoRoom(sections.len()));
    }
    let mut head = stub.to_vec();
    head.resize(usize::try_from((stub.len() as u64).next_multiple_of(in_file)).map_err(|_| ImageError::TooLarge)?, 0);
    let mut at = head.len() as u64;
    let mut data = get4(stub, optional + INITIALIZED)? as u64;
    let mut pieces = Vec::new();
    let total = sections.len();
    for (n, (name, piece)) in sections.into_iter().enumerate() {
        let (len, line) = (piece.len(), table + (count + n) * LINE);
        let (address, room) = (end.next_multiple_of(in_memory), len.next_multiple_of(in_file));
        if len >= MOST || address + room >= MOST || at + room >= MOST {
            return Err(ImageError::TooLarge);
        }
        head[line..line + LINE].fill(0);
        head[line..line + name.len()].copy_from_slice(name.as_bytes());
        for (field, value) in [(8, len), (12, address), (16, room), (20, at), (36, DATA.into())] {
            head[line + field..line + field + 4].copy_from_slice(&number(value));
        }
        pieces.push(piece);
        pieces.push(Piece::Bytes(vec![0; usize::try_from(room - len).map_err(|_| ImageError::TooLarge)?]));
        end = address + len;
        at += room;
        data += room;
    }
    let count = u16::try_from(count + total).map_err(|_| ImageError::NoRoom(total))?;
    head[header + SECTIONS..header + SECTIONS + 2].copy_from_slice(&count.to_le_bytes());
    for (field, value) in [(INITIALIZED, data), (IMAGE_SIZE, end.next_multiple_of(in_memory)), (CHECKSUM, 0)] {
        head[optional + field..optional + field + 4].copy_from_slice(&number(value));
    }
    pieces.insert(0, Piece::Bytes(head));
    pieces.retain(|piece| !piece.is_empty());
    Ok(Unsigned { pieces, directory: optional + CERTIFICATES })
}
