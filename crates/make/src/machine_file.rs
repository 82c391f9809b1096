//! Machine files on the disk: reading them with what they include, and the places beside them.

use std::path::{Path, PathBuf};

use cairn_machine::{Checked, Problem, Problems, SourceFile, check};

use crate::plain_file::{self, TEXT, Unread};

/// A machine file, and what of it is another text than on the disk: an installation knows the hardware better than the files do.
#[derive(Debug, Clone)]
pub struct MachineFile {
    /// Where it is; what it names is beside it.
    pub path: PathBuf,
    /// Its text, where that is not the file's.
    pub text: Option<Vec<u8>>,
    /// The text of the hardware file that it includes, where that is not the file's.
    pub hardware: Option<Vec<u8>>,
}

impl From<&Path> for MachineFile {
    fn from(path: &Path) -> MachineFile {
        MachineFile { path: path.to_path_buf(), text: None, hardware: None }
    }
}

impl MachineFile {
    /// Its text.
    ///
    /// # Errors
    /// What reading meets.
    pub fn text(&self) -> Result<Vec<u8>, Unread> {
        self.text.clone().map_or_else(|| plain_file::read(&self.path, TEXT), Ok)
    }

    /// The text of the hardware file that it includes by this name.
    ///
    /// # Errors
    /// What reading meets.
    pub fn hardware(&self, name: &str) -> Result<Vec<u8>, Unread> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        self.hardware.clone().map_or_else(|| plain_file::read(&folder.join(name), TEXT), Ok)
    }

    /// Checks it with the hardware file that it includes.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(&self) -> Result<Checked, Problems> {
        let name = self.path.display().to_string();
        let bytes = self.text().map_err(|e| unreadable(&name, &e))?;
        check(&SourceFile { name, bytes }, &mut |file| self.hardware(file).map_err(|e| e.to_string()))
    }
}

/// Reads and checks a machine file with the hardware file that it includes.
///
/// # Errors
/// All that is wrong with it.
pub fn load(path: &Path) -> Result<Checked, Problems> {
    MachineFile::from(path).load()
}

/// The same for a file that is looked at once and that nothing is made of: it may come through a pipe.
///
/// # Errors
/// See [`load`].
pub fn load_once(path: &Path) -> Result<Checked, Problems> {
    load_read(path, plain_file::read_argument(path, TEXT))
}

fn load_read(path: &Path, bytes: Result<Vec<u8>, Unread>) -> Result<Checked, Problems> {
    let name = path.display().to_string();
    let bytes = bytes.map_err(|e| unreadable(&name, &e))?;
    let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut read = |file: &str| plain_file::read(&folder.join(file), TEXT).map_err(|e| e.to_string());
    check(&SourceFile { name, bytes }, &mut read)
}

fn unreadable(name: &str, error: &Unread) -> Problem {
    let help = error.is_missing().then(|| match name {
        // Elsewhere this means standard input.
        "-" => {
            "a file of this name is looked for; `cairn check /dev/stdin` reads what comes through a pipe".to_string()
        }
        _ => format!("`cairn init {name}` writes one"),
    });
    Problem { file: name.into(), line: 1, column: 1, message: format!("cannot be read: {error}"), help }
}

/// The lock file of a machine file: beside it, ending in `.lock`.
pub fn lock_path(machine_file: &Path) -> PathBuf {
    machine_file.with_extension("lock")
}

/// Whether an argument that may be a machine file or an image means a machine file: its name tells.
pub fn is_machine_file(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("yaml") || e.eq_ignore_ascii_case("yml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_stands_beside_its_machine_file() {
        assert_eq!(lock_path(Path::new("a/machine.yaml")), Path::new("a/machine.lock"));
    }

    #[test]
    fn the_name_tells_a_machine_file_from_an_image() {
        assert!(is_machine_file(Path::new("m.yaml")) && is_machine_file(Path::new("M.YML")));
        assert!(!is_machine_file(Path::new("m.raw")) && !is_machine_file(Path::new("yaml")));
    }
}
