//! The initrd: the helper that puts the root together, the modules that reach the root file system, and a small systemd made of
//! the base's own files for all that the helper does not do by itself. No network, no chroot, no tool: files in, one archive out, always the same.

mod contents;
mod cpio;
mod drivers;
pub mod elf;
mod firmware;
mod index;
mod kernel;
mod modinfo;
mod modules;
mod pattern;
mod sets;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cairn_machine::names::RelPath;

use crate::error::SystemError;
use crate::etc::manager;
use crate::tree::{exists_in, find_in, is_absence, resolve_in};
use cpio::{Archive, Entry};
pub(crate) use drivers::help_for_missing;
pub(crate) use kernel::modules_of;
pub use modinfo::read as read_module;
pub use modules::{Closure, Modules, Texts};

/// The helper, built by this crate's build script.
pub const STAGE1: &[u8] = include_bytes!(env!("CAIRN_STAGE1"));

/// How hard zstd works. Measured on 29 MB: level 9 takes 0.5 s and gives 10.4 MB, level 19 13 s for 9.3 MB, and the
/// initrd is made anew only when base or modules change.
const ZSTD_LEVEL: i32 = 9;

/// Where the base's libraries are; systemd's own are needed by each other without saying where they are.
const LIBRARY_FOLDERS: [&str; 3] = ["usr/lib/x86_64-linux-gnu", "usr/lib", "usr/lib/x86_64-linux-gnu/systemd"];

/// Which modules an initrd gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WantedModules {
    /// Those that the hardware file names, with the place of each in the machine file; without a hardware file, the
    /// generic set is taken.
    pub hardware: Option<Vec<(String, String)>>,
    /// Those that the machine file adds, likewise.
    pub more: Vec<(String, String)>,
}

/// What an initrd is made from, besides its base.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Modules.
    pub modules: WantedModules,
    /// Watch over the machine with a hardware watchdog, if there is one.
    pub watchdog: bool,
    /// Open a shell to whoever sits at the machine when the boot fails. There is no root password to ask for in an initrd.
    pub emergency_access: bool,
}

impl Wanted {
    /// The text that an initrd's cache key has of it.
    #[must_use]
    pub fn key(&self) -> String {
        let names = |list: &[(String, String)]| list.iter().map(|m| m.1.as_str()).collect::<Vec<_>>().join(" ");
        let hardware = self.modules.hardware.as_deref().map_or("generic".into(), names);
        let Wanted { modules, watchdog, emergency_access } = self;
        format!("{hardware} + {}, watchdog: {watchdog}, access: {emergency_access}", names(&modules.more))
    }
}

/// Makes the initrd of a base: the bytes of a compressed archive.
///
/// # Errors
/// When the base lacks something that is needed, or the kernel a module that is asked for by name.
pub fn build(base: &Path, kernel_release: &str, wanted: &Wanted) -> Result<Vec<u8>, SystemError> {
    let mut initrd = Initrd { base, archive: Archive::default() };
    for program in contents::PROGRAMS {
        initrd.program(program)?.ok_or_else(|| initrd.lacks(program, "every initrd needs"))?;
    }
    for program in contents::COMFORT {
        initrd.program(program)?;
    }
    initrd.for_a_medium()?;
    for library in contents::OPENED {
        initrd.library(library, &[])?;
    }
    initrd.units()?;
    for rule in contents::RULES {
        initrd.copy(&format!("usr/lib/udev/rules.d/{rule}"))?;
    }
    initrd.etc(wanted)?;
    initrd.modules(kernel_release, wanted)?;
    initrd.skeleton()?;
    let archive = initrd.archive.bytes();
    zstd::bulk::compress(&archive, ZSTD_LEVEL).map_err(SystemError::io("compressing the initrd of", base))
}

/// Where a base has a library: in the first folder that has it, `first` before the usual ones.
pub(crate) fn library_in(base: &Path, name: &str, first: &[String]) -> Option<String> {
    let folders = first.iter().map(|f| f.trim_matches('/')).chain(LIBRARY_FOLDERS);
    let below = folders.filter_map(|f| RelPath::new(format!("{f}/{name}")).ok());
    below.map(RelPath::into_string).find(|path| exists_in(base, path))
}

struct Initrd<'a> {
    base: &'a Path,
    archive: Archive,
}

impl Initrd<'_> {
    fn lacks(&self, path: &str, reason: &'static str) -> SystemError {
        SystemError::BaseLacks { base: self.base.to_path_buf(), path: path.into(), reason }
    }

    /// Copies a file or link, if the base has it; a link brings what it leads to. Gives the contents of a file that
    /// was not there yet.
    fn copy(&mut self, path: &str) -> Result<Option<Vec<u8>>, SystemError> {
        // Names of libraries and modules stand in files of the base.
        let path = RelPath::new(path).map_err(SystemError::name(path))?.into_string();
        let (path, named) = (path.as_str(), self.base.join(&path));
        // Links on the way stay in the base: one that leads out would bring a file of the machine that builds.
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(folder) = find_in(self.base, folder).map_err(SystemError::io("reading", &named))? else {
            return Ok(None);
        };
        let source = self.base.join(folder).join(name);
        let meta = match source.symlink_metadata() {
            Err(error) if is_absence(&error) => return Ok(None),
            meta => meta.map_err(SystemError::io("reading", &source))?,
        };
        if self.archive.has(path) {
            return Ok(Some(Vec::new()));
        }
        if meta.is_symlink() {
            let target = fs::read_link(&source).map_err(SystemError::io("reading", &source))?;
            let text = target.to_string_lossy().into_owned();
            self.archive.put(path, Entry::Link(text.clone()))?;
            if text == "/dev/null" {
                return Ok(Some(Vec::new()));
            }
            let Some(real) = resolve_in(self.base, path) else { return Ok(None) };
            return self.copy(&real);
        }
        let bytes = fs::read(&source).map_err(SystemError::io("reading", &source))?;
        let executable = meta.permissions().mode() & 0o111 != 0;
        self.archive.put(path, Entry::File(bytes.clone(), executable))?;
        Ok(Some(bytes))
    }

    fn program(&mut self, path: &str) -> Result<Option<()>, SystemError> {
        let Some(bytes) = self.copy(path)? else { return Ok(None) };
        self.libraries_of(&bytes)?;
        Ok(Some(()))
    }

    fn libraries_of(&mut self, bytes: &[u8]) -> Result<(), SystemError> {
        let Some(needs) = elf::needs(bytes) else { return Ok(()) };
        if let Some(loader) = &needs.interpreter {
            let real = resolve_in(self.base, loader).ok_or_else(|| self.lacks(loader, "programs are started by"))?;
            self.program(&real)?;
            // Programs name it /lib64/…, which is a link to usr/lib64 in the initrd too.
            let named = format!("usr{loader}");
            if named != real {
                self.archive.put(named, Entry::Link(format!("/{real}")))?;
            }
        }
        for library in &needs.libraries {
            self.library(library, &needs.folders)?;
        }
        Ok(())
    }

    fn library(&mut self, name: &str, first: &[String]) -> Result<(), SystemError> {
        match library_in(self.base, name, first) {
            Some(path) => self.program(&path).map(drop),
            // Named by the loader itself.
            None if name.starts_with("ld-linux") => Ok(()),
            None => Err(self.lacks(name, "a program of the initrd needs")),
        }
    }

    fn for_a_medium(&mut self) -> Result<(), SystemError> {
        if contents::MEDIUM.iter().all(|program| exists_in(self.base, program)) {
            contents::MEDIUM.iter().try_for_each(|program| self.program(program).map(drop))?;
        }
        Ok(())
    }

    fn units(&mut self) -> Result<(), SystemError> {
        const FOLDER: &str = "usr/lib/systemd/system";
        for unit in contents::UNITS {
            self.copy(&format!("{FOLDER}/{unit}"))?;
        }
        for (target, unit) in contents::WANTS {
            self.archive.put(format!("{FOLDER}/{target}.wants/{unit}"), Entry::Link(format!("../{unit}")))?;
        }
        for (name, text, folders) in contents::OWN_UNITS {
            self.archive.put(format!("{FOLDER}/{name}"), Entry::File(text.into(), false))?;
            for folder in folders {
                self.archive.put(format!("{FOLDER}/{folder}/{name}"), Entry::Link(format!("../{name}")))?;
            }
        }
        self.archive.put("usr/lib/cairn/cairn-stage1", Entry::File(STAGE1.to_vec(), true))?;
        Ok(())
    }

    fn etc(&mut self, wanted: &Wanted) -> Result<(), SystemError> {
        for (path, text) in contents::FILES {
            self.archive.put(path, Entry::File(text.into(), false))?;
        }
        for (path, text) in manager::emergency(wanted.emergency_access) {
            self.archive.put(format!("etc/{path}"), Entry::File(text.into(), false))?;
        }
        let manager = format!("{}{}", manager::settings(wanted.watchdog), contents::DEVICE_TIMEOUT);
        self.archive.put("etc/systemd/system.conf", Entry::File(manager.into(), false))?;
        self.copy("etc/group")?.ok_or_else(|| self.lacks("etc/group", "udev's rules need"))?;
        self.copy("usr/lib/os-release")?.ok_or_else(|| self.lacks("usr/lib/os-release", "systemd asks for"))?;
        for name in ["os-release", "initrd-release"] {
            self.archive.put(format!("etc/{name}"), Entry::Link("../usr/lib/os-release".into()))?;
        }
        Ok(())
    }

    fn skeleton(&mut self) -> Result<(), SystemError> {
        for (path, target) in [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
            self.archive.put(path, Entry::Link(target.into()))?;
        }
        for (path, mode) in [("tmp", 0o1777), ("root", 0o700), ("proc", 0o555), ("sys", 0o555)] {
            self.archive.put(path, Entry::Folder(mode))?;
        }
        for path in ["dev", "run", "sysroot", "var/tmp"] {
            self.archive.put(path, Entry::Folder(0o755))?;
        }
        // For the first process on a machine whose console does not work: the kernel then gives it nothing to write to.
        self.archive.put("dev/null", Entry::Device(1, 3))?;
        // systemd calls a system tainted that has none.
        self.archive.put("var/run", Entry::Link("../run".into()))?;
        // Only because no root is stacked yet: a member of a RAID may look like a plain file system. Such a root takes systemd here.
        self.archive.put("init", Entry::Link("usr/lib/cairn/cairn-stage1".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_helper_is_a_static_program() {
        let needs = elf::needs(STAGE1).expect("an ELF file");
        assert_eq!(needs.libraries, Vec::<String>::new());
        assert_eq!(needs.interpreter, None);
    }

    #[test]
    fn nothing_comes_from_outside_of_the_base() {
        let dir = tempfile::tempdir().unwrap();
        let (base, outside) = (dir.path().join("base"), dir.path().join("outside"));
        for folder in [&base.join("usr"), &base.join("real"), &outside] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(outside.join("secret"), "secret").unwrap();
        fs::write(base.join("real/own"), "own").unwrap();
        std::os::unix::fs::symlink(&outside, base.join("usr/out")).unwrap();
        std::os::unix::fs::symlink("../../outside", base.join("usr/up")).unwrap();
        std::os::unix::fs::symlink("/real", base.join("usr/in")).unwrap();
        let mut initrd = Initrd { base: &base, archive: Archive::default() };
        for path in ["usr/out/secret", "usr/up/secret"] {
            assert_eq!(initrd.copy(path).unwrap(), None, "{path}");
        }
        assert_eq!(initrd.copy("usr/in/own").unwrap(), Some(b"own".to_vec()));
    }

    #[test]
    fn what_mounts_a_medium_comes_as_a_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("usr/sbin")).unwrap();
        let mut held = Vec::new();
        for program in contents::MEDIUM {
            fs::write(dir.path().join(program), "program").unwrap();
            let mut initrd = Initrd { base: dir.path(), archive: Archive::default() };
            initrd.for_a_medium().unwrap();
            held.push(contents::MEDIUM.map(|program| initrd.archive.has(program)));
        }
        assert_eq!(held, [[false; 2], [true; 2]]);
    }

    #[test]
    fn a_base_without_systemd_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = build(dir.path(), "6.1", &Wanted::default()).unwrap_err();
        assert!(error.to_string().contains("usr/lib/systemd/systemd"), "{error}");
    }

    /// systemd's own check, where it is installed, finds nothing wrong with the initrd's own units.
    #[test]
    fn systemd_has_nothing_to_say_about_the_units() {
        if cairn_process::find("systemd-analyze").is_none() {
            cairn_testkit::skip("systemd-analyze is not installed");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let units = dir.path().join("usr/lib/systemd/system");
        fs::create_dir_all(&units).unwrap();
        fs::create_dir_all(dir.path().join("usr/lib/cairn")).unwrap();
        let helper = dir.path().join("usr/lib/cairn/cairn-stage1");
        fs::write(&helper, "").unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(units.join("emergency.target"), "[Unit]\nDescription=Emergency\n").unwrap();
        for (name, text, _) in contents::OWN_UNITS {
            fs::write(units.join(name), text).unwrap();
            let tool = cairn_process::Tool::new("systemd-analyze", "systemd", "check units");
            let root = format!("--root={}", dir.path().display());
            tool.args(["verify", "--man=no", "--recursive-errors=no", &root, name]).run().unwrap();
        }
    }
}
