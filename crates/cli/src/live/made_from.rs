//! What a generation was made from, as its system keeps it: the machine file, and what lies beside that. On somebody's disk
//! these files are somebody's, so they name nothing but each other.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_boot::BootFile;
use cairn_machine::lock::Lock;
use cairn_machine::{Checked, SourceFile};
use cairn_root::Root;

use crate::machine_file::{load_own, lock_path};
use crate::pipeline::boot_files;
use crate::plain_file::{BOOT_FILE, TEXT};

/// The machine file's name there.
const FILE: &str = "machine.yaml";

/// The folder with the files.
#[derive(Debug, Clone)]
pub struct MadeFrom {
    root: Root,
    system: PathBuf,
    folder: PathBuf,
}

impl MadeFrom {
    /// The system and the folder at these paths of the machine. Nothing is read yet.
    pub fn at(root: &Root, system: PathBuf, folder: PathBuf) -> MadeFrom {
        MadeFrom { root: root.clone(), system, folder }
    }

    /// What the machine file is called in messages.
    pub fn shown(&self) -> PathBuf {
        self.root.shown(&self.folder).join(FILE)
    }

    /// The machine file, with its hardware file, which every system has under one name, wherever it once was.
    pub fn checked(&self) -> anyhow::Result<Checked> {
        let mut read = |name: &str| {
            let folder = if name == FILE { &self.folder } else { &self.system };
            let found = self.read(folder, name, TEXT).map_err(|error| format!("{error:#}"))?;
            found.ok_or_else(|| format!("there is no {}", self.root.shown(folder).join(name).display()))
        };
        Ok(load_own(self.shown().display().to_string(), &mut read)?)
    }

    /// Its lock, if there is one.
    pub fn lock(&self) -> anyhow::Result<Option<Lock>> {
        let name = lock_path(Path::new(FILE));
        let Some(bytes) = self.read(&self.folder, &name, TEXT)? else { return Ok(None) };
        let shown = self.root.shown(&self.folder).join(name);
        Ok(Some(Lock::parse(&SourceFile::new(shown.display().to_string(), bytes))?))
    }

    /// The files that the machine file puts on the boot partition.
    pub fn boot_files(&self, checked: &Checked) -> anyhow::Result<Vec<BootFile>> {
        boot_files::of(checked, &mut |source| self.beside(source, BOOT_FILE).map_err(|error| format!("{error:#}")))
    }

    /// A file that the machine file names. Only what lies beside it, or below, went into the system with it.
    fn beside(&self, name: &str, most: u64) -> anyhow::Result<Vec<u8>> {
        let plain = !name.starts_with('/') && name.split('/').all(|part| part != "..");
        anyhow::ensure!(
            plain,
            "{name} does not lie beside {}: name it relative to the machine file, and without `..`, for the system to have it",
            self.shown().display()
        );
        self.read(&self.folder, name, most)?
            .with_context(|| format!("{name} does not lie beside {}", self.shown().display()))
    }

    /// A file in a folder. Links in it lead nowhere else.
    fn read(&self, folder: &Path, name: impl AsRef<Path>, most: u64) -> anyhow::Result<Option<Vec<u8>>> {
        let name = name.as_ref();
        let read = || match self.root.inside(folder)? {
            Some(files) => files.read(name, most),
            None => Ok(None),
        };
        let shown = || format!("reading {}", self.root.shown(folder).join(name).display());
        match read() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            other => other.with_context(shown),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

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
        let made_from = MadeFrom::at(&root, "/nix/store/a-system".into(), "/nix/store/a-etc/cairn".into());
        assert_eq!(made_from.beside("./files/x", 10).unwrap(), b"beside");
        let secret = dir.path().join("secret").display().to_string();
        for bad in ["link", "up", "pipe", "../../../../../secret", "files", &secret, "/secret", "/dev/zero"] {
            assert!(made_from.beside(bad, 100).is_err(), "{bad}");
        }
        assert!(format!("{:#}", made_from.beside("files/x", 3).unwrap_err()).contains("more than 3 bytes"));
        assert!(made_from.checked().is_err());
        assert_eq!(made_from.lock().unwrap(), None);
    }
}
