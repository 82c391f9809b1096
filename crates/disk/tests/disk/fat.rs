//! FAT alone.

use cairn_disk::fat::{self, FatFile, FatOptions};
use cairn_disk::{DiskError, MemoryTarget, Region};
use cairn_layout::SectorSize;

use crate::common::{EPOCH, boot_files, checked, noise, target, tool};

fn options() -> FatOptions {
    FatOptions { volume_id: 0x1a2b_3c4d, label: "ESP".into(), epoch: EPOCH, sector_size: SectorSize::B512 }
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
