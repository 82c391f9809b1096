//! What was written about the modules of a base's kernel, by depmod and by the kernel's own build. What cannot be read is an
//! error; only what is not there counts as nothing.

use std::fs;
use std::io;
use std::path::Path;

use super::modules::{Modules, Texts};
use crate::error::SystemError;
use crate::tree::{is_absence, read_in, resolve_in};

/// The folder of a kernel's modules, relative to the base.
pub fn folder(release: &str) -> String {
    format!("usr/lib/modules/{release}")
}

/// The modules that a base has for a kernel; none if it has no such kernel, or one without modules.
///
/// # Errors
/// When something cannot be read, or depmod has not been run on the modules that are there.
pub fn modules_of(base: &Path, release: &str) -> Result<Modules, SystemError> {
    Ok(Modules::parse(&texts(base, release)?))
}

/// The texts about them.
///
/// # Errors
/// As [`modules_of`].
pub fn texts(base: &Path, release: &str) -> Result<Texts, SystemError> {
    let folder = folder(release);
    let read = |name: &str| text(base, &format!("{folder}/{name}"));
    let lacks =
        |name: &str, reason| SystemError::BaseLacks { base: base.into(), path: format!("{folder}/{name}"), reason };
    let (dep, alias) = (read("modules.dep")?, read("modules.alias")?);
    // A kernel may have everything built in; but modules of which nothing is known are found by nobody.
    if dep.is_none() && resolve_in(base, &folder).map_or(Ok(false), |real| has_modules(&base.join(real)))? {
        return Err(lacks("modules.dep", "depmod makes of the modules there: it has not been run on them"));
    }
    let dep = dep.unwrap_or_default();
    if alias.is_none() && !dep.trim().is_empty() {
        return Err(lacks("modules.alias", "depmod makes beside modules.dep: without it no device finds its module"));
    }
    Ok(Texts {
        dep,
        alias: alias.unwrap_or_default(),
        symbols: read("modules.symbols")?.unwrap_or_default(),
        softdep: read("modules.softdep")?.unwrap_or_default(),
        weakdep: read("modules.weakdep")?.unwrap_or_default(),
        builtin: read("modules.builtin")?.unwrap_or_default(),
        builtin_modinfo: read("modules.builtin.modinfo")?.unwrap_or_default(),
    })
}

/// A file of the base, links followed inside it. Names of modules and devices are ASCII; their authors' may be anything.
fn text(base: &Path, path: &str) -> Result<Option<String>, SystemError> {
    let bytes = read_in(base, path).map_err(SystemError::io("reading", base.join(path)))?;
    Ok(bytes.map(|b| String::from_utf8_lossy(&b).into_owned()))
}

/// True if there is a module anywhere below this folder. Links to folders (the kernel's sources) are not followed.
fn has_modules(folder: &Path) -> Result<bool, SystemError> {
    let failed = |error: io::Error| SystemError::io("reading", folder)(error);
    let entries = match fs::read_dir(folder) {
        Err(error) if is_absence(&error) => return Ok(false),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let module = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"].iter().any(|end| name.ends_with(end));
        if module || (entry.file_type().map_err(failed)?.is_dir() && has_modules(&entry.path())?) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join("usr/lib/modules/6").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn no_kernel_has_no_modules_and_one_without_modules_neither() {
        assert!(!modules_of(base(&[]).path(), "6").unwrap().has("ext4"));
        let all_built_in = base(&[("modules.builtin", "kernel/ext4.ko\n"), ("modules.order", "")]);
        assert!(modules_of(all_built_in.path(), "6").unwrap().has("ext4"));
        let empty = base(&[("modules.dep", ""), ("modules.builtin", "kernel/ext4.ko\n")]);
        assert!(modules_of(empty.path(), "6").unwrap().has("ext4"));
    }

    #[test]
    fn modules_without_depmods_files_are_told() {
        for module in ["kernel/a/b/x.ko", "updates/dkms/x.ko.xz", "x.ko.zst"] {
            let error = modules_of(base(&[(module, "")]).path(), "6").unwrap_err().to_string();
            assert!(error.contains("usr/lib/modules/6/modules.dep") && error.contains("depmod"), "{error}");
        }
        let error = modules_of(base(&[("modules.dep", "a.ko:\n")]).path(), "6").unwrap_err().to_string();
        assert!(error.contains("usr/lib/modules/6/modules.alias"), "{error}");
    }

    /// A folder in a file's place stands for a disk that cannot be read: what is there and cannot be read is not nothing.
    #[test]
    fn what_cannot_be_read_is_an_error() {
        let names = ["dep", "alias", "symbols", "softdep", "weakdep", "builtin", "builtin.modinfo"];
        for name in names.map(|n| format!("modules.{n}")) {
            let dir = base(&[(&format!("{name}/x"), "")]);
            let error = modules_of(dir.path(), "6").unwrap_err();
            assert!(matches!(&error, SystemError::Io { path, .. } if path.ends_with(&name)), "{name}: {error:?}");
        }
    }

    #[test]
    fn the_files_may_be_links_inside_the_base() {
        let dir = base(&[]);
        fs::create_dir_all(dir.path().join("usr/lib/modules/6")).unwrap();
        fs::write(dir.path().join("usr/lib/dep"), "a.ko:\n").unwrap();
        fs::write(dir.path().join("usr/lib/alias"), "alias b a\n").unwrap();
        for name in ["dep", "alias"] {
            let link = dir.path().join(format!("usr/lib/modules/6/modules.{name}"));
            std::os::unix::fs::symlink(format!("/usr/lib/{name}"), link).unwrap();
        }
        assert!(modules_of(dir.path(), "6").unwrap().has("b"));
    }
}
