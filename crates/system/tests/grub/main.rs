//! GRUB's images, made of the GRUB that this machine has: `/` is as good a base as any.

use std::fs;
use std::path::Path;

use cairn_system::grub::{EarlyScript, GrubError, Platform, boot_sector, core_image};

const EARLY: EarlyScript<'_> = EarlyScript {
    embedded: "normal (memdisk)/early.cfg\n",
    name: "early.cfg",
    text: "echo 'here is the script'\n",
    prefix: "/cairn/0123abcd/grub",
};

/// Whether this machine has what a base with GRUB has. It must, in CI.
fn there() -> bool {
    let wanted = ["usr/lib/grub/i386-pc/boot.img", "usr/lib/grub/x86_64-efi", "usr/bin/grub-mkimage"];
    let lacking: Vec<_> = wanted.iter().filter(|p| !Path::new("/").join(p).exists()).collect();
    if !lacking.is_empty() {
        cairn_testkit::skip(format_args!("{lacking:?} (packages grub-common, grub-pc-bin, grub-efi-amd64-bin)"));
    }
    lacking.is_empty()
}

/// What the program is linked with; a base has its own.
const LIBRARIES: [&str; 8] = [
    "ld-linux-x86-64",
    "libc.so",
    "liblzma.so",
    "libdevmapper.so",
    "libselinux.so",
    "libudev.so",
    "libm.so",
    "libpcre2-8.so",
];

fn copy(base: &Path, path: &str) {
    let (from, to) = (Path::new("/").join(path), base.join(path));
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

#[test]
fn the_same_base_gives_the_same_bytes_wherever_it_lies() {
    if !there() {
        return;
    }
    // A base at another place.
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("some where/else");
    for platform in ["i386-pc", "x86_64-efi"] {
        let folder = format!("usr/lib/grub/{platform}");
        for file in fs::read_dir(Path::new("/").join(&folder)).unwrap().map(Result::unwrap) {
            if file.file_type().unwrap().is_file() {
                copy(&base, &format!("{folder}/{}", file.file_name().into_string().unwrap()));
            }
        }
    }
    copy(&base, "usr/bin/grub-mkimage");
    for library in fs::read_dir("/usr/lib/x86_64-linux-gnu").unwrap() {
        let name = library.unwrap().file_name().into_string().unwrap();
        if LIBRARIES.iter().any(|library| name.starts_with(library)) {
            copy(&base, &format!("usr/lib/x86_64-linux-gnu/{name}"));
        }
    }
    for (platform, begins) in [(Platform::Bios, &[0x52, 0x56][..]), (Platform::Efi, b"MZ")] {
        let here = core_image(Path::new("/"), platform, &EARLY).unwrap();
        let there = core_image(&base, platform, &EARLY).unwrap();
        assert!(here == there, "{platform:?}");
        assert!(here.starts_with(begins), "{platform:?}: {:x?}", &here[..16]);
        let other = EarlyScript { text: "echo 'another'\n", ..EARLY };
        assert!(core_image(&base, platform, &other).unwrap() != here, "{platform:?}");
        // A BIOS boot partition has 1 MiB, and so has the gap before the first partition: room for two.
        assert!(platform == Platform::Efi || here.len() < 500_000, "{}", here.len());
    }
}

#[test]
fn the_boot_sector_is_the_one_of_the_base() {
    if !there() {
        return;
    }
    let sector = boot_sector(Path::new("/")).unwrap();
    assert_eq!(sector[..2], [0xeb, 0x63]);
    assert_eq!(sector[510..], [0x55, 0xaa]);
}

#[test]
fn a_base_without_grub_is_told_with_the_package() {
    let empty = tempfile::tempdir().unwrap();
    for (platform, package) in [(Platform::Bios, "grub-pc-bin"), (Platform::Efi, "grub-efi-amd64-bin")] {
        let error = core_image(empty.path(), platform, &EARLY).unwrap_err();
        assert!(matches!(error, GrubError::BaseLacks { .. }));
        assert!(error.to_string().contains(package), "{error}");
    }
    assert!(boot_sector(empty.path()).unwrap_err().to_string().contains("grub-pc-bin"));
}
