//! The systems that a medium offers: machine files, each with its lock, whose packages are there already.

use std::fs;
use std::io;
use std::path::Path;

use cairn_machine::model::Machine;
use cairn_machine::{SourceFile, check, edit};

/// Where a cache has them: a folder for each.
const FOLDER: &str = "systems";
const FILE: &str = "machine.yaml";

/// One that is offered.
#[derive(Debug, Clone, PartialEq)]
pub struct OfferedSystem {
    /// Its name.
    pub name: String,
    /// The text of its machine file.
    pub text: String,
    /// What that says.
    pub machine: Machine,
    /// What stands beside it: its lock, the files that it names.
    pub beside: Vec<(String, Vec<u8>)>,
}

impl Eq for OfferedSystem {}

/// The systems in a cache, by their names; one whose machine file is none is passed over.
///
/// # Errors
/// What reading meets.
pub fn offered(cache: &Path) -> io::Result<Vec<OfferedSystem>> {
    let folders = match fs::read_dir(cache.join(FOLDER)) {
        Ok(folders) => folders,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    for folder in folders {
        let folder = folder?;
        let mut beside = Vec::new();
        files(&folder.path(), "", &mut beside)?;
        let Some(at) = beside.iter().position(|(name, _)| name == FILE) else { continue };
        let (_, bytes) = beside.remove(at);
        let file = SourceFile { name: FILE.into(), bytes };
        let Ok(checked) = check(&file, &mut |_| Err("there is none".into())) else { continue };
        all.push(OfferedSystem {
            name: folder.file_name().to_string_lossy().into_owned(),
            text: String::from_utf8_lossy(&file.bytes).into_owned(),
            machine: checked.machine,
            beside,
        });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn files(folder: &Path, below: &str, all: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        match entry.file_type()? {
            kind if kind.is_dir() => files(&entry.path(), &format!("{name}/"), all)?,
            kind if kind.is_file() => all.push((name, fs::read(entry.path())?)),
            _ => {}
        }
    }
    Ok(())
}

impl OfferedSystem {
    /// The name, and what there is to say about it.
    pub(super) fn title(&self) -> String {
        let source = self.machine.source.debian();
        format!("{} (Debian {}, {} packages asked for)", self.name, source.suite, source.packages.len())
    }

    /// Whether its machine file says itself which partitions there are.
    pub(super) fn has_own_layout(&self) -> bool {
        self.machine.root_disk().is_some_and(|(_, disk)| !disk.partitions.is_empty())
    }

    /// Its machine file with what answers have made of a plain one. `anew`: the disk's partitions are those that are there.
    pub(super) fn with(&self, plain: &str, anew: bool) -> String {
        let file = SourceFile::new(FILE, plain);
        // Until all is answered it need not be one.
        let Ok(answered) = check(&file, &mut |_| Err("there is none".into())) else { return plain.into() };
        let answered = answered.machine;
        let mut machine = self.machine.clone();
        machine.hostname = answered.hostname;
        machine.locale.lang = answered.locale.lang;
        machine.keyboard.layout = answered.keyboard.layout;
        for option in answered.keyboard.options {
            if !machine.keyboard.options.contains(&option) {
                machine.keyboard.options.push(option);
            }
        }
        machine.timezone = answered.timezone;
        machine.boot.loader = answered.boot.loader;
        machine.boot.secure_boot = answered.boot.secure_boot.or(machine.boot.secure_boot);
        if anew || !self.has_own_layout() {
            machine.disks = answered.disks;
        }
        machine.users.extend(answered.users);
        for unit in answered.services.enable {
            if !machine.services.enable.contains(&unit) {
                machine.services.enable.push(unit);
            }
        }
        machine.network.wifi.extend(answered.network.wifi);
        machine.network.interfaces.extend(answered.network.interfaces);
        machine.install = answered.install;
        // Two machines of one seed would be taken for one another.
        machine.seed = None;
        edit(&SourceFile::new(FILE, self.text.as_str()), &self.machine, &machine)
    }
}
