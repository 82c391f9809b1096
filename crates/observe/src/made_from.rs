//! What a generation was made from, as its system keeps it: the machine file, and what lies beside that. On somebody's disk
//! these files are somebody's, so they name nothing but each other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use cairn_boot::{BootFile, own_files};
use cairn_machine::lock::Lock;
use cairn_machine::names::RelPath;
use cairn_machine::{Checked, Problem, Problems, SourceFile, check};
use cairn_store::StorePath;

use crate::ObserveError;
use crate::view::{Files, ViewError};

/// The machine file's name there, its lock's, and that of the hardware file, wherever it once was.
const FILE: &str = "machine.yaml";
const LOCK: &str = "machine.lock";
const HARDWARE: &str = "hardware.yaml";

/// The longest file that a machine file puts on the boot partition.
const MOST_BOOT_FILE: u64 = 1 << 30;

/// The folder with the files.
#[derive(Debug, Clone)]
pub struct MadeFrom<'a> {
    files: Rc<dyn Files + 'a>,
    system: String,
    folder: String,
}

impl<'a> MadeFrom<'a> {
    /// Of the system at this path, whose configuration files are in `etc`. Nothing is read yet.
    pub fn of(files: &Rc<dyn Files + 'a>, system: &str, etc: Option<&StorePath>) -> MadeFrom<'a> {
        let etc = etc.map_or_else(|| format!("{system}/etc"), ToString::to_string);
        MadeFrom { files: Rc::clone(files), system: system.to_string(), folder: format!("{etc}/cairn") }
    }

    /// What the machine file is called in messages.
    pub fn shown(&self) -> PathBuf {
        self.files.shown(&format!("{}/{FILE}", self.folder))
    }

    /// Whether there is a machine file at all: a system that was not made from one has none.
    ///
    /// # Errors
    /// What reading meets.
    pub fn is_there(&self) -> Result<bool, ObserveError> {
        Ok(self.files.kind(&format!("{}/{FILE}", self.folder))?.is_some())
    }

    /// The machine file, with its hardware file, which every system has under one name.
    ///
    /// # Errors
    /// When it is not there, or not sound.
    pub fn checked(&self) -> Result<Checked, ObserveError> {
        let most = self.files.most_text();
        let mut read = |name: &str| {
            let folder = if name == FILE { &self.folder } else { &self.system };
            let found = self.files.read_inside(folder, name, most).map_err(|error| told(&error))?;
            found.ok_or_else(|| format!("there is no {}", self.files.shown(&format!("{folder}/{name}")).display()))
        };
        Ok(load_own(self.shown().display().to_string(), &mut read)?)
    }

    /// Its lock, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn lock(&self) -> Result<Option<Lock>, ObserveError> {
        let found = self.files.read_inside(&self.folder, LOCK, self.files.most_text())?;
        let Some(bytes) = found else { return Ok(None) };
        let shown = self.files.shown(&format!("{}/{LOCK}", self.folder));
        Ok(Some(Lock::parse(&SourceFile::new(shown.display().to_string(), bytes))?))
    }

    /// All of them by their names beside the machine file, but for secrets, which no system has.
    ///
    /// # Errors
    /// What reading meets.
    pub fn files(&self, checked: &Checked) -> Result<Found, ObserveError> {
        let most = self.files.most_text();
        let mut found = Found::default();
        for name in [FILE, LOCK] {
            found.take(name.into(), self.files.read_inside(&self.folder, name, most)?);
        }
        if let Some(Ok(hardware)) = checked.machine.hardware.as_deref().map(RelPath::beside) {
            found.take(hardware.into_string(), self.files.read_inside(&self.system, HARDWARE, most)?);
        }
        for named in checked.named_files() {
            if named.purpose.is_secret() {
                continue;
            }
            match RelPath::beside(&named.path) {
                Ok(name) => {
                    let bytes = self.files.read_inside(&self.folder, name.as_str(), MOST_BOOT_FILE)?;
                    found.take(name.into_string(), bytes);
                }
                Err(why) => {
                    found.missing.push(format!("{}, which did not lie beside the machine file: {why}", named.path))
                }
            }
        }
        Ok(found)
    }

    /// The files that the machine file puts on the boot partition.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn boot_files(&self, checked: &Checked) -> Result<Vec<BootFile>, ObserveError> {
        Ok(own_files(checked, &mut |source| self.beside(source, MOST_BOOT_FILE))?)
    }

    /// A file that the machine file names. Only what lies beside it, or below, went into the system with it.
    fn beside(&self, name: &str, most: u64) -> Result<Vec<u8>, String> {
        if RelPath::beside(name).is_err() {
            return Err(format!(
                "{name} does not lie beside {}: name it relative to the machine file, and without `..`, for the system to have it",
                self.shown().display()
            ));
        }
        let found = self.files.read_inside(&self.folder, name, most).map_err(|error| told(&error))?;
        found.ok_or_else(|| format!("{name} does not lie beside {}", self.shown().display()))
    }
}

/// Files that were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// By their names.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What is not there, each in words.
    pub missing: Vec<String>,
}

impl Found {
    fn take(&mut self, name: String, bytes: Option<Vec<u8>>) {
        match bytes {
            Some(bytes) => drop(self.files.insert(name, bytes)),
            None => self.missing.push(name),
        }
    }
}

/// An error with its cause, as one text.
fn told(error: &ViewError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Checks the machine file that a system carries, on a machine's disk or in its image: not the caller's own, so nothing
/// that it says is a path of this computer. `read` gives the system's `machine.yaml` and, if that includes one, its
/// `hardware.yaml`: a system has it under this name, whatever it is called in the machine file.
///
/// # Errors
/// What is wrong with it.
pub fn load_own(name: String, read: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>) -> Result<Checked, Problems> {
    let bytes = read(FILE).map_err(|why| Problem {
        file: name.clone(),
        line: 1,
        column: 1,
        message: format!("cannot be read: {why}"),
        help: None,
    })?;
    check(&SourceFile { name, bytes }, &mut |_| read(HARDWARE))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use cairn_disk::Budget;
    use cairn_root::Root;

    use super::*;
    use crate::view::Folder;

    #[test]
    fn a_machine_s_own_file_names_only_what_lies_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("m/nix/store/a-etc/cairn");
        std::fs::create_dir_all(own.join("files")).unwrap();
        std::fs::write(dir.path().join("secret"), "the host's").unwrap();
        std::fs::write(dir.path().join("m/secret"), "the machine's").unwrap();
        std::fs::write(own.join("files/x"), "beside").unwrap();
        symlink("/secret", own.join("link")).unwrap();
        symlink("../../../../../secret", own.join("up")).unwrap();
        nix::unistd::mkfifo(&own.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let root = Root::open(&dir.path().join("m")).unwrap();
        let files: Rc<dyn Files> = Rc::new(Folder::new(root, Budget::shared()));
        let made_from =
            MadeFrom { files, system: "/nix/store/a-system".into(), folder: "/nix/store/a-etc/cairn".into() };
        assert_eq!(made_from.beside("./files/x", 10).unwrap(), b"beside");
        let secret = dir.path().join("secret").display().to_string();
        for bad in ["link", "up", "pipe", "../../../../../secret", "files", &secret, "/secret", "/dev/zero"] {
            assert!(made_from.beside(bad, 100).is_err(), "{bad}");
        }
        assert!(made_from.beside("files/x", 3).unwrap_err().contains("6 bytes"));
        assert!(made_from.checked().is_err());
        assert_eq!(made_from.lock().unwrap(), None);
    }

    #[test]
    fn what_a_machines_own_file_names_is_never_a_path_of_this_computer() {
        let machine = |hardware: &str| {
            format!(
                "version: 1\nhostname: m\nsource: {{debian: {{}}}}\ndisks: {{main: {{layout: uefi}}}}\nhardware: {hardware}\n"
            )
        };
        for named in ["/etc/shadow", "../../etc/shadow", "/dev/zero", "hw/laptop.yaml"] {
            let mut asked = Vec::new();
            let mut read = |name: &str| {
                asked.push(name.to_string());
                Ok(if name == "machine.yaml" { machine(named).into_bytes() } else { b"version: 1\n".to_vec() })
            };
            let checked = load_own("disk:machine.yaml".into(), &mut read).unwrap();
            assert!(checked.hardware.is_some());
            assert_eq!(asked, ["machine.yaml", "hardware.yaml"], "{named}");
        }
        let mut none = |name: &str| match name {
            "machine.yaml" => Ok(machine("/etc/shadow").into_bytes()),
            _ => Err("it is not there".into()),
        };
        let told = load_own("disk:machine.yaml".into(), &mut none).unwrap_err().to_string();
        assert!(told.starts_with("disk:machine.yaml:5:11: reading `/etc/shadow`: it is not there"), "{told}");
    }
}
