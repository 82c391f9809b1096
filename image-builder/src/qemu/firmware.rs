//! Where the distributions keep the UEFI firmware for virtual machines (OVMF).

use std::path::{Path, PathBuf};

use super::QemuError;

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
    use super::*;

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
