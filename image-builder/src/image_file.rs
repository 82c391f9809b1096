//! What kind of image a file is, told from its first bytes, before any other program sees it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// The formats that can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The disk's bytes as they are.
    Raw,
    /// QEMU's copy-on-write format.
    Qcow2,
}

impl Format {
    /// The name that QEMU knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
        }
    }
}

/// A disk image that is there and looks like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// The size of the disk that it holds, in bytes.
    pub size: u64,
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
    /// It is something else.
    #[error("{} is no disk image: {found}; a raw image with a partition table or a qcow2 image is expected", .path.display())]
    NotAnImage {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        found: &'static str,
    },
}

impl ImageFile {
    /// Looks at a file (or block device). Reads its first kilobyte and nothing else.
    ///
    /// # Errors
    /// See [`ImageFileError`].
    pub fn open(path: &Path) -> Result<ImageFile, ImageFileError> {
        let io = |source| ImageFileError::Io { path: path.to_path_buf(), source };
        let not = |found| ImageFileError::NotAnImage { path: path.to_path_buf(), found };
        let absolute = path.canonicalize().map_err(io)?;
        let kind = absolute.metadata().map_err(io)?.file_type();
        if kind.is_dir() {
            return Err(not("it is a directory"));
        }
        if !kind.is_file() && !kind.is_block_device() {
            return Err(not("it is neither a file nor a disk"));
        }
        let mut file = File::open(&absolute).map_err(io)?;
        let mut head = Vec::new();
        (&mut file).take(1024).read_to_end(&mut head).map_err(io)?;
        // Not from the metadata: a block device says 0 there.
        let length = file.seek(SeekFrom::End(0)).map_err(io)?;
        let (format, size) = recognise(&head, length).map_err(not)?;
        Ok(ImageFile { path: absolute, format, size })
    }
}

/// Tells format and size of the disk from the first kilobyte and the file's length.
fn recognise(head: &[u8], length: u64) -> Result<(Format, u64), &'static str> {
    if head.is_empty() {
        return Err("it is empty");
    }
    if head.starts_with(b"QFI\xfb") {
        // The virtual size is a big-endian number at byte 24 of every version of the header.
        let size = head.get(24..32).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
        return size.map(|size| (Format::Qcow2, size)).ok_or("it is a qcow2 image that breaks off in its header");
    }
    let gpt = head.get(512..520) == Some(b"EFI PART");
    let mbr = head.get(510..512) == Some(&[0x55, 0xaa]);
    if gpt || mbr {
        return if length.is_multiple_of(512) {
            Ok((Format::Raw, length))
        } else {
            Err("its length is no multiple of 512 bytes")
        };
    }
    Err(match head {
        [0x1f, 0x8b, ..] => "it is compressed with gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "it is compressed with zstd",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "it is compressed with xz",
        [b'P', b'K', 3, 4, ..] => "it is a zip archive",
        _ if head.iter().all(|b| *b == 0) => "it begins with zeros and has no partition table",
        _ if std::str::from_utf8(head).is_ok() => "it is a text file",
        _ => "it has no partition table",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> Result<(Format, u64), &'static str> {
        recognise(&bytes[..bytes.len().min(1024)], bytes.len() as u64)
    }

    #[test]
    fn a_disk_with_a_partition_table_is_raw() {
        let mut disk = vec![0; 4096];
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(found(&disk), Ok((Format::Raw, 4096)));
        disk.push(0);
        assert_eq!(found(&disk), Err("its length is no multiple of 512 bytes"));
    }

    #[test]
    fn qcow2_tells_its_size_in_the_header() {
        let mut image = b"QFI\xfb".to_vec();
        assert_eq!(found(&image), Err("it is a qcow2 image that breaks off in its header"));
        image.resize(104, 0);
        image[24..32].copy_from_slice(&(5u64 << 30).to_be_bytes());
        assert_eq!(found(&image), Ok((Format::Qcow2, 5 << 30)));
    }

    #[test]
    fn other_things_are_named() {
        assert_eq!(found(b""), Err("it is empty"));
        assert_eq!(found(b"version: 1\n"), Err("it is a text file"));
        assert_eq!(found(&[0; 2048]), Err("it begins with zeros and has no partition table"));
        assert_eq!(found(&[0x1f, 0x8b, 8, 0]), Err("it is compressed with gzip"));
    }

    #[test]
    fn a_directory_is_no_image() {
        let error = ImageFile::open(&std::env::temp_dir()).unwrap_err().to_string();
        assert!(error.contains("it is a directory"), "{error}");
    }
}
