//! The judge of boot partitions, on volumes that are made by somebody else's FAT and then damaged.

mod damage;
mod grub;
mod systemd_boot;

use std::io::{Cursor, Write};

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use qemu_tests::judge::verdict::Start;
use qemu_tests::replay::image::{Base, Image};
use qemu_tests::replay::log::Log;
use sha2::{Digest, Sha256};

/// A volume of 20 MiB with these files.
pub fn volume(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![0; 20 << 20]);
    let options = FormatVolumeOptions::new().fat_type(FatType::Fat16).bytes_per_cluster(4096);
    fatfs::format_volume(&mut bytes, options).unwrap();
    {
        let fs = FileSystem::new(&mut bytes, FsOptions::new()).unwrap();
        for (path, contents) in files {
            for (end, _) in path.match_indices('/') {
                fs.root_dir().create_dir(&path[..end]).unwrap();
            }
            fs.root_dir().create_file(path).unwrap().write_all(contents).unwrap();
        }
        fs.unmount().unwrap();
    }
    bytes.into_inner()
}

/// The volume as the replay holds it.
pub fn image(bytes: &[u8]) -> Image {
    Image::new(Base::of(bytes), 0, &Log::default())
}

/// What an entry starts.
pub fn start(kernel: &[u8], initrd: &[u8], options: &str) -> Start {
    let hash = |bytes: &[u8]| Sha256::digest(bytes).into();
    Start { kernel: hash(kernel), initrds: vec![hash(initrd)], options: options.into() }
}
