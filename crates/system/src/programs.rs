//! A base's own programs, run where the base lies: with the base's libraries, through the base's dynamic loader, so that
//! nothing of the machine that runs them counts.

use std::fs;
use std::path::{Path, PathBuf};

use cairn_process::{Tool, ToolError};

use crate::error::SystemError;
use crate::tree::{find_in, read_in, resolve_in};

/// Where a base has its libraries, and the loader of its programs. (The usual path of the loader, below `/lib64`, is a
/// link that may be absolute, and would lead out of the base.)
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const DYNAMIC_LOADER: &str = "ld-linux-x86-64.so.2";

/// What a base does not have.
#[derive(Debug)]
pub(crate) struct Lacking {
    /// The path, relative to the base.
    pub(crate) path: String,
    /// The Debian package that brings it.
    pub(crate) package: &'static str,
}

impl Lacking {
    /// As an error of making a system.
    pub(crate) fn of(self, base: &Path, reason: &'static str) -> SystemError {
        SystemError::BaseLacks { base: base.into(), path: self.path, reason }
    }
}

/// The whole path of a file or folder in a base, which has to be there; links are followed inside the base.
pub(crate) fn there(base: &Path, path: &str, package: &'static str) -> Result<PathBuf, Lacking> {
    let lacking = || Lacking { path: path.into(), package };
    let real = resolve_in(base, path).ok_or_else(lacking)?;
    // The program may run in a folder of its own.
    std::path::absolute(base.join(real)).map_err(|_| lacking())
}

/// A program of a base, ready for its arguments: what it is called there, which package has it, and what it is needed for.
pub(crate) fn program(base: &Path, path: &str, package: &'static str, reason: &'static str) -> Result<Tool, Lacking> {
    let program = there(base, path, package)?;
    let libraries = there(base, LIBRARIES, "libc6")?;
    let loader = there(base, &format!("{LIBRARIES}/{DYNAMIC_LOADER}"), "libc6")?;
    let mut path = libraries.into_os_string();
    // systemd's programs have libraries of their own, which they find by a path that would be this machine's.
    if let Ok(own) = there(base, &format!("{LIBRARIES}/systemd"), "systemd") {
        path.push(":");
        path.push(own);
    }
    Ok(Tool::new(loader, package, reason).clean_env().arg("--library-path").arg(path).arg(program))
}

/// The same for others: the base must be one that was made here.
///
/// # Errors
/// [`ToolError::Missing`] when the base has no such program, or nothing to run it with.
pub fn base_program(base: &Path, path: &str, package: &'static str, reason: &'static str) -> Result<Tool, ToolError> {
    program(base, path, package, reason).map_err(|Lacking { path, package }| ToolError::Missing {
        program: base.join(path).display().to_string(),
        package,
        reason,
    })
}

/// Reads a file of a base, where it has one: links in it lead nowhere else.
///
/// # Errors
/// The system's.
pub fn read_in_base(base: &Path, path: &str) -> std::io::Result<Option<Vec<u8>>> {
    read_in(base, path)
}

/// Copies a folder of a base to `to`, for a program that would follow its links to wherever they lead: here they are
/// followed inside the base, and what leads nowhere or to a folder is left out. `reason` is what needs it.
pub(crate) fn copy(base: &Path, path: &str, reason: &'static str, to: &Path) -> Result<(), SystemError> {
    let lacking = || SystemError::BaseLacks { base: base.into(), path: path.into(), reason };
    let found = |path: &str| find_in(base, path).map_err(SystemError::io("reading", base.join(path)));
    let folder = base.join(found(path)?.ok_or_else(lacking)?);
    fs::create_dir(to).map_err(SystemError::io("making the folder", to))?;
    for entry in fs::read_dir(&folder).map_err(SystemError::io("reading", &folder))? {
        let entry = entry.map_err(SystemError::io("reading", &folder))?;
        let (name, kind) = (entry.file_name(), entry.file_type().map_err(SystemError::io("reading", entry.path()))?);
        let Some(inside) = name.to_str().map(|name| format!("{path}/{name}")) else { continue };
        let target = to.join(&name);
        if kind.is_dir() {
            copy(base, &inside, reason, &target)?;
            continue;
        }
        let Some(real) = found(&inside)?.map(|real| base.join(real)) else { continue };
        if fs::symlink_metadata(&real).is_ok_and(|meta| meta.is_file()) {
            let bytes = fs::read(&real).map_err(SystemError::io("reading", &real))?;
            fs::write(&target, bytes).map_err(SystemError::io("writing", &target))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_leads_out_of_the_base_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("base");
        fs::create_dir_all(base.join("usr/bin")).unwrap();
        fs::create_dir_all(base.join(LIBRARIES)).unwrap();
        fs::write(dir.path().join("outside"), "").unwrap();
        symlink(dir.path().join("outside"), base.join("usr/bin/program")).unwrap();
        let lacking = program(&base, "usr/bin/program", "some", "test").unwrap_err();
        assert_eq!((lacking.path.as_str(), lacking.package), ("usr/bin/program", "some"));
        fs::remove_file(base.join("usr/bin/program")).unwrap();
        fs::write(base.join("usr/bin/program"), "").unwrap();
        let lacking = program(&base, "usr/bin/program", "some", "test").unwrap_err();
        assert_eq!(lacking.package, "libc6");
        fs::write(base.join(LIBRARIES).join(DYNAMIC_LOADER), "").unwrap();
        program(&base, "usr/bin/program", "some", "test").unwrap();
    }

    #[test]
    fn a_copy_has_what_a_base_has_itself_and_nothing_of_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let (base, to) = (dir.path().join("base"), dir.path().join("to"));
        fs::create_dir_all(base.join("usr/share/a/b")).unwrap();
        fs::write(base.join("usr/share/c"), "its own").unwrap();
        fs::write(dir.path().join("outside"), "another's").unwrap();
        for (name, target) in [
            ("link", Path::new("/usr/share/c")),
            ("out", &dir.path().join("outside")),
            ("up", Path::new("../../../../outside")),
            ("loop", Path::new(".")),
        ] {
            symlink(target, base.join("usr/share/a").join(name)).unwrap();
        }
        fs::write(base.join("usr/share/a/b/d"), "deep").unwrap();
        copy(&base, "usr/share/a", "test", &to).unwrap();
        assert_eq!(fs::read(to.join("link")).unwrap(), b"its own");
        assert_eq!(fs::read(to.join("b/d")).unwrap(), b"deep");
        assert_eq!(fs::read_dir(&to).unwrap().count(), 2);
        let lacking = copy(&base, "usr/share/e", "test", &dir.path().join("other")).unwrap_err();
        assert!(matches!(lacking, SystemError::BaseLacks { .. }));
    }
}
