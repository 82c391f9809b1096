//! Looks at boot partitions: what of this installation is there, whole or not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use crate::entry_name::{ENTRIES, EntryName};
use crate::generation::{Artifact, Generation};
use crate::installation::Installation;
use crate::loader::SIGNED_GRUB_READS;
use crate::present::{FoundFile, Present};
use crate::set::{BootSet, Place, SECTOR};
use crate::volume::{Kind, ReadVolume};

/// Longer texts are not ours.
const MOST_TEXT: u64 = 1 << 20;
/// Longer kernels and initrds are not ours either.
const MOST_FILE: u64 = 1 << 30;

/// The partitions of a machine.
#[derive(Debug, Clone, Copy)]
pub struct Partitions<'a> {
    /// Where the firmware looks.
    pub esp: Option<&'a dyn ReadVolume>,
    /// Where entries and kernels are, if that is another one.
    pub boot: Option<&'a dyn ReadVolume>,
}

/// What is taken as read without being read again: the kernel, initrd and device tree that the loader has just brought a machine up
/// with. It holds for the partition that the loader read them from.
#[derive(Debug, Clone, Default)]
pub struct Loaded(BTreeMap<String, Artifact>);

impl Loaded {
    /// The files of the generation that runs.
    pub fn of(installation: Installation, running: &Generation) -> Loaded {
        let Generation { kernel, initrd, device_tree, .. } = running;
        let kernel = [(installation.kernel(kernel), kernel.clone())];
        let initrd = initrd.iter().map(|file| (installation.initrd(file), file.clone()));
        let tree = device_tree.iter().map(|file| (installation.device_tree(file), file.clone()));
        Loaded(kernel.into_iter().chain(initrd).chain(tree).collect())
    }

    /// What is in a file of this path and length, if that is known.
    fn sha256(&self, path: &str, len: u64) -> Option<[u8; 32]> {
        self.0.get(path).filter(|file| file.size == len).map(|file| file.sha256)
    }
}

/// Looks at everything that is ours, and at the files of `fixed` (those that loader or firmware name). Contents of
/// foreign files are not read.
///
/// # Errors
/// When a directory cannot be read. A file that cannot be read is told as such in the result.
pub fn survey(partitions: Partitions<'_>, installation: Installation, fixed: &[String]) -> io::Result<Present> {
    survey_of_running(partitions, installation, fixed, &Loaded::default())
}

/// The same, but for the files that the loader has read a moment ago.
///
/// # Errors
/// See [`survey`].
pub fn survey_of_running(
    partitions: Partitions<'_>,
    installation: Installation,
    fixed: &[String],
    loaded: &Loaded,
) -> io::Result<Present> {
    let mut present = Present::default();
    let both = [(Place::Esp, partitions.esp), (Place::Boot, partitions.boot)];
    for (place, volume) in both.into_iter().filter_map(|(place, volume)| Some((place, volume?))) {
        present.space.insert(place, volume.space()?);
        let mut look = Look { place, volume, installation, loaded, present: &mut present };
        for folder in [installation.folder(), installation.grub_folder(), installation.efi_folder(), ENTRIES.into()] {
            look.folder(&folder)?;
        }
        let fixed: BTreeSet<&String> = fixed.iter().collect();
        for path in fixed {
            look.fixed(path)?;
        }
    }
    present.entries.sort_by_key(ToString::to_string);
    Ok(present)
}

/// The paths of a set that are not in folders of our own.
pub fn fixed_paths(set: &BootSet, installation: Installation) -> Vec<String> {
    set.files.iter().map(|f| f.path.clone()).filter(|path| !installation.owns(path)).collect()
}

struct Look<'a> {
    place: Place,
    volume: &'a dyn ReadVolume,
    installation: Installation,
    loaded: &'a Loaded,
    present: &'a mut Present,
}

impl Look<'_> {
    fn folder(&mut self, folder: &str) -> io::Result<()> {
        for (name, kind) in self.list(folder)? {
            let name = self.as_we_write_it(folder, name);
            let path = format!("{folder}/{name}");
            match kind {
                Kind::Directory => {
                    self.present.directories.insert((self.place, path));
                }
                Kind::File(len) if self.installation.owns(&path) => {
                    self.found(path.clone(), len);
                    self.ours(&path, &name, len);
                }
                Kind::File(_) => {}
            }
        }
        Ok(())
    }

    /// All names that we give are in small letters. FAT does not tell these from capitals, and whoever else has written the
    /// partition may have given them back in capitals: it is the same file.
    fn as_we_write_it(&self, folder: &str, name: String) -> String {
        let small = name.to_ascii_lowercase();
        let same = small != name && self.volume.open(&format!("{folder}/{small}")).is_ok();
        if same { small } else { name }
    }

    /// A file with a name that is not ours to choose.
    fn fixed(&mut self, path: &str) -> io::Result<()> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        for (found, kind) in self.list(folder)?.into_iter().filter(|(found, _)| found.eq_ignore_ascii_case(name)) {
            let path = if folder.is_empty() { found } else { format!("{folder}/{found}") };
            match kind {
                Kind::Directory => drop(self.present.directories.insert((self.place, path))),
                Kind::File(len) => {
                    self.stub(&path, len);
                    self.found(path, len);
                }
            }
        }
        Ok(())
    }

    /// Whose the script is that Debian's signed GRUB reads: ours names our menu's folder.
    fn stub(&mut self, path: &str, len: u64) {
        if self.place == Place::Esp && path.eq_ignore_ascii_case(SIGNED_GRUB_READS) && len <= SECTOR as u64 {
            let mut bytes = Vec::new();
            let read = self.volume.open(path).and_then(|file| file.take(len).read_to_end(&mut bytes));
            let folder = self.installation.grub_folder();
            self.present.stub_is_ours = read.is_ok() && String::from_utf8_lossy(&bytes).contains(&folder);
        }
    }

    /// The directory's contents; a file on the way to it is remembered as being in the way.
    fn list(&mut self, folder: &str) -> io::Result<Vec<(String, Kind)>> {
        match self.volume.list(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                let ends = folder.match_indices('/').map(|(at, _)| at).chain([folder.len()]);
                for end in ends {
                    if self.is_file(&folder[..end]) {
                        let found = FoundFile { len: 0, sha256: None };
                        self.present.files.insert((self.place, folder[..end].to_string()), found);
                    }
                }
                Ok(Vec::new())
            }
            other => other,
        }
    }

    /// Whether the folder that it lies in lists it as something else than a folder: a link too is in the way.
    fn is_file(&self, path: &str) -> bool {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let found = self.volume.list(folder).unwrap_or_default();
        found.iter().any(|(other, kind)| other.eq_ignore_ascii_case(name) && matches!(kind, Kind::File(_)))
    }

    fn found(&mut self, path: String, len: u64) {
        // One that is longer is none that Cairn wrote, whatever is in it.
        let open = || self.volume.open(&path).and_then(|file| hash(file.take(MOST_FILE))).ok();
        let sha256 = if len <= MOST_FILE { self.loaded.sha256(&path, len).or_else(open) } else { None };
        self.present.files.insert((self.place, path), FoundFile { len, sha256 });
    }

    /// What our own files say: which entries there are, and what GRUB remembers. What cannot be read says nothing.
    fn ours(&mut self, path: &str, name: &str, len: u64) {
        let found = self.present.files.get(&(self.place, path.to_string()));
        if len > MOST_TEXT || found.is_none_or(|found| found.sha256.is_none()) {
            return;
        }
        if path.starts_with(ENTRIES) {
            self.present.entries.extend(EntryName::parse(self.installation, name));
        } else if name == "grubenv" {
            let mut bytes = Vec::new();
            let read = self.volume.open(path).and_then(|file| file.take(MOST_TEXT).read_to_end(&mut bytes));
            self.present.environment = read.ok().map(|_| bytes);
        }
    }
}

/// SHA-256 of all that can be read.
pub(crate) fn hash(mut file: impl Read) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    /// Is interrupted before each piece, and at its end fails or not.
    struct Halting(Vec<Result<&'static [u8], ErrorKind>>);

    impl Read for Halting {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(next) = self.0.pop() else { return Ok(0) };
            next.map_err(io::Error::from).and_then(|mut bytes| bytes.read(buffer))
        }
    }

    #[test]
    fn a_hash_is_of_everything_however_it_comes() {
        let halt = || Err(ErrorKind::Interrupted);
        let wanted: [u8; 32] = Sha256::digest("abcd").into();
        assert_eq!(hash(Halting(vec![halt(), Ok(b"cd"), halt(), Ok(b"ab")])).unwrap(), wanted);
        let broken = Halting(vec![Ok(b"cd"), Err(ErrorKind::TimedOut), Ok(b"ab")]);
        assert_eq!(hash(broken).unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
