//! GRUB's own parts: the core image for BIOS, the EFI program, and the code of the boot sector.
//!
//! They are made by the base's `grub-mkimage` from the base's modules, and nothing of the machine that makes them counts:
//! the program is run as the base's own (`programs`). The same base and the same
//! script give the same bytes, and no root is needed; where they go on a disk is the business of `cairn_disk`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cairn_process::ToolError;

use crate::programs::{Lacking, program, there};
use crate::tree::read_in;

const MKIMAGE: &str = "usr/bin/grub-mkimage";

/// The length of a boot sector.
pub const BOOT_SECTOR: usize = 512;

/// What the image can do from the start; what the templates use, and a little for somebody at the command line. There is
/// no folder of modules on the boot partition that could be of another version. An older menu may meet this image, and a newer
/// one an older image: none of them ever goes, and a menu uses no other without asking for it.
#[rustfmt::skip]
const MODULES: [&str; 27] = [
    "boot", "cat", "chain", "configfile", "echo", "fat", "halt", "help", "linux", "loadenv", "ls", "memdisk",
    "minicmd", "normal", "part_gpt", "part_msdos", "password_pbkdf2", "reboot", "search", "search_fs_file",
    "search_fs_uuid", "serial", "sleep", "tar", "terminal", "test", "true",
];

/// What a machine's firmware starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// A BIOS: the core image that the boot sector loads.
    Bios,
    /// UEFI on x86-64: a program.
    Efi,
    /// A BIOS that starts a CD (El Torito): the core image for a BIOS behind what loads it from a CD. It can be started from a disk
    /// as well.
    Cd,
}

impl Platform {
    fn format(self) -> &'static str {
        match self {
            Platform::Bios => "i386-pc",
            Platform::Efi => "x86_64-efi",
            Platform::Cd => "i386-pc-eltorito",
        }
    }

    fn folder(self) -> String {
        let modules = if self == Platform::Cd { Platform::Bios } else { self };
        format!("usr/lib/grub/{}", modules.format())
    }

    fn modules(self) -> &'static [&'static str] {
        match self {
            Platform::Bios => &["biosdisk"],
            Platform::Efi => &["efifwsetup"],
            Platform::Cd => &["biosdisk", "iso9660"],
        }
    }

    fn package(self) -> &'static str {
        match self {
            Platform::Bios | Platform::Cd => "grub-pc-bin",
            Platform::Efi => "grub-efi-amd64-bin",
        }
    }
}

/// What a core image does when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlyScript<'a> {
    /// What GRUB executes first, in its simplest language (`bootloader_templates::grub::EMBEDDED`).
    pub embedded: &'a str,
    /// The name of a file in the image's archive, which GRUB sees as `(memdisk)/NAME`.
    pub name: &'a str,
    /// Its text (`bootloader_templates::grub::Early::render`).
    pub text: &'a str,
    /// What `$prefix` is until the script sets it: the folder of the menu on the boot partition.
    pub prefix: &'a str,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrubError {
    /// The base has no GRUB.
    #[error("the base {} has no {path}: the package {package} is missing in it", base.display())]
    BaseLacks {
        /// The base.
        base: PathBuf,
        /// What is missing, relative to the base.
        path: String,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A boot sector that is none.
    #[error("{} is not a boot sector of GRUB", .0.display())]
    BootSector(PathBuf),
    /// Running `grub-mkimage`.
    #[error("making GRUB's image")]
    Mkimage(#[source] ToolError),
    /// The file system.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it did not work.
        source: io::Error,
    },
}

/// Makes the core image (BIOS) or the program (UEFI) from the GRUB of a base.
///
/// # Errors
/// See [`GrubError`].
pub fn core_image(base: &Path, platform: Platform, early: &EarlyScript<'_>) -> Result<Vec<u8>, GrubError> {
    let lacking = |Lacking { path, package }| GrubError::BaseLacks { base: base.to_path_buf(), path, package };
    let modules = there(base, &platform.folder(), platform.package()).map_err(lacking)?;
    let mkimage = program(base, MKIMAGE, "grub-common", "make GRUB's image").map_err(lacking)?;

    let scratch = tempfile::tempdir().map_err(io_error("making", Path::new("a temporary folder")))?;
    let put = |name: &str, bytes: &[u8]| {
        let path = scratch.path().join(name);
        fs::write(&path, bytes).map_err(io_error("writing", &path))?;
        Ok::<PathBuf, GrubError>(path)
    };
    let embedded = put("embedded.cfg", early.embedded.as_bytes())?;
    let archive = archive(early).map_err(io_error("writing", Path::new("GRUB's archive")))?;
    let archive = put("memdisk.tar", &archive)?;
    let image = scratch.path().join("image");

    mkimage
        .args(["--format", platform.format()])
        .arg("--directory")
        .arg(modules)
        .args(["--prefix", early.prefix])
        .arg("--config")
        .arg(embedded)
        .arg("--memdisk")
        .arg(archive)
        .arg("--output")
        .arg(&image)
        .args(platform.modules())
        .args(MODULES)
        .run()
        .map_err(GrubError::Mkimage)?;
    fs::read(&image).map_err(io_error("reading", &image))
}

/// GRUB's boot sector, as the base has it: `boot.img`.
///
/// # Errors
/// See [`GrubError`].
pub fn boot_sector(base: &Path) -> Result<[u8; BOOT_SECTOR], GrubError> {
    let path = format!("{}/boot.img", Platform::Bios.folder());
    let full = base.join(&path);
    match read_in(base, &path) {
        Ok(Some(bytes)) => bytes.try_into().map_err(|_| GrubError::BootSector(full)),
        Ok(None) => Err(GrubError::BaseLacks { base: base.to_path_buf(), path, package: Platform::Bios.package() }),
        Err(source) => Err(GrubError::Io { doing: "reading", path: full, source }),
    }
}

/// The archive in the image, with nothing in it that could differ.
fn archive(early: &EarlyScript<'_>) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_size(early.text.len() as u64);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, early.name, early.text.as_bytes())?;
    archive.into_inner()
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> GrubError {
    let path = path.to_path_buf();
    move |source| GrubError::Io { doing, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_boot_sector_is_the_base_s_own() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("base").join(Platform::Bios.folder());
        fs::create_dir_all(&folder).unwrap();
        let (base, sector) = (dir.path().join("base"), folder.join("boot.img"));
        assert!(matches!(boot_sector(&base), Err(GrubError::BaseLacks { package: "grub-pc-bin", .. })));
        fs::write(dir.path().join("outside"), [7; BOOT_SECTOR]).unwrap();
        symlink(dir.path().join("outside"), &sector).unwrap();
        assert!(matches!(boot_sector(&base), Err(GrubError::BaseLacks { .. })), "a link that leads out");
        fs::remove_file(&sector).unwrap();
        fs::write(&sector, [8; BOOT_SECTOR]).unwrap();
        assert_eq!(boot_sector(&base).unwrap(), [8; BOOT_SECTOR]);
        fs::write(&sector, [8; BOOT_SECTOR - 1]).unwrap();
        assert!(matches!(boot_sector(&base), Err(GrubError::BootSector(_))));
    }
}
