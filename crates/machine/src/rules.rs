//! What the schema cannot say: the rules that hold between values, and those for the shape of names and addresses.
//! Every rule is checked; nothing stops at the first problem.

mod accounts;
mod boot;
mod boot_partitions;
mod debian;
mod disks;
mod files;
mod general;
mod hardware;
mod installing;
mod network;
mod partitions;
mod services;
mod ssh;
mod tmpfiles;

use crate::model::{Hardware, InstallFile, Machine};
use crate::names::shown as short;
pub use accounts::{PasswordHashError, password_hash};
pub use boot::{DeviceTreeError, device_tree};
pub use network::{NameServer, PassphraseError, name_server, wifi_passphrase};

/// One finding of a rule, with the place as a JSON pointer.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// What it is about.
    pub pointer: String,
    /// It is about the key that the pointer ends with, not about its value.
    pub on_key: bool,
    /// It does not make the file wrong.
    pub warning: bool,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Collects findings.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Found>);

impl Findings {
    fn push(&mut self, pointer: &str, on_key: bool, warning: bool, message: String, help: &str) {
        let help = (!help.is_empty()).then(|| help.to_owned());
        self.0.push(Found { pointer: pointer.to_owned(), on_key, warning, message, help });
    }

    /// The value at a pointer is wrong.
    fn wrong(&mut self, pointer: impl AsRef<str>, message: impl Into<String>, help: impl AsRef<str>) {
        self.push(pointer.as_ref(), false, false, message.into(), help.as_ref());
    }

    /// The key at a pointer is wrong.
    fn wrong_key(&mut self, pointer: impl AsRef<str>, message: impl Into<String>, help: impl AsRef<str>) {
        self.push(pointer.as_ref(), true, false, message.into(), help.as_ref());
    }

    /// The value at a pointer is allowed and probably not meant.
    fn doubtful(&mut self, pointer: impl AsRef<str>, message: impl Into<String>, help: impl AsRef<str>) {
        self.push(pointer.as_ref(), false, true, message.into(), help.as_ref());
    }
}

/// Findings about a machine file.
pub(crate) fn machine(machine: &Machine) -> Vec<Found> {
    let mut findings = Findings::default();
    general::check(machine, &mut findings);
    debian::check(machine.source.debian(), &mut findings);
    disks::check(machine, &mut findings);
    boot::check(machine, &mut findings);
    network::check(machine, &mut findings);
    accounts::check(machine, &mut findings);
    services::check(machine, &mut findings);
    files::check(machine, &mut findings);
    tmpfiles::check(&machine.tmpfiles, &mut findings);
    swap(machine, &mut findings);
    if let Some(install) = &machine.install {
        installing::check("/install", install, Some(machine), &mut findings);
    }
    findings.0
}

/// A swap file has room, and there is something in `swap`.
fn swap(machine: &Machine, f: &mut Findings) {
    if let Some(size) = machine.swap.file
        && size.bytes() < 1 << 20
    {
        f.wrong("/swap/file", format!("a swap file of {size} is of no use"), "write for example 2G");
    }
}

/// Findings about an install file.
pub(crate) fn install_file(file: &InstallFile) -> Vec<Found> {
    let mut findings = Findings::default();
    installing::check("/install", &file.install, None, &mut findings);
    findings.0
}

/// Findings about a hardware file, by itself or beside the machine file that includes it.
pub(crate) fn hardware(hardware: &Hardware, machine: Option<&Machine>) -> Vec<Found> {
    let mut findings = Findings::default();
    hardware::check(hardware, machine, &mut findings);
    findings.0
}

/// What a path of the running system may consist of: nothing that fstab, a unit or a shell takes for something else.
fn is_safe_in_a_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-+@".contains(&byte)
}

/// Names every value that stands more than once in a list, by the index of its later place.
fn repeated<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<usize> {
    let mut seen = std::collections::BTreeSet::new();
    items.into_iter().enumerate().filter_map(|(i, item)| (!seen.insert(item)).then_some(i)).collect()
}
