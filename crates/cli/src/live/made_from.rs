//! What a generation was made from, as its system keeps it: the machine file, and what lies beside that. On somebody's disk
//! these files are somebody's, so they name nothing but each other.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_boot::BootFile;
use cairn_machine::lock::Lock;
use cairn_machine::{Checked, SourceFile, check};
use cairn_root::Root;

use crate::machine_file::lock_path;
use crate::pipeline::boot_files;

/// The machine file's name there.
const FILE: &str = "machine.yaml";

/// Nobody writes a machine file, or the list of a machine's packages, of this size.
const MOST: u64 = 16 << 20;

/// The folder with the files.
#[derive(Debug, Clone)]
pub struct MadeFrom {
    root: Root,
    folder: PathBuf,
}

impl MadeFrom {
    /// The folder at this path of the machine. Nothing is read yet.
    pub fn at(root: &Root, folder: PathBuf) -> MadeFrom {
        MadeFrom { root: root.clone(), folder }
    }

    /// What the machine file is called in messages.
    pub fn shown(&self) -> PathBuf {
        self.root.shown(&self.folder).join(FILE)
    }

    /// The machine file, with the hardware file that lies beside it.
    pub fn checked(&self) -> anyhow::Result<Checked> {
        let bytes = self.read(FILE, MOST)?.with_context(|| format!("there is no {}", self.shown().display()))?;
        let file = SourceFile { name: self.shown().display().to_string(), bytes };
        let mut hardware = |name: &str| self.beside(name, MOST).map_err(|error| format!("{error:#}"));
        Ok(check(&file, &mut hardware)?)
    }

    /// Its lock, if there is one.
    pub fn lock(&self) -> anyhow::Result<Option<Lock>> {
        let name = lock_path(Path::new(FILE));
        let Some(bytes) = self.read(&name, MOST)? else { return Ok(None) };
        let shown = self.root.shown(&self.folder).join(name);
        Ok(Some(Lock::parse(&SourceFile::new(shown.display().to_string(), bytes))?))
    }

    /// The files that the machine file puts on the boot partition.
    pub fn boot_files(&self, checked: &Checked) -> anyhow::Result<Vec<BootFile>> {
        boot_files::of(checked, &mut |source| self.beside(source, boot_files::MOST))
    }

    /// A file that the machine file names. Only what lies beside it, or below, went into the system with it.
    fn beside(&self, name: &str, most: u64) -> anyhow::Result<Vec<u8>> {
        let plain = !name.starts_with('/') && name.split('/').all(|part| part != "..");
        anyhow::ensure!(
            plain,
            "{name} does not lie beside {}: name it relative to the machine file, and without `..`, for the system to have it",
            self.shown().display()
        );
        self.read(name, most)?.with_context(|| format!("{name} does not lie beside {}", self.shown().display()))
    }

    /// A file in the folder. Links in it lead nowhere else.
    fn read(&self, name: impl AsRef<Path>, most: u64) -> anyhow::Result<Option<Vec<u8>>> {
        let name = name.as_ref();
        let read = || match self.root.inside(&self.folder)? {
            Some(files) => files.read(name, most),
            None => Ok(None),
        };
        let shown = || format!("reading {}", self.root.shown(&self.folder).join(name).display());
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
        let made_from = MadeFrom::at(&root, "/nix/store/a-etc/cairn".into());
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
