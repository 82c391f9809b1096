//! A machine that has been checked: its files' values and places, and what follows from both files together.

use uuid::Uuid;

use crate::model::{Hardware, Machine, PartitionKind, TableKind};
use crate::pointer::child;
use crate::problem::{Position, Problem};
use crate::tree::Node;

/// The namespace of seeds that are derived from a host name.
const SEED_NAMESPACE: Uuid = Uuid::from_u128(0x7d1c_51a6_2f0e_4a8e_9b0c_c41e_7a11_5eed);

/// A machine file, and its hardware file, without mistakes.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What the machine file says, with defaults.
    pub machine: Machine,
    /// What the hardware file says, if one is included.
    pub hardware: Option<Hardware>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Problem>,
    pub(crate) main: Place,
    pub(crate) hardware_place: Option<Place>,
}

/// A file's name and tree, for telling places.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub name: String,
    pub tree: Node,
}

impl Place {
    /// A problem with what a pointer names, at the innermost part of it that the file has.
    pub fn problem(&self, pointer: &str, message: String, help: Option<String>) -> Problem {
        Problem::new(&self.name, self.tree.nearest_position_of(pointer), message, help)
    }
}

/// A file that the machine file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The path as it is written: absolute, or relative to the machine file's folder.
    pub path: String,
    /// Where it is named, as a JSON pointer.
    pub pointer: String,
    /// What it is for.
    pub purpose: FilePurpose,
}

/// What a named file is for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilePurpose {
    /// The contents of a file under /etc (its absolute path).
    EtcFile(String),
    /// The contents of a file on the boot partition (its path there, without a `/` in front).
    BootFile(String),
    /// The device tree; [`crate::device_tree`] checks it.
    DeviceTree,
    /// The password hash of a user. It must not enter the store; [`crate::password_hash`] checks it.
    PasswordHash(String),
    /// The passphrase of a wireless network (its name). It must not enter the store; [`crate::wifi_passphrase`] checks it.
    WifiPassphrase(String),
}

impl FilePurpose {
    /// Whether it goes into the machine's own state and nowhere else.
    pub fn is_secret(&self) -> bool {
        matches!(self, FilePurpose::PasswordHash(_) | FilePurpose::WifiPassphrase(_))
    }
}

impl Checked {
    /// The UUID from which every identifier of the machine is derived: the machine file's, or else the hardware
    /// file's, or else one that is derived from the host name.
    pub fn seed(&self) -> Uuid {
        let given = self.machine.seed.or(self.hardware.as_ref().and_then(|hardware| hardware.seed));
        given.unwrap_or_else(|| Uuid::new_v5(&SEED_NAMESPACE, self.machine.hostname.as_bytes()))
    }

    /// The modules for the initrd when a hardware file names them, with the machine file's own after them; each once.
    /// `None` where the generic set is to be used, together with [`Checked::extra_initrd_modules`].
    pub fn initrd_modules(&self) -> Option<Vec<String>> {
        let hardware = self.hardware.as_ref().filter(|hardware| !hardware.initrd_modules.is_empty())?;
        Some(once_each(hardware.initrd_modules.iter().chain(&self.machine.kernel_modules.initrd)))
    }

    /// The modules that the machine file wants in the initrd besides those of the hardware or of the generic set.
    pub fn extra_initrd_modules(&self) -> &[String] {
        &self.machine.kernel_modules.initrd
    }

    /// The modules to load at boot: the hardware file's, then the machine file's; each once.
    pub fn boot_modules(&self) -> Vec<String> {
        let hardware = self.hardware.iter().flat_map(|hardware| &hardware.kernel_modules);
        once_each(hardware.chain(&self.machine.kernel_modules.load))
    }

    /// The kernel parameters: `console=` for each console, `cairn.grow` where the partition table cannot say it, then the
    /// hardware file's, then the machine file's.
    pub fn kernel_parameters(&self) -> Vec<String> {
        // A GPT marks the partition that grows; in an MBR there is no room for that.
        let grow = self.machine.root_disk().filter(|(_, disk)| {
            let root = disk.all_partitions().iter().position(|partition| partition.kind == PartitionKind::Root);
            disk.table() == TableKind::Mbr && root.is_some_and(|root| disk.grows(root))
        });
        let grow = grow.map(|_| "cairn.grow".to_owned());
        let consoles = self.machine.boot.consoles.iter().map(|console| format!("console={console}"));
        let hardware = self.hardware.iter().flat_map(|hardware| hardware.kernel_parameters.iter().cloned());
        consoles.chain(grow).chain(hardware).chain(self.machine.boot.kernel_parameters.iter().cloned()).collect()
    }

    /// The files that the machine file names and that a caller must read: in the order of their pointers.
    pub fn named_files(&self) -> Vec<NamedFile> {
        let on_boot_partition = self.machine.boot.files.iter().filter_map(|(path, file)| {
            let pointer = child(child("/boot/files", path), "source");
            Some(NamedFile { path: file.source.clone()?, pointer, purpose: FilePurpose::BootFile(path.clone()) })
        });
        let sources = self.machine.files.iter().filter_map(|(path, file)| {
            let pointer = child(child("/files", path), "source");
            Some(NamedFile { path: file.source.clone()?, pointer, purpose: FilePurpose::EtcFile(path.clone()) })
        });
        let hashes = self.machine.users.iter().filter_map(|(name, user)| {
            let pointer = child(child("/users", name), "hashed_password_file");
            let path = user.hashed_password_file.clone()?;
            Some(NamedFile { path, pointer, purpose: FilePurpose::PasswordHash(name.clone()) })
        });
        let wifi = self.machine.network.wifi.iter().filter_map(|(name, wifi)| {
            let pointer = child(child("/network/wifi", name), "passphrase_file");
            let path = wifi.passphrase_file.clone()?;
            Some(NamedFile { path, pointer, purpose: FilePurpose::WifiPassphrase(name.clone()) })
        });
        let device_tree = self.machine.boot.device_tree.iter().map(|path| NamedFile {
            path: path.clone(),
            pointer: "/boot/device_tree".into(),
            purpose: FilePurpose::DeviceTree,
        });
        device_tree.chain(on_boot_partition).chain(sources).chain(wifi).chain(hashes).collect()
    }

    /// Whether the machine file says what a pointer names, and does not leave it to what is usual.
    pub fn says(&self, pointer: &str) -> bool {
        self.main.tree.position_of(pointer).is_some()
    }

    /// The name of the machine file, as it was given.
    pub fn file_name(&self) -> &str {
        &self.main.name
    }

    /// Where in the machine file a value stands (of a list or mapping: where its key stands). `None` if it is not in
    /// the file.
    pub fn position_of(&self, pointer: &str) -> Option<Position> {
        self.main.tree.position_of(pointer)
    }

    /// A problem with a value of the machine file that shows only later: an unknown package, a shell that is missing.
    /// A value that is not in the file (a default) is reported at what would hold it.
    pub fn problem(&self, pointer: &str, message: impl Into<String>, help: Option<String>) -> Problem {
        self.main.problem(pointer, message.into(), help)
    }

    /// The same for a value of the hardware file.
    pub fn hardware_problem(&self, pointer: &str, message: impl Into<String>, help: Option<String>) -> Problem {
        match &self.hardware_place {
            Some(place) => place.problem(pointer, message.into(), help),
            None => self.problem("/hardware", message, help),
        }
    }
}

fn once_each<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    names.filter(|name| seen.insert(name.replace('-', "_"))).cloned().collect()
}
