//! What kind of image a file is, told from its first bytes, before any other program sees it. Every command that takes an image
//! opens it here, so none can forget to ask: an image that names further files is refused, whatever it is wanted for.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;

use super::Format;
use super::qcow2::{BadHeader, Header, Qcow2Error, Qcow2Source};
use crate::{Budget, FileSource, Metered, Source};

/// A disk image that is there and looks like one. It stays open: what was looked at is what is used, whatever its name leads to
/// later.
#[derive(Debug, Clone)]
pub struct ImageFile {
    /// Its absolute path, for messages.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// The size of the disk that it holds, in bytes.
    pub size: u64,
    /// Whether it is a disk itself, and no file.
    pub device: bool,
    file: Arc<File>,
}

/// Why a file cannot be run as a disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageFileError {
    /// It cannot be read.
    #[error("reading {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("opening {} for writing", .path.display())]
    Writing {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is no disk image: {found}; a raw image with a partition table or a qcow2 image is expected", .path.display())]
    NotAnImage {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        found: &'static str,
    },
    /// It is an image that cannot be had without other files, a key, or a program that knows more.
    #[error(
        "{} is not used as an image: {asks_for}. Whoever made the image chose that; where you trust it, \
         `qemu-img convert -O qcow2 IMAGE NEW` makes an image that stands alone", .path.display()
    )]
    NotAlone {
        /// The file.
        path: PathBuf,
        /// What it wants, as a sentence.
        asks_for: String,
    },
    /// A qcow2 image that cannot be read.
    #[error(transparent)]
    Qcow2(#[from] Qcow2Error),
}

/// The disk in an image file, with an account of its own for all that reads from it.
///
/// # Errors
/// See [`ImageFileError`].
pub fn open(path: &Path) -> Result<Box<dyn Source>, ImageFileError> {
    ImageFile::open(path)?.source()
}

impl ImageFile {
    /// Looks at a file (or block device). Reads its first kilobyte and a qcow2 image's header, and nothing else.
    ///
    /// # Errors
    /// See [`ImageFileError`].
    pub fn open(path: &Path) -> Result<ImageFile, ImageFileError> {
        let io = |source| ImageFileError::Io { path: path.to_path_buf(), source };
        let not = |found| ImageFileError::NotAnImage { path: path.to_path_buf(), found };
        let absolute = path.canonicalize().map_err(io)?;
        // Before it is opened, for opening a device can do something; and afterwards, for it may be another file by then.
        usable(absolute.metadata().map_err(io)?.file_type()).map_err(not)?;
        let mut file = quietly().open(&absolute).map_err(io)?;
        let kind = file.metadata().map_err(io)?.file_type();
        usable(kind).map_err(not)?;
        let mut head = Vec::new();
        (&mut file).take(1024).read_to_end(&mut head).map_err(io)?;
        // Not from the metadata: a block device says 0 there.
        let length = file.seek(SeekFrom::End(0)).map_err(io)?;
        let (format, size) = match recognise(&head, length).map_err(not)? {
            Format::Raw => (Format::Raw, length),
            Format::Qcow2 => (Format::Qcow2, stands_alone(&file, path)?),
        };
        let device = kind.is_block_device();
        Ok(ImageFile { path: absolute, format, size, device, file: Arc::new(file) })
    }

    /// The disk in it, with an account of its own for all that reads from it.
    ///
    /// # Errors
    /// See [`ImageFileError`].
    pub fn source(&self) -> Result<Box<dyn Source>, ImageFileError> {
        let io = |source| ImageFileError::Io { path: self.path.clone(), source };
        let file = self.file().map_err(io)?;
        let budget = Budget::shared();
        Ok(match self.format {
            Format::Raw => Box::new(Metered::new(FileSource::new(file).map_err(io)?, budget)),
            Format::Qcow2 => Box::new(Qcow2Source::of_file(file, &self.path, budget)?),
        })
    }

    /// The open file once more.
    ///
    /// # Errors
    /// The system's.
    pub fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Where a child of ours finds this very file while it is open here: a path that no program takes for anything else, whatever
    /// characters the image's own name has.
    pub fn path_for_children(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()))
    }

    /// Whether it may be written, as it will be when a machine keeps its changes.
    ///
    /// # Errors
    /// [`ImageFileError::Writing`].
    pub fn check_writable(&self) -> Result<(), ImageFileError> {
        let open = quietly().write(true).open(self.path_for_children());
        open.map(drop).map_err(|source| ImageFileError::Writing { path: self.path.clone(), source })
    }
}

/// Never waits: a pipe without a writer would be waited for.
fn quietly() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    options
}

fn usable(kind: FileType) -> Result<(), &'static str> {
    if kind.is_dir() {
        return Err("it is a directory");
    }
    if !kind.is_file() && !kind.is_block_device() {
        return Err("it is neither a file nor a disk");
    }
    Ok(())
}

/// The size of a qcow2 image's disk, if nothing else is needed for it.
fn stands_alone(file: &File, path: &Path) -> Result<u64, ImageFileError> {
    let not = |found| ImageFileError::NotAnImage { path: path.to_path_buf(), found };
    let header = Header::read(file).map_err(|bad| match bad {
        BadHeader::Damaged(found) => not(found),
        BadHeader::Corrupt => not("it is a qcow2 image that says of itself that it is damaged (see `qemu-img check`)"),
    })?;
    match header.asks_for {
        Some(asks_for) => Err(ImageFileError::NotAlone { path: path.to_path_buf(), asks_for }),
        None => Ok(header.size),
    }
}

/// Tells the format from the first kilobyte and the file's length.
fn recognise(head: &[u8], length: u64) -> Result<Format, &'static str> {
    if head.is_empty() {
        return Err("it is empty");
    }
    if head.starts_with(b"QFI\xfb") {
        return Ok(Format::Qcow2);
    }
    // A virtual disk of another program may hold a partition table where a raw image has it.
    if let Some((_, _, found)) = OTHERS.iter().find(|(at, magic, _)| head[(*at).min(head.len())..].starts_with(magic)) {
        return Err(found);
    }
    let gpt = head.get(512..520) == Some(b"EFI PART");
    let mbr = head.get(510..512) == Some(&[0x55, 0xaa]);
    if gpt || mbr {
        return if length.is_multiple_of(512) {
            Ok(Format::Raw)
        } else {
            Err("its length is no multiple of 512 bytes")
        };
    }
    Err(match head {
        _ if head.iter().all(|b| *b == 0) => "it begins with zeros and has no partition table",
        _ if std::str::from_utf8(head).is_ok() => "it is a text file",
        _ => "it has no partition table",
    })
}

/// What else people have, by what it begins with.
const OTHERS: [(usize, &[u8], &str); 16] = [
    (0, &[0x1f, 0x8b], "it is compressed with gzip"),
    (0, &[0x28, 0xb5, 0x2f, 0xfd], "it is compressed with zstd"),
    (0, &[0xfd, b'7', b'z', b'X', b'Z'], "it is compressed with xz"),
    (0, b"BZh", "it is compressed with bzip2"),
    (0, &[b'P', b'K', 3, 4], "it is a zip archive"),
    (257, b"ustar", "it is a tar archive"),
    (0, b"KDMV", "it is a VMDK image"),
    (0, b"COWD", "it is a VMDK image"),
    (0, b"# Disk DescriptorFile", "it is the description of a VMDK image"),
    (0, b"vhdxfile", "it is a VHDX image"),
    (0, b"conectix", "it is a VHD image"),
    (64, &[0x7f, 0x10, 0xda, 0xbe], "it is a VDI image"),
    (0, b"QED\0", "it is a QED image"),
    (0, b"WithoutFreeSpace", "it is a Parallels image"),
    (0, b"WithouFreSpacExt", "it is a Parallels image"),
    (0, b"LUKS\xba\xbe", "it is encrypted with LUKS"),
];

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn found(bytes: &[u8]) -> Result<Format, &'static str> {
        recognise(&bytes[..bytes.len().min(1024)], bytes.len() as u64)
    }

    #[test]
    fn a_disk_with_a_partition_table_is_raw() {
        let mut disk = vec![0; 4096];
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(found(&disk), Ok(Format::Raw));
        disk.push(0);
        assert_eq!(found(&disk), Err("its length is no multiple of 512 bytes"));
    }

    #[test]
    fn other_things_are_named() {
        assert_eq!(found(b""), Err("it is empty"));
        assert_eq!(found(b"version: 1\n"), Err("it is a text file"));
        assert_eq!(found(&[0; 2048]), Err("it begins with zeros and has no partition table"));
        assert_eq!(found(&[0x1f, 0x8b, 8, 0]), Err("it is compressed with gzip"));
        assert_eq!(found(b"# Disk DescriptorFile\nversion=1\n"), Err("it is the description of a VMDK image"));
        // The end of its first sector is where a partition table has its mark.
        let mut vhd = b"conectix".to_vec();
        vhd.resize(1024, 0);
        vhd[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(found(&vhd), Err("it is a VHD image"));
    }

    #[test]
    fn a_directory_is_no_image() {
        let error = ImageFile::open(&std::env::temp_dir()).unwrap_err().to_string();
        assert!(error.contains("it is a directory"), "{error}");
    }

    /// A qcow2 file of an empty disk of 5 GiB, with this header.
    fn qcow2(change: impl Fn(&mut Vec<u8>)) -> tempfile::NamedTempFile {
        let mut bytes = b"QFI\xfb\0\0\0\x03".to_vec();
        bytes.resize(1 << 16, 0);
        bytes[20..24].copy_from_slice(&16_u32.to_be_bytes());
        bytes[24..32].copy_from_slice(&(5_u64 << 30).to_be_bytes());
        bytes[100..104].copy_from_slice(&104_u32.to_be_bytes());
        change(&mut bytes);
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().write_all_at(&bytes, 0).unwrap();
        file
    }

    #[track_caller]
    fn refused(change: impl Fn(&mut Vec<u8>), words: &str) {
        let error = ImageFile::open(qcow2(change).path()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn qcow2_tells_its_size_in_the_header() {
        let image = qcow2(|_| {});
        let image = ImageFile::open(image.path()).unwrap();
        assert_eq!((image.format, image.size), (Format::Qcow2, 5 << 30));
        refused(|bytes| bytes.truncate(60), "it is a qcow2 image that breaks off in its header");
        refused(|bytes| bytes.truncate(100), "it is a qcow2 image that breaks off in its header");
    }

    #[test]
    fn a_qcow2_image_that_needs_anything_else_is_refused() {
        let put = |at: usize, with: &'static [u8]| {
            move |bytes: &mut Vec<u8>| bytes[at..at + with.len()].copy_from_slice(with)
        };
        refused(put(7, &[1]), "version 1");
        refused(put(7, &[4]), "version 4");
        refused(put(23, &[40]), "impossible size");
        refused(put(35, &[1]), "it is encrypted");
        refused(put(35, &[2]), "it is encrypted");
        refused(put(79, &[2]), "says of itself that it is damaged");
        refused(put(79, &[4]), "its data is in another file, its data file");
        refused(put(79, &[32]), "features (0x20) that nobody knows");
        refused(put(72, &[1]), "features (0x100000000000000) that nobody knows");
        refused(put(104, b"DATA\0\0\0\x04sda1"), "its data file 'sda1'");
        // Behind another extension, as QEMU would find it.
        let late = b"\x68\x03\xf8\x57\0\0\0\x03abc\0\0\0\0\0DATA\0\0\0\x04sda1";
        refused(put(104, late), "its data file 'sda1'");
        refused(put(104, b"\x05\x37\xbe\x77\0\0\0\x10"), "it is encrypted");
        refused(put(104, b"\x01\x02\x03\x04\xff\xff\xff\xff"), "damaged header");
        refused(put(100, &[0, 0, 0, 8]), "damaged header");
        refused(put(100, &[0, 2, 0, 0]), "damaged header");
        let backing = |bytes: &mut Vec<u8>| {
            bytes[15] = 200;
            bytes[19] = 6;
            bytes[200..206].copy_from_slice(b"json:{");
        };
        refused(backing, "its backing file 'json:{'");
        // The features that only change how the image itself is read.
        for known in [1, 8, 16] {
            let image = qcow2(|bytes| bytes[79] = known);
            ImageFile::open(image.path()).unwrap();
        }
    }

    #[test]
    fn what_was_opened_is_what_others_get_whatever_the_name_leads_to_then() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("a,b:json:{=.raw");
        let mut disk = vec![0; 1024];
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        std::fs::write(&name, &disk).unwrap();
        let image = ImageFile::open(&name).unwrap();
        std::fs::remove_file(&name).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &name).unwrap();
        assert_eq!(std::fs::read(image.path_for_children()).unwrap(), disk);
        assert!(!image.path_for_children().to_string_lossy().contains([',', ':', '=']));
    }

    #[test]
    fn a_pipe_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.raw");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = ImageFile::open(&pipe).unwrap_err().to_string();
        assert!(error.contains("it is neither a file nor a disk"), "{error}");
    }
}
