//! FAT alone.

use std::io::{self, Read};
use std::sync::Arc;

use cairn_disk::fat::{self, FatFile, FatOptions, FatVolume};
use cairn_disk::{Budget, DiskError, FileSource, MemoryTarget, Metered, Region};
use cairn_layout::SectorSize;

use crate::common::{EPOCH, boot_files, checked, noise, target, tool};

fn options() -> FatOptions {
    FatOptions { volume_id: 0x1a2b_3c4d, label: "ESP".into(), epoch: EPOCH, sector_size: SectorSize::B512, small: false }
}

#[test]
fn mtools_and_fsck_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("esp");
    let files = boot_files();
    let image = target(&path, fat::needed(&files));
    fat::write(&image, 0, fat::needed(&files), &files, &options()).unwrap();
    if let Some(said) = checked(tool("fsck.fat", "dosfstools").arg("-n").arg("-v").arg(&path)) {
        // Eleven entries of ours and nothing that it had to say besides.
        assert!(said.lines().all(|l| !l.contains("differ") && !l.contains("wrong") && !l.contains("Bad")), "{said}");
        assert!(said.contains("4096 bytes per cluster"), "{said}");
    }
    if let Some(said) = checked(tool("mdir", "mtools").args(["-/", "-b", "-i"]).arg(&path).arg("::")) {
        for file in &files {
            assert!(said.contains(&file.path), "{}: {said}", file.path);
        }
    }
    let copied = dir.path().join("kernel");
    let kernel = "::EFI/cairn/3ba1c2d4e5f60718-linux.efi";
    if checked(tool("mcopy", "mtools").arg("-i").arg(&path).arg(kernel).arg(&copied)).is_some() {
        assert!(std::fs::read(copied).unwrap() == noise(11 << 20, 2));
    }
}

#[test]
fn directories_of_many_files_are_sound() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("esp");
    let many = |n| FatFile::from_bytes(format!("loader/entries/cairn-generation-{n}-with-a-long-name.conf"), "x");
    let mut files: Vec<_> = (0..150).map(many).collect();
    files.extend((0..60).map(|n| FatFile::from_bytes(format!("in the root {n}"), "x")));
    let image = target(&path, fat::needed(&files));
    fat::write(&image, 0, fat::needed(&files), &files, &options()).unwrap();
    checked(tool("fsck.fat", "dosfstools").arg("-n").arg(&path));
    let read = fat::open(Region::new(&image, 0, u64::MAX)).unwrap();
    assert_eq!(read.list("loader/entries").unwrap().unwrap().len(), 150);
    assert_eq!(read.list("").unwrap().unwrap().len(), 61);
}

#[test]
fn what_is_said_to_be_needed_is_enough_and_hardly_more() {
    // Full to the last cluster: what is free afterwards is the rounding to MiB and the FATs' own.
    let files: Vec<_> = (0..40).map(|n| FatFile::from_bytes(format!("d{n}/f{n}"), noise((10 << 20) + n, 1))).collect();
    let needed = fat::needed(&files);
    let image = MemoryTarget::new(usize::try_from(needed).unwrap(), 0);
    fat::write(&image, 0, needed, &files, &options()).unwrap();
    let free = fat::open(Region::new(&image, 0, needed)).unwrap().info().unwrap().free;
    assert!(free < 2 << 20, "{free}");
    let error = fat::write(&image, 0, needed - (1 << 20), &files, &options()).unwrap_err();
    assert!(matches!(error, DiskError::TooSmall { needed: n, .. } if n == needed), "{error}");
}

#[test]
fn what_fat_cannot_hold_is_refused() {
    let refused = |paths: &[&str], why: &str| {
        let files: Vec<_> = paths.iter().map(|path| FatFile::from_bytes(*path, "x")).collect();
        let image = MemoryTarget::new(260 << 20, 0);
        let error = fat::write(&image, 0, 260 << 20, &files, &options()).unwrap_err();
        assert_eq!(error.to_string(), why);
    };
    refused(
        &["EFI/a", "efi/A"],
        "'efi/A' cannot be put on a FAT partition: another file has the same name, apart from capitals",
    );
    refused(&["a", "a/b"], "'a/b' cannot be put on a FAT partition: a file has the name of its directory");
    refused(&["a//b"], "'a//b' cannot be put on a FAT partition: a name has 1 to 255 characters");
    refused(
        &["a:b"],
        "'a:b' cannot be put on a FAT partition: a name has no control characters and none of \" * : < > ? \\ |",
    );
    refused(&["a."], "'a.' cannot be put on a FAT partition: a name does not end with a dot or a blank");
}

/// Bytes with an interruption before each read, and an error at the end if so told.
struct Interrupted<'a>(&'a [u8], bool, Option<io::ErrorKind>);

impl Read for Interrupted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match (self.0.read(buffer)?, self.2) {
            (0, Some(kind)) => Err(kind.into()),
            (count, _) => Ok(count),
        }
    }
}

const LEN: u64 = cairn_layout::LEAST_FAT;

#[test]
fn a_volume_is_changed_file_by_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("esp");
    let image = target(&path, LEN);
    let mut volume = FatVolume::format(&image, 0, LEN, &options()).unwrap();
    assert_eq!(format!("{volume:?}"), "FatVolume { volume_id: 439041101, .. }");
    let (cluster, before) = volume.space().unwrap();
    assert_eq!(cluster, 4096);
    let some = noise(10_000, 5);
    volume.create("loader/entries/a.conf", &mut Interrupted(&some, false, None)).unwrap();
    // Three clusters, and two for folders.
    assert_eq!(before - volume.space().unwrap().1, 5 * 4096);
    volume.create("b", &mut &b"bytes"[..]).unwrap();
    for there in ["b", "loader", "B"] {
        let error = volume.create(there, &mut &b"x"[..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{there}");
    }
    assert_eq!(volume.create("a:b", &mut &b"x"[..]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    let broken = volume.create("broken", &mut Interrupted(b"x", false, Some(io::ErrorKind::PermissionDenied)));
    assert_eq!(broken.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    volume.remove("broken").unwrap();
    assert_eq!(volume.remove("broken").unwrap_err().kind(), io::ErrorKind::NotFound);
    volume.overwrite("b", b"By").unwrap();
    let names = |volume: &FatVolume<'_>, path: &str| {
        let entries = volume.list(path).unwrap();
        entries.map(|entries| entries.into_iter().map(|e| (e.name, e.is_dir, e.len)).collect::<Vec<_>>())
    };
    let entry = |name: &str, is_dir, len| (name.to_string(), is_dir, len);
    assert_eq!(names(&volume, "").unwrap(), [entry("b", false, 5), entry("loader", true, 0)]);
    assert_eq!(names(&volume, "loader").unwrap(), [entry("entries", true, 0)]);
    assert_eq!(names(&volume, "loader/none"), None);
    assert!(volume.list("b").is_err(), "a file is no folder");
    volume.finish().unwrap();

    checked(tool("fsck.fat", "dosfstools").arg("-n").arg(&path));
    let volume = FatVolume::open(&image, 0, LEN, EPOCH).unwrap();
    let mut found = Vec::new();
    volume.read("loader/entries/a.conf").unwrap().read_to_end(&mut found).unwrap();
    assert!(found == some);
    assert_eq!(volume.read("none").map(drop).unwrap_err().kind(), io::ErrorKind::NotFound);
    drop(volume);

    let budget = Arc::new(Budget::default());
    let source = Metered::new(FileSource::new(image.into_file()).unwrap(), Arc::clone(&budget));
    let reader = fat::open(Region::new(&source, 0, u64::MAX)).unwrap();
    assert_eq!(format!("{reader:?}"), "Reader { volume_id: 439041101, .. }");
    assert_eq!(reader.read("b", 5).unwrap().unwrap(), b"Bytes");
    assert!(matches!(reader.read("b", 4), Err(DiskError::TooLarge { bytes: 5, .. })));
    assert!(reader.read("LOADER/entries/A.CONF", 10_000).unwrap().unwrap() == some);
    assert_eq!((reader.read("none", 5).unwrap(), reader.list("none").unwrap()), (None, None));
    assert!(reader.read("loader", 5).is_err() && reader.list("b").is_err());
    assert_eq!(reader.list("loader").unwrap().unwrap().len(), 1);
    let info = reader.info().unwrap();
    assert_eq!((info.bits, info.volume_id, info.label.as_str(), info.cluster), (32, 0x1a2b_3c4d, "ESP", 4096));
    // All clusters, of which the root, two folders, and four for the files are taken.
    assert_eq!(info.bytes - info.free, 7 * 4096);
    assert!(info.bytes > LEN - (1 << 20) && info.bytes < LEN, "{info:?}");
    budget.depth(1000).unwrap_err();
    assert!(reader.budget().spent().is_some(), "it draws on the account of its source");
}

#[test]
fn a_file_of_several_pieces_is_read_to_its_limit() {
    let files = [FatFile::from_bytes("large", noise(200_000, 9))];
    let dir = tempfile::tempdir().unwrap();
    let image = target(&dir.path().join("esp"), LEN);
    fat::write(&image, 0, LEN, &files, &options()).unwrap();
    let reader = fat::open(Region::new(&image, 0, LEN)).unwrap();
    assert!(reader.read("large", 200_000).unwrap().unwrap() == noise(200_000, 9));
    // It is seen when the piece with the first byte too many is read.
    let error = reader.read("large", 199_999).unwrap_err();
    assert!(matches!(error, DiskError::TooLarge { bytes: 200_000, .. }), "{error:?}");
    let error = reader.read("large", 70_000).unwrap_err();
    assert!(matches!(error, DiskError::TooLarge { bytes, .. } if bytes > 70_000 && bytes <= 131_072), "{error:?}");
    struct Full(usize);
    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = reader.copy("large", 200_000, &mut Full(100_000)).unwrap_err();
    assert!(matches!(error, DiskError::Full { offset, .. } if offset > 0 && offset <= 100_000), "{error:?}");
}

/// Names so long that seven of them fill a cluster: what comes after them is in the next one.
#[test]
fn folders_in_the_second_cluster_of_a_folder_are_sound() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("esp");
    let mut files = Vec::new();
    for folder in ["", "folder/"] {
        files.extend((0..7).map(|n| FatFile::from_bytes(format!("{folder}{n}{}", "x".repeat(240)), "x")));
        files.push(FatFile::from_bytes(format!("{folder}z/in/file"), "x"));
    }
    let image = target(&path, fat::needed(&files));
    fat::write(&image, 0, LEN, &files, &options()).unwrap();
    checked(tool("fsck.fat", "dosfstools").arg("-n").arg(&path));
    let reader = fat::open(Region::new(&image, 0, LEN)).unwrap();
    assert_eq!(reader.read("folder/z/in/file", 1).unwrap().unwrap(), b"x");
    assert_eq!(reader.read("z/in/file", 1).unwrap().unwrap(), b"x");
    let lists = ["", "folder", "folder/z", "z/in"].map(|path| reader.list(path).unwrap().unwrap().len());
    assert_eq!(lists, [9, 8, 1, 1]);
}

#[test]
fn what_mkfs_makes_is_read() {
    let dir = tempfile::tempdir().unwrap();
    for (bits, kib, more) in
        [(12, 1440, &[][..]), (12, 4096, &["-S", "4096"]), (16, 20_000, &["-f", "1"]), (32, 40_000, &[])]
    {
        let path = dir.path().join(format!("{bits}-{kib}"));
        let made =
            tool("mkfs.fat", "dosfstools").args(["-C", "-n", "OTHER", "-i", "1a2b3c4d", "-F", &bits.to_string()]);
        if checked(made.args(more.iter().copied()).arg(&path).arg(kib.to_string())).is_none() {
            return;
        }
        let source = FileSource::new(std::fs::File::open(&path).unwrap()).unwrap();
        let reader = fat::open(Region::new(&source, 0, u64::MAX)).unwrap();
        let info = reader.info().unwrap();
        assert_eq!((info.bits, info.volume_id, info.label.as_str()), (bits, 0x1a2b_3c4d, "OTHER"), "{kib}");
        assert!(info.free <= info.bytes && info.bytes > kib * 1000 && info.bytes < kib * 1024, "{info:?}");
    }
}
