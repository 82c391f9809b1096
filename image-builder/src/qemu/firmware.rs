//! What starts a machine: which kind of firmware an image is made for, and where the distributions keep that for virtual machines.

use std::path::{Path, PathBuf};

use cairn_disk::Source;
use cairn_disk::partition_table::{self, PartitionType};

use super::{Firmware, QemuError};
use crate::scratch::Scratch;

/// The kinds of firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirmwareKind {
    /// UEFI (OVMF).
    Uefi,
    /// A BIOS (SeaBIOS, which QEMU brings).
    Bios,
}

/// The part of the first sector that a BIOS runs; behind it come a signature and the partitions.
const BOOT_CODE: usize = 440;

/// What an image asks of the machine that it runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeFor {
    /// What starts it. A BIOS only starts what has code for it and no EFI system partition: UEFI starts more than it should.
    pub firmware: FirmwareKind,
    /// Bytes in the sectors that its partition table counts.
    pub sector_size: u64,
}

impl MadeFor {
    /// Read from a disk's first sector and its partition table.
    pub fn of(disk: &dyn Source) -> MadeFor {
        let table = partition_table::read(disk).ok();
        let esp = |kind: PartitionType| kind.name() == Some("esp");
        let for_uefi = table.as_ref().is_some_and(|table| table.partitions.iter().any(|one| esp(one.kind)));
        let mut code = [0; BOOT_CODE];
        let for_bios = disk.read_at(0, &mut code).is_ok() && code != [0; BOOT_CODE];
        MadeFor {
            firmware: if for_bios && !for_uefi { FirmwareKind::Bios } else { FirmwareKind::Uefi },
            sector_size: table.map_or(512, |table| table.sector_size.bytes()),
        }
    }
}

/// A machine's firmware, and its own copy of the variables.
#[derive(Debug)]
pub(crate) struct Own {
    /// As the machine takes it.
    pub firmware: Firmware,
    _vars: Option<Scratch>,
}

impl Own {
    /// One of this kind, or one that starts only what is signed; its variables are there as long as it is.
    ///
    /// # Errors
    /// [`QemuError::NoFirmware`], and what the copying meets.
    pub(crate) fn of(kind: FirmwareKind, secure: bool) -> Result<Own, QemuError> {
        if kind == FirmwareKind::Bios && !secure {
            return Ok(Own { firmware: Firmware::Bios, _vars: None });
        }
        let ovmf = if secure { Ovmf::find_secure()? } else { Ovmf::find()? };
        let vars = Scratch::copy_of(&ovmf.vars)
            .map_err(QemuError::io(format!("copying the firmware's variables {}", ovmf.vars.display())))?;
        Ok(Own { firmware: Firmware::Uefi { code: ovmf.code, vars: vars.path(), secure }, _vars: Some(vars) })
    }
}

/// OVMF: the code is mapped read-only; of the variables every machine gets a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ovmf {
    /// The code.
    pub code: PathBuf,
    /// The variables as the distribution ships them: empty.
    pub vars: PathBuf,
}

/// Folder, code, variables. Only flat images without Secure Boot: those need no system management mode.
const PLACES: [(&str, &str, &str); 9] = [
    // Debian, Ubuntu
    ("usr/share/OVMF", "OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"),
    ("usr/share/OVMF", "OVMF_CODE.fd", "OVMF_VARS.fd"),
    // Fedora, CentOS
    ("usr/share/edk2/ovmf", "OVMF_CODE.fd", "OVMF_VARS.fd"),
    // Arch, today and before
    ("usr/share/edk2/x64", "OVMF_CODE.4m.fd", "OVMF_VARS.4m.fd"),
    ("usr/share/edk2-ovmf/x64", "OVMF_CODE.fd", "OVMF_VARS.fd"),
    // openSUSE
    ("usr/share/qemu", "ovmf-x86_64-4m-code.bin", "ovmf-x86_64-4m-vars.bin"),
    // QEMU's own, as others and NixOS ship it (one file of variables serves both widths)
    ("usr/share/qemu", "edk2-x86_64-code.fd", "edk2-i386-vars.fd"),
    ("usr/local/share/qemu", "edk2-x86_64-code.fd", "edk2-i386-vars.fd"),
    ("run/current-system/sw/share/qemu", "edk2-x86_64-code.fd", "edk2-i386-vars.fd"),
];

/// Code that enforces Secure Boot, and variables with Microsoft's keys.
const SECURE: [(&str, &str); 2] =
    [("OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.ms.fd"), ("OVMF_CODE.secboot.fd", "OVMF_VARS.secboot.fd")];

impl Ovmf {
    /// Looks into `OVMF_CODE` and `OVMF_VARS`, when they are set, else into the usual places.
    ///
    /// # Errors
    /// [`QemuError::NoFirmware`], which says what to install.
    pub fn find() -> Result<Ovmf, QemuError> {
        let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        match (variable("OVMF_CODE"), variable("OVMF_VARS")) {
            (Some(code), Some(vars)) => {
                for path in [&code, &vars] {
                    if !path.is_file() {
                        let why = format!("OVMF_CODE and OVMF_VARS are set, but {} is not there", path.display());
                        return Err(QemuError::NoFirmware { why });
                    }
                }
                // QEMU takes the part of a relative name before a colon for a protocol.
                let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
                Ok(Ovmf { code: absolute(code), vars: absolute(vars) })
            }
            (None, None) => Ovmf::find_under(Path::new("/")),
            _ => Err(QemuError::NoFirmware { why: "only one of OVMF_CODE and OVMF_VARS is set".into() }),
        }
    }

    /// The one that enforces Secure Boot with Microsoft's keys: beside `OVMF_CODE`, when that is set, else in the usual places.
    ///
    /// # Errors
    /// [`QemuError::NoFirmware`], which says what to install.
    pub fn find_secure() -> Result<Ovmf, QemuError> {
        let beside = std::env::var_os("OVMF_CODE").and_then(|code| Some(Path::new(&code).parent()?.to_path_buf()));
        let folders = beside.into_iter().chain(["/usr/share/OVMF", "/usr/share/edk2/ovmf"].map(PathBuf::from));
        let mut places = folders
            .flat_map(|folder| SECURE.map(|(code, vars)| Ovmf { code: folder.join(code), vars: folder.join(vars) }));
        places.find(|one| one.code.is_file() && one.vars.is_file()).ok_or_else(|| QemuError::NoFirmware {
            why: format!("no file {} with Secure Boot in the folders where Debian and Fedora keep it", SECURE[0].0),
        })
    }

    fn find_under(root: &Path) -> Result<Ovmf, QemuError> {
        let mut places = PLACES.iter().map(|(folder, code, vars)| {
            let folder = root.join(folder);
            Ovmf { code: folder.join(code), vars: folder.join(vars) }
        });
        places.find(|o| o.code.is_file() && o.vars.is_file()).ok_or_else(|| QemuError::NoFirmware {
            why: "no file OVMF_CODE*.fd in the folders where Debian, Fedora, Arch, openSUSE and NixOS keep it".into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use cairn_disk::{MemoryTarget, Target};

    use super::*;

    /// A disk with code in its first sector or not, and one partition of this type in an MBR.
    fn made_for(code: u8, kind: u8) -> FirmwareKind {
        let disk = MemoryTarget::new(1 << 20, 0);
        let mut sector = [0; 512];
        sector[0] = code;
        sector[446..462].copy_from_slice(&[0x80, 0, 0, 0, kind, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0]);
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        disk.write_at(0, &sector).unwrap();
        MadeFor::of(&disk).firmware
    }

    #[test]
    fn a_bios_starts_what_has_code_for_it_and_nothing_for_uefi() {
        assert_eq!(made_for(0xeb, 0x0c), FirmwareKind::Bios);
        assert_eq!(made_for(0xeb, 0xef), FirmwareKind::Uefi);
        assert_eq!(made_for(0, 0x0c), FirmwareKind::Uefi);
    }

    #[test]
    fn code_without_variables_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let error = Ovmf::find_under(root.path()).unwrap_err().to_string();
        assert!(error.contains("apt-get install ovmf"), "{error}");
        let debian = root.path().join("usr/share/OVMF");
        let arch = root.path().join("usr/share/edk2/x64");
        for folder in [&debian, &arch] {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::write(debian.join("OVMF_CODE_4M.fd"), "").unwrap();
        std::fs::write(arch.join("OVMF_CODE.4m.fd"), "").unwrap();
        std::fs::write(arch.join("OVMF_VARS.4m.fd"), "").unwrap();
        assert_eq!(Ovmf::find_under(root.path()).unwrap().code, arch.join("OVMF_CODE.4m.fd"));
    }
}
