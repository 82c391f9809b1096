//! A new FAT32 volume with its files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use cairn_layout::{LEAST_FAT, SectorSize};

use super::volume::FatVolume;
use super::{FatFile, check_name, size};
use crate::error::DiskError;
use crate::target::Target;
use crate::tree::Content;

/// What a FAT volume is made with.
#[derive(Debug, Clone)]
pub struct FatOptions {
    /// Its volume id.
    pub volume_id: u32,
    /// Its label: at most 11 bytes, ASCII, in capitals.
    pub label: String,
    /// The time of everything on it, in seconds since 1970; FAT knows 1980 to 2107.
    pub epoch: i64,
    /// The sectors of the disk that it is on.
    pub sector_size: SectorSize,
    /// FAT16, for a volume that is too small for FAT32: of 16 MiB at least, 255 MiB at most. UEFI knows it on what can be removed.
    pub small: bool,
}

/// Makes a FAT32 volume in `len` bytes of the target from `offset` on, with these files in the order of their paths.
///
/// # Errors
/// [`DiskError::TooSmall`], with what is needed ([`super::needed`]); [`DiskError::FatFile`] for what FAT cannot hold;
/// [`DiskError::Full`] and [`DiskError::Write`] for the target, [`DiskError::Read`] and [`DiskError::Changed`] for files.
pub fn write(
    target: &dyn Target,
    offset: u64,
    len: u64,
    files: &[FatFile],
    options: &FatOptions,
) -> Result<(), DiskError> {
    // What is wrong with the files is known before anything is written.
    sorted(files)?;
    fill(target, offset, len, &files, options)
}

/// What goes onto a new volume. A thread of its own may put it there.
pub trait FatContents: Sync {
    /// The least size of a volume for it, in bytes.
    fn needed(&self) -> u64;

    /// Puts it there.
    ///
    /// # Errors
    /// See [`DiskError`].
    fn put(&self, volume: &mut FatVolume<'_>) -> Result<(), DiskError>;
}

impl<T: AsRef<[FatFile]> + Sync> FatContents for T {
    fn needed(&self) -> u64 {
        size::needed(self.as_ref())
    }

    fn put(&self, volume: &mut FatVolume<'_>) -> Result<(), DiskError> {
        for file in sorted(self.as_ref())?.values() {
            let mut from = Counted::open(file)?;
            let written = volume.create(&file.path, &mut from);
            // What is wrong with the source is told in its own words.
            from.judge(written.is_ok())?;
            written.map_err(|source| DiskError::Fat { source })?;
        }
        Ok(())
    }
}

/// Makes a FAT32 volume with these contents.
pub(crate) fn fill(
    target: &dyn Target,
    offset: u64,
    len: u64,
    contents: &dyn FatContents,
    options: &FatOptions,
) -> Result<(), DiskError> {
    let needed = contents.needed();
    if len < needed.max(LEAST_FAT) {
        return Err(DiskError::TooSmall { what: "the FAT file system", size: len, needed });
    }
    let mut volume = FatVolume::format(target, offset, len, options)?;
    let put = contents.put(&mut volume);
    match (put, volume.finish()) {
        // Why the target did not take more, in its own words.
        (Err(_), Err(error @ (DiskError::Full { .. } | DiskError::Write { .. }))) => Err(error),
        (put, finished) => put.and(finished),
    }
}

/// The bytes of a file, which must be as many as were planned.
struct Counted<'a> {
    from: Box<dyn Read + 'a>,
    path: &'a Path,
    expected: u64,
    done: u64,
    failure: Option<io::Error>,
}

impl<'a> Counted<'a> {
    fn open(file: &'a FatFile) -> Result<Counted<'a>, DiskError> {
        let (from, path): (Box<dyn Read>, &Path) = match &file.content {
            Content::Bytes(bytes) => (Box::new(bytes.as_slice()), Path::new(&file.path)),
            Content::Path(path) => {
                let open = File::open(path).map_err(|source| DiskError::Read { path: path.clone(), source })?;
                (Box::new(open), path)
            }
        };
        Ok(Counted { from, path, expected: file.len, done: 0, failure: None })
    }

    /// Whether the source gave what was expected. Less than that may be the target's doing: it stopped taking.
    fn judge(self, whole: bool) -> Result<(), DiskError> {
        let path = self.path.to_path_buf();
        if let Some(source) = self.failure {
            return Err(DiskError::Read { path, source });
        }
        let expected = self.expected;
        if self.done > expected {
            return Err(DiskError::Changed { path, expected, found: "more".into() });
        }
        if whole && self.done < expected {
            return Err(DiskError::Changed { path, expected, found: self.done.to_string() });
        }
        Ok(())
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.from.read(buffer) {
            Ok(count) => {
                self.done += count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failure = Some(error);
                Err(kind.into())
            }
        }
    }
}

/// The files by their paths, after a look at whether FAT can hold them.
fn sorted(files: &[FatFile]) -> Result<BTreeMap<String, &FatFile>, DiskError> {
    let mut sorted = BTreeMap::new();
    let mut kinds: BTreeMap<String, bool> = BTreeMap::new();
    for file in files {
        let bad = |why| DiskError::FatFile { path: file.path.clone(), why };
        if file.len > u64::from(u32::MAX) {
            return Err(bad("FAT holds files of less than 4 GiB"));
        }
        for name in file.path.split('/') {
            check_name(name).map_err(bad)?;
        }
        let ends = file.path.match_indices('/').map(|(at, _)| at).chain([file.path.len()]);
        for end in ends {
            // FAT does not tell capitals from small letters.
            let key = file.path[..end].to_lowercase();
            let is_file = end == file.path.len();
            match kinds.insert(key, is_file) {
                Some(_) if is_file => return Err(bad("another file has the same name, apart from capitals")),
                Some(true) => return Err(bad("a file has the name of its directory")),
                _ => {}
            }
        }
        sorted.insert(file.path.clone(), file);
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::target::MemoryTarget;

    struct Told(VecDeque<Result<usize, io::ErrorKind>>);

    impl Read for Told {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            Ok(self.0.pop_front().unwrap_or(Ok(0))?)
        }
    }

    /// What is thought of a file of which 5 bytes were expected and these were read, by a target that took them all or not.
    fn judged(reads: &[Result<usize, io::ErrorKind>], whole: bool) -> Result<(), DiskError> {
        let from = Box::new(Told(reads.iter().copied().collect()));
        let mut counted = Counted { from, path: Path::new("file"), expected: 5, done: 0, failure: None };
        for _ in reads {
            let _ = counted.read(&mut [0; 9]);
        }
        counted.judge(whole)
    }

    #[test]
    fn a_file_is_as_long_as_it_was_said_to_be() {
        use io::ErrorKind::{Interrupted, PermissionDenied};
        for whole in [true, false] {
            judged(&[Ok(5)], whole).unwrap();
            judged(&[Ok(2), Err(Interrupted), Ok(3)], whole).unwrap();
            let more = judged(&[Ok(5), Ok(1)], whole);
            assert!(matches!(&more, Err(DiskError::Changed { expected: 5, found, .. }) if found == "more"), "{more:?}");
            let failed = judged(&[Ok(5), Err(PermissionDenied)], whole);
            assert!(matches!(failed, Err(DiskError::Read { .. })), "{failed:?}");
        }
        let less = judged(&[Ok(4)], true);
        assert!(matches!(&less, Err(DiskError::Changed { expected: 5, found, .. }) if found == "4"), "{less:?}");
        judged(&[Ok(4)], false).unwrap();
    }

    #[test]
    fn what_just_fits_is_let_through() {
        for (name, good) in [("x".repeat(255), true), ("x".repeat(256), false), ("𝄞".repeat(128), false)] {
            assert_eq!(check_name(&name).is_ok(), good, "{}", name.len());
        }
        let sector_size = SectorSize::B512;
        let options = FatOptions { volume_id: 7, label: "ESP".into(), epoch: 0, sector_size, small: false };
        let target = MemoryTarget::new(512, 0);
        let of = |len| {
            let files = [FatFile { path: "file".into(), len, content: Content::Bytes(Vec::new()) }];
            (write(&target, 0, LEAST_FAT, &files, &options).unwrap_err(), size::needed(&files))
        };
        // Nothing is written where there is no room, and the least size is what is needed.
        for len in [300 << 20, u64::from(u32::MAX)] {
            let (error, least) = of(len);
            assert!(
                matches!(error, DiskError::TooSmall { size: LEAST_FAT, needed, .. } if needed == least),
                "{error:?}"
            );
            assert!(least > len);
        }
        assert!(matches!(of(1 << 32).0, DiskError::FatFile { .. }));
        let none = write(&target, 0, LEAST_FAT - 512, &[], &options).unwrap_err();
        assert!(matches!(none, DiskError::TooSmall { needed: LEAST_FAT, .. }), "{none:?}");
    }
}
